// Lesson 03: a tape that differentiates what a program computes, and a model fitted with it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/03_tape/figures.hpp"
#include "lessons/03_tape/instruments.hpp"
#include "lessons/03_tape/model.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/optimizers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson03 {
namespace {

// L(theta) = theta^2 has the slope 2 theta and the curvature 2: a step multiplies theta by
// 1 - 2 eta. Below eta = 1 the factor is between -1 and 1, and theta goes to 0.
void downhill_in_one_dimension(kit::Lesson& lesson) {
  std::vector<Roll> rolls = {{0.1, "creeps", {}}, {0.4, "arrives", {}}, {1.1, "leaves", {}}};
  for (Roll& roll : rolls) {
    const auto path = descend([](const Var<double>& theta) { return square(theta); },
                              Tensor<double>(1.0), {.learning_rate = roll.rate}, 4);
    for (const Tensor<double>& theta : path) roll.thetas.push_back(theta.item());
    for (int step : {1, 2, 3})
      lesson.check(fmt::format("bowl_{}_theta_{}", roll.verdict, step), roll.thetas[step], "",
                   kit::Expected{std::pow(1 - 2 * roll.rate, step), 1e-12});
  }
  draw_bowls(lesson, rolls);
}

// L = 1/2 (theta_1^2 + 25 theta_2^2). Plain steps multiply theta_1 by 1 - eta and theta_2 by
// 1 - 25 eta. With momentum mu both are bound by sqrt(mu)^t, where (1 + mu - eta a)^2 < 4 mu for
// both curvatures a.
void along_a_valley(kit::Lesson& lesson) {
  constexpr double kValleyRate = 0.07;
  constexpr double kValleyMomentum = 0.6;
  const Tensor<double> curvatures({2}, {1, 25});
  auto loss = [&](const Var<double>& theta) { return 0.5 * sum(curvatures * square(theta)); };
  auto walk = [&](double momentum) {
    return descend(loss, Tensor<double>({2}, {-4, 1}),
                   {.learning_rate = kValleyRate, .momentum = momentum}, 120);
  };
  const std::vector<Path> paths = {{"plain", {-3.5, 0.66}, walk(0)},
                                   {"momentum 0.6", {-2.8, 0.78}, walk(kValleyMomentum)}};
  draw_valley(lesson, 1, 25, paths);

  // The number of steps after which theta stays within 0.01 of the minimum.
  auto arrival = [](const Path& path) {
    Index last_outside = 0;
    for (Index i = 0; i < std::ssize(path.thetas); ++i)
      if (std::sqrt(sum(square(path.thetas[i])).item()) > 0.01) last_outside = i;
    return static_cast<double>(last_outside + 1);
  };
  lesson.check("valley_steps_plain", arrival(paths[0]), "",
               kit::Expected{std::ceil(std::log(0.01 / 4) / std::log(1 - kValleyRate)), 0});
  lesson.check("valley_steps_momentum", arrival(paths[1]), "",
               kit::between(1, 2 * std::log(0.01 / 4) / std::log(std::sqrt(kValleyMomentum))));
  lesson.report("valley_factor_momentum", std::sqrt(kValleyMomentum), "");
  // Along theta_1, r^2 - (1 + mu - eta) r + mu = 0 has the roots p +- q i.
  const double p = 0.5 * (1 + kValleyMomentum - kValleyRate);
  lesson.check("valley_root_real", p, "", kit::Expected{0.765, 1e-12});
  lesson.report("valley_root_imaginary", std::sqrt(kValleyMomentum - p * p), "");
  lesson.check("valley_second_theta_1", paths[1].thetas[1](0), "", kit::Expected{-3.72, 1e-12});
}

// z = (x y + x)^2 at x = 1.5, y = 3, where dz/dx = 2 (x y + x) (y + 1) = 48 and
// dz/dy = 2 (x y + x) x = 18: with the tape of model.hpp, which is drawn.
void one_expression(kit::Lesson& lesson) {
  tiny::Tape tape;
  const tiny::Number x = record(tape, 1.5);
  const tiny::Number y = record(tape, 3);
  const tiny::Number p = x * y;
  const tiny::Number s = p + x;
  const tiny::Number z = s * s;
  const std::vector<double> gradient = tape.backward(z.node);
  fmt::
      print("z = (x y + x)^2 backwards on the tiny tape; at the right what each has collected:\n{}",
            sweep_table(tape, {"x", "y", "p", "s", "z"}));
  draw_expression(lesson,
                  {{"x", "x", x},
                   {"y", "y", y},
                   {"p", "p = x y", p},
                   {"s", "s = p + x", s},
                   {"z", "z = s s", z}},
                  gradient);
  lesson.check("dz_dx_tiny", gradient[x.node], "", kit::Expected{48, 0});
  lesson.check("dz_dy_tiny", gradient[y.node], "", kit::Expected{18, 0});
}

// The same with the real tape.
void the_same_with_tensors(kit::Lesson& lesson) {
  Tape<double> tape;
  const Var<double> x = tape.leaf(1.5, "x");
  const Var<double> y = tape.leaf(3.0, "y");
  const Var<double> z = square(x * y + x);
  const std::vector<Var<double>> g = gradient(z, {x, y});
  fmt::print("\nthe same on the real tape:\n{}", tape.table());
  lesson.check("dz_dx", g[0].item(), "", kit::Expected{48, 0});
  lesson.check("dz_dy", g[1].item(), "", kit::Expected{18, 0});
}

// The text's example of a product and of a broadcast, worked out there on paper, element by
// element. dz is made the gradient of z by a loss that is the sum of dz z.
void matrix_product_and_broadcast(kit::Lesson& lesson) {
  const Tensor<double> dz({2, 2}, {1, 2, 0, 1});
  Tape<double> tape;
  const Var<double> x = tape.leaf(Tensor<double>({2, 3}, {1, 2, 0, 0, 1, 1}), "x");
  const Var<double> y = tape.leaf(Tensor<double>({3, 2}, {1, 0, 2, 1, 0, 3}), "y");
  const Var<double> b = tape.leaf(Tensor<double>({2}, {5, 7}), "b");
  const Var<double> z = matmul(x, y) + b;
  const std::vector<Var<double>> g = gradient(sum(dz * z), {x, y, b});
  auto check = [&](const std::string& name, const Var<double>& measured,
                   const Tensor<double>& on_paper) {
    const double off = max(abs(measured.value() - on_paper)).item();
    lesson.check("example_" + name + "_off", off, "", kit::Expected{0, 0});
  };
  check("z", z, Tensor<double>({2, 2}, {10, 9, 7, 11}));
  check("dx", g[0], Tensor<double>({2, 3}, {1, 4, 6, 0, 1, 3}));
  check("dy", g[1], Tensor<double>({3, 2}, {1, 2, 2, 5, 0, 1}));
  check("db", g[2], Tensor<double>({2}, {1, 3}));
}

// The gradient of a product of D numbers, of which every other is 2 and 1/2, is the product, 1, by
// each number: exactly known, and the operations can be counted.
void cost_of_a_gradient(kit::Lesson& lesson) {
  for (Index d : {10, 100, 1000}) {
    std::vector<double> x;
    for (Index i = 0; i < d; ++i) x.push_back(i % 2 == 0 ? 2 : 0.5);
    const PricedGradient differences = product_by_differences(x, 0.25);
    const PricedGradient forward = product_forward(x);
    const PricedGradient backward = product_backward(x);
    double off = 0;
    for (Index i = 0; i < d; ++i)
      for (const PricedGradient* g : {&differences, &forward, &backward})
        off = std::max(off, std::abs(g->gradient[i] - 1 / x[i]));
    lesson.check(fmt::format("product_{}_gradients_off", d), off, "", kit::Expected{0, 0});

    const double n = static_cast<double>(d);
    auto check = [&](const std::string& name, const PricedGradient& g, double expected) {
      lesson.check(fmt::format("product_{}_operations_{}", d, name),
                   static_cast<double>(g.operations), "", kit::Expected{expected, 0});
    };
    check("differences", differences, 2 * n * (n - 1) + 4 * n);
    check("forward", forward, 4 * n * (n - 1));
    check("backward", backward, 5 * (n - 1));
  }
}

// b = a + a, c = b + b, ...: the number of paths doubles with each sum, the number of nodes grows
// by one, and the reverse sweep visits nodes.
void many_paths(kit::Lesson& lesson) {
  constexpr int kSums = 30;
  Tape<double> tape;
  const Var<double> a = tape.leaf(1.0);
  Var<double> y = a;
  for (int i = 0; i < kSums; ++i) y = y + y;
  const Index steps = tape.size() - 1;
  lesson.check("doublings_steps", static_cast<double>(steps), "", kit::Expected{kSums, 0});
  lesson.check("doublings_gradient", gradient(y, {a})[0].item(), "",
               kit::Expected{std::pow(2.0, kSums), 0});
}

// What a rule keeps alive lives until the sweep has passed it; a second sweep would have no rules.
void one_backward(kit::Lesson& lesson) {
  Parameter<double> x("x", Tensor<double>(3.0));
  Tape<double> tape;
  const auto witness = std::make_shared<int>();
  const Var<double> y = record<"twice">(x.value() * 2.0, x);
  add_rule(y, x, [witness](const Var<double>& dz) { return 2.0 * dz; });
  const auto kept_before = witness.use_count() - 1;
  tape.backward(y);
  lesson.check("rules_alive_before_backward", static_cast<double>(kept_before), "",
               kit::Expected{1, 0});
  lesson.check("rules_alive_after_backward", static_cast<double>(witness.use_count() - 1), "",
               kit::Expected{0, 0});

  double refused = 0;
  try {
    tape.backward(y);
  } catch (const Error& error) {
    fmt::print("\na second backward: {}\n", error.what());
    refused = 1;
  }
  lesson.check("second_backward_refused", refused, "", kit::Expected{1, 0});
}

// Never through a sum: the gradient of sum(softmax) is zero, for a right rule and for a wrong one.
void how_not_to_check(kit::Lesson& lesson) {
  const Tensor<double> x({4}, {0.5, -1, 2, 0.1});
  const GradcheckFunction right = [](const auto& v) { return softmax_of_vector(v[0]); };
  const GradcheckFunction wrong = [](const auto& v) { return wrong_softmax(v[0]); };
  const GradcheckFunction sum_of_right = [&](const auto& v) { return sum(right(v)); };
  const GradcheckReport good = gradcheck(right, {x});
  const GradcheckReport bad = gradcheck(wrong, {x});
  fmt::print("\ngradcheck of the right softmax: {}\n", good.text);
  fmt::print("gradcheck of the wrong softmax: {}\n", bad.text);
  fmt::print("gradcheck of sum(softmax): {}\n", gradcheck(sum_of_right, {x}).text);
  lesson.check("wrong_softmax_error_under_sum", error_under_sum(wrong, x, 1e-4), "",
               kit::Expected{0, 1e-10});
  lesson.check("wrong_softmax_caught_by_gradcheck", !bad, "", kit::Expected{1, 0});
  lesson.check("right_softmax_passes_gradcheck", good.ok, "", kit::Expected{1, 0});
}

// For f = f^(3) = e^x the error h^2 f / 6 + e f / h is least at h = (3 e)^(1/3), and the rounding e
// is at most that of a number near 1. On average it is some times less, so the best step is up to
// ten times shorter.
kit::Expected best_step_for(double rounding) {
  const double longest = std::cbrt(3 * rounding);
  return kit::between(longest / 10, longest);
}

void finite_differences(kit::Lesson& lesson) {
  const DifferenceErrors in_float = difference_errors<float>();
  const DifferenceErrors in_double = difference_errors<double>();
  const DifferenceErrors combined = difference_errors<double>(/*combined=*/true);
  draw_differences(lesson, {{"float", {-5.3, -1.5}, in_float, 1},
                            {"double", {-11.4, -6.6}, in_double, 2},
                            {"h and h/2", {-1.7, -9.8}, combined, 3}});
  lesson.check("order_of_central_difference", in_double.order(3, 10), "", kit::Expected{2, 0.01});
  lesson.check("error_of_central_difference", in_double.error_at(std::ldexp(1.0, -6)), "",
               kit::relative(central_difference_error(std::ldexp(1.0, -6)), 0.01));
  lesson.check("order_of_h_and_half_h", combined.order(1, 6), "", kit::Expected{4, 0.05});
  lesson.check("order_of_rounding", in_double.order(30, 40), "", kit::Expected{-1, 0.1});
  lesson.check("best_step_double", in_double.best_step(), "",
               best_step_for(std::numeric_limits<double>::epsilon()));
  lesson.check("best_step_float", in_float.best_step(), "",
               best_step_for(std::numeric_limits<float>::epsilon()));
}

// Adam's first step is learning_rate |g| / (|g| + eps): m' = g and v' = g^2 whatever g is. With
// g = eps it is half of the learning rate; with any larger one nearly all of it.
void first_step_of_adam(kit::Lesson& lesson) {
  constexpr double kLearningRate = 1e-3;
  constexpr double kEps = 1e-8;
  auto check = [&](const std::string& name, double g) {
    Parameter<double> x("x", Tensor<double>(0.0));
    x.grad = Tensor<double>(g);
    nn::Adam<double>({&x}, {.learning_rate = kLearningRate}).step();
    lesson.check("adam_first_step_" + name, std::abs(x.item()), "",
                 kit::Expected{kLearningRate * g / (g + kEps), 1e-15});
  };
  check("tiny_gradient", kEps);
  check("large_gradient", 5);
}

// The average log-likelihood before each step of gradient descent, and after the last.
std::vector<double> climb(PpcaModel<double>& model, const Tensor<double>& s, int steps,
                          const nn::SgdOptions& options) {
  std::vector<double> heights;
  nn::Sgd<double> sgd(model.parameters(), options);
  for (int i = 0; i < steps; ++i) {
    Tape<double> tape;
    const Var<double> loss = model.negative_log_likelihood(s);
    heights.push_back(-loss.item());
    tape.backward(loss);
    sgd.step();
  }
  heights.push_back(-model.negative_log_likelihood(s).item());
  return heights;
}

// From the top a small step along the direction of the largest curvature, and then plain descent
// with a learning rate below or above 2 / curvature: a step multiplies the distance by
// 1 - rate * curvature, and the gap by its square.
void around_the_largest_rate(kit::Lesson& lesson, PpcaModel<double>& top, const Tensor<double>& s) {
  const auto at_the_top =
      curvature<double>([&] { return top.negative_log_likelihood(s); }, top.parameters());
  const SymmetricEigen<double> curvatures = symmetric_eigen(at_the_top.hessian);
  const std::vector<double> predicted = ppca_curvatures(kToyVariances, 2);
  const double largest = curvatures.values(0);
  lesson.check("largest_curvature", largest, "", kit::relative(predicted.front(), 1e-5));
  lesson.check("smallest_curvature", curvatures.values(std::ssize(predicted) - 1), "",
               kit::relative(predicted.back(), 1e-5));
  lesson.check("curvature_of_turning", curvatures.values(std::ssize(predicted)), "",
               kit::Expected{0, 1e-5});
  lesson.report("largest_learning_rate", 2 / predicted.front(), "");

  const Index in_weights = top.weights.value().size();
  const Tensor<double> along = slice(curvatures.vectors, 0, 0, 1).reshape({in_weights + 1}) * 1e-4;
  const Tensor<double> top_weights = top.weights.value();
  const Tensor<double> top_log_var = top.log_var.value();
  for (double share : {0.99, 1.01}) {
    const Tensor<double> of_weights = slice(along, 0, 0, in_weights);
    top.weights.set_value(top_weights + of_weights.reshape(top_weights.shape()));
    top.log_var.set_value(top_log_var + along(in_weights));
    const Climb walk = {"", climb(top, s, 50, {.learning_rate = share * 2 / largest})};
    lesson.check(share < 1 ? "factor_below_the_largest_rate" : "factor_above_the_largest_rate",
                 factor_per_step(walk.gaps(), 0, 50), "per step",
                 kit::Expected{std::pow(1 - 2 * share, 2), 1e-3});
  }
}

// From one start with several learning rates: those below 2 / curvature of the top arrive there.
void climb_at_several_rates(kit::Lesson& lesson, const Tensor<double>& weights,
                            const Tensor<double>& s) {
  constexpr int kSteps = 1000;
  const double largest_rate = 2 / ppca_curvatures(kToyVariances, 2).front();
  for (double rate : {0.1, 1.0, 1.2, 1.3}) {
    Rng rng(lesson.options().seed);
    PpcaModel<double> model(5, 2, rng);
    model.weights.set_value(weights);
    const Climb up = {"", climb(model, s, kSteps, {.learning_rate = rate})};
    const std::vector<double> gaps = up.gaps();
    int steps = 0;  // until all that follow are within a millionth of the top
    for (int i = 0; i <= kSteps; ++i)
      if (gaps[i] > 1e-6) steps = i + 1;
    const bool arrives = steps <= kSteps;
    lesson.check(fmt::format("arrives_at_rate_{:g}", rate), arrives, "",
                 kit::Expected{rate < largest_rate ? 1.0 : 0.0, 0});
    if (arrives) lesson.report(fmt::format("steps_at_rate_{:g}", rate), steps, "");
  }
}

constexpr double kRate = 0.1;
constexpr double kMomentum = 0.9;

// Near the top the direction of the smallest curvature is left, and with momentum, where the roots
// are complex for all curvatures, all directions shrink alike.
void near_the_top(kit::Lesson& lesson, const Climb& plain, const Climb& momentum) {
  const double smallest = ppca_curvatures(kToyVariances, 2).back();
  const double shrinking = std::pow(1 - kRate * smallest, 2);
  draw_gap(lesson, {{plain, shrinking, 1e-6, {290, -5}}, {momentum, kMomentum, 1e-3, {30, -7}}});
  lesson.check("factor_plain", factor_between(plain.gaps(), 1e-7, 1e-11), "per step",
               kit::Expected{shrinking, 1e-3});
  lesson.check("factor_momentum", factor_between(momentum.gaps(), 1e-4, 1e-10), "per step",
               kit::Expected{kMomentum, 0.02});
}

// The levels at which the climb rests are lesson 02's fits with fewer directions.
void levels_of_rest(kit::Lesson& lesson, const Tensor<double>& x) {
  const lesson01::Pca<double> pca = lesson01::fit_pca(x);
  for (Index k : {0, 1}) {
    const lesson02::Ppca<double> fewer = lesson02::fit_ppca(pca, k);
    lesson.check(fmt::format("ppca_log_likelihood_k{}", k), lesson02::mean_log_likelihood(fewer, x),
                 "nats", kit::Expected{toy_log_likelihood(k), 1e-10});
    lesson.check(fmt::format("ppca_noise_variance_k{}", k), fewer.sigma2, "",
                 kit::Expected{toy_variance_beyond(k) / static_cast<double>(5 - k), 1e-10});
  }
}

// Lesson 02's fit, found by following the gradient.
void fit_by_gradient(kit::Lesson& lesson) {
  constexpr int kSteps = 600;
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);                 // (500, 5)
  const Tensor<double> s = matmul_tn(x, x) / static_cast<double>(x.extent(0));  // (5, 5)
  PpcaModel<double> plain(5, 2, rng);
  PpcaModel<double> heavy(5, 2, rng);
  const Tensor<double> start = plain.weights.value();
  heavy.weights.set_value(start);
  const GradcheckReport report =
      gradcheck([&] { return plain.negative_log_likelihood(s); }, plain.parameters());
  fmt::print("gradcheck of pPCA's likelihood: {}\n", report.text);
  lesson.check("ppca_passes_gradcheck", report.ok, "", kit::Expected{1, 0});

