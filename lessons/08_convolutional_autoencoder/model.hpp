#pragma once
#include <cmath>

#include "autograd/operations.hpp"
#include "nn/convolution.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/random.hpp"

// An autoencoder that knows which pixels are neighbours: its first two layers look at an image
// through a small window that goes over it, and its last two do the same the other way.
//
//     N square images of D = side * side pixels, C1 and C2 channels, K numbers in the code
namespace gradus::lesson08 {

// Along one side of an image of 28 pixels: 28 -> 14 -> 7 -> code -> 7 -> 14 -> 28.
struct Sizes {
  Index side;                     // pixels
  Index first = 16, second = 32;  // channels: C1, C2
  Index code = 32;                // K
  Index kernel = 4;               // pixels of the window along an axis: 3 or 4
};

template <class T> class ConvolutionalAutoencoder {
 public:
  // Begins with images that are nearly `mean_pixel` everywhere.
  ConvolutionalAutoencoder(const Sizes& sizes, Rng& rng, double mean_pixel = 0)
      : side_(sizes.side),
        half_(window_of(sizes).places(side_)),
        quarter_(window_of(sizes).places(half_)),
        channels_(sizes.second),
        conv1_("conv1", 1, sizes.first, window_of(sizes), rng, nn::Init::kHe),
        conv2_("conv2", sizes.first, channels_, window_of(sizes), rng, nn::Init::kHe),
        to_code_("to_code", units(), sizes.code, rng),
        from_code_("from_code", sizes.code, units(), rng, nn::Init::kHe),
        transposed1_("transposed1", channels_, sizes.first, window_of(sizes), rng, nn::Init::kHe),
        transposed2_("transposed2", sizes.first, 1, window_of(sizes), rng) {
    // Uniform within 1 / sqrt(how many products a pixel is the sum of, C1 k^2 / 4 on average).
    const double products = static_cast<double>(sizes.first * sizes.kernel * sizes.kernel) / 4;
    const T bound = static_cast<T>(1 / std::sqrt(products));
    transposed2_.weight.set_value(rng.uniform<T>(transposed2_.weight.shape(), -bound, bound));
    transposed2_.bias.set_value(full<T>({1}, static_cast<T>(mean_pixel)));
  }

  // (N, D) -> (N, side / 2, side / 2, C1)
  Var<T> first_maps(const Var<T>& x) const {
    return relu(conv1_(reshape(x, {x.shape()[0], side_, side_, 1})));
  }

  // (N, D) -> (N, side / 4, side / 4, C2)
  Var<T> second_maps(const Var<T>& x) const { return relu(conv2_(first_maps(x))); }

  // (N, D) -> (N, K)
  Var<T> encode(const Var<T>& x) const {
    return to_code_(reshape(second_maps(x), {x.shape()[0], units()}));
  }

  // (N, K) -> (N, D)
  Var<T> decode(const Var<T>& code) const {
    const Index n = code.shape()[0];
    const Var<T> maps = reshape(relu(from_code_(code)), {n, quarter_, quarter_, channels_});
    const Var<T> larger = relu(transposed1_(maps, half_, half_));
    return reshape(transposed2_(larger, side_, side_), {n, side_ * side_});
  }

  // The squared distance between each image and what its code says.  (N, D) -> (N)
  Var<T> loss(const Var<T>& x) const { return sum(square(decode(encode(x)) - x), {1}); }

  const Window& window() const { return conv1_.window; }

  const Tensor<T>& first_kernel() const { return conv1_.weight.value(); }  // (C1, 1, k, k)

  nn::Parameters<T> parameters() {
    return nn::parameters<T>(conv1_, conv2_, to_code_, from_code_, transposed1_, transposed2_);
  }

 private:
  static Window window_of(const Sizes& sizes) {
    return {.size = sizes.kernel, .stride = 2, .padding = 1};
  }

  // Numbers in the second maps of an image.
  Index units() const { return quarter_ * quarter_ * channels_; }

  Index side_, half_, quarter_;  // pixels
  Index channels_;               // C2
  nn::Conv2d<T> conv1_, conv2_;
  nn::Linear<T> to_code_, from_code_;
  nn::ConvTranspose2d<T> transposed1_, transposed2_;
};

}  // namespace gradus::lesson08
