#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "lessons/03_tape/instruments.hpp"
#include "lessons/03_tape/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/graph.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"

// The figures of lesson 03.
namespace gradus::lesson03 {

// ---- An expression -----------------------------------------------------------------------------

// A number of an expression, and how it was computed from others.
struct Named {
  std::string name, formula;  // "s", "s = p + x"
  tiny::Number number;
};

// The expression on the tiny tape as boxes with a value and a gradient, and a slope on each edge.
// All numbers of the tape are named, in their order.
inline void draw_expression(kit::Lesson& lesson, const std::vector<Named>& all,
                            const std::vector<double>& gradient) {
  const tiny::Tape& tape = *all.front().number.tape;
  std::string dot =
      "digraph tape {\n  edge [fontname=\"DejaVu Sans\", fontsize=13, fontcolor=\"#222222\"];\n";
  for (const Named& from : all) {
    const Index node = from.number.node;
    const bool is_input = tape.nodes[node].empty();
    dot += fmt::format("  n{} [label=\"{}\\nvalue = {:g}\\ngradient = {:g}\"{}];\n", node,
                       from.formula, from.number.value, gradient[node],
                       is_input ? ", fillcolor=\"#dbe9f6\"" : "");
    for (const tiny::Edge& edge : tape.nodes[node])
      dot += fmt::format("  n{} -> n{} [label=\"  × {:g}  \"];\n", edge.input, node, edge.slope);
  }
  kit::graph(lesson, "graph", "z = (x y + x)²: values to the right, gradients to the left",
             dot + "}\n");
}

// ---- Gradient descent --------------------------------------------------------------------------

// The steps of gradient descent in the bowl of theta^2.
struct Roll {
  double rate;
  std::string verdict;
  std::vector<double> thetas;
};

// A bowl for each learning rate, side by side.
inline void draw_bowls(kit::Lesson& lesson, const std::vector<Roll>& rolls) {
  constexpr double kApart = 5;
  kit::Sketch sketch({.title = "The same bowl, three learning rates",
                      .note = "L(θ) = θ²: four steps of gradient descent from θ = 1",
                      .equal_scale = false});
  for (int i = 0; i < std::ssize(rolls); ++i) {
    const Roll& roll = rolls[i];
    const double middle = kApart * i;
    std::vector<kit::Point> bowl = kit::curve(-2.15, 2.15, [](double t) { return t * t; });
    for (kit::Point& p : bowl) p.x += middle;
    sketch.line(bowl, {.hue = -1});
    std::vector<kit::Point> steps;
    for (double theta : roll.thetas) steps.push_back({middle + theta, theta * theta});
    const kit::Pen pen = {.hue = i + 1};
    for (std::size_t k = 0; k + 1 < steps.size(); ++k) {
      const bool is_long = std::abs(steps[k + 1].x - steps[k].x) > 0.5;
      if (is_long)
        sketch.arrow(steps[k], steps[k + 1], pen);
      else
        sketch.line({steps[k], steps[k + 1]}, pen);
    }
    sketch.dots(steps, pen);
    sketch.text({middle + 1.12, 0.95}, "start", {}, kit::Align::kLeft);
    sketch.text({middle, 5.35}, fmt::format("η = {:g}", roll.rate), pen);
    sketch.text({middle, 4.9}, roll.verdict, pen);
    sketch.text({middle, -0.35}, "θ = 0", {.hue = -1});
  }
  sketch.draw(lesson, "bowls");
}

// A path through the valley 1/2 (a theta_1^2 + b theta_2^2).
struct Path {
  std::string name;
  kit::Point label;  // where its name is written
  std::vector<Tensor<double>> thetas;
};

inline void draw_valley(kit::Lesson& lesson, double a, double b, const std::vector<Path>& paths) {
  kit::Sketch sketch({.title = "Along a valley momentum takes longer steps",
                      .note = fmt::format("L = ½ (θ₁² + {:g} θ₂²): curves of equal loss, and the "
                                          "first 60 steps of each descent",
                                          b / a),
                      .x_label = "θ₁",
                      .y_label = "θ₂",
                      .axes = true,
                      .shown = {{-4.6, -1.15}, {1.15, 1.25}}});
  for (double level : {0.5, 2.0, 4.5, 8.0, 12.5, 18.0})
    sketch.line(kit::ellipse({0, 0}, {std::sqrt(2 * level / a), 0}, {0, std::sqrt(2 * level / b)}),
                {.hue = -1, .width = 0.6});
  for (int i = 0; i < std::ssize(paths); ++i) {
    const kit::Pen pen = {.hue = i + 1};
    std::vector<kit::Point> points;
    for (int step = 0; step <= 60; ++step)
      points.push_back({paths[i].thetas[step](0), paths[i].thetas[step](1)});
    sketch.line(points, pen);
    sketch.dots(points, {.hue = i + 1, .width = 0.7});
    sketch.text(paths[i].label, paths[i].name, pen, kit::Align::kLeft);
  }
  sketch.draw(lesson, "valley");
}

// The log-likelihood before each step of gradient descent, and after the last.
struct Climb {
  std::string name;
  std::vector<double> heights;  // nats per point

