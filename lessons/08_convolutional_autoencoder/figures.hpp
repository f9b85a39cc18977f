#pragma once
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/08_convolutional_autoencoder/instruments.hpp"
#include "lessons/common/rows.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "lessons/kit/training.hpp"
#include "tensor/convolution.hpp"
#include "tensor/layout.hpp"

// The figures of lesson 08.
namespace gradus::lesson08 {

// Test images, and what both Sobel kernels make of them.
inline void draw_edges(kit::Lesson& lesson, const Tensor<float>& x, const kit::ImageData& data) {
  const Tensor<float> images = x.reshape({x.extent(0), data.height, data.width, 1});
  const Window window{.size = 3, .padding = 1};
  const auto slopes = [&](const Tensor<double>& kernel) {
    return (conv2d(images, cast<float>(kernel), window) / 4.0f).reshape(x.shape());
  };
  kit::images(lesson, "edges",
              {.title = "The same nine numbers find edges anywhere",
               .note = "orange: brighter to the right (second row) or further down (third row); "
                       "blue: darker",
               .columns = x.extent(0),
               .signed_values = true,
               .row_captions = {"image", "Sobel x", "Sobel y"}},
              data.as_images<float>(std::vector{x, slopes(sobel_x()), slopes(sobel_y())}));
}

// Images (n, height, width) with each pixel as times x times pixels.
template <class T> Tensor<T> enlarged(const Tensor<T>& images, Index times) {
  Tensor<T> result({images.extent(0), times * images.extent(1), times * images.extent(2)});
  for (Index n = 0; n < result.extent(0); ++n)
    for (Index i = 0; i < result.extent(1); ++i)
      for (Index j = 0; j < result.extent(2); ++j)
        result.set({n, i, j}, images(n, i / times, j / times));
  return result;
}

// Which pixels of a row a unit of the second maps sees, for windows of 4 in steps of 2.
inline void draw_receptive_field(kit::Lesson& lesson) {
  constexpr int kPixels = 16;
  kit::Sketch sketch({.title = "A unit of the second layer sees ten pixels of a row",
                      .note = "windows of 4 in steps of 2; what hangs over the border sees 0",
                      .equal_scale = false,
                      .shown = {{-6.5, -0.25}, {16, 2.25}}});
  // Place i of a layer stands over the middle of its window: pixels 2 i - 1 to 2 i + 2.
  const auto x_of = [](int layer, int i) {
    return layer == 0 ? i : layer == 1 ? 2 * i + 0.5 : 4 * i + 1.5;
  };
  const int seen = 2;  // of the second layer; 3 to 6 of the first; pixels 5 to 14
  const auto is_seen = [&](int layer, int i) {
    if (layer == 2) return i == seen;
    if (layer == 1) return i >= 2 * seen - 1 && i <= 2 * seen + 2;
    return i >= 4 * seen - 3 && i <= 4 * seen + 6;
  };
  for (int layer = 1; layer <= 2; ++layer)
    for (int i = 0; i < (kPixels >> layer); ++i)
      for (int k = 2 * i - 1; k <= 2 * i + 2; ++k) {
        if (k < 0 || k >= (kPixels >> (layer - 1))) continue;
        const bool lit = is_seen(layer, i) && is_seen(layer - 1, k);
        sketch.line({{x_of(layer, i), double(layer)}, {x_of(layer - 1, k), double(layer - 1)}},
                    {.hue = lit ? 1 : -1, .width = lit ? 1.5 : 0.7});
      }
  const char* const names[] = {"16 pixels", "first map: 8", "second map: 4"};
  for (int layer = 0; layer <= 2; ++layer) {
    std::vector<kit::Point> lit, others;
    for (int i = 0; i < (kPixels >> layer); ++i)
      (is_seen(layer, i) ? lit : others).push_back({x_of(layer, i), double(layer)});
    sketch.dots(others, {.hue = 0, .width = 1.5});
    sketch.dots(lit, {.hue = 1, .width = 2});
    sketch.text({-1.2, double(layer)}, names[layer], {}, kit::Align::kRight);
  }
  sketch.draw(lesson, "receptive_field");
}

// How often each pixel is touched, for windows of 3 and of 4.
inline void draw_touch(kit::Lesson& lesson) {
  std::vector<Tensor<double>> counts;
  for (Index size : {3, 4}) {
    const Window window{.size = size, .stride = 2, .padding = 1};
    counts.push_back(touch_counts(window, 7, 14).reshape({1, 14, 14}) / 4.0);
  }
  kit::images(lesson, "touch",
              {.title = "Windows of 3 in steps of 2 overlap unevenly",
               .note = "how many of 7 x 7 windows touch each of 14 x 14 pixels: grey 1 and 2, "
                       "white 4",
               .columns = 2,
               .column_captions = {"3 x 3 pixels", "4 x 4 pixels"}},
              enlarged(concatenate(counts), 5));
}

// The trained kernels of the first layer, (C1, 1, k, k).
inline void draw_kernels(kit::Lesson& lesson, const Tensor<float>& kernel) {
  kit::images(lesson, "kernels",
              {.title = "The 16 kernels that the first layer learned",
               .note = "orange: weights above 0, blue: below 0; all on one scale",
               .columns = 8,
               .signed_values = true},
              enlarged(kernel.reshape({kernel.extent(0), kernel.extent(2), kernel.extent(3)}), 4));
}

inline void draw_training(kit::Lesson& lesson, const kit::History& history, double of_pca) {
  kit::Series test{.label = "test images", .y = history.at("test error"), .hue = 1};
  for (std::size_t i = 0; i < test.y.size(); ++i) test.x.push_back(static_cast<double>(i));
  test.mark = kit::Series::kLineAndDots;
  kit::plot(lesson, "training",
            {.title = "Below PCA's error after two epochs",
             .x_label = "epoch",
             .y_label = "mean squared error of a pixel",
             .log_y = true,
             .levels = {{"PCA, 32 numbers", of_pca}}},
            {test});
}

// A model's place: its error, by its parameters.
struct Place {
  double parameters, error;
};

inline void draw_errors(kit::Lesson& lesson, const std::vector<Place>& convolutional,
                        const std::vector<Place>& mlp, const Place& of_pca, Index epochs) {
  const auto through = [](const std::string& label, const std::vector<Place>& places, int hue) {
    kit::Series series{.label = label, .mark = kit::Series::kLineAndDots, .hue = hue};
    for (const Place& p : places) {
      series.x.push_back(p.parameters);
      series.y.push_back(p.error);
    }
    return series;
  };
  kit::Series pca = through("PCA", {of_pca}, 3);
  pca.label_inside = true;
  kit::plot(lesson, "errors",
            {.title = "With as many parameters, windows make smaller errors",
             .note = fmt::format("test images, codes of 32 numbers, after {} epochs", epochs),
             .x_label = "parameters",
             .y_label = "mean squared error of a pixel",
             .log_x = true,
             .log_y = true},
            {through("convolutional", convolutional, 1), through("linear layers", mlp, 2), pca});
}

// Errors by how far images are moved, from 0 pixels on.
inline void draw_moved(kit::Lesson& lesson, const std::vector<std::string>& names,
                       const std::vector<std::vector<double>>& errors) {
  std::vector<kit::Series> series;
  for (std::size_t i = 0; i < names.size(); ++i) {
    series.push_back({.label = names[i], .y = errors[i], .mark = kit::Series::kLineAndDots});
    for (std::size_t k = 0; k < errors[i].size(); ++k)
      series.back().x.push_back(static_cast<double>(k));
  }
  kit::plot(lesson, "moved",
            {.title = "Images that are moved are harder for all",
             .note = "test images, moved to the right; none of the three saw such in training",
             .x_label = "pixels to the right",
             .y_label = "mean squared error of a pixel"},
            series);
}

}  // namespace gradus::lesson08
