// Lesson 11: the evidence lower bound, where everything in it can be computed.
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
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

// p(x) as a sum over n cells of z, from -5 to 5.
double evidence_on_grid(Index n) {
  const double width = 10.0 / static_cast<double>(n);
  const Numbers z = (width * (arange<double>(n) + 0.5) - 5.0).reshape({n, 1});
  return width * sum(exp(kModel.log_joint(kSeen, z).value())).item();
}

// What it takes to get p(x) without a formula, for one latent and, by the same arithmetic, for 20.
void count_the_cost(kit::Lesson& lesson) {
  const double evidence = std::exp(kLogEvidence);
  lesson.report("evidence", evidence, "");
  lesson.report("evidence_from_10_cells", evidence_on_grid(10), "");
  lesson.check("evidence_from_20_cells", evidence_on_grid(20), "", kit::relative(evidence, 1e-5));
  // At a thousand million cells a second.
  constexpr double kYear = 365.25 * 24 * 3600;
  lesson.check("years_for_20_latents", std::pow(20.0, 20) / 1e9 / kYear, "years",
               kit::Expected{3.3e9, 1e8});

  // p(x) is also the mean of p(x | z) over z from the prior. One such draw, as a multiple of p(x),
  // has the mean square
  //     E[p(x | z)^2] / p(x)^2 = N(x; 0, a^2 + s^2 / 2) / (2 s sqrt(pi)) / p(x)^2,
  // and for K latents, each with an x of its own, its K-th power.
  const double square_of_one = std::exp(-0.5 * (kLogTwoPi + std::log(4.5) + 1.5 * 1.5 / 4.5)) /
                               (2 * std::sqrt(std::acos(-1.0))) / (evidence * evidence);
  lesson.report("mean_square_of_a_draw", square_of_one, "");
  Rng rng(lesson.options().seed);
  for (Index latents : {1, 5}) {
    const Numbers z = rng.normal<double>({1'000'000, latents});
    const Var<double> log_likelihood = kModel.decode(z).log_prob(full<double>({1, latents}, 1.5));
    const double k = static_cast<double>(latents);
    const Numbers draws = exp(log_likelihood.value() - k * kLogEvidence);
    lesson.check(fmt::format("variance_of_a_draw_{}_latents", latents), estimate(draws).variance,
                 "", kit::relative(std::pow(square_of_one, k) - 1, 0.05));
  }
  // The relative variance of a mean of n draws is 1/n of that: for 10 %, 0.01.
  for (int latents : {1, 10, 20})
    lesson.report(fmt::format("draws_for_10_percent_{}_latents", latents),
                  100 * (std::pow(square_of_one, latents) - 1), "");
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
  double gap = 0;
  for (int step = 0; step <= 1000; ++step) {
    Tape<double> tape;
    const nn::Normal<double> q{mean, log_var};
    const Var<double> bound = sum(kModel.elbo(kSeen, q));
    gap = kl(q, kModel.posterior(kSeen)).item();
    const double evidence = kModel.log_evidence(kSeen).item();
    moved_by = std::max(moved_by, std::abs(bound.item() + gap - evidence));
    if (step <= 20) {
      ascent.steps.push_back(step);
      ascent.elbos.push_back(bound.item());
      ascent.evidences.push_back(bound.item() + gap);
    }
    tape.backward(-bound);
    sgd.step();
  }
  lesson.check("climbed_to_mean", mean.item(), "", kit::Expected{3.0 / 5, 1e-9});
  lesson.check("climbed_to_variance", std::exp(log_var.item()), "", kit::Expected{1.0 / 5, 1e-9});
  lesson.check("gap_before_the_last_step", gap, "nats", kit::Expected{0, 1e-12});
  lesson.check("elbo_plus_kl_moved_by", moved_by, "nats", kit::Expected{0, 1e-14});
  draw_ascent(lesson, "climb",
              {.text = {.title = "The model is fixed: what the ELBO gains, the KL loses",
                        .note = "gradient ascent on the ELBO from q = the prior, x = 1.5",
                        .shown = {{0, -4.3}, {20, -1.6}}},
               .at_evidence = {8, -1.82},
               .at_elbo = {2.6, -2.9},
               .at_gap = {0.7, -2.5},
               .dots = true},
              ascent);
}

