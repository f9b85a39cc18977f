#include "tensor/linalg.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>
#include <random>
#include <utility>
#include <vector>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// a b^T and a b, by loops in long double.
template <class T>
Tensor<T> times(const Tensor<T>& a, const Tensor<T>& b, bool b_transposed = false) {
  const Index m = a.shape()[0];
  const Index k = a.shape()[1];
  const Index n = b.shape()[b_transposed ? 0 : 1];
  std::vector<long double> sums(m * n);
  for (Index i = 0; i < m; ++i)
    for (Index l = 0; l < k; ++l)
      for (Index j = 0; j < n; ++j)
        sums[i * n + j] += static_cast<long double>(a.data()[i * k + l]) *
                           (b_transposed ? b.data()[j * k + l] : b.data()[l * n + j]);
  return Tensor<T>({m, n}, std::vector<T>(sums.begin(), sums.end()));
}

template <class T> double largest_difference(const Tensor<T>& x, const Tensor<T>& y) {
  EXPECT_EQ(x.shape(), y.shape());
  double worst = 0;
  for (Index i = 0; i < x.size(); ++i) {
    const double difference = std::fabs(double{x.data()[i]} - double{y.data()[i]});
    if (!(difference <= worst)) worst = difference;
  }
  return worst;
}

template <class T> double largest_magnitude(const Tensor<T>& x) {
  return largest_difference(x, Tensor<T>(x.shape()));
}

// G G^T / n + I / 10: positive definite, with eigenvalues between 0.1 and about 4.
template <class T> Tensor<T> positive_definite(Index n, unsigned seed) {
  const auto g = test::gaussian_numbers<T>({n, n}, seed);
  Tensor<T> a = times(g, g, true);
  for (Index i = 0; i < n * n; ++i) a.mutable_data()[i] /= T(n);
  for (Index i = 0; i < n; ++i) a.set({i, i}, a(i, i) + T(0.1));
  return a;
}

template <class T> Tensor<T> symmetric(Index n, unsigned seed) {
  Tensor<T> a = test::gaussian_numbers<T>({n, n}, seed);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) a.set({j, i}, a(i, j));
  return a;
}

template <class T> struct Linalg : test::FloatAndDouble<T> {
  static constexpr double kEpsilon = std::numeric_limits<T>::epsilon();

  // What symmetric_eigen promises, apart from which values they are.
  static void expect_eigen(const Tensor<T>& a, const SymmetricEigen<T>& eigen, double tolerance) {
    const Index n = a.shape()[0];
    ASSERT_EQ(eigen.values.shape(), (Shape{n}));
    ASSERT_EQ(eigen.vectors.shape(), (Shape{n, n}));
    EXPECT_TRUE(std::is_sorted(eigen.values.begin(), eigen.values.end(), std::greater<>()));
    EXPECT_LE(largest_difference(times(eigen.vectors, eigen.vectors, true), identity<T>(n)),
              tolerance);
    Tensor<T> scaled = eigen.vectors;  // row i times value i: A v_i, as a row, for symmetric A
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) scaled.mutable_data()[i * n + j] *= eigen.values.data()[i];
    EXPECT_LE(largest_difference(times(eigen.vectors, a), scaled),
              tolerance * std::max(largest_magnitude(eigen.values), 1e-300));
    for (Index i = 0; i < n; ++i) {  // the largest component is positive, or rounded to a tie
      const auto [smallest, largest] =
          std::minmax_element(eigen.vectors.data() + i * n, eigen.vectors.data() + (i + 1) * n);
      EXPECT_GE(*largest, -*smallest * (1 - kEpsilon)) << i;
    }
  }
};

TYPED_TEST_SUITE(Linalg, test::Scalars);

TYPED_TEST(Linalg, CholeskyOfAWorkedExample) {  // L L^T multiplied out by hand
  const Tensor<TypeParam> a({3, 3}, {4, 12, -16, 12, 37, -43, -16, -43, 98});
  EXPECT_THAT(cholesky(a).to_vector(), ElementsAre(2, 0, 0, 6, 1, 0, -8, 5, 3));
}

