#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "lessons/01_pca/model.hpp"
#include "lessons/04_linear_autoencoder/model.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// What lesson 04 measures of its models: losses, and how far the planes are from PCA's.
//
//     D dimensions, K numbers in a code
namespace gradus::lesson04 {

// The loss over any number of examples.
template <class T> double mean_loss(const LinearAutoencoder<T>& model, const Tensor<T>& x) {
  double total = 0;
  in_parts(x, [&](const Tensor<T>& part) {
    total += static_cast<double>(model.loss(part).item()) * static_cast<double>(part.extent(0));
  });
  return total / static_cast<double>(x.extent(0));
}

// The orthogonal projection on the span of the columns of w:  w (w^T w)^-1 w^T.  (D, K) -> (D, D)
template <class T> Tensor<T> projector(const Tensor<T>& w) {
  return matmul(w, solve_spd(matmul_tn(w, w), transpose(w)));
}

// The largest angle between two subspaces of equal dimension, in degrees. The eigenvalues of the
// difference of two such projectors are plus and minus the sines of the principal angles.
template <class T> T largest_angle(const Tensor<T>& p, const Tensor<T>& q) {
  const T sine = symmetric_eigen(p - q).values(0);
  return std::asin(std::clamp(sine, T(0), T(1))) * 180 / std::numbers::pi_v<T>;
}

// How far the columns of w (D, K) are from being components of PCA: of their angles to the nearest
// component the largest, in degrees.
template <class T> T angle_to_nearest_axis(const Pca<T>& pca, const Tensor<T>& w) {
  const Tensor<T> cosines = abs(matmul(pca.components, w)) / sqrt(sum(square(w), {0}));  // (D, K)
  T worst = 1;
  for (T cosine : max(cosines, {0})) worst = std::min(worst, cosine);
  return std::acos(worst) * 180 / std::numbers::pi_v<T>;
}

// One direction in which a saddle leads down: an eigenvector of the Hessian with an eigenvalue
// mu < 0. At a distance h from the saddle along it the loss is lower by -mu/2 h^2, and a step of
// gradient descent multiplies h by 1 - rate mu.
struct WayDown {
  double curvature;  // mu
  double distance;   // h

  double factor(double rate) const { return 1 - rate * curvature; }

  // How much lower the loss is for it after so many steps.
  double depth(double rate, double steps) const {
    const double h = distance * std::pow(factor(rate), steps);
    return -0.5 * curvature * h * h;
  }

  // Steps until the loss is so much lower for it.
  double steps(double rate, double depth) const {
    const double h = std::sqrt(-2 * depth / curvature);
    return std::log(h / distance) / std::log(factor(rate));
  }
};

// All of them, steepest first, seen from a place near a saddle. Along an eigenvector the slope
// there is mu h, so that h is known without knowing where the saddle is.
template <class T> std::vector<WayDown> ways_down(const Curvature<T>& here) {
  const Index n = here.gradient.size();
  const auto [values, vectors] = symmetric_eigen(here.hessian);
  std::vector<WayDown> ways;
  for (Index i = n - 1; i >= 0 && values(i) < -1e-6; --i) {
    const T slope = sum(slice(vectors, 0, i, i + 1) * here.gradient).item();
    ways.push_back({values(i), std::abs(slope / values(i))});
  }
  return ways;
}

// Steps until all ways down together have lowered the loss by so much.
inline Index steps_until(const std::vector<WayDown>& ways, double rate, double depth) {
  Index steps = 0;
  const auto lowered_by = [&] {
    double total = 0;
    for (const WayDown& way : ways) total += way.depth(rate, static_cast<double>(steps));
    return total;
  };
  while (lowered_by() < depth) ++steps;
  return steps;
}

// How much of each component's squared length lies in a subspace with this projector.  (D)
template <class T> Tensor<T> share_in_span(const Pca<T>& pca, const Tensor<T>& projector) {
  return sum(square(matmul(pca.components, projector)), {1});
}

// Of PCA's plane of the first K components, the direction that a subspace with this projector holds
// the least of.
template <class T> struct WorstDirection {
  T share;          // of its squared length that lies in the subspace
  Tensor<T> along;  // (K): how much of its squared length is along each component
};

template <class T>
WorstDirection<T> worst_direction(const Pca<T>& pca, Index k, const Tensor<T>& projector) {
  const Tensor<T> u = slice(pca.components, 0, 0, k);  // (K, D)
  const auto [values, vectors] = symmetric_eigen(matmul_nt(matmul(u, projector), u));
  return {values(k - 1), square(slice(vectors, 0, k - 1, k).reshape({k}))};
}

}  // namespace gradus::lesson04
