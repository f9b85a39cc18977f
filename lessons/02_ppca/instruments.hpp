#pragma once
#include "lessons/02_ppca/model.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson02 {

// The factor by which code and decode scale x along component i: E[x_hat_i x_i] / E[x_i^2], over
// examples x (N, D). In theory (l_i - sigma^2) / l_i, where x are what `pca` was fitted to.
template <class T>
T shrinkage(const Ppca<T>& model, const Pca<T>& pca, const Tensor<T>& x, Index i) {
  const Index k = i + 1;
  const Tensor<T> decoded = model.decode(model.encode(x));
  const Tensor<T> before = slice(pca.encode(x, k), 1, i, k);       // (N, 1)
  const Tensor<T> after = slice(pca.encode(decoded, k), 1, i, k);  // (N, 1)
  return sum(before * after).item() / sum(square(before)).item();
}

}  // namespace gradus::lesson02
