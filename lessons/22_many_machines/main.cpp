// Lesson 22: lesson 13's VAE, trained by many processes together.
//
//     B images in a minibatch, P processes, n_r images in the share of rank r
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/22_many_machines/figures.hpp"
#include "lessons/22_many_machines/instruments.hpp"
#include "lessons/22_many_machines/model.hpp"
#include "lessons/22_many_machines/processes.hpp"
#include "lessons/22_many_machines/scaling.hpp"
#include "lessons/22_many_machines/team.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/io/file.hpp"
#include "tensor/parallel.hpp"
#include "tensor/random.hpp"

namespace gradus::lesson22 {
namespace {

constexpr Index kHidden = 400, kLatents = 20, kBatch = 128;
constexpr int kEpochs = 4;
constexpr double kRate = 1e-3;
const std::string kNats = "nats/image", kNegativeElbo = "-ELBO";
constexpr std::uint64_t kSeedOfScores = 1;  // as in lesson 13

// One model and its training, in every process.
struct Experiment {
  Experiment(const std::string& name, Index batch, double rate, const kit::ImageData& data,
             std::uint64_t seed)
      : name(name),
        batch(batch),
        rate(rate),
        rng(seed),
        vae(data.height * data.width, kHidden, kLatents, rng) {}

  std::string name;
  Index batch;
  double rate;
  Rng rng;
  Vae<float> vae;
  kit::History history = {};  // in nats
};

// ---- On paper ----------------------------------------------------------------------------------

// The loss (w x - y)^2 / 2 of three examples at w = 1, in shares of two and of one.
void average_three_examples(kit::Lesson& lesson) {
  const std::vector<double> x = {1, 2, 4};
  const std::vector<double> y = {0, 2, 5};
  const auto gradient = [&](std::size_t i) { return (x[i] - y[i]) * x[i]; };
  const double first = (gradient(0) + gradient(1)) / 2;
  const double second = gradient(2);
  const auto check = [&](const std::string& name, double value, double expected) {
    lesson.check("three_examples_" + name, value, "", kit::Expected{expected, 1e-12});
  };
  check("whole", (gradient(0) + gradient(1) + gradient(2)) / 3, -1);
  check("first_share", first, 0.5);
  check("second_share", second, -4);
  check("weighted", 2.0 / 3 * first + 1.0 / 3 * second, -1);
  check("not_weighted", (first + second) / 2, -1.75);
}

// A computer with round numbers, and three networks as their makers and users state them.
const Machine kPaperMachine{1e-3, 40e-6};

std::vector<Network> stated_networks() {
  return {{"1 Gbit/s", 50e-6, 8e-9}, {"10 Gbit/s", 30e-6, 0.8e-9}, {"200 Gbit/s", 2e-6, 0.04e-9}};
}

void predict_on_paper(kit::Lesson& lesson, Index bytes, double examples) {
  const double n = static_cast<double>(bytes);
  const double batch = kBatch;
  lesson.report("paper_images_of_a_step", 1e3 * batch * kPaperMachine.per_example, "ms");
  lesson.report("paper_step_1_machine",
                1e3 * (kPaperMachine.fixed + batch * kPaperMachine.per_example), "ms");
  const std::vector<std::string> names = {"1_gbit", "10_gbit", "200_gbit"};
  const std::vector<Network> networks = stated_networks();
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const Network& network = networks[i];
    const auto report = [&](const std::string& what, double value, const std::string& unit) {
      lesson.report(fmt::format("paper_{}_{}", names[i], what), value, unit);
    };
    report("bytes_of_many_machines", 1e3 * 2 * n * network.per_byte, "ms");  // 2 n beta
    report("bytes_of_a_message_of_10", 1e3 * n / 10 * network.per_byte, "ms");
    report("ring_2", 1e3 * ring_seconds(network, n, 2), "ms");
    report("ring_10", 1e3 * ring_seconds(network, n, 10), "ms");
    report("ring_1000", 1e3 * ring_seconds(network, n, 1000), "ms");
    report("step_10", 1e3 * step_seconds(kPaperMachine, network, n, batch, 10), "ms");
    const double best = best_machines(kPaperMachine, network, n, batch);
    report("best_machines", best, "");
    report("step_best", 1e3 * step_seconds(kPaperMachine, network, n, batch, best), "ms");
    const double one = kPaperMachine.fixed + batch * kPaperMachine.per_example;
    for (const int machines : {10, 1000})
      report(fmt::format("weak_efficiency_{}", machines),
             100 * one / step_seconds(kPaperMachine, network, n, batch * machines, machines), "%");
    report("weak_epoch_1000",
           1e3 * epoch_seconds(kPaperMachine, network, n, examples, 1000 * batch, 1000), "ms");
  }
}

// ---- The same steps ----------------------------------------------------------------------------

enum class Weights { kByShare, kEqual };

// How two copies are trained side by side on the same minibatches: one on wholes, and one on
// shares, each of which is computed here, one after another.
struct Comparison {
  std::string label;
  int shares;
  double epsilon = nn::AdamOptions().epsilon;
  Weights weights = Weights::kByShare;
};

// How far apart they then are.
struct Apart {
  Distances distances;
  double first_gradients = 0;                            // relative distance
  double farthest = 0;                                   // of one parameter after the first step
  double gradient_of_whole = 0, gradient_of_shares = 0;  // there
  double negative_elbo = 0;  // of shares, less that of wholes, at the end
};

// The VAE and its optimiser, of which the two copies are equal at first.
struct Copy {
  Copy(const kit::ImageData& data, double epsilon, std::uint64_t seed)
      : rng(seed),
        vae(data.height * data.width, kHidden, kLatents, rng),
        adam(vae.parameters(), {.learning_rate = kRate, .epsilon = epsilon}) {}

