#include "tensor/layout.hpp"
#include <algorithm>
#include "tensor/map.hpp"

namespace gradus {
namespace {
// A tensor is `outer` runs of `run` numbers each, when it is cut before axis k.
struct Runs {
  Index outer = 1, run = 1;
};
Runs runs(const Shape& shape, int k) {
  Runs r;
  for (int i = 0; i < shape.rank(); ++i) (i < k ? r.outer : r.run) *= shape[i];
  return r;
}

template <class T> Index row_size(const char* operation, const Tensor<T>& x) {
  if (x.rank() == 0) fail("{}: a scalar has no rows", operation);
  return runs(x.shape(), 1).run;
}

void check_row(const char* operation, Index i, Index n, const Shape& shape) {
  if (i < 0 || i >= n) fail("{}: row {} is out of range: {} has {} rows", operation, i, shape, n);
}
}  // namespace

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

template <class T> Tensor<T> rows(const Tensor<T>& x, std::span<const Index> indices) {
  const Index size = row_size("rows", x), n = x.shape()[0];
  for (Index i : indices) check_row("rows", i, n, x.shape());
  auto result = Tensor<T>::uninitialized(x.shape().with(0, std::ssize(indices)));
  const T* a = x.data();
  T* z = result.mutable_data();
  const Index grain = std::max<Index>(1, detail::kPiece / std::max<Index>(size, 1));
  parallel_for(std::ssize(indices), grain, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) std::copy_n(a + indices[i] * size, size, z + i * size);
  });
  return result;
}

template <class T>
Tensor<T> scatter_rows(const Tensor<T>& x, std::span<const Index> indices, Index n) {
  const Index size = row_size("scatter_rows", x);
  if (std::ssize(indices) != x.shape()[0])
    fail("scatter_rows: {} indices for the {} rows of {}", indices.size(), x.shape()[0], x.shape());
  Tensor<T> result(x.shape().with(0, n));
  T* z = result.mutable_data();
  for (Index i = 0; i < std::ssize(indices); ++i) {
    check_row("scatter_rows", indices[i], n, result.shape());
    for (Index j = 0; j < size; ++j) z[indices[i] * size + j] += x.data()[i * size + j];
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
  const Runs whole = runs(result.shape(), k);
  T* z = result.mutable_data();
  for (const Tensor<T>& x : xs) {
    const Index run = runs(x.shape(), k).run;
    for (Index i = 0; i < whole.outer; ++i) std::copy_n(x.data() + i * run, run, z + i * whole.run);
    z += run;
  }
  return result;
}

template <class T> Tensor<T> slice(const Tensor<T>& x, int axis, Index begin, Index end) {
  const int k = normalize_axis("slice", axis, x.shape());
  if (begin < 0 || begin > end || end > x.shape()[k])
    fail("slice: [{}, {}) is not inside axis {} of {}", begin, end, axis, x.shape());
  auto result = Tensor<T>::uninitialized(x.shape().with(k, end - begin));
  const Runs from = runs(x.shape(), k);
  const Index run = runs(result.shape(), k).run, skip = begin * runs(x.shape(), k + 1).run;
  T* z = result.mutable_data();
  for (Index i = 0; i < from.outer; ++i)
    std::copy_n(x.data() + i * from.run + skip, run, z + i * run);
  return result;
}

template <class T> Tensor<T> pad(const Tensor<T>& x, int axis, Index before, Index after) {
  const int k = normalize_axis("pad", axis, x.shape());
  if (before < 0 || after < 0) fail("pad: negative padding ({}, {})", before, after);
  return concatenate<T>(
      {Tensor<T>(x.shape().with(k, before)), x, Tensor<T>(x.shape().with(k, after))}, k);
}

#define GRADUS_INSTANTIATE(T)                                                       \
  template Tensor<T> transpose(const Tensor<T>&);                                   \
  template Tensor<T> rows(const Tensor<T>&, std::span<const Index>);                \
  template Tensor<T> scatter_rows(const Tensor<T>&, std::span<const Index>, Index); \
  template Tensor<T> concatenate(const std::vector<Tensor<T>>&, int);               \
  template Tensor<T> slice(const Tensor<T>&, int, Index, Index);                    \
  template Tensor<T> pad(const Tensor<T>&, int, Index, Index);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
