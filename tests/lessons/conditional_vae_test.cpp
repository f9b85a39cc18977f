#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/18_conditional_vae/instruments.hpp"
#include "lessons/18_conditional_vae/model.hpp"
#include "lessons/18_conditional_vae/on_paper.hpp"
#include "lessons/common/examples.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"

namespace gradus::lesson18 {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr Index kPixels = 4, kHidden = 7, kLatents = 2, kClasses = 3, kImages = 5;

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

template <class F> std::string message_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

struct SmallCvae : ::testing::Test {
  Rng rng{7};
  Cvae<double> cvae{kPixels, kHidden, kLatents, kClasses, rng};
  Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  std::vector<Index> labels = {0, 2, 1, 2, 0};
  Tensor<double> y = nn::one_hot<double>(labels, kClasses);
  Tensor<double> noise = rng.normal<double>({kImages, kLatents});
};

// ---- The model ---------------------------------------------------------------------------------

TEST_F(SmallCvae, GradientOfTheElboIsRight) {
  const auto report = gradcheck([&] { return cvae.elbo(x, y, noise).total(); }, cvae.parameters());
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, nn::count(cvae.parameters()));
}

// Gives a CVAE the weights of a VAE, and random ones of this scale to the columns that read labels.
void set_label_weights(Cvae<double>& cvae, Vae<double>& vae, double scale, Rng& rng) {
  for (std::size_t k = 0; k < cvae.parameters().size(); ++k) {
    Parameter<double>& p = *cvae.parameters()[k];
    const Tensor<double> weight = vae.parameters()[k]->value();
    if (p.shape() == weight.shape())
      p.set_value(weight);
    else
      p.set_value(
          concatenate(std::vector{weight, scale * rng.normal<double>({weight.extent(0), kClasses})},
                      1));
  }
}

TEST_F(SmallCvae, WithLabelWeightsOfZeroIsLesson13s) {
  Vae<double> vae(kPixels, kHidden, kLatents, rng);
  set_label_weights(cvae, vae, 0, rng);
  const Elbo<double> mine = cvae.elbo(x, y, noise);
  const Elbo<double> theirs = vae.elbo(x, noise);
  EXPECT_LT(largest(mine.reconstruction.value() - theirs.reconstruction.value()), 1e-13);
  EXPECT_LT(largest(mine.kl.value() - theirs.kl.value()), 1e-13);
  // With others it is not.
  set_label_weights(cvae, vae, 1, rng);
  EXPECT_GT(largest(cvae.elbo(x, y, noise).kl.value() - theirs.kl.value()), 1e-3);
}

// A row of zeros with a single 1 picks one column of the weights, which is added like a bias.
TEST_F(SmallCvae, ALabelIsAnotherBias) {
  Vae<double> vae(kPixels, kHidden, kLatents, rng);
  set_label_weights(cvae, vae, 1, rng);
  constexpr Index kLabel = 1;
  for (std::size_t k = 0; k < cvae.parameters().size(); ++k) {
    Parameter<double>& p = *cvae.parameters()[k];
    if (p.shape() == vae.parameters()[k]->shape()) continue;
    const Index inputs = vae.parameters()[k]->shape()[1];
    const Tensor<double> column =
        slice(p.value(), 1, inputs + kLabel, inputs + kLabel + 1).reshape({-1});
    Parameter<double>& bias = *vae.parameters()[k + 1];
    bias.set_value(bias.value() + column);
  }
  const Tensor<double> same = same_label<double>(kImages, kLabel, kClasses);
  EXPECT_LT(largest(cvae.elbo(x, same, noise).total().value() - vae.elbo(x, noise).total().value()),
            1e-13);
}

// (784 + 10 + 1) 400 + 2 (400 + 1) 20 + (20 + 10 + 1) 400 + (400 + 1) 784
TEST(Cvae, HasEightThousandParametersMoreThanTheVae) {
  Rng rng(1);
  Cvae<float> cvae(784, 400, 20, 10, rng);
  EXPECT_EQ(nn::count(cvae.parameters()), 660824);
}

