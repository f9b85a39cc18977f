#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "lessons/common/constants.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/common/in_parts.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "lessons/common/scalar_normal.hpp"
#include "lessons/common/toy.hpp"
#include "tensor/random.hpp"

namespace gradus {
namespace {

TEST(Constants, LogTwoPiIsTheLogarithmOfTwoPi) {
  EXPECT_NEAR(kLogTwoPi, std::log(2 * M_PI), 5e-16);
}

// ---- in_parts ----------------------------------------------------------------------------------

TEST(InParts, HandsOverEachExampleOnceAndInOrder) {
  const Tensor<double> x = arange<double>(14).reshape({7, 2});
  std::vector<Index> sizes;
  std::vector<double> seen;
  in_parts(
      x,
      [&](const Tensor<double>& part) {
        sizes.push_back(part.extent(0));
        for (double v : part) seen.push_back(v);
      },
      3);
  EXPECT_EQ(sizes, (std::vector<Index>{3, 3, 1}));
  EXPECT_EQ(seen, x.to_vector());
}

// ---- The toy -----------------------------------------------------------------------------------

TEST(Toy, HasExactlyItsVariances) {
  Rng rng(1);
  const Tensor<double> x = toy_points(kToyVariances, 40, rng);
  EXPECT_LT(max(abs(mean(x, {0}))).item(), 1e-14);
  const auto [values, vectors] = symmetric_eigen(matmul_tn(x, x) / 40.0);
  for (Index i = 0; i < 5; ++i) EXPECT_NEAR(values(i), kToyVariances[i], 1e-13);
}

TEST(Toy, KnowsWhatIsLeftBeyondItsAxes) {
  const double left[] = {7.75, 3.75, 1.75, 0.75, 0.25, 0};
  for (Index q = 0; q <= 5; ++q) EXPECT_EQ(toy_variance_beyond(q), left[q]);
}

// With one direction s^2 = 3.75 / 4, with two 1.75 / 3, and with four the covariance is the
// points' own, of determinant 4 2 1 1/2 1/4 = 1.
TEST(Toy, LogLikelihoodIsThatOnPaper) {
  const double c = 5 * std::log(2 * M_PI) + 5;
  EXPECT_NEAR(toy_log_likelihood(0), -0.5 * (c + 5 * std::log(7.75 / 5)), 1e-14);
  EXPECT_NEAR(toy_log_likelihood(1), -0.5 * (c + std::log(4) + 4 * std::log(3.75 / 4)), 1e-14);
  EXPECT_NEAR(toy_log_likelihood(2), -0.5 * (c + std::log(8) + 3 * std::log(1.75 / 3)), 1e-14);
  EXPECT_NEAR(toy_log_likelihood(4), -0.5 * c, 1e-14);
}

// ---- Estimates ---------------------------------------------------------------------------------

// The numbers 1, 2, 3, 6: mean 3, squared distances 4, 1, 0, 9; variance 14 / 3, fourth powers 16,
// 1, 0, 81 of mean 24.5.
TEST(Estimate, OfFourNumbersIsThatOnPaper) {
  const Estimate e = estimate(Tensor<double>({4}, {1, 2, 3, 6}));
  EXPECT_NEAR(e.mean, 3, 1e-15);
  EXPECT_NEAR(e.variance, 14.0 / 3, 1e-14);
  EXPECT_NEAR(e.mean_error, std::sqrt(14.0 / 12), 1e-14);
  EXPECT_NEAR(e.variance_error, std::sqrt((24.5 - 196.0 / 9) / 4), 1e-14);
  EXPECT_NEAR(e.z_score(5), -2 / std::sqrt(14.0 / 12), 1e-14);
}

// Of S normal numbers the variance's standard error is variance * sqrt(2 / S).
TEST(Estimate, HasTheErrorsOfNormalNumbers) {
  Rng rng(1);
  const Estimate e = estimate(rng.normal<double>({100'000}) * 3.0);
  EXPECT_NEAR(e.variance_error, 9 * std::sqrt(2e-5), 0.02 * e.variance_error);
  EXPECT_NEAR(e.mean_error, 3 / std::sqrt(1e5), 0.01 * e.mean_error);
  EXPECT_LT(std::abs(e.z_score(0)), 5);
  EXPECT_LT(std::abs(e.variance - 9), 5 * e.variance_error);
}

// Of pairs from N(0, 1), whose variance with 1/S would be 1/2 on average.
TEST(Estimate, IsRightOnAverageForTheSmallestSample) {
  Rng rng(2);
  double total = 0;
  for (int pair = 0; pair < 20'000; ++pair) total += estimate(rng.normal<double>({2})).variance;
  // The variance of one is 2, so the standard error of the average is sqrt(2 / 20,000) = 0.01.
  EXPECT_NEAR(total / 20'000, 1, 0.05);
}

TEST(Estimate, NeedsTwoDraws) {
  try {
    estimate(Tensor<double>({1}, {7}));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "estimate: 1 draws; a variance needs two at least");
  }
}

// ---- The linear-Gaussian model -----------------------------------------------------------------

// N(x; 0, 1) = exp(-x^2 / 2) / sqrt(2 pi), moved and stretched.
TEST(ScalarNormal, TakesAVariance) {
  const nn::Normal<double> p = scalar_normal(1, 4);
  EXPECT_EQ(p.shape(), Shape({1, 1}));
  const double density = std::exp(p.log_prob(Tensor<double>({1, 1}, {3})).item());
  EXPECT_NEAR(density, std::exp(-0.5) / std::sqrt(2 * M_PI * 4), 1e-16);
}

// ln p(x, z) = ln p(z | x) + ln p(x), for each z: both sides written out in other formulas.
TEST(LinearGaussian, JointIsPosteriorTimesEvidence) {
  Rng rng(3);
  for (int trial = 0; trial < 100; ++trial) {
    const LinearGaussian<double> model{rng.normal(), std::exp(rng.normal())};
    const Tensor<double> x = rng.normal<double>({1, 1});
    const Tensor<double> z = rng.normal<double>({1, 1});
    const double product = model.posterior(x).log_prob(z).item() + model.log_evidence(x).item();
    EXPECT_NEAR(model.log_joint(x, z).item(), product, 1e-11);
  }
}

// One x, and many z in one vector.
TEST(LinearGaussian, TakesAnyShapesThatBroadcast) {
  const LinearGaussian<double> model{2, 1};
  const Tensor<double> z({3}, {-1, 0, 0.5});
  const Tensor<double> joint = model.log_joint(1.5, z).value();
  EXPECT_EQ(joint.shape(), Shape({3}));
  for (Index i = 0; i < 3; ++i) {
    const double distance = 1.5 - 2 * z(i);
    EXPECT_NEAR(joint(i), -std::log(2 * M_PI) - 0.5 * (distance * distance + z(i) * z(i)), 1e-14);
  }
  EXPECT_EQ(model.posterior(1.5).shape(), Shape{});
}

}  // namespace
}  // namespace gradus
