// Lesson 10: the Kullback-Leibler divergence, on paper, by Monte Carlo and as a thing to minimise.
#include <fmt/core.h>

#include "lessons/10_kl/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"

namespace gradus::lesson10 {
namespace {

using Numbers = Tensor<double>;

// A normal distribution on the line, as one example of one dimension.
nn::Normal<double> normal(double mean, double variance) {
  return {Numbers({1, 1}, {mean}), Numbers({1, 1}, {std::log(variance)})};
}

// Tables: the binomial and the uniform on {0, 1, 2}.
void compare_tables(kit::Lesson& lesson) {
  const Numbers p({3}, {0.36, 0.48, 0.16});
  const Numbers q({3}, {1.0 / 3, 1.0 / 3, 1.0 / 3}), printed({3}, {0.333, 0.333, 0.333});
  auto divergence = [](const Numbers& a, const Numbers& b) {
    return kl_by_sum<double>(log(a), log(b)).item();
  };
  lesson.check("kl_binomial_uniform", divergence(p, q), "nats", kit::Expected{0.0852996013, 6e-11});
  lesson.check("kl_uniform_binomial", divergence(q, p), "nats", kit::Expected{0.0974550068, 6e-11});
  lesson.report("uniform_as_printed", printed(0), "");
  lesson.check("kl_binomial_uniform_as_printed", divergence(p, printed), "nats",
               kit::Expected{0.0863001, 6e-8});
  lesson.check("kl_uniform_binomial_as_printed", divergence(printed, p), "nats",
               kit::Expected{0.0963581, 6e-8});
  kit::bars(lesson, "tables",
            {.title = "Two tables, and what it costs to mistake one for the other",
             .note = fmt::format("KL(P || Q) = {:.4f} nats,  KL(Q || P) = {:.4f} nats",
                                 divergence(p, q), divergence(q, p)),
             .x_label = "number of successes in two trials",
             .y_label = "probability"},
            {{.label = "P: binomial, each trial succeeds with probability 0.4", .y = p.to_vector()},
             {.label = "Q: uniform", .y = q.to_vector()}},
            {"0", "1", "2"});
}

// Normal distributions in one dimension and in two.
void compare_normals(kit::Lesson& lesson) {
  const auto narrow = normal(1, 0.25), wide = normal(0, 1);
  lesson.check("kl_narrow_wide", kl(narrow, wide).item(), "nats",
               kit::Expected{0.8181471806, 6e-11});
  lesson.check("kl_wide_narrow", kl(wide, narrow).item(), "nats",
               kit::Expected{2.8068528194, 6e-11});

  const Numbers tilted({2, 2}, {1, 0.5, 0.5, 1});
  const MultivariateNormal<double> a{Numbers({2}), tilted};
  const MultivariateNormal<double> b{Numbers({2}, {1, 0}), Numbers({2, 2}, {2, 0, 0, 1})};
  const MultivariateNormal<double> shifted{b.mean, tilted};
  lesson.check("kl_a_b", kl(a, b).item(), "nats", kit::Expected{0.4904146265, 6e-11});
  lesson.check("kl_b_a", kl(b, a).item(), "nats", kit::Expected{1.1762520402, 6e-11});
  lesson.check("kl_equal_covariances", kl(a, shifted).item(), "nats",
               kit::Expected{2.0 / 3, 1e-14});
  lesson.check("kl_equal_covariances_reversed", kl(shifted, a).item(), "nats",
               kit::Expected{2.0 / 3, 1e-14});

  Rng rng(lesson.options().seed);
  const Var<double> x = a.sample(rng.normal<double>({100'000, 2}));
  lesson.check("z_score_kl_a_b", kl_by_sampling(a, b, x).z_score(kl(a, b).item()), "",
               kit::Expected{0, 5});
}

// 10,000 pairs of tables of 5 classes and 10,000 of normal distributions in 3 dimensions.
void try_random_pairs(kit::Lesson& lesson) {
  constexpr Index kPairs = 10'000;
  Rng rng(lesson.options().seed);
  auto random = [&](Index width) { return rng.normal<double>({kPairs, width}); };
  const nn::Categorical<double> c{random(5)}, d{random(5)};
  const nn::Normal<double> n{random(3), random(3)}, m{random(3), random(3)};
  const Numbers different = concatenate(std::vector{kl(c, d).value(), kl(n, m).value()});
  const Numbers same = concatenate(std::vector{kl(c, c).value(), kl(n, n).value()});
  lesson.check("negative_among_20000", sum(less(different, 0)).item(), "", kit::Expected{0, 0});
  lesson.check("least_of_20000", -max(-different).item(), "nats", kit::between(0, 1));
  lesson.check("largest_of_a_pair_of_equals", max(abs(same)).item(), "nats",
               kit::Expected{0, 1e-15});
}

// KL(p || q) from random points, many times for each n. `variance` is that of ln p(x) - ln q(x)
// under p, on paper. Gives the errors, and those that it predicts, as two lines of a figure.
std::vector<kit::Series> sample_kl(kit::Lesson& lesson, const std::string& name,
                                   const nn::Normal<double>& p, const nn::Normal<double>& q,
                                   double variance) {
  constexpr Index kRuns = 400, kPoints = 1'000'000;
  const double truth = kl(p, q).item();
  Rng rng(lesson.options().seed);
  auto estimate = [&](Index n) {
    return kl_by_sampling(p, q, p.sample(rng.normal<double>({n, 1})));
  };
  kit::Series measured{.label = "KL(" + name + ")", .mark = kit::Series::kDots};
  kit::Series predicted{.label = fmt::format("σ / √n, σ² = {:.3g}", variance)};
  for (Index n : {10, 30, 100, 300, 1000, 3000, 10000}) {
    double squares = 0;
    for (Index run = 0; run < kRuns; ++run) squares += std::pow(estimate(n).mean - truth, 2);
    measured.x.push_back(static_cast<double>(n));
    measured.y.push_back(std::sqrt(squares / kRuns));
    predicted.y.push_back(std::sqrt(variance / static_cast<double>(n)));
  }
  predicted.x = measured.x;

  const MonteCarloEstimate many = estimate(kPoints);
  const std::string key = p.log_var.item() < 0 ? "narrow_wide" : "wide_narrow";
  lesson.check("sampled_kl_" + key, many.mean, "nats",
               kit::Expected{truth, 5 * std::sqrt(variance / kPoints)});
  lesson.check("z_score_kl_" + key, many.z_score(truth), "", kit::Expected{0, 5});
  lesson.check("variance_of_log_ratio_" + key, many.variance, "nats^2",
               kit::relative(variance, 0.02));
  lesson.check("exponent_of_error_" + key, std::log10(measured.y.back() / measured.y.front()) / 3,
               "", kit::Expected{-0.5, 0.05});
  return {measured, predicted};
}

void draw_monte_carlo(kit::Lesson& lesson) {
  // With x = 1 + e / 2,  ln p - ln q = ln 2 + 1/2 + e / 2 - 3/8 e^2,  of variance 1/4 + 2 (3/8)^2.
  // With x = e,          ln q - ln p = 2 - ln 2 - 4 e + 3/2 e^2,      of variance 16 + 2 (3/2)^2.
  const auto narrow = normal(1, 0.25), wide = normal(0, 1);
  auto lines = sample_kl(lesson, "narrow || wide", narrow, wide, 0.53125);
  for (const auto& line : sample_kl(lesson, "wide || narrow", wide, narrow, 20.5))
    lines.push_back(line);
  kit::plot(lesson, "monte_carlo",
            {.title = "How far a KL from n random points is off",
             .note = "dots: root mean square error of 400 runs; lines: what the formula says",
             .x_label = "number of points n",
             .y_label = "error of the estimate, nats",
             .log_x = true,
             .log_y = true},
            lines);
}

double variance(const nn::Normal<double>& q) { return std::exp(q.log_var.item()); }

void fit_two_modes(kit::Lesson& lesson) {
  const TwoModes<double> modes;
  const auto wide = modes.fit(true, 1), right = modes.fit(false, 1), left = modes.fit(false, -1);
  // Forward KL is -H(p) - E_p[ln q], least where q has p's mean and variance, 0 and 2^2 + 0.25.
  lesson.check("forward_fit_mean", wide.mean.item(), "", kit::Expected{0, 1e-9});
  lesson.check("forward_fit_variance", variance(wide), "", kit::Expected{4.25, 1e-9});
  lesson.check("forward_fit_kl", modes.forward(wide).item(), "nats",
               kit::Expected{0.7235530265, 6e-11});
  lesson.report("forward_fit_reverse_kl", modes.reverse(wide).item(), "nats");
  // The same H(p), and with q = N(2, 1/4) in -E_p[ln q] the distances (4.25 + 2^2) / (2 / 4).
  const auto mode = normal(2, 0.25);
  lesson.check("forward_kl_on_a_mode", modes.forward(mode).item(), "nats",
               kit::Expected{0.7235530265 + 0.5 * std::log(0.25 / 4.25) - 0.5 + 16.5, 1e-9});
  // Reverse KL is least a hair beside N(2, 1/4), which the other mode pulls at.
  lesson.check("reverse_kl_on_a_mode", modes.reverse(mode).item(), "nats",
               kit::Expected{0.6930536455, 6e-11});
  lesson.check("reverse_fit_kl", modes.reverse(right).item(), "nats",
               kit::between(0.69, modes.reverse(mode).item()));
  lesson.check("reverse_fit_mean_from_the_right", right.mean.item(), "", kit::Expected{2, 0.01});
  lesson.check("reverse_fit_mean_from_the_left", left.mean.item(), "", kit::Expected{-2, 0.01});
  lesson.check("reverse_fit_variance", variance(right), "", kit::Expected{0.25, 0.01});

  // From -6 to 6 and back to the peak, so that the line's label stands at the height of the peak.
  auto density = [&](const std::string& label, const auto& distribution, double peak) {
    kit::Series line{.label = label};
    auto add = [&](int i) {
      line.x.push_back(i / 20.0);
      line.y.push_back(std::exp(distribution.log_prob(Numbers({1, 1}, {i / 20.0})).item()));
    };
    for (int i = -120; i <= 120; ++i) add(i);
    for (int i = 120; i >= 20 * peak; --i) add(i);
    return line;
  };
  kit::plot(lesson, "two_modes",
            {.title = "The same two modes, fitted with the ruler held either way",
             .note = "forward KL(p || q) covers both modes, reverse KL(q || p) sits down on one",
             .x_label = "x",
             .y_label = "density"},
            {density("p, two modes", modes.p, 2), density("forward fit", wide, 0),
             density("reverse fit", right, 2)});
}

// Lesson 02 again. Over points whose mean and covariance are exactly those of a normal distribution
// p, any quadratic function has p's expectation: the average of ln p - ln q is KL(p || q).
void revisit_ppca(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Numbers x = toy_points(kToyVariances, 500, rng);
  const Numbers s = matmul_tn(x, x) / 500.0;  // the covariance: the mean is 0
  const auto [values, vectors] = symmetric_eigen(s);
  const double noise = mean(slice(values, 0, 2, 5)).item();  // pPCA's sigma^2 with 2 components
  const Numbers spread = Numbers({5}, {values(0), values(1), noise, noise, noise});
  const MultivariateNormal<double> p{Numbers({5}), s};
  const MultivariateNormal<double> q{Numbers({5}),
                                     matmul_tn(vectors * spread.reshape({5, 1}), vectors)};
  lesson.check("toy_log_likelihood_full", mean(p.log_prob(x)).item(), "nats",
               kit::Expected{-7.0946926660, 6e-10});
  lesson.check("toy_log_likelihood_ppca", mean(q.log_prob(x)).item(), "nats",
               kit::Expected{-7.3259186858, 6e-10});
  lesson.check("toy_kl_full_ppca", kl(p, q).item(), "nats",
               kit::Expected{-7.0946926660 + 7.3259186858, 2e-10});
}

void run(kit::Lesson& lesson) {
  compare_tables(lesson);
  compare_normals(lesson);
  try_random_pairs(lesson);
  draw_monte_carlo(lesson);
  fit_two_modes(lesson);
  revisit_ppca(lesson);
}

}  // namespace
}  // namespace gradus::lesson10

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "10_kl", .title = "The one-sided ruler"}, argc, argv,
                          gradus::lesson10::run);
}
