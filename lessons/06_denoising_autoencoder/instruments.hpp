#pragma once
#include <cmath>
#include <numbers>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/06_denoising_autoencoder/filters.hpp"
#include "lessons/06_denoising_autoencoder/model.hpp"
#include "lessons/06_denoising_autoencoder/truths.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 06 measures of its networks.
namespace gradus::lesson06 {

// The mean squared error of a pixel of what r makes of images (N, D) spoiled by noise from `rng`. A
// generator of the same state spoils them in the same way for each model.
template <class Model>
double error_of(const Model& r, const Noise& noise, const Tensor<float>& images, Rng rng) {
  double total = 0;
  in_parts(
      images,
      [&](const Tensor<float>& x) {
        total += sum(denoising_loss(r, noise.spoil(x, rng), x)).item();
      },
      kTogether);
  return total / static_cast<double>(images.size());
}

// ---- Toys --------------------------------------------------------------------------------------

// By how much r (1 -> 1) is worse than the best denoiser of two points: the mean of
// (r - tanh)^2 over spoiled numbers.
template <class Model> double two_points_excess(const Model& r, double s2) {
  constexpr Index kSteps = 4000;
  const Tensor<float> x = (arange<float>(kSteps + 1) * (10.0f / kSteps) - 5.0f).reshape({-1, 1});
  const Tensor<float> answers = r(x).value();
  double total = 0;
  for (Index i = 0; i <= kSteps; ++i) {
    const double off = answers(i, 0) - two_points_answer(x(i, 0), s2);
    total += two_points_density(x(i, 0), s2) * off * off * 10.0 / kSteps;  // 10 / kSteps: the step
  }
  return total;
}

// The points of a circle of this radius at n equal steps: (n, 2).
inline Tensor<float> ring(double radius, Index n) {
  Tensor<float> x({n, 2});
  for (Index i = 0; i < n; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(n);
    x.set({i, 0}, static_cast<float>(radius * std::cos(angle)));
    x.set({i, 1}, static_cast<float>(radius * std::sin(angle)));
  }
  return x;
}

// By how much r (2 -> 2) is worse than the best denoiser of the unit circle: the mean of
// |r - answer|^2 over spoiled points, radius by radius.
template <class Model> double circle_excess(const Model& r, double s2) {
  constexpr Index kAngles = 90;
  return integral(0, 1 + 5 * std::sqrt(s2), 60, [&](double radius) {
    if (radius == 0) return 0.0;  // where the density of the radius is 0
    const Tensor<float> y = ring(radius, kAngles);
    const float answer = static_cast<float>(circle_answer(radius, s2) / radius);
    const double off = sum(square(r(y).value() - answer * y)).item() / kAngles;
    return circle_radius_density(radius, s2) * off;
  });
}

// ---- Jacobians ---------------------------------------------------------------------------------

// J_ij = d r_i / d y_j at one y (1, D): (D, D). Row i needs a backward pass from output i; here D
// copies of y make them all at once.
template <class T, class Model> Tensor<T> jacobian(const Model& r, const Tensor<T>& y) {
  const Index d = y.extent(1);
  Tape<T> tape;
  const Var<T> copies = tape.leaf(broadcast_to(y, {d, d}));
  const Var<T> own = sum(r(copies) * identity<T>(d));  // output i of copy i
  return gradient(own, {copies})[0].value();
}

// |J - J^T| / |J + J^T|: 0 for the second derivatives of a function, which are symmetric.
template <class T> double asymmetry(const Tensor<T>& j) {
  const Tensor<double> a = cast<double>(j);
  const double odd = sum(square(a - transpose(a))).item();
  return std::sqrt(odd / sum(square(a + transpose(a))).item());
}

// An estimate of tr J for each y (N, D), by one backward pass: v^T J v with random signs v, whose
// mean is the trace, since v_i^2 = 1 and v_i v_j is 0 on average (Hutchinson 1990).  (N)
template <class T, class Model>
Tensor<T> estimated_trace(const Model& r, const Tensor<T>& y, Rng& rng) {
  const Tensor<T> v = sign(rng.uniform<T>(y.shape(), -1, 1));
  Tape<T> tape;
  const Var<T> leaf = tape.leaf(y);
  const Var<T> total = sum(r(leaf) * v);
  return sum(gradient(total, {leaf})[0].value() * v, {1});
}

// Stein's estimate of the mean squared error of a pixel, from spoiled images (N, D) alone:
//     |r(y) - y|^2 / D - s2 + 2 s2 tr J / D.
template <class T, class Model>
double stein_estimate(const Model& r, const Tensor<T>& spoiled, double s2, Rng& rng) {
  double total = 0;
  in_parts(
      spoiled,
      [&](const Tensor<T>& y) {
        total += sum(square(r(y).value() - y)).item();
        total += 2 * s2 * sum(estimated_trace(r, y, rng)).item();
      },
      500);
  return total / static_cast<double>(spoiled.size()) - s2;
}

}  // namespace gradus::lesson06
