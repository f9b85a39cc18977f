#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "lessons/10_kl/model.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"

// The figures of lesson 10.
namespace gradus::lesson10 {

// The terms p ln(p / q) and q ln(q / p) of both sums, for two tables of probabilities, (3) each.
inline void draw_tables(kit::Lesson& lesson, const Tensor<double>& p, const Tensor<double>& q) {
  const Tensor<double> log_ratio = log(p / q);
  const std::vector<double> there = (p * log_ratio).to_vector();
  const std::vector<double> back = (-q * log_ratio).to_vector();
  kit::bars(lesson, "tables",
            {.title = "What each outcome adds to the two divergences",
             .note = "P: binomial, 0.36, 0.48, 0.16; Q: uniform. Single terms may be negative.",
             .x_label = "number of successes in two trials",
             .y_label = "term of the sum, nats"},
            {{.label = "P ln(P / Q)", .y = there}, {.label = "Q ln(Q / P)", .y = back}},
            {"0", "1", "2"});
}

// The density of a distribution on the line.
template <class Distribution> double density_at(double x, const Distribution& distribution) {
  return std::exp(distribution.log_prob(Tensor<double>({1, 1}, {x})).item());
}

// A normal distribution, its name, and its colour in the figures.
struct Named {
  std::string name;
  nn::Normal<double> distribution;
  int hue;
};

// KL(p || q) as an area: that of p(x) ln(p(x) / q(x)) above the axis, less that below it.
struct Areas {
  Named p, q;
  double above, below;            // nats
  kit::Point at_above, at_below;  // where these two are written
};

inline void draw_areas(kit::Lesson& lesson, const std::string& figure, const Areas& areas) {
  constexpr double kLow = -4;
  constexpr double kHigh = 4;
  const auto& [p, q, above, below, at_above, at_below] = areas;
  auto curve = [&](auto f) { return kit::curve(kLow, kHigh, f, 400); };
  auto integrand = [&](double x) {
    const double px = density_at(x, areas.p.distribution);
    return px * std::log(px / density_at(x, areas.q.distribution));
  };
  const auto zero = curve([](double) { return 0.0; });
  const auto positive = curve([&](double x) { return std::max(0.0, integrand(x)); });
  const auto negative = curve([&](double x) { return std::min(0.0, integrand(x)); });

  kit::Sketch sketch(
      {.title = fmt::format("KL({} || {}) is the blue area less the orange one", p.name, q.name),
       .note = fmt::format("black: p ln(p / q), with p = {} and q = {}; in all {:.4f} nats", p.name,
                           q.name, above - below),
       .x_label = "x",
       .y_label = "densities; p ln(p / q), nats",
       .axes = true,
       .equal_scale = false,
       .shown = {{kLow, -0.4}, {kHigh, 1.8}}});
  sketch.area(kit::between(zero, positive), {.hue = 1});
  sketch.area(kit::between(negative, zero), {.hue = 2});
  sketch.line(zero, {.hue = -1});
  for (const Named& one : {p, q})
    sketch.line(curve([&](double x) { return density_at(x, one.distribution); }),
                {.hue = one.hue, .dashed = true});
  sketch.text({1.75, 0.7}, "narrow", {.hue = 3}, kit::Align::kLeft);
  sketch.text({-2.2, 0.25}, "wide", {.hue = 4});
  sketch.line(curve(integrand));
  sketch.text(at_above, fmt::format("{:.3f}", above), {.hue = 1});
  sketch.text(at_below, fmt::format("{:.3f}", below), {.hue = 2});
  sketch.draw(lesson, figure);
}

// How far estimates of one divergence from random points were off.
struct SamplingErrors {
  std::string divergence;      // "KL(narrow || wide)"
  double variance;             // of ln p(x) - ln q(x) under p, on paper
  std::vector<double> points;  // n
  std::vector<double> errors;  // the root mean square over many estimates, in nats
};

inline void draw_monte_carlo(kit::Lesson& lesson, const std::vector<SamplingErrors>& all) {
  std::vector<kit::Series> series;
  int hue = 0;
  for (const SamplingErrors& one : all) {
    ++hue;
    kit::Series predicted{.label = fmt::format("σ / √n, σ² = {:.3g}", one.variance),
                          .x = one.points,
                          .hue = hue};
    for (double n : one.points) predicted.y.push_back(std::sqrt(one.variance / n));
    series.push_back({.label = one.divergence,
                      .x = one.points,
                      .y = one.errors,
                      .mark = kit::Series::kDots,
                      .hue = hue});
    series.push_back(predicted);
  }
  kit::plot(lesson, "monte_carlo",
            {.title = "A hundred times the points, a tenth of the error",
             .note = "dots: root mean square error of 400 estimates; lines: predicted",
             .x_label = "number of points n",
             .y_label = "error of the estimate, nats",
             .log_x = true,
             .log_y = true},
            series);
}

// Where the fits to two modes came to rest.
struct Fits {
  nn::Normal<double> forward, left, right, middle;  // the last three: of reverse KL
};

inline void draw_two_modes(kit::Lesson& lesson, const NormalMixture<double>& p, const Fits& fits) {
  constexpr double kLow = -6;
  constexpr double kHigh = 6;
  auto density = [&](const auto& distribution) {
    return kit::curve(
        kLow, kHigh, [&](double x) { return density_at(x, distribution); }, 300);
  };
  const auto truth = density(p);
  const auto zero = kit::curve(
      kLow, kHigh, [](double) { return 0.0; }, 300);

  kit::Sketch sketch({.title = "Forward KL covers both; reverse KL has three resting places",
                      .note = "normal q fitted to p (grey) by descent; KL(q || p) in nats",
                      .x_label = "x",
                      .y_label = "density",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{kLow, 0}, {kHigh, 0.9}}});
  sketch.area(kit::between(zero, truth), {.hue = -1});
  sketch.line(truth);
  for (double mode : {-2.0, 2.0}) sketch.text({mode, 0.05}, "p");
  sketch.line(density(fits.forward), {.hue = 2, .width = 1.5});
  sketch.text({-3.4, 0.12}, "forward fit", {.hue = 2}, kit::Align::kRight);
  for (const auto* q : {&fits.left, &fits.right}) {
    sketch.line(density(*q), {.hue = 3, .width = 1.5});
    sketch.text({q->mean.item(), 0.84}, "reverse fit, KL 0.693", {.hue = 3});
  }
  sketch.line(density(fits.middle), {.hue = 3, .dashed = true, .width = 1.5});
  sketch.text({0, 0.33}, "reverse fit,", {.hue = 3});
  sketch.text({0, 0.27}, "KL 1.871", {.hue = 3});
  sketch.draw(lesson, "two_modes");
}

