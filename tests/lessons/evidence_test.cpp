#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/15_evidence/instruments.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/15_evidence/on_paper.hpp"
#include "lessons/common/constants.hpp"
#include "tensor/error.hpp"

namespace gradus::lesson15 {
namespace {

// A VAE of three pixels and two latents, somewhere, and black and white images for it.
struct Somewhere {
  Rng rng{7};
  Vae<double> vae{3, 4, 2, rng};
  Tensor<double> x{{3, 3}, {1, 0, 1, 0, 0, 1, 1, 1, 0}};
};

double log_normal(double z, double mean, double log_var) {
  return -0.5 * (kLogTwoPi + log_var + (z - mean) * (z - mean) / std::exp(log_var));
}

// ---- The importance-weighted bound -------------------------------------------------------------

TEST(Evidence, TheBoundsGradientIsThatOfDifferences) {
  Somewhere at;
  const Tensor<double> noise = at.rng.normal<double>({5, 3, 2});
  EXPECT_TRUE(gradcheck([&] { return sum(importance_weighted_bound(at.vae, at.x, noise)); },
                        at.vae.parameters()));
}

// Each of ln p(x|z), ln p(z) and ln q(z) written out.
TEST(Evidence, ALogWeightIsWhatItsThreeTermsAddUpTo) {
  Somewhere at;
  const Tensor<double> noise = at.rng.normal<double>({2, 3, 2});
  const nn::Normal<double> q = at.vae.encode(at.x);
  const Tensor<double> log_w = log_weights(at.vae, at.x, q, noise).value();
  for (Index draw = 0; draw < 2; ++draw)
    for (Index n = 0; n < 3; ++n) {
      double z[2];
      double expected = 0;
      for (Index k = 0; k < 2; ++k) {
        const double mean = q.mean.value()(n, k);
        const double log_var = q.log_var.value()(n, k);
        z[k] = mean + std::exp(0.5 * log_var) * noise.data()[(draw * 3 + n) * 2 + k];
        expected += log_normal(z[k], 0, 0) - log_normal(z[k], mean, log_var);
      }
      const Tensor<double> logits =
          at.vae.decode(Tensor<double>({1, 2}, {z[0], z[1]})).logits.value();
      for (Index d = 0; d < 3; ++d) {
        const double white = 1 / (1 + std::exp(-logits(0, d)));
        expected += std::log(at.x(n, d) == 1 ? white : 1 - white);
      }
      EXPECT_NEAR(log_w(draw, n), expected, 1e-12);
    }
}

TEST(Evidence, TheMeanOfWeightsIsTakenInsideTheLogarithm) {
  const Tensor<double> log_w({3, 1}, {-1, -2, -4});
  EXPECT_NEAR(log_mean_exp<double>(log_w).item(), -1.7496000719, 1e-9);
  // Weights that are too small for a double, and too large.
  EXPECT_NEAR(log_mean_exp<double>(log_w - 2000.0).item(), -2001.7496000719, 1e-9);
  EXPECT_NEAR(log_mean_exp<double>(log_w + 2000.0).item(), 1998.2503999281, 1e-9);
  EXPECT_THROW(log_mean_exp<double>(Tensor<double>({0, 2})), Error);
  try {
    log_mean_exp<double>(Tensor<double>(1.0));
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "log_mean_exp: () has nothing along its leading axis, of which the mean is taken");
  }
}

// Its gradient weighs the draws by their shares of the sum of the weights.
TEST(Evidence, TheBoundsSlopesAreTheSharesOfTheWeights) {
  Tape<double> tape;
  const Var<double> log_w = tape.leaf(Tensor<double>({3}, {-1, -2, -4}));
  const Tensor<double> slopes = gradient(log_mean_exp(log_w), {log_w})[0].value();
  const double shares[] = {0.70538451, 0.25949646, 0.03511903};
  for (Index i = 0; i < 3; ++i) EXPECT_NEAR(slopes(i), shares[i], 1e-8);
}

// The bound of groups: with one draw in each the mean of ln w, with all in one group L_k.
TEST(Evidence, GroupsOfDrawsGiveAllBounds) {
  const Tensor<double> log_w({5, 1}, {-1, -2, -4, -3, -9});
  EXPECT_NEAR(bounds_by_groups(log_w, 1)(0), -19.0 / 5, 1e-12);
  const double first = std::log((std::exp(-1) + std::exp(-2)) / 2);
  const double second = std::log((std::exp(-4) + std::exp(-3)) / 2);
  EXPECT_NEAR(bounds_by_groups(log_w, 2)(0), (first + second) / 2, 1e-12);
  EXPECT_NEAR(bounds_by_groups(log_w, 5)(0), log_mean_exp<double>(log_w).item(), 1e-12);
}

// z ~ N(0, 1), x | z ~ N(z, 1), x = 1. L_1 = -1/2 ln 2 pi - 1 and ln p(x) = -1/2 ln 4 pi - 1/4; the
// other bounds are by tests/references/evidence.py.
TEST(Evidence, TheKnownLadder) {
  const std::vector<double> bounds = PriorAsQ::bounds({1, 2, 5, 50});
  const double expected[] = {-1.9189385332, -1.65347379, -1.55741058, -1.51919852};
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(bounds[i], expected[i], 1e-7);
  EXPECT_NEAR(PriorAsQ::log_evidence(), -1.5155121235, 1e-9);
  // E[w^2] by a sum over a line.
  const double mean_square = integral(
      [](double z) { return std::exp(log_normal(z, 0, 0) + 2 * PriorAsQ::log_weight(z)); });
  EXPECT_NEAR(PriorAsQ::variance_of_ratio(),
              mean_square / std::exp(2 * PriorAsQ::log_evidence()) - 1, 1e-12);
}

// Where q is the posterior all weights are p(x): no bound is below ln p(x), and none varies.
TEST(Evidence, WithThePosteriorAsQEveryWeightIsTheEvidence) {
  const Bell posterior{0.5, std::sqrt(0.5)};
  for (double z : {-1.0, 0.3, 2.0})
    EXPECT_NEAR(Bell({0, 1}).log_density(z) + PriorAsQ::log_weight(z) - posterior.log_density(z),
                PriorAsQ::log_evidence(), 1e-12);
}

// ---- The evidence on a grid --------------------------------------------------------------------

TEST(Evidence, TwoPixels) {
  const double expected[] = {-1.2710781516, -1.5165352004, -2.6346433074, -0.8480354287};
  const double gaps[] = {0.0115085, 0.0027741, 0.0031627, 0.0150480};
  double total = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    const double evidence = kAllImages[i].log_evidence();
    EXPECT_NEAR(evidence, expected[i], 1e-9);
    EXPECT_NEAR(evidence - kAllImages[i].elbo(kAllImages[i].best_bell()), gaps[i], 1e-6);
    total += std::exp(evidence);
  }
  EXPECT_NEAR(total, 1, 1e-12);
}

