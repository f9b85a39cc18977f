#pragma once
#include <cmath>

#include "tensor/elementwise.hpp"

// Reductions over any axes: {} means all of them, negative axes count from the end. `keepdims`
// leaves each reduced axis in place with extent 1. All throw Error when an axis is out of range or
// named twice. Sums along an axis are accumulated in double, in an order that depends on the shape
// only.
namespace gradus {
namespace detail {
// Sixteen running sums, which the compiler keeps in vector registers.
template <class T> double sum_of(const T* x, Index n) {
  double lanes[16] = {};
  Index i = 0;
  for (; i + 16 <= n; i += 16)
    for (int k = 0; k < 16; ++k) lanes[k] += x[i + k];
  for (int k = 0; i < n; ++i, ++k) lanes[k] += x[i];
  double total = 0;
  for (double lane : lanes) total += lane;
  return total;
}

template <class T> void sum_fold(const T* x, T* y, const AxisView& fold) {
  const Index outer = fold.outer, n = fold.n, inner = fold.inner;
  if (inner == 1) {
    const Index grain = std::max<Index>(1, kPiece / std::max<Index>(n, 1));
    parallel_for(outer, grain, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) y[i] = static_cast<T>(sum_of(x + i * n, n));
    });
    return;
  }
  constexpr Index kColumns = 128;  // whose running sums fit into the first cache
  const Index blocks = (inner + kColumns - 1) / kColumns;
  const Index grain = std::max<Index>(1, kPiece / std::max<Index>(n * kColumns, 1));
  parallel_for(outer * blocks, grain, [=](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      const Index first = block % blocks * kColumns, width = std::min(kColumns, inner - first);
      double sums[kColumns] = {};
      const T* row = x + block / blocks * n * inner + first;
      for (Index i = 0; i < n; ++i, row += inner)
        for (Index j = 0; j < width; ++j) sums[j] += row[j];
      std::copy(sums, sums + width, y + block / blocks * inner + first);
    }
  });
}

template <class T> void max_fold(const T* x, T* y, const AxisView& fold) {
  for (Index i = 0; i < fold.outer * fold.n; ++i) {
    const T* row = x + i * fold.inner;
    T* best = y + i / fold.n * fold.inner;
    for (Index j = 0; j < fold.inner; ++j)
      if (i % fold.n == 0 || row[j] > best[j] || row[j] != row[j]) best[j] = row[j];
  }
}

// Reduces by `fold`, one axis at a time, from the last to the first.
template <class T, class FoldFunction>
Tensor<T> reduce(const char* operation, Tensor<T> x, const Axes& axes, bool keepdims,
                 FoldFunction fold) {
  const Shape result = reduced_shape(operation, x.shape(), axes, keepdims);
  const Shape kept = reduced_shape(operation, x.shape(), axes, true);
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    if (kept[axis] == x.shape()[axis]) continue;
    auto y = Tensor<T>::uninitialized(x.shape().with(axis, 1));
    fold(x.data(), y.mutable_data(), AxisView(x.shape(), axis));
    x = std::move(y);
  }
  return x.reshape(result);
}

template <class T> void require_elements(const char* operation, const Tensor<T>& x) {
  if (x.empty()) fail("{}: {} has no elements", operation, x.shape());
}
}  // namespace detail

// An empty sum is 0.
template <class T> Tensor<T> sum(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false) {
  return detail::reduce("sum", x, axes, keepdims, detail::sum_fold<T>);
}

// These three throw Error when there is nothing to reduce.
template <class T>
Tensor<T> mean(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false) {
  detail::require_elements("mean", x);
  const Tensor<T> total = detail::reduce("mean", x, axes, keepdims, detail::sum_fold<T>);
  return total / T(x.size() / total.size());
}

template <class T>  // NaN wins
Tensor<T> max(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false) {
  detail::require_elements("max", x);
  return detail::reduce("max", x, axes, keepdims, detail::max_fold<T>);
}

template <class T>  // ln sum_i e^(x_i)
Tensor<T> logsumexp(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false) {
  detail::require_elements("logsumexp", x);
  const Tensor<T> largest = detail::reduce("logsumexp", x, axes, true, detail::max_fold<T>);
  // An infinite maximum would give inf - inf; subtracting 0 there gives the right limit.
  const Tensor<T> shift = map(largest, [](T v) { return std::isinf(v) ? T(0) : v; });
  const Tensor<T> result = log(sum(exp(x - shift), axes, true)) + shift;
  return result.reshape(reduced_shape("logsumexp", x.shape(), axes, keepdims));
}

// The position of the largest element along one axis, the first of equals; NaN counts as largest.
// The result is row-major over the other axes. Throws Error when the axis is empty.
template <class T> std::vector<Index> argmax(const Tensor<T>& x, int axis = -1) {
  const detail::AxisView fold(x.shape(), normalize_axis("argmax", axis, x.shape()));
  if (fold.n == 0) fail("argmax: axis {} of {} has no elements", axis, x.shape());
  std::vector<Index> best(fold.outer * fold.inner, 0);
  for (Index i = 0; i < std::ssize(best); ++i) {
    const T* column = x.data() + i / fold.inner * fold.n * fold.inner + i % fold.inner;
    for (Index j = 1; j < fold.n; ++j) {
      const T candidate = column[j * fold.inner], leader = column[best[i] * fold.inner];
      if (candidate > leader || (candidate != candidate && leader == leader)) best[i] = j;
    }
  }
  return best;
}

// Sums away what broadcasting has repeated: the result has the given shape. This is the adjoint of
// broadcast_to. Throws Error when `shape` does not broadcast to x's.
template <class T> Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes("sum_to", shape, x.shape()) != x.shape())
    fail("sum_to: {} does not broadcast to {}", shape, x.shape());
  const int extra = x.rank() - shape.rank();
  Axes axes;
  for (int k = 0; k < x.rank(); ++k)
    if (k < extra || shape[k - extra] != x.shape()[k]) axes.push_back(k);
  return (axes.empty() ? x : sum(x, axes)).reshape(shape);
}

// Repeats x along axes of extent 1 and along new leading axes. Throws Error when it does not fit.
template <class T> Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes("broadcast_to", x.shape(), shape) != shape)
    fail("broadcast_to: {} does not broadcast to {}", x.shape(), shape);
  return zip("broadcast_to", x, Tensor<T>::uninitialized(shape), [](T a, T) { return a; });
}
}  // namespace gradus
