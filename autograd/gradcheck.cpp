#include "autograd/gradcheck.hpp"

#include <ostream>

#include "tensor/random.hpp"

namespace gradus {
namespace {
using Vars = std::vector<Var<double>>;
using Tensors = std::vector<Tensor<double>>;

// A scalar function of some inputs: how they become leaves of the current tape, the function, and
// the inputs' names.
struct Problem {
  std::function<Vars(const Tensors&)> leaves;
  GradcheckFunction f;
  std::vector<std::string> names;
};

// How a wrong gradient usually comes about, from how it differs from the right one.
std::string likely_cause(const Tensor<double>& analytic, const Tensor<double>& numeric) {
  const double aa = sum(square(analytic)).item(), an = sum(analytic * numeric).item();
  const double nn = sum(square(numeric)).item();
  if (aa == 0) return "it is zero: is the rule missing, or was .value() taken on the way?";
  const double ratio = an / nn, rest = std::sqrt(std::max(0.0, aa / nn - ratio * ratio));
  if (std::fabs(ratio + 1) < 1e-4 && rest < 1e-4) return "the sign is wrong";
  if (rest < 1e-4 * std::fabs(ratio))
    return fmt::format("it is {:.6g} times the right one everywhere: a factor is wrong", ratio);
  if (analytic.rank() == 2 && analytic.shape()[0] == analytic.shape()[1] &&
      sum(square(transpose(analytic) - numeric)).item() < 1e-8 * nn)
    return "it is right but for a transpose";
  return "some elements are right and others wrong: look for a mask, an index, a missing sum over "
         "a broadcast axis, or a kink that was not declared";
}

// Checks the gradient of a scalar problem; `order` names it in the report.
GradcheckReport check_scalar(const Problem& problem, const Tensors& inputs,
                             const GradcheckOptions& options, const char* order) {
  GradcheckReport report;
  Tensors analytic;
  {
    const Tape<double> tape;
    const Vars leaves = problem.leaves(inputs);
    for (const Var<double>& g : gradient(problem.f(leaves), leaves)) analytic.push_back(g.value());
  }
  auto value = [&](const Tensors& at) {
    const Tape<double> tape;
    return problem.f(problem.leaves(at)).item();
  };
  constexpr double kStep = 1e-4;
  // Rounding in f is an error of |f| eps / h in a difference; 0.1 % of a gradient should exceed it.
  const double noise = 20 * 0x1p-52 * (std::fabs(value(inputs)) + 1) / kStep;
  Rng rng(options.seed);
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const Tensor<double>& x = inputs[k];
    const bool each = x.size() <= options.max_elements;  // element, or random directions
    const Shape shape = each ? x.shape() : Shape{64};
    Tensor<double> tape(shape), difference(shape);
    double worst_error = -1;
    std::string worst;
    for (Index i = 0; i < shape.size(); ++i) {
      const double scale = each ? std::max(1.0, std::fabs(x.data()[i])) : 1, h = kStep * scale;
      if (each && std::any_of(options.kinks.begin(), options.kinks.end(), [&](double kink) {
            return std::fabs(x.data()[i] - kink) <= 2 * h;
          })) {
        ++report.skipped;
        continue;
      }
      ++report.checked;
      Tensor<double> direction = each ? Tensor<double>(x.shape()) : rng.normal<double>(x.shape());
      if (each) direction.mutable_data()[i] = 1;
      auto central = [&](double step) {
        Tensors above = inputs, below = inputs;
        above[k] = x + direction * step;
        below[k] = x - direction * step;
        return (value(above) - value(below)) / (2 * step);
      };
      const double coarse = central(h), fine = central(h / 2), d = (4 * fine - coarse) / 3;
      const double a = sum(analytic[k] * direction).item();
      tape.mutable_data()[i] = a;
      difference.mutable_data()[i] = d;
      const double size = std::max(std::fabs(a), std::fabs(d));
      const double error = std::fabs(a - d) / (size + noise / options.tolerance);
      if (error <= worst_error) continue;
      worst_error = std::isnan(error) ? INFINITY : error;
      std::vector<Index> place(shape.rank());
      for (Index axis = shape.rank() - 1, rest = i; axis >= 0; rest /= shape[axis--])
        place[axis] = rest % shape[axis];
      worst = fmt::format(
          "{} {}:\n  tape       {:.12g}\n  difference {:.12g}\n  relative error {:.2e}; order of "
          "convergence {:.1f}, where 2 is right",
          each ? "element" : "random direction", to_string(place), a, d, error,
          std::log2(std::fabs((coarse - a) / (fine - a))));
    }
    report.worst_error = std::max(report.worst_error, worst_error);
    if (x.empty() || max(maximum(abs(tape), abs(difference))).item() <= 1000 * noise)
      report.text = fmt::format(
          "{}: the gradient of input {} {} is zero everywhere: this check has "
          "no power; choose other inputs, or do not check this one",
          order, problem.names[k], x.shape());
    else if (worst_error > options.tolerance)
      report.text =
          fmt::format("{}: the gradient of input {} {} is wrong at {}\n  likely cause: {}", order,
                      problem.names[k], x.shape(), worst, likely_cause(tape, difference));
    if (!report.text.empty()) return report;
  }
  report.ok = true;
  report.text = fmt::format("{} ok: {} numbers, worst relative error {:.1e}", order, report.checked,
                            report.worst_error);
  return report;
}

GradcheckReport check(const Problem& problem, const Tensors& inputs,
                      const GradcheckOptions& options) {
  Rng rng(options.seed + 1);
  Problem first = problem, second = problem;
  Shape shape;
  {
    const Tape<double> tape;
    shape = problem.f(problem.leaves(inputs)).shape();
  }
  first.f = [&, cotangent = rng.normal<double>(shape)](const Vars& x) {
    return sum(problem.f(x) * cotangent);
  };
  GradcheckReport report = check_scalar(first, inputs, options, "first derivative");
  if (!report || !options.second_order) return report;
  // The gradient of (gradient . direction), for a random direction, is a Hessian-vector product.
  Tensors directions;
  for (const Tensor<double>& x : inputs) directions.push_back(rng.normal<double>(x.shape()));
  second.f = [&](const Vars& x) {
    const Vars g = gradient(first.f(x), x, {.create_graph = true});
    Var<double> total = 0;
    for (std::size_t k = 0; k < g.size(); ++k) total = total + sum(g[k] * directions[k]);
    return total;
  };
  GradcheckReport again = check_scalar(second, inputs, options, "second derivative");
  again.text = report.text + "\n" + again.text;
  return again;
}
}  // namespace

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report) {
  return out << report.text;
}

