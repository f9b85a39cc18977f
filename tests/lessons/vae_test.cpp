#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/13_vae/on_paper.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "tensor/io/file.hpp"
#include "tensor/io/idx.hpp"
#include "tensor/matmul.hpp"

namespace gradus::lesson13 {
namespace {

constexpr Index kPixels = 6, kHidden = 5, kLatents = 3, kImages = 4;

struct SmallVae : ::testing::Test {
  Rng rng{7};
  Vae<double> vae{kPixels, kHidden, kLatents, rng};
  Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  Tensor<double> noise = rng.normal<double>({kImages, kLatents});
};

TEST_F(SmallVae, GradientOfTheElboIsRight) {
  const auto report = gradcheck([&] { return vae.elbo(x, noise).total(); }, vae.parameters());
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, nn::count(vae.parameters()));
}

// The same weights, images and noise in float and in double: rounding alone stands between them,
// of some hundred operations with unit roundoff 6e-8 each.
TEST(Vae, InFloatAgreesWithDouble) {
  constexpr double kTolerance = 2e-5;  // of the largest element
  Rng rng(8), other(8);
  Vae<float> in_float(784, 400, 20, rng);
  Vae<double> in_double(784, 400, 20, other);
  for (std::size_t k = 0; k < in_float.parameters().size(); ++k)
    in_double.parameters()[k]->set_value(cast<double>(in_float.parameters()[k]->value()));
  const Tensor<float> x = rng.uniform<float>({128, 784}), noise = rng.normal<float>({128, 20});
  auto loss_and_gradients = [&]<class T>(Vae<T>& vae) {
    Tape<T> tape;
    const Var<T> loss = -mean(vae.elbo(cast<T>(x), cast<T>(noise)).total());
    tape.backward(loss);
    return loss.item();
  };
  const double got = loss_and_gradients(in_float), exact = loss_and_gradients(in_double);
  EXPECT_NEAR(got, exact, 1e-6 * exact);
  for (std::size_t k = 0; k < in_float.parameters().size(); ++k) {
    const Tensor<double> g = in_double.parameters()[k]->grad;
    const Tensor<double> difference = cast<double>(in_float.parameters()[k]->grad) - g;
    EXPECT_LE(max(abs(difference)).item(), kTolerance * max(abs(g)).item())
        << in_float.parameters()[k]->name();
  }
}

// "The reconstruction is theta's affair": its gradient with respect to the encoder is not zero.
TEST_F(SmallVae, ReconstructionDependsOnTheEncoderToo) {
  Tape<double> tape;
  tape.backward(sum(vae.elbo(x, noise).reconstruction));
  for (const auto* p : vae.parameters()) EXPECT_GT(sum(square(p->grad)).item(), 1e-6) << p->name();
}

// The definition, number by number, in long double:  x W^T + b, relu, z = m + s e, and
//   sum_d x_d ln p_d + (1 - x_d) ln(1 - p_d)   and   sum_k (s_k^2 + m_k^2 - 1 - ln s_k^2) / 2.
TEST_F(SmallVae, ElboIsWhatItsDefinitionSays) {
  using Vector = std::vector<long double>;
  const auto weights = vae.parameters();
  auto affine = [&](std::size_t k, const Vector& in) {
    const Tensor<double>&w = weights[2 * k]->value(), &b = weights[2 * k + 1]->value();
    Vector out;
    for (Index i = 0; i < b.size(); ++i) {
      long double sum = b(i);
      for (std::size_t j = 0; j < in.size(); ++j) sum += in[j] * w(i, j);
      out.push_back(sum);
    }
    return out;
  };
  auto rectified = [](Vector v) {
    for (long double& value : v) value = std::max(value, 0.0L);
    return v;
  };
  const Elbo<double> elbo = vae.elbo(x, noise);
  for (Index n = 0; n < kImages; ++n) {
    Vector image, z;
    for (Index d = 0; d < kPixels; ++d) image.push_back(x(n, d));
    const Vector h = rectified(affine(0, image)), mean = affine(1, h), log_var = affine(2, h);
    long double kl = 0, reconstruction = 0;
    for (Index k = 0; k < kLatents; ++k) {
      z.push_back(mean[k] + std::sqrt(std::exp(log_var[k])) * noise(n, k));
      kl += (std::exp(log_var[k]) + mean[k] * mean[k] - 1 - log_var[k]) / 2;
    }
    const Vector logits = affine(4, rectified(affine(3, z)));
    for (Index d = 0; d < kPixels; ++d) {
      const long double p = 1 / (1 + std::exp(-logits[d]));
      reconstruction += image[d] * std::log(p) + (1 - image[d]) * std::log(1 - p);
    }
    EXPECT_NEAR(elbo.reconstruction.value()(n), reconstruction, 1e-12);
    EXPECT_NEAR(elbo.kl.value()(n), kl, 1e-12);
    EXPECT_NEAR(elbo.total().value()(n), reconstruction - kl, 1e-12);
  }
}

TEST_F(SmallVae, DuplicatingTheBatchChangesNothing) {
  const auto twice = [](const Tensor<double>& t) { return concatenate(std::vector{t, t}); };
  Tensor<double> once_grad;
  double once = 0;
  for (bool doubled : {false, true}) {
    const Tensor<double> images = doubled ? twice(x) : x;
    const Tensor<double> same_noise = doubled ? twice(noise) : noise;
    Tape<double> tape;
    const Var<double> loss = -mean(vae.elbo(images, same_noise).total());
    tape.backward(loss);
    const Tensor<double> grad = vae.parameters()[0]->grad;
    for (auto* p : vae.parameters()) p->grad = Tensor<double>();
    if (doubled) {
      EXPECT_NEAR(loss.item(), once, 1e-12);
      EXPECT_LT(max(abs(grad - once_grad)).item(), 1e-14);
    }
    once = loss.item();
    once_grad = grad;
  }
}

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

// With no noise the z of the ELBO is the mean itself.
TEST_F(SmallVae, AnAutoencodersObjectiveHasNoNoiseAndNoKl) {
  const Var<double> plain = vae.per_image_objective(Objective::kReconstruction, x, rng);
  const Elbo<double> still = vae.elbo(x, Tensor<double>({kImages, kLatents}));
  EXPECT_EQ(largest(plain.value() - vae.log_prob_at_mean(x).value()), 0);
  EXPECT_EQ(largest(plain.value() - still.reconstruction.value()), 0);
  EXPECT_LT(max(-still.kl).item(), 0);

  nn::Parameters<double> used = vae.parameters();
  used.erase(used.begin() + 4, used.begin() + 6);  // nothing depends on the variance of z
  const auto report = gradcheck([&] { return vae.log_prob_at_mean(x); }, used);
  EXPECT_TRUE(report) << report;
}

TEST_F(SmallVae, AVaesObjectiveIsTheElbo) {
  Rng one(4), other(4);
  const Var<double> objective = vae.per_image_objective(Objective::kElbo, x, one);
  const Elbo<double> elbo = vae.elbo(x, other.normal<double>({kImages, kLatents}));
  EXPECT_EQ(largest(objective.value() - elbo.total().value()), 0);
}

// 1,003 images are scored in two parts of unequal size: each image counts once.
TEST_F(SmallVae, AScoreIsTheMeanOverAllImagesHoweverTheyAreDivided) {
  constexpr Index kMany = 1003;
  const Tensor<double> images = rng.uniform<double>({kMany, kPixels});
  EXPECT_NEAR(mean_log_prob_at_mean(vae, images), mean(vae.log_prob_at_mean(images)).item(), 1e-12);

  // Draws the noise of 1,000 images and then of 3: the same numbers as for all at once.
  Rng same(1);
  const Elbo<double> elbo = vae.elbo(images, same.normal<double>({kMany, kLatents}));
  const ElboMeans means = evaluate(vae, images, Rng(1));
  EXPECT_NEAR(means.reconstruction, mean(elbo.reconstruction).item(), 1e-12);
  EXPECT_NEAR(means.kl, mean(elbo.kl).item(), 1e-12);
  EXPECT_NEAR(means.negative_elbo(), -mean(elbo.total()).item(), 1e-12);
}

// z-scores below 5. The mean of n draws deviates by s / sqrt(n), their variance by s^2 sqrt(2 / n).
void expect_normal(const Tensor<double>& z, const Tensor<double>& m,
                   const Tensor<double>& log_var) {
  const Index n = z.extent(0);
  for (Index k = 0; k < z.extent(1); ++k) {
    const double variance = std::exp(log_var(0, k));
    double first = 0, second = 0;
    for (Index i = 0; i < n; ++i) {
      first += (z(i, k) - m(0, k)) / n;
      second += (z(i, k) - m(0, k)) * (z(i, k) - m(0, k)) / n;
    }
    EXPECT_LT(std::abs(first) / std::sqrt(variance / n), 5) << "latent " << k;
    EXPECT_LT(std::abs(second / variance - 1) / std::sqrt(2.0 / n), 5) << "latent " << k;
  }
}

TEST_F(SmallVae, PriorAndPosteriorAreSampledAsTheySay) {
  constexpr Index kDraws = 100000;
  const Tensor<double> zero({1, kLatents});
  expect_normal(vae.sample_prior(kDraws, rng), zero, zero);
  const Tensor<double> one = slice(x, 0, 0, 1);
  const nn::Normal<double> q = vae.encode(one);
  EXPECT_GT(largest(q.mean.value()), 0.1);  // or it could not be told from the prior
  expect_normal(vae.sample_posterior(gather_rows(one, std::vector<Index>(kDraws, 0)), rng),
                q.mean.value(), q.log_var.value());
}

TEST_F(SmallVae, SecondMomentsAreThoseOfDrawsFromThePosterior) {
  constexpr Index kDraws = 100000;
  const Tensor<double> moments = second_moments(vae, x);
  ASSERT_EQ(moments.shape(), (Shape{kLatents}));
  std::vector<Index> often;
  for (Index i = 0; i < kDraws; ++i) often.push_back(i % kImages);
  const Tensor<double> squares = square(vae.sample_posterior(gather_rows(x, often), rng));
  for (Index k = 0; k < kLatents; ++k) {
    const Tensor<double> column = slice(squares, 1, k, k + 1);
    const double average = mean(column).item();
    const double variance = mean(square(column)).item() - average * average;
    EXPECT_LT(std::abs(average - moments(k)) / std::sqrt(variance / kDraws), 5) << k;
  }
}

// Latent k on another scale: a m and a s (to_mean times a, to_log_var plus 2 ln a), and the
// decoder's weights for it divided by a. The reconstruction cannot tell. The KL can:
//     d/da 1/2 (a^2 (m^2 + s^2) - 1 - ln(a^2 s^2)) at a = 1 is m^2 + s^2 - 1,
// so that a model at rest has E[z_k^2] = 1.
TEST_F(SmallVae, RescalingALatentCostsWhatItsSecondMomentSays) {
  const auto weights = vae.parameters();
  std::vector<Tensor<double>> old;
  for (const auto* p : weights) old.push_back(p->value());
  auto scaled = [&](Index k, double a) {
    Tensor<double> w = old[2], b = old[3], log_var = old[5], decoder = old[6];
    for (Index h = 0; h < kHidden; ++h) {
      w.set({k, h}, a * w(k, h));
      decoder.set({h, k}, decoder(h, k) / a);
    }
    b.set({k}, a * b(k));
    log_var.set({k}, log_var(k) + 2 * std::log(a));
    weights[2]->set_value(w);
    weights[3]->set_value(b);
    weights[5]->set_value(log_var);
    weights[6]->set_value(decoder);
    const Elbo<double> elbo = vae.elbo(x, noise);
    return std::pair{mean(elbo.reconstruction).item(), mean(elbo.kl).item()};
  };
  const Tensor<double> moments = second_moments(vae, x);
  const double h = 1e-4;
  for (Index k = 0; k < kLatents; ++k) {
    EXPECT_NEAR(scaled(k, 3).first, scaled(k, 1).first, 1e-12);
    const double slope = (scaled(k, 1 + h).second - scaled(k, 1 - h).second) / (2 * h);
    EXPECT_NEAR(slope, moments(k) - 1, 1e-7);
    EXPECT_GT(std::abs(slope), 0.01);
    scaled(k, 1);
  }
}

TEST_F(SmallVae, TwiceALittleNoiseMovesFourTimesAsMuch) {
  EXPECT_EQ(moved_by_noise(vae, x, 0, rng), 0);
  Rng one(5), other(5);
  const double once = moved_by_noise(vae, x, 1e-4, one);
  const double twice = moved_by_noise(vae, x, 2e-4, other);
  EXPECT_GT(once, 0);
  EXPECT_NEAR(twice / once, 4, 0.01);
}

TEST_F(SmallVae, AnInterpolationBeginsAndEndsAtTheDecodedCodes) {
  const Tensor<double> ends = slice(x, 0, 0, 2), codes = vae.encode(ends).mean.value();
  const Tensor<double> path = interpolate(vae, ends, 5), decoded = vae.decoded(codes);
  ASSERT_EQ(path.shape(), (Shape{5, kPixels}));
  EXPECT_LT(largest(slice(path, 0, 0, 1) - slice(decoded, 0, 0, 1)), 1e-15);
  EXPECT_LT(largest(slice(path, 0, 4, 5) - slice(decoded, 0, 1, 2)), 1e-15);
  const Tensor<double> middle = vae.decoded(mean(codes, {0}).reshape({1, kLatents}));
  EXPECT_LT(largest(slice(path, 0, 2, 3) - middle), 1e-15);
  EXPECT_GT(largest(slice(decoded, 0, 0, 1) - slice(decoded, 0, 1, 2)), 1e-3);
}

// The gradient, one central difference for each weight of the encoder.
TEST_F(SmallVae, GradientLengthIsThatOfFiniteDifferences) {
  auto loss = [&] { return mean(vae.elbo(x, noise).reconstruction); };
  double total = 0;
  const double h = 1e-5;
  for (auto* p : vae.phi()) {
    const Tensor<double> old = p->value();
    for (Index i = 0; i < old.size(); ++i) {
      auto at = [&](double step) {
        Tensor<double> moved = old.reshape({-1});
        moved.set({i}, moved(i) + step);
        p->set_value(moved.reshape(old.shape()));
        return loss().item();
      };
      const double slope = (at(h) - at(-h)) / (2 * h);
      total += slope * slope;
    }
    p->set_value(old);
  }
  const double length = gradient_length<double>(vae.phi(), loss);
  EXPECT_GT(length, 0.01);
  EXPECT_NEAR(length, std::sqrt(total), 1e-7 * length);
}

TEST_F(SmallVae, PhiIsTheEncoderOnly) {
  std::vector<std::string> names;
  for (const auto* p : vae.phi()) names.push_back(p->name());
  EXPECT_EQ(names,
            (std::vector<std::string>{"encoder.weight", "encoder.bias", "to_mean.weight",
                                      "to_mean.bias", "to_log_var.weight", "to_log_var.bias"}));
}

TEST_F(SmallVae, ThetaIsTheDecoderOnly) {
  nn::Parameters<double> both = vae.phi();
  for (auto* p : vae.theta()) both.push_back(p);
  EXPECT_EQ(both, vae.parameters());
}

// The best scale of each latent saves what the formula says: a^2 = 1 / M.
TEST_F(SmallVae, RescalingGainsWhatTheFormulaSays) {
  const nn::Normal<double> q = vae.encode(x);
  const Tensor<double> moments = second_moments(vae, x);  // (K)
  const Tensor<double> a = sqrt(1.0 / moments);
  const nn::Normal<double> rescaled{q.mean.value() * a, q.log_var.value() + log(a) * 2.0};
  const auto mean_kl = [](const nn::Normal<double>& p) {
    return mean(kl(p, nn::Normal<double>::standard())).item();
  };
  EXPECT_NEAR(gain_by_rescaling(moments), mean_kl(q) - mean_kl(rescaled), 1e-14);
  EXPECT_GT(gain_by_rescaling(moments), 1e-3);
  EXPECT_EQ(gain_by_rescaling(full<double>({3}, 1)), 0);
}

TEST_F(SmallVae, MidpointsAreComparedWithTheAverageOfTheirEnds) {
  for (auto* p : vae.parameters()) p->set_value(p->value() * 4.0);  // so that decoding bends
  const Tensor<double> m = vae.encode(x).mean.value();
  double total = 0;
  for (Index pair : {0, 1}) {
    const Tensor<double> one = slice(m, 0, 2 * pair, 2 * pair + 1);
    const Tensor<double> other = slice(m, 0, 2 * pair + 1, 2 * pair + 2);
    const Tensor<double> average = (vae.decoded(one) + vae.decoded(other)) / 2.0;
    const Tensor<double> middle = vae.decoded((one + other) / 2.0);
    total += mean(square(middle - average)).item() / 2;
  }
  EXPECT_GT(total, 1e-8);
  EXPECT_NEAR(departure_of_midpoints(vae, x), total, 1e-14);
}

// A decoder that does not look at z leaves the KL only, which the prior makes 0.
TEST_F(SmallVae, ACodeThatNobodyReadsIsFittedByThePrior) {
  Parameter<double>& weight = *vae.theta()[0];
  weight.set_value(Tensor<double>(weight.shape()));
  const nn::Normal<double> q = fit_each(vae, x, 3000, 0.03, rng);
  EXPECT_LT(largest(q.mean.value()), 1e-3);
  EXPECT_LT(largest(q.log_var.value()), 1e-3);
}

TEST_F(SmallVae, ClimbingForEachImageRaisesItsElbo) {
  for (auto* p : vae.theta()) p->set_value(p->value() * 4.0);  // so that there is much to gain
  const std::vector<Tensor<double>> before = [&] {
    std::vector<Tensor<double>> values;
    for (auto* p : vae.parameters()) values.push_back(p->value());
    return values;
  }();
  const nn::Normal<double> own = fit_each(vae, x, 500, 0.03, rng);
  Rng one(3), other(3);
  const Tensor<double> gain =
      elbo_of(vae, x, own, 2000, one) - elbo_of(vae, x, vae.encode(x), 2000, other);
  EXPECT_GT(mean(gain).item(), 0.01);
  for (std::size_t k = 0; k < before.size(); ++k) {
    EXPECT_EQ(largest(vae.parameters()[k]->value() - before[k]), 0);
    EXPECT_TRUE(vae.parameters()[k]->grad.empty());
  }
}

TEST_F(SmallVae, ElboOfTheEncodersAnswerIsItsElbo) {
  Rng one(5), other(5);
  const Tensor<double> elbo = elbo_of(vae, x, vae.encode(x), 1, one);
  EXPECT_LT(largest(elbo - vae.elbo(x, other).total().value()), 1e-14);
}

// All images are alike, so that all noise is of the draws; its variance from 4,000 gradients of one
// image is that of a batch of 5 times 5.
TEST_F(SmallVae, NoiseOfDrawsIsTheVarianceOfOneImagesGradientByTheBatch) {
  const Tensor<double> one = slice(x, 0, 0, 1);
  constexpr int kDraws = 4000;
  std::vector<Tensor<double>> gradients;
  Tensor<double> average;
  for (int i = 0; i < kDraws; ++i) {
    Tape<double> tape;
    const auto inputs = leaves(vae.parameters());
    gradients.push_back(flat(gradient(mean(vae.elbo(one, rng).total()), inputs)).value());
    average = i == 0 ? gradients[0] : average + gradients.back();
  }
  average = average / static_cast<double>(kDraws);
  double variance = 0;
  for (const auto& g : gradients) variance += sum(square(g - average)).item() / (kDraws - 1);
  const GradientNoise noise = gradient_noise(vae, one, 5, 4000, rng);
  EXPECT_NEAR(noise.of_draws, variance / 5, 0.1 * variance / 5);
  EXPECT_NEAR(noise.all, variance / 5, 0.1 * variance / 5);
}

TEST_F(SmallVae, ADecoderThatIgnoresItsCodeHasNoNoiseOfDraws) {
  Parameter<double>& weight = *vae.theta()[0];
  weight.set_value(Tensor<double>(weight.shape()));
  Parameter<double>& out = *vae.theta()[2];
  out.set_value(Tensor<double>(out.shape()));  // nor does a gradient reach z, or those of `weight`
  const GradientNoise noise = gradient_noise(vae, x, 2, 10, rng);
  EXPECT_LT(noise.of_draws, 1e-25);
  EXPECT_GT(noise.all, 1e-4);
}

// 1,003 images in two parts of unequal size.
TEST_F(SmallVae, SharpnessIsThatOfAllImagesHoweverTheyAreDivided) {
  const Tensor<double> images = rng.uniform<double>({1003, kPixels});
  const Sharpness s = sharpness_through(vae, images, 3, Rng(2));
  EXPECT_NEAR(s.images, sharpness(images, 3), 1e-14);
  EXPECT_GT(s.drawn, 0.3);  // near 1/2: hardly trained, its pixels are fair coins
  EXPECT_LT(s.means, s.images);
  // The draws of 1,000 images, their pixels, and then the same of 3.
  Rng same(2);
  double error = 0;
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, 1000}, {1000, 1003}}) {
    const Tensor<double> part = slice(images, 0, begin, end);
    const nn::Bernoulli<double> p = vae.decode(vae.sample_posterior(part, same));
    error += sum(square(p.mean().value() - part)).item();
    p.sample(same);
  }
  EXPECT_NEAR(s.error, error / (1003 * kPixels), 1e-14);
}

