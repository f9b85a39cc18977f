#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/05_autoencoder/hinges.hpp"
#include "lessons/05_autoencoder/instruments.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/diagram.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "lessons/kit/training.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

// The figures of lesson 05.
namespace gradus::lesson05 {

// The layers of the autoencoder.
inline void draw_network(kit::Lesson& lesson, Index pixels, Index hidden, Index code) {
  kit::Diagram diagram({.title = "A network that bends on both sides of its code"});
  diagram.node("x", fmt::format("x\n{}", pixels), kit::Diagram::kNothing);
  diagram.node("h", fmt::format("relu\n{} units", hidden), kit::Diagram::kStep);
  diagram.node("z", fmt::format("z\n{}", code), kit::Diagram::kLatent);
  diagram.node("g", fmt::format("relu\n{} units", hidden), kit::Diagram::kStep);
  diagram.node("y", fmt::format("x̂\n{}", pixels), kit::Diagram::kNothing);
  diagram.edge("x", "h", "W₁, b₁");
  diagram.edge("h", "z", "W₂, b₂");
  diagram.edge("z", "g", "W₃, b₃");
  diagram.edge("g", "y", "W₄, b₄");
  diagram.draw(lesson, "network");
}

// Hinges, their sum, and the curve that the sum follows.
inline void draw_hinges(kit::Lesson& lesson, const std::vector<Hinge>& hinges) {
  kit::Sketch sketch({.title = "Three hinges add up to a bent line",
                      .note = "relu(t), 2 relu(t - 1) and 2 relu(t - 2); dashed: t²",
                      .x_label = "t",
                      .y_label = "f(t)",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{0, 0}, {3.6, 9}}});
  for (const Hinge& hinge : hinges) {
    sketch.line(kit::curve(0, 3, hinge), {.hue = 2});
    sketch.text({3.05, hinge(3)},
                hinge.at == 0 ? "relu(t)" : fmt::format("2 relu(t - {})", hinge.at), {.hue = 2},
                kit::Align::kLeft);
  }
  const auto total = [&hinges](double t) { return sum_of(hinges, t); };
  sketch.line(kit::curve(0, 3, [](double t) { return t * t; }), {.dashed = true});
  sketch.line(kit::curve(0, 3, total, 301), {.hue = 1, .width = 1.5});
  sketch.text({3.05, 8.8}, "their sum", {.hue = 1}, kit::Align::kLeft);
  sketch.draw(lesson, "hinges");
}

// Points (N, 2).
template <class T> std::vector<kit::Point> points_of(const Tensor<T>& x) {
  std::vector<kit::Point> points;
  for (Index i = 0; i < x.extent(0); ++i) points.push_back({x(i, 0), x(i, 1)});
  return points;
}

// What the autoencoder says of a circle's points, (N, 2), in a colour for each seventh of the codes
// (N, 1), and all that its codes can say, (M, 2).
inline void draw_circle(kit::Lesson& lesson, const Tensor<float>& codes,
                        const Tensor<float>& decoded, const Tensor<float>& all) {
  constexpr int kBands = 7;
  kit::Sketch sketch({.title = "A circle, coded by one number",
                      .note = "dots: points of the circle, coded and decoded; a colour for "
                              "each seventh of codes",
                      .shown = {{-1.25, -1.15}, {1.25, 1.15}}});
  sketch.line(kit::ellipse({0, 0}, {1, 0}, {0, 1}), {.dashed = true});
  sketch.line({{-1, 0}, {1, 0}}, {.hue = -1, .width = 1.5});
  sketch.text({0, 0.08}, "PCA: all that its one number can say");
  sketch.text({0, 0.86}, "dashed: the circle");
  sketch.line(points_of(all), {});
  const float low = -max(-codes).item();
  const float width = (max(codes).item() - low) / kBands;
  for (int band = 0; band < kBands; ++band) {
    std::vector<kit::Point> points;
    for (Index i = 0; i < codes.size(); ++i) {
      const int own = std::min(static_cast<int>((codes(i, 0) - low) / width), kBands - 1);
      if (own == band) points.push_back({decoded(i, 0), decoded(i, 1)});
    }
    sketch.dots(points, {.hue = band + 1});
  }
  const Index last = all.extent(0) - 1;
  sketch.text({0.9 * all(0, 0), 0.9 * all(0, 1)}, "lowest codes", {.hue = 1}, kit::Align::kRight);
  sketch.text({0.9 * all(last, 0), 0.9 * all(last, 1)}, "highest codes", {.hue = kBands},
              kit::Align::kRight);
  sketch.draw(lesson, "circle");
}