TYPED_TEST(Linalg, CholeskyFactorsAreLowerTriangularAndMultiplyBack) {
  for (Index n : {0, 1, 2, 3, 8, 17, 64, 101}) {
    const auto a = positive_definite<TypeParam>(n, 1);
    const auto l = cholesky(a);
    ASSERT_EQ(l.shape(), a.shape());
    EXPECT_LE(largest_difference(times(l, l, true), a), 20 * this->kEpsilon) << n;
    for (Index i = 0; i < n; ++i) {
      EXPECT_GT(l(i, i), 0);
      for (Index j = i + 1; j < n; ++j) EXPECT_EQ(l(i, j), 0);
    }
  }
}

TYPED_TEST(Linalg, CholeskyTakesTheSymmetricPart) {
  const Tensor<TypeParam> a({2, 2}, {4, 3, 1, 5});
  const Tensor<TypeParam> same({2, 2}, {4, 2, 2, 5});
  EXPECT_EQ(cholesky(a).to_vector(), cholesky(same).to_vector());
  EXPECT_THAT(cholesky(a).to_vector(), ElementsAre(2, 0, 1, 2));
}

TYPED_TEST(Linalg, CholeskyNamesThePivotThatIsNotPositive) {
  using T = TypeParam;
  EXPECT_EQ(error_of([] {
              cholesky(Tensor<T>({2, 2}, {1, 2, 2, 1}));
            }),
            "cholesky: (2, 2) is not positive definite: pivot 1 is -3; add a small multiple of "
            "I?");
  EXPECT_THAT(error_of([] { cholesky(Tensor<T>(Shape{3, 3})); }), HasSubstr("pivot 0 is 0"));
  EXPECT_THAT(error_of([] {
                cholesky(Tensor<T>({2, 2}, {1, 1, 1, 1}));
              }),
              HasSubstr("pivot 1 is 0"));
  const T nan = std::numeric_limits<T>::quiet_NaN();
  EXPECT_THAT(error_of([=] { cholesky(Tensor<T>({2, 2}, {1, nan, 0, 1})); }), HasSubstr("pivot 1"));
  EXPECT_THAT(error_of([=] { cholesky(Tensor<T>({2, 2}, {1, 0, 0, nan})); }), HasSubstr("pivot 1"));
  EXPECT_THAT(error_of([] {
                cholesky(Tensor<T>({2, 2}, {1, INFINITY, INFINITY, 1}));
              }),
              HasSubstr("not positive definite"));
  EXPECT_EQ(error_of([] {
              cholesky(Tensor<T>(Shape{2, 3}));
            }),
            "cholesky: (2, 3) is not a square matrix");
}

TYPED_TEST(Linalg, CholeskyRefusesAnInfinity) {
  using T = TypeParam;
  EXPECT_EQ(error_of([] {
              cholesky(Tensor<T>({1, 1}, {INFINITY}));
            }),
            "cholesky: (1, 1) is not finite: pivot 0 is inf");
  const Tensor<T> second({2, 2}, {1, 0, 0, INFINITY});
  for (auto f : {cholesky<T>, log_determinant<T>})
    EXPECT_THAT(error_of([&] { f(second); }), HasSubstr("pivot 1 is inf"));
  EXPECT_THAT(error_of([&] { solve_spd(second, full<T>({2}, 1)); }), HasSubstr("pivot 1 is inf"));
}

// A + A^T would overflow, and half of the smallest number is 0.
TYPED_TEST(Linalg, CholeskyTakesTheLargestAndTheSmallestNumbers) {
  using T = TypeParam;
  for (T x : {std::numeric_limits<T>::max(), std::numeric_limits<T>::denorm_min()}) {
    const Tensor<T> l = cholesky(Tensor<T>({2, 2}, {x, 0, 0, x}));
    for (Index i : {0, 1}) EXPECT_NEAR(l(i, i) / std::sqrt(x), 1, TestFixture::kEpsilon);
  }
}

