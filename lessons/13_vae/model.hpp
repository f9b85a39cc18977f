#pragma once
#include <cmath>
#include <limits>

#include "autograd/tape.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "nn/layers.hpp"

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

  Elbo<T> objective(Objective what, const Tensor<T>& x, Rng& rng) const {
    if (what == Objective::kElbo) return elbo(x, rng);
    return {log_prob_at_mean(x), Tensor<T>({x.extent(0)})};
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
struct Score {
  double reconstruction = 0, kl = 0;

  double negative_elbo() const { return kl - reconstruction; }
};

// Scores a model by one z for each image, in parts of 1,000. No tape is alive: this only computes.
template <class T>
Score evaluate(const Vae<T>& vae, Objective what, const Tensor<T>& images, Rng rng) {
  Score total;
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Elbo<T> part = vae.objective(what, x, rng);
        total.reconstruction += sum(part.reconstruction).item();
        total.kl += sum(part.kl).item();
      },
      1000);
  const double n = static_cast<double>(images.extent(0));
  return {total.reconstruction / n, total.kl / n};
}

// E[z_k^2] of each latent, over images and over q(z|x): the mean of m^2 + s^2.  (K)
//
// Write latent k on another scale: a m and a s, and the decoder's weights for it divided by a. What
// is decoded stays as it is, and the KL becomes the mean of 1/2 (a^2 (m^2 + s^2) - 1 - ln(a^2
// s^2)), whose slope at a = 1 is E[z_k^2] - 1. So wherever training comes to rest, E[z_k^2] = 1.
template <class T> Tensor<T> second_moments(const Vae<T>& vae, const Tensor<T>& x) {
  const nn::Normal<T> q = vae.encode(x);
  return mean(square(q.mean.value()) + exp(q.log_var.value()), {0});
}

// How far the decoded mean of an image moves, per pixel and squared, when noise of standard
// deviation `sigma` is added to the image.
template <class T>
double moved_by_noise(const Vae<T>& vae, const Tensor<T>& x, double sigma, Rng& rng) {
  auto decoded = [&](const Tensor<T>& images) {
    return vae.decoded(vae.encode(images).mean.value());
  };
  double total = 0;
  in_parts(
      x,
      [&](const Tensor<T>& part) {
        const Tensor<T> noisy = part + rng.normal<T>(part.shape()) * static_cast<T>(sigma);
        total += sum(square(decoded(noisy) - decoded(part))).item();
      },
      1000);
  return total / static_cast<double>(x.size());
}

// n images on the straight line from the code of the first of two images (2, D) to that of the
// other.
template <class T> Tensor<T> interpolate(const Vae<T>& vae, const Tensor<T>& ends, Index n) {
  const Tensor<T> t = (arange<T>(n) / static_cast<T>(n - 1)).reshape({n, 1});
  const Tensor<T> codes = vae.encode(ends).mean.value();  // (2, K)
  return vae.decoded(matmul(concatenate(std::vector{T(1) - t, t}, 1), codes));
}

// Lesson 11's model, z ~ q = N(m, s^2) = N(0.5, 0.25) and x = 1.5 ~ N(2z, 1): by how much ln p(x|m)
// is above E_q[ln p(x|z)]. A quadratic function of z has the mean of its values at m +- s.
inline double decoding_bias_of_lesson_11() {
  auto log_p = [](double z) { return nn::Normal<double>{2 * z, 0}.log_prob(1.5).item(); };
  return log_p(0.5) - (log_p(0.5 + 0.5) + log_p(0.5 - 0.5)) / 2;
}

// The length of the gradient of some loss with respect to some parameters.
template <class T> double gradient_length(const nn::Parameters<T>& parameters, const auto& loss) {
  Tape<T> tape;
  std::vector<Var<T>> leaves;
  for (const Parameter<T>* p : parameters) leaves.push_back(*p);
  double total = 0;
  for (const Var<T>& g : gradient(loss(), leaves)) total += sum(square(g.value())).item();
  return std::sqrt(total);
}

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

// The mean over images y (M, D) of the mean squared difference, per pixel, to the nearest image of
// x (N, D):  |x - y|^2 = |x|^2 - 2 x.y + |y|^2, so that a matrix product does nearly all of it.
template <class T> double distance_to_nearest(const Tensor<T>& y, const Tensor<T>& x) {
  Tensor<T> most = full<T>({y.extent(0)}, -std::numeric_limits<T>::infinity());  // of 2 x.y - |x|^2
  in_parts(x, [&](const Tensor<T>& part) {
    most = maximum(most, max(matmul_nt(y, part) * T(2) - sum(square(part), {1}), {1}));
  });
  return mean(sum(square(y), {1}) - most).item() / static_cast<double>(x.extent(1));
}

// The mean squared difference between pixels that are neighbours in a row: small in blurred images.
template <class T> double sharpness(const Tensor<T>& x, Index width) {
  const Tensor<T> rows = x.reshape({-1, width});
  return mean(square(slice(rows, 1, 1, width) - slice(rows, 1, 0, width - 1))).item();
}

// A grid of z over the plane, (side * side, 2), at equal steps of probability of N(0, I): row by
// row, z1 growing to the right and z2 upwards.
template <class T> Tensor<T> quantile_grid(Index side) {
  Tensor<T> z({side * side, 2});
  for (Index i = 0; i < side; ++i)
    for (Index j = 0; j < side; ++j) {
      const auto at = [&](Index k) { return static_cast<T>(normal_quantile((k + 0.5) / side)); };
      z.set({i * side + j, 0}, at(j)), z.set({i * side + j, 1}, at(side - 1 - i));
    }
  return z;
}

}  // namespace gradus::lesson13
