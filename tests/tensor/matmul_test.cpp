#include "tensor/matmul.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tensor/layout.hpp"
#include "tests/tensor/support.hpp"

// a is m x k, b is k x n.
namespace gradus {
namespace {

using test::error_of;
using test::whole_numbers;

// The product by its definition, in long double.
template <class T> std::vector<long double> exact_product(const Tensor<T>& a, const Tensor<T>& b) {
  const Index m = a.shape()[0];
  const Index k = a.shape()[1];
  const Index n = b.shape()[1];
  std::vector<long double> c(m * n);
  for (Index i = 0; i < m; ++i)
    for (Index l = 0; l < k; ++l)
      for (Index j = 0; j < n; ++j)
        c[i * n + j] += static_cast<long double>(a.data()[i * k + l]) *
                        static_cast<long double>(b.data()[l * n + j]);
  return c;
}

template <class T> struct Matmul : test::FloatAndDouble<T> {
  // The three products of whole numbers, which are exact in any order of the additions.
  static void expect_exact(Index m, Index k, Index n) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", m, k, n));
    const auto a = whole_numbers<T>({m, k}, 1);
    const auto b = whole_numbers<T>({k, n}, 2);
    std::vector<T> expected(m * n);
    for (Index i = 0; i < m; ++i)
      for (Index l = 0; l < k; ++l)
        for (Index j = 0; j < n; ++j)
          expected[i * n + j] += a.data()[i * k + l] * b.data()[l * n + j];
    for (const Tensor<T>& c :
         {matmul(a, b), matmul_tn(transpose(a), b), matmul_nt(a, transpose(b))}) {
      ASSERT_EQ(c.shape(), (Shape{m, n}));
      ASSERT_TRUE(std::equal(c.begin(), c.end(), expected.begin()));
    }
  }

  // Those of real numbers are within the bound of any order of the additions: Higham, Accuracy and
  // Stability of Numerical Algorithms, (3.13): |c - ab| <= k u / (1 - k u) |a| |b|.
  static void expect_close(Index m, Index k, Index n) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", m, k, n));
    const auto a = test::gaussian_numbers<T>({m, k}, 3);
    const auto b = test::gaussian_numbers<T>({k, n}, 4);
    auto magnitude = [](const Tensor<T>& x) {
      Tensor<T> y = x;
      for (Index i = 0; i < y.size(); ++i) y.mutable_data()[i] = std::fabs(y.data()[i]);
      return y;
    };
    const auto expected = exact_product(a, b);
    const auto scale = exact_product(magnitude(a), magnitude(b));
    const long double ku = k * std::numeric_limits<T>::epsilon() / 2.0L;
    for (const Tensor<T>& c :
         {matmul(a, b), matmul_tn(transpose(a), b), matmul_nt(a, transpose(b)), matmul_naive(a, b)})
      for (Index i = 0; i < c.size(); ++i)
        ASSERT_LE(std::fabs(c.data()[i] - expected[i]), ku / (1 - ku) * scale[i]) << i;
  }
};

TYPED_TEST_SUITE(Matmul, test::Scalars);

TYPED_TEST(Matmul, IsExactForWholeNumbersInSquares) {
  for (Index n = 1; n <= 70; ++n) this->expect_exact(n, n, n);
}

TYPED_TEST(Matmul, IsExactForWholeNumbersInOddShapes) {
  for (Index s = 1; s <= 70; ++s) {
    this->expect_exact(s, 31, 29);
    this->expect_exact(23, s, 37);
    this->expect_exact(37, 23, s);
  }
  std::mt19937 engine(5);
  const std::vector<Index> extents = {1,  2,  3,  4,  5,  7,  8,  9,  15, 16,  17,
                                      31, 32, 33, 47, 48, 49, 61, 64, 67, 127, 131};
  for (int i = 0; i < 150; ++i) {
    auto draw = [&] { return extents[engine() % extents.size()]; };
    const Index m = draw();
    const Index k = draw();
    const Index n = draw();
    this->expect_exact(m, k, n);
  }
}

