#include "autograd/gradcheck.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <ostream>
#include <utility>

#include <fmt/format.h>

#include "autograd/operations.hpp"
#include "autograd/scope_exit.hpp"
#include "tensor/random.hpp"

namespace gradus {
namespace {

using Vars = std::vector<Var<double>>;
using Tensors = std::vector<Tensor<double>>;

// Of h: the extrapolated difference is off by h^4 = 1e-16 times a fifth derivative, and by rounding
// in f, eps / h = 2e-12 times f.
constexpr double kStep = 1e-4;
constexpr double kRoundings = 20;        // in f and its arguments, that a difference may hold
constexpr double kSmallestFault = 1e-3;  // relative, in a rule, that is to be seen above rounding
constexpr Index kDirections = 64;  // random ones, of an input that is too large for every element
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A function of some inputs: how these become leaves of the current tape, the function, and the
// inputs' names.
struct Problem {
  std::function<Vars(const Tensors&)> leaves;  // called beneath a tape
  GradcheckFunction f;
  std::vector<std::string> names;

  // The value of a scalar f.
  double value(const Tensors& at) const {
    const Tape<double> tape;
    return f(leaves(at)).item();
  }

  // The gradients of a scalar f, as the tape has them.
  Tensors gradients(const Tensors& at) const {
    const Tape<double> tape;
    const Vars xs = leaves(at);
    Tensors result;
    for (const Var<double>& g : gradient(f(xs), xs)) result.push_back(g.value());
    return result;
  }
};

// Two central differences along one direction, and the slope that they are extrapolated to.
struct Difference {
  double coarse;  // with step h
  double fine;    // with step h / 2

  double slope() const { return (4 * fine - coarse) / 3; }

  // How fast the error falls with the step, if a is the right slope: as h^2.
  double order(double a) const { return std::log2(std::fabs((coarse - a) / (fine - a))); }
};

Difference difference(const Problem& problem, const Tensors& inputs, std::size_t k,
                      const Tensor<double>& direction, double h) {
  auto central = [&problem, &inputs, k, &direction](double step) {
    Tensors above = inputs;
    Tensors below = inputs;
    above[k] = inputs[k] + direction * step;
    below[k] = inputs[k] - direction * step;
    return (problem.value(above) - problem.value(below)) / (2 * step);
  };
  return {central(h), central(h / 2)};
}

// The indices of element i of a shape.
std::vector<Index> unravel(Index i, const Shape& shape) {
  std::vector<Index> indices(shape.rank());
  for (Index axis = shape.rank() - 1; axis >= 0; --axis) {
    indices[axis] = i % shape[axis];
    i /= shape[axis];
  }
  return indices;
}

// A direction in which one input is moved, and how fast f then changes, by the tape.
struct Probe {
  std::string name;
  Tensor<double> direction;
  double step;
  double analytic;
};

Probe along_element(const Tensor<double>& x, const Tensor<double>& gradient, Index i) {
  Tensor<double> direction(x.shape());
  direction.mutable_data()[i] = 1;
  const double scale = std::max(1.0, std::fabs(x.data()[i]));
  return {.name = "element " + to_string(unravel(i, x.shape())),
          .direction = direction,
          .step = kStep * scale,
          .analytic = gradient.data()[i]};
}

Probe along_random_direction(const Tensor<double>& x, const Tensor<double>& gradient, Index i,
                             Rng& rng) {
  const auto direction = rng.normal<double>(x.shape());
  return {.name = fmt::format("random direction ({})", i),
          .direction = direction,
          .step = kStep,
          .analytic = sum(gradient * direction).item()};
}

// What is compared for one input: numbers of the tape and differences, in one shape.
struct Comparison {
  explicit Comparison(const Shape& shape) : analytic(shape), numeric(shape) {}

  // Enters the i-th comparison. A difference may be off by `noise`, which is rounding.
  void add(Index i, const Probe& probe, const Difference& d, double noise, double tolerance) {
    ++checked;
    const double a = probe.analytic;
    analytic.mutable_data()[i] = a;
    numeric.mutable_data()[i] = d.slope();

    // error > tolerance where |a - d| > tolerance size + noise
    const double size = std::max(std::fabs(a), std::fabs(d.slope()));
    const double relative = std::fabs(a - d.slope()) / (size + noise / tolerance);
    const double error = std::isnan(relative) ? kInfinity : relative;  // a NaN is the worst of all
    if (error <= worst_error) return;
    worst_error = error;
    worst = fmt::format(
        "{}:\n  tape       {:.12g}\n  difference {:.12g}\n  relative error {:.2e}; order of "
        "convergence {:.1f}, where 2 is right",
        probe.name, a, d.slope(), error, d.order(a));
  }

