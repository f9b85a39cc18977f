#pragma once
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/12_reparameterization/model.hpp"
#include "lessons/kit/diagram.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "tensor/tensor.hpp"

// The figures of lesson 12.
namespace gradus::lesson12 {

// ---- Sketches ----------------------------------------------------------------------------------

// The computation with the random node on the way from mu to f, and with it moved off.
inline void draw_graph(kit::Lesson& lesson) {
  using enum kit::Diagram::Kind;
  kit::Diagram diagram({.title = "The random node is moved off the way from μ to f",
                        .note = "Orange: random. Blue: the gradient passes. Dashed: it is stopped, "
                                "for a draw has no slope."});
  diagram.node("mu_after", "μ", kFixed);
  diagram.node("sigma_after", "σ", kFixed);
  diagram.node("eps", "ε ~\nN(0, 1)", kLatent, {.hue = 2});
  diagram.node("z_after", "z = μ + σ ε", kStep, {.hue = 1});
  diagram.node("f_after", "f(z)", kStep, {.hue = 1});
  diagram.edge("mu_after", "z_after", "", {.hue = 1});
  diagram.edge("sigma_after", "z_after", "", {.hue = 1});
  diagram.edge("eps", "z_after");
  diagram.edge("z_after", "f_after", "", {.hue = 1});
  diagram.plate("after", {"mu_after", "sigma_after", "eps", "z_after", "f_after"});

  diagram.node("mu", "μ", kFixed);
  diagram.node("sigma", "σ", kFixed);
  diagram.node("z", "z ~\nN(μ, σ²)", kLatent, {.hue = 2});
  diagram.node("f", "f(z)", kStep, {.hue = 1});
  diagram.edge("mu", "z", "", {.dashed = true});
  diagram.edge("sigma", "z", "", {.dashed = true});
  diagram.edge("z", "f", "", {.hue = 1});
  diagram.plate("before", {"mu", "sigma", "z", "f"});
  diagram.draw(lesson, "graph");
}

// What happens to four draws when mu moves from 1 to 1.5.
inline void draw_two_ways(kit::Lesson& lesson) {
  constexpr double kMoved = 0.5;
  constexpr double kLow = -2.3;
  constexpr double kHigh = 4.8;
  constexpr double kUpper = 0.72;  // the height of the upper axis
  auto density = [](double z, double mu) {
    return std::exp(-0.5 * (z - mu) * (z - mu)) / std::sqrt(2 * M_PI);
  };

  kit::Sketch sketch({.title = "μ moves from 1 to 1.5: what becomes of four draws?",
                      .note = "grey: the density of z before; black: after",
                      .x_label = "z",
                      .equal_scale = false});
  for (double base : {0.0, kUpper}) {
    sketch.line({{kLow, base}, {kHigh, base}}, {.hue = -1});
    sketch.line(kit::curve(kLow, kHigh, [&](double z) { return base + density(z, 1); }),
                {.hue = -1, .width = 1.5});
    sketch.line(kit::curve(kLow, kHigh, [&](double z) { return base + density(z, 1 + kMoved); }),
                {.width = 1.5});
  }
  for (double z : {-0.3, 0.5, 1.9, 2.6}) {
    sketch.line({{z, kUpper}, {z, kUpper + density(z, 1)}}, {.hue = -1, .dashed = true});
    sketch.arrow({z, kUpper + density(z, 1)}, {z, kUpper + density(z, 1 + kMoved)},
                 {.hue = 2, .width = 1.5});
    sketch.dots({{z, kUpper}}, {.width = 1.5});
    sketch.dots({{z, 0}}, {.width = 1.5});
    sketch.arrow({z, 0}, {z + kMoved, 0}, {.hue = 1, .width = 1.5});
  }
  sketch.text({kHigh, kUpper - 0.06}, "z");
  sketch.text({kHigh, -0.06}, "z");
  sketch.text({kLow, kUpper + 0.5}, "score: the draws stay, each becomes more or less probable",
              {.hue = 2}, kit::Align::kLeft);
  sketch.text({kLow, 0.5}, "path: the draws move along", {.hue = 1}, kit::Align::kLeft);
  sketch.draw(lesson, "two_ways");
}

// Uniform noise into exponential draws, for two rates.
inline void draw_quantile(kit::Lesson& lesson) {
  constexpr double kEnd = 1.7;
  auto share = [](double rate) {
    return kit::curve(0, kEnd, [rate](double z) { return 1 - std::exp(-rate * z); });
  };
  auto quantile = [](double eps, double rate) { return -std::log(1 - eps) / rate; };

  kit::Sketch sketch({.title = "The same ε, another λ: the draw moves",
                      .note = "the share of an exponential distribution below z, 1 - exp(-λz)",
                      .x_label = "z = -ln(1 - ε) / λ",
                      .y_label = "ε, uniform on [0, 1)",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{0, 0}, {kEnd, 1}}});
  sketch.line(share(2), {.hue = 1, .width = 1.5});
  sketch.line(share(3), {.hue = 2, .width = 1.5});
  for (double eps : {0.25, 0.5, 0.8}) {
    const double z = quantile(eps, 2);
    const double moved = quantile(eps, 3);
    sketch.line({{0, eps}, {moved, eps}}, {.hue = -1, .dashed = true});
    sketch.line({{z, 0}, {z, eps}}, {.hue = 1, .dashed = true});
    sketch.line({{moved, 0}, {moved, eps}}, {.hue = 2, .dashed = true});
    sketch.arrow({z, eps}, {moved, eps}, {.width = 1.5});
    sketch.dots({{z, eps}}, {.hue = 1});
  }
  sketch.text({1.3, 0.87}, "λ = 2", {.hue = 1}, kit::Align::kLeft);
  sketch.text({0.62, 0.93}, "λ = 3", {.hue = 2}, kit::Align::kRight);
  sketch.draw(lesson, "quantile");
}

