// Lesson 10: the Kullback-Leibler divergence, on paper, by Monte Carlo and as a thing to minimise.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/10_kl/figures.hpp"
#include "lessons/10_kl/model.hpp"
#include "lessons/common/constants.hpp"
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

// ---- Tables: the binomial and the uniform on {0, 1, 2} ------------------------------------------

const std::vector<double> kBinomial = {0.36, 0.48, 0.16};

// The surprise at each outcome, the entropy and the cross-entropies: averages of it.
void weigh_surprises(kit::Lesson& lesson) {
  const Numbers p({3}, kBinomial);
  const Numbers log_p = log(p);
  const Numbers log_q = full<double>({3}, -std::log(3));
  double entropy = 0;  // H(P), term by term
  for (Index i = 0; i < 3; ++i) {
    const double surprise = -log_p(i);
    const double term = p(i) * (log_p(i) - log_q(i));
    lesson.report(fmt::format("surprise_{}", i), surprise, "nats");
    lesson.report(fmt::format("surprise_{}_weighted", i), p(i) * surprise, "nats");
    lesson.report(fmt::format("surprise_{}_of_the_uniform_weighted", i), -p(i) * log_q(i), "nats");
    lesson.report(fmt::format("log_ratio_{}", i), log_p(i) - log_q(i), "");
    lesson.report(fmt::format("term_{}", i), term, "nats");
    entropy += p(i) * surprise;
  }
  lesson.check("entropy_binomial", cross_entropy_by_sum<double>(log_p, log_p).item(), "nats",
               kit::Expected{entropy, 1e-15});
  lesson.check("cross_entropy_binomial_uniform", cross_entropy_by_sum<double>(log_p, log_q).item(),
               "nats", kit::Expected{std::log(3), 1e-15});
  lesson.check("cross_entropy_uniform_binomial", cross_entropy_by_sum<double>(log_q, log_p).item(),
               "nats", kit::Expected{-std::log(0.36 * 0.48 * 0.16) / 3, 1e-15});
}

void compare_tables(kit::Lesson& lesson) {
  const Numbers p({3}, kBinomial);
  const Numbers q = full<double>({3}, 1.0 / 3);
  const Numbers printed = full<double>({3}, 0.333);  // the uniform as it is often printed
  auto divergence = [](const Numbers& a, const Numbers& b) {
    return kl_by_sum<double>(log(a), log(b)).item();
  };
  const double p_q = 0.36 * std::log(1.08) + 0.48 * std::log(1.44) + 0.16 * std::log(0.48);
  const double q_p = -(std::log(1.08) + std::log(1.44) + std::log(0.48)) / 3;
  lesson.check("kl_binomial_uniform", divergence(p, q), "nats", kit::Expected{p_q, 1e-12});
  lesson.check("kl_uniform_binomial", divergence(q, p), "nats", kit::Expected{q_p, 1e-12});
  // With 0.333 = 0.999 / 3, ln p - ln q grows by -ln 0.999; the other way the whole is 0.999 of it.
  lesson.check("kl_binomial_uniform_as_printed", divergence(p, printed), "nats",
               kit::Expected{p_q - std::log(0.999), 1e-12});
  lesson.check("kl_uniform_binomial_as_printed", divergence(printed, p), "nats",
               kit::Expected{0.999 * (q_p + std::log(0.999)), 1e-12});
  // Two independent trials of either table, on nine pairs; and, of Q = (1/2, 1/2, 0), the two terms
  // of KL(Q || P) that there are.
  const Numbers pairs = (p.reshape({3, 1}) * p).reshape({9});
  const Numbers uniform_pairs = full<double>({9}, 1.0 / 9);
  lesson.check("kl_of_pairs", divergence(pairs, uniform_pairs), "nats",
               kit::Expected{2 * p_q, 1e-12});
  lesson.check("kl_of_a_half_each", divergence(Numbers({2}, {0.5, 0.5}), slice(p, 0, 0, 2)), "nats",
               kit::Expected{-0.5 * std::log(4 * 0.36 * 0.48), 1e-12});
  draw_tables(lesson, p, q);
}

// ---- Normal distributions: N(1, 1/4) is the narrow one, N(0, 1) the wide one -------------------

// The integral of (a + b e + c e^2) N(e; 0, 1) from one root of the quadratic to the other.
double area_between_roots(double a, double b, double c) {
  const double root = std::sqrt(b * b - 4 * a * c);
  const double low = std::min((-b - root) / (2 * c), (-b + root) / (2 * c));
  const double high = std::max((-b - root) / (2 * c), (-b + root) / (2 * c));
  auto density = [](double e) { return std::exp(-0.5 * (e * e + kLogTwoPi)); };
  const double zeroth = 0.5 * (std::erf(high / std::sqrt(2)) - std::erf(low / std::sqrt(2)));
  const double first = density(low) - density(high);
  const double second = zeroth + low * density(low) - high * density(high);
  return a * zeroth + b * first + c * second;
}

