// Lesson 17: the beta-VAE. What a nat of code buys.
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/17_beta_vae/figures.hpp"
#include "lessons/17_beta_vae/instruments.hpp"
#include "lessons/17_beta_vae/model.hpp"
#include "lessons/17_beta_vae/on_paper.hpp"
#include "lessons/17_beta_vae/sprites.hpp"
#include "lessons/common/mutual_information.hpp"
#include "lessons/common/rate_distortion.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson17 {
namespace {

constexpr Index kHidden = 200, kLatents = 6, kBatch = 128;
constexpr double kRate = 1e-3;
// An epoch here is not one pass through about a thousand images, but as many passes as take this
// many: 400 steps; 80 with --quick.
constexpr Index kImagesAnEpoch = 51'200, kImagesAQuickEpoch = 10'240;
constexpr int kEpochs = 10;        // 4,000 steps
constexpr int kLonger = 3;         // the long trainings have this many times the epochs
constexpr int kDraws = 10;         // of z for each image, where a distortion is measured
constexpr double kPricedOut = 64;  // a price at which no nat pays
const std::string kNats = "nats/image";

// Measurements draw the same random numbers in every run: --seed changes the models only.
constexpr std::uint64_t kSeedOfScores = 1;

// ---- On paper ----------------------------------------------------------------------------------

// One pixel that varies by 4 around its mean, with the noise 1.
void work_out_one_pixel(kit::Lesson& lesson) {
  for (double beta : {1.0, 2.0, 4.0}) {
    const RateDistortion best = linear_optimum({4}, 1, 1, beta);
    const std::string name = fmt::format("one_pixel_beta_{}", beta);
    lesson.check(name + "_rate", best.rate, "nats", kit::Expected{0.5 * std::log(4 / beta), 1e-12});
    lesson.check(name + "_distortion", best.distortion, "nats", kit::Expected{0.5 * beta, 1e-12});
  }
  const auto saved = [](double more, double less) {
    return nats_saved_per_nat(linear_optimum({4}, 1, 1, more), linear_optimum({4}, 1, 1, less));
  };
  lesson.check("one_pixel_chord_1_2", saved(1, 2), "", kit::Expected{1 / std::log(2.0), 1e-12});
  lesson.report("one_pixel_chord_2_4", saved(2, 4), "");
  // Of the exercises: variance 9.
  for (double beta : {1.0, 3.0}) {
    const RateDistortion best = linear_optimum({9}, 1, 1, beta);
    lesson.report(fmt::format("exercise_1_beta_{}_rate", beta), best.rate, "nats");
    lesson.report(fmt::format("exercise_1_beta_{}_distortion", beta), best.distortion, "nats");
  }
  lesson.check("exercise_1_chord",
               nats_saved_per_nat(linear_optimum({9}, 1, 1, 1), linear_optimum({9}, 1, 1, 3)), "",
               kit::Expected{2 / std::log(3.0), 1e-12});
  draw_one_pixel(lesson);
}

// The toy of lesson 14, with two latents.
void check_toy(kit::Lesson& lesson) {
  const double sigma2 = toy_variance_beyond(2) / 3;
  const auto at = [&](double beta) { return linear_optimum(kToyVariances, 2, sigma2, beta); };
  // tests/references/beta_vae.py: by these formulas in Python, and by direct minimisation.
  const std::vector<std::pair<int, RateDistortion>> known = {{1, {1.57871727, 2.5}},
                                                             {2, {0.88557009, 3.5}},
                                                             {4, {0.26949825, 5.21428571}},
                                                             {8, {0, 6.64285714}}};
  for (const auto& [beta, expected] : known) {
    const RateDistortion best = at(beta);
    const std::string name = fmt::format("toy_beta_{}", beta);
    lesson.check(name + "_rate", best.rate, "nats", kit::Expected{expected.rate, 1e-8});
    lesson.check(name + "_distortion", best.distortion, "nats",
                 kit::Expected{expected.distortion, 1e-8});
  }
  lesson.check("toy_chord_1_2", nats_saved_per_nat(at(1), at(2)), "",
               kit::Expected{1 / std::log(2.0), 1e-12});
  lesson.check("toy_chord_2_4", nats_saved_per_nat(at(2), at(4)), "",
               kit::Expected{2.78260683, 1e-8});
  lesson.check("toy_chord_4_8", nats_saved_per_nat(at(4), at(8)), "",
               kit::Expected{5.30085604, 1e-8});
  lesson.check("toy_slope_at_1_5", nats_saved_per_nat(at(1.5 - 1e-5), at(1.5 + 1e-5)), "",
               kit::Expected{1.5, 1e-6});
}

// Codes that are made by hand from two factors with four values each.
void grade_codes_made_by_hand(kit::Lesson& lesson) {
  Factor v1{{}, 4};
  Factor v2{{}, 4};
  std::vector<Index> plus, minus, both;
  const std::vector<Index> nothing(16);
  for (Index a = 0; a < 4; ++a)
    for (Index b = 0; b < 4; ++b) {
      v1.value.push_back(a);
      v2.value.push_back(b);
      plus.push_back(a + b);
      minus.push_back(a - b + 3);
      both.push_back(4 * a + b);
    }
  const std::vector<Factor> factors = {v1, v2};
  const auto grade = [&](const std::vector<std::vector<Index>>& codes) {
    Tensor<double> table({std::ssize(codes), 2});
    for (Index k = 0; k < std::ssize(codes); ++k)
      for (Index f = 0; f < 2; ++f)
        table.set({k, f}, mutual_information(nn::one_hot<double>(codes[k], 16), factors[f]));
    return gaps(table, factors);
  };
  const auto mig = [&](const std::vector<std::vector<Index>>& codes) {
    return mean_gap(grade(codes)).mig;
  };
  const std::vector<Gap> half = grade({v1.value, plus});
  lesson.check("mig_of_identity", mig({v1.value, v2.value}), "", kit::Expected{1, 1e-12});
  lesson.check("mig_of_identity_twice", mig({v1.value, v2.value, v1.value, v2.value}), "",
               kit::Expected{0, 1e-12});
  lesson.check("mig_of_v1_and_sum", mean_gap(half).mig, "", kit::Expected{0.5, 1e-12});
  lesson.check("mig_of_v1_and_sum_v1", half[0].mig, "", kit::Expected{0.67218047, 1e-8});
  lesson.check("mig_of_v1_and_sum_v2", half[1].mig, "", kit::Expected{0.32781953, 1e-8});
  lesson.check("mig_of_sum_and_difference", mig({plus, minus}), "", kit::Expected{0, 1e-12});
  // Neither grade asks whether one latent tells two factors.
  lesson.check("mig_of_both_in_one", mig({both, nothing}), "", kit::Expected{1, 1e-12});
  lesson.check("purity_of_both_in_one", mean_gap(grade({both, nothing})).purity, "",
               kit::Expected{1, 1e-12});
  lesson.report("ln_4", std::log(4.0), "nats");
  const Tensor<double> of_sum = nn::one_hot<double>(plus, 7);
  lesson.report("information_of_sum", mutual_information(of_sum, v1), "nats");
  lesson.report("entropy_of_sum", Factor{plus, 7}.entropy(), "nats");
}

// ---- Training ----------------------------------------------------------------------------------

// One model, what it is trained on and at what price.
struct Experiment {
  Experiment(const Sprites& sprites, double beta, int seed, const kit::Lesson& lesson)
      : sprites(&sprites),
        name(fmt::format("{}_beta_{}_{}", sprites.name, beta, seed == 0 ? "a" : "b")),
        beta(beta),
        rng(lesson.options().seed + seed),
        net(kPixels, kHidden, kLatents, rng) {}

