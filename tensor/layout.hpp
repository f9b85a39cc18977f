#pragma once
#include <span>
#include "tensor/tensor.hpp"

// Moving elements about without computing with them.
namespace gradus {
// (m, n) -> (n, m). Throws Error unless x is a matrix.
template <class T> Tensor<T> transpose(const Tensor<T>& x);

// The rows (slices along axis 0) with the given indices, in that order: (N, ...) -> (n, ...).
// Throws Error when x is a scalar or an index is out of range.
template <class T> Tensor<T> rows(const Tensor<T>& x, std::span<const Index> indices);

// The adjoint of rows: row i of x is added to row indices[i] of a tensor of n rows of zeros.
template <class T>
Tensor<T> scatter_rows(const Tensor<T>& x, std::span<const Index> indices, Index n);

// The tensors one after another along an axis. Throws Error when there are none, or when their
// shapes differ on another axis.
template <class T> Tensor<T> concatenate(const std::vector<Tensor<T>>& xs, int axis = 0);

// The elements with begin <= index < end along an axis. Throws Error when the range is not inside.
template <class T> Tensor<T> slice(const Tensor<T>& x, int axis, Index begin, Index end);

// The adjoint of slice: zeros before and after x along an axis.
template <class T> Tensor<T> pad(const Tensor<T>& x, int axis, Index before, Index after);
}  // namespace gradus
