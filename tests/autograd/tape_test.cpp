#include "autograd/tape.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <regex>
#include <set>
#include <sstream>
#include <type_traits>

#include "autograd/operations.hpp"
#include "tests/autograd/support.hpp"

namespace gradus {
namespace {

using test::distance;
using test::error_of;
using test::gaussian_numbers;
using test::Vars;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const Tensor<double> kPair({2}, {2, 3});

TEST(Tape, AddsTheGradientToWhatTheLossDependsOn) {
  Parameter<double> a("a", kPair), b("b", kPair + 2), other("other", kPair);
  Tape<double> tape;
  const Var<double> unused = other * 2;
  tape.backward(sum(a * a * b));
  EXPECT_EQ(a.grad.to_vector(), (std::vector<double>{2 * 2 * 4, 2 * 3 * 5}));
  EXPECT_EQ(b.grad.to_vector(), (std::vector<double>{4, 9}));
  EXPECT_TRUE(other.grad.empty());
}

TEST(Tape, AddsUpTheGradientsOfTwoTapes) {
  Parameter<double> a("a", kPair);
  for (int step = 0; step < 2; ++step) {
    Tape<double> tape;
    tape.backward(sum(square(a)));
  }
  EXPECT_EQ(a.grad.to_vector(), (std::vector<double>{8, 12}));
}

TEST(Tape, DifferentiatesAParameterWithRespectToItself) {
  // In a process of its own, because the answer used to be written outside of memory.
  EXPECT_EQ(test::outcome_in_child_process([] {
              Parameter<double> a("a", 3.0);
              Tape<double> tape;
              const double slope = gradient(a, {a})[0].item();
              tape.backward(a);
              fail("{} {}", slope, a.grad.item());
            }),
            "Error: 1 1");
}

TEST(Tape, TakesAParameterThatIsUsedSeveralTimesAsOneLeaf) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  const Var<double> y = sum(a * a + exp(a) + a);
  EXPECT_EQ(tape.size(), 1 + 5) << tape.table();
}

TEST(Tape, TakesAParameterAsOneLeafBesideAnotherTape) {
  Parameter<double> a("a", 3.0);
  Tape<double> outer;
  const Var<double> before = a * a;
  {
    Tape<double> inner;
    inner.backward(2 * a);
  }
  const Var<double> y = before + a;
  EXPECT_EQ(gradient(y, {a})[0].item(), 2 * 3 + 1);
  EXPECT_EQ(outer.size(), 3) << outer.table();
  outer.backward(y);
  EXPECT_EQ(a.grad.item(), 2 + 7);
}

TEST(Tape, TwoThatTakeAParameterInTurnEachKnowItAsTheirs) {
  Parameter<double> a("a", 3.0), b("b", 2.0);
  Tape<double> outer;
  Var<double> y = b * a;
  for (int i = 0; i < 3; ++i) {
    {
      Tape<double> inner;
      const Var<double> z = a * b * a;
      EXPECT_EQ(inner.size(), 4) << inner.table();
      EXPECT_EQ(gradient(z, {a})[0].item(), 12);
    }
    y = y + a;
  }
  EXPECT_EQ(outer.size(), 3 + 3) << outer.table();
  EXPECT_EQ(gradient(y, {a})[0].item(), 2 + 3);
}

// A rule may record while the sweep goes on, which moves the tape's lists.
TEST(CreateGraph, RecordsManyNodesWhileItSweeps) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(1.1);
  Var<double> y = x;
  for (int i = 0; i < 100; ++i) y = y * x;
  const Var<double> slope = gradient(y, {x}, {.create_graph = true})[0];
  EXPECT_NEAR(slope.item(), 101 * std::pow(1.1, 100), 1e-8);
  EXPECT_NEAR(gradient(slope, {x})[0].item(), 101 * 100 * std::pow(1.1, 99), 1e-6);
}

TEST(Tape, DoublesSixtyTimesInSixtyNodes) {
  Parameter<double> a("a", 1.0);
  Tape<double> tape;
  Var<double> y = a;
  for (int i = 0; i < 60; ++i) y = y + y;
  EXPECT_EQ(tape.size(), 61);
  tape.backward(y);
  EXPECT_EQ(a.grad.item(), 0x1p60);
}