// ---- The model moves too: four numbers, whose mean square is 5, and an unknown slope -----------

const Numbers kFour({4, 1}, {-3, -1, 1, 3});
constexpr double kFirstSlope = 0.5;

double log_evidence_of(double slope) { return mean_log_evidence<double>(slope, kFour).item(); }

// With the mean square S = 5, an EM step leads from a to S a (a^2 + 1) / ((S + 1) a^2 + 1): from
// 1/2 to 5/4, and from there to 16.015625 / 10.375. It rests where a^2 + 1 = S, and there its
// derivative is 17/25.
void train_by_em(kit::Lesson& lesson) {
  double slope = kFirstSlope;
  nn::Normal<double> q{Numbers({4, 1}), Numbers({4, 1})};  // the prior
  std::vector<double> slopes = {slope};
  Ascent ascent;
  int steps_down = 0;
  auto note = [&](double step) {
    ascent.steps.push_back(step);
    ascent.evidences.push_back(log_evidence_of(slope));
    ascent.elbos.push_back(mean_elbo<double>(slope, q, kFour).item());
  };
  note(0);
  for (int step = 1; step <= 40; ++step) {
    const double before = log_evidence_of(slope);
    q = e_step(slope, kFour);
    if (step <= 6) note(step - 0.5);
    slope = m_step(q, kFour);
    if (step <= 6) note(step);
    if (log_evidence_of(slope) < before - 1e-15) ++steps_down;
    slopes.push_back(slope);
  }
  lesson.report("em_log_evidence_0", ascent.evidences[0], "nats");
  lesson.report("em_elbo_0", ascent.elbos[0], "nats");
  lesson.report("em_log_evidence_1", ascent.evidences[2], "nats");
  lesson.report("em_elbo_1", ascent.elbos[2], "nats");
  lesson.check("em_elbo_after_e_step", ascent.elbos[1], "nats",
               kit::Expected{ascent.evidences[0], 1e-14});
  lesson.check("em_slope_1", slopes[1], "", kit::Expected{5.0 / 4, 1e-14});
  lesson.check("em_slope_2", slopes[2], "", kit::Expected{16.015625 / 10.375, 1e-14});
  lesson.check("em_slope_40", slope, "", kit::Expected{2, 1e-6});
  lesson.check("em_log_evidence", log_evidence_of(slope), "nats",
               kit::Expected{-0.5 * (kLogTwoPi + std::log(5) + 1), 1e-9});
  lesson.check("em_error_kept_by_a_step", (2 - slopes[30]) / (2 - slopes[29]), "",
               kit::Expected{17.0 / 25, 1e-4});
  lesson.check("em_steps_down", steps_down, "", kit::Expected{0, 0});
  draw_ascent(lesson, "em",
              {.text = {.title = "EM: the E step closes the gap, the M step lifts both",
                        .note = "half steps: E, q becomes the posterior; M, the slope is fitted",
                        .shown = {{0, -3.65}, {6, -2.1}}},
               .at_evidence = {0.85, -2.3},
               .at_elbo = {0.62, -3.1},
               .at_gap = {0.06, -3.2},
               .dots = true},
              ascent);
}

