#pragma once
#include <stdexcept>

#include <fmt/format.h>

namespace gradus {
// What Gradus throws for everything that a caller can do wrong: the message names the operation,
// the shapes and the axis, and says what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws Error with a formatted message: fail("{}: {} is not a matrix", operation, shape).
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::vformat(format, fmt::make_format_args(args...)));
}
}  // namespace gradus
