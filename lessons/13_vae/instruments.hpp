#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 13 measures of its models, and of the images that they make.
//
//     N images, D pixels, K latent dimensions
namespace gradus::lesson13 {

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
      kEvaluatedAtOnce);
  return total / static_cast<double>(x.size());
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
  const std::vector<Var<T>> inputs = leaves(parameters);
  double total = 0;
  for (const Var<T>& g : gradient(loss(), inputs)) total += sum(square(g.value())).item();
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
// the mean pixels of the training set. Linear in x, so the mean test image is enough. Infinite when
// a pixel is lit in a test image, but in no training image.
template <class T>
double negative_log_likelihood_of_means(const Tensor<T>& train, const Tensor<T>& test) {
  const Tensor<T> p = mean(train, {0});
  const Tensor<T> x = mean(test, {0});
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
  const auto at = [side](Index k) { return static_cast<T>(normal_quantile((k + 0.5) / side)); };
  Tensor<T> z({side * side, 2});
  for (Index i = 0; i < side; ++i)
    for (Index j = 0; j < side; ++j) {
      z.set({i * side + j, 0}, at(j));
      z.set({i * side + j, 1}, at(side - 1 - i));
    }
  return z;
}

}  // namespace gradus::lesson13