// Gradient ascent on the ELBO in the slope and in all q at once, from q = the prior.
void train_together(kit::Lesson& lesson) {
  Parameter<double> slope("slope", Numbers(kFirstSlope));
  Parameter<double> mean("mean", Numbers({4, 1}));
  Parameter<double> log_var("log_var", Numbers({4, 1}));
  // The ELBO is a mean over four examples: each q's gradient is a quarter of its own.
  nn::Sgd<double> of_slope({&slope}, {.learning_rate = 0.1});
  nn::Sgd<double> of_q({&mean, &log_var}, {.learning_rate = 0.4});
  Ascent ascent;
  std::vector<double> slopes;
  for (int step = 0; step <= 600; ++step) {
    Tape<double> tape;
    const nn::Normal<double> q{mean, log_var};
    const Var<double> elbo = mean_elbo<double>(slope, q, kFour);
    slopes.push_back(slope.item());
    ascent.steps.push_back(step);
    ascent.elbos.push_back(elbo.item());
    ascent.evidences.push_back(log_evidence_of(slope.item()));
    tape.backward(-elbo);
    of_slope.step();
    of_q.step();
  }
  auto steps_down = [](const std::vector<double>& y) {
    int count = 0;
    for (std::size_t i = 1; i < y.size(); ++i) count += y[i] < y[i - 1] - 1e-14;
    return count;
  };
  // At q = N(0, 1) the ELBO's slope in a is the mean of (x - a m) m - a v = -a.
  lesson.check("together_slope_1", slopes[1], "", kit::Expected{0.9 * kFirstSlope, 1e-14});
  lesson.check("together_elbo_steps_down", steps_down(ascent.elbos), "", kit::Expected{0, 0});
  lesson.check("together_log_evidence_steps_down", steps_down(ascent.evidences), "",
               kit::Expected{2, 0});
  lesson.report("together_lowest_log_evidence",
                *std::min_element(ascent.evidences.begin(), ascent.evidences.end()), "nats");
  lesson.report("together_elbo_1", ascent.elbos[1], "nats");
  lesson.report("together_log_evidence_1", ascent.evidences[1], "nats");
  lesson.check("together_slope_600", slopes.back(), "", kit::Expected{2, 1e-4});
  lesson.check("together_log_evidence_600", ascent.evidences.back(), "nats",
               kit::Expected{-0.5 * (kLogTwoPi + std::log(5) + 1), 1e-7});
  for (auto* y : {&ascent.steps, &ascent.elbos, &ascent.evidences}) y->resize(41);
  draw_ascent(lesson, "together",
              {.text = {.title = "The ELBO rises at once, ln p(x) falls before it rises",
                        .note = "gradient ascent on the ELBO in the slope and in q together",
                        .shown = {{0, -3.65}, {40, -2.1}}},
               .at_evidence = {9, -2.62},
               .at_elbo = {13, -3.05},
               .at_gap = {0.4, -3.3}},
              ascent);
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
  const double like_a_dog = std::exp(scalar_normal(1, 1).log_prob(full<double>({1, 1}, x)).item());
  const double like_a_cat = std::exp(scalar_normal(-1, 1).log_prob(full<double>({1, 1}, x)).item());
  lesson.report("density_of_x_given_dog", like_a_dog, "");
  lesson.report("density_of_x_given_cat", like_a_cat, "");
  lesson.report("density_of_x", 0.5 * like_a_dog + 0.5 * like_a_cat, "");
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

Hmm<double> weather_that_stays(double stay) {
  Hmm<double> hmm = weather();
  hmm.log_transition = log(Numbers({2, 2}, {stay, 1 - stay, 1 - stay, stay}));
  return hmm;
}

const std::vector<Index> kTwelveDays = {0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0};

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
  for (double forward : {0.3105, 0.022965, 0.09748})
    lesson.report(fmt::format("forward_{}", forward), forward, "");
  // Decoding: of all eight paths the most probable is rain, rain, dry.
  const Numbers paths = weather().log_joint_of_paths(seen);  // (8)
  lesson.check("joint_of_the_best_path", std::exp(max(paths).item()), "",
               kit::Expected{0.5 * 0.9 * 0.7 * 0.9 * 0.3 * 0.8, 1e-14});
  lesson.check("p_best_path", std::exp(max(paths).item() - evidence), "",
               kit::Expected{0.5 * 0.9 * 0.7 * 0.9 * 0.3 * 0.8 / kEvidence, 1e-12});
  draw_chain(lesson);
}

// ---- Learning: a weather's parameters from what was seen on 500 days ---------------------------

double log_evidence_of(const Hmm<double>& hmm, const std::vector<Index>& seen) {
  return hmm.log_evidence(hmm.scores(seen)).item();
}

// Where both ways of learning begin: rain and umbrellas have little to do with each other.
Hmm<double> first_guess() {
  return {.log_start = log(Numbers({2}, {0.5, 0.5})),
          .log_transition = log(Numbers({2, 2}, {0.6, 0.4, 0.4, 0.6})),
          .log_emission = log(Numbers({2, 2}, {0.6, 0.4, 0.4, 0.6}))};
}

double largest_difference(const Hmm<double>& a, const Hmm<double>& b) {
  auto of = [](const Var<double>& x, const Var<double>& y) {
    return largest_difference(exp(x.value()), exp(y.value()));
  };
  return std::max({of(a.log_start, b.log_start), of(a.log_transition, b.log_transition),
                   of(a.log_emission, b.log_emission)});
}

