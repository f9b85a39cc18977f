#include "tensor/shape.hpp"

#include <limits>
#include <vector>

#include <fmt/format.h>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;

TEST(Shape, HasTheExtentsItWasGiven) {
  const Shape shape{2, 3, 5};
  EXPECT_EQ(shape.rank(), 3);
  EXPECT_EQ(shape[0], 2);
  EXPECT_EQ(shape[2], 5);
  EXPECT_EQ(shape.size(), 30);
  EXPECT_EQ(std::vector<Index>(shape.begin(), shape.end()), (std::vector<Index>{2, 3, 5}));
}

TEST(Shape, OfAScalarHasNoAxesAndOneElement) {
  EXPECT_EQ(Shape().rank(), 0);
  EXPECT_EQ(Shape().size(), 1);
  EXPECT_EQ(Shape().str(), "()");
}

TEST(Shape, WithAZeroExtentHasNoElements) {
  EXPECT_EQ((Shape{4, 0, 3}).size(), 0);
  EXPECT_EQ((Shape{0}).size(), 0);
}

TEST(Shape, EqualsOnlyAShapeOfTheSameExtentsAndRank) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{2, 3}), (Shape{1, 2, 3}));
  EXPECT_NE(Shape(), (Shape{1}));
}

TEST(Shape, PrintsAsATuple) {
  EXPECT_EQ((Shape{2, 3}).str(), "(2, 3)");
  EXPECT_EQ(fmt::format("{}|{}", Shape{7}, Shape{1, 0, 12}), "(7)|(1, 0, 12)");
}

TEST(Shape, TakesSixAxesAndRefusesSeven) {
  EXPECT_EQ((Shape{1, 2, 1, 2, 1, 2}).size(), 8);
  EXPECT_EQ(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1}; }), "shape: 7 axes; at most 6 are supported");
}

TEST(Shape, RefusesANegativeExtent) {
  EXPECT_EQ(error_of([] { Shape{2, -1}; }), "shape (2, -1): extent -1 is negative");
  EXPECT_EQ(error_of([] { Shape{0, -1}; }), "shape (0, -1): extent -1 is negative");
  EXPECT_THROW(Shape{std::numeric_limits<Index>::min()}, Error);
}

TEST(Shape, RefusesASizeWhoseBytesWouldOverflow) {
  const Index half = Index{1} << 31;
  EXPECT_EQ(error_of([=] {
              Shape{half, half, 4};
            }),
            "shape (2147483648, 2147483648, 4): the number of elements overflows");
  EXPECT_THROW(Shape{std::numeric_limits<Index>::max()}, Error);
  EXPECT_THROW((Shape{half, half, half}), Error);
  EXPECT_THROW((Shape{half, half, half, half}), Error);  // 2^124, which wraps round to 0
  EXPECT_THROW((Shape{(Index{1} << 60), 16}), Error);    // so does this
  EXPECT_THROW((Shape{6148914691236517206, 3}), Error);  // and this to 2
  EXPECT_EQ((Shape{half, half >> 4}).size(), Index{1} << 58);
}

TEST(Shape, ReplacesOneExtent) {
  EXPECT_EQ((Shape{2, 3, 4}).with(1, 7), (Shape{2, 7, 4}));
  EXPECT_EQ((Shape{2}).with(0, 0), (Shape{0}));
  EXPECT_THROW((Shape{2}).with(0, -3), Error);
}

TEST(NormalizeAxis, CountsNegativeAxesFromTheEnd) {
  const Shape shape{4, 5, 6};
  for (int axis = 0; axis < 3; ++axis) {
    EXPECT_EQ(normalize_axis("f", axis, shape), axis);
    EXPECT_EQ(normalize_axis("f", axis - 3, shape), axis);
  }
}

