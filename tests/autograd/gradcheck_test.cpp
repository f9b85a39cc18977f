#include "autograd/gradcheck.hpp"

#include <sstream>

#include "autograd/operations.hpp"
#include "tests/autograd/support.hpp"

namespace gradus {
namespace {

using test::differences;
using test::distance;
using test::error_of;
using test::faulty;
using test::gaussian_numbers;
using test::same_bits;
using test::Vars;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const Tensor<double> kVector({3}, {0.3, -1.1, 2});

Tensor<double> softmax_of_all(const Tensor<double>& x) { return exp(x - logsumexp(x)); }

// softmax over all elements, with a rule that is right but for a factor.
Var<double> softmax_of_all(const Var<double>& x, double rule_factor = 1) {
  Var<double> z = record<"test: softmax">(softmax_of_all(x.value()), x);
  add_rule(z, x, [rule_factor, z](const Var<double>& dz) {
    return rule_factor * z * (dz - sum(dz * z));
  });
  return z;
}

// Multiplication of a matrix by a row, whose second rule is as given.
Var<double> times_row(const Var<double>& x, const Var<double>& row,
                      std::function<Var<double>(const Var<double>&)> rule_of_row) {
  Var<double> z = record<"test: times_row">(x.value() * row.value(), x, row);
  add_rule(z, x, [row](const Var<double>& dz) { return dz * row; });
  add_rule(z, row, rule_of_row);
  return z;
}

TEST(Gradcheck, AcceptsARightRule) {
  const GradcheckReport report = gradcheck([](const Vars& x) { return softmax_of_all(x[0]); },
                                           {kVector}, {.second_order = true});
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.skipped, 0);
  EXPECT_THAT(report.text,
              AllOf(HasSubstr("first derivative ok"), HasSubstr("second derivative ok")));
}

TEST(Gradcheck, CatchesARuleThatIsWrongByAThousandth) {
  const GradcheckReport report =
      gradcheck([](const Vars& x) { return softmax_of_all(x[0], 1.001); }, {kVector});
  EXPECT_FALSE(report);
  EXPECT_NEAR(report.worst_error, 1e-3, 2e-4);
  EXPECT_THAT(report.text, HasSubstr("1.001 times the right one"));
}

// The same rule with the opposite sign gives the right gradient of sum(softmax_of_all(x)), which is
// zero: a check that merely sums what it is given would accept it.
TEST(Gradcheck, CatchesAWrongRuleThatAPlainSumWouldHavePassed) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(kVector);
  const Tensor<double> summed = gradient(sum(softmax_of_all(x, -1)), {x})[0].value();
  const Tensor<double> right =
      differences([](const Tensor<double>& v) { return sum(softmax_of_all(v)).item(); }, kVector);
  EXPECT_LE(distance(summed, right), 1e-10);

  const GradcheckReport report =
      gradcheck([](const Vars& v) { return softmax_of_all(v[0], -1); }, {kVector});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("sign is wrong"));
}

TEST(Gradcheck, CatchesARuleThatIsZero) {
  const GradcheckReport report = gradcheck(
      [](const Vars& x) {
        return faulty(x[0], [](const Tensor<double>& dx) { return dx * 0; }) * 2.0;
      },
      {kVector});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("it is zero"));
}

TEST(Gradcheck, CatchesARuleThatShouldBeZero) {
  const GradcheckReport report = gradcheck(
      [](const Vars& x) {
        Var<double> z = record<"test: ones">(full<double>(x[0].shape(), 1), x[0]);
        add_rule(z, x[0], [](const Var<double>& dz) { return dz; });
        return z;
      },
      {kVector});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("it should be zero everywhere"));
}

// A gradient of 1e-3 beside a value of 1e9, whose last digit is 1e-7.
TEST(Gradcheck, SaysBelowWhichSizeItCannotTell) {
  const GradcheckReport report =
      gradcheck([](const Vars& x) { return sum(x[0]) * 1e-3 + 1e9; }, {kVector});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, AllOf(HasSubstr("or at most"), HasSubstr("told from rounding")));
}

TEST(Gradcheck, CatchesAValueThatWasTakenOffTheTapeOnTheWay) {
  const GradcheckReport report =
      gradcheck([](const Vars& x) { return x[0] * exp(x[0].value()); }, {kVector});
  EXPECT_FALSE(report) << report;
}

TEST(Gradcheck, CatchesSwappedFactors) {
  const Tensor<double> x = gaussian_numbers<double>({2, 3}, 1), row = kVector;
  const GradcheckReport report = gradcheck(
      [](const Vars& v) {
        // d row = sum(dz x), here with row in x's place.
        return times_row(v[0], v[1],
                         [r = v[1]](const Var<double>& dz) { return sum_to(dz * r, r.shape()); });
      },
      {x, row});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("input 1 (3)"));
}

TEST(Gradcheck, CatchesATransposedGradientAndSaysSo) {
  const GradcheckReport report = gradcheck(
      [](const Vars& v) {
        return faulty(v[0], [](const Tensor<double>& dx) { return transpose(dx); }) * 1.5;
      },
      {gaussian_numbers<double>({3, 3}, 1)});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("transpose"));
}

