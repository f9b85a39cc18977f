#pragma once
#include "autograd/tape.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/estimates.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"

// Kullback-Leibler divergences: of tables and of densities on a grid by the definition, of normal
// distributions in closed form, and of anything that can be sampled by Monte Carlo.
//
//     N points, D dimensions, K components of a mixture
namespace gradus::lesson10 {

// H(p, q) = -sum_i p_i ln q_i step, the cross-entropy in nats; H(p, p) is the entropy of p. For
// tables and densities as kl_by_sum below.
template <class T>
Var<T> cross_entropy_by_sum(const Var<T>& log_p, const Var<T>& log_q, T step = 1) {
  return -step * sum(exp(log_p) * log_q);
}

// KL(p || q) = sum_i p_i (ln p_i - ln q_i) step, in nats: for two tables of log-probabilities, with
// step 1, and for two log-densities at equally spaced points (an integral by the rectangle rule).
template <class T> Var<T> kl_by_sum(const Var<T>& log_p, const Var<T>& log_q, T step = 1) {
  return step * sum(exp(log_p) * (log_p - log_q));
}

// A normal distribution in D dimensions whose coordinates may be correlated. The covariance is
// positive definite; of a matrix A that is not symmetric, (A + A^T) / 2 is taken.
template <class T> struct MultivariateNormal {
  Var<T> mean;        // (D)
  Var<T> covariance;  // (D, D)

  // ln p(x) = -1/2 (D ln 2 pi + ln det C + |L^-1 (x - m)|^2) with C = L L^T.   (N, D) -> (N)
  Var<T> log_prob(const Var<T>& x) const {
    const Var<T> white = solve_lower(cholesky(covariance), transpose(x - mean));  // (D, N)
    return -0.5 *
           (dimensions() * kLogTwoPi + log_determinant(covariance) + sum(square(white), {0}));
  }

  // m + L e with standard normal noise e, (N, D).
  Var<T> sample(const Tensor<T>& noise) const {
    return mean + matmul_nt(noise, cholesky(covariance));
  }

  Index dimensions() const { return mean.shape()[0]; }
};

// KL = 1/2 (tr(C_q^-1 C_p) - D + (m_p - m_q)^T C_q^-1 (m_p - m_q) + ln det C_q - ln det C_p).
// With C = L L^T the trace is |L_q^-1 L_p|^2 and the quadratic form |L_q^-1 (m_p - m_q)|^2.
template <class T> Var<T> kl(const MultivariateNormal<T>& p, const MultivariateNormal<T>& q) {
  const Var<T> l = cholesky(q.covariance);
  const Var<T> spread = sum(square(solve_lower(l, cholesky(p.covariance))));
  const Var<T> shift = sum(square(solve_lower(l, p.mean - q.mean)));
  const Var<T> volume = log_determinant(q.covariance) - log_determinant(p.covariance);
  return 0.5 * (spread - p.dimensions() + shift + volume);
}

// K normal distributions on the line, of which one is drawn with its weight and then a point.
template <class T> struct NormalMixture {
  Tensor<T> weights;   // (K), which add up to 1
  Tensor<T> means;     // (K)
  Tensor<T> log_vars;  // (K)

  // ln p(x) = ln sum_k w_k N(x; m_k, s_k^2).   (N, 1) -> (N)
  Var<T> log_prob(const Var<T>& x) const {
    const Var<T> distance = square(x - means) * exp(-log_vars);  // (N, K), in units of s_k^2
    const Tensor<T> height = weights * exp(T(-0.5) * (kLogTwoPi + log_vars));
    return log(sum(height * exp(-0.5 * distance), {1}));
  }
};

// 1/2 N(-c, 1/4) + 1/2 N(c, 1/4), and both divergences between it and a normal q: sums over a grid
// that for c up to 2 and a q as wide as p, or narrower, is fine and long enough for them to be
// integrals to 1e-12.
template <class T> struct TwoModes {
  static constexpr T kStep = T(0.01);

  T c = 2;
  Tensor<T> x = (arange<T>(4001) * kStep - T(20)).reshape({-1, 1});  // (N, 1), from -20 to 20
  NormalMixture<T> p{full<T>({2}, 0.5), Tensor<T>({2}, {-c, c}), log(full<T>({2}, 0.25))};
  Var<T> log_p = p.log_prob(x);  // (N)

  // KL(p || q) and KL(q || p).
  Var<T> forward(const nn::Normal<T>& q) const { return kl_by_sum(log_p, q.log_prob(x), kStep); }

  Var<T> reverse(const nn::Normal<T>& q) const { return kl_by_sum(q.log_prob(x), log_p, kStep); }

  // The q at which gradient descent comes to rest from N(start, 1): on forward KL, or on reverse
  // KL.
  nn::Normal<T> fit(bool is_forward, T start) const {
    Parameter<T> mean("mean", Tensor<T>({1, 1}, {start}));
    Parameter<T> log_var("log_var", Tensor<T>({1, 1}));
    nn::Sgd<T> sgd({&mean, &log_var}, {.learning_rate = 0.2});
    for (int step = 0; step < 600; ++step) {
      Tape<T> tape;
      const nn::Normal<T> q{mean, log_var};
      tape.backward(is_forward ? forward(q) : reverse(q));
      sgd.step();
    }
    return {mean.value(), log_var.value()};
  }
};

// KL(p || q) by Monte Carlo, for any p and q with a log_prob: the average of ln p(x) - ln q(x) over
// points x, (N, D), that were drawn from p.
template <class P, class Q> Estimate kl_by_sampling(const P& p, const Q& q, const Var<double>& x) {
  return estimate((p.log_prob(x) - q.log_prob(x)).value());
}

}  // namespace gradus::lesson10
