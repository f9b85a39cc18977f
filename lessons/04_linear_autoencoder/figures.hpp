#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/01_pca/model.hpp"
#include "lessons/04_linear_autoencoder/instruments.hpp"
#include "lessons/04_linear_autoencoder/two_weights.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "lessons/kit/training.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

// The figures of lesson 04.
namespace gradus::lesson04 {

// A descent, step by step.
struct Path {
  std::string label;
  std::vector<double> loss = {};
  std::vector<double> angle = {};  // to PCA's plane, in degrees
  std::vector<double> slope = {};  // the length of the gradient
};

// The autoencoder of the toy: five numbers, two, five.
inline void draw_network(kit::Lesson& lesson) {
  kit::Sketch sketch({.title = "Five numbers through a place for two",
                      .note = "each line is a weight: ten in A, ten in B",
                      .equal_scale = false,
                      .shown = {{-0.4, -0.3}, {2.4, 4.6}}});
  const std::vector<std::string> digits = {"₁", "₂", "₃", "₄", "₅"};
  const std::vector<kit::Point> codes = {{1, 2.75}, {1, 1.25}};
  for (int i = 0; i < 5; ++i) {
    const double height = 4 - i;
    for (const kit::Point& code : codes) {
      sketch.line({{0, height}, code}, {.hue = 1});
      sketch.line({code, {2, height}}, {.hue = 2});
    }
    sketch.dots({{0, height}, {2, height}}, {.width = 1.5});
    sketch.text({-0.1, height}, "x" + digits[i], {}, kit::Align::kRight);
    sketch.text({2.1, height}, "x̂" + digits[i], {}, kit::Align::kLeft);
  }
  sketch.dots(codes, {.width = 2.5});
  sketch.text({1, 3.15}, "z₁");
  sketch.text({1, 0.85}, "z₂");
  sketch.text({0.5, 4.3}, "encoder, A", {.hue = 1});
  sketch.text({1.5, 4.3}, "decoder, B", {.hue = 2});
  sketch.draw(lesson, "network");
}

// How far the losses of some descents are above the least that they can reach.
inline void draw_excesses(kit::Lesson& lesson, const std::vector<Path>& paths, double floor) {
  std::vector<kit::Series> series;
  for (const Path& path : paths) {
    kit::Series line{.label = path.label};
    for (std::size_t step = 0; step < 600; ++step) line.y.push_back(path.loss[step] - floor);
    series.push_back(line);
  }
  kit::plot(lesson, "loss",
            {.title = "Three random starts come down to the same loss",
             .note =
                 fmt::format("toy of five dimensions, codes of two numbers; no plane loses less "
                             "than {}",
                             floor),
             .x_label = "step of gradient descent",
             .y_label = fmt::format("loss above {}", floor),
             .log_y = true},
            series);
}

inline void draw_angles(kit::Lesson& lesson, const std::vector<Path>& paths) {
  std::vector<kit::Series> series;
  for (const Path& path : paths)
    series.push_back({.label = path.label, .y = {path.angle.begin(), path.angle.begin() + 600}});
  kit::plot(lesson, "angle",
            {.title = "The decoder's plane turns into the plane of PCA",
             .note = "the same three descents",
             .x_label = "step of gradient descent",
             .y_label = "angle between the planes, degrees",
             .log_y = true},
            series);
}

// A place where the gradient vanishes: the components that the decoder spans, the loss, and the
// lowest eigenvalue of the Hessian.
struct CriticalPoint {
  std::string components;
  double level, curvature;
};

inline void draw_curvatures(kit::Lesson& lesson, const std::vector<CriticalPoint>& points) {
  kit::Sketch sketch({.title = "All but the best pair of components have a way down",
                      .note = "the ten places where the decoder spans two components of five",
                      .x_label = "loss: the variances of the other three components",
                      .y_label = "lowest eigenvalue of the Hessian",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{1.2, -5.2}, {7.5, 0.6}}});
  sketch.line({{1.2, 0}, {7.5, 0}}, {.dashed = true});
  sketch.text({4.5, 0.25}, "0: no way down");
  for (const CriticalPoint& p : points) {
    sketch.dots({{p.level, p.curvature}}, {.hue = 1, .width = 1.5});
    const double below = p.curvature < -0.01 ? 0.05 : 0.3;  // the dashed line
    sketch.text({p.level - 0.1, p.curvature - below}, p.components, {}, kit::Align::kRight);
  }
  sketch.draw(lesson, "curvature");
}

// The losses of a descent from beside a saddle, and the levels at which it may rest.
inline void draw_saddles(kit::Lesson& lesson, const Path& path,
                         const std::vector<kit::Level>& levels) {
  kit::plot(lesson, "saddle",
            {.title = "A descent that rests at two saddles on its way",
             .note = "from a millionth beside the point where the decoder spans components 3 and 4",
             .x_label = "step of gradient descent",
             .y_label = "squared error per example",
             .levels = levels},
            {{.label = path.label, .y = {path.loss.begin(), path.loss.begin() + 400}}});
}

// A descent from beside a saddle, and the step at which it should be a little below it.
struct Wait {
  std::string distance;
  std::vector<double> loss;
  double predicted;
};

