#pragma once
#include "tensor/tensor.hpp"

// Linear algebra of square matrices. All functions throw Error when the shapes do not fit.
namespace gradus {
// The lower triangle including the diagonal, of (n, n); zeros above.
template <class T> Tensor<T> tril(const Tensor<T>& a);

// The lower triangular L with L L^T = (A + A^T) / 2, for a positive definite matrix A: (n, n) ->
// (n, n). Throws Error that names the pivot when A is not positive definite, or not finite.
template <class T> Tensor<T> cholesky(const Tensor<T>& a);

// L^-1 B, in the shape of B: (n, n), (n, m) -> (n, m), or (n, n), (n) -> (n). L is the lower
// triangle of a matrix; what is above the diagonal is not read, and may also be NaN. Throws Error
// when there is a zero on the diagonal.
template <class T> Tensor<T> solve_lower(const Tensor<T>& l, const Tensor<T>& b);

// L^-T B, for the same matrices.
template <class T> Tensor<T> solve_lower_transposed(const Tensor<T>& l, const Tensor<T>& b);

// A^-1 B = L^-T L^-1 B for a symmetric positive definite matrix A and its Cholesky factor L: (n,
// n), (n, m) -> (n, m), or (n, n), (n) -> (n). Throws as cholesky does.
template <class T> Tensor<T> solve_spd(const Tensor<T>& a, const Tensor<T>& b);

// ln det((A + A^T) / 2) = 2 sum_i ln L_ii for a positive definite matrix, a scalar. Throws as
// cholesky does.
template <class T> Tensor<T> log_determinant(const Tensor<T>& a);

// A = sum_i values[i] v_i v_i^T for symmetric A of (n, n), where v_i is row i of `vectors`. Of each
// v_i, the component of largest magnitude is positive.
template <class T> struct SymmetricEigen {
  Tensor<T> values;   // (n), largest first
  Tensor<T> vectors;  // (n, n), orthonormal rows, signed as below
};

// Computed in double: Householder reflections to a tridiagonal matrix (Golub and Van Loan, Matrix
// Computations, 8.3, also for Wilkinson's shift), then implicit QL steps as in EISPACK's imtql2
// (Martin and Wilkinson 1968, modified by Dubrulle 1970). Only the lower triangle is read. Throws
// Error when it holds a NaN or an infinity.
template <class T> SymmetricEigen<T> symmetric_eigen(const Tensor<T>& a);
}  // namespace gradus
