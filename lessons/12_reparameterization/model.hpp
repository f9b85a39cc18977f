#pragma once
#include <cmath>
#include <functional>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

// Gradients of an expectation with respect to the distribution over which it is taken.
//
//     S samples
//
// A parameter of q may have shape (S), one copy for each sample: a single backward pass then gives
// the S gradients that S samples would give on their own.
namespace gradus::lesson12 {

// ---- Two estimators of d E[f(z)] / d parameter -------------------------------------------------

using Integrand = std::function<Var<double>(const Var<double>&)>;

// d f(z) / d parameter, by way of z = g(eps, parameter).  noise eps: (S) -> (S)
template <class Distribution>
Tensor<double> path_gradients(const Integrand& f, const Distribution& q,
                              const Var<double>& parameter, const Tensor<double>& noise) {
  const Var<double> z = q.sample(noise);
  return gradient(sum(f(z)), {parameter})[0].value();
}

// (f(z) - b) d ln q(z) / d parameter for the same z, which is held fixed.  noise eps: (S) -> (S)
template <class Distribution>
Tensor<double> score_gradients(const Integrand& f, const Distribution& q,
                               const Var<double>& parameter, const Tensor<double>& noise,
                               double baseline = 0) {
  const Var<double> z = stop_gradient(q.sample(noise));
  return gradient(sum((f(z) - baseline) * q.log_prob(z)), {parameter})[0].value();
}

// The density r e^(-r z) of z >= 0, with the rate r. Its mean is 1 / r.
struct Exponential {
  Var<double> rate;

  Var<double> log_prob(const Var<double>& z) const { return log(rate) - rate * z; }

  // The z below which a share eps of the distribution lies: eps = 1 - e^(-lambda z).
  Var<double> sample(const Tensor<double>& noise) const { return -log(1.0 - noise) / rate; }
};

// ---- Estimators of the ELBO's gradient ---------------------------------------------------------

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

// The gradients of the ELBO with respect to the mean of q = N(mean, variance), one for each number
// in the noise. (A matrix of noise stands for examples of several independent dimensions.)
inline Tensor<double> elbo_gradients(ElboEstimator kind, const Observation& seen, double mean,
                                     double variance, const Tensor<double>& noise,
                                     double baseline = 0) {
  Tape<double> tape;
  const nn::Normal<double> q{tape.leaf(full<double>(noise.shape(), mean)), std::log(variance)};
  return gradient(sum(objective(kind, seen, q, noise, baseline)), {q.mean})[0].value();
}

// q after gradient steps towards the posterior, in several runs at once.
struct Fit {
  Tensor<double> mean, log_var;  // (runs)
  std::vector<double> gaps;  // KL(q || posterior), the runs' average, before each step and after
};

struct FitOptions {
  int steps = 1800;
  Index runs = 300;
  double baseline = 0;  // for kScore
};

// Plain gradient steps with learning rate 0.02 and 4 samples each, from q = N(-1, 1).
inline constexpr double kLearningRate = 0.02;
inline constexpr int kSamplesPerStep = 4;

inline Fit fit_posterior(ElboEstimator kind, const Observation& seen, const FitOptions& options,
                         Rng& rng) {
  const Shape runs{options.runs};
  Parameter<double> mean("mean", full<double>(runs, -1));
  Parameter<double> log_var("log_var", full<double>(runs, 0));
  const nn::Normal<double> posterior = seen.model.posterior(seen.x);
  auto gap = [&] { return gradus::mean(kl(nn::Normal<double>{mean, log_var}, posterior)).item(); };
  nn::Sgd<double> sgd({&mean, &log_var}, {.learning_rate = kLearningRate});
  std::vector<double> gaps;
  for (int step = 0; step < options.steps; ++step) {
    gaps.push_back(gap());
    Tape<double> tape;
    const nn::Normal<double> q{mean, log_var};
    Var<double> gain = 0;
    for (int i = 0; i < kSamplesPerStep; ++i)
      gain = gain + objective(kind, seen, q, rng.normal<double>(runs), options.baseline);  // (runs)
    tape.backward(-sum(gain) / kSamplesPerStep);
    sgd.step();
  }
  gaps.push_back(gap());
  return {mean.value(), log_var.value(), gaps};
}

// ---- A minibatch -------------------------------------------------------------------------------

// A model whose parts are trained together: x | z ~ N(a z, 1), and q(z | x) = N(w x, v) for every
// x. This is a VAE whose decoder has one weight, a, and whose encoder has one weight, w.
struct TinyVae {
  double a;
  double w;
  double v;
};

// The ELBO's gradients with respect to a and w, for each draw of each x.
struct WeightGradients {
  Tensor<double> a, w;
};

// R minibatches of B numbers, with L draws of z for each, by the path and with the KL on paper.
// x: (R, B, 1), noise: (R, B, L) -> (R, B, L). A minibatch's gradient is the mean over B and L.
inline WeightGradients weight_gradients(const TinyVae& vae, const Tensor<double>& x,
                                        const Tensor<double>& noise) {
  Tape<double> tape;
  const Var<double> a = tape.leaf(full<double>(noise.shape(), vae.a));
  const Var<double> w = tape.leaf(full<double>(noise.shape(), vae.w));
  const nn::Normal<double> q{w * x, std::log(vae.v)};
  const nn::Normal<double> p{a * q.sample(noise), 0};
  const Var<double> elbo = p.log_prob(x) - kl(q, nn::Normal<double>::standard());  // (R)
  const std::vector<Var<double>> gradients = gradient(sum(elbo), {a, w});
  return {gradients[0].value(), gradients[1].value()};
}

}  // namespace gradus::lesson12
