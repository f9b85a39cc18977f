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

// A weight that begins so.
template <class T> Tensor<T> initial_weight(Index out, Index in, Init init, Rng& rng);

// An affine map: (N, in) -> (N, out), x W^T + b. Throws Error when x does not fit, naming the
// layer.
template <class T> class Linear {
 public:
  Linear(const std::string& name, Index in, Index out, Rng& rng, Init init = Init::kPyTorch);
  Var<T> operator()(const Var<T>& x) const;
  Parameters<T> parameters() { return {&weight, &bias}; }

  Parameter<T> weight;  // (out, in), "name.weight"
  Parameter<T> bias;    // (out), "name.bias"
};

// The logarithm of softmax along an axis: x - logsumexp(x); and softmax itself.
template <class T> Var<T> log_softmax(const Var<T>& x, int axis = -1) {
  return x - logsumexp(x, {axis}, /*keep=*/true);
}
template <class T> Var<T> softmax(const Var<T>& x, int axis = -1) {
  return exp(log_softmax(x, axis));
}

}  // namespace gradus::nn
