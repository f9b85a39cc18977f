#include "nn/distributions.hpp"

#include <numbers>

#include "nn/layers.hpp"

namespace gradus::nn {
namespace {

constexpr double kLogTwoPi = 1.8378770664093454836;

// (N, ...) -> (N): the sum over every axis but the first.
template <class T> Var<T> per_example(const Var<T>& x) {
  Axes axes;
  for (int k = 1; k < x.shape().rank(); ++k) axes.push_back(k);
  return axes.empty() ? x : sum(x, axes);
}

template <class T> Var<T> log_probabilities(const Categorical<T>& p) {
  if (p.logits.shape().rank() != 2)
    fail("Categorical: logits of shape {}; they must be (N, K)", p.logits.shape());
  return log_softmax(p.logits);
}

}  // namespace

// ln N(x; m, s^2) = -1/2 (ln 2 pi + ln s^2 + (x - m)^2 / s^2)
template <class T> Var<T> Normal<T>::log_prob(const Var<T>& x) const {
  return T(-0.5) * per_example<T>(kLogTwoPi + log_var + square(x - mean) * exp(-log_var));
}

// H = 1/2 (1 + ln 2 pi + ln s^2)
template <class T> Var<T> Normal<T>::entropy() const {
  const Shape shape = broadcast("Normal", mean.shape(), log_var.shape());
  return T(0.5) * per_example<T>(broadcast_to(1 + kLogTwoPi + log_var, shape));
}

template <class T> Var<T> Normal<T>::sample(Rng& rng) const {
  return sample(rng.normal<T>(broadcast("Normal", mean.shape(), log_var.shape())));
}

template <class T> Var<T> Normal<T>::sample(const Tensor<T>& noise) const {
  return mean + exp(T(0.5) * log_var) * noise;
}

// KL = 1/2 (s_p^2 / s_q^2 - 1 - ln(s_p^2 / s_q^2) + (m_p - m_q)^2 / s_q^2)
template <class T> Var<T> kl(const Normal<T>& p, const Normal<T>& q) {
  const Var<T> log_ratio = p.log_var - q.log_var;
  const Var<T> shift = square(p.mean - q.mean) * exp(-q.log_var);
  return T(0.5) * per_example<T>(expm1(log_ratio) - log_ratio + shift);
}

// ln p(x) = x ln sigmoid(l) + (1 - x) ln sigmoid(-l) = x l - ln(1 + e^l)
template <class T> Var<T> Bernoulli<T>::log_prob(const Var<T>& x) const {
  return per_example(x * logits - softplus(logits));
}

// H = sigmoid(l) ln(1 + e^-l) + sigmoid(-l) ln(1 + e^l), in which nothing cancels
template <class T> Var<T> Bernoulli<T>::entropy() const {
  return per_example(sigmoid(logits) * softplus(-logits) + sigmoid(-logits) * softplus(logits));
}

template <class T> Tensor<T> Bernoulli<T>::sample(Rng& rng) const {
  return less(rng.uniform<T>(logits.shape()), gradus::sigmoid(logits.value()));
}

template <class T> Var<T> kl(const Bernoulli<T>& p, const Bernoulli<T>& q) {
  const Var<T> one = sigmoid(p.logits) * (softplus(-q.logits) - softplus(-p.logits));
  const Var<T> zero = sigmoid(-p.logits) * (softplus(q.logits) - softplus(p.logits));
  return per_example(one + zero);
}

template <class T> Var<T> Categorical<T>::log_prob(const std::vector<Index>& labels) const {
  const Var<T> log_p = log_probabilities(*this);
  if (std::ssize(labels) != logits.shape()[0])
    fail("Categorical: {} labels for logits of shape {}", labels.size(), logits.shape());
  return sum(log_p * one_hot<T>(labels, logits.shape()[1]), {1});
}

template <class T> Var<T> Categorical<T>::entropy() const {
  const Var<T> log_p = log_probabilities(*this);
  return -sum(exp(log_p) * log_p, {1});
}

// The class at which the running sum of probabilities passes a uniform number.
template <class T> std::vector<Index> Categorical<T>::sample(Rng& rng) const {
  const Tensor<T> p = gradus::exp(log_probabilities(*this).value());
  const Index n = p.shape()[0], classes = p.shape()[1];
  std::vector<Index> labels(n);
  for (Index i = 0; i < n; ++i) {
    double u = rng.uniform();
    while (labels[i] < classes - 1 && (u -= p(i, labels[i])) >= 0) ++labels[i];
  }
  return labels;
}

template <class T> Var<T> kl(const Categorical<T>& p, const Categorical<T>& q) {
  const Var<T> log_p = log_probabilities(p);
  return sum(exp(log_p) * (log_p - log_probabilities(q)), {1});
}

template <class T> Tensor<T> one_hot(const std::vector<Index>& labels, Index classes) {
  return gradus::rows(identity<T>(classes), labels);
}

#define GRADUS_INSTANTIATE(T)                                       \
  template struct Normal<T>;                                        \
  template struct Bernoulli<T>;                                     \
  template struct Categorical<T>;                                   \
  template Var<T> kl(const Normal<T>&, const Normal<T>&);           \
  template Var<T> kl(const Bernoulli<T>&, const Bernoulli<T>&);     \
  template Var<T> kl(const Categorical<T>&, const Categorical<T>&); \
  template Tensor<T> one_hot(const std::vector<Index>&, Index);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus::nn