// |z| = 0, 1, sqrt 2 and 5.
TEST(Share, OfPointsWithinADistance) {
  const Tensor<double> z({4, 2}, {0, 0, 0, 1, 1, 1, 3, 4});
  EXPECT_DOUBLE_EQ(share_within(z, 0.5), 0.25);
  EXPECT_DOUBLE_EQ(share_within(z, 1), 0.5);
  EXPECT_DOUBLE_EQ(share_within(z, 2), 0.75);
  EXPECT_DOUBLE_EQ(share_within(z, 6), 1);
}

// ln N(x; a z, 1) = c - (x - a z)^2 / 2, and E_q[(x - a z)^2] = (x - a m)^2 + a^2 v: decoding the
// mean leaves out a^2 v / 2 = 4 / 4 / 2. Lesson 11's code, which knows the closed form, must agree.
TEST(DecodingTheMean, LeavesOutHalfANatInLesson11) {
  EXPECT_DOUBLE_EQ(decoding_bias_of_lesson_11(), 0.5);
  const LinearGaussian<double> model{2, 1};
  const Tensor<double> seen({1, 1}, {1.5});
  const nn::Normal<double> q{Tensor<double>({1, 1}, {0.5}),
                             Tensor<double>({1, 1}, {std::log(0.25)})};
  EXPECT_NEAR(decoding_bias_of_lesson_11(),
              model.decode(q.mean).log_prob(seen).item() - model.reconstruction(seen, q).item(),
              1e-14);
}

