#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "lessons/12_reparameterization/model.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 12 measures with, and what must come out.
namespace gradus::lesson12 {

// ---- Variances of one sample's gradient, on paper ----------------------------------------------

// d/dmu E[z^2] for z ~ N(mu, s^2), at mu = 1.
inline double path_variance(double s) { return 4 * s * s; }

inline double score_variance(double s) { return 1 / (s * s) + 14 + 15 * s * s; }

// E[f g^2] / E[g^2] with the score g = eps / s: the constant that leaves the least variance.
inline double best_baseline(double s) { return 1 + 3 * s * s; }

inline double score_with_baseline_variance(double s) { return 8 + 6 * s * s; }

// d/dm of the ELBO for z ~ N(0, 1), x | z ~ N(z, 1), x = 1 and q = N(0.5, s^2), which is the
// posterior at s^2 = 0.5.
inline double sampled_kl_variance(double s) { return 4 * s * s; }

inline double analytic_kl_variance(double s) { return s * s; }

inline double path_derivative_variance(double s) { return std::pow(1 / s - 2 * s, 2); }

// ln p(x, z) - ln q(z) is c + k eps^2 there, with k = 1/2 - s^2. The best baseline is c + 3 k.
inline double best_elbo_baseline(double s) {
  const double c = -0.5 * nn::Normal<double>::kLogTwoPi + std::log(s) - 0.25;
  return c + 3 * (0.5 - s * s);
}

inline double elbo_score_variance(double s) { return 6 * std::pow((0.5 - s * s) / s, 2); }

// Of one sample: its variance, and the mean fourth power of its deviation from the mean.
struct Spread {
  double variance, fourth;
};

// d/dr E[z^2] for z exponential with the rate r. The path's samples are -2 t^2 / r^3, the score's
// (t^2 - t^3) / r^3, with t = r z and E[t^n] = n!.
inline Spread exponential_path(double r) {
  return {80 / std::pow(r, 6), 16 * 35088 / std::pow(r, 12)};
}

inline Spread exponential_score(double r) {
  return {488 / std::pow(r, 6), 335642496 / std::pow(r, 12)};
}

// ---- The mean of L samples ---------------------------------------------------------------------

// The root mean square of what the mean of the first L samples misses, over `repeats` repetitions,
// for each L. draw(n) gives n samples of what should be 1 on average, (n, J); of several columns it
// is the length of the error for that of the truth.
inline std::vector<double> relative_errors(const std::function<Tensor<double>(Index)>& draw,
                                           const std::vector<Index>& samples, int repeats) {
  std::vector<double> squares(samples.size());
  for (int r = 0; r < repeats; ++r) {
    const Tensor<double> ratios = draw(samples.back());
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const Tensor<double> means = mean(slice(ratios, 0, 0, samples[i]), {0});  // (J)
      squares[i] += mean(square(means - 1.0)).item();
    }
  }
  std::vector<double> errors;
  for (double sum : squares) errors.push_back(std::sqrt(sum / repeats));
  return errors;
}

// J independent copies of one observation, and q = N(m, v) for each of their J latent numbers.
struct Copies {
  Observation one;
  double mean, variance;  // of q
  Index count;            // J

  nn::Normal<double> q() const { return {mean, std::log(variance)}; }

  // Samples of the ELBO, over the ELBO: a sum of J terms, over its mean.   (n, 1)
  Tensor<double> elbo(Index n, Rng& rng) const {
    const Tensor<double> noise = rng.normal<double>({n, count});
    const double truth = static_cast<double>(count) * one.model.elbo(one.x, q()).item();
    const Var<double> samples = objective(ElboEstimator::kMonteCarlo, one, q(), noise);
    return samples.value().reshape({n, 1}) / truth;
  }

  // Samples of the ELBO's gradient with respect to the J means of q, with the KL on paper, over
  // that gradient: d/dm = a (x - a m) / s^2 - m.   (n, J)
  Tensor<double> gradient(Index n, Rng& rng) const {
    const Tensor<double> noise = rng.normal<double>({n, count});
    const double truth = gradient_on_paper();
    return elbo_gradients(ElboEstimator::kAnalyticKl, one, mean, variance, noise) / truth;
  }

