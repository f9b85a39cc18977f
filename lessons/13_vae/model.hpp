#pragma once
#include <cmath>

#include "nn/distributions.hpp"
#include "nn/layers.hpp"

// The variational autoencoder (Kingma and Welling 2014).
//
//     N images in a batch, D pixels, H hidden units, K latent dimensions
//
// Templates on T: the program trains in float, the test checks the gradients of this very code in
// double.
namespace gradus {

// The two parts of the evidence lower bound, per image, in nats:
//     ln p(x) >= E_q(z|x)[ln p(x|z)] - KL(q(z|x) || p(z))
template <class T> struct Elbo {
  Var<T> reconstruction;  // (N): ln p(x|z) for one z drawn from q(z|x)
  Var<T> kl;              // (N)

  Var<T> total() const { return reconstruction - kl; }  // (N)
};

template <class T> class Vae {
 public:
  Vae(Index pixels, Index hidden, Index latents, Rng& rng)
      : latents_(latents),
        encoder_("encoder", pixels, hidden, rng),
        to_mean_("to_mean", hidden, latents, rng),
        to_log_var_("to_log_var", hidden, latents, rng),
        decoder_("decoder", latents, hidden, rng),
        to_logits_("to_logits", hidden, pixels, rng) {}

  // q(z|x): (N, D) -> normal over (N, K).
  nn::Normal<T> encode(const Var<T>& x) const {
    const Var<T> h = relu(encoder_(x));  // (N, H)
    return {to_mean_(h), to_log_var_(h)};
  }

  // p(x|z): (N, K) -> Bernoulli over (N, D).
  nn::Bernoulli<T> decode(const Var<T>& z) const { return {to_logits_(relu(decoder_(z)))}; }

  // The ELBO of each image, with the noise that draws z from q(z|x); noise is (N, K).
  Elbo<T> elbo(const Tensor<T>& x, const Tensor<T>& noise) const {
    const nn::Normal<T> q = encode(x);
    const Var<T> z = q.sample(noise);
    return {decode(z).log_prob(x), kl(q, nn::Normal<T>::standard())};
  }
  Elbo<T> elbo(const Tensor<T>& x, Rng& rng) const {
    return elbo(x, rng.normal<T>({x.extent(0), latents_}));
  }

  Index latents() const { return latents_; }
  nn::Parameters<T> parameters() {
    return nn::parameters<T>(encoder_, to_mean_, to_log_var_, decoder_, to_logits_);
  }

 private:
  Index latents_;
  nn::Linear<T> encoder_, to_mean_, to_log_var_, decoder_, to_logits_;
};

// a ln b, and 0 where a = 0.
inline double xlogy(double a, double b) { return a == 0 ? 0 : a * std::log(b); }

// What no decoder of grey levels can beat: the mean over images of sum_d H(x_d), with the entropy
// H(p) = -p ln p - (1 - p) ln(1 - p). A pixel's cross-entropy is least where the model says x_d.
template <class T> double entropy_of_pixels(const Tensor<T>& x) {
  double total = 0;
  for (double p : x) total -= xlogy(p, p) + xlogy(1 - p, 1 - p);
  return total / static_cast<double>(x.extent(0));
}

// What a VAE gets when all its latents are dead: the same probabilities for every image, at best
// the mean pixels of the training set. Linear in x, so the mean test image is enough.
template <class T>
double negative_log_likelihood_of_means(const Tensor<T>& train, const Tensor<T>& test) {
  const Tensor<T> p = mean(train, {0}), x = mean(test, {0});
  double total = 0;
  for (Index d = 0; d < p.size(); ++d) total -= xlogy(x(d), p(d)) + xlogy(1 - x(d), 1 - p(d));
  return total;
}

}  // namespace gradus
