#pragma once
#include <cmath>
#include <functional>

#include "autograd/tape.hpp"
#include "nn/distributions.hpp"

// Gradients of an expectation with respect to the distribution over which it is taken.
//
//     S samples
//
// The mean of q may have shape (S), one copy for each sample: a single backward pass then gives the
// S gradients that S samples would give on their own.
namespace gradus::lesson12 {

using Integrand = std::function<Var<double>(const Var<double>&)>;

// d f(z) / d mu for z = mu + sigma e, by way of z.  noise e: (S) -> (S)
inline Tensor<double> path_gradients(const Integrand& f, double mu, double sigma,
                                     const Tensor<double>& noise) {
  Tape<double> tape;
  const nn::Normal<double> q{tape.leaf(full<double>(noise.shape(), mu)), 2 * std::log(sigma)};
  const Var<double> z = q.sample(noise);
  return gradient(sum(f(z)), {q.mean})[0].value();
}

// (f(z) - b) d ln q(z) / d mu for the same z, which is held fixed.  noise: (S) -> (S)
inline Tensor<double> score_gradients(const Integrand& f, double mu, double sigma,
                                      const Tensor<double>& noise, double baseline = 0) {
  Tape<double> tape;
  const nn::Normal<double> q{tape.leaf(full<double>(noise.shape(), mu)), 2 * std::log(sigma)};
  const Var<double> z = stop_gradient(q.sample(noise));
  return gradient(sum((f(z) - baseline) * q.log_prob(z)), {q.mean})[0].value();
}

// z ~ N(0, 1), x | z ~ N(w z, 1), of which everything is known: p(z | x) = N(w x v, v) with
// v = 1 / (1 + w^2), and p(x) = N(x; 0, 1 + w^2).
struct LinearGaussianModel {
  double w, x;

  Var<double> log_likelihood(const Var<double>& z) const {  // ln p(x | z): (S)
    return nn::Normal<double>{w * z, 0}.log_prob(x);
  }

  Var<double> log_prior(const Var<double>& z) const {  // ln p(z): (S)
    return nn::Normal<double>::standard().log_prob(z);
  }

  nn::Normal<double> posterior() const {
    const double v = 1 / (1 + w * w);
    return {w * x * v, std::log(v)};
  }

  double log_evidence() const {
    return nn::Normal<double>{0, std::log(1 + w * w)}.log_prob(x).item();
  }
};

enum class ElboEstimator { kScore, kMonteCarlo, kAnalyticKl, kPath };

// What to differentiate with respect to q's parameters for an estimate of the ELBO's gradient, for
// each sample: (S). All but kScore have the value of an ELBO at that sample too.
inline Var<double> objective(ElboEstimator kind, const LinearGaussianModel& p,
                             const nn::Normal<double>& q, const Tensor<double>& noise,
                             double baseline = 0) {
  const Var<double> z = q.sample(noise), fixed = stop_gradient(z);
  switch (kind) {
    case ElboEstimator::kScore: {
      const Var<double> f = p.log_likelihood(fixed) + p.log_prior(fixed) - q.log_prob(fixed);
      return stop_gradient(f - baseline) * q.log_prob(fixed);
    }
    case ElboEstimator::kMonteCarlo:
      return p.log_likelihood(z) + p.log_prior(z) - q.log_prob(z);
    case ElboEstimator::kAnalyticKl:
      return p.log_likelihood(z) - kl(q, nn::Normal<double>::standard());
    case ElboEstimator::kPath: {
      const nn::Normal<double> frozen{stop_gradient(q.mean), stop_gradient(q.log_var)};
      return p.log_likelihood(z) + p.log_prior(z) - frozen.log_prob(z);
    }
  }
  fail("objective: there is no such estimator");
}

// The S gradients of the ELBO with respect to q's mean.  noise: (S) -> (S)
inline Tensor<double> elbo_gradients(ElboEstimator kind, const LinearGaussianModel& p, double mean,
                                     double variance, const Tensor<double>& noise,
                                     double baseline = 0) {
  Tape<double> tape;
  const nn::Normal<double> q{tape.leaf(full<double>(noise.shape(), mean)), std::log(variance)};
  return gradient(sum(objective(kind, p, q, noise, baseline)), {q.mean})[0].value();
}

// The mean and the variance of S numbers, with their standard errors: the root of variance / S, and
// of (m4 - variance^2) / S, where m4 is the mean fourth power of the distance from the mean.
struct SampleMoments {
  double mean, mean_error, variance, variance_error;

  explicit SampleMoments(const Tensor<double>& g) {
    const double n = static_cast<double>(g.size());
    mean = gradus::mean(g).item();
    const Tensor<double> squares = square(g - mean);
    variance = sum(squares).item() / (n - 1);
    mean_error = std::sqrt(variance / n);
    const double m4 = gradus::mean(square(squares)).item();
    variance_error = std::sqrt(std::max(0.0, m4 - variance * variance) / n);
  }
};

}  // namespace gradus::lesson12
