// Lesson 20: anomalies. Was this likely generated here? The density should know, and does not.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/20_anomalies/figures.hpp"
#include "lessons/20_anomalies/instruments.hpp"
#include "lessons/20_anomalies/model.hpp"
#include "lessons/20_anomalies/on_paper.hpp"
#include "lessons/20_anomalies/out_sets.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/roc.hpp"
#include "lessons/common/rows.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson20 {
namespace {

constexpr Index kHidden = 400, kLatents = 20, kBatch = 128;
constexpr int kEpochs = 10;
constexpr double kRate = 1e-3;
constexpr double kReplaced = 0.2;  // the share of pixels that the background's model never sees
constexpr Index kTrainingDiscs = 3000;
constexpr Index kTighterDraws = 10;
constexpr Index kTrouser = 1, kPullover = 2, kSneaker = 7;  // classes of Fashion-MNIST
const std::string kNats = "nats/image";

// Measurements draw the same random numbers in every run: --seed changes the models only.
constexpr std::uint64_t kSeedOfScores = 1, kSeedOfOutSets = 2, kSeedOfErrors = 3;

// The models beside the main one are trained for less long, in proportion.
int epochs_of_background(const kit::Options& options) { return (2 * options.epochs + 4) / 5; }

int epochs_of_held_out(const kit::Options& options) { return (3 * options.epochs + 9) / 10; }

int epochs_of_discs(const kit::Options& options) { return 4 * options.epochs; }

// How many images of each set are compared.
Index compared(const kit::Options& options) { return options.quick ? 500 : 2000; }

// ---- On paper ----------------------------------------------------------------------------------

Tensor<double> scores_of(const std::vector<double>& scores) {
  return {{std::ssize(scores)}, scores};
}

void count_pairs(kit::Lesson& lesson) {
  const Tensor<double> in = scores_of({1, 2, 3, 5});
  const Tensor<double> out = scores_of({2, 4, 6});
  const double area = auroc(out, in);
  lesson.check("pairs_auroc", area, "", kit::Expected{8.5 / 12, 1e-12});
  lesson.check("pairs_auroc_of_minus", auroc(-out, -in), "", kit::Expected{3.5 / 12, 1e-12});
  lesson.check("pairs_auroc_of_squares", auroc(square(out), square(in)), "",
               kit::Expected{8.5 / 12, 1e-12});
  lesson.report("pairs_error", auroc_error(out, in), "");
  draw_staircase(lesson, roc_curve(out, in), area);

  // Two values only: 1 for 3 of 10 in, and for 8 of 10 out.
  const auto ones = [](int count) {
    std::vector<double> scores(10);
    std::fill_n(scores.begin(), count, 1);
    return scores_of(scores);
  };
  lesson.check("ties_auroc", auroc(ones(8), ones(3)), "", kit::Expected{0.75, 1e-12});
  lesson.check("error_of_nothing_1000", auroc_error_of_nothing(1000, 1000), "",
               kit::Expected{0.0129131716, 1e-10});
}

// A grey pixel and a white one, for which a model says 0.8: cost = floor + excess.
void weigh_two_pixels(kit::Lesson& lesson) {
  constexpr double kSaid = 0.8;
  for (const auto& [name, pixel] : {std::pair{"grey", 0.9}, {"white", 1.0}}) {
    const double cost = -pixel * std::log(kSaid) - (1 - pixel) * std::log(1 - kSaid);
    const double floor = floors(Tensor<double>({1, 1}, {pixel})).item();
    // KL(Bernoulli(x) || Bernoulli(0.8))
    const double kl = lesson13::xlogy(pixel, pixel / kSaid) +
                      lesson13::xlogy(1 - pixel, (1 - pixel) / (1 - kSaid));
    lesson.report(fmt::format("pixel_{}_cost", name), cost, "nats");
    lesson.report(fmt::format("pixel_{}_floor", name), floor, "nats");
    lesson.check(fmt::format("pixel_{}_excess", name), cost - floor, "nats",
                 kit::Expected{kl, 1e-12});
  }
}

// Normal variables, whose AUROCs are known.
void weigh_normal_variables(kit::Lesson& lesson) {
  constexpr Index kDraws = 20000;
  constexpr double kVariance = 0.5;
  const double shifted = normal_cdf(std::sqrt(0.5));
  lesson.check("shifted_normal_auroc", shifted, "", kit::Expected{0.7602499389, 1e-10});
  Rng rng(kSeedOfErrors);
  const Tensor<double> in = rng.normal<double>({kDraws});
  const Tensor<double> out = 1.0 + rng.normal<double>({kDraws});
  const double error = auroc_error(out, in);
  lesson.check("shifted_normal_drawn", auroc(out, in), "", kit::Expected{shifted, 4 * error});
  lesson.report("shifted_normal_error", error, "");

  // d = 2: v / (1 + v); d = 4: t^3 + 3 t^2 (1 - t) with t = 1/3.
  const std::map<Index, double> expected = {{2, 1.0 / 3}, {4, 7.0 / 27}, {20, 0.0647661728}};
  for (const auto& [d, value] : expected) {
    const double of_density = auroc_of_density(d, kVariance);
    lesson.check(fmt::format("normal_{}_density", d), of_density, "", kit::Expected{value, 1e-10});
    lesson.report(fmt::format("normal_{}_ratio", d), 1 - of_density, "");
  }
  const double of_images = auroc_of_density(784, kVariance);
  lesson.report("normal_784_density", of_images, "");
  lesson.check("normal_784_density_log10", std::log10(of_images), "",
               kit::Expected{std::log10(3.755195985e-22), 1e-6});
  for (Index d : {2, 4})
    lesson.report(fmt::format("normal_{}_typicality", d), auroc_of_typicality(d, kVariance), "");
  lesson.check("normal_20_typicality", auroc_of_typicality(20, kVariance), "",
               kit::Expected{0.8498223032, 1e-6});
  draw_paradox(lesson, kVariance);
}

// ---- Training ----------------------------------------------------------------------------------

// A VAE of lesson 13, and its training.
struct Experiment {
  Experiment(const std::string& name, Index pixels, std::uint64_t seed)
      : name(name), rng(seed), vae(pixels, kHidden, kLatents, rng) {}

