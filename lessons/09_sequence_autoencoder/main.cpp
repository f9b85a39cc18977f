// Lesson 09: a code for a word, which one recurrent network reads and another writes.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/09_sequence_autoencoder/figures.hpp"
#include "lessons/09_sequence_autoencoder/instruments.hpp"
#include "lessons/09_sequence_autoencoder/model.hpp"
#include "lessons/09_sequence_autoencoder/words.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"

namespace gradus::lesson09 {
namespace {

constexpr Index kBatch = 128;
constexpr int kEpochs = 7;
constexpr double kRate = 5e-3;  // the largest; it rises to there, and falls
constexpr double kLongestGradient = 1;

// ---- On paper ----------------------------------------------------------------------------------

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// One step of a GRU in which all is 1, and what two other definitions make of it.
void step_once(kit::Lesson& lesson) {
  Rng rng(0);
  nn::Gru<double> gru("gru", 1, 1, rng);
  make_ones(gru, 1);
  const nn::GruCell<double> cell = gru.cell();
  const double h = cell(cell.input_sums(full<double>({1, 1}, 1)), full<double>({1, 1}, 0.5)).item();
  const double gate = logistic(1.5);  // of both
  const double n = std::tanh(1 + gate * (0.5 + 1));
  const double reset_before = std::tanh(1 + gate * 0.5 + 1);
  lesson.check("one_step", h, "", kit::Expected{0.5870123346, 1e-10});
  lesson.report("one_step_gate", gate, "");
  lesson.report("one_step_candidate", n, "");
  const double without_c = std::tanh(1 + gate * 0.5);
  lesson.report("candidate_without_c", without_c, "");
  lesson.report("one_step_without_c", without_c + gate * (0.5 - without_c), "");
  lesson.check("one_step_gate_swapped", 0.5 + gate * (n - 0.5), "",
               kit::Expected{0.8899622291, 1e-10});
  lesson.check("one_step_reset_before", reset_before + gate * (0.5 - reset_before), "",
               kit::Expected{0.5882861048, 1e-10});
}

// h_t = w h_(t-1) + x, twelve times.
void repeat_a_product(kit::Lesson& lesson) {
  const Linear1D from_one = linear_recurrence(0.9, 0, 1, 12);
  const Linear1D with_input = linear_recurrence(0.9, 1, 0, 12);
  lesson.check("power", from_one.value, "", kit::Expected{std::pow(0.9, 12), 1e-12});
  lesson.check("power_slope", from_one.slope, "", kit::Expected{12 * std::pow(0.9, 11), 1e-12});
  double total = 0, slope = 0;
  for (int k = 0; k < 12; ++k) {
    total += std::pow(0.9, k);
    slope += k * std::pow(0.9, k - 1);
  }
  lesson.check("sum_of_powers", with_input.value, "", kit::Expected{total, 1e-12});
  lesson.check("sum_of_powers_slope", with_input.slope, "", kit::Expected{slope, 1e-11});
  const Linear1D growing = linear_recurrence(1.1, 0, 1, 12);
  lesson.check("power_of_1_1", growing.value, "", kit::Expected{std::pow(1.1, 12), 1e-12});
  lesson.check("power_of_1_1_slope", growing.slope, "",
               kit::Expected{12 * std::pow(1.1, 11), 1e-11});
}

// What is left of the first state after some steps in which only the update gate does anything.
void keep_a_state(kit::Lesson& lesson) {
  const auto kept = [](double bias, Index steps) {
    Rng rng(0);
    nn::Gru<double> gru("gru", 1, 1, rng);
    make_gate_only(gru, bias);
    Tape<double> tape;
    const nn::GruCell<double> cell = gru.cell();
    const Var<double> first = tape.leaf(full<double>({1, 1}, 0.5));
    Var<double> h = first;
    for (Index t = 0; t < steps; ++t) h = cell(cell.input_sums(full<double>({1, 1}, 1)), h);
    return gradient(sum(h), {first})[0].item();
  };
  for (int bias : {0, 1, 3})
    lesson.check(fmt::format("kept_12_steps_bias_{}", bias), kept(bias, 12), "",
                 kit::Expected{std::pow(logistic(bias), 12), 1e-12});
  const double q = std::pow(2, -1.0 / 28);
  const double bias = std::log(q / (1 - q));
  lesson.report("bias_that_keeps_half", bias, "");
  lesson.check("kept_28_steps", kept(bias, 28), "", kit::Expected{0.5, 1e-12});
}

// ---- How gradients fade ------------------------------------------------------------------------

// Over 28 steps, in networks that were never trained.
void let_gradients_fade(kit::Lesson& lesson) {
  constexpr Index kFar = 28;
  std::vector<Fading> curves;
  const auto add = [&](const std::string& name, const std::string& label,
                       const std::vector<double>& lengths) {
    for (Index k : {Index{1}, Index{4}, Index{12}, kFar})
      lesson.report(fmt::format("gradient_{}_{}", name, k), lengths[k], "");
    curves.push_back({label, lengths});
  };
  Rng rng(lesson.options().seed);
  add("gru", "GRU", gru_gradients(0, kFar, rng));
  add("gru_bias_3", "GRU, bias 3", gru_gradients(3, kFar, rng));
  add("tanh", "tanh, no gates", tanh_gradients(kFar, rng));
  draw_fading(lesson, "fading", "Untrained, a GRU forgets faster than tanh alone",
              "random inputs; bias 3: of the update gate", curves);
}

// Words whose first and last letters are far apart.
Tensor<float> longest(const std::vector<std::string>& words) {
  std::vector<std::string> result;
  for (const std::string& word : words)
    if (std::ssize(word) == kSteps - 1) result.push_back(word);
  return symbols_of<float>(result);
}

// ---- Training ----------------------------------------------------------------------------------

void make_step(Model& model, nn::Adam<float>& adam, const Tensor<float>& x) {
  Tape<float> tape;
  tape.backward(model.loss(x));
  clip_gradients(model.parameters(), kLongestGradient);
  adam.step();
}

// Trains the main model, with a checkpoint after each epoch.
kit::History train(kit::Lesson& lesson, Model& model, Rng& rng, const Tensor<float>& words,
                   const Tensor<float>& held_out) {
  nn::Adam<float> adam(model.parameters());
  kit::Training training(lesson, "sequence_autoencoder",
                         {.epochs = lesson.options().epochs, .batch = kBatch, .scheduled = true},
                         model.parameters(), adam, rng);
  const auto measure = [&] {
    const Score now = score(model, held_out);
    return std::vector<kit::Score>{{"loss", now.loss}, {"whole words %", now.alone.exact}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(words)) {
      adam.options.learning_rate = warm_cosine_schedule(kRate, training.step(), training.steps());
      make_step(model, adam, x);
    }
    training.record(measure);
  }
  return training.history();
}

// Trains another one from the same start, and looks at it on the way.
Run train_beside(kit::Lesson& lesson, const std::string& label, Reading reading, Index steps,
                 const Tensor<float>& words, const Tensor<float>& held_out) {
  Rng rng(lesson.options().seed);
  Model model({}, reading, rng);
  nn::Adam<float> adam(model.parameters());
  Run run{.label = label, .steps = {}, .scores = {}};
  kit::Steps progress(lesson, fmt::format("training, {}", label), steps);
  for (const Tensor<float>& x : progress.minibatches(words, kBatch, rng)) {
    adam.options.learning_rate = warm_cosine_schedule(kRate, progress.done(), steps);
    make_step(model, adam, x);
    const Index done = progress.done() + 1;
    if (done % (steps / 8) != 0) continue;
    run.steps.push_back(static_cast<double>(done));
    run.scores.push_back(score(model, held_out));
  }
  return run;
}

// The two directions of reading.
void compare_directions(kit::Lesson& lesson, const Tensor<float>& words,
                        const Tensor<float>& held_out) {
  const Index steps = lesson.options().quick ? 16 : 1000;
  const std::vector<std::pair<std::string, Reading>> cases = {{"backwards", Reading::kBackwards},
                                                              {"forwards", Reading::kForwards}};
  std::vector<Run> runs;
  for (const auto& [name, reading] : cases) {
    runs.push_back(train_beside(lesson, name, reading, steps, words, held_out));
    if (lesson.interrupted()) return;
    const Run& run = runs.back();
    for (std::size_t i = 1; i < run.steps.size(); i += 2)
      lesson.report(fmt::format("whole_{}_{:.0f}_steps", name, run.steps[i]),
                    run.scores[i].alone.exact, "%");
    Index differ = 0;
    for (const Score& score : run.scores) differ += score.words_that_differ;
    lesson.check(fmt::format("words_that_differ_{}", name), static_cast<double>(differ), "words",
                 kit::Expected{0, 0});
    const Score& half = run.scores[run.scores.size() / 2 - 1];
    lesson.report(fmt::format("symbols_alone_{}", name), half.alone.symbols, "%");
    lesson.report(fmt::format("symbols_with_teacher_{}", name), half.with_teacher.symbols, "%");
  }
  draw_rates(lesson, runs);
}

// ---- What a code can do ------------------------------------------------------------------------

// Strings of several kinds, as long as the held-out words.
void code_strings(kit::Lesson& lesson, const Model& model, const std::vector<std::string>& words) {
  Rng rng(lesson.options().seed + 1);
  const std::vector<Share> shares = {{"words", exact(model, words)},
                                     {"words, reversed", exact(model, reversed(words))},
                                     {"letters as frequent",
                                      exact(model, frequent_strings(words, rng))},
                                     {"any letters", exact(model, uniform_strings(words, rng))}};
  const std::vector<std::string> names = {"words", "reversed", "frequent", "uniform"};
  for (std::size_t i = 1; i < shares.size(); ++i)
    lesson.report(fmt::format("whole_{}", names[i]), shares[i].percent, "%");
  draw_shares(lesson, "strings",
              {.title = "A code for words is not a code for strings",
               .note = "strings as long as the held-out words",
               .y_label = "% that come back whole"},
              shares);
}

// Adds the mean difference of an ending, and of a beginning.
void add_endings(kit::Lesson& lesson, const Model& model, const std::vector<std::string>& words) {
  const std::vector<std::pair<std::string, std::string>> affixes = {{"", "s"},  {"", "ed"},
                                                                    {"", "er"}, {"", "ing"},
                                                                    {"", "ly"}, {"re", ""},
                                                                    {"un", ""}};
  Rng rng(lesson.options().seed + 2);
  std::vector<Share> shares;
  for (const auto& [beginning, ending] : affixes) {
    const std::vector<Pair> pairs = pairs_with(words, beginning, ending, rng);
    if (pairs.size() < 20) continue;
    const Arithmetic result = add_mean_difference(model, pairs);
    const std::string name = fmt::format("{}{}", beginning, ending);
    lesson.report(fmt::format("pairs_{}", name), static_cast<double>(result.pairs), "pairs");
    lesson.report(fmt::format("reached_{}", name), result.exact, "%");
    lesson.report(fmt::format("common_{}", name), result.common, "%");
    shares.push_back(
        {ending.empty() ? fmt::format("{}-", name) : fmt::format("-{}", name), result.exact});
  }
  if (!shares.empty())
    draw_shares(lesson, "endings",
                {.title = "Endings can be added to codes, beginnings cannot",
                 .note = "words whose code and one vector for all decode to the right new word",
                 .y_label = "% of words"},
                shares);
}

void look_at_neighbours(kit::Lesson& lesson, const Model& model, const WordList& list,
                        const Tensor<float>& codes) {
  std::vector<std::string> some;
  for (std::size_t i = 0; i < list.held_out.size(); i += 4) some.push_back(list.held_out[i]);
  const std::vector<std::string> near = nearest(model, some, list.all, codes);
  Rng rng(lesson.options().seed + 3);
  double of_near = 0, of_any = 0;
  for (std::size_t i = 0; i < some.size(); ++i) {
    of_near += static_cast<double>(edit_distance(some[i], near[i]));
    of_any +=
        static_cast<double>(edit_distance(some[i], list.all[rng.integer(std::ssize(list.all))]));
  }
  const auto count = static_cast<double>(some.size());
  lesson.report("edits_to_nearest", of_near / count, "letters");
  lesson.report("edits_to_any", of_any / count, "letters");
  const Nearness of_meaning = nearness(model, synonyms());
  lesson.report("distance_of_synonyms", of_meaning.pairs, "");
  lesson.report("distance_of_others", of_meaning.others, "");
  for (std::size_t i = 0; i < some.size(); i += 43)
    fmt::print("nearest to {}: {}\n", some[i], near[i]);
}

// Words on a straight line from the code of one to that of another.
void walk(const Model& model) {
  const std::vector<Pair> ways = {{"winter", "summer"}, {"sequence", "code"}, {"good", "evil"}};
  for (const Pair& way : ways) {
    const Tensor<float> ends = codes_of(model, symbols_of<float>({way.word, way.made}));
    std::string line;
    for (const std::string& word : spell(model, points_between(ends, 9)))
      line += fmt::format(" {}", word);
    fmt::print("from {} to {}:{}\n", way.word, way.made, line);
  }
}

// Codes drawn from the normal distribution that has the codes' mean and covariance.
void draw_codes(kit::Lesson& lesson, const Model& model, const WordList& list,
                const Tensor<float>& codes) {
  constexpr Index kDraws = 2000;
  Rng rng(lesson.options().seed + 4);
  const std::vector<std::string> said = spell(model, gaussian_codes(codes, kDraws, rng));
  const std::set<std::string> known(list.all.begin(), list.all.end());
  lesson.report("drawn_codes_are_words", share_on(known, said), "%");
  const std::vector<std::string> random = frequent_strings(said, rng);
  lesson.report("frequent_letters_are_words", share_on(known, random), "%");
  std::string line;
  for (std::size_t i = 0; i < 24; ++i) line += fmt::format(" {}", said[i]);
  fmt::print("drawn:{}\n", line);
}

void run(kit::Lesson& lesson) {
  step_once(lesson);
  repeat_a_product(lesson);
  keep_a_state(lesson);
  draw_network(lesson);
  let_gradients_fade(lesson);

  const WordList list = read_words(kit::data_file("words.txt"), lesson.options().quick);
  const Tensor<float> words = symbols_of<float>(list.train);
  const Tensor<float> held_out = symbols_of<float>(list.held_out);
  lesson.report("words", static_cast<double>(list.all.size()), "");
  lesson.report("bits_to_name_a_word", std::log2(static_cast<double>(list.all.size())), "bits");

  Rng rng(lesson.options().seed);
  Model model({}, Reading::kBackwards, rng);
  lesson.check("parameters", static_cast<double>(nn::count(model.parameters())), "",
               kit::Expected{149435, 0});
  lesson.check("untrained_loss", model.loss(held_out).item(), "nats per symbol",
               kit::Expected{std::log(27), 1e-5});
  const Tensor<float> of_ten = longest(list.held_out);
  Rng directions(lesson.options().seed);
  const std::vector<double> before = encoder_gradients(model, of_ten, directions);
  const kit::History history = train(lesson, model, rng, words, held_out);
  nn::save_file(model.parameters(), lesson.file("sequence_autoencoder.safetensors"));
  const int epochs = static_cast<int>(std::ssize(history.at("loss"))) - 1;
  if (lesson.interrupted() || epochs == 0) return;

  const std::vector<double> after = encoder_gradients(model, of_ten, directions);
  lesson.report("through_11_steps_before", before[11], "");
  lesson.report("through_11_steps_after", after[11], "");
  draw_fading(lesson, "trained", "Training teaches the encoder to remember",
              "the encoder on held-out words of ten letters",
              {{"before", before}, {"after", after}});

  const Score final = score(model, held_out);
  const bool full = !lesson.options().quick && epochs >= kEpochs;
  lesson.check("whole_words", final.alone.exact, "%", kit::when(full, kit::between(97, 100)));
  lesson.report("symbols", final.alone.symbols, "%");
  lesson.report("loss", final.loss, "nats per symbol");
  lesson.check("words_that_differ", static_cast<double>(final.words_that_differ), "words",
               kit::Expected{0, 0});
  lesson.report("whole_train_words", exact(model, list.train), "%");

  const Tensor<float> codes = codes_of(model, symbols_of<float>(list.all));
  const lesson01::Pca<float> pca = lesson01::fit_pca(codes);
  lesson.report("first_axis_and_length", correlation_with_length(pca.encode(codes, 1), list.all),
                "");
  draw_map(lesson, pca.encode(codes_of(model, held_out), 2), list.held_out);
  code_strings(lesson, model, list.held_out);
  add_endings(lesson, model, list.all);
  look_at_neighbours(lesson, model, list, codes);
  walk(model);
  draw_codes(lesson, model, list, codes);
  compare_directions(lesson, words, held_out);
}

}  // namespace
}  // namespace gradus::lesson09

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "09_sequence_autoencoder",
                           .title = "The sequence autoencoder",
                           .epochs = gradus::lesson09::kEpochs,
                           .quick_epochs = 3},
                          argc, argv, gradus::lesson09::run);
}