TEST(Tape, DoesNotRecordConstants) {
  Tape<double> tape;
  const Var<double> x = kPair, y = exp(x) * x + 2;
  EXPECT_EQ(tape.size(), 0);
  EXPECT_EQ(y.node(), -1);
  Parameter<double> a("a", kPair);
  const Var<double> z = a * exp(x);
  EXPECT_EQ(tape.size(), 2) << "the leaf and the product";
}

TEST(Tape, KeepsNoRuleForAConstant) {
  const auto alive = std::make_shared<int>();
  Tape<double> tape;
  const Var<double> x = tape.leaf(kPair), constant = kPair;
  auto rule = [alive](const Var<double>& dz) { return dz; };
  const Var<double> y = record<"test: add">(x.value() + constant.value(), constant, x);
  add_rule(y, constant, rule);
  add_rule(y, x, rule);
  EXPECT_EQ(alive.use_count(), 1 + 1 + 1) << "here, in `rule`, and in x's edge alone";
}

// Asking a value for its place, or whether it needs a gradient, changes nothing.
TEST(Tape, DoesNotGrowWhenAParameterIsAskedForItsNode) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  EXPECT_EQ(a.node(), -1);
  EXPECT_TRUE(a.needs_gradient());
  EXPECT_EQ(tape.size(), 0);
  const Var<double> y = exp(a);
  EXPECT_EQ(a.node(), 0);
  EXPECT_EQ(y.node(), 1);
  EXPECT_EQ(tape.size(), 2);
}

TEST(Tape, TakesNewParametersAsLeavesInTheOrderOfTheInputs) {
  Parameter<double> a("a", kPair), b("b", kPair), c("c", kPair);
  Tape<double> tape;
  const Var<double> y = a * b;
  const Var<double> z = concatenate(std::vector<Var<double>>{c, y});
  EXPECT_EQ(test::operations_on(tape),
            (std::vector<std::string>{"a", "b", "mul", "c", "concatenate"}));
  EXPECT_EQ(gradient(sum(z), {a})[0].value().to_vector(), kPair.to_vector());
}

// The inputs are all asked, also after one of them has shown that the result is recorded.
TEST(Tape, RefusesAnInputOfAnotherTapeBesideAnyOther) {
  Parameter<double> a("a", 3.0);
  Var<double> gone;
  {
    Tape<double> tape;
    gone = square(a);
  }
  Tape<double> tape;
  EXPECT_THAT(error_of([&] { return a * gone; }), HasSubstr("not the current one"));
  EXPECT_THAT(error_of([&] { return gone * a; }), HasSubstr("not the current one"));
  EXPECT_EQ(tape.size(), 0);
}

// A learner's first mistake: without its rule an input would have a gradient of zero.
TEST(Tape, NamesTheOperationThatLacksARule) {
  Parameter<double> a("a", kPair), b("b", kPair);
  Tape<double> tape;
  const Var<double> z = record<"test: half done">(a.value() * b.value(), a, b);
  add_rule(z, a, [b = Var<double>(b)](const Var<double>& dz) { return dz * b; });
  EXPECT_THAT(error_of([&] { gradient(sum(z), {a}); }),
              AllOf(HasSubstr("half done'"), HasSubstr("1 rules for the 2 inputs"),
                    HasSubstr("is an add_rule missing?")));
}

TEST(Tape, IsNotSweptWhileAnotherIsTheCurrentOne) {
  Parameter<double> a("a", 3.0);
  Tape<double> outer;
  const Var<double> y = a * 2;
  const Tape<double> inner;
  const Var<double> z = a * 5;
  EXPECT_THAT(error_of([&] { outer.backward(a); }), HasSubstr("another tape is the current one"));
  EXPECT_TRUE(a.grad.empty());
}

// A rule may ask for a gradient itself; the sweep around it records as little as before.
TEST(Gradient, InsideOfARuleLeavesRecordingAsItWas) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(3.0);
  const Var<double> inner = square(x);
  const Var<double> w = square(x);  // whose rule computes with x, after that of y
  const Var<double> y = record<"test: asks">(w.value(), w);
  add_rule(y, w, [x, inner](const Var<double>& dz) { return dz * gradient(inner, {x})[0]; });
  const Index size = tape.size();
  EXPECT_EQ(gradient(y, {x})[0].item(), 6 * 6);
  EXPECT_EQ(tape.size(), size);
}

