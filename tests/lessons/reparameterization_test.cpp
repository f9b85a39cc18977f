#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/12_reparameterization/model.hpp"
#include "tensor/linalg.hpp"

namespace gradus::lesson12 {
namespace {

// Twelve numbers e and weights w with sum w p(e) = E[p(e)], e ~ N(0, 1), for every polynomial p of
// degree up to 23 (Gauss and Hermite): the eigenvalues of the matrix of the recurrence
// e h_k = sqrt(k+1) h_{k+1} + sqrt(k) h_{k-1}, and the squares of the first components of its
// eigenvectors (Golub and Welsch 1969). With them as noise, the estimators' means and variances are
// exact.
struct Quadrature {
  Tensor<double> nodes;
  Tensor<double> weights;

  Quadrature() {
    constexpr Index n = 12;
    Tensor<double> recurrence({n, n});
    for (Index k = 1; k < n; ++k) {
      recurrence.set({k, k - 1}, std::sqrt(static_cast<double>(k)));
      recurrence.set({k - 1, k}, std::sqrt(static_cast<double>(k)));
    }
    const auto [values, vectors] = symmetric_eigen(recurrence);
    nodes = values;
    weights = square(slice(vectors, 1, 0, 1)).reshape({n});
  }

  double mean(const Tensor<double>& g) const { return sum(weights * g).item(); }

