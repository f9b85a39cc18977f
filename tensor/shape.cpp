#include "tensor/shape.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <string>

#include "tensor/error.hpp"

namespace gradus {
namespace {
// The extent of the k-th axis from the end, k = 1 for the last; 1 where there is no such axis.
Index extent_from_the_end(const Shape& shape, int k) {
  return k <= shape.rank() ? shape[shape.rank() - k] : 1;
}
}  // namespace

std::string to_string(std::span<const Index> numbers) {
  std::string text = "(";
  for (Index n : numbers) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(n);
  }
  return text + ")";
}

Shape::Shape(std::span<const Index> extents) : rank_(static_cast<int>(extents.size())) {
  if (extents.size() > kMaxRank)
    fail("shape: {} axes; at most {} are supported", extents.size(), kMaxRank);

  // The size in bytes must fit, too. An extent of 0 counts as 1 here: whoever walks along one axis
  // multiplies the extents of the others, and that must not overflow either.
  constexpr Index kMax = std::numeric_limits<Index>::max() / 16;
  Index product = 1;
  for (Index extent : extents) {
    if (extent < 0) fail("shape {}: extent {} is negative", to_string(extents), extent);
    if (extent > 0 && product > kMax / extent)
      fail("shape {}: the number of elements overflows", to_string(extents));
    product *= std::max<Index>(extent, 1);
    size_ *= extent;
  }

  std::copy(extents.begin(), extents.end(), extents_.begin());
}

Shape Shape::with(int axis, Index extent) const {
  Shape shape = *this;
  shape.extents_[axis] = extent;
  return Shape(std::span(shape.begin(), shape.end()));  // checks it
}

int normalize_axis(const char* operation, int axis, const Shape& shape) {
  if (axis < -shape.rank() || axis >= shape.rank())
    fail("{}: axis {} is out of range: {} has {} axes", operation, axis, shape, shape.rank());
  return axis < 0 ? axis + shape.rank() : axis;
}

Shape broadcast_shapes(const char* operation, const Shape& a, const Shape& b) {
  if (a == b) return a;

  const int rank = std::max(a.rank(), b.rank());
  std::array<Index, Shape::kMaxRank> extents;
  for (int k = 1; k <= rank; ++k) {
    const Index i = extent_from_the_end(a, k);
    const Index j = extent_from_the_end(b, k);
    if (i != j && i != 1 && j != 1)
      fail("{}: {} and {} do not broadcast: extents {} and {} of axis {} differ, and neither is 1",
           operation, a, b, i, j, -k);
    extents[rank - k] = i == 1 ? j : i;
  }
  return Shape(std::span(extents.data(), rank));
}

Shape reduced_shape(const char* operation, const Shape& shape, const Axes& axes, bool keepdims) {
  std::array<bool, Shape::kMaxRank> reduced{};
  if (axes.empty()) reduced.fill(true);
  for (int axis : axes) {
    const int k = normalize_axis(operation, axis, shape);
    if (reduced[k]) fail("{}: axis {} is named twice", operation, axis);
    reduced[k] = true;
  }

  std::array<Index, Shape::kMaxRank> extents;
  int rank = 0;
  for (int k = 0; k < shape.rank(); ++k) {
    if (reduced[k] && !keepdims) continue;
    extents[rank] = reduced[k] ? 1 : shape[k];
    ++rank;
  }
  return Shape(std::span(extents.data(), rank));
}
}  // namespace gradus
