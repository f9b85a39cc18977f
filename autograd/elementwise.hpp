#pragma once
#include "autograd/var.hpp"
#include "tensor/elementwise.hpp"

// The elementwise functions of tensor/elementwise.hpp, for values that remember where they came
// from. Values, broadcasting and errors are as there.
namespace gradus {

// ---- Of one operand ----------------------------------------------------------------------------

template <class T> Var<T> operator-(const Var<T>& x);
template <class T> Var<T> square(const Var<T>& x);
template <class T> Var<T> sqrt(const Var<T>& x);
template <class T> Var<T> exp(const Var<T>& x);
template <class T> Var<T> expm1(const Var<T>& x);
template <class T> Var<T> log(const Var<T>& x);
template <class T> Var<T> log1p(const Var<T>& x);
template <class T> Var<T> softplus(const Var<T>& x);

// The slopes of these two are made of their values, 1 - z^2 and z (1 - z), and are right to the
// rounding of 1. Where z is rounded to 1 they are 0: of tanh from |x| = 9 on (in double 19.1), and
// of sigmoid from x = 17 on (in double 37).
template <class T> Var<T> tanh(const Var<T>& x);
template <class T> Var<T> sigmoid(const Var<T>& x);

// At 0, where these two have a kink, the slope is 0.
template <class T> Var<T> abs(const Var<T>& x);
template <class T> Var<T> relu(const Var<T>& x);

// ---- Of two operands, which broadcast ----------------------------------------------------------

template <class T> Var<T> operator+(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> operator-(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> operator*(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> operator/(const Var<T>& x, const Var<T>& y);

// x^y. The gradient with respect to y needs x > 0.
template <class T> Var<T> pow(const Var<T>& x, const Var<T>& y);

// Where x = y, half of the gradient goes to each.
template <class T> Var<T> maximum(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> minimum(const Var<T>& x, const Var<T>& y);

// ---- With a tensor or a number on one side, which is then a constant ---------------------------

template <class T, ConstantOf<T> Y> Var<T> operator+(const Var<T>& x, const Y& y) {
  return x + Var<T>(y);
}

template <class T, ConstantOf<T> X> Var<T> operator+(const X& x, const Var<T>& y) {
  return Var<T>(x) + y;
}

template <class T, ConstantOf<T> Y> Var<T> operator-(const Var<T>& x, const Y& y) {
  return x - Var<T>(y);
}

template <class T, ConstantOf<T> X> Var<T> operator-(const X& x, const Var<T>& y) {
  return Var<T>(x) - y;
}

template <class T, ConstantOf<T> Y> Var<T> operator*(const Var<T>& x, const Y& y) {
  return x * Var<T>(y);
}

template <class T, ConstantOf<T> X> Var<T> operator*(const X& x, const Var<T>& y) {
  return Var<T>(x) * y;
}

template <class T, ConstantOf<T> Y> Var<T> operator/(const Var<T>& x, const Y& y) {
  return x / Var<T>(y);
}

template <class T, ConstantOf<T> X> Var<T> operator/(const X& x, const Var<T>& y) {
  return Var<T>(x) / y;
}

template <class T, ConstantOf<T> Y> Var<T> pow(const Var<T>& x, const Y& y) {
  return pow(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> pow(const X& x, const Var<T>& y) {
  return pow(Var<T>(x), y);
}

template <class T, ConstantOf<T> Y> Var<T> maximum(const Var<T>& x, const Y& y) {
  return maximum(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> maximum(const X& x, const Var<T>& y) {
  return maximum(Var<T>(x), y);
}

template <class T, ConstantOf<T> Y> Var<T> minimum(const Var<T>& x, const Y& y) {
  return minimum(x, Var<T>(y));
}

template <class T, ConstantOf<T> X> Var<T> minimum(const X& x, const Var<T>& y) {
  return minimum(Var<T>(x), y);
}

}  // namespace gradus
