#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

// How much the latents of an encoder tell of what the examples were made from: mutual information,
// and the gap between the latent that tells most and the next (MIG; Chen, Li, Grosse and Duvenaud
// 2018, section 4.1).
//
//     N examples, K latents, B bins, F factors; all information is in nats
namespace gradus {

// P(Z <= z) for a standard normal Z.
inline double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

// P(a < Z <= b). Above 0 by the other tail, in which nothing cancels; never below 0, as rounding
// may have it.
inline double normal_mass(double a, double b) {
  const double mass = a > 0 ? normal_cdf(-a) - normal_cdf(-b) : normal_cdf(b) - normal_cdf(a);
  return std::max(mass, 0.0);
}

// One thing that examples were made from: a number from 0 to values - 1 for each example.
struct Factor {
  std::vector<Index> value;  // N
  Index values;

  // H(v) of an example that is drawn at random.
  double entropy() const {
    std::vector<double> share(values);
    for (Index v : value) share[v] += 1 / static_cast<double>(value.size());
    double total = 0;
    for (double p : share)
      if (p > 0) total -= p * std::log(p);
    return total;
  }
};

// P(bin | x) of one latent, z ~ N(m, s^2) with m (N) and s (N), for B equally wide bins from the
// least m - 3 s to the largest m + 3 s, of which the first and the last are open.  (N, B)
//
// Throws Error when there are no two bins, or a standard deviation is not positive.
inline Tensor<double> probabilities_of_bins(const Tensor<double>& m, const Tensor<double>& s,
                                            Index bins) {
  if (bins < 2) fail("probabilities_of_bins: {} bins; it needs 2 at least", bins);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double low = kInfinity;
  double high = -kInfinity;
  for (Index n = 0; n < m.size(); ++n) {
    if (!(s(n) > 0)) fail("probabilities_of_bins: a standard deviation of {}", s(n));
    low = std::min(low, m(n) - 3 * s(n));
    high = std::max(high, m(n) + 3 * s(n));
  }
  const double width = (high - low) / static_cast<double>(bins);
  Tensor<double> p({m.size(), bins});
  const auto edge = [&](Index b) { return low + width * static_cast<double>(b); };
  for (Index n = 0; n < m.size(); ++n)
    for (Index b = 0; b < bins; ++b) {
      const double from = b == 0 ? -kInfinity : (edge(b) - m(n)) / s(n);
      const double to = b + 1 == bins ? kInfinity : (edge(b + 1) - m(n)) / s(n);
      p.set({n, b}, normal_mass(from, to));
    }
  return p;
}

// I(bin; v) for P(bin | x) (N, B), where each example is as likely as another:
//     sum_v P(v) sum_b P(b | v) ln(P(b | v) / P(b)),
// with P(b | v) averaged over the examples whose factor is v. It is exact: nothing is drawn.
//
// Throws Error when there is not one value of the factor for each example.
inline double mutual_information(const Tensor<double>& p, const Factor& factor) {
  const Index n = p.extent(0);
  const Index bins = p.extent(1);
  if (std::ssize(factor.value) != n)
    fail("mutual_information: {} examples and {} values of the factor", n, factor.value.size());
  Tensor<double> joint({factor.values, bins});  // P(v, b)
  std::vector<double> of_value(factor.values), of_bin(bins);
  for (Index i = 0; i < n; ++i) {
    const Index v = factor.value[i];
    of_value[v] += 1 / static_cast<double>(n);
    for (Index b = 0; b < bins; ++b) {
      const double share = p(i, b) / static_cast<double>(n);
      joint.set({v, b}, joint(v, b) + share);
      of_bin[b] += share;
    }
  }
  double total = 0;
  for (Index v = 0; v < factor.values; ++v)
    for (Index b = 0; b < bins; ++b) {
      if (joint(v, b) == 0) continue;
      // Not divided by a product, which is 0 where both are small.
      const double share_of_bin = joint(v, b) / of_bin[b];
      total += joint(v, b) * std::log(share_of_bin / of_value[v]);
    }
  return total;
}

// I(z_k; v_f) for each latent of q(z|x) = N(m, s^2), whose mean and log_var are (N, K), and each
// factor.  (K, F)
template <class T>
Tensor<double> information_table(const nn::Normal<T>& q, const std::vector<Factor>& factors,
                                 Index bins = 64) {
  const Tensor<double> m = cast<double>(q.mean.value());
  const Tensor<double> s = exp(0.5 * cast<double>(q.log_var.value()));
  const Index latents = m.extent(1);
  Tensor<double> table({latents, std::ssize(factors)});
  for (Index k = 0; k < latents; ++k) {
    const Tensor<double> p = probabilities_of_bins(slice(m, 1, k, k + 1).reshape({-1}),
                                                   slice(s, 1, k, k + 1).reshape({-1}), bins);
    for (Index f = 0; f < std::ssize(factors); ++f)
      table.set({k, f}, mutual_information(p, factors[f]));
  }
  return table;
}

// How far one factor is told by one latent alone, from its column of the table.
struct Gap {
  double mig;     // (I_1st - I_2nd) / H(v)
  double purity;  // 1 - I_2nd / I_1st, and 0 where no latent tells anything
};

// Of each of F factors, by the information (K, F) of K >= 2 latents.
inline std::vector<Gap> gaps(const Tensor<double>& information,
                             const std::vector<Factor>& factors) {
  if (information.extent(0) < 2) fail("gaps: one latent; a gap needs two at least");
  std::vector<Gap> result;
  for (Index f = 0; f < information.extent(1); ++f) {
    double first = 0;
    double second = 0;
    for (Index k = 0; k < information.extent(0); ++k) {
      const double nats = information(k, f);
      second = std::max(second, std::min(first, nats));
      first = std::max(first, nats);
    }
    result.push_back({(first - second) / factors[f].entropy(), first > 0 ? 1 - second / first : 0});
  }
  return result;
}

// Their means over the factors.
inline Gap mean_gap(const std::vector<Gap>& all) {
  Gap mean{0, 0};
  for (const Gap& gap : all) {
    mean.mig += gap.mig / static_cast<double>(all.size());
    mean.purity += gap.purity / static_cast<double>(all.size());
  }
  return mean;
}

}  // namespace gradus
