#pragma once
#include "lessons/common/in_parts.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// Principal component analysis: the linear code that loses least.
//
//     N examples, D dimensions, the first k components
namespace gradus::lesson01 {

// The mean of N examples and the principal axes of their covariance, widest first.
template <class T> struct Pca {
  Tensor<T> mean;        // (D)
  Tensor<T> components;  // (D, D): row i is the direction of the i-th largest variance
  Tensor<T> variances;   // (D): the eigenvalues of the covariance, largest first

  // The code of each example: its coordinates along the first k axes.  (N, D) -> (N, k)
  Tensor<T> encode(const Tensor<T>& x, Index k) const {
    return matmul_nt(x - mean, slice(components, 0, 0, k));
  }

  // The point with those coordinates.  (N, k) -> (N, D)
  Tensor<T> decode(const Tensor<T>& code) const {
    return matmul(code, slice(components, 0, 0, code.extent(1))) + mean;
  }

  // The mean squared distance between examples and what k components make of them.
  T residual(const Tensor<T>& x, Index k) const {
    T total = 0;
    in_parts(x, [&](const Tensor<T>& part) {
      total += sum(square(part - decode(encode(part, k)))).item();
    });
    return total / static_cast<T>(x.extent(0));
  }
};

// Fits PCA to N examples (N, D), with the covariance's 1/n (not 1/(n-1)).
template <class T> Pca<T> fit_pca(const Tensor<T>& x) {
  const Tensor<T> mean = gradus::mean(x, {0});
  Tensor<T> scatter({x.extent(1), x.extent(1)});  // sum_n (x_n - mean) (x_n - mean)^T
  in_parts(x, [&](const Tensor<T>& part) { scatter += matmul_tn(part - mean, part - mean); });
  const auto [values, vectors] = symmetric_eigen(scatter / static_cast<T>(x.extent(0)));
  return {mean, vectors, values};
}

}  // namespace gradus::lesson01
