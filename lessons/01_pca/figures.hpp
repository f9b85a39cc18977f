#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/01_pca/model.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

// The figures of lesson 01.
namespace gradus::lesson01 {

// A direction in the plane, by its angle: the variance along it, and what a line in this direction
// loses.
struct Direction {
  double degrees, kept, lost;
};

// The squared error of a pixel of the test images, from their first k components.
struct TestError {
  Index k;
  double per_pixel;
};

inline kit::Point point(const Tensor<double>& x, Index n) { return {x(n, 0), x(n, 1)}; }

// Points (N, 2), the line of their first component, and what is lost.
inline void draw_four_points(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& x) {
  const Tensor<double> nearest = pca.decode(pca.encode(x, 1));
  const kit::Point mean = {pca.mean(0), pca.mean(1)};
  const double along_x = pca.components(0, 0);
  const double along_y = pca.components(0, 1);
  const auto on_line = [&](double z) -> kit::Point {
    return {mean.x + z * along_x, mean.y + z * along_y};
  };

  kit::Sketch sketch({.title = "Four points, and the line that loses least",
                      .note = "dashed: what is lost; its squares are 0.2, 0.2, 1.8 and 1.8",
                      .x_label = "first number of a point",
                      .y_label = "second number",
                      .axes = true,
                      .shown = {{0, 0}, {9, 6}}});
  const double sign = along_x < 0 ? -1 : 1;
  sketch.line({on_line(-4.2), on_line(4.8)}, {.hue = 1});
  sketch.arrow(mean, on_line(sign * 1.5), {.hue = 1, .width = 2});
  for (Index n = 0; n < x.extent(0); ++n) {
    sketch.line({point(x, n), point(nearest, n)}, {.hue = 2, .dashed = true});
    sketch.dots({point(nearest, n)}, {.hue = 1});
    sketch.dots({point(x, n)});
  }
  sketch.dots({mean}, {.hue = 3, .width = 1.5});
  sketch.text({mean.x, mean.y + 0.35}, "mean", {.hue = 3});
  sketch.text({mean.x + 0.9, mean.y + 0.9}, "direction u₁", {.hue = 1});
  sketch.text({point(x, 2).x + 0.15, point(x, 2).y - 0.1}, "a point x", {}, kit::Align::kLeft);
  sketch.text({point(nearest, 2).x + 0.3, point(nearest, 2).y - 0.25}, "x̂, the nearest on the line",
              {.hue = 1}, kit::Align::kLeft);
  sketch.draw(lesson, "four_points");
}

// What a line through the mean keeps of four points' variance, and what it loses, by its direction.
inline void draw_directions(kit::Lesson& lesson, const std::vector<Direction>& directions) {
  kit::Series kept{.label = "kept"};
  kit::Series lost{.label = "lost"};
  for (const Direction& direction : directions) {
    kept.x.push_back(direction.degrees);
    kept.y.push_back(direction.kept);
    lost.x.push_back(direction.degrees);
    lost.y.push_back(direction.lost);
  }
  kit::plot(lesson, "directions",
            {.title = "What a line keeps and what it loses always add up to 7",
             .note = "four points; the line through their mean turns; 0°: along the first axis",
             .x_label = "direction of the line, in degrees",
             .y_label = "mean square",
             .levels = {{"λ₁ = 6", 6}, {"λ₂ = 1", 1}}},
            {kept, lost});
}

// The eigenvalues, largest first, and how much the first 2 and 50 keep.
inline void draw_scree(kit::Lesson& lesson, const Pca<double>& pca) {
  const double total = sum(pca.variances).item();
  kit::Series all{.label = fmt::format("all {}", pca.variances.size())};
  all.y = pca.variances.to_vector();
  std::vector<kit::Series> series = {all};
  for (Index k : {2, 50}) {
    if (k > pca.variances.size()) continue;
    const double kept = sum(slice(pca.variances, 0, 0, k)).item();
    series.push_back({.label = fmt::format("first {}: {:.0f} %", k, 100 * kept / total),
                      .x = {static_cast<double>(k)},
                      .y = {pca.variances(k - 1)},
                      .mark = kit::Series::kDots});
  }
  kit::plot(lesson, "scree",
            {.title = "A few components have most of the variance",
             .note = "variance along each component; % of the total in the first 2 and 50",
             .x_label = "component",
             .y_label = "its variance",
             .log_x = true,
             .log_y = true},
            series);
}

// The first twenty components as images.
inline void draw_components(kit::Lesson& lesson, const Pca<double>& pca,
                            const kit::ImageData& data) {
  const Index shown = std::min<Index>(20, pca.variances.size());
  const double total = sum(pca.variances).item();
  std::vector<std::string> captions;
  for (Index i = 0; i < shown; ++i)
    captions.push_back(fmt::format("{:.1f} %", 100 * pca.variances(i) / total));
  kit::images(lesson, "eigen_images",
              {.title =
                   fmt::format("The first {} components, and their shares of the variance", shown),
               .columns = 10,
               .signed_values = true,
               .captions = captions},
              data.as_images<double>({slice(pca.components, 0, 0, shown)}));
}

// The mean image in the middle of each row, and what lies two standard deviations along a component
// to either side of it.
inline void draw_walks(kit::Lesson& lesson, const Pca<double>& pca, const kit::ImageData& data) {
  const Index shown = std::min<Index>(4, pca.variances.size());
  std::vector<std::string> rows;
  std::vector<Tensor<double>> grid;
  for (Index i = 0; i < shown; ++i) {
    rows.push_back(fmt::format("component {}", i + 1));
    const Tensor<double> component = slice(pca.components, 0, i, i + 1);  // (1, D)
    const double deviation = std::sqrt(std::max(0.0, pca.variances(i)));
    for (double steps : {-2.0, -1.0, 0.0, 1.0, 2.0})
      grid.push_back(pca.mean + component * (steps * deviation));
  }
  kit::images(lesson, "walks",
              {.title = "The mean image, and where the components lead",
               .note = "in standard deviations along each of the first components",
               .columns = 5,
               .row_captions = rows,
               .column_captions = {"−2", "−1", "mean", "+1", "+2"}},
              data.as_images(grid));
}

// The first four test images, from more and more components.  test: (M, D)
inline void draw_reconstructions(kit::Lesson& lesson, const Pca<double>& pca,
                                 const Tensor<double>& test, const kit::ImageData& data,
                                 const std::vector<TestError>& errors) {
  std::vector<Index> counts;
  std::vector<std::string> columns;
  for (const TestError& error : errors) {
    if (error.k == 20 || error.k == 32) continue;
    counts.push_back(error.k);
    columns.push_back(fmt::format("{}: {:.4f}", error.k, error.per_pixel));
  }
  columns.push_back("image");

  std::vector<Tensor<double>> grid;
  for (Index i = 0; i < std::min<Index>(4, test.extent(0)); ++i) {
    const Tensor<double> x = slice(test, 0, i, i + 1);  // (1, D)
    for (Index k : counts) grid.push_back(pca.decode(pca.encode(x, k)));
    grid.push_back(x);
  }
  kit::images(lesson, "reconstructions",
              {.title = "Test images from more and more numbers",
               .note = "above: how many numbers, and the mean squared error of a pixel (test set)",
               .columns = std::ssize(columns),
               .column_captions = columns},
              data.as_images(grid));
}

// Test images (M, D) as points, by their first two components.
inline void draw_map(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& test,
                     const kit::ImageData& data) {
  const Index n = std::min<Index>(1400, test.extent(0));
  kit::scatter(lesson, "map",
               {.title = "Test images, each as two numbers",
                .x_label = "coordinate along component 1",
                .y_label = "coordinate along component 2"},
               pca.encode(slice(test, 0, 0, n), 2), data.first_test_labels(n), data.class_names);
}

}  // namespace gradus::lesson01
