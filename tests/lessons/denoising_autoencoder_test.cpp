#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/06_denoising_autoencoder/filters.hpp"
#include "lessons/06_denoising_autoencoder/instruments.hpp"
#include "lessons/06_denoising_autoencoder/model.hpp"
#include "lessons/06_denoising_autoencoder/truths.hpp"
#include "lessons/common/toy.hpp"
#include "nn/parameters.hpp"
#include "tensor/linalg.hpp"

namespace gradus::lesson06 {
namespace {

// ---- The models --------------------------------------------------------------------------------

struct SmallDenoiser : ::testing::Test {
  Rng rng{5};
  DenoisingAutoencoder<double> model{6, 5, 3, rng};
  Tensor<double> clean = rng.uniform<double>({4, 6});
  Tensor<double> spoiled = add_gaussian_noise(clean, 0.5, rng);
};

TEST_F(SmallDenoiser, GradientOfTheLossIsRight) {
  const auto report =
      gradcheck([&] { return denoising_loss(model, spoiled, clean); }, model.parameters());
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, nn::count(model.parameters()));
}

TEST_F(SmallDenoiser, LossIsTheDistanceOfTheAnswerFromTheCleanExample) {
  const Tensor<double> answers = model(spoiled).value();
  const Tensor<double> losses = denoising_loss(model, spoiled, clean).value();
  for (Index n = 0; n < 4; ++n) {
    double distance = 0;
    for (Index d = 0; d < 6; ++d) {
      const double off = answers(n, d) - clean(n, d);
      distance += off * off;
    }
    EXPECT_NEAR(losses(n), distance, 1e-14);
  }
}

TEST_F(SmallDenoiser, HasTheNamesOfLesson05) {
  std::vector<std::string> names;
  for (const auto* p : model.parameters()) names.push_back(p->name());
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.weight", "encoder.bias", "to_code.weight",
                                             "to_code.bias", "decoder.weight", "decoder.bias",
                                             "to_pixels.weight", "to_pixels.bias"}));
}

TEST(TwoLayers, GradientOfTheLossIsRight) {
  Rng rng(6);
  TwoLayers<double> model(2, 7, rng);
  const Tensor<double> clean = rng.normal<double>({5, 2});
  const Tensor<double> spoiled = add_gaussian_noise(clean, 0.5, rng);
  const auto report =
      gradcheck([&] { return denoising_loss(model, spoiled, clean); }, model.parameters());
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, nn::count(model.parameters()));
}

// ---- Answers on paper --------------------------------------------------------------------------

// The error (1 - a)^2 l + a^2 s2 of the factor a is least at l / (l + s2), where it is l s2 / (l +
// s2); twice its slope there is 0.
TEST(NormalData, AreShrunkByTheBestFactor) {
  const auto error = [](double a, double l, double s2) {
    return (1 - a) * (1 - a) * l + a * a * s2;
  };
  for (double l : {4.0, 1.0, 0.25}) {
    for (double s2 : {1.0, 0.5}) {
      const double a = shrink(l, s2);
      EXPECT_NEAR(-(1 - a) * l + a * s2, 0, 1e-15);
      EXPECT_NEAR(error(a, l, s2), wiener_error({l}, s2), 1e-15);
      EXPECT_LT(error(a, l, s2), error(a + 0.01, l, s2));
      EXPECT_LT(error(a, l, s2), error(a - 0.01, l, s2));
    }
  }
  EXPECT_NEAR(wiener_error({4, 1}, 1), 1.3, 1e-15);  // 4/5 + 1/2
  EXPECT_NEAR(truncation_error({4, 1}, 1), 2, 1e-15);
  // The first exercise.
  EXPECT_NEAR(wiener_error({4, 1}, 2), 2, 1e-15);
  EXPECT_NEAR(truncation_error({4, 1}, 2), 3, 1e-15);
  // 4/5 + 2/3 + 1/2 + 1/3 + 1/5
  EXPECT_NEAR(wiener_error(kToyVariances, 1), 2.5, 1e-15);
  // 4/9 + 2/5 + 1/3 + 1/4 + 1/6
  EXPECT_NEAR(wiener_error(kToyVariances, 0.5), 1.5944444444, 5e-11);
  EXPECT_NEAR(truncation_error(kToyVariances, 1), 3.75, 1e-15);
  EXPECT_NEAR(truncation_error(kToyVariances, 0.5), 2.25, 1e-15);
}

