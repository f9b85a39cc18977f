#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

// Functions of one number. For double they are the C library's; for float they are short
// polynomials in plain arithmetic without a branch, which the compiler turns into vector code.
// Float results are within 3 units in the last place; NaN, infinities, zeros and the smallest
// numbers behave as in the C library.
namespace gradus::math {
namespace detail {
// ln 2 in two parts, of which the first has so few digits that its products with small whole
// numbers are exact (Cody and Waite).
constexpr float kLn2 = 0.693359375f;
constexpr float kLn2Excess = 2.12194440e-4f;  // kLn2 - ln 2

// x = n ln 2 + r with |r| <= ln(2)/2, and e^r - 1 = r + r^2 P(r).  P: Cephes, expf.
struct ExpParts {
  float expm1_r;
  std::int32_t n;
};

inline ExpParts exp_parts(float x) {
  constexpr float kLog2E = 1.44269504f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer

  // e^-104 < 2^-150 rounds to 0, and e^89 > 2^128 to infinity. NaN, which compares false, remains.
  x = x < -104.0f ? -104.0f : x;
  x = x > 89.0f ? 89.0f : x;

  const float shifted = x * kLog2E + kRound;
  const float n = shifted - kRound;
  const float r = (x - n * kLn2) + n * kLn2Excess;

  float p = (1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f;
  p = ((p * r + 4.1665795894e-2f) * r + 1.6666665459e-1f) * r + 5.0000001201e-1f;

  // The last bits of `shifted` are n, in whole numbers.
  return {p * r * r + r,
          std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(kRound)};
}

// 2^n for -126 <= n <= 127.
inline float power_of_two(std::int32_t n) { return std::bit_cast<float>((n + 127) << 23); }
}  // namespace detail

inline double exp(double x) { return std::exp(x); }

inline float exp(float x) {
  const auto [expm1_r, n] = detail::exp_parts(x);
  // In two factors, because 2^n itself may be out of range where e^x is not.
  return (1.0f + expm1_r) * detail::power_of_two(n >> 1) * detail::power_of_two(n - (n >> 1));
}

inline double expm1(double x) { return std::expm1(x); }

// e^x - 1 = 2^n (e^r - 1) + (2^n - 1). Where n > 30, 1 is less than the last digit of e^x, and exp
// is used, which also knows the 2^n that are out of range.
inline float expm1(float x) {
  const auto [expm1_r, n] = detail::exp_parts(x);
  const float scale = detail::power_of_two(std::clamp(n, -126, 126));
  const float y = n > 30 ? exp(x) - 1.0f : expm1_r * scale + (scale - 1.0f);
  return x == 0.0f ? x : y;  // keeps the sign of a zero
}

inline double log(double x) { return std::log(x); }

// x = m 2^e with sqrt(1/2) <= m < sqrt(2), and ln m = f - f^2/2 + f^3 P(f), f = m - 1.  P: Cephes,
// logf.
inline float log(float x) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr std::int32_t kSqrtHalf = 0x3f3504f3;  // the bits of sqrt(1/2)
  constexpr std::int32_t kMantissa = 0x007fffff;  // those of a mantissa
  constexpr float kTwoTo23 = 8388608.0f;

  // Numbers below the normal ones, whose exponent is not in their bits, are multiplied by 2^23.
  const bool tiny = x < std::numeric_limits<float>::min();
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(tiny ? x * kTwoTo23 : x);

  // Counted from sqrt(1/2), the upper bits are e, and the others how far m is above it.
  const auto above = static_cast<std::int32_t>(bits - kSqrtHalf);
  const float e = static_cast<float>((above >> 23) - (tiny ? 23 : 0));
  const float f = std::bit_cast<float>((above & kMantissa) + kSqrtHalf) - 1.0f;

  float p = (7.0376836292e-2f * f - 1.1514610310e-1f) * f + 1.1676998740e-1f;
  p = ((p * f - 1.2420140846e-1f) * f + 1.4249322787e-1f) * f - 1.6668057665e-1f;
  p = ((p * f + 2.0000714765e-1f) * f - 2.4999993993e-1f) * f + 3.3333331174e-1f;

  const float z = f * f;
  float y = f + (p * f * z - e * detail::kLn2Excess - 0.5f * z) + e * detail::kLn2;

  y = x == 0.0f ? -kInfinity : y;
  y = x < 0.0f ? std::numeric_limits<float>::quiet_NaN() : y;
  return x < kInfinity ? y : x;  // infinity and NaN are their own logarithms
}

inline double log1p(double x) { return std::log1p(x); }

// ln(1 + x) = ln(u) + (x - (u - 1)) / u, where u is 1 + x as rounded and u - 1 is exact. The second
// term, what rounding has lost, is NaN where u is 0 or infinite; there ln(u) is the whole truth.
inline float log1p(float x) {
  const float u = 1.0f + x;
  const float lost = (x - (u - 1.0f)) / u;
  const float y = log(u) + (std::isnan(lost) ? 0.0f : lost);
  return x == 0.0f ? x : y;
}

inline double tanh(double x) { return std::tanh(x); }

// tanh |x| = e / (e + 2) with e = exp(2 |x|) - 1. From |x| = 15 on, where tanh has long been
// rounded to 1, e stays as it is there: infinite, it would give NaN.
inline float tanh(float x) {
  const float magnitude = std::fabs(x) > 15.0f ? 15.0f : std::fabs(x);
  const float e = expm1(2.0f * magnitude);
  return std::copysign(e / (e + 2.0f), x);
}

// 1 / (1 + e^-x) = e^x / (1 + e^x): the first for x >= 0, the second for x < 0. Both then need
// e^-|x|, which cannot overflow.
template <class T> T sigmoid(T x) {
  const T e = exp(-std::fabs(x));
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

// ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|), in which nothing overflows.
template <class T> T softplus(T x) { return (x < T(0) ? T(0) : x) + log1p(exp(-std::fabs(x))); }
}  // namespace gradus::math
