#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "lessons/03_tape/model.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/toy.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "tensor/linalg.hpp"

// What lesson 03 measures gradients with, and what follows them.
namespace gradus::lesson03 {

// ---- The sweep, node by node -------------------------------------------------------------------

// A line for each turn of the backward sweep from the last node: the node, its gradient, what it
// passes on to its inputs, and what every node has collected by then.
inline std::string sweep_table(const tiny::Tape& tape, const std::vector<std::string>& names) {
  const Index last = std::ssize(tape.nodes) - 1;
  const std::vector<double> gradient = tape.backward(last);
  std::string text = fmt::format("{:<6}{:<10}{:<34}", "turn", "gradient", "passes on");
  for (const std::string& name : names) text += fmt::format("{:>5}", name);
  text += "\n";

  std::vector<double> collected(last + 1, 0.0);
  collected[last] = 1;
  for (Index node = last; node >= 0; --node) {
    std::string passed;
    for (const tiny::Edge& edge : tape.nodes[node]) {
      const double amount = gradient[node] * edge.slope;
      collected[edge.input] += amount;
      passed += fmt::format("{}{:g} x {:g} = {:g} to {}", passed.empty() ? "" : ", ",
                            gradient[node], edge.slope, amount, names[edge.input]);
    }
    text += fmt::format("{:<6}{:<10g}{:<34}", names[node], gradient[node], passed);
    for (double amount : collected) text += fmt::format("{:>5g}", amount);
    text += "\n";
  }
  return text;
}

// ---- What a gradient costs ---------------------------------------------------------------------

// A double that counts the additions, subtractions, multiplications and divisions of this thread.
struct Counted {
  double value;