  double gradient_on_paper() const {
    const auto& [p, x] = one;
    return p.slope * (x - p.slope * mean) / p.noise - mean;
  }

  // p(x | z) with z from the prior, over p(x): a product of J factors, over its mean.   (n, 1)
  Tensor<double> evidence(Index n, Rng& rng) const {
    const auto& [p, x] = one;
    const Tensor<double> z = rng.normal<double>({n, count});
    const double truth = static_cast<double>(count) * p.log_evidence(x).item();
    return exp(p.decode(z).log_prob(x).value() - truth).reshape({n, 1});
  }
};

// ---- Lesson 11's model: z ~ N(0, 1), x | z ~ N(2z, 1), x = 1.5, whose posterior is N(0.6, 0.2) --

inline const Observation kLesson11{.model = {.slope = 2, .noise = 1}, .x = 1.5};

// J copies of it, with lesson 11's q.
inline Copies copies(Index count) {
  return {.one = kLesson11, .mean = 0.5, .variance = 0.25, .count = count};
}

// What is averaged over L samples of J latents, and the variance of one sample over the square of
// its mean.
struct Average {
  std::string name, label;
  Tensor<double> (Copies::*draw)(Index n, Rng& rng) const;
  double (*variance)(double j);
};

// One of the J terms of the ELBO is a constant + 0.25 eps - 0.125 eps^2, for q = N(0.5, 0.25).
inline constexpr double kTermVariance = 0.25 * 0.25 + 2 * 0.125 * 0.125;

inline double elbo_variance(double j) {
  const double term = kLesson11.model.elbo(kLesson11.x, copies(1).q()).item();
  return kTermVariance / (j * term * term);
}

// One of the J coordinates is 0.5 - 2 eps.
inline double gradient_variance(double) { return 2 * 2 / (0.5 * 0.5); }

// E[p(x|z)^2] / p(x)^2 for J = 1, where N(x; 2z, 1)^2 = N(x; 2z, 1/2) / (2 sqrt(pi)), whose mean
// over z ~ N(0, 1) is N(x; 0, 4 + 1/2) / (2 sqrt(pi)).
inline double second_moment() {
  auto normal = [](double variance) {
    const double x = kLesson11.x;
    return std::exp(-x * x / (2 * variance)) / std::sqrt(2 * M_PI * variance);
  };
  return normal(4.5) / (2 * std::sqrt(M_PI)) / std::pow(normal(5), 2);
}

inline double evidence_variance(double j) { return std::pow(second_moment(), j) - 1; }

inline const std::vector<Average> kAverages = {{"elbo", "ELBO", &Copies::elbo, elbo_variance},
                                               {"gradient", "gradient", &Copies::gradient,
                                                gradient_variance},
                                               {"evidence", "p(x)", &Copies::evidence,
                                                evidence_variance}};

// By how much a measurement misses its formula at most, as a fraction of it.
inline double worst_miss(const std::vector<double>& measured, const std::vector<double>& formula) {
  double worst = 0;
  for (std::size_t i = 0; i < measured.size(); ++i)
    worst = std::max(worst, std::abs(measured[i] / formula[i] - 1));
  return worst;
}

// The relative error of a root mean square of `repeats` numbers whose fourth moment is k times the
// square of their variance: sqrt((k - 1) / (4 repeats)). Of the ELBO's term above, k = 29 / 3.
inline double error_of_rms(int repeats) { return std::sqrt((29.0 / 3 - 1) / (4 * repeats)); }

// The share of the draws, the largest ones, that make up a fraction of the sum of all squares.
inline double share_of_squares(const Tensor<double>& draws, double fraction) {
  std::vector<double> squares = square(draws).to_vector();
  std::sort(squares.begin(), squares.end(), std::greater<>());
  const double total = std::accumulate(squares.begin(), squares.end(), 0.0);
  double sum = 0;
  std::size_t count = 0;
  while (sum < fraction * total) {
    sum += squares[count];
    ++count;
  }
  return static_cast<double>(count) / static_cast<double>(squares.size());
}

