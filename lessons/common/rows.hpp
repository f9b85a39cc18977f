#pragma once
#include <string>
#include <vector>

#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/tensor.hpp"

namespace gradus {

// Images (n, D) that stand side by side in a figure, and what they are.
struct Row {
  std::string caption;
  Tensor<float> images;
};

// Draws rows of equally many images, one beneath the other: what several models make of the same.
inline void draw_rows(kit::Lesson& lesson, const std::string& name, const std::string& title,
                      const std::string& note, const std::vector<Row>& rows,
                      const kit::ImageData& data) {
  std::vector<Tensor<float>> all;
  std::vector<std::string> captions;
  for (const Row& row : rows) {
    all.push_back(row.images);
    captions.push_back(row.caption);
  }
  kit::images(lesson, name,
              {.title = title,
               .note = note,
               .columns = rows.front().images.extent(0),
               .row_captions = captions},
              data.as_images<float>(all));
}

}  // namespace gradus