  std::vector<Climb> climbs;
  auto fit = [&](const std::string& name, PpcaModel<double>& model, double momentum) {
    climbs.push_back(
        {name, climb(model, s, kSteps, {.learning_rate = kRate, .momentum = momentum})});
    lesson.check("ppca_log_likelihood_" + name, climbs.back().heights.back(), "nats",
                 kit::Expected{toy_log_likelihood(2), 1e-6});
    lesson.check("ppca_noise_variance_" + name, std::exp(model.log_var.item()), "",
                 kit::Expected{toy_variance_beyond(2) / 3, 1e-4});
  };
  fit("plain", plain, 0);
  fit("momentum", heavy, kMomentum);
  draw_climb(lesson, climbs);
  near_the_top(lesson, climbs[0], climbs[1]);
  levels_of_rest(lesson, x);
  around_the_largest_rate(lesson, plain, s);
  climb_at_several_rates(lesson, start, s);
}

void run(kit::Lesson& lesson) {
  downhill_in_one_dimension(lesson);
  along_a_valley(lesson);
  one_expression(lesson);
  many_paths(lesson);
  cost_of_a_gradient(lesson);
  matrix_product_and_broadcast(lesson);
  the_same_with_tensors(lesson);
  one_backward(lesson);
  fit_by_gradient(lesson);
  finite_differences(lesson);
  how_not_to_check(lesson);
  first_step_of_adam(lesson);
}

}  // namespace
}  // namespace gradus::lesson03

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "03_tape", .title = "The chain rule, backwards, once"}, argc,
                          argv, gradus::lesson03::run);
}
