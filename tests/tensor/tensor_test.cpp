#include "tensor/tensor.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using ::testing::Each;
using ::testing::ElementsAre;

template <class T> struct TensorOf : test::FloatAndDouble<T> {};

TYPED_TEST_SUITE(TensorOf, test::Scalars);

TYPED_TEST(TensorOf, ShapeBeginsAsZeros) {
  const Tensor<TypeParam> x(Shape{3, 4});
  EXPECT_EQ(x.shape(), (Shape{3, 4}));
  EXPECT_EQ(x.size(), 12);
  EXPECT_THAT(x.to_vector(), Each(0));
}

TYPED_TEST(TensorOf, ZerosAreZerosInRecycledMemoryToo) {
  {
    Tensor<TypeParam> dirty = full<TypeParam>({100}, 7);
    dirty.set({3}, 1);
  }
  EXPECT_THAT(Tensor<TypeParam>(Shape{100}).to_vector(), Each(0));
}

TYPED_TEST(TensorOf, NumbersHoldsThemInRowMajorOrder) {
  const Tensor<TypeParam> x({2, 3}, {1, 2, 3, 4, 5, 6});
  for (Index i = 0; i < 2; ++i)
    for (Index j = 0; j < 3; ++j) EXPECT_EQ(x(i, j), TypeParam(1 + 3 * i + j));
  const Tensor<TypeParam> y({2, 3, 4}, std::vector<TypeParam>(24, 1));
  EXPECT_EQ(y(1, 2, 3), 1);
}

TYPED_TEST(TensorOf, NoArgumentsIsEmpty) {
  const Tensor<TypeParam> x;
  EXPECT_EQ(x.shape(), (Shape{0}));
  EXPECT_TRUE(x.empty());
  EXPECT_TRUE(x.to_vector().empty());
  Tensor<TypeParam> y(Shape{3, 0});
  EXPECT_EQ(y.mutable_data(), y.data());
  EXPECT_EQ(y.begin(), y.end());
}

TYPED_TEST(TensorOf, OneNumberIsAScalar) {
  const Tensor<TypeParam> x = TypeParam(2.5);
  EXPECT_EQ(x.shape(), Shape());
  EXPECT_EQ(x.item(), TypeParam(2.5));
  EXPECT_EQ(x(), TypeParam(2.5));
  EXPECT_EQ(Tensor<TypeParam>({3}).shape(), (Shape{3}));  // the shape, not the number
}

TYPED_TEST(TensorOf, TheWrongCountIsRefused) {
  EXPECT_EQ(error_of([] {
              Tensor<TypeParam>({2, 2}, {1, 2, 3});
            }),
            "tensor: shape (2, 2) holds 4 numbers, but 3 were given");
  EXPECT_EQ(error_of([] { Tensor<TypeParam>(Shape(), std::vector<TypeParam>{}); }),
            "tensor: shape () holds 1 numbers, but 0 were given");
}

TYPED_TEST(TensorOf, ACopyIsNeverChangedByItsOriginal) {
  Tensor<TypeParam> x({3}, {1, 2, 3});
  const Tensor<TypeParam> copy = x;
  EXPECT_EQ(copy.data(), x.data());  // cheap: one block
  x.set({1}, 20);
  EXPECT_THAT(copy.to_vector(), ElementsAre(1, 2, 3));
  EXPECT_THAT(x.to_vector(), ElementsAre(1, 20, 3));
}

TYPED_TEST(TensorOf, AnOriginalIsNeverChangedByItsCopies) {
  const Tensor<TypeParam> x({3}, {1, 2, 3});
  Tensor<TypeParam> a = x;
  Tensor<TypeParam> b = a;
  Tensor<TypeParam> c;
  c = b;
  a.mutable_data()[0] = 10;
  b += x;
  c.set({2}, 30);
  EXPECT_THAT(x.to_vector(), ElementsAre(1, 2, 3));
  EXPECT_THAT(a.to_vector(), ElementsAre(10, 2, 3));
  EXPECT_THAT(b.to_vector(), ElementsAre(2, 4, 6));
  EXPECT_THAT(c.to_vector(), ElementsAre(1, 2, 30));
}