TEST(NormalizeAxis, RefusesAnAxisThatIsNotThere) {
  EXPECT_EQ(error_of([] {
              normalize_axis("sum", 2, Shape{4, 5});
            }),
            "sum: axis 2 is out of range: (4, 5) has 2 axes");
  EXPECT_EQ(error_of([] {
              normalize_axis("sum", -3, Shape{4, 5});
            }),
            "sum: axis -3 is out of range: (4, 5) has 2 axes");
  EXPECT_THROW(normalize_axis("sum", 0, Shape()), Error);
  EXPECT_THROW(normalize_axis("sum", -1, Shape()), Error);
}

TEST(Broadcast, FollowsThePublishedExamplesOfNumPy) {
  // numpy.org/doc/stable/user/basics.broadcasting.html, "General broadcasting rules"
  EXPECT_EQ(broadcast_shapes("+", {256, 256, 3}, {3}), (Shape{256, 256, 3}));
  EXPECT_EQ(broadcast_shapes("+", {8, 1, 6, 1}, {7, 1, 5}), (Shape{8, 7, 6, 5}));
  EXPECT_EQ(broadcast_shapes("+", {5, 4}, {1}), (Shape{5, 4}));
  EXPECT_EQ(broadcast_shapes("+", {15, 3, 5}, {15, 1, 5}), (Shape{15, 3, 5}));
  EXPECT_EQ(broadcast_shapes("+", {15, 3, 5}, {3, 1}), (Shape{15, 3, 5}));
  EXPECT_THROW(broadcast_shapes("+", {3}, {4}), Error);
  EXPECT_THROW(broadcast_shapes("+", {2, 1}, {8, 4, 3}), Error);
}

TEST(Broadcast, StretchesOneToNothing) {
  EXPECT_EQ(broadcast_shapes("+", {1}, {0}), (Shape{0}));
  EXPECT_EQ(broadcast_shapes("+", {0, 1}, {3}), (Shape{0, 3}));
  EXPECT_THROW(broadcast_shapes("+", {0}, {2}), Error);
}

TEST(Broadcast, NamesBothShapesAndTheAxis) {
  EXPECT_EQ(error_of([] {
              broadcast_shapes("+", {128, 400}, {128});
            }),
            "+: (128, 400) and (128) do not broadcast: extents 400 and 128 of axis -1 differ, and "
            "neither is 1");
  EXPECT_EQ(error_of([] {
              broadcast_shapes("pow", {3, 1}, {2, 5});
            }),
            "pow: (3, 1) and (2, 5) do not broadcast: extents 3 and 2 of axis -2 differ, and "
            "neither is 1");
}

TEST(Broadcast, RefusesAResultThatIsTooLarge) {
  EXPECT_THROW(broadcast_shapes("+", {Index{1} << 40, 1}, {1, Index{1} << 40}), Error);
}

TEST(Reduced, DropsOrKeepsTheAxes) {
  const Shape shape{2, 3, 4};
  EXPECT_EQ(reduced_shape("sum", shape, {}, false), Shape());
  EXPECT_EQ(reduced_shape("sum", shape, {}, true), (Shape{1, 1, 1}));
  EXPECT_EQ(reduced_shape("sum", shape, {1}, false), (Shape{2, 4}));
  EXPECT_EQ(reduced_shape("sum", shape, {-1, 0}, false), (Shape{3}));
  EXPECT_EQ(reduced_shape("sum", shape, {-1, 0}, true), (Shape{1, 3, 1}));
  EXPECT_EQ(reduced_shape("sum", Shape(), {}, false), Shape());
}

TEST(Reduced, RefusesAnAxisNamedTwice) {
  EXPECT_EQ(error_of([] {
              reduced_shape("max", {2, 3}, {1, -1}, false);
            }),
            "max: axis -1 is named twice");
  EXPECT_EQ(error_of([] {
              reduced_shape("max", {2, 3}, {2}, false);
            }),
            "max: axis 2 is out of range: (2, 3) has 2 axes");
}

}  // namespace
}  // namespace gradus
