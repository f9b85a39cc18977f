#pragma once
#include <cmath>

#include "nn/distributions.hpp"

namespace gradus {

// N(mean, variance) on the line, as one example of one dimension: its parameters are (1, 1).
inline nn::Normal<double> scalar_normal(double mean, double variance) {
  const Tensor<double> m({1, 1}, {mean});
  const Tensor<double> log_var({1, 1}, {std::log(variance)});
  return {m, log_var};
}

}  // namespace gradus