  Rng rng;
  Vae<float> vae;
  nn::Adam<float> adam;
};

void backward(const Vae<float>& vae, const Tensor<float>& x, const Tensor<float>& noise) {
  Tape<float> tape;
  tape.backward(-mean(vae.elbo(x, noise).total()));
}

void backward_in_shares(const Comparison& how, const Vae<float>& vae, const Tensor<float>& x,
                        const Tensor<float>& noise, MeanGradient<float>& gradient) {
  const bool equal = how.weights == Weights::kEqual;
  const Index whole = equal ? how.shares : kBatch;
  for (int rank = 0; rank < how.shares; ++rank) {
    const Share share = share_of(kBatch, rank, how.shares);
    backward(vae, rows(share, x), rows(share, noise));
    gradient.add(equal ? 1 : share.count, whole);  // not weighted: each counts as one of `shares`
  }
  gradient.finish(Team(), whole);
}

// After the first step: the gradients, and the parameter that they moved farthest apart.
void look_at_first_step(const std::vector<Tensor<float>>& gradients_of_whole,
                        const std::vector<Tensor<float>>& gradients_of_shares, const Farthest& most,
                        Apart& apart) {
  apart.first_gradients = relative_distance(gradients_of_whole, gradients_of_shares);
  apart.farthest = most.distance;
  apart.gradient_of_whole = gradients_of_whole[most.tensor].data()[most.place];
  apart.gradient_of_shares = gradients_of_shares[most.tensor].data()[most.place];
}

Apart compare(kit::Lesson& lesson, const kit::ImageData& data, const Comparison& how, int steps) {
  Copy whole(data, how.epsilon, lesson.options().seed);
  Copy shared(data, how.epsilon, lesson.options().seed);
  MeanGradient<float> gradient(shared.vae.parameters());
  Apart apart{{how.label, {}}};
  for (int step = 1; step <= steps && !lesson.interrupted(); ++step) {
    const std::vector<Index> some = whole.rng.integers(kBatch, data.train_images.extent(0));
    const Tensor<float> x = gather_rows(data.train_images, some);
    const Tensor<float> noise = whole.rng.normal<float>({kBatch, kLatents});

    backward(whole.vae, x, noise);
    backward_in_shares(how, shared.vae, x, noise, gradient);
    const auto of_whole = gradients_of(whole.vae.parameters());
    const auto of_shares = gradients_of(shared.vae.parameters());
    whole.adam.step();
    shared.adam.step();

    const auto a = values_of(whole.vae.parameters());
    const auto b = values_of(shared.vae.parameters());
    apart.distances.distance.push_back(relative_distance(a, b));
    if (step == 1) look_at_first_step(of_whole, of_shares, farthest(a, b), apart);
  }

  const Tensor<float> test = first(1000, data.test_images);
  apart.negative_elbo = negative_elbo(Team(), shared.vae, test, Rng(kSeedOfScores)) -
                        negative_elbo(Team(), whole.vae, test, Rng(kSeedOfScores));
  return apart;
}

// Rank 0 alone. What rounding does to a number differs between processors: the checks say how far
// it may go.
void show_rounding(kit::Lesson& lesson, const kit::ImageData& data) {
  const int steps = lesson.options().quick ? 20 : 100;
  const std::vector<std::pair<std::string, Comparison>> all =
      {{"2_shares", {"P = 2", 2}},
       {"3_shares", {"P = 3", 3}},
       {"4_shares", {"P = 4", 4}},
       {"16_shares", {"P = 16", 16}},
       {"3_shares_large_epsilon", {"P = 3, ε = 1e-4", 3, 1e-4}},
       {"not_weighted", {"P = 3, not weighted", 3, 1e-8, Weights::kEqual}}};
  std::vector<Distances> distances;
  for (const auto& [name, how] : all) {
    const Apart apart = compare(lesson, data, how, steps);
    if (lesson.interrupted()) return;
    distances.push_back(apart.distances);
    const bool exact = how.weights == Weights::kByShare;
    const bool large_epsilon = how.epsilon > 1e-6;
    const auto check = [&, &name = name](const std::string& what, double value, double most) {
      lesson.check(fmt::format("{}_{}", name, what), value, "",
                   exact ? std::optional(kit::between(0, most)) : std::nullopt);
    };
    check("first_gradients", apart.first_gradients, 1e-6);
    check("distance_step_1", apart.distances.distance.front(), 1e-4);
    check("distance_end", apart.distances.distance.back(), large_epsilon ? 1e-5 : 0.1);
    check("farthest_parameter", apart.farthest, 2 * kRate);
    lesson.check(fmt::format("{}_elbo_apart", name), std::abs(apart.negative_elbo), kNats,
                 kit::between(0, large_epsilon ? 0.1 : 1));
    if (name != "3_shares") continue;
    lesson.check("nearly_zero_gradient_of_whole", apart.gradient_of_whole, "",
                 kit::between(-1e-6, 1e-6));
    lesson.check("nearly_zero_gradient_of_shares", apart.gradient_of_shares, "",
                 kit::between(-1e-6, 1e-6));
  }
  draw_rounding(lesson, distances);
}

// ---- Training ----------------------------------------------------------------------------------

std::filesystem::path checkpoint_of(kit::Lesson& lesson, const std::string& name) {
  return lesson.directory() / ("checkpoint_" + name + ".safetensors");
}

// With --resume, every process goes on from the checkpoint of rank 0.
void share_checkpoint(kit::Lesson& lesson, const Team& team, const std::string& name) {
  if (team.size() == 1 || !lesson.options().resume) return;
  const std::filesystem::path path = checkpoint_of(lesson, name);
  const bool here = team.rank() == 0 && std::filesystem::exists(path);
  const std::string bytes = team.broadcast(here ? io::read_file(path) : "");
  if (team.rank() != 0 && !bytes.empty()) io::write_file(path, bytes);
}

// Trains a model as lesson 13 does, but each process on its share of each minibatch. All draw the
// same minibatches and the same noise: the state of their random numbers is one.
void train(kit::Lesson& lesson, const Team& team, Interrupts& interrupts, Experiment& experiment,
           const kit::ImageData& data) {
  const Tensor<float>& test = data.test_images;
  Vae<float>& vae = experiment.vae;
  Rng& rng = experiment.rng;
  nn::Adam<float> adam(vae.parameters(), {.learning_rate = experiment.rate});
  MeanGradient<float> gradient(vae.parameters());

  share_checkpoint(lesson, team, experiment.name);
  kit::Training training(lesson, experiment.name,
                         {.epochs = lesson.options().epochs, .batch = experiment.batch},
                         vae.parameters(), adam, rng);

  const auto record = [&] {
    training.record([&]() -> std::vector<kit::Score> {
      return {{kNegativeElbo, negative_elbo(team, vae, test, Rng(kSeedOfScores))}};
    });
    std::error_code ignored;  // one checkpoint is enough
    if (team.rank() != 0) std::filesystem::remove(checkpoint_of(lesson, experiment.name), ignored);
  };

  record();
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(data.train_images)) {
      const Index batch = x.extent(0);
      const Tensor<float> noise = rng.normal<float>({batch, kLatents});
      const Share mine = share_of(batch, team.rank(), team.size());
      if (mine.count > 0) {
        Tape<float> tape;
        tape.backward(-mean(vae.elbo(rows(mine, x), rows(mine, noise)).total()));
      }
      const bool stop = gradient.average(team, mine.count, batch, interrupts.asked());
      adam.step();
      require_same_parameters(team, vae.parameters(), training.step() + 1);
      if (stop) interrupts.stop();
    }
    record();
  }
  experiment.history = training.history();
}

