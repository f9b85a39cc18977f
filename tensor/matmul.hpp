#pragma once
#include "tensor/tensor.hpp"

// The three matrix products that forward and backward passes need, so that no transpose is ever
// written out. All throw Error unless both are matrices whose inner extents agree. The order of the
// additions depends on the shapes only.
namespace gradus {
namespace detail {
template <class T>
Tensor<T> product(const char* name, const Tensor<T>& a, bool transpose_a, const Tensor<T>& b,
                  bool transpose_b);
}

// (m, k) x (k, n) -> (m, n):  a b
template <class T> Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b) {
  return detail::product("matmul", a, false, b, false);
}

// (k, m) x (k, n) -> (m, n):  a^T b
template <class T> Tensor<T> matmul_tn(const Tensor<T>& a, const Tensor<T>& b) {
  return detail::product("matmul_tn", a, true, b, false);
}

// (m, k) x (n, k) -> (m, n):  a b^T
template <class T> Tensor<T> matmul_nt(const Tensor<T>& a, const Tensor<T>& b) {
  return detail::product("matmul_nt", a, false, b, true);
}

// a b by its definition, three loops: what the fast ones are compared with, by tests and readers.
template <class T> Tensor<T> matmul_naive(const Tensor<T>& a, const Tensor<T>& b) {
  if (a.rank() != 2 || b.rank() != 2 || a.shape()[1] != b.shape()[0])
    fail("matmul_naive: {} x {}: not two matrices with equal inner dimensions", a.shape(),
         b.shape());
  const Index m = a.shape()[0], n = b.shape()[1], k = a.shape()[1];
  Tensor<T> c({m, n});
  T* out = c.mutable_data();
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index l = 0; l < k; ++l) out[i * n + j] += a.data()[i * k + l] * b.data()[l * n + j];
  return c;
}
}  // namespace gradus
