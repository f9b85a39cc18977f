#include "tensor/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/map.hpp"
#include "tensor/parallel.hpp"

namespace gradus {
namespace {
using detail::AxisView;
using detail::BroadcastLoop;
using detail::kPiece;

// Sixteen running sums, which the compiler keeps in vector registers: number i is added to sum i %
// 16. At the end these are added up, from the first to the last.
template <class T> double sum_of(const T* x, Index n) {
  constexpr Index kLanes = 16;
  double lanes[kLanes] = {};
  const Index whole = n - n % kLanes;
  for (Index i = 0; i < whole; i += kLanes) {
    for (Index k = 0; k < kLanes; ++k) lanes[k] += x[i + k];
  }
  for (Index i = whole; i < n; ++i) lanes[i - whole] += x[i];

  double total = 0;
  for (double lane : lanes) total += lane;
  return total;
}

// The sums of `rows` rows of n numbers: (rows, n) -> (rows).
template <class T> void sum_rows(const T* x, T* y, Index rows, Index n) {
  const Index grain = std::max<Index>(1, kPiece / std::max<Index>(n, 1));
  parallel_for(rows, grain, [x, y, n](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) y[i] = static_cast<T>(sum_of(x + i * n, n));
  });
}

constexpr Index kStripColumns = 128;  // whose running sums fit into the first cache

// The sums over n rows, `stride` apart, of a strip of up to kStripColumns columns.
template <class T> void sum_strip(const T* x, T* y, Index n, Index stride, Index columns) {
  double sums[kStripColumns] = {};
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < columns; ++j) sums[j] += x[j];
    x += stride;
  }
  std::copy(sums, sums + columns, y);
}

// The sums over n: (outer, n, inner) -> (outer, inner). Goes through x in the order in which it
// stands in memory, strip by strip.
template <class T> void sum_columns(const T* x, T* y, const AxisView& view) {
  const Index n = view.n;
  const Index inner = view.inner;
  const Index strips = (inner + kStripColumns - 1) / kStripColumns;  // side by side
  const Index grain = std::max<Index>(1, kPiece / std::max<Index>(n * kStripColumns, 1));
  parallel_for(view.outer * strips, grain, [x, y, n, inner, strips](Index begin, Index end) {
    for (Index strip = begin; strip < end; ++strip) {
      const Index o = strip / strips;
      const Index first = strip % strips * kStripColumns;
      const Index columns = std::min(kStripColumns, inner - first);
      sum_strip(x + o * n * inner + first, y + o * inner + first, n, inner, columns);
    }
  });
}

template <class T> void sum_axis(const T* x, T* y, const AxisView& view) {
  if (view.inner == 1)
    sum_rows(x, y, view.outer, view.n);
  else
    sum_columns(x, y, view);
}

// The maxima over n: (outer, n, inner) -> (outer, inner). NaN wins.
template <class T> void max_axis(const T* x, T* y, const AxisView& view) {
  for (Index i = 0; i < view.outer * view.n; ++i) {
    const T* row = x + i * view.inner;
    T* best = y + i / view.n * view.inner;
    for (Index j = 0; j < view.inner; ++j) {
      if (i % view.n == 0 || row[j] > best[j] || std::isnan(row[j])) best[j] = row[j];
    }
  }
}

// Reduces one axis after another, from the last to the first, by reduce_axis(numbers, result,
// view).
template <class T, class ReduceAxis>
Tensor<T> reduce(const char* operation, Tensor<T> x, const Axes& axes, bool keepdims,
                 ReduceAxis reduce_axis) {
  const Shape result = reduced_shape(operation, x.shape(), axes, keepdims);
  const Shape kept = reduced_shape(operation, x.shape(), axes, true);
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    if (kept[axis] == x.shape()[axis]) continue;
    auto y = Tensor<T>::uninitialized(x.shape().with(axis, 1));
    reduce_axis(x.data(), y.mutable_data(), AxisView(x.shape(), axis));
    x = std::move(y);
  }
  return x.reshape(result);
}

// The position of the largest of n numbers, `stride` apart: the first of equals, and of NaNs.
template <class T> Index argmax_of(const T* x, Index n, Index stride) {
  Index best = 0;
  for (Index j = 1; j < n; ++j) {
    const T candidate = x[j * stride];
    const T leader = x[best * stride];
    const bool first_nan = std::isnan(candidate) && !std::isnan(leader);
    if (candidate > leader || first_nan) best = j;
  }
  return best;
}

template <class T> void require_elements(const char* operation, const Tensor<T>& x) {
  if (x.empty()) fail("{}: {} has no elements", operation, x.shape());
}