  inline static thread_local Index operations = 0;
};

inline Counted counted(double value) {
  ++Counted::operations;
  return {value};
}

inline Counted operator+(Counted a, Counted b) { return counted(a.value + b.value); }

inline Counted operator-(Counted a, Counted b) { return counted(a.value - b.value); }

inline Counted operator*(Counted a, Counted b) { return counted(a.value * b.value); }

inline Counted operator/(Counted a, Counted b) { return counted(a.value / b.value); }

// A number and its slope along one direction of the inputs: what forward mode computes with.
struct Dual {
  Counted value, slope;
};

// z = x y   z' = x y' + x' y
inline Dual operator*(const Dual& x, const Dual& y) {
  return {x.value * y.value, x.value * y.slope + x.slope * y.value};
}

// x_1 x_2 ... x_D, from left to right.
template <class Number> Number product(const std::vector<Number>& x) {
  Number z = x[0];
  for (Index i = 1; i < std::ssize(x); ++i) z = z * x[i];
  return z;
}

// A gradient, and the operations that it took.
struct PricedGradient {
  std::vector<double> gradient;
  Index operations;
};

// The gradient of the product by central differences, one input at a time.
inline PricedGradient product_by_differences(const std::vector<double>& x, double h) {
  std::vector<Counted> at;
  for (double number : x) at.push_back({number});
  PricedGradient result;
  Counted::operations = 0;
  for (Counted& number : at) {
    const Counted middle = number;
    number = middle + Counted{h};
    const Counted above = product(at);
    number = middle - Counted{h};
    const Counted below = product(at);
    number = middle;
    result.gradient.push_back(((above - below) / Counted{2 * h}).value);
  }
  result.operations = Counted::operations;
  return result;
}

// The same by forward mode: a pass for each input, along which the slope is 1.
inline PricedGradient product_forward(const std::vector<double>& x) {
  std::vector<Dual> at;
  for (double number : x) at.push_back({{number}, {0}});
  PricedGradient result;
  Counted::operations = 0;
  for (Dual& number : at) {
    number.slope = {1};
    result.gradient.push_back(product(at).slope.value);
    number.slope = {0};
  }
  result.operations = Counted::operations;
  return result;
}

// The same on the tiny tape: an operation for each node that was computed, and in the sweep a
// multiplication and an addition for each edge.
inline PricedGradient product_backward(const std::vector<double>& x) {
  tiny::Tape tape;
  std::vector<tiny::Number> at;
  for (double number : x) at.push_back(record(tape, number));
  const tiny::Number z = product(at);
  PricedGradient result{tape.backward(z.node), 0};
  result.gradient.resize(x.size());  // the inputs come first
  for (const auto& edges : tape.nodes)
    if (!edges.empty()) result.operations += 1 + 2 * std::ssize(edges);
  return result;
}

// ---- Gradient descent --------------------------------------------------------------------------

// The parameter before each step of gradient descent, and after the last.
inline std::vector<Tensor<double>> descend(
    const std::function<Var<double>(const Var<double>&)>& loss, const Tensor<double>& start,
    const nn::SgdOptions& options, int steps) {
  Parameter<double> theta("theta", start);
  nn::Sgd<double> sgd({&theta}, options);
  std::vector<Tensor<double>> path = {start};
  for (int i = 0; i < steps; ++i) {
    Tape<double> tape;
    tape.backward(loss(theta));
    sgd.step();
    path.push_back(theta.value());
  }
  return path;
}

// The eigenvalues of the Hessian of the model's loss at the largest likelihood for K directions,
// the largest first, without the K (K - 1) / 2 that are zero because turning the columns of W into
// each other changes nothing. With l the eigenvalues of S and s^2 the mean of those beyond K they
// belong to
//   moving column i towards a dropped direction j:   (l_i - l_j) / (s^2 l_i),
//   turning two columns, the stretched way:          (l_i + l_j - 2 s^2) / (l_i l_j),
//   stretching the columns, r_i^2 = l_i - s^2, and changing ln s^2, which belong together:
//       v^T H v = 1/2 sum_{i <= K} (2 r_i v_i + s^2 t)^2 / l_i^2 + 1/2 (D - K) t^2.
// The derivation is in tests/lessons/tape_test.cpp.
inline std::vector<double> ppca_curvatures(const std::vector<double>& l, Index k) {
  const Index d = std::ssize(l);
  double s2 = 0;
  for (Index j = k; j < d; ++j) s2 += l[j] / static_cast<double>(d - k);

  std::vector<double> all;
  for (Index i = 0; i < k; ++i)
    for (Index j = k; j < d; ++j) all.push_back((l[i] - l[j]) / (s2 * l[i]));
  for (Index i = 0; i < k; ++i)
    for (Index j = i + 1; j < k; ++j) all.push_back((l[i] + l[j] - 2 * s2) / (l[i] * l[j]));

  Tensor<double> together({k + 1, k + 1});
  double* const h = together.mutable_data();
  const Index t = k;
  h[t * (k + 1) + t] = 0.5 * static_cast<double>(d - k);
  for (Index i = 0; i < k; ++i) {
    const double r = std::sqrt(l[i] - s2);
    const double square_of_l = l[i] * l[i];
    h[i * (k + 1) + i] = 2 * r * r / square_of_l;
    h[i * (k + 1) + t] = r * s2 / square_of_l;
    h[t * (k + 1) + i] = h[i * (k + 1) + t];
    h[t * (k + 1) + t] += 0.5 * s2 * s2 / square_of_l;
  }
  const Tensor<double> values = symmetric_eigen(together).values;
  all.insert(all.end(), values.begin(), values.end());
  std::sort(all.begin(), all.end(), std::greater());
  return all;
}

// By which factor a step changes the gap to the best value, on average from one step to another.
inline double factor_per_step(const std::vector<double>& gaps, Index from, Index to) {
  return std::pow(gaps.at(to) / gaps.at(from), 1.0 / static_cast<double>(to - from));
}

// The same from the first gap below `high` to the first below `low`; NaN where none is.
inline double factor_between(const std::vector<double>& gaps, double high, double low) {
  auto first_below = [&gaps](double bound) {
    const auto found =
        std::find_if(gaps.begin(), gaps.end(), [bound](double gap) { return gap < bound; });
    return found - gaps.begin();
  };
  if (first_below(low) == std::ssize(gaps)) return std::numeric_limits<double>::quiet_NaN();
  return factor_per_step(gaps, first_below(high), first_below(low));
}

// ---- Finite differences ------------------------------------------------------------------------

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

// What the Taylor series says of that error for a small step without rounding: h^2 f''' / 6 and
// h^4 f^(5) / 480, where each derivative of f is e^x, with the mean square (e^2 - 1) / 2 over [0,
// 1].
inline double central_difference_error(double h) {
  return h * h / 6 * std::sqrt((std::exp(2.0) - 1) / 2);
}

inline double combined_difference_error(double h) {
  return h * h * h * h / 480 * std::sqrt((std::exp(2.0) - 1) / 2);
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
