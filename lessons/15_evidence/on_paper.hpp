#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "lessons/13_vae/on_paper.hpp"
#include "lessons/common/constants.hpp"

// What lesson 15 works out on paper: models with one latent number, in which every integral over z
// is a sum over many points of a line.
namespace gradus::lesson15 {

// ---- Two pixels --------------------------------------------------------------------------------

// N(mean, deviation^2).
struct Bell {
  double mean, deviation;

  double log_density(double z) const {
    const double e = (z - mean) / deviation;
    return -0.5 * (kLogTwoPi + e * e) - std::log(deviation);
  }
};

// The integral of f over the line, for an f that is next to nothing beyond +-12.
template <class F> double integral(F f) {
  constexpr int kCells = 2400;
  constexpr double kEnd = 12;
  constexpr double kStep = 2 * kEnd / kCells;
  double total = 0;
  for (int i = 0; i <= kCells; ++i) total += f(-kEnd + kStep * i);
  return kStep * total;
}

// z ~ N(0, 1) and two pixels with the logits 3 z and 2 z - 1: an image (x1, x2) of pixels from 0 to
// 1, which are 0 or 1 where this is a likelihood.
struct TwoPixels {
  double x1, x2;

  static constexpr std::array<double, 2> logits(double z) { return {3 * z, 2 * z - 1}; }

  static double softplus(double a) { return std::max(a, 0.0) + std::log1p(std::exp(-std::abs(a))); }

  // ln p(x|z) = sum_d (x_d a_d - ln(1 + e^(a_d)))
  double log_likelihood(double z) const {
    const auto [a1, a2] = logits(z);
    return x1 * a1 - softplus(a1) + x2 * a2 - softplus(a2);
  }

  double log_joint(double z) const { return Bell{0, 1}.log_density(z) + log_likelihood(z); }

  double log_evidence() const {
    return std::log(integral([this](double z) { return std::exp(log_joint(z)); }));
  }

  // The same by a sum over the points -end, -end + step, ..., end, as one would do it on paper.
  double log_evidence(double end, double step) const {
    double total = 0;
    for (double z = -end; z < end + step / 2; z += step) total += std::exp(log_joint(z));
    return std::log(step * total);
  }

  // Mean and standard deviation of the posterior p(z|x).
  Bell posterior() const {
    const double evidence = log_evidence();
    const auto mean_of = [&](auto f) {
      return integral([&](double z) { return f(z) * std::exp(log_joint(z) - evidence); });
    };
    const double mean = mean_of([](double z) { return z; });
    const double variance = mean_of([mean](double z) { return (z - mean) * (z - mean); });
    return {mean, std::sqrt(variance)};
  }

  // E_q[ln p(x, z) - ln q(z)].
  double elbo(const Bell& q) const {
    return integral([&](double z) {
      const double log_q = q.log_density(z);
      return std::exp(log_q) * (log_joint(z) - log_q);
    });
  }