TEST(Images, NearestIsWhatANaiveLoopFinds) {
  Rng rng(9);
  const Tensor<double> x = rng.uniform<double>({20, 7}), y = rng.uniform<double>({6, 7});
  double total = 0;
  for (Index m = 0; m < 6; ++m) {
    double nearest = INFINITY;
    for (Index n = 0; n < 20; ++n) {
      double distance = 0;
      for (Index d = 0; d < 7; ++d) distance += (y(m, d) - x(n, d)) * (y(m, d) - x(n, d));
      nearest = std::min(nearest, distance);
    }
    total += nearest / 7;
  }
  EXPECT_NEAR(distance_to_nearest(y, x), total / 6, 1e-14);
  EXPECT_NEAR(distance_to_nearest(slice(x, 0, 3, 5), x), 0, 1e-14);  // copies
}

// Two rows of two pixels, (0, 1) and (1/2, 1/4): (1 + 1/16) / 2. Where one row ends and the next
// begins are no neighbours.
TEST(Images, SharpnessIsTheMeanSquaredStepWithinRows) {
  const Tensor<double> x({1, 4}, {0, 1, 0.5, 0.25});
  EXPECT_DOUBLE_EQ(sharpness(x, 2), 17.0 / 32);
  EXPECT_DOUBLE_EQ(sharpness(x, 4), (1 + 0.25 + 0.0625) / 3);
  EXPECT_EQ(sharpness(full<double>({3, 4}, 0.7), 2), 0);
}

