#include "nn/layers.hpp"

#include <cmath>

namespace gradus::nn {

template <class T> Tensor<T> initial_weight(Index out, Index in, Init init, Rng& rng) {
  if (out < 1 || in < 1) fail("a weight of shape ({}, {}) has no elements", out, in);
  if (init == Init::kHe) return rng.normal<T>({out, in}) * static_cast<T>(std::sqrt(2.0 / in));
  const T bound =
      static_cast<T>(init == Init::kGlorot ? std::sqrt(6.0 / (in + out)) : 1 / std::sqrt(in));
  return rng.uniform<T>({out, in}, -bound, bound);
}

template <class T>
Linear<T>::Linear(const std::string& name, Index in, Index out, Rng& rng, Init init)
    : weight(name + ".weight", initial_weight<T>(out, in, init, rng)),
      bias(name + ".bias", Tensor<T>({out})) {
  const T bound = static_cast<T>(1 / std::sqrt(in));
  if (init == Init::kPyTorch) bias.set_value(rng.uniform<T>({out}, -bound, bound));
}

template <class T> Var<T> Linear<T>::operator()(const Var<T>& x) const {
  if (x.shape().rank() != 2 || x.shape()[1] != weight.shape()[1])
    fail("{}: expects (N, {}), but was given {}", weight.name(), weight.shape()[1], x.shape());
  return matmul_nt(x, weight) + bias;
}

template Tensor<float> initial_weight(Index, Index, Init, Rng&);
template Tensor<double> initial_weight(Index, Index, Init, Rng&);
template class Linear<float>;
template class Linear<double>;

}  // namespace gradus::nn
