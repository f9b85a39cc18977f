#include "tensor/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using test::extents_of;
using test::ravel;
using test::unravel;
using ::testing::ElementsAre;

// The groups of elements that a reduction brings together, by a loop over the multi-indices.
template <class T> struct Groups {
  std::vector<Index> extents;           // of the result, with the reduced axes kept
  std::vector<std::vector<T>> members;  // row-major
};

template <class T> Groups<T> groups(const Tensor<T>& x, const Axes& axes) {
  Groups<T> result;
  result.extents = extents_of(x.shape());
  for (int k = 0; k < x.rank(); ++k)
    if (axes.empty() || std::find(axes.begin(), axes.end(), k) != axes.end() ||
        std::find(axes.begin(), axes.end(), k - x.rank()) != axes.end())
      result.extents[k] = 1;
  result.members.resize(Shape(result.extents).size());
  for (Index i = 0; i < x.size(); ++i) {
    auto indices = unravel(i, extents_of(x.shape()));
    for (int k = 0; k < x.rank(); ++k) indices[k] = std::min(indices[k], result.extents[k] - 1);
    result.members[ravel(indices, result.extents)].push_back(x.data()[i]);
  }
  return result;
}

std::vector<Index> dropped(const std::vector<Index>& extents, const Axes& axes) {
  std::vector<Index> result;
  const int rank = static_cast<int>(extents.size());
  for (int k = 0; k < rank; ++k)
    if (!axes.empty() && std::find(axes.begin(), axes.end(), k) == axes.end() &&
        std::find(axes.begin(), axes.end(), k - rank) == axes.end())
      result.push_back(extents[k]);
  return result;
}

std::vector<Axes> all_subsets(int rank) {
  std::vector<Axes> subsets;
  for (int bits = 0; bits < 1 << rank; ++bits) {
    Axes axes;
    for (int k = 0; k < rank; ++k)
      if (bits >> k & 1) axes.push_back(bits % 3 ? k : k - rank);  // some of them negative
    if (bits % 2) std::reverse(axes.begin(), axes.end());          // some out of order
    subsets.push_back(axes);
  }
  return subsets;
}

template <class T> struct Reduce : test::FloatAndDouble<T> {
  using Function = Tensor<T> (*)(const Tensor<T>&, const Axes&, bool);

  // The function agrees with `expected` of each group, within `relative`.
  template <class Expected>
  static void expect(Function f, const Tensor<T>& x, Expected expected, double relative) {
    for (const Axes& axes : all_subsets(x.rank()))
      for (bool keep : {false, true}) {
        const Groups<T> group = groups(x, axes);
        const Tensor<T> y = f(x, axes, keep);
        SCOPED_TRACE(x.shape().str() + fmt::format(" over {} axes, keep {}", axes.size(), keep));
        ASSERT_EQ(extents_of(y.shape()), keep ? group.extents : dropped(group.extents, axes));
        for (Index i = 0; i < y.size(); ++i) {
          const long double exact = expected(group.members[i]);
          ASSERT_NEAR(y.data()[i], exact, relative * std::fabs(exact));
        }
      }
  }
};

TYPED_TEST_SUITE(Reduce, test::Scalars);

const std::vector<Shape> kShapes = {{2, 3, 4, 5}, {3, 1, 2, 1}, {1, 1, 1, 1},
                                    {1, 7, 1, 3}, {5, 2, 130},  {33, 17},
                                    {2100},       {1},          {2, 2, 2, 2, 2, 2}};

TYPED_TEST(Reduce, SumEqualsALoopOverEverySubsetOfTheAxes) {
  auto expected = [](const std::vector<TypeParam>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0L);
  };
  for (const Shape& shape : kShapes)
    this->expect(sum, test::whole_numbers<TypeParam>(shape, 1), expected, 0);
}

TYPED_TEST(Reduce, SumOfNothingIsZero) {
  auto expected = [](const std::vector<TypeParam>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0L);
  };
  for (const Shape& shape : {Shape{0}, Shape{2, 0, 3, 1}, Shape{0, 3, 0, 2}, Shape{3, 4, 0},
                             Shape{0, 200}, Shape{200, 0}})
    this->expect(sum, Tensor<TypeParam>(shape), expected, 0);
}

