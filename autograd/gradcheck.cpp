#include "autograd/gradcheck.hpp"

#include <algorithm>
#include <cmath>
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
  if (rest < 1e-4 * std::fabs(ratio)) {
    if (std::fabs(ratio + 1) < 1e-4) return "the sign is wrong";
    return fmt::format("it is {:.6g} times the right one everywhere: a factor is wrong", ratio);
  }
  if (analytic.rank() == 2 && analytic.shape()[0] == analytic.shape()[1] &&
      sum(square(transpose(analytic) - numeric)).item() < 1e-8 * nn)
    return "it is right but for a transpose";
  return "some elements are right and others wrong: look for a mask, an index, a missing sum over "
         "a broadcast axis, or a kink that was not declared";
}

// Where the element (or direction) stands in its input.
std::string place(const Shape& shape, Index i) {
  std::vector<Index> indices(shape.rank());
  for (int k = shape.rank() - 1; k >= 0; --k) indices[k] = i % shape[k], i /= shape[k];
  return list(indices);
}

class Checker {
 public:
  Checker(const Problem& problem, const GradcheckOptions& options)
      : problem_(problem), options_(options), rng_(options.seed) {}

  GradcheckReport run(const Tensors& inputs, const char* order) {
    Tensors analytic;
    {
      Tape<double> tape;
      const Vars leaves = problem_.leaves(inputs);
      const Var<double> y = problem_.f(leaves);
      if (y.node() < 0) return fail_with(fmt::format("{}: the output depends on no input", order));
      for (const Var<double>& g : tape.gradient(y, leaves, false)) analytic.push_back(g.value());
    }
    report_.ok = true;
    for (std::size_t k = 0; k < inputs.size() && report_.ok; ++k)
      check_input(inputs, k, analytic[k], order);
    if (report_.ok)
      report_.text = fmt::format("{} ok: {} numbers, worst relative error {:.1e}", order,
                                 report_.checked, report_.worst_error);
    return report_;
  }

 private:
  GradcheckReport fail_with(std::string text) {
    report_.ok = false;
    report_.text = std::move(text);
    return report_;
  }

  double value(const Tensors& inputs) const {
    const Tape<double> tape;
    return problem_.f(problem_.leaves(inputs)).item();
  }

  // The central difference along a direction, with steps of h.
  double difference(const Tensors& inputs, std::size_t k, const Tensor<double>& direction,
                    double h) const {
    Tensors moved = inputs;
    moved[k] = inputs[k] + direction * h;
    const double above = value(moved);
    moved[k] = inputs[k] - direction * h;
    return (above - value(moved)) / (2 * h);
  }

  void check_input(const Tensors& inputs, std::size_t k, const Tensor<double>& analytic,
                   const char* order) {
    const Tensor<double>& x = inputs[k];
    const bool every_element = x.size() <= options_.most_elements;
    const Index n = every_element ? x.size() : 64;
    Tensor<double> a({n}), d({n}), d1({n}), d2({n});
    for (Index i = 0; i < n; ++i) {
      Tensor<double> direction(x.shape());
      double scale = 1;
      if (every_element) {
        direction.mutable_data()[i] = 1;
        scale = std::max(1.0, std::fabs(x.data()[i]));
      } else {
        direction = rng_.normal<double>(x.shape());
      }
      const double h = 1e-4 * scale;
      const bool at_kink = std::any_of(
          options_.kinks.begin(), options_.kinks.end(),
          [&](double at) { return every_element && std::fabs(x.data()[i] - at) <= 2 * h; });
      if (at_kink) {
        ++report_.skipped;
        continue;
      }
      ++report_.checked;
      a.set({i}, sum(analytic * direction).item());
      d1.set({i}, difference(inputs, k, direction, h));
      d2.set({i}, difference(inputs, k, direction, h / 2));
      d.set({i}, (4 * d2(i) - d1(i)) / 3);
    }
    const double largest = n == 0 ? 0 : max(maximum(abs(a), abs(d))).item();
    if (!(largest > 0)) {
      fail_with(
          fmt::format("{}: the gradient of input {} {} is zero everywhere: this check has no "
                      "power; choose other inputs, or do not check this one",
                      order, problem_.names[k], x.shape()));
      return;
    }
    // Rounding in f of size |f| is an error of |f| eps / h in a difference.
    const double noise = 20 * 0x1p-52 * (std::fabs(value(inputs)) + 1) / 1e-4;
    Index worst = 0;
    double worst_error = -1;
    for (Index i = 0; i < n; ++i) {
      const double size = std::max(std::fabs(a(i)), std::fabs(d(i)));
      const double error = std::fabs(a(i) - d(i)) / (size + noise / options_.tolerance);
      if (!(error <= worst_error)) worst = i, worst_error = std::isnan(error) ? INFINITY : error;
    }
    report_.worst_error = std::max(report_.worst_error, worst_error);
    if (worst_error <= options_.tolerance) return;
    const Shape shape = every_element ? x.shape() : Shape{n};
    fail_with(fmt::format(
        "{}: the gradient of input {} {} is wrong at {} {}:\n  tape       {:.12g}\n  difference "
        "{:.12g}\n  relative error {:.2e}; order of convergence {:.1f}, where 2 is right\n  likely "
        "cause: {}",
        order, problem_.names[k], x.shape(), every_element ? "element" : "random direction",
        place(shape, worst), a(worst), d(worst), worst_error,
        std::log2(std::fabs((d1(worst) - a(worst)) / (d2(worst) - a(worst)))),
        likely_cause(a.reshape(shape), d.reshape(shape))));
  }

  const Problem& problem_;
  const GradcheckOptions& options_;
  Rng rng_;
  GradcheckReport report_;
};

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
  GradcheckReport report = Checker(first, options).run(inputs, "first derivative");
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
  GradcheckReport again = Checker(second, options).run(inputs, "second derivative");
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
  const GradcheckReport report = check(problem, values, options);
  for (std::size_t k = 0; k < values.size(); ++k) parameters[k]->set_value(values[k]);
  return report;
}

}  // namespace gradus
