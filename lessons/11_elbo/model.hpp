#pragma once
#include "lessons/10_kl/model.hpp"

// ln p(x) = ELBO + KL(q || posterior), for three models in which all three can be computed: a
// latent number, a latent class, and a latent path through a hidden Markov model.
//
//     N examples, K values of a latent, T steps of a sequence
namespace gradus::lesson11 {

using lesson10::kl_by_sum;
using lesson10::monte_carlo;
using lesson10::MonteCarloEstimate;

// ELBO(q) = sum_z q(z) (ln p(x, z) - ln q(z)), where z takes K values: minus the divergence of q
// from a table, p(x, z), that adds up to p(x) and not to 1.   (K), (K) -> ()
template <class T> Var<T> elbo_by_sum(const Var<T>& log_q, const Var<T>& log_joint) {
  return -kl_by_sum(log_q, log_joint);
}

// d f(scores) / d scores, for a scalar f.
template <class T, class F> Tensor<T> gradient_at(const Tensor<T>& scores, F f) {
  Parameter<T> leaf("scores", scores);
  Tape<T> tape;
  tape.backward(f(leaf));
  return leaf.grad;
}

// z ~ N(0, 1),  x | z ~ N(a z, s^2): one latent number behind one number that is seen. x, z and the
// parameters of q are (N, 1).
template <class T> struct LinearGaussian {
  T slope, noise;  // a, s^2

  // ln p(x, z) = ln p(z) + ln p(x | z).   (N)
  Var<T> log_joint(const Var<T>& x, const Var<T>& z) const {
    return nn::Normal<T>::standard().log_prob(z) + decode(z).log_prob(x);
  }

  nn::Normal<T> decode(const Var<T>& z) const { return {slope * z, std::log(noise)}; }

  // E_q[ln p(x | z)] = ln N(x; a m, s^2) - a^2 v / (2 s^2), for q = N(m, v).   (N)
  Var<T> reconstruction(const Var<T>& x, const nn::Normal<T>& q) const {
    const T precision = slope * slope / noise;
    return decode(q.mean).log_prob(x) - 0.5 * precision * nn::per_example(exp(q.log_var));
  }

  Var<T> elbo(const Var<T>& x, const nn::Normal<T>& q) const {
    return reconstruction(x, q) - kl(q, nn::Normal<T>::standard());
  }

  // p(z | x) = N(a x / (a^2 + s^2), s^2 / (a^2 + s^2)) and p(x) = N(0, a^2 + s^2).
  nn::Normal<T> posterior(const Var<T>& x) const {
    return {slope / total() * x, full<T>({1, 1}, std::log(noise / total()))};
  }

  Var<T> log_evidence(const Var<T>& x) const {
    return nn::Normal<T>{0, std::log(total())}.log_prob(x);
  }

  T total() const { return slope * slope + noise; }
};

// A chain of hidden states z_1, ..., z_T, each of which shows something: a hidden Markov model.
template <class T> struct Hmm {
  Tensor<T> log_start;       // (K): ln P(z_1 = k)
  Tensor<T> log_transition;  // (K, K): ln P(z_t+1 = j | z_t = i)
  Tensor<T> log_emission;    // (V, K): ln P(x_t = v | z_t = k)

  // ln P(x_t | z_t = k) for what was seen: row x_t of log_emission.   (T, K)
  Var<T> scores(const std::vector<Index>& seen) const {
    return gather_rows(Var<T>(log_emission), seen);
  }

  // ln p(x) by the forward recursion, in T K^2 steps: a_t(k) = ln P(x_1, ..., x_t, z_t = k).
  Var<T> log_evidence(const Var<T>& scores) const {
    Var<T> a = log_start + slice(scores, 0, 0, 1);  // (1, K)
    for (Index t = 1; t < scores.shape()[0]; ++t)
      a = logsumexp(transpose(a) + log_transition, {0}, true) + slice(scores, 0, t, t + 1);
    return logsumexp(a);
  }

  // ln p(x, z) of each of the K^T paths z, the last step running fastest: by brute force.   (K^T)
  Tensor<T> log_joint_of_paths(const Tensor<T>& scores) const {
    const Index k = log_start.size();
    Tensor<T> table = log_start + slice(scores, 0, 0, 1);  // (paths so far, K)
    for (Index t = 1; t < scores.extent(0); ++t)
      table = (table.reshape({-1, k, 1}) + log_transition + slice(scores, 0, t, t + 1))
                  .reshape({-1, k});
    return table.reshape({-1});
  }

  // E_q[ln p(x, z)] for a q that takes the steps to be independent, q(z) = prod_t q_t(z_t); q holds
  // q_t(k) > 0.   (T, K) -> ()
  Var<T> expected_log_joint(const Var<T>& q, const Var<T>& scores) const {
    const Index n = q.shape()[0];
    const Var<T> first = slice(q, 0, 0, 1), now = slice(q, 0, 0, n - 1), next = slice(q, 0, 1, n);
    return sum(first * log_start) + sum(matmul(now, log_transition) * next) + sum(q * scores);
  }

  Var<T> mean_field_elbo(const Var<T>& q, const Var<T>& scores) const {
    return expected_log_joint(q, scores) - sum(q * log(q));
  }

  // One step of coordinate ascent: the best q_t for all others as they are. E_q[ln p(x, z)] is
  // linear in q_t, g^T q_t + rest, and g^T q_t + entropy(q_t) is largest at q_t = softmax(g).
  Tensor<T> improve(const Tensor<T>& q, Index t, const Tensor<T>& scores) const {
    auto f = [&](const Var<T>& v) { return expected_log_joint(v, scores); };
    const Var<T> g = slice(gradient_at(q, f), 0, t, t + 1);
    return concatenate(std::vector<Tensor<T>>{slice(q, 0, 0, t), nn::softmax(g).value(),
                                              slice(q, 0, t + 1, q.extent(0))});
  }
};

// P(z_t = k | x) by the forward-backward algorithm, written out without a tape (Rabiner 1989,
// equations 19 to 27): forward and backward probabilities, each step divided by its sum.   (T, K)
template <class T> Tensor<T> forward_backward(const Hmm<T>& hmm, const Tensor<T>& scores) {
  const Index n = scores.extent(0);
  const Tensor<T> transition = exp(hmm.log_transition), emission = exp(scores);
  std::vector<Tensor<T>> forward(n), backward(n), posterior(n);  // (1, K) each
  auto row = [&](Index t) { return slice(emission, 0, t, t + 1); };
  auto normalized = [](const Tensor<T>& x) { return x / sum(x); };
  forward[0] = normalized(exp(hmm.log_start) * row(0));
  for (Index t = 1; t < n; ++t)
    forward[t] = normalized(matmul(forward[t - 1], transition) * row(t));
  backward[n - 1] = full<T>(row(0).shape(), 1);
  for (Index t = n - 2; t >= 0; --t)
    backward[t] = normalized(matmul_nt(backward[t + 1] * row(t + 1), transition));
  for (Index t = 0; t < n; ++t) posterior[t] = normalized(forward[t] * backward[t]);
  return concatenate(posterior);
}

// P(z_t = k | x) from ln p(x, z) of all K^T paths: the probabilities of those that are in k at t,
// added up.   (T, K)
template <class T>
Tensor<T> marginals_of_paths(const Tensor<T>& log_joint, Index steps, Index states) {
  const Tensor<T> path = exp(log_joint - logsumexp(log_joint));
  std::vector<Tensor<T>> rows;
  Index before = 1;
  for (Index t = 0; t < steps; ++t, before *= states)
    rows.push_back(sum(path.reshape({before, states, -1}), {0, 2}).reshape({1, states}));
  return concatenate(rows);
}

// ln q(z) of each of the K^T paths for a q of independent steps.   (T, K) -> (K^T)
template <class T> Tensor<T> log_paths_of(const Tensor<T>& q) {
  Tensor<T> table = Tensor<T>({1});
  for (Index t = 0; t < q.extent(0); ++t)
    table = (table.reshape({-1, 1}) + log(slice(q, 0, t, t + 1))).reshape({-1});
  return table;
}

}  // namespace gradus::lesson11
