#include "tensor/convolution.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using test::gaussian_numbers;
using test::inner_product;
using test::whole_numbers;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Every window of 1 to 5 pixels, steps of 1 to 3 and padding of 0 to 2. Among them are some that
// see padding only, and some that leave pixels between them.
std::vector<Window> all_windows() {
  std::vector<Window> windows;
  for (Index size = 1; size <= 5; ++size)
    for (Index stride = 1; stride <= 3; ++stride)
      for (Index padding = 0; padding <= 2; ++padding) windows.push_back({size, stride, padding});
  return windows;
}

struct Extents {
  Index height, width;
};

// 7 x 6 and 8 x 5 leave a rest with most windows; 5 is the largest window itself.
const std::vector<Extents> kExtents = {{7, 6}, {8, 5}, {5, 9}};

// One image of one channel whose pixel (i, j) is f(i, j).
template <class T, class F> Tensor<T> image_of(Index height, Index width, const F& f) {
  Tensor<T> image({1, height, width, 1});
  for (Index i = 0; i < height; ++i)
    for (Index j = 0; j < width; ++j) image.set({0, i, j, 0}, static_cast<T>(f(i, j)));
  return image;
}

template <class T> Tensor<T> ones(const Shape& shape) { return full<T>(shape, 1); }

// ---- Where a window stands ---------------------------------------------------------------------

TEST(Window, HasThePlacesThatOneCounts) {
  for (const Window& window : all_windows())
    for (Index extent = 1; extent <= 30; ++extent) {
      Index count = 0;
      const Index end = extent + window.padding;
      for (Index at = -window.padding; at + window.size <= end; at += window.stride) ++count;
      if (count > 0)
        EXPECT_EQ(window.places(extent), count) << fmt::format("{} along {}", window, extent);
      else
        EXPECT_THROW(window.places(extent), Error);
    }
}

TEST(Window, OfFourAndOfThreePixelsHalvesTwentyEightTwice) {
  for (Index size : {3, 4}) {
    const Window window = {.size = size, .stride = 2, .padding = 1};
    EXPECT_EQ(window.places(28), 14);
    EXPECT_EQ(window.places(14), 7);
  }
}

// H = (H' - 1) s - 2 p + K + r with r = (H + 2 p - K) mod s, and r = 0 of the least.
TEST(Window, HasAsManyPlacesFromItsLeastExtentOn) {
  for (const Window& window : all_windows())
    for (Index extent = 5; extent <= 30; ++extent) {
      const Index rest = (extent + 2 * window.padding - window.size) % window.stride;
      EXPECT_EQ(window.least_extent(window.places(extent)) + rest, extent);
    }
  const Window three = {.size = 3, .stride = 2, .padding = 1};
  EXPECT_EQ(three.least_extent(14), 27) << "an image of 28 must be asked for";
  const Window four = {.size = 4, .stride = 2, .padding = 1};
  EXPECT_EQ(four.least_extent(14), 28);
  EXPECT_EQ(four.least_extent(7), 14);
}

TEST(Window, ThatIsNoneIsRefused) {
  const Window no_step = {.size = 3, .stride = 0};
  EXPECT_EQ(error_of([&] { no_step.places(9); }),
            "window of size 3, stride 0, padding 0: size and stride must be 1 or more, padding 0 "
            "or more, and none above 1048576");
  const Index huge = Index{1} << 62;
  for (const Window& window :
       {Window{0, 1, 0}, Window{-2, 1, 0}, Window{3, -1, 0}, Window{3, 1, -1}, Window{huge, 1, 0},
        Window{1, huge, 0}, Window{1, 1, huge}})
    EXPECT_THAT(error_of([&] { window.places(9); }), HasSubstr("must be 1 or more"));
}

TEST(Window, ThatDoesNotFitIsRefused) {
  const Window window = {.size = 5, .stride = 2, .padding = 1};
  EXPECT_EQ(window.places(3), 1);
  EXPECT_EQ(error_of([&] { window.places(2); }),
            "window of size 5, stride 2, padding 1: it has no place along 2 pixels; take a smaller "
            "one or more padding");
  EXPECT_THAT(error_of([] { Window{1, 1, 1}.places(0); }), HasSubstr("no place along 0 pixels"));
  EXPECT_THAT(error_of([] { Window{1, 1, 1}.places(-3); }), HasSubstr("no place along -3 pixels"));

  const Index most = std::numeric_limits<Index>::max();
  EXPECT_THAT(error_of([&] { window.places(most); }), HasSubstr("more than can be counted"));
  for (Index none : {most, Index{-1}, std::numeric_limits<Index>::min()})
    EXPECT_THAT(error_of([&] { window.least_extent(none); }), HasSubstr("only 0 to"));
}