// Bayes' rule: 1 has the probability N(y; 1) / (N(y; 1) + N(y; -1)), and the answer is that minus
// the other's.
TEST(TwoPoints, AreAnsweredByBayesRule) {
  for (double y : {-2.0, -0.3, 0.0, 0.5, 1.7}) {
    const double up = normal_density(y, 1, 0.5);
    const double down = normal_density(y, -1, 0.5);
    EXPECT_NEAR(two_points_answer(y, 0.5), (up - down) / (up + down), 1e-15);
  }
  EXPECT_NEAR(two_points_answer(0.5, 0.5), 0.7615941560, 5e-11);
}

// E[x answer] = E[answer | x = 1] by symmetry, so the error is also 1 - E[tanh | x = 1]; and it is
// the mean of (1 - tanh)^2 over numbers seen from x = 1.
TEST(TwoPoints, ErrorIsTheSameByThreeIntegrals) {
  const double known[][2] = {{0.1, 0.0024113147},
                             {0.25, 0.0685974088},
                             {0.5, 0.2310182219},
                             {1, 0.4495995092},
                             {2, 0.6498865953}};
  for (const auto& [s2, error] : known) {
    const double far = 12 * std::sqrt(s2);
    const auto mean = [far, s2 = s2](auto f) {
      return integral(1 - far, 1 + far, 6000,
                      [&](double y) { return normal_density(y, 1, s2) * f(std::tanh(y / s2)); });
    };
    const double one = 1 - mean([](double t) { return t; });
    const double squares = mean([](double t) { return (1 - t) * (1 - t); });
    EXPECT_NEAR(two_points_error(s2), one, 1e-13);
    EXPECT_NEAR(two_points_error(s2), squares, 1e-13);
    EXPECT_NEAR(two_points_error(s2), error, 6e-11);
    EXPECT_LT(two_points_error(s2), wiener_error({1}, s2));
  }
}

// Tweedie: x + s2 d ln p / dx by a central difference.
TEST(TwoPoints, AnswerFollowsTheSlopeOfTheLogDensity) {
  for (double y : {-1.2, 0.1, 0.5, 2.0}) {
    constexpr double kStep = 1e-4;
    const double slope = (std::log(two_points_density(y + kStep, 0.5)) -
                          std::log(two_points_density(y - kStep, 0.5))) /
                         (2 * kStep);
    EXPECT_NEAR(y + 0.5 * slope, two_points_answer(y, 0.5), 1e-7);
  }
}

