#pragma once
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/11_elbo/model.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "lessons/common/scalar_normal.hpp"
#include "lessons/kit/diagram.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"

// The figures of lesson 11.
namespace gradus::lesson11 {

// ---- One latent number -------------------------------------------------------------------------

// Prior, likelihood, their product with the area p(x), and the posterior, over z.  seen: (1, 1)
inline void draw_bayes(kit::Lesson& lesson, const LinearGaussian<double>& model,
                       const Tensor<double>& seen) {
  constexpr double kLow = -3;
  constexpr double kHigh = 3;
  auto at = [](double z) { return Tensor<double>({1, 1}, {z}); };
  auto curve = [&](auto log_density) {
    return kit::curve(kLow, kHigh, [&](double z) { return std::exp(log_density(at(z)).item()); });
  };
  const auto prior = curve([](auto z) { return nn::Normal<double>::standard().log_prob(z); });
  const auto likelihood = curve([&](auto z) { return model.decode(z).log_prob(seen); });
  const auto joint = curve([&](auto z) { return model.log_joint(seen, z); });
  const auto posterior = curve([&](auto z) { return model.posterior(seen).log_prob(z); });
  const auto zero = kit::curve(kLow, kHigh, [](double) { return 0.0; });
  const double evidence = std::exp(model.log_evidence(seen).item());

  kit::Sketch sketch({.title = "Prior times likelihood; its area is the evidence",
                      .note = "x = 1.5 was seen; the posterior is the product divided by its area",
                      .x_label = "z",
                      .y_label = "density",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{kLow, 0}, {kHigh, 1}}});
  sketch.area(kit::between(zero, joint), {.hue = 3});
  sketch.line(prior, {.hue = 1});
  sketch.line(likelihood, {.hue = 2});
  sketch.line(joint, {.hue = 3});
  sketch.line(posterior, {.hue = 4, .width = 1.5});
  sketch.text({-1, 0.3}, "prior p(z)", {.hue = 1}, kit::Align::kRight);
  sketch.text({1.4, 0.3}, "likelihood p(x|z), of this x", {.hue = 2}, kit::Align::kLeft);
  sketch.text({1.8, 0.13}, "product p(z) p(x|z)", {.hue = 3}, kit::Align::kLeft);
  sketch.text({0.6, 0.035}, fmt::format("{:.3f}", evidence), {.hue = 3});
  sketch.text({1, 0.75}, "posterior p(z|x)", {.hue = 4}, kit::Align::kLeft);
  sketch.draw(lesson, "bayes");
}

// The ELBO of q = N(mean, variance) by its mean, for four variances.  seen: (1, 1)
inline void draw_elbo(kit::Lesson& lesson, const LinearGaussian<double>& model,
                      const Tensor<double>& seen) {
  constexpr double kLow = -0.4;
  constexpr double kHigh = 1.6;
  const double ceiling = model.log_evidence(seen).item();
  auto elbo = [&](double mean, double variance) {
    return model.elbo(seen, scalar_normal(mean, variance)).item();
  };

  kit::Sketch sketch(
      {.title = "The ELBO of each normal q stays below ln p(x)",
       .note = "it touches at the posterior, N(0.6, 0.2); elsewhere the KL is missing",
       .x_label = "mean of q",
       .y_label = "nats",
       .axes = true,
       .equal_scale = false,
       .shown = {{kLow, -5.9}, {2.05, -1.6}}});
  sketch.line({{kLow, ceiling}, {kHigh, ceiling}}, {.dashed = true});
  sketch.text({kHigh + 0.03, ceiling}, "ln p(x)", {}, kit::Align::kLeft);
  int hue = 0;
  for (double variance : {0.2, 0.5, 0.03, 1.0}) {
    const kit::Pen pen{.hue = ++hue};
    sketch.line(kit::curve(kLow, kHigh, [&](double mean) { return elbo(mean, variance); }), pen);
    sketch.text({kHigh + 0.03, elbo(kHigh, variance)}, fmt::format("variance {}", variance), pen,
                kit::Align::kLeft);
  }
  sketch.dots({{0.2, elbo(0.2, 0.5)}, {0.6, ceiling}});
  sketch.arrow({0.2, elbo(0.2, 0.5)}, {0.2, ceiling});
  sketch.text({0.17, -2.15}, "KL", {}, kit::Align::kRight);
  sketch.draw(lesson, "elbo");
}

