#pragma once

// All differentiable operations: those of tensor/, by the same names and in files of the same
// names, for values that remember where they came from.
#include "autograd/convolution.hpp"
#include "autograd/elementwise.hpp"
#include "autograd/layout.hpp"
#include "autograd/linalg.hpp"
#include "autograd/matmul.hpp"
#include "autograd/record.hpp"
#include "autograd/reduce.hpp"
#include "tensor/error.hpp"

namespace gradus {

// The same value, but a constant: no gradient flows through it.
template <class T> Var<T> stop_gradient(const Var<T>& x) { return x.value(); }

// `rounded`, to the bit, with the gradient of x: what has led from x to it (rounding, the nearest
// word of a codebook) is taken for the identity. This is the straight-through estimator (Bengio,
// Leonard and Courville 2013). It is the derivative of nothing that is computed: gradcheck fails
// wherever `rounded` depends on x in another way than x + constant. Throws Error when the shapes
// differ.
template <class T> Var<T> straight_through(const Var<T>& x, const Tensor<T>& rounded) {
  if (x.shape() != rounded.shape())
    fail("straight_through: {} was rounded to {}; the shapes must be the same", x.shape(),
         rounded.shape());
  return (x - x.value()) + rounded;  // 0 + rounded, with the slope 1
}

}  // namespace gradus
