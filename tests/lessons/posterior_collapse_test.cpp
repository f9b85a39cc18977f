#include <cmath>
#include <numbers>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/14_posterior_collapse/instruments.hpp"
#include "lessons/14_posterior_collapse/model.hpp"
#include "lessons/14_posterior_collapse/on_paper.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/toy.hpp"

namespace gradus::lesson14 {
namespace {

constexpr double kNoise = 1.75 / 3;  // the mean of 1, 0.5 and 0.25

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

Tensor<double> toy_covariance() { return identity<double>(5) * Tensor<double>({5}, kToyVariances); }

// A linear VAE of the toy, somewhere.
struct Somewhere {
  Rng rng{3};
  Tensor<double> x = toy_points(kToyVariances, 40, rng);  // (40, 5), mean 0
  Tensor<double> s = matmul_tn(x, x) / 40.0;
  LinearVae<double> model{rng.normal<double>({5, 2}), rng.normal<double>({2, 5}), 0.7, true};

  Somewhere() { model.log_var.set_value(rng.normal<double>({2})); }
};

TEST(PosteriorCollapse, TheLinearElbosGradientIsThatOfDifferences) {
  Somewhere at;
  EXPECT_TRUE(gradcheck([&] { return at.model.elbo(at.s).total(1.5); }, at.model.parameters(),
                        {.second_order = true}));
  FullLinearVae<double> full(at.model.w.value(), at.model.v.value(), 0.7);
  full.below.set_value(at.rng.normal<double>({2, 2}));
  full.log_diagonal.set_value(at.rng.normal<double>({2}));
  EXPECT_TRUE(gradcheck([&] { return full.elbo(at.s); }, full.parameters()));
}

// Example by example, with E[f(z)] of a quadratic f exactly: f at the mean, and the trace of
// W diag(s^2) W^T.
TEST(PosteriorCollapse, TheFormulaIsTheMeanOverTheExamples) {
  Somewhere at;
  const Tensor<double>& w = at.model.w.value();
  const double sigma2 = std::exp(at.model.log_sigma2.value().item());
  double reconstruction = 0;
  std::vector<double> kl(2);
  for (Index n = 0; n < 40; ++n) {
    double m[2];
    for (Index k = 0; k < 2; ++k) {
      m[k] = 0;
      for (Index d = 0; d < 5; ++d) m[k] += at.model.v.value()(k, d) * at.x(n, d);
      const double log_var = at.model.log_var.value()(k);
      kl[k] += (m[k] * m[k] + std::exp(log_var) - 1 - log_var) / 2 / 40;
    }
    for (Index d = 0; d < 5; ++d) {
      double distance = at.x(n, d);
      double spread = 0;
      for (Index k = 0; k < 2; ++k) {
        distance -= w(d, k) * m[k];
        spread += w(d, k) * w(d, k) * std::exp(at.model.log_var.value()(k));
      }
      const double square = distance * distance + spread;
      reconstruction -= (std::log(2 * std::numbers::pi * sigma2) + square / sigma2) / 2 / 40;
    }
  }
  const LinearElbo<double> elbo = at.model.elbo(at.s);
  EXPECT_NEAR(elbo.reconstruction.item(), reconstruction, 1e-10);
  for (Index k = 0; k < 2; ++k) EXPECT_NEAR(elbo.kl.value()(k), kl[k], 1e-12);
  EXPECT_NEAR(elbo.total(3).item(), reconstruction - 3 * (kl[0] + kl[1]), 1e-10);
}

TEST(PosteriorCollapse, AFullQWithADiagonalCovarianceIsADiagonalQ) {
  Somewhere at;
  const double sigma2 = std::exp(at.model.log_sigma2.value().item());
  FullLinearVae<double> full(at.model.w.value(), at.model.v.value(), sigma2);
  full.log_diagonal.set_value(0.5 * at.model.log_var.value());
  EXPECT_NEAR(full.elbo(at.s).item(), at.model.elbo(at.s).total().item(), 1e-10);
  // Above the diagonal nothing counts.
  full.below.set_value(Tensor<double>({2, 2}, {7, 7, 0, 7}));
  EXPECT_NEAR(full.elbo(at.s).item(), at.model.elbo(at.s).total().item(), 1e-10);
}

TEST(PosteriorCollapse, TheElboIsAtMostTheLogLikelihood) {
  Somewhere at;
  const double best = toy_log_likelihood(2);
  EXPECT_LT(at.model.elbo(at.s).total().item(), best);
  place(at.model, kToyVariances, {0, 1}, kNoise);
  EXPECT_NEAR(at.model.elbo(toy_covariance()).total().item(), best, 1e-12);
}

// -5.7472014142 - 0.96264543 - 0.61607184 = -7.3259186858, lesson 02's maximum.
TEST(PosteriorCollapse, ThePredictionIsLesson02sMaximum) {
  const Prediction p = predict(kToyVariances, 2, kNoise);
  ASSERT_EQ(p.alive(), 2);
  EXPECT_NEAR(p.kl[0], 0.5 * std::log(4 / kNoise), 1e-12);
  EXPECT_NEAR(p.kl[0], 0.96264543, 1e-8);
  EXPECT_NEAR(p.kl[1], 0.61607184, 1e-8);
  EXPECT_NEAR(p.reconstruction, -5.7472014142, 1e-10);
  EXPECT_NEAR(p.elbo(), -7.3259186858, 1e-10);
}

TEST(PosteriorCollapse, BetaKillsWhereItReachesTheEigenvalue) {
  const std::vector<std::pair<double, Index>> cases = {{1, 2}, {2, 2},    {3.42, 2}, {3.43, 1},
                                                       {4, 1}, {6.85, 1}, {6.86, 0}, {8, 0}};
  for (const auto& [beta, alive] : cases)
    EXPECT_EQ(predict(kToyVariances, 2, kNoise, beta).alive(), alive) << beta;
}

// The prediction is a place where the slope of the objective with that beta is 0: w_i^2 = l_i -
// beta sigma^2 and s_i^2 = beta sigma^2 / l_i, which is place() with another noise.
TEST(PosteriorCollapse, BetaIsALouderNoise) {
  const double beta = 2;
  LinearVae<double> model(Tensor<double>({5, 2}), Tensor<double>({2, 5}), kNoise);
  place(model, kToyVariances, {0, 1}, beta * kNoise);
  model.log_sigma2.set_value(Tensor<double>(std::log(kNoise)));
  const auto c = curvature<double>([&] { return -model.elbo(toy_covariance()).total(beta); },
                                   model.parameters());
  EXPECT_LT(largest(c.gradient), 1e-12);
  EXPECT_GT(symmetric_eigen(c.hessian).values(23 - 2), 0);  // the least of 22
  const Prediction p = predict(kToyVariances, 2, kNoise, beta);
  const LinearElbo<double> elbo = model.elbo(toy_covariance());
  EXPECT_NEAR(elbo.reconstruction.item(), p.reconstruction, 1e-12);
  EXPECT_NEAR(sum(elbo.kl).item(), p.total_kl(), 1e-12);
}

// One dimension: over a grid of v and s^2 nothing is above best_objective, and its optimum v = w /
// (w^2 + beta sigma^2), s^2 = beta sigma^2 / (w^2 + beta sigma^2) reaches it.
TEST(PosteriorCollapse, TheBestObjectiveOfAWeightIsTheBest) {
  const double l = 1.7, sigma2 = 0.6, beta = 1.5, w = 0.8;
  const Tensor<double> s({1, 1}, {l});
  LinearVae<double> model(Tensor<double>({1, 1}, {w}), Tensor<double>({1, 1}), sigma2);
  const auto objective = [&](double v, double variance) {
    model.v.set_value(Tensor<double>({1, 1}, {v}));
    model.log_var.set_value(Tensor<double>({1}, {std::log(variance)}));
    return model.elbo(s).total(beta).item();
  };
  const double best = best_objective(w, l, sigma2, beta);
  const double a = w * w + beta * sigma2;
  EXPECT_NEAR(objective(w / a, beta * sigma2 / a), best, 1e-12);
  for (double v = -1; v <= 1.5; v += 0.1)
    for (double variance = 0.05; variance < 3; variance *= 1.3)
      EXPECT_LE(objective(v, variance), best + 1e-12);
}

TEST(PosteriorCollapse, TurningBy45DegreesCostsHalfOfLn9Eighths) {
  LinearVae<double> model(Tensor<double>({5, 2}), Tensor<double>({2, 5}), kNoise);
  place(model, kToyVariances, {0, 1}, kNoise);
  const double straight = model.elbo(toy_covariance()).total().item();
  const double angle = std::numbers::pi / 4;
  turn(model, kToyVariances, kNoise, angle);
  const double turned = model.elbo(toy_covariance()).total().item();
  EXPECT_NEAR(straight - turned, 0.0588915178, 1e-10);
  EXPECT_NEAR(straight - turned, 0.5 * std::log(9.0 / 8), 1e-12);
  EXPECT_NEAR(cost_of_turning(4, 2, angle), 0.5 * std::log(9.0 / 8), 1e-12);
  // A full q does not mind: the posterior's covariance is R^T diag(sigma^2 / l) R.
  FullLinearVae<double> full(model.w.value(), model.v.value(), kNoise);
  const double c = std::cos(angle), s = std::sin(angle);
  const Tensor<double> r({2, 2}, {c, -s, s, c});
  const Tensor<double> variances({2}, {kNoise / 4, kNoise / 2});
  const Tensor<double> chol = cholesky(matmul(matmul_tn(r, identity<double>(2) * variances), r));
  full.below.set_value(chol);
  full.log_diagonal.set_value(Tensor<double>({2}, {std::log(chol(0, 0)), std::log(chol(1, 1))}));
  EXPECT_NEAR(full.elbo(toy_covariance()).item(), straight, 1e-12);
}

// Where all weights are 0, sigma^2 = 0.58333 leaves three eigenvalues above it, and two latents
// may grow along each: six ways up. With the sigma^2 that is likeliest there, 1.55, two and four.
TEST(PosteriorCollapse, TheWaysUpAreCountedByTheEigenvalues) {
  EXPECT_EQ(directions_up(kToyVariances, {}, 2, kNoise), 6);
  EXPECT_EQ(directions_up(kToyVariances, {0, 1}, 2, kNoise), 0);
  EXPECT_EQ(directions_up(kToyVariances, {0, 2}, 2, kNoise), 1);
  EXPECT_EQ(directions_up(kToyVariances, {1}, 2, kNoise), 3);
  EXPECT_NEAR(noise_beside(kToyVariances, {}), 1.55, 1e-12);
  EXPECT_EQ(directions_up(kToyVariances, {}, 2, 1.55), 4);

  LinearVae<double> model(Tensor<double>({5, 2}), Tensor<double>({2, 5}), kNoise);
  const auto c =
      curvature<double>([&] { return -model.elbo(toy_covariance()).total(); }, model.parameters());
  EXPECT_EQ(largest(c.gradient), 0);
  Index negative = 0;
  for (double value : symmetric_eigen(c.hessian).values) negative += value < -1e-9 ? 1 : 0;
  EXPECT_EQ(negative, 6);
}

TEST(PosteriorCollapse, AClimbEndsAtThePrediction) {
  Rng rng(5);
  const Tensor<double> basis = random_basis(5, rng);
  const Tensor<double> s =
      matmul_tn(basis * Tensor<double>({5}, kToyVariances).reshape({-1, 1}), basis);
  LinearVae<double> model(0.3 * rng.normal<double>({5, 2}), 0.3 * rng.normal<double>({2, 5}), 1,
                          true);
  climb<double>(
      model.parameters(), {.steps = 3000, .rate = 0.03},
      [&](double beta) { return model.elbo(s).total(beta); }, [](int, double) { return true; });
  EXPECT_NEAR(model.elbo(s).total().item(), -7.3259186858, 1e-6);
  for (double angle : angles_to_axes(model.w.value(), basis)) EXPECT_LT(angle, 0.1);
}

TEST(PosteriorCollapse, BetaGrowsInAStraightLineAndStays) {
  EXPECT_EQ(beta_at(0, 100), 0);
  EXPECT_EQ(beta_at(25, 100), 0.25);
  EXPECT_EQ(beta_at(100, 100), 1);
  EXPECT_EQ(beta_at(300, 100, 4), 4);
  EXPECT_EQ(beta_at(0, 0), 1);
}

TEST(PosteriorCollapse, AnglesAreThoseToTheNearestDirection) {
  const Tensor<double> w({2, 2}, {1, -3, std::sqrt(3.0), 0});  // columns at 60 and 180 degrees
  const std::vector<double> angles = angles_to_axes(w, identity<double>(2));
  EXPECT_NEAR(angles[0], 30, 1e-12);
  EXPECT_EQ(angles[1], 0);
}

TEST(PosteriorCollapse, TheSharesOfTheLatentsAddUpToTheKl) {
  Rng rng(4);
  const nn::Normal<double> q{rng.normal<double>({3, 4}), rng.normal<double>({3, 4})};
  const Tensor<double> shares = sum(kl_per_latent(q), {1}).value();
  EXPECT_LT(largest(shares - kl(q, nn::Normal<double>::standard()).value()), 1e-14);
  const nn::Normal<double> dead{Tensor<double>({3, 4}), Tensor<double>({3, 4})};
  EXPECT_EQ(largest(kl_per_latent(dead).value()), 0);
}

// The same layers as lesson 13's: with Bernoulli pixels the same ELBO; with normal ones its
// GaussianVae's.
TEST(PosteriorCollapse, TheNetworkIsLesson13sWithAGivenNoise) {
  Rng one(6), two(6), three(6), four(6);
  const BentVae<double> bernoulli(6, 5, 3, std::nullopt, one);
  const lesson13::Vae<double> vae(6, 5, 3, two);
  const BentVae<double> normal(6, 5, 3, 0.2, three);
  lesson13::GaussianVae<double> gaussian(6, 5, 3, four);
  gaussian.set_variance(0.2);
  const Tensor<double> x = one.uniform<double>({4, 6});
  const Tensor<double> noise = one.normal<double>({4, 3});
  const auto total = [&](const BentVae<double>& net) {
    const auto [log_prob, nats] = net.elbo(x, noise);
    return (log_prob - sum(nats, {1})).value();
  };
  EXPECT_LT(largest(total(bernoulli) - vae.elbo(x, noise).total().value()), 1e-12);
  EXPECT_LT(largest(total(normal) - gaussian.elbo(x, noise).total().value()), 1e-12);
}

TEST(PosteriorCollapse, TheNetworksGradientIsThatOfDifferences) {
  Rng rng(7);
  BentVae<double> net(4, 5, 2, 0.5, rng);
  const Tensor<double> x = rng.uniform<double>({3, 4});
  const Tensor<double> noise = rng.normal<double>({3, 2});
  const auto report = gradcheck(
      [&] {
        const auto [log_prob, nats] = net.elbo(x, noise);
        return log_prob - 0.5 * sum(nats, {1});
      },
      net.parameters());
  EXPECT_TRUE(report) << report;
}

// 1,003 images are scored in two parts of unequal size: each image counts once.
TEST(PosteriorCollapse, AScoreIsTheMeanOverAllImages) {
  Rng rng(8);
  const BentVae<double> net(4, 5, 3, 0.5, rng);
  const Tensor<double> x = rng.uniform<double>({1003, 4});
  Rng same(1);
  const auto [log_prob, kl] = net.elbo(x, same.normal<double>({1003, 3}));
  const BentScores scores = evaluate(net, x, Rng(1));
  EXPECT_NEAR(scores.negative_elbo, mean(sum(kl, {1}) - log_prob).item(), 1e-12);
  EXPECT_NEAR(scores.total_kl(), mean(sum(kl, {1})).item(), 1e-12);
  ASSERT_EQ(scores.kl.size(), 3u);
  EXPECT_GE(scores.kl[0], scores.kl[1]);
  EXPECT_NEAR(scores.kl[0], max(mean(kl, {0})).item(), 1e-12);
}

// Alive is what has more than half of the least KL that is predicted: 0.616 / 2 for the toy.
TEST(PosteriorCollapse, AliveIsMoreThanHalfOfTheLeastPrediction) {
  const double line = threshold(predict(kToyVariances, 2, kNoise));
  EXPECT_NEAR(line, 0.25 * std::log(2 / kNoise), 1e-12);
  EXPECT_EQ(count_above({0.96, 0.32, 0.3, 0}, line), 2);
  EXPECT_EQ(threshold(predict(kToyVariances, 2, 5)), 0.01);
}

// Two pixels that agree: coins with p = 1/2 of variance 1/4, and grey levels 0 and 1 that vary by
// as much together, have the eigenvalues 2 and 0. Pixels at half of that variance: 1 and 0, not
// above 1. A pixel that never varies counts for nothing.
TEST(PosteriorCollapse, TheLinearisedCountIsThatOfTheScaledCovariance) {
  const Tensor<double> p({3}, {0.5, 0.5, 0});
  const Tensor<double> together({3, 3}, {0.25, 0.25, 0, 0.25, 0.25, 0, 0, 0, 0});
  EXPECT_EQ(linearised_count(together, p), 1);
  EXPECT_EQ(linearised_count(0.49 * together, p), 0);
}

}  // namespace
}  // namespace gradus::lesson14
