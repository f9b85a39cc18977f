#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "lessons/13_vae/model.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"

// Images that were not drawn from where the training images come from, and known to be so.
//
//     N images of height x width = D pixels
namespace gradus::lesson20 {

struct Size {
  Index height, width;

  Index pixels() const { return height * width; }
};

// A set of images that are out.
struct OutSet {
  std::string name;
  Tensor<float> images;  // (N, D)
};

// Images whose pixel (row, column) is the given one of x (N, D): from(row, column) is its number.
template <class F> Tensor<float> rearranged(const Tensor<float>& x, Size size, F from) {
  std::vector<Index> source;
  for (Index row = 0; row < size.height; ++row)
    for (Index column = 0; column < size.width; ++column) source.push_back(from(row, column));
  return transpose(gather_rows(transpose(x), source));
}

inline Tensor<float> mirrored(const Tensor<float>& x, Size size) {
  return rearranged(x, size, [size](Index row, Index column) {
    return row * size.width + size.width - 1 - column;
  });
}

inline Tensor<float> flipped(const Tensor<float>& x, Size size) {
  return rearranged(x, size, [size](Index row, Index column) {
    return (size.height - 1 - row) * size.width + column;
  });
}

// To the right, as far as `columns`; what leaves on the right comes back on the left.
inline Tensor<float> shifted(const Tensor<float>& x, Size size, Index columns) {
  return rearranged(x, size, [size, columns](Index row, Index column) {
    return row * size.width + (column + size.width - columns % size.width) % size.width;
  });
}

// By a quarter of a turn. Throws Error when the images are not square.
inline Tensor<float> turned(const Tensor<float>& x, Size size) {
  if (size.height != size.width)
    fail("turned: images of {} x {} pixels; a quarter of a turn needs square ones", size.height,
         size.width);
  return rearranged(x, size, [size](Index row, Index column) {
    return column * size.width + size.width - 1 - row;
  });
}

// The average of each image and of another one: of the first and the last, and so on.
inline Tensor<float> blended(const Tensor<float>& x) {
  std::vector<Index> others;
  for (Index i = x.extent(0) - 1; i >= 0; --i) others.push_back(i);
  return 0.5f * (x + gather_rows(x, others));
}

// Black and white: 1 where a grey level is a half or more.
inline Tensor<float> binary(const Tensor<float>& x) { return greater_equal(x, 0.5f); }

// Discs on black, in all combinations of 16 x 16 places, 4 radii and 4 grey levels, (4096, D). Of
// images of 28 x 28 pixels the centres lie between 8 and 20 and the radii between 2.5 and 5.5
// pixels; of others in proportion. At the rim the grey level falls to 0 within a pixel.
inline Tensor<float> discs(Size size) {
  constexpr Index kPlaces = 16, kRadii = 4, kLevels = 4;
  const double tall = static_cast<double>(size.height) / 28;
  const double wide = static_cast<double>(size.width) / 28;
  const double scale = std::min(tall, wide);
  Tensor<float> images({kPlaces * kPlaces * kRadii * kLevels, size.pixels()});
  float* pixel = images.mutable_data();
  for (Index i = 0; i < images.extent(0); ++i) {
    const auto of = [](Index number, Index count) {  // from 0 to 1
      return static_cast<double>(number % count) / static_cast<double>(count - 1);
    };
    const double level = 0.4 + 0.6 * of(i, kLevels);
    const double radius = scale * (2.5 + 3 * of(i / kLevels, kRadii));
    const double y = tall * (8 + 12 * of(i / (kLevels * kRadii), kPlaces));
    const double x = wide * (8 + 12 * of(i / (kLevels * kRadii * kPlaces), kPlaces));
    for (Index row = 0; row < size.height; ++row)
      for (Index column = 0; column < size.width; ++column) {
        const double distance =
            std::hypot(static_cast<double>(row) + 0.5 - y, static_cast<double>(column) + 0.5 - x);
        *pixel++ = static_cast<float>(level * std::clamp(radius - distance + 0.5, 0.0, 1.0));
      }
  }
  return images;
}

// OutSet that are made of images x (N, D) that are none.
inline std::vector<OutSet> out_sets_of(const Tensor<float>& x, Size size, Rng& rng) {
  std::vector<OutSet> sets = {{"mirrored", mirrored(x, size)},
                              {"flipped", flipped(x, size)},
                              {"shifted", shifted(x, size, 4)},
                              {"dimmed", 0.5f * x},
                              {"binary", binary(x)},
                              {"inverted", 1.0f - x},
                              {"blended", blended(x)},
                              {"noise", rng.uniform<float>(x.shape())},
                              {"black", Tensor<float>({1, size.pixels()})}};
  if (size.height == size.width) sets.insert(sets.begin() + 2, {"turned", turned(x, size)});
  return sets;
}

// What a VAE makes of z ~ N(0, I): n images of means, and of draws of black and white pixels.
inline std::vector<OutSet> out_sets_by(const lesson13::Vae<float>& vae, Index n, Rng& rng) {
  const Tensor<float> means = vae.decoded(vae.sample_prior(n, rng));
  const Tensor<float> draws = vae.decode(vae.sample_prior(n, rng)).sample(rng);
  return {{"means", means}, {"draws", draws}};
}

}  // namespace gradus::lesson20