TYPED_TEST(Matmul, IsExactForWholeNumbersAtTheEdgesOfTheBlocks) {
  // k is cut at multiples of 512 into equal parts; a's rows into blocks of about 96, where there
  // are more than 256.
  for (Index k : {511, 512, 513, 1023, 1024, 1025}) this->expect_exact(19, k, 35);
  for (Index m : {95, 96, 97, 191, 192, 193, 255, 256, 257, 258, 300})
    this->expect_exact(m, 33, 71);
  for (Index m : {383, 384, 385, 767, 768, 769, 2050}) this->expect_exact(m, 9, 17);
  for (Index n : {4100, 4101}) this->expect_exact(7, 9, n);
  this->expect_exact(1030, 513, 5);
  this->expect_exact(5, 513, 2051);
  this->expect_exact(1027, 1025, 33);
  this->expect_exact(1, 5003, 1);
  this->expect_exact(5003, 1, 3);
  this->expect_exact(1, 1, 5003);
}

// Operands whose rows, or columns, are a multiple of 2 KiB apart are packed; others stay in place.
TYPED_TEST(Matmul, IsExactForWholeNumbersWhereOperandsLieBadly) {
  for (Index m : {19, 256, 259, 512})
    for (Index k : {40, 512, 1024})
      for (Index n : {35, 512}) this->expect_exact(m, k, n);
}

// Several blocks of rows and of the sum, and many columns; compared in some rows, also at edges.
TYPED_TEST(Matmul, IsExactForWholeNumbersWhereBlocksMeet) {
  for (const auto& [m, n] : {std::pair<Index, Index>{2065, 45}, {301, 2070}}) {
    const Index k = 1021;
    const auto a = whole_numbers<TypeParam>({m, k}, 1);
    const auto b = whole_numbers<TypeParam>({k, n}, 2);
    const std::vector<Index> indices = {0,   1,   11,  12,  95,    96,    191,
                                        192, 255, 256, 299, m / 2, m - 2, m - 1};
    const std::span<const Index> some(indices);
    const auto expected = exact_product(gather_rows(a, some), b);
    for (const Tensor<TypeParam>& c :
         {matmul(a, b), matmul_tn(transpose(a), b), matmul_nt(a, transpose(b))}) {
      const auto got = gather_rows(c, some);
      ASSERT_TRUE(std::equal(got.begin(), got.end(), expected.begin(), expected.end()));
    }
  }
}

TYPED_TEST(Matmul, OfRealNumbersIsWithinTheErrorBound) {
  for (Index n : {1, 3, 16, 47, 70}) this->expect_close(n, n, n);
  this->expect_close(61, 1033, 33);
  this->expect_close(13, 400, 131);
}

TYPED_TEST(Matmul, OfShapesWithoutElementsIsEmptyOrZero) {
  for (Index m : {0, 1, 30})
    for (Index k : {0, 1, 30})
      for (Index n : {0, 1, 30}) this->expect_exact(m, k, n);
  EXPECT_THAT(matmul(Tensor<TypeParam>(Shape{300, 0}), Tensor<TypeParam>(Shape{0, 300}))
                  .to_vector(),
              ::testing::Each(0));
}

// m n k would overflow, although there is nothing to multiply.
TYPED_TEST(Matmul, OfAResultThatIsTooLargeIsRefused) {
  const Index n = Index{1} << 40;
  EXPECT_EQ(error_of([&] {
              matmul(Tensor<TypeParam>(Shape{n, 0}), Tensor<TypeParam>(Shape{0, n}));
            }),
            "shape (1099511627776, 1099511627776): the number of elements overflows");
}

