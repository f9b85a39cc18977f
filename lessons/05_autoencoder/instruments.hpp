#pragma once
#include <cmath>
#include <numbers>

#include "lessons/01_pca/model.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/layers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 05 measures, and what its model is held against.
namespace gradus::lesson05 {

using lesson01::fit_pca;
using lesson01::Pca;

// N points at equal steps on the unit circle, (N, 2): of two dimensions, but one number each.
template <class T> Tensor<T> circle(Index n) {
  Tensor<T> x({n, 2});
  for (Index i = 0; i < n; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    x.set({i, 0}, static_cast<T>(std::cos(angle)));
    x.set({i, 1}, static_cast<T>(std::sin(angle)));
  }
  return x;
}

// The mean squared error of a pixel of images (N, D). No tape is alive, so this only computes.
template <class T> double error_per_pixel(const Autoencoder<T>& model, const Tensor<T>& images) {
  double total = 0;
  in_parts(images, [&](const Tensor<T>& x) { total += sum(model.loss(x)).item(); });
  return total / static_cast<double>(images.size());
}

// How far the middle one of an odd number of images (n, D) on a path is from the average of the
// first and the last, per pixel and squared.
template <class T> double departure_of_midpoint(const Tensor<T>& path) {
  const Index n = path.extent(0);
  const auto at = [&path](Index i) { return slice(path, 0, i, i + 1); };
  const Tensor<T> average = (at(0) + at(n - 1)) * T(0.5);
  return static_cast<double>(mean(square(at(n / 2) - average)).item());
}

// PCA as an autoencoder without bends: its first k axes U, (k, D), are the weights of two layers,
//     c = U x - U m,    y = U^T c + m.
// Returns the mean squared error of a pixel.
template <class T>
double error_of_layers(const Pca<double>& pca, Index k, const Tensor<T>& images) {
  const Index pixels = images.extent(1);
  Rng rng(0);
  nn::Linear<double> encoder("encoder", pixels, k, rng), decoder("decoder", k, pixels, rng);
  const Tensor<double> axes = slice(pca.components, 0, 0, k);
  encoder.weight.set_value(axes);
  encoder.bias.set_value(-matmul_nt(pca.mean.reshape({1, pixels}), axes).reshape({k}));
  decoder.weight.set_value(transpose(axes));
  decoder.bias.set_value(pca.mean);
  double total = 0;
  in_parts(images, [&](const Tensor<T>& part) {
    const Tensor<double> x = cast<double>(part);
    total += sum(square(decoder(encoder(x)) - x)).item();
  });
  return total / static_cast<double>(images.size());
}

}  // namespace gradus::lesson05