// ln p(x), and below it the ELBO, by step, in nats. Their distance is KL(q || posterior).
struct Ascent {
  std::vector<double> steps;
  std::vector<double> evidences;
  std::vector<double> elbos;
};

struct AscentText {
  kit::Sketch::Text text;
  kit::Point at_evidence, at_elbo, at_gap;  // where the labels stand, left-aligned
  bool dots = false;
};

inline void draw_ascent(kit::Lesson& lesson, const std::string& name, AscentText how,
                        const Ascent& ascent) {
  std::vector<kit::Point> evidence;
  std::vector<kit::Point> elbo;
  for (std::size_t i = 0; i < ascent.steps.size(); ++i) {
    evidence.push_back({ascent.steps[i], ascent.evidences[i]});
    elbo.push_back({ascent.steps[i], ascent.elbos[i]});
  }
  how.text.x_label = "step";
  how.text.y_label = "nats";
  how.text.axes = true;
  how.text.equal_scale = false;
  kit::Sketch sketch(how.text);
  sketch.area(kit::between(elbo, evidence), {.hue = 3});
  sketch.line(evidence, {.hue = 1, .width = 1.5});
  sketch.line(elbo, {.hue = 2, .width = 1.5});
  if (how.dots) sketch.dots(elbo, {.hue = 2});
  sketch.text(how.at_evidence, "ln p(x)", {.hue = 1}, kit::Align::kLeft);
  sketch.text(how.at_elbo, "ELBO", {.hue = 2}, kit::Align::kLeft);
  sketch.text(how.at_gap, "KL", {.hue = 3}, kit::Align::kLeft);
  sketch.draw(lesson, name);
}

// ---- A hidden Markov model ---------------------------------------------------------------------

inline void draw_chain(kit::Lesson& lesson) {
  kit::Diagram diagram({.title = "A hidden Markov model",
                        .note = "white: hidden, the weather; grey: seen, umbrella or none"});
  for (int t = 1; t <= 3; ++t) {
    diagram.node(fmt::format("z{}", t), fmt::format("z{}", t), kit::Diagram::kLatent);
    diagram.node(fmt::format("x{}", t), fmt::format("x{}", t), kit::Diagram::kObserved);
    diagram.level({fmt::format("z{}", t), fmt::format("x{}", t)});
  }
  for (int t = 1; t <= 3; ++t) {
    if (t > 1) diagram.edge(fmt::format("z{}", t - 1), fmt::format("z{}", t));
    diagram.edge(fmt::format("z{}", t), fmt::format("x{}", t));
  }
  diagram.draw(lesson, "chain");
}

// P(z_t = k | x) on three days, k = 0 for rain, exactly and by mean field.  (3, 2) each
inline void draw_weather(kit::Lesson& lesson, const Tensor<double>& exact,
                         const Tensor<double>& mean_field) {
  auto rain = [](const Tensor<double>& days) { return slice(days, 1, 0, 1).to_vector(); };
  kit::bars(lesson, "weather",
            {.title = "Independent days are too sure of the weather",
             .note = "the probability of rain on each of three days",
             .x_label = "what was seen",
             .y_label = "probability of rain"},
            {{.label = "exact", .y = rain(exact)}, {.label = "mean field", .y = rain(mean_field)}},
            {"day 1: umbrella", "day 2: umbrella", "day 3: none"});
}

