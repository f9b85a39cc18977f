#pragma once
#include <algorithm>
#include <string>

#include "autograd/convolution.hpp"
#include "autograd/elementwise.hpp"
#include "nn/init.hpp"
#include "nn/parameters.hpp"
#include "tensor/error.hpp"

// Convolutions with a bias, on images (N, H, W, C). Weights are kept in PyTorch's order of axes,
// and reordered when they are used.
namespace gradus::nn {

// A number that comes out is a sum of C K^2 products: `in` channels of K x K pixels. A number that
// goes in takes part in O K^2 / s^2 products on average: with steps of s pixels, K^2 / s^2 windows
// see a pixel, and each of the `out` kernels takes one product there. Throws Error as
// Window::check does.
inline Fan fan_of_conv2d(Index in, Index out, const Window& window) {
  window.check();
  const double size = static_cast<double>(window.size);
  const double seen_from = size / static_cast<double>(window.stride);
  return {.in = static_cast<double>(in) * size * size,
          .out = static_cast<double>(out) * seen_from * seen_from};
}

// `out` kernels over `in` channels: torch.nn.Conv2d.
template <class T> class Conv2d {
 public:
  // Throws Error when there are no channels, or the window is none.
  Conv2d(const std::string& name, Index in, Index out, const Window& a_window, Rng& rng,
         Init init = Init::kPyTorch)
      : window(a_window),
        weight(name + ".weight", initial_weight<T>({out, in, window.size, window.size},
                                                   fan_of_conv2d(in, out, window), init, rng)),
        bias(name + ".bias", initial_bias<T>(out, fan_of_conv2d(in, out, window).in, init, rng)) {}

  // (N, H, W, in) -> (N, H', W', out) with H' = window.places(H) and W' = window.places(W). Throws
  // Error, naming the layer, when x does not fit.
  Var<T> operator()(const Var<T>& x) const {
    const Shape& shape = x.shape();
    const Index least = std::max<Index>(1, window.size - 2 * window.padding);
    if (shape.rank() != 4 || shape[3] != weight.shape()[1] || shape[1] < least || shape[2] < least)
      fail("{}: expects (N, H, W, {}) of {} x {} pixels or more, but was given {}", weight.name(),
           weight.shape()[1], least, least, shape);
    return conv2d(x, weight, window) + bias;
  }

  Parameters<T> parameters() { return {&weight, &bias}; }

  const Window window;
  Parameter<T> weight;  // (out, in, K, K), "name.weight"
  Parameter<T> bias;    // (out), "name.bias"
};

// The adjoint of a Conv2d from `out` to `in` channels, with a bias of its own:
// torch.nn.ConvTranspose2d.
template <class T> class ConvTranspose2d {
 public:
  // With kPyTorch, numbers begin within +-1 / sqrt(out K^2): what PyTorch counts is the products in
  // which an input takes part, not those of which an output is the sum, in K^2 / s^2 on average.
  // The latter is what counts for kHe and kGlorot. Throws Error when there are no channels, or the
  // window is none.
  ConvTranspose2d(const std::string& name, Index in, Index out, const Window& a_window, Rng& rng,
                  Init init = Init::kPyTorch)
      : window(a_window),
        weight(name + ".weight", initial_weight<T>({in, out, window.size, window.size},
                                                   fan(in, out, window, init), init, rng)),
        bias(name + ".bias", initial_bias<T>(out, fan(in, out, window, init).in, init, rng)) {}

  // (N, H', W', in) -> (N, H, W, out), with the least extents that have H' and W' places of the
  // window (PyTorch's output_padding of 0). Throws Error, naming the layer, when x has another rank
  // or other channels; and, as conv2d_transpose does, when no image has so many places.
  Var<T> operator()(const Var<T>& x) const {
    require_maps(x.shape());
    return (*this)(x, window.least_extent(x.shape()[1]), window.least_extent(x.shape()[2]));
  }

  // The same to images of height x width pixels. Throws Error also when that many pixels do not
  // have H' and W' places.
  Var<T> operator()(const Var<T>& x, Index height, Index width) const {
    require_maps(x.shape());
    return conv2d_transpose(x, weight, window, height, width) + bias;
  }

  Parameters<T> parameters() { return {&weight, &bias}; }

  const Window window;
  Parameter<T> weight;  // (in, out, K, K), "name.weight"
  Parameter<T> bias;    // (out), "name.bias"

 private:
  static Fan fan(Index in, Index out, const Window& window, Init init) {
    const Fan adjoint = fan_of_conv2d(out, in, window);
    if (init == Init::kPyTorch) return adjoint;
    return {.in = adjoint.out, .out = adjoint.in};
  }

  void require_maps(const Shape& shape) const {
    if (shape.rank() != 4 || shape[3] != weight.shape()[0])
      fail("{}: expects (N, H, W, {}), but was given {}", weight.name(), weight.shape()[0], shape);
  }
};

}  // namespace gradus::nn
