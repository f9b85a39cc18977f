#include "tensor/reduce.hpp"
#include "tensor/elementwise.hpp"

namespace gradus {
namespace {
// A tensor seen as (outer, n, inner), of which n is reduced.
struct Fold {
  Fold(const Shape& shape, int axis) : n(shape[axis]) {
    for (int k = 0; k < shape.rank(); ++k)
      if (k != axis) (k < axis ? outer : inner) *= shape[k];
  }
  Index outer = 1, n, inner = 1;
};

// Sixteen running sums that the compiler keeps in vector registers, emptied into a double every
// 1024 elements.
template <class T> double sum_of(const T* x, Index n) {
  double total = 0;
  for (Index begin = 0; begin < n; begin += 1024) {
    const Index end = std::min<Index>(begin + 1024, n);
    T lanes[16] = {};
    Index i = begin;
    for (; i + 16 <= end; i += 16)
      for (int k = 0; k < 16; ++k) lanes[k] += x[i + k];
    for (int k = 0; i < end; ++i, ++k) lanes[k] += x[i];
    for (T lane : lanes) total += lane;
  }
  return total;
}

template <class T> void sum_fold(const T* x, T* y, const Fold& fold) {
  const Index outer = fold.outer, n = fold.n, inner = fold.inner;
  if (inner == 1) {
    const Index grain = std::max<Index>(1, detail::kPiece / std::max<Index>(n, 1));
    parallel_for(outer, grain, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) y[i] = static_cast<T>(sum_of(x + i * n, n));
    });
    return;
  }
  constexpr Index kColumns = 128;  // whose running sums fit into the first cache
  const Index blocks = (inner + kColumns - 1) / kColumns;
  const Index grain = std::max<Index>(1, detail::kPiece / std::max<Index>(n * kColumns, 1));
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

template <class T> void max_fold(const T* x, T* y, const Fold& fold) {
  for (Index i = 0; i < fold.outer * fold.n; ++i) {
    const T* row = x + i * fold.inner;
    T* best = y + i / fold.n * fold.inner;
    for (Index j = 0; j < fold.inner; ++j)
      if (i % fold.n == 0 || row[j] > best[j] || row[j] != row[j]) best[j] = row[j];
  }
}

// Reduces by `fold`, one axis at a time, from the last to the first.
template <class T, class FoldFunction>
Tensor<T> reduce(const char* operation, Tensor<T> x, const Axes& axes, bool keep,
                 FoldFunction fold) {
  const Shape result = reduced(operation, x.shape(), axes, keep);
  const Shape kept = reduced(operation, x.shape(), axes, true);
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    if (kept[axis] == x.shape()[axis]) continue;
    auto y = Tensor<T>::uninitialized(x.shape().with(axis, 1));
    fold(x.data(), y.mutable_data(), Fold(x.shape(), axis));
    x = std::move(y);
  }
  return x.reshape(result);
}

template <class T> void require_elements(const char* operation, const Tensor<T>& x) {
  if (x.empty()) fail("{}: {} has no elements", operation, x.shape());
}
}  // namespace

template <class T> Tensor<T> sum(const Tensor<T>& x, const Axes& axes, bool keep) {
  return reduce("sum", x, axes, keep, sum_fold<T>);
}

template <class T> Tensor<T> mean(const Tensor<T>& x, const Axes& axes, bool keep) {
  require_elements("mean", x);
  const Tensor<T> total = reduce("mean", x, axes, keep, sum_fold<T>);
  return total / T(x.size() / total.size());
}

template <class T> Tensor<T> max(const Tensor<T>& x, const Axes& axes, bool keep) {
  require_elements("max", x);
  return reduce("max", x, axes, keep, max_fold<T>);
}

template <class T> Tensor<T> logsumexp(const Tensor<T>& x, const Axes& axes, bool keep) {
  require_elements("logsumexp", x);
  const Tensor<T> largest = reduce("logsumexp", x, axes, true, max_fold<T>);
  // An infinite maximum would give inf - inf; subtracting 0 there gives the right limit.
  const Tensor<T> shift = map(largest, [](T v) { return std::isinf(v) ? T(0) : v; });
  const Tensor<T> result = log(sum(exp(x - shift), axes, true)) + shift;
  return result.reshape(reduced("logsumexp", x.shape(), axes, keep));
}

template <class T> std::vector<Index> argmax(const Tensor<T>& x, int axis) {
  const Fold fold(x.shape(), normalize_axis("argmax", axis, x.shape()));
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

template <class T> Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast("sum_to", shape, x.shape()) != x.shape())
    fail("sum_to: {} does not broadcast to {}", shape, x.shape());
  const int extra = x.rank() - shape.rank();
  Axes axes;
  for (int k = 0; k < x.rank(); ++k)
    if (k < extra || shape[k - extra] != x.shape()[k]) axes.push_back(k);
  return (axes.empty() ? x : sum(x, axes)).reshape(shape);
}

template <class T> Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (broadcast("broadcast_to", x.shape(), shape) != shape)
    fail("broadcast_to: {} does not broadcast to {}", x.shape(), shape);
  return zip("broadcast_to", x, Tensor<T>::uninitialized(shape), [](T a, T) { return a; });
}

#define GRADUS_INSTANTIATE(T)                                        \
  template Tensor<T> sum(const Tensor<T>&, const Axes&, bool);       \
  template Tensor<T> mean(const Tensor<T>&, const Axes&, bool);      \
  template Tensor<T> max(const Tensor<T>&, const Axes&, bool);       \
  template Tensor<T> logsumexp(const Tensor<T>&, const Axes&, bool); \
  template std::vector<Index> argmax(const Tensor<T>&, int);         \
  template Tensor<T> sum_to(const Tensor<T>&, const Shape&);         \
  template Tensor<T> broadcast_to(const Tensor<T>&, const Shape&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
