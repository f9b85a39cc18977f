#pragma once
#include <algorithm>
#include <vector>

// A curve of one variable from hinges, each of which is what a hidden unit of a network computes:
// relu(t - at), times a weight.
namespace gradus::lesson05 {

struct Hinge {
  double at;      // 0 up to here, and a straight line from here
  double weight;  // its slope

  double operator()(double t) const { return weight * std::max(t - at, 0.0); }
};

inline double sum_of(const std::vector<Hinge>& hinges, double t) {
  double total = 0;
  for (const Hinge& hinge : hinges) total += hinge(t);
  return total;
}

// The hinges whose sum is t^2 at 0, h, 2 h, ..., n h, and straight in between. From k h to (k + 1)
// h the slope is ((k + 1)^2 - k^2) h = (2 k + 1) h: first h, and then 2 h more at each place.
inline std::vector<Hinge> hinges_of_square(int n, double h) {
  std::vector<Hinge> hinges;
  for (int k = 0; k < n; ++k) hinges.push_back({k * h, k == 0 ? h : 2 * h});
  return hinges;
}

}  // namespace gradus::lesson05
