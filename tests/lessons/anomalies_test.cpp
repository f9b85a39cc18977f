#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "lessons/01_pca/model.hpp"
#include "lessons/20_anomalies/instruments.hpp"
#include "lessons/20_anomalies/model.hpp"
#include "lessons/20_anomalies/on_paper.hpp"
#include "lessons/20_anomalies/out_sets.hpp"
#include "lessons/common/constants.hpp"
#include "nn/distributions.hpp"
#include "tensor/linalg.hpp"

namespace gradus::lesson20 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class F> std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

// A VAE of 5 x 4 pixels as it begins, and some images.
struct Somewhere {
  Rng rng{5};
  Vae<double> vae{20, 7, 3, rng};
  Tensor<double> x = rng.uniform<double>({6, 20});
};

// ---- Scores ------------------------------------------------------------------------------------

// H(1/2) = ln 2, H(0) = H(1) = 0, H(1/4) = ln 4 - 3/4 ln 3.
TEST(Anomalies, TheFloorIsTheEntropyOfThePixels) {
  const Tensor<double> floor = floors(Tensor<double>({2, 3}, {0.5, 0, 1, 0.25, 0.5, 0.5}));
  ASSERT_EQ(floor.size(), 2);
  EXPECT_NEAR(floor(0), std::log(2.0), 1e-15);
  EXPECT_NEAR(floor(1), std::log(4.0) - 0.75 * std::log(3.0) + 2 * std::log(2.0), 1e-14);
}

TEST(Anomalies, NoBoundIsBelowTheFloor) {
  Somewhere at;
  const Tensor<double> excess = bound(at.vae, at.x, Rng(1)).negative_elbo - floors(at.x);
  for (double nats : excess) EXPECT_GT(nats, 0);
  // Not even where the decoder says the image itself: then the KL is what is left.
  Vae<double> knows(1, 1, 1, at.rng);
  for (Parameter<double>* p : knows.parameters()) p->set_value(Tensor<double>(p->shape()));
  knows.theta().back()->set_value(Tensor<double>({1}, {std::log(3.0)}));
  const Tensor<double> image({1, 1}, {0.75});
  EXPECT_NEAR(bound(knows, image, Rng(1)).negative_elbo.item(), floors(image).item(), 1e-14);
}

TEST(Anomalies, TheBoundIsLesson13sElboImageByImage) {
  Somewhere at;
  const Bound b = bound(at.vae, at.x, Rng(1));
  Rng same(1);
  const lesson13::Elbo<double> elbo = at.vae.elbo(at.x, same);
  EXPECT_EQ(largest(b.negative_elbo + elbo.total().value()), 0);
  EXPECT_EQ(largest(b.kl - elbo.kl.value()), 0);
  EXPECT_LT(largest(b.negative_reconstruction() + elbo.reconstruction.value()), 1e-12);
}

// ln w of two draws, by the densities themselves.
TEST(Anomalies, TheTighterBoundIsTheLogOfTheMeanWeight) {
  Somewhere at;
  const Tensor<double> tighter = tighter_bound(at.vae, at.x, 2, Rng(1));
  Rng same(1);
  std::vector<Tensor<double>> weights;
  for (int i = 0; i < 2; ++i) {
    const nn::Normal<double> q = at.vae.encode(at.x);
    const Var<double> z = q.sample(same.normal<double>({6, 3}));
    const Var<double> log_w = at.vae.decode(z).log_prob(at.x) +
                              nn::Normal<double>::standard().log_prob(z) - q.log_prob(z);
    weights.push_back(exp(log_w.value()));
  }
  EXPECT_LT(largest(tighter + log((weights[0] + weights[1]) / 2.0)), 1e-12);
}

// With many draws it is below the -ELBO, which is its average with one draw.
TEST(Anomalies, TheTighterBoundIsTighter) {
  Somewhere at;
  for (Parameter<double>* p : at.vae.theta()) p->set_value(3.0 * p->value());
  double one = 0;
  double many = 0;
  for (int i = 0; i < 200; ++i) {
    one += mean(tighter_bound(at.vae, at.x, 1, Rng(i))).item() / 200;
    many += mean(tighter_bound(at.vae, at.x, 20, Rng(i))).item() / 200;
  }
  EXPECT_LT(many, one);
}