// ---- Unfold and fold ---------------------------------------------------------------------------

// The windows as rows, by their definition.
template <class T> Tensor<T> unfold_by_definition(const Tensor<T>& x, const Window& window) {
  const auto [size, stride, padding] = window;
  const Index height = x.extent(1);
  const Index width = x.extent(2);
  std::vector<T> rows;
  for (Index n = 0; n < x.extent(0); ++n)
    for (Index top = -padding; top + size <= height + padding; top += stride)
      for (Index left = -padding; left + size <= width + padding; left += stride)
        for (Index i = top; i < top + size; ++i)
          for (Index j = left; j < left + size; ++j)
            for (Index c = 0; c < x.extent(3); ++c) {
              const bool inside = i >= 0 && i < height && j >= 0 && j < width;
              rows.push_back(inside ? x(n, i, j, c) : T(0));
            }
  const Index row_size = size * size * x.extent(3);
  return Tensor<T>({std::ssize(rows) / row_size, row_size}, rows);
}

template <class T> struct Convolution : test::FloatAndDouble<T> {};

TYPED_TEST_SUITE(Convolution, test::Scalars);

TYPED_TEST(Convolution, UnfoldLaysOutEachWindowAsARow) {
  for (const Window& window : all_windows())
    for (const auto& [height, width] : kExtents)
      for (Index channels : {1, 3}) {
        const auto x = whole_numbers<TypeParam>({2, height, width, channels}, 1, 1000);
        const auto rows = unfold(x, window);
        const auto expected = unfold_by_definition(x, window);
        ASSERT_EQ(rows.shape(), expected.shape());
        ASSERT_EQ(rows.to_vector(), expected.to_vector()) << fmt::format("{}", window);
      }
}

TYPED_TEST(Convolution, UnfoldOfManyImagesIsThatOfEach) {
  const Window window = {.size = 4, .stride = 2, .padding = 1};
  const auto x = whole_numbers<TypeParam>({50, 28, 26, 3}, 2, 1000);
  const auto expected = unfold_by_definition(x, window);
  EXPECT_EQ(unfold(x, window).shape(), (Shape{50 * 14 * 13, 48}));
  EXPECT_EQ(unfold(x, window).to_vector(), expected.to_vector());
}

// <unfold(x), y> = <x, fold(y)>: exactly for whole numbers.
TYPED_TEST(Convolution, FoldIsTheAdjointOfUnfold) {
  for (const Window& window : all_windows())
    for (const auto& [height, width] : kExtents)
      for (Index channels : {1, 3}) {
        const auto x = whole_numbers<TypeParam>({2, height, width, channels}, 3);
        const auto rows = unfold(x, window);
        const auto y = whole_numbers<TypeParam>(rows.shape(), 4);
        const auto folded = fold(y, window, x.shape());
        ASSERT_EQ(inner_product(rows, y), inner_product(x, folded)) << fmt::format("{}", window);
      }
}

// The adjoint identity alone would not see a part of fold(y) that x happens not to weigh: this is
// each number of it.
TYPED_TEST(Convolution, FoldAddsEachNumberToItsPixel) {
  for (const Window& window : all_windows()) {
    const Shape images = {2, 7, 6, 2};
    const auto pixels = unfold(arange<TypeParam>(images.size()).reshape(images) + TypeParam(1),
                               window);  // which pixel each number comes from; 0 for none
    const auto y = whole_numbers<TypeParam>(pixels.shape(), 5);
    std::vector<TypeParam> expected(images.size());
    for (Index k = 0; k < y.size(); ++k) {
      const auto pixel = static_cast<Index>(pixels.data()[k]);
      if (pixel > 0) expected[pixel - 1] += y.data()[k];
    }
    ASSERT_EQ(fold(y, window, images).to_vector(), expected) << fmt::format("{}", window);
  }
}

