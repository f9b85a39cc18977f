#pragma once
#include <fmt/format.h>

#include "tensor/shape.hpp"
#include "tensor/tensor.hpp"

// Convolutions, made of a pair of adjoints, unfold and fold, and a matrix product.
//
//     N images of H x W pixels with C channels; O channels come out
//     K x K pixels in a window, which stands at H' x W' places of an image
//
// Images are (N, H, W, C), so that a pixel's channels lie together; kernels are (O, C, K, K), as in
// PyTorch. All of it comes from one sum of products, in which x is 0 outside of the image:
//
//     t(x, w, y) = sum y[n, i, j, o] w[o, c, u, v] x[n, s i + u - p, s j + v - p, c]
//
// conv2d is dt/dy, and conv2d_transpose, its adjoint for a fixed w, is dt/dx. (The kernel is not
// turned round: strictly, conv2d is a correlation. So it is in all frameworks.)
//
// All throw Error when shapes do not fit. Without images (N = 0) there is an empty result.
namespace gradus {
// A square of size x size pixels that goes over an image, along both axes in steps of `stride`
// pixels. `padding` rows or columns of zeros lie around the image on each of its four sides.
struct Window {
  Index size;
  Index stride = 1;
  Index padding = 0;

  // Throws Error unless size and stride are at least 1, padding at least 0, and all at most 2^20.
  void check() const;

  // At how many places it stands along an axis of `extent` pixels: (extent + 2 p - K) / s + 1,
  // rounded down. Throws Error when there is none, and for more than 2^40 pixels.
  Index places(Index extent) const;

  // The least extent along which it has so many places: (places - 1) s + K - 2 p. The stride - 1
  // next ones have as many: what lies last, padding first and then pixels, is in no window. (What
  // an extent has above the least one is PyTorch's output_padding.) Not positive where the padding
  // holds all places. Throws Error unless there are 0 to 2^40 places.
  Index least_extent(Index places) const;
};

// ---- Windows as rows ---------------------------------------------------------------------------

// The windows of images as rows, image by image and place by place, and in a row pixel by pixel:
// (N, H, W, C) -> (N H' W', K K C).
template <class T> Tensor<T> unfold(const Tensor<T>& images, const Window& window);

// The adjoint of unfold: each number is added to the pixel that it came from, if there is one.
// (N H' W', K K C) -> (N, H, W, C), the shape of the images, of which several have as many places.
template <class T> Tensor<T> fold(const Tensor<T>& rows, const Window& window, const Shape& images);

// A kernel with its numbers in the order of unfold's rows: (O, C, K, K) -> (O, K K C).
template <class T> Tensor<T> kernel_rows(const Tensor<T>& kernel);

// ---- Convolutions ------------------------------------------------------------------------------

// (N, H, W, C) with (O, C, K, K) -> (N, H', W', O): unfold(images) kernel_rows^T
template <class T>
Tensor<T> conv2d(const Tensor<T>& images, const Tensor<T>& kernel, const Window& window);

// (N, H', W', O) with (O, C, K, K) -> (N, H, W, C): fold(maps kernel_rows). Of the extents that
// have H' and W' places of the window, the caller says which: H = window.least_extent(H') is the
// usual one. O channels go in and C come out, so that PyTorch calls this kernel (in, out, K, K).
template <class T>
Tensor<T> conv2d_transpose(const Tensor<T>& maps, const Tensor<T>& kernel, const Window& window,
                           Index height, Index width);

// The shapes of their results, which are checked before anything is computed.
Shape conv2d_shape(const Shape& images, const Shape& kernel, const Window& window);
Shape conv2d_transpose_shape(const Shape& maps, const Shape& kernel, const Window& window,
                             Index height, Index width);

// The same by their definition, the derivatives of t, in seven loops: what the fast ones are
// compared with, by tests and readers.
template <class T>
Tensor<T> conv2d_naive(const Tensor<T>& images, const Tensor<T>& kernel, const Window& window);
template <class T>
Tensor<T> conv2d_transpose_naive(const Tensor<T>& maps, const Tensor<T>& kernel,
                                 const Window& window, Index height, Index width);
}  // namespace gradus

// "size 3, stride 2, padding 1"
template <> struct fmt::formatter<gradus::Window> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }

  auto format(const gradus::Window& window, format_context& context) const {
    return fmt::format_to(context.out(), "size {}, stride {}, padding {}", window.size,
                          window.stride, window.padding);
  }
};