// The least KL that a normal distribution with this mean can have, whatever its variance.
struct Landscape {
  std::vector<double> means;
  std::vector<double> forward, reverse;  // nats
};

inline void draw_landscape(kit::Lesson& lesson, const Landscape& landscape,
                           const std::vector<std::pair<double, double>>& rests) {
  std::vector<kit::Point> forward;
  std::vector<kit::Point> reverse;
  for (std::size_t i = 0; i < landscape.means.size(); ++i) {
    forward.push_back({landscape.means[i], landscape.forward[i]});
    reverse.push_back({landscape.means[i], landscape.reverse[i]});
  }
  kit::Sketch sketch(
      {.title = "Forward KL has one valley, reverse KL three",
       .note = "the KL between q and the two modes at the best variance for each mean of q",
       .x_label = "mean of q",
       .y_label = "KL, nats",
       .axes = true,
       .equal_scale = false,
       .shown = {{-3.3, 0}, {4.3, 3.7}}});
  sketch.line(forward, {.hue = 2, .width = 1.5});
  sketch.line(reverse, {.hue = 3, .width = 1.5});
  sketch.text({forward.back().x + 0.1, forward.back().y}, "forward", {.hue = 2}, kit::Align::kLeft);
  sketch.text({reverse.back().x + 0.1, reverse.back().y}, "reverse", {.hue = 3}, kit::Align::kLeft);
  for (const auto& [mean, divergence] : rests) {
    sketch.dots({{mean, divergence}}, {.hue = 3});
    sketch.text({mean, divergence - 0.17}, fmt::format("rests at {:.3f}", divergence), {.hue = 3});
  }
  sketch.draw(lesson, "landscape");
}

}  // namespace gradus::lesson10
