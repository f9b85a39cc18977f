#include "tensor/reduce.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <type_traits>
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

// The sums of `rows` rows of n numbers: (rows, n) -> (rows), each divided by `divisor`.
template <class From, class To>
void sum_rows(const From* x, To* y, Index rows, Index n, double divisor) {
  const Index grain = std::max<Index>(1, kPiece / n);
  parallel_for(rows, grain, [x, y, n, divisor](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) y[i] = static_cast<To>(sum_of(x + i * n, n) / divisor);
  });
}

constexpr Index kStripColumns = 128;  // whose running sums fit into the first cache

// The sums over n rows, `stride` apart, of a strip of up to kStripColumns columns.
template <class From, class To>
void sum_strip(const From* x, To* y, Index n, Index stride, Index columns, double divisor) {
  double sums[kStripColumns] = {};
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < columns; ++j) sums[j] += x[j];
    x += stride;
  }
  for (Index j = 0; j < columns; ++j) y[j] = static_cast<To>(sums[j] / divisor);
}

// The sums over n: (outer, n, inner) -> (outer, inner). Goes through x in the order in which it
// stands in memory, strip by strip.
template <class From, class To>
void sum_columns(const From* x, To* y, const AxisView& view, double divisor) {
  const Index n = view.n;
  const Index inner = view.inner;
  const Index strips = (inner + kStripColumns - 1) / kStripColumns;  // side by side
  const Index grain = std::max<Index>(1, kPiece / (n * kStripColumns));
  auto sum_strips = [x, y, n, inner, strips, divisor](Index begin, Index end) {
    for (Index strip = begin; strip < end; ++strip) {
      const Index o = strip / strips;
      const Index first = strip % strips * kStripColumns;
      const Index columns = std::min(kStripColumns, inner - first);
      sum_strip(x + o * n * inner + first, y + o * inner + first, n, inner, columns, divisor);
    }
  };
  parallel_for(view.outer * strips, grain, sum_strips);
}

// The sums along one axis, which keeps its place, divided by `divisor` and rounded to To.
template <class To, class From>
Tensor<To> sum_along(const Tensor<From>& x, int axis, double divisor) {
  const Shape shape = x.shape().with(axis, 1);
  if (x.empty()) return Tensor<To>(shape);

  auto y = Tensor<To>::uninitialized(shape);
  const AxisView view(x.shape(), axis);
  if (view.inner == 1)
    sum_rows(x.data(), y.mutable_data(), view.outer, view.n, divisor);
  else
    sum_columns(x.data(), y.mutable_data(), view, divisor);
  return y;
}

// The sums along one axis after another, from the last to the first, until the shape is `kept`:
// divided by `divisor` and rounded to To in the end, and before that in double.
//
// REQUIRES: `kept` has x's rank, its extents are x's or 1, and at least one of them is not x's.
template <class To, class From>
Tensor<To> sum_down_to(const Shape& kept, const Tensor<From>& x, double divisor) {
  int axis = x.rank() - 1;
  while (kept[axis] == x.shape()[axis]) --axis;
  if (x.shape().with(axis, 1) == kept) return sum_along<To>(x, axis, divisor);
  return sum_down_to<To>(kept, sum_along<double>(x, axis, 1), divisor);
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

// The largest numbers along one axis after another.
template <class T>
Tensor<T> largest_along(const char* operation, Tensor<T> x, const Axes& axes, bool keepdims) {
  const Shape result = reduced_shape(operation, x.shape(), axes, keepdims);
  const Shape kept = reduced_shape(operation, x.shape(), axes, true);
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    if (kept[axis] == x.shape()[axis]) continue;
    auto y = Tensor<T>::uninitialized(x.shape().with(axis, 1));
    max_axis(x.data(), y.mutable_data(), AxisView(x.shape(), axis));
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

// A sum of doubles may overflow where their mean does not. Times 2^-64, fewer than 2^63 of them
// cannot, and what then underflows is nothing beside numbers whose sum overflows.
constexpr double kTiny = 0x1p-64;

bool all_finite(const Tensor<double>& x) {
  return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
}

// x where it is finite, and y elsewhere.
Tensor<double> finite_or(const Tensor<double>& x, const Tensor<double>& y) {
  return zip("mean", x, y, [](double a, double b) { return std::isfinite(a) ? a : b; });
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
  const Shape result = reduced_shape("sum", x.shape(), axes, keepdims);
  const Shape kept = reduced_shape("sum", x.shape(), axes, true);
  if (kept == x.shape()) return x.reshape(result);
  return sum_down_to<T>(kept, x, 1).reshape(result);
}

template <class T> Tensor<T> mean(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  require_elements("mean", x);
  const Shape result = reduced_shape("mean", x.shape(), axes, keepdims);
  const Shape kept = reduced_shape("mean", x.shape(), axes, true);
  if (kept == x.shape()) return x.reshape(result);

  const double terms = static_cast<double>(x.size() / kept.size());
  Tensor<T> means = sum_down_to<T>(kept, x, terms);
  if constexpr (std::is_same_v<T, double>) {
    if (!all_finite(means))
      means = finite_or(means, sum_down_to<T>(kept, x * kTiny, terms) / kTiny);
  }
  return means.reshape(result);
}

template <class T> Tensor<T> max(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  require_elements("max", x);
  return largest_along("max", x, axes, keepdims);
}

template <class T> Tensor<T> logsumexp(const Tensor<T>& x, const Axes& axes, bool keepdims) {
  require_elements("logsumexp", x);
  const Tensor<T> largest = largest_along("logsumexp", x, axes, true);
  const Tensor<T> result = log(sum(exp(below(largest, x)), axes, true)) + largest;
  return result.reshape(reduced_shape("logsumexp", x.shape(), axes, keepdims));
}

template <class T> Tensor<T> softmax(const Tensor<T>& x, const Axes& axes) {
  require_elements("softmax", x);
  const Tensor<T> largest = largest_along("softmax", x, axes, true);
  const Tensor<T> powers = exp(below(largest, x));
  return powers / sums_of_powers(powers, axes);
}

template <class T> Tensor<T> log_softmax(const Tensor<T>& x, const Axes& axes) {
  require_elements("log_softmax", x);
  const Tensor<T> largest = largest_along("log_softmax", x, axes, true);
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
