#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/08_convolutional_autoencoder/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/convolution.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// What lesson 08 measures.
namespace gradus::lesson08 {

// ---- Convolutions ------------------------------------------------------------------------------

// A kernel of one channel from another, (1, 1, K, K).
inline Tensor<double> kernel_of(Index size, const std::vector<double>& numbers) {
  return Tensor<double>({1, 1, size, size}, numbers);
}

// The change from left to right, smoothed from top to bottom.
inline Tensor<double> sobel_x() { return kernel_of(3, {-1, 0, 1, -2, 0, 2, -1, 0, 1}); }

inline Tensor<double> sobel_y() { return kernel_of(3, {-1, -2, -1, 0, 0, 0, 1, 2, 1}); }

// An image f(i, j) of n x n pixels, (1, n, n, 1).
template <class F> Tensor<double> image_of(Index n, F f) {
  Tensor<double> image({1, n, n, 1});
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) image.set({0, i, j, 0}, static_cast<double>(f(i, j)));
  return image;
}

// By how much <C x, y> and <x, C^T y> differ, over |C x| |y|, for random images of height x (height
// + 1) pixels with 3 channels and kernels of 4.
inline double adjoint_gap(const Window& window, Index height, Rng& rng) {
  const Tensor<double> x = rng.normal<double>({2, height, height + 1, 3});
  const Tensor<double> w = rng.normal<double>({4, 3, window.size, window.size});
  const Tensor<double> z = conv2d(x, w, window);
  const Tensor<double> y = rng.normal<double>(z.shape());
  const Tensor<double> back = conv2d_transpose(y, w, window, height, height + 1);
  const double scale = std::sqrt(sum(square(z)).item() * sum(square(y)).item());
  return std::abs(sum(z * y).item() - sum(x * back).item()) / scale;
}

// The largest of these gaps, and over how many sizes, strides, paddings and heights.
struct Gaps {
  double worst = 0;
  Index count = 0;
};

inline Gaps adjoint_gaps(Rng& rng) {
  Gaps gaps;
  for (Index size = 1; size <= 5; ++size)
    for (Index stride = 1; stride <= 3; ++stride)
      for (Index padding = 0; padding < std::min<Index>(size, 3); ++padding)
        for (Index height : {7, 8, 14, 28}) {
          const Window window{.size = size, .stride = stride, .padding = padding};
          gaps.worst = std::max(gaps.worst, adjoint_gap(window, height, rng));
          ++gaps.count;
        }
  return gaps;
}

// How many windows at places x places stand over each of side x side pixels: what a transposed
// convolution makes of ones, if its kernel is ones. (side, side)
inline Tensor<double> touch_counts(const Window& window, Index places, Index side) {
  const Tensor<double> maps = full<double>({1, places, places, 1}, 1);
  const Tensor<double> kernel = full<double>({1, 1, window.size, window.size}, 1);
  return conv2d_transpose(maps, kernel, window, side, side).reshape({side, side});
}

// How many pixels are touched so often.
inline std::map<int, int> histogram_of(const Tensor<double>& counts) {
  std::map<int, int> histogram;
  for (double count : counts) ++histogram[static_cast<int>(std::lround(count))];
  return histogram;
}

// A convolution of one channel, as a matrix: (H' W', H W).
inline Tensor<double> matrix_of(const Tensor<double>& kernel, const Window& window, Index side) {
  Tensor<double> pixels({side * side, side, side, 1});  // an image for each pixel, 1 there
  for (Index i = 0; i < side * side; ++i) pixels.mutable_data()[i * side * side + i] = 1;
  const Tensor<double> columns = conv2d(pixels, kernel, window);
  return transpose(columns.reshape({side * side, columns.size() / (side * side)}));
}

// How many eigenvalues of C^T C are not 0, but for rounding.
inline Index rank_of(const Tensor<double>& c) {
  const Tensor<double> values = symmetric_eigen(matmul_tn(c, c)).values;
  return std::count_if(values.begin(), values.end(),
                       [&](double value) { return value > 1e-10 * values(0); });
}

// Images (1, n, n, C) turned round as on a torus, so that pixel (i, j) goes to (i + down, j +
// right), and with the last rows and columns once more before the first, and the first behind the
// last.
inline Tensor<double> turned(const Tensor<double>& x, Index down, Index right, Index margin = 0) {
  const Index n = x.extent(1);
  const Index m = n + 2 * margin;
  Tensor<double> result({1, m, m, x.extent(3)});
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < m; ++j)
      for (Index c = 0; c < x.extent(3); ++c)
        result.set({0, i, j, c},
                   x(0, (i - margin - down + 2 * n) % n, (j - margin - right + 2 * n) % n, c));
  return result;
}