  Tensor<double> analytic;  // by the tape
  Tensor<double> numeric;   // by differences
  Index checked = 0;
  Index skipped = 0;
  double worst_error = -1;  // relative
  std::string worst;        // where it is, and both numbers
};

bool near_a_kink(double x, double distance, const std::vector<double>& kinks) {
  return std::any_of(kinks.begin(), kinks.end(),
                     [x, distance](double kink) { return std::fabs(x - kink) <= distance; });
}

// Compares the gradient with respect to input k with differences: element by element, or, where
// these are too many, along random directions.
Comparison compare_input(const Problem& problem, const Tensors& inputs, std::size_t k,
                         const Tensor<double>& gradient, double noise,
                         const GradcheckOptions& options, Rng& rng) {
  const Tensor<double>& x = inputs[k];
  const bool by_element = x.size() <= options.max_elements;
  if (!by_element && !options.kinks.empty())
    fail("gradcheck: input {} {} has kinks, but more than the {} elements that are checked singly",
         problem.names[k], x.shape(), options.max_elements);

  Comparison result(by_element ? x.shape() : Shape{kDirections});
  for (Index i = 0; i < result.analytic.size(); ++i) {
    const Probe probe =
        by_element ? along_element(x, gradient, i) : along_random_direction(x, gradient, i, rng);
    if (by_element && near_a_kink(x.data()[i], 2 * probe.step, options.kinks)) {
      ++result.skipped;
      continue;
    }
    const Difference d = difference(problem, inputs, k, probe.direction, probe.step);
    result.add(i, probe, d, noise, options.tolerance);
  }
  return result;
}

// How a wrong gradient usually comes about, from how it differs from the right one.
std::string likely_cause(const Tensor<double>& analytic, const Tensor<double>& numeric) {
  const double analytic_sq = sum(square(analytic)).item();
  const double product = sum(analytic * numeric).item();
  const double numeric_sq = sum(square(numeric)).item();
  if (analytic_sq == 0) return "it is zero: is the rule missing, or was .value() taken on the way?";
  if (numeric_sq == 0) return "it should be zero everywhere";

  // analytic = ratio numeric + something orthogonal, whose relative length is `rest`.
  const double ratio = product / numeric_sq;
  const double rest = std::sqrt(std::max(0.0, analytic_sq / numeric_sq - ratio * ratio));
  if (std::fabs(ratio + 1) < 1e-4 && rest < 1e-4) return "the sign is wrong";
  if (rest < 1e-4 * std::fabs(ratio))
    return fmt::format("it is {:.6g} times the right one everywhere: a factor is wrong", ratio);

  const bool is_square = analytic.rank() == 2 && analytic.shape()[0] == analytic.shape()[1];
  if (is_square && sum(square(transpose(analytic) - numeric)).item() < 1e-8 * numeric_sq)
    return "it is right but for a transpose";
  return "some elements are right and others wrong: look for a mask, an index, a missing sum over "
         "a broadcast axis, or a kink that was not declared";
}

// What is wrong with the gradient of an input; empty when it is right.
std::string complaint(const Comparison& c, const std::string& name, const Shape& shape,
                      double noise, double tolerance) {
  // Of a smaller gradient a fault of kSmallestFault would drown in rounding.
  const double least = noise / kSmallestFault;
  const bool is_too_small =
      shape.size() == 0 || max(maximum(abs(c.analytic), abs(c.numeric))).item() <= least;
  if (is_too_small)
    return fmt::format(
        "the gradient of input {} {} is zero everywhere, or at most {:.1e}, which cannot be told "
        "from rounding: this check has no power; choose other inputs, or do not check this one",
        name, shape, least);
  if (c.worst_error > tolerance)
    return fmt::format("the gradient of input {} {} is wrong at {}\n  likely cause: {}", name,
                       shape, c.worst, likely_cause(c.analytic, c.numeric));
  return "";
}

// Checks the gradients of a scalar problem; `order` names them in the report.
GradcheckReport check_scalar(const Problem& problem, const Tensors& inputs,
                             const GradcheckOptions& options, const char* order) {
  const Tensors gradients = problem.gradients(inputs);
  const double noise =
      kRoundings * 0x1p-52 * (std::fabs(problem.value(inputs)) + 1) / kStep;  // in a difference
  Rng rng(options.seed);
  GradcheckReport report;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Comparison c = compare_input(problem, inputs, k, gradients[k], noise, options, rng);
    report.checked += c.checked;
    report.skipped += c.skipped;
    report.worst_error = std::max(report.worst_error, c.worst_error);
    const std::string wrong =
        complaint(c, problem.names[k], inputs[k].shape(), noise, options.tolerance);
    if (!wrong.empty()) {
      report.text = fmt::format("{}: {}", order, wrong);
      return report;
    }
  }
  report.ok = true;
  report.text = fmt::format("{} ok: {} numbers, worst relative error {:.1e}", order, report.checked,
                            report.worst_error);
  return report;
}

// f . cotangent for fixed random numbers in the shape of f: a scalar whose gradient goes through
// every element of f with a weight of its own.
Problem contracted(const Problem& problem, const Tensors& inputs, Rng& rng) {
  Shape shape;
  {
    const Tape<double> tape;
    shape = problem.f(problem.leaves(inputs)).shape();
  }
  Problem result = problem;
  result.f = [f = problem.f, cotangent = rng.normal<double>(shape)](const Vars& x) {
    return sum(f(x) * cotangent);
  };
  return result;
}

// gradient . direction for a fixed random direction, whose own gradient is a product of the Hessian
// with that direction.
Problem slope_along_a_direction(const Problem& scalar, const Tensors& inputs, Rng& rng) {
  Tensors directions;
  for (const Tensor<double>& x : inputs) directions.push_back(rng.normal<double>(x.shape()));
  Problem result = scalar;
  result.f = [f = scalar.f, directions](const Vars& x) {
    const Vars g = gradient(f(x), x, {.create_graph = true});
    Var<double> total = 0;
    for (std::size_t k = 0; k < g.size(); ++k) total = total + sum(g[k] * directions[k]);
    return total;
  };
  return result;
}

GradcheckReport check(const Problem& problem, const Tensors& inputs,
                      const GradcheckOptions& options) {
  if (inputs.empty()) {
    GradcheckReport report;
    report.text = "there are no inputs: this check has no power";
    return report;
  }
  Rng rng(options.seed + 1);
  const Problem scalar = contracted(problem, inputs, rng);
  const GradcheckReport first = check_scalar(scalar, inputs, options, "first derivative");
  if (!first || !options.second_order) return first;

  const Problem slope = slope_along_a_direction(scalar, inputs, rng);
  GradcheckReport second = check_scalar(slope, inputs, options, "second derivative");
  second.text = first.text + "\n" + second.text;
  return second;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  return out << report.text;
}

GradcheckReport gradcheck(const GradcheckFunction& f, const Tensors& inputs,
                          const GradcheckOptions& options) {
  Problem problem;
  problem.f = f;
  problem.leaves = [](const Tensors& values) {
    Vars result;
    for (const Tensor<double>& x : values) result.push_back(Tape<double>::current()->leaf(x));
    return result;
  };
  for (std::size_t k = 0; k < inputs.size(); ++k) problem.names.push_back(std::to_string(k));
  return check(problem, inputs, options);
}

GradcheckReport gradcheck(const std::function<Var<double>()>& f,
                          const std::vector<Parameter<double>*>& parameters,
                          const GradcheckOptions& options) {
  auto set_values = [&parameters](const Tensors& values) {
    for (std::size_t k = 0; k < values.size(); ++k) parameters[k]->set_value(values[k]);
  };
  Problem problem;
  problem.f = [&f](const Vars&) { return f(); };
  problem.leaves = [&parameters, &set_values](const Tensors& values) {
    set_values(values);
    Vars result;
    for (const Parameter<double>* p : parameters)
      result.push_back(*p);  // the copy of a parameter is its leaf on the current tape
    return result;
  };
  Tensors values;
  for (const Parameter<double>* p : parameters) {
    values.push_back(p->value());
    problem.names.push_back(p->name());
  }
  const ScopeExit restore([&set_values, &values] { set_values(values); });
  return check(problem, values, options);
}

}  // namespace gradus
