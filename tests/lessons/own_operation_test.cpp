#include <cmath>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "tests/autograd/support.hpp"

// What lesson 03 asks for in its last exercise: an operation in a file of one's own.
namespace own {
namespace {

using namespace gradus;

// ln cosh x = |x| + ln(1 + e^(-2|x|)) - ln 2, in which nothing overflows.
template <class T> Tensor<T> log_cosh(const Tensor<T>& x) {
  return abs(x) + log1p(exp(-2 * abs(x))) - std::log(2.0);
}

// z = ln cosh x   dx = dz tanh x
template <class T> Var<T> log_cosh(const Var<T>& x) {
  Var<T> z = record<"log_cosh">(log_cosh(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [x](const Var<T>& dz) { return dz * tanh(x); });
  return z;
}

// The same with a mistake: the rule takes dz for dx.
template <class T> Var<T> wrong_log_cosh(const Var<T>& x) {
  Var<T> z = record<"wrong_log_cosh">(log_cosh(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [](const Var<T>& dz) { return dz; });
  return z;
}

const Tensor<double> kAt({5}, {-1.3, 0.7, 2.1, -0.4, 30});

TEST(OwnOperation, HasItsValueWhereCoshOverflows) {
  const Tensor<double> x({3}, {0, 1, 1000});
  const Tensor<double> z = log_cosh(x);
  EXPECT_NEAR(z(0), 0, 1e-15);
  EXPECT_NEAR(z(1), std::log(std::cosh(1.0)), 1e-15);
  EXPECT_NEAR(z(2), 1000 - std::log(2.0), 1e-12);
}

TEST(OwnOperation, HasFirstAndSecondDerivatives) {
  const GradcheckReport report =
      gradcheck([](const auto& x) { return log_cosh(x[0]); }, {kAt}, {.second_order = true});
  EXPECT_TRUE(report) << report;

  Tape<double> tape;
  const Var<double> x = tape.leaf(0.5);
  const Var<double> first = gradient(log_cosh(x), {x}, {.create_graph = true})[0];
  const double second = gradient(first, {x})[0].item();
  EXPECT_NEAR(first.item(), std::tanh(0.5), 1e-15);
  EXPECT_NEAR(second, 1 - std::tanh(0.5) * std::tanh(0.5), 1e-15);
}

TEST(OwnOperation, IsCaughtWhenItsRuleIsWrong) {
  EXPECT_FALSE(gradcheck([](const auto& x) { return wrong_log_cosh(x[0]); }, {kAt}));
}

TEST(OwnOperation, StandsOnTheTapeByItsName) {
  Tape<double> tape;
  log_cosh(tape.leaf(kAt));
  EXPECT_EQ(test::operations_on(tape), (std::vector<std::string>{"leaf", "log_cosh"}));
  EXPECT_TRUE(operation_names().contains("log_cosh"));
}

TEST(OwnOperation, TrainsAParameterInFloat) {
  Parameter<float> p("p", 2.0f);
  Tape<float> tape;
  tape.backward(log_cosh(p));
  EXPECT_NEAR(p.grad.item(), std::tanh(2.0f), 1e-6f);
}

}  // namespace
}  // namespace own
