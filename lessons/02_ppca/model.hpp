#pragma once
#include <cmath>

#include "lessons/01_pca/model.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

// Probabilistic PCA (Tipping and Bishop 1999): PCA with a density.
//
//     x = W z + mean + noise,   z ~ N(0, I),   noise ~ N(0, sigma^2 I)
//
//     N examples, D dimensions, K latents
namespace gradus::lesson02 {

using lesson01::fit_pca;
using lesson01::Pca;

// ln N(x | mean, variance) of one number, in nats.
inline double normal_log_density(double x, double mean, double variance) {
  const double distance = x - mean;
  return -0.5 * (kLogTwoPi + std::log(variance) + distance * distance / variance);
}

// ln N(y | 0, C) of each row of y, with C = W W^T + sigma^2 I, in nats.  (N, D) -> (N)
//
// C is D x D, but only the K x K matrix M = W^T W + sigma^2 I is ever factorised:
//     ln det C     = ln det M + (D - K) ln sigma^2                   (determinant lemma)
//     y^T C^-1 y   = (|y|^2 - |L^-1 W^T y|^2) / sigma^2, M = L L^T   (Woodbury)
//
// V is Tensor; with Var, whose values know what they were computed from (lesson 03), these lines
// have a gradient.
template <template <class> class V, class T>
V<T> ppca_log_likelihood(const V<T>& y, const V<T>& w, const V<T>& sigma2) {
  const Index d = w.shape()[0];
  const Index k = w.shape()[1];
  const V<T> m = matmul_tn(w, w) + sigma2 * identity<T>(k);                            // (K, K)
  const V<T> projected = solve_lower(cholesky(m), transpose(matmul(y, w)));            // (K, N)
  const V<T> distance = (sum(square(y), {1}) - sum(square(projected), {0})) / sigma2;  // (N)
  const V<T> log_det = log_determinant(m) + static_cast<T>(d - k) * log(sigma2);
  return -0.5 * (d * kLogTwoPi + log_det + distance);
}

// ln N(y | 0, C) of each row of y, in nats, from the D x D matrix itself: what the above must
// equal. (N, D), (D, D) -> (N)
template <class T> Tensor<T> gaussian_log_likelihood(const Tensor<T>& y, const Tensor<T>& c) {
  const Tensor<T> white = solve_lower(cholesky(c), transpose(y));  // (D, N)
  return -0.5 * (y.extent(1) * kLogTwoPi + log_determinant(c) + sum(square(white), {0}));
}

template <class T> struct Ppca {
  Tensor<T> mean;  // (D)
  Tensor<T> w;     // (D, K)
  T sigma2;        // the variance of the noise, the same in every direction

  Index latents() const { return w.extent(1); }

  Tensor<T> m() const { return matmul_tn(w, w) + sigma2 * identity<T>(latents()); }  // (K, K)

  Tensor<T> covariance() const {  // (D, D)
    return matmul_nt(w, w) + sigma2 * identity<T>(w.extent(0));
  }

  // ln p(x) of each example.  (N, D) -> (N)
  Tensor<T> log_likelihood(const Tensor<T>& x) const {
    return ppca_log_likelihood(x - mean, w, Tensor<T>(sigma2));
  }

  // p(z | x) = N(M^-1 W^T (x - mean), sigma^2 M^-1): its mean, (N, D) -> (N, K), and its
  // covariance, which is the same for every x, (K, K).
  Tensor<T> encode(const Tensor<T>& x) const {
    return transpose(solve_spd(m(), transpose(matmul(x - mean, w))));
  }

  Tensor<T> posterior_covariance() const { return sigma2 * solve_spd(m(), identity<T>(latents())); }

  // The mean of p(x | z).  (N, K) -> (N, D)
  Tensor<T> decode(const Tensor<T>& z) const { return matmul_nt(z, w) + mean; }
};

// The mean of ln p(x) over N examples.
template <class T> T mean_log_likelihood(const Ppca<T>& model, const Tensor<T>& x) {
  T total = 0;
  in_parts(x, [&](const Tensor<T>& part) { total += sum(model.log_likelihood(part)).item(); });
  return total / static_cast<T>(x.extent(0));
}

// The most likely W when sigma^2 is given: column i is component i times sqrt(l_i - sigma^2).
template <class T> Ppca<T> ppca_with_noise(const Pca<T>& pca, Index k, T sigma2) {
  const Tensor<T> scale = sqrt(maximum(slice(pca.variances, 0, 0, k) - sigma2, T(0)));  // (K)
  return {pca.mean, transpose(slice(pca.components, 0, 0, k)) * scale, sigma2};
}

// The maximum of the likelihood, in closed form: sigma^2 is the mean of the dropped variances
// (Tipping and Bishop 1999).
// Throws Error when nothing is dropped, or when there is no variance in what is.
template <class T> Ppca<T> fit_ppca(const Pca<T>& pca, Index k) {
  const Index d = pca.variances.size();
  if (k < 0 || k >= d) fail("fit_ppca: {} latents in {} dimensions: K must be below D", k, d);
  const T sigma2 = mean(slice(pca.variances, 0, k, d)).item();
  if (!(sigma2 > 0))
    fail(
        "fit_ppca: the examples do not vary outside of {} directions, so that no noise is left "
        "and the likelihood has no maximum: take fewer latents, or more examples",
        k);
  return ppca_with_noise(pca, k, sigma2);
}

// The mean of ln p(x) under that maximum, for examples whose mean square along component i is s_i:
//     -1/2 [D ln 2 pi + sum_{i <= K} (ln l_i + s_i / l_i)
//                     + sum_{i > K} (ln sigma^2 + s_i / sigma^2)]
template <class T>
T log_likelihood_of_squares(const Pca<T>& pca, Index k, const Tensor<T>& squares) {
  const Index d = pca.variances.size();
  const T sigma2 = mean(slice(pca.variances, 0, k, d)).item();
  T total = d * kLogTwoPi;
  for (Index i = 0; i < d; ++i) {
    const T variance = i < k ? pca.variances(i) : sigma2;
    total += std::log(variance) + squares(i) / variance;
  }
  return -total / 2;
}

// Of the examples that were fitted s_i = l_i, and this is the maximum itself:
//     -1/2 [D ln 2 pi + sum_{i <= K} ln l_i + (D - K) ln sigma^2 + D]
template <class T> T maximum_log_likelihood(const Pca<T>& pca, Index k) {
  return log_likelihood_of_squares(pca, k, pca.variances);
}

// One step of EM: guess the latents, then fit W and sigma^2 as if the guess were data. It never
// lowers the likelihood.
template <class T> Ppca<T> em_step(const Ppca<T>& model, const Tensor<T>& x) {
  const T n = static_cast<T>(x.extent(0));
  const T d = static_cast<T>(x.extent(1));
  const Tensor<T> y = x - model.mean;  // (N, D)

  // E: what p(z | x) says of each example's z, and of z z^T, summed over the examples.
  const Tensor<T> z = model.encode(x);                                      // (N, K)
  const Tensor<T> zz = matmul_tn(z, z) + n * model.posterior_covariance();  // (K, K)
  // M: the regression of y on z, and the variance that it leaves.
  const Tensor<T> yz = matmul_tn(y, z);                         // (D, K)
  const Tensor<T> w = transpose(solve_spd(zz, transpose(yz)));  // (D, K)
  return {model.mean, w, (sum(square(y)).item() - sum(w * yz).item()) / (n * d)};
}

// New examples. The noise is left out when only their means are asked for.  (n, D)
template <class T> Tensor<T> sample(const Ppca<T>& model, Index n, Rng& rng, bool noise = true) {
  const Tensor<T> means = model.decode(rng.normal<T>({n, model.latents()}));
  if (!noise) return means;
  return means + std::sqrt(model.sigma2) * rng.normal<T>(means.shape());
}

// From N(mean, S) with the whole covariance: noise along each component, stretched by its standard
// deviation. Nothing is inverted, so S may be singular.  (n, D)
template <class T> Tensor<T> sample(const Pca<T>& pca, Index n, Rng& rng) {
  const Tensor<T> deviations = sqrt(maximum(pca.variances, T(0)));  // (D)
  return pca.decode(rng.normal<T>({n, pca.variances.size()}) * deviations);
}

}  // namespace gradus::lesson02
