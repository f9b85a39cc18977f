#pragma once
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/01_pca/model.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

// The figures of lesson 04.
namespace gradus::lesson04 {

// A descent, step by step.
struct Path {
  std::string label;
  std::vector<double> loss;
  std::vector<double> angle;  // to PCA's plane, in degrees
};

// The first steps of the losses of some descents, and the least that they can reach.
inline void draw_losses(kit::Lesson& lesson, const std::vector<Path>& paths, double floor) {
  std::vector<kit::Series> series;
  for (const Path& path : paths)
    series.push_back({.label = path.label, .y = {path.loss.begin(), path.loss.begin() + 100}});
  kit::plot(lesson, "loss",
            {.title = "From three random starts the loss falls to one floor",
             .note = "toy of five dimensions, codes of two numbers",
             .x_label = "step of gradient descent",
             .y_label = "squared error per example",
             .log_y = true,
             .levels = {{"dropped variances", floor}}},
            series);
}

inline void draw_angles(kit::Lesson& lesson, const std::vector<Path>& paths) {
  std::vector<kit::Series> series;
  for (const Path& path : paths)
    series.push_back({.label = path.label, .y = {path.angle.begin(), path.angle.begin() + 600}});
  kit::plot(lesson, "angle",
            {.title = "The decoder's plane turns into the plane of PCA",
             .x_label = "step of gradient descent",
             .y_label = "angle between the planes, degrees",
             .log_y = true},
            series);
}

// The lowest curvature at each pair of components.
inline void draw_curvatures(kit::Lesson& lesson, const std::vector<std::string>& pairs,
                            const std::vector<double>& lowest) {
  kit::bars(lesson, "curvature",
            {.title = "Only the best pair of components is a place to rest",
             .note = "lowest curvature of the loss where the decoder spans two components of five",
             .x_label = "the two components, from the lowest loss to the highest",
             .y_label = "lowest eigenvalue of the Hessian"},
            {{.label = "toy", .y = lowest}}, pairs);
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

// The first ten of PCA's axes, and ten of the columns of the decoder's weight, (D, k).
inline void draw_axes(kit::Lesson& lesson, const lesson01::Pca<double>& pca,
                      const Tensor<double>& weight, const kit::ImageData& data) {
  const Tensor<double> columns = transpose(weight / sqrt(sum(square(weight), {0})));  // (k, D)
  kit::images(lesson, "axes",
              {.title = "PCA's axes, and those that gradient descent found",
               .signed_values = true,
               .row_captions = {"PCA's first ten", "ten of the decoder's"}},
              data.as_images<double>({slice(pca.components, 0, 0, 10), slice(columns, 0, 0, 10)}));
}

}  // namespace gradus::lesson04