void learn_the_weather(kit::Lesson& lesson) {
  constexpr int kSteps = 300;
  Rng rng(lesson.options().seed);
  const Hmm<double> truth = weather_that_stays(0.9);
  const Story story = tell(truth, 500, rng);
  Learning learning{.truth = log_evidence_of(truth, story.seen)};

  Hmm<double> hmm = first_guess();
  lesson.check("baum_welch_against_the_tape",
               largest_difference(reestimate(hmm, story.seen), baum_welch(hmm, story.seen)), "",
               kit::Expected{0, 1e-13});
  const Counts<double> counts = expected_counts(hmm, story.seen);
  lesson.check("expected_transitions", sum(counts.transition).item(), "", kit::Expected{499, 1e-9});
  lesson.check("expected_symbols", sum(counts.emission).item(), "", kit::Expected{500, 1e-9});

  int steps_down = 0;
  for (int step = 0; step <= kSteps; ++step) {
    learning.baum_welch.push_back(log_evidence_of(hmm, story.seen));
    if (step > 0 && learning.baum_welch[step] < learning.baum_welch[step - 1] - 1e-11) ++steps_down;
    hmm = reestimate(hmm, story.seen);
  }

  HmmLogits<double> logits(first_guess());
  nn::Adam<double> adam(logits.parameters(), {.learning_rate = 0.05});
  for (int step = 0; step <= kSteps; ++step) {
    Tape<double> tape;
    const Hmm<double> model = logits.hmm();
    const Var<double> evidence = model.log_evidence(model.scores(story.seen));
    learning.gradient.push_back(evidence.item());
    tape.backward(-evidence);
    adam.step();
  }
  lesson.report("learning_begins_at", learning.baum_welch[0], "nats");
  lesson.report("baum_welch_after_1_step", learning.baum_welch[1], "nats");
  lesson.report("adam_after_1_step", learning.gradient[1], "nats");
  lesson.report("baum_welch_after_20_steps", learning.baum_welch[20], "nats");
  lesson.report("adam_after_20_steps", learning.gradient[20], "nats");
  lesson.check("baum_welch_steps_down", steps_down, "", kit::Expected{0, 0});
  lesson.report("baum_welch_log_evidence", learning.baum_welch.back(), "nats");
  lesson.check("adam_log_evidence", learning.gradient.back(), "nats",
               kit::Expected{learning.baum_welch.back(), 0.01});
  lesson.report("true_model_log_evidence", learning.truth, "nats");
  const Numbers stay = exp(hmm.log_transition.value());
  const Numbers shows = exp(hmm.log_emission.value());
  lesson.report("learned_stay_rain", stay(0, 0), "");
  lesson.report("learned_stay_dry", stay(1, 1), "");
  lesson.report("learned_umbrella_in_rain", shows(0, 0), "");
  lesson.report("learned_umbrella_when_dry", shows(0, 1), "");
  const Hmm<double> by_gradient = logits.hmm();
  lesson.report("learned_models_differ_by", largest_difference(hmm, by_gradient), "");
  draw_learning(lesson, learning);
}