// Neighbours drawn with probabilities p and r differ with probability p (1 - r) + (1 - p) r, which
// is (p - r)^2, the step of the means, and p (1 - p) + r (1 - r), the variances of both.
TEST(Images, DrawingAddsThePixelsVariancesToSharpness) {
  constexpr double p = 0.7, r = 0.4;
  constexpr Index kDraws = 100000;
  const Tensor<double> means =
      gather_rows(Tensor<double>({1, 2}, {p, r}), std::vector<Index>(kDraws, 0));
  const nn::Bernoulli<double> bernoulli{log(means) - log(1.0 - means)};
  Rng rng(6);
  const double expected = (p - r) * (p - r) + p * (1 - p) + r * (1 - r);
  EXPECT_NEAR(expected, p * (1 - r) + (1 - p) * r, 1e-15);
  const double deviation = std::sqrt(expected * (1 - expected) / kDraws);
  EXPECT_LT(std::abs(sharpness(bernoulli.sample(rng), 2) - expected) / deviation, 5);
}

TEST(Grid, GrowsToTheRightAndUpwardsAtEqualSteps) {
  const Tensor<double> z = grid<double>(5, 3);
  ASSERT_EQ(z.shape(), (Shape{25, 2}));
  for (Index i = 0; i < 5; ++i)
    for (Index j = 0; j < 5; ++j) {
      EXPECT_DOUBLE_EQ(z(i * 5 + j, 0), -3 + 1.5 * j);
      EXPECT_DOUBLE_EQ(z(i * 5 + j, 1), 3 - 1.5 * i);
    }
}