  double variance(const Tensor<double>& g) const { return mean(square(g - mean(g))); }
};

// z ~ N(0, 1), x | z ~ N(z, 1), x = 1, whose posterior is N(0.5, 0.5); and lesson 11's.
const Observation kOne{.model = {.slope = 1, .noise = 1}, .x = 1};
const Observation kLesson11{.model = {.slope = 2, .noise = 1}, .x = 1.5};

Var<double> f(const Var<double>& z) { return square(z); }

TEST(Quadrature, HasTheMomentsOfTheNormalDistribution) {
  const Quadrature q;
  const Tensor<double> e2 = square(q.nodes);
  EXPECT_NEAR(q.mean(q.nodes), 0, 1e-14);
  EXPECT_NEAR(q.mean(e2), 1, 1e-14);
  EXPECT_NEAR(q.mean(e2 * e2), 3, 1e-13);
  EXPECT_NEAR(q.mean(e2 * e2 * e2), 15, 1e-12);
}

// f = z^2 at z = mu + s e. Path: 2 z, with mean 2 mu and variance 4 s^2. Score: z^2 e / s, whose
// mean is 2 mu too; E[z^4 e^2] / s^2 = (mu^4 + 6 mu^2 s^2 E[e^4] + s^4 E[e^6]) / s^2 =
// mu^4 / s^2 + 18 mu^2 + 15 s^2, less (2 mu)^2. (The terms of odd powers of e are zero.)
TEST(Estimators, HaveTheMeansAndVariancesOfTheFormula) {
  const Quadrature q;
  for (double mu : {1.0, -0.3, 2.0})
    for (double s : {0.1, 1.0, 1.7}) {
      const Tensor<double> path = path_gradients(f, mu, s, q.nodes);
      const Tensor<double> score = score_gradients(f, mu, s, q.nodes);
      const double paper = std::pow(mu, 4) / (s * s) + 14 * mu * mu + 15 * s * s;
      EXPECT_NEAR(q.mean(path), 2 * mu, 1e-12);
      EXPECT_NEAR(q.mean(score), 2 * mu, 1e-12);
      EXPECT_NEAR(q.variance(path), 4 * s * s, 1e-12);
      EXPECT_NEAR(q.variance(score), paper, 1e-12 * paper);
    }
  EXPECT_NEAR(q.variance(path_gradients(f, 1, 1, q.nodes)), 4, 1e-11);
  EXPECT_NEAR(q.variance(score_gradients(f, 1, 1, q.nodes)), 30, 1e-11);
  EXPECT_NEAR(q.variance(path_gradients(f, 1, 0.1, q.nodes)), 0.04, 1e-11);
  EXPECT_NEAR(q.variance(score_gradients(f, 1, 0.1, q.nodes)), 114.15, 1e-10);
}

// With g = e / s, Var[(f - b) g] = E[f^2 g^2] - 2 b E[f g^2] + b^2 E[g^2] - (2 mu)^2 is least at
// b = E[f g^2] / E[g^2] = E[(mu + s e)^2 e^2] = mu^2 + 3 s^2, by b^2 E[g^2] = (mu^2 + 3 s^2)^2 /
// s^2. At mu = s = 1: b = 4, and 30 - 16 = 14. What is left in general is 8 mu^2 + 6 s^2.
TEST(Baseline, LeavesTheMeanAndIsBestAtFour) {
  const Quadrature q;
  auto variance = [&](double b) { return q.variance(score_gradients(f, 1, 1, q.nodes, b)); };
  EXPECT_NEAR(variance(4), 14, 1e-11);
  EXPECT_NEAR(q.mean(score_gradients(f, 1, 1, q.nodes, 4)), 2, 1e-12);
  EXPECT_NEAR(variance(4.5), 14.25, 1e-11);
  EXPECT_NEAR(variance(3.5), 14.25, 1e-11);
  EXPECT_NEAR(q.variance(score_gradients(f, 1, 0.1, q.nodes, 1.03)), 8.06, 1e-10);
}

// z ~ N(0, 1), x | z ~ N(z, 1), x = 1; q = N(m, s^2), z = m + s e. The joint's slope in z is
// (x - z) - z = 1 - 2 z; at m = 0.5 it is -2 s e.
//   KL sampled:      -2 s e, since ln q(m + s e) does not change with m: variance 4 s^2
//   KL on paper:     (x - z) - m = -s e: variance s^2
//   path derivative: -2 s e - d ln q / dz = -2 s e + e / s: variance (1/s - 2 s)^2
TEST(ElboGradients, HaveTheVariancesOfTheFormula) {
  const Quadrature q;
  const nn::Normal<double> posterior = kOne.model.posterior(kOne.x);
  EXPECT_NEAR(posterior.mean.item(), 0.5, 1e-15);
  EXPECT_NEAR(std::exp(posterior.log_var.item()), 0.5, 1e-15);
  auto variance = [&](ElboEstimator kind, double s2) {
    return q.variance(elbo_gradients(kind, kOne, 0.5, s2, q.nodes));
  };
  EXPECT_NEAR(variance(ElboEstimator::kAnalyticKl, 0.5), 0.5, 1e-13);
  EXPECT_NEAR(variance(ElboEstimator::kMonteCarlo, 0.5), 2, 1e-13);
  EXPECT_LT(variance(ElboEstimator::kPath, 0.5), 1e-28);
  EXPECT_NEAR(variance(ElboEstimator::kAnalyticKl, 0.25), 0.25, 1e-13);
  EXPECT_NEAR(variance(ElboEstimator::kMonteCarlo, 0.25), 1, 1e-13);
  EXPECT_NEAR(variance(ElboEstimator::kPath, 0.25), 1, 1e-13);
}

// At the posterior ln p(x, z) - ln q(z) = ln p(x) = c for every z, so the score estimator is
// (c - b) e / s, of variance (c - b)^2 / s^2.
TEST(ElboGradients, WithTheEvidenceAsBaselineHaveNoNoise) {
  const Quadrature q;
  const double c = -0.5 * std::log(2 * M_PI * 2) - 0.25;  // ln N(1; 0, 2)
  EXPECT_NEAR(kOne.model.log_evidence(kOne.x).item(), c, 1e-15);
  auto variance = [&](double b) {
    return q.variance(elbo_gradients(ElboEstimator::kScore, kOne, 0.5, 0.5, q.nodes, b));
  };
  EXPECT_NEAR(variance(0), c * c / 0.5, 1e-12);
  EXPECT_LT(variance(c), 1e-28);
}

// ELBO(m, s^2) = -1/2 ln 2 pi - 1/2 ((x - w m)^2 + w^2 s^2) - 1/2 (s^2 - 1 - ln s^2 + m^2), so
// dELBO/dm = w x - (1 + w^2) m and dELBO/dln s^2 = (1 - (1 + w^2) s^2) / 2. At m = 1/2, s^2 = 1/4
// it is -1/2 ln 2 pi - 5/8 - (ln 2 - 1/4), with w = 2 and x = 3/2.
TEST(Objectives, AllHaveTheGradientOfTheElboOnAverage) {
  const Quadrature q;
  for (ElboEstimator kind : {ElboEstimator::kScore, ElboEstimator::kMonteCarlo,
                             ElboEstimator::kAnalyticKl, ElboEstimator::kPath}) {
    Tape<double> tape;
    const Var<double> mean = tape.leaf(0.5);
    const Var<double> log_var = tape.leaf(std::log(0.25));
    const Var<double> y = sum(q.weights * objective(kind, kLesson11, {mean, log_var}, q.nodes));
    const auto g = gradient(y, {mean, log_var});
    EXPECT_NEAR(g[0].item(), 2 * 1.5 - 5 * 0.5, 1e-12) << static_cast<int>(kind);
    EXPECT_NEAR(g[1].item(), (1 - 5 * 0.25) / 2, 1e-12) << static_cast<int>(kind);
    if (kind != ElboEstimator::kScore) {
      EXPECT_NEAR(y.item(), -0.5 * std::log(2 * M_PI) - 5.0 / 8 - (std::log(2) - 0.25), 1e-12);
    }
  }
}

// Where the noise is fixed and no gradient is stopped, the objective is a plain function of q's
// parameters. The other two have gradients that are not the derivatives of their values.
TEST(Objectives, HaveTheGradientsThatDifferencesShow) {
  const Tensor<double> noise({3}, {0.7, -1.1, 0.2});
  const Tensor<double> mean({3}, {0.5, -0.2, 1.3});
  const Tensor<double> log_var({3}, {-1.4, 0.3, -0.5});
  for (ElboEstimator kind : {ElboEstimator::kMonteCarlo, ElboEstimator::kAnalyticKl}) {
    const auto value = [&](const std::vector<Var<double>>& v) {
      return objective(kind, kLesson11, {v[0], v[1]}, noise);
    };
    const GradcheckReport report = gradcheck(value, {mean, log_var});
    EXPECT_TRUE(report) << report;
  }
  // d/dm [ln p(x, z) - ln q(z)] with q held: w (x - w z) - z + (z - m) / s^2.
  Tape<double> tape;
  const Var<double> m = tape.leaf(mean);
  const nn::Normal<double> q{m, log_var};
  const Var<double> g = gradient(sum(objective(ElboEstimator::kPath, kLesson11, q, noise)), {m})[0];
  for (Index i = 0; i < 3; ++i) {
    const double s = std::exp(log_var(i) / 2);
    const double z = mean(i) + s * noise(i);
    EXPECT_NEAR(g.value()(i), 2 * (1.5 - 2 * z) - z + noise(i) / s, 1e-13);
  }
}

// For q = N(1/2, 1/4): KL(q || prior) = 1/2 (1/4 - 1 + ln 4 + 1/4) and E_q[ln p(x | z)] =
// -1/2 ln 2 pi - 1/2 ((3/2 - 1)^2 + 4/4). The closed forms of LinearGaussian are the averages.
TEST(Objectives, HaveTheClosedFormsOfLesson11) {
  const Quadrature quadrature;
  const auto& [p, x] = kLesson11;
  const nn::Normal<double> prior = nn::Normal<double>::standard();
  const nn::Normal<double> q{0.5, std::log(0.25)};
  const Tensor<double> z = q.sample(quadrature.nodes).value();
  const double rate = quadrature.mean((q.log_prob(z) - prior.log_prob(z)).value());
  const double reconstruction = quadrature.mean(p.decode(z).log_prob(x).value());
  EXPECT_NEAR(rate, std::log(2) - 0.25, 1e-13);
  EXPECT_NEAR(reconstruction, -0.5 * std::log(2 * M_PI) - 5.0 / 8, 1e-13);
  EXPECT_NEAR(p.elbo(x, q).item(), reconstruction - rate, 1e-13);
}

}  // namespace
}  // namespace gradus::lesson12
