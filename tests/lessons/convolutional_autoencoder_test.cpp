#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/08_convolutional_autoencoder/instruments.hpp"
#include "lessons/08_convolutional_autoencoder/model.hpp"

namespace gradus::lesson08 {
namespace {

// ---- The model ---------------------------------------------------------------------------------

TEST(SmallConvolutionalAutoencoder, GradientOfTheLossIsRight) {
  for (Index kernel : {3, 4})
    for (Index side : {4, 7}) {
      Rng rng(3);
      const Sizes sizes{.side = side, .first = 3, .second = 4, .code = 3, .kernel = kernel};
      ConvolutionalAutoencoder<double> model(sizes, rng);
      // Biases above 0, so that no layer is off as a whole.
      for (Parameter<double>* p : model.parameters()) {
        const double above = p->shape().rank() == 1 ? 0.3 : 0.0;
        p->set_value(p->value() + 0.1 * rng.normal<double>(p->shape()) + above);
      }
      const Tensor<double> x = rng.uniform<double>({3, side * side});
      const auto report = gradcheck([&] { return model.loss(x); }, model.parameters());
      EXPECT_TRUE(report) << kernel << " " << side << " " << report;
      EXPECT_EQ(report.checked, nn::count(model.parameters()));
    }
}

// The same layers by the loops of the definition of a convolution.
TEST(SmallConvolutionalAutoencoder, IsTheNaiveLayersInARow) {
  Rng rng(4);
  constexpr Index kSide = 7;
  const Sizes sizes{.side = kSide, .first = 2, .second = 3, .code = 2, .kernel = 3};
  ConvolutionalAutoencoder<double> model(sizes, rng);
  for (Parameter<double>* p : model.parameters())
    p->set_value(p->value() + 0.1 * rng.normal<double>(p->shape()));
  const nn::Parameters<double> p = model.parameters();
  const auto value = [&p](std::size_t i) { return p[i]->value(); };
  const Tensor<double> x = rng.uniform<double>({5, kSide * kSide});
  const Window window{.size = 3, .stride = 2, .padding = 1};

  // 7 -> 4 -> 2 -> 4 -> 7
  const Tensor<double> first =
      relu(conv2d_naive(x.reshape({5, 7, 7, 1}), value(0), window) + value(1));
  const Tensor<double> second = relu(conv2d_naive(first, value(2), window) + value(3));
  const Tensor<double> code = matmul_nt(second.reshape({5, 12}), value(4)) + value(5);
  const Tensor<double> maps = relu(matmul_nt(code, value(6)) + value(7)).reshape({5, 2, 2, 3});
  const Tensor<double> larger =
      relu(conv2d_transpose_naive(maps, value(8), window, 4, 4) + value(9));
  const Tensor<double> images =
      (conv2d_transpose_naive(larger, value(10), window, 7, 7) + value(11)).reshape({5, 49});
  EXPECT_LT(max(abs(model.encode(x).value() - code)).item(), 1e-12);
  EXPECT_LT(max(abs(model.decode(code).value() - images)).item(), 1e-12);
  EXPECT_LT(max(abs(model.loss(x).value() - sum(square(images - x), {1}))).item(), 1e-12);
}

TEST(ConvolutionalAutoencoder, HasTheParametersOnPaper) {
  Rng rng(0);
  const auto count = [&rng](const Sizes& sizes) {
    ConvolutionalAutoencoder<float> model(sizes, rng);
    return nn::count(model.parameters());
  };
  // Both kernels twice, both linear layers, and the biases.
  const auto expected = [](Index c1, Index c2, Index k) {
    return 2 * (c1 * k * k + c2 * c1 * k * k + 49 * c2 * 32) + c1 + c2 + 32 + 49 * c2 + c1 + 1;
  };
  EXPECT_EQ(count({.side = 28}), 118913);
  EXPECT_EQ(expected(16, 32, 4), 118913);
  EXPECT_EQ(count({.side = 28, .kernel = 3}), 111521);
  EXPECT_EQ(count({.side = 28, .first = 4, .second = 8}), expected(4, 8, 4));
}

TEST(ConvolutionalAutoencoder, NamesItsParametersAsModulesDo) {
  Rng rng(0);
  ConvolutionalAutoencoder<float> model({.side = 28}, rng);
  std::vector<std::string> names;
  for (const Parameter<float>* p : model.parameters()) names.push_back(p->name());
  EXPECT_EQ(names,
            (std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                      "to_code.weight", "to_code.bias", "from_code.weight",
                                      "from_code.bias", "transposed1.weight", "transposed1.bias",
                                      "transposed2.weight", "transposed2.bias"}));
  EXPECT_EQ(model.parameters()[2]->shape(), (Shape{32, 16, 4, 4}));  // (out, in, K, K)
  EXPECT_EQ(model.parameters()[8]->shape(), (Shape{32, 16, 4, 4}));  // (in, out, K, K)
}

TEST(ConvolutionalAutoencoder, BeginsNearTheMeanPixel) {
  Rng rng(2);
  const ConvolutionalAutoencoder<float> model({.side = 28}, rng, 0.286);
  const Tensor<float> x = rng.uniform<float>({50, 784}, 0, 0.6f);
  const Tensor<float> images = through(model, x);
  EXPECT_NEAR(mean(images).item(), 0.286, 0.1);
  EXPECT_EQ(model.decode(Tensor<float>({1, 32})).value()(0, 400), 0.286f);  // relu(0) = 0
}

// The smallest side that can be halved twice, and sides that do not divide by 4.
TEST(ConvolutionalAutoencoder, GivesBackTheSizeThatItWasGiven) {
  for (Index kernel : {3, 4})
    for (Index side : {4, 5, 6, 7, 8, 30}) {
      Rng rng(0);
      const ConvolutionalAutoencoder<float> model({.side = side, .kernel = kernel}, rng);
      const Tensor<float> x = rng.uniform<float>({2, side * side});
      EXPECT_EQ(through(model, x).shape(), x.shape()) << kernel << " " << side;
    }
}

// ---- Convolutions ------------------------------------------------------------------------------

TEST(TouchCounts, AreProductsOfThoseAlongAnAxis) {
  for (Index size : {3, 4, 5}) {
    const Window window{.size = size, .stride = 2, .padding = size == 5 ? 2 : 1};
    std::vector<int> along(14);
    for (Index place = 0; place < 7; ++place)
      for (Index k = 0; k < size; ++k) {
        const Index pixel = 2 * place + k - window.padding;
        if (pixel >= 0 && pixel < 14) ++along[pixel];
      }
    const Tensor<double> counts = touch_counts(window, 7, 14);
    for (Index i = 0; i < 14; ++i)
      for (Index j = 0; j < 14; ++j) EXPECT_EQ(counts(i, j), along[i] * along[j]);
  }
}

TEST(TouchCounts, HaveTheHistogramsOnPaper) {
  using Histogram = std::map<int, int>;
  EXPECT_EQ(histogram_of(touch_counts({.size = 3, .stride = 2, .padding = 1}, 7, 14)),
            (Histogram{{1, 64}, {2, 96}, {4, 36}}));
  EXPECT_EQ(histogram_of(touch_counts({.size = 4, .stride = 2, .padding = 1}, 7, 14)),
            (Histogram{{1, 4}, {2, 48}, {4, 144}}));
  const Tensor<double> of_5 = touch_counts({.size = 5, .stride = 2, .padding = 2}, 7, 14);
  EXPECT_EQ(of_5(4, 4), 9);
  EXPECT_EQ(of_5(4, 5), 6);
  EXPECT_EQ(of_5(5, 5), 4);
}

TEST(Sobel, MeasuresSlopes) {
  const Window window{.size = 3};
  const Tensor<double> product = image_of(6, [](Index i, Index j) { return i * j; });
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 4; ++j) {
      EXPECT_EQ(conv2d(product, sobel_x(), window)(0, i, j, 0), 8.0 * (i + 1));
      EXPECT_EQ(conv2d(product, sobel_y(), window)(0, i, j, 0), 8.0 * (j + 1));
    }
}

