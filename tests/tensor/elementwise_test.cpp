#include "tensor/elementwise.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using test::ulps;

// Both signs of every exponent, with mantissas at regular and at random places; and, closer
// together, where exp and its relatives change from one end of their range to the other.
template <class T> std::vector<T> wide_range(int mantissas) {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values = {0,
                           T(-0.0),
                           INFINITY,
                           -INFINITY,
                           Limits::quiet_NaN(),
                           Limits::max(),
                           Limits::lowest(),
                           Limits::min(),
                           -Limits::min(),
                           Limits::denorm_min(),
                           -Limits::denorm_min()};
  std::mt19937_64 engine(1);
  std::uniform_real_distribution<double> uniform(1, 2);
  const int step = sizeof(T) == 4 ? 1 : 8;
  for (int e = Limits::min_exponent - Limits::digits; e < Limits::max_exponent; e += step)
    for (int k = 0; k < mantissas; ++k)
      for (double m : {1 + double(k) / mantissas, uniform(engine)})
        for (double sign : {-1.0, 1.0}) values.push_back(static_cast<T>(std::ldexp(sign * m, e)));
  const double reach = sizeof(T) == 4 ? 110 : 760;
  std::uniform_real_distribution<double> near(-reach, reach);
  for (int k = 0; k < 10000; ++k) values.push_back(static_cast<T>(near(engine)));
  std::uniform_real_distribution<double> close(-2, 2);
  for (int k = 0; k < 10000; ++k) values.push_back(static_cast<T>(close(engine)));
  for (int n = -160; n <= 160; ++n)  // where one polynomial hands over to the next
    for (double ln2 : {std::log(2.0), std::log(2.0) / 2}) {
      const T x = static_cast<T>(n * ln2);
      for (T v : {x, std::nextafter(x, T(-1e30)), std::nextafter(x, T(1e30))}) values.push_back(v);
    }
  return values;
}

template <class T> struct Elementwise : test::FloatAndDouble<T> {
  // The worst of f over a wide range is within `max_ulps` units in the last place of the exact
  // value.
  static void expect_close(Tensor<T> (*f)(const Tensor<T>&), long double (*exact)(long double),
                           double max_ulps) {
    const std::vector<T> values = wide_range<T>(sizeof(T) == 4 ? 16 : 8);
    const Tensor<T> x({std::ssize(values)}, values);
    const Tensor<T> y = f(x);
    ASSERT_EQ(y.shape(), x.shape());
    double worst = -1;
    Index where = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const double error = ulps(y(i), exact(x(i)));
      if (!(error <= worst)) {  // also where the error is NaN
        worst = error;
        where = i;
      }
    }
    EXPECT_LE(worst, max_ulps) << "f(" << fmt::format("{}", x(where)) << ") = " << y(where)
                               << ", but it is " << exact(x(where));
  }
};

TYPED_TEST_SUITE(Elementwise, test::Scalars);

using Exact = long double;

TYPED_TEST(Elementwise, ExpIsWithin3Ulps) {
  this->expect_close(
      exp, [](Exact x) { return std::exp(x); }, 3);
}

TYPED_TEST(Elementwise, Expm1IsWithin3Ulps) {
  this->expect_close(
      expm1, [](Exact x) { return std::expm1(x); }, 3);
}

TYPED_TEST(Elementwise, LogIsWithin3Ulps) {
  this->expect_close(
      log, [](Exact x) { return std::log(x); }, 3);
}

TYPED_TEST(Elementwise, Log1pIsWithin3Ulps) {
  this->expect_close(
      log1p, [](Exact x) { return std::log1p(x); }, 3);
}

TYPED_TEST(Elementwise, TanhIsWithin3Ulps) {
  this->expect_close(
      tanh, [](Exact x) { return std::tanh(x); }, 3);
}

TYPED_TEST(Elementwise, SigmoidIsWithin3Ulps) {
  this->expect_close(
      sigmoid, [](Exact x) { return 1 / (1 + std::exp(-x)); }, 3);
}

TYPED_TEST(Elementwise, SoftplusIsWithin3Ulps) {
  this->expect_close(
      softplus,
      [](Exact x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }, 3);
}

TYPED_TEST(Elementwise, SqrtIsRoundedCorrectly) {
  this->expect_close(
      sqrt, [](Exact x) { return std::sqrt(x); }, 0.5001);
}

TYPED_TEST(Elementwise, SquareIsRoundedCorrectly) {
  this->expect_close(
      square, [](Exact x) { return x * x; }, 0.5001);
}

TYPED_TEST(Elementwise, NegationAbsReluAndSignAreExact) {
  this->expect_close(
      operator-, [](Exact x) { return -x; }, 0);
  this->expect_close(
      abs, [](Exact x) { return std::fabs(x); }, 0);
  this->expect_close(
      relu, [](Exact x) { return x > 0                 ? x
                                 : x * 0 == 0 || x < 0 ? 0
                                                       : x; }, 0);
  this->expect_close(
      sign, [](Exact x) { return std::isnan(x) ? x : Exact((x > 0) - (x < 0)); }, 0);
}

