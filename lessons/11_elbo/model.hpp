#pragma once
#include <utility>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/10_kl/model.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "nn/distributions.hpp"
#include "nn/layers.hpp"

// ln p(x) = ELBO + KL(q || posterior), for three models in which all three can be computed: a
// latent number, a latent class, and a latent path through a hidden Markov model.
//
//     N examples, K values of a latent, V values of what is seen, T steps of a sequence
namespace gradus::lesson11 {

using lesson10::kl_by_sum;

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

// ---- A model that is trained: z ~ N(0, 1),  x | z ~ N(a z, 1), with an unknown slope a ---------

// The mean over N examples of E_q[ln p(x | z)] - KL(q || p(z)), for q = N(m, v) of each example:
// E_q[(x - a z)^2] = (x - a m)^2 + a^2 v.   a: (), q and x: (N, 1)
template <class T> Var<T> mean_elbo(const Var<T>& a, const nn::Normal<T>& q, const Tensor<T>& x) {
  const Var<T> distance = square(x - a * q.mean) + square(a) * exp(q.log_var);  // (N, 1)
  const Var<T> reconstruction = -0.5 * (kLogTwoPi + mean(distance));
  return reconstruction - mean(kl(q, nn::Normal<T>::standard()));
}

// The mean over N examples of ln p(x), with p(x) = N(0, a^2 + 1).   (N, 1) -> ()
template <class T> Var<T> mean_log_evidence(const Var<T>& a, const Tensor<T>& x) {
  return mean(nn::Normal<T>{0, log(square(a) + 1)}.log_prob(x));
}

// The E step of EM: each example's posterior, N(a x / (a^2 + 1), 1 / (a^2 + 1)).
template <class T> nn::Normal<T> e_step(T a, const Tensor<T>& x) {
  return {a / (a * a + 1) * x, full<T>(x.shape(), -std::log(a * a + 1))};
}

// The M step: the slope at which the ELBO of these q is largest, sum x m / sum (m^2 + v), where the
// ELBO's derivative, the mean of (x - a m) m - a v, is 0.
template <class T> T m_step(const nn::Normal<T>& q, const Tensor<T>& x) {
  const Tensor<T> m = q.mean.value();
  return sum(x * m).item() / sum(square(m) + exp(q.log_var.value())).item();
}

// ---- A chain of hidden states z_1, ..., z_T, each of which shows something ---------------------

// A hidden Markov model, by the logarithms of its probabilities.
template <class T> struct Hmm {
  Var<T> log_start;       // (K): ln P(z_1 = k)
  Var<T> log_transition;  // (K, K): ln P(z_t+1 = j | z_t = i)
  Var<T> log_emission;    // (V, K): ln P(x_t = v | z_t = k)

  // ln P(x_t | z_t = k) for what was seen: row x_t of log_emission.   (T, K)
  Var<T> scores(const std::vector<Index>& seen) const { return gather_rows(log_emission, seen); }

  // ln p(x) by the forward recursion, in T K^2 steps, on the logarithms of
  // alpha_t(k) = P(x_1, ..., x_t, z_t = k).
  Var<T> log_evidence(const Var<T>& scores) const {
    Var<T> log_alpha = log_start + slice(scores, 0, 0, 1);  // (1, K)
    for (Index t = 1; t < scores.shape()[0]; ++t)
      log_alpha = logsumexp(transpose(log_alpha) + log_transition, {0}, /*keepdims=*/true) +
                  slice(scores, 0, t, t + 1);
    return logsumexp(log_alpha);
  }

  // ln p(x, z) of each of the K^T paths z, the last step running fastest: by brute force.   (K^T)
  Tensor<T> log_joint_of_paths(const Tensor<T>& scores) const {
    const Index k = scores.extent(1);
    Tensor<T> table = log_start.value() + slice(scores, 0, 0, 1);  // (paths so far, K)
    for (Index t = 1; t < scores.extent(0); ++t)
      table = (table.reshape({-1, k, 1}) + log_transition.value() + slice(scores, 0, t, t + 1))
                  .reshape({-1, k});
    return table.reshape({-1});
  }

  // E_q[ln p(x, z)] for a q that takes the steps to be independent, q(z) = prod_t q_t(z_t); q holds
  // q_t(k) > 0.   (T, K) -> ()
  Var<T> expected_log_joint(const Var<T>& q, const Var<T>& scores) const {
    const Index n = q.shape()[0];
    const Var<T> first = slice(q, 0, 0, 1);
    const Var<T> now = slice(q, 0, 0, n - 1);
    const Var<T> next = slice(q, 0, 1, n);
    return sum(first * log_start) + sum(matmul(now, log_transition) * next) + sum(q * scores);
  }

  // ELBO(q), for the same q: with the entropies of its steps.   (T, K) -> ()
  Var<T> mean_field_elbo(const Var<T>& q, const Var<T>& scores) const {
    return expected_log_joint(q, scores) - sum(q * log(q));
  }

  // One step of coordinate ascent: the best q_t for all others as they are. E_q[ln p(x, z)] is
  // linear in q_t, g^T q_t + rest, and g^T q_t + entropy(q_t) is largest at q_t = softmax(g).
  // (T, K) -> (T, K)
  Tensor<T> improve(const Tensor<T>& q, Index t, const Tensor<T>& scores) const {
    auto f = [&](const Var<T>& v) { return expected_log_joint(v, scores); };
    const Var<T> g = slice(gradient_at(q, f), 0, t, t + 1);
    const Tensor<T> before = slice(q, 0, 0, t);
    const Tensor<T> after = slice(q, 0, t + 1, q.extent(0));
    return concatenate(std::vector<Tensor<T>>{before, softmax(g).value(), after});
  }
};

// How often the hidden path begins in each state, takes each transition and shows each symbol, on
// average over the paths given what was seen.
template <class T> struct Counts {
  Tensor<T> start;       // (K), adds up to 1
  Tensor<T> transition;  // (K, K), adds up to T - 1
  Tensor<T> emission;    // (V, K), adds up to T
};

// ln p(x, z) contains the logarithm of a probability as often as the path z uses it, so the
// gradient of ln p(x) with respect to that logarithm is its expected count.
template <class T> Counts<T> expected_counts(const Hmm<T>& hmm, const std::vector<Index>& seen) {
  Parameter<T> start("start", hmm.log_start.value());
  Parameter<T> transition("transition", hmm.log_transition.value());
  Parameter<T> emission("emission", hmm.log_emission.value());
  Tape<T> tape;
  const Hmm<T> leaves{start, transition, emission};
  tape.backward(leaves.log_evidence(leaves.scores(seen)));
  return {start.grad, transition.grad, emission.grad};
}

// One step of Baum and Welch, which is EM: each probability becomes its share of the counts.
template <class T> Hmm<T> reestimate(const Hmm<T>& hmm, const std::vector<Index>& seen) {
  const Counts<T> counts = expected_counts(hmm, seen);
  return {log(counts.start / sum(counts.start)),
          log(counts.transition / sum(counts.transition, {1}, /*keepdims=*/true)),
          log(counts.emission / sum(counts.emission, {0}, /*keepdims=*/true))};
}

// The same model with parameters that may be any numbers, for gradient ascent.
template <class T> struct HmmLogits {
  Parameter<T> start, transition, emission;

  explicit HmmLogits(const Hmm<T>& hmm)
      : start("start", hmm.log_start.value()),
        transition("transition", hmm.log_transition.value()),
        emission("emission", hmm.log_emission.value()) {}

  Hmm<T> hmm() const {
    return {log_softmax<T>(start), log_softmax<T>(transition), log_softmax<T>(emission, 0)};
  }

  nn::Parameters<T> parameters() { return {&start, &transition, &emission}; }
};

}  // namespace gradus::lesson11