inline void draw_waits(kit::Lesson& lesson, const std::vector<Wait>& waits, double level,
                       double depth) {
  kit::Sketch sketch(
      {.title = "A thousand times nearer to the saddle, 36 steps more",
       .note = "dots: where the Hessian says that the loss is 0.1 below the saddle's",
       .x_label = "step of gradient descent",
       .y_label = "squared error per example",
       .axes = true,
       .equal_scale = false,
       .shown = {{0, 1.5}, {180, 6.6}}});
  int hue = 0;
  for (const Wait& wait : waits) {
    ++hue;
    std::vector<kit::Point> points;
    for (std::size_t step = 0; step < 180; ++step)
      points.push_back({static_cast<double>(step), wait.loss[step]});
    sketch.line(points, {.hue = hue});
    sketch.dots({{wait.predicted, level - depth}}, {.hue = hue, .width = 1.5});
    sketch.text({wait.predicted + 13, 4.7}, "from " + wait.distance, {.hue = hue},
                kit::Align::kLeft);
  }
  sketch.draw(lesson, "waits");
}

// How far above PCA's error training is after each epoch, in %.
inline void draw_excess(kit::Lesson& lesson, const kit::History& history, Index codes) {
  std::vector<kit::Series> series;
  for (const std::string name : {"training", "test"}) {
    kit::Series line{.label = name, .y = history.at(name), .mark = kit::Series::kLineAndDots};
    for (std::size_t epoch = 0; epoch < line.y.size(); ++epoch)
      line.x.push_back(static_cast<double>(epoch));
    series.push_back(line);
  }
  kit::plot(lesson, "excess",
            {.title =
                 fmt::format("With {} numbers a code, training comes down to PCA's error", codes),
             .x_label = "epoch",
             .y_label = "% above the error of PCA",
             .log_y = true},
            series);
}

// How much of each of the first components lies in the span of the decoder's columns.
inline void draw_shares(kit::Lesson& lesson, const Tensor<double>& shares, Index codes) {
  kit::Series bars{.label = "decoder"};
  for (Index i = 0; i < std::min<Index>(30, shares.size()); ++i) bars.y.push_back(shares(i));
  kit::bars(lesson, "shares",
            {.title =
                 fmt::format("Around component {} the decoder's plane is not yet PCA's", codes),
             .note = fmt::format("PCA's plane of {0} numbers has all of the first {0}, and nothing "
                                 "of the others",
                                 codes),
             .x_label = "component of PCA",
             .y_label = "share in the decoder's span"},
            {bars});
}

// The first six of PCA's axes, and six of the columns of the decoder's weight, (D, K).
inline void draw_axes(kit::Lesson& lesson, const lesson01::Pca<double>& pca,
                      const Tensor<double>& weight, const kit::ImageData& data) {
  const Tensor<double> columns = transpose(weight / sqrt(sum(square(weight), {0})));  // (K, D)
  kit::images(lesson, "axes",
              {.title = "PCA's axes, and those that gradient descent found",
               .columns = 6,
               .signed_values = true,
               .row_captions = {"PCA's first six", "six of the decoder's"}},
              data.as_images<double>({slice(pca.components, 0, 0, 6), slice(columns, 0, 0, 6)}));
}

// The branch of the curve a b = product at a > 0 or a < 0, as far as it lies in a square about 0.
inline std::vector<kit::Point> branch(double product, bool right, double edge) {
  const double sign = right ? 1 : -1;
  return kit::curve(sign * std::abs(product) / edge, sign * edge,
                    [product](double a) { return product / a; });
}

// The places where (1 - a b)^2 has this value.
inline void draw_contour(kit::Sketch& sketch, double loss, double edge) {
  for (double product : {1 - std::sqrt(loss), 1 + std::sqrt(loss)}) {
    if (product == 0) {
      sketch.line({{-edge, 0}, {0, 0}, {edge, 0}}, {.hue = -1});
      sketch.line({{0, -edge}, {0, 0}, {0, edge}}, {.hue = -1});
    } else if (std::abs(product) < edge * edge) {
      for (bool right : {false, true}) sketch.line(branch(product, right, edge), {.hue = -1});
    }
  }
}

inline void draw_path(kit::Sketch& sketch, const std::vector<TwoWeights>& path, int hue) {
  std::vector<kit::Point> points;
  for (const TwoWeights& w : path) points.push_back({w.a, w.b});
  sketch.line(points, {.hue = hue});
  sketch.dots(points, {.hue = hue, .width = 0.6});
}

// The loss (1 - a b)^2 of two weights as a map of heights, and two descents that pass a saddle.
inline void draw_landscape(kit::Lesson& lesson, const std::vector<TwoWeights>& left,
                           const std::vector<TwoWeights>& right) {
  constexpr double kEdge = 1.5;
  constexpr double kFar = 1.5 * kEdge;  // beyond what is shown
  kit::Sketch sketch({.title = "Two weights: a saddle between two valleys",
                      .note = "curves of equal loss, and a dot for each step of two descents",
                      .x_label = "a, the encoder's weight",
                      .y_label = "b, the decoder's weight",
                      .axes = true,
                      .shown = {{-kEdge, -kEdge}, {kEdge, kEdge}}});
  for (double loss : {0.25, 1.0, 2.25, 4.0, 6.25}) draw_contour(sketch, loss, kFar);
  for (bool side : {false, true}) sketch.line(branch(1, side, kFar), {.hue = 3, .width = 1.5});
  draw_path(sketch, left, 1);
  draw_path(sketch, right, 2);
  sketch.dots({{0, 0}}, {.width = 1.5});
  sketch.text({0.1, -0.12}, "saddle, loss 1", {}, kit::Align::kLeft);
  sketch.text({1.68, 0.43}, "loss 0", {.hue = 3});
  sketch.text({-1.68, -0.43}, "loss 0", {.hue = 3});
  sketch.text({0.74, -0.76}, "2.25", {}, kit::Align::kLeft);
  sketch.text({1.03, -1.05}, "4", {}, kit::Align::kLeft);
  sketch.text({1.26, -1.28}, "6.25", {}, kit::Align::kLeft);
  sketch.draw(lesson, "landscape");
}

}  // namespace gradus::lesson04
