#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
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

// The smallest number of digits after the point with which v reads back, or reads back as well as
// with kMaxDigits.
template <class T> int digits_needed(T v, bool scientific) {
  auto read_back = [v, scientific](int digits) {
    const auto format = fmt::runtime(scientific ? "{:.{}e}" : "{:.{}f}");
    const std::string text = fmt::format(format, v, digits);
    double number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);  // in no locale
    return static_cast<T>(number);
  };

  const T best = read_back(kMaxDigits);
  for (int digits = 0; digits < kMaxDigits; ++digits) {
    const T read = read_back(digits);
    if (read == v || read == best) return digits;
  }
  return kMaxDigits;
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

// Writes one tensor into a string, recursively: (axis, offset, size) is a part of the tensor in
// which the indices of the first `axis` axes are fixed. It has `size` elements, from `offset` on.
// For axis 0 that is the whole tensor, for axis x.rank() one element.
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
  // Whether index i of an axis of extent n is not printed.
  bool left_out(Index i, Index n) const { return shortened_ && i >= kEdge && i < n - kEdge; }

  // Calls f(element) for each element that is printed.
  template <class F> void for_each_printed(const F& f) const {
    for_each_printed(0, 0, x_.size(), f);
  }

  template <class F> void for_each_printed(int axis, Index offset, Index size, const F& f) const {
    if (axis == x_.rank()) {
      f(x_.data()[offset]);
      return;
    }

    const Index n = x_.shape()[axis];
    for (Index i = 0; i < n; ++i) {
      if (!left_out(i, n)) for_each_printed(axis + 1, offset + i * (size / n), size / n, f);
    }
  }

  // Exponents are written when the numbers are very large, very small, or far apart: NumPy's rule.
  void choose_style() {
    T smallest = std::numeric_limits<T>::infinity();
    T largest = 0;
    for_each_printed([&smallest, &largest](T v) {
      if (v == 0 || !std::isfinite(v)) return;
      smallest = std::min(smallest, std::fabs(v));
      largest = std::max(largest, std::fabs(v));
    });
    style_.long_exponents = largest >= 1e100 || smallest < 1e-99;
    style_.scientific =
        largest > 0 && (largest >= 1e8 || smallest < 1e-4 || largest / smallest > 1e3);

    for_each_printed([this](T v) {
      if (!std::isfinite(v)) return;
      style_.digits = std::max(style_.digits, digits_needed(v, style_.scientific));
    });

    for_each_printed(
        [this](T v) { style_.width = std::max(style_.width, format_number(v, style_).size()); });
  }

  void print(int axis, Index offset, Index size) {
    if (axis == x_.rank()) {
      out_ += fmt::format("{:>{}}", format_number(x_.data()[offset], style_), style_.width);
      return;
    }

    const std::string dots = "...";
    const Index n = x_.shape()[axis];
    out_ += '[';
    for (Index i = 0; i < n; ++i) {
      const bool is_left_out = left_out(i, n);
      if (is_left_out && i > kEdge) continue;  // the first one's dots stand for all

      if (i > 0) separate(axis, is_left_out ? dots.size() : style_.width);
      if (is_left_out)
        out_ += dots;
      else
        print(axis + 1, offset + i * (size / n), size / n);
    }
    out_ += ']';
  }

  // Writes what stands between neighbours along an axis. Along the last axis these are numbers: a
  // blank, or the end of the line where the next number, `width` wide, would not fit. Along the
  // axis before they are rows: the end of the line; and one more empty line for each axis further
  // out.
  void separate(int axis, std::size_t width) {
    const std::string indent(axis + 1, ' ');
    const int inner_axes = x_.rank() - 1 - axis;
    if (inner_axes > 0) {
      out_ += std::string(inner_axes, '\n') + indent;
      return;
    }

    const std::size_t column = out_.size() - (out_.rfind('\n') + 1);
    const std::size_t brackets = axis + 1;  // that may close after the number
    if (column + 1 + width > kLineWidth - brackets) {
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
