#pragma once
#include <vector>

#include "lessons/11_elbo/model.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// Other ways to what the tape finds in a hidden Markov model.
//
//     T steps, K states
namespace gradus::lesson11 {

// P(z_t = k | x) by the forward-backward algorithm, written out without a tape (Rabiner 1989,
// equations 19 to 27): forward and backward probabilities, each step divided by its sum.   (T, K)
template <class T> Tensor<T> forward_backward(const Hmm<T>& hmm, const Tensor<T>& scores) {
  const Index n = scores.extent(0);
  const Tensor<T> transition = exp(hmm.log_transition);
  const Tensor<T> emission = exp(scores);
  auto row = [&](Index t) { return slice(emission, 0, t, t + 1); };
  auto normalized = [](const Tensor<T>& x) { return x / sum(x); };

  std::vector<Tensor<T>> forward(n);  // (1, K) each
  forward[0] = normalized(exp(hmm.log_start) * row(0));
  for (Index t = 1; t < n; ++t)
    forward[t] = normalized(matmul(forward[t - 1], transition) * row(t));

  std::vector<Tensor<T>> backward(n);
  backward[n - 1] = full<T>(row(0).shape(), 1);
  for (Index t = n - 2; t >= 0; --t)
    backward[t] = normalized(matmul_nt(backward[t + 1] * row(t + 1), transition));

  std::vector<Tensor<T>> posterior(n);
  for (Index t = 0; t < n; ++t) posterior[t] = normalized(forward[t] * backward[t]);
  return concatenate(posterior);
}

// P(z_t = k | x) from ln p(x, z) of all K^T paths: the probabilities of those that are in k at t,
// added up.   (T, K)
template <class T>
Tensor<T> marginals_of_paths(const Tensor<T>& log_joint, Index steps, Index states) {
  const Tensor<T> path = exp(log_joint - logsumexp(log_joint));
  std::vector<Tensor<T>> rows;
  Index before = 1;  // the number of ways to the state at t
  for (Index t = 0; t < steps; ++t) {
    rows.push_back(sum(path.reshape({before, states, -1}), {0, 2}).reshape({1, states}));
    before *= states;
  }
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