TEST_F(SmallCvae, RefusesLabelsThatDoNotFit) {
  EXPECT_THAT(message_of([&] { cvae.elbo(x, slice(y, 1, 0, 2), noise); }),
              AllOf(HasSubstr("(5, 2)"), HasSubstr("one row of 3 numbers")));
  EXPECT_THAT(message_of([&] { cvae.encode(x, slice(y, 0, 0, 4)); }), HasSubstr("for 5 rows"));
  EXPECT_THAT(message_of([&] { cvae.decode(noise, Tensor<double>({5})); }), HasSubstr("(5)"));
  EXPECT_THAT(message_of([&] { same_label<double>(2, 3, 3); }),
              HasSubstr("label 3 is not in 0, ..., 2"));
  EXPECT_THAT(message_of([&] { with_labels(x, {0, 1}, 3); }), HasSubstr("5 images and 2 labels"));
  EXPECT_THAT(message_of([&] { with_labels(x, {0, 1, 2, 3, 0}, 3); }), HasSubstr("label 3"));
  EXPECT_THAT(message_of([&] { by_class({0, -1}, 3); }), HasSubstr("label -1"));
}

TEST_F(SmallCvae, LabelsStandBesideImages) {
  const Labelled<double> both(with_labels(x, labels, kClasses), kClasses);
  EXPECT_EQ(largest(both.x - x), 0);
  EXPECT_EQ(largest(both.y - y), 0);
}

TEST(Classifier, GradientIsRight) {
  Rng rng(3);
  const Tensor<double> x = rng.normal<double>({6, 4});
  const std::vector<Index> labels = {0, 1, 2, 2, 1, 0};
  const Tensor<double> y = nn::one_hot<double>(labels, 3);
  for (Index hidden : {0, 5}) {
    Classifier<double> classifier(4, hidden, 3, rng);
    const auto report =
        gradcheck([&] { return classifier.log_prob(x, y); }, classifier.parameters());
    EXPECT_TRUE(report) << report;
    EXPECT_LT(largest(classifier.log_prob(x, y).value() - classifier(x).log_prob(labels).value()),
              1e-14);
  }
}

// ---- What scores say ---------------------------------------------------------------------------

TEST(Scores, WhatALabelSavesAndWhatItCostsAddUpToLnC) {
  Rng rng(5);
  for (Index classes : {2, 10}) {
    const Tensor<double> scores = 30.0 * rng.normal<double>({200, classes}) - 240.0;
    const Verdict verdict = judge(scores, rng.integers(200, classes));
    EXPECT_NEAR(verdict.gain() + verdict.cross_entropy, std::log(double(classes)), 1e-12);
    EXPECT_LE(verdict.gain(), std::log(double(classes)));
  }
}

// Scores ln P of P = (1/2, 1/4, 1/4), (1/8, 1/8, 3/4), (1/4, 0.35, 0.4) with the labels 0, 1, 1.
// Right is the first. The second label shares its place with another: none is better but the third
// class. The third is second. Confidences 1/2, 3/4, 0.4 in three bins with 1, 0 and 0 right.
TEST(Scores, AreJudgedAsOnPaper) {
  const Tensor<double> p({3, 3}, {0.5, 0.25, 0.25, 0.125, 0.125, 0.75, 0.25, 0.35, 0.4});
  const Verdict verdict = judge(log(p) + 7.0, {0, 1, 1});
  EXPECT_NEAR(verdict.accuracy, 1.0 / 3, 1e-15);
  EXPECT_NEAR(verdict.top_2, 1, 1e-15);
  EXPECT_NEAR(verdict.cross_entropy, -(std::log(0.5) + std::log(0.125) + std::log(0.35)) / 3,
              1e-14);
  EXPECT_NEAR(verdict.mixture, 7 - std::log(3.0), 1e-14);
  EXPECT_NEAR(verdict.own, 7 + (std::log(0.5) + std::log(0.125) + std::log(0.35)) / 3, 1e-14);
  EXPECT_NEAR(verdict.calibration_error(), (0.5 + 0.75 + 0.4) / 3, 1e-14);
  EXPECT_THAT(message_of([&] { judge(p, {0, 1}); }), HasSubstr("2 labels"));
  EXPECT_THAT(message_of([&] { judge(p, {0, 1, 3}); }), HasSubstr("label 3"));
}

