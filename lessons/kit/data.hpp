#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "lessons/kit/lesson.hpp"
#include "tensor/layout.hpp"
#include "tensor/tensor.hpp"

namespace gradus::kit {

// Images of K classes. N of them to train on, M to test with.
struct ImageData {
  std::string name;                      // "fashion-mnist"; "fashion-mnist-4000" for a piece of it
  Tensor<float> train_images;            // (N, height * width), pixels in [0, 1]
  std::vector<Index> train_labels;       // N numbers from 0 to K - 1
  Tensor<float> test_images;             // (M, height * width)
  std::vector<Index> test_labels;        // M
  Index height = 0, width = 0;           // pixels
  std::vector<std::string> class_names;  // K
  std::string provenance;                // a sentence: what these images are and why these
  std::uint32_t checksum = 0;            // CRC-32 of all numbers above

  // Whether these are all of Fashion-MNIST, on which the numbers that the lessons state were
  // measured.
  bool is_full_fashion_mnist() const;

  // Several sets of rows, (N, height * width) each, as images one after another, for a figure.
  template <class T> Tensor<T> as_images(const std::vector<Tensor<T>>& rows) const {
    return concatenate(rows).reshape({-1, height, width});
  }

  // The labels of the first n test images.
  std::vector<Index> first_test_labels(Index n) const {
    return {test_labels.begin(), test_labels.begin() + n};
  }
};

// Loads the images that a lesson is about, prints where they come from, and has them named in
// results.json:
//
//     --data DIR            the IDX set in that directory
//     --quick               4,000 + 1,000 images of Fashion-MNIST that come with Gradus
//     --quick --data DIR    the first 4,000 + 1,000 images of that set
//     otherwise             Fashion-MNIST from its Debian package; without it, as --quick
//
// Throws Error when files are missing or damaged, images and labels do not match, or there are no
// images.
ImageData load_images(Lesson& lesson);

// The same without a lesson around it. `package` is where the Debian package puts its files.
ImageData load_images(const Options& options,
                      const std::filesystem::path& package = "/usr/share/datasets/fashion-mnist");

// A file that comes with Gradus, of lessons/data.
std::filesystem::path data_file(const std::string& name);

}  // namespace gradus::kit
