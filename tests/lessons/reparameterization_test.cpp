#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/12_reparameterization/instruments.hpp"
#include "lessons/12_reparameterization/model.hpp"
#include "tensor/error.hpp"
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

// z ~ N(0, 1), x | z ~ N(z, 1), x = 1, whose posterior is N(0.5, 0.5).
const Observation kOne{.model = {.slope = 1, .noise = 1}, .x = 1};

Var<double> f(const Var<double>& z) { return square(z); }

// The estimates of d/dmu E[f(z)] for z ~ N(mu, s^2).
Tensor<double> by_path(double mu, double s, const Tensor<double>& noise) {
  Tape<double> tape;
  const Var<double> mean = tape.leaf(full<double>(noise.shape(), mu));
  return path_gradients(f, nn::Normal<double>{mean, 2 * std::log(s)}, mean, noise);
}

Tensor<double> by_score(double mu, double s, const Tensor<double>& noise, double baseline = 0) {
  Tape<double> tape;
  const Var<double> mean = tape.leaf(full<double>(noise.shape(), mu));
  return score_gradients(f, nn::Normal<double>{mean, 2 * std::log(s)}, mean, noise, baseline);
}

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
      const Tensor<double> path = by_path(mu, s, q.nodes);
      const Tensor<double> score = by_score(mu, s, q.nodes);
      const double paper = std::pow(mu, 4) / (s * s) + 14 * mu * mu + 15 * s * s;
      EXPECT_NEAR(q.mean(path), 2 * mu, 1e-12);
      EXPECT_NEAR(q.mean(score), 2 * mu, 1e-12);
      EXPECT_NEAR(q.variance(path), 4 * s * s, 1e-12);
      EXPECT_NEAR(q.variance(score), paper, 1e-12 * paper);
    }
  EXPECT_NEAR(q.variance(by_path(1, 1, q.nodes)), 4, 1e-11);
  EXPECT_NEAR(q.variance(by_score(1, 1, q.nodes)), 30, 1e-11);
  EXPECT_NEAR(q.variance(by_path(1, 0.1, q.nodes)), 0.04, 1e-11);
  EXPECT_NEAR(q.variance(by_score(1, 0.1, q.nodes)), 114.15, 1e-10);
}