  const Sprites* sprites;
  std::string name;
  double beta;
  Rng rng;
  lesson13::Vae<float> net;
  kit::History history;
};

// What is measured of a model after each epoch.
struct Point {
  RateDistortion nats;
  Gap gap;
  double alive;
};

Point point_at(const kit::History& history, int epoch) {
  const auto at = [&](const char* name) { return history.at(name)[epoch]; };
  return {{at("R"), at("D")}, {at("MIG"), at("purity")}, at("alive")};
}

std::vector<kit::Score> measure(const Experiment& experiment) {
  const RateDistortion nats =
      rate_and_distortion(experiment.net, experiment.sprites->images, kDraws, Rng(kSeedOfScores));
  const Latents latents = latents_of(experiment.net, *experiment.sprites);
  const Gap gap = mean_gap(latents.gaps);
  return {{"R", nats.rate},
          {"D", nats.distortion},
          {"alive", static_cast<double>(latents.alive())},
          {"MIG", gap.mig},
          {"purity", gap.purity}};
}

// The images over and over, as many times as make an epoch.
Tensor<float> repeated(const Tensor<float>& images, Index wanted) {
  return concatenate(std::vector<Tensor<float>>(wanted / images.extent(0), images));
}

void train(kit::Lesson& lesson, Experiment& experiment, int epochs) {
  lesson13::Vae<float>& net = experiment.net;
  const auto beta = static_cast<float>(experiment.beta);
  const Tensor<float> images =
      repeated(experiment.sprites->images,
               lesson.options().quick ? kImagesAQuickEpoch : kImagesAnEpoch);
  nn::Adam<float> adam(net.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, experiment.name, {.epochs = epochs, .batch = kBatch},
                         net.parameters(), adam, experiment.rng);
  training.record([&] { return measure(experiment); });
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(images)) {
      Tape<float> tape;
      tape.backward(-mean(priced_elbo(net.elbo(x, experiment.rng), beta)));
      adam.step();
    }
    training.record([&] { return measure(experiment); });
  }
  experiment.history = training.history();
}

