#pragma once
#include <cmath>
#include <numbers>
#include <vector>

#include "lessons/13_vae/model.hpp"
#include "nn/distributions.hpp"
#include "nn/parameters.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/random.hpp"

// Lesson 13's layers with a choice of noise models p(x|z), and what a noise model is worth as a
// code for 8-bit images.
//
//     N images in a batch, D pixels, H hidden units, K latent dimensions
namespace gradus::lesson16 {

using lesson13::Elbo;

// What a pixel is, given the number a that the decoder's last layer has for it.
enum class Noise {
  kBernoulli,            // 1 with probability sigmoid(a)
  kFixedNormal,          // normal around a with a variance sigma^2 that is given
  kLearnedNormal,        // the same with one sigma^2 for all pixels, which is trained
  kNormalPerPixel,       // the same with a sigma^2 of its own for each of the D pixels
  kContinuousBernoulli,  // a grey level with the density e^(a x) / C(a)
};

template <class T> class NoisyVae {
 public:
  NoisyVae(Noise noise, double variance, Index pixels, Index hidden, Index latents, Rng& rng)
      : noise_(noise),
        layers_(pixels, hidden, latents, rng),
        log_var_("log_var", full<T>({noise == Noise::kNormalPerPixel ? pixels : 1},
                                    static_cast<T>(std::log(variance)))) {}

  nn::Normal<T> encode(const Var<T>& x) const { return layers_.encode(x); }

  // The numbers a of the last layer: (N, K) -> (N, D).
  Var<T> activations(const Var<T>& z) const { return layers_.decode(z).logits; }

  // ln p(x|z) of images x (N, D), from a (N, D).  (N)
  Var<T> log_prob(const Var<T>& a, const Tensor<T>& x) const {
    switch (noise_) {
      case Noise::kBernoulli:
        return nn::Bernoulli<T>{a}.log_prob(x);
      case Noise::kContinuousBernoulli:
        return nn::ContinuousBernoulli<T>{a}.log_prob(x);
      default:
        return normal(a).log_prob(x);
    }
  }

  // E[x|z], from a.  (N, D)
  Tensor<T> mean(const Tensor<T>& a) const {
    switch (noise_) {
      case Noise::kBernoulli:
        return nn::Bernoulli<T>{a}.mean().value();
      case Noise::kContinuousBernoulli:
        return nn::ContinuousBernoulli<T>{a}.mean().value();
      default:
        return a;
    }
  }

  // A draw from p(x|z), from a.  (N, D)
  Tensor<T> draw(const Tensor<T>& a, Rng& rng) const {
    switch (noise_) {
      case Noise::kBernoulli:
        return nn::Bernoulli<T>{a}.sample(rng);
      case Noise::kContinuousBernoulli:
        return nn::ContinuousBernoulli<T>{a}.sample(rng);
      default:
        return normal(a).sample(rng.normal<T>(a.shape())).value();
    }
  }

  // The ELBO of each image, with noise (N, K).
  Elbo<T> elbo(const Tensor<T>& x, const Tensor<T>& noise) const {
    const nn::Normal<T> q = encode(x);
    const Var<T> a = activations(q.sample(noise));
    return {log_prob(a, x), kl(q, nn::Normal<T>::standard())};
  }

  Elbo<T> elbo(const Tensor<T>& x, Rng& rng) const {
    return elbo(x, rng.normal<T>({x.extent(0), layers_.latents()}));
  }

  Noise noise() const { return noise_; }

  Index latents() const { return layers_.latents(); }

  // sigma^2 of the normal ones: (1), or (D) where each pixel has its own.
  Tensor<T> variances() const { return exp(log_var_.value()); }

  nn::Parameters<T> parameters() {
    nn::Parameters<T> all = layers_.parameters();
    if (learns_variance()) all.push_back(&log_var_);
    return all;
  }

 private:
  bool learns_variance() const {
    return noise_ == Noise::kLearnedNormal || noise_ == Noise::kNormalPerPixel;
  }

  nn::Normal<T> normal(const Var<T>& a) const {
    if (learns_variance()) return {a, log_var_};
    return {a, log_var_.value()};
  }

  Noise noise_;
  lesson13::Vae<T> layers_;
  Parameter<T> log_var_;  // (1) or (D): ln sigma^2 of the normal ones
};

// ---- Code lengths ------------------------------------------------------------------------------

// An 8-bit pixel has one of these many levels.
inline constexpr int kLevels = 256;

// ln(Phi(b) - Phi(a)), the mass of a standard normal variable between a < b, which may be infinite.
//
// Where both are on one side, what is subtracted are two tails, which are small. From 25 deviations
// on, the tail beyond a is the density at a divided by a, to one part in 600.
inline double log_normal_mass(double a, double b) {
  if (b <= 0) return log_normal_mass(-b, -a);
  if (a > 25) {
    const double log_tail = -0.5 * (a * a + std::log(2 * std::numbers::pi)) - std::log(a);
    return log_tail + std::log(-std::expm1(-a * (b - a)));
  }
  const auto tail = [](double t) { return 0.5 * std::erfc(t / std::numbers::sqrt2); };
  if (a >= 0) return std::log(tail(a) - tail(b));
  return std::log1p(-tail(b) - tail(-a));
}

// ln of the probability of level k, when a pixel k / 255 is normal with mean m and deviation s: the
// mass between (k - 1/2) / 255 and (k + 1/2) / 255. Level 0 has all that is below, and 255 all that
// is above, so that the 256 probabilities add up to 1.
inline double log_prob_of_level_normal(int k, double m, double s) {
  const double low = k == 0 ? -INFINITY : ((k - 0.5) / 255 - m) / s;
  const double high = k == kLevels - 1 ? INFINITY : ((k + 0.5) / 255 - m) / s;
  return log_normal_mass(low, high);
}

// ln of the probability of level k, when it is proportional to e^(t k), k = 0, ..., 255:
//     t k - ln((e^(256 t) - 1) / (e^t - 1))
// A Bernoulli's e^(l x) has t = l / 255 at the levels x = k / 255. A continuous Bernoulli's
// density, over the cell from k / 256 to (k + 1) / 256, has t = l / 256. For t > 0 it is that of
// 255 - k with -t, in which nothing overflows.
inline double log_prob_of_level_exponential(int k, double t) {
  if (t > 0) return log_prob_of_level_exponential(kLevels - 1 - k, -t);
  if (t > -1e-12) return -std::log(static_cast<double>(kLevels));
  return t * k - std::log(std::expm1(kLevels * t) / std::expm1(t));
}

// ---- Converter ---------------------------------------------------------------------------------

// "Squared error averaged over D pixels plus w KL" is -ELBO times 2 sigma^2 / D, but for a
// constant, with this sigma^2.
inline double variance_of_mean_squared_error(double w, double pixels) { return w * pixels / 2; }

// "c times the cross-entropy averaged over D pixels plus KL" is, times D / c, the cross-entropy of
// an image plus beta KL with this beta.
inline double beta_of_mean_cross_entropy(double c, double pixels) { return pixels / c; }

// -ln p of an image of D pixels with mean squared error e under independent normal pixels with the
// best variance, which is e.
inline double best_normal_nll(double e, double pixels) {
  return 0.5 * pixels * (1 + std::log(2 * std::numbers::pi * e));
}

}  // namespace gradus::lesson16