TYPED_TEST(TensorOf, WritingToAnUnsharedBlockCopiesNothing) {
  Tensor<TypeParam> x({3}, {1, 2, 3});
  const TypeParam* const before = x.data();
  x.set({0}, 5);
  { const Tensor<TypeParam> copy = x; }
  x.set({1}, 5);
  const Tensor<TypeParam> moved = std::move(x);
  EXPECT_EQ(moved.data(), before);
}

TYPED_TEST(TensorOf, ReshapeSharesTheNumbersButNoWrites) {
  Tensor<TypeParam> x({2, 3}, {1, 2, 3, 4, 5, 6});
  Tensor<TypeParam> y = x.reshape({3, 2});
  EXPECT_EQ(y.shape(), (Shape{3, 2}));
  EXPECT_EQ(y.data(), x.data());
  y.set({0, 0}, -1);
  x.set({1, 2}, -6);
  EXPECT_THAT(x.to_vector(), ElementsAre(1, 2, 3, 4, 5, -6));
  EXPECT_THAT(y.to_vector(), ElementsAre(-1, 2, 3, 4, 5, 6));
}

TYPED_TEST(TensorOf, ReshapeWorksOutOneExtent) {
  const Tensor<TypeParam> x(Shape{4, 6});
  EXPECT_EQ(x.reshape({-1}).shape(), (Shape{24}));
  EXPECT_EQ(x.reshape({3, -1}).shape(), (Shape{3, 8}));
  EXPECT_EQ(x.reshape({2, -1, 3}).shape(), (Shape{2, 4, 3}));
  EXPECT_EQ(x.reshape({24, -1}).shape(), (Shape{24, 1}));
  EXPECT_EQ(Tensor<TypeParam>(Shape{0, 5}).reshape({-1, 5}).shape(), (Shape{0, 5}));
  EXPECT_EQ(Tensor<TypeParam>(TypeParam(3)).reshape({-1}).shape(), (Shape{1}));
  EXPECT_EQ(Tensor<TypeParam>(Shape{1, 1}).reshape(Shape()).shape(), Shape());
}

TYPED_TEST(TensorOf, ReshapeToAnotherSizeIsRefused) {
  const Tensor<TypeParam> x(Shape{4, 6});
  EXPECT_EQ(error_of([&] {
              x.reshape({5, 5});
            }),
            "reshape: (4, 6) has 24 elements, but (5, 5) has 25");
  EXPECT_EQ(error_of([&] {
              x.reshape({7, -1});
            }),
            "reshape: (4, 6) has 24 elements, which (7, -1) cannot hold with any extent for -1");
  EXPECT_EQ(error_of([&] {
              x.reshape({0, -1});
            }),
            "reshape: (4, 6) has 24 elements, which (0, -1) cannot hold with any extent for -1");
  EXPECT_EQ(error_of([&] {
              x.reshape({-1, -1});
            }),
            "reshape: there is more than one -1 in (-1, -1)");
  EXPECT_THROW(x.reshape({-2, -12}), Error);
  EXPECT_THROW(x.reshape({-1, -24}), Error);
}

TYPED_TEST(TensorOf, IndicesOutOfRangeAreRefused) {
  Tensor<TypeParam> x(Shape{2, 3});
  EXPECT_EQ(error_of([&] { x(1, 3); }), "index: 3 is out of range on axis 1 of (2, 3)");
  EXPECT_EQ(error_of([&] { x(-1, 0); }), "index: -1 is out of range on axis 0 of (2, 3)");
  EXPECT_EQ(error_of([&] { x(1); }), "index: 1 indices were given, but (2, 3) has 2 axes");
  EXPECT_EQ(error_of([&] {
              x.set({0, 0, 0}, 1);
            }),
            "index: 3 indices were given, but (2, 3) has 2 axes");
  EXPECT_THROW(x.set({2, 0}, 1), Error);
  EXPECT_THROW(Tensor<TypeParam>()(0), Error);
}

TYPED_TEST(TensorOf, ItemWantsExactlyOneElement) {
  EXPECT_EQ(Tensor<TypeParam>({1, 1}, {4}).item(), 4);
  EXPECT_EQ(error_of([] { Tensor<TypeParam>(Shape{2}).item(); }),
            "item: (2) has 2 elements, not one; index it as x(i, ...)");
  EXPECT_THROW(Tensor<TypeParam>().item(), Error);
}

TYPED_TEST(TensorOf, ExtentCountsNegativeAxesFromTheEnd) {
  const Tensor<TypeParam> x(Shape{2, 3});
  EXPECT_EQ(x.extent(0), 2);
  EXPECT_EQ(x.extent(-1), 3);
  EXPECT_THROW(x.extent(2), Error);
}

