#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/10_kl/model.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/common/scalar_normal.hpp"
#include "lessons/common/toy.hpp"

namespace gradus::lesson10 {
namespace {

using Numbers = Tensor<double>;
using Vars = std::vector<Var<double>>;
using Mvn = MultivariateNormal<double>;

double by_sum(const std::vector<double>& p, const std::vector<double>& q) {
  const Index n = std::ssize(p);
  return kl_by_sum<double>(log(Numbers({n}, p)), log(Numbers({n}, q))).item();
}

// A random covariance, A A^T + I / 2.
Numbers covariance(Index d, Rng& rng) {
  const Numbers a = rng.normal<double>({d, d});
  return matmul_nt(a, a) + 0.5 * identity<double>(d);
}

Mvn random_normal(Index d, Rng& rng) { return {rng.normal<double>({d}), covariance(d, rng)}; }

// Binomial(2, 0.4): (0.6^2, 2 0.6 0.4, 0.4^2) = (0.36, 0.48, 0.16).
//     KL(P || Q) = 0.36 ln(1.08) + 0.48 ln(1.44) + 0.16 ln(0.48)
//     KL(Q || P) = -(ln 1.08 + ln 1.44 + ln 0.48) / 3
TEST(Kl, OfBinomialAndUniformIsThatOfTheSlides) {
  const std::vector<double> p = {0.36, 0.48, 0.16};
  const std::vector<double> q(3, 1.0 / 3);
  const double there = 0.36 * std::log(1.08) + 0.48 * std::log(1.44) + 0.16 * std::log(0.48);
  const double back = -(std::log(1.08) + std::log(1.44) + std::log(0.48)) / 3;
  EXPECT_NEAR(by_sum(p, q), there, 1e-15);
  EXPECT_NEAR(by_sum(q, p), back, 1e-15);
  // The digits of the lecture slides that the example comes from.
  EXPECT_NEAR(there, 0.0852996, 5e-8);
  EXPECT_NEAR(back, 0.097455, 5e-7);
}

// With 0.333 in the place of 1/3, ln p - ln q grows by ln(1 / 0.999) in the one, and in the other
// the whole shrinks to 0.999 of it, less 0.999 ln(1 / 0.999): not the slides' 0.0852996 and
// 0.097455.
TEST(Kl, WithThePrintedThirdIsNotThatOfTheSlides) {
  const std::vector<double> p = {0.36, 0.48, 0.16};
  const std::vector<double> q(3, 0.333);
  const std::vector<double> third(3, 1.0 / 3);
  EXPECT_NEAR(by_sum(p, q), by_sum(p, third) - std::log(0.999), 1e-15);
  EXPECT_NEAR(by_sum(q, p), 0.999 * (by_sum(third, p) + std::log(0.999)), 1e-15);
  EXPECT_GT(std::fabs(by_sum(p, q) - 0.0852996), 1e-3);
  EXPECT_GT(std::fabs(by_sum(q, p) - 0.097455), 1e-3);
}

// KL(P || Q) = H(P, Q) - H(P), each by a loop of its own.
TEST(Kl, IsCrossEntropyLessEntropy) {
  Rng rng(11);
  for (int trial = 0; trial < 100; ++trial) {
    const Numbers log_p = log_softmax(Var<double>(rng.normal<double>({6}))).value();
    const Numbers log_q = log_softmax(Var<double>(rng.normal<double>({6}))).value();
    double entropy = 0;
    double cross_entropy = 0;
    for (Index i = 0; i < 6; ++i) {
      entropy -= std::exp(log_p(i)) * log_p(i);
      cross_entropy -= std::exp(log_p(i)) * log_q(i);
    }
    EXPECT_NEAR(cross_entropy_by_sum<double>(log_p, log_p).item(), entropy, 1e-14);
    EXPECT_NEAR(cross_entropy_by_sum<double>(log_p, log_q).item(), cross_entropy, 1e-14);
    EXPECT_NEAR(kl_by_sum<double>(log_p, log_q).item(), cross_entropy - entropy, 1e-14);
  }
}

// Where P gives 0.16 to what Q calls impossible, the one is infinite; in the other stands
// 0 (-infinity), which floating point takes for NaN.
TEST(Kl, OfAnImpossibleOutcomeIsInfiniteOrNan) {
  const std::vector<double> p = {0.36, 0.48, 0.16};
  const std::vector<double> q = {0.5, 0.5, 0};
  EXPECT_EQ(by_sum(p, q), std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(by_sum(q, p)));
}

// KL = 1/2 (r - 1 - ln r + (difference of means)^2 / s_q^2), r = s_p^2 / s_q^2:
//     r = 1/4, shift 1: 1/2 (1/4 - 1 + ln 4 + 1) = 1/8 + ln 2
//     r = 4, shift 4:   1/2 (4 - 1 - ln 4 + 4) = 7/2 - ln 2
TEST(Kl, OfTwoNormalsHasItsClosedForm) {
  const auto narrow = scalar_normal(1, 0.25);
  const auto wide = scalar_normal(0, 1);
  EXPECT_NEAR(kl(narrow, wide).item(), 0.125 + std::log(2), 1e-15);
  EXPECT_NEAR(kl(wide, narrow).item(), 3.5 - std::log(2), 1e-15);
}

// A = N((0, 0), [[1, 1/2], [1/2, 1]]), B = N((1, 0), diag(2, 1)); det A = 3/4, det B = 2.
//     KL(A || B) = 1/2 ((1/2 + 1) - 2 + 1/2 + ln(2 / (3/4))) = 1/2 ln(8/3)
//     A^-1 = 4/3 [[1, -1/2], [-1/2, 1]], so tr(A^-1 B) = 4/3 (2 + 1) = 4 and the shift is 4/3:
//     KL(B || A) = 1/2 (4 - 2 + 4/3 - ln(8/3)) = 5/3 - 1/2 ln(8/3)
TEST(Kl, OfNormalsInThePlaneHasItsClosedForm) {
  const Mvn a{Numbers({2}), Numbers({2, 2}, {1, 0.5, 0.5, 1})};
  const Mvn b{Numbers({2}, {1, 0}), Numbers({2, 2}, {2, 0, 0, 1})};
  const double half_log = 0.5 * std::log(8.0 / 3);
  EXPECT_NEAR(kl(a, b).item(), half_log, 1e-14);
  EXPECT_NEAR(kl(b, a).item(), 5.0 / 3 - half_log, 1e-14);
}

// Trace and determinants cancel, and 1/2 (1, 0) A^-1 (1, 0)^T = 1/2 4/3 either way.
TEST(Kl, IsTheSameBothWaysWhereTheCovariancesAreEqual) {
  const Numbers c({2, 2}, {1, 0.5, 0.5, 1});
  const Mvn a{Numbers({2}), c};
  const Mvn b{Numbers({2}, {1, 0}), c};
  EXPECT_NEAR(kl(a, b).item(), 2.0 / 3, 1e-15);
  EXPECT_NEAR(kl(b, a).item(), 2.0 / 3, 1e-15);
}

// Of multivariate normal distributions, one diagonal and the other in closed form.
TEST(Kl, OfIndependentCoordinatesIsTheirSum) {
  Rng rng(1);
  const Numbers m = rng.normal<double>({4});
  const Numbers n = rng.normal<double>({4});
  const Numbers u = rng.normal<double>({4});
  const Numbers v = rng.normal<double>({4});
  const Numbers eye = identity<double>(4);
  const Mvn p{m, eye * exp(u)};
  const Mvn q{n, eye * exp(v)};
  const nn::Normal<double> each{m.reshape({1, 4}), u.reshape({1, 4})};
  const nn::Normal<double> other{n.reshape({1, 4}), v.reshape({1, 4})};
  EXPECT_NEAR(kl(p, q).item(), kl(each, other).item(), 1e-13);
  const Numbers x = rng.normal<double>({6, 4});
  EXPECT_LT(max(abs(p.log_prob(x).value() - each.log_prob(x).value())).item(), 1e-13);
}

// x -> A x + b carries both distributions along and leaves every ln p(x) - ln q(x) as it was.
TEST(Kl, DoesNotDependOnTheCoordinates) {
  Rng rng(2);
  const Mvn p = random_normal(3, rng);
  const Mvn q = random_normal(3, rng);
  const Numbers a = rng.normal<double>({3, 3});
  const Numbers b = rng.normal<double>({3});
  auto carry = [&](const Mvn& n) {
    const Numbers mean = matmul_nt(n.mean.value().reshape({1, 3}), a).reshape({3}) + b;
    return Mvn{mean, matmul(a, matmul_nt(n.covariance.value(), a))};
  };
  const double before = kl(p, q).item();
  EXPECT_NEAR(kl(carry(p), carry(q)).item(), before, 1e-10 * before);
}

TEST(Kl, IsNeverNegativeAndZeroOnlyForEquals) {
  Rng rng(3);
  for (int pair = 0; pair < 10'000; ++pair) {
    const Mvn p = random_normal(2, rng);
    const Mvn q = random_normal(2, rng);
    ASSERT_GT(kl(p, q).item(), 0);
    ASSERT_NEAR(kl(p, p).item(), 0, 1e-12);
  }
  const Numbers a = rng.normal<double>({10'000, 5});
  const Numbers b = rng.normal<double>({10'000, 5});
  const nn::Categorical<double> c{a};
  const nn::Categorical<double> d{b};
  const nn::Normal<double> n{a, b};
  const nn::Normal<double> m{b, a};
  for (const Var<double>& divergence : {kl(c, d), kl(n, m)})
    EXPECT_EQ(sum(greater(divergence.value(), 0)).item(), 10'000);
  for (const Var<double>& divergence : {kl(c, c), kl(n, n)})
    EXPECT_EQ(max(abs(divergence.value())).item(), 0);
}

// 1/2 N(-2, 1/4) + 1/2 N(2, 1/4).
double two_bells(double x) {
  auto bell = [](double d) { return std::exp(-2 * d * d) / std::sqrt(M_PI / 2); };
  return 0.5 * bell(x - 2) + 0.5 * bell(x + 2);
}

// H(p) of these, by Simpson's rule from -9 to 9: another grid than the model's, and another rule.
double entropy_of_two_bells() {
  constexpr int kSteps = 6000;  // even
  const double width = 18.0 / kSteps;
  double entropy = 0;
  for (int i = 0; i <= kSteps; ++i) {
    double weight = i % 2 == 1 ? 4 : 2;
    if (i == 0 || i == kSteps) weight = 1;
    const double density = two_bells(-9 + width * i);
    entropy -= weight / 3 * width * density * std::log(density);
  }
  return entropy;
}

// The best normal in forward KL has p's mean and variance, so E_p[(x - m)^2] / s^2 = 1 and
//     KL = -H(p) + 1/2 ln(2 pi s^2) + 1/2.
TEST(TwoModes, ForwardFitHasTheMeanAndVariance) {
  const double entropy = entropy_of_two_bells();
  const TwoModes<double> modes;
  const auto q = modes.fit(/*is_forward=*/true, 1);
  EXPECT_NEAR(q.mean.item(), 0, 1e-10);
  EXPECT_NEAR(std::exp(q.log_var.item()), 4.25, 1e-10);
  EXPECT_NEAR(modes.forward(q).item(), -entropy + 0.5 * std::log(2 * M_PI * 4.25) + 0.5, 1e-12);
}

// Nearly all of E_q[ln q - ln p] is the ln 2 of that mode's half of the weight.
TEST(TwoModes, OnOneModeReverseKlIsNearlyLnTwo) {
  const TwoModes<double> modes;
  const auto mode = scalar_normal(2, 0.25);
  const double entropy = entropy_of_two_bells();
  EXPECT_NEAR(modes.reverse(mode).item(), std::log(2), 1e-4);
  EXPECT_NEAR(modes.reverse(mode).item(), 0.69305364548291993, 1e-12);  // mpmath.quad, 20 digits
  EXPECT_NEAR(modes.forward(mode).item(), -entropy + 0.5 * std::log(M_PI / 2) + 16.5, 1e-12);
}

// By math.fsum in Python 3, from -60 to 60 in steps of 0.001 (and the same in steps of 0.01), with
// ln p as a logsumexp. The wide normal has 1e-6 of this beyond 12, where p is all but 0.
TEST(TwoModes, ReverseKlOfTheWideNormalIsItsIntegral) {
  const TwoModes<double> modes;
  EXPECT_NEAR(modes.reverse(scalar_normal(0, 4.25)).item(), 2.097617210976625, 1e-12);
}

TEST(TwoModes, ReverseFitTakesTheModeWhereItBegan) {
  const TwoModes<double> modes;
  for (double side : {-1.0, 1.0}) {
    const auto q = modes.fit(/*is_forward=*/false, side);
    EXPECT_NEAR(q.mean.item(), 2 * side, 1e-3);
    EXPECT_NEAR(std::exp(q.log_var.item()), 0.25, 1e-3);
    EXPECT_LT(modes.reverse(q).item(), modes.reverse(scalar_normal(2 * side, 0.25)).item());
    // It is a minimum: no q around it is nearer.
    for (double mean : {-1e-2, 0.0, 1e-2})
      for (double factor : {0.98, 1.0, 1.02}) {
        const auto other = scalar_normal(q.mean.item() + mean, std::exp(q.log_var.item()) * factor);
        EXPECT_GE(modes.reverse(other).item(), modes.reverse(q).item() - 1e-15);
      }
  }
}

// Where reverse KL comes to rest, by tests/references/two_modes.py.
TEST(TwoModes, ReverseKlHasThreeMinima) {
  const TwoModes<double> modes;

  struct Rest {
    double start, mean, variance, kl;
  };

  for (const auto& [start, mean, variance, kl] :
       {Rest{-1, -1.9998008691016, 0.2503983034755, 0.6930529416655934},
        Rest{1, 1.9998008691016, 0.2503983034755, 0.6930529416655934},
        Rest{0.01, 0, 3.014954609205, 1.8711965121688139}}) {
    const auto q = modes.fit(/*is_forward=*/false, start);
    EXPECT_NEAR(q.mean.item(), mean, 1e-9);
    EXPECT_NEAR(std::exp(q.log_var.item()), variance, 1e-9);
    EXPECT_NEAR(modes.reverse(q).item(), kl, 1e-12);
    // No q around it is nearer.
    for (double angle = 0; angle < 6.28; angle += 0.1) {
      const auto other = scalar_normal(q.mean.item() + 0.05 * std::cos(angle),
                                       variance * std::exp(0.05 * std::sin(angle)));
      EXPECT_GT(modes.reverse(other).item(), kl);
    }
  }
}

TEST(TwoModes, TheStartDecidesWhereReverseKlRests) {
  const TwoModes<double> modes;
  EXPECT_NEAR(modes.fit(/*is_forward=*/false, 0.38).mean.item(), 0, 1e-2);
  EXPECT_NEAR(modes.fit(/*is_forward=*/false, 0.381).mean.item(), 2, 1e-2);
}

// Modes at -1 and 1 are covered together; of modes at -5 and 5 the fit takes one, for ln 2.
TEST(TwoModes, ReverseFitCoversModesThatAreNear) {
  const TwoModes<double> near{.c = 1};
  for (double start : {-1.0, 0.01, 1.0}) {
    const auto q = near.fit(/*is_forward=*/false, start);
    EXPECT_NEAR(q.mean.item(), 0, 1e-8);
    EXPECT_NEAR(std::exp(q.log_var.item()), 1.0475619935977, 1e-8);
    EXPECT_NEAR(near.reverse(q).item(), 0.2265079607614439, 1e-12);
  }
  const TwoModes<double> far{.c = 5};
  EXPECT_NEAR(far.reverse(scalar_normal(5, 0.25)).item(), std::log(2), 1e-13);
}

// Densities of modes at -30 and 30 fall below what a double can hold, e^-745, between them.
TEST(NormalMixture, UnderflowsFarFromAllModes) {
  const NormalMixture<double> p{full<double>({2}, 0.5), Numbers({2}, {-30, 30}),
                                log(full<double>({2}, 0.25))};
  auto log_prob = [&](double x) { return p.log_prob(full<double>({1, 1}, x)).item(); };
  EXPECT_EQ(log_prob(0), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(log_prob(10), -std::numeric_limits<double>::infinity());
  EXPECT_GT(log_prob(11), -745);
}

TEST(NormalMixture, OfOneIsThatOne) {
  Rng rng(4);
  const Numbers x = rng.normal<double>({7, 1});
  const NormalMixture<double> one{full<double>({1}, 1), full<double>({1}, 0.3),
                                  full<double>({1}, -0.7)};
  const auto same = scalar_normal(0.3, std::exp(-0.7));
  EXPECT_LT(max(abs(one.log_prob(x).value() - same.log_prob(x).value())).item(), 1e-14);
}

TEST(MonteCarlo, FindsTheClosedFormAndSeesWhenItIsAnother) {
  Rng rng(5);
  const Mvn p = random_normal(3, rng);
  const Mvn q = random_normal(3, rng);
  const Var<double> x = p.sample(rng.normal<double>({100'000, 3}));
  const Estimate e = kl_by_sampling(p, q, x);
  EXPECT_LT(std::fabs(e.z_score(kl(p, q).item())), 5);
  EXPECT_GT(std::fabs(e.z_score(kl(q, p).item())), 50);
  EXPECT_GT(std::fabs(e.z_score(1.1 * kl(p, q).item())), 5);
}

// ln p - ln q = ln 2 + 1/2 + e / 2 - 3/8 e^2 at x = 1 + e / 2, and E[e^2] = 1, E[e^3] = 0, Var(e^2)
// = 2: its mean is 1/8 + ln 2 and its variance 1/4 + 2 (3/8)^2 = 0.53125. The other way round it is
// 2 - ln 2 - 4 e + 3/2 e^2, of variance 16 + 2 (3/2)^2 = 20.5.
TEST(MonteCarlo, HasTheVarianceThatPaperSays) {
  Rng rng(6);
  const auto narrow = scalar_normal(1, 0.25);
  const auto wide = scalar_normal(0, 1);
  const Numbers noise = rng.normal<double>({1'000'000, 1});
  EXPECT_NEAR(kl_by_sampling(narrow, wide, narrow.sample(noise)).variance, 0.53125, 0.01);
  EXPECT_NEAR(kl_by_sampling(wide, narrow, wide.sample(noise)).variance, 20.5, 0.3);
}

TEST(MultivariateNormal, SamplesHaveItsMeanAndCovariance) {
  Rng rng(7);
  const Mvn p = random_normal(3, rng);
  constexpr double kDraws = 200'000;
  const Numbers x = p.sample(rng.normal<double>({200'000, 3})).value();
  const Numbers centred = x - mean(x, {0});
  const Numbers found = matmul_tn(centred, centred) / kDraws;
  const Numbers c = p.covariance.value();
  for (Index i = 0; i < 3; ++i) {
    EXPECT_LT(std::fabs(mean(x, {0})(i) - p.mean.value()(i)), 5 * std::sqrt(c(i, i) / kDraws));
    for (Index j = 0; j < 3; ++j) {
      const double error = std::sqrt((c(i, i) * c(j, j) + c(i, j) * c(i, j)) / kDraws);
      EXPECT_LT(std::fabs(found(i, j) - c(i, j)), 5 * error);
    }
  }
}

// pPCA with two components of variances (4, 2, 1, 1/2, 1/4) has sigma^2 = 1.75 / 3. Traces agree,
// so KL = 1/2 (3 ln sigma^2 - ln(1 1/2 1/4)), and it is what lesson 02's likelihood lost.
TEST(Kl, FromToyToPpcaIsWhatTheLikelihoodLost) {
  Rng rng(8);
  const Numbers x = toy_points(kToyVariances, 300, rng);
  const Numbers s = matmul_tn(x, x) / 300.0;
  const auto [values, vectors] = symmetric_eigen(s);
  const double noise = 1.75 / 3;
  const Numbers kept({5, 1}, {values(0), values(1), noise, noise, noise});
  const Mvn p{Numbers({5}), s};
  const Mvn q{Numbers({5}), matmul_tn(vectors * kept, vectors)};
  const double lost = 0.5 * (3 * std::log(noise) + std::log(8));
  EXPECT_NEAR(kl(p, q).item(), lost, 1e-12);
  EXPECT_NEAR(mean(p.log_prob(x)).item() - mean(q.log_prob(x)).item(), lost, 1e-12);
  EXPECT_NEAR(lost, toy_log_likelihood(4) - toy_log_likelihood(2), 1e-14);
}

TEST(Kl, HasTheGradientsThatDifferencesShow) {
  Rng rng(9);
  const Numbers m = rng.normal<double>({3});
  const Numbers n = rng.normal<double>({3});
  const Numbers c = covariance(3, rng);
  const Numbers d = covariance(3, rng);
  const Numbers x = rng.normal<double>({4, 3});
  const auto divergence = [](const Vars& v) {
    const Mvn p{v[0], v[1]};
    const Mvn q{v[2], v[3]};
    return kl(p, q);
  };
  EXPECT_TRUE(gradcheck(divergence, {m, c, n, d}, {.second_order = true}));
  EXPECT_TRUE(gradcheck([](const Vars& v) { return Mvn{v[0], v[1]}.log_prob(v[2]); }, {m, c, x}));
  EXPECT_TRUE(gradcheck([&](const Vars& v) { return Mvn{v[0], v[1]}.sample(x); }, {m, c}));
  EXPECT_TRUE(gradcheck([](const Vars& v) { return kl_by_sum(v[0], v[1], 0.3); }, {m, n}));
}

TEST(TwoModes, HasTheGradientsThatDifferencesShow) {
  Rng rng(10);
  const TwoModes<double> modes;
  const Numbers line = rng.normal<double>({4, 1});
  EXPECT_TRUE(gradcheck([&](const Vars& v) { return modes.p.log_prob(v[0]); }, {line}));
  const Numbers mean({1, 1}, {0.4});
  const Numbers log_var({1, 1}, {0.2});
  const auto forward = [&](const Vars& v) {
    const nn::Normal<double> q{v[0], v[1]};
    return modes.forward(q);
  };
  const auto reverse = [&](const Vars& v) {
    const nn::Normal<double> q{v[0], v[1]};
    return modes.reverse(q);
  };
  EXPECT_TRUE(gradcheck(forward, {mean, log_var}));
  EXPECT_TRUE(gradcheck(reverse, {mean, log_var}));
}

}  // namespace
}  // namespace gradus::lesson10
