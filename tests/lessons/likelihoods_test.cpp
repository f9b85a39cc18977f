#include <cmath>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/tape.hpp"
#include "lessons/16_likelihoods/instruments.hpp"
#include "lessons/16_likelihoods/model.hpp"
#include "nn/parameters.hpp"

namespace gradus::lesson16 {
namespace {

constexpr Index kPixels = 6, kHidden = 5, kLatents = 3, kImages = 4;
constexpr Noise kAll[] = {Noise::kBernoulli, Noise::kFixedNormal, Noise::kLearnedNormal,
                          Noise::kNormalPerPixel, Noise::kContinuousBernoulli};

TEST(Likelihoods, GradientOfTheElboIsRight) {
  for (Noise noise : kAll) {
    Rng rng(7);
    NoisyVae<double> vae(noise, 0.3, kPixels, kHidden, kLatents, rng);
    const Tensor<double> x = rng.uniform<double>({kImages, kPixels});
    const Tensor<double> e = rng.normal<double>({kImages, kLatents});
    const auto report = gradcheck([&] { return vae.elbo(x, e).total(); }, vae.parameters());
    EXPECT_TRUE(report) << report;
    EXPECT_EQ(report.checked, nn::count(vae.parameters()));
  }
}

// The mean of many draws, and their variance, are what the model says.
TEST(Likelihoods, DrawsHaveTheMeanThatTheModelSays) {
  constexpr Index kDraws = 100'000;
  for (Noise noise : kAll) {
    Rng rng(8);
    const NoisyVae<double> vae(noise, 0.3, kPixels, kHidden, kLatents, rng);
    const Tensor<double> a = full<double>({kDraws, 1}, 0.8);
    const Tensor<double> x = vae.draw(a, rng);
    const double m = vae.mean(a)(0, 0);
    const double variance = predicted_variance(vae, a);
    EXPECT_LT(std::fabs(mean(x).item() - m), 5 * std::sqrt(variance / kDraws));
    EXPECT_NEAR(mean(square(x - m)).item() / variance, 1, 0.03);
  }
}

TEST(Likelihoods, LevelsOfANormalPixelAddUpToOne) {
  for (double m : {-0.5, 0.0, 0.3, 1.0})
    for (double s : {0.001, 0.1, 1.0}) {
      double total = 0;
      for (int k = 0; k < kLevels; ++k) total += std::exp(log_prob_of_level_normal(k, m, s));
      EXPECT_NEAR(total, 1, 1e-12) << m << " " << s;
    }
}

TEST(Likelihoods, LevelsOfAnExponentialPixelAddUpToOneAndHaveItsRatio) {
  for (double t : {-200.0, -1.0, -1e-3, -1e-10, 0.0, 1e-3, 1.0, 200.0}) {
    double total = 0;
    for (int k = 0; k < kLevels; ++k) total += std::exp(log_prob_of_level_exponential(k, t));
    EXPECT_NEAR(total, 1, 1e-9) << t;
    EXPECT_NEAR(log_prob_of_level_exponential(8, t) - log_prob_of_level_exponential(7, t), t,
                1e-9 * (1 + 256 * std::fabs(t)));
  }
}

// In long double, where the tails can still be subtracted: to 1e-12, and to one part in 600 from 25
// deviations on. Mirrored intervals have the same mass.
TEST(Likelihoods, NormalMassIsThatOfLongDouble) {
  const std::vector<std::pair<double, double>> intervals = {{-1, 2},       {0, 0.1}, {3, 3.5},
                                                            {-0.01, 0.01}, {20, 21}, {24.9, 25.1}};
  for (const auto& [a, b] : intervals) {
    const long double root = sqrtl(2);
    const long double mass = (erfcl(a / root) - erfcl(b / root)) / 2;
    EXPECT_NEAR(log_normal_mass(a, b), static_cast<double>(logl(mass)), 1e-12);
    EXPECT_DOUBLE_EQ(log_normal_mass(-b, -a), log_normal_mass(a, b));
  }
  const long double far = (erfcl(30 / sqrtl(2)) - erfcl(31 / sqrtl(2))) / 2;
  EXPECT_NEAR(log_normal_mass(30, 31), static_cast<double>(logl(far)), 1.0 / 600);
  EXPECT_TRUE(std::isfinite(log_normal_mass(1000, 1000.1)));
  EXPECT_EQ(log_normal_mass(-INFINITY, INFINITY), 0);
}

// Squared error averaged over pixels plus w KL, times D / (2 sigma^2), differs from -ELBO by a
// constant: their gradients are in that ratio.
TEST(Likelihoods, ConverterHasTheGradientsOfTheElbo) {
  constexpr double kWeight = 0.7;
  const double variance = variance_of_mean_squared_error(kWeight, kPixels);
  Rng rng(9);
  NoisyVae<double> vae(Noise::kFixedNormal, variance, kPixels, kHidden, kLatents, rng);
  const Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  const Tensor<double> e = rng.normal<double>({kImages, kLatents});
  std::vector<Tensor<double>> of_elbo;
  {
    Tape<double> tape;
    tape.backward(-mean(vae.elbo(x, e).total()));
    for (const auto* p : vae.parameters()) of_elbo.push_back(p->grad);
  }
  for (auto* p : vae.parameters()) p->grad = Tensor<double>(p->value().shape());
  Tape<double> tape;
  const nn::Normal<double> q = vae.encode(x);
  const Var<double> error = mean(square(vae.activations(q.sample(e)) - x));
  tape.backward(error + kWeight * mean(kl(q, nn::Normal<double>::standard())));
  const auto parameters = vae.parameters();
  for (std::size_t k = 0; k < parameters.size(); ++k) {
    const Tensor<double> gap = parameters[k]->grad / kWeight - of_elbo[k];
    EXPECT_LE(max(abs(gap)).item(), 1e-12 * (1 + max(abs(of_elbo[k])).item()));
  }
}

TEST(Likelihoods, SharpnessSplitsIntoMeansAndResiduals) {
  Rng rng(10);
  const NoisyVae<double> vae(Noise::kLearnedNormal, 0.3, kPixels, kHidden, kLatents, rng);
  const Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  const Measured m = measure_all(vae, x, 3, Rng(1));
  EXPECT_NEAR(m.sharp_means + m.sharp_residuals + m.sharp_cross, m.sharp_images, 1e-14);
  EXPECT_NEAR(m.sharp_images, lesson13::sharpness(x, 3), 1e-15);
}

// The covariance of neighbours' residuals, by a loop over pairs, and their mean square over the
// same pairs.
TEST(Likelihoods, ResidualsOfNeighboursCorrelateAsInALoop) {
  Rng rng(12);
  const NoisyVae<double> vae(Noise::kBernoulli, 1, kPixels, kHidden, kLatents, rng);
  const Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  const Measured m = measure_all(vae, x, 3, Rng(1));
  Rng same(1);
  const Tensor<double> r =
      x - vae.mean(vae.activations(vae.encode(x).sample(same).value()).value());
  double products = 0, squares = 0;
  for (Index i = 0; i < kImages; ++i)
    for (Index d : {0, 1, 3, 4}) {  // rows of three pixels
      products += r(i, d) * r(i, d + 1);
      squares += (r(i, d) * r(i, d) + r(i, d + 1) * r(i, d + 1)) / 2;
    }
  EXPECT_NEAR(m.residual_covariance, products / (4 * kImages), 1e-15);
  EXPECT_NEAR(m.residual_correlation(), products / squares, 1e-13);
}

// Where the variance is the mean squared error, of all pixels or of each by itself, the ELBO's
// slope by its logarithm is 0.
TEST(Likelihoods, BestVarianceIsTheSquaredError) {
  for (Noise noise : {Noise::kLearnedNormal, Noise::kNormalPerPixel}) {
    Rng rng(13);
    NoisyVae<double> vae(noise, 0.3, kPixels, kHidden, kLatents, rng);
    const Tensor<double> x = rng.uniform<double>({kImages, kPixels});
    const Tensor<double> e = rng.normal<double>({kImages, kLatents});
    const Tensor<double> a = vae.activations(vae.encode(x).sample(e)).value();
    const Tensor<double> errors = square(x - a);
    Parameter<double>* log_var = vae.parameters().back();
    log_var->set_value(noise == Noise::kNormalPerPixel ? log(mean(errors, {0}))
                                                       : log(mean(errors)).reshape({1}));
    Tape<double> tape;
    tape.backward(-mean(vae.elbo(x, e).total()));
    EXPECT_LE(max(abs(log_var->grad)).item(), 1e-13);
  }
}

// D/2 (1 + ln 2 pi E) is what the normal density gives at that variance.
TEST(Likelihoods, BestNormalNllIsThatOfTheDensity) {
  const double e = 0.04;
  const nn::Normal<double> p{full<double>({1, kPixels}, 0.2), std::log(e)};
  EXPECT_NEAR(best_normal_nll(e, kPixels), -p.log_prob(Tensor<double>({1, kPixels})).item(), 1e-12);
}

TEST(Likelihoods, ScoresAreErrorsByTheDeviation) {
  Rng rng(14);
  const NoisyVae<double> vae(Noise::kLearnedNormal, 0.04, kPixels, kHidden, kLatents, rng);
  const Tensor<double> x = rng.uniform<double>({200, kPixels});
  const Scores scores = z_scores(vae, x, Rng(1));
  Rng same(1);
  const Tensor<double> z = (x - vae.activations(vae.encode(x).sample(same).value()).value()) / 0.2;
  EXPECT_NEAR(scores.square, mean(square(z)).item(), 1e-12);
  EXPECT_NEAR(scores.fourth, mean(square(square(z))).item(), 1e-11);
  EXPECT_NEAR(scores.beyond_3, mean(less(Tensor<double>(3.0), abs(z))).item(), 1e-12);
  EXPECT_NEAR(scores.within_half, mean(less(abs(z), Tensor<double>(0.5))).item(), 1e-12);
  // The bins' areas, and their mean, which is off by half a bin at most.
  double area = 0, first = 0;
  for (std::size_t i = 0; i < scores.at.size(); ++i) {
    area += 0.25 * scores.density[i];
    first += 0.25 * scores.density[i] * scores.at[i];
  }
  EXPECT_NEAR(area, mean(less(abs(z), Tensor<double>(8.0))).item(), 1e-12);
  EXPECT_NEAR(first, mean(z).item(), 0.125);
}

// The bins' averages, weighted with their shares, are those over all pixels.
TEST(Likelihoods, ReliabilityBinsAddUpToAllPixels) {
  Rng rng(15);
  const NoisyVae<double> vae(Noise::kBernoulli, 1, kPixels, kHidden, kLatents, rng);
  const Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  const Measured m = measure_all(vae, x, 3, Rng(1));
  double share = 0, mean_x = 0, variance = 0, error = 0;
  for (const Bin& bin : reliability(vae, x, Rng(1))) {
    share += bin.share;
    mean_x += bin.share * bin.x;
    variance += bin.share * bin.predicted_variance;
    error += bin.share * bin.error;
  }
  EXPECT_NEAR(share, 1, 1e-12);
  EXPECT_NEAR(mean_x, mean(x).item(), 1e-12);
  EXPECT_NEAR(variance, m.predicted_variance, 1e-12);
  EXPECT_NEAR(error, m.error, 1e-12);
}

// Independent noise adds twice its variance to squared steps; 5 standard errors, of which one is
// below 2 sigma^2 sqrt(3 / pairs) + 4 sigma sqrt(E dm^2 / pairs).
TEST(Likelihoods, DrawsAreRougherByTwiceTheVariance) {
  constexpr Index kDraws = 20'000;
  constexpr double kVariance = 0.3, kPairs = kDraws * 4;
  Rng rng(16);
  const NoisyVae<double> vae(Noise::kFixedNormal, kVariance, kPixels, kHidden, kLatents, rng);
  const PriorSharpness s = sharpness_of_prior(vae, kDraws, 3, Rng(1));
  const double error =
      2 * kVariance * std::sqrt(3 / kPairs) + 4 * std::sqrt(kVariance * s.means / kPairs);
  EXPECT_NEAR(s.draws, s.means + 2 * kVariance, 5 * error);
  EXPECT_GT(s.means, 0);
}

// A level's probability with a variance per pixel is that of its own pixel's variance.
TEST(Likelihoods, LevelsAreCountedWithTheirPixelsVariance) {
  Rng rng(17);
  NoisyVae<double> vae(Noise::kNormalPerPixel, 0.3, 2, kHidden, kLatents, rng);
  vae.parameters().back()->set_value(Tensor<double>({2}, {std::log(0.01), std::log(0.04)}));
  const Tensor<double> x({1, 2}, {100.0 / 255, 200.0 / 255});
  const Tensor<double> a({1, 2}, {0.3, 0.9});
  const double nats =
      -log_prob_of_level_normal(100, 0.3, 0.1) - log_prob_of_level_normal(200, 0.9, 0.2);
  EXPECT_NEAR(nats_of_levels(vae, a, x), nats, 1e-12);
}

// A dequantised level's probability is the integral of e^(l x) / C(l) over its cell; a Bernoulli's
// is e^(l k / 255) divided by the sum over all levels.
TEST(Likelihoods, LevelsOfExponentialPixelsAreIntegralsAndSums) {
  Rng rng(18);
  const double l = -7;
  const Tensor<double> a({1, 1}, {l});
  const NoisyVae<double> continuous(Noise::kContinuousBernoulli, 1, 1, kHidden, kLatents, rng);
  const double cell = (std::exp(l * 41 / 256) - std::exp(l * 40 / 256)) / (std::exp(l) - 1);
  EXPECT_NEAR(nats_of_levels(continuous, a, Tensor<double>({1, 1}, {40.7 / 256})), -std::log(cell),
              1e-12);

  const NoisyVae<double> bernoulli(Noise::kBernoulli, 1, 1, kHidden, kLatents, rng);
  double sum = 0;
  for (int k = 0; k < kLevels; ++k) sum += std::exp(l * k / 255);
  EXPECT_NEAR(nats_of_levels(bernoulli, a, Tensor<double>({1, 1}, {40.0 / 255})),
              std::log(sum) - l * 40 / 255, 1e-12);
}

// Values in python3: with numpy's quadrature and math.erfc, tests/references/likelihoods.py.
TEST(Likelihoods, SinglePixelsCostTheBitsOfTheReference) {
  const double bit = std::log(2.0);
  EXPECT_NEAR(-log_prob_of_level_normal(128, 0.5, 0.1) / bit, 5.998543148380421, 1e-12);
  EXPECT_NEAR(-log_prob_of_level_normal(0, 0, 0.1) / bit, 0.9776054919350263, 1e-12);
  EXPECT_NEAR(-log_prob_of_level_exponential(0, -10.0 / 255) / bit, 4.70055805553603, 1e-12);
  EXPECT_NEAR(-log_prob_of_level_exponential(0, -100.0 / 255) / bit, 1.6241459566056116, 1e-12);
}

// Exactly between the levels 127 and 128, and levels at their cells.
TEST(Likelihoods, BinarisedAndDequantisedImagesAreOfTheirLevels) {
  const Tensor<double> x({1, 4}, {0, 127.0 / 255, 128.0 / 255, 1});
  EXPECT_EQ(binarise(x).to_vector(), (std::vector<double>{0, 0, 1, 1}));
  Rng rng(11);
  const Tensor<double> y = dequantise(x, rng);
  const std::vector<int> levels = {0, 127, 128, 255};
  for (Index i = 0; i < 4; ++i) EXPECT_EQ(static_cast<int>(y(0, i) * 256), levels[i]);
}

// Two pixels, of which the first is 0 in three images of four, and the second 255 in all.
TEST(Likelihoods, BitsOfHistogramsAreThoseOnPaper) {
  const Tensor<double> x({4, 2}, {0, 1, 0, 1, 0, 1, 1, 1});
  const double u = 1.0 / 256;
  const double first = -0.75 * std::log2((3 + u) / 5) - 0.25 * std::log2((1 + u) / 5);
  EXPECT_NEAR(bits_of_histograms(x, x), (first - std::log2((4 + u) / 5)) / 2, 1e-12);
}

}  // namespace
}  // namespace gradus::lesson16
