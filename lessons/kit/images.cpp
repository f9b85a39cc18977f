#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "lessons/kit/figures.hpp"
#include "lessons/kit/script.hpp"
#include "tensor/error.hpp"

// Grids of images.
namespace gradus::kit {
namespace {

constexpr double kCaption = style::kSmall * style::kLeading;

// n images of height x width pixels in rows and columns.
struct ImageGrid {
  Index n, height, width, rows, columns;
};

// Throws Error where the pixels are no images, or the captions not as many as what they stand at.
ImageGrid image_grid(const std::string& figure, const Shape& shape, const ImageText& text) {
  Index height = 0, width = 0;
  if (shape.rank() == 3) {
    height = shape[1];
    width = shape[2];
  } else if (shape.rank() == 2) {
    height = width = std::llround(std::sqrt(static_cast<double>(shape[1])));
  }
  if (shape.size() == 0 || shape.size() != shape[0] * height * width)
    fail("figure {}: {} is no shape of images: it takes (n, height, width), or (n, side * side)",
         figure, shape);
  const Index n = shape[0], columns = std::min(text.columns, n);
  if (columns < 1) fail("figure {}: there must be at least one column", figure);
  const Index rows = (n + columns - 1) / columns;
  const auto check = [&](const std::vector<std::string>& captions, Index wanted, const char* what) {
    if (!captions.empty() && std::ssize(captions) != wanted)
      fail("figure {}: {} captions for {} {}", figure, captions.size(), wanted, what);
  };
  check(text.captions, n, "images");
  check(text.row_captions, rows, "rows");
  check(text.column_captions, columns, "columns");
  return {n, height, width, rows, columns};
}

// Where images lie in the figure, in its pixels.
struct ImageLayout {
  double left, top;              // the corner of the first image
  double scale;                  // of one pixel of an image
  double w, h;                   // of an image
  double column_step, row_step;  // from one image to the next
  double grid_width, grid_height;
  double figure_width, figure_height;
  Index columns;

