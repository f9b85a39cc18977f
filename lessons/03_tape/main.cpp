// Lesson 03: a tape that differentiates what a program computes, and a model fitted with it.
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
#include "lessons/common/toy.hpp"
#include "lessons/kit/graph.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/optimizers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson03 {
namespace {

// z = (x y + x)^2 at x = 1.5, y = 3, where dz/dx = 2 (x y + x) (y + 1) = 48 and
// dz/dy = 2 (x y + x) x = 18: with the tape of model.hpp, and with the real one, which is drawn.
void one_expression(kit::Lesson& lesson) {
  tiny::Tape small;
  const tiny::Number a = record(small, 1.5);
  const tiny::Number b = record(small, 3);
  const tiny::Number c = a * b + a;
  const tiny::Number d = c * c;
  const std::vector<double> small_gradient = small.backward(d.node);

  Tape<double> tape({.keep_values = true});
  const Var<double> x = tape.leaf(1.5, "x");
  const Var<double> y = tape.leaf(3.0, "y");
  const Var<double> z = square(x * y + x);
  const auto g = gradient(z, {x, y});
  fmt::print("z = (x y + x)^2, as the tape wrote it down:\n{}", tape.table());
  kit::graph(lesson, "graph", "z = (x y + x)²: values forwards, gradients backwards",
             tape.to_dot());

  lesson.check("dz_dx_tiny", small_gradient[a.node], "", kit::Expected{48, 0});
  lesson.check("dz_dx", g[0].item(), "", kit::Expected{48, 0});
  lesson.check("dz_dy", g[1].item(), "", kit::Expected{18, 0});
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
  draw_differences(lesson, in_float, in_double, combined);
  lesson.check("order_of_central_difference", in_double.order(3, 10), "", kit::Expected{2, 0.01});
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
                          double momentum) {
  std::vector<double> heights;
  nn::Sgd<double> sgd(model.parameters(), {.learning_rate = 0.1, .momentum = momentum});
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

// Lesson 02's fit, found by following a gradient that nobody derived.
void fit_by_gradient(kit::Lesson& lesson) {
  constexpr int kSteps = 400;
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);                 // (500, 5)
  const Tensor<double> s = matmul_tn(x, x) / static_cast<double>(x.extent(0));  // (5, 5)
  PpcaModel<double> plain(5, 2, rng);
  PpcaModel<double> heavy(5, 2, rng);
  heavy.weights.set_value(plain.weights.value());
  const GradcheckReport report =
      gradcheck([&] { return plain.negative_log_likelihood(s); }, plain.parameters());
  fmt::print("gradcheck of pPCA's likelihood: {}\n", report.text);
  lesson.check("ppca_passes_gradcheck", report.ok, "", kit::Expected{1, 0});

  std::vector<Climb> climbs;
  auto fit = [&](const std::string& name, PpcaModel<double>& model, double momentum) {
    climbs.push_back({name, climb(model, s, kSteps, momentum)});
    lesson.check("ppca_log_likelihood_" + name, climbs.back().heights.back(), "nats",
                 kit::Expected{toy_log_likelihood(2), 1e-6});
    lesson.check("ppca_noise_variance_" + name, std::exp(model.log_var.item()), "",
                 kit::Expected{toy_variance_beyond(2) / 3, 1e-4});
  };
  fit("plain", plain, 0);
  fit("momentum", heavy, 0.9);
  draw_climb(lesson, climbs);
  draw_gap(lesson, climbs);

  // The levels at which the climb rests are lesson 02's fits with fewer directions.
  const lesson01::Pca<double> pca = lesson01::fit_pca(x);
  for (Index q : {0, 1})
    lesson.check(fmt::format("ppca_log_likelihood_q{}", q),
                 lesson02::mean_log_likelihood(lesson02::fit_ppca(pca, q), x), "nats",
                 kit::Expected{toy_log_likelihood(q), 1e-10});
}

void run(kit::Lesson& lesson) {
  one_expression(lesson);
  many_paths(lesson);
  one_backward(lesson);
  how_not_to_check(lesson);
  finite_differences(lesson);
  first_step_of_adam(lesson);
  fit_by_gradient(lesson);
}

}  // namespace
}  // namespace gradus::lesson03

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "03_tape", .title = "The chain rule, backwards, once"}, argc,
                          argv, gradus::lesson03::run);
}