// A row of pixels as the middle one of three, and weights as the middle row of a kernel.
Tensor<double> row_image(const std::vector<double>& row) {
  const Index n = std::ssize(row);
  Tensor<double> image({1, 3, n, 1});
  for (Index j = 0; j < n; ++j) image.set({0, 1, j, 0}, row[j]);
  return image;
}

Tensor<double> row_kernel(double a, double b, double c) {
  return kernel_of(3, {0, 0, 0, a, b, c, 0, 0, 0});
}

// The text's examples, and those of its second exercise.
TEST(Row, HasTheSumsOnPaper) {
  using Numbers = std::vector<double>;
  const Tensor<double> w = row_kernel(-1, 0, 1);
  EXPECT_EQ(conv2d(row_image({0, 0, 1, 1, 1, 0}), w, Window{.size = 3}).to_vector(),
            (Numbers{1, 1, 0, -1}));
  const Tensor<double> back =
      conv2d_transpose(Tensor<double>({1, 1, 4, 1}, {1, 0, 2, 0}), w, Window{.size = 3}, 3, 6);
  EXPECT_EQ(slice(back, 1, 1, 2).to_vector(), (Numbers{-1, 0, -1, 0, 2, 0}));

  const Tensor<double> hill = row_kernel(1, 2, 1);
  const Window padded{.size = 3, .padding = 1};
  const Tensor<double> forth = conv2d(row_image({0, 0, 4, 0, 0}), hill, padded);
  EXPECT_EQ(slice(forth, 1, 1, 2).to_vector(), (Numbers{0, 4, 8, 4, 0}));
  const Tensor<double> twice = conv2d_transpose(Tensor<double>({1, 1, 3, 1}, {1, 0, 2}), hill,
                                                Window{.size = 3, .stride = 2}, 3, 7);
  EXPECT_EQ(slice(twice, 1, 1, 2).to_vector(), (Numbers{1, 2, 1, 0, 2, 4, 2}));
}