// The middles of cells that cover the plane: first z1 stands still, and z2 runs.
TEST(Evidence, TheGridsPointsAreMiddlesOfCells) {
  const Grid grid{6, 4};
  const double middles[] = {-4.5, -1.5, 1.5, 4.5};
  const Tensor<double> points = grid.points<double>(0, 16);
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 4; ++j) {
      EXPECT_EQ(points(4 * i + j, 0), middles[i]);
      EXPECT_EQ(points(4 * i + j, 1), middles[j]);
    }
}

// A decoder without hidden units that bends nothing: both logits depend on z1 alone, as above. The
// grid in two dimensions must give what the line gives in one.
TEST(Evidence, TheGridGivesTheEvidenceOfTwoPixels) {
  Rng rng(0);
  Vae<double> vae(2, 2, 2, rng);
  for (Parameter<double>* p : vae.parameters()) p->set_value(Tensor<double>(p->value().shape()));
  // relu(z1) - relu(-z1) = z1.
  const auto set = [&](const char* name, const Tensor<double>& value) {
    for (Parameter<double>* p : vae.parameters())
      if (p->name() == name) p->set_value(value);
  };
  set("decoder.weight", Tensor<double>({2, 2}, {1, 0, -1, 0}));
  set("to_logits.weight", Tensor<double>({2, 2}, {3, -3, 2, -2}));
  set("to_logits.bias", Tensor<double>({2}, {0, -1}));
  const Tensor<double> x({4, 2}, {1, 1, 1, 0, 0, 1, 0, 0});
  const Tensor<double> found = log_evidence(vae, x, {8, 120});
  for (Index i = 0; i < 4; ++i) EXPECT_NEAR(found(i), kAllImages[i].log_evidence(), 1e-9);
  // More points than are worked on at once or fewer, and a last part that is not full.
  const Tensor<double> again = log_evidence(vae, x, {8, 45});
  for (Index i = 0; i < 4; ++i) EXPECT_NEAR(again(i), kAllImages[i].log_evidence(), 1e-6);
}

