// Lesson 11: the evidence lower bound, where everything in it can be computed.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/11_elbo/figures.hpp"
#include "lessons/11_elbo/instruments.hpp"
#include "lessons/11_elbo/model.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/common/scalar_normal.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson11 {
namespace {

using Numbers = Tensor<double>;

double largest_difference(const Numbers& a, const Numbers& b) { return max(abs(a - b)).item(); }

// ---- One latent number: z ~ N(0, 1), x | z ~ N(2 z, 1), x = 1.5 --------------------------------

const LinearGaussian<double> kModel{.slope = 2, .noise = 1};
const Numbers kSeen = full<double>({1, 1}, 1.5);

// p(x) = N(0, 4 + 1).
const double kLogEvidence = -0.5 * (kLogTwoPi + std::log(5) + 1.5 * 1.5 / 5);

// For q = N(1/2, 1/4):
//     E_q[ln p(x | z)] = -1/2 ln 2 pi - 1/2 ((3/2 - 1)^2 + 4/4)
//     KL(q || N(0, 1)) = 1/2 (1/4 + 1/4 - 1 + ln 4)
//     KL(q || N(3/5, 1/5)) = 1/2 (5/4 - 1 - ln(5/4) + (1/10)^2 / (1/5))
void take_elbo_apart(kit::Lesson& lesson) {
  const auto q = scalar_normal(0.5, 0.25);
  const auto posterior = kModel.posterior(kSeen);
  const double elbo = kModel.elbo(kSeen, q).item();
  const double to_posterior = kl(q, posterior).item();
  const double reconstruction = -0.5 * kLogTwoPi - 5.0 / 8;
  const double rate = std::log(2) - 1.0 / 4;
  lesson.check("reconstruction", kModel.reconstruction(kSeen, q).item(), "nats",
               kit::Expected{reconstruction, 1e-12});
  lesson.check("kl_to_prior", kl(q, nn::Normal<double>::standard()).item(), "nats",
               kit::Expected{rate, 1e-12});
  lesson.check("elbo", elbo, "nats", kit::Expected{reconstruction - rate, 1e-12});
  lesson.check("posterior_mean", posterior.mean.item(), "", kit::Expected{3.0 / 5, 1e-14});
  lesson.check("posterior_variance", std::exp(posterior.log_var.item()), "",
               kit::Expected{1.0 / 5, 1e-14});
  lesson.check("kl_to_posterior", to_posterior, "nats",
               kit::Expected{0.5 * (0.25 - std::log(1.25) + 0.05), 1e-12});
  lesson.check("log_evidence", kModel.log_evidence(kSeen).item(), "nats",
               kit::Expected{kLogEvidence, 1e-12});
  lesson.check("elbo_plus_kl", elbo + to_posterior, "nats", kit::Expected{kLogEvidence, 1e-12});

  // Decoding q's mean in place of a z from q leaves out a^2 v / (2 s^2) = 4 / 4 / 2.
  const double at_mean = kModel.decode(q.mean).log_prob(kSeen).item();
  lesson.check("decoding_the_mean_adds", at_mean - kModel.reconstruction(kSeen, q).item(), "nats",
               kit::Expected{0.5, 1e-14});
}

// The ELBO is the mean of ln p(x, z) - ln q(z) over z from q; at the posterior each is ln p(x).
void sample_the_elbo(kit::Lesson& lesson) {
  const auto q = scalar_normal(0.5, 0.25);
  Rng rng(lesson.options().seed);
  auto sampled = [&](const nn::Normal<double>& from) {
    const Var<double> z = from.sample(rng.normal<double>({100'000, 1}));
    return estimate((kModel.log_joint(kSeen, z) - from.log_prob(z)).value());
  };
  const Estimate elbo = sampled(q);
  const Estimate evidence = sampled(kModel.posterior(kSeen));
  lesson.check("z_score_of_sampled_elbo", elbo.z_score(kModel.elbo(kSeen, q).item()), "",
               kit::Expected{0, 5});
  lesson.check("spread_at_the_posterior", std::sqrt(evidence.variance), "nats",
               kit::Expected{0, 1e-13});
}

// Gradient ascent on the ELBO, from q = the prior.
void climb(kit::Lesson& lesson) {
  Parameter<double> mean("mean", Numbers({1, 1}));
  Parameter<double> log_var("log_var", Numbers({1, 1}));
  nn::Sgd<double> sgd({&mean, &log_var}, {.learning_rate = 0.1});
  Ascent ascent;
  double moved_by = 0;
  for (int step = 0; step <= 1000; ++step) {
    Tape<double> tape;
    const nn::Normal<double> q{mean, log_var};
    const Var<double> bound = sum(kModel.elbo(kSeen, q));
    const double gap = kl(q, kModel.posterior(kSeen)).item();
    ascent.elbos.push_back(bound.item());
    ascent.gaps.push_back(gap);
    const double difference = bound.item() + gap - kModel.log_evidence(kSeen).item();
    moved_by = std::max(moved_by, std::abs(difference));
    tape.backward(-bound);
    sgd.step();
  }
  lesson.check("climbed_to_mean", mean.item(), "", kit::Expected{3.0 / 5, 1e-9});
  lesson.check("climbed_to_variance", std::exp(log_var.item()), "", kit::Expected{1.0 / 5, 1e-9});
  lesson.check("gap_before_the_last_step", ascent.gaps.back(), "nats", kit::Expected{0, 1e-12});
  lesson.check("elbo_plus_kl_moved_by", moved_by, "nats", kit::Expected{0, 1e-14});
  draw_climb(lesson, ascent);
}

// ---- A latent class: means +1 (dog) and -1 (cat), unit variance --------------------------------

// P(dog | x) as the gradient of ln p(x) with respect to ln p(x, dog).
double probability_of_dog(double x, double prior) {
  const Numbers means({2, 1}, {1, -1});
  const Numbers priors({2}, {prior, 1 - prior});
  const Var<double> log_likelihood = nn::Normal<double>{means, 0}.log_prob(full<double>({2, 1}, x));
  const Numbers scores = log(priors) + log_likelihood.value();
  return gradient_at(scores, [](const Var<double>& s) { return logsumexp(s); })(0);
}

// N(x; 1, 1) / N(x; -1, 1) = e^(2x), so P(dog | x) = 1 / (1 + e^(-2x) P(cat) / P(dog)).
void classify(kit::Lesson& lesson) {
  const double x = 0.7;
  lesson.check("p_dog", probability_of_dog(x, 0.5), "",
               kit::Expected{1 / (1 + std::exp(-2 * x)), 1e-12});
  lesson.check("p_dog_with_prior_0_3", probability_of_dog(x, 0.3), "",
               kit::Expected{1 / (1 + std::exp(-2 * x) * 0.7 / 0.3), 1e-12});
}

// ---- A latent path: the weather, rain (0) or dry (1), behind what is seen ----------------------

// What is seen is an umbrella (0) or none (1).
const Hmm<double>& weather() {
  static const Hmm<double> hmm{.log_start = log(Numbers({2}, {0.5, 0.5})),
                               .log_transition = log(Numbers({2, 2}, {0.7, 0.3, 0.3, 0.7})),
                               .log_emission = log(Numbers({2, 2}, {0.9, 0.2, 0.1, 0.8}))};
  return hmm;
}

// Umbrella, umbrella, none.   (3, 2)
Numbers three_days() { return weather().scores({0, 0, 1}).value(); }

// p(x) of these days, by hand: the forward recursion gives (0.45, 0.1), then (0.3105, 0.041), then
// (0.022965, 0.09748), for rain and dry, whose sum this is.
constexpr double kEvidence = 0.120445;

Var<double> log_evidence(const Var<double>& scores) { return weather().log_evidence(scores); }

void follow_the_weather(kit::Lesson& lesson) {
  const Numbers seen = three_days();
  const double evidence = log_evidence(seen).item();
  const Numbers posterior = gradient_at(seen, log_evidence);
  lesson.check("hmm_evidence", std::exp(evidence), "", kit::Expected{kEvidence, 1e-14});
  lesson.check("hmm_log_evidence", evidence, "nats", kit::Expected{std::log(kEvidence), 1e-12});
  // The forward probability of rain times the backward one, which by hand is 0.2307, 0.31 and 1.
  const double rain[] = {0.45 * 0.2307 / kEvidence, 0.3105 * 0.31 / kEvidence,
                         0.022965 / kEvidence};
  for (Index t = 0; t < 3; ++t)
    lesson.check(fmt::format("p_rain_{}", t + 1), posterior(t, 0), "",
                 kit::Expected{rain[t], 1e-12});
}

// A longer story, of 12 days and so of 4,096 paths: three ways to the same posterior.
void compare_with_all_paths(kit::Lesson& lesson) {
  const Numbers story = weather().scores({0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0}).value();  // (12, 2)
  const Numbers paths = weather().log_joint_of_paths(story);                             // (4096)
  const Numbers by_tape = gradient_at(story, log_evidence);
  lesson.check("tape_against_forward_backward",
               largest_difference(by_tape, forward_backward(weather(), story)), "",
               kit::Expected{0, 1e-14});
  lesson.check("tape_against_4096_paths",
               largest_difference(by_tape, marginals_of_paths(paths, 12, 2)), "",
               kit::Expected{0, 1e-14});
  lesson.check("forward_recursion_against_4096_paths",
               log_evidence(story).item() - logsumexp(paths).item(), "nats",
               kit::Expected{0, 1e-14});
}

// Mean fields from many random beginnings.
struct MeanField {
  Numbers best;  // (3, 2): the q_t(k) of the highest ELBO
  double highest = -std::numeric_limits<double>::infinity();
  double lowest = std::numeric_limits<double>::infinity();
};

MeanField fit_mean_field(Index starts, Rng& rng) {
  const Numbers seen = three_days();
  MeanField field;
  for (Index start = 0; start < starts; ++start) {
    Numbers q = softmax(Var<double>(2.0 * rng.normal<double>({3, 2}))).value();
    for (int step = 0; step < 600; ++step) q = weather().improve(q, step % 3, seen);
    const double elbo = weather().mean_field_elbo(q, seen).item();
    if (elbo > field.highest) {
      field.best = q;
      field.highest = elbo;
    }
    field.lowest = std::min(field.lowest, elbo);
  }
  return field;
}

// What the best q costs that takes the three days to be independent.
void take_days_apart(kit::Lesson& lesson) {
  // By tests/references/mean_field.py: a loop over the odds of rain on each day, until they stay.
  constexpr double kMeanFieldElbo = -2.170045074265554;
  const double cost = std::log(kEvidence) - kMeanFieldElbo;

  Rng rng(lesson.options().seed);
  const MeanField field = fit_mean_field(100, rng);
  const Numbers seen = three_days();
  const Numbers joint = weather().log_joint_of_paths(seen);  // (8)
  const Numbers exact = joint - logsumexp(joint);            // (8)
  const Numbers independent = log_paths_of(field.best);      // (8)
  lesson.check("mean_field_elbo", field.highest, "nats", kit::Expected{kMeanFieldElbo, 1e-12});
  lesson.check("mean_field_worst_of_100_starts", field.lowest, "nats",
               kit::Expected{kMeanFieldElbo, 1e-12});
  lesson.check("mean_field_cost", log_evidence(seen).item() - field.highest, "nats",
               kit::Expected{cost, 1e-12});
  lesson.check("mean_field_kl", kl_by_sum<double>(independent, exact).item(), "nats",
               kit::Expected{cost, 1e-12});
  for (Index t = 0; t < 3; ++t)
    lesson.report(fmt::format("mean_field_p_rain_{}", t + 1), field.best(t, 0), "");
  lesson.check("p_dry_dry_dry", std::exp(exact(7)), "",
               kit::relative(0.5 * 0.2 * 0.7 * 0.2 * 0.7 * 0.8 / kEvidence, 1e-12));
  lesson.report("mean_field_p_dry_dry_dry", std::exp(independent(7)), "");
  draw_weather(lesson, marginals_of_paths(joint, 3, 2), field.best);
  draw_paths(lesson, exact, independent);
}

// ---- Lesson 02 again ---------------------------------------------------------------------------

// With q = pPCA's exact posterior the ELBO is the log-likelihood.
void revisit_ppca(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Numbers x = toy_points(kToyVariances, 500, rng);
  const lesson02::Ppca<double> model = lesson02::fit_ppca(lesson02::fit_pca(x), 2);
  // The posterior has no correlations, for the columns of W are orthogonal: N(m, diag(v)).
  const Numbers v = sum(model.posterior_covariance() * identity<double>(2), {0});  // (2)
  const nn::Normal<double> q{model.encode(x), log(v)};
  // E_q[ln p(x | z)] is ln p(x | m) less tr(W diag(v) W^T) / (2 sigma^2).
  const nn::Normal<double> decoded{model.decode(q.mean.value()), std::log(model.sigma2)};
  const double spread = sum(square(model.w) * v).item() / (2 * model.sigma2);
  const double reconstruction = mean(decoded.log_prob(x)).item() - spread;
  const double rate = mean(kl(q, nn::Normal<double>::standard())).item();
  // The prior is the average posterior, so the KL is 1/2 sum_i ln(l_i / sigma^2).
  const double s2 = toy_variance_beyond(2) / 3;
  lesson.check("toy_kl", rate, "nats",
               kit::Expected{0.5 * std::log(kToyVariances[0] * kToyVariances[1] / (s2 * s2)),
                             1e-9});
  lesson.report("toy_reconstruction", reconstruction, "nats");
  lesson.check("toy_elbo", reconstruction - rate, "nats",
               kit::Expected{toy_log_likelihood(2), 1e-12});
}

void run(kit::Lesson& lesson) {
  take_elbo_apart(lesson);
  sample_the_elbo(lesson);
  draw_elbo(lesson, kModel, kSeen);
  climb(lesson);
  classify(lesson);
  follow_the_weather(lesson);
  compare_with_all_paths(lesson);
  take_days_apart(lesson);
  revisit_ppca(lesson);
}

}  // namespace
}  // namespace gradus::lesson11

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "11_elbo", .title = "ln p(x) = ELBO + KL"}, argc, argv,
                          gradus::lesson11::run);
}
