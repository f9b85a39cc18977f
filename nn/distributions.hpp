#pragma once
#include <cmath>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "autograd/operations.hpp"
#include "nn/distribution_terms.hpp"
#include "tensor/error.hpp"
#include "tensor/map.hpp"
#include "tensor/math.hpp"
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
//
// 1 / s must be a number of T: of float, log_var lies between -177 and 174, and of double between
// -1419 and 1416.
template <class T> struct Normal {
  Var<T> mean;
  Var<T> log_var;

  // Zero mean and unit variance, a scalar that broadcasts.
  static Normal standard() { return {0, 0}; }

  // ln p(x) = -1/2 (ln 2 pi + ln s^2 + z^2) with z = (x - m) / s
  Var<T> log_prob(const Var<T>& x) const {
    const Var<T> z = (x - mean) * exp(-0.5 * log_var);
    return -0.5 * per_example<T>(kLogTwoPi + log_var + square(z));
  }

  // H = 1/2 (1 + ln 2 pi + ln s^2)
  Var<T> entropy() const {
    return 0.5 * per_example(broadcast_to<T>(1 + kLogTwoPi + log_var, shape()));
  }

  // m + s e with standard normal noise e: differentiable with respect to both parameters (Kingma
  // and Welling 2014, section 2.4).
  Var<T> sample(Rng& rng) const { return sample(rng.normal<T>(shape())); }

  Var<T> sample(const Tensor<T>& noise) const { return mean + exp(0.5 * log_var) * noise; }

  // s^2, in the shape of log_var.
  Var<T> variance() const { return exp(log_var); }

  Shape shape() const { return broadcast_shapes("Normal", mean.shape(), log_var.shape()); }

  static constexpr double kLogTwoPi = 1.8378770664093454836;
};

// KL = 1/2 (r - 1 - ln r + z^2) with r = s_p^2 / s_q^2 and z = (m_p - m_q) / s_q
template <class T> Var<T> kl(const Normal<T>& p, const Normal<T>& q) {
  const Var<T> log_r = p.log_var - q.log_var;
  const Var<T> z = (p.mean - q.mean) * exp(-0.5 * q.log_var);
  return 0.5 * per_example(ratio_minus_1(log_r) - log_r + square(z));
}

// Independent variables in {0, 1}, or grey levels in [0, 1] taken as probabilities of a 1, with
// P(x = 1) = sigmoid(l). Everything is computed from the logits l, in which nothing overflows; they
// may be infinite. What has a probability that T rounds to 0 adds nothing to entropy and KL.
template <class T> struct Bernoulli {
  Var<T> logits;

  // ln p(x) = x ln sigmoid(l) + (1 - x) ln sigmoid(-l)
  Var<T> log_prob(const Var<T>& x) const { return per_example(bernoulli_log_prob(x, logits)); }

  // H = sigmoid(l) ln(1 + e^-l) + sigmoid(-l) ln(1 + e^l), in which nothing cancels
  Var<T> entropy() const {
    const Var<T> one = share(sigmoid(logits), softplus(-logits));
    const Var<T> zero = share(sigmoid(-logits), softplus(logits));
    return per_example(one + zero);
  }

  // The probabilities of a 1, in the shape of the logits.
  Var<T> mean() const { return sigmoid(logits); }

  // P(x = 1) P(x = 0), in the shape of the logits.
  Var<T> variance() const { return sigmoid(logits) * sigmoid(-logits); }

  // Zeros and ones in the shape of the logits. No gradient flows through them.
  Tensor<T> sample(Rng& rng) const {
    return less(rng.uniform<T>(logits.shape()), gradus::sigmoid(logits.value()));
  }
};

// KL = sum_x p(x) (ln p(x) - ln q(x)) over both x
template <class T> Var<T> kl(const Bernoulli<T>& p, const Bernoulli<T>& q) {
  const Var<T> one = share(sigmoid(p.logits), softplus(-q.logits) - softplus(-p.logits));
  const Var<T> zero = share(sigmoid(-p.logits), softplus(q.logits) - softplus(p.logits));
  return per_example(one + zero);
}