// What lesson 13 reached with the same options is the same to rounding, which grows: its seeds
// differ by 0.1.
void check_training(kit::Lesson& lesson, const std::vector<double>& losses,
                    const kit::ImageData& data) {
  if (losses.size() > 1)
    lesson.check("test_negative_elbo_epoch_1", losses[1], kNats,
                 kit::when(data.is_full_fashion_mnist(), {263.36, 1}));
  lesson.report("test_negative_elbo", losses.back(), kNats);
}

// ---- A batch that grows with the machines ------------------------------------------------------

// As many epochs, but minibatches of more images, at several learning rates.
void grow_batches(kit::Lesson& lesson, const Team& team, Interrupts& interrupts,
                  const Experiment& first, const kit::ImageData& data) {
  std::vector<Curve> curves;
  for (const Index batch : {kBatch, 8 * kBatch, 64 * kBatch}) {
    Curve curve{static_cast<double>(batch), {}, {}};
    std::vector<double> factors = {1, std::sqrt(8.0), 8};
    if (batch == 64 * kBatch) factors.push_back(64);
    const auto add = [&](const Experiment& experiment) {
      const double loss = experiment.history.at(kNegativeElbo).back();
      curve.rate.push_back(experiment.rate);
      curve.negative_elbo.push_back(loss);
      if (std::isfinite(loss))  // one that flew apart has no number
        lesson.report(fmt::format("test_negative_elbo_batch_{}_rate_{:.0f}", batch,
                                  experiment.rate / kRate),
                      loss, kNats);
    };
    for (const double factor : factors) {
      if (batch == kBatch && factor == 1) {
        add(first);
        continue;
      }
      Experiment experiment(fmt::format("batch_{}_rate_{:.0f}", batch, factor), batch,
                            factor * kRate, data, lesson.options().seed);
      train(lesson, team, interrupts, experiment, data);
      if (lesson.interrupted()) return;
      add(experiment);
    }
    curves.push_back(curve);
  }
  if (team.rank() == 0) draw_batches(lesson, curves, lesson.options().epochs);
}

