#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "autograd/operations.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/common/constants.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// Two ways from the ELBO towards ln p(x): a bound that averages the weights of several draws, and,
// where there are two latents, the sum over a grid.
//
//     N images, D pixels, K latents, k draws for each image, G points of a grid
namespace gradus::lesson15 {

using lesson13::Vae;

// Black and white images: 1 where a grey level is 128 of 255 or more, and 0 elsewhere.
template <class T> Tensor<T> binarise(const Tensor<T>& x) { return greater_equal(x, T(0.5)); }

// ---- The importance-weighted bound -------------------------------------------------------------

// ln w = ln p(x|z) + ln p(z) - ln q(z) at z = m + s e, for images x (N, D), a normal q for each,
// (N, K), and k draws of noise e for each, (k, N, K). The model is a Vae, or has what is used of
// one: decode and latents.   (k, N)
//
// As (z - m) / s = e, and as ln 2 pi cancels, ln p(z) - ln q(z) = 1/2 sum_j (ln s_j^2 + e_j^2 -
// z_j^2).
template <class T, class Model>
Var<T> log_weights(const Model& vae, const Tensor<T>& x, const nn::Normal<T>& q,
                   const Tensor<T>& noise) {
  const Index draws = noise.extent(0);
  const Index n = x.extent(0);
  const Var<T> z = q.sample(noise);  // (k, N, K)
  const Var<T> logits = vae.decode(reshape(z, {draws * n, vae.latents()})).logits;
  const Var<T> of_pixels =
      nn::bernoulli_log_prob<T>(x, reshape(logits, {draws, n, x.extent(1)}));  // (k, N, D)
  return sum(of_pixels, {2}) + T(0.5) * sum(q.log_var + square(noise) - square(z), {2});
}

// ln (1/k sum_i e^(x_i)) over the leading axis: (k, ...) -> (...). Throws Error when there is no
// such axis, or nothing along it.
template <class T> Var<T> log_mean_exp(const Var<T>& x) {
  if (x.shape().rank() == 0 || x.shape()[0] == 0)
    fail("log_mean_exp: {} has nothing along its leading axis, of which the mean is taken",
         x.shape());
  return logsumexp(x, {0}) - std::log(static_cast<double>(x.shape()[0]));
}

// The importance-weighted bound of each image, L_k = ln (1/k sum_i w_i) (Burda, Grosse and
// Salakhutdinov 2016, equation 8), for noise (k, N, K) that draws from the encoder's q(z|x). On
// average over the noise L_1 is the ELBO, L_k grows with k, and none is above ln p(x).   (N)
template <class T>
Var<T> importance_weighted_bound(const Vae<T>& vae, const Tensor<T>& x, const Tensor<T>& noise) {
  return log_mean_exp(log_weights(vae, x, vae.encode(x), noise));
}

// ---- The evidence on a grid --------------------------------------------------------------------

// The midpoints of side x side square cells, which cover the plane of two latents from -end to end.
// Point number i side + j is (at(i), at(j)).
struct Grid {
  double end;
  Index side;

  double step() const { return 2 * end / static_cast<double>(side); }

  double at(Index i) const { return -end + step() * (static_cast<double>(i) + 0.5); }

  Index size() const { return side * side; }

  // The points with first <= number < last.   (last - first, 2)
  template <class T> Tensor<T> points(Index first, Index last) const {
    Tensor<T> z({last - first, 2});
    T* numbers = z.mutable_data();
    for (Index p = first; p < last; ++p) {
      *numbers++ = static_cast<T>(at(p / side));
      *numbers++ = static_cast<T>(at(p % side));
    }
    return z;
  }
};

// ln p(x, z) of images x (N, D) at points z (G, K).   (G, N)
//
// With the logits a(z), ln p(x|z) = sum_d (x_d a_d - ln(1 + e^(a_d))): the first term of all points
// and images is one matrix product, and the rest has no x.
template <class T> Tensor<T> log_joint(const Vae<T>& vae, const Tensor<T>& x, const Tensor<T>& z) {
  const Tensor<T> logits = vae.decode(z).logits.value();  // (G, D)
  const T constant = static_cast<T>(-0.5 * kLogTwoPi * static_cast<double>(z.extent(1)));
  const Tensor<T> without_x =
      constant - T(0.5) * sum(square(z), {1}, true) - sum(softplus(logits), {1}, true);  // (G, 1)
  return matmul_nt(logits, x) + without_x;
}

// How many points of a grid are worked on at a time: few enough for the caches' sake, many enough
// for the matrix product's.
inline constexpr Index kPointsAtOnce = 1000;

inline void require_two_latents(Index latents) {
  if (latents != 2)
    fail("evidence on a grid: the model has {} latents, and this grid is a plane: it needs 2",
         latents);
}

// Calls f(first, last, joint) with ln p(x, z), (last - first, N), at the points with these numbers,
// until all of the grid is done. Throws Error unless the model has two latents.
template <class T, class F>
void for_each_part(const Vae<T>& vae, const Tensor<T>& x, const Grid& grid, F f) {
  require_two_latents(vae.latents());
  for (Index first = 0; first < grid.size(); first += kPointsAtOnce) {
    const Index last = std::min(first + kPointsAtOnce, grid.size());
    f(first, last, log_joint(vae, x, grid.points<T>(first, last)));
  }
}

// ln p(x) = ln sum_z p(x, z) step^2 of each image of x (N, D): the exponentials are added up part
// by part, each part in its own scale.   (N)
//
// What it misses is what the posterior has outside of the grid or between its points: double the
// side, and see what changes. Throws Error unless the model has two latents.
template <class T>
Tensor<double> log_evidence(const Vae<T>& vae, const Tensor<T>& x, const Grid& grid) {
  const Index n = x.extent(0);
  Tensor<double> total = full<double>({n}, -std::numeric_limits<double>::infinity());
  for_each_part(vae, x, grid, [&](Index, Index, const Tensor<T>& joint) {
    const Tensor<double> part = cast<double>(logsumexp(joint, {0}));
    const Tensor<double> larger = maximum(total, part);
    const Tensor<double> smaller = minimum(total, part);
    total = larger + log1p(exp(smaller - larger));
  });
  return total + 2 * std::log(grid.step());
}

// ln p(x, z) of each image all over the grid, to look at.   (N, side, side)
template <class T> Tensor<T> log_joint_on(const Vae<T>& vae, const Tensor<T>& x, const Grid& grid) {
  const Index n = x.extent(0);
  auto all = Tensor<T>::uninitialized({n, grid.side, grid.side});
  T* to = all.mutable_data();
  for_each_part(vae, x, grid, [&](Index first, Index last, const Tensor<T>& joint) {
    const Tensor<T> rows = transpose(joint);  // (N, last - first)
    for (Index i = 0; i < n; ++i)
      std::copy_n(rows.data() + i * (last - first), last - first, to + i * grid.size() + first);
  });
  return all;
}

}  // namespace gradus::lesson15