TYPED_TEST(Linalg, SolvesInvertTheTriangles) {
  for (Index n : {1, 2, 7, 33, 60})
    for (Index m : {0, 1, 5}) {
      auto l = positive_definite<TypeParam>(n, 2);  // of which the lower triangle is used
      const auto x = test::gaussian_numbers<TypeParam>({n, m}, 3);
      auto triangle = l;
      for (Index i = 0; i < n; ++i)
        for (Index j = i + 1; j < n; ++j) {
          triangle.set({i, j}, 0);
          l.set({i, j}, std::numeric_limits<TypeParam>::quiet_NaN());  // which is not read
        }
      auto transposed = triangle;
      for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < n; ++j) transposed.set({i, j}, triangle(j, i));
      const double tolerance = 300 * this->kEpsilon * (1 + largest_magnitude(x));
      EXPECT_LE(largest_difference(solve_lower(l, times(triangle, x)), x), tolerance);
      EXPECT_LE(largest_difference(solve_lower_transposed(l, times(transposed, x)), x), tolerance);
    }
}

TYPED_TEST(Linalg, SolvesTakeAVectorForTheRightSide) {
  const Tensor<TypeParam> l({2, 2}, {2, 0, 1, 4});
  const Tensor<TypeParam> b({2}, {6, 11});
  EXPECT_THAT(solve_lower(l, b).to_vector(), ElementsAre(3, 2));
  EXPECT_THAT(solve_lower_transposed(l, Tensor<TypeParam>({2}, {8, 8})).to_vector(),
              ElementsAre(3, 2));
  EXPECT_EQ(solve_spd(identity<TypeParam>(2), b).shape(), (Shape{2}));
}

TYPED_TEST(Linalg, SolveSpdInvertsTheMatrix) {
  for (Index n : {1, 2, 9, 50}) {
    const auto a = positive_definite<TypeParam>(n, 4);
    const auto x = test::gaussian_numbers<TypeParam>({n, 3}, 5);
    EXPECT_LE(largest_difference(solve_spd(a, times(a, x)), x), 500 * this->kEpsilon) << n;
  }
}

TYPED_TEST(Linalg, SolvesNameWhatDoesNotFit) {
  using T = TypeParam;
  EXPECT_EQ(error_of([] {
              solve_lower(Tensor<T>({2, 2}, {1, 0, 5, 0}), Tensor<T>(Shape{2}));
            }),
            "solve_lower: the matrix is singular: element 1 of its diagonal is 0");
  EXPECT_THROW(solve_lower_transposed(Tensor<T>(Shape{2, 2}), Tensor<T>(Shape{2})), Error);
  EXPECT_EQ(error_of([] {
              solve_lower(identity<T>(2), Tensor<T>(Shape{3, 2}));
            }),
            "solve_lower: the right side (3, 2) does not have the 2 rows of (2, 2)");
  EXPECT_EQ(error_of([] { solve_lower_transposed(identity<T>(2), Tensor<T>(T(1))); }),
            "solve_lower_transposed: the right side () does not have the 2 rows of (2, 2)");
  EXPECT_THROW(solve_lower(Tensor<T>(Shape{2, 3}), Tensor<T>(Shape{2})), Error);
  EXPECT_THROW(solve_spd(Tensor<T>({2, 2}, {1, 2, 2, 1}), Tensor<T>(Shape{2})), Error);
  EXPECT_THROW(solve_lower(identity<T>(2), Tensor<T>(Shape{2, 1, 1})), Error);
}

TYPED_TEST(Linalg, LogDeterminantOfClosedForms) {
  using T = TypeParam;
  EXPECT_NEAR(log_determinant(Tensor<T>({1, 1}, {7})).item(), std::log(7.0), 4e-7);
  EXPECT_NEAR(log_determinant(Tensor<T>({2, 2}, {4, 1, 1, 3})).item(), std::log(11.0), 4e-7);
  EXPECT_EQ(log_determinant(identity<T>(50)).item(), 0);
  // (1 - r) I + r 1 1^T has the determinant (1 - r)^(n-1) (1 + (n - 1) r).
  Tensor<T> a = full<T>({20, 20}, T(0.25));
  for (Index i = 0; i < 20; ++i) a.set({i, i}, 1);
  EXPECT_NEAR(log_determinant(a).item(), 19 * std::log(0.75) + std::log(5.75), 30 * this->kEpsilon);
  // The determinant itself, 1e-400 and 1e400, is beyond double.
  Tensor<T> small = identity<T>(200);
  Tensor<T> large = small;
  for (Index i = 0; i < 200; ++i) {
    small.set({i, i}, T(0.01));
    large.set({i, i}, 100);
  }
  EXPECT_NEAR(log_determinant(small).item(), 200 * std::log(0.01),
              921 * (4 * this->kEpsilon + 1e-14));
  EXPECT_NEAR(log_determinant(large).item(), 200 * std::log(100.0),
              921 * (4 * this->kEpsilon + 1e-14));
  EXPECT_EQ(log_determinant(Tensor<T>(Shape{0, 0})).item(), 0);
  EXPECT_THROW(log_determinant(Tensor<T>({2, 2}, {1, 2, 2, 1})), Error);
}

