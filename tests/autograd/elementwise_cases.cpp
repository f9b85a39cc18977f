#include <cmath>
#include <random>

#include "tests/autograd/registry.hpp"

namespace gradus::test {
namespace {

// ---- Of one operand ----------------------------------------------------------------------------

struct UnaryOperation {
  std::string name;
  Function f;
  std::vector<std::vector<double>> regions;  // numbers at which to check; the first has four
  bool linear = false;
  std::vector<double> kinks = {};
};

const std::vector<double> kPlain = {-1.3, 0.7, 2.1, -0.4};
const std::vector<double> kNearZero = {1e-3, -1e-3, 1e-2};
const std::vector<double> kLarge = {8, 9.5, 7};
const std::vector<double> kNegative = {-8, -9.5, -7};
const std::vector<double> kPositive = {0.4, 1.7, 0.9, 3.1};
const std::vector<double> kNearEdge = {0.02, 0.05};  // of (0, infinity)
const std::vector<double> kFar = {300, 5000};
const std::vector<double> kModerate = {5, -5, 6};

const std::vector<UnaryOperation> kUnaryOperations = {
    {.name = "neg",
     .f = [](const auto& x) { return -x[0]; },
     .regions = {kPlain, kNearZero, kLarge},
     .linear = true},
    {.name = "square",
     .f = [](const auto& x) { return square(x[0]); },
     .regions = {kPlain, kNearZero, kLarge, {-300, 20}}},
    {.name = "sqrt",
     .f = [](const auto& x) { return sqrt(x[0]); },
     .regions = {kPositive, kNearEdge, kFar}},
    {.name = "exp",
     .f = [](const auto& x) { return exp(x[0]); },
     .regions = {kPlain, kNearZero, kLarge, kNegative}},
    {.name = "expm1",
     .f = [](const auto& x) { return expm1(x[0]); },
     .regions = {kPlain, kNearZero, kLarge, kNegative}},
    {.name = "log",
     .f = [](const auto& x) { return log(x[0]); },
     .regions = {kPositive, kNearEdge, kFar}},
    {.name = "log1p",
     .f = [](const auto& x) { return log1p(x[0]); },
     .regions = {kPositive, kNearZero, {-0.98, -0.9}, kFar}},
    {.name = "tanh",
     .f = [](const auto& x) { return tanh(x[0]); },
     .regions = {kPlain, kNearZero, {4, 3, -4}}},
    {.name = "sigmoid",
     .f = [](const auto& x) { return sigmoid(x[0]); },
     .regions = {kPlain, kNearZero, kModerate}},
    {.name = "softplus",
     .f = [](const auto& x) { return softplus(x[0]); },
     .regions = {kPlain, kNearZero, kModerate}},
    {.name = "abs",
     .f = [](const auto& x) { return abs(x[0]); },
     .regions = {kPlain, {0, 0.5, -1e-2}, kLarge},
     .linear = true,
     .kinks = {0}},
    {.name = "relu",
     .f = [](const auto& x) { return relu(x[0]); },
     .regions = {{0.7, -1.3, 2.1, 0.4}, {0, 0.5, -1e-2, 1e-2}, kLarge},
     .linear = true,
     .kinks = {0}},
};

// Every region as a vector, and numbers of the first one in other shapes.
void add(const UnaryOperation& operation, std::vector<Case>& cases) {
  auto add_at = [&](const std::string& where, const Tensor<double>& x) {
    cases.push_back({.name = operation.name + where,
                     .f = operation.f,
                     .inputs = {x},
                     .linear = operation.linear,
                     .kinks = operation.kinks});
  };
  for (std::size_t k = 0; k < operation.regions.size(); ++k)
    add_at("_region_" + std::to_string(k), numbers(operation.regions[k]));
  const std::vector<double>& first = operation.regions[0];
  add_at("_scalar", Tensor<double>(first[0]));
  add_at("_one_by_one", Tensor<double>({1, 1}, {first[2]}));
  add_at("_matrix", Tensor<double>({2, 2}, first));
}

// ---- Of two operands ---------------------------------------------------------------------------

using Draw = Tensor<double> (*)(const Shape& shape, unsigned seed);

struct BinaryOperation {
  std::string name;
  Function f;
  Draw x, y;
  bool linear_in_x = false;  // while y is constant
  bool linear_in_y = false;
  bool linear = false;               // in both together
  bool may_ignore_an_input = false;  // which is then not checked
};

Tensor<double> drawn_between(const Shape& shape, unsigned seed, double low, double high) {
  return drawn<double>(shape, seed, std::uniform_real_distribution<double>(low, high));
}

Tensor<double> any(const Shape& shape, unsigned seed) {
  return gaussian_numbers<double>(shape, seed);
}

Tensor<double> positive(const Shape& shape, unsigned seed) {
  return drawn_between(shape, seed, 0.3, 2);
}

Tensor<double> negative(const Shape& shape, unsigned seed) {
  return drawn_between(shape, seed, -2, -0.3);
}

// Never equal to each other.
Tensor<double> eighths(const Shape& shape, unsigned seed) { return apart(shape, seed, 1); }

Tensor<double> three_eighths(const Shape& shape, unsigned seed) { return apart(shape, seed, 3); }

const std::vector<BinaryOperation> kBinaryOperations = {
    {.name = "add",
     .f = [](const auto& v) { return v[0] + v[1]; },
     .x = any,
     .y = any,
     .linear_in_x = true,
     .linear_in_y = true,
     .linear = true},
    {.name = "sub",
     .f = [](const auto& v) { return v[0] - v[1]; },
     .x = any,
     .y = any,
     .linear_in_x = true,
     .linear_in_y = true,
     .linear = true},
    {.name = "mul",
     .f = [](const auto& v) { return v[0] * v[1]; },
     .x = any,
     .y = any,
     .linear_in_x = true,
     .linear_in_y = true},
    {.name = "div",
     .f = [](const auto& v) { return v[0] / v[1]; },
     .x = any,
     .y = positive,
     .linear_in_x = true},
    {.name = "div_negative",
     .f = [](const auto& v) { return v[0] / v[1]; },
     .x = any,
     .y = negative,
     .linear_in_x = true},
    {.name = "pow", .f = [](const auto& v) { return pow(v[0], v[1]); }, .x = positive, .y = any},
    {.name = "maximum",
     .f = [](const auto& v) { return maximum(v[0], v[1]); },
     .x = eighths,
     .y = three_eighths,
     .linear_in_x = true,
     .linear_in_y = true,
     .linear = true,
     .may_ignore_an_input = true},
    {.name = "minimum",
     .f = [](const auto& v) { return minimum(v[0], v[1]); },
     .x = eighths,
     .y = three_eighths,
     .linear_in_x = true,
     .linear_in_y = true,
     .linear = true,
     .may_ignore_an_input = true},
};

// That broadcast against each other, in every way.
const std::vector<std::pair<Shape, Shape>> kShapes = {{{}, {}},           {{3}, {3}},
                                                      {{2, 3}, {2, 3}},   {{2, 3}, {3}},
                                                      {{3}, {2, 3}},      {{2, 3}, {}},
                                                      {{}, {2, 3}},       {{2, 1}, {1, 3}},
                                                      {{2, 3}, {2, 1}},   {{1}, {3}},
                                                      {{1, 1}, {2, 2}},   {{2, 1, 2}, {3, 1}},
                                                      {{1, 2}, {2, 1, 1}}};

// "_23" for (2, 3), "_scalar" for ().
std::string suffix(const Shape& shape) {
  if (shape.rank() == 0) return "_scalar";
  std::string text = "_";
  for (Index extent : shape) text += std::to_string(extent);
  return text;
}

// Whether the function moves with each of its inputs: where maximum never takes one of them, there
// is nothing to check.
bool depends_on_every_input(const Case& c) {
  const Tensor<double> value = c.f.of_tensors(c.inputs);
  for (std::size_t k = 0; k < c.inputs.size(); ++k) {
    Tensors moved = c.inputs;
    moved[k] = moved[k] + 1e-3;
    if (same_bits(c.f.of_tensors(moved), value)) return false;
  }
  return true;
}

// Both operands recorded, and each of them a constant, in all shapes.
void add(const BinaryOperation& operation, std::vector<Case>& cases) {
  unsigned seed = 0;
  for (const auto& [x_shape, y_shape] : kShapes) {
    Tensors inputs;
    inputs.push_back(operation.x(x_shape, ++seed));
    inputs.push_back(operation.y(y_shape, ++seed));
    const Case both = {.name = operation.name + suffix(x_shape) + suffix(y_shape),
                       .f = operation.f,
                       .inputs = inputs,
                       .linear = operation.linear,
                       .broadcasts = true};
    for (const Case& c :
         {both, with_constant(both, 1, both.name + "_constant_y", operation.linear_in_x),
          with_constant(both, 0, both.name + "_constant_x", operation.linear_in_y)})
      if (!operation.may_ignore_an_input || depends_on_every_input(c)) cases.push_back(c);
  }
}

std::vector<Case> special_cases() {
  std::vector<Case> cases = {
      {.name = "mul_of_itself",
       .f = [](const auto& x) { return x[0] * x[0]; },
       .inputs = {any({3}, 1)}},
      {.name = "div_by_its_square",
       .f = [](const auto& x) { return x[0] / (x[0] * x[0]); },
       .inputs = {positive({3}, 1)}},
      {.name = "div_near_zero",
       .f = [](const auto& x) { return x[0] / x[1]; },
       .inputs = {any({2}, 1), numbers({0.03, -0.05})}},
      {.name = "pow_of_itself",
       .f = [](const auto& x) { return pow(x[0], x[0]); },
       .inputs = {positive({3}, 1)}},
      {.name = "pow_with_exponents_zero_and_one",
       .f = [](const auto& x) { return pow(x[0], x[1]); },
       .inputs = {numbers({0.5, 2, 3}), numbers({0, 0, 1})}},
      {.name = "pow_near_zero",
       .f = [](const auto& x) { return pow(x[0], x[1]); },
       .inputs = {numbers({0.05, 0.1}), numbers({1.5, -0.5})}},
      {.name = "maximum_with_a_declared_kink",
       .f = [](const auto& x) { return maximum(x[0], 0.5); },
       .inputs = {numbers({0.5, 0.7, -1})},
       .linear = true,
       .kinks = {0.5}},
      {.name = "minimum_with_a_declared_kink",
       .f = [](const auto& x) { return minimum(0.5, x[0]); },
       .inputs = {numbers({0.5, 0.7, -1})},
       .linear = true,
       .kinks = {0.5}},
  };
  for (double n : {1.0, 2.0, 3.0, -1.0, -2.0})
    cases.push_back(
        {.name = fmt::format("pow_{}{}_of_negative", n < 0 ? "minus_" : "", std::fabs(n)),
         .f = [n](const auto& x) { return pow(x[0], n); },
         .inputs = {numbers({-1.5, 0.8, -0.7})},
         .linear = n == 1});
  return cases;
}

}  // namespace

std::vector<Case> elementwise_cases() {
  std::vector<Case> cases = special_cases();
  for (const UnaryOperation& operation : kUnaryOperations) add(operation, cases);
  for (const BinaryOperation& operation : kBinaryOperations) add(operation, cases);
  return cases;
}

}  // namespace gradus::test
