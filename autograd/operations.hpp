#pragma once
#include "autograd/var.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// The differentiable operations: those of tensor/, by the same names, for values that remember
// where they came from. Shapes, broadcasting and errors are as there.
namespace gradus {

// clang-format off
template <class T> Var<T> operator-(const Var<T>& x);
template <class T> Var<T> exp(const Var<T>& x);
template <class T> Var<T> expm1(const Var<T>& x);
template <class T> Var<T> log(const Var<T>& x);
template <class T> Var<T> log1p(const Var<T>& x);
template <class T> Var<T> sqrt(const Var<T>& x);
template <class T> Var<T> square(const Var<T>& x);
template <class T> Var<T> abs(const Var<T>& x);       // gradient 0 at 0
template <class T> Var<T> tanh(const Var<T>& x);
template <class T> Var<T> sigmoid(const Var<T>& x);
template <class T> Var<T> softplus(const Var<T>& x);
template <class T> Var<T> relu(const Var<T>& x);      // gradient 0 at 0

template <class T> Var<T> operator+(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> operator-(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> operator*(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> operator/(const Var<T>& x, const Var<T>& y);
template <class T> Var<T> pow(const Var<T>& x, const Var<T>& y);      // y's gradient needs x > 0
template <class T> Var<T> maximum(const Var<T>& x, const Var<T>& y);  // ties: half to each
template <class T> Var<T> minimum(const Var<T>& x, const Var<T>& y);

template <class T> Var<T> sum(const Var<T>& x, const Axes& axes = {}, bool keep = false);
template <class T> Var<T> mean(const Var<T>& x, const Axes& axes = {}, bool keep = false);
template <class T> Var<T> max(const Var<T>& x, const Axes& axes = {}, bool keep = false);  // ties share
template <class T> Var<T> logsumexp(const Var<T>& x, const Axes& axes = {}, bool keep = false);
template <class T> Var<T> sum_to(const Var<T>& x, const Shape& shape);
template <class T> Var<T> broadcast_to(const Var<T>& x, const Shape& shape);

template <class T> Var<T> reshape(const Var<T>& x, const Shape& shape);
template <class T> Var<T> transpose(const Var<T>& x);
template <class T> Var<T> rows(const Var<T>& x, std::vector<Index> indices);
template <class T> Var<T> scatter_rows(const Var<T>& x, std::vector<Index> indices, Index n);
template <class T> Var<T> concatenate(const std::vector<Var<T>>& xs, int axis = 0);
template <class T> Var<T> slice(const Var<T>& x, int axis, Index begin, Index end);
template <class T> Var<T> pad(const Var<T>& x, int axis, Index before, Index after);

template <class T> Var<T> matmul(const Var<T>& a, const Var<T>& b);
template <class T> Var<T> matmul_tn(const Var<T>& a, const Var<T>& b);
template <class T> Var<T> matmul_nt(const Var<T>& a, const Var<T>& b);

template <class T> Var<T> lower_triangle(const Var<T>& a);
template <class T> Var<T> cholesky(const Var<T>& a);
template <class T> Var<T> solve_lower(const Var<T>& l, const Var<T>& b);
template <class T> Var<T> solve_lower_transposed(const Var<T>& l, const Var<T>& b);
template <class T> Var<T> solve_positive(const Var<T>& a, const Var<T>& b);
template <class T> Var<T> log_determinant(const Var<T>& a);
// clang-format on

// The same value, but a constant: no gradient flows through it.
template <class T> Var<T> stop_gradient(const Var<T>& x) { return x.value(); }

// Tensors and numbers take part in every function of two operands as constants.
template <class X, class T>
concept ConstantOf = std::convertible_to<X, Var<T>> && !std::derived_from<X, Var<T>>;

#define GRADUS_WITH_CONSTANTS(f)                                              \
  template <class T, ConstantOf<T> Y> Var<T> f(const Var<T>& x, const Y& y) { \
    return f(x, Var<T>(y));                                                   \
  }                                                                           \
  template <class T, ConstantOf<T> X> Var<T> f(const X& x, const Var<T>& y) { \
    return f(Var<T>(x), y);                                                   \
  }
GRADUS_WITH_CONSTANTS(operator+)
GRADUS_WITH_CONSTANTS(operator-)
GRADUS_WITH_CONSTANTS(operator*)
GRADUS_WITH_CONSTANTS(operator/)
GRADUS_WITH_CONSTANTS(pow)
GRADUS_WITH_CONSTANTS(maximum)
GRADUS_WITH_CONSTANTS(minimum)
GRADUS_WITH_CONSTANTS(matmul)
GRADUS_WITH_CONSTANTS(matmul_tn)
GRADUS_WITH_CONSTANTS(matmul_nt)
GRADUS_WITH_CONSTANTS(solve_lower)
GRADUS_WITH_CONSTANTS(solve_lower_transposed)
GRADUS_WITH_CONSTANTS(solve_positive)
#undef GRADUS_WITH_CONSTANTS

}  // namespace gradus
