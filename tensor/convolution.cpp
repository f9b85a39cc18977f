#include "tensor/convolution.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include <fmt/format.h>

#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/parallel.hpp"

namespace gradus {
namespace {
// What a window and an image's extents may be, so that nothing computed with them overflows.
constexpr Index kMostInWindow = Index{1} << 20;
constexpr Index kMostPixels = Index{1} << 40;

bool fits(const Window& window, Index extent) {
  return extent >= 1 && window.size - 2 * window.padding <= extent;
}

// A run: the numbers of one row of a window's pixels that lie inside of the image. They are
// neighbours both in unfold's rows and in the images. Here is one run of each of `count` windows
// side by side: run k begins at in_rows + k rows_step, and at in_images + k images_step.
struct Runs {
  Index length;  // numbers in each run
  Index count;
  Index in_rows;
  Index rows_step;
  Index in_images;
  Index images_step;
};

// Calls f(length). The lengths 3 and 4, of one channel and a usual window, go as constants, whose
// value is part of their type: such runs are too short for a loop or a call of memcpy, but a move
// or two if the compiler knows the length.
template <class F> void with_known_length(Index length, const F& f) {
  if (length == 3)
    f(std::integral_constant<Index, 3>());
  else if (length == 4)
    f(std::integral_constant<Index, 4>());
  else
    f(length);
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

  // Of the windows as rows. Throws Error when there are too many numbers.
  Shape rows_shape() const {
    const Shape all = {n, down, across, window.size, window.size, channels};
    return {all[0] * all[1] * all[2], all[3] * all[4] * all[5]};
  }

  // The numbers in a window. REQUIRES: rows_shape() has not thrown.
  Index row_size() const { return window.size * window.size * channels; }

  // Calls f(runs) for all runs of the windows that stand at height i of an image.
  template <class F> void for_each_run(Index image, Index i, const F& f) const {
    // Along the width, window j covers the pixels j s - p to j s - p + K - 1. It hangs over neither
    // side where p <= j s <= W + p - K: those windows, first <= j < last, have runs of one length
    // and are taken together, the others one by one.
    const Index s = window.stride;
    const Index first = std::min(across, (window.padding + s - 1) / s);  // p / s, rounded up
    const Index largest = width + window.padding - window.size;          // W + p - K
    const Index last = largest < 0 ? first : std::clamp(largest / s + 1, first, across);

    for (Index j = 0; j < first; ++j) windows_from(image, i, j, 1, f);
    if (first < last) windows_from(image, i, first, last - first, f);
    for (Index j = last; j < across; ++j) windows_from(image, i, j, 1, f);
  }

  // The same for `count` windows from the one at (i, j) on, which have as much in common with the
  // image.
  template <class F>
  void windows_from(Index image, Index i, Index j, Index count, const F& f) const {
    const Index top = i * window.stride - window.padding;
    const Index left = j * window.stride - window.padding;
    const Index u_begin = std::max<Index>(0, -top);
    const Index u_end = std::min(window.size, height - top);
    const Index v_begin = std::max<Index>(0, -left);
    const Index v_end = std::min(window.size, width - left);
    if (v_begin >= v_end) return;

    const Index row = ((image * down + i) * across + j) * row_size();
    const Index corner = ((image * height + top) * width + left) * channels;  // may be outside
    for (Index u = u_begin; u < u_end; ++u)
      f(Runs{.length = (v_end - v_begin) * channels,
             .count = count,
             .in_rows = row + (u * window.size + v_begin) * channels,
             .rows_step = row_size(),
             .in_images = corner + (u * width + v_begin) * channels,
             .images_step = window.stride * channels});
  }

  Window window;
  Index n;
  Index height;
  Index width;
  Index channels;
  Index down;    // H', the places along an image's height
  Index across;  // W', along its width
};

template <class T> void copy_runs(const Runs& runs, const T* images, T* rows) {
  with_known_length(runs.length, [&runs, images, rows](auto length) {
    for (Index k = 0; k < runs.count; ++k) {
      const T* from = images + runs.in_images + k * runs.images_step;
      T* to = rows + runs.in_rows + k * runs.rows_step;
      std::memcpy(to, from, length * sizeof(T));
    }
  });
}

// Runs of neighbouring windows overlap in the images. They are kept apart in time: a processor that
// reads what it has just written, and only in part, waits until that is done.
template <class T> void add_runs(const Runs& runs, const T* rows, T* images) {
  const Index apart = (runs.length + runs.images_step - 1) / runs.images_step;
  with_known_length(runs.length, [&runs, apart, rows, images](auto length) {
    for (Index first = 0; first < apart; ++first) {
      for (Index k = first; k < runs.count; k += apart) {
        const T* from = rows + runs.in_rows + k * runs.rows_step;
        // No other pointer sees these numbers (__restrict): the compiler may add several at a time.
        T* __restrict to = images + runs.in_images + k * runs.images_step;
        for (Index i = 0; i < length; ++i) to[i] += from[i];
      }
    }
  });
}

// Throws Error unless the window has `places` places along so many pixels.
void require_places(const Shape& maps, const Window& window, Index extent, Index places) {
  const bool counted = fits(window, extent) && extent <= kMostPixels;
  if (counted && window.places(extent) == places) return;

  const Index least = std::max<Index>(1, window.least_extent(places));
  const Index most = window.least_extent(places) + window.stride - 1;
  const bool none = places < 1 || most < least;
  fail(
      "conv2d_transpose: maps {} to an extent of {}, with a window of {}: {} places are those of "
      "{}",
      maps, extent, window, places,
      none ? "no extent at all" : fmt::format("extents from {} to {}", least, most));
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

                const Index in_y = ((n * x.down + i) * x.across + j) * outputs + o;
                const Index in_w = ((o * x.channels + c) * size + u) * size + v;
                const Index in_x = ((n * x.height + row) * x.width + column) * x.channels + c;
                f(in_y, in_w, in_x);
              }
}
}  // namespace

