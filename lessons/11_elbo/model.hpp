#pragma once
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/10_kl/model.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "nn/layers.hpp"

// ln p(x) = ELBO + KL(q || posterior), for three models in which all three can be computed: a
// latent number, a latent class, and a latent path through a hidden Markov model.
//
//     N examples, K values of a latent, T steps of a sequence
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
      a = logsumexp(transpose(a) + log_transition, {0}, /*keepdims=*/true) +
          slice(scores, 0, t, t + 1);
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

}  // namespace gradus::lesson11
