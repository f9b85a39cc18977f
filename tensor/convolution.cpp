#include "tensor/convolution.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/parallel.hpp"

namespace gradus {
namespace {
bool fits(const Window& window, Index extent) {
  return extent >= 1 && window.size <= extent + 2 * window.padding;
}

// Images, and where a window stands on them.
struct Grid {
  Grid(const char* operation, const Shape& images, const Window& a_window) : window(a_window) {
    window.check();
    if (images.rank() != 4)
      fail("{}: images {}: they must be (N, H, W, C); reshape first", operation, images);
    if (!fits(window, images[1]) || !fits(window, images[2]))
      fail("{}: images {} have no place for a window of {}; take a smaller one or more padding",
           operation, images, window);

    n = images[0];
    height = images[1];
    width = images[2];
    channels = images[3];
    down = window.places(height);
    across = window.places(width);
  }

  // The numbers in a window: K K C.
  Index row_size() const { return window.size * window.size * channels; }

  // Of the windows as rows. Throws Error when there are too many numbers.
  Shape rows_shape() const {
    Shape({n, down, across, window.size, window.size, channels});  // overflows if a product does
    return {n * down * across, row_size()};
  }

  // Takes the windows that stand at height i of an image, and calls f(place in the rows, place in
  // the images, length) for each run of numbers that are neighbours in both: what one row of pixels
  // in a window has in common with the image.
  template <class F> void for_each_run(Index image, Index i, const F& f) const {
    const Index top = i * window.stride - window.padding;
    const Index u_begin = std::max<Index>(0, -top);
    const Index u_end = std::min(window.size, height - top);

    for (Index j = 0; j < across; ++j) {
      const Index left = j * window.stride - window.padding;
      const Index v_begin = std::max<Index>(0, -left);
      const Index v_end = std::min(window.size, width - left);
      if (v_begin >= v_end) continue;

      const Index row = ((image * down + i) * across + j) * row_size();
      const Index corner = ((image * height + top) * width + left) * channels;  // may be outside
      const Index length = (v_end - v_begin) * channels;
      for (Index u = u_begin; u < u_end; ++u)
        f(row + (u * window.size + v_begin) * channels, corner + (u * width + v_begin) * channels,
          length);
    }
  }