TYPED_TEST(Reduce, MeanEqualsALoopOverEverySubsetOfTheAxes) {
  auto expected = [](const std::vector<TypeParam>& v) {
    return std::accumulate(v.begin(), v.end(), 0.0L) / v.size();
  };
  for (const Shape& shape : kShapes)
    this->expect(mean, test::whole_numbers<TypeParam>(shape, 2), expected,
                 std::numeric_limits<TypeParam>::epsilon());
}

TYPED_TEST(Reduce, MaxEqualsALoopOverEverySubsetOfTheAxes) {
  auto expected = [](const std::vector<TypeParam>& v) {
    return *std::max_element(v.begin(), v.end());
  };
  for (const Shape& shape : kShapes) {
    const auto x = test::gaussian_numbers<TypeParam>(shape, 3);
    this->expect(max, x, expected, 0);
    this->expect(max, x - TypeParam(100), expected, 0);  // all negative: no hidden zero wins
  }
}

TYPED_TEST(Reduce, LogsumexpEqualsALoopOverEverySubsetOfTheAxes) {
  auto expected = [](const std::vector<TypeParam>& v) {
    long double sum = 0;
    for (TypeParam x : v) sum += std::exp(static_cast<long double>(x));
    return std::log(sum);
  };
  const double eps = std::numeric_limits<TypeParam>::epsilon();
  for (const Shape& shape : kShapes) {
    const auto x = test::gaussian_numbers<TypeParam>(shape, 4);
    this->expect(logsumexp, x + TypeParam(20), expected, 4 * eps);
    this->expect(logsumexp, 50 * x + TypeParam(1000), expected, 4 * eps);
    this->expect(logsumexp, 50 * x - TypeParam(1000), expected, 4 * eps);
  }
}

TYPED_TEST(Reduce, AScalarReducesToItself) {
  const Tensor<TypeParam> x = TypeParam(-3.5);
  for (auto f : {sum<TypeParam>, mean<TypeParam>, max<TypeParam>, logsumexp<TypeParam>}) {
    EXPECT_EQ(f(x, {}, false).item(), TypeParam(-3.5));
    EXPECT_EQ(f(x, {}, true).shape(), Shape());
    EXPECT_THROW(f(x, {0}, false), Error);
  }
}

TYPED_TEST(Reduce, NothingToReduceIsRefused) {
  const Tensor<TypeParam> x(Shape{2, 0});
  EXPECT_EQ(error_of([&] { mean(x); }), "mean: (2, 0) has no elements");
  EXPECT_EQ(error_of([&] { max(x, {1}); }), "max: (2, 0) has no elements");
  EXPECT_EQ(error_of([&] { logsumexp(x, {1}); }), "logsumexp: (2, 0) has no elements");
  EXPECT_EQ(error_of([&] { softmax(x); }), "softmax: (2, 0) has no elements");
  EXPECT_EQ(error_of([&] { log_softmax(x); }), "log_softmax: (2, 0) has no elements");
}

TYPED_TEST(Reduce, BadAxesAreRefusedByName) {
  const Tensor<TypeParam> x(Shape{2, 3});
  EXPECT_EQ(error_of([&] { sum(x, {2}); }), "sum: axis 2 is out of range: (2, 3) has 2 axes");
  EXPECT_EQ(error_of([&] { mean(x, {-3}); }), "mean: axis -3 is out of range: (2, 3) has 2 axes");
  EXPECT_EQ(error_of([&] { max(x, {0, -2}); }), "max: axis -2 is named twice");
  EXPECT_EQ(error_of([&] { logsumexp(x, {7}); }),
            "logsumexp: axis 7 is out of range: (2, 3) has 2 axes");
  EXPECT_EQ(error_of([&] { argmax(x, 2); }), "argmax: axis 2 is out of range: (2, 3) has 2 axes");
}

// Their sum overflows.
TYPED_TEST(Reduce, MeanOfLargeNumbersIsFinite) {
  using T = TypeParam;
  constexpr T kLargest = std::numeric_limits<T>::max();
  EXPECT_EQ(mean(full<T>({2}, kLargest)).item(), kLargest);
  EXPECT_EQ(mean(full<T>({100}, -kLargest)).item(), -kLargest);
  EXPECT_EQ(mean(full<T>({4, 4}, kLargest)).item(), kLargest);
  const T huge = 0.75 * std::ldexp(T(1), std::numeric_limits<T>::max_exponent - 1);
  EXPECT_EQ(mean(full<T>({2, 3, 130}, huge), {0, 2}).to_vector(), std::vector<T>(3, huge));

  // In each row something else.
  const T small = std::numeric_limits<T>::denorm_min() * 4;
  const T inf = INFINITY;
  const Tensor<T> x({4, 4}, {huge, huge, huge, -huge,      //
                             small, small, -small, small,  //
                             inf, 1, huge, huge,           //
                             inf, -inf, 1, 2});
  for (const Tensor<T>& y : {mean(x, {1}), mean(transpose(x), {0})}) {
    EXPECT_EQ(y(0), huge / 2);
    EXPECT_EQ(y(1), small / 2);
    EXPECT_EQ(y(2), inf);
    EXPECT_TRUE(std::isnan(y(3)));
  }
}

