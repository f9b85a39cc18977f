// Lesson 12: ways to send a gradient through noise, and the noise that each of them adds.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/12_reparameterization/figures.hpp"
#include "lessons/12_reparameterization/model.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
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

// E[f g^2] / E[g^2] with the score g = e / s: the constant that leaves the least variance.
double best_baseline(double s) { return 1 + 3 * s * s; }

// An estimator of that derivative: from noise e, (S), S of them, and the variance of each on paper.
struct Way {
  std::string name;
  std::string label;
  Tensor<double> (*gradients)(double s, const Tensor<double>& e);
  double (*variance)(double s);
};

Tensor<double> by_path(double s, const Tensor<double>& e) { return path_gradients(f, 1, s, e); }

Tensor<double> by_score(double s, const Tensor<double>& e) { return score_gradients(f, 1, s, e); }

Tensor<double> by_score_with_baseline(double s, const Tensor<double>& e) {
  return score_gradients(f, 1, s, e, best_baseline(s));
}

double path_variance(double s) { return 4 * s * s; }

double score_variance(double s) { return 1 / (s * s) + 14 + 15 * s * s; }

double score_with_baseline_variance(double s) { return 8 + 6 * s * s; }

const std::vector<Way> kWays = {{"path", "path", by_path, path_variance},
                                {"score", "score", by_score, score_variance},
                                {"score_with_baseline", "score, best baseline",
                                 by_score_with_baseline, score_with_baseline_variance}};

// The variances by sigma, measured and on paper.
void sweep_sigma(kit::Lesson& lesson, Index samples, Rng& rng) {
  std::vector<VarianceCurve> curves;
  MeasuredVariances measured;
  double worst = 0;
  for (const Way& way : kWays) {
    curves.push_back({way.label, way.variance});
    for (double s : {0.0316, 0.1, 0.316, 1.0, 3.16, 10.0}) {
      const Estimate e = estimate(way.gradients(s, rng.normal<double>({samples})));
      worst = std::max(worst, std::abs(e.variance - way.variance(s)) / e.variance_error);
      measured.deviations.push_back(s);
      measured.variances.push_back(e.variance);
    }
  }
  lesson.check("sweep_worst_z_score", worst, "standard errors", kit::between(0, 5));
  draw_variances(lesson, curves, measured);
}

// The gradient is 2 mu = 2 at every sigma.
void look_at_two_sigmas(kit::Lesson& lesson, Index samples, Rng& rng) {
  std::vector<SampleGradients> at_one;
  for (double s : {1.0, 0.1})
    for (const Way& way : kWays) {
      const Tensor<double> gradients = way.gradients(s, rng.normal<double>({samples}));
      const Estimate e = estimate(gradients);
      const double paper = way.variance(s);
      fmt::print("sigma {:3}  {:20}  variance {:8.5f}, on paper {:6.2f}: {:+.1f} standard errors\n",
                 s, way.label, e.variance, paper, (e.variance - paper) / e.variance_error);
      const std::string name = fmt::format("{}_sigma_{}", way.name, s == 1 ? "1" : "0_1");
      lesson.check(name + "_mean", e.mean, "", near(2, e.mean_error));
      lesson.check(name + "_variance", e.variance, "", near(paper, e.variance_error));
      if (s == 1) at_one.push_back({way.label, gradients});
    }
  draw_histograms(lesson, at_one);
}

// E[f g^2] / E[g^2] from samples, at sigma = 1. Its error is that of the mean of (f - b) g^2.
void measure_the_best_baseline(kit::Lesson& lesson, Index samples, Rng& rng) {
  const Tensor<double> e = rng.normal<double>({samples});
  const Tensor<double> g2 = square(e);
  const Tensor<double> z2 = square(1.0 + e);
  const double baseline = sum(z2 * g2).item() / sum(g2).item();
  lesson.check("best_baseline_sigma_1", baseline, "",
               near(best_baseline(1), estimate((z2 - baseline) * g2).mean_error));
}

// ---- The gradient of an ELBO with respect to the mean of q -------------------------------------

// z ~ N(0, 1), x | z ~ N(z, 1), x = 1, and q = N(0.5, s^2), which is the posterior at s^2 = 0.5.
const Observation kOne{.model = {.slope = 1, .noise = 1}, .x = 1};