// The logarithms of the probabilities of all eight paths, exactly and by mean field.  (8) each
inline void draw_paths(kit::Lesson& lesson, const Tensor<double>& exact,
                       const Tensor<double>& mean_field) {
  kit::bars(lesson, "paths",
            {.title = "Independent days cannot say that weather tends to stay",
             .note = "the probability of each weather over the three days; R: rain, D: dry",
             .x_label = "weather on the three days",
             .y_label = "probability"},
            {{.label = "exact", .y = exp(exact).to_vector()},
             {.label = "mean field", .y = exp(mean_field).to_vector()}},
            {"RRR", "RRD", "RDR", "RDD", "DRR", "DRD", "DDR", "DDD"});
}

// ln p(x) of a long story after each step of learning, in nats.
struct Learning {
  double truth;  // of the model that told the story
  std::vector<double> baum_welch = {}, gradient = {};
};

inline void draw_learning(kit::Lesson& lesson, const Learning& learning) {
  kit::Series baum_welch{.label = "Baum and Welch"};
  kit::Series gradient{.label = "gradient ascent"};
  for (std::size_t step = 0; step <= 60; ++step) {
    const auto x = static_cast<double>(step);
    gradient.x.push_back(x);
    gradient.y.push_back(learning.gradient[step]);
    baum_welch.x.push_back(x);
    baum_welch.y.push_back(learning.baum_welch[step]);
  }
  kit::plot(lesson, "learning",
            {.title = "Two ways to learn the weather arrive at one likelihood",
             .note = "from the same wrong model, on the same 500 days; the first 60 of 300 steps",
             .x_label = "step",
             .y_label = "ln p(x), nats",
             .levels = {{"the true model", learning.truth}}},
            {baum_welch, gradient});
}

// What mean field costs at each of its resting places, by the probability that the weather stays.
struct Rests {
  std::string label;
  std::vector<double> stays = {}, costs = {};  // nats
};

inline void draw_maxima(kit::Lesson& lesson, const std::vector<Rests>& all) {
  kit::Sketch sketch(
      {.title = "The stronger the days hold together, the more maxima",
       .note = "each dot: where mean field came to rest, of 100 random starts; 12 days beside 3",
       .x_label = "probability that the weather stays",
       .y_label = "ln p(x) - ELBO, nats",
       .axes = true,
       .equal_scale = false,
       .shown = {{0.48, -0.15}, {1, 3.1}}});
  double beside = -0.003;  // else some dots would hide others
  int hue = 0;
  for (const Rests& one : all) {
    std::vector<kit::Point> dots;
    for (std::size_t i = 0; i < one.stays.size(); ++i)
      dots.push_back({one.stays[i] + beside, one.costs[i]});
    ++hue;
    sketch.dots(dots, {.hue = hue, .width = 0.9});
    beside = -beside;
  }
  sketch.text({0.8, 0.86}, all[1].label, {.hue = 2}, kit::Align::kRight);
  sketch.text({0.875, 0.08}, all[0].label, {.hue = 1});
  sketch.text({0.89, 2.53}, "12 days: one of two", {.hue = 2}, kit::Align::kRight);
  sketch.text({0.935, 1.25}, "3 days: one of two", {.hue = 1}, kit::Align::kRight);
  sketch.draw(lesson, "maxima");
}

// The error of the probability of rain from n sweeps of Gibbs sampling.
struct GibbsErrors {
  std::string label;
  std::vector<double> sweeps = {}, errors = {}, predicted = {};
};

inline void draw_gibbs(kit::Lesson& lesson, const std::vector<GibbsErrors>& all) {
  std::vector<kit::Series> series;
  int hue = 0;
  for (const GibbsErrors& one : all) {
    ++hue;
    series.push_back({.x = one.sweeps, .y = one.errors, .mark = kit::Series::kDots, .hue = hue});
    series.push_back({.label = one.label, .x = one.sweeps, .y = one.predicted, .hue = hue});
  }
  kit::plot(lesson, "gibbs",
            {.title = "Gibbs sampling needs more sweeps where days hold together",
             .note =
                 "error of P(rain on day 2); dots: measured in 400 runs, lines: the sweep's matrix",
             .x_label = "number of sweeps",
             .y_label = "error of the probability",
             .log_x = true,
             .log_y = true},
            series);
}

}  // namespace gradus::lesson11
