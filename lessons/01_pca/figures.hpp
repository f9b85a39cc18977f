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
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

// The figures of lesson 01.
namespace gradus::lesson01 {

// A way to multiply two matrices, and how fast it was in GFLOP/s.
struct Rung {
  std::string name;
  double speed;
};

// To two digits, as text: more would not be the same tomorrow.
inline std::string two_digits(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
  return fmt::format("{:.6g}", std::round(value / unit) * unit);
}

// A bar for each rung, under what no product can exceed on one thread and on all.
inline void draw_ladder(kit::Lesson& lesson, const std::vector<Rung>& rungs, double peak,
                        double peak_threaded) {
  kit::Series bars;
  std::vector<std::string> names;
  for (const Rung& rung : rungs) {
    bars.y.push_back(rung.speed);
    names.push_back(fmt::format("{} {}", rung.name, two_digits(rung.speed)));
  }
  kit::bars(lesson, "ladder",
            {.title = "One matrix product, from naive to fast",
             .note = "dashed: all that the units for multiplying can do, of one core and of all",
             .y_label = "GFLOP/s",
             .levels = {{"one", peak}, {"all", peak_threaded}}},
            {bars}, names);
}

// The share of the variance that the first 1, 2, 3, ... components keep.
inline void draw_scree(kit::Lesson& lesson, const Pca<double>& pca) {
  const double total = sum(pca.variances).item();
  kit::Series kept{.label = "kept"};
  double sum_so_far = 0;
  for (double variance : pca.variances) {
    sum_so_far += variance;
    kept.y.push_back(100 * sum_so_far / total);
  }
  kit::plot(lesson, "scree",
            {.title = "How much of the images' variance the first components keep",
             .x_label = "number of components",
             .y_label = "% of the variance",
             .log_x = true},
            {kept});
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

// The first four test images, from more and more components.  test: (M, D)
inline void draw_reconstructions(kit::Lesson& lesson, const Pca<double>& pca,
                                 const Tensor<double>& test, const kit::ImageData& data) {
  const std::vector<Index> counts = {1, 2, 5, 10, 50, 200};
  std::vector<std::string> columns;
  for (Index k : counts) columns.push_back(fmt::format("{}", k));
  columns.push_back("image");

  std::vector<Tensor<double>> grid;
  for (Index i = 0; i < std::min<Index>(4, test.extent(0)); ++i) {
    const Tensor<double> x = slice(test, 0, i, i + 1);
    for (Index k : counts) {
      const Tensor<double> code = pca.encode(x, std::min(k, x.extent(1)));
      grid.push_back(pca.decode(code));
    }
    grid.push_back(x);
  }
  kit::images(lesson, "reconstructions",
              {.title = "Test images from their first k components",
               .columns = std::ssize(columns),
               .column_captions = columns},
              data.as_images(grid));
}

// Test images (M, D) as points, by their first two components.
inline void draw_map(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& test,
                     const kit::ImageData& data) {
  const Index n = std::min<Index>(5000, test.extent(0));
  kit::scatter(lesson, "map",
               {.title = "Test images by their first two components",
                .x_label = "component 1",
                .y_label = "component 2"},
               pca.encode(slice(test, 0, 0, n), 2), data.first_test_labels(n), data.class_names);
}

}  // namespace gradus::lesson01
