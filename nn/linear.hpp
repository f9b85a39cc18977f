#pragma once
#include <string>

#include "autograd/elementwise.hpp"
#include "autograd/matmul.hpp"
#include "nn/init.hpp"
#include "nn/parameters.hpp"
#include "tensor/error.hpp"

namespace gradus::nn {

// An affine map, x W^T + b: torch.nn.Linear.
template <class T> class Linear {
 public:
  Linear(const std::string& name, Index in, Index out, Rng& rng, Init init = Init::kPyTorch)
      : weight(name + ".weight", initial_weight<T>(out, in, init, rng)),
        bias(name + ".bias", initial_bias<T>(out, in, init, rng)) {}

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

}  // namespace gradus::nn
