#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>

#include "lessons/01_pca/model.hpp"
#include "lessons/04_linear_autoencoder/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// What lesson 04 measures of its models: losses, and how far the planes are from PCA's.
//
//     D dimensions, k numbers in a code
namespace gradus::lesson04 {

// The loss over any number of examples.
template <class T> double mean_loss(const LinearAutoencoder<T>& model, const Tensor<T>& x) {
  double total = 0;
  in_parts(x, [&](const Tensor<T>& part) {
    total += static_cast<double>(model.loss(part).item()) * static_cast<double>(part.extent(0));
  });
  return total / static_cast<double>(x.extent(0));
}

// The orthogonal projection on the span of the columns of w:  w (w^T w)^-1 w^T.  (D, k) -> (D, D)
template <class T> Tensor<T> projector(const Tensor<T>& w) {
  return matmul(w, solve_spd(matmul_tn(w, w), transpose(w)));
}

// The largest angle between two subspaces of equal dimension, in degrees. The eigenvalues of the
// difference of two such projectors are plus and minus the sines of the principal angles.
template <class T> T largest_angle(const Tensor<T>& p, const Tensor<T>& q) {
  const T sine = symmetric_eigen(p - q).values(0);
  return std::asin(std::clamp(sine, T(0), T(1))) * 180 / std::numbers::pi_v<T>;
}

// How far the columns of w (D, k) are from being components of PCA: of their angles to the nearest
// component the largest, in degrees.
template <class T> T angle_to_nearest_axis(const Pca<T>& pca, const Tensor<T>& w) {
  const Tensor<T> cosines = abs(matmul(pca.components, w)) / sqrt(sum(square(w), {0}));  // (D, k)
  T worst = 1;
  for (T cosine : max(cosines, {0})) worst = std::min(worst, cosine);
  return std::acos(worst) * 180 / std::numbers::pi_v<T>;
}

}  // namespace gradus::lesson04