TYPED_TEST(Reduce, MaxLetsANaNWinWhereverItStands) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  for (Index where : {0, 1, 4}) {
    Tensor<TypeParam> x({5}, {1, INFINITY, 2, -INFINITY, 0});
    x.set({where}, nan);
    EXPECT_TRUE(std::isnan(max(x).item())) << where;
    EXPECT_TRUE(std::isnan(logsumexp(x).item())) << where;
    EXPECT_TRUE(std::isnan(sum(x).item())) << where;
    EXPECT_TRUE(std::isnan(max(x.reshape({5, 1}), {0}).item())) << where;
  }
}

TYPED_TEST(Reduce, LogsumexpKnowsInfinities) {
  const TypeParam inf = INFINITY;
  auto of = [](std::vector<TypeParam> v) {
    return logsumexp(Tensor<TypeParam>({std::ssize(v)}, v)).item();
  };
  EXPECT_EQ(of({-inf, -inf}), -inf);  // ln(0 + 0)
  EXPECT_EQ(of({-inf}), -inf);
  EXPECT_EQ(of({inf, 1}), inf);
  EXPECT_EQ(of({inf, -inf}), inf);
  EXPECT_EQ(of({inf, inf, 1000}), inf);
  EXPECT_EQ(of({-inf, 5}), 5);
  EXPECT_EQ(of({-1000, -inf}), -1000);
  EXPECT_NEAR(of({1000, 1000}), 1000 + std::log(2.0), 1e-4);
  EXPECT_NEAR(of({-1000, -1000, -1000}), -1000 + std::log(3.0), 1e-4);
}

TYPED_TEST(Reduce, LogsumexpTreatsEachGroupByItself) {
  const TypeParam inf = INFINITY;
  const Tensor<TypeParam> x({3, 2}, {-inf, -inf, 0, 0, inf, 3});
  const auto y = logsumexp(x, {1});
  EXPECT_EQ(y(0), -inf);
  EXPECT_NEAR(y(1), std::log(2.0), 1e-6);
  EXPECT_EQ(y(2), inf);
}

TYPED_TEST(Reduce, SoftmaxEqualsALoopOverEverySubsetOfTheAxes) {
  using T = TypeParam;
  const double eps = std::numeric_limits<T>::epsilon();
  for (const Shape& shape : kShapes) {
    const Tensor<T> x = test::gaussian_numbers<T>(shape, 5);
    for (const Axes& axes : all_subsets(x.rank())) {
      const auto numbers = groups(x, axes).members;
      const auto p = groups(softmax(x, axes), axes).members;
      const auto log_p = groups(log_softmax(x, axes), axes).members;
      ASSERT_EQ(p.size(), numbers.size());
      for (std::size_t g = 0; g < numbers.size(); ++g) {
        long double total = 0;
        for (T v : numbers[g]) total += std::exp(static_cast<long double>(v));
        for (std::size_t i = 0; i < numbers[g].size(); ++i) {
          const long double exact = numbers[g][i] - std::log(total);
          ASSERT_NEAR(log_p[g][i], exact, 8 * eps * (1 + std::fabs(exact)));
          ASSERT_NEAR(p[g][i], std::exp(exact), 8 * eps * std::exp(exact));
        }
      }
    }
  }
}

// Neighbours at 2^24 are 2 apart in float, so that nothing of ln 2 is left in m + ln 2.
TYPED_TEST(Reduce, SoftmaxKeepsItsDigitsAtLargeArguments) {
  using T = TypeParam;
  for (T large : {T(0x1p24), T(-0x1p24), std::numeric_limits<T>::max()}) {
    const Tensor<T> x = full<T>({2}, large);
    EXPECT_EQ(softmax(x)(0), T(0.5));
    EXPECT_EQ(log_softmax(x)(1), -std::log(T(2)));
  }
  const Tensor<T> apart({2}, {std::numeric_limits<T>::lowest(), std::numeric_limits<T>::max()});
  EXPECT_THAT(softmax(apart).to_vector(), ElementsAre(0, 1));
  EXPECT_THAT(log_softmax(apart).to_vector(), ElementsAre(-INFINITY, 0));
}

