#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/05_autoencoder/hinges.hpp"
#include "lessons/05_autoencoder/instruments.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/common/examples.hpp"
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

// The toy's points lose 7.75, 3.75, 1.75, 0.75, 0.25 and 0, in five dimensions; points with another
// mean than the fit's lose the square of the difference more, as long as no component takes it up.
TEST(ErrorsByComponents, AreTheResidualsOfPca) {
  Rng rng(6);
  const Tensor<double> x = toy_points(kToyVariances, 100, rng) + 3;
  const Pca<double> pca = fit_pca(x);
  const std::vector<double> errors = errors_by_components(pca, x);
  ASSERT_EQ(errors.size(), 6u);
  const std::vector<double> expected = {7.75, 3.75, 1.75, 0.75, 0.25, 0};
  for (std::size_t k = 0; k < 6; ++k) EXPECT_NEAR(5 * errors[k], expected[k], 1e-12) << k;
  const Tensor<double> shift = slice(pca.components, 0, 4, 5);  // (1, 5), along the last
  EXPECT_NEAR(5 * errors_by_components(pca, x + 2.0 * shift)[3], 0.75 + 4, 1e-12);
  EXPECT_EQ(components_needed(errors, 0.36), 2);  // 1.8 / 5
  EXPECT_EQ(components_needed(errors, 0.34), 3);
}

// Codes that climb from 0 at the second point to 5 at the seventh, and are back after one more.
TEST(WayBack, IsTheShortWayFromTheHighestCodeToTheLowest) {
  const Tensor<double> codes({8}, {2, 0, 1, 2, 3, 4, 5, 4});
  const Tensor<double> losses({8}, {3, 2, 1, 1, 1, 1, 3, 4});
  const WayBack back = way_back(codes, losses);
  EXPECT_EQ(back.points, 4);  // 5, 4, 2, 0
  EXPECT_NEAR(back.share_of_loss, 0.75, 1e-15);
  EXPECT_EQ(way_back(-codes, losses).points, 4);  // the same, downwards
}

// relu(2 c - 1), relu(c + 4) and relu(-c) have their creases at 0.5, -4 and 0.
TEST(CreasesBetween, CountsThoseWithin) {
  const Tensor<double> w({3, 1}, {2, 1, -1}), b({3}, {-1, 4, 0});
  EXPECT_EQ(creases_between(w, b, -1, 1), 2);
  EXPECT_EQ(creases_between(w, b, 0.1, 0.4), 0);
  EXPECT_EQ(creases_between(w, b, -5, 1), 3);
}

// A layer of n inputs with weights of variance v / n makes of the mean square s on average v s, of
// which relu keeps half. Halving v halves each layer's output in square, exactly. 1,024 units a
// layer scatter the logarithm of three layers' gain by sqrt(3 * 5 / 1024) = 0.12 or less: 4 sigma.
TEST(GainOfLayers, IsOneForHesStart) {
  const auto gain = [](double v) {
    Rng rng(7);
    return gain_of_layers(rng.normal<double>({8, 1024}), 3, v, rng);
  };
  EXPECT_NEAR(std::log(gain(2)), 0, 0.48);
  EXPECT_NEAR(gain(1) / gain(2), 0.125, 1e-12);
}

// relu(t) + 2 relu(t - 1) + 2 relu(t - 2) is 1, 4, 9 at 1, 2, 3, and half-way above the square by a
// quarter of the spacing's square.
TEST(Hinges, FollowTheSquare) {
  const std::vector<Hinge> three = hinges_of_square(3, 1), fine = hinges_of_square(30, 0.1);
  ASSERT_EQ(three.size(), 3u);
  EXPECT_EQ(three[1].at, 1);
  EXPECT_EQ(three[1].weight, 2);
  for (double t : {0.0, 1.0, 2.0, 3.0}) EXPECT_NEAR(sum_of(three, t), t * t, 1e-14);
  EXPECT_NEAR(sum_of(three, 2.5), 6.5, 1e-14);
  EXPECT_NEAR(sum_of(fine, 1.05) - 1.05 * 1.05, 0.0025, 1e-13);
}

// Between two codes of which no hidden unit of the decoder sees one on its flat side and the other
// on its steep one, the decoder is affine, and the midpoint decodes to the average.
TEST_F(SmallAutoencoder, AveragesAtMidpointsWhereNoUnitSwitches) {
  const Tensor<double> ends({2, 2}, {0.3, -0.2, 0.3 + 1e-4, -0.2 + 1e-4});
  const Tensor<double> path = model.decode(points_between(ends, 3)).value();
  EXPECT_LT(departure_of_midpoint(path), 1e-28);
}

TEST(CosineSchedule, FallsFromTheRateToZeroThroughHalfOfItAtHalfTime) {
  EXPECT_DOUBLE_EQ(cosine_schedule(0.1, 0, 10), 0.1);
  EXPECT_NEAR(cosine_schedule(0.1, 5, 10), 0.05, 1e-15);
  EXPECT_NEAR(cosine_schedule(0.1, 10, 10), 0, 1e-15);
}

}  // namespace
}  // namespace gradus::lesson05
