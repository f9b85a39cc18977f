#include "tensor/layout.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <random>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using test::inner_product;
using test::whole_numbers;
using ::testing::ElementsAre;

template <class T> struct Layout : test::FloatAndDouble<T> {};

TYPED_TEST_SUITE(Layout, test::Scalars);

TYPED_TEST(Layout, TransposeExchangesRowsAndColumns) {
  for (Index m : {0, 1, 2, 15, 16, 17, 33, 100})
    for (Index n : {0, 1, 3, 16, 31, 32, 47}) {
      const auto x = whole_numbers<TypeParam>({m, n}, 1, 1000);
      const auto y = transpose(x);
      ASSERT_EQ(y.shape(), (Shape{n, m}));
      for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) ASSERT_EQ(y(j, i), x(i, j)) << m << " " << n;
    }
}

TYPED_TEST(Layout, TransposeWantsAMatrix) {
  EXPECT_EQ(error_of([] { transpose(Tensor<TypeParam>(Shape{3})); }),
            "transpose: (3) is not a matrix");
  EXPECT_THROW(transpose(Tensor<TypeParam>(Shape{1, 2, 3})), Error);
  EXPECT_THROW(transpose(Tensor<TypeParam>(TypeParam(1))), Error);
}

// Every order of up to six axes, against the definition, index by index.
TYPED_TEST(Layout, PermutePutsEachAxisWhereItIsAskedFor) {
  const std::vector<Index> all_extents = {2, 3, 1, 4, 2, 3};
  for (int rank = 0; rank <= Shape::kMaxRank; ++rank) {
    const std::vector<Index> extents(all_extents.begin(), all_extents.begin() + rank);
    const auto x = whole_numbers<TypeParam>(Shape(extents), 1, 1000);
    Axes axes(rank);
    std::iota(axes.begin(), axes.end(), 0);
    do {
      const auto y = permute(x, axes);
      const auto y_extents = test::extents_of(y.shape());
      ASSERT_EQ(y.rank(), rank);
      for (int k = 0; k < rank; ++k) ASSERT_EQ(y_extents[k], extents[axes[k]]);
      for (Index i = 0; i < y.size(); ++i) {
        const auto at = test::unravel(i, y_extents);
        std::vector<Index> from(rank);
        for (int k = 0; k < rank; ++k) from[axes[k]] = at[k];
        ASSERT_EQ(y.data()[i], x.data()[test::ravel(from, extents)]);
      }
      const auto back = permute(y, inverse_permutation(axes));
      ASSERT_EQ(back.shape(), x.shape());
      ASSERT_EQ(back.to_vector(), x.to_vector());
    } while (std::next_permutation(axes.begin(), axes.end()));
  }
}

TYPED_TEST(Layout, PermuteCountsNegativeAxesFromTheEnd) {
  const auto x = whole_numbers<TypeParam>({2, 3, 4, 5}, 1, 1000);
  EXPECT_EQ(permute(x, {-2, 0, -1, 1}).to_vector(), permute(x, {2, 0, 3, 1}).to_vector());
  EXPECT_EQ(inverse_permutation({-2, 0, -1, 1}), (Axes{1, 3, 0, 2}));
  EXPECT_EQ(permute(whole_numbers<TypeParam>({2, 3}, 1), {1, 0}).to_vector(),
            transpose(whole_numbers<TypeParam>({2, 3}, 1)).to_vector());
}

TYPED_TEST(Layout, PermuteWantsEachAxisOnce) {
  const Tensor<TypeParam> x(Shape{2, 0, 4});
  EXPECT_EQ(permute(x, {2, 0, 1}).shape(), (Shape{4, 2, 0}));
  EXPECT_EQ(error_of([&] {
              permute(x, {0, 2});
            }),
            "permute: axes (0, 2) of (2, 0, 4): each of its 3 axes must occur once");
  EXPECT_EQ(error_of([&] {
              permute(x, {0, 2, -1});
            }),
            "permute: axes (0, 2, -1) of (2, 0, 4): each of its 3 axes must occur once");
  EXPECT_EQ(error_of([&] {
              permute(x, {0, 1, 3});
            }),
            "permute: axis 3 is out of range: (2, 0, 4) has 3 axes");
}

TYPED_TEST(Layout, RowsComeInTheOrderOfTheIndices) {
  const auto x = whole_numbers<TypeParam>({5, 2, 3}, 2);
  const std::vector<Index> indices = {4, 0, 0, 2, 4};
  const auto y = gather_rows(x, std::span<const Index>(indices));
  ASSERT_EQ(y.shape(), (Shape{5, 2, 3}));
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 2; ++j)
      for (Index k = 0; k < 3; ++k) EXPECT_EQ(y(i, j, k), x(indices[i], j, k));
}