// ---- On paper ----------------------------------------------------------------------------------

// The ELBO of the text's image as a function of m and s, in long double.
long double elbo_on_paper(long double m, long double s, long double eps) {
  const auto log_sigmoid = [](long double u) { return -std::log1p(std::exp(-u)); };
  const long double z = m + s * eps;
  // x = (1, 1/2), logits (2 z, -z); 1 - sigmoid(u) = sigmoid(-u)
  const long double reconstruction = log_sigmoid(2 * z) + log_sigmoid(-z) / 2 + log_sigmoid(z) / 2;
  return reconstruction - (s * s + m * m - 1 - 2 * std::log(s)) / 2;
}

TEST(OneImage, HasTheElboAndSlopesOfItsFormula) {
  const long double h = 1e-5L;
  for (double eps : {1.0, -1.0, 0.3}) {
    const OneImage image = one_image(eps);
    EXPECT_DOUBLE_EQ(image.z, 1 + eps / 2);
    EXPECT_NEAR(image.elbo(), static_cast<double>(elbo_on_paper(1, 0.5L, eps)), 1e-14);
    const long double by_m =
        (elbo_on_paper(1 + h, 0.5L, eps) - elbo_on_paper(1 - h, 0.5L, eps)) / (2 * h);
    const long double by_s =
        (elbo_on_paper(1, 0.5L + h, eps) - elbo_on_paper(1, 0.5L - h, eps)) / (2 * h);
    EXPECT_NEAR(image.slope_m, static_cast<double>(by_m), 1e-9);
    EXPECT_NEAR(image.slope_s, static_cast<double>(by_s), 1e-9);
  }
}

