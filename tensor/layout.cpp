#include "tensor/layout.hpp"

#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "tensor/error.hpp"
#include "tensor/map.hpp"
#include "tensor/parallel.hpp"

namespace gradus {
namespace {
using detail::AxisView;

void require_rows(const char* operation, const Shape& shape) {
  if (shape.rank() == 0) fail("{}: a scalar has no rows", operation);
}

void check_indices(const char* operation, std::span<const Index> indices, const Shape& shape) {
  for (Index i : indices) {
    if (i < 0 || i >= shape[0])
      fail("{}: row {} is out of range: {} has {} rows", operation, i, shape, shape[0]);
  }
}

// The axes counted from the front. Throws Error unless each of the shape's occurs once.
Axes normalize_permutation(const Axes& axes, const Shape& shape) {
  Axes result;
  for (int axis : axes) result.push_back(normalize_axis("permute", axis, shape));

  Axes sorted = result;
  std::sort(sorted.begin(), sorted.end());
  const bool each_once = std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
  if (!each_once || std::ssize(axes) != shape.rank())
    fail("permute: axes ({}) of {}: each of its {} axes must occur once", fmt::join(axes, ", "),
         shape, shape.rank());
  return result;
}

// How far apart in memory two elements are that are neighbours along each axis.
std::vector<Index> strides_of(const Shape& shape) {
  std::vector<Index> strides(shape.rank(), 1);
  for (int k = shape.rank() - 1; k > 0; --k) strides[k - 1] = strides[k] * shape[k];
  return strides;
}
}  // namespace

template <class T> Tensor<T> transpose(const Tensor<T>& x) {
  if (x.rank() != 2) fail("transpose: {} is not a matrix", x.shape());

  const Index m = x.shape()[0];
  const Index n = x.shape()[1];
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

template <class T> Tensor<T> permute(const Tensor<T>& x, const Axes& axes) {
  const Axes from_axis = normalize_permutation(axes, x.shape());
  if (x.rank() == 0) return x;

  const std::vector<Index> x_strides = strides_of(x.shape());
  std::vector<Index> extents;
  std::vector<Index> steps;  // how far a step along each axis of z takes us in x
  for (int axis : from_axis) {
    extents.push_back(x.shape()[axis]);
    steps.push_back(x_strides[axis]);
  }
  auto result = Tensor<T>::uninitialized(Shape(extents));
  if (result.empty()) return result;

  // Row by row of z. From one row to the next, the indices of the other axes count up like an
  // odometer.
  const int last = x.rank() - 1;
  const Index row_size = extents[last];
  const T* a = x.data();
  T* z = result.mutable_data();
  std::vector<Index> at(last, 0);
  for (Index row = 0; row < x.size() / row_size; ++row) {
    for (Index i = 0; i < row_size; ++i) z[i] = a[i * steps[last]];
    z += row_size;

    for (int k = last - 1; k >= 0; --k) {
      a += steps[k];
      ++at[k];
      if (at[k] < extents[k]) break;
      a -= extents[k] * steps[k];
      at[k] = 0;
    }
  }
  return result;
}

Axes inverse_permutation(const Axes& axes) {
  const int rank = static_cast<int>(axes.size());
  Axes inverse(rank);
  for (int k = 0; k < rank; ++k) inverse[(axes[k] + rank) % rank] = k;
  return inverse;
}

template <class T> Tensor<T> gather_rows(const Tensor<T>& x, std::span<const Index> indices) {
  require_rows("gather_rows", x.shape());
  check_indices("gather_rows", indices, x.shape());

  const Index row_size = AxisView(x.shape(), 0).inner;
  auto result = Tensor<T>::uninitialized(x.shape().with(0, std::ssize(indices)));
  const T* a = x.data();
  T* z = result.mutable_data();
  const Index grain = std::max<Index>(1, detail::kPiece / std::max<Index>(row_size, 1));
  parallel_for(std::ssize(indices), grain, [a, z, indices, row_size](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      std::copy_n(a + indices[i] * row_size, row_size, z + i * row_size);
  });
  return result;
}

template <class T>
Tensor<T> scatter_add_rows(const Tensor<T>& x, std::span<const Index> indices, Index n) {
  require_rows("scatter_add_rows", x.shape());
  if (std::ssize(indices) != x.shape()[0])
    fail("scatter_add_rows: {} indices for the {} rows of {}", indices.size(), x.shape()[0],
         x.shape());
  Tensor<T> result(x.shape().with(0, n));
  check_indices("scatter_add_rows", indices, result.shape());

  const Index row_size = AxisView(x.shape(), 0).inner;
  const T* a = x.data();
  T* z = result.mutable_data();
  for (Index i = 0; i < std::ssize(indices); ++i) {
    const T* from = a + i * row_size;
    T* to = z + indices[i] * row_size;
    for (Index j = 0; j < row_size; ++j) to[j] += from[j];
  }
  return result;
}

template <class T> Tensor<T> concatenate(const std::vector<Tensor<T>>& xs, int axis) {
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
  const AxisView whole(result.shape(), k);
  T* z = result.mutable_data();  // where the next tensor's first number goes
  for (const Tensor<T>& x : xs) {
    const Index run = x.shape()[k] * whole.inner;
    for (Index i = 0; i < whole.outer; ++i)
      std::copy_n(x.data() + i * run, run, z + i * whole.n * whole.inner);
    z += run;
  }
  return result;
}

template <class T> Tensor<T> slice(const Tensor<T>& x, int axis, Index begin, Index end) {
  const int k = normalize_axis("slice", axis, x.shape());
  if (begin < 0 || begin > end || end > x.shape()[k])
    fail("slice: [{}, {}) is not inside axis {} of {}", begin, end, axis, x.shape());

  auto result = Tensor<T>::uninitialized(x.shape().with(k, end - begin));
  const AxisView view(x.shape(), k);
  const Index run = (end - begin) * view.inner;
  T* z = result.mutable_data();
  for (Index i = 0; i < view.outer; ++i)
    std::copy_n(x.data() + (i * view.n + begin) * view.inner, run, z + i * run);
  return result;
}

template <class T> Tensor<T> pad(const Tensor<T>& x, int axis, Index before, Index after) {
  const int k = normalize_axis("pad", axis, x.shape());
  if (before < 0 || after < 0) fail("pad: negative padding ({}, {})", before, after);

  const Tensor<T> left(x.shape().with(k, before));
  const Tensor<T> right(x.shape().with(k, after));
  return concatenate(std::vector{left, x, right}, k);
}

#define GRADUS_INSTANTIATE(T)                                                           \
  template Tensor<T> transpose(const Tensor<T>&);                                       \
  template Tensor<T> permute(const Tensor<T>&, const Axes&);                            \
  template Tensor<T> gather_rows(const Tensor<T>&, std::span<const Index>);             \
  template Tensor<T> scatter_add_rows(const Tensor<T>&, std::span<const Index>, Index); \
  template Tensor<T> concatenate(const std::vector<Tensor<T>>&, int);                   \
  template Tensor<T> slice(const Tensor<T>&, int, Index, Index);                        \
  template Tensor<T> pad(const Tensor<T>&, int, Index, Index);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
