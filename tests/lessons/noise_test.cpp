#include "lessons/common/noise.hpp"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "tensor/reduce.hpp"
#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

constexpr Index kNumbers = 100'000;

// The share of numbers that are y, in standard errors from p.
double z_score(const Tensor<double>& x, double y, double p) {
  const double share = sum(equal(x, y)).item() / kNumbers;
  return (share - p) / std::sqrt(p * (1 - p) / kNumbers);
}

using test::error_of;

// The mean of noise^2 is s^2, with the standard error s^2 sqrt(2 / n); its mean is 0, with s /
// sqrt(n).
TEST(GaussianNoise, HasItsVarianceAndNoMean) {
  Rng rng(1);
  const Tensor<double> x = rng.uniform<double>({kNumbers});
  const Tensor<double> noise = add_gaussian_noise(x, 0.5, rng) - x;
  EXPECT_LT(std::abs(mean(noise).item()), 4 * 0.5 / std::sqrt(kNumbers));
  EXPECT_NEAR(mean(square(noise)).item(), 0.25, 4 * 0.25 * std::sqrt(2.0 / kNumbers));
  // Noise and data are independent: their product has mean 0 and a variance below s^2.
  EXPECT_LT(std::abs(mean(noise * (x - 0.5)).item()), 4 * 0.5 / std::sqrt(kNumbers));
}

TEST(Mask, SetsItsShareToZeroAndKeepsTheRest) {
  Rng rng(2);
  const Tensor<double> x = rng.uniform<double>({kNumbers}) + 2;
  const Tensor<double> spoiled = mask(x, 0.3, rng);
  EXPECT_LT(std::abs(z_score(spoiled, 0, 0.3)), 4);
  EXPECT_EQ(sum(equal(spoiled, 0)).item() + sum(equal(spoiled, x)).item(), kNumbers);
}

TEST(SaltAndPepper, SetsHalfOfItsShareToZeroAndHalfToOne) {
  Rng rng(3);
  const Tensor<double> x = rng.uniform<double>({kNumbers}) + 2;
  const Tensor<double> spoiled = salt_and_pepper(x, 0.3, rng);
  EXPECT_LT(std::abs(z_score(spoiled, 0, 0.15)), 4);
  EXPECT_LT(std::abs(z_score(spoiled, 1, 0.15)), 4);
  EXPECT_EQ(sum(equal(spoiled, x)).item() + sum(equal(spoiled, 0)).item() +
                sum(equal(spoiled, 1)).item(),
            kNumbers);
}

TEST(Noise, OfNoneChangesNothingAndOfAllEverything) {
  Rng rng(4);
  const Tensor<float> x = rng.uniform<float>({3, 5}) + 2.0f;
  EXPECT_EQ(add_gaussian_noise(x, 0, rng).to_vector(), x.to_vector());
  EXPECT_EQ(mask(x, 0, rng).to_vector(), x.to_vector());
  EXPECT_EQ(salt_and_pepper(x, 0, rng).to_vector(), x.to_vector());
  EXPECT_EQ(max(mask(x, 1, rng)).item(), 0);
  EXPECT_EQ(max(salt_and_pepper(x, 1, rng)).item(), 1);
  EXPECT_EQ(mask(x, 0.5, rng).shape(), x.shape());
}

// Two generators of one seed spoil alike, and one generator never twice alike.
TEST(Noise, IsThatOfTheGenerator) {
  Rng one(5), other(5);
  const Tensor<double> x({4}, {1, 2, 3, 4});
  const Tensor<double> first = add_gaussian_noise(x, 1, one);
  EXPECT_EQ(first.to_vector(), add_gaussian_noise(x, 1, other).to_vector());
  EXPECT_NE(first.to_vector(), add_gaussian_noise(x, 1, one).to_vector());
}

TEST(Noise, SaysWhatIsNoStrength) {
  Rng rng(6);
  const Tensor<double> x({1}, {1});
  EXPECT_EQ(error_of([&] { add_gaussian_noise(x, -1, rng); }),
            "Gaussian noise: a standard deviation of -1; it must not be negative");
  EXPECT_EQ(error_of([&] { mask(x, 1.5, rng); }), "mask: 1.5 is not a probability");
  EXPECT_EQ(error_of([&] { salt_and_pepper(x, NAN, rng); }),
            "salt and pepper: nan is not a probability");
}

// 0.1 is 10 dB, 0.01 is 20; 1/4, the square of a standard deviation of 1/2, is 20 log10 2.
TEST(Psnr, CountsTenthsOfTheError) {
  EXPECT_NEAR(psnr(0.1), 10, 1e-14);
  EXPECT_NEAR(psnr(0.01), 20, 1e-14);
  EXPECT_NEAR(psnr(0.25), 20 * std::log10(2), 1e-14);
  EXPECT_NEAR(psnr(0.25 * 0.25), 12.0412, 5e-5);
  EXPECT_EQ(psnr(1), 0);
}

}  // namespace
}  // namespace gradus