// The variance of one sample's gradient there, on paper.
double sampled_kl_variance(double s) { return 4 * s * s; }

double analytic_kl_variance(double s) { return s * s; }

double path_derivative_variance(double s) { return std::pow(1 / s - 2 * s, 2); }

struct ElboWay {
  ElboEstimator kind;
  std::string name;
  std::string label;
};

const ElboWay kByScore = {kScore, "score", "score"};
const ElboWay kBySampledKl = {kMonteCarlo, "monte_carlo_kl", "KL sampled"};
const ElboWay kByAnalyticKl = {kAnalyticKl, "analytic_kl", "KL on paper"};
const ElboWay kByPath = {kPath, "path_derivative", "path derivative"};

// The ways along the path, with their variances on paper.
struct PathWay {
  ElboWay way;
  double (*variance)(double s);
};

const std::vector<PathWay> kPathWays = {{kBySampledKl, sampled_kl_variance},
                                        {kByAnalyticKl, analytic_kl_variance},
                                        {kByPath, path_derivative_variance}};

constexpr double kRounding = 1e-24;  // of a variance that is 0

void look_around_the_posterior(kit::Lesson& lesson, Index samples, Rng& rng) {
  std::vector<VarianceCurve> curves;
  MeasuredVariances measured;
  for (const auto& [way, variance] : kPathWays) {
    curves.push_back({way.label, variance});
    const ElboEstimator kind = way.kind;
    auto measure = [&](double s2) {
      return estimate(elbo_gradients(kind, kOne, 0.5, s2, rng.normal<double>({samples})));
    };
    for (double s : {0.36, 0.42, 0.5, 0.6, 0.707, 0.8, 0.9, 1.0, 1.06}) {
      measured.deviations.push_back(s);
      measured.variances.push_back(measure(s * s).variance);
    }
    const Estimate here = measure(0.5);
    const Estimate narrow = measure(0.25);
    lesson.check("posterior_variance_" + way.name, here.variance, "",
                 near(variance(std::sqrt(0.5)), here.variance_error + kRounding));
    lesson.check("narrow_q_variance_" + way.name, narrow.variance, "",
                 near(variance(std::sqrt(0.25)), narrow.variance_error));
  }
  draw_sticking(lesson, curves, measured);
}

// At the posterior ln p(x, z) - ln q(z) is the same number for every z, which is ln p(x): the score
// estimator's noise is only what is not subtracted from it.
void subtract_the_evidence(kit::Lesson& lesson, Index samples, Rng& rng) {
  const double evidence = kOne.model.log_evidence(kOne.x).item();
  auto measure = [&](const std::string& name, double baseline) {
    const Tensor<double> noise = rng.normal<double>({samples});
    const Estimate e = estimate(elbo_gradients(kScore, kOne, 0.5, 0.5, noise, baseline));
    lesson.check("posterior_variance_" + name, e.variance, "",
                 near(std::pow(evidence - baseline, 2) / 0.5, e.variance_error + kRounding));
  };
  measure("score", 0);
  measure("score_with_baseline", evidence);
}

// ---- Lesson 11's model: z ~ N(0, 1), x | z ~ N(2z, 1), x = 1.5, whose posterior is N(0.6, 0.2) --

const Observation kLesson11{.model = {.slope = 2, .noise = 1}, .x = 1.5};

// Samples give its ELBO and its KL, which have closed forms.
void sample_lesson_11(kit::Lesson& lesson, Index samples, Rng& rng) {
  const auto& [p, x] = kLesson11;
  const nn::Normal<double> prior = nn::Normal<double>::standard();
  const nn::Normal<double> q{0.5, std::log(0.25)};
  const Tensor<double> noise = rng.normal<double>({samples});
  const Tensor<double> z = q.sample(noise).value();
  const Estimate elbo = estimate(objective(kMonteCarlo, kLesson11, q, noise).value());
  const Estimate rate = estimate((q.log_prob(z) - prior.log_prob(z)).value());
  lesson.check("lesson_11_elbo", elbo.mean, "nats", near(p.elbo(x, q).item(), elbo.mean_error));
  lesson.check("lesson_11_kl", rate.mean, "nats", near(kl(q, prior).item(), rate.mean_error));
}