  std::string name;
  Rng rng;
  Vae<float> vae;
  double test_negative_elbo = 0;  // after the last epoch
};

// 0, ..., n - 1.
std::vector<Index> all(Index n) {
  std::vector<Index> numbers(n);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

// On the images with these numbers, of whose pixels a share is replaced; scored on images `test`.
//
// Minibatches are made of the numbers (they are exact in float), so that no copy of some of the
// images needs memory.
void train(kit::Lesson& lesson, Experiment& experiment, int epochs, const Tensor<float>& images,
           const std::vector<Index>& used, const Tensor<float>& test, double replaced = 0) {
  const Tensor<float> numbers({std::ssize(used), 1}, std::vector<float>(used.begin(), used.end()));
  Vae<float>& vae = experiment.vae;
  Rng& rng = experiment.rng;
  nn::Adam<float> adam(vae.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, experiment.name, {.epochs = epochs, .batch = kBatch},
                         vae.parameters(), adam, rng);
  const auto measure = [&]() -> std::vector<kit::Score> {
    const lesson13::ElboMeans means = lesson13::evaluate(vae, test, Rng(kSeedOfScores));
    return {{"-ELBO", means.negative_elbo()}, {"KL", means.kl}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& picked : training.minibatches(numbers)) {
      const std::vector<Index> rows(picked.begin(), picked.end());
      const Tensor<float> x = gather_rows(images, rows);
      const Tensor<float> seen = replaced > 0 ? replace_pixels(x, replaced, rng) : x;
      Tape<float> tape;
      tape.backward(-mean(vae.elbo(seen, rng).total()));
      adam.step();
    }
    training.record(measure);
  }
  experiment.test_negative_elbo = training.history().at("-ELBO").back();
  nn::save_file(vae.parameters(), lesson.file(experiment.name + ".safetensors"));
}

// ---- Out sets -----------------------------------------------------------------------------------

// Scores of images by name.
using ByName = std::vector<std::pair<std::string, Tensor<double>>>;

ByName by_name(const Scores& s) {
  return {{"negative_elbo", s.negative_elbo},
          {"floor", s.floor},
          {"excess", s.excess},
          {"ppca", s.ppca},
          {"typicality", s.typicality},
          {"density", s.density},
          {"kl", s.kl},
          {"negative_reconstruction", s.negative_reconstruction}};
}

// All scores of a set of images.
struct Judged {
  Scores scores;
  Tensor<double> packed_lengths;  // (N), nats
  ByName all;
};

// The scores of the detector; of the ratio to a VAE of the background (Ren and others 2019); and of
// -ELBO less the length of the packed image (Serra and others 2020).
Judged judge(const Detector& detector, const Vae<float>& background, const Tensor<float>& x) {
  Judged judged{detector.scores(x, floors(x)), packed_lengths(x), {}};
  judged.all = by_name(judged.scores);
  const Tensor<double>& e = judged.scores.negative_elbo;
  judged.all.push_back({"background", e - bound(background, x, Rng(kSeedOfScores)).negative_elbo});
  judged.all.push_back({"complexity", e - judged.packed_lengths});
  return judged;
}

// AUROC of pPCA's -ln p(x), by tests/references/anomalies.py from the files of Fashion-MNIST.
const std::map<std::string, double> kPpcaOfOutSets =
    {{"mirrored", 0.647666}, {"flipped", 0.775204}, {"turned", 0.841052},
     {"shifted", 0.909905},  {"dimmed", 0.019333},  {"binary", 0.943307},
     {"inverted", 1},        {"blended", 0.129707}, {"black", 0}};

// What is claimed of -ELBO: by it some of what is out is the less strange.
std::optional<kit::Expected> claim(const std::string& name) {
  const std::map<std::string, kit::Expected> claims = {{"black", kit::between(0, 0.01)},
                                                       {"discs", kit::between(0, 0.1)},
                                                       {"binary", kit::between(0, 0.3)},
                                                       {"draws", kit::between(0.45, 0.6)},
                                                       {"noise", kit::between(0.99, 1)},
                                                       {"inverted", kit::between(0.99, 1)}};
  const auto found = claims.find(name);
  if (found == claims.end()) return std::nullopt;
  return found->second;
}

// The AUROC of each score, and what the means are. Some are known on all of Fashion-MNIST (full),
// and some of a model that was trained as by default.
void report_out_set(kit::Lesson& lesson, const std::string& name, const Judged& in,
                    const Judged& out, bool full, bool trained) {
  const std::set<std::string> moved = {"mirrored", "flipped", "turned", "shifted"};
  for (std::size_t i = 0; i < in.all.size(); ++i) {
    const auto& [score, of_in] = in.all[i];
    const double value = auroc(out.all[i].second, of_in);
    std::optional<kit::Expected> expected;
    const auto known = kPpcaOfOutSets.find(name);
    if (full && score == "ppca" && known != kPpcaOfOutSets.end())
      expected = kit::Expected{known->second, 1e-4};
    if (full && trained && score == "negative_elbo") expected = claim(name);
    // Pixels at other places have the same entropies; one of 2,000 images may differ by rounding.
    if (full && score == "floor" && moved.contains(name)) expected = kit::Expected{0.5, 3e-4};
    lesson.check(fmt::format("{}_{}", name, score), value, "", expected);
  }
  lesson.report(name + "_mean_negative_elbo", mean(out.scores.negative_elbo).item(), kNats);
  lesson.report(name + "_mean_floor", mean(out.scores.floor).item(), kNats);
  lesson.report(name + "_mean_excess", mean(out.scores.excess).item(), kNats);
}

// What -ELBO is of test images, and of what it is made.
void look_at_in(kit::Lesson& lesson, const Judged& in, const kit::ImageData& data) {
  const Scores& s = in.scores;
  lesson.report("in_mean_negative_elbo", mean(s.negative_elbo).item(), kNats);
  lesson.report("in_mean_floor", mean(in.scores.floor).item(), kNats);
  lesson.report("in_mean_excess", mean(s.excess).item(), kNats);
  lesson.check("in_least_excess", -max(-s.excess).item(), "nats", kit::between(0, 1e4));
  lesson.report("correlation_with_floor", correlation(s.negative_elbo, in.scores.floor), "");
  lesson.report("correlation_of_excess_with_floor", correlation(s.excess, in.scores.floor), "");
  // "Complexity" is -ELBO less the packed length. Which of the two decides?
  lesson.report("standard_deviation_of_elbo", standard_deviation(s.negative_elbo), kNats);
  lesson.report("mean_packed_length", mean(in.packed_lengths).item(), kNats);
  lesson.report("standard_deviation_of_packed_length", standard_deviation(in.packed_lengths),
                kNats);
  lesson.report("correlation_of_complexity_with_packed_length",
                correlation(s.negative_elbo - in.packed_lengths, in.packed_lengths), "");
  for (Index label : {kTrouser, kPullover}) {
    double total = 0;
    double count = 0;
    for (Index i = 0; i < s.negative_elbo.size(); ++i)
      if (data.test_labels[i] == label) {
        total += s.negative_elbo(i);
        ++count;
      }
    if (count > 0)
      lesson.report(fmt::format("class_{}_negative_elbo", label), total / count, kNats);
  }
}

// The twelve images that a score calls the least strange, and the strangest.
void draw_extremes(kit::Lesson& lesson, const Tensor<float>& x, const Judged& in,
                   const kit::ImageData& data) {
  constexpr Index kShown = 12;
  if (x.extent(0) < kShown) return;
  std::vector<Row> rows;
  for (const auto& [words, scores] :
       {std::pair{"-ELBO", in.scores.negative_elbo}, {"excess", in.scores.excess}})
    for (const bool largest : {false, true})
      rows.push_back({fmt::format("{} {}", largest ? "highest" : "lowest", words),
                      gather_rows(x, extremes(scores, kShown, largest))});
  draw_rows(lesson, "extremes", "The most and the least likely clothes, by two scores",
            fmt::format("of the first {} test images", x.extent(0)), rows, data);
}

// Exercises 3 to 5: two KLs; the typicality of the excess; and an image that is grey all over.
void answer_exercises(kit::Lesson& lesson, const Judged& usual, const Judged& in,
                      const std::map<std::string, Judged>& out, const Detector& detector,
                      Index pixels) {
  const Tensor<double> centre = mean(usual.scores.excess);
  const Tensor<double> of_in = abs(in.scores.excess - centre);
  for (const auto& [name, judged] : out)
    lesson.report(name + "_typicality_of_excess", auroc(abs(judged.scores.excess - centre), of_in),
                  "");
  const Tensor<float> grey = full<float>({1, pixels}, 0.5f);
  const Scores s = detector.scores(grey, floors(grey));
  lesson.report("grey_negative_elbo", s.negative_elbo.item(), kNats);
  lesson.check("grey_floor", floors(grey).item(), kNats,
               kit::Expected{static_cast<double>(pixels) * std::log(2.0), 1e-9});
  lesson.report("grey_excess", s.excess.item(), kNats);
  // Exercise 3: the KL from a coin of 1 to one of 0.9, and from one of 0.5 to one of 0.45.
  lesson.report("exercise_3_white", -std::log(0.9), "nats");
  lesson.report("exercise_3_half", 0.5 * std::log(0.25 / (0.45 * 0.55)), "nats");
}

struct Models {
  Experiment vae, background, of_discs;
};

struct Discs {
  Tensor<float> train, out;
};

Discs split_discs(const kit::ImageData& data) {
  const Tensor<float> all = discs({data.height, data.width});
  const std::vector<Index> order = Rng(kSeedOfOutSets).permutation(all.extent(0));
  const auto middle = order.begin() + kTrainingDiscs;
  return {gather_rows(all, std::vector<Index>(order.begin(), middle)),
          gather_rows(all, std::vector<Index>(middle, order.end()))};
}

void train_models(kit::Lesson& lesson, Models& models, const Discs& discs,
                  const kit::ImageData& data) {
  const kit::Options& options = lesson.options();
  const std::vector<Index> clothes = all(data.train_images.extent(0));
  train(lesson, models.vae, options.epochs, data.train_images, clothes, data.test_images);
  if (lesson.interrupted()) return;
  const Tensor<float> test = first(compared(options), data.test_images);
  train(lesson, models.background, epochs_of_background(options), data.train_images, clothes, test,
        kReplaced);
  if (lesson.interrupted()) return;
  train(lesson, models.of_discs, epochs_of_discs(options), discs.train, all(discs.train.extent(0)),
        discs.out);
}

// Clothes against discs: by the tighter bound, and by the ratio of two densities.
void compare_with_discs(kit::Lesson& lesson, const Models& models, const Tensor<float>& in,
                        const Tensor<float>& out) {
  const auto seeded = [] { return Rng(kSeedOfScores); };
  lesson.report("discs_tighter_bound",
                auroc(tighter_bound(models.vae.vae, out, kTighterDraws, seeded()),
                      tighter_bound(models.vae.vae, in, kTighterDraws, seeded())),
                "");
  const auto ratio = [&](const Tensor<float>& x) {
    return bound(models.vae.vae, x, seeded()).negative_elbo -
           bound(models.of_discs.vae, x, seeded()).negative_elbo;
  };
  lesson.check("discs_ratio", auroc(ratio(out), ratio(in)), "",
               kit::when(lesson.options().epochs >= kEpochs, kit::between(0.99, 1)));
  lesson.report("discs_by_their_own_vae", models.of_discs.test_negative_elbo, kNats);
}

// Clothes, discs and flipped clothes, by -ELBO and by what it is above each image's floor.
void draw_in_and_out(kit::Lesson& lesson, const Judged& in,
                     const std::map<std::string, Judged>& out) {
  const Judged& discs = out.at("discs");
  const Scores& flipped = out.at("flipped").scores;
  draw_histograms(lesson, "histogram_elbo",
                  {.title = "By -ELBO discs are less strange than clothes",
                   .x_label = "-ELBO, nats per image"},
                  600,
                  {{"clothes", in.scores.negative_elbo, {175, 10.5}},
                   {"discs", discs.scores.negative_elbo, {78, 21.8}},
                   {"flipped clothes", flipped.negative_elbo, {318, 10.2}}});
  draw_histograms(lesson, "histogram_excess",
                  {.title = "Above their floors clothes are the least strange",
                   .x_label = "excess, nats per image"},
                  210,
                  {{"clothes", in.scores.excess, {42, 19}},
                   {"discs", discs.scores.excess, {63, 10.6}},
                   {"flipped clothes", flipped.excess, {90, 8.7}}});
  draw_floors(lesson, {{"clothes", in.scores.floor, in.scores.negative_elbo},
                       {"discs", discs.scores.floor, discs.scores.negative_elbo}});
  draw_roc(lesson, "roc_discs",
           roc_sketch("Discs against clothes, by three scores",
                      "dashed: a score that tells nothing", "clothes", "discs"),
           {{"-ELBO", roc_curve(discs.scores.negative_elbo, in.scores.negative_elbo), {0.8, 0.1}},
            {"excess", roc_curve(discs.scores.excess, in.scores.excess), {0.2, 0.58}},
            {"density of scores",
             roc_curve(discs.scores.density, in.scores.density),
             {0.07, 0.93}}});
}

void meet_out_sets(kit::Lesson& lesson, const Models& models, const Ppca<double>& ppca,
                   const Discs& discs, const kit::ImageData& data) {
  const Size size{data.height, data.width};
  const bool full = data.is_full_fashion_mnist();
  const Index n = std::min(compared(lesson.options()), data.test_images.extent(0));
  const Tensor<float> in_images = first(n, data.test_images);
  const Tensor<float> usual = first(n, data.train_images);
  const Detector detector(models.vae.vae, ppca, usual, Rng(kSeedOfScores));
  const auto judged = [&](const Tensor<float>& x) {
    return judge(detector, models.background.vae, x);
  };
  const Judged in = judged(in_images);
  look_at_in(lesson, in, data);
  draw_extremes(lesson, in_images, in, data);

  Rng rng(kSeedOfOutSets);
  std::vector<OutSet> sets = out_sets_of(in_images, size, rng);
  for (const OutSet& set : out_sets_by(models.vae.vae, n, rng)) sets.push_back(set);
  sets.push_back({"discs", discs.out});
  std::vector<Example> examples;
  std::map<std::string, Judged> out;
  for (const OutSet& set : sets) {
    const Judged& it = out.emplace(set.name, judged(set.images)).first->second;
    report_out_set(lesson, set.name, in, it, full, lesson.options().epochs >= kEpochs);
    const Index shown = std::min<Index>(1, set.images.extent(0) - 1);  // the second: a pullover
    examples.push_back({set.name, auroc(it.scores.negative_elbo, in.scores.negative_elbo),
                        slice(set.images, 0, shown, shown + 1)});
  }
  examples.push_back({"clothes", 0.5, slice(in_images, 0, 1, 2)});
  draw_out_sets(lesson, examples, data);

  draw_in_and_out(lesson, in, out);
  answer_exercises(lesson, judged(usual), in, out, detector, size.pixels());
  compare_with_discs(lesson, models, in_images, discs.out);
}

// ---- One class held out ------------------------------------------------------------------------

// By tests/references/anomalies.py, as above.
const std::vector<double> kPpcaOfHeldOut = {0.534690, 0.829073, 0.533211, 0.625579, 0.535349,
                                            0.819563, 0.448564, 0.651354, 0.901831, 0.821552};

// AUROCs of each score, by class.
using Table = std::map<std::string, std::vector<double>>;

// The scores of test images of the class that was held out, and of the others.
struct Sides {
  Tensor<double> out, in;

  Sides(const Tensor<double>& scores, const Split& test)
      : out(gather_rows(scores, test.held_out)), in(gather_rows(scores, test.kept)) {}

  double auroc() const { return gradus::auroc(out, in); }
};

void report_held_out(kit::Lesson& lesson, const std::string& name, Index label,
                     const Scores& scores, const Split& test, bool full, Table& table) {
  for (const auto& [score, values] : by_name(scores)) {
    const double value = Sides(values, test).auroc();
    table[score].push_back(value);
    std::optional<kit::Expected> expected;
    if (full && score == "ppca") expected = kit::Expected{kPpcaOfHeldOut[label], 1e-4};
    if (full && score == "negative_elbo" && label == kSneaker && lesson.options().epochs >= kEpochs)
      expected = kit::between(0, 0.4);
    lesson.check(fmt::format("{}_{}", name, score), value, "", expected);
  }
  const Sides elbo(scores.negative_elbo, test);
  lesson.report(name + "_mean_of_held_out", mean(elbo.out).item(), kNats);
  lesson.report(name + "_mean_of_others", mean(elbo.in).item(), kNats);
}

// How sure the AUROC is, and the ROC curves.
void look_at_trousers(kit::Lesson& lesson, const std::string& name, const Scores& scores,
                      const Split& test, bool full) {
  const Sides elbo(scores.negative_elbo, test);
  Rng rng(kSeedOfErrors);
  const double error = auroc_error(elbo.out, elbo.in);
  lesson.report(name + "_error", error, "");
  lesson.check(name + "_bootstrap_error", bootstrap_error(elbo.out, elbo.in, 200, rng), "",
               kit::when(full, {error, 0.2 * error}));
  const auto curve = [&](const Tensor<double>& values) {
    const Sides sides(values, test);
    return roc_curve(sides.out, sides.in);
  };
  for (const auto& [score, values] : {std::pair{"negative_elbo", scores.negative_elbo},
                                      {"excess", scores.excess},
                                      {"ppca", scores.ppca}})
    lesson.report(fmt::format("{}_{}_alarms_at_95", name, score),
                  100 * false_alarms_at(0.95, curve(values)), "%");
  draw_roc(lesson, "roc_trouser",
           roc_sketch("Trousers against the nine classes that the model knows",
                      "dashed: a score that tells nothing", "the nine other classes", "trousers"),
           {{"-ELBO", curve(scores.negative_elbo), {0.72, 0.5}},
            {"excess", curve(scores.excess), {0.24, 0.62}},
            {"pPCA", curve(scores.ppca), {0.03, 0.62}}});
}

// Trains on all classes but one, and looks for its test images among the others.
void hold_out_class(kit::Lesson& lesson, Index label, const Ppca<double>& ppca,
                    const Tensor<double>& test_floors, const kit::ImageData& data, Table& table) {
  const Index classes = std::ssize(data.class_names);
  const Split training = hold_out(data.train_images.extent(0), data.train_labels, classes, label);
  const Split test = hold_out(data.test_images.extent(0), data.test_labels, classes, label);
  const auto first_of = [&](const Tensor<float>& images, const std::vector<Index>& numbers) {
    const Index n = std::min(compared(lesson.options()), std::ssize(numbers));
    return gather_rows(images, std::span(numbers).first(n));
  };
  const std::string name = fmt::format("without_{}", label);
  Experiment experiment(name, data.train_images.extent(1), lesson.options().seed);
  train(lesson, experiment, epochs_of_held_out(lesson.options()), data.train_images, training.kept,
        first_of(data.test_images, test.kept));
  if (lesson.interrupted()) return;

  const Detector detector(experiment.vae, ppca, first_of(data.train_images, training.kept),
                          Rng(kSeedOfScores));
  const Scores scores = detector.scores(data.test_images, test_floors);
  const bool full = data.is_full_fashion_mnist();
  report_held_out(lesson, name, label, scores, test, full, table);
  if (label == kTrouser) look_at_trousers(lesson, name, scores, test, full);
  if (label == kSneaker) {
    const Tensor<double> tighter =
        tighter_bound(experiment.vae, data.test_images, kTighterDraws, Rng(kSeedOfScores));
    lesson.report(name + "_tighter_bound", Sides(tighter, test).auroc(), "");
  }
}

void hold_out_each(kit::Lesson& lesson, const LinearModels& linear, const kit::ImageData& data) {
  const Tensor<double> test_floors = floors(data.test_images);
  Table table;
  std::vector<std::string> names;
  for (const auto& [label, ppca] : linear.without) {
    names.push_back(data.class_names[label]);
    hold_out_class(lesson, label, ppca, test_floors, data, table);
    if (lesson.interrupted()) return;
  }
  for (const auto& [score, values] : table) {
    double total = 0;
    for (double value : values) total += value;
    lesson.report("held_out_mean_" + score, total / static_cast<double>(values.size()), "");
  }
  const auto column = [&](const std::string& score) {
    const std::vector<double>& values = table[score];
    return Tensor<double>({std::ssize(values)}, values);
  };
  lesson.report("held_out_correlation_with_floor",
                correlation(column("negative_elbo"), column("floor")), "");
  draw_held_out(lesson, names, table["negative_elbo"], table["excess"], table["ppca"]);
}

void run(kit::Lesson& lesson) {
  count_pairs(lesson);
  weigh_two_pixels(lesson);
  weigh_normal_variables(lesson);
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  const LinearModels linear(data);
  const Index pixels = data.height * data.width;
  const std::uint64_t seed = lesson.options().seed;
  Models models{{"vae", pixels, seed}, {"background", pixels, seed}, {"discs", pixels, seed}};
  const Discs discs = split_discs(data);
  train_models(lesson, models, discs, data);
  if (lesson.interrupted()) return;
  lesson.check("test_negative_elbo", models.vae.test_negative_elbo, kNats,
               kit::when(data.is_full_fashion_mnist() && lesson.options().epochs == kEpochs,
                         {244.1, 1}));

  meet_out_sets(lesson, models, linear.of_all, discs, data);
  if (lesson.interrupted()) return;
  hold_out_each(lesson, linear, data);
}

}  // namespace
}  // namespace gradus::lesson20

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "20_anomalies",
                           .title = "Anomalies",
                           .epochs = gradus::lesson20::kEpochs,
                           .quick_epochs = 6},
                          argc, argv, gradus::lesson20::run);
}
