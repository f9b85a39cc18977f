#include "autograd/operations.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "tensor/map.hpp"
#include "tests/autograd/registry.hpp"

namespace gradus {
namespace {

using test::Case;
using test::distance;
using test::error_of;
using test::gaussian_numbers;
using test::numbers;
using test::registry;
using test::Tensors;
using test::Vars;

using Unary = Var<double> (*)(const Var<double>&);
using Binary = Var<double> (*)(const Var<double>&, const Var<double>&);

class Operation : public ::testing::TestWithParam<Case> {};

constexpr double kFloatTolerance = 64 * 0x1p-24;  // relative: 64 roundings, 4e-6

TEST_P(Operation, HasTheValueOfTheFunctionOfTensors) {
  const Case& c = GetParam();
  const Tensor<double> expected = c.f.of_tensors(c.inputs);
  EXPECT_LE(distance(c.f.of_vars({c.inputs.begin(), c.inputs.end()}).value(), expected),
            4e-16 * max(abs(expected)).item());
}

TEST_P(Operation, HasTheGradientThatDifferencesShow) {
  const Case& c = GetParam();
  const GradcheckReport report =
      gradcheck(c.f.of_vars, c.inputs, {.second_order = !c.linear, .kinks = c.kinks});
  EXPECT_TRUE(report) << report;
}

// With its square added, even a linear function has a second derivative, which takes dz through its
// rules.
TEST_P(Operation, HasTheSecondDerivativeThatDifferencesShow) {
  const Case& c = GetParam();
  const GradcheckReport report =
      gradcheck([&](const Vars& x) { return c.f.of_vars(x) + square(c.f.of_vars(x)); }, c.inputs,
                {.second_order = true, .tolerance = 2e-6, .kinks = c.kinks});
  EXPECT_TRUE(report) << report;
}

INSTANTIATE_TEST_SUITE_P(Registry, Operation, ::testing::ValuesIn(registry()),
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
  const auto exact = gradients(double(), c.f.of_vars), got = gradients(float(), c.f.of_floats);
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
  bool in_one_element = false;  // which may be in a kink, where nothing is compared
};

const std::vector<Fault> kFaults = {{"scaled by 1.001",
                                     [](const Tensor<double>& dx) { return dx * 1.001; }},
                                    {"of the wrong sign",
                                     [](const Tensor<double>& dx) { return -dx; }},
                                    {"zero", [](const Tensor<double>& dx) { return dx * 0; }},
                                    {"off by 0.1 % in its largest element",
                                     with_largest_element_changed, /*in_one_element=*/true}};

// x repeated to a shape, with a rule that keeps one of the copies' gradients and forgets the sum.
Var<double> without_broadcast_sum(const Var<double>& x, const Shape& shape) {
  Var<double> z = record<"test: forgetful">(broadcast_to(x.value(), shape), x);
  add_rule(z, x, [s = x.shape(), shape](const Var<double>& dz) -> Var<double> {
    Tensor<double> dx = dz.value();
    const int extra = shape.rank() - s.rank();
    for (int k = 0; k < shape.rank(); ++k)
      if (k < extra || s[k - extra] == 1) dx = slice(dx, k, 0, 1);
    return dx.reshape(s);
  });
  return z;
}

// f of two inputs, whose rules take each operand for the other: dx(y, x) for dx(x, y).
Var<double> with_operands_swapped(const Case& c, const Vars& x) {
  auto rule = [&c, x](std::size_t k) {
    return [&c, x, k](const Var<double>& dz) -> Var<double> {
      Tape<double> tape;
      const Vars swapped = {tape.leaf(x[1].value()), tape.leaf(x[0].value())};
      return gradient(sum(c.f.of_vars(swapped) * dz.value()), swapped)[k].value();
    };
  };
  Var<double> z = record<"test: swapped">(c.f.of_tensors({x[0].value(), x[1].value()}), x);
  add_rule(z, x[0], rule(0));
  add_rule(z, x[1], rule(1));
  return z;
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
  for (const Case& c : registry()) {
    auto expect_caught = [&](const GradcheckFunction& broken, const std::string& how) {
      const bool noticed = !gradcheck(broken, c.inputs, {.kinks = c.kinks});
      ++tried;
      caught += noticed;
      EXPECT_TRUE(noticed) << c.name << ": " << how;
    };
    for (std::size_t k = 0; k < c.inputs.size(); ++k) {
      const std::string input = "the rule of input " + std::to_string(k);
      for (const Fault& fault : kFaults) {
        if (fault.in_one_element && !c.kinks.empty()) continue;
        expect_caught(
            [&](Vars x) {
              x[k] = test::faulty(x[k], fault.change);
              return c.f.of_vars(x);
            },
            input + ", " + fault.name);
      }
      const Shape shape = c.f.of_tensors(c.inputs).shape();
      if (c.broadcasts && shape.size() != c.inputs[k].size())
        expect_caught(
            [&](Vars x) {
              x[k] = without_broadcast_sum(x[k], shape);
              return c.f.of_vars(x);
            },
            input + ", without the sum over what was broadcast");
    }
    if (c.inputs.size() != 2 || c.inputs[0].shape() != c.inputs[1].shape()) continue;
    auto swapped = [&](const Vars& x) { return with_operands_swapped(c, x); };
    const Tensors right = gradients_of(c.f.of_vars, c.inputs),
                  wrong = gradients_of(swapped, c.inputs);
    if (distance(right[0], wrong[0]) + distance(right[1], wrong[1]) > 1e-3)  // else no mistake
      expect_caught(swapped, "its operands swapped");
  }
  fmt::print("{} of {} broken gradients caught\n", caught, tried);
}

// The operations of which the cases take every rule: each input needs a gradient in one of them.
std::set<std::string> operations_checked_by(const std::vector<Case>& cases) {
  std::set<std::string> names;
  for (const Case& c : cases) {
    Tape<double> tape;
    Vars leaves;
    for (const Tensor<double>& x : c.inputs) leaves.push_back(tape.leaf(x));
    c.f.of_vars(leaves);
    for (const test::TableRow& row : test::rows_of(tape))
      if (row.constants == 0) names.insert(row.operation);
  }
  return names;
}

// Every operation that this program contains is among those that are checked above, but for those
// that the tests themselves define.
TEST(OperationRegistry, HasEveryRuleOfEveryOperation) {
  std::set<std::string> unchecked;
  const std::set<std::string> checked = operations_checked_by(registry());
  for (const std::string& name : operation_names())
    if (!checked.contains(name) && !name.starts_with("test: ")) unchecked.insert(name);
  EXPECT_EQ(unchecked, std::set<std::string>()) << "give them cases in tests/autograd/*_cases.cpp";
}

TEST(OperationRegistry, DoesNotTakeAConstantInputForAChecked) {
  const Case c = {.name = "mul_by_constant",
                  .f = [](const auto& x) { return x[0] * 2.0; },
                  .inputs = {numbers({1, 2})}};
  EXPECT_EQ(operations_checked_by({c}), (std::set<std::string>{"leaf"}));
}

TEST(OperationRegistry, KnowsAnOperationBeforeItIsUsed) {
  const auto never_called = [](const Var<double>& x) {
    return record<"test: never called">(x.value(), x);
  };
  static_cast<void>(never_called);
  EXPECT_TRUE(operation_names().contains("test: never called"));
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
       {"expm1",
        expm1<double>,
        [](long double x) { return expl(x); },
        {-700, -40, -10, -1e-12, 40, 700}},
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

template <class T> T slope(Var<T> (*f)(const Var<T>&), T at) {
  Tape<T> tape;
  const Var<T> x = tape.leaf(at);
  return gradient(f(x), {x})[0].item();
}

TEST(Derivatives, AreRightFarOutInFloatToo) {
  for (float x : {-80.0f, -40.0f, -10.0f, -3.0f, -1e-6f, 1e-6f, 3.0f, 80.0f}) {
    const long double e = expl(x);
    EXPECT_LE(test::ulps(slope(exp<float>, x), e), 4) << x;
    EXPECT_LE(test::ulps(slope(expm1<float>, x), e), 4) << x;
    EXPECT_LE(test::ulps(slope(softplus<float>, x), e / (1 + e)), 4) << x;
  }
}

// 1 - z^2 and z (1 - z) end where z is rounded to 1.
TEST(Derivatives, OfSaturatingFunctionsEndWhereTheContractSays) {
  EXPECT_GT(slope(sigmoid<float>, 16.0f), 0);
  EXPECT_EQ(slope(sigmoid<float>, 17.0f), 0);
  EXPECT_GT(slope(sigmoid<double>, 36.0), 0);
  EXPECT_EQ(slope(sigmoid<double>, 37.0), 0);
  for (int sign : {-1, 1}) {
    EXPECT_GT(slope(tanh<float>, sign * 8.0f), 0);
    EXPECT_EQ(slope(tanh<float>, sign * 9.0f), 0);
    EXPECT_GT(slope(tanh<double>, sign * 18.0), 0);
    EXPECT_EQ(slope(tanh<double>, sign * 19.1), 0);
  }
  for (double x : {-700.0, -40.0, -5.0})  // on this side sigmoid keeps its digits
    EXPECT_LE(test::ulps(slope(sigmoid<double>, x), expl(x) / powl(1 + expl(x), 2)), 4) << x;
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

// Every derivative of x^n of a higher order than n is 0, also at 0 and so near it that x^-1 is
// infinite.
TEST(Derivatives, OfPowersAreThoseOfThePolynomialAlsoAtZero) {
  for (int n = 0; n <= 4; ++n) {
    Tape<double> tape;
    const Var<double> x = tape.leaf(numbers({0, -2, 1e-310, -1e-310}));
    Var<double> y = pow(x, n);
    double factor = 1;
    for (int order = 1; order <= n + 1; ++order) {
      y = gradient(sum(y), {x}, {.create_graph = true})[0];
      factor *= n - order + 1;
      for (Index i = 0; i < 4; ++i) {
        const double exact = factor == 0 ? 0 : factor * std::pow(x.value()(i), n - order);
        EXPECT_EQ(y.value()(i), exact) << order << ". derivative of x^" << n << " at " << i;
      }
    }
  }
}

// dx = y x^(y-1) and dy = x^y ln x where y = 0.
TEST(Derivatives, OfTheZerothPowerAreZeroAndTheLogarithm) {
  const std::vector<double> at = {1e-320, 1e-310, 1e-308, 1, 1e308, INFINITY};
  Tape<double> tape;
  const Var<double> x = tape.leaf(numbers(at));
  const Var<double> y = tape.leaf(Tensor<double>({std::ssize(at)}));
  const Vars slopes = gradient(sum(pow(x, y)), {x, y});
  EXPECT_EQ(slopes[0].value().to_vector(), std::vector<double>(at.size()));
  for (Index i = 0; i < std::ssize(at); ++i) EXPECT_EQ(slopes[1].value()(i), std::log(at[i]));
  const auto power = [](const Var<float>& v) { return pow(v, 0); };
  EXPECT_EQ(slope<float>(power, 1e-44f), 0);
}

TEST(Softmax, IsPositiveSumsToOneAndDoesNotOverflow) {
  const Tensor<double> x({3, 3}, {1, 2, 3, 1000, 0, -1000, -1000, -1000, -1000});
  const Tensor<double> p = softmax(Var<double>(x)).value(),
                       log_p = log_softmax(Var<double>(x)).value();
  for (Index n = 0; n < 3; ++n) EXPECT_NEAR(p(n, 0) + p(n, 1) + p(n, 2), 1, 2e-13);  // 1000 eps
  EXPECT_NEAR(p(0, 2), 1 / (1 + std::exp(-1.0) + std::exp(-2.0)), 1e-15);
  EXPECT_EQ(p(1, 0), 1);
  EXPECT_EQ(log_p(1, 2), -2000);
  EXPECT_NEAR(log_p(2, 0), -std::log(3.0), 1e-12);
}

TEST(Mean, OfLargeNumbersIsFinite) {
  Tape<float> tape;
  const Var<float> x = tape.leaf(full<float>({2, 2}, 3e38f));
  const Var<float> y = mean(x);
  EXPECT_EQ(y.item(), 3e38f);
  EXPECT_EQ(gradient(y, {x})[0].value().to_vector(), std::vector<float>(4, 0.25f));
}

template <class T> void expect_near(const Tensor<T>& got, const std::vector<double>& expected) {
  ASSERT_EQ(got.size(), std::ssize(expected));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double at = got.data()[i];
    if (std::isinf(expected[i]))
      EXPECT_EQ(at, expected[i]) << i;
    else
      EXPECT_LE(std::fabs(at - expected[i]), 4 * std::numeric_limits<T>::epsilon()) << i;
  }
}

// The numbers that softmax and its relatives give for a row x, and their gradients.
template <class T> struct SoftmaxOf {
  Tensor<T> p, log_p;
  Tensor<T> slope;      // of logsumexp
  Tensor<T> log_slope;  // of ln p_0

  explicit SoftmaxOf(const std::vector<T>& row) {
    Tape<T> tape;
    const Var<T> x = tape.leaf(Tensor<T>({std::ssize(row)}, row));
    const Var<T> log_softmax_x = log_softmax(x);
    p = softmax(x).value();
    log_p = log_softmax_x.value();
    slope = gradient(logsumexp(x), {x})[0].value();
    log_slope = gradient(sum(slice(log_softmax_x, 0, 0, 1)), {x})[0].value();
  }
};

// Of x + c for any c they are those of x, as long as x + c is exact.
template <class T> void expect_softmax_not_to_cancel() {
  for (double c : {0.0, 1e4, 1e6, -1e6, 0x1p23, 0x1p25}) {
    const double step = c > 0x1p24 ? 4 : 1;  // by which floats are apart at 2^25
    const T shift = static_cast<T>(c);
    const SoftmaxOf<T> of({shift, shift, static_cast<T>(c - step)});
    const double total = 2 + std::exp(-step);
    const double top = 1 / total;
    const double rest = std::exp(-step) / total;
    SCOPED_TRACE(c);
    expect_near(of.p, {top, top, rest});
    expect_near(of.log_p, {std::log(top), std::log(top), std::log(rest)});
    expect_near(of.slope, {top, top, rest});
    expect_near(of.log_slope, {1 - top, -top, -rest});
  }
}

TEST(Softmax, DoesNotCancelAtLargeArguments) {
  expect_softmax_not_to_cancel<float>();
  expect_softmax_not_to_cancel<double>();
}

// An infinite number is larger than all others by an infinity: it has all of the probability, and
// several share it. Minus infinity has none.
TEST(Softmax, KnowsInfinities) {
  constexpr double kInf = INFINITY;
  const double ln2 = std::log(2.0);
  const SoftmaxOf<double> certain({0, kInf});
  expect_near(certain.p, {0, 1});
  expect_near(certain.log_p, {-kInf, 0});
  expect_near(certain.slope, {0, 1});
  expect_near(certain.log_slope, {1, -1});

  const SoftmaxOf<double> shared({kInf, 1000, kInf, -kInf});
  expect_near(shared.p, {0.5, 0, 0.5, 0});
  expect_near(shared.log_p, {-ln2, -kInf, -ln2, -kInf});
  expect_near(shared.slope, {0.5, 0, 0.5, 0});
  expect_near(shared.log_slope, {0.5, 0, -0.5, 0});

  const SoftmaxOf<double> ruled_out({0, 0, -kInf});
  expect_near(ruled_out.p, {0.5, 0.5, 0});
  expect_near(ruled_out.log_p, {-ln2, -ln2, -kInf});
  expect_near(ruled_out.slope, {0.5, 0.5, 0});
  expect_near(ruled_out.log_slope, {0.5, -0.5, 0});
}

// By convention: of numbers that are all minus infinity none has any probability.
TEST(Softmax, OfNothingButMinusInfinityIsZero) {
  constexpr double kInf = INFINITY;
  const SoftmaxOf<double> of({-kInf, -kInf});
  expect_near(of.p, {0, 0});
  expect_near(of.log_p, {-kInf, -kInf});
  expect_near(of.slope, {0, 0});
  expect_near(of.log_slope, {1, 0});
}

TEST(Softmax, OfANaNIsNaNInItsOwnRowOnly) {
  const Tensor<double> x({2, 2}, {0, NAN, 0, 0});
  for (const Tensor<double>& y :
       {softmax(Var<double>(x)).value(), log_softmax(Var<double>(x)).value()}) {
    EXPECT_TRUE(std::isnan(y(0, 0)) && std::isnan(y(0, 1)));
    EXPECT_TRUE(std::isfinite(y(1, 0)) && std::isfinite(y(1, 1)));
  }
}

TEST(Softmax, RunsAlongTheAxisThatIsAskedFor) {
  const Tensor<double> x = gaussian_numbers<double>({3, 4}, 1);
  const Tensor<double> columns = softmax(Var<double>(x), 0).value();
  const Tensor<double> rows = transpose(softmax(Var<double>(transpose(x)), 1).value());
  EXPECT_LE(distance(columns, rows), 1e-15);
}

TEST(StopGradient, GivesTheValueAndNoGradient) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(numbers({2, 3}));
  const Var<double> y = x * stop_gradient(square(x));
  EXPECT_EQ(y.value().to_vector(), (std::vector<double>{8, 27}));
  EXPECT_EQ(gradient(sum(y), {x})[0].value().to_vector(), (std::vector<double>{4, 9}));
  EXPECT_EQ(stop_gradient(x).node(), -1);
}

// x + (rounded - x) would be rounded.
TEST(StraightThrough, GivesTheRoundedValueToTheBit) {
  const Tensor<float> x({4}, {1e8f, -0.3f, 1.7f, 0});
  const Tensor<float> rounded({4}, {1.0f / 3, -1e-7f, 2, 5});
  EXPECT_EQ(straight_through<float>(x, rounded).value().to_vector(), rounded.to_vector());
}

// d/dx of w e^2 at the rounded e is 2 w e, as if e had been the input.
TEST(StraightThrough, HandsTheGradientOnAsItIs) {
  const Tensor<double> w = gaussian_numbers<double>({2, 3}, 1);
  const Tensor<double> rounded = gaussian_numbers<double>({2, 3}, 2);
  Tape<double> tape;
  const Var<double> x = tape.leaf(gaussian_numbers<double>({2, 3}, 3));
  const Var<double> y = sum(w * square(straight_through(x, rounded)));
  EXPECT_LE(distance(gradient(y, {x})[0].value(), 2.0 * w * rounded), 1e-15);
}

// It is the derivative where `rounded` is x + constant, and nowhere else: a staircase is flat.
TEST(StraightThrough, IsSeenByGradcheckUnlessNothingIsRounded) {
  const Tensor<double> x({3}, {0.2, 1.4, -2.2});
  const Tensor<double> constant({3}, {0.3, -0.1, 0.2});
  const auto moved = [&](auto& in) {
    return square(straight_through(in[0], in[0].value() + constant));
  };
  EXPECT_TRUE(gradcheck(moved, {x}, {.second_order = true}));
  const auto to_integers = [](auto& in) {
    const auto round = [](double v) { return std::round(v); };
    return square(straight_through(in[0], map(in[0].value(), round)));
  };
  EXPECT_FALSE(gradcheck(to_integers, {x}));
}

TEST(StraightThrough, RefusesOtherShapes) {
  const Var<double> x(Tensor<double>({2, 3}));
  EXPECT_EQ(error_of([&] { straight_through(x, Tensor<double>({3})); }),
            "straight_through: (2, 3) was rounded to (3); the shapes must be the same");
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
  EXPECT_THAT(test::error_of([&] { return kernel_rows(a); }),
              ::testing::HasSubstr("kernel_rows: kernel (2, 3)"));
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
