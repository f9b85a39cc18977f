#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/14_posterior_collapse/on_paper.hpp"
#include "lessons/17_beta_vae/instruments.hpp"
#include "lessons/17_beta_vae/model.hpp"
#include "lessons/17_beta_vae/on_paper.hpp"
#include "lessons/17_beta_vae/sprites.hpp"
#include "lessons/common/rate_distortion.hpp"
#include "lessons/common/toy.hpp"

namespace gradus::lesson17 {
namespace {

constexpr double kNoise = 1.75 / 3;  // the mean of 1, 0.5 and 0.25

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

// A VAE with three latents, somewhere, and images for it.
struct Somewhere {
  Rng rng{3};
  lesson13::Vae<double> vae{4, 5, 3, rng};
  Tensor<double> x = rng.uniform<double>({6, 4});
  Tensor<double> noise = rng.normal<double>({6, 3});
};

// ---- The price ---------------------------------------------------------------------------------

TEST(BetaVae, AtThePriceOneItIsTheElbo) {
  Somewhere at;
  const lesson13::Elbo<double> elbo = at.vae.elbo(at.x, at.noise);
  EXPECT_EQ(largest((priced_elbo(elbo, 1.0) - elbo.total()).value()), 0);
  const Tensor<double> difference = (priced_elbo(elbo, 1.0) - priced_elbo(elbo, 4.0)).value();
  EXPECT_LT(largest(difference - 3.0 * elbo.kl.value()), 1e-12);
}

TEST(BetaVae, TheGradientIsThatOfDifferences) {
  Somewhere at;
  const auto report =
      gradcheck([&] { return priced_elbo(at.vae.elbo(at.x, at.noise), 2.5); }, at.vae.parameters());
  EXPECT_TRUE(report) << report;
}

// tests/references/beta_vae.py finds the same by minimisation.
TEST(BetaVae, TheLinearOptimumIsTheReferences) {
  const std::vector<std::vector<double>> known = {{1, 1.57871727, 2.5},
                                                  {2, 0.88557009, 3.5},
                                                  {4, 0.26949825, 5.21428571},
                                                  {8, 0, 6.64285714}};
  for (const std::vector<double>& row : known) {
    const RateDistortion best = linear_optimum(kToyVariances, 2, kNoise, row[0]);
    EXPECT_NEAR(best.rate, row[1], 1e-8);
    EXPECT_NEAR(best.distortion, row[2], 1e-8);
  }
}

// min over R of D(R) + beta R, over a grid, is nowhere below what the formula reaches.
TEST(BetaVae, NoPointOfTheCurveIsCheaperThanTheOptimum) {
  for (double beta : {0.5, 1.0, 2.0, 3.9, 4.0, 7.0}) {
    const RateDistortion best = linear_optimum({4}, 1, 1, beta);
    const double cost = best.distortion + beta * best.rate;
    EXPECT_NEAR(least_distortion(best.rate, 4, 1), best.distortion, 1e-12);
    for (double rate = 0; rate < 3; rate += 0.01)
      EXPECT_LE(cost, least_distortion(rate, 4, 1) + beta * rate + 1e-12);
  }
}

// For several kinds of data and pairs of prices.
TEST(BetaVae, AChordOfOptimaLiesBetweenTheirPrices) {
  const std::vector<std::vector<double>> kinds = {{4}, kToyVariances, {9, 8, 7, 1}};
  const std::vector<double> prices = {0.3, 0.7, 1, 1.5, 2, 4, 6};
  for (const std::vector<double>& l : kinds)
    for (std::size_t i = 0; i < prices.size(); ++i)
      for (std::size_t j = i + 1; j < prices.size(); ++j) {
        const RateDistortion more = linear_optimum(l, 1, 0.6, prices[i]);
        const RateDistortion less = linear_optimum(l, 1, 0.6, prices[j]);
        if (more.rate == less.rate) continue;
        EXPECT_GE(nats_saved_per_nat(more, less), prices[i] - 1e-9);
        EXPECT_LE(nats_saved_per_nat(more, less), prices[j] + 1e-9);
      }
  const auto at = [](double beta) { return linear_optimum(kToyVariances, 2, kNoise, beta); };
  EXPECT_NEAR(nats_saved_per_nat(at(1), at(2)), 1 / std::log(2.0), 1e-12);
  EXPECT_NEAR(nats_saved_per_nat(at(4), at(8)), 5.30085604, 1e-8);
}

// ---- The turned model --------------------------------------------------------------------------

TEST(BetaVae, TurningChangesNoProbability) {
  Somewhere at;
  const TurnedVae<double> turned{at.vae, rotation<double>(3, 0, 2, 45)};
  EXPECT_LT(largest(matmul_nt(turned.u, turned.u) - identity<double>(3)), 1e-14);
  EXPECT_LT(largest(turned.turn_back(turned.turn(at.noise)) - at.noise), 1e-14);
  EXPECT_GT(largest(turned.turn(at.noise) - at.noise), 0.1);
  EXPECT_LT(largest_change(turned, at.x, Rng(1)), 1e-13);
}

// Of two latents with variances a and b, each of the two at 45 degrees has (a + b) / 2.
TEST(BetaVae, ATurnedLatentHasTheVarianceOfItsMixture) {
  Somewhere at;
  const TurnedVae<double> turned{at.vae, rotation<double>(3, 0, 2, 45)};
  const nn::Normal<double> q = at.vae.encode(at.x);
  const nn::Normal<double> of_y = turned.marginals(at.x);
  const double half = std::sqrt(0.5);
  for (Index n = 0; n < 6; ++n) {
    const double m0 = q.mean.value()(n, 0), m2 = q.mean.value()(n, 2);
    const double v0 = std::exp(q.log_var.value()(n, 0)), v2 = std::exp(q.log_var.value()(n, 2));
    EXPECT_NEAR(of_y.mean.value()(n, 0), half * (m0 - m2), 1e-12);
    EXPECT_NEAR(of_y.mean.value()(n, 2), half * (m0 + m2), 1e-12);
    EXPECT_NEAR(std::exp(of_y.log_var.value()(n, 0)), (v0 + v2) / 2, 1e-12);
    EXPECT_NEAR(of_y.log_var.value()(n, 1), q.log_var.value()(n, 1), 1e-12);
  }
}

// The variances given x are sigma^2 / l there: of them, too, only the ratio counts.
TEST(BetaVae, ThePriceOfATurnIsLesson14s) {
  EXPECT_NEAR(price_of_45_degrees(1.0 / 4, 1.0 / 2), lesson14::cost_of_turning(4, 2, M_PI / 4),
              1e-14);
  EXPECT_EQ(price_of_45_degrees(0.3, 0.3), 0);
}

// ---- The discs ---------------------------------------------------------------------------------

TEST(BetaVae, ADiscFallsFromWhiteToBlackOverThreePixels) {
  const Tensor<double> image = disc<double>(8.5, 6.5, 3);  // the centre of column 8, row 6
  const auto at = [&](Index row, Index column) { return image(row * kSide + column); };
  EXPECT_EQ(at(6, 8), 1);
  EXPECT_NEAR(at(6, 10), (3.0 - 2) / 3 + 0.5, 1e-14);
  EXPECT_NEAR(at(6, 11), 0.5, 1e-14);
  EXPECT_NEAR(at(10, 8), (3.0 - 4) / 3 + 0.5, 1e-14);
  EXPECT_NEAR(at(3, 4), 0, 1e-14);  // at a distance of 5
  EXPECT_EQ(at(15, 15), 0);
}

TEST(BetaVae, EachCombinationOfFactorsIsThereOnce) {
  const Sprites wide = wide_sprites();
  EXPECT_EQ(wide.images.shape(), Shape({1024, 256}));
  EXPECT_EQ(square_sprites().size(), 1152);
  const Index n = wide.at(15, 2, 7);
  EXPECT_EQ(wide.factors[0].value[n], 15);
  EXPECT_EQ(wide.factors[1].value[n], 2);
  EXPECT_EQ(wide.factors[2].value[n], 7);
  const Tensor<float> here = slice(wide.images, 0, n, n + 1).reshape({-1});
  EXPECT_EQ(max(abs(here - disc<float>(12.5, 6 + 8.0 / 7, 4))).item(), 0);
  EXPECT_NEAR(wide.factors[0].entropy(), std::log(16.0), 1e-12);
  EXPECT_NEAR(wide.factors[2].entropy(), std::log(8.0), 1e-12);
}

// By the same formulas in NumPy.
TEST(BetaVae, TheWallsAreTheReferences) {
  const Sprites wide = wide_sprites();
  EXPECT_NEAR(lesson13::entropy_of_pixels(wide.images), 27.9216, 1e-4);
  EXPECT_NEAR(lesson13::negative_log_likelihood_of_means(wide.images, wide.images), 70.2655, 1e-4);
}

// Pixels that are 0 or 1 have the variance of their coin: what is left is their correlation, of
// which two equal pixels have the eigenvalues 2 and 0. A pixel that is 1/4 or 3/4 has a quarter of
// its coin's variance. The last pixel never varies.
TEST(BetaVae, TheFirstNatSavesTheEigenvalueOfCoins) {
  const Tensor<float> hard({4, 4}, {0, 0, 0, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0});
  EXPECT_NEAR(saved_per_nat_at_rate_0(hard), 2, 1e-12);
  const Tensor<float> soft({2, 2}, {0.25F, 1, 0.75F, 1});
  EXPECT_NEAR(saved_per_nat_at_rate_0(soft), 0.25, 1e-12);
  // tests/references/beta_vae.py
  EXPECT_NEAR(saved_per_nat_at_rate_0(wide_sprites().images), 32.44803, 1e-4);
}

// ---- Instruments -------------------------------------------------------------------------------

TEST(BetaVae, WhatIsLinearIsExplainedAndWhatIsNotIsNot) {
  Rng rng(5);
  const Tensor<double> codes = rng.normal<double>({400, 3});
  const Tensor<double> noise = rng.normal<double>({400, 1});
  const Tensor<double> exact = matmul(codes, Tensor<double>({3, 1}, {2, -1, 0.5})) + 7.0;
  const Tensor<double> share = explained_share(codes, concatenate(std::vector{exact, noise}, 1));
  EXPECT_NEAR(share(0), 1, 1e-8);
  EXPECT_LT(share(1), 0.05);
  // A latent that never moves does no harm.
  const Tensor<double> with_dead = concatenate(std::vector{codes, Tensor<double>({400, 1})}, 1);
  EXPECT_NEAR(explained_share(with_dead, exact)(0), 1, 1e-8);
}

TEST(BetaVae, TheTablesOfAModelAreThoseOfItsEncoder) {
  Rng rng(6);
  const lesson13::Vae<float> vae(kPixels, 8, 4, rng);
  const Sprites sprites("few", {5, 11, 3}, {5, 11, 2}, {2, 4, 2});
  const Latents latents = latents_of(vae, sprites);
  EXPECT_NEAR(sum(latents.kl).item(), mean(vae.elbo(sprites.images, rng).kl).item(), 1e-5);
  EXPECT_LE(latents.largest_excess(), 0);
  const std::vector<Index> order = latents.by_kl();
  for (std::size_t i = 1; i < order.size(); ++i)
    EXPECT_GE(latents.kl(order[i - 1]), latents.kl(order[i]));
  const std::vector<Index> tellers = latents.tellers(2);
  for (std::size_t i = 1; i < tellers.size(); ++i)
    EXPECT_GE(latents.information(tellers[i - 1], 2), latents.information(tellers[i], 2));
}

TEST(BetaVae, ALatentIsAliveAboveATwentiethOfANat) {
  Latents latents{Tensor<double>({3}, {0.04, 0.06, 2}), Tensor<double>({3, 2}), {}};
  EXPECT_EQ(latents.alive(), 2);
  latents.information.set({2, 0}, 3);
  latents.information.set({1, 1}, 0.05);
  EXPECT_EQ(latents.tellers(0).front(), 2);
  EXPECT_EQ(latents.tellers(1).front(), 1);
  EXPECT_EQ(latents.told_by_the_first(), 3.05);
  EXPECT_EQ(latents.largest_excess(), 1);
}

TEST(BetaVae, ATraversalMovesOneLatentOnly) {
  Rng rng(7);
  const lesson13::Vae<float> vae(kPixels, 8, 3, rng);
  const Tensor<float> image = disc<float>(8, 8, 3).reshape({1, kPixels});
  const Tensor<float> found = traversal(vae, image, 1, 5, 2);
  Tensor<float> code = vae.encode(image).mean.value();
  code.set({0, 1}, -1);  // the second of -2, -1, 0, 1, 2
  const Tensor<float> second = slice(found, 0, 1, 2);
  EXPECT_EQ(found.shape(), Shape({5, kPixels}));
  EXPECT_LT(max(abs(second - vae.decoded(code))).item(), 1e-6);
}

}  // namespace
}  // namespace gradus::lesson17