// Where steps with a learning rate eta and L samples come to rest, q's mean m and l = ln s^2 shake
// about the posterior. Each step shrinks a small distance from it by 1 - eta h and adds noise of
// variance eta^2 V / L, with the curvature h of the KL and the variance V of one sample's gradient,
// so that the distance's variance is eta V / (L h (2 - eta h)), and the KL is h / 2 times that.
inline double predicted_gap(double variance_m, double variance_l) {
  const double h_m = 5;    // 1 / s^2
  const double h_l = 0.5;  // of KL = (s^2 / 0.2 - ln s^2) / 2 by l
  auto term = [](double variance, double h) {
    return kLearningRate * variance / (2 * kSamplesPerStep * (2 - kLearningRate * h));
  };
  return term(variance_m, h_m) + term(variance_l, h_l);
}

// With c = ln p(x), z = 0.6 + s eps and s^2 = 0.2, the gradients at the posterior are:
//   score:       c eps / s by m,  c (eps^2 - 1) / 2 by l
//   KL sampled:  3 - 5 z = -5 s eps by m,  (1 - eps^2) / 2 by l
//   KL on paper: 2 (1.5 - 2 z) - 0.6 = -4 s eps by m,  0.3 s eps - 2 s^2 eps^2 + ... by l
inline std::vector<double> predicted_gaps() {
  const double c = kLesson11.model.log_evidence(kLesson11.x).item();
  const double v = 0.2;
  return {predicted_gap(c * c / v, c * c / 2), predicted_gap(25 * v, 0.5),
          predicted_gap(16 * v, 0.09 * v + 8 * v * v)};
}

inline double average(const std::vector<double>& numbers, Index begin, Index end) {
  double sum = 0;
  for (Index i = begin; i < end; ++i) sum += numbers[i];
  return sum / static_cast<double>(end - begin);
}

// ---- A minibatch -------------------------------------------------------------------------------

// The variance of one gradient, for x ~ N(0, t): that between examples, V(E[g | x]), and that of
// the draws for one example, E[V(g | x)].
struct Parts {
  double data, noise;

  // Of the mean over B examples with L draws for each.
  double variance(Index b, Index l) const {
    return (data + noise / static_cast<double>(l)) / static_cast<double>(b);
  }
};

// With z = w x + s eps and r = 1 - a w, the gradient with respect to a is (x - a z) z =
// r w x^2 + (r - a w) s x eps - v a eps^2; and E[x^2] = t, V(x^2) = 2 t^2, V(eps^2) = 2.
inline Parts decoder_parts(const TinyVae& vae, double t) {
  const auto& [a, w, v] = vae;
  const double r = 1 - a * w;
  return {2 * std::pow(r * w * t, 2), std::pow(r - a * w, 2) * v * t + 2 * std::pow(a * v, 2)};
}

// That with respect to w is x (a (x - a z) - w x) = (a r - w) x^2 - a^2 s x eps.
inline Parts encoder_parts(const TinyVae& vae, double t) {
  const auto& [a, w, v] = vae;
  const double r = 1 - a * w;
  return {2 * std::pow((a * r - w) * t, 2), std::pow(a, 4) * v * t};
}

// The gradients of R minibatches of B numbers x ~ N(0, t) with L draws for each: (R).
inline WeightGradients minibatch_gradients(const TinyVae& vae, double t, Index minibatches, Index b,
                                           Index l, Rng& rng) {
  const Tensor<double> x = std::sqrt(t) * rng.normal<double>({minibatches, b, 1});
  const auto [a, w] = weight_gradients(vae, x, rng.normal<double>({minibatches, b, l}));
  return {mean(a, {1, 2}), mean(w, {1, 2})};
}

}  // namespace gradus::lesson12
