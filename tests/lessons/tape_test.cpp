#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/03_tape/instruments.hpp"
#include "lessons/03_tape/model.hpp"
#include "lessons/common/gradients.hpp"
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

// The rows of the lesson's table, in the order of the sweep.
TEST(TinyTape, ShowsItsSweepNodeByNode) {
  tiny::Tape tape;
  const tiny::Number x = record(tape, 1.5);
  const tiny::Number y = record(tape, 3);
  const tiny::Number s = x * y + x;
  s* s;
  const std::string table = sweep_table(tape, {"x", "y", "p", "s", "z"});
  EXPECT_THAT(table, HasSubstr("\ns     12        12 x 1 = 12 to p, 12 x 1 = 12 to x"));
  EXPECT_THAT(table, HasSubstr("\np     12        12 x 3 = 36 to x, 12 x 1.5 = 18 to y"));
  EXPECT_LT(table.find("\ns "), table.find("\np "));
  EXPECT_THAT(table.substr(table.find("\nx ")), HasSubstr("   48   18   12   12    1\n"));
}

// Exercise 1: who overwrites where gradients belong added keeps the last of them. s gets 6 in place
// of 6 + 6; x gets 6 from the sum, and then 6 * 3 from the product in its place.
TEST(TinyTape, GivesEighteenWhereGradientsAreOverwritten) {
  tiny::Tape tape;
  const tiny::Number x = record(tape, 1.5);
  const tiny::Number y = record(tape, 3);
  const tiny::Number s = x * y + x;
  const tiny::Number z = s * s;
  std::vector<double> gradient(z.node + 1, 0.0);
  gradient[z.node] = 1;
  for (Index node = z.node; node >= 0; --node)
    for (const tiny::Edge& edge : tape.nodes[node])
      gradient[edge.input] = gradient[node] * edge.slope;
  EXPECT_EQ(gradient[x.node], 18);
  EXPECT_EQ(gradient[y.node], 9);
}

// Exercise 2: d ln x / dx = 1/x, 0.5 at x = 2, where the third derivative is 2 / x^3 = 0.25: the
// difference is off by 0.25 h^2 / 6, and by rounding of up to about 1e-16 / h.
tiny::Number log(const tiny::Number& x) {
  return record(*x.tape, std::log(x.value), {{x.node, 1 / x.value}});
}

TEST(TinyTape, TakesALogarithm) {
  tiny::Tape tape;
  const tiny::Number x = record(tape, 2);
  const tiny::Number y = log(x);
  const double slope = tape.backward(y.node)[x.node];
  const double h = 4e-6;
  EXPECT_EQ(slope, 0.5);
  EXPECT_NEAR((std::log(2 + h) - std::log(2 - h)) / (2 * h), slope, 1e-10);
}

TEST(Counted, CountsEachOperation) {
  Counted::operations = 0;
  const Counted x{3};
  EXPECT_EQ((x * x + x / x - x).value, 7);
  EXPECT_EQ(Counted::operations, 4);
}

// (x y)' = x y' + x' y.
TEST(Dual, HasTheProductRule) {
  const Dual z = Dual{{2}, {5}} * Dual{{3}, {7}};
  EXPECT_EQ(z.value.value, 6);
  EXPECT_EQ(z.slope.value, 2 * 7 + 5 * 3);
}

// d (x_1 ... x_D) / d x_i is the product of the others. A product takes D - 1 multiplications;
// differences take 2 D products and 4 D more; a product of duals has 3 multiplications and an
// addition, D times over; the tape has D - 1 products, with two edges each.
TEST(CostOfAGradient, IsLinearInTheInputsBackwardsOnly) {
  Rng rng(8);
  for (Index d : {2, 3, 8}) {
    std::vector<double> x;
    for (double number : rng.normal<double>({d})) x.push_back(number);
    const PricedGradient differences = product_by_differences(x, 1e-3);
    const PricedGradient forward = product_forward(x);
    const PricedGradient backward = product_backward(x);
    for (Index i = 0; i < d; ++i) {
      double others = 1;
      for (Index j = 0; j < d; ++j)
        if (j != i) others *= x[j];
      EXPECT_NEAR(differences.gradient[i], others, 1e-11);
      EXPECT_NEAR(forward.gradient[i], others, 1e-14);
      EXPECT_NEAR(backward.gradient[i], others, 1e-14);
    }
    EXPECT_EQ(differences.operations, 2 * d * (d - 1) + 4 * d);
    EXPECT_EQ(forward.operations, 4 * d * (d - 1));
    EXPECT_EQ(backward.operations, 5 * (d - 1));
    EXPECT_EQ(std::ssize(backward.gradient), d);
  }
}

// u <- mu u + a theta, theta <- theta - eta u is the recurrence
// theta' = (1 + mu - eta a) theta - mu theta_before, in which u does not occur.
TEST(Descend, FollowsTheRecurrenceOfMomentum) {
  const double a = 3;
  const double rate = 0.2;
  const double momentum = 0.7;
  const auto path = descend([&](const Var<double>& theta) { return 0.5 * a * square(theta); },
                            Tensor<double>(2.0), {.learning_rate = rate, .momentum = momentum}, 20);
  ASSERT_EQ(path.size(), 21u);
  EXPECT_EQ(path[0].item(), 2);
  EXPECT_NEAR(path[1].item(), (1 - rate * a) * 2, 1e-15);
  for (int i = 1; i < 20; ++i)
    EXPECT_NEAR(path[i + 1].item(),
                (1 + momentum - rate * a) * path[i].item() - momentum * path[i - 1].item(), 1e-14);
}

