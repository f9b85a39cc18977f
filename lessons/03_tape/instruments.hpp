#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "autograd/tape.hpp"

// What lesson 03 measures gradients with.
namespace gradus::lesson03 {

// The check that everybody writes first: the largest difference between the tape's gradient of
// sum(f) and central differences of it. It lets wrong_softmax pass.
inline double error_under_sum(const GradcheckFunction& f, const Tensor<double>& x, double h) {
  Tape<double> tape;
  const Var<double> leaf = tape.leaf(x);
  const Tensor<double> analytic = gradient(sum(f({leaf})), {leaf})[0].value();
  double worst = 0;
  for (Index i = 0; i < x.size(); ++i) {
    Tensor<double> above = x;
    Tensor<double> below = x;
    above.mutable_data()[i] += h;
    below.mutable_data()[i] -= h;
    const double slope = (sum(f({above})).item() - sum(f({below})).item()) / (2 * h);
    worst = std::max(worst, std::abs(analytic.data()[i] - slope));
  }
  return worst;
}

// The root mean square error of D(h) = (f(x + h) - f(x - h)) / 2h for f = exp and 200 numbers x
// from 0 to 1, computed in T; `combined` is (4 D(h/2) - D(h)) / 3, in which h^2 cancels.
template <class T> double difference_error(T h, bool combined) {
  const Tensor<T> x = arange<T>(200) * T(1.0 / 200);
  auto d = [&](T step) { return (exp(x + step) - exp(x - step)) / (2 * step); };
  const Tensor<T> slope = combined ? (d(h / 2) * T(4) - d(h)) / T(3) : d(h);
  return std::sqrt(mean(square(cast<double>(slope) - exp(cast<double>(x)))).item());
}

// That error for many steps h, the smallest first.
struct DifferenceErrors {
  std::vector<double> steps;
  std::vector<double> errors;

  // The step with the smallest error.
  double best_step() const {
    return steps[std::min_element(errors.begin(), errors.end()) - errors.begin()];
  }

  // The slope between h = 2^-i and 2^-j on logarithmic axes: where errors are in proportion to
  // h^p, p. Both steps must have been measured.
  double order(int i, int j) const {
    return std::log2(error_at(std::ldexp(1.0, -i)) / error_at(std::ldexp(1.0, -j))) / (j - i);
  }

  double error_at(double step) const {
    return errors.at(std::find(steps.begin(), steps.end(), step) - steps.begin());
  }
};

// The errors for steps h = 2^-44, ..., 1/2, 1: powers of two, so that h itself is exact. Steps that
// T cannot tell from nothing are left out.
template <class T> DifferenceErrors difference_errors(bool combined = false) {
  DifferenceErrors all;
  for (int k = 44; k >= 0; --k) {
    const T h = std::ldexp(T(1), -k);
    if (h <= std::numeric_limits<T>::epsilon()) continue;
    all.steps.push_back(h);
    all.errors.push_back(difference_error<T>(h, combined));
  }
  return all;
}

}  // namespace gradus::lesson03