TEST(Anomalies, PpcasSurpriseIsMinusItsLogLikelihood) {
  Rng rng(2);
  const Tensor<double> x = rng.normal<double>({40, 4}) * Tensor<double>({4}, {3, 2, 1, 1});
  const Ppca<double> ppca = lesson02::fit_ppca(lesson01::fit_pca(x), 2);
  EXPECT_NEAR(mean(surprise(ppca, x)).item(), -lesson02::mean_log_likelihood(ppca, x), 1e-12);
}

// What is packed can be unpacked by zlib, and has the length that is told.
TEST(Anomalies, ThePackedLengthIsZlibs) {
  Rng rng(3);
  const Tensor<float> noise = rng.uniform<float>({1, 784});
  const Tensor<float> x = concatenate(std::vector{Tensor<float>({1, 784}), noise});
  std::vector<Bytef> image(784);
  for (Index d = 0; d < 784; ++d) image[d] = static_cast<Bytef>(std::lround(255 * noise(0, d)));
  std::vector<Bytef> packed(2000);
  uLongf length = packed.size();
  ASSERT_EQ(compress2(packed.data(), &length, image.data(), 784, 9), Z_OK);
  const Tensor<double> nats = packed_lengths(x);
  EXPECT_NEAR(nats(1), 8 * std::log(2.0) * static_cast<double>(length), 1e-9);
  EXPECT_GT(nats(1), 784 * 8 * std::log(2.0));  // of noise there is nothing to save
  EXPECT_LT(nats(0), 0.05 * nats(1));
}

TEST(Anomalies, AShareOfPixelsIsReplaced) {
  Rng rng(4);
  const Tensor<double> x = full<double>({100, 100}, 2);
  const Tensor<double> y = replace_pixels(x, 0.2, rng);
  int replaced = 0;
  double total = 0;
  for (double pixel : y) {
    if (pixel == 2) continue;
    ++replaced;
    total += pixel;
    EXPECT_GE(pixel, 0);
    EXPECT_LT(pixel, 1);
  }
  EXPECT_NEAR(replaced, 2000, 4 * std::sqrt(10000 * 0.2 * 0.8));
  EXPECT_NEAR(total / replaced, 0.5, 4 * std::sqrt(1 / 12. / replaced));
  EXPECT_EQ(largest(replace_pixels(x, 0, rng) - x), 0);
}

// Of the scores that were fitted -ln p is 1/2 (S ln 2 pi + ln det C + S) on average.
TEST(Anomalies, TheDensityOfScoresIsTheNormalDensity) {
  Rng rng(6);
  const Tensor<double> scores = matmul(rng.normal<double>({50, 3}), rng.normal<double>({3, 3}));
  const ScoreDensity density(scores);
  const double expected = 0.5 * (3 * kLogTwoPi + log_determinant(density.covariance).item() + 3);
  EXPECT_NEAR(mean(density.surprise(scores)).item(), expected, 1e-10);
  // One score, 0 and 2: mean 1, variance 1.
  const ScoreDensity one(Tensor<double>({2, 1}, {0, 2}));
  EXPECT_NEAR(one.surprise(Tensor<double>({1, 1}, {4})).item(), 0.5 * (kLogTwoPi + 9), 1e-14);
}

TEST(Anomalies, ADetectorsScoresAreMadeOfOneAnother) {
  Rng rng(7);
  const Vae<float> vae(20, 7, 3, rng);
  const Tensor<float> usual = rng.uniform<float>({60, 20});
  const Tensor<float> x = rng.uniform<float>({8, 20});
  const Ppca<double> ppca = lesson02::fit_ppca(lesson01::fit_pca(cast<double>(usual)), 2);
  const Detector detector(vae, ppca, usual, Rng(1));
  const Scores s = detector.scores(x, floors(x));
  const Bound b = bound(vae, x, Rng(1));
  EXPECT_EQ(largest(s.negative_elbo - b.negative_elbo), 0);
  EXPECT_LT(largest(s.negative_reconstruction + s.kl - s.negative_elbo), 1e-12);
  EXPECT_LT(largest(s.excess + floors(x) - s.negative_elbo), 1e-12);
  EXPECT_LT(largest(s.ppca - surprise(ppca, x)), 1e-12);
  const Tensor<double> usual_elbo = bound(vae, usual, Rng(1)).negative_elbo;
  EXPECT_LT(largest(s.typicality - abs(s.negative_elbo - mean(usual_elbo))), 1e-12);

  const auto columns = [&](const Tensor<float>& images) {
    const Bound of = bound(vae, images, Rng(1));
    const Tensor<double> floor = floors(images);
    const Tensor<double> linear = surprise(ppca, images);
    Tensor<double> result({images.extent(0), 4});
    for (Index i = 0; i < images.extent(0); ++i) {
      result.set({i, 0}, std::log(of.negative_elbo(i)));
      result.set({i, 1}, std::log(of.negative_elbo(i) - floor(i)));
      result.set({i, 2}, linear(i));
      result.set({i, 3}, std::log(of.kl(i)));
    }
    return result;
  };
  const ScoreDensity density(columns(usual));
  EXPECT_LT(largest(s.density - density.surprise(columns(x))), 1e-9);
}