// All eight images of three pixels: their probabilities add up to 1.
TEST(Evidence, TheProbabilitiesOfAllImagesAddUpToOne) {
  Somewhere at;
  Tensor<double> all({8, 3});
  for (Index i = 0; i < 8; ++i)
    for (Index d = 0; d < 3; ++d) all.set({i, d}, static_cast<double>((i >> d) & 1));
  EXPECT_NEAR(sum(exp(log_evidence(at.vae, all, {9, 200}))).item(), 1, 1e-9);
}

TEST(Evidence, TheJointIsTheSameByOneProductAsByTheDistributions) {
  Somewhere at;
  const Tensor<double> z = at.rng.normal<double>({5, 2});
  const Tensor<double> joint = log_joint(at.vae, at.x, z);  // (5, 3)
  for (Index g = 0; g < 5; ++g) {
    const Tensor<double> point = slice(z, 0, g, g + 1);
    for (Index n = 0; n < 3; ++n) {
      const double expected = at.vae.decode(point).log_prob(slice(at.x, 0, n, n + 1)).item() +
                              nn::Normal<double>::standard().log_prob(point).item();
      EXPECT_NEAR(joint(g, n), expected, 1e-12);
    }
  }
  const Grid grid{3, 4};
  const Tensor<double> all = log_joint_on(at.vae, at.x, grid);  // (3, 4, 4)
  EXPECT_EQ(all.shape(), Shape({3, 4, 4}));
  const Tensor<double> point({1, 2}, {grid.at(1), grid.at(3)});
  EXPECT_NEAR(all(2, 1, 3), log_joint(at.vae, at.x, point)(0, 2), 1e-12);
}

TEST(Evidence, AGridNeedsTwoLatents) {
  Rng rng(0);
  const Vae<double> vae(3, 4, 3, rng);
  try {
    log_evidence(vae, Tensor<double>({1, 3}), {6, 10});
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "evidence on a grid: the model has 3 latents, and this grid is a plane: it needs "
                 "2");
  }
}

TEST(Evidence, BlackIsBelow128) {
  const Tensor<float> x({3}, {127 / 255.0f, 128 / 255.0f, 1});
  const Tensor<float> b = binarise(x);
  EXPECT_EQ(b(0), 0);
  EXPECT_EQ(b(1), 1);
  EXPECT_EQ(b(2), 1);
}

// ---- Grey images -------------------------------------------------------------------------------

TEST(Evidence, GreyImagesAreBelowWhatIsDrawnFromThem) {
  const TwoPixels grey{0.8, 0.3};
  EXPECT_NEAR(grey.log_evidence(), -1.8165352004, 1e-9);
  EXPECT_NEAR(mean_log_evidence(grey), -1.4311220271, 1e-9);
  EXPECT_NEAR(mean_log_evidence(grey) - grey.log_evidence(), mean_kl_between_posteriors(grey),
              1e-9);
  EXPECT_NEAR(mass_of_grey_images(), 0.15118, 1e-5);
  // By a sum over grey levels, in place of the closed form of each pixel.
  double mass = 0;
  constexpr int kLevels = 50;
  for (int i = 0; i < kLevels; ++i)
    for (int j = 0; j < kLevels; ++j)
      mass += std::exp(TwoPixels{(i + 0.5) / kLevels, (j + 0.5) / kLevels}.log_evidence());
  EXPECT_NEAR(mass / (kLevels * kLevels), mass_of_grey_images(), 1e-4);
}

