#include "autograd/operations.hpp"

#include <map>
#include <regex>
#include <set>

#include "tests/autograd/support.hpp"

namespace gradus {
namespace {

using test::distance;
using test::gaussian_numbers;
using test::same_bits;
using test::TemporaryDirectory;
using test::Tensors;
using test::Vars;
using FloatVars = std::vector<Var<float>>;
using FloatTensors = std::vector<Tensor<float>>;

using Unary = Var<double> (*)(const Var<double>&);
using Binary = Var<double> (*)(const Var<double>&, const Var<double>&);

// One function with inputs at which its gradient is checked.
struct Case {
  std::string name;      // of the test
  std::string function;  // its name and number of tensor operands: "matmul/2"
  std::function<Var<double>(const Vars&)> f;
  std::function<Tensor<double>(const Tensors&)> value;  // the same from tensor/
  std::function<Var<float>(const FloatVars&)> in_float;
  Tensors inputs;
  bool linear = false;  // no input has a second derivative
  std::vector<double> kinks = {};
  bool broadcasts = false;  // its inputs against each other
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

Tensor<double> numbers(const std::vector<double>& values) {
  return Tensor<double>({std::ssize(values)}, values);
}

// A constant in the precision of the inputs beside which it stands.
Tensor<double> beside(const Vars&, const Tensor<double>& x) { return x; }

Tensor<double> beside(const Tensors&, const Tensor<double>& x) { return x; }

Tensor<float> beside(const FloatVars&, const Tensor<double>& x) { return cast<float>(x); }

// Numbers between low and high.
Tensor<double> between(const Shape& shape, unsigned seed, double low, double high) {
  return test::drawn<double>(shape, seed, std::uniform_real_distribution<double>(low, high));
}

// Numbers that are an odd multiple of 1/8 above a multiple of 1/2: those of different `offset` are
// never closer than 1/8 to each other, and never equal among themselves either.
Tensor<double> apart(const Shape& shape, unsigned seed, int offset) {
  std::vector<double> values(shape.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.5 * (static_cast<double>(i) - std::floor(values.size() / 2.0)) + 0.125 * offset;
  std::shuffle(values.begin(), values.end(), std::mt19937(seed));
  return Tensor<double>(shape, values);
}

// A symmetric positive definite matrix: R R^T + n/2.
Tensor<double> positive_definite(Index n, unsigned seed) {
  const Tensor<double> r = gaussian_numbers<double>({n, n}, seed);
  return matmul_nt(r, r) + identity<double>(n) * (0.5 * static_cast<double>(n));
}

// A lower triangle with a diagonal away from zero, and numbers above it that must not be read.
Tensor<double> triangle(Index n, unsigned seed) {
  return gaussian_numbers<double>({n, n}, seed) * 0.5 + identity<double>(n) * 2.5;
}

class Registry {
 public:
  static const std::vector<Case>& cases() {
    static const Registry registry;
    return registry.cases_;
  }

 private:
  Registry() {
    unary_functions();
    binary_functions();
    reductions();
    layouts();
    products();
    linear_algebra();
  }

  template <class F>
  void add(std::string name, std::string function, F f, Tensors inputs, bool linear = false,
           std::vector<double> kinks = {}) {
    cases_.push_back({std::move(name), std::move(function), f, f, f, std::move(inputs), linear,
                      std::move(kinks)});
  }

  // Regions are numbers at which to check; the first one also in other shapes.
  template <class F>
  void unary(const std::string& name, const std::string& function, F f,
             const std::vector<std::vector<double>>& regions, bool linear = false,
             std::vector<double> kinks = {}) {
    for (std::size_t k = 0; k < regions.size(); ++k)
      add(name + "_region_" + std::to_string(k), function, f, {numbers(regions[k])}, linear, kinks);
    const std::vector<double>& r = regions[0];
    add(name + "_scalar", function, f, {Tensor<double>(r[0])}, linear, kinks);
    add(name + "_one_by_one", function, f, {Tensor<double>({1, 1}, {r[1]})}, linear, kinks);
    add(name + "_matrix", function, f, {Tensor<double>({2, 2}, {r[0], r[1], r[2], r[3]})}, linear,
        kinks);
  }

  void unary_functions() {
    const std::vector<double> plain = {-1.3, 0.7, 2.1, -0.4}, near_zero = {1e-3, -1e-3, 1e-2},
                              large = {8, 9.5, 7}, negative = {-8, -9.5, -7};
    const std::vector<double> inside = {0.4, 1.7, 0.9, 3.1}, edge = {0.02, 0.05}, far = {300, 5000};
    // clang-format off
    unary("neg", "operator-/1", [](const auto& x) { return -x[0]; }, {plain, near_zero, large}, true);
    unary("exp", "exp/1", [](const auto& x) { return exp(x[0]); }, {plain, near_zero, large, negative});
    unary("expm1", "expm1/1", [](const auto& x) { return expm1(x[0]); }, {plain, near_zero, large, negative});
    unary("log", "log/1", [](const auto& x) { return log(x[0]); }, {inside, edge, far});
    unary("log1p", "log1p/1", [](const auto& x) { return log1p(x[0]); },
          {inside, near_zero, {-0.98, -0.9}, far});
    unary("sqrt", "sqrt/1", [](const auto& x) { return sqrt(x[0]); }, {inside, edge, far});
    unary("square", "square/1", [](const auto& x) { return square(x[0]); }, {plain, near_zero, large, {-300, 20}});
    unary("abs", "abs/1", [](const auto& x) { return abs(x[0]); }, {plain, {0, 0.5, -1e-2}, large}, true, {0});
    unary("tanh", "tanh/1", [](const auto& x) { return tanh(x[0]); }, {plain, near_zero, {4, 3, -4}});
    unary("sigmoid", "sigmoid/1", [](const auto& x) { return sigmoid(x[0]); }, {plain, near_zero, {5, -5, 6}});
    unary("softplus", "softplus/1", [](const auto& x) { return softplus(x[0]); }, {plain, near_zero, {5, -5, 6}});
    unary("relu", "relu/1", [](const auto& x) { return relu(x[0]); }, {{-1.3, 0.7, 2.1, 0.4}, {0, 0.5, -1e-2, 1e-2}, large}, true, {0});
    // clang-format on
    // The first region begins with a number at which relu is flat: its scalar has no power.
    std::erase_if(cases_, [](const Case& c) { return c.name == "relu_scalar"; });
    add(
        "relu_scalar", "relu/1", [](const auto& x) { return relu(x[0]); }, {Tensor<double>(0.7)},
        true);
  }

  // Both operands recorded, in shapes that broadcast in every way; one of them a constant.
  template <class F, class Left, class Right>
  void binary(const std::string& name, const std::string& function, F f, Left left, Right right,
              bool linear_x, bool linear_y, bool linear) {
    const std::vector<std::pair<Shape, Shape>> shapes = {{{}, {}},           {{3}, {3}},
                                                         {{2, 3}, {2, 3}},   {{2, 3}, {3}},
                                                         {{3}, {2, 3}},      {{2, 3}, {}},
                                                         {{}, {2, 3}},       {{2, 1}, {1, 3}},
                                                         {{2, 3}, {2, 1}},   {{1}, {3}},
                                                         {{1, 1}, {2, 2}},   {{2, 1, 2}, {3, 1}},
                                                         {{1, 2}, {2, 1, 1}}};
    unsigned seed = 0;
    for (const auto& [a, b] : shapes) {
      std::string shown = name;
      for (const Shape& s : {a, b}) {
        shown += s.rank() == 0 ? "_scalar" : "_";
        for (Index extent : s) shown += std::to_string(extent);
      }
      const Tensor<double> x = left(a, ++seed), y = right(b, ++seed);
      add(
          shown, function, [f](const auto& v) { return f(v[0], v[1]); }, {x, y}, linear);
      cases_.back().broadcasts = true;
      add(
          shown + "_constant_y", function, [f, y](const auto& v) { return f(v[0], beside(v, y)); },
          {x}, linear_x);
      add(
          shown + "_constant_x", function, [f, x](const auto& v) { return f(beside(v, x), v[0]); },
          {y}, linear_y);
    }
  }

  void binary_functions() {
    auto any = [](const Shape& s, unsigned seed) { return gaussian_numbers<double>(s, seed); };
    auto above = [](const Shape& s, unsigned seed) { return between(s, seed, 0.3, 2); };
    auto below = [](const Shape& s, unsigned seed) { return between(s, seed, -2, -0.3); };
    auto even = [](const Shape& s, unsigned seed) { return apart(s, seed, 1); };
    auto odd = [](const Shape& s, unsigned seed) { return apart(s, seed, 3); };
    auto plus = [](const auto& x, const auto& y) { return x + y; };
    auto minus = [](const auto& x, const auto& y) { return x - y; };
    auto times = [](const auto& x, const auto& y) { return x * y; };
    auto over = [](const auto& x, const auto& y) { return x / y; };
    auto power = [](const auto& x, const auto& y) { return pow(x, y); };
    binary("add", "operator+/2", plus, any, any, true, true, true);
    binary("sub", "operator-/2", minus, any, any, true, true, true);
    binary("mul", "operator*/2", times, any, any, true, true, false);
    binary("div", "operator//2", over, any, above, true, false, false);
    binary("div_negative", "operator//2", over, any, below, true, false, false);
    binary("pow", "pow/2", power, above, any, false, false, false);
    peaks(
        "maximum", [](const auto& x, const auto& y) { return maximum(x, y); }, even, odd);
    peaks(
        "minimum", [](const auto& x, const auto& y) { return minimum(x, y); }, even, odd);

    add("mul_of_itself", "operator*/2", [](const auto& x) { return x[0] * x[0]; }, {any({3}, 1)});
    add("div_by_its_square", "operator//2", [](const auto& x) { return x[0] / (x[0] * x[0]); },
        {above({3}, 1)});
    add("pow_of_itself", "pow/2", [](const auto& x) { return pow(x[0], x[0]); }, {above({3}, 1)});
    add("div_near_zero", "operator//2", [](const auto& x) { return x[0] / x[1]; },
        {any({2}, 1), numbers({0.03, -0.05})});
    add("pow_with_exponents_zero_and_one", "pow/2", [](const auto& x) { return pow(x[0], x[1]); },
        {numbers({0.5, 2, 3}), numbers({0, 0, 1})});
    add("pow_near_zero", "pow/2", [](const auto& x) { return pow(x[0], x[1]); },
        {numbers({0.05, 0.1}), numbers({1.5, -0.5})});
    for (double n : {1.0, 2.0, 3.0, -1.0, -2.0})
      add(
          fmt::format("pow_{}{}_of_negative", n < 0 ? "minus_" : "", std::fabs(n)), "pow/2",
          [n](const auto& x) { return pow(x[0], n); }, {numbers({-1.5, 0.8, -0.7})}, n == 1);
    add("maximum_with_a_declared_kink", "maximum/2",
        [](const auto& x) { return maximum(x[0], 0.5); }, {numbers({0.5, 0.7, -1})}, true, {0.5});
    add("minimum_with_a_declared_kink", "minimum/2",
        [](const auto& x) { return minimum(0.5, x[0]); }, {numbers({0.5, 0.7, -1})}, true, {0.5});
  }

  // maximum and minimum: cases in which one operand is never chosen have no power, and are dropped.
  template <class F, class Left, class Right>
  void peaks(const std::string& name, F f, Left left, Right right) {
    const std::size_t first = cases_.size();
    binary(name, name + "/2", f, left, right, true, true, true);
    for (std::size_t k = first; k < cases_.size(); ++k)
      for (std::size_t i = 0; i < cases_[k].inputs.size(); ++i) {
        Tensors moved = cases_[k].inputs;
        moved[i] = moved[i] + 1e-3;
        if (same_bits(cases_[k].value(moved), cases_[k].value(cases_[k].inputs))) {
          cases_.erase(cases_.begin() + static_cast<std::ptrdiff_t>(k--));
          break;
        }
      }
  }

  void reductions() {
    const std::vector<std::tuple<std::string, Shape, Axes>> reduced =
        {{"scalar", {}, {}},
         {"vector", {3}, {}},
         {"last_axis", {2, 3}, {-1}},
         {"first_axis", {2, 3}, {0}},
         {"all_axes", {2, 3}, {}},
         {"middle_axis", {2, 3, 2}, {1}},
         {"outer_axes", {2, 3, 2}, {2, 0}},
         {"extent_1", {1, 3}, {0}},
         {"column", {3, 1}, {0}}};
    for (const auto& [name, shape, reduced_axes] : reduced)
      for (bool keep : {false, true}) {
        const Axes axes = reduced_axes;
        const Tensor<double> x = apart(shape, 7, 1);
        const std::string end = "_" + name + (keep ? "_kept" : "");
        const bool trivial = name == "scalar" || name == "extent_1";
        // clang-format off
        add("sum" + end, "sum/1", [=](const auto& v) { return sum(v[0], axes, keep); }, {x}, true);
        add("mean" + end, "mean/1", [=](const auto& v) { return mean(v[0], axes, keep); }, {x}, true);
        add("max" + end, "max/1", [=](const auto& v) { return max(v[0], axes, keep); }, {x}, true);
        add("logsumexp" + end, "logsumexp/1", [=](const auto& v) { return logsumexp(v[0], axes, keep); }, {x}, trivial);
        add("logsumexp_large" + end, "logsumexp/1", [=](const auto& v) { return logsumexp(v[0], axes, keep); }, {x * 0.2 + 800}, trivial);
        add("logsumexp_very_negative" + end, "logsumexp/1", [=](const auto& v) { return logsumexp(v[0], axes, keep); }, {x * 0.2 - 800}, trivial);
        // clang-format on
      }
    const std::vector<std::tuple<std::string, Shape, Shape>> repeated =
        {{"row", {3}, {2, 3}},
         {"kept_row", {1, 3}, {2, 3}},
         {"column", {2, 1}, {2, 3}},
         {"scalar", {}, {2, 3}},
         {"one_by_one", {1, 1}, {2, 3}},
         {"same", {2, 3}, {2, 3}},
         {"inner", {2, 1, 2}, {3, 2, 3, 2}}};
    for (const auto& [name, small, large] : repeated) {
      // clang-format off
      add("sum_to_" + name, "sum_to/1", [s = small](const auto& v) { return sum_to(v[0], s); }, {gaussian_numbers<double>(large, 3)}, true);
      add("broadcast_to_" + name, "broadcast_to/1", [s = large](const auto& v) { return broadcast_to(v[0], s); }, {gaussian_numbers<double>(small, 3)}, true);
      // clang-format on
    }
  }

  void layouts() {
    const Tensor<double> x23 = gaussian_numbers<double>({2, 3}, 1), x3 = x23.reshape({6});
    const Tensor<double> x232 = gaussian_numbers<double>({2, 3, 2}, 2);
    const Tensor<double> y23 = gaussian_numbers<double>({2, 3}, 3);
    const std::vector<Index> picked = {1, 0, 1, 1}, spread = {3, 0};
    // clang-format off
    add("reshape", "reshape/1", [](const auto& x) { return reshaped(x[0], {3, 2}); }, {x23}, true);
    add("reshape_to_vector", "reshape/1", [](const auto& x) { return reshaped(x[0], {12}); }, {x232}, true);
    add("reshape_to_same", "reshape/1", [](const auto& x) { return reshaped(x[0], {2, 3}); }, {x23}, true);
    add("reshape_scalar", "reshape/1", [](const auto& x) { return reshaped(x[0], {1, 1}); }, {Tensor<double>(1.5)}, true);
    add("transpose", "transpose/1", [](const auto& x) { return transpose(x[0]); }, {x23}, true);
    add("transpose_square", "transpose/1", [](const auto& x) { return transpose(x[0]); }, {gaussian_numbers<double>({3, 3}, 1)}, true);
    add("transpose_row", "transpose/1", [](const auto& x) { return transpose(x[0]); }, {gaussian_numbers<double>({1, 3}, 1)}, true);
    add("gather_rows_repeated", "gather_rows/1", [=](const auto& x) { return gather_rows(x[0], picked); }, {x23}, true);
    add("gather_rows_of_vector", "gather_rows/1", [=](const auto& x) { return gather_rows(x[0], picked); }, {x3}, true);
    add("gather_rows_of_cube", "gather_rows/1", [=](const auto& x) { return gather_rows(x[0], picked); }, {x232}, true);
    add("scatter_add_rows_repeated", "scatter_add_rows/1", [=](const auto& x) { return scatter_add_rows(x[0], picked, 3); }, {gaussian_numbers<double>({4, 2}, 5)}, true);
    add("scatter_add_rows_apart", "scatter_add_rows/1", [=](const auto& x) { return scatter_add_rows(x[0], spread, 5); }, {x232}, true);
    add("concatenate_first_axis", "concatenate/1", [](const auto& x) { return concatenate(x, 0); }, {x23, gaussian_numbers<double>({1, 3}, 4), y23}, true);
    add("concatenate_last_axis", "concatenate/1", [](const auto& x) { return concatenate(x, -1); }, {x23, gaussian_numbers<double>({2, 1}, 4)}, true);
    add("concatenate_middle_axis", "concatenate/1", [](const auto& x) { return concatenate(x, 1); }, {x232, gaussian_numbers<double>({2, 1, 2}, 4)}, true);
    add("concatenate_one", "concatenate/1", [](const auto& x) { return concatenate(x); }, {x23}, true);
    add("concatenate_with_itself", "concatenate/1", [](const auto& x) { return concatenate(std::vector{x[0], x[0] + x[0]}, 1); }, {x23}, true);
    add("concatenate_with_constants", "concatenate/1", [=](const auto& x) { return concatenate(std::decay_t<decltype(x)>{beside(x, y23), x[0], beside(x, y23)}); }, {x23}, true);
    add("slice_first_axis", "slice/1", [](const auto& x) { return slice(x[0], 0, 1, 2); }, {x23}, true);
    add("slice_last_axis", "slice/1", [](const auto& x) { return slice(x[0], -1, 1, 3); }, {x23}, true);
    add("slice_middle_axis", "slice/1", [](const auto& x) { return slice(x[0], 1, 0, 2); }, {x232}, true);
    add("slice_all", "slice/1", [](const auto& x) { return slice(x[0], 0, 0, 6); }, {x3}, true);
    add("pad_first_axis", "pad/1", [](const auto& x) { return pad(x[0], 0, 1, 2); }, {x23}, true);
    add("pad_last_axis", "pad/1", [](const auto& x) { return pad(x[0], -1, 2, 0); }, {x23}, true);
    add("pad_middle_axis", "pad/1", [](const auto& x) { return pad(x[0], 1, 0, 1); }, {x232}, true);
    // clang-format on
  }

  template <class T> static Var<T> reshaped(const Var<T>& x, const Shape& shape) {
    return reshape(x, shape);
  }

  template <class T> static Tensor<T> reshaped(const Tensor<T>& x, const Shape& shape) {
    return x.reshape(shape);
  }

  void products() {
    const std::vector<std::array<Index, 3>> extents = {{2, 3, 4}, {1, 3, 1}, {3, 1, 2},
                                                       {1, 1, 1}, {1, 2, 3}, {3, 2, 1}};
    for (const auto& [m, k, n] : extents) {
      const Tensor<double> a = gaussian_numbers<double>({m, k}, 1);
      const Tensor<double> b = gaussian_numbers<double>({k, n}, 2);
      const std::string end = fmt::format("_{}_{}_{}", m, k, n);
      auto all = [&](const std::string& name, auto f, const Tensor<double>& x,
                     const Tensor<double>& y) {
        const std::string function = name + "/2";
        add(name + end, function, [=](const auto& v) { return f(v[0], v[1]); }, {x, y});
        add(
            name + end + "_constant_b", function,
            [=](const auto& v) { return f(v[0], beside(v, y)); }, {x}, true);
        add(
            name + end + "_constant_a", function,
            [=](const auto& v) { return f(beside(v, x), v[0]); }, {y}, true);
      };
      // clang-format off
      all("matmul", [](const auto& x, const auto& y) { return matmul(x, y); }, a, b);
      all("matmul_tn", [](const auto& x, const auto& y) { return matmul_tn(x, y); }, transpose(a), b);
      all("matmul_nt", [](const auto& x, const auto& y) { return matmul_nt(x, y); }, a, transpose(b));
      // clang-format on
    }
    const Tensor<double> s = gaussian_numbers<double>({3, 3}, 3);
    // clang-format off
    add("matmul_with_itself", "matmul/2", [](const auto& x) { return matmul(x[0], x[0]); }, {s});
    add("matmul_tn_with_itself", "matmul_tn/2", [](const auto& x) { return matmul_tn(x[0], x[0]); }, {s});
    add("matmul_nt_with_itself", "matmul_nt/2", [](const auto& x) { return matmul_nt(x[0], x[0]); }, {s});
    // clang-format on
  }

  void linear_algebra() {
    for (Index n : {1, 2, 4}) {
      const Tensor<double> a = positive_definite(n, 1), l = triangle(n, 2);
      const std::string end = fmt::format("_{}", n);
      // clang-format off
      add("tril" + end, "tril/1", [](const auto& x) { return tril(x[0]); }, {l}, true);
      add("cholesky" + end, "cholesky/1", [](const auto& x) { return cholesky(x[0]); }, {a});
      add("cholesky_of_asymmetric" + end, "cholesky/1", [](const auto& x) { return cholesky(x[0]); }, {a + tril(full<double>({n, n}, 0.3))});
      add("log_determinant" + end, "log_determinant/1", [](const auto& x) { return log_determinant(x[0]); }, {a});
      add("log_determinant_of_asymmetric" + end, "log_determinant/1", [](const auto& x) { return log_determinant(x[0]); }, {a + tril(full<double>({n, n}, 0.3))});
      // clang-format on
      for (const Shape& shape : {Shape{n, 3}, Shape{n, 1}, Shape{n}}) {
        const Tensor<double> b = gaussian_numbers<double>(shape, 3);
        auto all = [&](const std::string& name, const std::string& operands, auto f,
                       const Tensor<double>& m) {
          const std::string shown = name + end + (shape.rank() == 1 ? "_vector" : "_matrix_") +
                                    (shape.rank() == 1 ? "" : std::to_string(shape[1]));
          const std::string function = name + operands;
          add(shown, function, [=](const auto& v) { return f(v[0], v[1]); }, {m, b});
          add(shown + "_constant_b", function, [=](const auto& v) { return f(v[0], beside(v, b)); },
              {m});
          add(
              shown + "_constant_matrix", function,
              [=](const auto& v) { return f(beside(v, m), v[0]); }, {b}, true);
        };
        // clang-format off
        all("solve_lower", "/2", [](const auto& x, const auto& y) { return solve_lower(x, y); }, l);
        all("solve_lower_transposed", "/2", [](const auto& x, const auto& y) { return solve_lower_transposed(x, y); }, l);
        all("solve_spd", "/2", [](const auto& x, const auto& y) { return solve_spd(x, y); }, a);
        // clang-format on
      }
    }
    add("solve_lower_with_its_product", "solve_lower/2",
        [](const auto& x) { return solve_lower(x[0], matmul_nt(x[0], x[0])); }, {triangle(3, 5)});
  }

  std::vector<Case> cases_;
};

class Operation : public ::testing::TestWithParam<Case> {};

constexpr double kFloatTolerance = 64 * 0x1p-24;  // relative: 64 roundings, 4e-6

TEST_P(Operation, HasTheValueOfTheFunctionOfTensors) {
  const Case& c = GetParam();
  const Tensor<double> expected = c.value(c.inputs);
  EXPECT_LE(distance(c.f({c.inputs.begin(), c.inputs.end()}).value(), expected),
            4e-16 * max(abs(expected)).item());
}

TEST_P(Operation, HasTheGradientThatDifferencesShow) {
  const Case& c = GetParam();
  const GradcheckReport report =
      gradcheck(c.f, c.inputs, {.second_order = !c.linear, .kinks = c.kinks});
  EXPECT_TRUE(report) << report;
}

// With its square added, even a linear function has a second derivative, which takes dz through its
// rules.
TEST_P(Operation, HasTheSecondDerivativeThatDifferencesShow) {
  const Case& c = GetParam();
  const GradcheckReport report =
      gradcheck([&](const Vars& x) { return c.f(x) + square(c.f(x)); }, c.inputs,
                {.second_order = true, .tolerance = 2e-6, .kinks = c.kinks});
  EXPECT_TRUE(report) << report;
}

INSTANTIATE_TEST_SUITE_P(Registry, Operation, ::testing::ValuesIn(Registry::cases()),
                         [](const auto& info) { return info.param.name; });

// What the same function gives in float: its value, and its gradient with a random cotangent.
// Rounding an input moves the result by that input's size times the derivative, so the largest
// element stands for the condition of the problem.
TEST_P(Operation, InFloatAgreesWithDouble) {
  const Case& c = GetParam();
  Tensors rounded;  // to numbers that float has too
  double size = 1;
  for (const Tensor<double>& x : c.inputs) {
    rounded.push_back(cast<double>(cast<float>(x)));
    if (!x.empty()) size = std::max(size, max(abs(x)).item());
  }
  Tensor<double> cotangent;
  auto gradients = [&]<class T>(T, const auto& f) {
    Tape<T> tape;
    std::vector<Var<T>> leaves;
    for (const Tensor<double>& x : rounded) leaves.push_back(tape.leaf(cast<T>(x)));
    const Var<T> z = f(leaves);
    if (cotangent.empty()) cotangent = gaussian_numbers<double>(z.shape(), 99);
    std::vector<Tensor<double>> all = {cast<double>(z.value())};
    for (const Var<T>& dx : gradient(sum(z * cast<T>(cotangent)), leaves))
      all.push_back(cast<double>(dx.value()));
    return all;
  };
  const auto exact = gradients(double(), c.f), got = gradients(float(), c.in_float);
  for (std::size_t k = 0; k < exact.size(); ++k) {
    const double scale = max(abs(exact[k])).item();
    EXPECT_LE(distance(got[k], exact[k]), kFloatTolerance * size * scale)
        << (k == 0 ? "value" : "gradient of input " + std::to_string(k - 1));
  }
}

Tensor<double> with_largest_element_changed(Tensor<double> dx) {
  double* d = dx.mutable_data();
  double* largest = std::max_element(d, d + dx.size(), [](double a, double b) {
    return std::fabs(a) < std::fabs(b);
  });
  *largest *= 1.001;
  return dx;
}

// Ways in which a rule can be wrong: from the right gradient to the wrong one.
struct Fault {
  const char* name;
  std::function<Tensor<double>(const Tensor<double>& dx)> change;
};

const std::vector<Fault> kFaults =
    {{"scaled by 1.001", [](const Tensor<double>& dx) { return dx * 1.001; }},
     {"of the wrong sign", [](const Tensor<double>& dx) { return -dx; }},
     {"zero", [](const Tensor<double>& dx) { return dx * 0; }},
     {"off by 0.1 % in its largest element", with_largest_element_changed}};

// x repeated to a shape, with a rule that keeps one of the copies' gradients and forgets the sum.
Var<double> without_broadcast_sum(const Var<double>& x, const Shape& shape) {
  return record("forgetful", broadcast_to(x.value(), shape),
                wrt(x, [s = x.shape(), shape](const Var<double>& dz) -> Var<double> {
                  Tensor<double> dx = dz.value();
                  const int extra = shape.rank() - s.rank();
                  for (int k = 0; k < shape.rank(); ++k)
                    if (k < extra || s[k - extra] == 1) dx = slice(dx, k, 0, 1);
                  return dx.reshape(s);
                }));
}

// f of two inputs, whose rules take each operand for the other: dx(y, x) for dx(x, y).
Var<double> with_operands_swapped(const Case& c, const Vars& x) {
  auto rule = [&c, x](std::size_t k) {
    return [&c, x, k](const Var<double>& dz) -> Var<double> {
      Tape<double> tape;
      const Vars swapped = {tape.leaf(x[1].value()), tape.leaf(x[0].value())};
      return gradient(sum(c.f(swapped) * dz.value()), swapped)[k].value();
    };
  };
  return record("swapped", c.value({x[0].value(), x[1].value()}), wrt(x[0], rule(0)),
                wrt(x[1], rule(1)));
}

// The gradients, with a fixed cotangent, of the inputs of f.
Tensors gradients_of(const GradcheckFunction& f, const Tensors& inputs) {
  Tape<double> tape;
  Vars leaves;
  for (const Tensor<double>& x : inputs) leaves.push_back(tape.leaf(x));
  const Var<double> z = f(leaves);
  Tensors all;
  for (const Var<double>& dx : gradient(sum(z * gaussian_numbers<double>(z.shape(), 99)), leaves))
    all.push_back(dx.value());
  return all;
}

// Every rule of every operation, at every registered case, in every way that is possible there. A
// rule is replaced from outside, by a node in front of its input, so the tape knows nothing of it.
TEST(OperationRegistry, EveryRuleBrokenInEveryWayIsCaught) {
  int tried = 0, caught = 0;
  for (const Case& c : Registry::cases()) {
    auto expect_caught = [&](const GradcheckFunction& broken, const std::string& how) {
      const bool noticed = !gradcheck(broken, c.inputs, {.kinks = c.kinks});
      ++tried, caught += noticed;
      EXPECT_TRUE(noticed) << c.name << ": " << how;
    };
    for (std::size_t k = 0; k < c.inputs.size(); ++k) {
      const std::string input = "the rule of input " + std::to_string(k);
      for (const Fault& fault : kFaults) {
        if (fault.change.target_type() == typeid(&with_largest_element_changed) && !c.kinks.empty())
          continue;  // the largest element may be in a kink, where nothing is compared
        expect_caught(
            [&](Vars x) {
              x[k] = test::faulty(x[k], fault.change);
              return c.f(x);
            },
            input + ", " + fault.name);
      }
      const Shape shape = c.value(c.inputs).shape();
      if (c.broadcasts && shape.size() != c.inputs[k].size())
        expect_caught(
            [&](Vars x) {
              x[k] = without_broadcast_sum(x[k], shape);
              return c.f(x);
            },
            input + ", without the sum over what was broadcast");
    }
    if (c.inputs.size() != 2 || c.inputs[0].shape() != c.inputs[1].shape()) continue;
    auto swapped = [&](const Vars& x) { return with_operands_swapped(c, x); };
    const Tensors right = gradients_of(c.f, c.inputs), wrong = gradients_of(swapped, c.inputs);
    if (distance(right[0], wrong[0]) + distance(right[1], wrong[1]) > 1e-3)  // else no mistake
      expect_caught(swapped, "its operands swapped");
  }
  const std::string line = fmt::format("{} of {} broken gradients caught", caught, tried);
  fmt::print("{}\n", line);
  EXPECT_THAT(test::read_bytes(std::filesystem::path(GRADUS_SOURCE_DIR) / "README.md"),
              ::testing::HasSubstr(line))
      << "the README tells another score";
}

// A header's text with its macros of one parameter, called f, replaced by what they stand for.
std::string expanded(std::string header) {
  static const std::regex macro(R"(#define (\w+)\(f\)((?:\\\n|.)*)\n)");
  static const std::regex parameter(R"(\bf\b)"), undefinition(R"(#undef.*)");
  header = std::regex_replace(header, undefinition, "");
  for (std::smatch m; std::regex_search(header, m, macro);) {
    const std::string name = m[1], body = m[2];
    header = m.prefix().str() + m.suffix().str();
    const std::regex use(name + R"(\(([^()]+)\))");
    for (std::smatch u; std::regex_search(header, u, use);)
      header = u.prefix().str() + std::regex_replace(body, parameter, u[1].str()) + "\n" +
               u.suffix().str();
  }
  return header;
}

// The functions that a header declares, as "name/number of tensor operands".
std::set<std::string> declared_functions(const std::string& header) {
  static const std::regex declaration(
      R"(template <class T>\s+Var<T>\s+(operator\W{1,2}|\w+)\(([^;]*?)\)\s*[;{])");
  static const std::regex operand("Var<T>");
  const std::string text = expanded(header);
  std::set<std::string> result;
  for (std::sregex_iterator m(text.begin(), text.end(), declaration), end; m != end; ++m) {
    const std::string parameters = (*m)[2];
    result.insert(fmt::format("{}/{}", (*m)[1].str(),
                              std::distance(std::sregex_iterator(parameters.begin(),
                                                                 parameters.end(), operand),
                                            end)));
  }
  return result;
}

TEST(OperationRegistry, HasEveryFunctionThatTheHeaderDeclares) {
  const std::string header =
      test::read_bytes(std::filesystem::path(GRADUS_SOURCE_DIR) / "autograd/operations.hpp");
  std::set<std::string> declared = declared_functions(header);
  ASSERT_TRUE(declared.erase("stop_gradient/1")) << "it has no gradient, and a test of its own";
  std::set<std::string> checked;
  for (const Case& c : Registry::cases()) checked.insert(c.function);
  EXPECT_EQ(declared, checked);
}

TEST(OperationRegistry, SeesAnOperationHoweverItIsDeclared) {
  EXPECT_EQ(declared_functions(
                "template <class T>\nVar<T> conv(const Var<T>& image,\n            "
                "const Var<T>& kernel, int stride = 1);\n"
                "template <class T> Var<T> stack(const std::vector<Var<T>>& xs);\n"
                "template <class T> Var<T> consume(Var<T> x, const Shape& shape);\n"
                "#define TWO(f) \\\n  template <class T> Var<T> f(const Var<T>& x, \\\n"
                "  const Var<T>& y);\nTWO(operator%) TWO(atan2)  // and so on\n#undef TWO"),
            (std::set<std::string>{"conv/2", "stack/1", "consume/1", "operator%/2", "atan2/2"}));
}

// Derivatives where differences say nothing, against the formula in long double. They are right to
// rounding of the largest that the function has, which is 1 for those that saturate.
TEST(Derivatives, AreRightFarOut) {
  struct Function {
    const char* name;
    Unary f;
    long double (*derivative)(long double);
    std::vector<double> at;
  };

  const std::vector<Function> functions =
      {{"exp", exp<double>, [](long double x) { return expl(x); }, {-700, -40, 1e-12, 40, 700}},
       {"expm1", expm1<double>, [](long double x) { return expl(x); }, {-1e-12, 40, 700}},
       {"log", log<double>, [](long double x) { return 1 / x; }, {1e-300, 1e-10, 1e10, 1e300}},
       {"log1p", log1p<double>, [](long double x) { return 1 / (1 + x); }, {-0.75, 1e-20, 1e300}},
       {"sqrt", sqrt<double>, [](long double x) { return 0.5L / sqrtl(x); }, {1e-300, 1e300}},
       {"square", square<double>, [](long double x) { return 2 * x; }, {-1e150, 1e-300, 1e150}},
       {"tanh",
        tanh<double>,
        [](long double x) { return 1 / (coshl(x) * coshl(x)); },
        {-800, -20, -1e-10, 3, 20, 800}},
       {"sigmoid",
        sigmoid<double>,
        [](long double x) { return 1 / ((1 + expl(-x)) * (1 + expl(x))); },
        {-700, -40, 1e-10, 40, 700}},
       {"softplus",
        softplus<double>,
        [](long double x) { return 1 / (1 + expl(-x)); },
        {-700, -40, 1e-10, 40, 700}}};
  for (const Function& function : functions)
    for (double at : function.at) {
      Tape<double> tape;
      const Var<double> x = tape.leaf(at);
      const double got = gradient(function.f(x), {x})[0].item();
      const long double exact = function.derivative(at);
      const long double unit =
          std::string(function.name) == "tanh" || std::string(function.name) == "sigmoid"
              ? std::max(1.0L, fabsl(exact))
              : fabsl(exact);
      EXPECT_LE(fabsl(got - exact), 1e-15L * unit) << function.name << " at " << at;
    }
}

TEST(Derivatives, AreZeroInTheKinksOfAbsAndRelu) {
  for (Unary f : std::vector<Unary>{abs, relu}) {
    Tape<double> tape;
    const Var<double> x = tape.leaf(0.0);
    EXPECT_EQ(gradient(f(x), {x})[0].item(), 0);
  }
}

TEST(Derivatives, AreSharedBetweenEqualsByMaximumMinimumAndMax) {
  for (Binary f : std::vector<Binary>{maximum, minimum}) {
    Tape<double> tape;
    const Var<double> x = tape.leaf(numbers({1, 2, 3})), y = tape.leaf(numbers({2, 2, 2}));
    const Vars g = gradient(sum(f(x, y)), {x, y});
    EXPECT_EQ(g[0].value()(1), 0.5);
    EXPECT_EQ(g[1].value()(1), 0.5);
    EXPECT_EQ((g[0].value() + g[1].value()).to_vector(), (std::vector<double>{1, 1, 1}));
  }
  Tape<double> tape;
  const Var<double> x = tape.leaf(Tensor<double>({2, 3}, {5, 1, 5, 2, 3, 0}));
  EXPECT_EQ(gradient(sum(max(x, {1})), {x})[0].value().to_vector(),
            (std::vector<double>{0.5, 0, 0.5, 0, 1, 0}));
}

// Every derivative of x^n of a higher order than n is 0, also at 0, where x^-1 is infinite.
TEST(Derivatives, OfPowersAreThoseOfThePolynomialAlsoAtZero) {
  for (int n = 0; n <= 4; ++n) {
    Tape<double> tape;
    const Var<double> x = tape.leaf(numbers({0, -2}));
    Var<double> y = pow(x, n);
    double factor = 1;
    for (int order = 1; order <= n + 1; ++order) {
      y = gradient(sum(y), {x}, {.create_graph = true})[0];
      factor *= n - order + 1;
      EXPECT_EQ(y.value()(0), order == n ? factor : 0) << order << ". derivative of x^" << n;
      EXPECT_EQ(y.value()(1), factor == 0 ? 0 : factor * std::pow(-2.0, n - order));
    }
  }
}

TEST(StopGradient, GivesTheValueAndNoGradient) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(numbers({2, 3}));
  const Var<double> y = x * stop_gradient(square(x));
  EXPECT_EQ(y.value().to_vector(), (std::vector<double>{8, 27}));
  EXPECT_EQ(gradient(sum(y), {x})[0].value().to_vector(), (std::vector<double>{4, 9}));
  EXPECT_EQ(stop_gradient(x).node(), -1);
}

TEST(Constants, OfEveryKindTakePartOnEitherSide) {
  const Tensor<double> t = numbers({4, 5});
  Tape<double> tape;
  const Var<double> x = tape.leaf(numbers({2, 3}));
  Parameter<double> p("p", numbers({6, 7}));
  EXPECT_EQ((x + t).value().to_vector(), (std::vector<double>{6, 8}));
  EXPECT_EQ((t - x).value().to_vector(), (std::vector<double>{2, 2}));
  EXPECT_EQ((2 * x).value().to_vector(), (std::vector<double>{4, 6}));
  EXPECT_EQ((x / 2).value().to_vector(), (std::vector<double>{1, 1.5}));
  EXPECT_EQ((1.0f - x).value().to_vector(), (std::vector<double>{-1, -2}));
  EXPECT_EQ((p - x).value().to_vector(), (std::vector<double>{4, 4}));
  EXPECT_EQ((t * p).value().to_vector(), (std::vector<double>{24, 35}));
  EXPECT_EQ(pow(2, x).value().to_vector(), (std::vector<double>{4, 8}));
  EXPECT_EQ(maximum(x, 2.5).value().to_vector(), (std::vector<double>{2.5, 3}));
}

TEST(Operations, AreErrorsThatNameBothShapesWhereTheseDoNotFit) {
  Tape<double> tape;
  const Var<double> a = tape.leaf(Tensor<double>({2, 3})), b = tape.leaf(Tensor<double>({4}));
  EXPECT_THAT(test::error_of([&] { return a + b; }),
              ::testing::AllOf(::testing::HasSubstr("(2, 3)"), ::testing::HasSubstr("(4)")));
  EXPECT_THAT(test::error_of([&] { return matmul(a, a); }),
              ::testing::HasSubstr("matmul: (2, 3) x (2, 3)"));
  EXPECT_EQ(tape.size(), 2) << "what failed is not recorded";
}

// The same in float, whose functions are other code: it agrees with double to float's rounding.
TEST(FloatGradients, AgreeWithThoseOfDouble) {
  const Tensor<double> x = gaussian_numbers<double>({4, 5}, 1),
                       w = gaussian_numbers<double>({3, 5}, 2);
  auto gradients = [&]<class T>(T) {
    Tape<T> tape;
    const Var<T> a = tape.leaf(cast<T>(x)), b = tape.leaf(cast<T>(w));
    const Var<T> h = tanh(matmul_nt(a, b)) + sigmoid(matmul_nt(exp(a * 0.3), softplus(b)));
    const Var<T> y = mean(logsumexp(h, {1}) + log1p(expm1(square(sum(h, {1}) * 0.1))));
    std::vector<Tensor<double>> result;
    for (const Var<T>& g : gradient(y, {a, b})) result.push_back(cast<double>(g.value()));
    return result;
  };
  const auto in_float = gradients(0.0f), in_double = gradients(0.0);
  for (std::size_t k = 0; k < 2; ++k)
    EXPECT_LE(distance(in_float[k], in_double[k]), 1e-5 * max(abs(in_double[k])).item());
}

}  // namespace
}  // namespace gradus
