#pragma once
#include <algorithm>
#include <clocale>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <limits>
#include <locale>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/error.hpp"
#include "tensor/tensor.hpp"
#include "tests/files.hpp"

// What the tests of tensor/ share: none of it uses what it helps to test, beyond building a Tensor
// from its numbers.
namespace gradus::test {

// The message of the Error that f throws, or "nothing was thrown".
template <class F> std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

// While it is alive, numbers are written with a decimal comma and points between thousands, by C as
// well as by C++. For C that takes a locale which the system has or which localedef can make.
class OtherLocale {
 public:
  OtherLocale() {
    std::string pattern = std::filesystem::temp_directory_path() / "gradus_locale_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    if (!std::setlocale(LC_ALL, "de_DE.UTF-8")) {
      const std::string made = directory_ / "de_DE.UTF-8";
      const std::string command = "localedef -i de_DE -f UTF-8 '" + made + "' >/dev/null 2>&1";
      [[maybe_unused]] const int status = std::system(command.c_str());
      setenv("LOCPATH", directory_.c_str(), 1);
      std::setlocale(LC_ALL, "de_DE.UTF-8");
      unsetenv("LOCPATH");
    }
    before_ = std::locale::global(std::locale(std::locale::classic(), new Commas));
  }

  ~OtherLocale() {
    std::locale::global(before_);
    std::setlocale(LC_ALL, "C");
    std::filesystem::remove_all(directory_);
  }

  OtherLocale(const OtherLocale&) = delete;
  OtherLocale& operator=(const OtherLocale&) = delete;

  // Whether C writes one too.
  bool has_decimal_comma() const { return std::string(std::localeconv()->decimal_point) == ","; }

 private:
  struct Commas : std::numpunct<char> {
    char do_decimal_point() const override { return ','; }

    char do_thousands_sep() const override { return '.'; }

    std::string do_grouping() const override { return "\3"; }
  };

  std::filesystem::path directory_;
  std::locale before_;
};

// A tensor of numbers that `draw(engine)` gives.
template <class T, class Draw> Tensor<T> drawn(const Shape& shape, unsigned seed, Draw draw) {
  std::mt19937 engine(seed);
  std::vector<T> values(shape.size());
  for (T& value : values) value = static_cast<T>(draw(engine));
  return Tensor<T>(shape, values);
}

// Whole numbers from -bound to bound: their sums and products are exact, so that results can be
// compared with ==.
template <class T> Tensor<T> whole_numbers(const Shape& shape, unsigned seed, int bound = 9) {
  return drawn<T>(shape, seed, [bound](std::mt19937& engine) {
    return static_cast<int>(engine() % (2 * bound + 1)) - bound;
  });
}

template <class T> Tensor<T> gaussian_numbers(const Shape& shape, unsigned seed) {
  return drawn<T>(shape, seed, std::normal_distribution<double>());
}

// The multi-index of element `i` of a shape.
inline std::vector<Index> unravel(Index i, const std::vector<Index>& extents) {
  std::vector<Index> indices(extents.size());
  for (std::size_t axes = extents.size(); axes > 0; --axes) {
    indices[axes - 1] = i % extents[axes - 1];
    i /= extents[axes - 1];
  }
  return indices;
}

inline Index ravel(const std::vector<Index>& indices, const std::vector<Index>& extents) {
  Index i = 0;
  for (std::size_t k = 0; k < extents.size(); ++k) i = i * extents[k] + indices[k];
  return i;
}

inline std::vector<Index> extents_of(const Shape& shape) { return {shape.begin(), shape.end()}; }

// <x, y>, of tensors of one shape.
template <class T> double inner_product(const Tensor<T>& x, const Tensor<T>& y) {
  EXPECT_EQ(x.shape(), y.shape());
  double sum = 0;
  for (Index i = 0; i < x.size(); ++i) sum += double{x.data()[i]} * double{y.data()[i]};
  return sum;
}

// How far `got` is from the exact value, in units in the last place of the exact value: those of
// the denormal numbers below the normal ones. Infinity counts as the number after the largest.
template <class T> double ulps(T got, long double exact) {
  using Limits = std::numeric_limits<T>;
  if (std::isnan(exact)) return std::isnan(got) ? 0 : INFINITY;
  if (std::isinf(exact)) return got == static_cast<T>(exact) ? 0 : INFINITY;
  const long double above = std::ldexp(1.0L, Limits::max_exponent);
  const long double y = std::isinf(got) ? std::copysign(above, got) : got;
  exact = std::clamp(exact, -above, above);
  const int exponent =
      std::max(exact == 0 ? Limits::min_exponent : std::ilogb(exact), Limits::min_exponent - 1);
  return static_cast<double>(std::fabs(y - exact) /
                             std::ldexp(1.0L, exponent - Limits::digits + 1));
}

// Runs f in a child process and returns what becomes of it: "Error: " and the message, "another
// exception: " and its message, "returned", or "ended by signal 11".
inline std::string outcome_in_child_process(const std::function<void()>& f) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  const pid_t child = fork();
  if (child == 0) {
    std::string text = "returned";
    try {
      f();
    } catch (const Error& error) {
      text = std::string("Error: ") + error.what();
    } catch (const std::exception& error) {
      text = std::string("another exception: ") + error.what();
    }
    _exit(write(ends[1], text.data(), text.size()) == std::ssize(text) ? 0 : 1);
  }
  close(ends[1]);
  std::string text;
  char buffer[4096];
  while (true) {
    const ssize_t n = read(ends[0], buffer, sizeof(buffer));
    if (n <= 0) break;
    text.append(buffer, n);
  }
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return "ended by signal " + std::to_string(WTERMSIG(status));
  return WEXITSTATUS(status) == 0 ? text : "exited with " + std::to_string(WEXITSTATUS(status));
}

template <class T> struct FloatAndDouble : ::testing::Test {};

using Scalars = ::testing::Types<float, double>;

}  // namespace gradus::test
