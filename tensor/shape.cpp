#include "tensor/shape.hpp"

#include <limits>

#include "tensor/error.hpp"

namespace gradus {
std::string to_string(std::span<const Index> numbers) {
  std::string text = "(";
  for (Index n : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + ")";
}

Shape::Shape(std::span<const Index> extents) : rank_(static_cast<int>(extents.size())) {
  if (extents.size() > kMaxRank)
    fail("shape: {} axes; at most {} are supported", extents.size(), kMaxRank);
  constexpr Index kMax = std::numeric_limits<Index>::max() / 16;  // in bytes it must fit, too
  Index size = 1;
  for (Index extent : extents) {
    if (extent < 0) fail("shape {}: extent {} is negative", to_string(extents), extent);
    if (extent > 0 && size > kMax / extent)
      fail("shape {}: the number of elements overflows", to_string(extents));
    size *= std::max<Index>(extent, 1);
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
  for (int k = 1; k <= rank; ++k) {  // the k-th axis from the end
    const Index i = k <= a.rank() ? a[a.rank() - k] : 1, j = k <= b.rank() ? b[b.rank() - k] : 1;
    if (i != j && i != 1 && j != 1)
      fail("{}: {} and {} do not broadcast: extents {} and {} of axis {} differ, and neither is 1",
           operation, a, b, i, j, -k);
    extents[rank - k] = i == 1 ? j : i;
  }
  return Shape(std::span(extents.data(), rank));
}

Shape reduced_shape(const char* operation, const Shape& shape, const Axes& axes, bool keepdims) {
  std::array<bool, Shape::kMaxRank> dropped{};
  for (int axis : axes) {
    const int k = normalize_axis(operation, axis, shape);
    if (dropped[k]) fail("{}: axis {} is named twice", operation, axis);
    dropped[k] = true;
  }
  if (axes.empty()) dropped.fill(true);
  std::array<Index, Shape::kMaxRank> extents;
  int rank = 0;
  for (int k = 0; k < shape.rank(); ++k)
    if (keepdims || !dropped[k]) extents[rank++] = dropped[k] ? 1 : shape[k];
  return Shape(std::span(extents.data(), rank));
}
}  // namespace gradus
