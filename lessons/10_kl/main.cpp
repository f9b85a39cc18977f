// Lesson 10: the Kullback-Leibler divergence, on paper, by Monte Carlo and as a thing to minimise.
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/10_kl/figures.hpp"
#include "lessons/10_kl/model.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/common/scalar_normal.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson10 {
namespace {

using Numbers = Tensor<double>;

// Tables: the binomial and the uniform on {0, 1, 2}, and the uniform as it is often printed.
void compare_tables(kit::Lesson& lesson) {
  const Numbers p({3}, {0.36, 0.48, 0.16});
  const Numbers q = full<double>({3}, 1.0 / 3);
  const Numbers printed = full<double>({3}, 0.333);
  auto divergence = [](const Numbers& a, const Numbers& b) {
    return kl_by_sum<double>(log(a), log(b)).item();
  };
  const double p_q = 0.36 * std::log(1.08) + 0.48 * std::log(1.44) + 0.16 * std::log(0.48);
  const double q_p = -(std::log(1.08) + std::log(1.44) + std::log(0.48)) / 3;
  lesson.check("kl_binomial_uniform", divergence(p, q), "nats", kit::Expected{p_q, 1e-12});
  lesson.check("kl_uniform_binomial", divergence(q, p), "nats", kit::Expected{q_p, 1e-12});
  // With 0.333 = 0.999 / 3, ln p - ln q grows by -ln 0.999; the other way the whole is 0.999 of it.
  lesson.report("uniform_as_printed", printed(0), "");
  lesson.check("kl_binomial_uniform_as_printed", divergence(p, printed), "nats",
               kit::Expected{p_q - std::log(0.999), 1e-12});
  lesson.check("kl_uniform_binomial_as_printed", divergence(printed, p), "nats",
               kit::Expected{0.999 * (q_p + std::log(0.999)), 1e-12});
  draw_tables(lesson, p, q, divergence(p, q), divergence(q, p));
}

// 1/2 (r - 1 - ln r + (difference of means)^2 / s_q^2), with r = s_p^2 / s_q^2.
void compare_normals(kit::Lesson& lesson) {
  const auto narrow = scalar_normal(1, 0.25);
  const auto wide = scalar_normal(0, 1);
  lesson.check("kl_narrow_wide", kl(narrow, wide).item(), "nats",
               kit::Expected{1.0 / 8 + std::log(2), 1e-12});
  lesson.check("kl_wide_narrow", kl(wide, narrow).item(), "nats",
               kit::Expected{7.0 / 2 - std::log(2), 1e-12});
}

// The same in the plane. det A = 3/4, det B = 2, and A^-1 = 4/3 [[1, -1/2], [-1/2, 1]]:
//     KL(A || B) = 1/2 ((1/2 + 1) - 2 + 1/2 + ln(8/3))
//     KL(B || A) = 1/2 (4/3 (2 + 1) - 2 + 4/3 - ln(8/3))
// Against A shifted by (1, 0), traces and determinants cancel and 1/2 4/3 remains, either way.
void compare_normals_in_the_plane(kit::Lesson& lesson) {
  const Numbers tilted({2, 2}, {1, 0.5, 0.5, 1});
  const MultivariateNormal<double> a{Numbers({2}), tilted};
  const MultivariateNormal<double> b{Numbers({2}, {1, 0}), Numbers({2, 2}, {2, 0, 0, 1})};
  const MultivariateNormal<double> shifted{b.mean, tilted};
  const double half_log = 0.5 * std::log(8.0 / 3);
  lesson.check("kl_a_b", kl(a, b).item(), "nats", kit::Expected{half_log, 1e-12});
  lesson.check("kl_b_a", kl(b, a).item(), "nats", kit::Expected{5.0 / 3 - half_log, 1e-12});
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
  const nn::Categorical<double> c{random(5)};
  const nn::Categorical<double> d{random(5)};
  const nn::Normal<double> n{random(3), random(3)};
  const nn::Normal<double> m{random(3), random(3)};
  const Numbers different = concatenate(std::vector{kl(c, d).value(), kl(n, m).value()});
  const Numbers same = concatenate(std::vector{kl(c, c).value(), kl(n, n).value()});
  lesson.check("negative_among_20000", sum(less(different, 0)).item(), "", kit::Expected{0, 0});
  lesson.check("least_of_20000", -max(-different).item(), "nats", kit::between(0, 1));
  lesson.check("largest_of_a_pair_of_equals", max(abs(same)).item(), "nats",
               kit::Expected{0, 1e-15});
}

// KL(p || q) from random points, many times for each n. `variance` is that of ln p(x) - ln q(x)
// under p, on paper.
SamplingErrors sample_kl(kit::Lesson& lesson, const std::string& p_name, const std::string& q_name,
                         const nn::Normal<double>& p, const nn::Normal<double>& q,
                         double variance) {
  constexpr Index kRuns = 400;
  constexpr Index kPoints = 1'000'000;
  const double truth = kl(p, q).item();
  Rng rng(lesson.options().seed);
  auto estimate_from = [&](Index n) {
    return kl_by_sampling(p, q, p.sample(rng.normal<double>({n, 1})));
  };

  SamplingErrors measured{fmt::format("KL({} || {})", p_name, q_name), variance, {}, {}};
  for (Index n : {10, 30, 100, 300, 1000, 3000, 10000}) {
    double squares = 0;
    for (Index run = 0; run < kRuns; ++run) {
      const double error = estimate_from(n).mean - truth;
      squares += error * error;
    }
    measured.points.push_back(static_cast<double>(n));
    measured.errors.push_back(std::sqrt(squares / kRuns));
  }
  // From 10 to 10,000 points, three powers of ten.
  const double exponent = std::log10(measured.errors.back() / measured.errors.front()) / 3;

  const Estimate many = estimate_from(kPoints);
  const std::string key = p_name + "_" + q_name;
  lesson.check("sampled_kl_" + key, many.mean, "nats",
               kit::Expected{truth, 5 * std::sqrt(variance / kPoints)});
  lesson.check("z_score_kl_" + key, many.z_score(truth), "", kit::Expected{0, 5});
  lesson.check("variance_of_log_ratio_" + key, many.variance, "nats^2",
               kit::relative(variance, 0.02));
  lesson.check("exponent_of_error_" + key, exponent, "", kit::Expected{-0.5, 0.05});
  return measured;
}

// With x = 1 + e / 2,  ln p - ln q = ln 2 + 1/2 + e / 2 - 3/8 e^2,  of variance 1/4 + 2 (3/8)^2.
// With x = e,          ln q - ln p = 2 - ln 2 - 4 e + 3/2 e^2,      of variance 16 + 2 (3/2)^2.
void sample_both_ways(kit::Lesson& lesson) {
  const auto narrow = scalar_normal(1, 0.25);
  const auto wide = scalar_normal(0, 1);
  const SamplingErrors there =
      sample_kl(lesson, "narrow", "wide", narrow, wide, 1.0 / 4 + 2 * std::pow(3.0 / 8, 2));
  const SamplingErrors back =
      sample_kl(lesson, "wide", "narrow", wide, narrow, 16 + 2 * std::pow(3.0 / 2, 2));
  draw_monte_carlo(lesson, {there, back});
}

double variance(const nn::Normal<double>& q) { return std::exp(q.log_var.item()); }

void fit_two_modes(kit::Lesson& lesson) {
  // Integrals by mpmath.quad, in 20 digits (mpmath 1.3.0).
  constexpr double kForwardFitKl = 0.72355302654518811;
  constexpr double kReverseKlOnAMode = 0.69305364548291993;

  const TwoModes<double> modes;
  const auto wide = modes.fit(/*is_forward=*/true, 1);
  const auto right = modes.fit(/*is_forward=*/false, 1);
  const auto left = modes.fit(/*is_forward=*/false, -1);
  // Forward KL is -H(p) - E_p[ln q], least where q has p's mean and variance, 0 and 2^2 + 0.25.
  lesson.check("forward_fit_mean", wide.mean.item(), "", kit::Expected{0, 1e-9});
  lesson.check("forward_fit_variance", variance(wide), "", kit::Expected{4.25, 1e-9});
  lesson.check("forward_fit_kl", modes.forward(wide).item(), "nats",
               kit::Expected{kForwardFitKl, 1e-12});
  lesson.report("forward_fit_reverse_kl", modes.reverse(wide).item(), "nats");

  // The same H(p), and with q = N(2, 1/4) in -E_p[ln q] the distances (4.25 + 2^2) / (2 / 4).
  const auto mode = scalar_normal(2, 0.25);
  lesson.check("forward_kl_on_a_mode", modes.forward(mode).item(), "nats",
               kit::Expected{kForwardFitKl + 0.5 * std::log(0.25 / 4.25) - 0.5 + 16.5, 1e-9});
  lesson.check("reverse_kl_on_a_mode", modes.reverse(mode).item(), "nats",
               kit::Expected{kReverseKlOnAMode, 1e-12});
  // Reverse KL is least a hair beside N(2, 1/4), which the other mode pulls at.
  lesson.check("reverse_fit_kl", modes.reverse(right).item(), "nats",
               kit::between(0.69, modes.reverse(mode).item()));
  lesson.check("reverse_fit_mean_from_the_right", right.mean.item(), "", kit::Expected{2, 0.01});
  lesson.check("reverse_fit_mean_from_the_left", left.mean.item(), "", kit::Expected{-2, 0.01});
  lesson.check("reverse_fit_variance", variance(right), "", kit::Expected{0.25, 0.01});
  draw_two_modes(lesson, modes.p, wide, right);
}

// Lesson 02 again. Over points whose mean and covariance are exactly those of a normal distribution
// p, any quadratic function has p's expectation: the average of ln p - ln q is KL(p || q).
void revisit_ppca(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Numbers x = toy_points(kToyVariances, 500, rng);
  const lesson02::Ppca<double> model = lesson02::fit_ppca(lesson02::fit_pca(x), 2);
  const Numbers covariance = matmul_tn(x, x) / 500.0;  // of the points, whose mean is 0
  const MultivariateNormal<double> p{Numbers({5}), covariance};
  const MultivariateNormal<double> q{model.mean, model.covariance()};
  lesson.check("toy_log_likelihood_full", mean(p.log_prob(x)).item(), "nats",
               kit::Expected{toy_log_likelihood(4), 1e-12});
  lesson.check("toy_log_likelihood_ppca", mean(q.log_prob(x)).item(), "nats",
               kit::Expected{toy_log_likelihood(2), 1e-12});
  lesson.check("toy_kl_full_ppca", kl(p, q).item(), "nats",
               kit::Expected{toy_log_likelihood(4) - toy_log_likelihood(2), 1e-12});
}

void run(kit::Lesson& lesson) {
  compare_tables(lesson);
  compare_normals(lesson);
  compare_normals_in_the_plane(lesson);
  try_random_pairs(lesson);
  sample_both_ways(lesson);
  fit_two_modes(lesson);
  revisit_ppca(lesson);
}

}  // namespace
}  // namespace gradus::lesson10

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "10_kl", .title = "The one-sided ruler"}, argc, argv,
                          gradus::lesson10::run);
}