// Fits q to the posterior by plain gradient steps of 4 samples, from N(-1, 1).
Descent descend(const std::string& label, ElboEstimator kind, const Observation& seen, int steps,
                Rng& rng) {
  Parameter<double> mean("mean", Tensor<double>(-1.0));
  Parameter<double> log_var("log_var", Tensor<double>(0.0));
  const nn::Normal<double> posterior = seen.model.posterior(seen.x);
  auto gap = [&] { return kl(nn::Normal<double>{mean, log_var}, posterior).item(); };
  nn::Sgd<double> sgd({&mean, &log_var}, {.learning_rate = 0.02});
  std::vector<double> gaps;
  for (int i = 0; i < steps; ++i) {
    gaps.push_back(gap());
    Tape<double> tape;
    const nn::Normal<double> q{mean, log_var};
    tape.backward(-gradus::mean(objective(kind, seen, q, rng.normal<double>({4}))));
    sgd.step();
  }
  gaps.push_back(gap());
  return {label, gaps, mean.item(), log_var.item()};
}

// The path derivative arrives at the posterior, and there one sample says what ln p(x) is.
void arrive(kit::Lesson& lesson, const Descent& descent, Rng& rng) {
  const auto& [p, x] = kLesson11;
  const nn::Normal<double> posterior = p.posterior(x);
  const nn::Normal<double> q{descent.mean, descent.log_var};
  const Var<double> one = objective(kPath, kLesson11, q, rng.normal<double>({1}));
  lesson.check("lesson_11_posterior_mean", descent.mean, "",
               kit::Expected{posterior.mean.item(), 1e-6});
  lesson.check("lesson_11_posterior_variance", std::exp(descent.log_var), "",
               kit::Expected{std::exp(posterior.log_var.item()), 1e-6});
  lesson.check("lesson_11_evidence_by_one_sample", one.item(), "nats",
               kit::Expected{p.log_evidence(x).item(), 1e-6});
}

// d ELBO / d mean, for q = N(mean, v): a (x - a mean) / s^2 of the reconstruction, less the mean,
// which is what the KL adds.
double gradient_on_paper(const Observation& seen, double mean) {
  const auto& [p, x] = seen;
  return p.slope * (x - p.slope * mean) / p.noise - mean;
}

void check_gradient(kit::Lesson& lesson, const ElboWay& way, Index samples, Rng& rng) {
  constexpr double kMean = 0.5, kVariance = 0.25;
  const Tensor<double> noise = rng.normal<double>({samples});
  const Estimate e = estimate(elbo_gradients(way.kind, kLesson11, kMean, kVariance, noise));
  lesson.check("lesson_11_gradient_" + way.name, e.mean, "",
               near(gradient_on_paper(kLesson11, kMean), e.mean_error));
}

void fit_lesson_11(kit::Lesson& lesson, Index samples, Rng& rng) {
  constexpr int kSteps = 1800;
  std::vector<Descent> descents;
  std::size_t by_path = 0;  // which of them is the path derivative's
  for (const ElboWay& way : {kByScore, kBySampledKl, kByAnalyticKl, kByPath}) {
    check_gradient(lesson, way, samples, rng);
    if (way.kind == kPath) by_path = descents.size();
    descents.push_back(descend(way.label, way.kind, kLesson11, kSteps, rng));
    const Descent& descent = descents.back();
    fmt::print("{:16} q = N({:.6f}, {:.6f}), {:.0e} nats from the posterior\n", descent.label,
               descent.mean, std::exp(descent.log_var), descent.gaps.back());
  }
  arrive(lesson, descents[by_path], rng);
  draw_descent(lesson, descents);
}

void run(kit::Lesson& lesson) {
  const Index samples = lesson.options().quick ? 10'000 : 100'000;
  Rng rng(lesson.options().seed);
  sweep_sigma(lesson, samples, rng);
  look_at_two_sigmas(lesson, samples, rng);
  measure_the_best_baseline(lesson, samples, rng);
  look_around_the_posterior(lesson, samples, rng);
  subtract_the_evidence(lesson, samples, rng);
  sample_lesson_11(lesson, samples, rng);
  fit_lesson_11(lesson, samples, rng);
}

}  // namespace
}  // namespace gradus::lesson12

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "12_reparameterization", .title = "Gradients through noise"},
                          argc, argv, gradus::lesson12::run);
}