TEST(TapeDeathTest, SaysThatTapesDieLastInFirstOut) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        auto first = std::make_unique<Tape<double>>();
        const Tape<double> second;
        first.reset();
      },
      "tapes nest, so make each a local variable");
}

TEST(AddRule, RefusesAResultThatIsNotTheLatest) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  const Var<double> z = record<"test: twice">(a.value() * 2.0, a);
  const Var<double> between = a * 3;
  EXPECT_THAT(error_of([&] { add_rule(z, a, [](const Var<double>& dz) { return dz * 2; }); }),
              AllOf(HasSubstr("add_rule"), HasSubstr("not what was recorded last")));
}

TEST(Tape, RecordsNothingWhenThereIsNone) {
  Parameter<double> a("a", kPair);
  const Var<double> y = exp(a) * a;
  EXPECT_EQ(y.node(), -1);
  EXPECT_EQ(Tape<double>::current(), nullptr);
  Tape<double> tape;
  EXPECT_EQ(tape.size(), 0);
  EXPECT_THAT(error_of([&] { tape.backward(sum(y)); }), HasSubstr("constant"));
}

TEST(Tape, RecordsOnTheInnermostOfSeveral) {
  Parameter<double> a("a", 3.0);
  Tape<double> outer;
  const Var<double> y = square(a);
  {
    Tape<double> inner;
    EXPECT_EQ(Tape<double>::current(), &inner);
    inner.backward(a * 5);
    EXPECT_EQ(inner.size(), 2);
  }
  EXPECT_EQ(Tape<double>::current(), &outer);
  EXPECT_EQ(a.grad.item(), 5);
  outer.backward(y);
  EXPECT_EQ(a.grad.item(), 11);
}

TEST(Tape, OfFloatAndOfDoubleDoNotKnowEachOther) {
  Tape<double> tape;
  Parameter<float> a("a", 3.0f);
  const Var<float> y = square(a);
  EXPECT_EQ(y.node(), -1);
  EXPECT_EQ(tape.size(), 0);
}

TEST(Tape, ASecondBackwardIsAnError) {
  Parameter<double> a("a", 3.0);
  Tape<double> tape;
  const Var<double> y = square(a);
  tape.backward(y);
  for (const std::string& text :
       {error_of([&] { tape.backward(y); }), error_of([&] { gradient(y, {a}); })})
    EXPECT_THAT(text, AllOf(HasSubstr("backward has been run"), HasSubstr("make a new Tape")));
  EXPECT_EQ(a.grad.item(), 6);
}

TEST(Tape, ABackwardAfterOneThatFailedIsAnErrorToo) {
  Parameter<double> a("a", -1.0);
  Tape<double> tape({.find_nan = true});
  const Var<double> y = 0 * sqrt(a + 1.0);
  EXPECT_THAT(error_of([&] { tape.backward(y); }), HasSubstr("sqrt"));
  EXPECT_THAT(error_of([&] { tape.backward(y); }), HasSubstr("backward has been run"));
  EXPECT_TRUE(a.grad.empty());
}

TEST(Tape, ARefusedBackwardLeavesItUsable) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  const Var<double> y = square(a);
  EXPECT_THAT(error_of([&] { tape.backward(y); }),
              AllOf(HasSubstr("(2)"), HasSubstr("scalar"), HasSubstr("sum or mean")));
  EXPECT_THAT(error_of([&] { tape.backward(3); }), HasSubstr("the result is a constant"));
  tape.backward(sum(y));
  EXPECT_EQ(a.grad.to_vector(), (std::vector<double>{4, 6}));
}

