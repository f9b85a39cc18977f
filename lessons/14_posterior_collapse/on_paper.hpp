#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "lessons/01_pca/model.hpp"
#include "lessons/common/constants.hpp"
#include "tensor/layout.hpp"
#include "tensor/tensor.hpp"

// What lesson 14 derives: which latents of a linear VAE live, and what they are worth.
//
//     D dimensions, K latents, l_1 >= l_2 >= ... the eigenvalues of the covariance
namespace gradus::lesson14 {

// One dimension, one latent: the largest that E[ln p(x|z)] - beta KL can be for a weight w, over
// all q(z|x) = N(v x, s^2), where x has variance l. With a = w^2 + beta sigma^2,
//     -1/2 [ln 2 pi sigma^2 + beta (l / a + ln a - ln beta sigma^2)].
inline double best_objective(double w, double l, double sigma2, double beta = 1) {
  const double a = w * w + beta * sigma2;
  return -0.5 * (kLogTwoPi + std::log(sigma2) + beta * (l / a + std::log(a / (beta * sigma2))));
}

// What is predicted at the optimum of a linear VAE, for a fixed sigma^2.
struct Prediction {
  std::vector<double> kl;  // of each latent that lives, in nats, the largest first
  double reconstruction;   // E[ln p(x|z)]

  Index alive() const { return std::ssize(kl); }

  double total_kl() const {
    double total = 0;
    for (double nats : kl) total += nats;
    return total;
  }

  double elbo() const { return reconstruction - total_kl(); }
};

// Of the K largest eigenvalues those above beta sigma^2 have a latent, with KL_i = 1/2 ln(l_i /
// beta sigma^2), whose direction is reproduced to beta sigma^2; what varies elsewhere is lost:
//     E[ln p(x|z)] = -1/2 [D ln 2 pi sigma^2 + sum_i min(l_i, beta sigma^2) / sigma^2],
// with all of l_i for i > K.
inline Prediction predict(const std::vector<double>& l, Index k, double sigma2, double beta = 1) {
  const double noise = beta * sigma2;
  const double d = static_cast<double>(l.size());
  Prediction result{.kl = {}, .reconstruction = -0.5 * d * (kLogTwoPi + std::log(sigma2))};
  for (Index i = 0; i < std::ssize(l); ++i) {
    const bool lives = i < k && l[i] > noise;
    if (lives) result.kl.push_back(0.5 * std::log(l[i] / noise));
    result.reconstruction -= 0.5 * (lives ? noise : l[i]) / sigma2;
  }
  return result;
}

// Turning W and q's axes by an angle within the plane of two latents that both live, with the best
// diagonal q there, costs 1/2 ln(1 + (a - b)^2 sin^2(2 angle) / 4 a b) nats.
inline double cost_of_turning(double a, double b, double angle) {
  const double sine = std::sin(2 * angle);
  return 0.5 * std::log(1 + (a - b) * (a - b) * sine * sine / (4 * a * b));
}

// The negative directions of the Hessian of -ELBO where K latents keep these eigenvectors, sigma^2
// being what it is there. A latent that lives can turn towards each dropped direction that varies
// more, and a spare one can grow along each dropped direction that varies more than the noise.
inline Index directions_up(const std::vector<double>& l, const std::vector<Index>& kept, Index k,
                           double sigma2) {
  Index count = 0;
  for (Index j = 0; j < std::ssize(l); ++j) {
    if (std::find(kept.begin(), kept.end(), j) != kept.end()) continue;
    for (Index i : kept)
      if (l[j] > l[i]) ++count;
    if (l[j] > sigma2) count += k - std::ssize(kept);
  }
  return count;
}

// The variance of the noise that is likeliest when these directions are kept and others dropped:
// the mean of the others.
inline double noise_beside(const std::vector<double>& l, const std::vector<Index>& kept) {
  double rest = 0;
  for (Index j = 0; j < std::ssize(l); ++j)
    if (std::find(kept.begin(), kept.end(), j) == kept.end()) rest += l[j];
  return rest / static_cast<double>(std::ssize(l) - std::ssize(kept));
}

}  // namespace gradus::lesson14
