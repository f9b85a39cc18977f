#pragma once
#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

// Denoisers that can be worked out: for normal distributions, two points, a circle, and a mixture,
// all with Gaussian noise of variance s2. Integrals are sums over equal steps, whose error is far
// below the digits that are shown.
namespace gradus::lesson06 {

// The density of N(mean, variance) at x.
inline double normal_density(double x, double mean, double variance) {
  const double d = x - mean;
  return std::exp(-d * d / (2 * variance)) / std::sqrt(2 * std::numbers::pi * variance);
}

// The sum of h f(x) at steps of h from `low` to `high`, the ends counted half.
template <class F> double integral(double low, double high, int steps, F f) {
  const double h = (high - low) / steps;
  double total = 0.5 * (f(low) + f(high));
  for (int i = 1; i < steps; ++i) total += f(low + h * i);
  return total * h;
}

// ---- Normal data -------------------------------------------------------------------------------

// A direction along which the data vary by l: the best answer is l / (l + s2) times what is seen,
inline double shrink(double l, double s2) { return l / (l + s2); }

// and its error l s2 / (l + s2), added up over the directions.
inline double wiener_error(const std::vector<double>& variances, double s2) {
  double total = 0;
  for (double l : variances) total += l * s2 / (l + s2);
  return total;
}

// PCA keeps a direction as it is (error s2) or drops it (error l): at best, the lesser of the two.
inline double truncation_error(const std::vector<double>& variances, double s2) {
  double total = 0;
  for (double l : variances) total += std::min(l, s2);
  return total;
}

// ---- Two points, -1 and 1, equally likely ------------------------------------------------------

// E[x | spoiled] = tanh(spoiled / s2).
inline double two_points_answer(double spoiled, double s2) { return std::tanh(spoiled / s2); }

// The density of spoiled numbers.
inline double two_points_density(double spoiled, double s2) {
  return 0.5 * (normal_density(spoiled, 1, s2) + normal_density(spoiled, -1, s2));
}

// E(x - answer)^2 = 1 - E[answer^2], as E[x answer] = E[answer^2].
inline double two_points_error(double s2) {
  const double far = 1 + 12 * std::sqrt(s2);
  return 1 - integral(-far, far, 4000, [s2](double x) {
           const double answer = two_points_answer(x, s2);
           return two_points_density(x, s2) * answer * answer;
         });
}

// The area under that error as a function of 1 / s2, from 0 to infinity. With 1 / s2 = u^3 the
// integrand begins flat, so that few steps are enough; beyond 50 nothing is left of the error.
inline double two_points_area() {
  return integral(0, std::cbrt(50.0), 200, [](double u) {
    return u == 0 ? 0.0 : 3 * u * u * two_points_error(1 / (u * u * u));
  });
}

// Where iterating x <- tanh(x / s2) from `x` has come after some steps.
inline double iterate_two_points(double x, double s2, int steps) {
  for (int i = 0; i < steps; ++i) x = two_points_answer(x, s2);
  return x;
}

// ---- A circle of radius 1 ----------------------------------------------------------------------

// How long E[x | spoiled] is where the spoiled point is at this radius. It has the spoiled point's
// direction. A point of the circle, at an angle a from there, is likely in proportion to
// exp(radius cos(a) / s2), and its part in that direction is cos(a).
inline double circle_answer(double radius, double s2) {
  constexpr int kAngles = 512;
  double total = 0;
  double weights = 0;
  for (int i = 0; i < kAngles; ++i) {
    const double cosine = std::cos(2 * std::numbers::pi * i / kAngles);
    const double weight = std::exp(radius * (cosine - 1) / s2);
    total += weight * cosine;
    weights += weight;
  }
  return total / weights;
}

// The density of a spoiled point's radius t,
//     t / s2 exp(-(t^2 + 1) / (2 s2)) times the mean of exp(t cos(a) / s2) over all angles a.
inline double circle_radius_density(double t, double s2) {
  constexpr int kAngles = 512;
  double mean = 0;
  for (int i = 0; i < kAngles; ++i)
    mean += std::exp(t * (std::cos(2 * std::numbers::pi * i / kAngles) - 1) / s2) / kAngles;
  return t / s2 * std::exp(-(t - 1) * (t - 1) / (2 * s2)) * mean;
}

// E|x - answer|^2 = 1 - E|answer|^2.
inline double circle_error(double s2) {
  return 1 - integral(0, 1 + 12 * std::sqrt(s2), 1000, [s2](double t) {
           const double answer = circle_answer(t, s2);
           return circle_radius_density(t, s2) * answer * answer;
         });
}

// The radius that the best denoiser leaves as it is.
inline double circle_fixed_radius(double s2) {
  double radius = 1;
  for (int i = 0; i < 1000; ++i) radius = circle_answer(radius, s2);
  return radius;
}

// ---- A mixture ---------------------------------------------------------------------------------

// Numbers from 0.3 N(-1, 0.25) + 0.7 N(1.5, 0.5).
struct Bump {
  double weight, mean, variance;
};

inline const std::vector<Bump> kMixture = {{0.3, -1, 0.25}, {0.7, 1.5, 0.5}};

// E[x | spoiled] by its definition: the integral of x p(x) N(spoiled; x, s2) over that without x.
inline double mixture_answer(double spoiled, double s2) {
  const auto joint = [=](double x) {
    double p = 0;
    for (const Bump& b : kMixture) p += b.weight * normal_density(x, b.mean, b.variance);
    return p * normal_density(spoiled, x, s2);
  };
  const double above = integral(-10, 10, 4000, [&](double x) { return x * joint(x); });
  return above / integral(-10, 10, 4000, joint);
}

// The score d ln p / d spoiled of spoiled numbers, whose bumps are wider by s2.
inline double mixture_score(double spoiled, double s2) {
  double p = 0;
  double slope = 0;
  for (const Bump& b : kMixture) {
    const double here = b.weight * normal_density(spoiled, b.mean, b.variance + s2);
    p += here;
    slope -= here * (spoiled - b.mean) / (b.variance + s2);
  }
  return slope / p;
}

}  // namespace gradus::lesson06
