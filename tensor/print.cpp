#include "tensor/tensor.hpp"
#include <cmath>

namespace gradus {
namespace {
constexpr Index kMostPrinted = 1000;  // elements; beyond that each axis shows only its ends
constexpr Index kEdge = 3;
constexpr int kMostDigits = 8;  // after the point
constexpr std::size_t kLineWidth = 75;

// The least number of digits after the point with which v reads back, and v with so many.
template <class T> int digits_needed(T v, bool scientific) {
  int digits = 0;
  auto text = [&] {
    return fmt::format(fmt::runtime(scientific ? "{:.{}e}" : "{:.{}f}"), v, digits);
  };
  while (digits < kMostDigits && static_cast<T>(std::stod(text())) != v) ++digits;
  return digits;
}

template <class T> struct Printer {
  const Tensor<T>& x;
  const bool shortened = x.size() > kMostPrinted;
  bool scientific = false;
  int digits = 0;         // after the point, at the most
  std::size_t width = 0;  // of a number
  std::string out{};

  // Calls f(element) for what is printed, and skip() where something is left out.
  template <class F> void visit(int axis, Index offset, const F& f) {
    if (axis == x.rank()) return f(x.data()[offset]);
    const Index n = x.shape()[axis];
    Index stride = 1;
    for (int k = axis + 1; k < x.rank(); ++k) stride *= x.shape()[k];
    for (Index i = 0; i < n; ++i)
      if (!shortened || i < kEdge || i >= n - kEdge) visit(axis + 1, offset + i * stride, f);
  }

  std::string number(T v) const {
    if (!std::isfinite(v)) return fmt::format("{}", v);
    // Mantissas are padded with zeros, decimals with blanks, and a whole number ends in a point.
    if (scientific) return fmt::format("{:#.{}e}", v, digits);
    const int own = digits_needed(v, false);
    return fmt::format("{:#.{}f}", v, own) + std::string(digits - own, ' ');
  }

  void print(int axis, Index offset) {
    if (axis == x.rank())
      return void(out += fmt::format("{:>{}}", number(x.data()[offset]), width));
    const Index n = x.shape()[axis];
    const std::string indent(axis + 1, ' ');
    const bool last = axis == x.rank() - 1;
    const std::string next_line = std::string(x.rank() - axis - 1, '\n') + indent;
    Index stride = 1;
    for (int k = axis + 1; k < x.rank(); ++k) stride *= x.shape()[k];
    out += '[';
    for (Index i = 0; i < n; ++i) {
      const std::size_t column = out.size() - (out.rfind('\n') + 1);
      if (i > 0)
        out += !last ? next_line : column + 1 + width > kLineWidth - axis - 1 ? "\n" + indent : " ";
      if (shortened && n > 2 * kEdge && i == kEdge) {
        out += "...";
        i = n - kEdge - 1;
      } else {
        print(axis + 1, offset + i * stride);
      }
    }
    out += ']';
  }
};
}  // namespace

template <class T> std::string to_string(const Tensor<T>& x) {
  if (x.empty()) return fmt::format("[] of shape {}", x.shape());
  Printer<T> printer{x};
  T least = INFINITY, most = 0;
  printer.visit(0, 0, [&](T v) {
    if (v == 0 || !std::isfinite(v)) return;
    least = std::min(least, std::fabs(v));
    most = std::max(most, std::fabs(v));
  });
  printer.scientific = most > 0 && (most >= 1e8 || least < 1e-4 || most / least > 1e3);
  printer.visit(0, 0, [&](T v) {
    if (std::isfinite(v))
      printer.digits = std::max(printer.digits, digits_needed(v, printer.scientific));
  });
  printer.visit(0, 0,
                [&](T v) { printer.width = std::max(printer.width, printer.number(v).size()); });
  printer.print(0, 0);
  return printer.out;
}

template std::string to_string(const Tensor<float>&);
template std::string to_string(const Tensor<double>&);
}  // namespace gradus