// By draws of z, with the decoder that the densities of the two clouds give: z-scores below 5.
TEST(TwoImages, ReconstructionIsTheAverageOverDraws) {
  constexpr int kDraws = 100000;
  const auto log_density = [](double z, double m, double s) {
    return -0.5 * std::pow((z - m) / s, 2) - std::log(s);
  };
  Rng rng(10);
  for (double r : {0.5, 2.2, 4.0}) {
    const TwoImages images{.pixels = 3};
    const double s = TwoImages::deviation(r);
    const double m = r * s;
    double total = 0;
    double squares = 0;
    for (int i = 0; i < kDraws; ++i) {
      const double z = m + s * rng.normal();
      const double black_to_white = std::exp(log_density(z, -m, s) - log_density(z, m, s));
      const double log_white = -std::log1p(black_to_white);
      total += 3 * log_white / kDraws;
      squares += 9 * log_white * log_white / kDraws;
    }
    const double error = std::sqrt((squares - total * total) / kDraws);
    EXPECT_LT(std::abs(images.reconstruction(r) - total) / error, 5) << r;
  }
  EXPECT_NEAR((TwoImages{.pixels = 3}.reconstruction(0)), -3 * std::log(2.0), 1e-14);
}

TEST(TwoImages, HasTheKlOfItsCloudAndOnTheWholeTheMeanSquareOfThePrior) {
  for (double r : {0.0, 0.5, 2.2, 6.0}) {
    const double s = TwoImages::deviation(r);
    const nn::Normal<double> q{Tensor<double>({1, 1}, {r * s}),
                               Tensor<double>({1, 1}, {2 * std::log(s)})};
    EXPECT_NEAR(TwoImages::kl(r), kl(q, nn::Normal<double>::standard()).item(), 1e-14);
    EXPECT_NEAR(s * s + r * r * s * s, 1, 1e-14);
    // Another s has more.
    for (double factor : {0.9, 1.1}) {
      const nn::Normal<double> other{Tensor<double>({1, 1}, {r * s * factor}),
                                     Tensor<double>({1, 1}, {2 * std::log(s * factor)})};
      EXPECT_GT(kl(other, nn::Normal<double>::standard()).item(), TwoImages::kl(r));
    }
  }
}

