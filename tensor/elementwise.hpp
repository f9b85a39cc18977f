#pragma once
#include <type_traits>

#include "tensor/tensor.hpp"

// Elementwise functions. Each result has the shape of its operand, or that to which its operands
// broadcast, as in NumPy; where their shapes do not, Error is thrown with both shapes and the axis.
// A number beside a tensor of T becomes a T. Out of its domain a function gives NaN, never an
// error.
namespace gradus {
// -x
template <class T> Tensor<T> operator-(const Tensor<T>& x);

// |x|
template <class T> Tensor<T> abs(const Tensor<T>& x);

// x^2
template <class T> Tensor<T> square(const Tensor<T>& x);

// -1, 0 or 1; NaN of NaN.
template <class T> Tensor<T> sign(const Tensor<T>& x);

// The square root; NaN where x < 0.
template <class T> Tensor<T> sqrt(const Tensor<T>& x);

// e^x
template <class T> Tensor<T> exp(const Tensor<T>& x);

// e^x - 1, without the loss of digits near 0.
template <class T> Tensor<T> expm1(const Tensor<T>& x);

// ln x; -infinity at 0, NaN where x < 0.
template <class T> Tensor<T> log(const Tensor<T>& x);

// ln(1 + x), without the loss of digits near 0; NaN where x < -1.
template <class T> Tensor<T> log1p(const Tensor<T>& x);

// The hyperbolic tangent.
template <class T> Tensor<T> tanh(const Tensor<T>& x);

// max(x, 0); NaN of NaN.
template <class T> Tensor<T> relu(const Tensor<T>& x);

// The logistic function 1 / (1 + e^-x), between 0 and 1.
template <class T> Tensor<T> sigmoid(const Tensor<T>& x);

// ln(1 + e^x), a smooth max(x, 0), in which nothing overflows.
template <class T> Tensor<T> softplus(const Tensor<T>& x);

// x + y
template <class T> Tensor<T> operator+(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> operator+(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> operator+(std::type_identity_t<T> x, const Tensor<T>& y);

// x - y
template <class T> Tensor<T> operator-(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> operator-(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> operator-(std::type_identity_t<T> x, const Tensor<T>& y);

// x y
template <class T> Tensor<T> operator*(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> operator*(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> operator*(std::type_identity_t<T> x, const Tensor<T>& y);

// x / y
template <class T> Tensor<T> operator/(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> operator/(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> operator/(std::type_identity_t<T> x, const Tensor<T>& y);

// x^y; NaN where x < 0 and y is not whole.
template <class T> Tensor<T> pow(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> pow(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> pow(std::type_identity_t<T> x, const Tensor<T>& y);

// The larger one; NaN where either is.
template <class T> Tensor<T> maximum(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> maximum(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> maximum(std::type_identity_t<T> x, const Tensor<T>& y);

// The smaller one; NaN where either is.
template <class T> Tensor<T> minimum(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> minimum(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> minimum(std::type_identity_t<T> x, const Tensor<T>& y);

// Comparisons give 1 where they hold and 0 elsewhere. With a NaN only not_equal holds.

// x < y
template <class T> Tensor<T> less(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> less(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> less(std::type_identity_t<T> x, const Tensor<T>& y);

// x <= y
template <class T> Tensor<T> less_equal(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> less_equal(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> less_equal(std::type_identity_t<T> x, const Tensor<T>& y);

// x > y
template <class T> Tensor<T> greater(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> greater(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> greater(std::type_identity_t<T> x, const Tensor<T>& y);

// x >= y
template <class T> Tensor<T> greater_equal(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> greater_equal(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> greater_equal(std::type_identity_t<T> x, const Tensor<T>& y);

// x == y
template <class T> Tensor<T> equal(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> equal(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> equal(std::type_identity_t<T> x, const Tensor<T>& y);

// x != y
template <class T> Tensor<T> not_equal(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> not_equal(const Tensor<T>& x, std::type_identity_t<T> y);
template <class T> Tensor<T> not_equal(std::type_identity_t<T> x, const Tensor<T>& y);
}  // namespace gradus
