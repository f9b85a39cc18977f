#pragma once
#include "nn/distributions.hpp"

namespace gradus {

// ln 2 pi, which stands in every normal density.
inline constexpr double kLogTwoPi = nn::Normal<double>::kLogTwoPi;

}  // namespace gradus
