#pragma once
#include "tensor/map.hpp"

// Elementwise functions. Two operands broadcast as in NumPy; where their shapes do not, they throw
// Error with both shapes and the axis.
namespace gradus {

template <class T> Tensor<T> operator-(const Tensor<T>& x);
template <class T> Tensor<T> exp(const Tensor<T>& x);
template <class T> Tensor<T> expm1(const Tensor<T>& x);  // e^x - 1
template <class T> Tensor<T> log(const Tensor<T>& x);    // natural; NaN for x < 0
template <class T> Tensor<T> log1p(const Tensor<T>& x);  // ln(1 + x)
template <class T> Tensor<T> sqrt(const Tensor<T>& x);   // NaN for x < 0
template <class T> Tensor<T> square(const Tensor<T>& x);
template <class T> Tensor<T> abs(const Tensor<T>& x);
template <class T> Tensor<T> sign(const Tensor<T>& x);  // -1, 0 or 1
template <class T> Tensor<T> tanh(const Tensor<T>& x);
template <class T> Tensor<T> sigmoid(const Tensor<T>& x);   // 1 / (1 + e^-x)
template <class T> Tensor<T> softplus(const Tensor<T>& x);  // ln(1 + e^x)
template <class T> Tensor<T> relu(const Tensor<T>& x);      // max(x, 0)

template <class T> Tensor<T> operator+(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> operator-(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> operator*(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> operator/(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> pow(const Tensor<T>& x, const Tensor<T>& y);  // x^y
template <class T> Tensor<T> maximum(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> minimum(const Tensor<T>& x, const Tensor<T>& y);

// Comparisons give 1 where they hold and 0 elsewhere.
template <class T> Tensor<T> less(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> less_equal(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> greater(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> greater_equal(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> equal(const Tensor<T>& x, const Tensor<T>& y);
template <class T> Tensor<T> not_equal(const Tensor<T>& x, const Tensor<T>& y);

// Every function of two tensors also takes a number on either side.
#define GRADUS_WITH_NUMBERS(f)                                                    \
  template <class T> Tensor<T> f(const Tensor<T>& x, std::type_identity_t<T> y) { \
    return f(x, Tensor<T>(y));                                                    \
  }                                                                               \
  template <class T> Tensor<T> f(std::type_identity_t<T> x, const Tensor<T>& y) { \
    return f(Tensor<T>(x), y);                                                    \
  }
GRADUS_WITH_NUMBERS(operator+)
GRADUS_WITH_NUMBERS(operator-)
GRADUS_WITH_NUMBERS(operator*)
GRADUS_WITH_NUMBERS(operator/)
GRADUS_WITH_NUMBERS(pow)
GRADUS_WITH_NUMBERS(maximum)
GRADUS_WITH_NUMBERS(minimum)
GRADUS_WITH_NUMBERS(less)
GRADUS_WITH_NUMBERS(less_equal)
GRADUS_WITH_NUMBERS(greater)
GRADUS_WITH_NUMBERS(greater_equal)
GRADUS_WITH_NUMBERS(equal)
GRADUS_WITH_NUMBERS(not_equal)
#undef GRADUS_WITH_NUMBERS

}  // namespace gradus
