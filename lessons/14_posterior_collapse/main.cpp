// Lesson 14: posterior collapse. A dead latent is a prediction.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/14_posterior_collapse/figures.hpp"
#include "lessons/14_posterior_collapse/instruments.hpp"
#include "lessons/14_posterior_collapse/model.hpp"
#include "lessons/14_posterior_collapse/on_paper.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson14 {
namespace {

constexpr Index kToyLatents = 2;
constexpr int kToySteps = 3000;
constexpr double kToyRate = 0.03;
constexpr Index kLinearLatents = 50;
constexpr double kLinearRate = 0.005;
constexpr Index kHidden = 400, kBatch = 128;
constexpr int kEpochs = 5;
constexpr double kRate = 1e-3;
constexpr double kAlive =
    0.1;  // the KL, in nats, above which a latent is alive if nothing is predicted
const std::string kNats = "nats/image";

// Measurements draw the same random numbers in every run: --seed changes the models only.
constexpr std::uint64_t kSeedOfScores = 1;

// ---- On paper ----------------------------------------------------------------------------------

// The examples of the text: one pixel, with the noise 1.
void work_out_one_pixel(kit::Lesson& lesson) {
  const double l = 4;
  const double w2 = l - 1;
  lesson.check("one_pixel_v", std::sqrt(w2) / l, "", kit::Expected{std::sqrt(3.0) / 4, 1e-12});
  lesson.check("one_pixel_kl", predict({l}, 1, 1).total_kl(), "nats",
               kit::Expected{std::log(2.0), 1e-12});
  lesson.report("one_pixel_w", std::sqrt(w2), "");
  lesson.check("one_pixel_gain", best_objective(std::sqrt(w2), l, 1) - best_objective(0, l, 1),
               "nats", kit::Expected{0.5 * (3 - std::log(4.0)), 1e-12});
  // The least objective of any weight is what it is at 0, where the data vary less than the noise.
  double gain = -1;
  for (double w : {0.01, 0.1, 0.3, 1.0, 3.0})
    gain = std::max(gain, best_objective(w, 0.5, 1) - best_objective(0, 0.5, 1));
  lesson.check("quiet_pixel_gain_of_any_w", gain, "nats", kit::between(-1, 0));
  draw_hills(lesson);
}

// ---- The toy -----------------------------------------------------------------------------------

// The toy's covariance in a random basis, whose rows are its eigenvectors.
struct Toy {
  Tensor<double> basis;       // (5, 5)
  Tensor<double> covariance;  // (5, 5)

