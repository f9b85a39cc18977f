#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/05_autoencoder/instruments.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/common/toy.hpp"
#include "nn/optimizers.hpp"

namespace gradus::lesson05 {
namespace {

struct SmallAutoencoder : ::testing::Test {
  Rng rng{5};
  Autoencoder<double> model{6, 5, 2, rng};
  Tensor<double> x = rng.uniform<double>({4, 6});
};

TEST_F(SmallAutoencoder, GradientOfTheLossIsRight) {
  const auto report = gradcheck([&] { return model.loss(x); }, model.parameters());
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, nn::count(model.parameters()));
}

// sum_d (x_d - y_d)^2 for each example, with y = W4 relu(W3 (W2 relu(W1 x + b1) + b2) + b3) + b4.
TEST_F(SmallAutoencoder, LossIsTheSquaredDistanceToWhatTheCodeSays) {
  const auto p = model.parameters();
  auto affine = [&](std::size_t k, const std::vector<long double>& in) {
    std::vector<long double> out;
    for (Index i = 0; i < p[2 * k + 1]->value().size(); ++i) {
      long double total = p[2 * k + 1]->value()(i);
      for (std::size_t j = 0; j < in.size(); ++j) total += in[j] * p[2 * k]->value()(i, j);
      out.push_back(total);
    }
    return out;
  };
  auto bend = [](std::vector<long double> v) {
    for (long double& a : v) a = a > 0 ? a : 0;
    return v;
  };
  for (Index n = 0; n < 4; ++n) {
    std::vector<long double> in;
    for (Index d = 0; d < 6; ++d) in.push_back(x(n, d));
    const auto out = affine(3, bend(affine(2, affine(1, bend(affine(0, in))))));
    long double distance = 0;
    for (std::size_t d = 0; d < 6; ++d) distance += (out[d] - in[d]) * (out[d] - in[d]);
    EXPECT_NEAR(model.loss(x).value()(n), static_cast<double>(distance), 1e-12);
  }
}

TEST_F(SmallAutoencoder, DuplicatingTheBatchChangesNoLoss) {
  const double once = mean(model.loss(x)).item();
  EXPECT_NEAR(mean(model.loss(concatenate(std::vector{x, x}))).item(), once, 1e-14);
}

// A linear decoder D(c) = A c + b has D((c1 + c2) / 2) = (D(c1) + D(c2)) / 2; one with a relu in it
// has not, unless no unit switches between the two codes.
TEST_F(SmallAutoencoder, OnlyALinearDecoderAveragesAtMidpoints) {
  auto departure = [](const auto& decode, const Tensor<double>& a, const Tensor<double>& b) {
    const Tensor<double> average = (decode(a) + decode(b)) * 0.5;
    return sum(square(decode((a + b) * 0.5) - average)).item();
  };
  const Tensor<double> a({1, 2}, {3, -1}), b({1, 2}, {-2, 2});
  const Pca<double> pca = fit_pca(toy_points(kToyVariances, 50, rng));
  EXPECT_LT(departure([&](const Tensor<double>& c) { return pca.decode(c); }, a, b), 1e-28);
  EXPECT_GT(departure([&](const Tensor<double>& c) { return model.decode(c).value(); }, a, b),
            1e-3);
}

// One number for a circle: the best line leaves half of its variance of 1; a bent code leaves less
// than a tenth of that.
TEST(Autoencoder, BeatsPcaWhereTheDataAreBent) {
  Rng rng(3);
  const Tensor<double> x = circle<double>(64);
  Autoencoder<double> model(2, 64, 1, rng);
  nn::Adam<double> adam(model.parameters());
  for (Index step = 0; step < 3000; ++step) {
    adam.options.learning_rate = cosine_schedule(1e-2, step, 3000);
    Tape<double> tape;
    tape.backward(mean(model.loss(x)));
    adam.step();
  }
  EXPECT_NEAR(fit_pca(x).residual(x, 1), 0.5, 1e-12);
  EXPECT_LT(mean(model.loss(x)).item(), 0.05);
}

// With k of five axes the toy loses the variances of the others, whoever multiplies.
TEST(ErrorOfLayers, IsThePcaResidual) {
  Rng rng(4);
  const Tensor<double> x = toy_points(kToyVariances, 100, rng) + 3;
  const Pca<double> pca = fit_pca(x);
  EXPECT_NEAR(5 * error_of_layers(pca, 1, x), 3.75, 1e-12);
  EXPECT_NEAR(5 * error_of_layers(pca, 2, x), 1.75, 1e-12);
}

TEST(CosineSchedule, FallsFromTheRateToZeroThroughHalfOfItAtHalfTime) {
  EXPECT_DOUBLE_EQ(cosine_schedule(0.1, 0, 10), 0.1);
  EXPECT_NEAR(cosine_schedule(0.1, 5, 10), 0.05, 1e-15);
  EXPECT_NEAR(cosine_schedule(0.1, 10, 10), 0, 1e-15);
}

}  // namespace
}  // namespace gradus::lesson05
