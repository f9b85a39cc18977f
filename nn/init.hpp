#pragma once
#include <cmath>

#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

namespace gradus::nn {

// How a weight of shape (out, in) begins. The bias begins at zero, except with kPyTorch.
enum class Init {
  kPyTorch,  // uniform within +-1 / sqrt(in), the bias too: torch.nn.Linear's default
  kHe,       // normal, variance 2 / in: keeps the scale through relu (He et al. 2015, eq. 10)
  kGlorot,   // uniform, variance 2 / (in + out): for tanh (Glorot and Bengio 2010, eq. 16)
};

// A weight (out, in) that begins so. Throws Error when it has no elements.
template <class T> Tensor<T> initial_weight(Index out, Index in, Init init, Rng& rng) {
  if (out < 1 || in < 1) fail("a weight of shape ({}, {}) has no elements", out, in);
  if (init == Init::kHe) return rng.normal<T>({out, in}) * static_cast<T>(std::sqrt(2.0 / in));

  // Uniform within +-bound has the variance bound^2 / 3.
  T bound = static_cast<T>(1 / std::sqrt(in));
  if (init == Init::kGlorot) bound = static_cast<T>(std::sqrt(6.0 / (in + out)));
  return rng.uniform<T>({out, in}, -bound, bound);
}

// A bias (out) beside such a weight.
template <class T> Tensor<T> initial_bias(Index out, Index in, Init init, Rng& rng) {
  if (init != Init::kPyTorch) return Tensor<T>({out});
  const T bound = static_cast<T>(1 / std::sqrt(in));
  return rng.uniform<T>({out}, -bound, bound);
}

}  // namespace gradus::nn