TEST(Tape, AValueWhoseTapeIsGoneIsAnError) {
  Parameter<double> a("a", kPair);
  Var<double> y;
  {
    Tape<double> tape;
    y = square(a);
  }
  EXPECT_THAT(error_of([&] { return y + 1; }),
              AllOf(HasSubstr("(2)"), HasSubstr("gone"), HasSubstr(".value()")));
  EXPECT_EQ(y.value().to_vector(), (std::vector<double>{4, 9})) << "its numbers are still there";
  Tape<double> tape;
  EXPECT_THAT(error_of([&] { return exp(y); }), HasSubstr("not the current one"));
  EXPECT_THAT(error_of([&] { tape.backward(sum(y)); }), HasSubstr("not the current one"));
}

TEST(Tape, AValueOfTheOuterTapeIsAnErrorInTheInner) {
  Parameter<double> a("a", 3.0);
  Tape<double> outer;
  const Var<double> y = square(a);
  const Tape<double> inner;
  EXPECT_THAT(error_of([&] { return y * 2; }), HasSubstr("not the current one"));
  EXPECT_EQ((y.value() * 2).item(), 18);
}

TEST(Tape, NamesTheOperationThatFirstMakesANaN) {
  Parameter<double> a("a", Tensor<double>({2}, {1, -1}));
  Tape<double> tape({.find_nan = true});
  const Var<double> b = a * 2;
  EXPECT_THAT(error_of([&] { return exp(log(b)); }),
              AllOf(HasSubstr("log:"), HasSubstr("(2)"), HasSubstr("NaN"), HasSubstr("node 2")));
}

TEST(Tape, NamesTheRuleThatFirstGivesANaN) {
  Parameter<double> a("a", Tensor<double>({2}, {0, 4}));
  Tape<double> tape({.find_nan = true});
  // sqrt has an infinite slope at 0, and 0 times infinity is NaN.
  const Var<double> y = sum(sqrt(a * 2) * Tensor<double>({2}, {0, 1}));
  EXPECT_THAT(error_of([&] { tape.backward(y); }),
              AllOf(HasSubstr("backward"), HasSubstr("'sqrt'"), HasSubstr("NaN")));
}

TEST(Tape, DoesNotLookForNaNsUnlessAsked) {
  Parameter<double> a("a", -1.0);
  Tape<double> tape;
  const Var<double> y = log(a);
  EXPECT_TRUE(std::isnan(y.item()));
}

TEST(Tape, NamesTheRuleThatGivesAWrongShape) {
  Parameter<double> a("a", Tensor<double>({3}, {1, 2, 3}));
  Tape<double> tape;
  const Var<double> y = record<"test: stretch">(broadcast_to(a.value(), {2, 3}), a);
  add_rule(y, a, [](const Var<double>& dz) { return dz; });
  EXPECT_THAT(error_of([&] { tape.backward(sum(y)); }),
              AllOf(HasSubstr("stretch'"), HasSubstr("(2, 3)"), HasSubstr("'a'"), HasSubstr("(3)"),
                    HasSubstr("sum_to")));
}

TEST(Tape, CountsTheTermsOfALongSum) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  Var<double> y = 0;
  for (int i = 1; i <= 100; ++i) y = y + sum(a * static_cast<double>(i));
  tape.backward(y);
  EXPECT_EQ(a.grad.to_vector(), (std::vector<double>{5050, 5050}));
}

// An operation that is reached along two paths passes its gradient on once, when it is complete.
TEST(Tape, RunsEachRuleOnce) {
  int runs = 0;
  Parameter<double> a("a", 2.0);
  Tape<double> tape;
  const Var<double> b = record<"test: twice">(a.value() * 2.0, a);
  add_rule(b, a, [&](const Var<double>& dz) {
    ++runs;
    return dz * 2;
  });
  tape.backward(b * b + exp(b) * b + b);
  EXPECT_EQ(runs, 1);
  EXPECT_NEAR(a.grad.item(), 2 * (2 * 4 + std::exp(4.0) * 5 + 1), 1e-12);
}

TEST(Tape, ALongChainOverflowsNoStack) {
  constexpr int kLength = 1'000'000;
  Parameter<double> a("a", 1.5);
  {
    Tape<double> tape;
    Var<double> y = a;
    for (int i = 0; i < kLength; ++i) y = y + 1;
    EXPECT_EQ(tape.size(), kLength + 1);
    tape.backward(y);
  }
  EXPECT_EQ(a.grad.item(), 1);
  Tape<double> never_swept;
  Var<double> y = a;
  for (int i = 0; i < kLength / 10; ++i) y = y * 1.0;
}