// How far a convolution of turned images is from the turned convolution.
inline double gap_of_equivariance(Rng& rng) {
  const Tensor<double> x = rng.normal<double>({1, 12, 12, 2});
  const Tensor<double> w = rng.normal<double>({3, 2, 3, 3});
  const Window window{.size = 3};
  const auto convolve = [&](const Tensor<double>& image) {
    return conv2d(turned(image, 0, 0, 1), w, window);
  };
  return max(abs(convolve(turned(x, 2, 3)) - turned(convolve(x), 2, 3))).item();
}

// The four orthonormal kernels of 2 x 2 pixels, (4, 1, 2, 2): mean, and changes along both axes.
inline Tensor<double> haar() {
  const double h = 0.5;
  return Tensor<double>({4, 1, 2, 2}, {h, h, h, h, h, -h, h, -h, h, h, -h, -h, h, -h, -h, h});
}

// How many pixels of an image reach the unit in the middle of the first or second maps: where its
// gradient is not 0 if all weights are positive.
inline Index pixels_seen(const Sizes& sizes, int layer) {
  Rng rng(0);
  ConvolutionalAutoencoder<double> model(sizes, rng);
  for (Parameter<double>* p : model.parameters()) p->set_value(abs(p->value()) + 0.01);
  Parameter<double> x("x", rng.uniform<double>({1, sizes.side * sizes.side}));
  Tape<double> tape;
  const Var<double> maps = layer == 1 ? model.first_maps(x) : model.second_maps(x);
  Tensor<double> middle(maps.shape());
  middle.set({0, maps.shape()[1] / 2, maps.shape()[2] / 2, 0}, 1);
  tape.backward(sum(maps * middle));
  return std::count_if(x.grad.begin(), x.grad.end(), [](double slope) { return slope != 0; });
}

// ---- Models ------------------------------------------------------------------------------------

// Few images at a time: the windows of 500 images are 25 MB.
inline constexpr Index kTogether = 500;

// The mean squared error of a pixel of images (N, D).
template <class M> double error_per_pixel(const M& model, const Tensor<float>& images) {
  double total = 0;
  in_parts(
      images, [&](const Tensor<float>& x) { total += sum(model.loss(x)).item(); }, kTogether);
  return total / static_cast<double>(images.size());
}

// What a model makes of images (N, D).
template <class M> Tensor<float> through(const M& model, const Tensor<float>& x) {
  return model.decode(model.encode(x)).value();
}

// Images (N, side * side), moved down and to the right; where nothing comes from, pixels are 0.
inline Tensor<float> moved(const Tensor<float>& images, Index side, Index down, Index right) {
  Tensor<float> result(images.shape());
  float* const to = result.mutable_data();
  const float* const from = images.data();
  for (Index n = 0; n < images.extent(0); ++n)
    for (Index i = std::max<Index>(0, down); i < std::min(side, side + down); ++i)
      for (Index j = std::max<Index>(0, right); j < std::min(side, side + right); ++j)
        to[(n * side + i) * side + j] = from[(n * side + i - down) * side + j - right];
  return result;
}

// By how much the second maps of images that are moved by 4 pixels along both axes differ from the
// second maps, moved by 1: at places whose windows lie inside of the image before and after.
inline double gap_after_4_pixels(const ConvolutionalAutoencoder<float>& model,
                                 const Tensor<float>& images, Index side) {
  const Tensor<float> before = model.second_maps(images).value();
  const Tensor<float> after = model.second_maps(moved(images, side, 4, 4)).value();
  double gap = 0;
  for (Index n = 0; n < images.extent(0); ++n)
    for (Index i = 1; 4 * (i + 1) + 6 < side; ++i)  // the place sees pixels 4 i - 3 to 4 i + 6
      for (Index j = 1; 4 * (j + 1) + 6 < side; ++j)
        for (Index c = 0; c < before.extent(3); ++c)
          gap = std::max<double>(gap, std::abs(before(n, i, j, c) - after(n, i + 1, j + 1, c)));
  return gap;
}