TYPED_TEST(Elementwise, SignedZerosAndLimitsAreThoseOfTheCLibrary) {
  using T = TypeParam;

  struct Function {
    const char* name;
    Tensor<T> (*ours)(const Tensor<T>&);
    T (*library)(T);
  };

  const Function functions[] = {{"exp", exp, std::exp},    {"expm1", expm1, std::expm1},
                                {"log", log, std::log},    {"log1p", log1p, std::log1p},
                                {"sqrt", sqrt, std::sqrt}, {"tanh", tanh, std::tanh},
                                {"abs", abs, std::fabs}};
  for (const Function& f : functions)
    for (T x : {T(0.0), T(-0.0), T(INFINITY), T(-INFINITY), T(1), T(-1)}) {
      const T got = f.ours(Tensor<T>(x)).item();
      const T expected = f.library(x);
      if (std::isfinite(expected) && expected != 0) continue;  // measured above
      EXPECT_EQ(std::isnan(got), std::isnan(expected)) << f.name << " of " << x;
      if (std::isnan(expected)) continue;
      EXPECT_EQ(got, expected) << f.name << " of " << x;
      EXPECT_EQ(std::signbit(got), std::signbit(expected)) << f.name << " of " << x;
    }
}

// Loops over the C library's functions have no vector code; a NaN must get through either kind, in
// the vectors' middle and in the rest at the end.
TYPED_TEST(Elementwise, ANaNComesOutWhereItWentIn) {
  using T = TypeParam;
  for (auto f : {exp<T>, expm1<T>, log<T>, log1p<T>, sqrt<T>, square<T>, abs<T>, sign<T>, tanh<T>,
                 sigmoid<T>, softplus<T>, relu<T>})
    for (Index where : {0, 13, 36}) {
      Tensor<T> x = full<T>({37}, T(0.5));
      x.set({where}, std::numeric_limits<T>::quiet_NaN());
      const Tensor<T> y = f(x);
      for (Index i = 0; i < 37; ++i) EXPECT_EQ(std::isnan(y(i)), i == where);
    }
}

TYPED_TEST(Elementwise, ArithmeticIsThatOfTheLanguage) {
  using T = TypeParam;
  std::vector<T> some = wide_range<T>(1);
  some.resize(sizeof(T) == 4 ? 400 : 300);
  const Index n = std::ssize(some);
  const Tensor<T> x({n, 1}, some);
  const Tensor<T> y({1, n}, some);
  const Tensor<T> sum = x + y;
  const Tensor<T> difference = x - y;
  const Tensor<T> product = x * y;
  const Tensor<T> quotient = x / y;
  auto expect_same = [](T got, T expected) {
    ASSERT_TRUE(got == expected || (std::isnan(got) && std::isnan(expected)))
        << got << " is not " << expected;
  };
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      const T a = some[i];
      const T b = some[j];
      expect_same(sum(i, j), a + b);
      expect_same(difference(i, j), a - b);
      expect_same(product(i, j), a * b);
      expect_same(quotient(i, j), a / b);
    }
}

TYPED_TEST(Elementwise, ComparisonsGiveOneOrZero) {
  using T = TypeParam;
  const std::vector<T> some = {-INFINITY, -2,  T(-0.0),  0,
                               1,         1.5, INFINITY, std::numeric_limits<T>::quiet_NaN()};
  const Tensor<T> x({8, 1}, some);
  const Tensor<T> y({8}, some);
  for (Index i = 0; i < 8; ++i)
    for (Index j = 0; j < 8; ++j) {
      const T a = some[i];
      const T b = some[j];
      EXPECT_EQ(less(x, y)(i, j), T(a < b)) << a << " " << b;
      EXPECT_EQ(less_equal(x, y)(i, j), T(a <= b)) << a << " " << b;
      EXPECT_EQ(greater(x, y)(i, j), T(a > b)) << a << " " << b;
      EXPECT_EQ(greater_equal(x, y)(i, j), T(a >= b)) << a << " " << b;
      EXPECT_EQ(equal(x, y)(i, j), T(a == b)) << a << " " << b;
      EXPECT_EQ(not_equal(x, y)(i, j), T(a != b)) << a << " " << b;
    }
}

TYPED_TEST(Elementwise, MaximumAndMinimumLetANaNWin) {
  using T = TypeParam;
  const T nan = std::numeric_limits<T>::quiet_NaN();
  const std::vector<T> some = {-INFINITY, -2, 0, 1, 1.5, INFINITY, nan};
  const Tensor<T> x({7, 1}, some);
  const Tensor<T> y({7}, some);
  for (Index i = 0; i < 7; ++i)
    for (Index j = 0; j < 7; ++j) {
      const T a = some[i];
      const T b = some[j];
      if (i == 6 || j == 6) {
        EXPECT_TRUE(std::isnan(maximum(x, y)(i, j)));
        EXPECT_TRUE(std::isnan(minimum(x, y)(i, j)));
      } else {
        EXPECT_EQ(maximum(x, y)(i, j), std::max(a, b));
        EXPECT_EQ(minimum(x, y)(i, j), std::min(a, b));
      }
    }
}