// The rules hold a token each, which shows when they are freed.
TEST(Backward, FreesWhatTheRulesCaptured) {
  const auto token = std::make_shared<int>();
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  auto identity = [&](const Var<double>& x) {
    Var<double> z = record<"test: identity">(x.value(), x);
    add_rule(z, x, [token](const Var<double>& dz) { return dz; });
    return z;
  };
  const Var<double> y = sum(identity(a)), unused = identity(a);
  EXPECT_EQ(token.use_count(), 1 + 2);
  tape.backward(y);
  EXPECT_EQ(token.use_count(), 1) << "also of the operation that the loss does not depend on";
}

TEST(Backward, LetsTheOptimiserWriteWithoutCopying) {
  Parameter<double> a("a", gaussian_numbers<double>({100, 100}, 1));
  const double* const numbers = a.value().data();
  Tape<double> tape;
  tape.backward(mean(square(matmul_nt(a, a) * a)));
  a.mutable_value().mutable_data()[0] += 1;
  EXPECT_EQ(a.value().data(), numbers);
}

// A gradient of a later node takes the memory of one that is gone.
TEST(Backward, ReleasesEachGradientOnceTheSweepHasPassed) {
  constexpr Index kSize = 1 << 16;
  std::vector<const double*> blocks;
  Parameter<double> a("a", Tensor<double>({kSize}));
  Tape<double> tape;
  Var<double> y = a;
  for (int i = 0; i < 50; ++i) {
    const Var<double> x = y;
    y = record<"test: step">(x.value() + 1, x);
    add_rule(y, x, [&](const Var<double>& dz) {
      const Var<double> dx = dz * 1.0;
      blocks.push_back(dx.value().data());
      return dx;
    });
  }
  tape.backward(sum(y));
  std::sort(blocks.begin(), blocks.end());
  const auto distinct = std::unique(blocks.begin(), blocks.end()) - blocks.begin();
  EXPECT_LE(distinct, 4) << "blocks of memory for the gradients of 50 nodes";
}

TEST(Gradient, NeedsATape) {
  EXPECT_THAT(error_of([] { gradient(Var<double>(1), {Var<double>(2)}); }),
              AllOf(HasSubstr("gradient"), HasSubstr("no tape is alive")));
}

TEST(Gradient, IsZeroWithRespectToWhatTheResultDoesNotDependOn) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(kPair), other = tape.leaf(Tensor<double>({2, 2}));
  const Var<double> y = sum(exp(x)), later = tape.leaf(kPair);
  const Vars g = gradient(y, {other, later, x});
  EXPECT_EQ(g[0].value().to_vector(), (std::vector<double>{0, 0, 0, 0}));
  EXPECT_EQ(g[0].shape(), (Shape{2, 2}));
  EXPECT_EQ(g[1].value().to_vector(), (std::vector<double>{0, 0}));
  EXPECT_DOUBLE_EQ(g[2].value()(1), std::exp(3.0));
}

TEST(Gradient, WithRespectToAConstantIsAnError) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(kPair);
  EXPECT_THAT(error_of([&] { gradient(sum(x), {Var<double>(kPair)}); }),
              AllOf(HasSubstr("gradient"), HasSubstr("(2)"), HasSubstr("constant")));
}

TEST(Gradient, TakesIntermediateResultsAsInputs) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(3.0), z = square(x);
  EXPECT_EQ(gradient(z * z * x, {z})[0].item(), 2 * 9 * 3);
}

TEST(Gradient, LeavesTheTapeUsableAndTheParametersWithoutGradients) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  const Var<double> y = sum(square(a) * a);
  const Index size = tape.size();
  for (int i = 0; i < 2; ++i)
    EXPECT_EQ(gradient(y, {a})[0].value().to_vector(), (std::vector<double>{12, 27}));
  EXPECT_EQ(tape.size(), size) << "nothing is recorded without create_graph";
  EXPECT_TRUE(a.grad.empty());
  tape.backward(y + sum(a));
  EXPECT_EQ(a.grad.to_vector(), (std::vector<double>{13, 28}));
}