  explicit Toy(Rng& rng)
      : basis(random_basis(std::ssize(kToyVariances), rng)),
        covariance(matmul_tn(basis * Tensor<double>({5}, kToyVariances).reshape({-1, 1}), basis)) {}
};

// The maximum-likelihood noise for two latents, lesson 02's.
double toy_noise() { return toy_variance_beyond(kToyLatents) / 3; }

LinearVae<double> toy_start(double sigma2, bool learns_noise, Rng& rng) {
  return {0.3 * rng.normal<double>({5, kToyLatents}), 0.3 * rng.normal<double>({kToyLatents, 5}),
          sigma2, learns_noise};
}

void climb_toy(kit::Lesson& lesson, LinearVae<double>& model, const Toy& toy, double beta = 1) {
  climb<double>(
      model.parameters(), {.steps = kToySteps, .rate = kToyRate, .beta = beta},
      [&](double b) { return model.elbo(toy.covariance).total(b); },
      [&](int, double) { return !lesson.interrupted(); });
}

double worst(const std::vector<double>& values) {
  return *std::max_element(values.begin(), values.end());
}

// From four starts to lesson 02's optimum, with its noise and with a noise that is learned.
void reach_ppca(kit::Lesson& lesson, const Toy& toy, Rng& rng) {
  const Prediction predicted = predict(kToyVariances, kToyLatents, toy_noise());
  lesson.check("toy_predicted_kl", predicted.total_kl(), "nats", kit::Expected{1.5787172716, 1e-9});
  lesson.check("toy_predicted_elbo", predicted.elbo(), "nats",
               kit::Expected{toy_log_likelihood(kToyLatents), 1e-9});
  for (const bool learns : {false, true}) {
    const std::string name = learns ? "toy_learned_noise" : "toy";
    double gap = 0;
    double off = 0;
    double off_kl = 0;
    for (int start = 0; start < 4; ++start) {
      LinearVae<double> model = toy_start(learns ? 1 : toy_noise(), learns, rng);
      climb_toy(lesson, model, toy);
      if (lesson.interrupted()) return;
      const LinearElbo<double> elbo = model.elbo(toy.covariance);
      const std::vector<double> kl = sorted(elbo.kl.value());
      gap = std::max(gap, std::abs(elbo.total().item() - predicted.elbo()));
      off = std::max(off, worst(angles_to_axes(model.w.value(), toy.basis)));
      for (Index k = 0; k < kToyLatents; ++k)
        off_kl = std::max(off_kl, std::abs(kl[k] - predicted.kl[k]));
      if (start > 0) continue;
      lesson.check(name + "_elbo", elbo.total().item(), "nats",
                   kit::Expected{predicted.elbo(), 1e-6});
      lesson.check(name + "_reconstruction", elbo.reconstruction.item(), "nats",
                   kit::Expected{predicted.reconstruction, 1e-3});
      for (Index k = 0; k < kToyLatents; ++k)
        lesson.check(fmt::format("{}_kl_{}", name, k + 1), kl[k], "nats",
                     kit::Expected{predicted.kl[k], 1e-3});
      lesson.check(name + "_sigma2", std::exp(model.log_sigma2.value().item()), "",
                   kit::Expected{toy_noise(), 1e-3});
    }
    lesson.check(name + "_largest_gap", gap, "nats", kit::Expected{0, 1e-6});
    lesson.check(name + "_largest_gap_of_a_kl", off_kl, "nats", kit::Expected{0, 1e-3});
    lesson.check(name + "_largest_angle", off, "degrees", kit::Expected{0, 0.1});
  }
}

// beta takes the place of a louder noise: latents die at beta = l_i / sigma^2.
void raise_beta(kit::Lesson& lesson, const Toy& toy, Rng& rng) {
  const double sigma2 = toy_noise();
  lesson.report("toy_beta_at_which_1_dies", kToyVariances[0] / sigma2, "");
  lesson.report("toy_beta_at_which_2_dies", kToyVariances[1] / sigma2, "");
  for (int beta : {1, 2, 4, 8}) {
    const Prediction predicted = predict(kToyVariances, kToyLatents, sigma2, beta);
    LinearVae<double> model = toy_start(sigma2, false, rng);
    climb_toy(lesson, model, toy, beta);
    if (lesson.interrupted()) return;
    const std::vector<double> kl = sorted(model.elbo(toy.covariance).kl.value());
    const std::string name = fmt::format("toy_beta_{}_", beta);
    lesson.check(name + "alive", static_cast<double>(count_above(kl, threshold(predicted))), "",
                 kit::Expected{static_cast<double>(predicted.alive()), 0});
    double total = 0;
    for (double nats : kl) total += nats;
    lesson.check(name + "kl", total, "nats", kit::Expected{predicted.total_kl(), 1e-3});
  }
  // With a learned noise beta = 2 leaves one: sigma^2 (D - beta n) = the variance that is dropped.
  LinearVae<double> model = toy_start(1, true, rng);
  climb_toy(lesson, model, toy, 2);
  if (lesson.interrupted()) return;
  const std::vector<double> kl = sorted(model.elbo(toy.covariance).kl.value());
  lesson.check("toy_learned_noise_beta_2_alive", static_cast<double>(count_above(kl, 0.01)), "",
               kit::Expected{1, 0});
  lesson.check("toy_learned_noise_beta_2_sigma2", std::exp(model.log_sigma2.value().item()), "",
               kit::Expected{3.75 / (5 - 2), 1e-3});
  lesson.check("toy_learned_noise_beta_2_kl", kl.front(), "nats",
               kit::Expected{0.5 * std::log(4 / 2.5), 1e-3});
}

// Turned by 45 degrees the decoder has the same density, and a diagonal q loses.
void turn_toy(kit::Lesson& lesson) {
  const Tensor<double> covariance = identity<double>(5) * Tensor<double>({5}, kToyVariances);
  LinearVae<double> model(Tensor<double>({5, 2}), Tensor<double>({2, 5}), toy_noise());
  const auto elbo_at = [&](double degrees) {
    place(model, kToyVariances, {0, 1}, toy_noise());
    turn(model, kToyVariances, toy_noise(), degrees * std::numbers::pi / 180);
    return model.elbo(covariance).total().item();
  };
  lesson.check("toy_cost_of_45_degrees", elbo_at(0) - elbo_at(45), "nats",
               kit::Expected{0.5 * std::log(9.0 / 8), 1e-9});
  lesson.check("toy_cost_of_10_degrees", elbo_at(0) - elbo_at(10), "nats",
               kit::Expected{cost_of_turning(4, 2, std::numbers::pi / 18), 1e-9});
}

// From one start, with a diagonal q and with a full one.
void compare_axes(kit::Lesson& lesson, const Toy& toy, Rng& rng) {
  std::vector<Trace> traces;
  double least = 90;
  double most = 0;
  double gap = 0;
  const double best = toy_log_likelihood(kToyLatents);
  for (int start = 0; start < 4; ++start) {
    LinearVae<double> diagonal = toy_start(toy_noise(), false, rng);
    FullLinearVae<double> full(diagonal.w.value(), diagonal.v.value(), toy_noise());
    Trace of_diagonal{.label = "diagonal q", .hue = 1};
    Trace of_full{.label = start == 3 ? "full q, four starts" : "", .hue = 2};
    const auto watch = [&](Trace& trace, const Parameter<double>& w, int step) {
      if (step % 10 == 0 && step <= 1000) {
        trace.step.push_back(step);
        trace.value.push_back(worst(angles_to_axes(w.value(), toy.basis)));
      }
      return !lesson.interrupted();
    };
    const Climb plan{.steps = kToySteps, .rate = kToyRate};
    climb<double>(
        full.parameters(), plan, [&](double) { return full.elbo(toy.covariance); },
        [&](int step, double) { return watch(of_full, full.w, step); });
    if (start == 0) {
      climb<double>(
          diagonal.parameters(), plan,
          [&](double) { return diagonal.elbo(toy.covariance).total(); },
          [&](int step, double) { return watch(of_diagonal, diagonal.w, step); });
      traces = {of_diagonal};
    }
    if (lesson.interrupted()) return;
    traces.push_back(of_full);
    const double angle = worst(angles_to_axes(full.w.value(), toy.basis));
    lesson.report(fmt::format("toy_full_q_angle_{}", start + 1), angle, "degrees");
    least = std::min(least, angle);
    most = std::max(most, angle);
    gap = std::max(gap, std::abs(full.elbo(toy.covariance).item() - best));
  }
  lesson.check("toy_full_q_largest_gap", gap, "nats", kit::Expected{0, 1e-6});
  lesson.report("toy_full_q_least_angle", least, "degrees");
  lesson.report("toy_full_q_largest_angle", most, "degrees");
  draw_axes(lesson, traces);
}

std::string name_of(const std::vector<Index>& kept) {
  std::string name;
  for (Index i : kept) name += fmt::format("_{}", i + 1);
  return name.empty() ? "_none" : name;
}

// The eigenvalues with those that are kept in front.
std::vector<double> kept_first(const std::vector<double>& l, const std::vector<Index>& kept) {
  std::vector<double> result;
  for (Index i : kept) result.push_back(l[i]);
  for (Index i = 0; i < std::ssize(l); ++i)
    if (std::find(kept.begin(), kept.end(), i) == kept.end()) result.push_back(l[i]);
  return result;
}

// One place where the slope is 0: its level, and in how many directions the ELBO rises from there.
// Returns the largest slope.
double visit_saddle(kit::Lesson& lesson, const std::string& name, LinearVae<double>& model,
                    const std::vector<Index>& kept, double sigma2) {
  const Tensor<double> covariance = identity<double>(5) * Tensor<double>({5}, kToyVariances);
  place(model, kToyVariances, kept, sigma2);
  const auto c =
      curvature<double>([&] { return -model.elbo(covariance).total(); }, model.parameters());
  Index negative = 0;
  Index flat = 0;
  for (double value : symmetric_eigen(c.hessian).values) {
    if (value < -1e-9) ++negative;
    if (std::abs(value) < 1e-9) ++flat;
  }
  const std::vector<double> l = kept_first(kToyVariances, kept);
  lesson.check(name + "_elbo", model.elbo(covariance).total().item(), "nats",
               kit::Expected{predict(l, std::ssize(kept), sigma2).elbo(), 1e-9});
  const Index up = directions_up(kToyVariances, kept, kToyLatents, sigma2);
  lesson.check(name + "_ways_up", static_cast<double>(negative), "",
               kit::Expected{static_cast<double>(up), 0});
  if (up == 0)
    lesson.check(name + "_flat_directions", static_cast<double>(flat), "", kit::Expected{0, 0});
  return max(abs(c.gradient)).item();
}

// All of them, with lesson 02's noise and with the noise that is likeliest at each.
void visit_saddles(kit::Lesson& lesson) {
  const std::vector<std::vector<Index>> choices = {{0, 1}, {0, 2}, {0}, {1, 2}, {1}, {2}, {}};
  double slope = 0;
  for (const bool learns : {false, true}) {
    LinearVae<double> model(Tensor<double>({5, 2}), Tensor<double>({2, 5}), toy_noise(), learns);
    for (const std::vector<Index>& kept : choices) {
      const double sigma2 = learns ? noise_beside(kToyVariances, kept) : toy_noise();
      const auto is_quiet = [&](Index i) { return kToyVariances[i] <= sigma2; };
      if (std::any_of(kept.begin(), kept.end(), is_quiet)) continue;
      const std::string name = (learns ? "saddle_learned" : "saddle") + name_of(kept);
      slope = std::max(slope, visit_saddle(lesson, name, model, kept, sigma2));
    }
  }
  lesson.check("saddles_largest_slope", slope, "", kit::Expected{0, 1e-9});
}

void run_toy(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Toy toy(rng);
  reach_ppca(lesson, toy, rng);
  raise_beta(lesson, toy, rng);
  turn_toy(lesson);
  compare_axes(lesson, toy, rng);
  visit_saddles(lesson);
}

// ---- Linear, images ----------------------------------------------------------------------------

// What the linear models see of the images.
struct Covariance {
  lesson01::Pca<double> pca;
  Tensor<double> matrix;   // (D, D)
  std::vector<double> l;   // its eigenvalues
  Tensor<float> in_float;  // (D, D)