TYPED_TEST(Linalg, TrilCutsWhatIsAboveTheDiagonal) {
  const Tensor<TypeParam> a({3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_THAT(tril(a).to_vector(), ElementsAre(1, 0, 0, 4, 5, 0, 7, 8, 9));
  EXPECT_EQ(a(0, 2), 3);
  EXPECT_EQ(error_of([] { tril(Tensor<TypeParam>(Shape{3})); }),
            "tril: (3) is not a square matrix");
  EXPECT_EQ(tril(Tensor<TypeParam>(Shape{0, 0})).shape(), (Shape{0, 0}));
}

TYPED_TEST(Linalg, EigenOfRandomMatrices) {
  for (Index n : {1, 2, 3, 4, 5, 10, 33, 64, 100}) {
    SCOPED_TRACE(n);
    const auto a = symmetric<TypeParam>(n, 6);
    this->expect_eigen(a, symmetric_eigen(a), 8 * std::sqrt(n) * this->kEpsilon);
  }
}

TYPED_TEST(Linalg, EigenvaluesOfTwoByTwoHaveTheirClosedForm) {
  std::mt19937 engine(7);
  std::normal_distribution<double> normal;
  for (int i = 0; i < 100; ++i) {
    const TypeParam a = normal(engine);
    const TypeParam b = normal(engine);
    const TypeParam d = normal(engine);
    const auto values = symmetric_eigen(Tensor<TypeParam>({2, 2}, {a, b, b, d})).values;
    const double middle = (double{a} + d) / 2;
    const double reach = std::hypot((double{a} - d) / 2, double{b});
    EXPECT_NEAR(values(0), middle + reach, 4 * this->kEpsilon * (std::fabs(middle) + reach));
    EXPECT_NEAR(values(1), middle - reach, 4 * this->kEpsilon * (std::fabs(middle) + reach));
  }
}

TYPED_TEST(Linalg, EigenOfASecondDifferenceHasItsClosedForm) {
  // 2 on the diagonal, -1 beside it: values 2 - 2 cos(k pi / (n + 1)), for k = 1, ..., n; the i-th
  // component of vector k is proportional to sin(i k pi / (n + 1)).
  const Index n = 50;
  Tensor<TypeParam> a(Shape{n, n});
  for (Index i = 0; i < n; ++i) {
    a.set({i, i}, 2);
    if (i > 0) {
      a.set({i, i - 1}, -1);
      a.set({i - 1, i}, -1);
    }
  }
  const auto eigen = symmetric_eigen(a);
  this->expect_eigen(a, eigen, 50 * this->kEpsilon);
  const double pi = std::numbers::pi;
  for (Index j = 0; j < n; ++j) {
    const Index k = n - j;
    EXPECT_NEAR(eigen.values(j), 2 - 2 * std::cos(k * pi / (n + 1)), 20 * this->kEpsilon);
    double overlap = 0;
    for (Index i = 0; i < n; ++i)
      overlap +=
          eigen.vectors(j, i) * std::sin((i + 1) * k * pi / (n + 1)) * std::sqrt(2.0 / (n + 1));
    EXPECT_NEAR(std::fabs(overlap), 1, 1e4 * this->kEpsilon);
  }
}

TYPED_TEST(Linalg, EigenOfDiagonalMatricesIsExact) {
  const Tensor<TypeParam> a({4, 4}, {3, 0, 0, 0, 0, -1, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0.5});
  const auto eigen = symmetric_eigen(a);
  EXPECT_THAT(eigen.values.to_vector(), ElementsAre(7, 3, 0.5, -1));
  this->expect_eigen(a, eigen, 1e-30);
  const auto zero = symmetric_eigen(Tensor<TypeParam>(Shape{5, 5}));
  EXPECT_THAT(zero.values.to_vector(), ::testing::Each(0));
  this->expect_eigen(Tensor<TypeParam>(Shape{5, 5}), zero, 1e-30);
  const auto one = symmetric_eigen(Tensor<TypeParam>({1, 1}, {-4}));
  EXPECT_EQ(one.values(0), -4);
  EXPECT_EQ(one.vectors(0, 0), 1);
  EXPECT_TRUE(symmetric_eigen(Tensor<TypeParam>(Shape{0, 0})).values.empty());
}

TYPED_TEST(Linalg, EigenOfRepeatedValuesIsOrthonormal) {
  // I + 1 1^T: n + 1 once and 1 otherwise.
  for (Index n : {2, 5, 40}) {
    Tensor<TypeParam> a = full<TypeParam>({n, n}, 1);
    for (Index i = 0; i < n; ++i) a.set({i, i}, 2);
    const auto eigen = symmetric_eigen(a);
    this->expect_eigen(a, eigen, 40 * this->kEpsilon);
    EXPECT_NEAR(eigen.values(0), n + 1, 10 * n * this->kEpsilon);
    for (Index i = 1; i < n; ++i) EXPECT_NEAR(eigen.values(i), 1, 10 * n * this->kEpsilon);
  }
  this->expect_eigen(identity<TypeParam>(30), symmetric_eigen(identity<TypeParam>(30)), 1e-30);
}

TYPED_TEST(Linalg, EigenOfLowRanksFindsTheZeros) {
  for (Index rank : {1, 2, 5}) {
    const Index n = 60;
    const auto x = test::gaussian_numbers<TypeParam>({n, rank}, 8);
    const auto a = times(x, x, true);
    const auto eigen = symmetric_eigen(a);
    SCOPED_TRACE(rank);
    this->expect_eigen(a, eigen, 20 * this->kEpsilon);
    for (Index i = rank; i < n; ++i)
      EXPECT_NEAR(eigen.values(i), 0, 20 * this->kEpsilon * eigen.values(0));
    EXPECT_GT(eigen.values(rank - 1), 1);
    double trace = 0;
    for (Index i = 0; i < n; ++i) trace += a(i, i);
    double sum = 0;
    for (TypeParam value : eigen.values) sum += value;
    EXPECT_NEAR(sum, trace, 100 * this->kEpsilon * trace);
  }
}

TYPED_TEST(Linalg, EigenReadsTheLowerTriangleOnly) {
  using Limits = std::numeric_limits<TypeParam>;
  const auto a = symmetric<TypeParam>(6, 9);
  const auto expected = symmetric_eigen(a);
  for (TypeParam above : {TypeParam(1e6), Limits::max(), Limits::infinity(), Limits::quiet_NaN()}) {
    SCOPED_TRACE(above);
    auto b = a;
    for (Index i = 0; i < 6; ++i)
      for (Index j = i + 1; j < 6; ++j) b.set({i, j}, above);
    const auto eigen = symmetric_eigen(b);
    EXPECT_EQ(eigen.values.to_vector(), expected.values.to_vector());
    EXPECT_EQ(eigen.vectors.to_vector(), expected.vectors.to_vector());
  }
}

TYPED_TEST(Linalg, EigenRefusesWhatIsNoNumber) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  EXPECT_EQ(error_of([=] {
              symmetric_eigen(Tensor<TypeParam>({2, 2}, {1, 0, nan, 1}));
            }),
            "symmetric_eigen: the matrix (2, 2) holds nan");
  EXPECT_EQ(error_of([] {
              symmetric_eigen(Tensor<TypeParam>({1, 1}, {-INFINITY}));
            }),
            "symmetric_eigen: the matrix (1, 1) holds -inf");
  EXPECT_EQ(error_of([] {
              symmetric_eigen(Tensor<TypeParam>(Shape{2, 3}));
            }),
            "symmetric_eigen: (2, 3) is not a square matrix");
}

// As of the covariance of fewer examples than pixels: half of the eigenvalues are 0.
TYPED_TEST(Linalg, EigenOfFewExamplesInManyDimensionsConverges) {
  for (const auto& [n, rank] : {std::pair<Index, Index>{120, 60}, {200, 20}}) {
    const auto x = test::gaussian_numbers<TypeParam>({n, rank}, 1);
    const auto a = times(x, x, true);
    SCOPED_TRACE(n);
    this->expect_eigen(a, symmetric_eigen(a), 20 * this->kEpsilon);
  }
}

// The squares of such numbers are beyond double, the eigenvalues are not.
TEST(LinalgOfDouble, EigenOfHugeAndTinyMatricesScales) {
  const auto a = symmetric<double>(5, 10);
  const auto expected = symmetric_eigen(a);
  for (double scale : {0x1p-600, 0x1p600}) {
    auto b = a;
    for (Index i = 0; i < b.size(); ++i) b.mutable_data()[i] *= scale;
    const auto eigen = symmetric_eigen(b);
    for (Index i = 0; i < 5; ++i)
      EXPECT_NEAR(eigen.values(i) / scale, expected.values(i), 1e-14) << scale;
    EXPECT_LE(largest_difference(eigen.vectors, expected.vectors), 1e-13) << scale;
  }
}

// Numbers below the diagonal whose squares are 0 in double, beside others of ordinary size.
TEST(LinalgOfDouble, EigenOfATinyColumnTakesItForZeros) {
  const auto eigen = symmetric_eigen(Tensor<double>({2, 2}, {1, 1e-160, 1e-160, 0.5}));
  EXPECT_EQ(eigen.values(0), 1);
  EXPECT_EQ(eigen.values(1), 0.5);
  EXPECT_EQ(eigen.vectors.to_vector(), identity<double>(2).to_vector());
}

// The Gaussian kernel exp(-d^2 / 2) of the points 0, 27 and 28: the first is alone (1), the others
// have the matrix (1, r; r, 1) with r = exp(-1/2), whose eigenvalues are 1 + r and 1 - r.
TEST(LinalgOfDouble, EigenOfAKernelMatrixOfFarPoints) {
  const double points[] = {0, 27, 28};
  Tensor<double> a(Shape{3, 3});
  for (Index i = 0; i < 3; ++i) {
    for (Index j = 0; j < 3; ++j) {
      const double d = points[i] - points[j];
      a.set({i, j}, std::exp(-d * d / 2));
    }
  }
  const auto eigen = symmetric_eigen(a);
  EXPECT_NEAR(eigen.values(0), 1 + std::exp(-0.5), 1e-15);
  EXPECT_NEAR(eigen.values(1), 1, 1e-15);
  EXPECT_NEAR(eigen.values(2), 1 - std::exp(-0.5), 1e-15);
  Linalg<double>::expect_eigen(a, eigen, 1e-15);
}

// Rows and columns of very different sizes: element (i, j) is multiplied by g_i g_j.
TEST(LinalgOfDouble, EigenOfGradedMatrices) {
  std::mt19937 engine(11);
  for (int i = 0; i < 2000; ++i) {
    const Index n = 1 + engine() % 8;
    std::uniform_real_distribution<double> exponent(-static_cast<double>(engine() % 150), 0);
    std::vector<double> g(n);
    for (double& x : g) x = std::pow(10, exponent(engine));
    auto a = symmetric<double>(n, i);
    for (Index j = 0; j < n * n; ++j) a.mutable_data()[j] *= g[j / n] * g[j % n];
    SCOPED_TRACE(i);
    Linalg<double>::expect_eigen(a, symmetric_eigen(a), 4 * n * 0x1p-52);
  }
}

// Numbers of all sizes, most of them so small that their squares are 0, wherever they stand.
TEST(LinalgOfDouble, EigenOfMatricesWithTinyNumbers) {
  std::mt19937 engine(12);
  std::uniform_real_distribution<double> exponent(-250, 0);
  for (int i = 0; i < 2000; ++i) {
    const Index n = 1 + engine() % 8;
    auto a = symmetric<double>(n, i);
    for (Index j = 0; j < n; ++j) {
      for (Index k = 0; k <= j; ++k) {
        const double x = a(j, k) * std::pow(10, exponent(engine));
        a.set({j, k}, x);
        a.set({k, j}, x);
      }
    }
    SCOPED_TRACE(i);
    Linalg<double>::expect_eigen(a, symmetric_eigen(a), 4 * n * 0x1p-52);
  }
}

// Q^T D Q, by random rotations, for eigenvalues that differ by 1e-14 or so, or not at all.
TEST(LinalgOfDouble, EigenOfClusteredValues) {
  std::mt19937 engine(13);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int i = 0; i < 1000; ++i) {
    const Index n = 2 + engine() % 7;
    Tensor<double> a(Shape{n, n});
    for (Index j = 0; j < n; ++j) a.set({j, j}, 1 + 1e-14 * static_cast<double>(engine() % 3));
    a.set({0, 0}, 1e-3);
    for (Index j = 0; j + 1 < n; ++j) {
      Tensor<double> q = identity<double>(n);
      const double angle = uniform(engine);
      q.set({j, j}, std::cos(angle));
      q.set({j + 1, j + 1}, std::cos(angle));
      q.set({j + 1, j}, std::sin(angle));
      q.set({j, j + 1}, -std::sin(angle));
      a = times(times(q, a), q, true);
    }
    for (Index j = 0; j < n; ++j)
      for (Index k = 0; k < j; ++k) a.set({k, j}, a(j, k));  // so that it is exactly symmetric
    SCOPED_TRACE(i);
    Linalg<double>::expect_eigen(a, symmetric_eigen(a), 4 * n * 0x1p-52);
  }
}

