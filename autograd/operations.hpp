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

namespace gradus {

// The same value, but a constant: no gradient flows through it.
template <class T> Var<T> stop_gradient(const Var<T>& x) { return x.value(); }

}  // namespace gradus
