#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/04_linear_autoencoder/instruments.hpp"
#include "lessons/04_linear_autoencoder/model.hpp"
#include "lessons/04_linear_autoencoder/two_weights.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/toy.hpp"
#include "nn/optimizers.hpp"

namespace gradus::lesson04 {
namespace {

struct Toy {
  Rng rng{1};
  Tensor<double> x = toy_points(kToyVariances, 300, rng);  // (300, 5)
  Pca<double> pca = fit_pca(x);
};

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

Tensor<double> inverse(const Tensor<double>& a) {  // (a^T a)^-1 a^T
  return solve_spd(matmul_tn(a, a), transpose(a));
}

// The ten choices of two components of five, and the loss that is left: the other three variances
// of (4, 2, 1, 0.5, 0.25), whose sum is 7.75.
struct Point {
  std::vector<Index> which;
  double level;
};

const std::vector<Point> kPoints = {{{0, 1}, 1.75}, {{0, 2}, 2.75}, {{0, 3}, 3.25}, {{0, 4}, 3.5},
                                    {{1, 2}, 4.75}, {{1, 3}, 5.25}, {{1, 4}, 5.5},  {{2, 3}, 6.25},
                                    {{2, 4}, 6.5},  {{3, 4}, 7.0}};

TEST(LinearAutoencoder, ItsLossHasTheGradientThatFiniteDifferencesGive) {
  Rng rng(2);
  LinearAutoencoder<double> model(4, 2, rng);
  const Tensor<double> x = rng.normal<double>({3, 4});
  EXPECT_TRUE(gradcheck([&] { return model.loss(x); }, model.parameters(), {.second_order = true}));
}

TEST(LinearAutoencoder, DuplicatingTheExamplesChangesNoLoss) {
  Toy toy;
  LinearAutoencoder<double> model(5, 2, toy.rng);
  EXPECT_NEAR(model.loss(concatenate(std::vector{toy.x, toy.x})).item(), model.loss(toy.x).item(),
              1e-12);
  EXPECT_NEAR(mean_loss(model, toy.x), model.loss(toy.x).item(), 1e-12);
}

TEST(LinearAutoencoder, DescendsToTheVariancesThatPcaDropsAndIntoItsPlane) {
  Toy toy;
  const Tensor<double> plane = projector(axes(toy.pca, {0, 1}));
  for (int start = 0; start < 3; ++start) {
    LinearAutoencoder<double> model(5, 2, toy.rng);
    nn::Sgd<double> sgd(model.parameters(), {.learning_rate = 0.05});
    double loss = 0;
    for (int step = 0; step < 3000; ++step) {
      Tape<double> tape;
      const Var<double> now = model.loss(toy.x);
      loss = now.item();
      tape.backward(now);
      sgd.step();
    }
    const Tensor<double>& w = model.decoder.weight.value();
    EXPECT_NEAR(loss, 1.75, 1e-6);
    EXPECT_LT(std::sqrt(sum(square(projector(w) - plane)).item()), 1e-3);
    EXPECT_LT(largest_angle(projector(w), plane), 0.06);
    EXPECT_GT(angle_to_nearest_axis(toy.pca, w), 1);  // but not along its axes
  }
}

// With decoder U C and encoder C^-1 U^T the output is the projection U U^T x, whatever C is: the
// loss is the sum of the other variances. Its gradient with respect to the decoder is
// 2 (U U^T - I) S U C^-T = 0, because S U lies in the span of U; the same for the encoder.
TEST(LinearAutoencoder, EveryPairOfComponentsIsACriticalPointAtItsLevel) {
  Toy toy;
  LinearAutoencoder<double> model(5, 2, toy.rng);
  for (const auto& [which, level] : kPoints) {
    const Tensor<double> u = axes(toy.pca, which), c = toy.rng.normal<double>({2, 2});
    for (const Tensor<double>& turn : {identity<double>(2), c}) {
      model.place(matmul_nt(inverse(turn), u), matmul(u, turn));
      EXPECT_NEAR(model.loss(toy.x).item(), level, 1e-10);
      EXPECT_NEAR(critical_level(toy.pca, which), level, 1e-10);
      const auto point = curvature<double>([&] { return model.loss(toy.x); }, model.parameters());
      EXPECT_LT(largest(point.gradient), 1e-9) << level;
    }
  }
}

// Sylvester's law: C is a change of coordinates, so it changes no sign of an eigenvalue.
TEST(LinearAutoencoder, OnlyTheBestPairHasNoWayDown) {
  Toy toy;
  LinearAutoencoder<double> model(5, 2, toy.rng);
  for (const auto& [which, level] : kPoints) {
    const Tensor<double> u = axes(toy.pca, which);
    Tensor<double> turn = identity<double>(2) + 0.3 * toy.rng.normal<double>({2, 2});
    model.place(matmul_nt(inverse(turn), u), matmul(u, turn));
    const auto point = curvature<double>([&] { return model.loss(toy.x); }, model.parameters());
    const double lowest = symmetric_eigen(point.hessian).values(point.gradient.size() - 1);
    if (level == 1.75)
      EXPECT_GT(lowest, -1e-10);
    else
      EXPECT_LT(lowest, -0.1) << level;
  }
}

// For i = 3 (variance 1) and j = 2 (variance 2): 1 + 2 - sqrt((2 - 1)^2 + 4 * 2^2) = 3 - sqrt(17).
// For 5 (0.25) and 1 (4): 4.25 - sqrt(3.75^2 + 64).
TEST(LinearAutoencoder, TheLowestCurvatureIsTheOneOnPaper) {
  Toy toy;
  EXPECT_NEAR(lowest_curvature(kToyVariances, {0, 2}), 3 - std::sqrt(17.0), 1e-14);
  EXPECT_NEAR(lowest_curvature(kToyVariances, {3, 4}), 4.25 - std::sqrt(3.75 * 3.75 + 64), 1e-14);
  EXPECT_EQ(lowest_curvature(kToyVariances, {0, 1}), 0);
  LinearAutoencoder<double> model(5, 2, toy.rng);
  for (const Point& p : kPoints) {
    const Tensor<double> u = axes(toy.pca, p.which);
    model.place(transpose(u), u);
    const auto point = curvature<double>([&] { return model.loss(toy.x); }, model.parameters());
    EXPECT_NEAR(symmetric_eigen(point.hessian).values(point.gradient.size() - 1),
                lowest_curvature(kToyVariances, p.which), 1e-10);
  }
}

// Second derivatives of the tape against differences of its first derivatives.
TEST(LinearAutoencoder, TheHessianIsTheSlopeOfTheGradient) {
  Rng rng(3);
  LinearAutoencoder<double> model(3, 2, rng);
  const Tensor<double> x = rng.normal<double>({4, 3});
  const auto loss = [&] { return model.loss(x); };
  const auto here = curvature<double>(loss, model.parameters());
  EXPECT_EQ(here.hessian.shape(), Shape({17, 17}));  // 6 + 2 + 6 + 3
  EXPECT_LT(largest(here.hessian - transpose(here.hessian)), 1e-12);
  Index column = 0;
  constexpr double kStep = 1e-5;
  for (Parameter<double>* p : model.parameters())
    for (Index i = 0; i < p->value().size(); ++i) {
      const auto moved = [&](double step) {
        p->mutable_value().mutable_data()[i] += step;
        const Tensor<double> g = curvature<double>(loss, model.parameters()).gradient;
        p->mutable_value().mutable_data()[i] -= step;
        return g;
      };
      const Tensor<double> slope = (moved(kStep) - moved(-kStep)) / (2 * kStep);
      EXPECT_LT(largest(slope - slice(here.hessian, 1, column, column + 1).reshape({17})), 1e-7);
      ++column;
    }
}

TEST(LinearAutoencoder, ACodeAsWideAsTheInputNeedsNoIdentity) {
  Toy toy;
  LinearAutoencoder<double> model(5, 5, toy.rng);
  const Tensor<double> w = toy.rng.normal<double>({5, 5});
  model.place(w, inverse(w));
  EXPECT_LT(model.loss(toy.x).item(), 1e-16);
  EXPECT_GT(largest(w - identity<double>(5)), 0.5);
  model.place(w, identity<double>(5));  // not inverse to each other
  EXPECT_GT(model.loss(toy.x).item(), 0.1);
}

TEST(LinearAutoencoder, AbsorbingTheMeanChangesNoLoss) {
  Toy toy;
  LinearAutoencoder<double> model(5, 2, toy.rng);
  const Tensor<double> mean = toy.rng.normal<double>({5});
  const double loss = model.loss(toy.x).item();
  const Tensor<double> output = model(toy.x).value();
  model.absorb_mean(mean);
  EXPECT_NEAR(model.loss(toy.x + mean).item(), loss, 1e-12);
  EXPECT_LT(largest(model(toy.x + mean).value() - (output + mean)), 1e-12);
}

// Planes of R^3 that share the axis e_1 and lean against each other by 30 degrees.
TEST(LinearAutoencoder, MeasuresTheAngleBetweenPlanes) {
  const double c = std::sqrt(3.0) / 2;
  const Tensor<double> flat({3, 2}, {1, 0, 0, 1, 0, 0}), leaning({3, 2}, {1, 1, 0, c, 0, 0.5});
  EXPECT_NEAR(largest_angle(projector(flat), projector(leaning)), 30, 1e-10);
  EXPECT_NEAR(largest_angle(projector(flat), projector(flat)), 0, 1e-10);
  EXPECT_LT(largest(matmul(projector(leaning), leaning) - leaning), 1e-14);
}

// PCA with the unit vectors for components: a column (1, 1, 0) is 45 degrees from two of them.
TEST(LinearAutoencoder, MeasuresHowFarColumnsAreFromComponents) {
  const Pca<double> pca{Tensor<double>({3}), identity<double>(3), Tensor<double>({3}, {3, 2, 1})};
  EXPECT_NEAR(angle_to_nearest_axis(pca, Tensor<double>({3, 2}, {1, 0, 1, 0, 0, 5})), 45, 1e-10);
  EXPECT_NEAR(angle_to_nearest_axis(pca, Tensor<double>({3, 1}, {0, 2, 0})), 0, 1e-10);
}

// A step of the two weights is a step of an autoencoder with D = K = 1, whose one pixel is -1 or 1:
// variance 1.
TEST(TwoWeights, StepAsTheAutoencoderOfOneNumberDoes) {
  Rng rng(4);
  const Tensor<double> x({2, 1}, {-1, 1});
  LinearAutoencoder<double> model(1, 1, rng);
  model.place(Tensor<double>({1, 1}, {0.3}), Tensor<double>({1, 1}, {-0.8}));
  const TwoWeights two{0.3, -0.8};
  EXPECT_NEAR(model.loss(x).item(), two.loss(1), 1e-15);
  nn::Sgd<double> sgd(model.parameters(), {.learning_rate = 0.1});
  Tape<double> tape;
  tape.backward(model.loss(x));
  sgd.step();
  const TwoWeights after = two.after_step(1, 0.1);
  EXPECT_NEAR(model.encoder.weight.value().item(), after.a, 1e-15);
  EXPECT_NEAR(model.decoder.weight.value().item(), after.b, 1e-15);
}

// From (0.1, 0.1): the slope is -2 * 0.1 * (1 - 0.01) = -0.198 along both. A variance of 3 is three
// times as steep.
TEST(TwoWeights, StepAsOnPaper) {
  EXPECT_NEAR((TwoWeights{0.1, 0.1}.after_step(1, 0.1).a), 0.1198, 1e-15);
  EXPECT_NEAR((TwoWeights{0.1, 0.1}.after_step(3, 0.1).b), 0.1 + 3 * 0.0198, 1e-15);
  EXPECT_EQ(path_from({0, 0}, 1, 0.1, 5).size(), 6u);
}

// Without weights: to second order the loss is its level minus 2 alpha l_1 beta, when alpha u_1 is
// a row of the encoder and beta u_1 a column of the decoder. Its Hessian has the eigenvalues +-2
// l_1. At the minimum (1 + s) u_1 in both loses l_1 (1 - (1 + s)^2)^2 = 4 l_1 s^2; s = t / sqrt 2
// for a step of length t in the weights, and 2 l_1 t^2 has the second derivative 4 l_1 = 16.
TEST(LinearAutoencoder, HasTheExtremeCurvaturesOnPaper) {
  Toy toy;
  LinearAutoencoder<double> model(5, 2, toy.rng);
  const auto eigenvalues = [&] {
    const auto here = curvature<double>([&] { return model.loss(toy.x); }, model.parameters());
    EXPECT_LT(largest(here.gradient), 1e-9);
    return symmetric_eigen(here.hessian).values;
  };
  model.place(Tensor<double>({2, 5}), Tensor<double>({5, 2}));
  EXPECT_NEAR(eigenvalues()(24 + 2), -8, 1e-9);  // 27 weights and biases
  const Tensor<double> u = axes(toy.pca, {0, 1});
  model.place(transpose(u), u);
  EXPECT_NEAR(eigenvalues()(0), 16, 1e-9);
}

// The answer to an exercise: with the decoder s times larger and the encoder s times smaller, the
// lower eigenvalue for a kept l_i and a dropped l_j is
//     s^2 l_j + l_i / s^2 - sqrt((s^2 l_j - l_i / s^2)^2 + 4 l_j^2).
// At components 1 and 3 with s = 2 the steepest way down trades 3 for 2: 8.25 - sqrt(7.75^2 + 16).
TEST(LinearAutoencoder, AnUnevenSaddleIsFlatter) {
  Toy toy;
  LinearAutoencoder<double> model(5, 2, toy.rng);
  const Tensor<double> u = axes(toy.pca, {0, 2});
  model.place(transpose(u) / 2.0, u * 2.0);
  const auto here = curvature<double>([&] { return model.loss(toy.x); }, model.parameters());
  EXPECT_NEAR(symmetric_eigen(here.hessian).values(here.gradient.size() - 1),
              8.25 - std::sqrt(7.75 * 7.75 + 16), 1e-9);
}

// At (0.5, -3, 2) from the saddle of 3 a^2 / 2 - 2 b^2 / 2 - c^2 / 2, in coordinates turned by 30
// degrees in the plane of a and b.
TEST(WaysDown, AreFoundFromSlopeAndHessian) {
  const double c = std::sqrt(3.0) / 2;
  const Tensor<double> turn({3, 3}, {c, 0.5, 0, -0.5, c, 0, 0, 0, 1});
  const Tensor<double> bend({3, 3}, {3, 0, 0, 0, -2, 0, 0, 0, -1});
  const Tensor<double> hessian = matmul(turn, matmul_nt(bend, turn));
  const Tensor<double> place = matmul(turn, Tensor<double>({3, 1}, {0.5, -3, 2}));
  const std::vector<WayDown> ways =
      ways_down(Curvature<double>{matmul(hessian, place).reshape({3}), hessian});
  ASSERT_EQ(ways.size(), 2u);
  EXPECT_NEAR(ways[0].curvature, -2, 1e-12);
  EXPECT_NEAR(ways[0].distance, 3, 1e-12);
  EXPECT_NEAR(ways[1].curvature, -1, 1e-12);
  EXPECT_NEAR(ways[1].distance, 2, 1e-12);
}

// Curvature -2 and rate 0.05: a factor of 1.1. From 1e-3 the loss is 1e-6 lower at first, and 0.01
// lower after ln 100 / ln 1.1 = 48.3 steps.
TEST(WaysDown, TakeTheStepsOnPaper) {
  const WayDown way{-2, 1e-3};
  EXPECT_NEAR(way.factor(0.05), 1.1, 1e-15);
  EXPECT_NEAR(way.depth(0.05, 0), 1e-6, 1e-18);
  EXPECT_NEAR(way.steps(0.05, 0.01), std::log(100) / std::log(1.1), 1e-10);
  EXPECT_EQ(steps_until({way}, 0.05, 0.01), 49);
  EXPECT_EQ(steps_until({way, {-1, 0.2}}, 0.05, 0.01), 0);  // 0.02 lower along another, at once
}

// The span of (cos t, 0, sin t) and the second unit vector, with t = 30 degrees, where PCA's
// components are the second unit vector, the first, and the third.
TEST(Shares, AreThoseOfALeaningPlane) {
  const Tensor<double> components({3, 3}, {0, 1, 0, 1, 0, 0, 0, 0, 1});
  const Pca<double> pca{Tensor<double>({3}), components, Tensor<double>({3}, {3, 2, 1})};
  const double c = std::sqrt(3.0) / 2;
  const Tensor<double> span = projector(Tensor<double>({3, 2}, {c, 0, 0, 1, 0.5, 0}));
  const Tensor<double> shares = share_in_span(pca, span);
  EXPECT_NEAR(shares(0), 1, 1e-12);
  EXPECT_NEAR(shares(1), 0.75, 1e-12);
  EXPECT_NEAR(shares(2), 0.25, 1e-12);
  const WorstDirection<double> worst = worst_direction(pca, 2, span);
  EXPECT_NEAR(worst.share, 0.75, 1e-12);
  EXPECT_NEAR(worst.along(0), 0, 1e-12);
  EXPECT_NEAR(worst.along(1), 1, 1e-12);
}

}  // namespace
}  // namespace gradus::lesson04