  Window window;
  Index n;
  Index height;
  Index width;
  Index channels;
  Index down;    // H', the places along an image's height
  Index across;  // W', along its width
};

// Throws Error unless the window has `places` places along so many pixels.
void require_places(const Shape& maps, const Window& window, Index extent, Index places) {
  if (fits(window, extent) && window.places(extent) == places) return;

  const Index least = std::max<Index>(1, window.least_extent(places));
  const Index most = window.least_extent(places) + window.stride - 1;
  fail(
      "conv2d_transpose: maps {} to an extent of {}, with a window of {}: {} places are those of "
      "{}",
      maps, extent, window, places,
      most < least ? "no extent at all" : fmt::format("extents from {} to {}", least, most));
}

void require_kernel(const char* operation, const Shape& kernel, const Window& window) {
  window.check();
  if (kernel.rank() != 4 || kernel[2] != window.size || kernel[3] != window.size)
    fail("{}: kernel {} with a window of {}: it must be (O, C, {}, {})", operation, kernel, window,
         window.size, window.size);
}

// Calls f(place in y, place in w, place in x) for each product in t(x, w, y). Where x is 0, outside
// of the image, there is none.
template <class F> void for_each_product(const Grid& x, Index outputs, const F& f) {
  const auto [size, stride, padding] = x.window;
  for (Index n = 0; n < x.n; ++n)
    for (Index i = 0; i < x.down; ++i)
      for (Index j = 0; j < x.across; ++j)
        for (Index o = 0; o < outputs; ++o)
          for (Index c = 0; c < x.channels; ++c)
            for (Index u = 0; u < size; ++u)
              for (Index v = 0; v < size; ++v) {
                const Index row = stride * i + u - padding;
                const Index column = stride * j + v - padding;
                if (row < 0 || row >= x.height || column < 0 || column >= x.width) continue;

                f(((n * x.down + i) * x.across + j) * outputs + o,
                  ((o * x.channels + c) * size + u) * size + v,
                  ((n * x.height + row) * x.width + column) * x.channels + c);
              }
}
}  // namespace

void Window::check() const {
  constexpr Index kMost = 1 << 20;  // so that nothing that is computed with them overflows
  const bool large_enough = size >= 1 && stride >= 1 && padding >= 0;
  if (!large_enough || size > kMost || stride > kMost || padding > kMost)
    fail("window of {}: size and stride must be 1 or more, padding 0 or more, and none above {}",
         *this, kMost);
}

Index Window::places(Index extent) const {
  check();
  if (!fits(*this, extent))
    fail("window of {}: it has no place along {} pixels; take a smaller one or more padding", *this,
         extent);
  return (extent + 2 * padding - size) / stride + 1;
}

Index Window::least_extent(Index places) const {
  return (places - 1) * stride + size - 2 * padding;
}

template <class T> Tensor<T> unfold(const Tensor<T>& images, const Window& window) {
  const Grid grid("unfold", images.shape(), window);
  auto result = Tensor<T>::uninitialized(grid.rows_shape());
  if (result.empty()) return result;

  const T* x = images.data();
  T* z = result.mutable_data();
  const Index line = grid.across * grid.row_size();  // of windows at one height
  auto unfold_lines = [&grid, line, x, z](Index begin, Index end) {
    for (Index k = begin; k < end; ++k) {
      if (grid.window.padding > 0) std::fill_n(z + k * line, line, T(0));
      grid.for_each_run(k / grid.down, k % grid.down, [x, z](Index to, Index from, Index length) {
        std::copy_n(x + from, length, z + to);
      });
    }
  };
  parallel_for(grid.n * grid.down, std::max<Index>(1, detail::kPiece / line), unfold_lines);
  return result;
}

template <class T>
Tensor<T> fold(const Tensor<T>& rows, const Window& window, const Shape& images) {
  const Grid grid("fold", images, window);
  if (rows.shape() != grid.rows_shape())
    fail("fold: rows {} for images {} and a window of {}: they must be {}", rows.shape(), images,
         window, grid.rows_shape());
  if (rows.empty()) return Tensor<T>(images);

  // An image is one thread's, so that the order of the additions is always the same.
  auto result = Tensor<T>::uninitialized(images);
  const T* y = rows.data();
  T* z = result.mutable_data();
  const Index image_size = grid.height * grid.width * grid.channels;
  auto fold_images = [&grid, image_size, y, z](Index begin, Index end) {
    std::fill_n(z + begin * image_size, (end - begin) * image_size, T(0));
    for (Index image = begin; image < end; ++image)
      for (Index i = 0; i < grid.down; ++i)
        grid.for_each_run(image, i, [y, z](Index from, Index to, Index length) {
          for (Index k = 0; k < length; ++k) z[to + k] += y[from + k];
        });
  };
  const Index rows_size = grid.down * grid.across * grid.row_size();  // of an image
  parallel_for(grid.n, std::max<Index>(1, detail::kPiece / rows_size), fold_images);
  return result;
}

template <class T> Tensor<T> kernel_rows(const Tensor<T>& kernel) {
  if (kernel.rank() != 4) fail("kernel_rows: kernel {}: it must be (O, C, K, K)", kernel.shape());
  const Shape& shape = kernel.shape();
  return permute(kernel, {0, 2, 3, 1}).reshape({shape[0], shape[2] * shape[3] * shape[1]});
}

Shape conv2d_shape(const Shape& images, const Shape& kernel, const Window& window) {
  require_kernel("conv2d", kernel, window);
  const Grid grid("conv2d", images, window);
  if (grid.channels != kernel[1]) {
    const bool planes = images[1] == kernel[1];
    fail("conv2d: images {} have {} channels, but the kernel {} expects {}.{}", images,
         grid.channels, kernel, kernel[1],
         planes ? " Of (N, C, H, W) take permute(x, {0, 2, 3, 1})." : "");
  }
  return {grid.n, grid.down, grid.across, kernel[0]};
}

Shape conv2d_transpose_shape(const Shape& maps, const Shape& kernel, const Window& window,
                             Index height, Index width) {
  require_kernel("conv2d_transpose", kernel, window);
  if (maps.rank() != 4) fail("conv2d_transpose: maps {}: they must be (N, H', W', O)", maps);
  if (maps[3] != kernel[0])
    fail("conv2d_transpose: maps {} have {} channels, but the kernel {} expects {}", maps, maps[3],
         kernel, kernel[0]);
  require_places(maps, window, height, maps[1]);
  require_places(maps, window, width, maps[2]);
  return {maps[0], height, width, kernel[1]};
}

template <class T>
Tensor<T> conv2d(const Tensor<T>& images, const Tensor<T>& kernel, const Window& window) {
  const Shape shape = conv2d_shape(images.shape(), kernel.shape(), window);
  return matmul_nt(unfold(images, window), kernel_rows(kernel)).reshape(shape);
}

template <class T>
Tensor<T> conv2d_transpose(const Tensor<T>& maps, const Tensor<T>& kernel, const Window& window,
                           Index height, Index width) {
  const Shape shape = conv2d_transpose_shape(maps.shape(), kernel.shape(), window, height, width);
  const Index places = shape[0] * maps.extent(1) * maps.extent(2);
  const Tensor<T> pixels = maps.reshape({places, kernel.extent(0)});
  return fold(matmul(pixels, kernel_rows(kernel)), window, shape);
}

template <class T>
Tensor<T> conv2d_naive(const Tensor<T>& images, const Tensor<T>& kernel, const Window& window) {
  Tensor<T> result(conv2d_shape(images.shape(), kernel.shape(), window));
  const T* x = images.data();
  const T* w = kernel.data();
  T* z = result.mutable_data();
  for_each_product(Grid("conv2d_naive", images.shape(), window), kernel.extent(0),
                   [x, w, z](Index in_y, Index in_w, Index in_x) { z[in_y] += w[in_w] * x[in_x]; });
  return result;
}

template <class T>
Tensor<T> conv2d_transpose_naive(const Tensor<T>& maps, const Tensor<T>& kernel,
                                 const Window& window, Index height, Index width) {
  Tensor<T> result(conv2d_transpose_shape(maps.shape(), kernel.shape(), window, height, width));
  const T* y = maps.data();
  const T* w = kernel.data();
  T* z = result.mutable_data();
  for_each_product(Grid("conv2d_transpose_naive", result.shape(), window), kernel.extent(0),
                   [y, w, z](Index in_y, Index in_w, Index in_x) { z[in_x] += y[in_y] * w[in_w]; });
  return result;
}

#define GRADUS_INSTANTIATE(T)                                                                   \
  template Tensor<T> unfold(const Tensor<T>&, const Window&);                                   \
  template Tensor<T> fold(const Tensor<T>&, const Window&, const Shape&);                       \
  template Tensor<T> kernel_rows(const Tensor<T>&);                                             \
  template Tensor<T> conv2d(const Tensor<T>&, const Tensor<T>&, const Window&);                 \
  template Tensor<T> conv2d_transpose(const Tensor<T>&, const Tensor<T>&, const Window&, Index, \
                                      Index);                                                   \
  template Tensor<T> conv2d_naive(const Tensor<T>&, const Tensor<T>&, const Window&);           \
  template Tensor<T> conv2d_transpose_naive(const Tensor<T>&, const Tensor<T>&, const Window&,  \
                                            Index, Index);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
