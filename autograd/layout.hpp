#pragma once
#include <vector>

#include "autograd/var.hpp"
#include "tensor/layout.hpp"

// Moving elements about, as in tensor/layout.hpp, for values that remember where they came from.
// Shapes and errors are as there.
namespace gradus {

template <class T> Var<T> reshape(const Var<T>& x, const Shape& shape);
template <class T> Var<T> transpose(const Var<T>& x);
template <class T> Var<T> permute(const Var<T>& x, const Axes& axes);

// Picking rows, and adding into rows: each is the other's adjoint.
template <class T> Var<T> gather_rows(const Var<T>& x, std::vector<Index> indices);
template <class T> Var<T> scatter_add_rows(const Var<T>& x, std::vector<Index> indices, Index n);

// Cutting a piece out, and padding with zeros: each is the other's adjoint.
template <class T> Var<T> slice(const Var<T>& x, int axis, Index begin, Index end);
template <class T> Var<T> pad(const Var<T>& x, int axis, Index before, Index after);

template <class T> Var<T> concatenate(const std::vector<Var<T>>& xs, int axis = 0);

}  // namespace gradus