// Both codes (N, 1) of the circle's points, by angle.
inline void draw_circle_codes(kit::Lesson& lesson, const Tensor<float>& by_model,
                              const Tensor<double>& by_pca) {
  const Index n = by_model.extent(0);
  kit::Series model{.label = "autoencoder"}, pca{.label = "PCA"};
  for (Index i = 0; i < n; ++i) {
    const double angle = 360.0 * static_cast<double>(i) / static_cast<double>(n);
    model.x.push_back(angle);
    model.y.push_back(by_model(i, 0));
    pca.x.push_back(angle);
    pca.y.push_back(by_pca(i, 0));
  }
  kit::plot(lesson, "circle_codes",
            {.title = "The code climbs with the angle, and must come back",
             .note = "PCA gives the same code to two angles",
             .x_label = "angle of a point of the circle, degrees",
             .y_label = "code"},
            {model, pca});
}

// A row of reconstructions (n, D), and the error on all test images.
struct Row {
  std::string label;
  Tensor<float> images;
  double error;
};

// n images (n, D), and what several models make of them.
inline void draw_reconstructions(kit::Lesson& lesson, const Tensor<float>& images,
                                 const std::vector<Row>& rows, const kit::ImageData& data) {
  std::vector<Tensor<float>> all = {images};
  std::vector<std::string> captions = {"test image"};
  for (const Row& row : rows) {
    all.push_back(row.images);
    captions.push_back(fmt::format("{}: {:.4f}", row.label, row.error));
  }
  kit::images(lesson, "reconstructions",
              {.title = "Test images from codes of 2 and of 32 numbers",
               .note = "beside each row: the mean squared error of a pixel, over all test images",
               .columns = images.extent(0),
               .row_captions = captions},
              data.as_images<float>(all));
}

// Two paths of n images, (n, D), from one image to another, between the images themselves, (2, D).
inline void draw_interpolation(kit::Lesson& lesson, const Tensor<float>& ends,
                               const Tensor<float>& by_pca, const Tensor<float>& by_model,
                               const kit::ImageData& data) {
  const Tensor<float> from = slice(ends, 0, 0, 1);
  const Tensor<float> to = slice(ends, 0, 1, 2);
  std::vector<std::string> captions(by_pca.extent(0) + 2);
  captions.front() = "image";
  captions[1] = "decoded";
  captions[captions.size() - 2] = "decoded";
  captions.back() = "image";
  kit::images(lesson, "interpolation",
              {.title = "From one test image to another, along the line between their codes",
               .note = "PCA's midpoint is the two decoded ends on top of each other",
               .columns = std::ssize(captions),
               .row_captions = {"PCA", "autoencoder"},
               .column_captions = captions},
              data.as_images<float>({from, by_pca, to, from, by_model, to}));
}

// The errors of the main model, by epoch.
inline void draw_training(kit::Lesson& lesson, const kit::History& history, double pca_error) {
  std::vector<kit::Series> series;
  for (const std::string name : {"training error", "test error"}) {
    const std::vector<double>& errors = history.at(name);
    if (errors.size() < 2) return;
    series.push_back({.label = name,
                      .y = {errors.begin() + 1, errors.end()},
                      .mark = kit::Series::kLineAndDots});
  }
  kit::plot(lesson, "training",
            {.title = "The error of the autoencoder of 32 numbers, beside PCA's",
             .x_label = "epoch",
             .y_label = "mean squared error of a pixel",
             .levels = {{"PCA, test", pca_error}}},
            series);
}

