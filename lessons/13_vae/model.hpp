#pragma once
#include "lessons/common/examples.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

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

  // The encoder's parameters.
  nn::Parameters<T> phi() { return nn::parameters<T>(encoder_, to_mean_, to_log_var_); }

  nn::Parameters<T> parameters() {
    return nn::parameters<T>(encoder_, to_mean_, to_log_var_, decoder_, to_logits_);
  }

 private:
  Index latents_;
  nn::Linear<T> encoder_, to_mean_, to_log_var_, decoder_, to_logits_;
};

// The ELBO's parts, averaged over a set of images, in nats per image.
struct ElboMeans {
  double reconstruction = 0;  // ln p(x|z)
  double kl = 0;

  double negative_elbo() const { return kl - reconstruction; }
};

// How many images are evaluated at a time. No tape is alive then: this only computes.
inline constexpr Index kEvaluatedAtOnce = 1000;

// The ELBO of a model, by one z for each image.
template <class T> ElboMeans evaluate(const Vae<T>& vae, const Tensor<T>& images, Rng rng) {
  ElboMeans total;
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Elbo<T> part = vae.elbo(x, rng);
        total.reconstruction += sum(part.reconstruction).item();
        total.kl += sum(part.kl).item();
      },
      kEvaluatedAtOnce);
  const double n = static_cast<double>(images.extent(0));
  return {total.reconstruction / n, total.kl / n};
}

// The mean over images of ln p(x|z) at z = m(x), in nats: what an autoencoder is worth.
template <class T> double mean_log_prob_at_mean(const Vae<T>& vae, const Tensor<T>& images) {
  double total = 0;
  in_parts(
      images, [&](const Tensor<T>& x) { total += sum(vae.log_prob_at_mean(x)).item(); },
      kEvaluatedAtOnce);
  return total / static_cast<double>(images.extent(0));
}

// n images on the straight line from the code of the first of two images (2, D) to that of the
// other.
template <class T> Tensor<T> interpolate(const Vae<T>& vae, const Tensor<T>& ends, Index n) {
  const Tensor<T> codes = vae.encode(ends).mean.value();  // (2, K)
  return vae.decoded(points_between(codes, n));
}

}  // namespace gradus::lesson13
