// Lesson 19: the VQ-VAE. Codes that are words of a dictionary.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/19_vq_vae/figures.hpp"
#include "lessons/19_vq_vae/instruments.hpp"
#include "lessons/19_vq_vae/model.hpp"
#include "lessons/19_vq_vae/on_paper.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson19 {
namespace {

using lesson05::cosine_schedule;
using OfWindows = VqVae<Windows<float>>;
using OfLayers = VqVae<Layers<float>>;

constexpr Index kWords = 64, kDimension = 16, kBatch = 128;
constexpr int kEpochs = 3;
constexpr double kRate = 1e-3, kDecay = 0.99, kCommitment = 0.25;
constexpr Index kStepsToRevival = 100;
constexpr double kLeastShare = 0.03;  // of the fair share
constexpr int kEpochsOfLayers = 10;
constexpr Index kHidden = 400, kLatents = 20;
constexpr Index kPriorHidden = 256;
constexpr double kPriorRate = 3e-3;
const std::string kNats = "nats/image", kPerPixel = "per pixel";

constexpr std::uint64_t kSeedOfScores = 1, kSeedOfSamples = 2;

// What cannot be trained is said before the work begins.
void require_use(const kit::ImageData& data) {
  if (data.height != data.width || data.height % 4 != 0)
    fail(
        "lesson 19 halves square images twice, whose side must be a multiple of 4: those of {} are "
        "{} x {} pixels",
        data.name, data.height, data.width);
  const Index n = data.train_images.extent(0);
  if (n < kBatch)
    fail("lesson 19 trains on batches of {} images: {} has {} to train on", kBatch, data.name, n);
}

// ---- On paper ----------------------------------------------------------------------------------

// The best words for a normal number (Max 1960), by Lloyd's algorithm.
void find_words_of_a_number(kit::Lesson& lesson) {
  struct Case {
    int size;
    double error;
  };

  for (const auto& [size, error] : std::vector<Case>{{2, 1 - 2 / std::numbers::pi},
                                                     {3, 0.1901740392},
                                                     {4, 0.1174818478},
                                                     {8, 0.0345477608}}) {
    const Dictionary best = lloyd(spread_words(size));
    const std::string name = fmt::format("normal_{}_words_", size);
    lesson.check(name + "error", best.error, "", kit::Expected{error, 1e-9});
    lesson.report(name + "entropy", best.entropy(), "nats");
    lesson.report(name + "perplexity", std::exp(best.entropy()), "words");
    const double bound = std::exp(-2 * best.entropy());
    lesson.report(name + "shannon", bound, "");
    lesson.report(name + "above_shannon", best.error / bound, "times");
    for (int v = size / 2; v < size && size < 8; ++v) {
      lesson.report(fmt::format("{}{}", name, v + 1), best.words[v], "");
      lesson.report(fmt::format("{}{}_share", name, v + 1), 100 * best.shares[v], "%");
    }
    if (size == 2)
      lesson.check(name + "word", best.words[1], "",
                   kit::Expected{std::sqrt(2 / std::numbers::pi), 1e-9});
    if (size == 4) draw_four_words(lesson, best);
  }
  // One word so far away that no draw ever takes it: the others become the best three.
  const Dictionary dead = lloyd({-0.5, 0, 0.5, 50});
  lesson.report("normal_dead_word_share", integral(-(0.5 + 50) / 2), "");
  lesson.check("normal_dead_word_error", dead.error, "", kit::Expected{0.1901740392, 1e-9});
  lesson.check("normal_dead_word", dead.words[3], "", kit::Expected{50, 0});
  // One step of Lloyd's algorithm from -1.5, -0.5, 0.5, 1.5.
  const Dictionary start(spread_words(4));
  lesson.report("density_at_0", density(0), "");
  lesson.report("density_at_1", density(1), "");
  lesson.report("normal_start_share_3", start.shares[2], "");
  lesson.report("normal_start_share_4", start.shares[3], "");
  lesson.report("normal_start_error", start.error, "");
  lesson.report("normal_step_1_word_3", start.means[2], "");
  lesson.report("normal_step_1_word_4", start.means[3], "");
  lesson.report("normal_step_1_error", Dictionary(start.means).error, "");

  const int steps = lesson.options().quick ? 2000 : 10000;
  for (const bool averaged : {true, false}) {
    Rng rng(lesson.options().seed);
    const Dictionary learned(learn_words(averaged, steps, rng));
    lesson.check(averaged ? "normal_learned_by_averages" : "normal_learned_by_gradient",
                 learned.error, "", kit::Expected{0.1174818478, 2e-3});
  }
}

// One number on its way through the dictionary and back.
void work_out_one_number(kit::Lesson& lesson) {
  const OneNumberLoss loss = one_number({});
  const auto check = [&](const std::string& name, double value, double expected, double tolerance) {
    lesson.check("one_number_" + name, value, "", kit::Expected{expected, tolerance});
  };
  // ln p = -1/2 (ln 2 pi + (1 - 2)^2)
  check("reconstruction", loss.reconstruction, 0.5 * (std::log(2 * std::numbers::pi) + 1), 1e-12);
  check("codebook", loss.codebook, 0.09, 1e-12);
  check("commitment", loss.commitment, 0.25 * 0.09, 1e-12);
  check("by_z", loss.by_z, 2 + 0.15, 1e-12);
  check("by_word", loss.by_word, -0.6, 1e-12);
  check("by_v", loss.by_v, 1, 1e-12);
  check("difference_by_z", difference_by_z({}), 0.6 + 0.15, 1e-8);
  // Words, decoder and step held fixed, the encoder's answer wanders to the worse word and back.
  const std::vector<Index> words = words_on_the_way(0.1, 11);
  for (Index step : {6, 7, 8, 11})
    lesson.check(fmt::format("one_number_word_after_{}_steps", step),
                 static_cast<double>(words[step]), "",
                 kit::Expected{step == 7 || step == 11 ? 0.0 : 1.0, 0});
  draw_straight_through(lesson);
}

// A batch twice, and a prior's whole mass.
void check_what_is_exact(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  VqVae<Windows<double>> model(5, 3, rng, Sizes{.side = 8});
  const Tensor<double> x = rng.uniform<double>({6, 64});
  const Tensor<double> twice = concatenate(std::vector{x, x});
  const auto loss_of = [&](const Tensor<double>& images) {
    const auto pass = model.pass(images);
    return mean(model.codebook_loss(pass) + model.commitment_loss(pass) - pass.log_prob).item();
  };
  lesson.check("duplicated_batch_loss", loss_of(twice) / loss_of(x) - 1, "",
               kit::Expected{0, 1e-12});

  nn::Codebook<double>& codebook = model.codebook;
  const Tensor<double> start = codebook.words.value();
  const Tensor<double> start_sums = codebook.sums.value();
  const Tensor<double> start_shares = codebook.shares.value();
  const auto averaged = [&](const Tensor<double>& images) {
    codebook.words.set_value(start);
    codebook.sums.set_value(start_sums);
    codebook.shares.set_value(start_shares);
    const auto pass = model.pass(images);
    codebook.average(pass.z.value(), pass.words, kDecay);
    return codebook.words.value();
  };
  lesson.check("duplicated_batch_words", max(abs(averaged(twice) - averaged(x))).item(), "",
               kit::Expected{0, 1e-12});
  lesson.check("prior_mass_of_all_maps", mass_of_all_maps(rng), "", kit::Expected{1, 1e-12});
}

// ---- Training ----------------------------------------------------------------------------------

// How a dictionary learns its words.
struct Way {
  bool averaged = true;  // words are running averages; otherwise they follow a gradient
  bool from_data = true;
  bool revived = true;
  double commitment = kCommitment;
};

// Trains with a checkpoint after each epoch, and looks at `watched` then.
template <class Net>
kit::History train(kit::Lesson& lesson, const std::string& name, VqVae<Net>& model, const Way& way,
                   int epochs, const Tensor<float>& images, const Tensor<float>& watched,
                   Index width, Rng& rng) {
  nn::Adam<float> adam(model.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, name, {.epochs = epochs, .batch = kBatch, .scheduled = true},
                         model.parameters(), adam, rng);
  const auto measure = [&] {
    const Scores scores = evaluate(model, watched, width);
    return std::vector<kit::Score>{{"-ln p(x|e)", scores.distortion},
                                   {"squared error", scores.error},
                                   {"perplexity", scores.usage.perplexity()}};
  };
  training.record(measure);
  while (!training.done()) {
    const bool last = training.epoch() == epochs - 1;
    for (const Tensor<float>& x : training.minibatches(images)) {
      const Index step = training.step();
      if (step == 0 && way.from_data) model.codebook.start_at(model.net.encode(x).value(), rng);
      Tape<float> tape;
      const auto pass = model.pass(x);
      const auto weight = static_cast<float>(way.commitment);
      Var<float> loss = weight * model.commitment_loss(pass) - pass.log_prob;  // (N)
      if (!way.averaged) loss = loss + model.codebook_loss(pass);
      tape.backward(mean(loss));
      adam.step();
      if (way.averaged) model.codebook.average(pass.z.value(), pass.words, kDecay);
      const Index period = std::min(kStepsToRevival, training.steps() / epochs);
      if (way.revived && !last && (step + 1) % period == 0)
        model.codebook.revive(pass.z.value(), kLeastShare, rng);
    }
    training.record(measure);
  }
  return training.history();
}

// ---- The dictionary of images ------------------------------------------------------------------

void report_course(kit::Lesson& lesson, const kit::History& history, bool known) {
  const std::size_t epochs = history.at("perplexity").size() - 1;
  lesson.report("distortion_untrained", history.at("-ln p(x|e)")[0], kNats);
  lesson.report("distortion_epoch_1", history.at("-ln p(x|e)")[1], kNats);
  lesson.report("squared_error_epoch_1", history.at("squared error")[1], kPerPixel);
  lesson.report("perplexity_epoch_1", history.at("perplexity")[1], "words");
  // Around what tests/references/vq_vae.py has with PyTorch 1.13.
  lesson.check("distortion", history.at("-ln p(x|e)")[epochs], kNats,
               kit::when(known, kit::between(208, 213)));
  lesson.check("squared_error", history.at("squared error")[epochs], kPerPixel,
               kit::when(known, kit::between(0.0075, 0.009)));
  lesson.check("perplexity", history.at("perplexity")[epochs], "words",
               kit::when(known, kit::between(40, 60)));
}

// The main model: trained, and its words looked at.
Scores train_dictionary(kit::Lesson& lesson, OfWindows& model, const kit::ImageData& data) {
  Rng rng(lesson.options().seed);
  const int epochs = lesson.options().epochs;
  const bool known = data.is_full_fashion_mnist() && epochs == kEpochs;
  const kit::History history = train(lesson, "vq_vae", model, {}, epochs, data.train_images,
                                     data.test_images, data.width, rng);
  nn::save_file(model.parameters(), lesson.file("vq_vae.safetensors"));
  if (history.at("perplexity").size() > 1) report_course(lesson, history, known);
  lesson.check("parameters_of_network", static_cast<double>(nn::count(model.net.parameters())), "",
               kit::Expected{(16 * 16 + 16) + (32 * 16 * 16 + 32) + (16 * 32 + 16) +
                                 (32 * 16 * 9 + 32) + (32 * 16 * 16 + 16) + (16 * 16 + 1),
                             0});
  lesson.report("numbers_in_words", static_cast<double>(model.codebook.words.value().size()), "");
  Scores scores = evaluate(model, data.test_images, data.width);
  lesson.report("words_used", static_cast<double>(scores.usage.used()), "of 64");
  lesson.report("most_used_word",
                100 * *std::max_element(scores.usage.shares.begin(), scores.usage.shares.end()),
                "%");
  lesson.report("distance_of_a_place", scores.distance, "");
  lesson.report("squared_length_of_words",
                mean(sum(square(model.codebook.words.value()), {1})).item(), "");
  const Index places = model.places();
  const double uniform = static_cast<double>(places) * std::log(static_cast<double>(kWords));
  lesson.check("rate_uniform", uniform, kNats,
               kit::when(places == 49, {203.785271, 1e-6}));  // 49 ln 64
  lesson.report("bits_of_an_image", uniform / std::log(2.0), "bits");
  draw_words_of_images(lesson, model, first(10, data.test_images), data);
  draw_dictionary(lesson, model, scores.usage, first(2000, data.test_images), data.height);
  return scores;
}

// ---- Other ways to learn words -----------------------------------------------------------------

// The same network on a quarter of the images, for two epochs of three.
void compare_ways(kit::Lesson& lesson, const kit::ImageData& data) {
  struct Case {
    std::string name, label;  // a label where it is drawn
    Way way;
  };

  const std::vector<Case> cases =
      {{"way_averages_data_revival", "first rows, revival", {}},
       {"way_averages_data", "first rows", {.revived = false}},
       {"way_averages_tiny_revival", "tiny, revival", {.from_data = false}},
       {"way_averages_tiny", "tiny", {.from_data = false, .revived = false}},
       {"way_gradient_data", "", {.averaged = false, .revived = false}},
       {"way_gradient_tiny", "", {.averaged = false, .from_data = false, .revived = false}},
       {"way_no_commitment", "", {.revived = false, .commitment = 0}}};
  const bool known = data.is_full_fashion_mnist() && lesson.options().epochs == kEpochs;
  const Tensor<float> images =
      first(std::max(kBatch, data.train_images.extent(0) / 4), data.train_images);
  const Tensor<float> watched = first(1000, data.test_images);
  const int epochs = (lesson.options().epochs + 1) / 2;
  std::vector<NamedUsage> drawn;
  for (const auto& [name, label, way] : cases) {
    Rng rng(lesson.options().seed);
    OfWindows model(kWords, kDimension, rng, Sizes{.side = data.height});
    train(lesson, name, model, way, epochs, images, watched, data.width, rng);
    if (lesson.interrupted()) return;
    const Scores scores = evaluate(model, data.test_images, data.width);
    const auto used = static_cast<double>(scores.usage.used());
    lesson.report(name + "_perplexity", scores.usage.perplexity(), "words");
    lesson.report(name + "_used", used, "of 64");
    lesson.report(name + "_distortion", scores.distortion, kNats);
    lesson.report(name + "_squared_length",
                  mean(sum(square(model.codebook.words.value()), {1})).item(), "");
    if (!label.empty()) drawn.push_back({label, scores.usage});
    if (name == "way_averages_data")
      lesson.check("perplexity_without_revival", scores.usage.perplexity(), "words",
                   kit::when(known, kit::between(1, 20)));
  }
  draw_usage(lesson, drawn);
}

// ---- Priors ------------------------------------------------------------------------------------

void train_prior(kit::Lesson& lesson, WindowPrior<float>& prior, const Tensor<float>& train_maps,
                 const Tensor<float>& test_maps, Rng& rng) {
  const int epochs = (lesson.options().epochs + 1) / 2;
  nn::Adam<float> adam(prior.parameters(), {.learning_rate = kPriorRate});
  kit::Training training(lesson, "prior", {.epochs = epochs, .batch = kBatch, .scheduled = true},
                         prior.parameters(), adam, rng);
  const auto measure = [&] {
    return std::vector<kit::Score>{{"-ln P(words)", cost_of(prior, test_maps)}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& maps : training.minibatches(train_maps)) {
      adam.options.learning_rate = cosine_schedule(kPriorRate, training.step(), training.steps());
      Tape<float> tape;
      tape.backward(-mean(prior.log_prob(words_in(maps))));
      adam.step();
    }
    training.record(measure);
  }
}

// What the codes cost, by what is known of them.
struct Rates {
  double uniform, histogram, place, both, window;
};

// New images: words drawn by three priors, and decoded.
void draw_samples(kit::Lesson& lesson, const OfWindows& model, const Tensor<double>& places,
                  const WindowPrior<float>& prior, const kit::ImageData& data) {
  Rng rng(kSeedOfSamples);
  const std::vector<Index> uniform = rng.integers(10 * model.places(), kWords);
  const std::vector<Index> by_place = sample_places(places, 10, rng);
  const Index more = lesson.options().quick ? 30 : 200;
  const Tensor<float> samples = model.decoded(prior.sample(more, rng));
  const auto row = [&](Index k) { return slice(samples, 0, 10 * k, 10 * k + 10); };
  draw_rows(lesson, "samples", "Clothes need words that know their neighbours",
            "words drawn by each prior, and decoded",
            {{"uniform", model.decoded(uniform)},
             {"each place alone", model.decoded(by_place)},
             {"window", row(0)},
             {"", row(1)},
             {"", row(2)}},
            data);
  // Are they copies of training images? As near to them as what test images decode to.
  const Tensor<float> decoded = model.decoded(model.words_of(first(more, data.test_images)));
  lesson.report("nearest_to_samples", lesson13::distance_to_nearest(samples, data.train_images),
                kPerPixel);
  lesson.report("nearest_to_decoded", lesson13::distance_to_nearest(decoded, data.train_images),
                kPerPixel);
  lesson.report("sharpness_of_samples", lesson13::sharpness(samples, data.width), kPerPixel);
}

// What counting says of the words. The tables themselves are large, and go.
struct Counted {
  CountingPriors::Costs costs, mirrored;  // of the test images' words
  Tensor<double> places;                  // the histogram of each place, (M, V)
};

Counted count_words(const std::vector<Index>& train_words, const std::vector<Index>& test_words,
                    Index side) {
  CountingPriors counting(kWords, side, side);
  counting.add(train_words);
  return {counting.cost_of(test_words), counting.cost_of(mirrored(test_words, side)),
          counting.of_places()};
}

Rates find_rates(kit::Lesson& lesson, const OfWindows& model, const kit::ImageData& data) {
  const bool known = data.is_full_fashion_mnist() && lesson.options().epochs == kEpochs;
  const Index side = data.height / 4;
  const Tensor<float> train_maps = maps_of(model, data.train_images);
  const Tensor<float> test_maps = maps_of(model, data.test_images);
  const std::vector<Index> test_words = words_in(test_maps);
  const Counted counted = count_words(words_in(train_maps), test_words, side);
  const CountingPriors::Costs& costs = counted.costs;
  lesson.report("rate_histogram", costs.histogram, kNats);
  lesson.report("rate_place", costs.place, kNats);
  lesson.report("rate_left", costs.left, kNats);
  lesson.report("rate_left_and_above", costs.both, kNats);

  Rng rng(lesson.options().seed);
  WindowPrior<float> prior(kWords, side, kPriorHidden, rng);
  lesson.report("parameters_of_prior", static_cast<double>(nn::count(prior.parameters())), "");
  train_prior(lesson, prior, train_maps, test_maps, rng);
  nn::save_file(prior.parameters(), lesson.file("prior.safetensors"));
  const double window = cost_of(prior, test_maps);
  // Around what tests/references/vq_vae.py has with PyTorch 1.13.
  lesson.check("rate_window", window, kNats, kit::when(known, kit::between(88, 100)));
  lesson.report("rate_window_in_bits", window / std::log(2.0), "bits");
  const Tensor<float> mirror_maps = maps_from(mirrored(test_words, side), side * side);
  lesson.report("rate_window_mirrored", cost_of(prior, mirror_maps), kNats);
  lesson.report("rate_left_and_above_mirrored", counted.mirrored.both, kNats);
  if (!lesson.interrupted()) draw_samples(lesson, model, counted.places, prior, data);
  const double uniform = static_cast<double>(side * side) * std::log(static_cast<double>(kWords));
  return {uniform, costs.histogram, costs.place, costs.both, window};
}

// ---- Beside a VAE ------------------------------------------------------------------------------

// What a model's code costs and what it leaves.
struct Point {
  double rate, distortion;
};

Point report_point(kit::Lesson& lesson, const std::string& name, double rate, double distortion,
                   double error, double sharpness) {
  lesson.report(name + "_rate", rate, kNats);
  lesson.report(name + "_distortion", distortion, kNats);
  lesson.report(name + "_negative_elbo", rate + distortion, kNats);
  lesson.report(name + "_squared_error", error, kPerPixel);
  lesson.report(name + "_sharpness", sharpness, kPerPixel);
  return {rate, distortion};
}

int epochs_beside(const kit::Options& options) {
  return options.quick ? options.epochs : options.epochs * kEpochsOfLayers / kEpochs;
}

// Lesson 13's VAE.
Point train_vae(kit::Lesson& lesson, const kit::ImageData& data) {
  Rng rng(lesson.options().seed);
  lesson13::Vae<float> vae(data.height * data.width, kHidden, kLatents, rng);
  nn::Adam<float> adam(vae.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, "vae",
                         {.epochs = epochs_beside(lesson.options()), .batch = kBatch},
                         vae.parameters(), adam, rng);
  const Tensor<float> watched = first(1000, data.test_images);
  const auto measure = [&] {
    return std::vector<kit::Score>{
        {"-ELBO", lesson13::evaluate(vae, watched, Rng(kSeedOfScores)).negative_elbo()}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(data.train_images)) {
      Tape<float> tape;
      tape.backward(-mean(vae.elbo(x, rng).total()));
      adam.step();
    }
    training.record(measure);
  }
  const lesson13::ElboMeans parts = lesson13::evaluate(vae, data.test_images, Rng(kSeedOfScores));
  const lesson13::Sharpness sharpness =
      lesson13::sharpness_through(vae, data.test_images, data.width, Rng(kSeedOfScores));
  lesson.report("sharpness_of_images", sharpness.images, kPerPixel);
  return report_point(lesson, "vae", parts.kl, -parts.reconstruction, sharpness.error,
                      sharpness.means);
}

// The same layers with four words between them, which cost as much as the VAE's code.
Point train_layers(kit::Lesson& lesson, const kit::ImageData& data) {
  constexpr Index kPlaces = 4;
  constexpr Index kShort = 8;  // numbers in a word
  const bool known = data.is_full_fashion_mnist() && lesson.options().epochs == kEpochs;
  Rng rng(lesson.options().seed);
  OfLayers layers(kWords, kShort, rng, data.height * data.width, kHidden, kPlaces);
  train(lesson, "layers", layers, {}, epochs_beside(lesson.options()), data.train_images,
        first(1000, data.test_images), data.width, rng);
  const Scores scores = evaluate(layers, data.test_images, data.width);
  const double rate = static_cast<double>(kPlaces) * std::log(static_cast<double>(kWords));
  lesson.check("layers_bits", rate / std::log(2.0), "bits", kit::Expected{24, 1e-12});
  lesson.report("layers_perplexity", scores.usage.perplexity(), "words");
  lesson.check("layers_distortion_as_known", scores.distortion, kNats,
               kit::when(known, kit::between(230, 235)));
  CountingPriors counting(kWords, 1, kPlaces);
  counting.add(words_in(maps_of(layers, data.train_images)));
  const CountingPriors::Costs costs = counting.cost_of(scores.words);
  lesson.report("layers_rate_place", costs.place, kNats);
  lesson.report("layers_rate_left", costs.left, kNats);
  return report_point(lesson, "layers", rate, scores.distortion, scores.error, scores.sharpness);
}

// Pieces of 4 x 4 pixels and 64 words for them, by k-means: as many words for an image.
Point cut_into_pieces(kit::Lesson& lesson, double uniform, const kit::ImageData& data) {
  Rng rng(lesson.options().seed);
  nn::Codebook<float> codebook("pieces", kWords, 16, rng);
  const bool quick = lesson.options().quick;
  const Tensor<float> pieces = pieces_of(first(quick ? 500 : 6000, data.train_images), data.height);
  codebook.start_at(pieces, rng);
  k_means(codebook, pieces, quick ? 10 : 40, rng);
  const PieceScores scores = score_pieces(codebook, data.test_images, data.height);
  lesson.report("pieces_distortion", scores.distortion, kNats);
  lesson.report("pieces_squared_error", scores.error, kPerPixel);
  lesson.report("pieces_perplexity", scores.usage.perplexity(), "words");
  return {uniform, scores.distortion};
}

void compare_rates(kit::Lesson& lesson, const Scores& of_windows, const Rates& rates,
                   const kit::ImageData& data) {
  const Point pieces = cut_into_pieces(lesson, rates.uniform, data);
  const Point vae = train_vae(lesson, data);
  if (lesson.interrupted()) return;
  const Point layers = train_layers(lesson, data);
  if (lesson.interrupted()) return;
  const double left = of_windows.distortion;
  report_point(lesson, "windows_uniform", rates.uniform, left, of_windows.error,
               of_windows.sharpness);
  report_point(lesson, "windows", rates.window, left, of_windows.error, of_windows.sharpness);
  lesson.report("layers_behind_vae", layers.rate + layers.distortion - vae.rate - vae.distortion,
                kNats);
  lesson.report("windows_cost_more", rates.window - vae.rate, kNats);
  lesson.report("windows_leave_less", vae.distortion - left, kNats);
  lesson.report("windows_times_rate_of_vae", rates.window / vae.rate, "times");
  lesson.report("windows_behind_vae", rates.window + left - vae.rate - vae.distortion, kNats);
  draw_rates(lesson, {{"VAE", vae.rate, vae.distortion, 1, RateRow::kBelow},
                      {"4 words", layers.rate, layers.distortion, 2},
                      {"window", rates.window, left, 3, RateRow::kLeft},
                      {"left, above", rates.both, left, 3, RateRow::kAbove},
                      {"each place", rates.place, left, 3, RateRow::kAbove},
                      {"uniform", rates.uniform, left, 3, RateRow::kAbove},
                      {"k-means", pieces.rate, pieces.distortion, 4, RateRow::kAbove}});
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  find_words_of_a_number(lesson);
  work_out_one_number(lesson);
  check_what_is_exact(lesson);
  Rng rng(lesson.options().seed);
  OfWindows model(kWords, kDimension, rng, Sizes{.side = data.height});
  const Scores scores = train_dictionary(lesson, model, data);
  if (lesson.interrupted() || lesson.options().epochs == 0) return;
  compare_ways(lesson, data);
  if (lesson.interrupted()) return;
  const Rates rates = find_rates(lesson, model, data);
  if (lesson.interrupted()) return;
  compare_rates(lesson, scores, rates, data);
}

}  // namespace
}  // namespace gradus::lesson19

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "19_vq_vae",
                           .title = "Codes that are words of a dictionary",
                           .epochs = gradus::lesson19::kEpochs,
                           .quick_epochs = 3},
                          argc, argv, gradus::lesson19::run);
}
