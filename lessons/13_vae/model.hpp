#pragma once
#include <cmath>

#include "nn/distributions.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/random.hpp"

// The variational autoencoder (Kingma and Welling 2014).
//
//     N images in a batch, D pixels, H hidden units, K latent dimensions
//
// Templates on T: the program trains in float, the test checks the gradients of this very code in
// double.
namespace gradus::lesson13 {

// The two parts of the evidence lower bound, per image, in nats:
//     ln p(x) >= E_q(z|x)[ln p(x|z)] - KL(q(z|x) || p(z))
template <class T> struct Elbo {
  Var<T> reconstruction;  // (N): ln p(x|z) for one z drawn from q(z|x)
  Var<T> kl;              // (N)

  Var<T> total() const { return reconstruction - kl; }  // (N)
};

// What is maximised: the ELBO, or ln p(x|z) at the code alone, by which the same layers become a
// plain autoencoder.
enum class Objective { kElbo, kReconstruction };

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

  // The mean of p(x|z), as images: (N, K) -> (N, D).
  Tensor<T> decoded(const Tensor<T>& z) const { return decode(z).mean().value(); }

  // ln p(x|z) at z = m(x): what an autoencoder of the same layers is trained by. No bound.  (N)
  Var<T> log_prob_at_mean(const Tensor<T>& x) const { return decode(encode(x).mean).log_prob(x); }

  // What training maximises the mean of.  (N, D) -> (N)
  Var<T> per_image_objective(Objective what, const Tensor<T>& x, Rng& rng) const {
    if (what == Objective::kElbo) return elbo(x, rng).total();
    return log_prob_at_mean(x);
  }

  // z without an image, from p(z), and z for an image, from q(z|x): (N, K).
  Tensor<T> sample_prior(Index n, Rng& rng) const { return rng.normal<T>({n, latents_}); }

  Tensor<T> sample_posterior(const Tensor<T>& x, Rng& rng) const {
    return encode(x).sample(rng).value();
  }

  Index latents() const { return latents_; }

  // The encoder's parameters, and the decoder's.
  nn::Parameters<T> phi() { return nn::parameters<T>(encoder_, to_mean_, to_log_var_); }

  nn::Parameters<T> theta() { return nn::parameters<T>(decoder_, to_logits_); }

  nn::Parameters<T> parameters() {
    return nn::parameters<T>(encoder_, to_mean_, to_log_var_, decoder_, to_logits_);
  }

 private:
  Index latents_;
  nn::Linear<T> encoder_;     // D -> H
  nn::Linear<T> to_mean_;     // H -> K
  nn::Linear<T> to_log_var_;  // H -> K
  nn::Linear<T> decoder_;     // K -> H
  nn::Linear<T> to_logits_;   // H -> D
};

// The same layers with another noise model: a pixel is normal around what the last layer says, with
// one variance sigma^2 for all pixels of all images, which is trained as well.
template <class T> class GaussianVae {
 public:
  GaussianVae(Index pixels, Index hidden, Index latents, Rng& rng)
      : layers_(pixels, hidden, latents, rng), log_var_("log_var", Tensor<T>({1})) {}

  // p(x|z): (N, K) -> normal over (N, D).
  nn::Normal<T> decode(const Var<T>& z) const { return {layers_.decode(z).logits, log_var_}; }

  // The ELBO of each image, with noise (N, K).
  Elbo<T> elbo(const Tensor<T>& x, const Tensor<T>& noise) const {
    const nn::Normal<T> q = layers_.encode(x);
    const Var<T> z = q.sample(noise);
    return {decode(z).log_prob(x), kl(q, nn::Normal<T>::standard())};
  }

  Elbo<T> elbo(const Tensor<T>& x, Rng& rng) const {
    return elbo(x, rng.normal<T>({x.extent(0), layers_.latents()}));
  }

  Tensor<T> sample_posterior(const Tensor<T>& x, Rng& rng) const {
    return layers_.sample_posterior(x, rng);
  }

  Var<T> per_image_objective(Objective, const Tensor<T>& x, Rng& rng) const {
    return elbo(x, rng).total();
  }

  double variance() const { return std::exp(static_cast<double>(log_var_.value().item())); }

  void set_variance(double variance) {
    log_var_.set_value(full<T>({1}, static_cast<T>(std::log(variance))));
  }

  nn::Parameters<T> parameters() {
    nn::Parameters<T> all = layers_.parameters();
    all.push_back(&log_var_);
    return all;
  }

 private:
  Vae<T> layers_;
  Parameter<T> log_var_;  // (1): ln sigma^2
};

}  // namespace gradus::lesson13
