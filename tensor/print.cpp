#include <cmath>
#include <cstdlib>

#include "tensor/tensor.hpp"

namespace gradus {
namespace {
constexpr Index kMaxPrinted = 1000;  // elements; beyond that each axis shows only its ends
constexpr Index kEdge = 3;
constexpr int kMaxDigits = 8;  // after the point
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

template <class T> struct Printer {
  const Tensor<T>& x;
  const bool shortened = x.size() > kMaxPrinted;
  bool scientific = false;
  int digits = 0;               // after the point, at the most
  std::size_t width = 0;        // of a number
  bool long_exponents = false;  // of three digits
  std::string out{};

  // Calls f(element) for what is printed. `run` is the number of elements from `axis` on.
  template <class F> void visit(int axis, Index offset, Index run, const F& f) {
    if (axis == x.rank()) return f(x.data()[offset]);
    const Index n = x.shape()[axis];
    for (Index i = 0; i < n; ++i)
      if (!shortened || i < kEdge || i >= n - kEdge)
        visit(axis + 1, offset + i * (run / n), run / n, f);
  }

  std::string number(T v) const {
    if (!std::isfinite(v)) return std::isnan(v) ? "nan" : v < 0 ? "-inf" : "inf";
    // Mantissas are padded with zeros, decimals with blanks, and a whole number ends in a point.
    if (scientific) {
      std::string text = fmt::format("{:#.{}e}", v, digits);
      if (long_exponents && text.end()[-4] == 'e') text.insert(text.size() - 2, 1, '0');
      return text;
    }
    const int own = digits_needed(v, false);
    return fmt::format("{:#.{}f}", v, own) + std::string(digits - own, ' ');
  }

  void print(int axis, Index offset, Index run) {
    if (axis == x.rank())
      return void(out += fmt::format("{:>{}}", number(x.data()[offset]), width));
    const Index n = x.shape()[axis];
    const std::string indent(axis + 1, ' ');
    const bool last = axis == x.rank() - 1;
    const std::string next_line = std::string(x.rank() - axis - 1, '\n') + indent;
    out += '[';
    for (Index i = 0; i < n; ++i) {
      const bool gap = shortened && n > 2 * kEdge && i == kEdge;
      const std::size_t column = out.size() - (out.rfind('\n') + 1), next = gap ? 3 : width;
      if (i > 0 && last && column + 1 + next > kLineWidth - axis - 1) {
        out.erase(out.find_last_not_of(' ') + 1);
        out += "\n" + indent;
      } else if (i > 0) {
        out += last ? " " : next_line;
      }
      if (gap) {
        out += "...";
        i = n - kEdge - 1;
      } else {
        print(axis + 1, offset + i * (run / n), run / n);
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
  printer.visit(0, 0, x.size(), [&](T v) {
    if (v == 0 || !std::isfinite(v)) return;
    least = std::min(least, std::fabs(v));
    most = std::max(most, std::fabs(v));
  });
  printer.long_exponents = most >= 1e100 || least < 1e-99;
  printer.scientific = most > 0 && (most >= 1e8 || least < 1e-4 || most / least > 1e3);
  printer.visit(0, 0, x.size(), [&](T v) {
    if (std::isfinite(v))
      printer.digits = std::max(printer.digits, digits_needed(v, printer.scientific));
  });
  printer.visit(0, 0, x.size(),
                [&](T v) { printer.width = std::max(printer.width, printer.number(v).size()); });
  printer.print(0, 0, x.size());
  return printer.out;
}

template std::string to_string(const Tensor<float>&);
template std::string to_string(const Tensor<double>&);
}  // namespace gradus