TEST(Gradient, IsAConstantWithoutCreateGraph) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(3.0);
  EXPECT_EQ(gradient(square(x), {x})[0].node(), -1);
  EXPECT_GE(gradient(square(x), {x}, {.create_graph = true})[0].node(), 0);
}

// (x^4)' = 4 x^3, 12 x^2, 24 x, 24, 0.
TEST(CreateGraph, GivesEveryDerivativeOfAPower) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(1.5);
  Var<double> y = square(square(x));
  for (double expected : {4 * 1.5 * 1.5 * 1.5, 12 * 1.5 * 1.5, 24 * 1.5, 24.0}) {
    y = gradient(y, {x}, {.create_graph = true})[0];
    EXPECT_DOUBLE_EQ(y.item(), expected);
  }
}

// t = tanh(x):  t' = 1 - t^2,  t'' = -2 t t',  t''' = -2 t'^2 - 2 t t''.
// f = exp(t):  f''' = f (t'^3 + 3 t' t'' + t''').
TEST(CreateGraph, GivesThirdDerivativesOfCompositions) {
  for (double at : {-1.2, 0.0, 0.4}) {
    Tape<double> tape;
    const Var<double> x = tape.leaf(at);
    Var<double> y = exp(tanh(x));
    const double f = y.item();
    const double t = std::tanh(at);
    const double t1 = 1 - t * t;
    const double t2 = -2 * t * t1;
    const double t3 = -2 * t1 * t1 - 2 * t * t2;
    for (double expected : {f * t1, f * (t1 * t1 + t2), f * (t1 * t1 * t1 + 3 * t1 * t2 + t3)}) {
      y = gradient(y, {x}, {.create_graph = true})[0];
      EXPECT_NEAR(y.item(), expected, 1e-14);
    }
  }
}

// f = x^T A x / 2 + b^T x has the Hessian (A + A^T) / 2.
TEST(CreateGraph, GivesTheHessianVectorProductOfAQuadratic) {
  const Tensor<double> a = gaussian_numbers<double>({4, 4}, 1),
                       b = gaussian_numbers<double>({4, 1}, 2);
  const Tensor<double> v = gaussian_numbers<double>({4, 1}, 3);
  Tape<double> tape;
  const Var<double> x = tape.leaf(gaussian_numbers<double>({4, 1}, 4));
  const Var<double> f = sum(matmul_tn(x, matmul(a, x))) * 0.5 + sum(b * x);
  const Var<double> g = gradient(f, {x}, {.create_graph = true})[0];
  const Tensor<double> hv = gradient(sum(g * v), {x})[0].value();
  for (Index i = 0; i < 4; ++i) {
    double expected = 0;
    for (Index j = 0; j < 4; ++j) expected += (a(i, j) + a(j, i)) / 2 * v(j, 0);
    EXPECT_NEAR(hv(i, 0), expected, 1e-14);
  }
}

// A gradient that is part of a loss: d/da of (d (a x^3) / dx)^2 at x = 2 is 2 (3 x^2)^2 a.
TEST(CreateGraph, LetsAGradientBePartOfALoss) {
  Parameter<double> a("a", 0.5);
  Tape<double> tape;
  const Var<double> x = tape.leaf(2.0);
  const Var<double> slope = gradient(a * x * square(x), {x}, {.create_graph = true})[0];
  tape.backward(square(slope));
  EXPECT_DOUBLE_EQ(a.grad.item(), 2 * 12 * 12 * 0.5);
}