  // How far each is below the best value.
  std::vector<double> gaps() const {
    std::vector<double> result;
    for (double height : heights) result.push_back(toy_log_likelihood(2) - height);
    return result;
  }
};

// The first steps, between the levels at which the climb rests.
inline void draw_climb(kit::Lesson& lesson, const std::vector<Climb>& climbs) {
  std::vector<kit::Series> lines;
  for (const Climb& climb : climbs) {
    kit::Series line{.label = climb.name};
    for (int i = 0; i <= 240; ++i) {
      line.x.push_back(i);
      line.y.push_back(climb.heights[i]);
    }
    lines.push_back(line);
  }
  kit::plot(lesson, "climb",
            {.title = "Gradient descent finds one direction, then the other",
             .note = "pPCA with two latents, on the toy",
             .x_label = "steps",
             .y_label = "log-likelihood, nats per point",
             .levels = {{"no direction", toy_log_likelihood(0)},
                        {"one direction", toy_log_likelihood(1)},
                        {"two: lesson 02", toy_log_likelihood(2)}}},
            lines);
}

// A climb's gap by step, and the factor by which a step should multiply it near the top.
struct Predicted {
  Climb climb;
  double factor;
  double from;       // the gap at which the prediction's line begins
  kit::Point label;  // where its name is written
};

// log10 of how far each step is below the best value, with the predicted lines dashed.
inline void draw_gap(kit::Lesson& lesson, const std::vector<Predicted>& all) {
  constexpr int kSteps = 400;
  constexpr double kLowest = 1e-12;
  kit::Sketch sketch(
      {.title = "Near the top the gap shrinks by a factor that can be predicted",
       .note = "dashed: the predicted factor per step, from the curvatures of the loss",
       .x_label = "steps",
       .y_label = "log₁₀ of the gap to lesson 02's value, nats",
       .axes = true,
       .equal_scale = false,
       .shown = {{0, -12.2}, {kSteps, 0.6}}});
  for (int i = 0; i < std::ssize(all); ++i) {
    const std::vector<double> gaps = all[i].climb.gaps();
    std::vector<kit::Point> points;
    int begin = -1;
    for (int step = 0; step <= kSteps && gaps[step] > kLowest; ++step) {
      points.push_back({double(step), std::log10(gaps[step])});
      if (begin < 0 && gaps[step] < all[i].from) begin = step;
    }
    sketch.line(points, {.hue = i + 1});
    sketch.text(all[i].label, fmt::format("{}: × {:.3f}", all[i].climb.name, all[i].factor),
                {.hue = i + 1}, kit::Align::kLeft);
    if (begin < 0) continue;  // it did not come near the top
    const double slope = std::log10(all[i].factor);
    const double height = std::log10(all[i].from) + 0.5;  // a little above the measured line
    const double steps = std::min((-12 - height) / slope, double(kSteps - begin));
    sketch.line({{double(begin), height}, {begin + steps, height + slope * steps}},
                {.hue = i + 1, .dashed = true});
  }
  sketch.draw(lesson, "gap");
}

// ---- Finite differences ------------------------------------------------------------------------

// The errors, and dashed what the Taylor series predicts of them.
struct DifferenceCurve {
  std::string name;
  kit::Point label;
  DifferenceErrors errors;
  int hue;
};

inline void draw_differences(kit::Lesson& lesson, const std::vector<DifferenceCurve>& curves) {
  kit::Sketch sketch({.title = "Too large a step is wrong, and so is too small a one",
                      .note = "finite differences of eˣ, against its derivative",
                      .x_label = "log₁₀ of the step h",
                      .y_label = "log₁₀ of the error",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{-13.4, -14}, {0.2, 0.5}}});
  for (const DifferenceCurve& curve : curves) {
    std::vector<kit::Point> points;
    for (std::size_t i = 0; i < curve.errors.steps.size(); ++i)
      points.push_back({std::log10(curve.errors.steps[i]), std::log10(curve.errors.errors[i])});
    sketch.line(points, {.hue = curve.hue});
    sketch.text(curve.label, curve.name, {.hue = curve.hue}, kit::Align::kLeft);
  }
  auto predict = [&](double lowest, double (*error)(double), int hue) {
    const auto log_error = [&](double x) { return std::log10(error(std::pow(10, x))); };
    sketch.line(kit::curve(lowest, 0, log_error, 2), {.hue = hue, .dashed = true});
  };
  predict(-6.5, central_difference_error, 2);
  predict(-3.4, combined_difference_error, 3);
  sketch.text({-7.9, -12.9}, "predicted: ∝ h²", {.hue = 2});
  sketch.text({-2.6, -13.5}, "∝ h⁴", {.hue = 3}, kit::Align::kLeft);
  sketch.text({-9.4, -5.2}, "rounding: ∝ 1/h", {.hue = -1}, kit::Align::kLeft);
  sketch.draw(lesson, "differences");
}

}  // namespace gradus::lesson03
