#include "tensor/map.hpp"

namespace gradus::detail {
AxisView::AxisView(const Shape& shape, int axis) : n(shape[axis]) {
  for (int k = 0; k < axis; ++k) outer *= shape[k];
  for (int k = axis + 1; k < shape.rank(); ++k) inner *= shape[k];
}

BroadcastLoop::BroadcastLoop(const char* operation, const Shape& x, const Shape& y)
    : shape(broadcast_shapes(operation, x, y)) {
  Index x_stride = 1;  // of the next axis, where its operand moves
  Index y_stride = 1;
  for (int k = 1; k <= shape.rank(); ++k) {  // the k-th axis from the end
    const Index extent = shape[shape.rank() - k];
    if (extent == 1) continue;

    const Index x_extent = k <= x.rank() ? x[x.rank() - k] : 1;
    const Index y_extent = k <= y.rank() ? y[y.rank() - k] : 1;
    add_axis({extent, x_extent == 1 ? 0 : x_stride, y_extent == 1 ? 0 : y_stride});
    x_stride *= x_extent;
    y_stride *= y_extent;
  }
  if (n_axes_ == 0) return;

  row_size = axes_[0].extent;
  x_step = axes_[0].x_step;
  y_step = axes_[0].y_step;
  for (int k = 1; k < n_axes_; ++k) rows *= axes_[k].extent;
}

// An axis joins its inner neighbour when each operand either runs on contiguously through both or
// stays put in both.
void BroadcastLoop::add_axis(const Axis& next) {
  if (n_axes_ > 0) {
    Axis& last = axes_[n_axes_ - 1];
    if (next.x_step == last.x_step * last.extent && next.y_step == last.y_step * last.extent) {
      last.extent *= next.extent;
      return;
    }
  }

  axes_[n_axes_] = next;
  ++n_axes_;
}
}  // namespace gradus::detail