// Against PyTorch 1.13 in float64:
//
//     w = torch.tensor([[.5, -1., .25], [2., .1, -.3]], requires_grad=True)
//     v = torch.tensor([1.5, -.7], requires_grad=True)
//     x = torch.tensor([[1., 2., 3.], [-1., .5, .25]])
//     p = torch.softmax(torch.tanh(x @ w.T) * v, 1)
//     y = (p ** 2).sum() + torch.logsumexp(w * 3, (0, 1))
//     torch.autograd.grad(y, (w, v))
TEST(Gradient, IsThatOfPyTorch) {
  Tape<double> tape;
  const Var<double> w = tape.leaf(Tensor<double>({2, 3}, {.5, -1, .25, 2, .1, -.3}));
  const Var<double> v = tape.leaf(Tensor<double>({2}, {1.5, -.7}));
  const Tensor<double> x({2, 3}, {1, 2, 3, -1, .5, .25});
  const Var<double> z = tanh(matmul_nt(x, w)) * v;
  const Var<double> p = exp(z - logsumexp(z, {1}, true));
  const Var<double> y = sum(square(p)) + logsumexp(w * 3, {0, 1});
  const Vars g = gradient(y, {w, v});
  EXPECT_NEAR(y.item(), 7.288120974994993, 1e-14);
  EXPECT_LE(distance(g[0].value(),
                     Tensor<double>({2, 3}, {0.07920587366361177, -0.21064359990545953,
                                             -0.24026326709565485, 2.931941405024702,
                                             -0.024553255704541394, -0.04447377564465946})),
            1e-14);
  EXPECT_LE(distance(g[1].value(), Tensor<double>({2}, {0.1823964221883786, -0.09753678035942372})),
            1e-14);
}

// The graph of one neuron, in which every number can be worked out on paper:
// z = w x + b with w = 2, x = 3, b = -4;  y = z^2 = 4;  dz = 2 z = 4, dw = 12, db = 4.
struct Neuron {
  Parameter<double> w{"w", 2.0}, b{"b", -4.0};

  Var<double> loss() const { return square(w * 3 + b); }
};

TEST(Table, HasALineForEachNodeWithItsShapeAndInputs) {
  Parameter<double> a("layer.a", Tensor<double>({2, 3})), b("layer.b", Tensor<double>({3}));
  Tape<double> tape;
  const Var<double> y = sum(exp(a) * b);
  std::istringstream lines(tape.table());
  std::vector<std::string> got;
  for (std::string line; std::getline(lines, line);) {
    line = std::regex_replace(line, std::regex(" +"), " ");
    got.push_back(std::regex_replace(line, std::regex("^ | $"), ""));
  }
  EXPECT_EQ(got, (std::vector<std::string>{"node operation shape inputs", "0 layer.a (2, 3)",
                                           "1 exp (2, 3) 0", "2 layer.b (3)", "3 mul (2, 3) 1, 2",
                                           "4 sum () 3"}));
}

TEST(Table, SaysWhichInputsAreConstants) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  const Var<double> y = a * kPair;
  EXPECT_THAT(tape.table(), HasSubstr("0, constant\n"));
}

TEST(Table, CanStillBeReadAfterBackward) {
  const Neuron neuron;
  Tape<double> tape;
  const Var<double> y = neuron.loss();
  const std::string before = tape.table();
  tape.backward(y);
  EXPECT_EQ(tape.table(), before);
}

TEST(Dot, HasEveryNodeAndEdge) {
  const Neuron neuron;
  Tape<double> tape;
  neuron.loss();
  const std::string dot = tape.to_dot();
  EXPECT_THAT(dot, AllOf(HasSubstr("digraph"), HasSubstr("n0 [label=\"w"), HasSubstr("mul"),
                         HasSubstr("n2 [label=\"b"), HasSubstr("add"), HasSubstr("square")));
  std::set<std::string> edges;
  const std::regex edge(R"((n\d+) -> (n\d+);)");
  for (std::sregex_iterator m(dot.begin(), dot.end(), edge), end; m != end; ++m)
    edges.insert(m->str());
  EXPECT_EQ(edges, (std::set<std::string>{"n0 -> n1;", "n1 -> n3;", "n2 -> n3;", "n3 -> n4;"}));
  EXPECT_THAT(dot, Not(HasSubstr("value =")));
}

