#include "lessons/common/mutual_information.hpp"

#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "lessons/13_vae/model.hpp"
#include "lessons/common/rate_distortion.hpp"
#include "nn/distributions.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

namespace gradus {
namespace {

using Codes = std::vector<Index>;

// Two factors with four values each, in all 16 combinations, and two codes made from them.
struct Square {
  Factor v1{{}, 4};
  Factor v2{{}, 4};
  Codes plus, minus;  // from 0 to 6

  Square() {
    for (Index a = 0; a < 4; ++a)
      for (Index b = 0; b < 4; ++b) {
        v1.value.push_back(a);
        v2.value.push_back(b);
        plus.push_back(a + b);
        minus.push_back(a - b + 3);
      }
  }

  std::vector<Factor> factors() const { return {v1, v2}; }

  std::vector<Gap> grade(const std::vector<Codes>& codes) const {
    Tensor<double> table({std::ssize(codes), 2});
    for (Index k = 0; k < std::ssize(codes); ++k)
      for (Index f = 0; f < 2; ++f)
        table.set({k, f}, mutual_information(nn::one_hot<double>(codes[k], 7), factors()[f]));
    return gaps(table, factors());
  }
};

// Abramowitz and Stegun 1964, table 26.1; and the tail, ten decimals of which would be lost in 1 -
// erf.
TEST(MutualInformation, TheNormalCdfIsTheTables) {
  EXPECT_EQ(normal_cdf(0), 0.5);
  EXPECT_NEAR(normal_cdf(1), 0.841344746068543, 1e-14);
  EXPECT_NEAR(normal_cdf(-1.96), 0.024997895148220, 1e-14);
  EXPECT_NEAR(normal_cdf(-8) / 6.220960574271785e-16, 1, 1e-12);
}

TEST(MutualInformation, AMassFarOutIsNotLostInRounding) {
  EXPECT_NEAR(normal_mass(8, 9) / normal_mass(-9, -8), 1, 1e-14);
  EXPECT_NEAR(normal_mass(-1, 1), 0.682689492137086, 1e-14);
  EXPECT_EQ(normal_mass(-50, -40), normal_cdf(-40));
  for (double a = -9; a < 9; a += 0.001) ASSERT_GE(normal_mass(a, std::nextafter(a, 10.0)), 0);
}

TEST(MutualInformation, TheBinsOfALatentAreIntegralsOfItsDensity) {
  const Tensor<double> m({2}, {-1, 0.5});
  const Tensor<double> s({2}, {0.5, 1});
  const Tensor<double> p = probabilities_of_bins(m, s, 8);
  ASSERT_EQ(p.shape(), Shape({2, 8}));
  // from -1 - 1.5 to 0.5 + 3, open at both ends
  const double low = -2.5, width = 6.0 / 8;
  for (Index n = 0; n < 2; ++n)
    for (Index b = 0; b < 8; ++b) {
      const double from = b == 0 ? -20 : low + width * static_cast<double>(b);
      const double to = b == 7 ? 20 : low + width * static_cast<double>(b + 1);
      constexpr int kSteps = 20'000;
      double integral = 0;
      for (int i = 0; i < kSteps; ++i) {
        const double z = (from + (to - from) * (i + 0.5) / kSteps - m(n)) / s(n);
        integral += std::exp(-0.5 * z * z) / (s(n) * std::sqrt(2 * std::numbers::pi));
      }
      EXPECT_NEAR(p(n, b), integral * (to - from) / kSteps, 1e-7) << n << " " << b;
    }
}

TEST(MutualInformation, ACopyTellsAllAndAnotherFactorNothing) {
  const Square square;
  const Tensor<double> copy = nn::one_hot<double>(square.v1.value, 4);
  EXPECT_NEAR(square.v1.entropy(), std::log(4.0), 1e-14);
  EXPECT_NEAR(mutual_information(copy, square.v1), std::log(4.0), 1e-14);
  EXPECT_NEAR(mutual_information(copy, square.v2), 0, 1e-14);
}

// The sum of two numbers from 0 to 3 has the counts 1, 2, 3, 4, 3, 2, 1 of 16, and is uniform on
// four values where one of the two is known: I = H(sum) - ln 4.
TEST(MutualInformation, ASumTellsItsEntropyLessThatOfItsOtherPart) {
  const Square square;
  double entropy = 0;
  for (double count : {1, 2, 3, 4, 3, 2, 1}) entropy -= count / 16 * std::log(count / 16);
  EXPECT_NEAR(mutual_information(nn::one_hot<double>(square.plus, 7), square.v1),
              entropy - std::log(4.0), 1e-14);
}

// tests/references/beta_vae.py counts the same.
TEST(MutualInformation, MigOfCodesThatAreMadeByHand) {
  const Square square;
  const Codes& v1 = square.v1.value;
  const Codes& v2 = square.v2.value;
  EXPECT_NEAR(mean_gap(square.grade({v1, v2})).mig, 1, 1e-12);
  EXPECT_NEAR(mean_gap(square.grade({v2, v1})).purity, 1, 1e-12);
  EXPECT_NEAR(mean_gap(square.grade({v1, v2, v1, v2})).mig, 0, 1e-12);
  EXPECT_NEAR(mean_gap(square.grade({square.plus, square.minus})).mig, 0, 1e-12);
  const std::vector<Gap> half = square.grade({v1, square.plus});
  EXPECT_NEAR(half[0].mig, 0.67218047, 1e-8);
  EXPECT_NEAR(half[1].mig, 0.32781953, 1e-8);
  EXPECT_NEAR(mean_gap(half).mig, 0.5, 1e-12);
}

// Half of the information halves MIG and leaves the purity.
TEST(MutualInformation, PurityDoesNotDependOnTheRate) {
  const Square square;
  const Tensor<double> table({3, 2}, {0.2, 0.5, 0.8, 0.1, 0.4, 0.25});
  const auto whole = gaps(table, square.factors());
  const auto half = gaps(0.5 * table, square.factors());
  EXPECT_NEAR(whole[0].mig, (0.8 - 0.4) / std::log(4.0), 1e-14);
  EXPECT_NEAR(whole[0].purity, 0.5, 1e-14);
  EXPECT_NEAR(whole[1].purity, 0.5, 1e-14);
  EXPECT_NEAR(half[0].mig, whole[0].mig / 2, 1e-14);
  EXPECT_NEAR(half[0].purity, whole[0].purity, 1e-14);
  EXPECT_EQ(gaps(Tensor<double>({2, 2}), square.factors())[0].purity, 0);
}

// A latent near 0 for v = 0 and near 1 for v = 1 tells ln 2; a wide one, by the integral of the two
// densities, less.
TEST(MutualInformation, OfANormalLatentIsTheIntegral) {
  const std::vector<Factor> factors = {{{0, 1}, 2}};
  const auto of_width = [&](double s) {
    const Tensor<double> log_var = full<double>({2, 1}, 2 * std::log(s));
    return information_table(nn::Normal<double>{Tensor<double>({2, 1}, {0, 1}), log_var}, factors,
                             2000)(0, 0);
  };
  EXPECT_NEAR(of_width(0.01), std::log(2.0), 1e-6);
  for (double width : {0.5, 1.0}) {
    const auto density = [&](double z) {
      return std::exp(-0.5 * z * z / (width * width)) / (width * std::sqrt(2 * std::numbers::pi));
    };
    double integral = 0;
    for (int i = 0; i < 20'000; ++i) {
      const double z = -7 + 15 * (i + 0.5) / 20'000;
      const double a = density(z);
      const double b = density(z - 1);
      for (double p : {a, b})
        if (p > 0) integral += 0.5 * p * std::log(2 * p / (a + b)) * 15 / 20'000;
    }
    EXPECT_NEAR(of_width(width), integral, 1e-4);
  }
}

// To join bins loses information, and no bins tell more than the latent's KL from any prior.
TEST(MutualInformation, IsNeverMoreThanTheKl) {
  Rng rng(3);
  for (double width : {-4.0, -1.0, 0.0}) {
    const nn::Normal<double> q{rng.normal<double>({200, 3}), width + rng.normal<double>({200, 3})};
    Factor factor{{}, 5};
    for (Index n = 0; n < 200; ++n) factor.value.push_back(q.mean.value()(n, 0) > 0 ? n % 5 : 4);
    double before = 0;
    for (Index bins : {8, 16, 32, 64}) {
      const double nats = information_table(q, {factor}, bins)(0, 0);
      EXPECT_GE(nats, before - 1e-12);
      before = nats;
    }
    double kl = 0;
    for (Index n = 0; n < 200; ++n) {
      const double m = q.mean.value()(n, 0), log_var = q.log_var.value()(n, 0);
      kl += 0.5 * (m * m + std::exp(log_var) - 1 - log_var) / 200;
    }
    EXPECT_LE(before, kl);
  }
}

TEST(MutualInformation, SaysWhatDoesNotFit) {
  const Tensor<double> m({2}, {0, 1});
  EXPECT_THROW(probabilities_of_bins(m, m, 8), Error);
  EXPECT_THROW(probabilities_of_bins(m, full<double>({2}, 1), 1), Error);
  EXPECT_THROW(mutual_information(Tensor<double>({3, 2}), Factor{{0, 1}, 2}), Error);
  EXPECT_THROW(gaps(Tensor<double>({1, 1}), {Factor{{0, 1}, 2}}), Error);
}

// 1,003 images are measured in two parts of unequal size: each image counts once.
TEST(RateDistortion, IsTheElboInItsParts) {
  Rng rng(8);
  const lesson13::Vae<double> vae(4, 5, 3, rng);
  const Tensor<double> x = rng.uniform<double>({1003, 4});
  Rng same(1);
  const lesson13::Elbo<double> first = vae.elbo(slice(x, 0, 0, 1000), same);
  const lesson13::Elbo<double> second = vae.elbo(slice(x, 0, 1000, 1003), same);
  const auto mean_of = [](const Var<double>& a, const Var<double>& b) {
    return (sum(a).item() + sum(b).item()) / 1003;
  };
  const RateDistortion found = rate_and_distortion(vae, x, 1, Rng(1));
  EXPECT_NEAR(found.rate, mean_of(first.kl, second.kl), 1e-12);
  EXPECT_NEAR(found.distortion, -mean_of(first.reconstruction, second.reconstruction), 1e-12);
  EXPECT_NEAR(found.negative_elbo(), found.rate + found.distortion, 1e-14);
}

TEST(RateDistortion, SeveralDrawsAreAveraged) {
  Rng rng(9);
  const lesson13::Vae<double> vae(4, 5, 3, rng);
  const Tensor<double> x = rng.uniform<double>({20, 4});
  Rng same(2);
  double total = 0;
  for (int i = 0; i < 3; ++i) total -= mean(vae.elbo(x, same).reconstruction).item() / 3;
  EXPECT_NEAR(rate_and_distortion(vae, x, 3, Rng(2)).distortion, total, 1e-12);
}

TEST(RateDistortion, SavedPerNatIsTheSlopeOfTheChord) {
  EXPECT_EQ(nats_saved_per_nat({.rate = 3, .distortion = 10}, {.rate = 1, .distortion = 16}), 3);
}

}  // namespace
}  // namespace gradus
