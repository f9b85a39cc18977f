#pragma once
#include <cmath>
#include <numeric>
#include <vector>

#include "lessons/common/constants.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// Points for which PCA, pPCA and linear autoencoders have answers on paper.
namespace gradus {

// The variances of the toy that several lessons share, along five axes turned at random.
inline const std::vector<double> kToyVariances = {4, 2, 1, 0.5, 0.25};

// The variance that is left of the toy without its q widest axes: 7.75 for q = 0, 3.75 for 1, 1.75
// for 2. 0 <= q <= 5.
inline double toy_variance_beyond(Index q) {
  return std::accumulate(kToyVariances.begin() + q, kToyVariances.end(), 0.0);
}

// The largest log-likelihood, in nats per point, that the toy's points can have under a normal
// distribution with q directions and noise that is the same in all others, of variance s^2, the
// mean of the variances beyond q:
//     -1/2 [d ln 2 pi + sum_{i <= q} ln l_i + (d - q) ln s^2 + d]
// (Tipping and Bishop 1999, derived in lesson 02.) 0 <= q < d; with q = d - 1 it is that of the
// normal distribution with the points' own covariance.
inline double toy_log_likelihood(Index q) {
  const double d = static_cast<double>(kToyVariances.size());
  const double rest = d - static_cast<double>(q);
  double logs = 0;
  for (Index i = 0; i < q; ++i) logs += std::log(kToyVariances[i]);
  const double noise = toy_variance_beyond(q) / rest;
  return -0.5 * (d * kLogTwoPi + logs + rest * std::log(noise) + d);
}

// A random orthonormal basis of R^d, as the rows of (d, d): the eigenvectors of a random symmetric
// matrix.
inline Tensor<double> random_basis(Index d, Rng& rng) {
  const Tensor<double> x = rng.normal<double>({d, d});
  return symmetric_eigen(x + transpose(x)).vectors;
}

// n points (n, d) whose mean is exactly 0 and whose covariance (with 1/n) has exactly these d
// variances as its eigenvalues, in a random basis. Centred noise is made white by the Cholesky
// factor of its own covariance, then stretched and turned, so that what is true of the covariance
// is true of the points to rounding error, and not only in the limit. Throws Error when n <= d.
inline Tensor<double> toy_points(const std::vector<double>& variances, Index n, Rng& rng) {
  const Index d = std::ssize(variances);
  if (n <= d) fail("toy_points: {} points cannot have {} variances", n, d);
  const Tensor<double> noise = rng.normal<double>({n, d});
  const Tensor<double> centred = noise - mean(noise, {0});
  const Tensor<double> l = cholesky(matmul_tn(centred, centred) / static_cast<double>(n));
  const Tensor<double> white = transpose(solve_lower(l, transpose(centred)));
  return matmul(white * sqrt(Tensor<double>({d}, variances)), random_basis(d, rng));
}

}  // namespace gradus
