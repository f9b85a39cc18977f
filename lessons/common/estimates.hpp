#pragma once
#include <algorithm>
#include <cmath>

#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/reduce.hpp"

namespace gradus {

// What S independent draws of a number say of its mean and of its variance, and how far each of the
// two may be off: their standard errors.
struct Estimate {
  double mean;
  double mean_error;  // sqrt(variance / S)
  double variance;    // with 1 / (S - 1), so that it is right on average
  double variance_error;

  // How many standard errors the mean is above what it should be.
  double z_score(double truth) const { return (mean - truth) / mean_error; }
};

// Estimates mean and variance from `draws`, of any shape. The variance's standard error is the root
// of (m4 - variance^2) / S with the mean m4 of the fourth powers of the distances from the mean.
// (For large S: Cramer 1946, section 27.4.) Throws Error when there are fewer than two draws.
inline Estimate estimate(const Tensor<double>& draws) {
  if (draws.size() < 2) fail("estimate: {} draws; a variance needs two at least", draws.size());
  const double n = static_cast<double>(draws.size());
  const double mean = gradus::mean(draws).item();
  const Tensor<double> squares = square(draws - mean);
  const double variance = sum(squares).item() / (n - 1);
  const double m4 = gradus::mean(square(squares)).item();
  return {.mean = mean,
          .mean_error = std::sqrt(variance / n),
          .variance = variance,
          .variance_error = std::sqrt(std::max(0.0, m4 - variance * variance) / n)};
}

}  // namespace gradus
