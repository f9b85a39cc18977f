#pragma once
#include <utility>
#include <vector>

#include "lessons/kit/sketch.hpp"

// The smallest linear autoencoder: an example is one number x of mean 0, its code is z = a x, and
// what comes back is b z. With two weights, its loss is a landscape that one can look at.
namespace gradus::lesson04 {

struct TwoWeights {
  double a, b;  // of the encoder, of the decoder

  // mean (x - b a x)^2 = variance (1 - a b)^2
  double loss(double variance) const { return variance * (1 - a * b) * (1 - a * b); }

  // The derivatives of the loss with respect to a and to b.
  std::pair<double, double> gradient(double variance) const {
    return {-2 * variance * b * (1 - a * b), -2 * variance * a * (1 - a * b)};
  }

  TwoWeights after_step(double variance, double rate) const {
    const auto [da, db] = gradient(variance);
    return {a - rate * da, b - rate * db};
  }
};

// Where gradient descent goes: the start, and the place after each step.
inline std::vector<TwoWeights> path_from(TwoWeights start, double variance, double rate,
                                         int steps) {
  std::vector<TwoWeights> path = {start};
  for (int step = 0; step < steps; ++step) path.push_back(path.back().after_step(variance, rate));
  return path;
}

}  // namespace gradus::lesson04
