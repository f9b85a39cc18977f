#pragma once
#include <charconv>
#include <cstring>
#include <string>

#include "tensor/error.hpp"
#include "tensor/shape.hpp"

namespace gradus::benchmarks {
// A program's argument k, or what it is without one. Throws Error with the usage when it is no
// number, or below `least`.
inline Index argument(int argc, char** argv, int k, const char* what, Index otherwise, Index least,
                      const std::string& usage) {
  if (argc <= k) return otherwise;
  Index n = 0;
  const char* end = argv[k] + std::strlen(argv[k]);
  const auto [stop, problem] = std::from_chars(argv[k], end, n);
  if (problem != std::errc() || stop != end || n < least)
    fail("{} is '{}': give a whole number from {}.\nusage: {}", what, argv[k], least, usage);
  return n;
}
}  // namespace gradus::benchmarks