  // The corner of image i, from that of the first.
  std::pair<double, double> at(Index i) const {
    return {static_cast<double>(i % columns) * column_step,
            static_cast<double>(i / columns) * row_step};
  }
};

// Every pixel of an image is a square of a whole number of pixels of the figure.
ImageLayout image_layout(const ImageGrid& grid, const ImageText& text) {
  constexpr double kGap = 8;
  ImageLayout layout;
  layout.columns = grid.columns;
  layout.left = style::kMargin +
                (text.row_captions.empty() ? 0 : widest(text.row_captions, style::kSmall) + 16);
  const double room =
      style::kWidth - layout.left - style::kMargin - kGap * static_cast<double>(grid.columns - 1);
  layout.scale =
      std::clamp(std::floor(room / static_cast<double>(grid.columns * grid.width)), 1.0, 8.0);
  layout.w = layout.scale * static_cast<double>(grid.width);
  layout.h = layout.scale * static_cast<double>(grid.height);
  layout.column_step = layout.w + kGap;
  layout.row_step = layout.h + kGap + (text.captions.empty() ? 0 : kCaption);
  layout.top = header(text.note) + (text.captions.empty() ? 0 : kCaption) +
               (text.column_captions.empty() ? 0 : kCaption);
  layout.grid_width = static_cast<double>(grid.columns) * layout.column_step - kGap;
  layout.grid_height =
      static_cast<double>(grid.rows) * layout.row_step - (layout.row_step - layout.h);
  const double title_width = 1.05 * text_width(text.title, style::kTitle);  // it is bold
  const double note_width = text_width(text.note, style::kSmall);
  layout.figure_width = std::max({layout.left + layout.grid_width, style::kMargin + title_width,
                                  style::kMargin + note_width}) +
                        style::kMargin;
  const double legend = text.signed_values ? 70 : 0;
  layout.figure_height = layout.top + layout.grid_height + legend + style::kMargin;
  return layout;
}

void draw_captions(Script& script, const ImageText& text, const ImageLayout& layout) {
  const double left = layout.left, top = layout.top;
  for (Index i = 0; i < std::ssize(text.captions); ++i) {
    const auto [x, y] = layout.at(i);
    script.text(left + x + layout.w / 2, top + y - kCaption / 2, text.captions[i], style::kSmall,
                style::kPale, "center");
  }
  for (Index i = 0; i < std::ssize(text.row_captions); ++i) {
    const auto [x, y] = layout.at(i * layout.columns);
    script.text(left - 16, top + y + layout.h / 2, text.row_captions[i], style::kSmall, style::kInk,
                "right");
  }
  for (Index i = 0; i < std::ssize(text.column_captions); ++i) {
    const auto [x, y] = layout.at(i);
    script.text(left + x + layout.w / 2, header(text.note) + kCaption / 2 - 4,
                text.column_captions[i], style::kSmall, style::kInk, "center");
  }
}

// The largest of the absolute values that are finite, or 1 where all are 0.
template <class T> double largest_value(const Tensor<T>& pixels) {
  double most = 0;
  for (T v : pixels)
    if (std::isfinite(v)) most = std::max(most, std::abs(static_cast<double>(v)));
  return most == 0 ? 1 : most;
}

// A pixel as a whole number, which keeps the script short: from -127 to 127 where it is signed, for
// -most to most; otherwise from 0 to 255.
double whole_pixel(double v, bool is_signed, double most) {
  if (!std::isfinite(v)) return std::numeric_limits<double>::quiet_NaN();
  if (is_signed) return std::round(127 * v / most);
  return std::round(255 * std::clamp(v, 0.0, 1.0));
}

template <class T>
void write_pixels(Script& script, const Tensor<T>& pixels, const ImageGrid& grid, bool is_signed,
                  double most) {
  std::vector<std::vector<double>> matrix(grid.height, std::vector<double>(grid.width));
  for (Index i = 0; i < grid.n; ++i) {
    for (Index r = 0; r < grid.height; ++r)
      for (Index c = 0; c < grid.width; ++c) {
        const double v = pixels.data()[(i * grid.height + r) * grid.width + c];
        matrix[r][c] = whole_pixel(v, is_signed, most);
      }
    script.data(fmt::format("image{}", i), matrix);
  }
}

void set_grey(Script& script) {
  script.line("set palette defined (0 'black', 1 'white')");
  script.line("set cbrange [0:255]");
  script.line("unset colorbox");
}

// The colours of signed values, and a bar that says what they mean.
void set_signed(Script& script, const ImageLayout& layout, double most) {
  constexpr double kBarWidth = 300, kBarHeight = 24;
  script.line("set palette defined ({})", style::kDiverging);
  script.line("set cbrange [-127:127]");
  const std::string low = fmt::format("−{:.2g}", most), high = fmt::format("{:.2g}", most);
  const double x = layout.left + text_width(low, style::kSmall) + 8;
  const double y = layout.figure_height - style::kMargin - kBarHeight / 2;
  script.line(
      "set colorbox horizontal user origin screen {:.6f},{:.6f} size screen {:.6f},{:.6f} "
      "noborder",
      x / layout.figure_width, 1 - (y + kBarHeight / 2) / layout.figure_height,
      kBarWidth / layout.figure_width, kBarHeight / layout.figure_height);
  script.line("unset cbtics");
  script.text(x - 12, y, low, style::kSmall, style::kPale, "right");
  script.text(x + kBarWidth + 12, y, high, style::kSmall, style::kPale);
}

}  // namespace

template <class T>
void images(Lesson& lesson, const std::string& name, const ImageText& text,
            const Tensor<T>& pixels) {
  const ImageGrid grid = image_grid(name, pixels.shape(), text);
  const ImageLayout layout = image_layout(grid, text);
  Script script(lesson, name, layout.figure_width, layout.figure_height);
  script.frame({layout.left, layout.left + layout.grid_width, layout.top,
                layout.top + layout.grid_height},
               text.title, text.note);
  draw_captions(script, text, layout);
  const double most = text.signed_values ? largest_value(pixels) : 1;
  write_pixels(script, pixels, grid, text.signed_values, most);

  script.line("unset border");
  script.line("unset tics");
  script.line("set xrange [0:{}]", layout.grid_width);
  script.line("set yrange [{}:0]", layout.grid_height);
  if (text.signed_values)
    set_signed(script, layout, most);
  else
    set_grey(script);
  std::vector<std::string> parts;
  for (Index i = 0; i < grid.n; ++i) {
    const auto [x, y] = layout.at(i);
    script
        .line("set object rectangle from {},{} to {},{} front fillstyle empty border rgb '#bbbbbb'",
              x, y, x + layout.w, y + layout.h);
    parts.push_back(
        fmt::format("$image{} matrix using ({}+($1+0.5)*{}):({}+($2+0.5)*{}):3 with image", i, x,
                    layout.scale, y, layout.scale));
  }
  script.plot(parts);
  script.finish();
}

template void images(Lesson&, const std::string&, const ImageText&, const Tensor<float>&);
template void images(Lesson&, const std::string&, const ImageText&, const Tensor<double>&);

}  // namespace gradus::kit