// Where a broadcast sum is missing, the gradient has the wrong shape, which the tape itself sees.
TEST(Gradcheck, LetsTheTapeReportAMissingBroadcastSum) {
  const Tensor<double> x = gaussian_numbers<double>({2, 3}, 1);
  EXPECT_THAT(error_of([&] {
                gradcheck(
                    [](const Vars& v) {
                      return times_row(v[0], v[1],
                                       [a = v[0]](const Var<double>& dz) { return dz * a; });
                    },
                    {x, kVector});
              }),
              AllOf(HasSubstr("times_row'"), HasSubstr("(2, 3)"), HasSubstr("(3)"),
                    HasSubstr("is a sum_to missing?")));
}

// A mean in place of the sum over what was broadcast has the right shape.
TEST(Gradcheck, CatchesABroadcastThatWasAveragedNotSummed) {
  const Tensor<double> x = gaussian_numbers<double>({2, 3}, 1);
  const GradcheckReport report = gradcheck(
      [](const Vars& v) {
        return times_row(v[0], v[1],
                         [a = v[0]](const Var<double>& dz) { return mean(dz * a, {0}); });
      },
      {x, kVector});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("0.5 times the right one"));
}

TEST(Gradcheck, CatchesAWrongSecondDerivativeUnderARightFirst) {
  auto f = [](const Vars& v) {
    const Var<double>& x = v[0];
    Var<double> z = record<"test: cube">(x.value() * x.value() * x.value(), x);
    add_rule(z, x, [x](const Var<double>& dz) {
      return 3 * dz * x * stop_gradient(x);  // right as a number
    });
    return z;
  };
  EXPECT_TRUE(gradcheck(f, {kVector}));
  const GradcheckReport report = gradcheck(f, {kVector}, {.second_order = true});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, AllOf(HasSubstr("first derivative ok"), HasSubstr("second derivative"),
                                 HasSubstr("0.5 times the right one")));
}

TEST(Gradcheck, NamesTheInputAndTheElement) {
  const Tensor<double> x = gaussian_numbers<double>({2, 3}, 1);
  const GradcheckReport report = gradcheck(
      [](const Vars& v) {
        return v[0] * faulty(v[1], [](Tensor<double> dx) {
                 dx.set({1, 2}, dx(1, 2) + 0.5);
                 return dx;
               });
      },
      {x, x + 1});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, AllOf(HasSubstr("input 1 (2, 3)"), HasSubstr("element (1, 2)"),
                                 HasSubstr("tape "), HasSubstr("difference "),
                                 HasSubstr("relative error"), HasSubstr("order of convergence")));
  std::ostringstream out;
  out << report;
  EXPECT_EQ(out.str(), report.text);
}

TEST(Gradcheck, RefusesACheckThatHasNoPower) {
  const std::vector<std::pair<const char*, GradcheckFunction>> powerless =
      {{"the sum of a softmax", [](const Vars& x) { return sum(softmax_of_all(x[0])); }},
       {"the sum of exp(x - logsumexp(x))",
        [](const Vars& x) { return sum(exp(x[0] - logsumexp(x[0]))); }},
       {"x - x", [](const Vars& x) { return x[0] - x[0]; }},
       {"a saturated sigmoid", [](const Vars& x) { return sigmoid(x[0] + 60); }},
       {"an input that is not used", [](const Vars& x) { return 0 * x[0]; }},
       {"what is lost beside a large number", [](const Vars& x) { return 1e9 + 1e-3 * x[0]; }}};
  for (const auto& [name, f] : powerless) {
    const GradcheckReport report = gradcheck(f, {kVector});
    EXPECT_FALSE(report) << name << ": " << report;
    EXPECT_THAT(report.text, HasSubstr("no power")) << name;
  }
}

TEST(Gradcheck, RefusesAnInputThatTheFunctionIgnores) {
  const GradcheckReport report =
      gradcheck([](const Vars& x) { return exp(x[0]); }, {kVector, kVector});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, AllOf(HasSubstr("input 1"), HasSubstr("no power")));
}

TEST(Gradcheck, SaysWhenTheOutputIsAConstant) {
  EXPECT_THAT(error_of(
                  [] { gradcheck([](const Vars& x) { return stop_gradient(x[0]); }, {kVector}); }),
              HasSubstr("the result is a constant"));
}

TEST(Gradcheck, CallsAGradientThatIsNotANumberWrongAndNotZero) {
  const GradcheckReport report = gradcheck([](const Vars& x) { return log(x[0]); }, {kVector - 5});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, Not(HasSubstr("zero everywhere")));
}

TEST(Gradcheck, SkipsAndCountsDeclaredKinks) {
  const Tensor<double> x({4}, {0, 1, -1e-5, 2});
  const GradcheckReport undeclared = gradcheck([](const Vars& v) { return relu(v[0]); }, {x});
  EXPECT_FALSE(undeclared);
  EXPECT_THAT(undeclared.text, HasSubstr("kink"));
  const GradcheckReport declared =
      gradcheck([](const Vars& v) { return relu(v[0]); }, {x}, {.kinks = {0}});
  EXPECT_TRUE(declared) << declared;
  EXPECT_EQ(declared.skipped, 2);
  EXPECT_EQ(declared.checked, 2);
}

