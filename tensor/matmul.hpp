#pragma once
#include "tensor/tensor.hpp"

// The three matrix products that forward and backward passes need, so that no transpose is ever
// written out. All throw Error unless both are matrices whose inner extents agree. The order of the
// additions depends on the shapes only.
namespace gradus {
// (m, k) x (k, n) -> (m, n):  a b
template <class T> Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b);

// (k, m) x (k, n) -> (m, n):  a^T b
template <class T> Tensor<T> matmul_tn(const Tensor<T>& a, const Tensor<T>& b);

// (m, k) x (n, k) -> (m, n):  a b^T
template <class T> Tensor<T> matmul_nt(const Tensor<T>& a, const Tensor<T>& b);

// (m, k) x (k, n) -> (m, n):  a b by its definition, c_ij = sum_l a_il b_lj, in three loops: what
// the fast ones are compared with, by tests and readers.
template <class T> Tensor<T> matmul_naive(const Tensor<T>& a, const Tensor<T>& b);
}  // namespace gradus
