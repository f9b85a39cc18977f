#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "lessons/01_pca/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "lessons/common/noise.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What the networks of lesson 06 are held against: the best affine denoiser, PCA, and the training
// images themselves.
//
//     N examples, D pixels
namespace gradus::lesson06 {

using lesson01::Pca;

// How many images are looked at together in double precision, in which they need memory.
inline constexpr Index kTogether = 1024;

// ---- Kinds of noise ----------------------------------------------------------------------------

// A way to spoil each pixel by itself, and what is known of it: for a pixel x,
//     the mean of what is seen is      q x + c,
//     and its variance                 v2 x^2 + v1 x + v0.
struct Noise {
  std::string name;
  double q;
  double c;
  double v2;
  double v1;
  double v0;
  std::function<Tensor<float>(const Tensor<float>&, Rng&)> spoil;
};

inline Noise no_noise() {
  return {.name = "no noise",
          .q = 1,
          .c = 0,
          .v2 = 0,
          .v1 = 0,
          .v0 = 0,
          .spoil = [](const Tensor<float>& x, Rng&) { return x; }};
}

inline Noise gaussian(double s) {
  return {.name = "Gaussian",
          .q = 1,
          .c = 0,
          .v2 = 0,
          .v1 = 0,
          .v0 = s * s,
          .spoil = [s](const Tensor<float>& x, Rng& rng) { return add_gaussian_noise(x, s, rng); }};
}

// Seen is x with probability 1 - p, and 0 otherwise: the mean is (1 - p) x, the mean square
// (1 - p) x^2, so that the variance is (1 - p) x^2 - (1 - p)^2 x^2 = p (1 - p) x^2.
inline Noise masking(double p) {
  return {.name = "masking",
          .q = 1 - p,
          .c = 0,
          .v2 = p * (1 - p),
          .v1 = 0,
          .v0 = 0,
          .spoil = [p](const Tensor<float>& x, Rng& rng) { return mask(x, p, rng); }};
}

// The mean is (1 - p) x + p / 2 and the mean square (1 - p) x^2 + p / 2.
inline Noise salt_pepper(double p) {
  return {.name = "salt and pepper",
          .q = 1 - p,
          .c = p / 2,
          .v2 = p * (1 - p),
          .v1 = -p * (1 - p),
          .v0 = p / 2 - p * p / 4,
          .spoil = [p](const Tensor<float>& x, Rng& rng) { return salt_and_pepper(x, p, rng); }};
}

// Spoiled images (N, D), as noise.spoil(images, rng) makes them, but some at a time: that needs
// less memory.
inline Tensor<float> spoil_in_parts(const Noise& noise, const Tensor<float>& images, Rng& rng) {
  std::vector<Tensor<float>> parts;
  in_parts(
      images, [&](const Tensor<float>& x) { parts.push_back(noise.spoil(x, rng)); }, kTogether);
  return concatenate(parts);
}

// The mean squared error of a pixel of images (N, D) that are left as they are:
// the mean of (q x + c - x)^2 + v2 x^2 + v1 x + v0.
inline double error_of_noise(const Noise& noise, const Tensor<float>& images) {
  double total = 0;
  in_parts(
      images,
      [&](const Tensor<float>& part) {
        const Tensor<double> x = cast<double>(part);
        const Tensor<double> variance = (noise.v2 * x + noise.v1) * x + noise.v0;
        total += sum(square((noise.q - 1) * x + noise.c) + variance).item();
      },
      kTogether);
  return total / static_cast<double>(images.size());
}

// ---- Mean and covariance -----------------------------------------------------------------------

struct Moments {
  Tensor<double> mean;        // m, (D)
  Tensor<double> covariance;  // C, (D, D), with 1/N
};

// Of images (N, D), some at a time.
template <class T> Moments moments(const Tensor<T>& images) {
  const double n = static_cast<double>(images.extent(0));
  const Index d = images.extent(1);
  Moments of{Tensor<double>({d}), Tensor<double>({d, d})};
  in_parts(
      images, [&](const Tensor<T>& x) { of.mean += sum(cast<double>(x), {0}) / n; }, kTogether);
  in_parts(
      images,
      [&](const Tensor<T>& part) {
        const Tensor<double> z = cast<double>(part) - of.mean;
        of.covariance += matmul_tn(z, z) / n;
      },
      kTogether);
  return of;
}

inline Pca<double> pca_of(const Moments& of) {
  const auto [values, vectors] = symmetric_eigen(of.covariance);
  return {of.mean, vectors, values};
}

// The mean square of the coordinate of images (N, D) along each component: (D).
template <class T>
Tensor<double> mean_squares_along(const Pca<double>& pca, const Tensor<T>& images) {
  const Index d = images.extent(1);
  Tensor<double> squares({d});
  in_parts(
      images,
      [&](const Tensor<T>& x) { squares += sum(square(pca.encode(cast<double>(x), d)), {0}); },
      kTogether);
  return squares / static_cast<double>(images.extent(0));
}

inline Tensor<double> diagonal(const Tensor<double>& a) {
  return sum(a * identity<double>(a.extent(0)), {1});
}

// ---- The best affine denoiser ------------------------------------------------------------------

// r(y) = m + B (y - q m - c) with  B = q C M^-1,  M = q^2 C + diag E[v2 x^2 + v1 x + v0]:
// M is the covariance of what is seen, and q C that between what is seen and what is clean, so B
// solves the normal equations of least squares. For Gaussian noise it is the Wiener filter
// C (C + s^2 I)^-1.
struct AffineFilter {
  Tensor<double> before;  // q m + c, (D)
  Tensor<double> gain;    // B^T, (D, D)
  Tensor<double> after;   // m, (D)