TEST(TwoImages, AtTheBestDistanceTheSlopeIsZero) {
  const TwoImages images{.pixels = 4};
  const double best = images.best(0.5, 6);
  const double h = 1e-4;
  EXPECT_NEAR((images.elbo(best + h) - images.elbo(best - h)) / (2 * h), 0, 1e-7);
  EXPECT_GT(images.elbo(best), images.elbo(best - 0.1));
  EXPECT_GT(images.elbo(best), images.elbo(best + 0.1));
  EXPECT_LT(images.elbo(best), -std::log(2.0));  // a bound of the likelihood, which is 1/2
}

// Simpson's rule on p^x (1 - p)^(1 - x).
TEST(GreyLevels, HaveTheMassOfANumericalIntegral) {
  for (double logit : {0.0, 1e-6, 0.5, -2.0, 5.0}) {
    const double p = 1 / (1 + std::exp(-logit));
    constexpr int kCells = 1000;
    double total = 0;
    for (int i = 0; i <= kCells; ++i) {
      const double x = static_cast<double>(i) / kCells;
      const double weight = i == 0 || i == kCells ? 1 : (i % 2 == 1 ? 4 : 2);
      total += weight * std::pow(p, x) * std::pow(1 - p, 1 - x);
    }
    EXPECT_NEAR(mass_of_grey_levels(logit), total / (3 * kCells), 1e-10) << logit;
    EXPECT_LE(mass_of_grey_levels(logit), 0.5);
  }
}

// ---- A Gaussian decoder ------------------------------------------------------------------------

struct SmallGaussianVae : ::testing::Test {
  Rng rng{11};
  GaussianVae<double> vae{kPixels, kHidden, kLatents, rng};
  Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  Tensor<double> noise = rng.normal<double>({kImages, kLatents});
};

TEST_F(SmallGaussianVae, GradientOfTheElboIsRight) {
  vae.set_variance(0.3);
  const auto report = gradcheck([&] { return vae.elbo(x, noise).total(); }, vae.parameters());
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, nn::count(vae.parameters()));
}

// -D/2 ln(2 pi sigma^2) - |x - m|^2 / (2 sigma^2), whose slope by ln sigma^2 is 0 where sigma^2 is
// the mean squared error of a pixel.
TEST_F(SmallGaussianVae, IsSquaredErrorAndItsBestVarianceIsTheError) {
  const auto decoded = [&] {
    const Tensor<double> h =
        relu(matmul_nt(x, vae.parameters()[0]->value()) + vae.parameters()[1]->value());
    const Tensor<double> m =
        matmul_nt(h, vae.parameters()[2]->value()) + vae.parameters()[3]->value();
    const Tensor<double> log_var =
        matmul_nt(h, vae.parameters()[4]->value()) + vae.parameters()[5]->value();
    return vae.decode(m + exp(log_var * 0.5) * noise).mean.value();
  };
  const Tensor<double> squares = sum(square(x - decoded()), {1});
  for (double variance : {0.2, 1.5}) {
    vae.set_variance(variance);
    EXPECT_NEAR(vae.variance(), variance, 1e-15);
    const Tensor<double> reconstruction = vae.elbo(x, noise).reconstruction.value();
    for (Index n = 0; n < kImages; ++n)
      EXPECT_NEAR(reconstruction(n),
                  -0.5 * kPixels * std::log(2 * M_PI * variance) - squares(n) / (2 * variance),
                  1e-12);
  }
  Rng same(11);
  const Vae<double> with_coins(kPixels, kHidden, kLatents, same);  // the same layers
  EXPECT_EQ(largest(vae.elbo(x, noise).kl.value() - with_coins.elbo(x, noise).kl.value()), 0);

  vae.set_variance(mean(squares).item() / kPixels);
  Tape<double> tape;
  tape.backward(sum(vae.elbo(x, noise).reconstruction));
  const Parameter<double>& log_var = *vae.parameters().back();
  EXPECT_EQ(log_var.name(), "log_var");
  EXPECT_NEAR(log_var.grad.item(), 0, 1e-12);
}