// ---- Measurements ------------------------------------------------------------------------------

// A formula as a line, and what was measured as dots.
struct Curve {
  std::string label;
  double (*formula)(double x);
  std::vector<double> x = {}, measured = {};
};

// The lines reach from `low` to `high`; line and dots of one curve share a colour.
inline std::vector<kit::Series> lines_and_dots(const std::vector<Curve>& curves, double low,
                                               double high) {
  std::vector<kit::Series> series;
  int hue = 0;
  for (const Curve& curve : curves) {
    ++hue;
    kit::Series line{.label = curve.label, .hue = hue};
    for (int i = 0; i <= 100; ++i) {
      const double x = low * std::pow(high / low, i / 100.0);
      line.x.push_back(x);
      line.y.push_back(curve.formula(x));
    }
    series.push_back(line);
    series.push_back({.x = curve.x, .y = curve.measured, .mark = kit::Series::kDots, .hue = hue});
  }
  return series;
}

inline void draw_variances(kit::Lesson& lesson, const std::vector<Curve>& curves) {
  kit::plot(lesson, "variances",
            {.title = "As σ shrinks, path falls silent and score explodes",
             .note = "variance of one sample's estimate of d/dμ E[z²], z ~ N(1, σ²); "
                     "lines: formulas, dots: measured",
             .x_label = "σ",
             .y_label = "variance",
             .log_x = true,
             .log_y = true},
            lines_and_dots(curves, 0.03, 11));
}

inline void draw_sticking(kit::Lesson& lesson, const std::vector<Curve>& curves) {
  kit::plot(lesson, "sticking",
            {.title = "At the posterior two of the four estimators have no noise",
             .note =
                 "variance of one sample's gradient of the ELBO; lines: formulas, dots: measured",
             .x_label = "standard deviation s of q (the posterior has √0.5 = 0.707)",
             .y_label = "variance"},
            lines_and_dots(curves, 0.35, 1.07));
}

// What one estimator gave, sample by sample.
struct SampleGradients {
  std::string label;
  Tensor<double> values;  // (S)
};

