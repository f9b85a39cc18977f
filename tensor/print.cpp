#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "tensor/tensor.hpp"

namespace gradus {
namespace {
constexpr Index kMaxPrinted = 1000;  // elements; beyond that each axis shows only its ends
constexpr Index kEdge = 3;           // elements at each end
constexpr int kMaxDigits = 8;        // after the point
constexpr std::size_t kLineWidth = 75;

// The least number of digits after the point with which v reads back.
template <class T> int digits_needed(T v, bool scientific) {
  auto read_back = [&](int n) {
    const auto format = fmt::runtime(scientific ? "{:.{}e}" : "{:.{}f}");
    return static_cast<T>(std::strtod(fmt::format(format, v, n).c_str(), nullptr));
  };
  int n = 0;
  while (read_back(n) != v && read_back(n) != read_back(kMaxDigits)) ++n;
  return n;
}

// How the numbers of one tensor are written, so that they align.
struct Style {
  bool scientific = false;
  bool long_exponents = false;  // of three digits
  int digits = 0;               // after the point, at the most
  std::size_t width = 0;        // of the longest number
};

template <class T> std::string format_number(T v, const Style& style) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v < 0 ? "-inf" : "inf";

  // Mantissas are padded with zeros, decimals with blanks, and a whole number ends in a point.
  if (style.scientific) {
    std::string text = fmt::format("{:#.{}e}", v, style.digits);
    if (style.long_exponents && text.end()[-4] == 'e') text.insert(text.size() - 2, 1, '0');
    return text;
  }
  const int own = digits_needed(v, false);
  return fmt::format("{:#.{}f}", v, own) + std::string(style.digits - own, ' ');
}

// Writes one tensor into a string. In what follows, the part of the tensor that begins at `offset`
// and has `run` elements is an entry of axis `axis - 1`: the whole tensor, a row, ..., an element.
template <class T> class Printer {
 public:
  explicit Printer(const Tensor<T>& x) : x_(x), shortened_(x.size() > kMaxPrinted) {
    choose_style();
  }

  std::string print() {
    print(0, 0, x_.size());
    return out_;
  }

 private:
  // Calls f(element) for what is printed of x.
  template <class F> void for_each_printed(const F& f) const { visit(0, 0, x_.size(), f); }

  template <class F> void visit(int axis, Index offset, Index run, const F& f) const {
    if (axis == x_.rank()) {
      f(x_.data()[offset]);
      return;
    }
    const Index n = x_.shape()[axis];
    for (Index i = 0; i < n; ++i) {
      const bool left_out = shortened_ && i >= kEdge && i < n - kEdge;
      if (!left_out) visit(axis + 1, offset + i * (run / n), run / n, f);
    }
  }

  void choose_style() {
    T least = std::numeric_limits<T>::infinity();
    T most = 0;
    for_each_printed([&](T v) {
      if (v == 0 || !std::isfinite(v)) return;
      least = std::min(least, std::fabs(v));
      most = std::max(most, std::fabs(v));
    });
    style_.long_exponents = most >= 1e100 || least < 1e-99;
    style_.scientific = most > 0 && (most >= 1e8 || least < 1e-4 || most / least > 1e3);

    for_each_printed([&](T v) {
      if (!std::isfinite(v)) return;
      style_.digits = std::max(style_.digits, digits_needed(v, style_.scientific));
    });

    for_each_printed(
        [&](T v) { style_.width = std::max(style_.width, format_number(v, style_).size()); });
  }

  void print(int axis, Index offset, Index run) {
    if (axis == x_.rank()) {
      out_ += fmt::format("{:>{}}", format_number(x_.data()[offset], style_), style_.width);
      return;
    }

    const Index n = x_.shape()[axis];
    out_ += '[';
    for (Index i = 0; i < n; ++i) {
      const bool gap = shortened_ && n > 2 * kEdge && i == kEdge;
      if (i > 0) separate(axis, gap ? 3 : style_.width);
      if (gap) {
        out_ += "...";
        i = n - kEdge - 1;
      } else {
        print(axis + 1, offset + i * (run / n), run / n);
      }
    }
    out_ += ']';
  }

  // What stands between two entries of an axis: a blank between numbers, or the end of a line if
  // the next one, of that width, would not fit; lines between rows, and more of them further out.
  void separate(int axis, std::size_t width) {
    const std::string indent(axis + 1, ' ');
    const int inner_axes = x_.rank() - 1 - axis;
    if (inner_axes > 0) {
      out_ += std::string(inner_axes, '\n') + indent;
      return;
    }

    const std::size_t column = out_.size() - (out_.rfind('\n') + 1);
    if (column + 1 + width > kLineWidth - axis - 1) {
      out_.erase(out_.find_last_not_of(' ') + 1);
      out_ += "\n" + indent;
    } else {
      out_ += ' ';
    }
  }

  const Tensor<T>& x_;
  const bool shortened_;
  Style style_;
  std::string out_;
};
}  // namespace

template <class T> std::string to_string(const Tensor<T>& x) {
  if (x.empty()) return fmt::format("[] of shape {}", x.shape());
  return Printer<T>(x).print();
}

template std::string to_string(const Tensor<float>&);
template std::string to_string(const Tensor<double>&);
}  // namespace gradus
