#pragma once
#include <cmath>
#include <vector>

#include "lessons/14_posterior_collapse/on_paper.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/rate_distortion.hpp"

// What lesson 17 derives of linear VAEs.
namespace gradus::lesson17 {

// The best linear VAE with a price beta on its rate: lesson 14's optimum, where beta sigma^2 takes
// the noise's place. Its distortion is told without the constant D/2 ln(2 pi sigma^2), which is the
// same for all: sum_i min(l_i, beta sigma^2) / (2 sigma^2), with all of l_i for i > K.
inline RateDistortion linear_optimum(const std::vector<double>& l, Index latents, double sigma2,
                                     double beta) {
  const lesson14::Prediction best = lesson14::predict(l, latents, sigma2, beta);
  const double constant = 0.5 * static_cast<double>(l.size()) * (kLogTwoPi + std::log(sigma2));
  return {.rate = best.total_kl(), .distortion = -best.reconstruction - constant};
}

// The least distortion of one pixel of variance l that has one latent, at a given rate: the latent
// leaves l e^(-2 rate) of the variance.
inline double least_distortion(double rate, double l, double sigma2) {
  return 0.5 * l / sigma2 * std::exp(-2 * rate);
}

// What a diagonal q loses in the plane of two latents with variances a and b given x, when that
// plane is turned by 45 degrees and q takes its best variances there: lesson 14's price, in which
// only the ratio of the two counts.
inline double price_of_45_degrees(double a, double b) {
  return 0.5 * std::log(1 + (a - b) * (a - b) / (4 * a * b));
}

}  // namespace gradus::lesson17
