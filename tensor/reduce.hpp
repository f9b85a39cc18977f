#pragma once
#include <vector>

#include "tensor/shape.hpp"
#include "tensor/tensor.hpp"

// Reductions over any axes: {} means all of them, negative axes count from the end. `keepdims`
// leaves each reduced axis in place with extent 1. All throw Error when an axis is out of range or
// named twice. Sums and means are computed in double, in an order that depends on the shape only,
// and rounded to T once.
namespace gradus {
// The sum of the elements; 0 where there are none.
template <class T> Tensor<T> sum(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false);

// The sum divided by the number of elements, also where the sum itself would be too large for T.
// Throws Error when x has no elements.
template <class T> Tensor<T> mean(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false);

// The largest element; NaN where there is one. Throws Error when x has no elements.
template <class T> Tensor<T> max(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false);

// ln sum_i e^(x_i), computed as m + ln sum_i e^(x_i - m) with the maximum m, so that nothing
// overflows. Throws Error when x has no elements.
template <class T>
Tensor<T> logsumexp(const Tensor<T>& x, const Axes& axes = {}, bool keepdims = false);

// e^(x_i) / sum_j e^(x_j), and its logarithm x_i - logsumexp(x), in the shape of x. The maximum is
// subtracted before anything else, so that nothing overflows, and large numbers do not cancel. An
// infinite x_i has all of the probability, of which several take equal shares; where every x_i is
// -infinity, each has none. Throws Error when x has no elements.
template <class T> Tensor<T> softmax(const Tensor<T>& x, const Axes& axes = {-1});
template <class T> Tensor<T> log_softmax(const Tensor<T>& x, const Axes& axes = {-1});

// The position of the largest element along one axis, the first of equals; NaN counts as largest.
// The result is row-major over the other axes. Throws Error when the axis is empty.
template <class T> std::vector<Index> argmax(const Tensor<T>& x, int axis = -1);

// Sums away what broadcasting has repeated: the result has the given shape. This is the adjoint of
// broadcast_to. Throws Error when `shape` does not broadcast to x's.
template <class T> Tensor<T> sum_to(const Tensor<T>& x, const Shape& shape);

// Repeats x along axes of extent 1 and along new leading axes, so that it has the given shape.
// Throws Error when it does not fit.
template <class T> Tensor<T> broadcast_to(const Tensor<T>& x, const Shape& shape);
}  // namespace gradus