GradcheckReport gradcheck(const GradcheckFunction& f, const Tensors& inputs,
                          const GradcheckOptions& options) {
  auto leaves = [](const Tensors& values) {
    Vars result;
    for (const Tensor<double>& x : values) result.push_back(Tape<double>::current()->leaf(x));
    return result;
  };
  Problem problem{leaves, f, {}};
  for (std::size_t k = 0; k < inputs.size(); ++k) problem.names.push_back(std::to_string(k));
  return check(problem, inputs, options);
}

GradcheckReport gradcheck(const std::function<Var<double>()>& f,
                          const std::vector<Parameter<double>*>& parameters,
                          const GradcheckOptions& options) {
  auto leaves = [&](const Tensors& values) {
    for (std::size_t k = 0; k < values.size(); ++k) parameters[k]->set_value(values[k]);
    Vars result;
    for (const Parameter<double>* p : parameters) result.push_back(*p);
    return result;
  };
  Problem problem{leaves, [&](const Vars&) { return f(); }, {}};
  Tensors values;
  for (const Parameter<double>* p : parameters) {
    values.push_back(p->value());
    problem.names.push_back(p->name());
  }
  auto restore = [&](void*) { leaves(values); };
  const std::unique_ptr<void, decltype(restore)> guard(&values, restore);
  return check(problem, values, options);
}
}  // namespace gradus
