#include <cmath>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

#include "lessons/01_pca/ladder.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/common/toy.hpp"
#include "tensor/io/idx.hpp"
#include "tensor/map.hpp"
#include "tensor/random.hpp"

namespace gradus::lesson01 {
namespace {

// With k components what is lost is the variance along the other axes: 2 + 1 + 0.5 + 0.25 = 3.75
// with one, 1 + 0.5 + 0.25 = 1.75 with two, nothing with five.
TEST(Pca, LosesTheVariancesThatItDrops) {
  Rng rng(1);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng) + 3.0;  // the mean is not 0
  const Pca<double> pca = fit_pca(x);
  for (Index i = 0; i < 5; ++i) EXPECT_NEAR(pca.variances(i), kToyVariances[i], 1e-12);

  const double residuals[] = {7.75, 3.75, 1.75, 0.75, 0.25, 0};
  for (Index k = 0; k <= 5; ++k) EXPECT_NEAR(pca.residual(x, k), residuals[k], 1e-12) << k;
}

// 1.75 is what the plane of the first two components loses.
TEST(Pca, NoOtherPlaneLosesLess) {
  Rng rng(2);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  Pca<double> other = fit_pca(x);
  for (int trial = 0; trial < 200; ++trial) {
    other.components = random_basis(5, rng);
    EXPECT_GT(other.residual(x, 2), 1.75);
  }
}

TEST(Pca, FindsTheDirectionOfPointsOnALine) {
  // (1, 2) t + (3, -1) for t = -2, -1, 0, 1, 2, whose variance along (1, 2) / sqrt 5 is
  // 5 (4 + 1 + 0 + 1 + 4) / 5 = 10.
  const Tensor<double> x({5, 2}, {1, -5, 2, -3, 3, -1, 4, 1, 5, 3});
  const Pca<double> pca = fit_pca(x);
  EXPECT_NEAR(pca.mean(0), 3, 1e-14);
  EXPECT_NEAR(pca.mean(1), -1, 1e-14);
  EXPECT_NEAR(pca.variances(0), 10, 1e-13);
  EXPECT_NEAR(pca.variances(1), 0, 1e-13);
  EXPECT_NEAR(pca.components(0, 0), 1 / std::sqrt(5), 1e-14);
  EXPECT_NEAR(pca.components(0, 1), 2 / std::sqrt(5), 1e-14);
}

// It takes 4,096 examples at a time.
TEST(Pca, WorksOnManyExamples) {
  Rng rng(3);
  const Tensor<double> x = toy_points(kToyVariances, 9001, rng);
  EXPECT_NEAR(fit_pca(x).variances(0), 4, 1e-11);
  EXPECT_NEAR(fit_pca(x).residual(x, 1), 3.75, 1e-11);
}

// The mean squared distance of two points is twice the total variance, 2 (4 + 2 + 1 + 0.5 + 0.25):
// in E|x - y|^2 = E|x|^2 + E|y|^2 - 2 E[x] E[y] the last term is 0 for points with mean 0.
TEST(Pca, HalvesTheSquaredDistanceOfTwoPoints) {
  Rng rng(4);
  const Tensor<double> x = toy_points(kToyVariances, 100, rng);
  double distances = 0;
  for (Index i = 0; i < 100; ++i)
    distances += sum(square(x - slice(x, 0, i, i + 1))).item() / (100 * 100);
  EXPECT_NEAR(distances / 2, 7.75, 1e-11);
  EXPECT_NEAR(fit_pca(x).residual(x, 0), 7.75, 1e-11);
  EXPECT_NEAR(sum(fit_pca(x).variances).item(), 7.75, 1e-11);
}

// In the basis of the components the covariance is diagonal: the codes' variances are the
// eigenvalues, and no two coordinates are correlated.
TEST(Pca, MakesCodesThatAreNotCorrelated) {
  Rng rng(5);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng) + 3.0;
  const Tensor<double> code = fit_pca(x).encode(x, 5);
  const Tensor<double> c = matmul_tn(code, code) / 500.0;
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) EXPECT_NEAR(c(i, j), i == j ? kToyVariances[i] : 0, 1e-12);
}

