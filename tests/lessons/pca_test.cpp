#include <gtest/gtest.h>

#include "lessons/01_pca/model.hpp"
#include "lessons/data/toy.hpp"

namespace gradus {
namespace {

// With k components what is lost is the variance along the other axes: 2 + 1 + 0.5 + 0.25 = 3.75
// with one, 1 + 0.5 + 0.25 = 1.75 with two, nothing with five.
TEST(Pca, LosesExactlyTheVariancesThatItDrops) {
  Rng rng(1);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  const Pca<double> pca = fit_pca(x);
  for (Index i = 0; i < 5; ++i) EXPECT_NEAR(pca.variances(i), kToyVariances[i], 1e-12);
  const double residuals[] = {7.75, 3.75, 1.75, 0.75, 0.25, 0};
  for (Index k = 0; k <= 5; ++k) EXPECT_NEAR(pca.residual(x, k), residuals[k], 1e-12) << k;
}

TEST(Pca, NoOtherPlaneLosesLess) {
  Rng rng(2);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  Pca<double> other = fit_pca(x);
  for (int trial = 0; trial < 200; ++trial) {
    other.components = random_basis(5, rng);
    EXPECT_GT(other.residual(x, 2), 1.75);
  }
}

TEST(Pca, FindsTheDirectionOfPointsOnALine) {
  // (1, 2) t + (3, -1) for t = -2, -1, 0, 1, 2, whose variance along (1, 2) / sqrt 5 is
  // 5 (4 + 1 + 0 + 1 + 4) / 5 = 10.
  const Tensor<double> x({5, 2}, {1, -5, 2, -3, 3, -1, 4, 1, 5, 3});
  const Pca<double> pca = fit_pca(x);
  EXPECT_NEAR(pca.mean(0), 3, 1e-14);
  EXPECT_NEAR(pca.mean(1), -1, 1e-14);
  EXPECT_NEAR(pca.variances(0), 10, 1e-13);
  EXPECT_NEAR(pca.variances(1), 0, 1e-13);
  EXPECT_NEAR(pca.components(0, 0), 1 / std::sqrt(5), 1e-14);
  EXPECT_NEAR(pca.components(0, 1), 2 / std::sqrt(5), 1e-14);
}

TEST(Pca, WorksOnMoreExamplesThanItTakesAtATime) {
  Rng rng(3);
  const Tensor<double> x = toy_points(kToyVariances, 9001, rng);
  EXPECT_NEAR(fit_pca(x).variances(0), 4, 1e-11);
  EXPECT_NEAR(fit_pca(x).residual(x, 1), 3.75, 1e-11);
}

}  // namespace
}  // namespace gradus