// Of 100 images with a confidence of 0.8, 60 are right: 0.2 too much.
TEST(Scores, CalibrationIsClaimedLessTrue) {
  Tensor<double> p({100, 2});
  std::vector<Index> labels;
  for (Index i = 0; i < 100; ++i) {
    p.set({i, 0}, 0.8);
    p.set({i, 1}, 0.2);
    labels.push_back(i < 60 ? 0 : 1);
  }
  EXPECT_NEAR(judge(log(p), labels).calibration_error(), 0.2, 1e-12);
}

TEST(Scores, AreCountedByLabelAndGuess) {
  const Tensor<double> scores({3, 2}, {1, 0, 0, 1, 0, 1});
  const Tensor<double> counts = confusion(scores, {0, 0, 1});
  EXPECT_EQ(counts(0, 0), 1);
  EXPECT_EQ(counts(0, 1), 1);
  EXPECT_EQ(counts(1, 0), 0);
  EXPECT_EQ(counts(1, 1), 1);
}

TEST(Scores, AGapIsAveragedOverRightAndWrongClasses) {
  const Tensor<double> a({2, 3}, {1, 2, 3, 4, 5, 6});
  const Gap g = gap(a, Tensor<double>({2, 3}), {0, 2});
  EXPECT_NEAR(g.right, (1 + 6) / 2.0, 1e-15);
  EXPECT_NEAR(g.wrong, (2 + 3 + 4 + 5) / 4.0, 1e-15);
}

// ---- Scores by a CVAE --------------------------------------------------------------------------

// Where the networks do not look at the label, classes differ by their noise alone.
TEST_F(SmallCvae, SharedDrawsLeaveEqualClassesEqual) {
  Vae<double> vae(kPixels, kHidden, kLatents, rng);
  set_label_weights(cvae, vae, 0, rng);
  const Tensor<double> shared = elbo_by_class(cvae, x, Draws::kShared, Rng(1));
  const Tensor<double> separate = elbo_by_class(cvae, x, Draws::kSeparate, Rng(1));
  for (Index c = 1; c < kClasses; ++c) {
    EXPECT_EQ(largest(slice(shared, 1, c, c + 1) - slice(shared, 1, 0, 1)), 0);
    EXPECT_GT(largest(slice(separate, 1, c, c + 1) - slice(separate, 1, 0, 1)), 1e-3);
  }
}

TEST_F(SmallCvae, ScoresByClassAreTheElbosWithThatLabel) {
  const Tensor<double> scores = elbo_by_class(cvae, x, Draws::kShared, Rng(1));
  const Tensor<double> e = Rng(1).normal<double>({kImages, kLatents});
  for (Index c = 0; c < kClasses; ++c) {
    const Tensor<double> elbo =
        cvae.elbo(x, same_label<double>(kImages, c, kClasses), e).total().value();
    EXPECT_EQ(largest(slice(scores, 1, c, c + 1).reshape({-1}) - elbo), 0);
  }
}

// By the densities themselves, for each class with the same two draws.
TEST_F(SmallCvae, ItsImportanceBoundIsTheLogOfTheMeanWeight) {
  const Tensor<double> bounds = importance_by_class(cvae, x, 2, Rng(1));
  for (Index c = 0; c < kClasses; ++c) {
    const Tensor<double> same = same_label<double>(kImages, c, kClasses);
    const nn::Normal<double> q = cvae.encode(x, same);
    Rng draws(1);
    Tensor<double> weights({kImages});
    for (int i = 0; i < 2; ++i) {
      const Var<double> z = q.sample(draws.normal<double>({kImages, kLatents}));
      const Var<double> log_w = cvae.decode(z, same).log_prob(x) +
                                nn::Normal<double>::standard().log_prob(z) - q.log_prob(z);
      weights += exp(log_w.value());
    }
    EXPECT_LT(largest(slice(bounds, 1, c, c + 1).reshape({-1}) - log(weights / 2.0)), 1e-12);
  }
}