TYPED_TEST(Layout, RowsOfManyPiecesEqualALoop) {
  const auto x = whole_numbers<TypeParam>({300, 200}, 2, 1000);
  std::mt19937 engine(3);
  std::vector<Index> indices(1000);
  for (Index& i : indices) i = engine() % 300;
  const auto y = gather_rows(x, std::span<const Index>(indices));
  for (Index i = 0; i < 1000; ++i)
    for (Index j = 0; j < 200; ++j) ASSERT_EQ(y(i, j), x(indices[i], j));
}

TYPED_TEST(Layout, NoIndicesGiveNoRows) {
  EXPECT_EQ(gather_rows(Tensor<TypeParam>(Shape{5, 2}), {}).shape(), (Shape{0, 2}));
  EXPECT_EQ(gather_rows(Tensor<TypeParam>(Shape{0, 2}), {}).shape(), (Shape{0, 2}));
  const std::vector<Index> twice = {1, 1};
  EXPECT_EQ(gather_rows(Tensor<TypeParam>(Shape{2, 0}), std::span<const Index>(twice)).shape(),
            (Shape{2, 0}));
}

TYPED_TEST(Layout, GatheredRowsOutOfRangeAreRefused) {
  const Tensor<TypeParam> x(Shape{5, 2});
  for (Index bad : {Index{5}, Index{-1}, Index{1} << 60}) {
    const std::vector<Index> indices = {0, bad};
    EXPECT_EQ(error_of([&] { gather_rows(x, std::span<const Index>(indices)); }),
              fmt::format("gather_rows: row {} is out of range: (5, 2) has 5 rows", bad));
    EXPECT_EQ(error_of([&] {
                scatter_add_rows(Tensor<TypeParam>(Shape{2, 2}), indices, 5);
              }),
              fmt::format("scatter_add_rows: row {} is out of range: (5, 2) has 5 rows", bad));
  }
  EXPECT_EQ(error_of([] { gather_rows(Tensor<TypeParam>(TypeParam(1)), {}); }),
            "gather_rows: a scalar has no rows");
  EXPECT_EQ(error_of([] { scatter_add_rows(Tensor<TypeParam>(TypeParam(1)), {}, 3); }),
            "scatter_add_rows: a scalar has no rows");
}

TYPED_TEST(Layout, ScatterAddRowsWantsAnIndexForEveryRow) {
  const std::vector<Index> indices = {0, 1, 2};
  EXPECT_EQ(error_of([&] {
              scatter_add_rows(Tensor<TypeParam>(Shape{2, 4}), indices, 5);
            }),
            "scatter_add_rows: 3 indices for the 2 rows of (2, 4)");
  EXPECT_THROW(scatter_add_rows(Tensor<TypeParam>(Shape{0, 4}), {}, -1), Error);
}

TYPED_TEST(Layout, ScatterAddRowsAddsRowsWithTheSameIndex) {
  const Tensor<TypeParam> x({3, 2}, {1, 2, 10, 20, 100, 200});
  const std::vector<Index> indices = {2, 0, 2};
  EXPECT_THAT(scatter_add_rows(x, std::span<const Index>(indices), 4).to_vector(),
              ElementsAre(10, 20, 0, 0, 101, 202, 0, 0));
}

TYPED_TEST(Layout, ScatterAddRowsIsTheAdjointOfGatherRows) {
  std::mt19937 engine(4);
  for (Index n : {1, 3, 17})
    for (Index count : {0, 1, 5, 40}) {
      std::vector<Index> indices(count);
      for (Index& i : indices) i = engine() % n;
      const std::span<const Index> span(indices);
      const auto x = whole_numbers<TypeParam>({n, 2, 3}, 5);
      const auto y = whole_numbers<TypeParam>({count, 2, 3}, 6);
      EXPECT_EQ(inner_product(gather_rows(x, span), y),
                inner_product(x, scatter_add_rows(y, span, n)));
    }
}

TYPED_TEST(Layout, ConcatenatePutsTensorsOneAfterAnother) {
  for (int axis : {0, 1, 2, -1, -2, -3}) {
    const int k = (axis + 3) % 3;
    std::vector<Tensor<TypeParam>> parts;
    for (Index extent : {2, 0, 1, 3})
      parts.push_back(whole_numbers<TypeParam>(Shape{4, 3, 5}.with(k, extent), 7 + extent));
    const auto whole = concatenate(parts, axis);
    ASSERT_EQ(whole.shape(), (Shape{4, 3, 5}).with(k, 6));
    const auto extents = test::extents_of(whole.shape());
    for (Index i = 0; i < whole.size(); ++i) {
      auto at = test::unravel(i, extents);
      std::size_t part = 0;
      while (at[k] >= parts[part].shape()[k]) at[k] -= parts[part++].shape()[k];
      ASSERT_EQ(whole.data()[i], parts[part](at[0], at[1], at[2]));
    }
  }
}