TYPED_TEST(Reduce, ArgmaxIsTheFirstOfTheLargest) {
  using T = TypeParam;
  const Tensor<T> x({3, 4}, {1, 5, 5, 2, 9, 0, 9, 9, -1, -1, -1, -1});
  EXPECT_THAT(argmax(x), ElementsAre(1, 0, 0));
  EXPECT_THAT(argmax(x, 1), ElementsAre(1, 0, 0));
  EXPECT_THAT(argmax(x, 0), ElementsAre(1, 0, 1, 1));
  EXPECT_THAT(argmax(x, -2), ElementsAre(1, 0, 1, 1));
  EXPECT_THAT(argmax(Tensor<T>({2}, {T(-0.0), 0})), ElementsAre(0));
}

TYPED_TEST(Reduce, ArgmaxCountsANaNAsLargest) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  EXPECT_THAT(argmax(Tensor<TypeParam>({4}, {1, nan, INFINITY, nan})), ElementsAre(1));
  EXPECT_THAT(argmax(Tensor<TypeParam>({3}, {nan, 1, nan})), ElementsAre(0));
}

TYPED_TEST(Reduce, ArgmaxPointsAtTheMaxAlongEveryAxis) {
  const auto x = test::whole_numbers<TypeParam>({4, 3, 5, 2}, 6, 3);
  const auto extents = extents_of(x.shape());
  for (int axis = 0; axis < 4; ++axis) {
    std::vector<std::optional<Index>> expected(x.size() / extents[axis]);
    auto others = extents;
    others[axis] = 1;
    for (Index i = 0; i < x.size(); ++i) {  // in row-major order: the first of equals comes first
      auto indices = unravel(i, extents);
      const Index at = std::exchange(indices[axis], 0);
      auto& best = expected[ravel(indices, others)];
      auto leader = indices;
      leader[axis] = best.value_or(0);
      if (!best || x.data()[i] > x.data()[ravel(leader, extents)]) best = at;
    }
    const auto got = argmax(x, axis);
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], *expected[i]);
  }
}

TYPED_TEST(Reduce, ArgmaxOfAnEmptyAxisIsRefused) {
  EXPECT_EQ(error_of([] {
              argmax(Tensor<TypeParam>(Shape{2, 0}));
            }),
            "argmax: axis -1 of (2, 0) has no elements");
  EXPECT_TRUE(argmax(Tensor<TypeParam>(Shape{0, 2}), 1).empty());
  EXPECT_THROW(argmax(Tensor<TypeParam>(TypeParam(1))), Error);
}

// broadcast_to and sum_to are adjoint: <broadcast_to(x), y> = <x, sum_to(y)> for all x and y.
TYPED_TEST(Reduce, SumToIsTheAdjointOfBroadcastTo) {
  const std::vector<std::pair<Shape, Shape>> pairs = {{Shape(), {3, 4}},
                                                      {{4}, {3, 4}},
                                                      {{1, 4}, {3, 4}},
                                                      {{3, 1}, {3, 4}},
                                                      {{1, 1}, {3, 4}},
                                                      {{3, 4}, {3, 4}},
                                                      {{1}, {5}},
                                                      {{1, 3}, {0, 3}},
                                                      {{4, 1, 2}, {3, 4, 5, 2}},
                                                      {{1, 4, 1, 2}, {3, 4, 5, 2}},
                                                      {{1, 1}, {2, 1, 1}}};
  for (const auto& [small, large] : pairs) {
    const auto x = test::whole_numbers<TypeParam>(small, 7);
    const auto y = test::whole_numbers<TypeParam>(large, 8);
    ASSERT_EQ(broadcast_to(x, large).shape(), large);
    ASSERT_EQ(sum_to(y, small).shape(), small);
    EXPECT_EQ(test::inner_product(broadcast_to(x, large), y),
              test::inner_product(x, sum_to(y, small)))
        << small.str() << " " << large.str();
  }
}

TYPED_TEST(Reduce, BroadcastToRepeats) {
  const Tensor<TypeParam> x({2, 1}, {1, 2});
  EXPECT_THAT(broadcast_to(x, {2, 2, 3}).to_vector(),
              ElementsAre(1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2));
}