TEST(Vae, HasTheParametersOfTheReference) {
  Rng rng(0);
  Vae<float> vae(784, 400, 20, rng);
  // 784 * 400 + 400,  2 (400 * 20 + 20),  20 * 400 + 400,  400 * 784 + 784
  EXPECT_EQ(nn::count(vae.parameters()), 314000 + 2 * 8020 + 8400 + 314384);
  EXPECT_EQ(nn::count(vae.parameters()), 652824);
  std::vector<std::string> names;
  for (const auto* p : vae.parameters()) names.push_back(p->name());
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.weight", "encoder.bias", "to_mean.weight",
                                             "to_mean.bias", "to_log_var.weight", "to_log_var.bias",
                                             "decoder.weight", "decoder.bias", "to_logits.weight",
                                             "to_logits.bias"}));
  EXPECT_EQ(vae.parameters()[0]->shape(), (Shape{400, 784}));
}

// H(1/2) = ln 2, H(0) = H(1) = 0, and H(1/4) = 2 ln 2 - (3/4) ln 3.
TEST(Bounds, EntropyOfPixelsIsTheBinaryEntropy) {
  const Tensor<double> x({2, 3}, {0.5, 0, 1, 0.25, 0.5, 0.5});
  const double quarter = 2 * std::log(2.0) - 0.75 * std::log(3.0);
  EXPECT_NEAR(entropy_of_pixels(x), (3 * std::log(2.0) + quarter) / 2, 1e-14);
}

// Training means (1/2, 1/4): on the test image (1, 1/2) they cost -ln(1/2) - (ln(1/4) + ln(3/4))/2.
TEST(Bounds, MeansOfTheTrainingSetAreScoredOnTheTestSet) {
  const Tensor<double> train({2, 2}, {0, 0.5, 1, 0}), test({1, 2}, {1, 0.5});
  EXPECT_NEAR(negative_log_likelihood_of_means(train, test),
              std::log(2.0) - (std::log(0.25) + std::log(0.75)) / 2, 1e-14);
}

// A training set in which some pixel is always black gives 0 ln 0 there, and a test image in which
// it is not costs infinitely much.
TEST(Bounds, APixelLitOnlyInTheTestCostsInfinitelyMuch) {
  const Tensor<double> train({1, 2}, {0, 0.5});
  EXPECT_NEAR(negative_log_likelihood_of_means(train, Tensor<double>({1, 2}, {0, 0.5})),
              std::log(2.0), 1e-14);
  EXPECT_EQ(negative_log_likelihood_of_means(train, Tensor<double>({1, 2}, {0.5, 0.5})), INFINITY);
}

// Such a set has no upper wall: the program says so, expects nothing of it, and draws what there
// is.
TEST(Bounds, AnInfiniteOneIsNotExpectedOfTheProgram) {
  namespace fs = std::filesystem;
  std::string pattern = ::testing::TempDir() + "gradus_vae_XXXXXX";
  const fs::path directory = mkdtemp(pattern.data());
  Rng rng(3);
  Tensor<float> train = rng.uniform<float>({150, 28, 28});
  for (Index i = 0; i < 150; ++i) train.set({i, 0, 0}, 0.0f);
  io::write_idx_images(directory / "train-images-idx3-ubyte", train);
  io::write_idx_labels(directory / "train-labels-idx1-ubyte", std::vector<Index>(150, 1));
  io::write_idx_images(directory / "t10k-images-idx3-ubyte", rng.uniform<float>({20, 28, 28}));
  io::write_idx_labels(directory / "t10k-labels-idx1-ubyte", std::vector<Index>(20, 1));

  const std::string command =
      fmt::format("{}/13_vae --epochs 1 --data '{}' --out '{}' > '{}' 2>&1", GRADUS_PROGRAMS,
                  directory.string(), directory.string(), (directory / "log").string());
  EXPECT_EQ(std::system(command.c_str()), 0) << io::read_file(directory / "log");
  EXPECT_THAT(io::read_file(directory / "log"), ::testing::HasSubstr("there is no upper wall"));
  const std::string results = io::read_file(directory / "13_vae" / "results.json");
  for (const char* word : {"null", "bracket", "dead_latents"})
    EXPECT_EQ(results.find(word), std::string::npos) << word;
  const std::string figure = io::read_file(directory / "13_vae" / "elbo.gp");
  for (const char* word : {"inf", "nan", "every latent dead"})
    EXPECT_EQ(figure.find(word), std::string::npos) << word;
  fs::remove_all(directory);
}

// The two ends of the bracket for Fashion-MNIST are from tests/references/fashion_mnist.py.
TEST(Bounds, OfFashionMnistAreTheKnownNumbers) {
  const std::filesystem::path directory = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << "the data set is not installed";
  const auto train = io::read_idx_images<float>(directory / "train-images-idx3-ubyte.gz");
  const auto test = io::read_idx_images<float>(directory / "t10k-images-idx3-ubyte.gz");
  EXPECT_NEAR(entropy_of_pixels(test.reshape({10000, 784})), 189.858328, 1e-4);
  EXPECT_NEAR(negative_log_likelihood_of_means(train.reshape({60000, 784}),
                                               test.reshape({10000, 784})),
              385.017604, 1e-4);
}

}  // namespace
}  // namespace gradus::lesson13