// The second part of the images has draws of its own, and these again are the same for all classes.
TEST_F(SmallCvae, ItsImportanceBoundsOfEqualClassesAreEqual) {
  Vae<double> vae(kPixels, kHidden, kLatents, rng);
  set_label_weights(cvae, vae, 0, rng);
  const Tensor<double> many({kDrawnTogether + 1, kPixels});
  const Tensor<double> bounds = importance_by_class(cvae, many, 3, Rng(1));
  for (Index c = 1; c < kClasses; ++c)
    EXPECT_EQ(largest(slice(bounds, 1, c, c + 1) - slice(bounds, 1, 0, 1)), 0);
  EXPECT_NE(bounds(kDrawnTogether, 0), bounds(0, 0));
  EXPECT_NEAR(mean(slice(bounds, 1, 0, 1)).item(), mean_importance_bound(vae, many, 3, Rng(1)),
              1e-12);
}

// All 16 images of four pixels, black or white: their probabilities sum to 1, whatever the label,
// and so do those of the mixture.
TEST_F(SmallCvae, EvidencesOfAllImagesSumTo1) {
  Tensor<double> all({16, 4});
  for (Index i = 0; i < 16; ++i)
    for (Index d = 0; d < 4; ++d) all.set({i, d}, static_cast<double>((i >> d) & 1));
  const Tensor<double> by_class = evidence_by_class(cvae, all, 120, 8);
  const Tensor<double> sums = sum(exp(by_class), {0});
  for (Index c = 0; c < kClasses; ++c) EXPECT_NEAR(sums(c), 1, 1e-9);
  const Tensor<double> mixture = logsumexp(by_class, {1}) - std::log(3.0);
  EXPECT_NEAR(sum(exp(mixture)).item(), 1, 1e-9);
  // ln p(x|y) <= ln p(x) + ln C
  EXPECT_LE(max(by_class - mixture.reshape({16, 1})).item(), std::log(3.0) + 1e-12);
}

// The mean of w is p(x|y): with 4,000 draws to about 1 in 100, four of these standard errors; and
// the bounds rise with the draws, on average.
TEST_F(SmallCvae, BoundsRiseToTheEvidence) {
  const Tensor<double> exact = evidence_by_class(cvae, x, 120, 8);
  const Tensor<double> many = importance_by_class(cvae, x, 4000, Rng(2));
  EXPECT_LT(largest(exact - many), 0.04);
  double elbo = 0;
  double one = 0;
  double five = 0;
  constexpr int kRepetitions = 400;
  for (int i = 0; i < kRepetitions; ++i) {
    elbo += mean(elbo_by_class(cvae, x, Draws::kShared, Rng(100 + i))).item() / kRepetitions;
    one += mean(importance_by_class(cvae, x, 1, Rng(100 + i))).item() / kRepetitions;
    five += mean(importance_by_class(cvae, x, 5, Rng(100 + i))).item() / kRepetitions;
  }
  EXPECT_NEAR(one, elbo, 0.02);
  EXPECT_GT(five, one);
  EXPECT_LT(five, mean(exact).item() + 0.005);
}

TEST(Grid, CellsAreSymmetricAboutTheOrigin) {
  const Tensor<double> z = cell_middles<double>(4, 2);
  EXPECT_EQ(z.extent(0), 16);
  EXPECT_NEAR(largest(sum(z, {0})), 0, 1e-14);
  EXPECT_NEAR(z(0, 0), -1.5, 1e-15);
  EXPECT_NEAR(z(1, 1), -0.5, 1e-15);
}

// ---- Gaussians ---------------------------------------------------------------------------------

// Twelve examples of two classes in 20 dimensions, and forty in four.
struct Examples {
  Tensor<double> x;
  std::vector<Index> labels;
};

Examples examples_of(Index each, Index dimensions, Rng& rng) {
  Examples result{rng.normal<double>({2 * each, dimensions}), {}};
  for (Index i = 0; i < 2 * each; ++i) {
    result.labels.push_back(i % 2);
    for (Index d = 0; d < dimensions; ++d)
      result.x.set({i, d},
                   result.x(i, d) * static_cast<double>(1 + d % 3) + (i % 2 == 1 ? 0.5 : -0.5));
  }
  return result;
}

