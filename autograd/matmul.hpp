#pragma once
#include "autograd/var.hpp"
#include "tensor/matmul.hpp"

// The matrix products of tensor/matmul.hpp, for values that remember where they came from. Shapes
// and errors are as there.
namespace gradus {

// (m, k) x (k, n) -> (m, n):  x y
template <class T> Var<T> matmul(const Var<T>& x, const Var<T>& y);

// (k, m) x (k, n) -> (m, n):  x^T y
template <class T> Var<T> matmul_tn(const Var<T>& x, const Var<T>& y);

// (m, k) x (n, k) -> (m, n):  x y^T
template <class T> Var<T> matmul_nt(const Var<T>& x, const Var<T>& y);

// ---- With a tensor on one side, which is then a constant ---------------------------------------

template <class T, ConstantOf<T> Y> Var<T> matmul(const Var<T>& x, const Y& y) {
  return matmul(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> matmul(const X& x, const Var<T>& y) {
  return matmul(Var<T>(x), y);
}

template <class T, ConstantOf<T> Y> Var<T> matmul_tn(const Var<T>& x, const Y& y) {
  return matmul_tn(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> matmul_tn(const X& x, const Var<T>& y) {
  return matmul_tn(Var<T>(x), y);
}

template <class T, ConstantOf<T> Y> Var<T> matmul_nt(const Var<T>& x, const Y& y) {
  return matmul_nt(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> matmul_nt(const X& x, const Var<T>& y) {
  return matmul_nt(Var<T>(x), y);
}

}  // namespace gradus