// ---- Time --------------------------------------------------------------------------------------

// The times of all-reduces of many sizes, and the line through them.
Network measure_network(kit::Lesson& lesson, const Team& team) {
  const int rounds = lesson.options().quick ? 5 : 101;
  std::vector<double> bytes;
  std::vector<double> seconds;
  for (Index n = 1024; n <= Index{16} << 20; n *= 4) {
    bytes.push_back(static_cast<double>(n));
    seconds.push_back(all_reduce_seconds(team, n, rounds));
  }
  const Line line = fit_line(bytes, seconds);
  if (team.rank() == 0) {
    for (std::size_t i = 0; i < bytes.size(); ++i)
      lesson.report(fmt::format("all_reduce_of_{:.0f}_bytes", bytes[i]), seconds[i], "s");
    lesson.report("all_reduce_latency", line.at_zero, "s");
    lesson.report("all_reduce_of_a_gigabyte", 1e9 * line.slope, "s");
    draw_all_reduce(lesson, bytes, seconds, line, team.size());
  }
  return network_of("here", line, team.size());
}

// What a step costs a process that sends nothing, while the others do the same.
Machine measure_machine(kit::Lesson& lesson, const Team& team, const Tensor<float>& images) {
  const int rounds = lesson.options().quick ? 5 : 101;
  std::vector<double> examples;
  std::vector<double> seconds;
  for (const Index n : {8, 32, 64, 128}) {
    team.wait();
    examples.push_back(static_cast<double>(n));
    seconds.push_back(measured_step(Team(), first(n, images), kHidden, kLatents, rounds).whole);
  }
  const Line line = fit_line(examples, seconds);
  if (team.rank() == 0) {
    lesson.report("step_fixed", line.at_zero, "s");
    lesson.report("step_per_image", line.slope, "s");
  }
  return {std::max(line.at_zero, 0.0), line.slope};  // noise can bring it below 0
}

// 1, 2, 4, ... processes, and all.
std::vector<int> team_sizes(int all) {
  std::vector<int> sizes;
  for (int n = 1; n < all; n *= 2) sizes.push_back(n);
  sizes.push_back(all);
  return sizes;
}