TYPED_TEST(TensorOf, AddingInPlaceAddsElementwise) {
  // Long enough for several pieces of a parallel loop.
  const Index n = 100001;
  Tensor<TypeParam> x = test::whole_numbers<TypeParam>({n}, 1);
  const Tensor<TypeParam> y = test::whole_numbers<TypeParam>({n}, 2);
  const Tensor<TypeParam> before = x;
  x += y;
  for (Index i = 0; i < n; ++i) ASSERT_EQ(x(i), before(i) + y(i));
}

TYPED_TEST(TensorOf, AddingATensorToItselfDoublesIt) {
  Tensor<TypeParam> x({3}, {1, 2, 3});
  x += x;
  EXPECT_THAT(x.to_vector(), ElementsAre(2, 4, 6));
  const Tensor<TypeParam> copy = x;
  x += copy;
  EXPECT_THAT(x.to_vector(), ElementsAre(4, 8, 12));
  EXPECT_THAT(copy.to_vector(), ElementsAre(2, 4, 6));
}

TYPED_TEST(TensorOf, AddingInPlaceDoesNotBroadcast) {
  Tensor<TypeParam> x(Shape{2, 3});
  EXPECT_EQ(error_of([&] { x += Tensor<TypeParam>(Shape{3}); }),
            "+=: shapes (2, 3) and (3) differ");
  EXPECT_THROW(x += Tensor<TypeParam>(Shape{3, 2}), Error);
}

// One may still ask a moved-from tensor for its elements, and assign to it.
TYPED_TEST(TensorOf, ATensorThatAnotherIsMadeFromIsEmpty) {
  Tensor<TypeParam> x({3}, {1, 2, 3});
  const Tensor<TypeParam> y = std::move(x);
  EXPECT_EQ(x.shape(), (Shape{0}));
  EXPECT_EQ(x.begin(), x.end());
  x = y;
  EXPECT_THAT(x.to_vector(), ElementsAre(1, 2, 3));
}

TYPED_TEST(TensorOf, MoveAssignmentExchangesTwoTensors) {
  Tensor<TypeParam> x({3}, {1, 2, 3});
  Tensor<TypeParam> y({1, 2}, {4, 5});
  x = std::move(y);
  EXPECT_EQ(x.shape(), (Shape{1, 2}));
  EXPECT_THAT(x.to_vector(), ElementsAre(4, 5));
  EXPECT_EQ(y.shape(), (Shape{3}));
  EXPECT_THAT(y.to_vector(), ElementsAre(1, 2, 3));
}

TYPED_TEST(TensorOf, MovedToItselfStays) {
  Tensor<TypeParam> x({3}, {1, 2, 3});
  Tensor<TypeParam>& same = x;
  x = std::move(same);
  EXPECT_THAT(x.to_vector(), ElementsAre(1, 2, 3));
}

TYPED_TEST(TensorOf, MakersFillAsTheyAreNamed) {
  EXPECT_THAT(full<TypeParam>({2, 2}, 7).to_vector(), ElementsAre(7, 7, 7, 7));
  EXPECT_THAT(arange<TypeParam>(4).to_vector(), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(identity<TypeParam>(2).to_vector(), ElementsAre(1, 0, 0, 1));
  EXPECT_EQ(identity<TypeParam>(0).shape(), (Shape{0, 0}));
  EXPECT_TRUE(arange<TypeParam>(0).empty());
  EXPECT_THROW(arange<TypeParam>(-1), Error);
  EXPECT_THROW(identity<TypeParam>(-1), Error);
}

TEST(Cast, RoundsToTheOtherPrecision) {
  const Tensor<double> x({2, 2}, {0.1, 1e300, -0.0, 16777217.0});
  const Tensor<float> y = cast<float>(x);
  EXPECT_EQ(y.shape(), x.shape());
  EXPECT_THAT(y.to_vector(), ElementsAre(0.1f, INFINITY, 0.0f, 16777216.0f));
  EXPECT_TRUE(std::signbit(y(1, 0)));
  EXPECT_THAT(cast<double>(y).to_vector(), ElementsAre(double{0.1f}, INFINITY, 0.0, 16777216.0));
}

}  // namespace
}  // namespace gradus
