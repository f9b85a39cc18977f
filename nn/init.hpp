#pragma once
#include <cmath>
#include <numeric>

#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

namespace gradus::nn {

// How a weight begins. The bias begins at zero, except with kPyTorch.
enum class Init {
  kPyTorch,  // uniform within +-1 / sqrt(in), the bias too: the default of torch.nn's layers
  kHe,       // normal, variance 2 / in: keeps the scale through relu (He et al. 2015, eq. 10)
  kGlorot,   // uniform, variance 2 / (in + out): for tanh (Glorot and Bengio 2010, eq. 16)
};

// How many products with a layer's weight are added up in a number that comes out, and how many
// products a number that goes in takes part in: on average, where these differ. Of a linear layer
// they are its widths.
struct Fan {
  double in;
  double out;
};

// A weight that begins so. Throws Error when it has no elements.
template <class T>
Tensor<T> initial_weight(const Shape& shape, const Fan& fan, Init init, Rng& rng) {
  if (shape.size() == 0) fail("a weight of shape {} has no elements", shape);
  if (init == Init::kHe) return rng.normal<T>(shape) * static_cast<T>(std::sqrt(2.0 / fan.in));

  // Uniform within +-bound has the variance bound^2 / 3.
  T bound = static_cast<T>(1 / std::sqrt(fan.in));
  if (init == Init::kGlorot) bound = static_cast<T>(std::sqrt(6.0 / (fan.in + fan.out)));
  return rng.uniform<T>(shape, -bound, bound);
}

// The weight (out, in) of a linear layer.
template <class T> Tensor<T> initial_weight(Index out, Index in, Init init, Rng& rng) {
  if (out < 1 || in < 1) fail("a weight of shape ({}, {}) has no elements", out, in);
  const Fan fan = {.in = static_cast<double>(in), .out = static_cast<double>(out)};
  return initial_weight<T>({out, in}, fan, init, rng);
}

// An orthogonal matrix (n, n), each as likely as every other: rows of normal numbers, from each of
// which the directions of those above it are taken away (Gram and Schmidt), twice, for what
// rounding leaves the first time.
template <class T> Tensor<T> random_orthogonal(Index n, Rng& rng) {
  Tensor<double> q = rng.normal<double>({n, n});
  double* const rows = q.mutable_data();
  for (Index i = 0; i < n; ++i) {
    double* const row = rows + i * n;
    for (int round = 0; round < 2; ++round) {
      for (Index k = 0; k < i; ++k) {
        const double* const above = rows + k * n;
        const double length = std::inner_product(row, row + n, above, 0.0);
        for (Index j = 0; j < n; ++j) row[j] -= length * above[j];
      }
    }
    const double norm = std::sqrt(std::inner_product(row, row + n, row, 0.0));
    for (Index j = 0; j < n; ++j) row[j] /= norm;
  }
  return cast<T>(q);
}

// A bias (out) beside a weight of this fan.in.
template <class T> Tensor<T> initial_bias(Index out, double in, Init init, Rng& rng) {
  if (init != Init::kPyTorch) return Tensor<T>({out});
  const T bound = static_cast<T>(1 / std::sqrt(in));
  return rng.uniform<T>({out}, -bound, bound);
}

}  // namespace gradus::nn
