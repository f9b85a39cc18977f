#pragma once
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tensor/shape.hpp"
#include "tensor/tensor.hpp"

namespace gradus {
// The x with P(z <= x) = p for a standard normal z: the inverse of its distribution function, to
// about 1e-15 relative. -infinity at 0 and +infinity at 1. Throws Error outside [0, 1].
// Source: M. Wichura, Algorithm AS 241, Applied Statistics 37 (1988), 477-484, PPND16.
double normal_quantile(double p);

// A source of random numbers, always passed in by the caller. The same seed gives the same numbers
// on every platform: the engine is fixed by the C++ standard, and what is computed from its output
// uses only operations that IEEE 754 fixes.
//
// Thread safety: none; a thread needs an Rng of its own.
class Rng {
 public:
  explicit Rng(std::uint64_t seed) : engine_(seed) {}

  // Uniform on [low, high), in steps of 2^-53 (high - low), rounded; low where high is the same.
  // Throws Error unless low <= high and both are finite.
  double uniform(double low = 0, double high = 1);

  // Standard normal: the quantile of a uniform number from inside (0, 1).
  double normal();

  // Uniform on {0, ..., n - 1}. Throws Error unless n > 0.
  Index integer(Index n);

  // A tensor of uniform numbers, rounded to T: from [low, high) as these are when rounded. Throws
  // Error as the other does.
  template <class T> Tensor<T> uniform(const Shape& shape, double low = 0, double high = 1);

  // A tensor of standard normal numbers.
  template <class T> Tensor<T> normal(const Shape& shape);

  // `count` numbers, each uniform on {0, ..., n - 1}. Throws Error when count is negative, or when
  // there are any and n is not positive, and when memory is out.
  std::vector<Index> integers(Index count, Index n);

  // 0, ..., n - 1 in random order, each order equally likely. Throws Error when n is negative, and
  // when memory is out.
  std::vector<Index> permutation(Index n);

  // The state as text, to continue the stream elsewhere.
  std::string state() const;

  // Continues where `state` was taken. Throws Error, and changes nothing, when the text is not one
  // that state() gave.
  void restore(const std::string& state);

 private:
  std::mt19937_64 engine_;
};
}  // namespace gradus
