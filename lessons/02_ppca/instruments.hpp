#pragma once
#include <cmath>

#include "lessons/02_ppca/model.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
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

// What becomes of a step of EM that takes the codes for certain: the covariance of p(z | x) is left
// out of the average of z z^T. It can lower the likelihood.
template <class T> Ppca<T> em_step_without_covariance(const Ppca<T>& model, const Tensor<T>& x) {
  const Tensor<T> y = x - model.mean;
  const Tensor<T> z = model.encode(x);                                       // (N, K)
  const Tensor<T> yz = matmul_tn(y, z);                                      // (D, K)
  const Tensor<T> w = transpose(solve_spd(matmul_tn(z, z), transpose(yz)));  // (D, K)
  return {model.mean, w, (sum(square(y)) - sum(w * yz)).item() / static_cast<T>(x.size())};
}

// What the kept (first) and the dropped directions each add to the mean log-likelihood of the
// examples that were fitted, in nats: -1/2 sum_i (ln 2 pi c_i + 1), where c_i is l_i or sigma^2.
struct Parts {
  double kept;
  double dropped;
};

inline Parts parts_of_log_likelihood(const Pca<double>& pca, const Ppca<double>& model) {
  const Index k = model.latents();
  const Index d = pca.variances.size();
  const Tensor<double> variances = slice(pca.variances, 0, 0, k);
  const double kept = sum(kLogTwoPi + log(variances) + 1.0).item();
  const double dropped = static_cast<double>(d - k) * (kLogTwoPi + std::log(model.sigma2) + 1);
  return {-kept / 2, -dropped / 2};
}

}  // namespace gradus::lesson02