// Of as many components as dimensions nothing is lost, not even of other points.
TEST(Pca, WithAllComponentsDecodesWhatItEncoded) {
  Rng rng(6);
  const Pca<double> pca = fit_pca(toy_points(kToyVariances, 50, rng) + 3.0);
  const Tensor<double> y = rng.normal<double>({7, 5});
  EXPECT_LT(max(abs(pca.decode(pca.encode(y, 5)) - y)).item(), 1e-13);
}

// The training images of Fashion-MNIST have these numbers (from sums over the bytes in whole
// numbers, taken in Python): the mean pixel, and the total variance as E|x|^2 - |E x|^2. Divided by
// 784 that is the error of the best constant image: E|x - c|^2 = E|x - mean|^2 + |mean - c|^2.
TEST(Pca, KnowsTheVarianceOfFashionMnist) {
  const std::filesystem::path file = "/usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz";
  if (!std::filesystem::exists(file)) GTEST_SKIP() << file << " is not installed";
  const Tensor<float> images = io::read_idx_images<float>(file).reshape({60000, 784});
  Tensor<double> mean_image({784});
  double squares = 0;
  in_parts(images, [&](const Tensor<float>& part) {
    const Tensor<double> x =
        map(cast<double>(part), [](double v) { return std::round(v * 255) / 255; });
    mean_image += sum(x, {0}) / 60000.0;
    squares += sum(square(x)).item() / 60000;
  });
  const double variance = squares - sum(square(mean_image)).item();
  EXPECT_NEAR(mean(mean_image).item(), 0.28604060, 5e-9);
  EXPECT_NEAR(variance, 68.21626099, 5e-9);
  EXPECT_NEAR(variance / 784, 0.08701054, 5e-9);
}

// Image 2, row 5, column 7 of images of 28 x 28: after two whole images and five whole rows,
// 2 * 784 + 5 * 28 + 7 = 1715. As rows of 784 it is number 5 * 28 + 7 = 147 of row 2.
TEST(Pca, ImagesAreStoredRowByRow) {
  const Tensor<double> x = arange<double>(3 * 784);
  EXPECT_EQ(x.reshape({3, 28, 28})(2, 5, 7), 1715);
  EXPECT_EQ(x.reshape({3, 784})(2, 147), 1715);
}

// Whole numbers, whose sums are exact in any order.
TEST(Ladder, EveryRungIsTheSameProduct) {
  Rng rng(7);
  constexpr Index n = 64;
  auto whole_numbers = [&] {
    return map(rng.normal<double>({n, n}), [](double v) { return std::round(3 * v); });
  };
  const Tensor<double> a = whole_numbers();
  const Tensor<double> b = whole_numbers();
  const std::vector<double> expected = matmul_naive(a, b).to_vector();
  for (auto multiply : {ladder::naive<double>, ladder::reordered<double>, ladder::blocked<double>,
                        ladder::packed<double>}) {
    Tensor<double> c = full<double>({n, n}, -1e9);  // what was there before must not matter
    multiply(a.data(), b.data(), c.mutable_data(), n);
    EXPECT_EQ(c.to_vector(), expected);
  }
  EXPECT_EQ(matmul(a, b).to_vector(), expected);
}

TEST(Ladder, TakesWholeTilesOnly) {
  const std::vector<double> a(20 * 20), b(20 * 20);
  std::vector<double> c(20 * 20);
  for (auto multiply : {ladder::blocked<double>, ladder::packed<double>}) {
    try {
      multiply(a.data(), b.data(), c.data(), 20);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(), "ladder: tiles of 4 x 16 do not cover a matrix of 20 x 20");
    }
  }
}

// 12 sums s_i <- a s_i + a from s_i = i: with a = 1 all of them are 66 + 12 m after m steps, with
// a = 1/2 they are 66 / 2 + 12 / 2 = 39 after one.
TEST(Ladder, ThePeakIsTwelveSumsThatDiffer) {
  const volatile float one = 1;
  const volatile float half = 0.5f;
  EXPECT_EQ(ladder::multiply_adds(0, one), 66);
  EXPECT_EQ(ladder::multiply_adds(3, one), 102);
  EXPECT_EQ(ladder::multiply_adds(1, half), 39);
}

}  // namespace
}  // namespace gradus::lesson01