TYPED_TEST(Matmul, NaiveIsTheDefinition) {
  const Tensor<TypeParam> a({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor<TypeParam> b({3, 2}, {7, 8, 9, 10, 11, 12});
  EXPECT_THAT(matmul_naive(a, b).to_vector(), ::testing::ElementsAre(58, 64, 139, 154));
}

TYPED_TEST(Matmul, OfAMatrixWithItselfReadsBothOperands) {
  const auto a = whole_numbers<TypeParam>({37, 37}, 6);
  const auto square = exact_product(a, a);
  const auto gram = exact_product(transpose(a), a);
  const auto outer = exact_product(a, transpose(a));
  const auto c = matmul(a, a);
  const auto d = matmul_tn(a, a);
  const auto e = matmul_nt(a, a);
  for (Index i = 0; i < c.size(); ++i) {
    ASSERT_EQ(c.data()[i], square[i]);
    ASSERT_EQ(d.data()[i], gram[i]);
    ASSERT_EQ(e.data()[i], outer[i]);
  }
}

// Zeros stand beyond the edges of the tiles: infinity times them must not reach the result.
TYPED_TEST(Matmul, InfinitiesAndNaNsStayInTheirRowsAndColumns) {
  auto a = whole_numbers<TypeParam>({21, 40}, 7);
  auto b = whole_numbers<TypeParam>({40, 35}, 8);
  a.set({20, 39}, INFINITY);
  b.set({0, 34}, std::numeric_limits<TypeParam>::quiet_NaN());
  for (const Tensor<TypeParam>& c :
       {matmul(a, b), matmul_tn(transpose(a), b), matmul_nt(a, transpose(b))})
    for (Index i = 0; i < 21; ++i)
      for (Index j = 0; j < 35; ++j) {
        const bool number = i != 20 && j != 34;
        ASSERT_EQ(std::isfinite(c(i, j)), number) << i << ", " << j;
        ASSERT_TRUE(j != 34 || std::isnan(c(i, j)));
      }
}

TYPED_TEST(Matmul, RefusesInnerDimensionsThatDifferAndSaysWhatToUse) {
  using T = TypeParam;
  auto shaped = [](Index m, Index n) { return Tensor<T>(Shape{m, n}); };
  EXPECT_EQ(error_of([&] { matmul(shaped(128, 784), shaped(400, 784)); }),
            "matmul: (128, 784) x (400, 784): inner dimensions 784 and 400 differ. For x W^T use "
            "matmul_nt.");
  EXPECT_EQ(error_of([&] { matmul(shaped(128, 784), shaped(128, 400)); }),
            "matmul: (128, 784) x (128, 400): inner dimensions 784 and 128 differ. For x^T y use "
            "matmul_tn.");
  EXPECT_EQ(error_of([&] { matmul(shaped(2, 3), shaped(4, 5)); }),
            "matmul: (2, 3) x (4, 5): inner dimensions 3 and 4 differ.");
  EXPECT_EQ(error_of([&] { matmul_tn(shaped(2, 3), shaped(3, 5)); }),
            "matmul_tn: (2, 3) x (3, 5): inner dimensions 2 and 3 differ. Without a transpose, use "
            "matmul.");
  EXPECT_EQ(error_of([&] { matmul_nt(shaped(2, 3), shaped(3, 5)); }),
            "matmul_nt: (2, 3) x (3, 5): inner dimensions 3 and 5 differ. Without a transpose, use "
            "matmul.");
  EXPECT_EQ(error_of([&] { matmul_nt(shaped(2, 3), shaped(4, 5)); }),
            "matmul_nt: (2, 3) x (4, 5): inner dimensions 3 and 5 differ.");
}

TYPED_TEST(Matmul, WantsMatrices) {
  const Tensor<TypeParam> x(Shape{3});
  const Tensor<TypeParam> y(Shape{3, 2});
  EXPECT_EQ(error_of([&] { matmul(x, y); }),
            "matmul: (3) x (3, 2): both must be matrices; reshape first");
  EXPECT_THROW(matmul(y, x), Error);
  EXPECT_THROW(matmul_tn(x, y), Error);
  EXPECT_THROW(matmul_nt(y, Tensor<TypeParam>(TypeParam(1))), Error);
  EXPECT_EQ(error_of([&] { matmul_naive(y, y); }),
            "matmul_naive: (3, 2) x (3, 2): not two matrices with equal inner dimensions");
}

}  // namespace
}  // namespace gradus
