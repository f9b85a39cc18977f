#pragma once
#include <algorithm>
#include <vector>

#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"

// Some of a set of examples, and points between two of them.
namespace gradus {

// The first n examples of x (N, ...), or all where there are fewer.
template <class T> Tensor<T> first(Index n, const Tensor<T>& x) {
  return slice(x, 0, 0, std::min(n, x.extent(0)));
}

// The first two examples of x (N, ...), or the only one twice.
template <class T> Tensor<T> first_pair(const Tensor<T>& x) {
  return gather_rows(x, std::vector<Index>{0, std::min<Index>(1, x.extent(0) - 1)});
}

// n points at equal steps on the straight line from the first of two ends to the second, both among
// them: (1 - t) a + t b.  (2, K) -> (n, K), n > 1
template <class T> Tensor<T> points_between(const Tensor<T>& ends, Index n) {
  const Tensor<T> t = (arange<T>(n) / static_cast<T>(n - 1)).reshape({n, 1});
  const Tensor<T> weights = concatenate(std::vector{T(1) - t, t}, 1);  // (n, 2)
  return matmul(weights, ends);
}

}  // namespace gradus
