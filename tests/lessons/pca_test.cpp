#include <cmath>
#include <filesystem>
#include <vector>

#include <gtest/gtest.h>

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

// (7, 5), (5, 3), (3, 1), (1, 3) have the mean (4, 3) and the covariance [5 2; 2 2], which takes
// (2, 1) to (12, 6) and (-1, 2) to itself. Along (2, 1) / sqrt 5 the codes are 8, 2, -4 and -6, by
// sqrt 5; the points that they stand for are (4, 3) + (8, 2, -4, -6) (2, 1) / 5.
TEST(Pca, FitsFourPointsAsOnPaper) {
  const Tensor<double> x({4, 2}, {7, 5, 5, 3, 3, 1, 1, 3});
  const Pca<double> pca = fit_pca(x);
  EXPECT_NEAR(pca.mean(0), 4, 1e-14);
  EXPECT_NEAR(pca.mean(1), 3, 1e-14);
  EXPECT_NEAR(pca.variances(0), 6, 1e-13);
  EXPECT_NEAR(pca.variances(1), 1, 1e-13);

  const Tensor<double> code = pca.encode(x, 1);
  const double sign = pca.components(0, 0) > 0 ? 1 : -1;
  const double codes[] = {8, 2, -4, -6};
  for (Index n = 0; n < 4; ++n) EXPECT_NEAR(sign * code(n, 0), codes[n] / std::sqrt(5), 1e-13);
  const Tensor<double> nearest({4, 2}, {7.2, 4.6, 4.8, 3.4, 2.4, 2.2, 1.6, 1.8});
  EXPECT_LT(max(abs(pca.decode(code) - nearest)).item(), 1e-13);
  EXPECT_NEAR(pca.residual(x, 1), 1, 1e-13);  // (0.2 + 0.2 + 1.8 + 1.8) / 4
}

// The mean of |P (x - m)|^2 is that of |P (x - mean)|^2, and |P (mean - m)|^2 more, where P takes
// what is off the plane.
TEST(Pca, APlaneBesideTheMeanLosesTheDistanceMore) {
  Rng rng(8);
  const Tensor<double> x = toy_points(kToyVariances, 300, rng) + 3.0;
  const Pca<double> pca = fit_pca(x);
  const Tensor<double> shift = rng.normal<double>({5});
  Pca<double> beside = pca;
  beside.mean = pca.mean + shift;
  double off = 0;
  for (Index i = 2; i < 5; ++i) {
    const double along = sum(shift * slice(pca.components, 0, i, i + 1)).item();
    off += along * along;
  }
  EXPECT_GT(off, 0.1);
  EXPECT_NEAR(beside.residual(x, 2), 1.75 + off, 1e-11);
}

// The variance along u is sum_i l_i (u . u_i)^2.
TEST(Pca, ADirectionsVarianceIsAnAverageOfEigenvalues) {
  Rng rng(9);
  const Tensor<double> x = toy_points(kToyVariances, 300, rng) + 3.0;
  const Pca<double> pca = fit_pca(x);
  const Tensor<double> u = slice(random_basis(5, rng), 0, 0, 1);  // (1, D)
  const double variance = mean(square(matmul_nt(x - pca.mean, u))).item();
  const Tensor<double> weights = square(matmul_nt(u, pca.components)).reshape({5});
  EXPECT_NEAR(sum(weights).item(), 1, 1e-13);
  EXPECT_NEAR(variance, sum(weights * pca.variances).item(), 1e-11);
}

// The centred points are A diag(s) V^T with s_i = sqrt(N l_i), where V has the components as its
// columns and the columns of A are orthonormal: the singular value decomposition.
TEST(Pca, IsTheSingularValueDecomposition) {
  Rng rng(10);
  const Tensor<double> x = toy_points(kToyVariances, 40, rng) + 3.0;
  const Pca<double> pca = fit_pca(x);
  const Tensor<double> s = sqrt(pca.variances * 40.0);
  const Tensor<double> a = pca.encode(x, 5) / s;
  EXPECT_LT(max(abs(matmul_tn(a, a) - identity<double>(5))).item(), 1e-12);
  EXPECT_LT(max(abs(matmul(a * s, pca.components) - (x - pca.mean))).item(), 1e-12);
}

// With the dimensions in another order, the same in all points, the components have theirs in it
// too. Here: from last to first.
TEST(Pca, ShufflingTheDimensionsChangesNoNumber) {
  Rng rng(11);
  const Tensor<double> x = toy_points(kToyVariances, 60, rng) + 3.0;
  std::vector<double> numbers;
  for (Index n = 0; n < 60; ++n)
    for (Index d = 0; d < 5; ++d) numbers.push_back(x(n, 4 - d));
  const Tensor<double> shuffled({60, 5}, numbers);
  const Pca<double> before = fit_pca(x);
  const Pca<double> after = fit_pca(shuffled);
  EXPECT_LT(max(abs(after.variances - before.variances)).item(), 1e-12);
  EXPECT_NEAR(after.residual(shuffled, 2), before.residual(x, 2), 1e-12);
  for (Index i = 0; i < 5; ++i) {
    const double sign = after.components(i, 0) * before.components(i, 4) > 0 ? 1 : -1;
    for (Index d = 0; d < 5; ++d)
      EXPECT_NEAR(after.components(i, d), sign * before.components(i, 4 - d), 1e-11);
  }
}

}  // namespace
}  // namespace gradus::lesson01
