#pragma once
#include <cmath>
#include <functional>

#include "autograd/tape.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "nn/distributions.hpp"
#include "tensor/error.hpp"

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

// A number x that was seen, and the model that it came from: q is to become p(z | x).
struct Observation {
  LinearGaussian<double> model;
  double x;
};

enum class ElboEstimator {
  kScore,       // by the score: the sample is held fixed, its probability moves
  kMonteCarlo,  // along the path of the sample, with the KL to the prior sampled too
  kAnalyticKl,  // along the path, with that KL on paper
  kPath,        // along the path, with q's parameters held still in ln q: the path derivative
};

// What to differentiate with respect to q's parameters for an estimate of the ELBO's gradient, for
// each sample: (S). All but kScore have the value of an ELBO at that sample too. The baseline is
// for kScore only.
inline Var<double> objective(ElboEstimator kind, const Observation& seen,
                             const nn::Normal<double>& q, const Tensor<double>& noise,
                             double baseline = 0) {
  const auto& [p, x] = seen;
  const Var<double> z = q.sample(noise);
  const Var<double> fixed = stop_gradient(z);
  switch (kind) {
    case ElboEstimator::kScore: {
      const Var<double> f = p.log_joint(x, fixed) - q.log_prob(fixed);
      return stop_gradient(f - baseline) * q.log_prob(fixed);
    }
    case ElboEstimator::kMonteCarlo:
      return p.log_joint(x, z) - q.log_prob(z);
    case ElboEstimator::kAnalyticKl:
      return p.decode(z).log_prob(x) - kl(q, nn::Normal<double>::standard());
    case ElboEstimator::kPath: {
      const nn::Normal<double> frozen{stop_gradient(q.mean), stop_gradient(q.log_var)};
      return p.log_joint(x, z) - frozen.log_prob(z);
    }
  }
  fail("objective: there is no such estimator");
}

// The S gradients of the ELBO with respect to the mean of q = N(mean, variance).  noise: (S) -> (S)
inline Tensor<double> elbo_gradients(ElboEstimator kind, const Observation& seen, double mean,
                                     double variance, const Tensor<double>& noise,
                                     double baseline = 0) {
  Tape<double> tape;
  const nn::Normal<double> q{tape.leaf(full<double>(noise.shape(), mean)), std::log(variance)};
  return gradient(sum(objective(kind, seen, q, noise, baseline)), {q.mean})[0].value();
}

}  // namespace gradus::lesson12
