#pragma once
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "tensor/tensor.hpp"

// What the tests of nn/ share.
namespace gradus::test {

struct Moments {
  double mean, variance, smallest, largest;
};

inline Moments moments(const Tensor<double>& x) {
  long double sum = 0, squares = 0;
  for (double v : x) {
    sum += v;
    squares += static_cast<long double>(v) * v;
  }
  const long double n = x.size(), mean = sum / n;
  return {static_cast<double>(mean), static_cast<double>(squares / n - mean * mean),
          *std::min_element(x.begin(), x.end()), *std::max_element(x.begin(), x.end())};
}

// A uniform number within +-b has variance b^2 / 3, and its square has variance 4 b^4 / 45.
inline void expect_uniform(const Tensor<double>& x, double bound) {
  const Moments m = moments(x);
  const double n = static_cast<double>(x.size()), variance = bound * bound / 3;
  EXPECT_LT(std::fabs(m.mean), 5 * std::sqrt(variance / n));
  EXPECT_LT(std::fabs(m.variance - variance), 5 * std::sqrt(4.0 / 45 / n) * bound * bound);
  EXPECT_GE(m.smallest, -bound);
  EXPECT_LE(m.largest, bound);
  // Of n draws, the largest is within 20/n of the bound but for one time in e^10.
  EXPECT_GT(m.largest, bound * (1 - 20 / n));
  EXPECT_LT(m.smallest, -bound * (1 - 20 / n));
}

// A normal number of variance v has a square of variance 2 v^2. The largest of many is above 3
// standard deviations; of a uniform one it would be at 1.73.
inline void expect_normal(const Tensor<double>& x, double variance) {
  const Moments m = moments(x);
  const double n = static_cast<double>(x.size());
  EXPECT_LT(std::fabs(m.mean), 5 * std::sqrt(variance / n));
  EXPECT_LT(std::fabs(m.variance - variance), 5 * std::sqrt(2 / n) * variance);
  EXPECT_GT(m.largest, 3 * std::sqrt(variance));
}

}  // namespace gradus::test