// ---- Holding out -------------------------------------------------------------------------------

TEST(Anomalies, HoldingOutSplitsByTheLabel) {
  const Split split = hold_out(5, {2, 0, 1, 0, 2}, 3, 0);
  EXPECT_THAT(split.held_out, ElementsAre(1, 3));
  EXPECT_THAT(split.kept, ElementsAre(0, 2, 4));
}

TEST(Anomalies, LabelsThatDoNotFitAreRefused) {
  EXPECT_THAT(message_of([] {
                hold_out(3, {0, 1}, 2, 0);
              }),
              HasSubstr("3 images and 2 labels; each image needs one"));
  EXPECT_THAT(message_of([] { hold_out(3, {}, 2, 0); }), HasSubstr("3 images and 0 labels"));
  EXPECT_THAT(message_of([] {
                hold_out(2, {0, 2}, 2, 0);
              }),
              HasSubstr("label 2 is not in 0, ..., 1"));
  EXPECT_THAT(message_of([] { hold_out(2, {0, -1}, 2, 0); }), HasSubstr("label -1"));
  EXPECT_THAT(message_of([] {
                hold_out(2, {0, 1}, 3, 2);
              }),
              HasSubstr("none of the 2 images is of class 2"));
  EXPECT_THAT(message_of([] { hold_out(2, {0, 1}, 2, 7); }), HasSubstr("class 7"));
  EXPECT_THAT(message_of([] {
                hold_out(2, {1, 1}, 2, 1);
              }),
              HasSubstr("all 2 images are of class 1: nothing is left"));
}

kit::ImageData some_data(Index train, Index test, Index side) {
  kit::ImageData data;
  data.name = "some";
  data.height = side;
  data.width = side;
  data.train_images = Tensor<float>({train, side * side});
  data.test_images = Tensor<float>({test, side * side});
  for (Index i = 0; i < train; ++i) data.train_labels.push_back(i % 2);
  for (Index i = 0; i < test; ++i) data.test_labels.push_back(i % 2);
  data.class_names = {"a", "b", "c"};
  return data;
}

TEST(Anomalies, DataThatAreOfNoUseAreRefused) {
  const auto refusal = [](const kit::ImageData& data) {
    return message_of([&] { require_use(data); });
  };
  EXPECT_EQ(refusal(some_data(128, 10, 8)), "no error");
  EXPECT_THAT(refusal(some_data(127, 10, 8)), HasSubstr("128 training images: some has 127"));
  EXPECT_THAT(refusal(some_data(128, 9, 8)), HasSubstr("10 test images: some has 9"));
  EXPECT_THAT(refusal(some_data(128, 10, 7)), HasSubstr("8 rows of pixels: some has 7"));
  kit::ImageData one_class = some_data(128, 10, 8);
  one_class.test_labels.assign(10, 1);
  EXPECT_THAT(refusal(one_class), HasSubstr("2 classes that are among both"));
  EXPECT_THAT(classes_of_both(some_data(128, 10, 8)), ElementsAre(0, 1));
}

