#pragma once
#include "tensor/tensor.hpp"

namespace gradus {
namespace detail {
constexpr Index kPiece = 1 << 13;  // elements that one thread takes at a time

// A tensor seen as (outer, n, inner), of which n is along one axis.
struct AxisView {
  AxisView(const Shape& shape, int axis) : n(shape[axis]) {
    for (int k = 0; k < shape.rank(); ++k)
      if (k != axis) (k < axis ? outer : inner) *= shape[k];
  }

  Index outer = 1, n, inner = 1;
};

// How two broadcast operands are walked: `rows` runs of `run` elements each, along which each
// operand advances by 1 or stays where it is. Neighbouring axes that behave alike are one.
struct BroadcastLoop {
  BroadcastLoop(const char* operation, const Shape& x, const Shape& y);
  // Where row r of each operand begins.
  std::pair<Index, Index> offsets(Index r) const;
  Shape shape;  // of the result
  Index rows = 1, run = 1;
  bool x_moves = true, y_moves = true;  // along a run

 private:
  struct Axis {
    Index extent, x, y;  // how far one step along it takes each operand
  };

  int n_ = 0;
  std::array<Axis, Shape::kMaxRank> axes_;  // that are left: n_ of them, innermost (the run) first
};

inline BroadcastLoop::BroadcastLoop(const char* operation, const Shape& x, const Shape& y)
    : shape(broadcast_shapes(operation, x, y)) {
  // From the last axis to the first, an axis joins its inner neighbour when each operand either
  // runs on contiguously through both or stays put in both.
  Index x_stride = 1, y_stride = 1;  // of the next axis, where its operand moves
  for (int k = 1; k <= shape.rank(); ++k) {
    const Index extent = shape[shape.rank() - k];
    const Index i = k <= x.rank() ? x[x.rank() - k] : 1, j = k <= y.rank() ? y[y.rank() - k] : 1;
    if (extent == 1) continue;
    const Axis next{extent, i == 1 ? 0 : x_stride, j == 1 ? 0 : y_stride};
    Axis& last = axes_[std::max(n_ - 1, 0)];
    if (n_ > 0 && next.x == last.x * last.extent && next.y == last.y * last.extent)
      last.extent *= extent;
    else
      axes_[n_++] = next;
    x_stride *= i, y_stride *= j;
  }
  if (n_ == 0) return;
  run = axes_[0].extent;
  x_moves = axes_[0].x != 0;
  y_moves = axes_[0].y != 0;
  for (int k = 1; k < n_; ++k) rows *= axes_[k].extent;
}

inline std::pair<Index, Index> BroadcastLoop::offsets(Index r) const {
  Index i = 0, j = 0;
  for (int k = 1; k < n_; r /= axes_[k++].extent) {
    i += r % axes_[k].extent * axes_[k].x;
    j += r % axes_[k].extent * axes_[k].y;
  }
  return {i, j};
}
}  // namespace detail

// z[i] = f(x[i]).
template <class T, class F> Tensor<T> map(const Tensor<T>& x, F f) {
  auto result = Tensor<T>::uninitialized(x.shape());
  const T* a = x.data();
  T* __restrict z = result.mutable_data();
  parallel_for(x.size(), detail::kPiece, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) z[i] = f(a[i]);
  });
  return result;
}

// z[i] = f(x[i], y[i]), with broadcasting. `operation` is the name that an error gives.
template <class T, class F>
Tensor<T> zip(const char* operation, const Tensor<T>& x, const Tensor<T>& y, F f) {
  const detail::BroadcastLoop loop(operation, x.shape(), y.shape());
  auto result = Tensor<T>::uninitialized(loop.shape);
  if (result.empty()) return result;
  auto run = [&loop, f](T* __restrict z, const T* a, const T* b, Index n) {
    if (loop.x_moves && loop.y_moves) {
      for (Index i = 0; i < n; ++i) z[i] = f(a[i], b[i]);
    } else if (loop.x_moves) {
      for (Index i = 0; i < n; ++i) z[i] = f(a[i], *b);
    } else {
      for (Index i = 0; i < n; ++i) z[i] = f(*a, b[i]);
    }
  };
  const T *a = x.data(), *b = y.data();
  T* z = result.mutable_data();
  if (loop.rows == 1) {
    parallel_for(loop.run, detail::kPiece, [&](Index begin, Index end) {
      run(z + begin, a + loop.x_moves * begin, b + loop.y_moves * begin, end - begin);
    });
  } else {
    const Index grain = std::max<Index>(1, detail::kPiece / loop.run);
    parallel_for(loop.rows, grain, [&](Index begin, Index end) {
      for (Index r = begin; r < end; ++r) {
        const auto [i, j] = loop.offsets(r);
        run(z + r * loop.run, a + i, b + j, loop.run);
      }
    });
  }
  return result;
}
}  // namespace gradus