TYPED_TEST(Convolution, FoldAfterUnfoldCountsTheWindowsOfAPixel) {
  const auto x = ones<TypeParam>({30, 9, 9, 4});
  const Window window = {.size = 3, .stride = 3};
  const auto once = fold(unfold(x, window), window, x.shape());
  EXPECT_THAT(once.to_vector(), Each(1)) << "windows that lie side by side";
  const auto left_over = fold(unfold(ones<TypeParam>({1, 4, 4, 1}), window), window, {1, 4, 4, 1});
  EXPECT_THAT(left_over.to_vector(), ElementsAre(1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 0, 0));
}

TYPED_TEST(Convolution, UnfoldAndFoldRefuseWhatDoesNotFit) {
  using T = TypeParam;
  const Window window = {.size = 3, .stride = 2, .padding = 1};
  EXPECT_EQ(error_of([&] {
              unfold(Tensor<T>({2, 784}), window);
            }),
            "unfold: images (2, 784): they must be (N, H, W, C); reshape first");
  EXPECT_EQ(error_of([] {
              unfold(Tensor<T>({2, 9, 4, 1}), Window{5});
            }),
            "unfold: images (2, 9, 4, 1) have no place for a window of size 5, stride 1, padding "
            "0; "
            "take a smaller one or more padding");
  EXPECT_THAT(error_of([] { unfold(Tensor<T>({2, 4, 9, 1}), Window{5}); }), HasSubstr("no place"));
  EXPECT_THAT(error_of([] {
                unfold(Tensor<T>({2, 0, 9, 1}), Window{1, 1, 1});
              }),
              HasSubstr("no place"));
  EXPECT_THAT(error_of([] {
                unfold(Tensor<T>({2, 4, 9, 1}), Window{3, 0, 0});
              }),
              HasSubstr("stride 0"));
  EXPECT_EQ(error_of([&] {
              fold(Tensor<T>({49, 9}), window, {1, 12, 13, 1});
            }),
            "fold: rows (49, 9) for images (1, 12, 13, 1) and a window of size 3, stride 2, "
            "padding "
            "1: they must be (42, 9)");
  EXPECT_THAT(error_of([&] {
                fold(Tensor<T>({7, 7, 9}), window, {1, 13, 13, 1});
              }),
              HasSubstr("(49, 9)"));
  EXPECT_THAT(error_of([&] {
                fold(Tensor<T>({49, 9}), window, {13, 13, 1});
              }),
              HasSubstr("must be (N, H, W, C)"));
  EXPECT_EQ(fold(Tensor<T>({49, 9}), window, {1, 13, 14, 1}).shape(), (Shape{1, 13, 14, 1}))
      << "two widths have seven places";
}

// Nothing may overflow on the way to the message.
TYPED_TEST(Convolution, RowsOfMoreNumbersThanCanBeCountedAreRefused) {
  const Index large = Index{1} << 20;
  const Tensor<TypeParam> none({0, large, large, 1});
  EXPECT_THAT(error_of([&] { unfold(none, Window{large, 1, large}); }), HasSubstr("overflows"));
  EXPECT_THAT(error_of([&] {
                fold(none, Window{large, 1, large}, none.shape());
              }),
              HasSubstr("overflows"));

  const Tensor<TypeParam> maps({0, Index{1} << 50, 1, 1});
  const Tensor<TypeParam> kernel({1, 1, 1, 1});
  EXPECT_THAT(error_of([&] {
                conv2d_transpose(maps, kernel, Window{1, large, 0}, 9, 1);
              }),
              HasSubstr("only 0 to"));
}

// ---- Convolutions ------------------------------------------------------------------------------

// Images, a kernel and maps that fit together, drawn by numbers<T>(shape, seed).
template <class T> struct Problem {
  template <class Numbers>
  Problem(const Window& a_window, Index height, Index width, Numbers numbers)
      : window(a_window),
        x(numbers({2, height, width, 3}, 6)),
        w(numbers({4, 3, a_window.size, a_window.size}, 7)),
        y(numbers(conv2d_shape(x.shape(), w.shape(), window), 8)) {}

  Window window;
  Tensor<T> x;  // (N, H, W, C)
  Tensor<T> w;  // (O, C, K, K)
  Tensor<T> y;  // (N, H', W', O)

  Tensor<T> conv2d_of_x() const { return conv2d(x, w, window); }

  Tensor<T> conv2d_transpose_of_y() const {
    return conv2d_transpose(y, w, window, x.extent(1), x.extent(2));
  }

  // d<conv2d(x, w), y> / dw, in the order of kernel_rows.
  Tensor<T> gradient_of_w() const {
    return matmul_tn(y.reshape({-1, w.extent(0)}), unfold(x, window));
  }
};

