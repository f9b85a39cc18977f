#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

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

// The mean squared error of a pixel of images (N, D) from the first k components of PCA, for k = 0,
// 1, ..., D: what each component adds is the mean square of the coordinate along it.
template <class T>
std::vector<double> errors_by_components(const Pca<double>& pca, const Tensor<T>& images) {
  const Index pixels = images.extent(1);
  Tensor<double> squares({pixels});  // of the coordinates, over all images
  in_parts(images, [&](const Tensor<T>& part) {
    squares += sum(square(pca.encode(cast<double>(part), pixels)), {0});
  });
  const double numbers = static_cast<double>(images.size());
  double left = sum(squares).item();
  std::vector<double> errors = {left / numbers};
  for (double along_component : squares) {
    left -= along_component;
    errors.push_back(std::max(left, 0.0) / numbers);
  }
  return errors;
}

// The least number of components whose error is at most this.
inline Index components_needed(const std::vector<double>& errors, double error) {
  const auto found =
      std::find_if(errors.begin(), errors.end(), [error](double e) { return e <= error; });
  return found - errors.begin();
}

// A code that follows a closed curve has to come back to where it began. This is where it does, for
// the codes and losses (N) of points along the curve: from the point of the highest code to that of
// the lowest, both among them, along the shorter of the two ways.
struct WayBack {
  Index points;
  double share_of_loss;  // of all losses, theirs
};

template <class T> WayBack way_back(const Tensor<T>& codes, const Tensor<T>& losses) {
  const Index n = codes.size();
  const T* code = codes.data();
  Index from = std::max_element(code, code + n) - code;
  Index to = std::min_element(code, code + n) - code;
  Index points = (to - from + n) % n + 1;
  if (2 * points > n) {
    std::swap(from, to);
    points = (to - from + n) % n + 1;
  }
  double theirs = 0;
  for (Index i = 0; i < points; ++i) theirs += static_cast<double>(losses.data()[(from + i) % n]);
  return {points, theirs / static_cast<double>(sum(losses).item())};
}

// The codes from low to high at which a layer relu(w c + b) of one code number c has its creases,
// for w (H, 1) and b (H).
template <class T>
Index creases_between(const Tensor<T>& w, const Tensor<T>& b, double low, double high) {
  Index creases = 0;
  for (Index i = 0; i < b.size(); ++i) {
    const double at = -static_cast<double>(b.data()[i]) / static_cast<double>(w.data()[i]);
    if (low < at && at < high) ++creases;
  }
  return creases;
}

// The mean square of what comes out of a row of layers without biases, relu(W x), each of as many
// units as there are inputs (N, n), for weights of the variance v / n; over that of the inputs.
inline double gain_of_layers(const Tensor<double>& x, int layers, double v, Rng& rng) {
  const Index n = x.extent(1);
  Tensor<double> signal = x;
  for (int layer = 0; layer < layers; ++layer) {
    const Tensor<double> w = rng.normal<double>({n, n}) * std::sqrt(v / static_cast<double>(n));
    signal = relu(matmul_nt(signal, w));
  }
  return mean(square(signal)).item() / mean(square(x)).item();
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