TEST(Anomalies, ThePcaWithoutAClassIsThatOfTheOthers) {
  Rng rng(8);
  const Tensor<float> x = rng.uniform<float>({30, 5});
  std::vector<Index> labels;
  for (Index i = 0; i < 30; ++i) labels.push_back(i % 3);
  const ClassMoments moments(x, labels, 4);  // none is of the fourth
  const auto same = [](const lesson01::Pca<double>& a, const lesson01::Pca<double>& b) {
    EXPECT_LT(largest(a.mean - b.mean), 1e-7);
    EXPECT_LT(largest(a.variances - b.variances), 1e-7);
    EXPECT_LT(largest(a.components - b.components), 1e-6);
  };
  same(moments.pca(), lesson01::fit_pca(cast<double>(x)));
  same(moments.pca_without(3), lesson01::fit_pca(cast<double>(x)));
  const Split split = hold_out(30, labels, 3, 1);
  same(moments.pca_without(1), lesson01::fit_pca(cast<double>(gather_rows(x, split.kept))));
}

TEST(Anomalies, ImagesThatHardlyDifferAreRefused) {
  EXPECT_THAT(message_of([] { LinearModels models(some_data(128, 10, 8)); }),
              HasSubstr(
                  "more than 20 directions, also without one of their classes: those of some"));
  Rng rng(11);
  kit::ImageData data = some_data(128, 10, 8);
  data.train_images = rng.uniform<float>({128, 64});
  const LinearModels models(data);
  EXPECT_EQ(models.without.size(), 2u);
  const Split split = hold_out(128, data.train_labels, 3, 1);
  const Ppca<double> others = lesson02::fit_ppca(lesson01::fit_pca(cast<double>(
                                                     gather_rows(data.train_images, split.kept))),
                                                 kComponents);
  EXPECT_NEAR(models.without.at(1).sigma2, others.sigma2, 1e-7);
  // All are equal, but for rounding.
  kit::ImageData grey = some_data(128, 10, 8);
  grey.train_images = full<float>({128, 64}, 0.3f);
  EXPECT_THAT(message_of([&] { LinearModels equal(grey); }), HasSubstr("more than 20 directions"));
  // Only one class differs.
  for (Index i : split.kept)
    for (Index d = 0; d < 64; ++d) data.train_images.set({i, d}, 0);
  EXPECT_THAT(message_of([&] { LinearModels again(data); }), HasSubstr("more than 20 directions"));
}

// ---- Out sets -----------------------------------------------------------------------------------