// The fixed point of tanh(2 x), by bisection of tanh(2 x) - x.
TEST(TwoPoints, IteratingClimbsToTheFixedPoint) {
  double low = 0.5;
  double high = 1;
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::tanh(2 * middle) > middle ? low : high) = middle;
  }
  EXPECT_NEAR(iterate_two_points(0.1, 0.5, 200), low, 1e-14);
  EXPECT_NEAR(low, 0.9575040241, 6e-11);
  EXPECT_NEAR(iterate_two_points(-0.1, 0.5, 200), -low, 1e-14);
  // With s2 = 1 the slope at 0 is 1, and there is no other.
  EXPECT_LT(iterate_two_points(1, 1, 10'000), 0.02);
  EXPECT_NEAR(iterate_two_points(0.1, 0.5, 3), std::tanh(2 * std::tanh(2 * std::tanh(0.2))), 1e-15);
}

// Guo, Shamai and Verdu (2005): half of the area is the information in one of two equal choices.
TEST(TwoPoints, ErrorEnclosesTwoLogTwo) { EXPECT_NEAR(two_points_area(), 2 * std::log(2), 1e-10); }

// The mean of cos over weights exp(k cos) is I1(k) / I0(k), by the Bessel functions of the standard
// library.
TEST(Circle, IsAnsweredByBesselFunctions) {
  const double known[][3] = {{0.5, 0.1, 0.8933831370},
                             {1, 0.1, 0.9485998260},
                             {1.5, 0.1, 0.9660695640},
                             {0.5, 0.25, 0.6977746580}};
  for (const auto& [radius, s2, answer] : known) {
    const double k = radius / s2;
    EXPECT_NEAR(circle_answer(radius, s2), std::cyl_bessel_i(1, k) / std::cyl_bessel_i(0, k),
                1e-13);
    EXPECT_NEAR(circle_answer(radius, s2), answer, 6e-11);
  }
}

// The radius is distributed as Rice found: t / s2 exp(-(t^2 + 1) / (2 s2)) I0(t / s2).
TEST(Circle, ErrorIsThatUnderRicesDensity) {
  for (const auto& [s2, error] : {std::pair{0.1, 0.1069884074}, std::pair{0.25, 0.2746895434}}) {
    const double left = integral(0, 6, 3000, [s2 = s2](double t) {
      const double k = t / s2;
      const double rice = k * std::exp(-(t * t + 1) / (2 * s2)) * std::cyl_bessel_i(0, k);
      const double answer = std::cyl_bessel_i(1, k) / std::cyl_bessel_i(0, k);
      return rice * answer * answer;
    });
    EXPECT_NEAR(circle_error(s2), 1 - left, 1e-9);
    EXPECT_NEAR(circle_error(s2), error, 1e-9);
  }
  EXPECT_NEAR(circle_fixed_radius(0.1), 0.9455421864, 6e-11);
}

// Each bump's posterior mean is m + v / (v + s2) (y - m), weighted by the bump's share of the
// density at y: no integral, and no score.
TEST(Mixture, AnswerIsTheMeanOfItsBumpsAnswersAndThatOfTweedie) {
  const double known[][2] = {{-1, -0.8980692443},
                             {0, 0.1280491408},
                             {0.5, 0.7689785154},
                             {2, 1.7475708893}};
  for (const auto& [y, answer] : known) {
    double total = 0;
    double weights = 0;
    for (const Bump& b : kMixture) {
      const double weight = b.weight * normal_density(y, b.mean, b.variance + 0.5);
      total += weight * (b.mean + b.variance / (b.variance + 0.5) * (y - b.mean));
      weights += weight;
    }
    EXPECT_NEAR(mixture_answer(y, 0.5), total / weights, 1e-13);
    EXPECT_NEAR(y + 0.5 * mixture_score(y, 0.5), total / weights, 1e-13);
    EXPECT_NEAR(total / weights, answer, 6e-11);
  }
}

// ---- Filters -----------------------------------------------------------------------------------

// The toy's points have exactly their variances, so the filter's error is the sum on paper.
TEST(AffineFilter, IsTheWienerFilterForGaussianNoise) {
  Rng rng(7);
  const Tensor<double> x = toy_points(kToyVariances, 60, rng) + 3;
  const Moments of = moments(x);
  for (double s2 : {1.0, 0.5}) {
    const Noise noise = gaussian(std::sqrt(s2));
    const AffineFilter filter = best_affine(noise, of);
    EXPECT_NEAR(5 * error_of(filter, noise, x), wiener_error(kToyVariances, s2), 1e-10);
    const Tensor<double> along = mean_squares_along(pca_of(of), x);
    for (Index i = 0; i < 5; ++i) EXPECT_NEAR(along(i), kToyVariances[i], 1e-12);
    // In the directions of the components it shrinks by l / (l + s2).
    const Pca<double> pca = pca_of(of);
    const Tensor<double> turned = matmul_nt(matmul(pca.components, filter.gain), pca.components);
    for (Index i = 0; i < 5; ++i)
      for (Index j = 0; j < 5; ++j)
        EXPECT_NEAR(turned(i, j), i == j ? shrink(kToyVariances[i], s2) : 0, 1e-10);
  }
}

// One pixel that is 0 or 1, each half of the time. Masked with probability p, a 1 that is seen is
// certain, and a 0 has come from a 1 in p of (1 + p) cases: the best answer is then p / (1 + p),
// and any function of two values is affine. The error is 1/2 (1 + p) times p / (1 + p)^2. With p /
// 2 of each turned to 0 and 1, what is seen is right with probability 1 - p / 2: the error is (1 -
// p / 2) p / 2.
TEST(AffineFilter, IsTheBestAnswerForAPixelOfTwoValues) {
  const Tensor<double> x({2, 1}, {0, 1});
  const Moments of = moments(x);
  for (double p : {0.25, 0.5}) {
    const AffineFilter masked = best_affine(masking(p), of);
    EXPECT_NEAR(masked(Tensor<double>({1, 1}, {0})).item(), p / (1 + p), 1e-10);
    EXPECT_NEAR(masked(Tensor<double>({1, 1}, {1})).item(), 1, 1e-10);
    EXPECT_NEAR(error_of(masked, masking(p), x), 0.5 * p / (1 + p), 1e-10);
    const AffineFilter salted = best_affine(salt_pepper(p), of);
    EXPECT_NEAR(salted(Tensor<double>({1, 1}, {1})).item(), 1 - p / 2, 1e-10);
    EXPECT_NEAR(error_of(salted, salt_pepper(p), x), (1 - p / 2) * p / 2, 1e-10);
  }
}

// The error that is worked out, and that of noise which is drawn: 200,000 pixels whose squared
// errors have a standard deviation below 0.5.
TEST(AffineFilter, ErrorIsThatOfNoiseThatIsDrawn) {
  Rng rng(8);
  const Tensor<float> x = rng.uniform<float>({50'000, 4});
  const Moments of = moments(x);
  const double allowed = 4 * 0.5 / std::sqrt(200'000);
  for (const Noise& noise : {gaussian(0.5), masking(0.5), salt_pepper(0.25)}) {
    const Tensor<float> seen = noise.spoil(x, rng);
    const AffineFilter filter = best_affine(noise, of);
    const Tensor<double> off = filter(cast<double>(seen)) - cast<double>(x);
    EXPECT_NEAR(mean(square(off)).item(), error_of(filter, noise, x), allowed) << noise.name;
    EXPECT_NEAR(mean(square(seen - x)).item(), error_of_noise(noise, x), allowed) << noise.name;
  }
}

// Three images of two pixels that go together, each pixel of which may be kept, or turned to 0, or
// to 1: the mean over all nine outcomes.
TEST(AffineFilter, ErrorIsTheMeanOverAllOutcomes) {
  const Tensor<double> x({3, 2}, {1, 0.5, 0.2, 0.9, 0.7, 0.1});
  const Moments of = moments(x);

  struct Case {
    Noise noise;
    double to_zero, to_one;
  };

  for (const auto& [noise, to_zero, to_one] :
       {Case{masking(0.4), 0.4, 0}, Case{salt_pepper(0.3), 0.15, 0.15}}) {
    const AffineFilter filter = best_affine(noise, of);
    const double zero = to_zero;  // Clang 14 captures no structured bindings
    const double one = to_one;
    const auto mean_error = [&](const AffineFilter& f) {
      double total = 0;
      for (Index n = 0; n < 3; ++n)
        for (int first : {0, 1, 2})
          for (int second : {0, 1, 2}) {
            const double seen[] = {0, 1, x(n, 0), 0, 1, x(n, 1)};
            const double p[] = {zero, one, 1 - zero - one};
            const Tensor<double> answer =
                f(Tensor<double>({1, 2}, {seen[first], seen[3 + second]}));
            const Tensor<double> off = answer - slice(x, 0, n, n + 1);
            total += p[first] * p[second] * sum(square(off)).item() / 6;
          }
      return total;
    };
    EXPECT_NEAR(error_of(filter, noise, x), mean_error(filter), 1e-12) << noise.name;
    // And no other map near it is better.
    Rng rng(12);
    for (int trial = 0; trial < 20; ++trial) {
      AffineFilter other = filter;
      other.gain += 0.01 * rng.normal<double>({2, 2});
      other.after += 0.01 * rng.normal<double>({2});
      EXPECT_GT(mean_error(other), mean_error(filter)) << noise.name;
    }
  }
}

TEST(SpoilInParts, DrawsTheNoiseOfTheWhole) {
  Rng one(13), other(13);
  const Tensor<float> x = Rng(14).uniform<float>({2500, 3});
  for (const Noise& noise : {gaussian(0.5), masking(0.5), salt_pepper(0.25), no_noise()})
    EXPECT_EQ(spoil_in_parts(noise, x, one).to_vector(), noise.spoil(x, other).to_vector());
}

// With two training images -1 and 1 of one pixel, what is recalled is tanh.
TEST(Recall, OfTwoPointsIsTanh) {
  const Tensor<float> training({2, 1}, {-1, 1});
  const Tensor<float> seen({3, 1}, {-2, 0.5, 1});
  const Tensor<float> answers = recall(training, seen, 0.5);
  for (Index i = 0; i < 3; ++i) EXPECT_NEAR(answers(i, 0), std::tanh(2 * seen(i, 0)), 1e-6);
}

// More images than are looked at together, against loops in double.
TEST(Recall, IsTheWeightedMeanOverAllImages) {
  Rng rng(9);
  const Tensor<float> training = rng.normal<float>({5000, 3});
  // The nearest image of two of these is among the last.
  const Tensor<float> seen = concatenate(
      std::vector{rng.normal<float>({2, 3}) * 3.0f, slice(training, 0, 4998, 5000) + 0.05f});
  const Tensor<float> answers = recall(training, seen, 0.2);
  for (Index m = 0; m < 4; ++m) {
    double weights = 0;
    double sums[3] = {};
    double nearest = HUGE_VAL;
    for (Index i = 0; i < 5000; ++i) {
      double d2 = 0;
      for (Index j = 0; j < 3; ++j) d2 += std::pow(double(seen(m, j)) - training(i, j), 2);
      nearest = std::min(nearest, d2);
      const double w = std::exp(-d2 / 0.4);
      weights += w;
      for (Index j = 0; j < 3; ++j) sums[j] += w * training(i, j);
    }
    for (Index j = 0; j < 3; ++j) EXPECT_NEAR(answers(m, j), sums[j] / weights, 1e-4);
    EXPECT_NEAR(3 * distance_to_nearest(training, slice(seen, 0, m, m + 1)), nearest, 1e-4);
  }
}

// ---- Instruments -------------------------------------------------------------------------------

// r(y) = y A^T: the Jacobian is A.
struct Linear {
  Tensor<double> a;

  Var<double> operator()(const Var<double>& y) const { return matmul_nt(y, Var<double>(a)); }
};

TEST(Jacobian, OfALinearMapIsItsMatrix) {
  const Linear r{Tensor<double>({2, 2}, {1, 2, 3, 4})};
  const Tensor<double> j = jacobian(r, Tensor<double>({1, 2}, {0.3, -1}));
  EXPECT_EQ(j.to_vector(), r.a.to_vector());
  // |A - A^T|^2 = 2, |A + A^T|^2 = 4 + 25 + 25 + 64
  EXPECT_NEAR(asymmetry(j), std::sqrt(2.0 / 118), 1e-15);
  EXPECT_EQ(asymmetry(j + transpose(j)), 0);
}

// v^T A v is the trace 5 plus or minus 2 + 3.
TEST(EstimatedTrace, HasTheTraceAsItsMean) {
  const Linear r{Tensor<double>({2, 2}, {1, 2, 3, 4})};
  Rng rng(10);
  const Tensor<double> traces = estimated_trace(r, Tensor<double>({10'000, 2}), rng);
  for (double t : traces) EXPECT_TRUE(t == 10 || t == 0) << t;
  EXPECT_NEAR(mean(traces).item(), 5, 4 * 5 / std::sqrt(10'000));
}

// For normal data of variance l and the factor a the true error is (1 - a)^2 l + a^2 s2. Its
// estimate is a mean over 200,000 numbers whose standard deviation is below 3.
TEST(SteinEstimate, NeedsNoCleanExample) {
  Rng rng(11);
  constexpr double kL = 4, kS2 = 1;
  const Tensor<double> x = rng.normal<double>({200'000, 1}) * std::sqrt(kL);
  const Tensor<double> seen = add_gaussian_noise(x, std::sqrt(kS2), rng);
  for (double a : {0.5, 0.8, 1.0}) {
    const double truth = (1 - a) * (1 - a) * kL + a * a * kS2;
    const Linear r{Tensor<double>({1, 1}, {a})};
    EXPECT_NEAR(stein_estimate(r, seen, kS2, rng), truth, 4 * 3 / std::sqrt(200'000));
  }
}

// The answers on paper, as models: nothing is left over. Others are off by what one puts there.
TEST(Excess, IsTheMeanSquaredDifferenceFromTheBestAnswer) {
  const auto best = [](const Tensor<float>& y) { return Var<float>(tanh(2.0f * y)); };
  const auto off = [](const Tensor<float>& y) { return Var<float>(tanh(2.0f * y) + 0.1f); };
  EXPECT_NEAR(two_points_excess(best, 0.5), 0, 1e-12);
  EXPECT_NEAR(two_points_excess(off, 0.5), 0.01, 1e-6);
  const auto on_circle = [](const Tensor<float>& y) {
    const double radius = std::hypot(y(0, 0), y(0, 1));
    return Var<float>(static_cast<float>(circle_answer(radius, 0.1) / radius) * y);
  };
  const auto shifted = [&](const Tensor<float>& y) { return on_circle(y) + 0.1f; };
  EXPECT_NEAR(circle_excess(on_circle, 0.1), 0, 1e-10);
  EXPECT_NEAR(circle_excess(shifted, 0.1), 0.02, 1e-5);
}

}  // namespace
}  // namespace gradus::lesson06