  // The normal q with the highest ELBO, by going to a better neighbour as long as there is one, in
  // steps that are halved where there is none.
  Bell best_bell() const {
    Bell best = posterior();
    double level = elbo(best);
    for (double step = 0.1; step > 1e-7;) {
      const Bell before = best;
      for (const Bell& next :
           {Bell{before.mean - step, before.deviation}, Bell{before.mean + step, before.deviation},
            Bell{before.mean, before.deviation * (1 - step)},
            Bell{before.mean, before.deviation * (1 + step)}}) {
        const double there = elbo(next);
        if (there <= level) continue;
        level = there;
        best = next;
      }
      const bool stays = best.mean == before.mean && best.deviation == before.deviation;
      if (stays) step /= 2;
    }
    return best;
  }
};

// The four black and white images.
inline constexpr std::array<TwoPixels, 4> kAllImages = {{{1, 1}, {1, 0}, {0, 1}, {0, 0}}};

// The probability of a black and white image b when each of its pixels is white with the
// probability that a grey image x says.
inline double share_of(const TwoPixels& b, const TwoPixels& x) {
  const double first = b.x1 == 1 ? x.x1 : 1 - x.x1;
  const double second = b.x2 == 1 ? x.x2 : 1 - x.x2;
  return first * second;
}

// The mean of ln p(b) over such b.
inline double mean_log_evidence(const TwoPixels& x) {
  double total = 0;
  for (const TwoPixels& b : kAllImages) total += share_of(b, x) * b.log_evidence();
  return total;
}

// The mean over b of KL(p~(z|x) || p(z|b)), where p~(z|x) is what has the shape of e^(log_joint) of
// the grey image.
inline double mean_kl_between_posteriors(const TwoPixels& x) {
  const double of_grey = x.log_evidence();
  double total = 0;
  for (const TwoPixels& b : kAllImages) {
    const double of_b = b.log_evidence();
    total += share_of(b, x) * integral([&](double z) {
               const double grey = x.log_joint(z) - of_grey;
               const double black_and_white = b.log_joint(z) - of_b;
               return std::exp(grey) * (grey - black_and_white);
             });
  }
  return total;
}

// The integral of e^(log_evidence) over all grey images: a density would have 1.
inline double mass_of_grey_images() {
  return integral([](double z) {
    const auto [a1, a2] = TwoPixels::logits(z);
    return std::exp(Bell{0, 1}.log_density(z)) * lesson13::mass_of_grey_levels(a1) *
           lesson13::mass_of_grey_levels(a2);
  });
}

// ---- The ladder of bounds ----------------------------------------------------------------------

// z ~ N(0, 1), x | z ~ N(z, 1), x = 1, and q is the prior: the weights are w = p(x|z), and
// ln p(x) = ln N(1; 0, 2).
struct PriorAsQ {
  static double log_weight(double z) { return Bell{z, 1}.log_density(1); }

  static double log_evidence() { return -0.5 * (kLogTwoPi + std::log(2.0) + 0.5); }

  // L_k = E[ln (1/k sum_i w_i)] for each k. With the integral ln s = int_0^inf (e^-t - e^(-t s))
  // dt / t (Frullani) for s = sum_i w_i / p(x), and as the draws are independent,
  //     L_k = ln p(x) - ln k + int_0^inf (e^-t - M(t)^k) dt / t,   M(t) = E[e^(-t w / p(x))].
  // Here t = e^u, so that dt / t = du.
  static std::vector<double> bounds(const std::vector<int>& ks) {
    constexpr double kLow = -36, kHigh = 90, kStep = 0.03;
    std::vector<double> integrals(ks.size());
    std::vector<double> ratios,
        shares;  // w / p(x) at points of z, and how much of N(0, 1) is there
    constexpr double kStepOfZ = 0.02;
    for (double z = -12; z <= 12; z += kStepOfZ) {
      ratios.push_back(std::exp(log_weight(z) - log_evidence()));
      shares.push_back(kStepOfZ * std::exp(Bell{0, 1}.log_density(z)));
    }
    for (double u = kLow; u < kHigh; u += kStep) {
      const double t = std::exp(u);
      double m = 0;
      for (std::size_t i = 0; i < ratios.size(); ++i) m += shares[i] * std::exp(-t * ratios[i]);
      for (std::size_t i = 0; i < ks.size(); ++i)
        integrals[i] += kStep * (std::exp(-t) - std::pow(m, ks[i]));
    }
    std::vector<double> result;
    for (std::size_t i = 0; i < ks.size(); ++i)
      result.push_back(log_evidence() - std::log(ks[i]) + integrals[i]);
    return result;
  }

  // The variance of w / p(x): E[w^2] / p(x)^2 - 1. As N(1; z, 1)^2 = N(1; z, 1/2) / (2 sqrt pi),
  // E[w^2] = N(1; 0, 3/2) / (2 sqrt pi).
  static double variance_of_ratio() {
    const double log_mean_square = -0.5 * (kLogTwoPi + std::log(1.5) + 1 / 1.5) - std::log(2.0) -
                                   0.5 * (kLogTwoPi - std::log(2.0));
    return std::exp(log_mean_square - 2 * log_evidence()) - 1;
  }
};

}  // namespace gradus::lesson15