  explicit Covariance(const kit::ImageData& data)
      : pca(lesson01::fit_pca(cast<double>(data.train_images))),
        matrix(matmul_tn(pca.components * pca.variances.reshape({-1, 1}), pca.components)),
        l(pca.variances.begin(), pca.variances.end()),
        in_float(cast<float>(matrix)) {}
};

// Weights that begin as those of PyTorch's nn.Linear: uniform within 1 / sqrt(inputs).
LinearVae<float> linear_start(Index pixels, double sigma2, Rng& rng) {
  const auto uniform = [&rng](const Shape& shape, Index inputs) {
    const auto bound = static_cast<float>(1 / std::sqrt(static_cast<double>(inputs)));
    return (rng.uniform<float>(shape) * 2.0f - 1.0f) * bound;
  };
  const Tensor<float> w = uniform({pixels, kLinearLatents}, kLinearLatents);
  const Tensor<float> v = uniform({kLinearLatents, pixels}, pixels);
  return {w, v, static_cast<float>(sigma2)};
}

int linear_steps(const kit::Options& options) { return options.quick ? 120 : 2000; }

// Climbs, and says how many live after every tenth step or so.
Trace climb_linear(kit::Lesson& lesson, LinearVae<float>& model, const Covariance& s,
                   double threshold, double warm_up) {
  const int steps = linear_steps(lesson.options());
  Trace trace{.label = warm_up > 0 ? "annealed" : "plain"};
  climb<float>(
      model.parameters(), {.steps = steps, .rate = kLinearRate, .warm_up = warm_up},
      [&](float beta) { return model.elbo(s.in_float).total(beta); },
      [&](int step, double) {
        if (step % (steps / 60) == 0) {
          const Tensor<double> vs = cast<double>(matmul(model.v.value(), s.in_float));
          const Tensor<double> means = sum(vs * cast<double>(model.v.value()), {1});
          const Tensor<double> log_var = cast<double>(model.log_var.value());
          const Tensor<double> kl = 0.5 * (means + expm1(log_var) - log_var);
          trace.step.push_back(step);
          trace.value.push_back(static_cast<double>(count_above(sorted(kl), threshold)));
        }
        return !lesson.interrupted();
      });
  return trace;
}

std::string name_of(double sigma2) {
  std::string name = fmt::format("{}", sigma2);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

// One linear VAE with this noise, beside what is predicted of it.
struct LinearRun {
  Trace trace;
  double alive;
};

LinearRun climb_and_report(kit::Lesson& lesson, const std::string& name, double sigma2,
                           double warm_up, const Covariance& s, bool known) {
  Rng rng(lesson.options().seed);
  const Prediction predicted = predict(s.l, kLinearLatents, sigma2);
  LinearVae<float> model = linear_start(s.matrix.extent(0), sigma2, rng);
  const Trace trace = climb_linear(lesson, model, s, threshold(predicted), warm_up);
  const LinearVae<double> exact(model);
  const LinearElbo<double> elbo = exact.elbo(s.matrix);
  const std::vector<double> kl = sorted(elbo.kl.value());
  const double alive = static_cast<double>(count_above(kl, threshold(predicted)));
  if (lesson.interrupted()) return {trace, alive};

  lesson.check(name + "_alive", alive, "",
               kit::when(known, {static_cast<double>(predicted.alive()), 0}));
  lesson.report(name + "_predicted_elbo", predicted.elbo(), kNats);
  lesson.report(name + "_predicted_kl", predicted.total_kl(), kNats);
  lesson.report(name + "_kl", sum(elbo.kl).item(), kNats);
  const double gap = predicted.elbo() - elbo.total().item();
  // No model is above the optimum.
  lesson.check(name + "_gap", gap, kNats, kit::when(known, kit::between(-1e-6, 0.5)));
  if (sigma2 == 3)
    for (Index k = 0; k < 5; ++k) {
      lesson.report(fmt::format("{}_kl_{}", name, k + 1), kl[k], kNats);
      if (k < predicted.alive())
        lesson.report(fmt::format("{}_predicted_kl_{}", name, k + 1), predicted.kl[k], kNats);
    }
  if (sigma2 == 1) {
    draw_kl_per_latent(lesson, predicted.kl, kl, sigma2);
    const Index widest = argmax(elbo.kl.value(), 0)[0];
    const double angle = angles_to_axes(exact.w.value(), s.pca.components)[widest];
    lesson.report(name + "_angle_of_first", angle, "degrees");
  }
  return {trace, alive};
}

// At every noise the spectrum says how many latents live. At sigma^2 = 2 also with beta from 0 to 1
// in the first half, from the same start.
Counts count_linear(kit::Lesson& lesson, const Covariance& s, const kit::ImageData& data) {
  const bool known = data.is_full_fashion_mnist() && !lesson.options().quick;
  Counts counts;
  for (double sigma2 : {20.0, 10.0, 7.0, 3.0, 2.0, 1.0, 0.5}) {
    const std::string name = fmt::format("linear_{}", name_of(sigma2));
    const LinearRun plain = climb_and_report(lesson, name, sigma2, 0, s, known);
    if (lesson.interrupted()) break;
    counts.sigma2.push_back(sigma2);
    counts.alive.push_back(plain.alive);
    if (sigma2 != 2) continue;
    const LinearRun annealed = climb_and_report(lesson, "linear_annealed", sigma2, 0.5, s, known);
    if (lesson.interrupted()) break;
    draw_annealing(lesson, {plain.trace, annealed.trace}, plain.alive);
    for (const auto& [what, place] : {std::pair{"a_tenth", 10}, {"a_quarter", 4}, {"half", 2}}) {
      const std::size_t at = plain.trace.value.size() / place;
      lesson.report(fmt::format("linear_2_alive_at_{}", what), plain.trace.value[at], "");
      lesson.report(fmt::format("linear_annealed_alive_at_{}", what), annealed.trace.value[at], "");
    }
    lesson.report("linear_2_most_alive", worst(plain.trace.value), "");
    lesson.report("linear_annealed_most_alive", worst(annealed.trace.value), "");
  }
  return counts;
}

// ---- Networks ----------------------------------------------------------------------------------

struct Experiment {
  Experiment(const std::string& name, Index latents, std::optional<double> variance,
             double threshold, double warm_up, const kit::ImageData& data, std::uint64_t seed)
      : name(name),
        threshold(threshold),
        warm_up(warm_up),
        rng(seed),
        net(data.height * data.width, kHidden, latents, variance, rng) {}

  std::string name;
  double threshold;  // the KL, in nats, above which a latent is alive
  double warm_up;    // the share of the training during which beta grows from 0 to 1
  Rng rng;
  BentVae<float> net;
};

BentScores train(kit::Lesson& lesson, Experiment& experiment, int epochs,
                 const kit::ImageData& data) {
  BentVae<float>& net = experiment.net;
  Rng& rng = experiment.rng;
  nn::Adam<float> adam(net.parameters(), {.learning_rate = kRate});
  const bool scheduled = experiment.warm_up > 0;
  kit::Training training(lesson, experiment.name,
                         {.epochs = epochs, .batch = kBatch, .scheduled = scheduled},
                         net.parameters(), adam, rng);
  const auto measure = [&]() -> std::vector<kit::Score> {
    const BentScores now = evaluate(net, data.test_images, Rng(kSeedOfScores));
    return {{"-ELBO", now.negative_elbo},
            {"KL", now.total_kl()},
            {"alive", static_cast<double>(count_above(now.kl, experiment.threshold))}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(data.train_images)) {
      const auto step = static_cast<double>(training.step());
      const double rising = experiment.warm_up * static_cast<double>(training.steps());
      const auto beta = static_cast<float>(beta_at(step, rising));
      Tape<float> tape;
      const Tensor<float> noise = rng.normal<float>({x.extent(0), net.latents()});
      const auto [log_prob, kl] = net.elbo(x, noise);  // (N), (N, K)
      tape.backward(-mean(log_prob - beta * sum(kl, {1})));
      adam.step();
    }
    training.record(measure);
  }
  return evaluate(net, data.test_images, Rng(kSeedOfScores));
}

void report_scores(kit::Lesson& lesson, const Experiment& experiment, const BentScores& scores) {
  const std::string& name = experiment.name;
  lesson.report(name + "_negative_elbo", scores.negative_elbo, kNats);
  lesson.report(name + "_kl", scores.total_kl(), kNats);
  lesson.report(name + "_alive", static_cast<double>(count_above(scores.kl, experiment.threshold)),
                "");
  lesson.report(name + "_alive_above_0_01", static_cast<double>(count_above(scores.kl, 0.01)), "");
  for (Index k : {4, 5}) lesson.report(fmt::format("{}_kl_{}", name, k), scores.kl[k - 1], kNats);
}

// Lesson 13's layers with normal pixels, for several noises, beside pPCA with the same noise.
Counts count_bent(kit::Lesson& lesson, const Covariance& s, const kit::ImageData& data) {
  constexpr Index kLatents = 20;
  const bool known = data.is_full_fashion_mnist() && lesson.options().epochs >= kEpochs;
  const Tensor<double> test = cast<double>(data.test_images);
  Counts counts;
  for (double sigma2 : {25.0, 10.0, 3.0, 1.0, 0.3}) {
    if (lesson.interrupted()) break;
    const std::string name = fmt::format("network_{}", name_of(sigma2));
    const Prediction linear = predict(s.l, kLatents, sigma2);
    Experiment experiment(name, kLatents, sigma2, threshold(linear), 0, data,
                          lesson.options().seed);
    const BentScores scores = train(lesson, experiment, lesson.options().epochs, data);
    report_scores(lesson, experiment, scores);
    const auto predicted = static_cast<double>(linear.alive());
    const auto alive = static_cast<double>(count_above(scores.kl, experiment.threshold));
    lesson.report(name + "_linear_alive", predicted, "");
    lesson.check(name + "_fewer_than_linear", predicted - alive, "",
                 kit::when(known, kit::between(-1, 20)));
    const auto ppca =
        lesson02::ppca_with_noise(s.pca, std::min(kLatents, s.pca.variances.size()), sigma2);
    const double of_ppca = -lesson02::mean_log_likelihood(ppca, test);
    lesson.report(name + "_ppca", of_ppca, kNats);
    lesson.report(name + "_gain", of_ppca - scores.negative_elbo, kNats);
    counts.sigma2.push_back(sigma2);
    counts.alive.push_back(alive);
  }
  return counts;
}

// Bernoulli pixels as in lesson 13: does the number that live depend on how many there are?
void compare_widths(kit::Lesson& lesson, const Covariance& s, const kit::ImageData& data) {
  lesson.check("bernoulli_linearised_alive",
               static_cast<double>(linearised_count(s.matrix, s.pca.mean)), "",
               kit::when(data.is_full_fashion_mnist(), {43, 0}));

  struct Case {
    std::string name, label;
    Index latents;
    double warm_up;
  };

  const std::vector<Case> cases = {{"bernoulli_20", "K = 20", 20, 0},
                                   {"bernoulli_50", "K = 50", 50, 0},
                                   {"bernoulli_50_annealed", "K = 50, annealed", 50, 0.5}};
  std::vector<Spectrum> spectra;
  for (const auto& [name, label, latents, warm_up] : cases) {
    if (lesson.interrupted()) return;
    Experiment experiment(name, latents, std::nullopt, kAlive, warm_up, data,
                          lesson.options().seed);
    const BentScores scores = train(lesson, experiment, lesson.options().epochs, data);
    report_scores(lesson, experiment, scores);
    spectra.push_back({label, scores.kl});
    nn::save_file(experiment.net.parameters(), lesson.file(name + ".safetensors"));
  }
  draw_networks(lesson, spectra, kAlive);
}

void run_images(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Covariance s(data);
  for (Index i = 0; i < std::min<Index>(9, std::ssize(s.l)); ++i)
    lesson.report(fmt::format("eigenvalue_{}", i + 1), s.l[i], "");
  const double pixels = static_cast<double>(data.height * data.width);
  lesson.report("largest_weight_of_a_mean_kl", 2 * s.l[0] / pixels, "");
  const Counts linear = count_linear(lesson, s, data);
  const Counts bent = count_bent(lesson, s, data);
  draw_staircase(lesson, s.l, 20, linear, bent);
  compare_widths(lesson, s, data);
}

void run(kit::Lesson& lesson) {
  work_out_one_pixel(lesson);
  run_toy(lesson);
  run_images(lesson);
}

}  // namespace
}  // namespace gradus::lesson14

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "14_posterior_collapse",
                           .title = "Posterior collapse",
                           .epochs = gradus::lesson14::kEpochs,
                           .quick_epochs = 2},
                          argc, argv, gradus::lesson14::run);
}