// The outline of a histogram from `low` to `high`: the share of the values for each unit of their
// axis. An empty bin has no place on a logarithmic axis and is left out.
inline kit::Series histogram(const SampleGradients& gradients, double low, double high) {
  constexpr int kBins = 88;
  const double width = (high - low) / kBins;
  std::vector<int> counts(kBins);
  for (double v : gradients.values)
    if (v >= low && v < high) ++counts[static_cast<int>((v - low) / width)];

  const double total = static_cast<double>(gradients.values.size());
  kit::Series outline{.label = gradients.label};
  for (int bin = 0; bin < kBins; ++bin) {
    const double share = counts[bin] == 0 ? NAN : counts[bin] / (width * total);
    for (int edge : {bin, bin + 1}) {
      outline.x.push_back(low + width * edge);
      outline.y.push_back(share);
    }
  }
  return outline;
}

inline void draw_histograms(kit::Lesson& lesson, const std::vector<SampleGradients>& all) {
  std::vector<kit::Series> outlines;
  for (const SampleGradients& gradients : all) outlines.push_back(histogram(gradients, -12, 32));
  outlines.front().label_inside = true;  // the path's, which ends long before the others
  kit::plot(lesson, "histograms",
            {.title = "All three have the mean 2; the score's tail is by far the longest",
             .note = "histograms of one sample's estimate of d/dμ E[z²] = 2, z ~ N(1, 1)",
             .x_label = "one sample's estimate",
             .y_label = "share of the samples per unit",
             .log_y = true},
            outlines);
}

// The gap to the posterior, step by step, on average over many runs; and what it should end at.
struct Descent {
  std::string label;
  std::vector<double> gaps;  // nats, before each step
  double predicted;          // NAN: nothing
  int hue;
};

inline void draw_descent(kit::Lesson& lesson, const std::vector<Descent>& descents, Index runs) {
  constexpr Index kShown = 800;
  kit::PlotText text{.title = "Three estimators keep shaking, at a level that is predicted",
                     .note = fmt::format("q fitted to lesson 11's posterior, 4 samples a step; "
                                         "average of {} runs; dashed: predicted",
                                         runs),
                     .x_label = "steps",
                     .y_label = "KL(q ‖ posterior), nats",
                     .log_y = true};
  std::vector<kit::Series> lines;
  for (const Descent& descent : descents) {
    kit::Series line{.label = descent.label, .hue = descent.hue};
    for (Index i = 0; i <= kShown; i += 5) {
      line.x.push_back(static_cast<double>(i));
      line.y.push_back(descent.gaps[i]);
    }
    lines.push_back(line);
    text.levels.push_back({"", descent.predicted});
  }
  kit::plot(lesson, "descent", text, lines);
}

// Something by a number of samples, on paper and as it was measured.
struct BySamples {
  std::string label;
  std::vector<double> samples = {}, formula = {}, measured = {};
  int hue = 0;
};

inline std::vector<kit::Series> lines_and_dots(const std::vector<BySamples>& all) {
  std::vector<kit::Series> series;
  for (const BySamples& one : all) {
    series.push_back({.label = one.label, .x = one.samples, .y = one.formula, .hue = one.hue});
    series.push_back(
        {.x = one.samples, .y = one.measured, .mark = kit::Series::kDots, .hue = one.hue});
  }
  return series;
}

inline void draw_samples(kit::Lesson& lesson, const std::vector<BySamples>& errors) {
  kit::plot(lesson, "samples",
            {.title = "More latents: the ELBO's error falls, that of p(x) explodes",
             .note = "relative error of the mean of L samples, J independent latents; "
                     "lines: formulas, dots: measured",
             .x_label = "samples L",
             .y_label = "error / truth",
             .log_x = true,
             .log_y = true,
             .levels = {{"10 %", 0.1}}},
            lines_and_dots(errors));
}

inline void draw_minibatch(kit::Lesson& lesson, const std::vector<BySamples>& variances) {
  kit::plot(lesson, "minibatch",
            {.title = "For 100 draws, one for each of 100 examples is never worse",
             .note = "variance of the gradient of B examples with L draws each, B L = 100; "
                     "lines: formulas, dots: measured",
             .x_label = "draws L for each example (B = 100 / L examples)",
             .y_label = "variance of the minibatch's gradient",
             .log_x = true,
             .log_y = true},
            lines_and_dots(variances));
}

}  // namespace gradus::lesson12
