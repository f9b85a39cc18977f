#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/02_ppca/examples.hpp"
#include "lessons/02_ppca/instruments.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/common/toy.hpp"

namespace gradus::lesson02 {
namespace {

struct Toy {
  Rng rng{1};
  Tensor<double> x = toy_points(kToyVariances, 400, rng);  // (400, 5)
  Pca<double> pca = fit_pca(x);
};

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

// At the maximum, C has the eigenvalues l_1, ..., l_q and d - q times sigma^2 = (sum of the others)
// / (d - q), in S's own basis. So ln det C = sum ln l_i + (d - q) ln sigma^2, and
// tr(C^-1 S) = q + (sum of the others) / sigma^2 = d: put into the density of a Gaussian that is
// the formula of toy_log_likelihood.
TEST(Ppca, ReachesTheMaximumOfTheEigenvalues) {
  Toy toy;
  for (Index q = 0; q <= 4; ++q) {
    const double rest = static_cast<double>(5 - q);
    const Ppca<double> best = fit_ppca(toy.pca, q);
    EXPECT_NEAR(best.sigma2, toy_variance_beyond(q) / rest, 1e-12) << q;
    EXPECT_NEAR(mean_log_likelihood(best, toy.x), toy_log_likelihood(q), 1e-11) << q;
    EXPECT_NEAR(maximum_log_likelihood(toy.pca, q), toy_log_likelihood(q), 1e-11) << q;
  }
}

TEST(Ppca, TheLastMaximumIsTheFullGaussian) {
  Toy toy;
  const Tensor<double> covariance = matmul_tn(toy.x, toy.x) / 400.0;
  EXPECT_NEAR(mean(gaussian_log_likelihood(toy.x, covariance)).item(), toy_log_likelihood(4),
              1e-11);
  EXPECT_LT(largest(fit_ppca(toy.pca, 4).covariance() - covariance), 1e-12);
}

TEST(Ppca, HasItsMaximumThere) {
  Toy toy;
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  for (int trial = 0; trial < 200; ++trial) {
    const Ppca<double> other{best.mean, best.w + 0.1 * toy.rng.normal<double>({5, 2}),
                             best.sigma2 * std::exp(0.1 * toy.rng.normal())};
    EXPECT_LT(mean_log_likelihood(other, toy.x), toy_log_likelihood(2));
  }
}

TEST(Ppca, ARotationOfTheLatentsChangesNoLikelihood) {
  Toy toy;
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  const Ppca<double> turned{best.mean, matmul(best.w, random_basis(2, toy.rng)), best.sigma2};
  EXPECT_GT(largest(turned.w - best.w), 0.1);
  EXPECT_LT(largest(turned.log_likelihood(toy.x) - best.log_likelihood(toy.x)), 1e-11);
}

// The q x q way against the D x D Cholesky factor, for a model that was fitted to nothing.
TEST(Ppca, NeedsOnlyTheSmallMatrix) {
  Rng rng(2);
  for (Index q : {0, 1, 3, 12}) {
    const Ppca<double> model{rng.normal<double>({12}), rng.normal<double>({12, q}), 0.3};
    const Tensor<double> x = rng.normal<double>({7, 12});
    const Tensor<double> large = gaussian_log_likelihood(x - model.mean, model.covariance());
    EXPECT_EQ(model.log_likelihood(x).shape(), Shape({7}));
    EXPECT_LT(largest(model.log_likelihood(x) - large), 1e-11) << q;
  }
}

// One number: N(y | 0, w^2 + s) with w = 1, s = 3, y = 2 is -1/2 [ln 2 pi + ln 4 + 1].
TEST(Ppca, InOneDimensionIsTheNormalDensity) {
  const Ppca<double> model{Tensor<double>({1}), Tensor<double>({1, 1}, {1}), 3.0};
  EXPECT_NEAR(model.log_likelihood(Tensor<double>({1, 1}, {2})).item(),
              -0.5 * (std::log(2 * M_PI) + std::log(4.0) + 1), 1e-14);
}

TEST(Ppca, LikelihoodOfOthersIsThatOfTheirSquares) {
  Toy toy;
  const Tensor<double> other = toy.rng.normal<double>({50, 5});
  const Tensor<double> squares = mean(square(toy.pca.encode(other, 5)), {0});
  for (Index q = 0; q <= 4; ++q)
    EXPECT_NEAR(log_likelihood_of_squares(toy.pca, q, squares),
                mean_log_likelihood(fit_ppca(toy.pca, q), other), 1e-11);
}

// The same code, with values that remember where they came from.
TEST(Ppca, LikelihoodHasTheGradientOfDifferences) {
  Rng rng(3);
  const Tensor<double> y = rng.normal<double>({6, 4});
  const Tensor<double> w = rng.normal<double>({4, 2});
  const Tensor<double> sigma2(0.7);
  const auto log_likelihood = [](const std::vector<Var<double>>& in) {
    return ppca_log_likelihood(in[0], in[1], in[2]);
  };
  EXPECT_TRUE(gradcheck(log_likelihood, {y, w, sigma2}));
}

TEST(Ppca, EmNeverStepsDownAndReachesTheClosedForm) {
  Toy toy;
  for (int start = 0; start < 5; ++start) {
    Ppca<double> model{toy.pca.mean, toy.rng.normal<double>({5, 2}), 1.0};
    double last = mean_log_likelihood(model, toy.x);
    for (int step = 0; step < 300; ++step) {
      model = em_step(model, toy.x);
      const double now = mean_log_likelihood(model, toy.x);
      EXPECT_GE(now, last - 1e-13) << "start " << start << ", step " << step;
      last = now;
    }
    EXPECT_NEAR(last, toy_log_likelihood(2), 1e-9) << "start " << start;
    EXPECT_NEAR(model.sigma2, toy_variance_beyond(2) / 3, 1e-9);
    EXPECT_LT(largest(model.covariance() - fit_ppca(toy.pca, 2).covariance()), 1e-6);
  }
}

// Column i times 1 + delta, with sigma^2 as it is: c' = c l M / (c^2 l + sigma^2 M) with
// M = c^2 + sigma^2 has d ln c' / d ln c = 1 - 2 r + 2 r^2 at its fixed point, r = sigma^2 / l.
TEST(Ppca, EmMendsTheLengthOfAColumnSlowly) {
  Toy toy;
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  for (Index i : {0, 1}) {
    const double delta = 1e-6;
    Tensor<double> scale({2}, {1, 1});
    scale.set({i}, 1 + delta);
    const Ppca<double> next = em_step({best.mean, best.w * scale, best.sigma2}, toy.x);
    const double r = best.sigma2 / kToyVariances[i];
    const Tensor<double> longer = slice((next.w - best.w) * best.w, 1, i, i + 1);
    const double excess = sum(longer).item() / sum(slice(square(best.w), 1, i, i + 1)).item();
    EXPECT_NEAR(excess / delta, 1 - 2 * r + 2 * r * r, 1e-5) << i;
  }
}

// A bit of a dropped direction u_j in column i shrinks by l_j / l_i.
TEST(Ppca, EmTurnsAColumnBackByTheRatioOfVariances) {
  Toy toy;
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  for (Index i : {0, 1})
    for (Index j : {2, 3, 4}) {
      const double delta = 1e-6;
      const Tensor<double> u = slice(toy.pca.components, 0, j, j + 1);  // (1, 5)
      Tensor<double> column({1, 2});
      column.set({0, i}, delta);
      const Ppca<double> next =
          em_step({best.mean, best.w + matmul(transpose(u), column), best.sigma2}, toy.x);
      const double left = matmul(u, next.w)(0, i);
      EXPECT_NEAR(left / delta, kToyVariances[j] / kToyVariances[i], 1e-5) << i << " " << j;
    }
}

// Where W is almost 0, M is sigma^2 I and the average of z z^T is I, so that W becomes
// S W / sigma^2.
TEST(Ppca, EmGrowsFromZeroByTheRatioToTheNoise) {
  Toy toy;
  const double sigma2 = toy_variance_beyond(0) / 5;
  const Tensor<double> w = 1e-6 * toy.rng.normal<double>({5, 2});
  const Ppca<double> next = em_step({toy.pca.mean, w, sigma2}, toy.x);
  const Tensor<double> before = matmul(toy.pca.components, w);
  const Tensor<double> after = matmul(toy.pca.components, next.w);
  const Tensor<double> factor({5, 1},
                              {4 / sigma2, 2 / sigma2, 1 / sigma2, 0.5 / sigma2, 0.25 / sigma2});
  EXPECT_LT(largest(after - before * factor), 1e-11);
}

// From weights of 1e-6 it rests at the maxima for no latent and for one.
TEST(Ppca, EmRestsWhereFewerLatentsAreBest) {
  Toy toy;
  Ppca<double> model{toy.pca.mean, 1e-6 * toy.rng.normal<double>({5, 2}), 1.0};
  std::vector<double> heights;
  for (int step = 0; step < 120; ++step) {
    model = em_step(model, toy.x);
    heights.push_back(mean_log_likelihood(model, toy.x));
  }
  for (Index k : {0, 1, 2}) {
    int near = 0;
    for (double height : heights)
      if (std::abs(height - toy_log_likelihood(k)) < 3e-3) ++near;
    EXPECT_GE(near, 4) << k;
  }
  EXPECT_NEAR(heights.back(), toy_log_likelihood(2), 1e-9);
}

TEST(Ppca, EmStaysWhereItIsBest) {
  Toy toy;
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  const Ppca<double> next = em_step(best, toy.x);
  EXPECT_LT(largest(next.w - best.w), 1e-12);
  EXPECT_NEAR(next.sigma2, best.sigma2, 1e-12);
}

// With w_i = sqrt(l_i - s) u_i, M has l_i on its diagonal, so along u_i code and decode multiply by
// w_i M^-1 w_i = (l_i - s) / l_i: 0.8541666667 and 0.7083333333 for s = 1.75 / 3.
TEST(Ppca, ShrinksEachDirectionByItsShareOfSignal) {
  Toy toy;
  for (double s : {1.75 / 3, 0.1, 1e-3}) {
    const Ppca<double> model = ppca_with_noise(toy.pca, 2, s);
    const Tensor<double> before = toy.pca.encode(toy.x, 5);
    const Tensor<double> after = toy.pca.encode(model.decode(model.encode(toy.x)), 5);
    const Tensor<double> factor({5}, {(4 - s) / 4, (2 - s) / 2, 0, 0, 0});
    EXPECT_LT(largest(after - before * factor), 1e-11) << s;
    EXPECT_NEAR(shrinkage(model, toy.pca, toy.x, 0), (4 - s) / 4, 1e-11) << s;
    EXPECT_NEAR(shrinkage(model, toy.pca, toy.x, 1), (2 - s) / 2, 1e-11) << s;
  }
}

TEST(Ppca, WithoutNoiseIsPca) {
  Toy toy;
  for (double s : {1e-2, 1e-4, 1e-6}) {
    const Ppca<double> model = ppca_with_noise(toy.pca, 2, s);
    const double gap =
        largest(model.decode(model.encode(toy.x)) - toy.pca.decode(toy.pca.encode(toy.x, 2)));
    EXPECT_LT(gap, 10 * s);
    EXPECT_GT(gap, s / 10);
  }
}

// The codes vary by (l_i - s) / l_i along latent i, and each posterior by s M^-1 = s / l_i more:
// together 1, the prior's variance.
TEST(Ppca, ThePosteriorsTogetherAreThePrior) {
  Toy toy;
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  const Tensor<double> z = best.encode(toy.x);
  const Tensor<double> codes = matmul_tn(z, z) / 400.0;
  EXPECT_LT(largest(mean(z, {0})), 1e-13);
  EXPECT_NEAR(codes(0, 0), 1 - 1.75 / 12, 1e-12);
  EXPECT_NEAR(codes(1, 1), 1 - 1.75 / 6, 1e-12);
  EXPECT_LT(largest(codes + best.posterior_covariance() - identity<double>(2)), 1e-12);
}

// A fit to S n / (n - 1) has the covariance C n / (n - 1). Its log-likelihood has d ln(n / (n - 1))
// more in ln det and d (n - 1) / n in place of d in the trace, so it is lower by
// (d / 2) [ln(n / (n - 1)) + (n - 1) / n - 1] = (d / 2) [ln(n / (n - 1)) - 1 / n].
TEST(Ppca, DividingByOneExampleLessCostsLikelihood) {
  Rng rng(4);
  const Tensor<double> x = toy_points(kToyVariances, 10, rng);
  const Pca<double> pca = fit_pca(x);
  const Pca<double> other{pca.mean, pca.components, pca.variances * (10.0 / 9)};
  const double gap = 2.5 * (std::log(10.0 / 9) - 0.1);
  const double score = mean_log_likelihood(fit_ppca(other, 2), x);
  EXPECT_NEAR(mean_log_likelihood(fit_ppca(pca, 2), x) - score, gap, 1e-11);
  EXPECT_NEAR(score, toy_log_likelihood(2) - gap, 1e-11);
}

// From W and noise, and from the eigenvectors of the covariance. z-scores below 5: the mean of n
// samples deviates by sqrt(C_ii / n), a covariance C_ij by sqrt((C_ii C_jj + C_ij^2) / n).
TEST(Ppca, DrawsExamplesWithItsOwnMeanAndCovariance) {
  Rng rng(5);
  const Ppca<double> model{rng.normal<double>({3}), rng.normal<double>({3, 2}), 0.5};
  const Tensor<double> c = model.covariance();
  const auto [values, vectors] = symmetric_eigen(c);
  const Pca<double> pca{model.mean, vectors, values};
  constexpr Index kN = 20000;
  for (const Tensor<double>& x : {sample(model, kN, rng), sample(pca, kN, rng)}) {
    const Tensor<double> y = x - model.mean;
    const Tensor<double> s = matmul_tn(y, y) / static_cast<double>(kN);
    for (Index i = 0; i < 3; ++i) {
      EXPECT_LT(std::abs(mean(y, {0})(i)), 5 * std::sqrt(c(i, i) / kN));
      for (Index j = 0; j < 3; ++j) {
        const double error = std::sqrt((c(i, i) * c(j, j) + c(i, j) * c(i, j)) / kN);
        EXPECT_LT(std::abs(s(i, j) - c(i, j)), 5 * error);
      }
    }
  }
}

TEST(Ppca, WithoutNoiseItsSamplesLieInThePlane) {
  Toy toy;
  const Tensor<double> x = sample(fit_ppca(toy.pca, 2), 50, toy.rng, /*noise=*/false);
  EXPECT_NEAR(toy.pca.residual(x, 2), 0, 1e-20);
  EXPECT_GT(toy.pca.residual(x, 1), 0.1);
}

// ---- Examples on paper
// ---------------------------------------------------------------------------

// exp(-(x - m)^2 / 2 v) / sqrt(2 pi v).
TEST(PpcaOnPaper, TheNormalDensityIsItsFormula) {
  for (double x : {-1.0, 0.0, 2.5})
    for (double v : {0.25, 1.0, 4.0})
      EXPECT_NEAR(normal_log_density(x, 0.5, v),
                  std::log(std::exp(-(x - 0.5) * (x - 0.5) / (2 * v)) / std::sqrt(2 * M_PI * v)),
                  1e-13);
}

// The mean of 0, 2, 3, 4, 6 is 3, and their variance (9 + 1 + 0 + 1 + 9) / 5 is 4.
TEST(PpcaOnPaper, NoBellIsLikelierThanTheBestOfTheFive) {
  const auto total = [](double mean, double variance) {
    double sum = 0;
    for (double x : kFiveNumbers) sum += normal_log_density(x, mean, variance);
    return sum;
  };
  EXPECT_NEAR(total(3, 4), -2.5 * (std::log(8 * M_PI) + 1), 1e-12);
  for (double mean : {0.0, 2.9, 3.0, 3.1, 6.0})
    for (double variance : {1.0, 3.9, 4.0, 4.1, 9.0}) EXPECT_LE(total(mean, variance), total(3, 4));
}

// z^2 + (x - 2 z)^2 = 5 (z - 2 x / 5)^2 + const; x ~ N(0, 5). With a second number x' it is
// 9 (z - 2 (x + x') / 9)^2 + const.
TEST(PpcaOnPaper, CompletesTheSquareOfOneNumberAndOfTwo) {
  const Ppca<double> one = one_number_model();
  const Tensor<double> x({1, 1}, {kSeen});
  EXPECT_NEAR(one.encode(x).item(), 0.6, 1e-15);
  EXPECT_NEAR(one.posterior_covariance().item(), 0.2, 1e-15);
  EXPECT_NEAR(one.log_likelihood(x).item(), -0.5 * (std::log(10 * M_PI) + 2.25 / 5), 1e-14);
  for (double z : {-1.0, 0.0, 0.6, 2.0})
    EXPECT_NEAR(normal_log_density(z, 0.6, 0.2),
                log_prior(z) + log_likelihood_of_latent(z) - one.log_likelihood(x).item(), 1e-13);

  const Ppca<double> two{Tensor<double>({2}), Tensor<double>({2, 1}, {2, 2}), 1.0};
  EXPECT_NEAR(two.encode(Tensor<double>({1, 2}, {1.5, 2.5})).item(), 8.0 / 9, 1e-15);
  EXPECT_NEAR(two.posterior_covariance().item(), 1.0 / 9, 1e-15);
}

// The posterior's density, by Bayes' rule from prior, likelihood and evidence, at random z.
TEST(PpcaOnPaper, BayesRuleHoldsInKDimensions) {
  Rng rng(6);
  const Ppca<double> model{rng.normal<double>({4}), rng.normal<double>({4, 2}), 0.7};
  const Tensor<double> x = rng.normal<double>({1, 4});
  const Tensor<double> mean = model.encode(x);
  for (int trial = 0; trial < 20; ++trial) {
    const Tensor<double> z = rng.normal<double>({1, 2});
    const double prior = gaussian_log_likelihood(z, identity<double>(2)).item();
    const double likelihood =
        gaussian_log_likelihood(x - model.decode(z), 0.7 * identity<double>(4)).item();
    const double posterior = gaussian_log_likelihood(z - mean, model.posterior_covariance()).item();
    EXPECT_NEAR(posterior, prior + likelihood - model.log_likelihood(x).item(), 1e-12);
  }
}

// Eigenvalues 6 and 1: sigma^2 = 1, w = sqrt(5) u1 = (2, 1), and M = 6. The point (1, 3) is (-3, 0)
// from the mean (4, 3), so its code is -6 / 6.
TEST(PpcaOnPaper, FourPointsHaveTheirFit) {
  const Tensor<double> x = four_points();
  const Ppca<double> best = four_points_model();
  EXPECT_LT(largest(fit_ppca(fit_pca(x), 1).covariance() - best.covariance()), 1e-14);
  EXPECT_LT(largest(best.covariance() - Tensor<double>({2, 2}, {5, 2, 2, 2})), 1e-14);
  const Tensor<double> last = slice(x, 0, 3, 4);
  EXPECT_NEAR(best.encode(last).item(), -1, 1e-15);
  EXPECT_NEAR(best.posterior_covariance().item(), 1.0 / 6, 1e-15);
  EXPECT_LT(largest(best.decode(best.encode(last)) - Tensor<double>({1, 2}, {2, 2})), 1e-14);
  // y^T C^-1 y = (9 - 36 / 6) / 1.
  EXPECT_NEAR(best.log_likelihood(last).item(), -0.5 * (2 * std::log(2 * M_PI) + std::log(6.0) + 3),
              1e-14);
}

// From w = u1, sigma^2 = 1: M = 2, the average of z z^T is 6 / 4 + 1 / 2 and that of y z is 3 u1,
// so w = 3 / 2 u1 and sigma^2 = (7 - 9 / 2) / 2.
TEST(PpcaOnPaper, EmStepsUpOnFourPoints) {
  const Tensor<double> x = four_points();
  const Ppca<double> best = four_points_model();
  const Ppca<double> start{best.mean, best.w / std::sqrt(5.0), 1.0};
  const Ppca<double> next = em_step(start, x);
  EXPECT_LT(largest(next.w - 1.5 * start.w), 1e-14);
  EXPECT_NEAR(next.sigma2, 5.0 / 4, 1e-14);
  EXPECT_GT(mean_log_likelihood(next, x), mean_log_likelihood(start, x));
}

// From the maximum, where the average of z^2 is 5 / 6, and with the variance 1 / 6 it would be 1:
// w = 6 / 5 (2, 1) and sigma^2 = (7 - 6) / 2, and the likelihood falls.
TEST(PpcaOnPaper, LeavingOutTheCovarianceStepsDown) {
  const Tensor<double> x = four_points();
  const Ppca<double> best = four_points_model();
  const Ppca<double> wrong = em_step_without_covariance(best, x);
  EXPECT_LT(largest(wrong.w - 1.2 * best.w), 1e-14);
  EXPECT_NEAR(wrong.sigma2, 0.5, 1e-14);
  EXPECT_NEAR(mean_log_likelihood(wrong, x),
              -0.5 * (2 * std::log(2 * M_PI) + std::log(7.7) + 6 / 7.7 + std::log(0.5) + 2), 1e-13);
  EXPECT_LT(mean_log_likelihood(wrong, x), mean_log_likelihood(best, x));
}

// The toy with two latents: kept 4 and 2, dropped three times 1.75 / 3.
TEST(Ppca, KeptAndDroppedDirectionsAddUp) {
  Toy toy;
  const Parts parts = parts_of_log_likelihood(toy.pca, fit_ppca(toy.pca, 2));
  EXPECT_NEAR(parts.kept, -0.5 * (2 * std::log(2 * M_PI) + std::log(8.0) + 2), 1e-12);
  EXPECT_NEAR(parts.dropped, -1.5 * (std::log(2 * M_PI * 1.75 / 3) + 1), 1e-12);
  EXPECT_NEAR(parts.kept + parts.dropped, toy_log_likelihood(2), 1e-12);
}

std::string message_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Ppca, SaysWhyThereIsNoMaximum) {
  Toy toy;
  EXPECT_EQ(message_of([&] { fit_ppca(toy.pca, 5); }),
            "fit_ppca: 5 latents in 5 dimensions: K must be below D");
  const Tensor<double> line({3, 3}, {1, 0, 0, 2, 0, 0, 3, 0, 0});
  EXPECT_NE(message_of([&] { fit_ppca(fit_pca(line), 1); }).find("take fewer latents"),
            std::string::npos);
}

}  // namespace
}  // namespace gradus::lesson02
