#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lessons/01_pca/model.hpp"
#include "lessons/03_tape/instruments.hpp"
#include "lessons/03_tape/model.hpp"
#include "lessons/common/toy.hpp"
#include "nn/optimizers.hpp"

namespace gradus::lesson03 {
namespace {

using lesson01::fit_pca;
using lesson01::Pca;
using ::testing::HasSubstr;

Tensor<double> covariance(const Tensor<double>& x) {
  return matmul_tn(x, x) / static_cast<double>(x.extent(0));
}

Tensor<double> toy_covariance(unsigned seed) {
  Rng rng(seed);
  return covariance(toy_points(kToyVariances, 200, rng));
}

// z = (x y + x)^2: dz/dx = 2 (x y + x) (y + 1) = 2 * 6 * 4 = 48 and dz/dy = 2 (x y + x) x =
// 2 * 6 * 1.5 = 18 at x = 1.5, y = 3. x is used twice, so its gradient is a sum.
TEST(TinyTape, HasTheGradientsOfTheProductRule) {
  tiny::Tape tape;
  const tiny::Number x = record(tape, 1.5);
  const tiny::Number y = record(tape, 3);
  const tiny::Number s = x * y + x;
  const tiny::Number z = s * s;
  const std::vector<double> gradient = tape.backward(z.node);
  EXPECT_EQ(z.value, 36);
  EXPECT_EQ(gradient[x.node], 48);
  EXPECT_EQ(gradient[y.node], 18);
  EXPECT_EQ(gradient[s.node], 12);
  EXPECT_EQ(gradient[z.node], 1);
}

TEST(TinyTape, AgreesWithTheRealOne) {
  Rng rng(1);
  for (int trial = 0; trial < 20; ++trial) {
    const double a = rng.normal();
    const double b = rng.normal();
    tiny::Tape small;
    const tiny::Number x = record(small, a);
    const tiny::Number y = record(small, b);
    const tiny::Number z = exp(x * y) * y + x * x * exp(y + x);
    const std::vector<double> gradient = small.backward(z.node);

    Tape<double> tape;
    const Var<double> u = tape.leaf(a);
    const Var<double> v = tape.leaf(b);
    const auto g = gradus::gradient(exp(u * v) * v + u * u * exp(v + u), {u, v});
    EXPECT_NEAR(gradient[x.node], g[0].item(), 1e-13 * std::abs(g[0].item()));
    EXPECT_NEAR(gradient[y.node], g[1].item(), 1e-13 * std::abs(g[1].item()));
  }
}

// Each sum has two paths to the one before it, so there are 2^60 paths from the last to the first:
// whoever walks paths never ends, and a sweep over nodes takes 60 steps.
TEST(Tape, TakesAStepForEachNodeNotForEachPath) {
  tiny::Tape small;
  tiny::Number b = record(small, 1);
  Tape<double> tape;
  const Var<double> x = tape.leaf(1.0);
  Var<double> y = x;
  for (int i = 0; i < 60; ++i) {
    b = b + b;
    y = y + y;
  }
  EXPECT_EQ(small.nodes.size(), 61u);
  EXPECT_EQ(small.backward(b.node)[0], std::ldexp(1.0, 60));
  EXPECT_EQ(tape.size(), 61);
  EXPECT_EQ(gradient(y, {x})[0].item(), std::ldexp(1.0, 60));
}

// The gradient of sum(softmax) is zero, because the sum is always 1.
TEST(Softmax, AWrongRulePassesUnderASumOnly) {
  const Tensor<double> x({4}, {0.5, -1, 2, 0.1});
  const GradcheckFunction right = [](const auto& v) { return softmax_of_vector(v[0]); };
  const GradcheckFunction wrong = [](const auto& v) { return wrong_softmax(v[0]); };
  const GradcheckFunction sum_of_right = [&](const auto& v) { return sum(right(v)); };
  EXPECT_LT(error_under_sum(right, x, 1e-4), 1e-10);
  EXPECT_LT(error_under_sum(wrong, x, 1e-4), 1e-10);
  EXPECT_TRUE(gradcheck(right, {x})) << gradcheck(right, {x});
  EXPECT_FALSE(gradcheck(wrong, {x}));
  EXPECT_GT(gradcheck(wrong, {x}).worst_error, 0.1);
  EXPECT_THAT(gradcheck(sum_of_right, {x}).text, HasSubstr("no power"));
}

TEST(ErrorUnderSum, SeesARuleThatIsWrongUnderASum) {
  const GradcheckFunction doubled = [](const std::vector<Var<double>>& v) {
    Var<double> z = record<"test: exp">(exp(v[0].value()), v[0]);
    add_rule(z, v[0], [z](const Var<double>& dz) { return 2 * dz * z; });
    return z;
  };
  EXPECT_GT(error_under_sum(doubled, Tensor<double>({2}, {0.5, -1}), 1e-4), 0.3);
}

// D(h) = f' + h^2 f'''/6 + ..., so half the step has a quarter of the error; (4 D(h/2) - D(h)) / 3
// leaves h^4, a sixteenth. Where rounding rules, half the step has twice the error.
TEST(Differences, ErrFirstBySquaresAndThenByRounding) {
  auto error = [](int k) { return difference_error(std::ldexp(1.0, -k), false); };
  auto combined = [](int k) { return difference_error(std::ldexp(1.0, -k), true); };
  EXPECT_NEAR(std::log2(error(4) / error(9)) / 5, 2, 0.01);
  EXPECT_NEAR(std::log2(combined(1) / combined(5)) / 4, 4, 0.05);
  EXPECT_NEAR(std::log2(error(30) / error(40)) / 10, -1, 0.1);
  // The third derivative of e^x is e^x; the mean square of e^x over [0, 1] is (e^2 - 1) / 2.
  const double h = std::ldexp(1.0, -6);
  EXPECT_NEAR(error(6), h * h / 6 * std::sqrt((std::exp(2.0) - 1) / 2), 0.01 * error(6));
}

// The best step is the one with the smallest error, and the order a slope between two steps.
TEST(Differences, FindTheBestStepAndTheOrder) {
  const DifferenceErrors cubic{{0.25, 0.5, 1, 2}, {1.0 / 64, 1.0 / 8, 1, 8}};
  EXPECT_EQ(cubic.best_step(), 0.25);
  EXPECT_NEAR(cubic.order(0, 2), 3, 1e-14);
  const DifferenceErrors in_float = difference_errors<float>();
  EXPECT_EQ(in_float.steps.front(), std::ldexp(1.0, -22));  // 2^-23 is float's epsilon
  EXPECT_EQ(in_float.steps.back(), 1);
}

// m' = (1 - b1) g / (1 - b1) = g and v' = g^2, so the step is lr g / (|g| + eps): of the
// same length for almost every gradient.
TEST(Adam, HasAFirstStepOfOneLength) {
  for (double g : {1e-8, 1e-4, -0.3, 5.0, -1e6}) {
    Parameter<double> x("x", Tensor<double>(0.0));
    x.grad = Tensor<double>(g);
    nn::Adam<double>({&x}, {.learning_rate = 1e-3}).step();
    const double length = 1e-3 * std::abs(g) / (std::abs(g) + 1e-8);
    EXPECT_NEAR(x.item(), g > 0 ? -length : length, 1e-15) << g;
  }
}

TEST(PpcaModel, HasTheGradientThatDifferencesShow) {
  Rng rng(2);
  PpcaModel<double> model(5, 2, rng);
  model.weights.set_value(rng.normal<double>({5, 2}));
  const Tensor<double> s = toy_covariance(3);
  const auto report = gradcheck([&] { return model.negative_log_likelihood(s); },
                                model.parameters(), {.second_order = true});
  EXPECT_TRUE(report) << report;
}

// Without directions the density is a product of N(0, s^2): -ln p = D/2 ln(2 pi s^2) + |x|^2 / 2
// s^2, and the mean of |x|^2 is the sum of the variances, 7.75.
TEST(PpcaModel, IsARoundGaussianWhereTheWeightsAreZero) {
  Rng rng(4);
  PpcaModel<double> model(5, 2, rng);
  model.weights.set_value(Tensor<double>({5, 2}));
  model.log_var.set_value(Tensor<double>(std::log(1.7)));
  EXPECT_NEAR(model.negative_log_likelihood(toy_covariance(5)).item(),
              2.5 * std::log(2 * M_PI * 1.7) + 7.75 / (2 * 1.7), 1e-12);
}

// W = U_q (L - s^2 I)^(1/2) with s^2 = 1.75 / 3 is where the gradient is zero and the
// log-likelihood is the largest.
TEST(PpcaModel, IsAtRestInTheClosedFormOfLesson02) {
  Rng rng(6);
  const Tensor<double> x = toy_points(kToyVariances, 300, rng);
  const Pca<double> pca = fit_pca(x);
  const double s2 = toy_variance_beyond(2) / 3;
  PpcaModel<double> model(5, 2, rng);
  const Tensor<double> stretch = sqrt(slice(pca.variances, 0, 0, 2) - s2);
  model.weights.set_value(transpose(slice(pca.components, 0, 0, 2)) * stretch);
  model.log_var.set_value(Tensor<double>(std::log(s2)));

  Tape<double> tape;
  const Var<double> loss = model.negative_log_likelihood(covariance(x));
  EXPECT_NEAR(-loss.item(), toy_log_likelihood(2), 1e-12);
  tape.backward(loss);
  EXPECT_LT(max(abs(model.weights.grad)).item(), 1e-12);
  EXPECT_LT(std::abs(model.log_var.grad.item()), 1e-12);
}

TEST(PpcaModel, GradientDescentReachesTheValueOfLesson02) {
  for (unsigned seed : {0u, 7u}) {
    const Tensor<double> s = toy_covariance(seed);
    Rng rng(seed);
    PpcaModel<double> model(5, 2, rng);
    nn::Sgd<double> sgd(model.parameters(), {.learning_rate = 0.1, .momentum = 0.9});
    for (int i = 0; i < 400; ++i) {
      Tape<double> tape;
      tape.backward(model.negative_log_likelihood(s));
      sgd.step();
    }
    EXPECT_NEAR(-model.negative_log_likelihood(s).item(), toy_log_likelihood(2), 1e-6);
    EXPECT_NEAR(std::exp(model.log_var.item()), toy_variance_beyond(2) / 3, 1e-4);
  }
}

}  // namespace
}  // namespace gradus::lesson03
