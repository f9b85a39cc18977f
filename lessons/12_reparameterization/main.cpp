// Lesson 12: ways to send a gradient through noise, and the noise that each of them adds.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/12_reparameterization/figures.hpp"
#include "lessons/12_reparameterization/instruments.hpp"
#include "lessons/12_reparameterization/model.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson12 {
namespace {

using enum ElboEstimator;

// A measurement may miss by five of its standard errors.
kit::Expected near(double value, double error) { return {value, 5 * error}; }

// ---- d/dmu E[z^2] for z ~ N(mu, s^2), at mu = 1 ------------------------------------------------

Var<double> f(const Var<double>& z) { return square(z); }

// S estimates of that derivative, from noise eps, (S).
Tensor<double> by_path(double s, const Tensor<double>& noise) {
  Tape<double> tape;
  const Var<double> mu = tape.leaf(full<double>(noise.shape(), 1));
  return path_gradients(f, nn::Normal<double>{mu, 2 * std::log(s)}, mu, noise);
}

Tensor<double> by_score_less(double baseline, double s, const Tensor<double>& noise) {
  Tape<double> tape;
  const Var<double> mu = tape.leaf(full<double>(noise.shape(), 1));
  return score_gradients(f, nn::Normal<double>{mu, 2 * std::log(s)}, mu, noise, baseline);
}

Tensor<double> by_score(double s, const Tensor<double>& noise) {
  return by_score_less(0, s, noise);
}

Tensor<double> by_score_with_baseline(double s, const Tensor<double>& noise) {
  return by_score_less(best_baseline(s), s, noise);
}

// An estimator of that derivative, and the variance of each of its estimates on paper.
struct Way {
  std::string name;
  std::string label;
  Tensor<double> (*gradients)(double s, const Tensor<double>& noise);
  double (*variance)(double s);
};

const std::vector<Way> kWays = {{"path", "path", by_path, path_variance},
                                {"score", "score", by_score, score_variance},
                                {"score_with_baseline", "score, best baseline",
                                 by_score_with_baseline, score_with_baseline_variance}};

// Four draws at mu = s = 1, as the text works them out on paper.
void work_out_four_draws(kit::Lesson& lesson) {
  const Tensor<double> noise({4}, {-1, 0, 1, 2});
  auto print = [](const std::string& label, const Tensor<double>& row) {
    fmt::print("{:20}", label);
    for (double v : row) fmt::print(" {:5.1f}", v + 0.0);  // no -0.0
    fmt::print("\n");
  };
  print("four draws of eps", noise);
  for (const Way& way : kWays) print(way.label, way.gradients(1, noise));
  lesson.check("four_draws_path", mean(by_path(1, noise)).item(), "", kit::Expected{3, 1e-12});
  lesson.check("four_draws_score", mean(by_score(1, noise)).item(), "", kit::Expected{5.5, 1e-12});
}

// The variances by sigma, measured and on paper.
void sweep_sigma(kit::Lesson& lesson, Index samples, Rng& rng) {
  std::vector<Curve> curves;
  double worst = 0;
  for (const Way& way : kWays) {
    Curve curve{way.label, way.variance};
    for (double s : {0.0316, 0.1, 0.316, 1.0, 3.16, 10.0}) {
      const Estimate e = estimate(way.gradients(s, rng.normal<double>({samples})));
      worst = std::max(worst, std::abs(e.variance - way.variance(s)) / e.variance_error);
      curve.x.push_back(s);
      curve.measured.push_back(e.variance);
    }
    curves.push_back(curve);
  }
  lesson.check("sweep_worst_z_score", worst, "standard errors", kit::between(0, 5));
  draw_variances(lesson, curves);
}

// The gradient is 2 mu = 2 at every sigma.
void look_at_two_sigmas(kit::Lesson& lesson, Index samples, Rng& rng) {
  for (double s : {1.0, 0.1})
    for (const Way& way : kWays) {
      const Estimate e = estimate(way.gradients(s, rng.normal<double>({samples})));
      const std::string name = fmt::format("{}_sigma_{}", way.name, s == 1 ? "1" : "0_1");
      lesson.check(name + "_mean", e.mean, "", near(2, e.mean_error));
      lesson.check(name + "_variance", e.variance, "", near(way.variance(s), e.variance_error));
    }
  lesson.report("score_over_path_sigma_0_1", score_variance(0.1) / path_variance(0.1), "");
}

// The share of samples above 10, at sigma = 1: eps > 4 for the path, eps > 2 for the score with the
// baseline of 4, since ((1 + 2)^2 - 4) 2 = 10; and for the score (1 + eps)^2 eps > 10.
void look_at_the_tails(kit::Lesson& lesson, Index samples, Rng& rng) {
  auto above = [](double eps) { return 0.5 * std::erfc(eps / std::sqrt(2.0)); };
  const std::vector<double> shares = {above(4), above(1.5445115), above(2)};
  std::vector<SampleGradients> all;
  for (std::size_t i = 0; i < kWays.size(); ++i) {
    const Tensor<double> gradients = kWays[i].gradients(1, rng.normal<double>({samples}));
    const Estimate share = estimate(greater(gradients, 10.0));
    const double error = std::sqrt(shares[i] / static_cast<double>(samples));
    lesson.check(kWays[i].name + "_above_10", 100 * share.mean, "%",
                 near(100 * shares[i], 100 * error));
    all.push_back({kWays[i].label, gradients});
  }
  const Estimate near_zero = estimate(less(abs(all[1].values), 0.5));
  lesson.report("score_within_half_of_0", 100 * near_zero.mean, "%");
  draw_histograms(lesson, all);
}

// E[f g^2] / E[g^2] from samples, at sigma = 1. Its error is that of the mean of (f - b) g^2.
void measure_the_best_baseline(kit::Lesson& lesson, Index samples, Rng& rng) {
  const Tensor<double> noise = rng.normal<double>({samples});
  const Tensor<double> g2 = square(noise);
  const Tensor<double> z2 = square(1.0 + noise);
  const double baseline = sum(z2 * g2).item() / sum(g2).item();
  lesson.check("best_baseline_sigma_1", baseline, "",
               near(best_baseline(1), estimate((z2 - baseline) * g2).mean_error));
}

// ---- d/dr E[z^2] for z exponential with the rate r = 2, from uniform noise ---------------------

void use_uniform_noise(kit::Lesson& lesson, Index samples, Rng& rng) {
  constexpr double kRate = 2;
  auto check = [&](const std::string& name, const Tensor<double>& gradients, const Spread& paper) {
    const Estimate e = estimate(gradients);
    const double error =
        std::sqrt((paper.fourth - paper.variance * paper.variance) / static_cast<double>(samples));
    lesson.check("exponential_" + name + "_mean", e.mean, "",
                 near(-4 / std::pow(kRate, 3), e.mean_error));
    lesson.check("exponential_" + name + "_variance", e.variance, "", near(paper.variance, error));
  };
  const Tensor<double> noise = rng.uniform<double>({samples});
  Tape<double> tape;
  const Var<double> rate = tape.leaf(full<double>({samples}, kRate));
  check("path", path_gradients(f, Exponential{rate}, rate, noise), exponential_path(kRate));
  check("score", score_gradients(f, Exponential{rate}, rate, noise), exponential_score(kRate));
  const double median = Exponential{kRate}.sample(Tensor<double>(0.5)).item();
  lesson.check("exponential_median", median, "", kit::Expected{std::log(2) / kRate, 1e-12});
  lesson.check("exponential_median_slope", -2 * median * median / kRate, "",
               kit::Expected{-2 * std::pow(std::log(2), 2) / std::pow(kRate, 3), 1e-12});
  draw_quantile(lesson);
}

// ---- The gradient of an ELBO with respect to the mean of q -------------------------------------

// z ~ N(0, 1), x | z ~ N(z, 1), x = 1, and q = N(0.5, s^2), which is the posterior at s^2 = 0.5.
const Observation kOne{.model = {.slope = 1, .noise = 1}, .x = 1};

struct ElboWay {
  ElboEstimator kind;
  std::string name;
  std::string label;
  int hue;                                 // in the figures
  double (*variance)(double s) = nullptr;  // of one sample's gradient there, on paper
  double (*baseline)(double s) = nullptr;  // none: 0
};

const ElboWay kBySampledKl = {kMonteCarlo, "monte_carlo_kl", "KL sampled", 1, sampled_kl_variance};
const ElboWay kByAnalyticKl = {kAnalyticKl, "analytic_kl", "KL on paper", 2, analytic_kl_variance};
const ElboWay kByPath = {kPath, "path_derivative", "path derivative", 3, path_derivative_variance};
const ElboWay kByScore = {kScore, "score", "score", 4};
const ElboWay kByBestScore = {kScore, "score_with_best_baseline", "score, best baseline",
                              4,      elbo_score_variance,        best_elbo_baseline};

constexpr double kRounding = 1e-24;  // of a variance that is 0

void look_around_the_posterior(kit::Lesson& lesson, Index samples, Rng& rng) {
  std::vector<Curve> curves;
  for (const ElboWay& way : {kBySampledKl, kByAnalyticKl, kByPath, kByBestScore}) {
    auto measure = [&](double s) {
      const double baseline = way.baseline ? way.baseline(s) : 0;
      const Tensor<double> noise = rng.normal<double>({samples});
      return estimate(elbo_gradients(way.kind, kOne, 0.5, s * s, noise, baseline));
    };
    Curve curve{way.label, way.variance};
    for (double s : {0.36, 0.42, 0.5, 0.6, std::sqrt(0.5), 0.8, 0.9, 1.0, 1.06}) {
      curve.x.push_back(s);
      curve.measured.push_back(measure(s).variance);
    }
    curves.push_back(curve);

    const Estimate here = measure(std::sqrt(0.5));
    const Estimate narrow = measure(0.5);
    lesson.check("posterior_variance_" + way.name, here.variance, "",
                 near(way.variance(std::sqrt(0.5)), here.variance_error + kRounding));
    lesson.check("narrow_q_variance_" + way.name, narrow.variance, "",
                 near(way.variance(0.5), narrow.variance_error));
  }
  draw_sticking(lesson, curves);
}

// At the posterior ln p(x, z) - ln q(z) is the same number for every z, which is ln p(x).
void subtract_the_evidence(kit::Lesson& lesson, Index samples, Rng& rng) {
  const double evidence = kOne.model.log_evidence(kOne.x).item();
  lesson.check("small_model_log_evidence", evidence, "nats",
               kit::Expected{-0.5 * std::log(4 * M_PI) - 0.25, 1e-12});
  auto measure = [&](const std::string& name, double baseline) {
    const Tensor<double> noise = rng.normal<double>({samples});
    const Estimate e = estimate(elbo_gradients(kScore, kOne, 0.5, 0.5, noise, baseline));
    lesson.check("posterior_variance_" + name, e.variance, "",
                 near(std::pow(evidence - baseline, 2) / 0.5, e.variance_error + kRounding));
  };
  measure("score", 0);
  measure("score_with_baseline", evidence);
}

// ---- Lesson 11's model -------------------------------------------------------------------------

// Samples give its ELBO, its KL and the gradient, which have closed forms.
void sample_lesson_11(kit::Lesson& lesson, Index samples, Rng& rng) {
  const auto& [p, x] = kLesson11;
  const nn::Normal<double> prior = nn::Normal<double>::standard();
  const nn::Normal<double> q = copies(1).q();
  const Tensor<double> noise = rng.normal<double>({samples});
  const Tensor<double> z = q.sample(noise).value();
  const Estimate elbo = estimate(objective(kMonteCarlo, kLesson11, q, noise).value());
  const Estimate rate = estimate((q.log_prob(z) - prior.log_prob(z)).value());
  lesson.check("lesson_11_elbo", elbo.mean, "nats", near(p.elbo(x, q).item(), elbo.mean_error));
  lesson.check("lesson_11_kl", rate.mean, "nats", near(kl(q, prior).item(), rate.mean_error));
  for (const ElboWay& way : {kByScore, kBySampledKl, kByAnalyticKl, kByPath}) {
    const Tensor<double> draws = rng.normal<double>({samples});
    const Estimate e = estimate(elbo_gradients(way.kind, kLesson11, 0.5, 0.25, draws));
    lesson.check("lesson_11_gradient_" + way.name, e.mean, "",
                 near(copies(1).gradient_on_paper(), e.mean_error));
  }
}

// The path derivative arrives at the posterior, and there one sample says what ln p(x) is.
void arrive(kit::Lesson& lesson, const Fit& fit, Rng& rng) {
  const auto& [p, x] = kLesson11;
  const nn::Normal<double> posterior = p.posterior(x);
  const double mean = fit.mean(0);  // of the first run
  const double log_var = fit.log_var(0);
  const Var<double> one = objective(kPath, kLesson11, {mean, log_var}, rng.normal<double>({1}));
  lesson.check("lesson_11_posterior_mean", mean, "", kit::Expected{posterior.mean.item(), 1e-6});
  lesson.check("lesson_11_posterior_variance", std::exp(log_var), "",
               kit::Expected{std::exp(posterior.log_var.item()), 1e-6});
  lesson.check("lesson_11_evidence_by_one_sample", one.item(), "nats",
               kit::Expected{p.log_evidence(x).item(), 1e-6});
  // A step multiplies l's distance by 1 - r w / 2, with the mean w of 4 squares eps^2, of variance
  // 2 / 4; the KL goes with the square of that distance.
  const double r = kLearningRate;
  const double factor = std::pow(1 - r / 2, 2) + r * r / 4 * 2 / kSamplesPerStep;
  lesson.check("path_derivative_gap_per_step", std::pow(fit.gaps[800] / fit.gaps[400], 1.0 / 400),
               "", kit::Expected{factor, 5e-4});
}

void fit_lesson_11(kit::Lesson& lesson, Rng& rng) {
  const FitOptions options;
  const std::vector<double> levels = predicted_gaps();
  const std::vector<ElboWay> shaking = {kByScore, kBySampledKl, kByAnalyticKl};
  std::vector<Descent> descents;
  for (std::size_t i = 0; i < shaking.size(); ++i) {
    const ElboWay& way = shaking[i];
    const Fit fit = fit_posterior(way.kind, kLesson11, options, rng);
    const double gap = average(fit.gaps, 800, options.steps);
    lesson.check("gap_left_" + way.name, gap, "nats", kit::relative(levels[i], 0.25));
    lesson.report("gap_predicted_" + way.name, levels[i], "nats");
    descents.push_back({way.label, fit.gaps, levels[i], way.hue});
  }
  const Fit fit = fit_posterior(kPath, kLesson11, options, rng);
  descents.push_back({kByPath.label, fit.gaps, NAN, kByPath.hue});
  arrive(lesson, fit, rng);
  draw_descent(lesson, descents, options.runs);
}

// ---- How many samples, how many examples -------------------------------------------------------

void claim_5j(kit::Lesson& lesson) {
  lesson.report("elbo_error_at_5j", std::sqrt(kTermVariance / 5), "nats");
  lesson.report("evidence_second_moment", second_moment(), "");
  for (const Average& average : kAverages)
    for (int j : {1, 10, 100}) {
      const double variance = average.variance(j);
      const std::string name = fmt::format("{}_{}_latents", average.name, j);
      lesson.report(name + "_error_at_5j", 100 * std::sqrt(variance / (5 * j)), "%");
      lesson.report(name + "_samples_for_10_percent", std::ceil(variance / 0.01), "");
    }
}

BySamples measure_errors(const Average& average, Index j, int hue, int repeats, Rng& rng) {
  const std::vector<Index> samples = {1, 2, 5, 10, 20, 50, 100, 200, 500};
  const Copies model = copies(j);
  auto draw = [&](Index n) { return (model.*average.draw)(n, rng); };
  BySamples curve{.label = fmt::format("{}, J = {}", average.label, j),
                  .measured = relative_errors(draw, samples, repeats),
                  .hue = hue};
  for (Index l : samples) {
    curve.samples.push_back(static_cast<double>(l));
    curve.formula.push_back(
        std::sqrt(average.variance(static_cast<double>(j)) / static_cast<double>(l)));
  }
  return curve;
}

// The relative error of the mean of L samples: of a sum of J terms, of a gradient with J
// coordinates, and of a product of J factors.
void average_over_latents(kit::Lesson& lesson, Rng& rng) {
  constexpr int kRepeats = 400;
  const auto& [elbo, gradient, evidence] = std::tie(kAverages[0], kAverages[1], kAverages[2]);
  std::vector<BySamples> curves;
  int hue = 0;
  for (Index j : {1, 10, 100}) curves.push_back(measure_errors(elbo, j, ++hue, kRepeats, rng));
  curves.push_back(measure_errors(gradient, 10, ++hue, kRepeats, rng));
  curves.back().label = "gradient, any J";
  curves.push_back(measure_errors(evidence, 1, 1, kRepeats, rng));
  double worst = 0;
  for (const BySamples& curve : curves)
    worst = std::max(worst, worst_miss(curve.measured, curve.formula));
  lesson.check("errors_worst_miss", worst, "", kit::between(0, 5 * error_of_rms(kRepeats)));
  curves.push_back(measure_errors(evidence, 10, 2, kRepeats, rng));
  draw_samples(lesson, curves);

  // With J = 100 the samples that matter are too rare to be drawn.
  std::vector<double> estimates;
  for (int i = 0; i < kRepeats; ++i)
    estimates.push_back(mean(copies(100).evidence(500, rng)).item());
  std::sort(estimates.begin(), estimates.end());
  lesson.report("evidence_100_latents_median", estimates[estimates.size() / 2], "of p(x)");
  lesson.report("evidence_100_latents_largest", estimates.back(), "of p(x)");
}

void look_for_the_squares(kit::Lesson& lesson, Index samples, Rng& rng) {
  const double share = share_of_squares(copies(10).evidence(samples, rng), 0.9);
  lesson.report("evidence_10_latents_rare_draws", 100 * share, "%");
}

// The weights at the optimum, where p(x) has the data's variance and q is the posterior of each x;
// and somewhere before.
constexpr double kDataVariance = 5;
constexpr TinyVae kTrained{.a = 2, .w = 0.4, .v = 0.2};
constexpr TinyVae kUntrained{.a = 1, .w = 0.1, .v = 1};

void split_the_variance(kit::Lesson& lesson) {
  auto check = [&](const std::string& name, const Parts& parts, const Parts& expected) {
    lesson.check(name + "_data_part", parts.data, "", kit::Expected{expected.data, 1e-12});
    lesson.check(name + "_noise_part", parts.noise, "", kit::Expected{expected.noise, 1e-12});
  };
  check("decoder_trained", decoder_parts(kTrained, kDataVariance), {0.32, 0.68});
  check("encoder_trained", encoder_parts(kTrained, kDataVariance), {0, 16});
  check("decoder_untrained", decoder_parts(kUntrained, kDataVariance), {0.405, 5.2});
  check("encoder_untrained", encoder_parts(kUntrained, kDataVariance), {32, 5});
}

void report_shares(kit::Lesson& lesson, const std::string& name, const Parts& parts) {
  lesson.report(name + "100_examples_1_draw", parts.variance(100, 1), "");
  lesson.report(name + "10_examples_10_draws", parts.variance(10, 10), "");
  lesson.report(name + "1_example_100_draws", parts.variance(1, 100), "");
  lesson.report(name + "100_examples_all_draws", parts.data / 100, "");
}

// The variance of a minibatch's gradient when 100 draws are shared out.
void share_out_100_draws(kit::Lesson& lesson, Index minibatches, Rng& rng) {
  constexpr Index kDraws = 100;
  std::vector<BySamples> curves;
  double worst = 0;
  for (const auto& [when, vae] : {std::pair{"trained", kTrained}, {"untrained", kUntrained}}) {
    const Parts decoder = decoder_parts(vae, kDataVariance);
    const Parts encoder = encoder_parts(vae, kDataVariance);
    BySamples a{.label = fmt::format("decoder, {}", when), .hue = 1};
    BySamples w{.label = fmt::format("encoder, {}", when), .hue = 2};
    for (Index l : {1, 2, 5, 10, 20, 50, 100}) {
      const Index b = kDraws / l;
      const WeightGradients gradients =
          minibatch_gradients(vae, kDataVariance, minibatches, b, l, rng);
      auto add = [&](BySamples& curve, const Parts& parts, const Tensor<double>& measured) {
        const Estimate e = estimate(measured);
        curve.samples.push_back(static_cast<double>(l));
        curve.formula.push_back(parts.variance(b, l));
        curve.measured.push_back(e.variance);
        worst = std::max(worst, std::abs(e.variance - parts.variance(b, l)) / e.variance_error);
      };
      add(a, decoder, gradients.a);
      add(w, encoder, gradients.w);
    }
    report_shares(lesson, fmt::format("decoder_{}_", when), decoder);
    report_shares(lesson, fmt::format("encoder_{}_", when), encoder);
    curves.push_back(a);
    curves.push_back(w);
  }
  lesson.check("minibatch_worst_z_score", worst, "standard errors", kit::between(0, 5));
  draw_minibatch(lesson, curves);
}

// ---- The exercises' answers, from their formulas; the tests measure them -----------------------

void answer(kit::Lesson& lesson) {
  lesson.report("exercise_1_mean", -nn::Normal<double>::kLogTwoPi - 1, "");
  lesson.report("exercise_2_gradient", std::exp(-0.5) / std::sqrt(2 * M_PI), "");
  const double best_sigma = std::pow(15, -0.25);
  lesson.report("exercise_4_sigma", best_sigma, "");
  lesson.report("exercise_4_variance", score_variance(best_sigma), "");
  lesson.report("exercise_5_variance", 4 * M_PI * M_PI / 3, "");
  const Parts parts = decoder_parts(kTrained, kDataVariance);
  for (Index l : {1, 2, 3})
    lesson.report(fmt::format("exercise_6_{}_draws", l),
                  parts.variance(1, l) * (1 + static_cast<double>(l)), "");
  lesson.report("exercise_6_best", std::sqrt(parts.noise / parts.data), "");
}

void run(kit::Lesson& lesson) {
  const bool quick = lesson.options().quick;
  const Index samples = quick ? 10'000 : 100'000;
  Rng rng(lesson.options().seed);
  draw_graph(lesson);
  draw_two_ways(lesson);
  work_out_four_draws(lesson);
  sweep_sigma(lesson, samples, rng);
  look_at_two_sigmas(lesson, samples, rng);
  look_at_the_tails(lesson, 10 * samples, rng);
  measure_the_best_baseline(lesson, samples, rng);
  use_uniform_noise(lesson, 10 * samples, rng);
  look_around_the_posterior(lesson, samples, rng);
  subtract_the_evidence(lesson, samples, rng);
  sample_lesson_11(lesson, samples, rng);
  fit_lesson_11(lesson, rng);
  claim_5j(lesson);
  average_over_latents(lesson, rng);
  look_for_the_squares(lesson, 10 * samples, rng);
  split_the_variance(lesson);
  share_out_100_draws(lesson, quick ? 1000 : 10'000, rng);
  answer(lesson);
}

}  // namespace
}  // namespace gradus::lesson12

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "12_reparameterization", .title = "Gradients through noise"},
                          argc, argv, gradus::lesson12::run);
}
