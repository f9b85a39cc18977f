#pragma once
#include "tensor/map.hpp"

// Moving elements about without computing with them. All throw Error when axes, indices or shapes
// do not fit.
namespace gradus {
namespace detail {
inline void check_rows(const char* operation, const Shape& shape, std::span<const Index> indices) {
  if (shape.rank() == 0) fail("{}: a scalar has no rows", operation);
  for (Index i : indices)
    if (i < 0 || i >= shape[0])
      fail("{}: row {} is out of range: {} has {} rows", operation, i, shape, shape[0]);
}
}  // namespace detail

// (m, n) -> (n, m), for a matrix.
template <class T> Tensor<T> transpose(const Tensor<T>& x) {
  if (x.rank() != 2) fail("transpose: {} is not a matrix", x.shape());
  const Index m = x.shape()[0], n = x.shape()[1];
  auto result = Tensor<T>::uninitialized({n, m});
  const T* a = x.data();
  T* z = result.mutable_data();
  constexpr Index kTile = 16;  // a tile of both sides fits into the first cache
  for (Index i0 = 0; i0 < m; i0 += kTile)
    for (Index j0 = 0; j0 < n; j0 += kTile)
      for (Index i = i0; i < std::min(i0 + kTile, m); ++i)
        for (Index j = j0; j < std::min(j0 + kTile, n); ++j) z[j * m + i] = a[i * n + j];
  return result;
}

// The rows (slices along axis 0) with the given indices, in that order: (N, ...) -> (n, ...).
template <class T> Tensor<T> gather_rows(const Tensor<T>& x, std::span<const Index> indices) {
  detail::check_rows("gather_rows", x.shape(), indices);
  const Index size = detail::AxisView(x.shape(), 0).inner;
  auto result = Tensor<T>::uninitialized(x.shape().with(0, std::ssize(indices)));
  const T* a = x.data();
  T* z = result.mutable_data();
  const Index grain = std::max<Index>(1, detail::kPiece / std::max<Index>(size, 1));
  parallel_for(std::ssize(indices), grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) std::copy_n(a + indices[i] * size, size, z + i * size);
  });
  return result;
}

// The adjoint of rows: row i of x is added to row indices[i] of a tensor of n rows of zeros.
template <class T>
Tensor<T> scatter_add_rows(const Tensor<T>& x, std::span<const Index> indices, Index n) {
  detail::check_rows("scatter_add_rows", x.shape(), {});
  if (std::ssize(indices) != x.shape()[0])
    fail("scatter_add_rows: {} indices for the {} rows of {}", indices.size(), x.shape()[0],
         x.shape());
  Tensor<T> result(x.shape().with(0, n));
  detail::check_rows("scatter_add_rows", result.shape(), indices);
  const Index size = detail::AxisView(x.shape(), 0).inner;
  T* z = result.mutable_data();
  for (Index i = 0; i < std::ssize(indices); ++i)
    for (Index j = 0; j < size; ++j) z[indices[i] * size + j] += x.data()[i * size + j];
  return result;
}

// The tensors one after another along an axis, on which alone their shapes may differ.
template <class T> Tensor<T> concatenate(const std::vector<Tensor<T>>& xs, int axis = 0) {
  if (xs.empty()) fail("concatenate: no tensors were given");
  const Shape& first = xs[0].shape();
  const int k = normalize_axis("concatenate", axis, first);
  Index extent = 0;
  for (const Tensor<T>& x : xs) {
    if (x.rank() != first.rank() || x.shape().with(k, 0) != first.with(k, 0))
      fail("concatenate: {} and {} differ on another axis than {}", first, x.shape(), axis);
    extent += x.shape()[k];
  }
  auto result = Tensor<T>::uninitialized(first.with(k, extent));
  if (result.empty()) return result;
  const detail::AxisView whole(result.shape(), k);
  T* z = result.mutable_data();
  for (const Tensor<T>& x : xs) {
    const Index run = x.shape()[k] * whole.inner;
    for (Index i = 0; i < whole.outer; ++i)
      std::copy_n(x.data() + i * run, run, z + i * whole.n * whole.inner);
    z += run;
  }
  return result;
}

// The elements with begin <= index < end along an axis.
template <class T> Tensor<T> slice(const Tensor<T>& x, int axis, Index begin, Index end) {
  const int k = normalize_axis("slice", axis, x.shape());
  if (begin < 0 || begin > end || end > x.shape()[k])
    fail("slice: [{}, {}) is not inside axis {} of {}", begin, end, axis, x.shape());
  auto result = Tensor<T>::uninitialized(x.shape().with(k, end - begin));
  const auto [outer, n, inner] = detail::AxisView(x.shape(), k);
  const Index run = (end - begin) * inner;
  T* z = result.mutable_data();
  for (Index i = 0; i < outer; ++i)
    std::copy_n(x.data() + (i * n + begin) * inner, run, z + i * run);
  return result;
}

// The adjoint of slice: zeros before and after x along an axis.
template <class T> Tensor<T> pad(const Tensor<T>& x, int axis, Index before, Index after) {
  const int k = normalize_axis("pad", axis, x.shape());
  if (before < 0 || after < 0) fail("pad: negative padding ({}, {})", before, after);
  const Tensor<T> left(x.shape().with(k, before)), right(x.shape().with(k, after));
  return concatenate(std::vector{left, x, right}, k);
}
}  // namespace gradus
