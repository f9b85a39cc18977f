#pragma once
#include "autograd/operations.hpp"
#include "tensor/random.hpp"

// Distributions with named parameters, so that a variance cannot be taken for a standard deviation.
// The first axis runs over examples: log_prob, entropy and kl are in nats, per example, summed over
// all other axes, and have shape (N). Parameters broadcast against each other and against x.
namespace gradus::nn {

// Independent normal variables with variance exp(log_var).
template <class T> struct Normal {
  Var<T> mean;
  Var<T> log_var;

  // Zero mean and unit variance, in any shape.
  static Normal standard() { return {0, 0}; }

  Var<T> log_prob(const Var<T>& x) const;
  Var<T> entropy() const;
  // mean + exp(log_var / 2) noise, with standard normal noise: differentiable with respect to both
  // parameters (Kingma and Welling 2014, section 2.4).
  Var<T> sample(Rng& rng) const;
  Var<T> sample(const Tensor<T>& noise) const;
};

// Independent variables in {0, 1}, or grey levels in [0, 1] taken as probabilities of a 1; P(x = 1)
// = sigmoid(logits). Everything is computed from the logits, in which nothing overflows.
template <class T> struct Bernoulli {
  Var<T> logits;

  Var<T> log_prob(const Var<T>& x) const;
  Var<T> entropy() const;
  Var<T> mean() const { return sigmoid(logits); }
  Tensor<T> sample(Rng& rng) const;
};

// One of K classes for each example: P(k) = softmax(logits)_k, with logits of shape (N, K).
template <class T> struct Categorical {
  Var<T> logits;

  // Throws Error when there are not N labels, or one is not in 0, ..., K - 1.
  Var<T> log_prob(const std::vector<Index>& labels) const;
  Var<T> entropy() const;
  std::vector<Index> sample(Rng& rng) const;
};

// KL(p || q) = E_p[ln p(x) - ln q(x)], in closed form.
template <class T> Var<T> kl(const Normal<T>& p, const Normal<T>& q);
template <class T> Var<T> kl(const Bernoulli<T>& p, const Bernoulli<T>& q);
template <class T> Var<T> kl(const Categorical<T>& p, const Categorical<T>& q);

// (N, K) with a 1 in each row where its label says. Throws as Categorical::log_prob.
template <class T> Tensor<T> one_hot(const std::vector<Index>& labels, Index classes);

}  // namespace gradus::nn
