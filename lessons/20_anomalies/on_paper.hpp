#pragma once
#include <cmath>

#include "tensor/error.hpp"
#include "tensor/shape.hpp"

// Scores of normal variables, of which all is known.
//
//     in ~ N(0, I),  out ~ N(0, v I),  both in d dimensions, d even
//
// |x|^2 of "in" has a chi-squared distribution of d degrees of freedom, and of "out" v times that.
namespace gradus::lesson20 {

// P(z <= x) for a standard normal z.
inline double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

inline void require_even(Index d) {
  if (d < 2 || d % 2 != 0) fail("normal variables: {} dimensions; only even numbers are done", d);
}

// The AUROC of -ln p(x), which grows with |x|^2:
//     P(v X' > X) = I_t(d/2, d/2)  with t = v / (1 + v),
// the regularised incomplete beta function, which is a binomial tail: the probability that a coin
// with the probability t shows d/2 heads or more in d - 1 throws. The likelihood ratio grows the
// other way (for v < 1), and has 1 minus this.
inline double auroc_of_density(Index d, double v) {
  require_even(d);
  const double log_t = std::log(v / (1 + v));
  const double log_not_t = -std::log(1 + v);
  const auto throws = static_cast<double>(d - 1);
  double total = 0;
  for (Index heads = d / 2; heads < d; ++heads) {
    const auto j = static_cast<double>(heads);
    const double log_ways =
        std::lgamma(throws + 1) - std::lgamma(j + 1) - std::lgamma(throws - j + 1);
    total += std::exp(log_ways + j * log_t + (throws - j) * log_not_t);
  }
  return total;
}

// P(X <= x) for a chi-squared X: 1 less the probability of fewer than d/2 events, x/2 expected.
inline double chi_squared_cdf(double x, Index d) {
  require_even(d);
  if (x <= 0) return 0;
  double fewer = 0;
  double log_term = -x / 2;  // of j events: e^(-x/2) (x/2)^j / j!
  for (Index j = 0; j < d / 2; ++j) {
    fewer += std::exp(log_term);
    log_term += std::log(x / 2) - std::log(static_cast<double>(j + 1));
  }
  return 1 - fewer;
}

// The AUROC of the typicality | |x|^2 - d |, by the midpoint rule:
//     E[P(| v X' - d | > r)]  with r = |X - d|
inline double auroc_of_typicality(Index d, double v, int steps = 20000) {
  require_even(d);
  const auto n = static_cast<double>(d);
  const double end = 6 * n + 40;
  const double step = end / steps;
  double total = 0;
  for (int i = 0; i < steps; ++i) {
    const double x = (i + 0.5) * step;
    const double log_density =
        (n / 2 - 1) * std::log(x) - x / 2 - n / 2 * std::log(2.0) - std::lgamma(n / 2);
    const double density = std::exp(log_density);
    if (density < 1e-20) continue;
    const double r = std::abs(x - n);
    const double nearer = chi_squared_cdf((n + r) / v, d) - chi_squared_cdf((n - r) / v, d);
    total += step * density * (1 - nearer);
  }
  return total;
}

}  // namespace gradus::lesson20
