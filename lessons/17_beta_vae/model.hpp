#pragma once
#include <cmath>
#include <numbers>

#include "autograd/operations.hpp"
#include "lessons/13_vae/model.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"

// Lesson 13's VAE with a price on each nat of its code (Higgins et al. 2017), and the same VAE in
// other coordinates of z.
//
//     N images, K latents; R and D are the rate and the distortion
namespace gradus::lesson17 {

// What is maximised: -D - beta R for each image, with D = -ln p(x|z) and R = KL(q(z|x) || p(z)).
// With beta = 1 it is the ELBO.  (N)
template <class T> Var<T> priced_elbo(const lesson13::Elbo<T>& elbo, T beta) {
  return elbo.reconstruction - beta * elbo.kl;
}

// The rotation of z's plane of latents a and b by an angle in degrees; it leaves the others alone.
// (K, K)
template <class T> Tensor<T> rotation(Index latents, Index a, Index b, double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  Tensor<T> u = identity<T>(latents);
  u.set({a, a}, static_cast<T>(std::cos(angle)));
  u.set({b, b}, static_cast<T>(std::cos(angle)));
  u.set({a, b}, static_cast<T>(-std::sin(angle)));
  u.set({b, a}, static_cast<T>(std::sin(angle)));
  return u;
}

// A VAE whose latents are y = U z in place of z: its decoder turns y back and decodes that.
template <class T> struct TurnedVae {
  const lesson13::Vae<T>& straight;
  Tensor<T> u;  // (K, K), orthogonal

  // y for rows of z, and z for rows of y: (N, K) -> (N, K).
  Tensor<T> turn(const Tensor<T>& z) const { return matmul_nt(z, u); }

  Tensor<T> turn_back(const Tensor<T>& y) const { return matmul(y, u); }

  nn::Bernoulli<T> decode(const Tensor<T>& y) const { return straight.decode(turn_back(y)); }

  // Each y_k by itself. The covariance of y given x is U diag(s^2) U^T, whose diagonal is the sum
  // over j of U_kj^2 s_j^2.
  nn::Normal<T> marginals(const Tensor<T>& x) const {
    const nn::Normal<T> q = straight.encode(x);
    return {turn(q.mean.value()), log(matmul_nt(exp(q.log_var.value()), square(u)))};
  }
};

}  // namespace gradus::lesson17