template <class T> std::vector<Problem<T>> problems_of_whole_numbers() {
  std::vector<Problem<T>> problems;
  for (const Window& window : all_windows())
    for (const auto& [height, width] : kExtents)
      problems.emplace_back(window, height, width, [](const Shape& shape, unsigned seed) {
        return whole_numbers<T>(shape, seed);
      });
  return problems;
}

TYPED_TEST(Convolution, OfWholeNumbersIsThatByDefinition) {
  for (const auto& p : problems_of_whole_numbers<TypeParam>()) {
    const auto z = p.conv2d_of_x();
    ASSERT_EQ(z.shape(), p.y.shape());
    ASSERT_EQ(z.to_vector(), conv2d_naive(p.x, p.w, p.window).to_vector());

    const auto images = p.conv2d_transpose_of_y();
    const auto naive = conv2d_transpose_naive(p.y, p.w, p.window, p.x.extent(1), p.x.extent(2));
    ASSERT_EQ(images.shape(), p.x.shape());
    ASSERT_EQ(images.to_vector(), naive.to_vector());
  }
}

// t(x, w, y) from each of its three derivatives: <conv2d(x, w), y> = <x, conv2d_transpose(y, w)> =
// <w, dw>.
TYPED_TEST(Convolution, TransposedIsTheAdjoint) {
  for (const auto& p : problems_of_whole_numbers<TypeParam>()) {
    const double t = inner_product(p.conv2d_of_x(), p.y);
    ASSERT_EQ(t, inner_product(p.x, p.conv2d_transpose_of_y())) << fmt::format("{}", p.window);
    ASSERT_EQ(t, inner_product(kernel_rows(p.w), p.gradient_of_w()));
    ASSERT_NE(t, 0);
  }
}

TEST(Adjoint, OfConv2dHoldsToTwelveDigits) {
  for (const Window& window : all_windows())
    for (const auto& [height, width] : kExtents) {
      const Problem<double> p(window, height, width, gaussian_numbers<double>);
      const Tensor<double> z = p.conv2d_of_x();
      const double scale = std::sqrt(inner_product(z, z) * inner_product(p.y, p.y));
      const double t = inner_product(z, p.y);
      EXPECT_LE(std::fabs(t - inner_product(p.x, p.conv2d_transpose_of_y())), 1e-12 * scale);
      EXPECT_LE(std::fabs(t - inner_product(kernel_rows(p.w), p.gradient_of_w())), 1e-12 * scale);
    }
}

TYPED_TEST(Convolution, OfNoImagesIsNoImages) {
  using T = TypeParam;
  const Window window = {.size = 3, .stride = 2, .padding = 1};
  const Tensor<T> kernel({4, 2, 3, 3});
  EXPECT_EQ(unfold(Tensor<T>({0, 7, 6, 2}), window).shape(), (Shape{0, 18}));
  EXPECT_EQ(fold(Tensor<T>({0, 18}), window, {0, 7, 6, 2}).shape(), (Shape{0, 7, 6, 2}));
  EXPECT_EQ(conv2d(Tensor<T>({0, 7, 6, 2}), kernel, window).shape(), (Shape{0, 4, 3, 4}));
  EXPECT_EQ(conv2d_transpose(Tensor<T>({0, 4, 3, 4}), kernel, window, 7, 6).shape(),
            (Shape{0, 7, 6, 2}));
  EXPECT_THAT(conv2d(Tensor<T>({1, 7, 6, 0}), Tensor<T>({4, 0, 3, 3}), window).to_vector(), Each(0))
      << "a sum of no products";
}