TYPED_TEST(Layout, ConcatenateWantsShapesThatFit) {
  using V = std::vector<Tensor<TypeParam>>;
  const Tensor<TypeParam> x(Shape{2, 3});
  const Tensor<TypeParam> y(Shape{2, 4});
  const Tensor<TypeParam> z(Shape{3});
  EXPECT_EQ(error_of([] { concatenate(V{}); }), "concatenate: no tensors were given");
  EXPECT_EQ(error_of([&] {
              concatenate(V{x, y});
            }),
            "concatenate: (2, 3) and (2, 4) differ on another axis than 0");
  EXPECT_EQ(error_of([&] {
              concatenate(V{x, z}, 1);
            }),
            "concatenate: (2, 3) and (3) differ on another axis than 1");
  EXPECT_EQ(error_of([&] { concatenate(V{x}, 2); }),
            "concatenate: axis 2 is out of range: (2, 3) has 2 axes");
  EXPECT_THROW(concatenate(V{Tensor<TypeParam>(TypeParam(1))}), Error);
  EXPECT_EQ(concatenate(V{x, y}, 1).shape(), (Shape{2, 7}));
}

// Tensors without elements have no block: no pointer arithmetic may be done on it.
TYPED_TEST(Layout, TensorsWithoutElementsAreCutAndJoinedLikeOthers) {
  using V = std::vector<Tensor<TypeParam>>;
  const Tensor<TypeParam> x(Shape{0, 3});
  EXPECT_EQ(concatenate(V{x, x}, 1).shape(), (Shape{0, 6}));
  EXPECT_EQ(concatenate(V{x, x}, 0).shape(), (Shape{0, 3}));
  EXPECT_EQ(slice(x, 1, 1, 3).shape(), (Shape{0, 2}));
  EXPECT_EQ(slice(x, 0, 0, 0).shape(), (Shape{0, 3}));
  EXPECT_EQ(slice(Tensor<TypeParam>(Shape{3, 0}), 0, 1, 3).shape(), (Shape{2, 0}));
  EXPECT_EQ(pad(x, 1, 2, 1).shape(), (Shape{0, 6}));
  EXPECT_THAT(pad(x, 0, 1, 0).to_vector(), ElementsAre(0, 0, 0));
  EXPECT_EQ(transpose(x).shape(), (Shape{3, 0}));
}

TYPED_TEST(Layout, SliceTakesWhatIsInside) {
  const auto x = whole_numbers<TypeParam>({4, 3, 5}, 8);
  for (int axis = 0; axis < 3; ++axis)
    for (Index begin = 0; begin <= x.shape()[axis]; ++begin)
      for (Index end = begin; end <= x.shape()[axis]; ++end) {
        const auto y = slice(x, axis, begin, end);
        ASSERT_EQ(y.shape(), x.shape().with(axis, end - begin));
        for (Index i = 0; i < y.size(); ++i) {
          auto at = test::unravel(i, test::extents_of(y.shape()));
          at[axis] += begin;
          ASSERT_EQ(y.data()[i], x(at[0], at[1], at[2]));
        }
      }
}

TYPED_TEST(Layout, SliceOutsideIsRefused) {
  const Tensor<TypeParam> x(Shape{4, 3});
  EXPECT_EQ(error_of([&] { slice(x, 0, 2, 5); }), "slice: [2, 5) is not inside axis 0 of (4, 3)");
  EXPECT_EQ(error_of([&] { slice(x, -1, -1, 2); }),
            "slice: [-1, 2) is not inside axis -1 of (4, 3)");
  EXPECT_EQ(error_of([&] { slice(x, 1, 2, 1); }), "slice: [2, 1) is not inside axis 1 of (4, 3)");
  EXPECT_THROW(slice(x, 2, 0, 0), Error);
  EXPECT_THROW(slice(Tensor<TypeParam>(TypeParam(1)), 0, 0, 1), Error);
}

TYPED_TEST(Layout, PadIsTheAdjointOfSlice) {
  const Shape shape{4, 3, 5};
  const auto x = whole_numbers<TypeParam>(shape, 9);
  for (int axis : {0, 1, 2, -1})
    for (Index begin = 0; begin <= 3; ++begin)
      for (Index end = begin; end <= 3; ++end) {
        const int k = (axis + 3) % 3;
        const auto y = whole_numbers<TypeParam>(shape.with(k, end - begin), 10);
        EXPECT_EQ(inner_product(slice(x, axis, begin, end), y),
                  inner_product(x, pad(y, axis, begin, shape[k] - end)));
      }
}

TYPED_TEST(Layout, PadSurroundsWithZeros) {
  const Tensor<TypeParam> x({1, 2}, {7, 8});
  EXPECT_THAT(pad(x, 1, 1, 2).to_vector(), ElementsAre(0, 7, 8, 0, 0));
  EXPECT_THAT(pad(x, 0, 1, 0).to_vector(), ElementsAre(0, 0, 7, 8));
  EXPECT_EQ(error_of([&] { pad(x, 0, -1, 0); }), "pad: negative padding (-1, 0)");
  EXPECT_THROW(pad(x, 2, 0, 0), Error);
}

}  // namespace
}  // namespace gradus