// The length of x - a C^T C x over that of x, for the best a: how far the transposed convolution is
// from undoing the convolution, at any scale.
inline double error_of_undoing(const Tensor<float>& kernel, const Window& window,
                               const Tensor<float>& images, Index side) {
  const Tensor<float> x = images.reshape({images.extent(0), side, side, 1});
  const Tensor<float> back =
      conv2d_transpose(conv2d(x, kernel, window), kernel, window, side, side);
  const float a = sum(x * back).item() / sum(square(back)).item();
  return std::sqrt(sum(square(x - a * back)).item() / sum(square(x)).item());
}

// Means of squares (N, side * side) over pixels of even rows and even columns, even and odd, odd
// and even, and odd; the outer four rows and columns are left out where there are others.
using ByParity = std::array<double, 4>;

inline ByParity means_by_parity(const Tensor<float>& squares, Index side) {
  const Index margin = side >= 12 ? 4 : 0;
  ByParity totals = {};
  std::array<Index, 4> counts = {};
  for (Index n = 0; n < squares.extent(0); ++n)
    for (Index i = margin; i < side - margin; ++i)
      for (Index j = margin; j < side - margin; ++j) {
        const Index kind = 2 * (i % 2) + j % 2;
        totals[kind] += squares(n, i * side + j);
        ++counts[kind];
      }
  for (int kind = 0; kind < 4; ++kind) totals[kind] /= static_cast<double>(counts[kind]);
  return totals;
}

// The variance of what decoders that were not trained make of random codes: of 20 of them, of the
// pixels of each kind, over that of the first kind.
inline ByParity untrained_by_parity(const Sizes& sizes, std::uint64_t seed) {
  constexpr int kModels = 20;
  ByParity totals = {};
  Rng rng(seed);
  for (int k = 0; k < kModels; ++k) {
    const ConvolutionalAutoencoder<float> model(sizes, rng);
    const Tensor<float> images = model.decode(rng.normal<float>({100, sizes.code})).value();
    const ByParity own = means_by_parity(square(images - mean(images, {0})), sizes.side);
    for (int kind = 0; kind < 4; ++kind) totals[kind] += own[kind] / kModels;
  }
  const double first = totals[0];
  for (double& total : totals) total /= first;
  return totals;
}

// The mean squared errors of a model, of the pixels of each kind.
template <class M>
ByParity errors_by_parity(const M& model, const Tensor<float>& images, Index side) {
  ByParity totals = {};
  in_parts(
      images,
      [&](const Tensor<float>& x) {
        const ByParity own = means_by_parity(square(through(model, x) - x), side);
        const double share =
            static_cast<double>(x.extent(0)) / static_cast<double>(images.extent(0));
        for (int kind = 0; kind < 4; ++kind) totals[kind] += share * own[kind];
      },
      kTogether);
  return totals;
}

// Channels of the second maps that are 0 everywhere, for all of these images.
inline Index dead_channels(const ConvolutionalAutoencoder<float>& model,
                           const Tensor<float>& images) {
  std::vector<double> heights;
  in_parts(
      images,
      [&](const Tensor<float>& x) {
        const Tensor<float> highest = max(model.second_maps(x).value(), {0, 1, 2});
        heights.resize(highest.size());
        for (Index c = 0; c < highest.size(); ++c)
          heights[c] = std::max<double>(heights[c], highest(c));
      },
      kTogether);
  return std::count(heights.begin(), heights.end(), 0.0);
}

// Products of two numbers that are needed for one image: forwards, and in training, where each
// layer needs as many again for its weights' gradient and for its inputs', but the first.
struct Products {
  double forward, training;
};

inline Products products_of(const Sizes& sizes) {
  const Window window{.size = sizes.kernel, .stride = 2, .padding = 1};
  const Index half = window.places(sizes.side);
  const Index quarter = window.places(half);
  const Index area = sizes.kernel * sizes.kernel;
  const Index first = half * half * sizes.first * area;
  const Index second = quarter * quarter * sizes.second * area * sizes.first;
  const Index code = quarter * quarter * sizes.second * sizes.code;
  const Index all = 2 * (first + second + code);
  return {static_cast<double>(all), static_cast<double>(3 * all - first)};
}

inline Products products_of_mlp(Index pixels, Index hidden, Index code) {
  const Index all = 2 * (pixels * hidden + hidden * code);
  return {static_cast<double>(all), static_cast<double>(3 * all - pixels * hidden)};
}

}  // namespace gradus::lesson08
