// Lesson 11: the evidence lower bound, where everything in it can be computed.
#include <fmt/core.h>

#include "lessons/11_elbo/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"

namespace gradus::lesson11 {
namespace {

using Numbers = Tensor<double>;

nn::Normal<double> normal(double mean, double variance) {
  return {Numbers({1, 1}, {mean}), Numbers({1, 1}, {std::log(variance)})};
}

double largest_difference(const Numbers& a, const Numbers& b) { return max(abs(a - b)).item(); }

// One latent number: z ~ N(0, 1), x | z ~ N(2 z, 1), x = 1.5.
const LinearGaussian<double> kModel{2, 1};
const Numbers kSeen = full<double>({1, 1}, 1.5);

void take_elbo_apart(kit::Lesson& lesson) {
  const auto q = normal(0.5, 0.25), posterior = kModel.posterior(kSeen);
  const double to_posterior = kl(q, posterior).item(), elbo = kModel.elbo(kSeen, q).item();
  lesson.check("reconstruction", kModel.reconstruction(kSeen, q).item(), "nats",
               kit::Expected{-1.5439385332, 6e-11});
  lesson.check("kl_to_prior", kl(q, nn::Normal<double>::standard()).item(), "nats",
               kit::Expected{0.4431471806, 6e-11});
  lesson.check("elbo", elbo, "nats", kit::Expected{-1.9870857138, 6e-11});
  lesson.check("posterior_mean", posterior.mean.item(), "", kit::Expected{0.6, 1e-14});
  lesson.check("posterior_variance", std::exp(posterior.log_var.item()), "",
               kit::Expected{0.2, 1e-14});
  lesson.check("kl_to_posterior", to_posterior, "nats", kit::Expected{0.0384282243, 6e-11});
  lesson.check("log_evidence", kModel.log_evidence(kSeen).item(), "nats",
               kit::Expected{-1.9486574894, 6e-11});
  lesson.check("elbo_plus_kl", elbo + to_posterior, "nats", kit::Expected{-1.9486574894, 6e-11});

  // Decoding q's mean in place of a z from q leaves out a^2 v / (2 s^2) = 4 / 4 / 2.
  const double at_mean = kModel.decode(q.mean).log_prob(kSeen).item();
  lesson.check("decoding_the_mean_adds", at_mean - kModel.reconstruction(kSeen, q).item(), "nats",
               kit::Expected{0.5, 1e-14});

  // The ELBO is the mean of ln p(x, z) - ln q(z) over z from q; at the posterior each is ln p(x).
  Rng rng(lesson.options().seed);
  auto sampled = [&](const nn::Normal<double>& from) {
    const Var<double> z = from.sample(rng.normal<double>({100'000, 1}));
    return monte_carlo((kModel.log_joint(kSeen, z) - from.log_prob(z)).value());
  };
  lesson.check("z_score_of_sampled_elbo", sampled(q).z_score(elbo), "", kit::Expected{0, 5});
  lesson.check("spread_at_the_posterior", std::sqrt(sampled(posterior).variance), "nats",
               kit::Expected{0, 1e-13});
}

void draw_elbo(kit::Lesson& lesson) {
  const double evidence = kModel.log_evidence(kSeen).item();
  std::vector<kit::Series> lines;
  for (double variance : {0.2, 0.5, 0.03, 1.0}) {
    kit::Series line{.label = fmt::format("variance {}", variance)};
    for (int i = -20; i <= 80; ++i) {
      line.x.push_back(i / 50.0);
      line.y.push_back(kModel.elbo(kSeen, normal(i / 50.0, variance)).item());
    }
    lines.push_back(line);
  }
  kit::plot(lesson, "elbo",
            {.title = "The ELBO of each normal q, and the ceiling that it never passes",
             .note =
                 "it touches at the posterior, mean 0.6 and variance 0.2; the gap is the KL to it",
             .x_label = "mean of q",
             .y_label = "ELBO, nats",
             .levels = {{"ln p(x)", evidence}}},
            lines);
}

// Gradient ascent on the ELBO, from q = the prior.
void climb(kit::Lesson& lesson) {
  Parameter<double> mean("mean", Numbers({1, 1})), log_var("log_var", Numbers({1, 1}));
  nn::Sgd<double> sgd({&mean, &log_var}, {.learning_rate = 0.1});
  kit::Series elbo{.label = "ELBO", .mark = kit::Series::kLineAndDots};
  kit::Series both{.label = "ELBO + KL"};
  double off = 0, gap = 0;
  for (int step = 0; step <= 1000; ++step) {
    Tape<double> tape;
    const nn::Normal<double> q{mean, log_var};
    const Var<double> bound = sum(kModel.elbo(kSeen, q));
    gap = kl(q, kModel.posterior(kSeen)).item();
    off = std::max(off, std::abs(bound.item() + gap - kModel.log_evidence(kSeen).item()));
    if (step <= 20) {
      for (kit::Series* line : {&elbo, &both}) line->x.push_back(step);
      elbo.y.push_back(bound.item());
      both.y.push_back(bound.item() + gap);
    }
    tape.backward(-bound);
    sgd.step();
  }
  lesson.check("climbed_to_mean", mean.item(), "", kit::Expected{0.6, 1e-9});
  lesson.check("climbed_to_variance", std::exp(log_var.item()), "", kit::Expected{0.2, 1e-9});
  lesson.check("gap_at_the_end", gap, "nats", kit::Expected{0, 1e-12});
  lesson.check("elbo_plus_kl_moved_by", off, "nats", kit::Expected{0, 1e-14});
  kit::plot(lesson, "climb",
            {.title = "What the ELBO gains, the gap loses",
             .note = "gradient ascent from q = the prior: the sum is ln p(x) at every step",
             .x_label = "step",
             .y_label = "nats"},
            {elbo, both});
}

// Two classes with means +1 (dog) and -1 (cat) and unit variance, x = 0.7.
void classify(kit::Lesson& lesson) {
  auto posterior = [](double prior) {
    const Numbers classes({2, 1}, {1, -1});
    const Var<double> log_likelihood =
        nn::Normal<double>{classes, 0}.log_prob(full<double>({2, 1}, 0.7));
    const Numbers scores = log(Numbers({2}, {prior, 1 - prior})) + log_likelihood.value();
    return gradient_at(scores, [](const Var<double>& s) { return logsumexp(s); });
  };
  lesson.check("p_dog", posterior(0.5)(0), "", kit::Expected{0.8021838886, 6e-11});
  lesson.check("p_dog_with_prior_0_3", posterior(0.3)(0), "", kit::Expected{0.6347622805, 6e-11});
}

// The weather, rain (0) or dry (1), behind what is seen: umbrella (0), umbrella, none (1).
const Hmm<double> kWeather{log(Numbers({2}, {0.5, 0.5})),
                           log(Numbers({2, 2}, {0.7, 0.3, 0.3, 0.7})),
                           log(Numbers({2, 2}, {0.9, 0.2, 0.1, 0.8}))};
const Numbers kThreeDays = kWeather.scores({0, 0, 1}).value();  // (3, 2)

Var<double> log_evidence(const Var<double>& scores) { return kWeather.log_evidence(scores); }

void follow_the_weather(kit::Lesson& lesson) {
  const double evidence = log_evidence(kThreeDays).item();
  const Numbers posterior = gradient_at(kThreeDays, log_evidence);
  lesson.check("hmm_evidence", std::exp(evidence), "", kit::Expected{0.120445, 1e-14});
  lesson.check("hmm_log_evidence", evidence, "nats", kit::Expected{-2.1165620618, 6e-11});
  const double rain[] = {0.86192868, 0.79916144, 0.19066794};
  for (Index t = 0; t < 3; ++t)
    lesson.check(fmt::format("p_rain_{}", t + 1), posterior(t, 0), "",
                 kit::Expected{rain[t], 6e-9});

  // A longer story, of 12 days and so of 4,096 paths: three ways to the same posterior.
  const Numbers story = kWeather.scores({0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0}).value();
  const Numbers paths = kWeather.log_joint_of_paths(story);
  const Numbers by_tape = gradient_at(story, log_evidence);
  lesson.check("tape_against_forward_backward",
               largest_difference(by_tape, forward_backward(kWeather, story)), "",
               kit::Expected{0, 1e-14});
  lesson.check("tape_against_4096_paths",
               largest_difference(by_tape, marginals_of_paths(paths, 12, 2)), "",
               kit::Expected{0, 1e-14});
  lesson.check("forward_recursion_against_4096_paths",
               log_evidence(story).item() - logsumexp(paths).item(), "nats",
               kit::Expected{0, 1e-14});
}

// Mean field: the best q that takes the three days to be independent, from many random beginnings.
void take_days_apart(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  Numbers best, elbos({100});
  for (Index start = 0; start < elbos.size(); ++start) {
    Numbers q = nn::softmax(Var<double>(2.0 * rng.normal<double>({3, 2}))).value();
    for (int step = 0; step < 600; ++step) q = kWeather.improve(q, step % 3, kThreeDays);
    elbos.set({start}, kWeather.mean_field_elbo(q, kThreeDays).item());
    if (start == argmax(slice(elbos, 0, 0, start + 1))[0]) best = q;
  }
  const double elbo = max(elbos).item();
  const Numbers paths = kWeather.log_joint_of_paths(kThreeDays);  // (8)
  const Numbers exact = paths - logsumexp(paths), field = log_paths_of(best);
  lesson.check("mean_field_elbo", elbo, "nats", kit::Expected{-2.1700450743, 6e-11});
  lesson.check("mean_field_worst_of_100_starts", -max(-elbos).item(), "nats",
               kit::Expected{-2.1700450743, 6e-11});
  lesson.check("mean_field_cost", log_evidence(kThreeDays).item() - elbo, "nats",
               kit::Expected{0.0534830125, 6e-11});
  lesson.check("mean_field_kl", kl_by_sum<double>(field, exact).item(), "nats",
               kit::Expected{0.0534830125, 6e-11});
  for (Index t = 0; t < 3; ++t)
    lesson.report(fmt::format("mean_field_p_rain_{}", t + 1), best(t, 0), "");
  lesson.check("p_dry_dry_dry", std::exp(exact(7)), "",
               kit::relative(0.5 * 0.2 * 0.7 * 0.2 * 0.7 * 0.8 / 0.120445, 1e-12));
  lesson.report("mean_field_p_dry_dry_dry", std::exp(field(7)), "");

  auto rain = [](const Numbers& q) { return slice(q, 1, 0, 1).to_vector(); };
  kit::bars(lesson, "weather",
            {.title = "The probability of rain on each of three days",
             .note = "mean field takes the days to be independent, and is too sure of itself",
             .x_label = "what was seen",
             .y_label = "probability of rain"},
            {{.label = "exact", .y = rain(marginals_of_paths(paths, 3, 2))},
             {.label = "mean field", .y = rain(best)}},
            {"day 1: umbrella", "day 2: umbrella", "day 3: none"});
  kit::bars(lesson, "paths",
            {.title = "The probability of each weather over the three days",
             .note = "R: rain, D: dry; independent days cannot say that weather tends to stay",
             .x_label = "weather on the three days",
             .y_label = "probability"},
            {{.label = "exact", .y = exp(exact).to_vector()},
             {.label = "mean field", .y = exp(field).to_vector()}},
            {"RRR", "RRD", "RDR", "RDD", "DRR", "DRD", "DDR", "DDD"});
}

// Lesson 02 again: with q = pPCA's exact posterior the ELBO is the log-likelihood.
void revisit_ppca(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Numbers x = toy_points(kToyVariances, 500, rng);
  const auto [values, vectors] = symmetric_eigen(matmul_tn(x, x) / 500.0);
  const double noise = mean(slice(values, 0, 2, 5)).item();
  const Numbers l = slice(values, 0, 0, 2), u = slice(vectors, 0, 0, 2);  // (2), (2, 5)
  const Numbers w = u * sqrt(l - noise).reshape({2, 1});                  // (2, 5): x = z w + noise
  // z | x ~ N(w x / l, sigma^2 / l), each latent on its own: the columns of W are orthogonal.
  const nn::Normal<double> q{matmul_nt(x, w) / l, log(noise / l)};
  const nn::Normal<double> decoded{matmul(q.mean, w), std::log(noise)};
  const double around = sum(square(w) / l.reshape({2, 1})).item() / 2;  // tr(W S W^T) / 2 sigma^2
  const double reconstruction = mean(decoded.log_prob(x)).item() - around;
  const double rate = mean(kl(q, nn::Normal<double>::standard())).item();
  // The prior is the average posterior, so the KL is 1/2 sum_i ln(l_i / sigma^2).
  lesson.check("toy_kl", rate, "nats", kit::Expected{0.5 * std::log(8 / (noise * noise)), 1e-9});
  lesson.report("toy_reconstruction", reconstruction, "nats");
  lesson.check("toy_elbo", reconstruction - rate, "nats", kit::Expected{-7.3259186858, 6e-10});
}

void run(kit::Lesson& lesson) {
  take_elbo_apart(lesson);
  draw_elbo(lesson);
  climb(lesson);
  classify(lesson);
  follow_the_weather(lesson);
  take_days_apart(lesson);
  revisit_ppca(lesson);
}

}  // namespace
}  // namespace gradus::lesson11

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "11_elbo", .title = "ln p(x) = ELBO + KL"}, argc, argv,
                          gradus::lesson11::run);
}
