#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lessons/common/mutual_information.hpp"
#include "tensor/layout.hpp"
#include "tensor/tensor.hpp"

// Images of which one knows what they were made from: a soft disc with a place and a size.
namespace gradus::lesson17 {

constexpr Index kSide = 16;  // pixels
constexpr Index kPixels = kSide * kSide;
constexpr Index kFactors = 3;
const std::vector<std::string> kFactorNames = {"across", "down", "radius"};

// A disc whose centre is x pixels to the right of the upper left corner and y below it, of radius
// r, whose edge falls from white to black over three pixels: clip((r - distance) / 3 + 1/2, 0, 1)
// at each pixel's centre. (256)
template <class T> Tensor<T> disc(double x, double y, double r) {
  Tensor<T> image({kPixels});
  for (Index i = 0; i < kSide; ++i)
    for (Index j = 0; j < kSide; ++j) {
      const double across = static_cast<double>(j) + 0.5 - x;
      const double down = static_cast<double>(i) + 0.5 - y;
      const double level = (r - std::hypot(across, down)) / 3 + 0.5;
      image.set({i * kSide + j}, static_cast<T>(std::clamp(level, 0.0, 1.0)));
    }
  return image;
}

// The values that one factor takes, at equal steps.
struct Span {
  double first, last;
  Index values;

  double at(Index i) const {
    return first + (last - first) * static_cast<double>(i) / static_cast<double>(values - 1);
  }
};

// One image for each combination of the values, the radius running fastest.
struct Sprites {
  std::string name;
  std::vector<Span> spans;      // of the three factors
  Tensor<float> images;         // (N, 256)
  std::vector<Factor> factors;  // which of its values each image has

  Sprites(const std::string& name, const Span& x, const Span& y, const Span& r)
      : name(name), spans{x, y, r}, factors{{{}, x.values}, {{}, y.values}, {{}, r.values}} {
    std::vector<Tensor<float>> all;
    for (Index i = 0; i < x.values; ++i)
      for (Index j = 0; j < y.values; ++j)
        for (Index k = 0; k < r.values; ++k) {
          all.push_back(disc<float>(x.at(i), y.at(j), r.at(k)).reshape({1, kPixels}));
          factors[0].value.push_back(i);
          factors[1].value.push_back(j);
          factors[2].value.push_back(k);
        }
    images = concatenate(all);
  }

  Index size() const { return images.extent(0); }

  // Which image has these values.
  Index at(Index i, Index j, Index k) const {
    return (i * spans[1].values + j) * spans[2].values + k;
  }
};

// The disc moves nine pixels across and four down.
inline Sprites wide_sprites() { return {"wide", {3.5, 12.5, 16}, {6, 10, 8}, {2, 4, 8}}; }

// It moves six pixels across and six down.
inline Sprites square_sprites() { return {"square", {5, 11, 12}, {5, 11, 12}, {2, 4, 8}}; }

}  // namespace gradus::lesson17