TYPED_TEST(Elementwise, PowIsThatOfTheLibrary) {
  using T = TypeParam;
  const std::vector<T> bases = {0, T(-0.0), 0.3, 1, 2.5, 1e10, -2, -0.5, INFINITY, -INFINITY};
  const std::vector<T> exponents = {0, 0.5, 1, 2, 3, -1, -2.5, 7, INFINITY, -INFINITY};
  const Tensor<T> z = pow(Tensor<T>({10, 1}, bases), Tensor<T>({10}, exponents));
  for (Index i = 0; i < 10; ++i)
    for (Index j = 0; j < 10; ++j)
      EXPECT_LE(ulps(z(i, j), std::pow(Exact(bases[i]), Exact(exponents[j]))), 2)
          << bases[i] << "^" << exponents[j];
}

TYPED_TEST(Elementwise, NumbersStandOnEitherSide) {
  using T = TypeParam;
  const Tensor<T> x({3}, {1, 2, 4});
  using ::testing::ElementsAre;
  EXPECT_THAT((x + 1).to_vector(), ElementsAre(2, 3, 5));
  EXPECT_THAT((1 + x).to_vector(), ElementsAre(2, 3, 5));
  EXPECT_THAT((x - 1).to_vector(), ElementsAre(0, 1, 3));
  EXPECT_THAT((1 - x).to_vector(), ElementsAre(0, -1, -3));
  EXPECT_THAT((3 * x).to_vector(), ElementsAre(3, 6, 12));
  EXPECT_THAT((x / 2).to_vector(), ElementsAre(0.5, 1, 2));
  EXPECT_THAT((2 / x).to_vector(), ElementsAre(2, 1, 0.5));
  EXPECT_THAT(pow(x, 2).to_vector(), ElementsAre(1, 4, 16));
  EXPECT_THAT(pow(2, x).to_vector(), ElementsAre(2, 4, 16));
  EXPECT_THAT(maximum(x, 2).to_vector(), ElementsAre(2, 2, 4));
  EXPECT_THAT(minimum(2, x).to_vector(), ElementsAre(1, 2, 2));
  EXPECT_THAT(less(x, 2).to_vector(), ElementsAre(1, 0, 0));
  EXPECT_THAT(less(2, x).to_vector(), ElementsAre(0, 0, 1));
  EXPECT_THAT(greater(x, 2).to_vector(), ElementsAre(0, 0, 1));
  EXPECT_THAT(less_equal(x, 2).to_vector(), ElementsAre(1, 1, 0));
  EXPECT_THAT(greater_equal(2, x).to_vector(), ElementsAre(1, 1, 0));
  EXPECT_THAT(equal(x, 2).to_vector(), ElementsAre(0, 1, 0));
  EXPECT_THAT(not_equal(x, 2).to_vector(), ElementsAre(1, 0, 1));
}

TYPED_TEST(Elementwise, ErrorsNameTheOperationTheShapesAndTheAxis) {
  using T = TypeParam;
  const Tensor<T> x(Shape{2, 3});
  const Tensor<T> y(Shape{4});
  auto expected = [](const std::string& name) {
    return name +
           ": (2, 3) and (4) do not broadcast: extents 3 and 4 of axis -1 differ, and "
           "neither is 1";
  };
  EXPECT_EQ(error_of([&] { x + y; }), expected("+"));
  EXPECT_EQ(error_of([&] { x - y; }), expected("-"));
  EXPECT_EQ(error_of([&] { x* y; }), expected("*"));
  EXPECT_EQ(error_of([&] { x / y; }), expected("/"));
  EXPECT_EQ(error_of([&] { pow(x, y); }), expected("pow"));
  EXPECT_EQ(error_of([&] { maximum(x, y); }), expected("maximum"));
  EXPECT_EQ(error_of([&] { minimum(x, y); }), expected("minimum"));
  EXPECT_EQ(error_of([&] { less(x, y); }), expected("less"));
  EXPECT_EQ(error_of([&] { less_equal(x, y); }), expected("less_equal"));
  EXPECT_EQ(error_of([&] { greater(x, y); }), expected("greater"));
  EXPECT_EQ(error_of([&] { greater_equal(x, y); }), expected("greater_equal"));
  EXPECT_EQ(error_of([&] { equal(x, y); }), expected("equal"));
  EXPECT_EQ(error_of([&] { not_equal(x, y); }), expected("not_equal"));
}

TYPED_TEST(Elementwise, OperandsStayAsTheyWere) {
  using T = TypeParam;
  const Tensor<T> x({2}, {1, 2});
  const Tensor<T> y({2}, {3, 5});
  x + y;
  exp(x);
  EXPECT_THAT(x.to_vector(), ::testing::ElementsAre(1, 2));
  EXPECT_THAT(y.to_vector(), ::testing::ElementsAre(3, 5));
}

}  // namespace
}  // namespace gradus