// The Wilkinson matrix W21+: pairs of eigenvalues that agree to 14 digits. The largest is
// 10.746194182903393 (Wilkinson, The Algebraic Eigenvalue Problem, 5.45).
TEST(LinalgOfDouble, EigenOfTheWilkinsonMatrix) {
  Tensor<double> a(Shape{21, 21});
  for (Index i = 0; i < 21; ++i) {
    a.set({i, i}, std::abs(static_cast<double>(i - 10)));
    if (i > 0) {
      a.set({i, i - 1}, 1);
      a.set({i - 1, i}, 1);
    }
  }
  const auto eigen = symmetric_eigen(a);
  EXPECT_NEAR(eigen.values(0), 10.746194182903393, 1e-13);
  EXPECT_NEAR(eigen.values(1), 10.746194182903322, 1e-13);
  Linalg<double>::expect_eigen(a, eigen, 1e-14);
}

// As large as a covariance of MNIST's pixels; with 200 of them constant, as its border is.
TEST(LinalgOfDouble, EigenOf784PixelsMultipliesBack) {
  const Index n = 784;
  const Index border = 200;
  Tensor<double> a(Shape{n, n});
  for (Index i = border; i < n; ++i)
    for (Index j = border; j <= i; ++j) {
      const double near = std::exp(-std::fabs(static_cast<double>(i - j)) / 30);
      const double covariance = near + (i == j ? 1e-3 : 0);
      a.mutable_data()[i * n + j] = covariance;
      a.mutable_data()[j * n + i] = covariance;
    }
  const auto eigen = symmetric_eigen(a);

  // For 16 of the vectors, all with all would be 1e9 operations in a slow loop.
  for (Index i = 0; i < n; i += 49) {
    const double* v = eigen.vectors.data() + i * n;
    for (Index j = 0; j < n; ++j) {
      const double* w = eigen.vectors.data() + j * n;
      double dot = 0;
      double av = 0;
      for (Index k = 0; k < n; ++k) {
        dot += v[k] * w[k];
        av += a.data()[j * n + k] * v[k];
      }
      ASSERT_NEAR(dot, i == j, 1e-12);
      ASSERT_NEAR(av, eigen.values(i) * v[j], 1e-12 * eigen.values(0));
    }
  }
  for (Index i = n - border; i < n; ++i) ASSERT_NEAR(eigen.values(i), 0, 1e-12);
}

}  // namespace
}  // namespace gradus