TYPED_TEST(Reduce, BroadcastingOnlyGoesOneWay) {
  const Tensor<TypeParam> x(Shape{3, 1});
  EXPECT_EQ(error_of([&] {
              broadcast_to(x, {1, 4});
            }),
            "broadcast_to: (3, 1) does not broadcast to (1, 4)");
  EXPECT_EQ(error_of([&] { broadcast_to(x, {3}); }),
            "broadcast_to: (3, 1) does not broadcast to (3)");
  EXPECT_EQ(error_of([&] { sum_to(x, {3, 4}); }), "sum_to: (3, 4) does not broadcast to (3, 1)");
  EXPECT_EQ(error_of([&] {
              sum_to(x, {1, 3, 1});
            }),
            "sum_to: (1, 3, 1) does not broadcast to (3, 1)");
  EXPECT_THROW(broadcast_to(x, {2, 4}), Error);
  EXPECT_THROW(sum_to(x, {2, 1}), Error);
}

// A running float sum of 2^24 + 2^22 ones would stop at 2^24.
TEST(ReduceFloats, AMillionSmallNumbersLoseNothing) {
  const Index n = (1 << 24) + (1 << 22);
  EXPECT_EQ(sum(full<float>({n}, 1)).item(), static_cast<float>(n));
  EXPECT_EQ(mean(full<float>({n}, 1)).item(), 1.0f);
}

TEST(ReduceFloats, LongSumsAreRightToTheLastPlace) {
  for (const Shape& shape : {Shape{100003}, Shape{100003, 1}, Shape{317, 315}}) {
    const auto x = test::gaussian_numbers<float>(shape, 11) + 3.0f;
    const long double exact = std::accumulate(x.begin(), x.end(), 0.0L);
    EXPECT_LE(test::ulps(sum(x).item(), exact), 1) << shape.str();
  }
}

// In double, 1e8 + 1023 is exact; a float next to 1e8 absorbs every 1.
TEST(ReduceFloats, ALargeNumberDoesNotAbsorbItsNeighbours) {
  Tensor<float> x = full<float>({1024}, 1);
  x.set({0}, 1e8f);
  const auto exact = static_cast<float>(1e8 + 1023);
  EXPECT_EQ(sum(x.reshape({1024, 1}), {0}).item(), exact);
  EXPECT_EQ(sum(broadcast_to(x.reshape({1024, 1}), {1024, 2}), {0})(1), exact);
  EXPECT_EQ(sum(x).item(), exact);
}

// 2^24 + 1 is no float: of the sums of the rows nothing may be lost before they are added up.
TEST(ReduceFloats, SumsOverSeveralAxesAreRoundedOnce) {
  const Tensor<float> x({3, 2}, {0x1p24f, 1, 0x1p24f, 1, 0x1p24f, 1});
  const double exact = 3 * 0x1p24 + 3;
  EXPECT_EQ(sum(x).item(), static_cast<float>(exact));
  EXPECT_EQ(mean(x).item(), static_cast<float>(exact / 6));
  EXPECT_EQ(sum_to(x, {}).item(), static_cast<float>(exact));
  EXPECT_EQ(sum(x.reshape({3, 1, 2, 1})).item(), static_cast<float>(exact));

  const Tensor<float> cancelling({2, 2}, {3e38f, 3e38f, -3e38f, -3e38f});
  EXPECT_EQ(sum(cancelling).item(), 0.0f);
  EXPECT_EQ(mean(cancelling).item(), 0.0f);
}

// Neither 2^24 + 1 nor 2^24 + 3 is a float.
TEST(ReduceFloats, MeansOfOnesAreOneWhateverTheirNumber) {
  for (Index n : {(1 << 24) + 1, (1 << 24) + 3}) {
    EXPECT_EQ(mean(full<float>({n}, 1)).item(), 1.0f) << n;
    EXPECT_EQ(mean(full<float>({n, 1}, 1), {0})(0), 1.0f) << n;
  }
  EXPECT_EQ(mean(full<float>({3, (1 << 22) + 1, 3}, 1)).item(), 1.0f);
}

TEST(ReduceFloats, PartialSumsBeyondTheRangeOfFloatsDoNotOverflow) {
  Tensor<float> x(Shape{64});
  for (Index i : {0, 16}) {
    x.set({i}, 3e38f);
    x.set({i + 1}, -3e38f);
  }
  EXPECT_EQ(sum(x).item(), 0.0f);
}

}  // namespace
}  // namespace gradus
