#pragma once
#include <vector>

#include "autograd/operations.hpp"
#include "tensor/random.hpp"

// Distributions with named parameters, so that a variance cannot be taken for a standard deviation.
// The first axis runs over examples: log_prob, entropy and kl are in nats, per example, summed over
// all other axes, and have shape (N). Parameters broadcast against each other and against x.
// kl(p, q) is KL(p || q) = E_p[ln p(x) - ln q(x)], in closed form.
//
// A distribution holds Vars: one that is made of Parameters is made anew beneath each tape.
namespace gradus::nn {

// (N, ...) -> (N): the sum over every axis but the first.
template <class T> Var<T> per_example(const Var<T>& x) {
  Axes axes;
  for (int k = 1; k < x.shape().rank(); ++k) axes.push_back(k);
  return axes.empty() ? x : sum(x, axes);
}

// Independent normal variables with mean m and variance s^2 = exp(log_var).
template <class T> struct Normal {
  Var<T> mean;
  Var<T> log_var;

  // Zero mean and unit variance, a scalar that broadcasts.
  static Normal standard() { return {0, 0}; }

  // ln p(x) = -1/2 (ln 2 pi + ln s^2 + (x - m)^2 / s^2)
  Var<T> log_prob(const Var<T>& x) const {
    return -0.5 * per_example<T>(kLogTwoPi + log_var + square(x - mean) * exp(-log_var));
  }

  // H = 1/2 (1 + ln 2 pi + ln s^2)
  Var<T> entropy() const {
    return 0.5 * per_example(broadcast_to<T>(1 + kLogTwoPi + log_var, shape()));
  }

  // m + s e with standard normal noise e: differentiable with respect to both parameters (Kingma
  // and Welling 2014, section 2.4).
  Var<T> sample(Rng& rng) const { return sample(rng.normal<T>(shape())); }

  Var<T> sample(const Tensor<T>& noise) const { return mean + exp(0.5 * log_var) * noise; }

  Shape shape() const { return broadcast_shapes("Normal", mean.shape(), log_var.shape()); }

  static constexpr double kLogTwoPi = 1.8378770664093454836;
};

// KL = 1/2 (r - 1 - ln r + (m_p - m_q)^2 / s_q^2) with r = s_p^2 / s_q^2
template <class T> Var<T> kl(const Normal<T>& p, const Normal<T>& q) {
  const Var<T> log_r = p.log_var - q.log_var;
  return 0.5 * per_example(expm1(log_r) - log_r + square(p.mean - q.mean) * exp(-q.log_var));
}

// Independent variables in {0, 1}, or grey levels in [0, 1] taken as probabilities of a 1, with
// P(x = 1) = sigmoid(l). Everything is computed from the logits l, in which nothing overflows.
template <class T> struct Bernoulli {
  Var<T> logits;

  // ln p(x) = x ln sigmoid(l) + (1 - x) ln sigmoid(-l) = x l - ln(1 + e^l)
  Var<T> log_prob(const Var<T>& x) const { return per_example(x * logits - softplus(logits)); }

  // H = sigmoid(l) ln(1 + e^-l) + sigmoid(-l) ln(1 + e^l), in which nothing cancels
  Var<T> entropy() const {
    return per_example(sigmoid(logits) * softplus(-logits) + sigmoid(-logits) * softplus(logits));
  }

  // The probabilities of a 1, in the shape of the logits.
  Var<T> mean() const { return sigmoid(logits); }

  // Zeros and ones in the shape of the logits. No gradient flows through them.
  Tensor<T> sample(Rng& rng) const {
    return less(rng.uniform<T>(logits.shape()), gradus::sigmoid(logits.value()));
  }
};

template <class T> Var<T> kl(const Bernoulli<T>& p, const Bernoulli<T>& q) {
  const Var<T> one = sigmoid(p.logits) * (softplus(-q.logits) - softplus(-p.logits));
  const Var<T> zero = sigmoid(-p.logits) * (softplus(q.logits) - softplus(p.logits));
  return per_example(one + zero);
}

// (N, K) with a 1 in each row where its label says. Throws Error when one is not in 0, ..., K - 1.
template <class T> Tensor<T> one_hot(const std::vector<Index>& labels, Index classes) {
  return gradus::gather_rows(identity<T>(classes), labels);
}

// One of K classes for each example: P(k) = softmax(logits)_k, with logits of shape (N, K).
template <class T> struct Categorical {
  Var<T> logits;

  // ln P(k), (N, K). Throws Error unless the logits are a matrix.
  Var<T> log_probs() const {
    if (logits.shape().rank() != 2)
      fail("Categorical: logits of shape {}; they must be (N, K)", logits.shape());
    return log_softmax(logits);
  }

  // Throws Error when there are not N labels, or one is not in 0, ..., K - 1.
  Var<T> log_prob(const std::vector<Index>& labels) const {
    const Var<T> log_p = log_probs();  // (N, K)
    if (std::ssize(labels) != log_p.shape()[0])
      fail("Categorical: {} labels for logits of shape {}", labels.size(), logits.shape());
    return sum(log_p * one_hot<T>(labels, log_p.shape()[1]), {1});
  }

  // H = -sum_k P(k) ln P(k)
  Var<T> entropy() const {
    const Var<T> log_p = log_probs();
    return -sum(exp(log_p) * log_p, {1});
  }

  // N labels: of each example the class at which the running sum of probabilities passes a uniform
  // number.
  std::vector<Index> sample(Rng& rng) const {
    const Tensor<T> p = gradus::exp(log_probs().value());  // (N, K)
    const Index classes = p.shape()[1];
    std::vector<Index> labels;
    for (Index i = 0; i < p.shape()[0]; ++i) {
      double left = rng.uniform();
      Index label = 0;
      while (label < classes - 1) {
        left -= p(i, label);
        if (left < 0) break;
        ++label;
      }
      labels.push_back(label);
    }
    return labels;
  }
};

// KL = sum_k p_k (ln p_k - ln q_k)
template <class T> Var<T> kl(const Categorical<T>& p, const Categorical<T>& q) {
  const Var<T> log_p = p.log_probs();
  return sum(exp(log_p) * (log_p - q.log_probs()), {1});
}

}  // namespace gradus::nn