TEST(FactorPerStep, IsTheRootOfTheRatio) {
  const std::vector<double> gaps = {1, 8, 4, 2, 1};
  EXPECT_NEAR(factor_per_step(gaps, 1, 4), 0.5, 1e-15);
  EXPECT_NEAR(factor_between({9, 4, 2, 1, 0.5}, 5, 1.5), 0.5, 1e-15);
  EXPECT_TRUE(std::isnan(factor_between(gaps, 3, 0.5)));
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

// 1/N sum_n y_n^T C^-1 y_n = tr(C^-1 S): the loss is lesson 02's log-likelihood, which goes through
// the K x K matrix, on average over the points.
TEST(PpcaModel, HasTheLogLikelihoodOfLesson02) {
  Rng rng(9);
  const Tensor<double> x = toy_points(kToyVariances, 40, rng);
  PpcaModel<double> model(5, 2, rng);
  model.weights.set_value(rng.normal<double>({5, 2}));
  model.log_var.set_value(Tensor<double>(-0.4));
  const Tensor<double> all =
      lesson02::ppca_log_likelihood(x, model.weights.value(), Tensor<double>(std::exp(-0.4)));
  EXPECT_NEAR(model.negative_log_likelihood(covariance(x)).item(), -mean(all).item(), 1e-12);
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

// The second derivatives at the maximum, in the coordinates in which S = diag(l). There C = diag(c)
// with c_i = l_i for i <= K and c_j = s^2 beyond, and W has the columns r_i e_i, r_i^2 = l_i - s^2.
// L = 1/2 (ln |C| + tr(C^-1 S)) has the differentials
//     dL   = 1/2 tr(G dC),   G = C^-1 - C^-1 S C^-1, which is 0 for i <= K and 1/s^2 - l_j/s^4
//     beyond, d2L  = 1/2 tr(G d2C) + 1/2 sum_ab dC_ab^2 (l_b / (c_a c_b^2) + l_a / (c_a^2 c_b) - 1
//     / (c_a c_b)).
// With dW = V and d ln s^2 = t, dC = V W^T + W V^T + s^2 t I and d2C = 2 V V^T + s^2 t^2 I.
//   V_ji = v, j beyond K: dC_ij = r_i v and d2C_jj = 2 v^2, together v^2 (l_i - l_j) / (s^2 l_i).
//   V_12 = a, V_21 = b: dC_12 = a r_2 + b r_1, together (a r_2 + b r_1)^2 / (l_1 l_2), with the
//     eigenvalues (r_1^2 + r_2^2) / (l_1 l_2), and 0 for (r_1, -r_2), a rotation of the columns.
//   V_ii = v_i, and t: dC_ii = 2 r_i v_i + s^2 t, dC_jj = s^2 t, and the sum of G_jj is 0; so
//     1/2 sum_i (2 r_i v_i + s^2 t)^2 / l_i^2 + 1/2 (D - K) t^2.
TEST(PpcaModel, HasTheCurvaturesOfTheClosedForm) {
  const std::vector<double> l = {5, 3, 1.5, 0.8, 0.3, 0.1};
  for (Index k : {1, 2, 3}) {
    Rng rng(10);
    const Tensor<double> x = toy_points(l, 300, rng);
    const lesson02::Ppca<double> best = lesson02::fit_ppca(fit_pca(x), k);
    PpcaModel<double> model(6, k, rng);
    model.weights.set_value(best.w);
    model.log_var.set_value(Tensor<double>(std::log(best.sigma2)));
    const Tensor<double> s = covariance(x);
    const auto here =
        curvature<double>([&] { return model.negative_log_likelihood(s); }, model.parameters());
    const Tensor<double> measured = symmetric_eigen(here.hessian).values;
    const std::vector<double> expected = ppca_curvatures(l, k);
    const Index rotations = k * (k - 1) / 2;
    ASSERT_EQ(std::ssize(expected) + rotations, measured.size());
    for (Index i = 0; i < measured.size(); ++i)
      EXPECT_NEAR(measured(i), i < std::ssize(expected) ? expected[i] : 0, 1e-9) << k << " " << i;
  }
}

// Exercise 3: the gradient with respect to W is (C^-1 - C^-1 S C^-1) W, which is 0 where W is. Only
// the noise is fitted, and its best variance is the mean of all, 7.75 / 5.
TEST(PpcaModel, StaysWithoutADirectionWhenItStartsThere) {
  Rng rng(11);
  const Tensor<double> s = toy_covariance(12);
  PpcaModel<double> model(5, 2, rng);
  model.weights.set_value(Tensor<double>({5, 2}));
  nn::Sgd<double> sgd(model.parameters(), {.learning_rate = 0.1});
  for (int i = 0; i < 600; ++i) {
    Tape<double> tape;
    tape.backward(model.negative_log_likelihood(s));
    sgd.step();
  }
  EXPECT_NEAR(-model.negative_log_likelihood(s).item(), toy_log_likelihood(0), 1e-12);
  EXPECT_NEAR(std::exp(model.log_var.item()), 1.55, 1e-8);
  EXPECT_EQ(max(abs(model.weights.value())).item(), 0);
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