TYPED_TEST(Convolution, RefusesKernelsThatDoNotFit) {
  using T = TypeParam;
  const Window window = {.size = 3, .stride = 2, .padding = 1};
  const Tensor<T> x({2, 7, 6, 3});
  EXPECT_EQ(error_of([&] {
              conv2d(x, Tensor<T>({4, 3, 5, 5}), window);
            }),
            "conv2d: kernel (4, 3, 5, 5) with a window of size 3, stride 2, padding 1: it must be "
            "(O, C, 3, 3)");
  for (const Shape& shape : {Shape{4, 3, 3, 2}, Shape{4, 3, 2, 3}, Shape{4, 27}, Shape{}}) {
    EXPECT_THAT(error_of([&] { conv2d(x, Tensor<T>(shape), window); }), HasSubstr("(O, C, 3, 3)"));
    EXPECT_THAT(error_of([&] { conv2d_transpose(x, Tensor<T>(shape), window, 13, 11); }),
                HasSubstr("(O, C, 3, 3)"));
  }
  EXPECT_THAT(error_of([&] { kernel_rows(x.reshape({2, 126})); }), HasSubstr("(O, C, K, K)"));
  EXPECT_EQ(error_of([&] {
              conv2d(x, Tensor<T>({4, 2, 3, 3}), window);
            }),
            "conv2d: images (2, 7, 6, 3) have 3 channels, but the kernel (4, 2, 3, 3) expects 2.");
  EXPECT_EQ(error_of([&] {
              conv2d(x, Tensor<T>({4, 7, 3, 3}), window);
            }),
            "conv2d: images (2, 7, 6, 3) have 3 channels, but the kernel (4, 7, 3, 3) expects 7. "
            "Of "
            "(N, C, H, W) take permute(x, {0, 2, 3, 1}).");
  EXPECT_EQ(error_of([&] {
              conv2d_transpose(x, Tensor<T>({4, 3, 3, 3}), window, 13, 11);
            }),
            "conv2d_transpose: maps (2, 7, 6, 3) have 3 channels, but the kernel (4, 3, 3, 3) "
            "expects 4");
  EXPECT_EQ(error_of([&] {
              conv2d(Tensor<T>({2, 1, 6, 3}), Tensor<T>({4, 3, 5, 5}), Window{5});
            }),
            "conv2d: images (2, 1, 6, 3) have no place for a window of size 5, stride 1, padding "
            "0; "
            "take a smaller one or more padding");
  EXPECT_THAT(error_of([&] {
                conv2d(Tensor<T>({2, 9}), Tensor<T>({4, 3, 3, 3}), window);
              }),
              HasSubstr("must be (N, H, W, C)"));
  EXPECT_THAT(error_of([&] {
                conv2d_naive(x, Tensor<T>({4, 2, 3, 3}), window);
              }),
              HasSubstr("3 channels"));
}

// An extent that has another number of places, or none.
TYPED_TEST(Convolution, TransposedRefusesExtentsWithOtherPlaces) {
  using T = TypeParam;
  const Window window = {.size = 3, .stride = 2, .padding = 1};
  const Tensor<T> maps({2, 14, 7, 4});
  const Tensor<T> kernel({4, 1, 3, 3});
  EXPECT_EQ(conv2d_transpose(maps, kernel, window, 27, 14).shape(), (Shape{2, 27, 14, 1}));
  EXPECT_EQ(conv2d_transpose(maps, kernel, window, 28, 13).shape(), (Shape{2, 28, 13, 1}));
  EXPECT_EQ(error_of([&] { conv2d_transpose(maps, kernel, window, 29, 14); }),
            "conv2d_transpose: maps (2, 14, 7, 4) to an extent of 29, with a window of size 3, "
            "stride 2, padding 1: 14 places are those of extents from 27 to 28");
  EXPECT_THAT(error_of([&] { conv2d_transpose(maps, kernel, window, 28, 15); }),
              HasSubstr("7 places are those of extents from 13 to 14"));
  for (Index none : {Index{0}, Index{-1}, Index{-1} << 62})
    EXPECT_THAT(error_of([&] { conv2d_transpose(maps, kernel, window, 28, none); }),
                HasSubstr("from 13 to 14"));
  EXPECT_THAT(error_of([&] {
                conv2d_transpose(maps.reshape({28, 28}), kernel, window, 28, 14);
              }),
              HasSubstr("(N, H', W', O)"));

  // One place of a single pixel, with two pixels of padding on each side: there are always more.
  const Window padding_only = {.size = 1, .stride = 1, .padding = 2};
  EXPECT_THAT(
      error_of([&] {
        conv2d_transpose(Tensor<T>({1, 1, 1, 1}), Tensor<T>({1, 1, 1, 1}), padding_only, 1, 1);
      }),
      HasSubstr("1 places are those of no extent at all"));

  // No places at all, and more pixels than can be counted.
  const Window plain = {.size = 3};
  EXPECT_THAT(error_of([&] {
                conv2d_transpose(Tensor<T>({1, 0, 4, 1}), Tensor<T>({1, 1, 3, 3}), plain, 2, 6);
              }),
              HasSubstr("0 places are those of no extent at all"));
  EXPECT_THAT(error_of([&] {
                conv2d_transpose(maps, kernel, window, std::numeric_limits<Index>::max(), 14);
              }),
              HasSubstr("from 27 to 28"));
}

