#pragma once
#include "tensor/tensor.hpp"

// Linear algebra of square matrices. All functions throw Error when the shapes do not fit.
namespace gradus {
// The lower triangle including the diagonal; zeros above.
template <class T> Tensor<T> tril(const Tensor<T>& a);

// The lower triangular L with L L^T = (A + A^T) / 2, for a positive definite matrix. Throws Error
// that names the pivot when A is not positive definite.
template <class T> Tensor<T> cholesky(const Tensor<T>& a);

// L^-1 B for the lower triangle L of a matrix (what is above its diagonal is not read) and B of
// shape (n, m) or (n). Throws Error when there is a zero on the diagonal.
template <class T> Tensor<T> solve_lower(const Tensor<T>& l, const Tensor<T>& b);

// L^-T B, for the same.
template <class T> Tensor<T> solve_lower_transposed(const Tensor<T>& l, const Tensor<T>& b);

// A^-1 B = L^-T L^-1 B for a symmetric positive definite matrix A and its Cholesky factor L. Throws
// as cholesky does.
template <class T> Tensor<T> solve_spd(const Tensor<T>& a, const Tensor<T>& b);

// ln det((A + A^T) / 2) = 2 sum_i ln L_ii for a positive definite matrix, a scalar. Throws as
// cholesky does.
template <class T> Tensor<T> log_determinant(const Tensor<T>& a);

// A = sum_i values[i] v_i v_i^T for symmetric A, where v_i is row i of `vectors`.
template <class T> struct SymmetricEigen {
  Tensor<T> values;   // (n), largest first
  Tensor<T> vectors;  // (n, n), orthonormal rows; the largest component of each is positive
};

// Computed in double: Householder reflections to a tridiagonal matrix, then implicit QL steps
// (Golub and Van Loan, Matrix Computations, 8.3). Only the lower triangle is read. Throws Error
// when A holds a NaN or an infinity.
template <class T> SymmetricEigen<T> symmetric_eigen(const Tensor<T>& a);
}  // namespace gradus