// x less the largest number of its group: 0 for that one, also where it is infinite.
// -infinity stays what it is.
template <class T> Tensor<T> below(const Tensor<T>& largest, const Tensor<T>& x) {
  constexpr T kInfinity = std::numeric_limits<T>::infinity();
  return zip("-", x, largest, [](T v, T m) {
    const T difference = v == m ? T(0) : v - m;
    return v == -kInfinity ? v : difference;
  });
}

// The sums of numbers e^(x_i - m). The largest of them is 1: a sum below 1 is one of zeros, where m
// is -infinity, and counts as 1, so that one can divide by it and take its logarithm.
template <class T> Tensor<T> sums_of_powers(const Tensor<T>& powers, const Axes& axes) {
  return maximum(sum(powers, axes, /*keepdims=*/true), 1);
}
}  // namespace

template <class T> Tensor<T> sum(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  return reduce("sum", x, axes, keepdims, sum_axis<T>);
}

template <class T> Tensor<T> mean(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  require_elements("mean", x);
  const Tensor<T> total = reduce("mean", x, axes, keepdims, sum_axis<T>);
  return total / T(x.size() / total.size());
}

template <class T> Tensor<T> max(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  require_elements("max", x);
  return reduce("max", x, axes, keepdims, max_axis<T>);
}

template <class T> Tensor<T> logsumexp(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  require_elements("logsumexp", x);
  const Tensor<T> largest = reduce("logsumexp", x, axes, true, max_axis<T>);
  const Tensor<T> result = log(sum(exp(below(largest, x)), axes, true)) + largest;
  return result.reshape(reduced_shape("logsumexp", x.shape(), axes, keepdims));
}

template <class T> Tensor<T> softmax(const Tensor<T>& x, const Axes& axes) {
  require_elements("softmax", x);
  const Tensor<T> largest = reduce("softmax", x, axes, true, max_axis<T>);
  const Tensor<T> powers = exp(below(largest, x));
  return powers / sums_of_powers(powers, axes);
}

template <class T> Tensor<T> log_softmax(const Tensor<T>& x, const Axes& axes) {
  require_elements("log_softmax", x);
  const Tensor<T> largest = reduce("log_softmax", x, axes, true, max_axis<T>);
  const Tensor<T> difference = below(largest, x);
  return difference - log(sums_of_powers(exp(difference), axes));
}

template <class T> std::vector<Index> argmax(const Tensor<T>& x, int axis) {
  const AxisView view(x.shape(), normalize_axis("argmax", axis, x.shape()));
  if (view.n == 0) fail("argmax: axis {} of {} has no elements", axis, x.shape());

  std::vector<Index> best(view.outer * view.inner);
  for (Index i = 0; i < std::ssize(best); ++i) {
    const T* first = x.data() + i / view.inner * view.n * view.inner + i % view.inner;
    best[i] = argmax_of(first, view.n, view.inner);
  }
  return best;
}

template <class T> Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes("sum_to", shape, x.shape()) != x.shape())
    fail("sum_to: {} does not broadcast to {}", shape, x.shape());

  const int extra = x.rank() - shape.rank();
  Axes axes;
  for (int k = 0; k < x.rank(); ++k) {
    if (k < extra || shape[k - extra] != x.shape()[k]) axes.push_back(k);
  }
  return sum(x, axes).reshape(shape);
}

template <class T> Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast_shapes("broadcast_to", x.shape(), shape) != shape)
    fail("broadcast_to: {} does not broadcast to {}", x.shape(), shape);

  auto result = Tensor<T>::uninitialized(shape);
  if (result.empty()) return result;

  const BroadcastLoop loop("broadcast_to", x.shape(), shape);
  const T* from = x.data();
  T* to = result.mutable_data();
  const Index grain = std::max<Index>(1, kPiece / loop.row_size);
  parallel_for(loop.rows, grain, [&loop, from, to](Index begin, Index end) {
    for (Index r = begin; r < end; ++r) {
      const T* row = from + loop.offsets(r).first;
      T* copy = to + r * loop.row_size;
      if (loop.x_step == 1)
        std::copy_n(row, loop.row_size, copy);
      else
        std::fill_n(copy, loop.row_size, *row);
    }
  });
  return result;
}

#define GRADUS_INSTANTIATE(T)                                        \
  template Tensor<T> sum(const Tensor<T>&, const Axes&, bool);       \
  template Tensor<T> mean(const Tensor<T>&, const Axes&, bool);      \
  template Tensor<T> max(const Tensor<T>&, const Axes&, bool);       \
  template Tensor<T> logsumexp(const Tensor<T>&, const Axes&, bool); \
  template Tensor<T> softmax(const Tensor<T>&, const Axes&);         \
  template Tensor<T> log_softmax(const Tensor<T>&, const Axes&);     \
  template std::vector<Index> argmax(const Tensor<T>&, int);         \
  template Tensor<T> sum_to(const Tensor<T>&, const Shape&);         \
  template Tensor<T> broadcast_to(const Tensor<T>&, const Shape&);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