// 1 2 3
// 4 5 6
// 7 8 9
TEST(Anomalies, OutSetsAreMadeAsTheirNamesSay) {
  const Size size{3, 3};
  const Tensor<float> x({1, 9}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_THAT(mirrored(x, size).to_vector(), ElementsAre(3, 2, 1, 6, 5, 4, 9, 8, 7));
  EXPECT_THAT(flipped(x, size).to_vector(), ElementsAre(7, 8, 9, 4, 5, 6, 1, 2, 3));
  EXPECT_THAT(turned(x, size).to_vector(), ElementsAre(3, 6, 9, 2, 5, 8, 1, 4, 7));
  EXPECT_THAT(shifted(x, size, 1).to_vector(), ElementsAre(3, 1, 2, 6, 4, 5, 9, 7, 8));
  EXPECT_THAT(shifted(x, size, 4).to_vector(), ElementsAre(3, 1, 2, 6, 4, 5, 9, 7, 8));
  EXPECT_THAT(blended(Tensor<float>({2, 2}, {0, 1, 1, 0.5f})).to_vector(),
              ElementsAre(0.5f, 0.75f, 0.5f, 0.75f));
  EXPECT_THAT(binary(Tensor<float>({1, 3}, {0.49f, 0.5f, 1})).to_vector(), ElementsAre(0, 1, 1));
  EXPECT_THAT(message_of([] { turned(Tensor<float>({1, 6}), {2, 3}); }), HasSubstr("2 x 3"));
}

// A disc's grey levels add up to its level times its area, to the error of a rim of one pixel.
TEST(Anomalies, DiscsHaveTheirLevelsAndAreas) {
  const Tensor<float> images = discs({28, 28});
  ASSERT_EQ(images.extent(0), 4096);
  double least = 1e9;
  double most = 0;
  for (Index i = 0; i < 4096; ++i) {
    const Tensor<float> image = slice(images, 0, i, i + 1);
    const double level = max(image).item();
    const double area = sum(image).item() / level;
    least = std::min(least, area);
    most = std::max(most, area);
    EXPECT_NEAR(std::round((level - 0.4) / 0.2), (level - 0.4) / 0.2, 1e-5);
  }
  EXPECT_NEAR(least, M_PI * 2.5 * 2.5, 0.7);
  EXPECT_NEAR(most, M_PI * 5.5 * 5.5, 0.7);
  // Other sizes have theirs in proportion.
  EXPECT_NEAR(max(sum(discs({56, 56}), {1})).item(), M_PI * 11 * 11, 1);
}

// ---- On paper ----------------------------------------------------------------------------------

// The share of pairs, over drawn vectors.
TEST(Anomalies, TheDensitysAurocIsThatOfDraws) {
  Rng rng(9);
  constexpr Index kDraws = 4000;
  for (Index d : {2, 4, 20}) {
    const Tensor<double> in = sum(square(rng.normal<double>({kDraws, d})), {1});
    const Tensor<double> out = 0.5 * sum(square(rng.normal<double>({kDraws, d})), {1});
    EXPECT_NEAR(auroc_of_density(d, 0.5), auroc(out, in), 4 * auroc_error(out, in)) << d;
    const auto n = static_cast<double>(d);
    const Tensor<double> far_out = abs(out - n);
    const Tensor<double> far_in = abs(in - n);
    EXPECT_NEAR(auroc_of_typicality(d, 0.5, 4000), auroc(far_out, far_in),
                4 * auroc_error(far_out, far_in))
        << d;
  }
}

// d = 2: v / (1 + v). d = 4, t = 1/3: 3 t^2 (1 - t) + t^3 = 7/27.
TEST(Anomalies, TheDensitysAurocIsWhatItIsOnPaper) {
  EXPECT_NEAR(auroc_of_density(2, 0.5), 1 / 3., 1e-14);
  EXPECT_NEAR(auroc_of_density(2, 0.2), 0.2 / 1.2, 1e-14);
  EXPECT_NEAR(auroc_of_density(4, 0.5), 7 / 27., 1e-14);
  EXPECT_NEAR(auroc_of_density(6, 1), 0.5, 1e-13);
  EXPECT_NEAR(auroc_of_density(20, 0.5), 0.0647661728, 1e-10);
  EXPECT_NEAR(auroc_of_density(784, 0.5) / 3.76e-22, 1, 0.002);
  EXPECT_THAT(message_of([] { auroc_of_density(3, 0.5); }), HasSubstr("3 dimensions"));
}

TEST(Anomalies, TheChiSquaredDistributionIsWhatItIsOnPaper) {
  for (double x : {0.1, 1.0, 7.0}) {
    EXPECT_NEAR(chi_squared_cdf(x, 2), 1 - std::exp(-x / 2), 1e-14);
    EXPECT_NEAR(chi_squared_cdf(x, 4), 1 - std::exp(-x / 2) * (1 + x / 2), 1e-14);
  }
  EXPECT_EQ(chi_squared_cdf(-1, 2), 0);
  EXPECT_NEAR(normal_cdf(std::sqrt(0.5)), 0.7602499389, 1e-10);
}

// ---- Numbers -----------------------------------------------------------------------------------

TEST(Anomalies, TheBootstrapAgreesWithTheFormula) {
  Rng rng(10);
  const Tensor<double> in = rng.normal<double>({300});
  const Tensor<double> out = 1.0 + rng.normal<double>({200});
  const double error = auroc_error(out, in);
  // 400 repeats: off by 1 / sqrt(800), within four of those.
  EXPECT_NEAR(bootstrap_error(out, in, 400, rng) / error, 1, 0.14);
}

TEST(Anomalies, CorrelationAndExtremes) {
  const Tensor<double> a({4}, {1, 2, 3, 4});
  EXPECT_NEAR(correlation(a, 3.0 - 2.0 * a), -1, 1e-14);
  EXPECT_NEAR(correlation(a, Tensor<double>({4}, {1, -1, -1, 1})), 0, 1e-14);
  const Tensor<double> scores({4}, {3, 1, 4, 1});
  EXPECT_THAT(extremes(scores, 3, false), ElementsAre(1, 3, 0));
  EXPECT_THAT(extremes(scores, 2, true), ElementsAre(2, 0));
  EXPECT_EQ(extremes(scores, 9, true).size(), 4u);
}

}  // namespace
}  // namespace gradus::lesson20
