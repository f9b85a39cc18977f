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
#define GRADUS_UNARY(f) template <class T> Var<T> f(const Var<T>& x);
GRADUS_UNARY(operator-) GRADUS_UNARY(exp)  GRADUS_UNARY(expm1)   GRADUS_UNARY(log)
GRADUS_UNARY(log1p)     GRADUS_UNARY(sqrt) GRADUS_UNARY(square)  GRADUS_UNARY(tanh)
GRADUS_UNARY(softplus)  GRADUS_UNARY(abs)  GRADUS_UNARY(sigmoid) GRADUS_UNARY(relu)
GRADUS_UNARY(transpose) GRADUS_UNARY(tril)
GRADUS_UNARY(cholesky)  GRADUS_UNARY(log_determinant)
#undef GRADUS_UNARY

// Of two values that remember, or of one and a tensor or number, which is then a constant.
template <class X, class T>
concept ConstantOf = std::convertible_to<X, Var<T>> && !std::derived_from<X, Var<T>>;
#define GRADUS_BINARY(f)                                                                            \
  template <class T> Var<T> f(const Var<T>& x, const Var<T>& y);                                    \
  template <class T, ConstantOf<T> Y> Var<T> f(const Var<T>& x, const Y& y) { return f(x, Var<T>(y)); } \
  template <class T, ConstantOf<T> X> Var<T> f(const X& x, const Var<T>& y) { return f(Var<T>(x), y); }
GRADUS_BINARY(operator+) GRADUS_BINARY(operator-) GRADUS_BINARY(operator*) GRADUS_BINARY(operator/)
GRADUS_BINARY(pow)      // y's gradient needs x > 0
GRADUS_BINARY(maximum)  // where x = y, half of the gradient goes to each
GRADUS_BINARY(minimum)
GRADUS_BINARY(matmul) GRADUS_BINARY(matmul_tn) GRADUS_BINARY(matmul_nt)
GRADUS_BINARY(solve_lower) GRADUS_BINARY(solve_lower_transposed) GRADUS_BINARY(solve_spd)
#undef GRADUS_BINARY

template <class T> Var<T> sum(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);
template <class T> Var<T> mean(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);
template <class T> Var<T> max(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);  // ties share
template <class T> Var<T> logsumexp(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);
template <class T> Var<T> sum_to(Var<T> x, const Shape& shape);
template <class T> Var<T> broadcast_to(const Var<T>& x, const Shape& shape);

template <class T> Var<T> reshape(const Var<T>& x, const Shape& shape);
template <class T> Var<T> gather_rows(const Var<T>& x, std::vector<Index> indices);
template <class T> Var<T> scatter_add_rows(const Var<T>& x, std::vector<Index> indices, Index n);
template <class T> Var<T> concatenate(const std::vector<Var<T>>& xs, int axis = 0);
template <class T> Var<T> slice(const Var<T>& x, int axis, Index begin, Index end);
template <class T> Var<T> pad(const Var<T>& x, int axis, Index before, Index after);

// clang-format on

// The same value, but a constant: no gradient flows through it.
template <class T> Var<T> stop_gradient(const Var<T>& x) { return x.value(); }
}  // namespace gradus
