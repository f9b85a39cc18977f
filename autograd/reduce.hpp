#pragma once
#include "autograd/var.hpp"
#include "tensor/reduce.hpp"

// The reductions of tensor/reduce.hpp, for values that remember where they came from. Axes, shapes
// and errors are as there.
namespace gradus {

template <class T> Var<T> sum(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);
template <class T> Var<T> mean(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);

// Where several elements are the largest, they share the gradient.
template <class T> Var<T> max(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);

// ln sum_i e^(x_i). Its slope is the softmax, also among infinities (see tensor/reduce.hpp).
template <class T> Var<T> logsumexp(const Var<T>& x, const Axes& axes = {}, bool keepdims = false);

// e^(x_i) / sum_j e^(x_j) along an axis, in the shape of x, and its logarithm.
template <class T> Var<T> softmax(const Var<T>& x, int axis = -1);
template <class T> Var<T> log_softmax(const Var<T>& x, int axis = -1);

// The sum over what broadcasting has repeated (x comes by value, for where it has the shape already
// it is moved through), and broadcasting itself: each is the other's
// adjoint.
template <class T> Var<T> sum_to(Var<T> x, const Shape& shape);
template <class T> Var<T> broadcast_to(const Var<T>& x, const Shape& shape);

}  // namespace gradus
