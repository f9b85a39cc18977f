#pragma once
#include <span>
#include <vector>

#include "tensor/shape.hpp"
#include "tensor/tensor.hpp"

// Moving elements about without computing with them. All throw Error when axes, indices or shapes
// do not fit. A row is a slice along axis 0.
namespace gradus {
// (m, n) -> (n, m), for a matrix.
template <class T> Tensor<T> transpose(const Tensor<T>& x);

// The axes in another order: axis k of the result is axis axes[k] of x, which must each occur once.
// permute(x, {0, 2, 3, 1}) takes (N, C, H, W) to (N, H, W, C).
template <class T> Tensor<T> permute(const Tensor<T>& x, const Axes& axes);

// The axes that undo it: permute(permute(x, axes), inverse_permutation(axes)) is x.
//
// REQUIRES: axes are those of a permute, counted from the front or from the end.
Axes inverse_permutation(const Axes& axes);

// The rows with the given indices, in that order: (N, ...) -> (n, ...).
template <class T> Tensor<T> gather_rows(const Tensor<T>& x, std::span<const Index> indices);

// The adjoint of gather_rows: row i of x is added to row indices[i] of a tensor of n rows of zeros.
template <class T>
Tensor<T> scatter_add_rows(const Tensor<T>& x, std::span<const Index> indices, Index n);

// The tensors one after another along an axis, on which alone their shapes may differ.
template <class T> Tensor<T> concatenate(const std::vector<Tensor<T>>& xs, int axis = 0);

// The elements with begin <= index < end along an axis.
template <class T> Tensor<T> slice(const Tensor<T>& x, int axis, Index begin, Index end);

// The adjoint of slice: zeros before and after x along an axis.
template <class T> Tensor<T> pad(const Tensor<T>& x, int axis, Index before, Index after);
}  // namespace gradus
