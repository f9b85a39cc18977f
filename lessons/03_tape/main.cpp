// Lesson 03: a tape that differentiates what a program computes, and a model fitted with it.
#include <memory>

#include <fmt/core.h>

#include "autograd/gradcheck.hpp"
#include "lessons/03_tape/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/graph.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/optimizers.hpp"

namespace gradus::lesson03 {
namespace {

// z = (x y + x)^2 at x = 1.5, y = 3, where dz/dx = 2 (x y + x) (y + 1) = 48 and
// dz/dy = 2 (x y + x) x = 18: with the tape of model.hpp, and with the real one, which is drawn.
void one_expression(kit::Lesson& lesson) {
  tiny::Tape small;
  const tiny::Number a = record(small, 1.5), b = record(small, 3);
  const tiny::Number c = a * b + a, d = c * c;
  const std::vector<double> small_gradient = small.backward(d.node);

  Tape<double> tape({.keep_values = true});
  const Var<double> x = tape.leaf(1.5, "x"), y = tape.leaf(3.0, "y");
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
  const Var<double> y = record("twice", x.value() * 2.0,
                               wrt(x, [witness](const Var<double>& dz) { return 2.0 * dz; }));
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

void how_not_to_check(kit::Lesson& lesson) {
  const Tensor<double> x({4}, {0.5, -1, 2, 0.1});
  const GradcheckFunction right = [](const auto& v) { return softmax_of_vector(v[0]); };
  const GradcheckFunction wrong = [](const auto& v) { return wrong_softmax(v[0]); };
  const GradcheckReport good = gradcheck(right, {x}), bad = gradcheck(wrong, {x});
  fmt::print("\ngradcheck of the right softmax: {}\n", good.text);
  fmt::print("gradcheck of the wrong softmax: {}\n", bad.text);
  fmt::print("gradcheck of sum(softmax): {}\n",
             gradcheck([&](const auto& v) { return sum(right(v)); }, {x}).text);
  lesson.check("wrong_softmax_error_under_sum", error_under_sum(wrong, x, 1e-4), "",
               kit::Expected{0, 1e-10});
  lesson.check("wrong_softmax_caught_by_gradcheck", !bad, "", kit::Expected{1, 0});
  lesson.check("right_softmax_passes_gradcheck", good.ok, "", kit::Expected{1, 0});
}

// The errors for steps h = 2^-44, ..., 1/2, 1: powers of two, so that h itself is exact. Steps that
// T cannot tell from nothing are left out.
template <class T> kit::Series difference_errors(const char* label, bool combined = false) {
  kit::Series series{.label = label};
  for (int k = 44; k >= 0; --k) {
    const T h = std::ldexp(T(1), -k);
    if (h <= std::numeric_limits<T>::epsilon()) continue;
    series.x.push_back(h);
    series.y.push_back(difference_error<T>(h, combined));
  }
  return series;
}

void finite_differences(kit::Lesson& lesson) {
  const auto single = difference_errors<float>("float"),
             plain = difference_errors<double>("double");
  const auto combined = difference_errors<double>("double, h and h/2", true);
  kit::plot(lesson, "differences",
            {.title = "Too large a step is wrong, and so is too small a one",
             .note = "error of (f(x+h) − f(x−h)) / 2h for f(x) = exp x, x from 0 to 1",
             .x_label = "step h",
             .y_label = "error of the derivative",
             .log_x = true,
             .log_y = true},
            {single, plain, combined});
  auto best = [](const kit::Series& s) {
    return s.x[std::min_element(s.y.begin(), s.y.end()) - s.y.begin()];
  };
  // The slope in the figure between h = 2^-i and 2^-j.
  auto order = [](const kit::Series& s, int i, int j) {
    return std::log2(s.y[44 - i] / s.y[44 - j]) / (j - i);
  };
  // For f = f^(3) = e^x the error h^2 f / 6 + e f / h is least at h = (3 e)^(1/3). The rounding e
  // is at most 2^-52 in double and 2^-23 in float, where that is 8.7e-6 and 7.1e-3, and on average
  // some times less.
  lesson.check("order_of_central_difference", order(plain, 3, 10), "", kit::Expected{2, 0.01});
  lesson.check("order_of_h_and_half_h", order(combined, 1, 6), "", kit::Expected{4, 0.05});
  lesson.check("order_of_rounding", order(plain, 30, 40), "", kit::Expected{-1, 0.1});
  lesson.check("best_step_double", best(plain), "", kit::between(8.7e-7, 8.7e-6));
  lesson.check("best_step_float", best(single), "", kit::between(7.1e-4, 7.1e-3));
}

// The first step is learning_rate |g| / (|g| + eps): m' = g and v' = g^2 whatever g is.
double first_step_of_adam(double g) {
  Parameter<double> x("x", Tensor<double>(0.0));
  x.grad = Tensor<double>(g);
  nn::Adam<double>({&x}, {.learning_rate = 1e-3}).step();
  return std::abs(x.item());
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

// What lesson 02 finds in closed form: the best average log-likelihood with q directions.
double closed_form(Index q) {
  const double d = static_cast<double>(kToyVariances.size());
  double dropped = 0, logs = 0;
  for (Index i = 0; i < std::ssize(kToyVariances); ++i)
    i < q ? logs += std::log(kToyVariances[i]) : dropped += kToyVariances[i];
  const double rest = d - static_cast<double>(q);
  return -0.5 * (d * PpcaModel<double>::kLogTwoPi + logs + rest * std::log(dropped / rest) + d);
}

void fit_by_gradient(kit::Lesson& lesson) {
  constexpr int kSteps = 400;
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  const Tensor<double> s = matmul_tn(x, x) / static_cast<double>(x.extent(0));
  PpcaModel<double> plain(5, 2, rng), heavy(5, 2, rng);
  heavy.weights.set_value(plain.weights.value());
  const auto report =
      gradcheck([&] { return plain.negative_log_likelihood(s); }, plain.parameters());
  fmt::print("gradcheck of pPCA's likelihood: {}\n", report.text);
  lesson.check("ppca_passes_gradcheck", report.ok, "", kit::Expected{1, 0});

  std::vector<kit::Series> heights, gaps;
  for (auto [name, model, momentum] :
       {std::tuple{"plain", &plain, 0.0}, {"momentum", &heavy, 0.9}}) {
    kit::Series height{.label = name, .y = climb(*model, s, kSteps, momentum)};
    kit::Series gap{.label = name};
    for (int i = 0; i <= kSteps; ++i) {
      height.x.push_back(i);
      if (const double g = closed_form(2) - height.y[i]; g > 1e-12) {
        gap.x.push_back(i);
        gap.y.push_back(g);
      }
    }
    lesson.check(fmt::format("ppca_log_likelihood_{}", name), height.y.back(), "nats",
                 kit::Expected{closed_form(2), 1e-6});
    lesson.check(fmt::format("ppca_noise_variance_{}", name), std::exp(model->log_var.item()), "",
                 kit::Expected{1.75 / 3, 1e-4});
    height.x.resize(121), height.y.resize(121);
    heights.push_back(height);
    gaps.push_back(gap);
  }
  lesson.check("ppca_log_likelihood_q0", closed_form(0), "nats",
               kit::Expected{-8.1903299934, 1e-10});
  lesson.check("ppca_log_likelihood_q1", closed_form(1), "nats",
               kit::Expected{-7.6587628043, 1e-10});
  kit::plot(lesson, "climb",
            {.title = "Gradient descent finds one direction, then the other",
             .x_label = "steps",
             .y_label = "log-likelihood, nats per point",
             .levels = {{"no direction", closed_form(0)},
                        {"one direction", closed_form(1)},
                        {"two: lesson 02", closed_form(2)}}},
            heights);
  kit::plot(lesson, "gap",
            {.title = "Near the top, every step removes the same share",
             .x_label = "steps",
             .y_label = "below lesson 02's value, nats",
             .log_y = true},
            gaps);
}

void run(kit::Lesson& lesson) {
  one_expression(lesson);
  many_paths(lesson);
  one_backward(lesson);
  how_not_to_check(lesson);
  finite_differences(lesson);
  // With g = eps the step is half of the learning rate; with any larger one nearly all of it.
  lesson.check("adam_first_step_tiny_gradient", first_step_of_adam(1e-8), "",
               kit::Expected{5e-4, 1e-15});
  lesson.check("adam_first_step_large_gradient", first_step_of_adam(5), "",
               kit::Expected{1e-3 * 5 / (5 + 1e-8), 1e-15});
  fit_by_gradient(lesson);
}

}  // namespace
}  // namespace gradus::lesson03

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "03_tape", .title = "The chain rule, backwards, once"}, argc,
                          argv, gradus::lesson03::run);
}