TEST(Dot, ShowsValuesAndGradientsThatTheTapeKept) {
  const Neuron neuron;
  Tape<double> tape({.keep_values = true});
  const Var<double> y = neuron.loss();
  EXPECT_THAT(tape.to_dot(), AllOf(HasSubstr("value = 2\""), Not(HasSubstr("gradient"))));
  tape.backward(y);
  const std::string dot = tape.to_dot();
  auto line_of = [&](const std::string& node) {
    const std::size_t at = dot.find("  " + node + " [");
    return dot.substr(at, dot.find('\n', at) - at);
  };
  EXPECT_THAT(line_of("n0"), AllOf(HasSubstr("value = 2"), HasSubstr("gradient = 12")));
  EXPECT_THAT(line_of("n1"), AllOf(HasSubstr("value = 6"), HasSubstr("gradient = 4")));
  EXPECT_THAT(line_of("n2"), AllOf(HasSubstr("value = -4"), HasSubstr("gradient = 4")));
  EXPECT_THAT(line_of("n4"), AllOf(HasSubstr("value = 4"), HasSubstr("gradient = 1")));
}

TEST(Dot, KeepsItsSyntaxWhateverAParameterIsCalled) {
  Parameter<double> a("a \"quoted\" \\ name", 1.0);
  Tape<double> tape;
  square(a);
  std::istringstream lines(tape.to_dot());
  const std::regex statement(R"(\s*(digraph tape \{|\}|rankdir=LR;|node \[.*\];|n\d+ -> n\d+;|)"
                             R"(n\d+ \[label="([^"\\]|\\.)*"(, \w+=("[^"]*"|\w+))*\];))");
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(std::regex_match(line, statement)) << line;
}

TEST(Parameter, IsNamedInTheErrorOfAValueThatDoesNotFit) {
  Parameter<double> a("encoder.weight", kPair);
  EXPECT_THAT(error_of([&] { a.set_value(Tensor<double>({3})); }),
              AllOf(HasSubstr("encoder.weight"), HasSubstr("(3)"), HasSubstr("(2)")));
  EXPECT_EQ(a.value().to_vector(), kPair.to_vector());
  a.set_value(kPair * 2);
  EXPECT_EQ(a.value().to_vector(), (std::vector<double>{4, 6}));
}

TEST(Parameter, WhoseValueChangesDoesNotChangeWhatWasRecorded) {
  Parameter<double> a("a", 3.0);
  Tape<double> tape;
  const Var<double> y = square(a);
  a.mutable_value().mutable_data()[0] = 100;
  tape.backward(y);
  EXPECT_EQ(a.grad.item(), 6);
}

// What is trained stays where it is: tapes and optimisers have its address.
static_assert(!std::is_constructible_v<Var<double>, Parameter<double>&&>);
static_assert(!std::is_assignable_v<Var<double>&, Parameter<double>&&>);
static_assert(!std::is_move_constructible_v<Parameter<double>>);
static_assert(std::is_constructible_v<Var<double>, Parameter<double>&>);
static_assert(std::is_constructible_v<Var<double>, const Parameter<double>&>);
static_assert(std::is_nothrow_move_constructible_v<Var<double>>);

TEST(Parameter, CopiedToAVarIsItsLeaf) {
  Parameter<double> a("a", kPair);
  Tape<double> tape;
  const Var<double> copy = a;
  Var<double> moved = Var<double>(a);
  tape.backward(sum(copy * moved));
  EXPECT_EQ(tape.size(), 3) << "the leaf, the product and the sum";
  EXPECT_EQ(a.grad.to_vector(), (std::vector<double>{4, 6}));
}

// Neither through a reference to its base.
TEST(Parameter, IsNotAssignedTo) {
  Parameter<double> a("weight", kPair);
  Var<double>& base = a;
  const Var<double> other = Tensor<double>({3});
  EXPECT_THAT(error_of([&] { base = other; }),
              AllOf(HasSubstr("parameter weight"), HasSubstr("set_value")));
  EXPECT_THAT(error_of([&] { base = Var<double>(1.0); }), HasSubstr("set_value"));
  EXPECT_EQ(a.value().to_vector(), kPair.to_vector());
}

TEST(Parameter, RefusesAGradientOfAnotherShape) {
  Parameter<double> a("a", kPair);
  a.add_gradient(kPair);
  a.add_gradient(kPair);
  EXPECT_EQ(a.grad.to_vector(), (std::vector<double>{4, 6}));
  EXPECT_THAT(error_of([&] { a.add_gradient(Tensor<double>({3})); }),
              AllOf(HasSubstr("parameter a"), HasSubstr("(3)"), HasSubstr("(2)")));
}

}  // namespace
}  // namespace gradus
