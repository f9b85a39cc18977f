#pragma once
#include <string>
#include <vector>

#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"

// The figures of lesson 05.
namespace gradus::lesson05 {

// Points (N, 2) as a series.
template <class T>
kit::Series series_of(const std::string& label, const Tensor<T>& points, kit::Series::Mark mark) {
  kit::Series series{.label = label, .mark = mark};
  for (Index i = 0; i < points.extent(0); ++i) {
    series.x.push_back(points(i, 0));
    series.y.push_back(points(i, 1));
  }
  return series;
}

// A circle, and what PCA and the autoencoder make of it; all (N, 2).
inline void draw_circle(kit::Lesson& lesson, const Tensor<float>& circle,
                        const Tensor<double>& by_pca, const Tensor<float>& by_model) {
  kit::plot(lesson, "circle",
            {.title = "A circle, coded by one number",
             .note = "everything that the code can say: PCA's line, and the autoencoder's bent one",
             .x_label = "x",
             .y_label = "y",
             .equal_scale = true},
            {series_of("circle", circle, kit::Series::kLine),
             series_of("PCA", by_pca, kit::Series::kLine),
             series_of("autoencoder", by_model, kit::Series::kDots)});
}

// n images, and what PCA and the autoencoder make of them; all (n, D).
inline void draw_reconstructions(kit::Lesson& lesson, const Tensor<float>& images,
                                 const Tensor<float>& by_pca, const Tensor<float>& by_model,
                                 const kit::ImageData& data) {
  kit::images(lesson, "reconstructions",
              {.title = "Test images from 32 numbers",
               .columns = images.extent(0),
               .row_captions = {"image", "PCA", "autoencoder"}},
              data.as_images<float>({images, by_pca, by_model}));
}

// Two paths of n images, (n, D), from one image to another.
inline void draw_interpolation(kit::Lesson& lesson, const Tensor<float>& by_pca,
                               const Tensor<float>& by_model, const kit::ImageData& data) {
  kit::images(lesson, "interpolation",
              {.title = "From one test image to another, along the line between their codes",
               .note = "PCA's midpoint is the two images on top of each other",
               .columns = by_pca.extent(0),
               .row_captions = {"PCA", "autoencoder"}},
              data.as_images<float>({by_pca, by_model}));
}

// The codes (N, 2) of the first N test images.
inline void draw_map(kit::Lesson& lesson, const Tensor<float>& codes, const kit::ImageData& data) {
  kit::scatter(lesson, "code_map",
               {.title = "Test images by a code of two numbers",
                .note = "training never saw the names",
                .x_label = "code 1",
                .y_label = "code 2"},
               codes, data.first_test_labels(codes.extent(0)), data.class_names);
}

// The errors of models that were trained on these numbers of images.
inline void draw_generalisation(kit::Lesson& lesson, const std::vector<double>& sizes,
                                const std::vector<double>& train_errors,
                                const std::vector<double>& test_errors) {
  constexpr kit::Series::Mark kMark = kit::Series::kLineAndDots;
  kit::plot(lesson, "generalisation",
            {.title = "What was learned, and what was learned by heart",
             .x_label = "number of training images",
             .y_label = "mean squared error of a pixel",
             .log_x = true},
            {{.label = "training images", .x = sizes, .y = train_errors, .mark = kMark},
             {.label = "test images", .x = sizes, .y = test_errors, .mark = kMark}});
}

}  // namespace gradus::lesson05