// ---- The wide set ------------------------------------------------------------------------------

// The walls between which the models of a set lie: no distortion is below the entropy of the
// pixels, and where all latents are dead it is that of the mean image.
struct Walls {
  double floor, dead;
};

Walls check_walls(kit::Lesson& lesson, const Sprites& sprites, const Walls& known) {
  const Walls walls{lesson13::entropy_of_pixels(sprites.images),
                    lesson13::negative_log_likelihood_of_means(sprites.images, sprites.images)};
  lesson.check(sprites.name + "_floor", walls.floor, kNats, kit::Expected{known.floor, 1e-4});
  lesson.check(sprites.name + "_dead", walls.dead, kNats, kit::Expected{known.dead, 1e-4});
  lesson.report(sprites.name + "_ln_n", std::log(static_cast<double>(sprites.size())), "nats");
  for (Index f = 0; f < kFactors; ++f)
    lesson.report(sprites.name + "_entropy_of_" + kFactorNames[f], sprites.factors[f].entropy(),
                  "nats");
  return walls;
}

void report_point(kit::Lesson& lesson, const std::string& name, const Point& point) {
  lesson.report(name + "_rate", point.nats.rate, kNats);
  lesson.report(name + "_distortion", point.nats.distortion, kNats);
  lesson.report(name + "_negative_elbo", point.nats.negative_elbo(), kNats);
  lesson.report(name + "_mig", point.gap.mig, "");
  lesson.report(name + "_purity", point.gap.purity, "");
  lesson.report(name + "_alive", point.alive, "");
}

// Trains a model, and reports it where a short training ends and where this one does. No latent
// may tell more of a factor than its KL.
void train_and_report(kit::Lesson& lesson, Experiment& experiment, int times) {
  const int epochs = lesson.options().epochs;
  train(lesson, experiment, times * epochs);
  if (lesson.interrupted()) return;
  report_point(lesson, experiment.name, point_at(experiment.history, epochs));
  const Latents latents = latents_of(experiment.net, *experiment.sprites);
  if (times > 1) {
    report_point(lesson, experiment.name + "_longer", point_at(experiment.history, times * epochs));
    for (Index f = 0; f < kFactors; ++f) {
      const std::string of = "_of_" + kFactorNames[f];
      lesson.report(experiment.name + "_longer_mig" + of, latents.gaps[f].mig, "");
      lesson.report(experiment.name + "_longer_purity" + of, latents.gaps[f].purity, "");
    }
  }
  lesson.check(experiment.name + "_information_less_kl", latents.largest_excess(), "nats",
               kit::between(-10, 0));
  nn::save_file(experiment.net.parameters(), lesson.file(experiment.name + ".safetensors"));
}

// The models of the wide set, by price and start.
class Sweep {
 public:
  Experiment& at(double beta, int start) { return experiments_.at({beta, start}); }

  // Trains all, those at the prices 1 and 4 for longer. What an interrupt leaves is not whole.
  void train_all(kit::Lesson& lesson, const Sprites& sprites) {
    for (double beta : {1.0, 2.0, 4.0, 8.0, 16.0})
      for (int start : {0, 1}) {
        if (lesson.interrupted()) return;
        const auto key = std::pair{beta, start};
        const auto [place, added] = experiments_.try_emplace(key, sprites, beta, start, lesson);
        train_and_report(lesson, place->second, beta == 1 || beta == 4 ? kLonger : 1);
      }
  }

  // Each after a short training.
  std::vector<Priced> points(int start, int epoch) const {
    std::vector<Priced> result;
    for (const auto& [key, experiment] : experiments_)
      if (key.second == start)
        result.push_back({key.first, point_at(experiment.history, epoch).nats});
    return result;
  }

