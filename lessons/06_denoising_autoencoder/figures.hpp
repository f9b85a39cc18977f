#pragma once
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/06_denoising_autoencoder/truths.hpp"
#include "lessons/common/rows.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "tensor/layout.hpp"
#include "tensor/tensor.hpp"

// The figures of lesson 06.
namespace gradus::lesson06 {

// What the network answers, (n, 1), to the numbers x (n, 1), beside what is best for two points.
inline void draw_two_points(kit::Lesson& lesson, const Tensor<float>& x,
                            const Tensor<float>& answers, double s2) {
  kit::Sketch sketch({.title = "What is seen is pulled towards -1 or 1",
                      .note = "the points -1 and 1, with noise of variance 1/2",
                      .x_label = "what is seen",
                      .y_label = "the answer",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{-2.6, -1.55}, {3.3, 1.75}}});
  sketch.line({{-1.55, -1.55}, {1.75, 1.75}}, {.hue = -1, .width = 1.5});
  sketch.text({1.4, 1.6}, "as seen", {}, kit::Align::kRight);
  const double slope = shrink(1, s2);
  sketch.line({{-2.3, -2.3 * slope}, {2.3, 2.3 * slope}}, {.hue = 2});
  sketch.text({2.35, 2.3 * slope - 0.1}, "best line", {.hue = 2}, kit::Align::kLeft);
  std::vector<kit::Point> net;
  for (Index i = 0; i < x.extent(0); ++i) net.push_back({x(i, 0), answers(i, 0)});
  sketch.line(net, {.hue = 1, .width = 1.5});
  sketch.line(kit::curve(-2.5, 2.5, [s2](double t) { return two_points_answer(t, s2); }),
              {.dashed = true});
  sketch.text({2.55, 1.0}, "tanh(2 · seen)", {}, kit::Align::kLeft);
  sketch.text({2.55, 0.8}, "and network", {.hue = 1}, kit::Align::kLeft);
  sketch.dots({{-1, -1}, {1, 1}}, {.hue = 0, .width = 1.5});
  sketch.draw(lesson, "two_points");
}

// Where a denoiser of the unit circle moves points of the plane, (n, 2): from `seen` to `answers`.
inline void draw_field(kit::Lesson& lesson, const Tensor<float>& seen, const Tensor<float>& answers,
                       double s2) {
  const double fixed = circle_fixed_radius(s2);
  kit::Sketch sketch(
      {.title = "The network moves each point towards the circle",
       .note = fmt::format("dashed: the circle; orange: the radius {:.3f}, which the "
                           "best denoiser leaves as it is",
                           fixed),
       .shown = {{-1.8, -1.55}, {1.8, 1.55}}});
  sketch.line(kit::ellipse({0, 0}, {1, 0}, {0, 1}), {.dashed = true, .width = 1.5});
  sketch.line(kit::ellipse({0, 0}, {fixed, 0}, {0, fixed}), {.hue = 2, .width = 1.5});
  for (Index i = 0; i < seen.extent(0); ++i)
    sketch.arrow({seen(i, 0), seen(i, 1)}, {answers(i, 0), answers(i, 1)}, {.hue = 1});
  sketch.draw(lesson, "field");
}

// One kind of noise, and what is left of it, in decibels.
struct Gain {
  std::string name;
  double seen, affine, net;
};

inline void draw_gains(kit::Lesson& lesson, const std::vector<Gain>& gains, Index steps) {
  kit::Series seen{.label = "as seen"}, affine{.label = "best affine map"}, net{.label = "network"};
  std::vector<std::string> names;
  for (const Gain& gain : gains) {
    names.push_back(gain.name);
    seen.y.push_back(gain.seen);
    affine.y.push_back(gain.affine);
    net.y.push_back(gain.net);
  }
  kit::bars(lesson, "decibels",
            {.title = "Where the noise is weak, the network gains nothing",
             .note = fmt::format("test images; each network was trained for {} steps", steps),
             .y_label = "PSNR, decibels"},
            {seen, affine, net}, names);
}

// The errors after some steps of iterating the denoiser.
struct Walk {
  std::vector<double> steps, to_clean, to_nearest;
  double from_clean_to_nearest;
};

inline void draw_walk(kit::Lesson& lesson, const Walk& walk) {
  constexpr kit::Series::Mark kMark = kit::Series::kLineAndDots;
  kit::plot(lesson, "walk",
            {.title = "The first step finds the image; the others lose it",
             .note = "200 test images with Gaussian noise of standard deviation 1/2",
             .x_label = "how often the network was applied",
             .y_label = "mean squared distance, per pixel",
             .log_x = true,
             .levels = {{"clean to nearest", walk.from_clean_to_nearest}}},
            {{.label = "to the clean image", .x = walk.steps, .y = walk.to_clean, .mark = kMark},
             {.label = "to the nearest training image",
              .x = walk.steps,
              .y = walk.to_nearest,
              .mark = kMark}});
}

}  // namespace gradus::lesson06