// The test errors of models with codes of these sizes, and of PCA with k = 0, 1, ... components;
// and from the smallest and the largest of the models across to as many components as do as well.
inline void draw_errors_by_size(kit::Lesson& lesson, const std::vector<Index>& sizes,
                                const std::vector<double>& errors,
                                const std::vector<double>& of_pca, Index steps) {
  std::vector<kit::Point> model;
  for (std::size_t i = 0; i < sizes.size(); ++i)
    model.push_back({static_cast<double>(sizes[i]), errors[i]});
  std::vector<kit::Point> pca;
  for (std::size_t k = 1; k <= 64 && k < of_pca.size(); ++k)
    pca.push_back({static_cast<double>(k), of_pca[k]});

  kit::Sketch sketch(
      {.title = "The same number of numbers says more in a bent code",
       .note = fmt::format("test images; each autoencoder was trained for {} steps", steps),
       .x_label = "numbers in the code",
       .y_label = "mean squared error of a pixel",
       .axes = true,
       .equal_scale = false,
       .shown = {{0, 0}, {66, 0.065}}});
  for (const kit::Point& one : {model.front(), model.back()}) {
    const auto components = static_cast<double>(components_needed(of_pca, one.y));
    sketch.line({one, {components, one.y}}, {.hue = -1, .dashed = true});
    sketch.text({components + 0.7, one.y + 0.0015}, fmt::format("PCA with {:g}", components), {},
                kit::Align::kLeft);
  }
  sketch.line(pca, {.hue = 2, .width = 1.5});
  sketch.line(model, {.hue = 1, .width = 1.5});
  sketch.dots(model, {.hue = 1});
  sketch.text({3.2, 0.045}, "PCA", {.hue = 2}, kit::Align::kLeft);
  sketch.text({9, 0.0105}, "autoencoder", {.hue = 1}, kit::Align::kLeft);
  sketch.draw(lesson, "errors_by_size");
}

// The errors of a model by step of its training.
struct Curve {
  std::vector<double> steps, train, test;
};

inline void draw_overfitting(kit::Lesson& lesson, const Curve& curve) {
  kit::plot(lesson, "overfitting",
            {.title = "500 images are learned by heart",
             .x_label = "step of training, of 128 images",
             .y_label = "mean squared error of a pixel"},
            {{.label = "500 training images", .x = curve.steps, .y = curve.train},
             {.label = "test images", .x = curve.steps, .y = curve.test}});
}

// The codes (N, 2) of the first N test images, each number in units of its standard deviation.
inline void draw_map(kit::Lesson& lesson, const Tensor<float>& codes, const kit::ImageData& data) {
  const Tensor<float> centred = codes - mean(codes, {0});
  const Tensor<float> standard = centred / sqrt(mean(square(centred), {0}));
  kit::scatter(lesson, "code_map",
               {.title = "Test images by a code of two numbers",
                .note = "training never saw the names",
                .x_label = "first number, in standard deviations from the mean",
                .y_label = "second number, in standard deviations"},
               standard, data.first_test_labels(codes.extent(0)), data.class_names);
}

// The errors of models that were trained on these numbers of images.
inline void draw_generalisation(kit::Lesson& lesson, const std::vector<double>& sizes,
                                const std::vector<double>& train_errors,
                                const std::vector<double>& test_errors) {
  constexpr kit::Series::Mark kMark = kit::Series::kLineAndDots;
  kit::plot(lesson, "generalisation",
            {.title = "With more training images the gap closes",
             .note = "each model has made the same number of steps",
             .x_label = "number of training images",
             .y_label = "mean squared error of a pixel",
             .log_x = true},
            {{.label = "training images", .x = sizes, .y = train_errors, .mark = kMark},
             {.label = "test images", .x = sizes, .y = test_errors, .mark = kMark}});
}

}  // namespace gradus::lesson05