// ---- Posteriors --------------------------------------------------------------------------------

// A normal density over the grid, given as its logarithm without a constant.
std::vector<double> normal_on(const Grid& grid, double m1, double m2, double s1, double s2,
                              double correlation, double weight = 1) {
  std::vector<double> values;
  for (Index i = 0; i < grid.side; ++i)
    for (Index j = 0; j < grid.side; ++j) {
      const double u = (grid.at(i) - m1) / s1;
      const double v = (grid.at(j) - m2) / s2;
      const double square =
          (u * u - 2 * correlation * u * v + v * v) / (1 - correlation * correlation);
      values.push_back(std::log(weight) - 0.5 * square);
    }
  return values;
}

TEST(Evidence, TheShapeOfANormalPosterior) {
  const Grid grid{6, 300};
  const PosteriorShape shape = shape_of(normal_on(grid, 0.4, -1.3, 0.3, 0.2, 0.6).data(), grid);
  EXPECT_NEAR(shape.mean[0], 0.4, 1e-6);
  EXPECT_NEAR(shape.mean[1], -1.3, 1e-6);
  EXPECT_NEAR(shape.variance[0], 0.09, 1e-6);
  EXPECT_NEAR(shape.variance[1], 0.04, 1e-6);
  EXPECT_NEAR(shape.covariance, 0.6 * 0.06, 1e-6);
  EXPECT_NEAR(shape.top[0], 0.4, grid.step());
  EXPECT_NEAR(shape.negentropy(), 0, 1e-6);
  // The integral of e^(-square / 2).
  EXPECT_NEAR(shape.log_evidence, std::log(2 * std::numbers::pi * 0.06 * 0.8), 1e-6);
  EXPECT_EQ(shape.far_mass, 0);
}

// Two hills, of which the second has a quarter of the mass and is as far as said.
TEST(Evidence, ASecondHillIsFoundWithItsMass) {
  const Grid grid{6, 300};
  for (double distance : {2.0, 0.3}) {
    const std::vector<double> one = normal_on(grid, -1, 0, 0.05, 0.05, 0, 3);
    const std::vector<double> other = normal_on(grid, -1, distance, 0.05, 0.05, 0, 1);
    std::vector<double> both;
    for (std::size_t i = 0; i < one.size(); ++i)
      both.push_back(std::log(std::exp(one[i]) + std::exp(other[i])));
    const PosteriorShape shape = shape_of(both.data(), grid);
    EXPECT_NEAR(shape.far_mass, distance > 1 ? 0.25 : 0, 1e-4);
    EXPECT_NEAR(shape.hill_mean[1], 0, 1e-3);
    EXPECT_NEAR(shape.hill_variance[1], 0.0025, 2e-4);
    EXPECT_NEAR(shape.mean[1], distance / 4, 1e-4);
    EXPECT_GT(shape.negentropy(), 0.1);
  }
}