  // (N, D) -> (N, D)
  Tensor<double> operator()(const Tensor<double>& spoiled) const {
    return matmul(spoiled - before, gain) + after;
  }
};

inline AffineFilter best_affine(const Noise& noise, const Moments& of) {
  const Tensor<double>& m = of.mean;
  const Tensor<double> mean_square = diagonal(of.covariance) + square(m);  // E[x^2]
  const Tensor<double> variance = noise.v2 * mean_square + noise.v1 * m + noise.v0;
  // A pixel that is always 0 and that no noise touches has no variance: any tiny one will do.
  constexpr double kTiny = 1e-12;
  const Tensor<double> seen =
      noise.q * noise.q * of.covariance + (variance + kTiny) * identity<double>(m.size());  // M
  return {.before = noise.q * m + noise.c,
          .gain = solve_spd(seen, noise.q * of.covariance),
          .after = m};
}

// The mean squared error of a pixel that the filter makes on images (N, D), on average over the
// noise: with z = x - m,
//     |z - q B z|^2 + sum_j (v2 x_j^2 + v1 x_j + v0) |column j of B|^2.
template <class T>
double error_of(const AffineFilter& filter, const Noise& noise, const Tensor<T>& images) {
  const Tensor<double> squares = sum(square(filter.gain), {1});  // (D), of B's columns
  double total = 0;
  in_parts(
      images,
      [&](const Tensor<T>& part) {
        const Tensor<double> x = cast<double>(part);
        const Tensor<double> z = x - filter.after;
        total += sum(square(z - noise.q * matmul(z, filter.gain))).item();
        total += sum(((noise.v2 * x + noise.v1) * x + noise.v0) * squares).item();
      },
      kTogether);
  return total / static_cast<double>(images.size());
}

// ---- The training images as a denoiser ---------------------------------------------------------

// E[x | y] if the training images x_i (N, D) were all the images that there are, for noise of
// variance s2: the mean of x_i, weighted by exp(-|y - x_i|^2 / (2 s2)).  (M, D) -> (M, D)
// |y|^2 is the same for all i and cancels; the largest exponent so far is subtracted from all.
inline Tensor<float> recall(const Tensor<float>& training, const Tensor<float>& spoiled,
                            double s2) {
  const Index m = spoiled.extent(0);
  Tensor<float> top = full<float>({m, 1}, -HUGE_VALF);  // the largest exponent so far
  Tensor<float> weight_sum({m, 1});
  Tensor<float> image_sum(spoiled.shape());  // of images times weights
  in_parts(training, [&](const Tensor<float>& x) {
    const Tensor<float> exponents =
        (matmul_nt(spoiled, x) - 0.5f * sum(square(x), {1})) / static_cast<float>(s2);
    const Tensor<float> new_top = maximum(top, max(exponents, {1}, true));
    const Tensor<float> shrunk = exp(top - new_top);  // what the sums so far shrink by, (M, 1)
    const Tensor<float> weights = exp(exponents - new_top);
    weight_sum = shrunk * weight_sum + sum(weights, {1}, true);
    image_sum = shrunk * image_sum + matmul(weights, x);
    top = new_top;
  });
  return image_sum / weight_sum;
}

// The mean over images y (M, D) of the squared distance to the nearest training image x, per pixel:
// |y - x|^2 = |y|^2 - 2 (y x - |x|^2 / 2), so that it is the x with the largest bracket.
inline double distance_to_nearest(const Tensor<float>& training, const Tensor<float>& images) {
  Tensor<float> largest = full<float>({images.extent(0)}, -HUGE_VALF);  // bracket so far
  in_parts(training, [&](const Tensor<float>& x) {
    const Tensor<float> brackets = matmul_nt(images, x) - 0.5f * sum(square(x), {1});  // (M, part)
    largest = maximum(largest, max(brackets, {1}));
  });
  const Tensor<double> squares = cast<double>(sum(square(images), {1}));  // |y|^2, (M)
  const Tensor<double> least = squares - 2.0 * cast<double>(largest);
  double total = 0;
  for (double d : least) total += d;
  return total / static_cast<double>(images.size());
}

}  // namespace gradus::lesson06
