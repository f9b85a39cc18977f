#include "tests/autograd/registry.hpp"

namespace gradus::test {
namespace {

// By their definitions, for numbers of moderate size.
Tensor<double> log_softmax(const Tensor<double>& x, int axis) {
  return x - logsumexp(x, {axis}, /*keepdims=*/true);
}

Tensor<double> softmax(const Tensor<double>& x, int axis) { return exp(log_softmax(x, axis)); }

struct Reduction {
  std::string name;
  Shape shape;
  Axes axes;
  bool trivial = false;  // each sum has one term
};

const std::vector<Reduction> kReductions = {
    {.name = "scalar", .shape = {}, .axes = {}, .trivial = true},
    {.name = "vector", .shape = {3}, .axes = {}},
    {.name = "last_axis", .shape = {2, 3}, .axes = {-1}},
    {.name = "first_axis", .shape = {2, 3}, .axes = {0}},
    {.name = "all_axes", .shape = {2, 3}, .axes = {}},
    {.name = "middle_axis", .shape = {2, 3, 2}, .axes = {1}},
    {.name = "outer_axes", .shape = {2, 3, 2}, .axes = {2, 0}},
    {.name = "extent_1", .shape = {1, 3}, .axes = {0}, .trivial = true},
    {.name = "column", .shape = {3, 1}, .axes = {0}},
};

void add(const Reduction& reduction, bool keepdims, std::vector<Case>& cases) {
  const Axes axes = reduction.axes;
  const std::string end = "_" + reduction.name + (keepdims ? "_kept" : "");
  const Tensor<double> x = apart(reduction.shape, 7, 1);
  cases.push_back({.name = "sum" + end,
                   .f = [=](const auto& v) { return sum(v[0], axes, keepdims); },
                   .inputs = {x},
                   .linear = true});
  cases.push_back({.name = "mean" + end,
                   .f = [=](const auto& v) { return mean(v[0], axes, keepdims); },
                   .inputs = {x},
                   .linear = true});
  cases.push_back({.name = "max" + end,
                   .f = [=](const auto& v) { return max(v[0], axes, keepdims); },
                   .inputs = {x},
                   .linear = true});
  const Function logsumexp_along = [=](const auto& v) { return logsumexp(v[0], axes, keepdims); };
  cases.push_back({.name = "logsumexp" + end,
                   .f = logsumexp_along,
                   .inputs = {x},
                   .linear = reduction.trivial});
  cases.push_back({.name = "logsumexp_large" + end,
                   .f = logsumexp_along,
                   .inputs = {x * 0.2 + 800},
                   .linear = reduction.trivial});
  cases.push_back({.name = "logsumexp_very_negative" + end,
                   .f = logsumexp_along,
                   .inputs = {x * 0.2 - 800},
                   .linear = reduction.trivial});
}

struct Repetition {
  std::string name;
  Shape small, large;
};

const std::vector<Repetition> kRepetitions = {
    {.name = "row", .small = {3}, .large = {2, 3}},
    {.name = "kept_row", .small = {1, 3}, .large = {2, 3}},
    {.name = "column", .small = {2, 1}, .large = {2, 3}},
    {.name = "scalar", .small = {}, .large = {2, 3}},
    {.name = "one_by_one", .small = {1, 1}, .large = {2, 3}},
    {.name = "same", .small = {2, 3}, .large = {2, 3}},
    {.name = "inner", .small = {2, 1, 2}, .large = {3, 2, 3, 2}},
};

void add(const Repetition& repetition, std::vector<Case>& cases) {
  const auto [name, small, large] = repetition;
  cases.push_back({.name = "sum_to_" + name,
                   .f = [s = small](const auto& v) { return sum_to(v[0], s); },
                   .inputs = {gaussian_numbers<double>(large, 3)},
                   .linear = true});
  cases.push_back({.name = "broadcast_to_" + name,
                   .f = [s = large](const auto& v) { return broadcast_to(v[0], s); },
                   .inputs = {gaussian_numbers<double>(small, 3)},
                   .linear = true});
}

}  // namespace

std::vector<Case> reduce_cases() {
  std::vector<Case> cases;
  for (const Reduction& reduction : kReductions)
    for (bool keepdims : {false, true}) add(reduction, keepdims, cases);
  for (const Repetition& repetition : kRepetitions) add(repetition, cases);
  for (int axis : {0, 1, -1}) {
    const std::string end = "_axis_" + std::string(axis < 0 ? "last" : std::to_string(axis));
    cases.push_back({.name = "softmax" + end,
                     .f = [axis](const auto& v) { return softmax(v[0], axis); },
                     .inputs = {gaussian_numbers<double>({3, 4}, 1)}});
    cases.push_back({.name = "log_softmax" + end,
                     .f = [axis](const auto& v) { return log_softmax(v[0], axis); },
                     .inputs = {gaussian_numbers<double>({3, 4}, 1)}});
  }
  return cases;
}

}  // namespace gradus::test