TEST(Gaussians, FewExamplesHaveTheSpreadOfTheirCovariance) {
  Rng rng(4);
  const Tensor<float> x = rng.normal<float>({6, 20});
  const Spread spread = fit_spread(x);
  EXPECT_EQ(spread.directions(), 5);
  const Tensor<double> y = cast<double>(x) - mean(cast<double>(x), {0});
  EXPECT_LT(largest(spread.covariance() - matmul_tn(y, y) / 6.0), 1e-12);
  EXPECT_LT(largest(matmul_nt(spread.components, spread.components) - identity<double>(5)), 1e-12);
  // sigma^2: what the first two leave, over the other 18 directions.
  const double total = sum(square(y)).item() / 6;
  EXPECT_NEAR(spread.noise_beside(2), (total - spread.variances(0) - spread.variances(1)) / 18,
              1e-12);
}

TEST(Gaussians, DensityIsThatOfTheWholeMatrix) {
  Rng rng(4);
  const Spread spread = fit_spread(rng.normal<float>({50, 5}));
  const Tensor<double> y = rng.normal<double>({7, 5});
  for (Index q : {0, 2}) {
    const Tensor<double> components = slice(spread.components, 0, 0, q);
    const Tensor<double> variances({q}, q == 0 ? std::vector<double>{} : std::vector<double>{4, 2});
    Tensor<double> c = 0.7 * identity<double>(5);
    if (q > 0) c += matmul_tn(components * (variances - 0.7).reshape({-1, 1}), components);
    EXPECT_LT(largest(log_density(y, components, variances, 0.7) -
                      lesson02::gaussian_log_likelihood(y, c)),
              1e-12);
  }
}

TEST(Gaussians, OfEachClassAreLesson02s) {
  Rng rng(6);
  const Examples few = examples_of(40, 4, rng);
  const Tensor<float> in_float = cast<float>(few.x);
  const GaussianClasses gaussians(with_labels(in_float, few.labels, 2), few.labels, 2);
  const Tensor<double> scores = gaussians.scores(in_float, 2, false);
  const auto lists = by_class(few.labels, 2);
  for (Index c = 0; c < 2; ++c) {
    const auto pca = lesson01::fit_pca(cast<double>(gather_rows(in_float, lists[c])));
    const auto ppca = lesson02::fit_ppca(pca, 2);
    EXPECT_LT(largest(slice(scores, 1, c, c + 1).reshape({-1}) -
                      ppca.log_likelihood(cast<double>(in_float))),
              1e-9);
  }
  EXPECT_THAT(message_of([&] {
                GaussianClasses(with_labels(first(3, in_float), {0, 0, 1}, 2), {0, 0, 1}, 2);
              }),
              HasSubstr("class 1 has 1 examples"));
  EXPECT_THAT(message_of([&] {
                GaussianClasses(Tensor<float>({4, 6}), {0, 1, 0, 1}, 2);
              }),
              HasSubstr("all the same"));
}

// With one noise no direction of any class is narrower than it.
TEST(Gaussians, WithOneNoiseShareIt) {
  Rng rng(6);
  const Examples few = examples_of(40, 4, rng);
  const Tensor<float> x = cast<float>(few.x);
  const GaussianClasses gaussians(with_labels(x, few.labels, 2), few.labels, 2);
  const auto lists = by_class(few.labels, 2);
  std::vector<Spread> spreads;
  for (const auto& list : lists) spreads.push_back(fit_spread(gather_rows(x, list)));
  const double noise = (spreads[0].noise_beside(1) + spreads[1].noise_beside(1)) / 2;
  const Tensor<double> scores = gaussians.scores(x, 1, true);
  for (Index c = 0; c < 2; ++c) {
    const Tensor<double> u = slice(spreads[c].components, 0, 0, 1);
    const Tensor<double> covariance =
        noise * identity<double>(4) + (spreads[c].variances(0) - noise) * matmul_tn(u, u);
    EXPECT_LT(largest(
                  slice(scores, 1, c, c + 1).reshape({-1}) -
                  lesson02::gaussian_log_likelihood(cast<double>(x) - spreads[c].mean, covariance)),
              1e-9);
  }
}

