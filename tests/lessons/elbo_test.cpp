#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/11_elbo/instruments.hpp"
#include "lessons/11_elbo/model.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/common/scalar_normal.hpp"
#include "lessons/common/toy.hpp"

namespace gradus::lesson11 {
namespace {

using lesson10::MultivariateNormal;

using Numbers = Tensor<double>;
using Vars = std::vector<Var<double>>;

const LinearGaussian<double> kLinear{.slope = 2, .noise = 1};  // x | z ~ N(2 z, 1)
const Numbers kSeen = full<double>({1, 1}, 1.5);

// The umbrellas: state 0 is rain, symbol 0 an umbrella.
Hmm<double> weather() {
  return {log(Numbers({2}, {0.5, 0.5})), log(Numbers({2, 2}, {0.7, 0.3, 0.3, 0.7})),
          log(Numbers({2, 2}, {0.9, 0.2, 0.1, 0.8}))};
}

// Three states and four symbols, with random probabilities.
Hmm<double> random_hmm(Rng& rng) {
  const Var<double> start = log_softmax(Var<double>(rng.normal<double>({3})));
  const Var<double> transition = log_softmax(Var<double>(rng.normal<double>({3, 3})));
  const Var<double> emission = log_softmax(Var<double>(rng.normal<double>({4, 3})), 0);
  return {start.value(), transition.value(), emission.value()};
}

double largest(const Numbers& x) { return max(abs(x)).item(); }

// q = N(1/2, 1/4), x = 3/2:
//     E_q[ln p(x | z)] = -1/2 ln 2 pi - 1/2 ((3/2 - 1)^2 + 4/4) = -1/2 ln 2 pi - 5/8
//     KL(q || N(0, 1)) = 1/2 (1/4 + 1/4 - 1 + ln 4) = ln 2 - 1/4
TEST(Elbo, OfTheGaussianIsItsTwoParts) {
  const auto q = scalar_normal(0.5, 0.25);
  const double reconstruction = -0.5 * kLogTwoPi - 5.0 / 8;
  const double rate = std::log(2) - 0.25;
  EXPECT_NEAR(kLinear.reconstruction(kSeen, q).item(), reconstruction, 1e-15);
  EXPECT_NEAR(kLinear.elbo(kSeen, q).item(), reconstruction - rate, 1e-15);
  // Without the spread of z it is larger by a^2 v / (2 s^2) = 4 / 4 / 2.
  EXPECT_NEAR(kLinear.decode(q.mean).log_prob(kSeen).item() - reconstruction, 0.5, 1e-15);
}

// p(z | x) has precision 1 + 4 = 5 and mean 2 1.5 / 5 = 0.6; p(x) = N(0, 4 + 1).
//     KL(N(0.5, 0.25) || N(0.6, 0.2)) = 1/2 (5/4 - 1 - ln(5/4) + 0.1^2 / 0.2)
//     ln p(1.5) = -1/2 (ln(2 pi 5) + 2.25 / 5)
TEST(Elbo, IsTheEvidenceLessTheGap) {
  const auto q = scalar_normal(0.5, 0.25);
  const auto posterior = kLinear.posterior(kSeen);
  EXPECT_NEAR(posterior.mean.item(), 0.6, 1e-15);
  EXPECT_NEAR(std::exp(posterior.log_var.item()), 0.2, 1e-15);
  const double gap = 0.5 * (0.25 - std::log(1.25) + 0.05);
  const double evidence = -0.5 * (std::log(10 * M_PI) + 0.45);
  EXPECT_NEAR(kl(q, posterior).item(), gap, 1e-15);
  EXPECT_NEAR(kLinear.log_evidence(kSeen).item(), evidence, 1e-15);
  EXPECT_NEAR(kLinear.elbo(kSeen, q).item() + gap, evidence, 1e-15);
}

// Whatever the model, the point and q.
TEST(Elbo, AndTheGapAddUpToTheEvidence) {
  Rng rng(1);
  for (int i = 0; i < 1000; ++i) {
    const LinearGaussian<double> model{rng.normal(), std::exp(rng.normal())};
    const Numbers x = rng.normal<double>({1, 1});
    const auto q = scalar_normal(rng.normal(), std::exp(rng.normal()));
    const double gap = kl(q, model.posterior(x)).item();
    EXPECT_GE(gap, 0);
    const double evidence = model.log_evidence(x).item();
    EXPECT_NEAR(model.elbo(x, q).item() + gap, evidence, 1e-12 * (1 + gap));
  }
}

// p(x) is the integral of p(x, z) over z: a sum over a fine grid.
TEST(Elbo, EvidenceIsTheIntegralOfTheJoint) {
  const Numbers z = (arange<double>(3001) * 0.01 - 15).reshape({-1, 1});
  const Var<double> joint = kLinear.log_joint(kSeen, z);
  EXPECT_NEAR(std::log(0.01) + logsumexp(joint).item(), kLinear.log_evidence(kSeen).item(), 1e-12);
}

// ln p(x, z) - ln q(z) averages to the ELBO, and does not vary when q is exact: for each single z
// it is ln p(x).
TEST(Elbo, IsTheMeanOfLogRatios) {
  Rng rng(2);
  const auto q = scalar_normal(0.5, 0.25);
  const auto posterior = kLinear.posterior(kSeen);
  auto ratios = [&](const nn::Normal<double>& from) {
    const Var<double> z = from.sample(rng.normal<double>({100'000, 1}));
    return (kLinear.log_joint(kSeen, z) - from.log_prob(z)).value();
  };
  const Estimate e = estimate(ratios(q));
  EXPECT_LT(std::fabs(e.z_score(kLinear.elbo(kSeen, q).item())), 5);
  EXPECT_GT(std::fabs(e.z_score(kLinear.log_evidence(kSeen).item())), 5);
  EXPECT_LT(largest(ratios(posterior) - kLinear.log_evidence(kSeen).value()), 1e-12);
}

// N(x; 1, 1) / N(x; -1, 1) = e^(2x), so P(dog | x) = 1 / (1 + e^(-2x) P(cat) / P(dog)).
TEST(TwoClasses, ThePosteriorIsTheGradientOfLogsumexp) {
  const double x = 0.7;
  for (double prior : {0.5, 0.3}) {
    const Numbers log_joint({2}, {std::log(prior) - 0.5 * (x - 1) * (x - 1),
                                  std::log(1 - prior) - 0.5 * (x + 1) * (x + 1)});
    const Numbers posterior =
        gradient_at(log_joint, [](const Var<double>& s) { return logsumexp(s); });
    EXPECT_NEAR(posterior(0), 1 / (1 + std::exp(-2 * x) * (1 - prior) / prior), 1e-15);
    // With q = the posterior the ELBO is ln p(x); with another q it is less by their KL.
    const double evidence = logsumexp(log_joint).item();
    const Numbers other = log(Numbers({2}, {0.4, 0.6}));
    EXPECT_NEAR(elbo_by_sum<double>(log(posterior), log_joint).item(), evidence, 1e-15);
    EXPECT_NEAR(elbo_by_sum<double>(other, log_joint).item(),
                evidence - kl_by_sum<double>(other, log(posterior)).item(), 1e-15);
  }
}

// umbrella, umbrella, none, by hand. Forward: (1/2 0.9, 1/2 0.2) = (0.45, 0.1);
//     rain 0.9 (0.7 0.45 + 0.3 0.1) = 0.3105, dry 0.2 (0.3 0.45 + 0.7 0.1) = 0.041;
//     rain 0.1 (0.7 0.3105 + 0.3 0.041) = 0.022965, dry 0.8 (0.3 0.3105 + 0.7 0.041) = 0.09748;
// p = 0.120445. Backward from the last day: rain 0.7 0.1 + 0.3 0.8 = 0.31, dry 0.59; from the
// second: rain 0.7 0.9 0.31 + 0.3 0.2 0.59 = 0.2307. P(rain) = forward times backward over p.
TEST(Hmm, HasTheEvidenceAndThePosteriorOfTheUmbrellas) {
  const Hmm<double> hmm = weather();
  const Numbers scores = hmm.scores({0, 0, 1}).value();
  auto log_evidence = [&](const Var<double>& s) { return hmm.log_evidence(s); };
  EXPECT_NEAR(std::exp(log_evidence(scores).item()), 0.120445, 1e-15);
  const Numbers posterior = gradient_at(scores, log_evidence);
  const double rain[] = {0.45 * 0.2307 / 0.120445, 0.3105 * 0.31 / 0.120445, 0.022965 / 0.120445};
  for (Index t = 0; t < 3; ++t) {
    EXPECT_NEAR(posterior(t, 0), rain[t], 1e-14);
    EXPECT_NEAR(posterior(t, 1), 1 - rain[t], 1e-14);
  }
}

// The gradient of ln p, forward-backward and all K^T paths: three ways, one posterior.
TEST(Hmm, ThreeWaysGiveOnePosterior) {
  Rng rng(3);
  for (int trial = 0; trial < 20; ++trial) {
    const Hmm<double> hmm = trial == 0 ? weather() : random_hmm(rng);
    const Index states = hmm.log_emission.shape()[1];
    const Index symbols = hmm.log_emission.shape()[0];
    const Index steps = 7;
    const Numbers scores = hmm.scores(rng.integers(steps, symbols)).value();
    auto log_evidence = [&](const Var<double>& s) { return hmm.log_evidence(s); };
    const Numbers paths = hmm.log_joint_of_paths(scores);
    EXPECT_EQ(paths.size(), std::pow(states, steps));
    EXPECT_NEAR(log_evidence(scores).item(), logsumexp(paths).item(), 1e-14);
    const Numbers by_tape = gradient_at(scores, log_evidence);
    EXPECT_LT(largest(by_tape - forward_backward(hmm, scores)), 1e-14);
    EXPECT_LT(largest(by_tape - marginals_of_paths(paths, steps, states)), 1e-14);
  }
}

TEST(Hmm, ProbabilitiesOfAllSequencesAddUpToOne) {
  Rng rng(4);
  const Hmm<double> hmm = random_hmm(rng);
  double total = 0;
  for (Index i = 0; i < 64; ++i)
    total += std::exp(hmm.log_evidence(hmm.scores({i / 16, i / 4 % 4, i % 4})).item());
  EXPECT_NEAR(total, 1, 1e-14);
}

// p itself is below 1e-434, where a double is 0. Logarithms near -3,500 are rounded to 5e-13, and
// 5,000 roundings add up.
TEST(Hmm, ALongSequenceDoesNotUnderflow) {
  const Hmm<double> hmm = weather();
  std::vector<Index> seen(5000);
  for (std::size_t t = 0; t < seen.size(); ++t) seen[t] = t % 3 == 0;
  const Numbers scores = hmm.scores(seen).value();
  auto log_evidence = [&](const Var<double>& s) { return hmm.log_evidence(s); };
  EXPECT_LT(log_evidence(scores).item(), -1000);
  EXPECT_LT(largest(gradient_at(scores, log_evidence) - forward_backward(hmm, scores)), 1e-9);
}

// ELBO(q) is the sum over all paths of q(z) (ln p(x, z) - ln q(z)).
TEST(MeanField, ElboIsThatOfItsPaths) {
  Rng rng(5);
  const Hmm<double> hmm = random_hmm(rng);
  const Numbers scores = hmm.scores({2, 0, 3, 1}).value();
  const Numbers q = softmax(Var<double>(rng.normal<double>({4, 3}))).value();
  const Numbers log_q = log_paths_of(q);
  const Numbers paths = hmm.log_joint_of_paths(scores);
  EXPECT_NEAR(sum(exp(log_q)).item(), 1, 1e-14);
  const double elbo = hmm.mean_field_elbo(q, scores).item();
  EXPECT_NEAR(elbo, elbo_by_sum<double>(log_q, paths).item(), 1e-13);
  const double gap = kl_by_sum<double>(log_q, paths - logsumexp(paths)).item();
  EXPECT_NEAR(elbo + gap, hmm.log_evidence(scores).item(), 1e-13);
}

TEST(MeanField, NoStepOfCoordinateAscentGoesDown) {
  Rng rng(6);
  for (int trial = 0; trial < 20; ++trial) {
    const Hmm<double> hmm = random_hmm(rng);
    const Numbers scores = hmm.scores(rng.integers(5, 4)).value();
    Numbers q = softmax(Var<double>(rng.normal<double>({5, 3}))).value();
    double elbo = hmm.mean_field_elbo(q, scores).item();
    for (int step = 0; step < 50; ++step) {
      q = hmm.improve(q, step % 5, scores);
      const double higher = hmm.mean_field_elbo(q, scores).item();
      EXPECT_GE(higher, elbo - 1e-14);
      EXPECT_LE(higher, hmm.log_evidence(scores).item());
      elbo = higher;
    }
  }
}

// q_1 = softmax(ln pi + scores_1 + sum_j q_2(j) ln A(., j)), and so on, by hand: at the best q each
// satisfies its equation. Among all q on a fine grid none is better. The ELBO there is from a loop
// over these equations in plain Python.
TEST(MeanField, CostsWhatItMustOnTheUmbrellas) {
  const Hmm<double> hmm = weather();
  const Numbers scores = hmm.scores({0, 0, 1}).value();
  Numbers q = full<double>({3, 2}, 0.5);
  for (int step = 0; step < 600; ++step) q = hmm.improve(q, step % 3, scores);
  // The odds of rain: what is seen, and ln(0.7 / 0.3) (2 r - 1) from each neighbour.
  const double stay = std::log(0.7 / 0.3);
  const double seen[] = {std::log(0.9 / 0.2), std::log(0.9 / 0.2), std::log(0.1 / 0.8)};
  for (Index t = 0; t < 3; ++t) {
    double odds = seen[t];
    if (t > 0) odds += stay * (2 * q(t - 1, 0) - 1);
    if (t < 2) odds += stay * (2 * q(t + 1, 0) - 1);
    EXPECT_NEAR(std::log(q(t, 0) / q(t, 1)), odds, 1e-13);
  }
  const double best = hmm.mean_field_elbo(q, scores).item();
  EXPECT_NEAR(best, -2.170045074265554, 1e-13);
  for (int i = 0; i < 9261; ++i) {
    auto p = [](int k) { return (k + 0.5) / 21; };
    const double a = p(i / 441);
    const double b = p(i / 21 % 21);
    const double c = p(i % 21);
    const Numbers other({3, 2}, {a, 1 - a, b, 1 - b, c, 1 - c});
    ASSERT_LT(hmm.mean_field_elbo(other, scores).item(), best);
  }
}

// With q = pPCA's posterior, each point's ELBO is its log-likelihood: here with the full covariance
// of q, S = sigma^2 (W W^T + sigma^2 I)^-1, and W turned by a rotation.
TEST(Elbo, OfPpcaIsTheLogLikelihood) {
  Rng rng(7);
  const Numbers x = toy_points(kToyVariances, 200, rng);
  const auto [l, u] = symmetric_eigen(matmul_tn(x, x) / 200.0);
  const double noise = toy_variance_beyond(2) / 3;
  const double c = std::cos(0.4);
  const double s = std::sin(0.4);
  const Numbers stretch({2, 1}, {std::sqrt(l(0) - noise), std::sqrt(l(1) - noise)});
  const Numbers w = matmul(Numbers({2, 2}, {c, -s, s, c}), slice(u, 0, 0, 2) * stretch);  // (2, 5)
  const Numbers m = matmul_nt(w, w) + noise * identity<double>(2);
  const Numbers spread = noise * solve_spd(m, identity<double>(2));
  const MultivariateNormal<double> prior{Numbers({2}), identity<double>(2)};
  const double trace = sum(matmul(spread, w) * w).item();  // tr(W^T S W)
  const MultivariateNormal<double> evidence{Numbers({5}),
                                            matmul_tn(w, w) + noise * identity<double>(5)};

  double total = 0;
  for (Index i = 0; i < 200; ++i) {
    const Numbers point = slice(x, 0, i, i + 1);
    const Numbers mean = solve_spd(m, matmul_nt(w, point)).reshape({2});
    const nn::Normal<double> decoded{matmul(mean.reshape({1, 2}), w), std::log(noise)};
    const double elbo = decoded.log_prob(point).item() - trace / (2 * noise) -
                        kl(MultivariateNormal<double>{mean, spread}, prior).item();
    EXPECT_NEAR(elbo, evidence.log_prob(point).item(), 1e-12);
    total += elbo / 200;
  }
  EXPECT_NEAR(total, toy_log_likelihood(2), 1e-12);
}

TEST(Elbo, HasTheGradientsThatDifferencesShow) {
  Rng rng(8);
  const Numbers x = rng.normal<double>({4, 1});
  const Numbers mean = rng.normal<double>({4, 1});
  const Numbers log_var = rng.normal<double>({4, 1});
  const auto elbo = [](const Vars& v) {
    const nn::Normal<double> q{v[1], v[2]};
    return kLinear.elbo(v[0], q);
  };
  EXPECT_TRUE(gradcheck(elbo, {x, mean, log_var}));
  EXPECT_TRUE(gradcheck([&](const Vars& v) { return kLinear.log_joint(v[0], v[1]); }, {x, mean}));
  EXPECT_TRUE(gradcheck([&](const Vars& v) { return kLinear.log_evidence(v[0]); }, {x}));
}

TEST(Hmm, HasTheGradientsThatDifferencesShow) {
  Rng rng(8);
  const Numbers a = rng.normal<double>({5});
  const Numbers b = rng.normal<double>({5});
  EXPECT_TRUE(gradcheck([](const Vars& v) { return elbo_by_sum(v[0], v[1]); }, {a, b}));
  const Hmm<double> hmm = random_hmm(rng);
  const Numbers scores = hmm.scores({2, 0, 3, 3}).value();
  EXPECT_TRUE(gradcheck([&](const Vars& v) { return hmm.log_evidence(v[0]); }, {scores},
                        {.second_order = true}));
  const Numbers q = rng.normal<double>({4, 3});
  EXPECT_TRUE(gradcheck([&](const Vars& v) { return hmm.mean_field_elbo(softmax(v[0]), v[1]); },
                        {q, scores}));
}

// ---- The model moves too -----------------------------------------------------------------------

const Numbers kFour({4, 1}, {-3, -1, 1, 3});  // of mean square 5

double evidence_at(double slope, const Numbers& x) {
  return mean_log_evidence<double>(slope, x).item();
}

// m = a x / (a^2 + 1) and v = 1 / (a^2 + 1), so sum x m / sum (m^2 + v) is
//     S a (a^2 + 1) / ((S + 1) a^2 + 1):   1/2 -> 5/4 -> 16.015625 / 10.375.
TEST(Em, StepsFromAHalfToFiveQuarters) {
  EXPECT_NEAR(m_step(e_step(0.5, kFour), kFour), 1.25, 1e-15);
  EXPECT_NEAR(m_step(e_step(1.25, kFour), kFour), 16.015625 / 10.375, 1e-15);
  EXPECT_NEAR(m_step(e_step(2.0, kFour), kFour), 2, 1e-15);
}

// Near its end a step keeps 17/25 of the error: the derivative of S a (a^2 + 1) / ((S + 1) a^2 + 1)
// at a = 2, S = 5 is (65 25 - 50 24) / 625. A tenth is left after ln 10 / ln(25/17) = 5.97 steps.
TEST(Em, KeepsSixtyEightPercentOfTheErrorInAStep) {
  const double from = 2 - 1e-5;
  EXPECT_NEAR((2 - m_step(e_step(from, kFour), kFour)) / 1e-5, 0.68, 1e-4);
}

TEST(Em, NeverLowersTheLikelihood) {
  Rng rng(12);
  for (int trial = 0; trial < 100; ++trial) {
    const Numbers x = 2.0 * rng.normal<double>({7, 1});
    double slope = 3 * rng.normal();
    for (int step = 0; step < 30; ++step) {
      const auto q = e_step(slope, x);
      // After the E step there is no gap, and the M step leaves no slope.
      EXPECT_NEAR(mean_elbo<double>(slope, q, x).item(), evidence_at(slope, x), 1e-12);
      const double next = m_step(q, x);
      const double rest = gradient_at(Numbers(next), [&](const Var<double>& a) {
                            return mean_elbo(a, q, x);
                          }).item();
      EXPECT_NEAR(rest, 0, 1e-12 * (1 + 1 / std::fabs(next)));
      EXPECT_GE(evidence_at(next, x), evidence_at(slope, x) - 1e-13);
      slope = next;
    }
  }
}

// At q = the prior the ELBO's slope in a is the mean of (x - a m) m - a v = -a: a falls, and with
// it ln p(x), whose best a is 2.
TEST(MeanElbo, MayRiseWhileTheEvidenceFalls) {
  const nn::Normal<double> prior{Numbers({4, 1}), Numbers({4, 1})};
  const auto elbo = [&](const Var<double>& a) { return mean_elbo(a, prior, kFour); };
  EXPECT_NEAR(gradient_at(Numbers(0.5), elbo).item(), -0.5, 1e-15);
  EXPECT_GT(elbo(0.45).item(), elbo(0.5).item());
  EXPECT_LT(evidence_at(0.45, kFour), evidence_at(0.5, kFour));
}

// The one example of LinearGaussian, whose elbo and log_evidence are checked above.
TEST(MeanElbo, IsThatOfTheFixedModel) {
  const auto q = scalar_normal(0.5, 0.25);
  EXPECT_NEAR(mean_elbo<double>(2.0, q, kSeen).item(), kLinear.elbo(kSeen, q).item(), 1e-15);
  EXPECT_NEAR(evidence_at(2, kSeen), kLinear.log_evidence(kSeen).item(), 1e-15);
}

TEST(MeanElbo, HasTheGradientsThatDifferencesShow) {
  Rng rng(13);
  const Numbers x = rng.normal<double>({4, 1});
  const auto elbo = [&](const Vars& v) {
    const nn::Normal<double> q{v[1], v[2]};
    return mean_elbo(v[0], q, x);
  };
  EXPECT_TRUE(
      gradcheck(elbo, {Numbers(0.7), rng.normal<double>({4, 1}), rng.normal<double>({4, 1})}));
  EXPECT_TRUE(gradcheck([&](const Vars& v) { return mean_log_evidence(v[0], x); }, {Numbers(0.7)}));
}

// From N(3, 1) the ELBO's slope in m is a (x - a m) - m = -12, and 5 (0.6 - m) anywhere.
TEST(Elbo, ClimbHalvesTheDistanceOfTheMean) {
  const auto slope_at = [](double mean) {
    return gradient_at(full<double>({1, 1}, mean),
                       [](const Var<double>& m) {
                         const nn::Normal<double> q{m, Numbers({1, 1})};
                         return sum(kLinear.elbo(kSeen, q));
                       })
        .item();
  };
  EXPECT_NEAR(slope_at(3), -12, 1e-14);
  EXPECT_NEAR(slope_at(1.8), 5 * (0.6 - 1.8), 1e-14);
}

// ---- Learning ----------------------------------------------------------------------------------

// Each path's own counts, weighted by its probability.
TEST(BaumWelch, CountsAreThoseOfAllPaths) {
  Rng rng(14);
  const Hmm<double> hmm = random_hmm(rng);
  const std::vector<Index> seen = {3, 0, 2, 2, 1};
  const Numbers paths = hmm.log_joint_of_paths(hmm.scores(seen).value());
  const Numbers weights = exp(paths - logsumexp(paths));
  Counts<double> by_hand{Numbers({3}), Numbers({3, 3}), Numbers({4, 3})};
  for (Index path = 0; path < 243; ++path) {
    Index left = path;
    Index z[5];
    for (Index t = 4; t >= 0; --t) {
      z[t] = left % 3;
      left /= 3;
    }
    auto add = [&](Numbers& to, std::initializer_list<Index> at, double now) {
      to.set(at, now + weights(path));
    };
    add(by_hand.start, {z[0]}, by_hand.start(z[0]));
    for (Index t = 0; t < 5; ++t)
      add(by_hand.emission, {seen[t], z[t]}, by_hand.emission(seen[t], z[t]));
    for (Index t = 1; t < 5; ++t)
      add(by_hand.transition, {z[t - 1], z[t]}, by_hand.transition(z[t - 1], z[t]));
  }
  const Counts<double> counts = expected_counts(hmm, seen);
  EXPECT_LT(largest(counts.start - by_hand.start), 1e-13);
  EXPECT_LT(largest(counts.transition - by_hand.transition), 1e-13);
  EXPECT_LT(largest(counts.emission - by_hand.emission), 1e-13);
}

// The shares of the tape's counts are Rabiner's formulas, and a step is up.
TEST(BaumWelch, StepIsThatOfTheFormulasAndGoesUp) {
  Rng rng(15);
  for (int trial = 0; trial < 10; ++trial) {
    Hmm<double> hmm = random_hmm(rng);
    const std::vector<Index> seen = rng.integers(30, 4);
    for (int step = 0; step < 5; ++step) {
      const Hmm<double> by_tape = reestimate(hmm, seen);
      const Hmm<double> by_formula = baum_welch(hmm, seen);
      EXPECT_LT(largest(exp(by_tape.log_start.value()) - exp(by_formula.log_start.value())), 1e-13);
      EXPECT_LT(largest(exp(by_tape.log_transition.value()) -
                        exp(by_formula.log_transition.value())),
                1e-13);
      EXPECT_LT(largest(exp(by_tape.log_emission.value()) - exp(by_formula.log_emission.value())),
                1e-13);
      EXPECT_NEAR(sum(exp(by_tape.log_transition.value())).item(), 3, 1e-13);
      EXPECT_NEAR(sum(exp(by_tape.log_emission.value())).item(), 3, 1e-13);
      EXPECT_GE(by_tape.log_evidence(by_tape.scores(seen)).item(),
                hmm.log_evidence(hmm.scores(seen)).item());
      hmm = by_tape;
    }
  }
}

// Logarithms of probabilities are logits of these same probabilities, along their own axis.
TEST(HmmLogits, BeginAtTheModelTheyAreGiven) {
  Rng rng(22);
  const Hmm<double> hmm = random_hmm(rng);
  const Hmm<double> same = HmmLogits<double>(hmm).hmm();
  EXPECT_LT(largest(same.log_start.value() - hmm.log_start.value()), 1e-14);
  EXPECT_LT(largest(same.log_transition.value() - hmm.log_transition.value()), 1e-14);
  EXPECT_LT(largest(same.log_emission.value() - hmm.log_emission.value()), 1e-14);
}

TEST(HmmLogits, HasTheGradientsThatDifferencesShow) {
  Rng rng(16);
  const std::vector<Index> seen = {3, 0, 2, 2, 1};
  HmmLogits<double> logits(random_hmm(rng));
  const auto evidence = [&] {
    const Hmm<double> hmm = logits.hmm();
    return hmm.log_evidence(hmm.scores(seen));
  };
  EXPECT_TRUE(gradcheck(evidence, logits.parameters()));
}

// Half of the days are rainy, so 0.5 (0.9 + 0.2) = 0.55 show an umbrella; 0.7 of the days stay.
// Days follow each other with correlation 0.4, which makes the spread of the first (1 + 0.4) / (1 -
// 0.4) times as large at most.
TEST(Story, HasTheModelsFrequencies) {
  Rng rng(17);
  constexpr Index kDays = 100'000;
  const Story story = tell(weather(), kDays, rng);
  double umbrellas = 0;
  double stays = 0;
  for (Index t = 0; t < kDays; ++t) {
    umbrellas += story.seen[t] == 0;
    if (t > 0) stays += story.hidden[t] == story.hidden[t - 1];
  }
  EXPECT_NEAR(umbrellas / kDays, 0.55, 5 * std::sqrt(0.25 * 1.4 / 0.6 / kDays));
  EXPECT_NEAR(stays / (kDays - 1), 0.7, 5 * std::sqrt(0.21 / kDays));
}

// ---- Factoring and sampling --------------------------------------------------------------------

TEST(MeanField, AllStartsAtOnceEndWhereOneByOneDoes) {
  Rng rng(18);
  const Hmm<double> hmm = random_hmm(rng);
  const Numbers scores = hmm.scores({2, 0, 3, 1}).value();
  for (const Maximum<double>& one : mean_field_maxima(hmm, scores, 5, rng))
    for (Index t = 0; t < 4; ++t) EXPECT_LT(largest(hmm.improve(one.q, t, scores) - one.q), 1e-11);
}

// By tests/references/mean_field.py, from 300 other starts.
TEST(MeanField, HasSevenMaximaWhereDaysHoldTogether) {
  Hmm<double> hmm = weather();
  hmm.log_transition = log(Numbers({2, 2}, {0.95, 0.05, 0.05, 0.95}));
  const Numbers scores = hmm.scores({0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0}).value();
  const double evidence = hmm.log_evidence(scores).item();
  Rng rng(19);
  const auto maxima = mean_field_maxima(hmm, scores, 300, rng);
  const std::vector<double> costs = {1.3342959173262585, 1.4224744121512245, 1.8824579424130299,
                                     2.358645370227526,  2.446823858553838,  2.6927069988907384,
                                     2.9068327298193317};
  ASSERT_EQ(maxima.size(), costs.size());
  Index starts = 0;
  for (std::size_t i = 0; i < costs.size(); ++i) {
    EXPECT_NEAR(evidence - maxima[i].elbo, costs[i], 1e-9);
    starts += maxima[i].starts;
  }
  EXPECT_EQ(starts, 300);
}

// Every row of the sweep's matrix is a distribution, the posterior stays what it is, and where the
// chain has no memory the variance is p (1 - p) / n.
TEST(Gibbs, SweepLeavesThePosteriorAlone) {
  Rng rng(20);
  const Hmm<double> hmm = random_hmm(rng);
  const Numbers joint = hmm.log_joint_of_paths(hmm.scores({2, 0, 3}).value());
  const Numbers p = exp(joint - logsumexp(joint));
  const Numbers sweep = sweep_matrix(joint, 3, 3);
  EXPECT_LT(largest(sum(sweep, {1}) - 1.0), 1e-14);
  EXPECT_LT(largest(matmul(p.reshape({1, 27}), sweep).reshape({27}) - p), 1e-14);

  const Numbers f = less(arange<double>(27), 9.0);
  const double share = sum(p * f).item();
  const Numbers memoryless = full<double>({27, 1}, 1) * p;
  EXPECT_NEAR(variance_of_mean(p, f, memoryless, 50), share * (1 - share) / 50, 1e-15);
}

// Two states, each kept with 0.7: one step apart their correlation is 0.7 - 0.3 = 0.4, so that of
// the mean of two the variance is 1/4 (1 + 0.4) / 2, and of three 1/4 (3 + 2 (2 0.4 + 0.4^2)) / 9.
TEST(Gibbs, VarianceOfTheMeanCountsEachPairTwice) {
  const Numbers p = full<double>({2}, 0.5);
  const Numbers f({2}, {1, 0});
  const Numbers step({2, 2}, {0.7, 0.3, 0.3, 0.7});
  EXPECT_NEAR(variance_of_mean(p, f, step, 1), 0.25, 1e-15);
  EXPECT_NEAR(variance_of_mean(p, f, step, 2), 0.25 * 1.4 / 2, 1e-15);
  EXPECT_NEAR(variance_of_mean(p, f, step, 3), 0.25 * (3 + 2 * (2 * 0.4 + 0.16)) / 9, 1e-15);
}

// From one path, the frequencies of the next against the matrix.
TEST(Gibbs, SweepsAsItsMatrixSays) {
  Rng rng(21);
  const Hmm<double> hmm = random_hmm(rng);
  const Numbers scores = hmm.scores({2, 0, 3}).value();
  const Numbers sweep = sweep_matrix(hmm.log_joint_of_paths(scores), 3, 3);
  const Gibbs gibbs(hmm, scores);
  constexpr double kSweeps = 100'000;
  std::vector<double> counts(27);
  for (int i = 0; i < kSweeps; ++i) {
    std::vector<Index> path = {1, 2, 0};
    gibbs.sweep(path, rng);
    ++counts[path[0] * 9 + path[1] * 3 + path[2]];
  }
  for (Index j = 0; j < 27; ++j) {
    const double p = sweep(15, j);  // 15 = 1 9 + 2 3 + 0
    EXPECT_NEAR(counts[j] / kSweeps, p, 5 * std::sqrt(p / kSweeps) + 1e-12);
  }
}

}  // namespace
}  // namespace gradus::lesson11