TEST(Gradcheck, DoesNotPassBecauseEverythingIsAKink) {
  EXPECT_FALSE(
      gradcheck([](const Vars& v) { return relu(v[0]); }, {Tensor<double>({2})}, {.kinks = {0}}));
}

TEST(Gradcheck, ChecksLargeInputsAlongRandomDirections) {
  const Tensor<double> x = gaussian_numbers<double>({20, 15}, 1);
  auto right = [](const Vars& v) { return tanh(v[0]); };
  auto wrong = [](const Vars& v) {
    return tanh(faulty(v[0], [](const Tensor<double>& dx) { return dx * 1.001; }));
  };
  EXPECT_EQ(gradcheck(right, {x}, {.max_elements = 300}).checked, 300);
  const GradcheckReport accepted = gradcheck(right, {x}, {.max_elements = 299});
  EXPECT_TRUE(accepted) << accepted;
  EXPECT_LT(accepted.checked, 300);
  const GradcheckReport refused = gradcheck(wrong, {x}, {.max_elements = 299});
  EXPECT_FALSE(refused);
  EXPECT_THAT(refused.text, HasSubstr("random direction"));
}

TEST(Gradcheck, OfParametersLeavesTheirValuesAsTheyWere) {
  Parameter<double> a("layer.a", gaussian_numbers<double>({2, 3}, 1) * 1e-7), b("layer.b", 0.1);
  const Tensor<double> a0(a.shape(), a.value().to_vector()), b0(b.value().item());
  const GradcheckReport report =
      gradcheck([&] { return exp(a * b) + square(b); }, {&a, &b}, {.second_order = true});
  EXPECT_TRUE(report) << report;
  EXPECT_TRUE(same_bits(a.value(), a0));
  EXPECT_TRUE(same_bits(b.value(), b0));
  EXPECT_TRUE(a.grad.empty()) << "and no gradient behind";
}

TEST(Gradcheck, RestoresParametersWhenTheFunctionThrows) {
  Parameter<double> a("a", 0.1);
  EXPECT_THAT(error_of([&] {
                gradcheck(
                    [&]() -> Var<double> {
                      if (a.value().item() != 0.1) fail("a was moved");
                      return exp(a);
                    },
                    {&a});
              }),
              HasSubstr("a was moved"));
  EXPECT_EQ(a.value().item(), 0.1);
}

TEST(Gradcheck, OfParametersNamesTheParameter) {
  Parameter<double> a("encoder.weight", 0.3), b("encoder.bias", 0.4);
  const GradcheckReport report =
      gradcheck([&] { return exp(a) * faulty(b, [](const Tensor<double>& dx) { return dx * 2; }); },
                {&a, &b});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("encoder.bias"));
}

TEST(Gradcheck, LeavesATapeThatIsAliveAsItWas) {
  Parameter<double> a("a", 0.3);
  Tape<double> tape;
  const Var<double> y = square(a);
  const Index size = tape.size();
  EXPECT_TRUE(gradcheck([&] { return exp(a); }, {&a}));
  EXPECT_EQ(tape.size(), size);
  tape.backward(y);
  EXPECT_DOUBLE_EQ(a.grad.item(), 0.6);
}

// The difference quotient is extrapolated, so that its error is O(h^4): of a tanh at moderate
// arguments nothing is left but rounding.
TEST(Gradcheck, IsAccurateEnoughForAToleranceOfOneInABillion) {
  const GradcheckReport report =
      gradcheck([](const Vars& x) { return tanh(x[0]); }, {kVector}, {.tolerance = 1e-9});
  EXPECT_TRUE(report) << report;
}

TEST(Gradcheck, WithoutInputsHasNoPower) {
  Parameter<double> a("a", kVector);
  const GradcheckReport report =
      gradcheck([&] { return exp(a); }, std::vector<Parameter<double>*>());
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("no power"));
}

TEST(Gradcheck, NamesTheElementWhoseGradientIsNaN) {
  const GradcheckReport report = gradcheck(
      [](const Vars& v) {
        return faulty(v[0], [](Tensor<double> dx) {
          dx.set({1}, NAN);
          return dx;
        });
      },
      {kVector});
  EXPECT_FALSE(report);
  EXPECT_THAT(report.text, HasSubstr("element (1)"));
}

TEST(Gradcheck, RefusesKinksAlongRandomDirections) {
  const Tensor<double> x = gaussian_numbers<double>({200}, 1);
  EXPECT_THAT(error_of([&] {
                gradcheck([](const Vars& v) { return relu(v[0]); }, {x},
                          {.kinks = {0}, .max_elements = 100});
              }),
              AllOf(HasSubstr("input 0 (200)"), HasSubstr("kinks")));
}

}  // namespace
}  // namespace gradus