// ---- Truths ------------------------------------------------------------------------------------

// How often each pixel is written to when 7 x 7 maps become 14 x 14: what a transposed convolution
// of ones gives.
std::map<int, int> touch_counts(Index size, Index padding) {
  const Window window = {.size = size, .stride = 2, .padding = padding};
  const auto counts =
      conv2d_transpose(ones<float>({1, 7, 7, 1}), ones<float>({1, 1, size, size}), window, 14, 14);
  std::map<int, int> histogram;
  for (float count : counts) ++histogram[static_cast<int>(count)];
  return histogram;
}

// Along one axis k3 touches 1, 2, 1, 2, ..., 2, 1, 1 times, and k4 1, 2, 2, ..., 2, 1.
TEST(TouchCounts, AreUnevenForThreeAndEvenForFour) {
  EXPECT_EQ(touch_counts(3, 1), (std::map<int, int>{{1, 64}, {2, 96}, {4, 36}}));
  EXPECT_EQ(touch_counts(4, 1), (std::map<int, int>{{1, 4}, {2, 48}, {4, 144}}));

  const Window three = {.size = 3, .stride = 2, .padding = 1};
  const auto line =
      conv2d_transpose(ones<float>({1, 7, 1, 1}), ones<float>({1, 1, 3, 3}), three, 14, 1);
  EXPECT_THAT(line.to_vector(), ElementsAre(1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1));
}

TEST(TouchCounts, OfFiveAreFourSixSixNineInside) {
  const Window five = {.size = 5, .stride = 2, .padding = 2};
  const auto counts =
      conv2d_transpose(ones<float>({1, 7, 7, 1}), ones<float>({1, 1, 5, 5}), five, 14, 14);
  EXPECT_EQ(counts(0, 5, 5, 0), 4);
  EXPECT_EQ(counts(0, 5, 6, 0), 6);
  EXPECT_EQ(counts(0, 6, 5, 0), 6);
  EXPECT_EQ(counts(0, 6, 6, 0), 9);
}

// (1 2 1)^T (-1 0 1): of j it is 8, of i 0, of i j 8 i, and of a step 4 on both sides of it.
TEST(Sobel, SeesWhatChangesAcross) {
  const Tensor<double> kernel({1, 1, 3, 3}, {-1, 0, 1, -2, 0, 2, -1, 0, 1});
  auto of = [&kernel](double (*f)(Index i, Index j)) {
    return conv2d(image_of<double>(6, 6, f), kernel, Window{3}).to_vector();
  };
  EXPECT_THAT(of([](Index, Index j) { return 1.0 * j; }), Each(8));
  EXPECT_THAT(of([](Index i, Index) { return 1.0 * i; }), Each(0));
  EXPECT_THAT(of([](Index i, Index j) { return 1.0 * i * j; }),
              ElementsAre(8, 8, 8, 8, 16, 16, 16, 16, 24, 24, 24, 24, 32, 32, 32, 32));
  EXPECT_THAT(of([](Index, Index j) { return j >= 3 ? 1.0 : 0.0; }),
              ElementsAre(0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0, 0, 4, 4, 0));
}

