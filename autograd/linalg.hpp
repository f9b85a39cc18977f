#pragma once
#include "autograd/var.hpp"
#include "tensor/linalg.hpp"

// Linear algebra of square matrices, as in tensor/linalg.hpp, for values that remember where they
// came from. Shapes and errors are as there.
namespace gradus {

// The lower triangle including the diagonal; zeros above.
template <class T> Var<T> tril(const Var<T>& x);

// The lower triangular L with L L^T = (A + A^T) / 2.
template <class T> Var<T> cholesky(const Var<T>& a);

// ln det((A + A^T) / 2)
template <class T> Var<T> log_determinant(const Var<T>& a);

// L^-1 y and L^-T y for the lower triangle L of a matrix.
template <class T> Var<T> solve_lower(const Var<T>& l, const Var<T>& y);
template <class T> Var<T> solve_lower_transposed(const Var<T>& l, const Var<T>& y);

// A^-1 y for a symmetric positive definite A.
template <class T> Var<T> solve_spd(const Var<T>& a, const Var<T>& y);

// ---- With a tensor on one side, which is then a constant ---------------------------------------

template <class T, ConstantOf<T> Y> Var<T> solve_lower(const Var<T>& x, const Y& y) {
  return solve_lower(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> solve_lower(const X& x, const Var<T>& y) {
  return solve_lower(Var<T>(x), y);
}

template <class T, ConstantOf<T> Y> Var<T> solve_lower_transposed(const Var<T>& x, const Y& y) {
  return solve_lower_transposed(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> solve_lower_transposed(const X& x, const Var<T>& y) {
  return solve_lower_transposed(Var<T>(x), y);
}

template <class T, ConstantOf<T> Y> Var<T> solve_spd(const Var<T>& x, const Y& y) {
  return solve_spd(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> solve_spd(const X& x, const Var<T>& y) {
  return solve_spd(Var<T>(x), y);
}

}  // namespace gradus
