#pragma once

namespace gradus {

// ln 2 pi, which stands in every normal density.
inline constexpr double kLogTwoPi = 1.8378770664093454836;

}  // namespace gradus