  std::vector<Graded> grades(int epoch) const {
    std::vector<Graded> result;
    for (const auto& [key, experiment] : experiments_)
      result.push_back({key.first, point_at(experiment.history, epoch).gap});
    return result;
  }

 private:
  std::map<std::pair<double, int>, Experiment> experiments_;
};

// What a nat between two models saves lies between their prices, if both are the best that they can
// be; with 10 % to spare for training.
void check_chords(kit::Lesson& lesson, const std::vector<Priced>& models, const std::string& start,
                  bool known) {
  for (std::size_t i = 0; i + 1 < models.size(); ++i) {
    const double low = models[i].beta;
    const double high = models[i + 1].beta;
    lesson.check(fmt::format("chord_{}_{}_{}", low, high, start),
                 nats_saved_per_nat(models[i].nats, models[i + 1].nats), "",
                 kit::when(known, kit::between(0.9 * low, 1.1 * high)));
  }
}

// The latents that live, the largest KL first.
std::vector<Index> living(const Latents& latents) {
  std::vector<Index> order = latents.by_kl();
  order.resize(latents.alive());
  return order;
}

// What the latents of a cheap and of a dear model tell, and what they do.
void look_inside(kit::Lesson& lesson, Sweep& sweep, const Sprites& sprites) {
  const Index middle = sprites.at(sprites.spans[0].values / 2, sprites.spans[1].values / 2,
                                  sprites.spans[2].values / 2);
  const Tensor<float> image = slice(sprites.images, 0, middle, middle + 1);
  std::vector<Panel> panels;
  std::vector<std::pair<std::string, Tensor<float>>> rows;
  std::vector<Path> paths;
  for (double beta : {1.0, 4.0}) {
    const lesson13::Vae<float>& net = sweep.at(beta, 0).net;
    const Latents latents = latents_of(net, sprites);
    panels.push_back({fmt::format("β = {}", beta), latents});
    Index row = 0;
    for (Index k : latents.by_kl()) {
      ++row;
      const std::string name = fmt::format("inside_beta_{}_latent_{}", beta, row);
      lesson.report(name + "_kl", latents.kl(k), kNats);
      for (Index f = 0; f < kFactors; ++f)
        lesson.report(name + "_share_of_" + kFactorNames[f],
                      latents.information(k, f) / sprites.factors[f].entropy(), "");
      lesson.report(name + "_most_information", max(slice(latents.information, 0, k, k + 1)).item(),
                    kNats);
    }
    lesson.report(fmt::format("inside_beta_{}_told_by_the_first", beta),
                  latents.told_by_the_first(), kNats);
    paths.push_back(path_across(net, sprites, latents.tellers(0)[0], latents.tellers(0)[1],
                                fmt::format("β = {}", beta)));
    for (Index k : living(latents))
      rows.emplace_back(fmt::format("β = {}, KL {:.2f}", beta, latents.kl(k)),
                        traversal(net, image, k, kStops, kReach));
    const Tensor<double> codes = cast<double>(net.encode(sprites.images).mean.value());
    const Tensor<double> r2 = explained_share(codes, numbers_of(sprites.factors));
    for (Index f = 0; f < kFactors; ++f)
      lesson.report(fmt::format("inside_beta_{}_r2_of_{}", beta, kFactorNames[f]), r2(f), "");
  }
  draw_information(lesson, panels, sprites.factors);
  draw_paths(lesson, paths);
  if (!rows.empty()) draw_traversals(lesson, rows);
}

// The same model, with the plane of the two latents that tell most of the place across and down
// turned.
void turn_the_latents(kit::Lesson& lesson, const lesson13::Vae<float>& net,
                      const Sprites& sprites) {
  const Latents latents = latents_of(net, sprites);
  const Index a = latents.tellers(0).front();
  const std::vector<Index> of_down = latents.tellers(1);
  const Index b = of_down[0] != a ? of_down[0] : of_down[1];
  const TurnedVae<float> turned{net, rotation<float>(kLatents, a, b, 45)};
  const Tensor<double> information =
      information_table(turned.marginals(sprites.images), sprites.factors);
  const Gap after = mean_gap(gaps(information, sprites.factors));
  lesson.report("turned_mig_before", mean_gap(latents.gaps).mig, "");
  lesson.report("turned_mig_after", after.mig, "");
  lesson.report("turned_purity_before", mean_gap(latents.gaps).purity, "");
  lesson.report("turned_purity_after", after.purity, "");
  lesson.check("turned_change_of_log_joint",
               largest_change(turned, sprites.images, Rng(kSeedOfScores)), "",
               kit::between(0, 1e-4));
  const nn::Normal<float> q = net.encode(sprites.images);
  lesson.report("turned_price_for_a_diagonal_q", mean_price_of_45_degrees(q, a, b), kNats);
  draw_turned(lesson, sprites, q.mean.value(), turned.turn(q.mean.value()), a, b);
}

