#pragma once
#include "tensor/map.hpp"

// Elementwise functions. Two operands broadcast as in NumPy; where their shapes do not, they throw
// Error with both shapes and the axis.
namespace gradus {
#define GRADUS_UNARY(f) template <class T> Tensor<T> f(const Tensor<T>& x);

// clang-format off
GRADUS_UNARY(operator-) GRADUS_UNARY(abs) GRADUS_UNARY(square) GRADUS_UNARY(sign)  // -1, 0 or 1
GRADUS_UNARY(exp) GRADUS_UNARY(expm1)                     // e^x, e^x - 1
GRADUS_UNARY(log) GRADUS_UNARY(log1p) GRADUS_UNARY(sqrt)  // ln x, ln(1 + x); NaN out of domain
GRADUS_UNARY(tanh) GRADUS_UNARY(relu)                     // max(x, 0)
GRADUS_UNARY(sigmoid) GRADUS_UNARY(softplus)              // 1 / (1 + e^-x), ln(1 + e^x)
#undef GRADUS_UNARY

// Of two tensors, or of a tensor and a number.
#define GRADUS_BINARY(f)                                                          \
  template <class T> Tensor<T> f(const Tensor<T>& x, const Tensor<T>& y);         \
  template <class T> Tensor<T> f(const Tensor<T>& x, std::type_identity_t<T> y) { \
    return f(x, Tensor<T>(y));                                                    \
  }                                                                               \
  template <class T> Tensor<T> f(std::type_identity_t<T> x, const Tensor<T>& y) { \
    return f(Tensor<T>(x), y);                                                    \
  }

GRADUS_BINARY(operator+) GRADUS_BINARY(operator-) GRADUS_BINARY(operator*) GRADUS_BINARY(operator/)
GRADUS_BINARY(pow) GRADUS_BINARY(maximum) GRADUS_BINARY(minimum)  // x^y; in the others a NaN wins
// Comparisons give 1 where they hold and 0 elsewhere.
GRADUS_BINARY(less) GRADUS_BINARY(less_equal) GRADUS_BINARY(greater) GRADUS_BINARY(greater_equal)
GRADUS_BINARY(equal) GRADUS_BINARY(not_equal)
#undef GRADUS_BINARY
// clang-format on
}  // namespace gradus