// Independent variables on [0, 1] with the density e^(l x) / C(l), C(l) = (e^l - 1) / l: the e^(l
// x) of a Bernoulli, with the constant that makes it a density of grey levels (Loaiza-Ganem and
// Cunningham 2019, whose lambda is sigmoid(l)). Logits must be finite. ln p of a black pixel is
// near ln |l| for l far below 0, so that training on exactly black pixels drives l ever further.
template <class T> struct ContinuousBernoulli {
  Var<T> logits;

  // ln p(x) = x l - ln C(l), for x from 0 to 1.
  Var<T> log_prob(const Var<T>& x) const {
    return per_example(continuous_bernoulli_log_prob(x, logits));
  }

  // 1 / (1 - e^-l) - 1 / l, in the shape of the logits: 1/2 at l = 0, and not sigmoid(l) elsewhere.
  Var<T> mean() const { return continuous_bernoulli_mean(logits); }

  // 1 / l^2 - 1 / (4 sinh^2(l/2)), in the shape of the logits: 1/12 at l = 0.
  Var<T> variance() const { return continuous_bernoulli_variance(logits); }

  // Numbers from 0 to 1 in the shape of the logits, by the inverse of the distribution function,
  // ln(1 + u (e^l - 1)) / l of a uniform number u. No gradient flows through them.
  Tensor<T> sample(Rng& rng) const {
    // Drawn for -|l|, in which nothing overflows; where l > 0, 1 - x is what x is for -l.
    auto draw = [](T u, T l) {
      const T size = std::fabs(l);
      const T below = size == 0 ? u : -math::log1p(u * math::expm1(-size)) / size;
      const T x = below < 1 ? below : T(1);
      return l > 0 ? 1 - x : x;
    };
    return zip("ContinuousBernoulli", rng.uniform<T>(logits.shape()), logits.value(), draw);
  }
};

// Throws Error, naming `caller`, when a label is not in 0, ..., K - 1.
inline void check_labels(const char* caller, const std::vector<Index>& labels, Index classes) {
  for (Index label : labels)
    if (label < 0 || label >= classes)
      fail("{}: label {} is not in 0, ..., {}", caller, label, classes - 1);
}

// (N, K) with a 1 in each row where its label says. Throws Error when one is not in 0, ..., K - 1.
template <class T> Tensor<T> one_hot(const std::vector<Index>& labels, Index classes) {
  check_labels("one_hot", labels, classes);
  const Index n = std::ssize(labels);
  Tensor<T> result({n, classes});
  T* rows = result.mutable_data();
  for (Index i = 0; i < n; ++i) rows[i * classes + labels[i]] = 1;
  return result;
}

// One of K classes for each example: P(k) = softmax(logits)_k, with logits of shape (N, K). A class
// with a logit of -infinity is ruled out; what has a probability that T rounds to 0 adds nothing to
// entropy and KL.
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
    const Index classes = log_p.shape()[1];
    check_labels("Categorical", labels, classes);

    // Row by row, ln P(k) of example i is number i K + k.
    std::vector<Index> places;
    for (Index i = 0; i < std::ssize(labels); ++i) places.push_back(i * classes + labels[i]);
    return gather_rows(reshape(log_p, {log_p.value().size()}), std::move(places));
  }

  // H = -sum_k P(k) ln P(k)
  Var<T> entropy() const {
    const Var<T> log_p = log_probs();
    return -sum(share(exp(log_p), log_p), {1});
  }

  // N labels: of each example the class at which the running sum of probabilities passes a uniform
  // number. Where rounding has left the sum below that number, it is the last class with a
  // probability above 0. Throws Error when there is none.
  std::vector<Index> sample(Rng& rng) const {
    const Tensor<T> p = gradus::exp(log_probs().value());  // (N, K)
    const Index classes = p.shape()[1];
    std::vector<Index> labels;
    for (Index i = 0; i < p.shape()[0]; ++i) {
      const std::optional<Index> label = draw(p.data() + i * classes, classes, rng.uniform());
      if (!label) fail("Categorical: no class of example {} has a probability above 0", i);
      labels.push_back(*label);
    }
    return labels;
  }

 private:
  // The first class at which the running sum of p passes `left`, from which each class takes its
  // share; where none does, the last one with p > 0.
  static std::optional<Index> draw(const T* p, Index classes, double left) {
    std::optional<Index> label;
    for (Index k = 0; k < classes; ++k) {
      if (p[k] > 0) label = k;
      left -= p[k];
      if (left < 0) break;
    }
    return label;
  }
};

// KL = sum_k p_k (ln p_k - ln q_k): infinite where q rules out a class that p does not.
template <class T> Var<T> kl(const Categorical<T>& p, const Categorical<T>& q) {
  const Var<T> log_p = p.log_probs();
  return sum(share(exp(log_p), log_p - q.log_probs()), {1});
}

}  // namespace gradus::nn
