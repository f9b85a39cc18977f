#pragma once
#include <algorithm>
#include <array>
#include <utility>

#include "tensor/parallel.hpp"
#include "tensor/shape.hpp"
#include "tensor/tensor.hpp"

// The two templates that elementwise functions go through (Tensor's += and cast have loops of their
// own). Loops over pieces of the result run on several threads, and the compiler turns the inner
// ones into vector code where it can with f.
namespace gradus {
namespace detail {
// A tensor seen as (outer, n, inner), of which n is along one axis.
struct AxisView {
  AxisView(const Shape& shape, int axis);

  Index outer = 1;
  Index n;
  Index inner = 1;
};

// How two broadcast operands are walked: `rows` rows of `row_size` elements each, along which each
// operand advances by 1 or stays where it is. Neighbouring axes that behave alike are one.
struct BroadcastLoop {
  // Throws Error, naming `operation`, when the shapes do not broadcast.
  BroadcastLoop(const char* operation, const Shape& x, const Shape& y);

  // Where row r of each operand begins.
  std::pair<Index, Index> offsets(Index r) const {
    Index i = 0;
    Index j = 0;
    for (int k = 1; k < n_axes_; ++k) {
      const Axis& axis = axes_[k];
      i += r % axis.extent * axis.x_step;
      j += r % axis.extent * axis.y_step;
      r /= axis.extent;
    }
    return {i, j};
  }

  Shape shape;  // of the result
  Index rows = 1;
  Index row_size = 1;
  Index x_step = 1;  // along a row: 1, or 0 where one element of x is repeated
  Index y_step = 1;

 private:
  struct Axis {
    Index extent;
    Index x_step;  // how far one step along it takes each operand: 0 where it is repeated
    Index y_step;
  };

  void add_axis(const Axis& next);

  int n_axes_ = 0;
  std::array<Axis, Shape::kMaxRank> axes_;  // n_axes_ of them, innermost (the row) first
};
}  // namespace detail

// z[i] = f(x[i]).
//
// REQUIRES: f may be called by several threads at once.
template <class T, class F> Tensor<T> map(const Tensor<T>& x, F f) {
  auto result = Tensor<T>::uninitialized(x.shape());
  const T* a = x.data();
  T* __restrict z = result.mutable_data();
  parallel_for(x.size(), detail::kPiece, [a, z, f](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) z[i] = f(a[i]);
  });
  return result;
}

// z[i] = f(x[i], y[i]), with broadcasting. Throws Error, naming `operation`, when the shapes do not
// broadcast.
//
// REQUIRES: f may be called by several threads at once.
template <class T, class F>
Tensor<T> zip(const char* operation, const Tensor<T>& x, const Tensor<T>& y, F f) {
  const detail::BroadcastLoop loop(operation, x.shape(), y.shape());
  auto result = Tensor<T>::uninitialized(loop.shape);
  if (result.empty()) return result;

  auto zip_row = [&loop, f](T* __restrict z, const T* a, const T* b, Index n) {
    if (loop.x_step == 1 && loop.y_step == 1) {
      for (Index i = 0; i < n; ++i) z[i] = f(a[i], b[i]);
    } else if (loop.x_step == 1) {
      for (Index i = 0; i < n; ++i) z[i] = f(a[i], *b);
    } else {  // y advances: where neither did, the row would have one element, and both steps be 1
      for (Index i = 0; i < n; ++i) z[i] = f(*a, b[i]);
    }
  };

  const T* a = x.data();
  const T* b = y.data();
  T* z = result.mutable_data();
  if (loop.rows == 1) {
    auto zip_piece = [&loop, &zip_row, a, b, z](Index begin, Index end) {
      zip_row(z + begin, a + loop.x_step * begin, b + loop.y_step * begin, end - begin);
    };
    parallel_for(loop.row_size, detail::kPiece, zip_piece);
  } else {
    auto zip_rows = [&loop, &zip_row, a, b, z](Index begin, Index end) {
      for (Index r = begin; r < end; ++r) {
        const auto [i, j] = loop.offsets(r);
        zip_row(z + r * loop.row_size, a + i, b + j, loop.row_size);
      }
    };
    parallel_for(loop.rows, std::max<Index>(1, detail::kPiece / loop.row_size), zip_rows);
  }
  return result;
}
}  // namespace gradus
