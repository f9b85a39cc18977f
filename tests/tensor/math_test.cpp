#include "tensor/math.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::ulps;

// Every float from `first` to `last` in steps of `stride` bit patterns, or so many steps of both
// signs: the functions have no state, so a stride that is odd meets all low bits.
template <class F>
void for_floats(std::uint32_t first_bits, std::uint32_t last_bits, std::uint32_t stride, F f) {
  for (std::uint64_t bits = first_bits; bits <= last_bits; bits += stride)
    f(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
}

// The worst error over all positive floats, infinity included, and over all negative ones.
double worst_ulps(float (*f)(float), double (*exact)(double)) {
  double worst = 0;
  auto check = [&](float x) {
    const double error = ulps(f(x), exact(x));
    if (!(error <= worst)) worst = error;
  };
  const std::uint32_t stride = 20011;
  for_floats(0, 0x7f800000, stride, check);
  for_floats(0x80000000, 0xff800000, stride, check);
  for_floats(0x3f000000, 0x3f800000, 1009, check);  // 1/2 to 1, where logarithms cancel
  for_floats(0x3f800000, 0x42b20000, 4001, check);  // 1 to 89, where exp grows
  for_floats(0xbf000000, 0xc2d00000, 4001, check);  // -1/2 to -104, where it shrinks
  return worst;
}

// The C library's double functions are right to far less than a float's last place.
TEST(MathOfFloat, ExpIsWithin3Ulps) { EXPECT_LE(worst_ulps(math::exp, std::exp), 3); }

TEST(MathOfFloat, Expm1IsWithin3Ulps) { EXPECT_LE(worst_ulps(math::expm1, std::expm1), 3); }

TEST(MathOfFloat, LogIsWithin3Ulps) { EXPECT_LE(worst_ulps(math::log, std::log), 3); }

TEST(MathOfFloat, Log1pIsWithin3Ulps) { EXPECT_LE(worst_ulps(math::log1p, std::log1p), 3); }

TEST(MathOfFloat, TanhIsWithin3Ulps) { EXPECT_LE(worst_ulps(math::tanh, std::tanh), 3); }

TEST(MathOfFloat, SigmoidIsWithin3Ulps) {
  EXPECT_LE(worst_ulps(math::sigmoid<float>, [](double x) { return 1 / (1 + std::exp(-x)); }), 3);
}

TEST(MathOfFloat, SoftplusIsWithin3Ulps) {
  EXPECT_LE(worst_ulps(math::softplus<float>,
                       [](double x) {
                         return std::fmax(x, 0) + std::log1p(std::exp(-std::fabs(x)));
                       }),
            3);
}

TEST(MathOfFloat, ExpIsExactAtZeroAndMonotoneAroundIt) {
  EXPECT_EQ(math::exp(0.0f), 1.0f);
  EXPECT_EQ(math::exp(-0.0f), 1.0f);
  EXPECT_EQ(math::log(1.0f), 0.0f);
  EXPECT_LE(math::exp(-1e-7f), 1.0f);
  EXPECT_GE(math::exp(1e-7f), 1.0f);
}

TEST(MathOfFloat, ExpOverflowsAndUnderflowsWhereTheTrueValueDoes) {
  EXPECT_TRUE(std::isfinite(math::exp(88.7228f)));  // ln(FLT_MAX) = 88.72283905...
  EXPECT_EQ(math::exp(88.7229f), INFINITY);
  EXPECT_EQ(math::exp(std::numeric_limits<float>::max()), INFINITY);
  EXPECT_GT(math::exp(-103.9f), 0.0f);  // ln(2^-150) = -103.97207...: below, 0 is nearer
  EXPECT_EQ(math::exp(-103.98f), 0.0f);
  EXPECT_EQ(math::exp(std::numeric_limits<float>::lowest()), 0.0f);
}

TEST(MathOfFloat, LogInvertsExp) {
  for (float x = -80; x < 80; x += 0.37f)
    EXPECT_NEAR(math::log(math::exp(x)), x, 4e-7 * std::fmax(1, std::fabs(x)));
}

TEST(MathOfFloat, TanhAndSigmoidAgree) {  // tanh x = 2 sigmoid(2x) - 1
  for (float x = -9; x < 9; x += 0.01f)
    EXPECT_NEAR(math::tanh(x), 2 * math::sigmoid(2 * x) - 1, 3e-7) << x;
}

TEST(MathOfDouble, SoftplusAndSigmoidKeepTheirTails) {
  EXPECT_EQ(math::softplus(-700.0), std::exp(-700.0));
  EXPECT_EQ(math::softplus(1000.0), 1000.0);
  EXPECT_NEAR(math::sigmoid(-700.0) / std::exp(-700.0), 1, 1e-15);
  EXPECT_EQ(math::sigmoid(1000.0), 1.0);
  EXPECT_EQ(math::sigmoid(-1000.0), 0.0);
}

}  // namespace
}  // namespace gradus
