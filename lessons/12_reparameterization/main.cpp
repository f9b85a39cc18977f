// Lesson 12: ways to send a gradient through noise, and the noise that each of them adds.
#include <fmt/core.h>

#include "lessons/12_reparameterization/model.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/optimizers.hpp"

namespace gradus::lesson12 {
namespace {

using enum ElboEstimator;

// A measurement may miss by five of its standard errors.
kit::Expected near(double value, double error) { return {value, 5 * error}; }

// A formula as a line. What is measured is drawn as dots.
kit::Series curve(const std::string& label, const std::function<double(double)>& formula,
                  double low, double high) {
  kit::Series line{.label = label};
  for (int i = 0; i <= 100; ++i) {
    line.x.push_back(low * std::pow(high / low, i / 100.0));
    line.y.push_back(formula(line.x.back()));
  }
  return line;
}

const kit::Series kMeasured = {.label = "dots: measured", .mark = kit::Series::kDots};

// ---- d/dmu E[z^2] for z ~ N(mu, s^2), at mu = 1 ----

Var<double> f(const Var<double>& z) { return square(z); }

// E[f g^2] / E[g^2] with the score g = e / s: the constant that leaves the least variance.
double best_baseline(double s) { return 1 + 3 * s * s; }

struct Way {
  std::string name, label;
  std::function<Tensor<double>(double s, const Tensor<double>& noise)> gradients;
  std::function<double(double s)> variance;  // on paper
};

const std::vector<Way> kWays =
    {{"path", "path", [](double s, const auto& e) { return path_gradients(f, 1, s, e); },
      [](double s) { return 4 * s * s; }},
     {"score", "score", [](double s, const auto& e) { return score_gradients(f, 1, s, e); },
      [](double s) { return 1 / (s * s) + 14 + 15 * s * s; }},
     {"score_with_baseline", "score, best baseline",
      [](double s, const auto& e) { return score_gradients(f, 1, s, e, best_baseline(s)); },
      [](double s) { return 8 + 6 * s * s; }}};

// The variances by sigma, measured and on paper.
void sweep(kit::Lesson& lesson, Index samples, Rng& rng) {
  std::vector<kit::Series> lines;
  kit::Series dots = kMeasured;
  double worst = 0;
  for (const Way& way : kWays) {
    lines.push_back(curve(way.label, way.variance, 0.03, 11));
    for (double s : {0.0316, 0.1, 0.316, 1.0, 3.16, 10.0}) {
      const SampleMoments m(way.gradients(s, rng.normal<double>({samples})));
      worst = std::max(worst, std::abs(m.variance - way.variance(s)) / m.variance_error);
      dots.x.push_back(s);
      dots.y.push_back(m.variance);
    }
  }
  lines.push_back(dots);
  lesson.check("sweep_worst_z_score", worst, "standard errors", kit::between(0, 5));
  kit::plot(lesson, "variances",
            {.title = "The score estimator is worst where the noise is small",
             .note = "variance of one sample's estimate of d/dμ E[z²], z ~ N(1, σ²)",
             .x_label = "σ",
             .y_label = "variance",
             .log_x = true,
             .log_y = true},
            lines);
}

// The outline of a histogram: the share of the numbers for each unit of their axis.
kit::Series histogram(const std::string& label, const Tensor<double>& g, double low, double high) {
  constexpr int kBins = 60, kLeast = 20;  // fewer in a bin are not drawn
  const double width = (high - low) / kBins;
  std::vector<int> counts(kBins);
  for (double v : g)
    if (v >= low && v < high) ++counts[static_cast<int>((v - low) / width)];
  kit::Series outline{.label = label};
  for (int i = 0; i < 2 * kBins; ++i) {
    const int n = counts[i / 2];
    outline.x.push_back(low + width * ((i + 1) / 2));
    outline.y.push_back(n < kLeast ? NAN : n / (width * static_cast<double>(g.size())));
  }
  return outline;
}

// The gradient is 2 mu = 2 at every sigma.
void two_sigmas(kit::Lesson& lesson, Index samples, Rng& rng) {
  std::vector<kit::Series> outlines;
  for (double s : {1.0, 0.1})
    for (const Way& way : kWays) {
      const Tensor<double> g = way.gradients(s, rng.normal<double>({samples}));
      const SampleMoments m(g);
      const double paper = way.variance(s), z = (m.variance - paper) / m.variance_error;
      fmt::print("sigma {:3}  {:20}  variance {:8.5f}, on paper {:6.2f}: {:+.1f} standard errors\n",
                 s, way.label, m.variance, paper, z);
      const std::string name = fmt::format("{}_sigma_{}", way.name, s == 1 ? "1" : "0_1");
      lesson.check(name + "_mean", m.mean, "", near(2, m.mean_error));
      lesson.check(name + "_variance", m.variance, "", near(paper, m.variance_error));
      if (s == 1) outlines.push_back(histogram(way.label, g, -8, 16));
    }
  kit::plot(lesson, "histograms",
            {.title = "All three are right on average; one has no tails",
             .note = "histograms of one sample's estimate of d/dμ E[z²] = 2, z ~ N(1, 1)",
             .x_label = "estimate",
             .y_label = "share of the samples per unit",
             .log_y = true},
            outlines);
  const Tensor<double> e = rng.normal<double>({samples}), g2 = square(e), z2 = square(1.0 + e);
  const double baseline = sum(z2 * g2).item() / sum(g2).item();
  lesson.check("best_baseline_sigma_1", baseline, "",
               near(best_baseline(1), SampleMoments((z2 - baseline) * g2).mean_error));
}

// ---- The gradient of an ELBO with respect to the mean of q ----

// For z ~ N(0, 1), x | z ~ N(z, 1), x = 1 and q = N(0.5, s^2), which is the posterior at s^2 = 0.5.
struct ElboWay {
  ElboEstimator kind;
  std::string name, label;
  double at_posterior, narrow;               // the variances at s^2 = 0.5 and at s^2 = 0.25
  std::function<double(double s)> variance;  // on paper
};

const std::vector<ElboWay> kElboWays = {
    {kMonteCarlo, "monte_carlo_kl", "KL sampled", 2, 1, [](double s) { return 4 * s * s; }},
    {kAnalyticKl, "analytic_kl", "KL on paper", 0.5, 0.25, [](double s) { return s * s; }},
    {kPath, "path_derivative", "path derivative", 0, 1,
     [](double s) { return std::pow(1 / s - 2 * s, 2); }},
};

void around_the_posterior(kit::Lesson& lesson, Index samples, Rng& rng) {
  constexpr double kRounding = 1e-24;  // of a variance that is 0
  const LinearGaussianModel p{.w = 1, .x = 1};
  std::vector<kit::Series> lines;
  kit::Series dots = kMeasured;
  for (const ElboWay& way : kElboWays) {
    auto measure = [&](double s2) {
      return SampleMoments(elbo_gradients(way.kind, p, 0.5, s2, rng.normal<double>({samples})));
    };
    lines.push_back(curve(way.label, way.variance, 0.35, 1.07));
    for (double s : {0.36, 0.42, 0.5, 0.6, 0.707, 0.8, 0.9, 1.0, 1.06}) {
      dots.x.push_back(s);
      dots.y.push_back(measure(s * s).variance);
    }
    const SampleMoments here = measure(0.5), narrow = measure(0.25);
    lesson.check("posterior_variance_" + way.name, here.variance, "",
                 near(way.at_posterior, here.variance_error + kRounding));
    lesson.check("narrow_q_variance_" + way.name, narrow.variance, "",
                 near(way.narrow, narrow.variance_error));
  }
  lines.push_back(dots);
  kit::plot(lesson, "sticking",
            {.title = "At the true posterior the path derivative has no noise",
             .note = "variance of one sample's gradient of the ELBO, by the width of q",
             .x_label = "standard deviation of q (the posterior has √0.5)",
             .y_label = "variance"},
            lines);
  // At the posterior ln p(x, z) - ln q(z) is the same number for every z, which is ln p(x): the
  // score estimator's noise is only what is not subtracted from it.
  for (double b : {0.0, p.log_evidence()}) {
    const SampleMoments m(elbo_gradients(kScore, p, 0.5, 0.5, rng.normal<double>({samples}), b));
    lesson.check(b == 0 ? "posterior_variance_score" : "posterior_variance_score_with_baseline",
                 m.variance, "",
                 near(std::pow(p.log_evidence() - b, 2) / 0.5, m.variance_error + kRounding));
  }
}

// ---- Lesson 11's model: z ~ N(0, 1), x | z ~ N(2z, 1), x = 1.5, whose posterior is N(0.6, 0.2)
// ----

// Fits q by plain gradient steps of 4 samples. Returns KL(q || p(z|x)) before each and at the end.
std::vector<double> descend(ElboEstimator kind, const LinearGaussianModel& p, int steps, Rng& rng,
                            Parameter<double>& mean, Parameter<double>& log_var) {
  std::vector<double> gaps;
  nn::Sgd<double> sgd({&mean, &log_var}, {.learning_rate = 0.02});
  for (int i = 0; i <= steps; ++i) {
    gaps.push_back(kl(nn::Normal<double>{mean, log_var}, p.posterior()).item());
    if (i == steps) break;
    Tape<double> tape;
    const nn::Normal<double> q{mean, log_var};
    tape.backward(-gradus::mean(objective(kind, p, q, rng.normal<double>({4}))));
    sgd.step();
  }
  return gaps;
}

void lesson_11_again(kit::Lesson& lesson, Index samples, Rng& rng) {
  const LinearGaussianModel p{.w = 2, .x = 1.5};
  const nn::Normal<double> q{0.5, std::log(0.25)};
  const Tensor<double> noise = rng.normal<double>({samples}), z = q.sample(noise).value();
  const SampleMoments elbo(objective(kMonteCarlo, p, q, noise).value());
  const SampleMoments rate((q.log_prob(z) - p.log_prior(z)).value());
  lesson.check("lesson_11_elbo", elbo.mean, "nats", near(-1.9870857138, elbo.mean_error));
  lesson.check("lesson_11_kl", rate.mean, "nats", near(0.4431471806, rate.mean_error));

  constexpr int kSteps = 1800;
  std::vector<kit::Series> lines;
  std::vector<ElboWay> ways = kElboWays;
  ways.insert(ways.begin(), {kScore, "score", "score", 0, 0, {}});
  for (const auto& way : ways) {
    // d ELBO / d mean = w x - (1 + w^2) mean = 3 - 2.5 at mean = 0.5.
    const SampleMoments m(elbo_gradients(way.kind, p, 0.5, 0.25, rng.normal<double>({samples})));
    lesson.check("lesson_11_gradient_" + way.name, m.mean, "", near(0.5, m.mean_error));
    Parameter<double> mean("mean", Tensor<double>(-1.0)), log_var("log_var", Tensor<double>(0.0));
    const std::vector<double> gaps = descend(way.kind, p, kSteps, rng, mean, log_var);
    fmt::print("{:16} q = N({:.6f}, {:.6f}), {:.0e} nats from the posterior\n", way.label,
               mean.item(), std::exp(log_var.item()), gaps.back());
    kit::Series line{.label = way.label};
    for (int i = 0; i <= kSteps && gaps[i] > 1e-15; i += 5) {
      line.x.push_back(i);
      line.y.push_back(gaps[i]);
    }
    lines.push_back(line);
    if (way.kind != kPath) continue;
    const Var<double> one = objective(way.kind, p, {mean, log_var}, rng.normal<double>({1}));
    auto expected = [](double value) { return kit::Expected{value, 1e-6}; };
    lesson.check("lesson_11_posterior_mean", mean.item(), "", expected(0.6));
    lesson.check("lesson_11_posterior_variance", std::exp(log_var.item()), "", expected(0.2));
    lesson.check("lesson_11_evidence_by_one_sample", one.item(), "nats", expected(-1.9486574894));
  }
  kit::plot(lesson, "descent",
            {.title = "The path derivative falls silent where it arrives",
             .note = "q fitted to the posterior of lesson 11 by the same steps, 4 samples each",
             .x_label = "steps",
             .y_label = "KL(q ‖ posterior), nats",
             .log_y = true},
            lines);
}

void run(kit::Lesson& lesson) {
  const Index samples = lesson.options().quick ? 10'000 : 100'000;
  Rng rng(lesson.options().seed);
  sweep(lesson, samples, rng);
  two_sigmas(lesson, samples, rng);
  around_the_posterior(lesson, samples, rng);
  lesson_11_again(lesson, samples, rng);
}

}  // namespace
}  // namespace gradus::lesson12

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "12_reparameterization", .title = "Gradients through noise"},
                          argc, argv, gradus::lesson12::run);
}