// The best normal q of an image: no neighbour has a higher ELBO, by the grid.
TEST(Evidence, AFittedQIsTheBest) {
  Somewhere at;
  const nn::Normal<double> q = fit_from<double>(at.vae.encode(at.x), at.vae, at.x,
                                                {.steps = 800, .rate = 0.03, .draws = 32}, at.rng);
  const Grid grid{8, 160};
  const Tensor<double> joint = log_joint_on(at.vae, at.x, grid);
  const auto elbo = [&](Index n, const std::array<double, 4>& of) {
    double total = 0;
    for (Index i = 0; i < grid.side; ++i)
      for (Index j = 0; j < grid.side; ++j) {
        const double log_q =
            log_normal(grid.at(i), of[0], of[2]) + log_normal(grid.at(j), of[1], of[3]);
        total += grid.step() * grid.step() * std::exp(log_q) * (joint(n, i, j) - log_q);
      }
    return total;
  };
  for (Index n = 0; n < 3; ++n) {
    const std::array<double, 4> best = {q.mean.value()(n, 0), q.mean.value()(n, 1),
                                        q.log_var.value()(n, 0), q.log_var.value()(n, 1)};
    const double level = elbo(n, best);
    for (int k = 0; k < 4; ++k)
      for (double step : {-0.15, 0.15}) {
        std::array<double, 4> beside = best;
        beside[k] += step;
        EXPECT_LT(elbo(n, beside), level) << "image " << n << ", number " << k;
      }
    EXPECT_LT(level, log_evidence(at.vae, at.x, grid)(n));
  }
}

// ---- The aggregate posterior -------------------------------------------------------------------

TEST(Evidence, TheMeanKlIsInformationAndTheDistanceOfTheAggregate) {
  Rng rng(2);
  // Four narrow clouds far apart: z says which image it is, ln 4.
  const nn::Normal<double> q{Tensor<double>({4, 2}, {3, 3, 3, -3, -3, 3, -3, -3}),
                             full<double>({4, 2}, 2 * std::log(0.1))};
  const KlParts parts = split_kl(q, 2000, rng);
  EXPECT_NEAR(parts.information, std::log(4.0), 1e-9);
  EXPECT_NEAR(parts.total(), mean(kl(q, nn::Normal<double>::standard()).value()).item(), 0.05);
  // All clouds the prior: nothing is told, and nothing is off.
  const nn::Normal<double> dead{Tensor<double>({4, 2}), Tensor<double>({4, 2})};
  const KlParts none = split_kl(dead, 3, rng);
  EXPECT_NEAR(none.information, 0, 1e-12);
  EXPECT_NEAR(none.of_aggregate, 0, 1e-12);
}

TEST(Evidence, DensitiesByTwoProducts) {
  Rng rng(2);
  const Tensor<double> z = rng.normal<double>({3, 2});
  const Tensor<double> mean = rng.normal<double>({4, 2});
  const Tensor<double> log_var = rng.normal<double>({4, 2});
  const Tensor<double> found = log_densities(z, mean, log_var);
  for (Index m = 0; m < 3; ++m)
    for (Index n = 0; n < 4; ++n)
      EXPECT_NEAR(found(m, n),
                  log_normal(z(m, 0), mean(n, 0), log_var(n, 0)) +
                      log_normal(z(m, 1), mean(n, 1), log_var(n, 1)),
                  1e-12);
}

// Latents that are scaled to E[z^2] = 1, and the decoder's weights against it: the same images, and
// an ELBO that is higher by the formula.
TEST(Evidence, RescalingLatentsGainsWhatTheFormulaSays) {
  Somewhere at;
  const Tensor<double> moments = lesson13::second_moments(at.vae, at.x);
  const Tensor<double> noise = at.rng.normal<double>({3, 2});
  const double before = mean(at.vae.elbo(at.x, noise).total()).item();
  for (Parameter<double>* p : at.vae.parameters()) {
    const Tensor<double> scale = 1.0 / sqrt(moments);  // (2)
    if (p->name() == "to_mean.weight") p->set_value(p->value() * scale.reshape({2, 1}));
    if (p->name() == "to_mean.bias") p->set_value(p->value() * scale);
    if (p->name() == "to_log_var.bias") p->set_value(p->value() + 2.0 * log(scale));
    if (p->name() == "decoder.weight") p->set_value(p->value() / scale);
  }
  const double after = mean(at.vae.elbo(at.x, noise).total()).item();
  EXPECT_NEAR(after - before, lesson13::gain_by_rescaling(moments), 1e-12);
}

}  // namespace
}  // namespace gradus::lesson15