// MIG by how finely the latents are cut; and what comes out if the width of q is forgotten.
void try_other_bins(kit::Lesson& lesson, Sweep& sweep, const Sprites& sprites) {
  for (Index bins : {20, 32, 64, 128, 256}) {
    const Latents latents = latents_of(sweep.at(4, 0).net, sprites, bins);
    lesson.report(fmt::format("mig_with_{}_bins", bins), mean_gap(latents.gaps).mig, "");
  }
  for (double beta : {1.0, 4.0})
    for (int start : {0, 1}) {
      const Experiment& experiment = sweep.at(beta, start);
      const Tensor<float> means = experiment.net.encode(sprites.images).mean.value();
      const nn::Normal<float> narrow{means, full<float>(means.shape(), -30)};
      const Tensor<double> information = information_table(narrow, sprites.factors, 20);
      lesson.report(experiment.name + "_mig_of_means_alone",
                    mean_gap(gaps(information, sprites.factors)).mig, "");
    }
}

// So dear a nat that none is bought, as even at a rate of 0 it saves less.
void price_all_out(kit::Lesson& lesson, const Sprites& sprites, const Walls& walls, bool known) {
  // tests/references/beta_vae.py: the same eigenvalue by NumPy.
  lesson.check("wide_saved_per_nat_at_rate_0", saved_per_nat_at_rate_0(sprites.images), "",
               kit::Expected{32.44803, 1e-4});
  Experiment experiment(sprites, kPricedOut, 0, lesson);
  train_and_report(lesson, experiment, 1);
  if (lesson.interrupted()) return;
  const RateDistortion nats = point_at(experiment.history, lesson.options().epochs).nats;
  lesson.check("priced_out_distortion_above_dead", nats.distortion - walls.dead, kNats,
               kit::when(known, {0, 0.3}));
}

bool run_wide(kit::Lesson& lesson) {
  const int epochs = lesson.options().epochs;
  const bool known = !lesson.options().quick && epochs >= kEpochs;
  const Sprites sprites = wide_sprites();
  draw_sprites(lesson, sprites);
  const Walls walls = check_walls(lesson, sprites, {27.9216, 70.2655});
  Sweep sweep;
  sweep.train_all(lesson, sprites);
  if (lesson.interrupted()) return false;
  if (epochs > 0)
    for (int start : {0, 1})
      check_chords(lesson, sweep.points(start, epochs), start == 0 ? "a" : "b", known);
  draw_curve(lesson, {sweep.points(0, epochs), sweep.points(1, epochs)}, walls.floor, walls.dead);
  draw_grades(lesson, sweep.grades(epochs));
  look_inside(lesson, sweep, sprites);
  turn_the_latents(lesson, sweep.at(4, 0).net, sprites);
  try_other_bins(lesson, sweep, sprites);
  std::vector<Course> courses;
  for (double beta : {1.0, 4.0})
    for (int start : {0, 1})
      courses.push_back({fmt::format("β = {}", beta), beta == 1 ? 1 : 2,
                         sweep.at(beta, start).history.at("purity")});
  const Index images = lesson.options().quick ? kImagesAQuickEpoch : kImagesAnEpoch;
  if (epochs > 0) draw_courses(lesson, courses, static_cast<double>(images / kBatch));
  price_all_out(lesson, sprites, walls, known);
  return !lesson.interrupted();
}

// The set in which a disc moves as far down as across.
void run_square(kit::Lesson& lesson) {
  const Sprites sprites = square_sprites();
  check_walls(lesson, sprites, {28.2651, 68.1608});
  for (double beta : {1.0, 4.0})
    for (int start : {0, 1}) {
      if (lesson.interrupted()) return;
      Experiment experiment(sprites, beta, start, lesson);
      train_and_report(lesson, experiment, kLonger);
    }
}

void run(kit::Lesson& lesson) {
  work_out_one_pixel(lesson);
  check_toy(lesson);
  grade_codes_made_by_hand(lesson);
  if (run_wide(lesson)) run_square(lesson);
}

}  // namespace
}  // namespace gradus::lesson17

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "17_beta_vae",
                           .title = "The beta-VAE",
                           .epochs = gradus::lesson17::kEpochs,
                           .quick_epochs = 2},
                          argc, argv, gradus::lesson17::run);
}
