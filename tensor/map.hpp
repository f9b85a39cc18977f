#pragma once
#include <algorithm>
#include "tensor/tensor.hpp"

namespace gradus {
namespace detail {
constexpr Index kPiece = 1 << 15;  // elements that one thread takes at a time

// How two broadcast operands are walked: `rows` runs of `run` elements each, along which each
// operand advances by 1 or stays where it is. Neighbouring axes that behave alike are one.
struct Walk {
  Walk(const char* operation, const Shape& x, const Shape& y);
  // Where row r of each operand begins.
  std::pair<Index, Index> offsets(Index r) const;

  Shape shape;  // of the result
  Index rows = 1, run = 1;
  bool x_moves = true, y_moves = true;  // along a run

 private:
  int rank_ = 0;  // of what is left of the axes, without the run
  std::array<Index, Shape::kMaxRank> extents_, x_strides_, y_strides_;
};
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
  const detail::Walk walk(operation, x.shape(), y.shape());
  auto result = Tensor<T>::uninitialized(walk.shape);
  if (result.empty()) return result;

  auto run = [&walk, f](T* __restrict z, const T* a, const T* b, Index n) {
    if (walk.x_moves && walk.y_moves) {
      for (Index i = 0; i < n; ++i) z[i] = f(a[i], b[i]);
    } else if (walk.x_moves) {
      for (Index i = 0; i < n; ++i) z[i] = f(a[i], *b);
    } else {
      for (Index i = 0; i < n; ++i) z[i] = f(*a, b[i]);
    }
  };
  const T *a = x.data(), *b = y.data();
  T* z = result.mutable_data();
  if (walk.rows == 1) {
    parallel_for(walk.run, detail::kPiece, [&](Index begin, Index end) {
      run(z + begin, a + walk.x_moves * begin, b + walk.y_moves * begin, end - begin);
    });
  } else {
    const Index grain = std::max<Index>(1, detail::kPiece / walk.run);
    parallel_for(walk.rows, grain, [&](Index begin, Index end) {
      for (Index r = begin; r < end; ++r) {
        const auto [i, j] = walk.offsets(r);
        run(z + r * walk.run, a + i, b + j, walk.run);
      }
    });
  }
  return result;
}
}  // namespace gradus