// C x with the matrix is conv2d, and C^T y is conv2d_transpose.
TEST(Matrix, IsTheConvolution) {
  Rng rng(5);
  const Window window{.size = 4, .stride = 2, .padding = 1};
  const Tensor<double> w = rng.normal<double>({1, 1, 4, 4});
  const Tensor<double> c = matrix_of(w, window, 8);
  const Tensor<double> x = rng.normal<double>({1, 64}), y = rng.normal<double>({1, 16});
  const Tensor<double> forth = conv2d(x.reshape({1, 8, 8, 1}), w, window).reshape({1, 16});
  const Tensor<double> back =
      conv2d_transpose(y.reshape({1, 4, 4, 1}), w, window, 8, 8).reshape({1, 64});
  EXPECT_LT(max(abs(matmul_nt(x, c) - forth)).item(), 1e-12);
  EXPECT_LT(max(abs(matmul(y, c) - back)).item(), 1e-12);
  EXPECT_EQ(rank_of(c), 16);
}

TEST(Haar, IsUndoneByItsTransposedConvolution) {
  Rng rng(6);
  const Window window{.size = 2, .stride = 2};
  const Tensor<double> x = rng.normal<double>({3, 6, 8, 1});
  const Tensor<double> back = conv2d_transpose(conv2d(x, haar(), window), haar(), window, 6, 8);
  EXPECT_LT(max(abs(back - x)).item(), 1e-12);
}

TEST(Equivariance, IsExactOnATorus) {
  Rng rng(7);
  EXPECT_LT(gap_of_equivariance(rng), 1e-12);
}

TEST(PixelsSeen, AreTheReceptiveField) {
  EXPECT_EQ(pixels_seen({.side = 28}, 1), 16);
  EXPECT_EQ(pixels_seen({.side = 28}, 2), 100);
  EXPECT_EQ(pixels_seen({.side = 28, .kernel = 3}, 2), 49);
}

// ---- What is measured of models ----------------------------------------------------------------

TEST(Moved, ShiftsAndFillsWithZeros) {
  const Tensor<float> x({1, 9}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(moved(x, 3, 0, 1).to_vector(), (std::vector<float>{0, 1, 2, 0, 4, 5, 0, 7, 8}));
  EXPECT_EQ(moved(x, 3, 1, 0).to_vector(), (std::vector<float>{0, 0, 0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(moved(x, 3, -1, 1).to_vector(), (std::vector<float>{0, 4, 5, 0, 7, 8, 0, 0, 0}));
  EXPECT_EQ(sum(moved(x, 3, 0, 3)).item(), 0);
}

TEST(Moved, By4PixelsMovesTheSecondMapsBy1) {
  Rng rng(8);
  const ConvolutionalAutoencoder<float> model({.side = 28}, rng);
  const Tensor<float> x = rng.uniform<float>({3, 784});
  EXPECT_LT(gap_after_4_pixels(model, x, 28), 1e-5);
}

TEST(ByParity, TellsEvenFromOddRowsAndColumns) {
  Tensor<float> x({1, 144});
  for (Index i = 0; i < 12; ++i)
    for (Index j = 0; j < 12; ++j)
      x.set({0, i * 12 + j}, static_cast<float>(10 * (i % 2) + j % 2 + 1));
  EXPECT_EQ(means_by_parity(x, 12), (ByParity{1, 2, 11, 12}));
}

TEST(Undoing, IsExactForHaarAtAnyScale) {
  Rng rng(9);
  const Tensor<float> x = rng.uniform<float>({4, 64});
  const Tensor<float> kernel = 3.0f * cast<float>(haar());
  EXPECT_LT(error_of_undoing(kernel, {.size = 2, .stride = 2}, x, 8), 1e-6);
}

TEST(Products, AreCountedByHand) {
  // 14 x 14 places of 16 kernels of 16 numbers; 7 x 7 of 32 of 256; 1568 x 32; twice.
  const double forward = 2.0 * (196 * 16 * 16 + 49 * 32 * 256 + 1568 * 32);
  EXPECT_EQ(products_of({.side = 28}).forward, forward);
  EXPECT_EQ(products_of({.side = 28}).training, 3 * forward - 196 * 16 * 16);
  EXPECT_EQ(products_of_mlp(784, 72, 32).forward, 2.0 * (784 * 72 + 72 * 32));
}

}  // namespace
}  // namespace gradus::lesson08