// A longer story, of 12 days and so of 4,096 paths: three ways to the same posterior.
void compare_with_all_paths(kit::Lesson& lesson) {
  const Numbers story = weather().scores(kTwelveDays).value();  // (12, 2)
  const Numbers paths = weather().log_joint_of_paths(story);    // (4096)
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

// ---- The two older ways to a posterior: factoring and sampling ---------------------------------

// Claim: mean field has many local maxima. Counted from 100 random starts each.
void count_maxima(kit::Lesson& lesson) {
  std::vector<Rests> all = {{.label = "3 days"}, {.label = "12 days"}};
  for (int percent : {50, 60, 70, 80, 85, 90, 95, 98}) {
    const double stay = percent / 100.0;
    const Hmm<double> hmm = weather_that_stays(stay);
    for (Rests& rests : all) {
      const bool is_short = &rests == &all.front();
      const Numbers seen = hmm.scores(is_short ? std::vector<Index>{0, 0, 1} : kTwelveDays).value();
      Rng rng(lesson.options().seed);
      const auto maxima = mean_field_maxima(hmm, seen, 100, rng);
      const double evidence = hmm.log_evidence(seen).item();
      for (const Maximum<double>& one : maxima) {
        rests.stays.push_back(stay);
        rests.costs.push_back(evidence - one.elbo);
      }
      if (percent != 70 && percent != 90 && percent != 95) continue;
      const std::string key = fmt::format("{}_days_stay_{}", is_short ? 3 : 12, percent);
      lesson.report("mean_field_maxima_" + key, static_cast<double>(maxima.size()), "");
      lesson.report("starts_at_the_best_" + key, static_cast<double>(maxima[0].starts), "");
      lesson.report("cost_of_the_best_" + key, evidence - maxima.front().elbo, "nats");
      lesson.report("cost_of_the_worst_" + key, evidence - maxima.back().elbo, "nats");
    }
  }
  draw_maxima(lesson, all);
}

// Claim: sampling is too slow to do it for each data point. Gibbs sampling on three days, for the
// probability of rain on the second.
GibbsErrors sample_paths(kit::Lesson& lesson, int percent) {
  constexpr int kRuns = 400;
  const Hmm<double> hmm = weather_that_stays(percent / 100.0);
  const Numbers seen = hmm.scores({0, 0, 1}).value();
  const Numbers joint = hmm.log_joint_of_paths(seen);  // (8)
  const Numbers path = exp(joint - logsumexp(joint));  // (8)
  const Numbers rain({8}, {1, 1, 0, 0, 1, 1, 0, 0});   // on day 2, for RRR, RRD, RDR, ...
  const double truth = sum(path * rain).item();
  const Numbers sweep = sweep_matrix(joint, 3, 2);

  const Gibbs gibbs(hmm, seen);
  Rng rng(lesson.options().seed);
  GibbsErrors errors{.label = fmt::format("stays with {:g}", percent / 100.0)};
  for (Index n : {10, 30, 100, 300, 1000, 3000}) {
    errors.sweeps.push_back(static_cast<double>(n));
    errors.predicted.push_back(std::sqrt(variance_of_mean(path, rain, sweep, n)));
    double squares = 0;
    for (int run = 0; run < kRuns; ++run) {
      const Index first = draw(
          8, [&](Index i) { return path(i); }, rng);
      std::vector<Index> states = {first / 4, first / 2 % 2, first % 2};
      double rainy = 0;
      for (Index i = 0; i < n; ++i) {
        gibbs.sweep(states, rng);
        if (states[1] == 0) ++rainy;
      }
      const double error = rainy / static_cast<double>(n) - truth;
      squares += error * error;
    }
    errors.errors.push_back(std::sqrt(squares / kRuns));
  }
  const double independent = truth * (1 - truth);
  const double by_sweeps = 3000 * variance_of_mean(path, rain, sweep, 3000);
  const std::string key = fmt::format("stay_{}", percent);
  lesson.report("gibbs_p_rain_2_" + key, truth, "");
  lesson.report("gibbs_sweeps_worth_one_draw_" + key, by_sweeps / independent, "");
  lesson.report("gibbs_sweeps_for_0_01_" + key, by_sweeps / 1e-4, "");
  // 400 squares of normal errors: their mean is off by sqrt(2 / 400) = 7 %, the root by half.
  lesson.check("gibbs_error_over_predicted_" + key, errors.errors.back() / errors.predicted.back(),
               "", kit::Expected{1, 0.18});
  return errors;
}

void sample_the_weather(kit::Lesson& lesson) {
  draw_gibbs(lesson, {sample_paths(lesson, 70), sample_paths(lesson, 99)});
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
  draw_bayes(lesson, kModel, kSeen);
  count_the_cost(lesson);
  sample_the_elbo(lesson);
  draw_elbo(lesson, kModel, kSeen);
  climb(lesson);
  train_by_em(lesson);
  train_together(lesson);
  classify(lesson);
  follow_the_weather(lesson);
  compare_with_all_paths(lesson);
  learn_the_weather(lesson);
  take_days_apart(lesson);
  count_maxima(lesson);
  sample_the_weather(lesson);
  revisit_ppca(lesson);
}

}  // namespace
}  // namespace gradus::lesson11

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "11_elbo", .title = "ln p(x) = ELBO + KL"}, argc, argv,
                          gradus::lesson11::run);
}