void Window::check() const {
  const bool large_enough = size >= 1 && stride >= 1 && padding >= 0;
  if (!large_enough || std::max({size, stride, padding}) > kMostInWindow)
    fail("window of {}: size and stride must be 1 or more, padding 0 or more, and none above {}",
         *this, kMostInWindow);
}

Index Window::places(Index extent) const {
  check();
  if (!fits(*this, extent))
    fail("window of {}: it has no place along {} pixels; take a smaller one or more padding", *this,
         extent);
  if (extent > kMostPixels)
    fail("window of {}: {} pixels are more than can be counted", *this, extent);
  return (extent + 2 * padding - size) / stride + 1;
}

Index Window::least_extent(Index places) const {
  check();
  if (places < 0 || places > kMostPixels)
    fail("window of {}: it cannot have {} places, only 0 to {}", *this, places, kMostPixels);
  return (places - 1) * stride + size - 2 * padding;
}

template <class T> Tensor<T> unfold(const Tensor<T>& images, const Window& window) {
  const Grid grid("unfold", images.shape(), window);
  auto result = Tensor<T>::uninitialized(grid.rows_shape());
  if (result.empty()) return result;

  const T* x = images.data();
  T* z = result.mutable_data();
  const Index line_size = grid.across * grid.row_size();  // of the windows at one height
  auto unfold_lines = [&grid, line_size, x, z](Index begin, Index end) {
    for (Index line = begin; line < end; ++line) {
      if (grid.window.padding > 0) std::fill_n(z + line * line_size, line_size, T(0));
      grid.for_each_run(line / grid.down, line % grid.down,
                        [x, z](const Runs& runs) { copy_runs(runs, x, z); });
    }
  };
  parallel_for(grid.n * grid.down, std::max<Index>(1, detail::kPiece / line_size), unfold_lines);
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
    for (Index image = begin; image < end; ++image) {
      std::fill_n(z + image * image_size, image_size, T(0));
      for (Index i = 0; i < grid.down; ++i)
        grid.for_each_run(image, i, [y, z](const Runs& runs) { add_runs(runs, y, z); });
    }
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
