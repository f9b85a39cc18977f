#pragma once
#include "nn/parameters.hpp"
#include "tensor/random.hpp"

namespace gradus::nn {
// How a weight of shape (out, in) begins. The bias begins at zero, except with kPyTorch.
enum class Init {
  kPyTorch,  // uniform within +-1 / sqrt(in), the bias too: torch.nn.Linear's default
  kHe,       // normal, variance 2 / in: keeps the scale through relu (He et al. 2015, eq. 10)
  kGlorot,   // uniform, variance 2 / (in + out): for tanh (Glorot and Bengio 2010, eq. 16)
};

// A weight that begins so. Throws Error when it has no elements.
template <class T> Tensor<T> initial_weight(Index out, Index in, Init init, Rng& rng) {
  if (out < 1 || in < 1) fail("a weight of shape ({}, {}) has no elements", out, in);
  if (init == Init::kHe) return rng.normal<T>({out, in}) * static_cast<T>(std::sqrt(2.0 / in));
  const T bound =
      static_cast<T>(init == Init::kGlorot ? std::sqrt(6.0 / (in + out)) : 1 / std::sqrt(in));
  return rng.uniform<T>({out, in}, -bound, bound);
}

// An affine map, x W^T + b.
template <class T> class Linear {
 public:
  Linear(const std::string& name, Index in, Index out, Rng& rng, Init init = Init::kPyTorch)
      : weight(name + ".weight", initial_weight<T>(out, in, init, rng)),
        bias(name + ".bias", Tensor<T>({out})) {
    const T bound = static_cast<T>(1 / std::sqrt(in));
    if (init == Init::kPyTorch) bias.set_value(rng.uniform<T>({out}, -bound, bound));
  }

  // (N, in) -> (N, out). Throws Error, naming the layer, when x does not fit.
  Var<T> operator()(const Var<T>& x) const {
    if (x.shape().rank() != 2 || x.shape()[1] != weight.shape()[1])
      fail("{}: expects (N, {}), but was given {}", weight.name(), weight.shape()[1], x.shape());
    return matmul_nt(x, weight) + bias;
  }

  Parameters<T> parameters() { return {&weight, &bias}; }

  Parameter<T> weight;  // (out, in), "name.weight"
  Parameter<T> bias;    // (out), "name.bias"
};

// The logarithm of softmax along an axis: x - logsumexp(x); and softmax itself.
template <class T> Var<T> log_softmax(const Var<T>& x, int axis = -1) {
  return x - logsumexp(x, {axis}, /*keepdims=*/true);
}

template <class T> Var<T> softmax(const Var<T>& x, int axis = -1) {
  return exp(log_softmax(x, axis));
}
}  // namespace gradus::nn