// With g = e / s, Var[(f - b) g] = E[f^2 g^2] - 2 b E[f g^2] + b^2 E[g^2] - (2 mu)^2 is least at
// b = E[f g^2] / E[g^2] = E[(mu + s e)^2 e^2] = mu^2 + 3 s^2, by b^2 E[g^2] = (mu^2 + 3 s^2)^2 /
// s^2. At mu = s = 1: b = 4, and 30 - 16 = 14. What is left in general is 8 mu^2 + 6 s^2.
TEST(Baseline, LeavesTheMeanAndIsBestAtFour) {
  const Quadrature q;
  auto variance = [&](double b) { return q.variance(by_score(1, 1, q.nodes, b)); };
  EXPECT_NEAR(variance(4), 14, 1e-11);
  EXPECT_NEAR(q.mean(by_score(1, 1, q.nodes, 4)), 2, 1e-12);
  EXPECT_NEAR(variance(4.5), 14.25, 1e-11);
  EXPECT_NEAR(variance(3.5), 14.25, 1e-11);
  EXPECT_NEAR(q.variance(by_score(1, 0.1, q.nodes, 1.03)), 8.06, 1e-10);
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

// ---- Uniform noise -----------------------------------------------------------------------------

// E[h(t)] for polynomials h of degree up to 11 and t with the density e^-t (Gauss and Laguerre): as
// above, with the recurrence t l_k = (2k + 1) l_k - k l_{k-1} - (k + 1) l_{k+1}. What is uniform is
// 1 - e^-t.
struct ExponentialQuadrature {
  Tensor<double> noise;
  Tensor<double> weights;

  ExponentialQuadrature() {
    constexpr Index n = 6;
    Tensor<double> recurrence({n, n});
    for (Index k = 0; k < n; ++k) {
      recurrence.set({k, k}, 2.0 * static_cast<double>(k) + 1);
      if (k == 0) continue;
      recurrence.set({k, k - 1}, static_cast<double>(k));
      recurrence.set({k - 1, k}, static_cast<double>(k));
    }
    const auto [values, vectors] = symmetric_eigen(recurrence);
    noise = -expm1(-values);
    weights = square(slice(vectors, 1, 0, 1)).reshape({n});
  }

  double mean(const Tensor<double>& g) const { return sum(weights * g).item(); }

  double variance(const Tensor<double>& g) const { return mean(square(g - mean(g))); }
};

TEST(Exponential, HasAShareEpsBelowItsSample) {
  const Tensor<double> noise({4}, {0, 0.25, 0.5, 0.9});
  const Tensor<double> z = Exponential{2}.sample(noise).value();
  for (Index i = 0; i < 4; ++i) EXPECT_NEAR(1 - std::exp(-2 * z(i)), noise(i), 1e-15);
  EXPECT_NEAR(Exponential{2}.log_prob(0.7).item(), std::log(2 * std::exp(-1.4)), 1e-15);
}

// With t = r z: E[t^n] = n!. f = z^2, so E[f] = 2 / r^2, of slope -4 / r^3. Path: 2 z dz/dr =
// -2 t^2 / r^3, of variance 4 (24 - 4) / r^6. Score: z^2 (1/r - z) = (t^2 - t^3) / r^3, whose mean
// square is (24 - 240 + 720) / r^6, less (4 / r^3)^2.
TEST(Exponential, HasTheMeansAndVariancesOfTheFormula) {
  const ExponentialQuadrature q;
  for (double r : {0.7, 2.0}) {
    Tape<double> tape;
    const Var<double> rate = tape.leaf(full<double>(q.noise.shape(), r));
    const Tensor<double> path = path_gradients(f, Exponential{rate}, rate, q.noise);
    const Tensor<double> score = score_gradients(f, Exponential{rate}, rate, q.noise);
    const double r6 = std::pow(r, 6);
    EXPECT_NEAR(q.mean(path) * std::pow(r, 3), -4, 1e-8);
    EXPECT_NEAR(q.mean(score) * std::pow(r, 3), -4, 1e-8);
    EXPECT_NEAR(q.variance(path) * r6, 80, 1e-6);
    EXPECT_NEAR(q.variance(score) * r6, 488, 1e-6);
    EXPECT_NEAR(exponential_path(r).variance * r6, 80, 1e-12);
    EXPECT_NEAR(exponential_score(r).variance * r6, 488, 1e-12);
    // Of degree 8, and within reach of the six nodes; the score's fourth moment, of degree 12, is
    // not.
    const double fourth = q.mean(square(square(path - q.mean(path))));
    EXPECT_NEAR(exponential_path(r).fourth / fourth, 1, 1e-8);
  }
}

// ---- What the lesson measures with -------------------------------------------------------------

TEST(ElboGradients, HaveTheVariancesThatAreDrawn) {
  const Quadrature q;
  for (double s : {0.4, 0.5, 0.8, 1.0}) {
    auto variance = [&](ElboEstimator kind, double baseline = 0) {
      return q.variance(elbo_gradients(kind, kOne, 0.5, s * s, q.nodes, baseline));
    };
    EXPECT_NEAR(variance(ElboEstimator::kMonteCarlo), sampled_kl_variance(s), 1e-12);
    EXPECT_NEAR(variance(ElboEstimator::kAnalyticKl), analytic_kl_variance(s), 1e-12);
    EXPECT_NEAR(variance(ElboEstimator::kPath), path_derivative_variance(s), 1e-11);
    const double b = best_elbo_baseline(s);
    EXPECT_NEAR(variance(ElboEstimator::kScore, b), elbo_score_variance(s), 1e-11);
    EXPECT_GT(variance(ElboEstimator::kScore, b + 0.1), variance(ElboEstimator::kScore, b));
    EXPECT_GT(variance(ElboEstimator::kScore, b - 0.1), variance(ElboEstimator::kScore, b));
    // The best baseline leaves the score half as much again as the path derivative.
    EXPECT_NEAR(elbo_score_variance(s), 1.5 * path_derivative_variance(s), 1e-12);
  }
}

// d/da of ln N(x; a z, 1) is (x - a z) z; d/dw by way of z = w x + s eps is x a (x - a z), less the
// slope w x^2 of the KL.
TEST(TinyVaes, HaveTheGradientsOfTheFormula) {
  const TinyVae vae{.a = 1.3, .w = 0.4, .v = 0.09};
  const Tensor<double> x({1, 2, 1}, {0.5, -2});
  const Tensor<double> noise({1, 2, 3}, {0.3, -1, 2, 0, 0.7, -0.2});
  const auto [a, w] = weight_gradients(vae, x, noise);
  for (Index i = 0; i < 2; ++i)
    for (Index l = 0; l < 3; ++l) {
      const double xi = x(0, i, 0);
      const double z = 0.4 * xi + 0.3 * noise(0, i, l);
      EXPECT_NEAR(a(0, i, l), (xi - 1.3 * z) * z, 1e-14);
      EXPECT_NEAR(w(0, i, l), xi * 1.3 * (xi - 1.3 * z) - 0.4 * xi * xi, 1e-14);
    }
}

// Means over x and eps, by a sum over 12 x 12 pairs of nodes.
TEST(TinyVaes, HaveTheVarianceBetweenAndWithinExamples) {
  const Quadrature q;
  const double t = 5;
  const Index n = q.nodes.size();
  const Tensor<double> x = std::sqrt(t) * q.nodes.reshape({1, n, 1});
  const Tensor<double> noise = broadcast_to(q.nodes.reshape({1, 1, n}), {1, n, n});
  for (const TinyVae& vae : {TinyVae{2, 0.4, 0.2}, TinyVae{1, 0.1, 1}, TinyVae{-0.7, 0.3, 0.5}}) {
    const auto [a, w] = weight_gradients(vae, x, noise);
    const auto expect = [&](const Tensor<double>& g, const Parts& parts) {
      Tensor<double> means({n});
      Tensor<double> variances({n});
      for (Index i = 0; i < n; ++i) {
        const Tensor<double> row = slice(g, 1, i, i + 1).reshape({n});
        means.set({i}, q.mean(row));
        variances.set({i}, q.variance(row));
      }
      EXPECT_NEAR(q.variance(means), parts.data, 1e-10);
      EXPECT_NEAR(q.mean(variances), parts.noise, 1e-10);
    };
    expect(a, decoder_parts(vae, t));
    expect(w, encoder_parts(vae, t));
  }
}

// E[(t^2 - t^3 + 4)^4] with E[t^n] = n!, multiplied out.
TEST(Exponential, HasTheFourthMomentOfItsScore) {
  const std::vector<double> base = {4, 0, 1, -1};
  std::vector<double> power = {1};
  for (int k = 0; k < 4; ++k) {
    std::vector<double> next(power.size() + 3, 0.0);
    for (std::size_t i = 0; i < power.size(); ++i)
      for (std::size_t j = 0; j < 4; ++j) next[i + j] += power[i] * base[j];
    power = next;
  }
  double fourth = 0;
  for (std::size_t n = 0; n < power.size(); ++n) fourth += power[n] * std::tgamma(n + 1.0);
  EXPECT_NEAR(exponential_score(1).fourth, fourth, 1e-3);
}

TEST(Parts, ShareOutAsExamplesAndDraws) {
  const Parts parts{.data = 3, .noise = 8};
  EXPECT_DOUBLE_EQ(parts.variance(1, 1), 11);
  EXPECT_DOUBLE_EQ(parts.variance(10, 4), 0.5);
}

// Ratios 1 + 1 and 1 - 1 in turns: means of one miss by 1, means of two by nothing.
TEST(RelativeErrors, AreTheRootMeanSquareOfWhatAMeanMisses) {
  auto draw = [](Index n) {
    Tensor<double> ratios({n, 1});
    for (Index i = 0; i < n; ++i) ratios.set({i, 0}, i % 2 == 0 ? 2 : 0);
    return ratios;
  };
  const std::vector<double> errors = relative_errors(draw, {1, 2, 3}, 4);
  EXPECT_DOUBLE_EQ(errors[0], 1);
  EXPECT_DOUBLE_EQ(errors[1], 0);
  EXPECT_DOUBLE_EQ(errors[2], 1.0 / 3);
}

// At lesson 11's posterior, N(0.6, s^2) with s^2 = 0.2, with c = ln p(x). By m and by ln s^2:
//   score:           c e / s, c (e^2 - 1) / 2: variances c^2 / s^2, c^2 / 2
//   KL sampled:      -5 s e, (1 - e^2) / 2: 25 s^2, 1/2
//   KL on paper:     -4 s e, 0.3 s e - 2 s^2 e^2 + ...: 16 s^2, 0.09 s^2 + 8 s^4
//   path derivative: 0, 0
TEST(ElboGradients, HaveEightVariancesAtTheirRest) {
  const Quadrature quadrature;
  const double c = kLesson11.model.log_evidence(kLesson11.x).item();
  const double s2 = 0.2;

  struct Case {
    ElboEstimator kind;
    double by_mean, by_log_var;
  };

  const std::vector<Case> cases = {{ElboEstimator::kScore, c * c / s2, c * c / 2},
                                   {ElboEstimator::kMonteCarlo, 25 * s2, 0.5},
                                   {ElboEstimator::kAnalyticKl, 16 * s2, 0.09 * s2 + 8 * s2 * s2},
                                   {ElboEstimator::kPath, 0, 0}};
  for (const auto& [kind, by_mean, by_log_var] : cases) {
    Tape<double> tape;
    const Shape shape = quadrature.nodes.shape();
    const nn::Normal<double> q{tape.leaf(full<double>(shape, 0.6)),
                               tape.leaf(full<double>(shape, std::log(s2)))};
    const Var<double> gain = sum(objective(kind, kLesson11, q, quadrature.nodes));
    const std::vector<Var<double>> gradients = gradient(gain, {q.mean, q.log_var});
    EXPECT_NEAR(quadrature.variance(gradients[0].value()), by_mean, 1e-11);
    EXPECT_NEAR(quadrature.variance(gradients[1].value()), by_log_var, 1e-11);
  }
}

// The variances of one sample for J = 1, relative to the square of its mean, by quadrature; that of
// p(x|z), which is no polynomial, by a sum over a fine grid of z.
TEST(Averages, HaveTheVariancesOfTheFormula) {
  const Quadrature q;
  const nn::Normal<double> normal = copies(1).q();
  const Tensor<double> elbo =
      objective(ElboEstimator::kMonteCarlo, kLesson11, normal, q.nodes).value();
  EXPECT_NEAR(elbo_variance(1), q.variance(elbo) / std::pow(q.mean(elbo), 2), 1e-12);
  EXPECT_NEAR(elbo_variance(10), elbo_variance(1) / 10, 1e-15);
  EXPECT_NEAR(kTermVariance, q.variance(elbo), 1e-13);
  const double fourth = q.mean(square(square(elbo - q.mean(elbo))));
  EXPECT_NEAR(fourth / std::pow(kTermVariance, 2), 29.0 / 3, 1e-10);
  const Tensor<double> gradient =
      elbo_gradients(ElboEstimator::kAnalyticKl, kLesson11, 0.5, 0.25, q.nodes);
  EXPECT_NEAR(gradient_variance(7), q.variance(gradient) / std::pow(q.mean(gradient), 2), 1e-11);

  double first = 0;
  double second = 0;
  for (double z = -8; z < 8; z += 1e-3) {
    const double prior = 1e-3 * std::exp(-z * z / 2) / std::sqrt(2 * M_PI);
    const double likelihood = std::exp(-std::pow(1.5 - 2 * z, 2) / 2) / std::sqrt(2 * M_PI);
    first += prior * likelihood;
    second += prior * likelihood * likelihood;
  }
  EXPECT_NEAR(second_moment(), second / (first * first), 1e-10);
  EXPECT_NEAR(evidence_variance(3), std::pow(second_moment(), 3) - 1, 1e-12);
}

TEST(Shares, AreThoseOfTheLargestSquares) {
  EXPECT_DOUBLE_EQ(share_of_squares(Tensor<double>({4}, {1, -3, 1, 1}), 0.7), 0.25);
  EXPECT_DOUBLE_EQ(share_of_squares(Tensor<double>({4}, {1, -3, 1, 1}), 0.8), 0.5);
}

TEST(CopiesOfAModel, HaveRatiosWhoseMeanIsOne) {
  Rng rng(0);
  const Copies copies{.one = kLesson11, .mean = 0.5, .variance = 0.25, .count = 3};
  constexpr Index n = 40'000;
  EXPECT_DOUBLE_EQ(copies.gradient_on_paper(), 0.5);
  for (const Tensor<double>& ratios :
       {copies.elbo(n, rng), copies.gradient(n, rng), copies.evidence(n, rng)})
    EXPECT_NEAR(mean(ratios).item(), 1, 5 * 3 / std::sqrt(n));  // each of variance below 9
  EXPECT_EQ(copies.gradient(7, rng).shape(), (Shape{7, 3}));
  EXPECT_EQ(copies.evidence(7, rng).shape(), (Shape{7, 1}));
}

TEST(Fits, ArriveByThePathDerivative) {
  Rng rng(0);
  const Fit fit = fit_posterior(ElboEstimator::kPath, kLesson11, {.steps = 1800, .runs = 4}, rng);
  for (Index i = 0; i < 4; ++i) {
    EXPECT_NEAR(fit.mean(i), 0.6, 1e-6);
    EXPECT_NEAR(fit.log_var(i), std::log(0.2), 1e-6);
  }
  ASSERT_EQ(fit.gaps.size(), 1801u);
  // KL(N(-1, 1) || N(0.6, 0.2)) = 1/2 (5 - 1 - ln 5 + 1.6^2 / 0.2)
  EXPECT_NEAR(fit.gaps.front(), 0.5 * (4 - std::log(5.0) + 12.8), 1e-12);
  EXPECT_LT(fit.gaps.back(), 1e-13);
}

// ---- The exercises' answers --------------------------------------------------------------------

// Without stop_gradient ln q(m + s eps) does not depend on m, and the derivative is f'(z) ln q(z):
// on average, at mu = s = 1, E[2 (1 + eps) (-1/2 ln 2 pi - eps^2 / 2)] = -ln 2 pi - 1.
TEST(Exercise1, TheScoreWithoutStopGradientIsWrong) {
  const Quadrature quadrature;
  Tape<double> tape;
  const Var<double> mean = tape.leaf(full<double>(quadrature.nodes.shape(), 1));
  const nn::Normal<double> q{mean, 0};
  const Var<double> z = q.sample(quadrature.nodes);
  const Tensor<double> g = gradient(sum(f(z) * q.log_prob(z)), {mean})[0].value();
  EXPECT_NEAR(quadrature.mean(g), -std::log(2 * M_PI) - 1, 1e-12);
  EXPECT_NEAR(quadrature.mean(g), -2.8379, 5e-5);
}

// P(z > 0) = Phi(mu) for s = 1, of slope phi(1) = 0.24197 at mu = 1.
TEST(Exercise2, OnlyTheScoreWorksForASumOfSteps) {
  const Integrand step = [](const Var<double>& z) { return greater(z.value(), 0.0); };
  const Tensor<double> noise = Rng(0).normal<double>({100'000});
  Tape<double> tape;
  const Var<double> mean = tape.leaf(full<double>(noise.shape(), 1));
  const nn::Normal<double> q{mean, 0};
  const Tensor<double> g = score_gradients(step, q, mean, noise);
  EXPECT_NEAR(gradus::mean(g).item(), std::exp(-0.5) / std::sqrt(2 * M_PI), 0.015);
  EXPECT_THROW(path_gradients(step, q, mean, noise), Error);
}

TEST(Exercise3, TheScoreWithTheEvidenceArrivesToo) {
  Rng rng(0);
  const double evidence = kLesson11.model.log_evidence(kLesson11.x).item();
  const Fit fit = fit_posterior(ElboEstimator::kScore, kLesson11, {.baseline = evidence}, rng);
  EXPECT_LT(fit.gaps.back(), 1e-13);
  EXPECT_NEAR(std::log10(fit.gaps[800]), std::log10(2e-8), 0.3);
}

// The variance is smallest where 30 s = 2 / s^3: 14 + 2 sqrt(15).
TEST(Exercise4, TheScoreIsBestAtAboutOneHalf) {
  const double s = std::pow(15, -0.25);
  EXPECT_NEAR(s, 0.508, 5e-4);
  EXPECT_NEAR(score_variance(s), 21.746, 5e-4);
  EXPECT_LT(score_variance(s), score_variance(s * 1.01));
  EXPECT_LT(score_variance(s), score_variance(s / 1.01));
}

// z = mu + ln(eps / (1 - eps)) is logistic. Path: 2 z, of variance 4 pi^2 / 3. The score is
// tanh((z - mu) / 2) = 2 eps - 1. By the midpoint rule over eps.
TEST(Exercise5, ALogisticDistributionHasAPathToo) {
  constexpr int n = 1'000'000;
  double mean_path = 0;
  double square_path = 0;
  double mean_score = 0;
  for (int i = 0; i < n; ++i) {
    const double eps = (i + 0.5) / n;
    const double z = 1 + std::log(eps / (1 - eps));
    mean_path += 2 * z / n;
    square_path += 4 * z * z / n;
    mean_score += z * z * (2 * eps - 1) / n;
  }
  EXPECT_NEAR(mean_path, 2, 1e-6);
  EXPECT_NEAR(square_path - 4, 4 * M_PI * M_PI / 3, 1e-2);
  EXPECT_NEAR(mean_score, 2, 1e-3);
}

// B examples with L draws cost B (1 + L): at equal cost the variance goes with (V + W / L) (1 + L).
TEST(Exercise6, WhereEncodingCostsAsMuchTwoDrawsAreAsGoodAsOne) {
  const Parts parts = decoder_parts({2, 0.4, 0.2}, 5);
  auto price = [&](Index l) { return parts.variance(1, l) * (1 + static_cast<double>(l)); };
  EXPECT_NEAR(price(1), 2.0, 1e-12);
  EXPECT_NEAR(price(2), 1.98, 1e-12);
  EXPECT_NEAR(price(3), 2.1867, 5e-5);
  EXPECT_NEAR(std::sqrt(parts.noise / parts.data), 1.458, 5e-4);
}

}  // namespace
}  // namespace gradus::lesson12