// Measures both areas from -20 to 20, and draws them.
void shade(kit::Lesson& lesson, const Areas& areas) {
  constexpr double kStep = 0.001;
  const Numbers x = (arange<double>(40'001) * kStep - 20.0).reshape({-1, 1});
  const Numbers log_p = areas.p.distribution.log_prob(x).value();
  const Numbers terms = exp(log_p) * (log_p - areas.q.distribution.log_prob(x).value());
  const std::string key = areas.p.name + "_" + areas.q.name;
  lesson.check("area_above_" + key, kStep * sum(maximum(terms, 0)).item(), "nats",
               kit::Expected{areas.above, 1e-5});
  lesson.check("area_below_" + key, -kStep * sum(minimum(terms, 0)).item(), "nats",
               kit::Expected{areas.below, 1e-5});
  draw_areas(lesson, key, areas);
}

// With x = 1 + e / 2,  ln p - ln q = ln 2 + 1/2 + e / 2 - 3/8 e^2,  positive between its roots.
// With x = e,          ln q - ln p = 2 - ln 2 - 4 e + 3/2 e^2,      negative between its roots.
void shade_both_ways(kit::Lesson& lesson) {
  const Named narrow{"narrow", scalar_normal(1, 0.25), 3};
  const Named wide{"wide", scalar_normal(0, 1), 4};
  const double above = area_between_roots(std::log(2) + 0.5, 0.5, -3.0 / 8);
  const double below = -area_between_roots(2 - std::log(2), -4, 3.0 / 2);
  shade(lesson, {narrow, wide, above, above - (1.0 / 8 + std::log(2)), {1.15, 0.45}, {-0.6, -0.2}});
  shade(lesson, {wide, narrow, below + 7.0 / 2 - std::log(2), below, {-1.2, 0.8}, {1.1, -0.12}});
}

// 1/2 (r - 1 - ln r + (difference of means)^2 / s_q^2), with r = s_p^2 / s_q^2.
void compare_normals(kit::Lesson& lesson) {
  const auto narrow = scalar_normal(1, 0.25);
  const auto wide = scalar_normal(0, 1);
  lesson.check("kl_narrow_wide", kl(narrow, wide).item(), "nats",
               kit::Expected{1.0 / 8 + std::log(2), 1e-12});
  lesson.check("kl_wide_narrow", kl(wide, narrow).item(), "nats",
               kit::Expected{7.0 / 2 - std::log(2), 1e-12});
  // KL is cross-entropy less entropy: -E_p[ln q] = 1/2 (ln 2 pi + 1/4 + 1^2), and H(p) is
  // 1/2 (1 + ln 2 pi + ln 1/4).
  const double entropy = narrow.entropy().item();
  lesson.check("entropy_narrow", entropy, "nats",
               kit::Expected{0.5 * (1 + kLogTwoPi) - std::log(2), 1e-14});
  lesson.check("cross_entropy_narrow_wide", kl(narrow, wide).item() + entropy, "nats",
               kit::Expected{0.5 * (kLogTwoPi + 5.0 / 4), 1e-14});
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

// ---- Two modes, 1/2 N(-2, 1/4) + 1/2 N(2, 1/4) --------------------------------------------------

double variance(const nn::Normal<double>& q) { return std::exp(q.log_var.item()); }

// Integrals without a closed form, by tests/references/two_modes.py.
constexpr double kForwardFitKl = 0.7235530265451881;
constexpr double kReverseKlOfForwardFit = 2.097617210976625;
constexpr double kReverseKlOnAMode = 0.6930536454829199;
constexpr double kSideMean = 1.9998008691016;
constexpr double kSideVariance = 0.2503983034756;
constexpr double kSideKl = 0.6930529416655937;
constexpr double kMiddleVariance = 3.014954609205;
constexpr double kMiddleKl = 1.8711965121688126;
constexpr double kCloserVariance = 1.0475619935977;  // of modes at -1 and 1
constexpr double kCloserKl = 0.2265079607614439;

// Forward KL is -H(p) - E_p[ln q], least where q has p's mean and variance, 0 and 2^2 + 1/4.
void check_forward_fit(kit::Lesson& lesson, const TwoModes<double>& modes,
                       const nn::Normal<double>& q) {
  lesson.check("forward_fit_mean", q.mean.item(), "", kit::Expected{0, 1e-9});
  lesson.check("forward_fit_variance", variance(q), "", kit::Expected{4.25, 1e-9});
  lesson.check("forward_fit_kl", modes.forward(q).item(), "nats",
               kit::Expected{kForwardFitKl, 1e-12});
  lesson.check("forward_fit_reverse_kl", modes.reverse(q).item(), "nats",
               kit::Expected{kReverseKlOfForwardFit, 1e-12});
  lesson.report("density_of_p_at_0", density_at(0, modes.p), "");
  lesson.report("density_of_forward_fit_at_0", density_at(0, q), "");
}

void check_reverse_fits(kit::Lesson& lesson, const TwoModes<double>& modes, const Fits& fits) {
  lesson.check("left_mean", fits.left.mean.item(), "", kit::Expected{-kSideMean, 1e-8});
  lesson.check("left_kl", modes.reverse(fits.left).item(), "nats", kit::Expected{kSideKl, 1e-12});
  lesson.check("right_mean", fits.right.mean.item(), "", kit::Expected{kSideMean, 1e-8});
  lesson.check("right_variance", variance(fits.right), "", kit::Expected{kSideVariance, 1e-8});
  lesson.check("right_kl", modes.reverse(fits.right).item(), "nats", kit::Expected{kSideKl, 1e-12});
  lesson.check("middle_mean", fits.middle.mean.item(), "", kit::Expected{0, 1e-8});
  lesson.check("middle_variance", variance(fits.middle), "", kit::Expected{kMiddleVariance, 1e-8});
  lesson.check("middle_kl", modes.reverse(fits.middle).item(), "nats",
               kit::Expected{kMiddleKl, 1e-12});

  // On one mode, N(2, 1/4): reverse KL is ln 2 but for the other mode's tail. Forward KL has the
  // same H(p), and in -E_p[ln q] the distances (4.25 + 2^2) / (2 / 4).
  const auto mode = scalar_normal(2, 0.25);
  lesson.check("reverse_kl_on_a_mode", modes.reverse(mode).item(), "nats",
               kit::Expected{kReverseKlOnAMode, 1e-12});
  const TwoModes<double> separate{.c = 5};
  lesson.check("reverse_kl_on_a_separate_mode", separate.reverse(scalar_normal(5, 0.25)).item(),
               "nats", kit::Expected{std::log(2), 1e-12});
  lesson.check("forward_kl_on_a_mode", modes.forward(mode).item(), "nats",
               kit::Expected{kForwardFitKl + 0.5 * std::log(0.25 / 4.25) - 0.5 + 16.5, 1e-9});
}

// The best variance for each mean. Forward KL has a formula, v = 4.25 + m^2; for reverse KL the
// variance is looked for among 121.
Landscape survey(const TwoModes<double>& modes) {
  Landscape landscape;
  for (int i = -64; i <= 64; ++i) {
    const double mean = 0.05 * i;
    double least = std::numeric_limits<double>::infinity();
    for (int j = 0; j <= 120; ++j) {
      const auto q = scalar_normal(mean, 0.1 * std::pow(80.0, j / 120.0));
      least = std::min(least, modes.reverse(q).item());
    }
    landscape.means.push_back(mean);
    landscape.forward.push_back(modes.forward(scalar_normal(mean, 4.25 + mean * mean)).item());
    landscape.reverse.push_back(least);
  }
  return landscape;
}

void fit_two_modes(kit::Lesson& lesson) {
  const TwoModes<double> modes;
  const Fits fits{.forward = modes.fit(/*is_forward=*/true, 1),
                  .left = modes.fit(/*is_forward=*/false, -1),
                  .right = modes.fit(/*is_forward=*/false, 1),
                  .middle = modes.fit(/*is_forward=*/false, 0.01)};
  check_forward_fit(lesson, modes, fits.forward);
  check_reverse_fits(lesson, modes, fits);
  draw_two_modes(lesson, modes.p, fits);

  std::vector<std::pair<double, double>> rests;
  for (const auto* q : {&fits.left, &fits.middle, &fits.right})
    rests.emplace_back(q->mean.item(), modes.reverse(*q).item());
  draw_landscape(lesson, survey(modes), rests);
}

// Modes that are nearer to each other, at -1 and 1: reverse KL covers both.
void fit_closer_modes(kit::Lesson& lesson) {
  const TwoModes<double> modes{.c = 1};
  const auto q = modes.fit(/*is_forward=*/false, 1);
  lesson.check("closer_modes_mean", q.mean.item(), "", kit::Expected{0, 1e-8});
  lesson.check("closer_modes_variance", variance(q), "", kit::Expected{kCloserVariance, 1e-8});
  lesson.check("closer_modes_kl", modes.reverse(q).item(), "nats", kit::Expected{kCloserKl, 1e-12});
}

// ---- Lesson 02, measured anew ------------------------------------------------------------------

// Over points whose mean and covariance are exactly those of a normal distribution
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
  weigh_surprises(lesson);
  compare_tables(lesson);
  shade_both_ways(lesson);
  compare_normals(lesson);
  compare_normals_in_the_plane(lesson);
  try_random_pairs(lesson);
  sample_both_ways(lesson);
  fit_two_modes(lesson);
  fit_closer_modes(lesson);
  revisit_ppca(lesson);
}

}  // namespace
}  // namespace gradus::lesson10

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "10_kl", .title = "The one-sided ruler"}, argc, argv,
                          gradus::lesson10::run);
}
