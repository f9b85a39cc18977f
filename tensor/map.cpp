#include "tensor/map.hpp"

namespace gradus::detail {
Walk::Walk(const char* operation, const Shape& x, const Shape& y)
    : shape(broadcast(operation, x, y)) {
  // From the last axis to the first, an axis joins its inner neighbour when each operand either
  // runs on contiguously through both or stays put in both.
  Index x_stride = 1, y_stride = 1;  // of the next axis, where its operand moves
  std::array<Index, Shape::kMaxRank> extents, x_strides, y_strides;  // innermost first
  int n = 0;
  for (int k = 1; k <= shape.rank(); ++k) {
    const Index extent = shape[shape.rank() - k];
    const Index i = k <= x.rank() ? x[x.rank() - k] : 1, j = k <= y.rank() ? y[y.rank() - k] : 1;
    if (extent == 1) continue;
    const Index sx = i == 1 ? 0 : x_stride, sy = j == 1 ? 0 : y_stride;
    if (n > 0 && sx == x_strides[n - 1] * extents[n - 1] &&
        sy == y_strides[n - 1] * extents[n - 1]) {
      extents[n - 1] *= extent;
    } else {
      extents[n] = extent, x_strides[n] = sx, y_strides[n] = sy;
      ++n;
    }
    x_stride *= i, y_stride *= j;
  }
  if (n == 0) return;
  run = extents[0];
  x_moves = x_strides[0] != 0;
  y_moves = y_strides[0] != 0;
  rank_ = n - 1;
  for (int k = 0; k < rank_; ++k) {
    extents_[k] = extents[k + 1], x_strides_[k] = x_strides[k + 1],
    y_strides_[k] = y_strides[k + 1];
    rows *= extents_[k];
  }
}

std::pair<Index, Index> Walk::offsets(Index r) const {
  Index i = 0, j = 0;
  for (int k = 0; k < rank_; ++k) {
    const Index index = r % extents_[k];
    r /= extents_[k];
    i += index * x_strides_[k];
    j += index * y_strides_[k];
  }
  return {i, j};
}
}  // namespace gradus::detail