// Epochs by the first process, by the first two, ..., by all, and what `scaling.machine` and the
// network `here` make of them. `grows`: the minibatch grows with the team.
Points measure_epochs(kit::Lesson& lesson, const Team& team, const Tensor<float>& images,
                      const Scaling& scaling, const Network& here, bool grows) {
  const int rounds = lesson.options().quick ? 5 : 201;
  Points points;
  for (const int n : team_sizes(team.size())) {
    const Team part = team.first(n);
    const Tensor<float> x = first(grows ? n * kBatch : kBatch, images);
    StepTime step{};
    team.wait();
    if (team.rank() < n) step = measured_step(part, x, kHidden, kLatents, rounds);
    team.wait();

    const double batch = static_cast<double>(x.extent(0));
    const double steps = scaling.examples / batch;
    points.machines.push_back(n);
    points.seconds.push_back(steps * step.whole);
    points.predicted.push_back(
        epoch_seconds(scaling.machine, here, scaling.bytes, scaling.examples, batch, n));
    if (team.rank() != 0) continue;
    const std::string name = fmt::format("{}_of_{}", grows ? "weak" : "strong", n);
    lesson.report(name + "_epoch", points.seconds.back(), "s");
    lesson.report(name + "_epoch_predicted", points.predicted.back(), "s");
    lesson.report(name + "_epoch_averaging", steps * step.averaging, "s");
  }
  return points;
}

// With one process there is nothing to measure: the figures then show the computer on paper.
void plan(kit::Lesson& lesson, const Team& team, Index bytes, const Tensor<float>& images) {
  const double examples = static_cast<double>(images.extent(0));
  Scaling scaling{kPaperMachine, stated_networks(), static_cast<double>(bytes), examples, kBatch};
  Points strong;
  Points weak;
  if (team.size() > 1) {
    const Network here = measure_network(lesson, team);
    scaling.machine = measure_machine(lesson, team, images);
    strong = measure_epochs(lesson, team, images, scaling, here, false);
    weak = measure_epochs(lesson, team, images, scaling, here, true);
  }
  if (team.rank() != 0) return;
  predict_on_paper(lesson, bytes, examples);
  draw_scaling(lesson, "strong", "More machines are faster until the network costs more", scaling,
               false, strong);
  draw_scaling(lesson, "weak", "With larger minibatches, many machines are faster", scaling, true,
               weak);
}

// ---- The lesson --------------------------------------------------------------------------------

void say_what_there_is(const Team& team) {
  if (team.size() > 1) {
    fmt::print("{} processes, threads each: {}\n", team.size(), num_threads());
    return;
  }
#ifdef GRADUS_MPI
  fmt::print("One process. To use more: mpirun -np 2 build/release/lessons/22_many_machines\n");
#else
  fmt::print(
      "One process, for MPI was not found. To use more: install libopenmpi-dev and openmpi-bin, "
      "remove build/, and ./learn 22\n");
#endif
}

void run(kit::Lesson& lesson, const Team& team) {
  Interrupts interrupts(team);
  const bool all_go_on = team.all(!lesson.interrupted());
  if (!all_go_on && !lesson.interrupted()) interrupts.stop();
  say_what_there_is(team);
  const kit::ImageData data = kit::load_images(lesson);
  if (team.size() > 1) require_same_run(team, identity_of(lesson));
  if (team.rank() == 0) {
    average_three_examples(lesson);
    show_rounding(lesson, data);
  }

  Experiment experiment("vae", kBatch, kRate, data, lesson.options().seed);
  train(lesson, team, interrupts, experiment, data);
  if (lesson.interrupted()) return;

  const nn::Parameters<float> parameters = experiment.vae.parameters();
  if (team.rank() == 0) nn::save_file(parameters, lesson.file("vae.safetensors"));
  const Index bytes = MeanGradient<float>(parameters).bytes();
  lesson.report("parameters", static_cast<double>(nn::count(parameters)), "");
  lesson.report("megabytes_of_gradients", 1e-6 * static_cast<double>(bytes), "MB");
  check_training(lesson, experiment.history.at(kNegativeElbo), data);
  grow_batches(lesson, team, interrupts, experiment, data);
  if (lesson.interrupted()) return;

  plan(lesson, team, bytes, data.train_images);
}

}  // namespace
}  // namespace gradus::lesson22

int main(int argc, char** argv) {
  return gradus::lesson22::run_together({.name = "22_many_machines",
                                         .title = "The same lesson on many machines",
                                         .epochs = gradus::lesson22::kEpochs,
                                         .quick_epochs = 2},
                                        argc, argv, gradus::lesson22::run);
}