TEST(Gaussians, WithOneCovarianceAreASoftmaxRegression) {
  Rng rng(6);
  const Examples few = examples_of(40, 6, rng);
  const Tensor<float> x = cast<float>(few.x);
  const GaussianClasses gaussians(with_labels(x, few.labels, 2), few.labels, 2);
  const auto eigen = symmetric_eigen(gaussians.within());
  const Spread within = spread_of(Tensor<double>({6}), eigen.vectors, eigen.values);
  for (Index q : {0, 3, 5}) {
    const SharedCovariance shared(gaussians.means(), within, q);
    const Tensor<double> difference =
        log_softmax(shared.scores(x), {1}) - log_softmax(shared.linear_scores(x), {1});
    EXPECT_LT(largest(difference), 1e-12);
    // W S = M with the covariance S that the densities have.
    Tensor<double> s = within.noise_beside(q) * identity<double>(6);
    if (q > 0) {
      const Tensor<double> u = slice(within.components, 0, 0, q);
      const Tensor<double> above = slice(within.variances, 0, 0, q) - within.noise_beside(q);
      s += matmul_tn(u * above.reshape({-1, 1}), u);
    }
    EXPECT_LT(largest(matmul(shared.weights(), s) - gaussians.means()), 1e-12);
  }
  // The covariance within classes: that of the examples less their own mean.
  Tensor<double> scatter({6, 6});
  for (const auto& list : by_class(few.labels, 2)) {
    const Tensor<double> of_class = cast<double>(gather_rows(x, list));
    const Tensor<double> y = of_class - mean(of_class, {0});
    scatter += matmul_tn(y, y) / 80.0;
  }
  EXPECT_LT(largest(gaussians.within() - scatter), 1e-12);
}

// Two classes of codes with means +-1: the scores differ by 2 z / v, v = 0.25 + 0.01.
TEST(Gaussians, OfCodesHaveOneDiagonalCovariance) {
  const Tensor<double> z({4, 1}, {0.5, 1.5, -0.5, -1.5});
  const Tensor<double> scores =
      diagonal_scores(z, {0, 0, 1, 1}, 2, Tensor<double>({2, 1}, {0.3, -2}));
  EXPECT_NEAR(scores(0, 0) - scores(0, 1), 2 * 0.3 / 0.26, 1e-12);
  EXPECT_NEAR(scores(1, 0) - scores(1, 1), 2 * -2 / 0.26, 1e-12);
}

TEST(Gaussians, SomeOfEachClassAreThatMany) {
  Rng rng(2);
  const std::vector<Index> labels = {0, 1, 1, 0, 1, 0, 0, 1};
  const std::vector<Index> chosen = some_of_each(labels, 2, 3, rng);
  EXPECT_EQ(pick(labels, chosen), (std::vector<Index>{0, 0, 0, 1, 1, 1}));
  std::vector<Index> sorted = chosen;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(std::unique(sorted.begin(), sorted.end()), sorted.end());
}

// ---- On paper ----------------------------------------------------------------------------------

// The integrals are those of tests/references/conditional_vae.py.
TEST(TwoKinds, AreWorthWhatTheTextSays) {
  EXPECT_NEAR(TwoKinds::worth_of_dog(0.7), std::log(2.0) + std::log(0.8021838886), 1e-9);
  EXPECT_NEAR(TwoKinds::worth_of_dog(0.7), 0.4727297706, 1e-9);
  EXPECT_NEAR(TwoKinds::worth_of_dog(0), 0, 1e-15);
  for (double x : {-3.0, 0.7, 5.0}) {
    EXPECT_NEAR(TwoKinds::worth_of_dog(x) + TwoKinds::cost_of_dog(x), std::log(2.0), 1e-12);
  }
  EXPECT_NEAR(TwoKinds::mutual_information(0.5), 0.3368308203, 1e-9);
  EXPECT_NEAR(TwoKinds::mutual_information(0.3), 0.2918575179, 1e-9);
  EXPECT_NEAR(TwoKinds::mutual_information(1), 0, 1e-12);
  EXPECT_NEAR(normal_share_below(1), 0.8413447461, 1e-9);
}

}  // namespace
}  // namespace gradus::lesson18