TEST(Delta, ShowsTheKernelTurnedOrAsItIs) {
  const Tensor<double> kernel({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const auto middle =
      image_of<double>(3, 3, [](Index i, Index j) { return i == 1 && j == 1 ? 1 : 0; });
  const Window same = {.size = 3, .padding = 1};
  EXPECT_THAT(conv2d(middle, kernel, same).to_vector(), ElementsAre(9, 8, 7, 6, 5, 4, 3, 2, 1));
  EXPECT_THAT(conv2d_transpose(middle, kernel, same, 3, 3).to_vector(),
              ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9));
}

// What is left of pixel (i, j) of a picture that goes on at the opposite side.
template <class F> auto rolled(const F& f, Index extent, Index down, Index across) {
  return [f, extent, down, across](Index i, Index j) {
    return f((i - down + 2 * extent) % extent, (j - across + 2 * extent) % extent);
  };
}

double picture(Index i, Index j) { return (7 * i * i + 3 * i * j + 5 * j + i * j * j) % 23; }

TEST(Equivariance, OfAPictureWithoutBorderIsExact) {
  constexpr Index kExtent = 12;
  const auto kernel = whole_numbers<double>({3, 1, 3, 3}, 9);
  // The picture with a border of one pixel on each side, taken from the opposite side.
  auto map_of = [&kernel](Index down, Index across) {
    const auto bordered = rolled(picture, kExtent, down + 1, across + 1);
    return conv2d(image_of<double>(kExtent + 2, kExtent + 2, bordered), kernel, Window{3});
  };
  const auto map = map_of(0, 0);
  const auto moved = map_of(2, 3);
  for (Index i = 0; i < kExtent; ++i)
    for (Index j = 0; j < kExtent; ++j)
      for (Index o = 0; o < 3; ++o)
        ASSERT_EQ(moved(0, (i + 2) % kExtent, (j + 3) % kExtent, o), map(0, i, j, o));
}

// Two layers with steps of two: where no window sees the border, 4 pixels are one place.
TEST(Equivariance, OfTwoHalvingsMovesByOneForFourPixels) {
  const Window window = {.size = 4, .stride = 2, .padding = 1};
  const auto first = whole_numbers<double>({2, 1, 4, 4}, 10);
  const auto second = whole_numbers<double>({3, 2, 4, 4}, 11);
  auto map_of = [&](Index down) {
    const auto image = image_of<double>(28, 28, rolled(picture, 28, down, 0));
    return conv2d(conv2d(image, first, window), second, window);
  };
  const auto map = map_of(0);
  const auto moved = map_of(4);
  for (Index i = 2; i <= 5; ++i)  // place i sees the pixels from 4 i - 3 to 4 i + 6
    for (Index j = 1; j <= 5; ++j)
      for (Index o = 0; o < 3; ++o) ASSERT_EQ(moved(0, i, j, o), map(0, i - 1, j, o));
  EXPECT_NE(moved(0, 3, 3, 0), map(0, 3, 3, 0)) << "else the test would see nothing";
}

// The pixels that one place in the middle of the second map depends on: those that the adjoint of
// positive kernels reaches.
TEST(ReceptiveField, IsTenPixelsForFourAndSevenForThree) {
  for (const auto& [size, first, second] : {std::tuple{4, 4, 10}, std::tuple{3, 3, 7}}) {
    const Window window = {.size = size, .stride = 2, .padding = 1};
    const auto kernel = ones<float>({1, 1, size, size});
    const auto place = image_of<float>(7, 7, [](Index i, Index j) { return i == 3 && j == 3; });
    const auto in_first_map = conv2d_transpose(place, kernel, window, 14, 14);
    const auto in_image = conv2d_transpose(in_first_map, kernel, window, 28, 28);
    auto seen = [](const Tensor<float>& x) {
      return std::count_if(x.begin(), x.end(), [](float v) { return v > 0; });
    };
    EXPECT_EQ(seen(in_first_map), first * first);
    EXPECT_EQ(seen(in_image), second * second);
  }
}

// The four Haar kernels are an orthonormal basis of 2 x 2 pixels: there and back is the identity.
TEST(Haar, IsUndoneByItsTranspose) {
  const Tensor<double> kernel({4, 1, 2, 2}, {0.5, 0.5, 0.5, 0.5, 0.5, -0.5, 0.5, -0.5,  //
                                             0.5, 0.5, -0.5, -0.5, 0.5, -0.5, -0.5, 0.5});
  const Window window = {.size = 2, .stride = 2};
  const auto x = whole_numbers<double>({3, 8, 6, 1}, 12);
  EXPECT_EQ(conv2d_transpose(conv2d(x, kernel, window), kernel, window, 8, 6).to_vector(),
            x.to_vector());
}

}  // namespace
}  // namespace gradus
