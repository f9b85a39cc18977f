// Lesson 18: the conditional VAE. What a label is worth, and whether what draws can recognise.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/18_conditional_vae/figures.hpp"
#include "lessons/18_conditional_vae/instruments.hpp"
#include "lessons/18_conditional_vae/model.hpp"
#include "lessons/18_conditional_vae/on_paper.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/in_parts.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson18 {
namespace {

constexpr Index kHidden = 400, kLatents = 20, kBatch = 128;
constexpr int kEpochs = 10, kClassifierEpochs = 5, kProbeEpochs = 3;
constexpr double kRate = 1e-3;
constexpr double kPlaneEnd = 5;        // of the plane of two latents over which one sums
constexpr Index kFewestOfAClass = 10;  // with fewer, nothing can be learned from a class
const std::string kNats = "nats/image";

// Measurements draw random numbers of their own, the same in every run: --seed changes the models,
// and not the yardstick.
constexpr std::uint64_t kSeedOfScores = 1, kSeedOfSamples = 2, kSeedOfChoices = 3;

// ---- On paper ----------------------------------------------------------------------------------

// Lesson 11's dogs and cats. The expected values are the formulas of the text, written out, and the
// integral of tests/references/conditional_vae.py.
void work_out_two_kinds(kit::Lesson& lesson) {
  const double p_dog = 1 / (1 + std::exp(-2 * 0.7));
  const auto check = [&](const std::string& name, double value, double expected) {
    lesson.check(name, value, "nats", kit::Expected{expected, 1e-9});
  };
  lesson.report("dog_density", std::exp(TwoKinds::log_dog(0.7)), "");
  lesson.report("evidence_density", std::exp(TwoKinds::log_evidence(0.7)), "");
  lesson.check("dog_posterior", std::exp(-TwoKinds::cost_of_dog(0.7)), "",
               kit::Expected{p_dog, 1e-12});
  check("dog_worth", TwoKinds::worth_of_dog(0.7), std::log(2.0) + std::log(p_dog));
  check("dog_cost", TwoKinds::cost_of_dog(0.7), -std::log(p_dog));
  lesson.report("ln_2", std::log(2.0), "nats");
  lesson.report("dog_worth_at_minus_1", TwoKinds::worth_of_dog(-1), "nats");
  lesson.report("dog_cost_at_minus_1", TwoKinds::cost_of_dog(-1), "nats");
  check("mean_worth", TwoKinds::mutual_information(0.5), 0.3368308203);
  lesson.report("mean_cost", std::log(2.0) - TwoKinds::mutual_information(0.5), "nats");
  lesson.check("bayes_accuracy", normal_share_below(1), "", kit::Expected{0.8413447461, 1e-9});
  lesson.report("bayes_accuracy_in_percent", 100 * normal_share_below(1), "%");
  // Exercise 6: a prior of 0.3 for dogs.
  const double rare = 0.3 / (0.3 + 0.7 * std::exp(-2 * 0.7));
  lesson.check("exercise_6_posterior", rare, "", kit::Expected{0.6347622805, 1e-9});
  lesson.report("exercise_6_sum", -std::log(0.3), "nats");
  lesson.report("exercise_6_cost", -std::log(rare), "nats");
  lesson.report("exercise_6_worth", -std::log(0.3) + std::log(rare), "nats");
  check("exercise_6_mean_worth", TwoKinds::mutual_information(0.3), 0.2918575179);
  draw_worth(lesson);
}

// Whatever the scores, what the label saves and what it costs add up to ln C.
void check_identity(kit::Lesson& lesson) {
  Rng rng(kSeedOfChoices);
  const Tensor<double> nonsense = 30.0 * rng.normal<double>({1000, 10});
  const Verdict verdict = judge(nonsense, rng.integers(1000, 10));
  lesson.report("nonsense_saves", verdict.gain(), kNats);
  lesson.report("nonsense_costs", verdict.cross_entropy, kNats);
  lesson.check("nonsense_sum", verdict.gain() + verdict.cross_entropy, kNats,
               kit::Expected{std::log(10.0), 1e-12});

  // sum_y p(y) p(x|y) over y and then z, and over all pairs at once, of a small CVAE.
  constexpr Index kClasses = 3;
  const Cvae<double> cvae(6, 5, 2, kClasses, rng);
  const Tensor<double> x = rng.uniform<double>({4, 6});
  const Tensor<double> by_class = evidence_by_class(cvae, x, 60, 6);
  const Tensor<double> mixture = logsumexp(by_class, {1}) - std::log(static_cast<double>(kClasses));
  double largest = 0;
  for (Index i = 0; i < x.extent(0); ++i) {
    double p = 0;
    const Tensor<double> z = cell_middles<double>(60, 6);
    const double area = 0.2 * 0.2;
    for (Index c = 0; c < kClasses; ++c) {
      const Tensor<double> log_p = cvae.decode(z, same_label<double>(z.extent(0), c, kClasses))
                                       .log_prob(slice(x, 0, i, i + 1))
                                       .value();
      const Tensor<double> prior = nn::Normal<double>::standard().log_prob(z).value();
      p += sum(exp(log_p + prior)).item() * area / kClasses;
    }
    largest = std::max(largest, std::abs(std::log(p) - mixture(i)));
  }
  lesson.check("mixture_of_evidences", largest, "nats", kit::Expected{0, 1e-9});
}

// ---- Data --------------------------------------------------------------------------------------

bool all_the_same(const Tensor<float>& x) { return max(max(x, {0}) + max(-x, {0})).item() == 0; }

// What cannot be learned or measured is said before the work begins.
void require_use(const kit::ImageData& data) {
  const Index classes = std::ssize(data.class_names);
  if (classes < 2)
    fail(
        "lesson 18 is about labels, but all images of {} have the same one: it needs two classes "
        "at least",
        data.name);
  const auto train = by_class(data.train_labels, classes);
  const auto test = by_class(data.test_labels, classes);
  for (Index c = 0; c < classes; ++c) {
    const std::string& name = data.class_names[c];
    if (std::ssize(train[c]) < kFewestOfAClass)
      fail(
          "lesson 18 needs {} training images of each label from 0 to {}, but {} has {} of label "
          "{} ({}): take a larger set, or number the classes without gaps",
          kFewestOfAClass, classes - 1, data.name, train[c].size(), c, name);
    if (test[c].empty())
      fail(
          "lesson 18 needs test images of each label from 0 to {}, but {} has none of label {} "
          "({})",
          classes - 1, data.name, c, name);
    if (all_the_same(gather_rows(data.train_images, train[c])))
      fail(
          "lesson 18 needs images that differ, but the {} training images of label {} ({}) of {} "
          "are all the same",
          train[c].size(), c, name, data.name);
  }
}

// The images with their labels. The training images are kept once only, beside their labels.
struct Set {
  kit::ImageData images;  // without the training images
  Index classes;
  Tensor<float> joined;  // (N, D + C): training images with their labels
  Tensor<float> labels;  // (M, C): of the test images
  Tensor<float> tests;   // (M, D + C): test images with them
  bool known;            // whether the numbers of a default run apply

  Set(kit::ImageData data, const kit::Options& options)
      : images(std::move(data)),
        classes(std::ssize(images.class_names)),
        joined(with_labels(images.train_images, images.train_labels, classes)),
        labels(nn::one_hot<float>(images.test_labels, classes)),
        tests(with_labels(images.test_images, images.test_labels, classes)),
        known(images.is_full_fashion_mnist() && options.epochs == kEpochs) {
    images.train_images = {};
  }

  Index pixels() const { return images.height * images.width; }

  double log_classes() const { return std::log(static_cast<double>(classes)); }
};

Set load(kit::Lesson& lesson) {
  kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  return {std::move(data), lesson.options()};
}

// ---- Training ----------------------------------------------------------------------------------

Elbo<float> elbo_of(const Vae<float>& vae, const Labelled<float>& examples, Rng& rng) {
  return vae.elbo(examples.x, rng);
}

Elbo<float> elbo_of(const Cvae<float>& cvae, const Labelled<float>& examples, Rng& rng) {
  return cvae.elbo(examples.x, examples.y, rng);
}

// The ELBO of the test images by one z each, and its KL.
template <class Net> std::vector<kit::Score> elbo_scores(const Net& net, const Set& set) {
  Rng rng(kSeedOfScores);
  double reconstruction = 0;
  double kl = 0;
  in_parts(
      set.tests,
      [&](const Tensor<float>& part) {
        const Elbo<float> elbo = elbo_of(net, Labelled<float>(part, set.classes), rng);
        reconstruction += sum(elbo.reconstruction).item();
        kl += sum(elbo.kl).item();
      },
      kScoredTogether);
  const auto n = static_cast<double>(set.tests.extent(0));
  return {{"-ELBO", (kl - reconstruction) / n}, {"KL", kl / n}};
}

// A VAE, or a CVAE, and its training. The sizes are those of its constructor.
template <class Net> struct Experiment {
  template <class... Sizes>
  Experiment(const std::string& name, std::uint64_t seed, Sizes... sizes)
      : name(name), rng(seed), net(sizes..., rng) {}

  std::string name;
  Rng rng;
  Net net;
  kit::History history = {};
};

using OfVae = Experiment<Vae<float>>;
using OfCvae = Experiment<Cvae<float>>;

// The -ELBO of the test images by PyTorch 1.13, with the same layers and training: of the VAE that
// of lesson 13, of the CVAE by tests/references/conditional_vae.py. Seeds differ by 0.1.
std::optional<kit::Expected> reference(const std::string& name) {
  if (name == "vae") return kit::Expected{244.1, 1};
  if (name == "cvae") return kit::Expected{241.0, 1};
  return std::nullopt;
}

template <class Net>
void train(kit::Lesson& lesson, Experiment<Net>& experiment, int epochs, const Set& set) {
  Net& net = experiment.net;
  Rng& rng = experiment.rng;
  nn::Adam<float> adam(net.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, experiment.name, {.epochs = epochs, .batch = kBatch},
                         net.parameters(), adam, rng);
  const auto measure = [&] { return elbo_scores(net, set); };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& batch : training.minibatches(set.joined)) {
      const Labelled<float> examples(batch, set.classes);
      Tape<float> tape;
      tape.backward(-mean(elbo_of(net, examples, rng).total()));
      adam.step();
    }
    training.record(measure);
  }
  experiment.history = training.history();
  if (lesson.interrupted()) return;
  nn::save_file(net.parameters(), lesson.file(experiment.name + ".safetensors"));
  lesson.report(experiment.name + "_kl", experiment.history.at("KL").back(), kNats);
  lesson.check(experiment.name + "_negative_elbo", experiment.history.at("-ELBO").back(), kNats,
               set.known ? reference(experiment.name) : std::nullopt);
  lesson.report(experiment.name + "_parameters", static_cast<double>(nn::count(net.parameters())),
                "");
}

// Trains a classifier on examples with labels beside them, for so many steps.
void train_classifier(kit::Lesson& lesson, const std::string& label, Classifier<float>& classifier,
                      const Tensor<float>& joined, Index classes, Index steps, double rate,
                      Rng& rng) {
  nn::Adam<float> adam(classifier.parameters(), {.learning_rate = rate});
  kit::Steps all(lesson, label, steps);
  for (const Tensor<float>& batch : all.minibatches(joined, kBatch, rng)) {
    const Labelled<float> examples(batch, classes);
    Tape<float> tape;
    tape.backward(-mean(classifier.log_prob(examples.x, examples.y)));
    adam.step();
  }
}

Index steps_of_epochs(Index examples, Index epochs) {
  return epochs * ((examples + kBatch - 1) / kBatch);
}

// ---- What scores say ---------------------------------------------------------------------------

// Reports what a classifier is worth.
Verdict report_verdict(kit::Lesson& lesson, const std::string& name, const Tensor<double>& scores,
                       const std::vector<Index>& labels) {
  const Verdict verdict = judge(scores, labels);
  lesson.report(name + "_accuracy", 100 * verdict.accuracy, "%");
  lesson.report(name + "_cross_entropy", verdict.cross_entropy, kNats);
  lesson.report(name + "_calibration_error", 100 * verdict.calibration_error(), "%");
  return verdict;
}

std::vector<Index> first_labels(const Set& set, Index n) {
  return set.images.first_test_labels(std::min(n, set.images.test_images.extent(0)));
}

// ---- What the label is worth -------------------------------------------------------------------

// The CVAE's mean bound of ln p(x|y) less the VAE's of ln p(x), in two parts: the label's, and how
// much higher the bound of ln p(x) is by the mixture of C classes.
Gain report_gain(kit::Lesson& lesson, const std::string& name, const Verdict& cvae, double vae,
                 const Set& set) {
  const Gain gain{cvae.gain(), cvae.mixture - vae};
  lesson.report(name + "_own", cvae.own, kNats);
  lesson.report(name + "_mixture", cvae.mixture, kNats);
  lesson.report(name + "_vae", vae, kNats);
  lesson.report(name + "_gain", gain.label + gain.higher_bound, kNats);
  lesson.report(name + "_gain_of_label", gain.label, kNats);
  lesson.report(name + "_gain_of_mixture", gain.higher_bound, kNats);
  lesson.check(name + "_identity", cvae.gain() + cvae.cross_entropy - set.log_classes(), kNats,
               kit::Expected{0, 1e-9});
  return gain;
}

struct CvaeScores {
  Tensor<double> elbo;        // (M, C)
  Tensor<double> importance;  // (M, C)
};

Index draws_of(const kit::Options& options, Index draws) { return options.quick ? 3 : draws; }

// How much higher the mixture's bound is than the VAE's if the VAE has as many draws as all classes
// together, and not as many as one: more draws make a closer bound. On some of the images.
void compare_with_equal_draws(kit::Lesson& lesson, const OfVae& vae,
                              const Tensor<double>& importance, const Set& set) {
  const Index n = std::min<Index>(lesson.options().quick ? 100 : 1000, importance.extent(0));
  const Index draws = draws_of(lesson.options(), 10);
  const Tensor<float> x = first(n, set.images.test_images);
  const double mixture = judge(first_rows(importance, n), first_labels(set, n)).mixture;
  const auto report = [&](const std::string& name, Index k) {
    const double bound = mean_importance_bound(vae.net, x, k, Rng(kSeedOfScores));
    lesson.report(name, mixture - bound, kNats);
  };
  report("gain_of_mixture_against_draws_of_a_class", draws);
  report("gain_of_mixture_against_draws_of_all", draws * set.classes);
}

CvaeScores weigh_the_label(kit::Lesson& lesson, const OfVae& vae, const OfCvae& cvae,
                           const Set& set) {
  const Tensor<float>& test = set.images.test_images;
  const std::vector<Index>& labels = set.images.test_labels;
  const Index draws = draws_of(lesson.options(), 10);
  lesson.report("ln_classes", set.log_classes(), "nats");

  const Rng rng(kSeedOfScores);
  const CvaeScores scores{elbo_by_class(cvae.net, test, Draws::kShared, rng),
                          importance_by_class(cvae.net, test, draws, rng)};
  const Verdict by_elbo = report_verdict(lesson, "elbo_shared", scores.elbo, labels);
  lesson.report("elbo_shared_top_2", 100 * by_elbo.top_2, "%");
  const Gain elbo =
      report_gain(lesson, "elbo_shared", by_elbo, -vae.history.at("-ELBO").back(), set);
  const Verdict by_importance = report_verdict(lesson, "importance_10", scores.importance, labels);
  const Gain importance = report_gain(lesson, "importance_10", by_importance,
                                      mean_importance_bound(vae.net, test, draws, rng), set);
  compare_with_equal_draws(lesson, vae, scores.importance, set);
  draw_gain(lesson, elbo, importance, set.classes);
  // No label tells more than ln C.
  const Tensor<double> most = max(scores.importance - logsumexp(scores.importance, {1}, true));
  lesson.check("largest_worth_of_a_label", most.item() + set.log_classes(), "nats",
               kit::between(-1e-9, set.log_classes() + 1e-9));
  return scores;
}

// ---- Classifiers -------------------------------------------------------------------------------

// Two networks that are trained to say the label, and nothing else.
struct Networks {
  Networks(const Set& set, Rng& rng)
      : softmax(set.pixels(), 0, set.classes, rng), mlp(set.pixels(), kHidden, set.classes, rng) {}

  Classifier<float> softmax, mlp;
};

void train_networks(kit::Lesson& lesson, Networks& networks, const Set& set, Rng& rng) {
  const Index steps = steps_of_epochs(set.joined.extent(0), kClassifierEpochs);
  train_classifier(lesson, "training, softmax regression", networks.softmax, set.joined,
                   set.classes, steps, kRate, rng);
  train_classifier(lesson, "training, network", networks.mlp, set.joined, set.classes, steps, kRate,
                   rng);
}

// Lesson 02's Gaussians, one for each class, and with one covariance for all.
Verdict classify_by_gaussians(kit::Lesson& lesson, const Set& set) {
  const Tensor<float>& test = set.images.test_images;
  const std::vector<Index>& labels = set.images.test_labels;
  const GaussianClasses gaussians(set.joined, set.images.train_labels, set.classes);
  Verdict best{};
  for (Index q : {0, 10, 20, 50, 100}) {
    report_verdict(lesson, fmt::format("ppca_own_noise_{}", q), gaussians.scores(test, q, false),
                   labels);
    if (lesson.interrupted()) return best;
    const Verdict one_noise = report_verdict(lesson, fmt::format("ppca_one_noise_{}", q),
                                             gaussians.scores(test, q, true), labels);
    if (q == 50) best = one_noise;
  }
  const auto eigen = symmetric_eigen(gaussians.within());
  const Tensor<double> nowhere({set.pixels()});
  const Spread within = spread_of(nowhere, eigen.vectors, eigen.values);
  const Index all = within.directions() - 1;
  for (const auto& [name, q] : {std::pair<std::string, Index>{"50", 50}, {"all", all}}) {
    const SharedCovariance shared(gaussians.means(), within, q);
    const Tensor<double> by_density = shared.scores(test);
    report_verdict(lesson, fmt::format("lda_{}", name), by_density, labels);
    if (q != 50) continue;
    const Tensor<double> difference =
        log_softmax(by_density, {1}) - log_softmax(shared.linear_scores(test), {1});
    lesson.check("lda_is_softmax_regression", max(abs(difference)).item(), "nats",
                 kit::Expected{0, 1e-8});
  }
  return best;
}

void classify(kit::Lesson& lesson, const OfCvae& cvae, const CvaeScores& scores,
              const Networks& networks, const Set& set) {
  const Tensor<float>& test = set.images.test_images;
  const std::vector<Index>& labels = set.images.test_labels;
  const Rng rng(kSeedOfScores);
  report_verdict(lesson, "elbo_separate", elbo_by_class(cvae.net, test, Draws::kSeparate, rng),
                 labels);
  const Index few = std::min<Index>(lesson.options().quick ? 100 : 500, test.extent(0));
  report_verdict(lesson, "importance_50",
                 importance_by_class(cvae.net, first(few, test), draws_of(lesson.options(), 50),
                                     rng),
                 first_labels(set, few));
  report_verdict(lesson, "importance_10_of_these", first_rows(scores.importance, few),
                 first_labels(set, few));
  const Verdict cooled = report_verdict(lesson, "elbo_cooled", 0.4 * scores.elbo, labels);
  lesson.report("elbo_cooled_gain_of_label", cooled.gain(), kNats);
  report_verdict(lesson, "softmax", scores_of(networks.softmax, test), labels);
  const Verdict mlp = report_verdict(lesson, "mlp", scores_of(networks.mlp, test), labels);
  const Verdict gaussian = classify_by_gaussians(lesson, set);
  if (lesson.interrupted()) return;
  const Tensor<double> counts = confusion(scores.elbo, labels);
  for (const auto& [i, k] : {std::pair<Index, Index>{6, 6}, {6, 0}, {2, 4}})
    if (std::max(i, k) < set.classes)
      lesson.report(fmt::format("of_1000_of_{}_taken_for_{}", i, k),
                    1000 * counts(i, k) / sum(slice(counts, 0, i, i + 1)).item(), "");
  draw_confusion(lesson, counts, set.images);
  draw_reliability(lesson, {{"network", mlp},
                            {"CVAE, ELBO", judge(scores.elbo, labels)},
                            {"Gaussians", gaussian}});
}

// ---- What the code still says ------------------------------------------------------------------

// Test images' codes by a model, decoded with their own labels and with others.
void swap_labels(kit::Lesson& lesson, const OfCvae& cvae, const Classifier<float>& judge_of_images,
                 const Set& set) {
  const Tensor<float>& test = set.images.test_images;
  const std::vector<Index>& labels = set.images.test_labels;
  Rng rng(kSeedOfSamples);
  std::vector<Index> others;
  for (Index label : labels)
    others.push_back((label + 1 + rng.integer(set.classes - 1)) % set.classes);
  const Tensor<float> z = codes_of(set.tests, set.classes, [&](const Labelled<float>& examples) {
    return cvae.net.encode(examples.x, examples.y).mean.value();
  });
  const Tensor<float> drawn =
      codes_of(set.tests, set.classes, [&](const Labelled<float>& examples) {
        return cvae.net.encode(examples.x, examples.y).sample(rng).value();
      });
  const auto report = [&](const std::string& name, const Tensor<float>& images,
                          const std::vector<Index>& wanted) {
    lesson.report(name + "_recognised", 100 * recognised(judge_of_images, images, wanted), "%");
  };
  report("images", test, labels);
  report("reconstructions", decode_all(cvae.net, z, set.labels), labels);
  report("drawn_reconstructions", decode_all(cvae.net, drawn, set.labels), labels);
  const Tensor<float> swapped = decode_all(cvae.net, z, nn::one_hot<float>(others, set.classes));
  report("swapped_as_new", swapped, others);
  report("swapped_as_old", swapped, labels);

  // One test image of each of the first classes.
  std::vector<Tensor<float>> rows;
  std::vector<std::string> captions;
  const auto lists = by_class(labels, set.classes);
  const Index shown = std::min<Index>(7, set.classes);
  for (Index c = 0; c < shown; ++c) {
    const Index i = lists[c].front();
    std::vector<Index> every(set.classes);
    for (Index k = 0; k < set.classes; ++k) every[k] = k;
    const Tensor<float> codes =
        gather_rows(z, std::vector<Index>(static_cast<std::size_t>(set.classes), i));
    rows.push_back(slice(test, 0, i, i + 1));
    rows.push_back(cvae.net.decoded(codes, nn::one_hot<float>(every, set.classes)));
    captions.push_back(set.images.class_names[c]);
  }
  draw_swapped(lesson, rows, captions, set.images);
}

// New images with each label: a grid to look at, and how many are taken for what was asked for.
void draw_to_order(kit::Lesson& lesson, const OfCvae& cvae,
                   const Classifier<float>& judge_of_images, const Set& set) {
  constexpr Index kColumns = 10, kOfEach = 500;
  Rng rng(kSeedOfSamples);
  const Tensor<float> codes = rng.normal<float>({kColumns, kLatents});
  std::vector<Tensor<float>> rows;
  std::vector<Index> labels;
  std::vector<Tensor<float>> many;
  for (Index c = 0; c < set.classes; ++c) {
    rows.push_back(cvae.net.decoded(codes, same_label<float>(kColumns, c, set.classes)));
    many.push_back(cvae.net.decoded(rng.normal<float>({kOfEach, kLatents}),
                                    same_label<float>(kOfEach, c, set.classes)));
    labels.insert(labels.end(), kOfEach, c);
  }
  draw_grid(lesson, concatenate(rows), kColumns, set.images);
  lesson.report("samples_recognised", 100 * recognised(judge_of_images, concatenate(many), labels),
                "%");
}

// How well a linear classifier and a network of one hidden layer read the label from codes.
void probe(kit::Lesson& lesson, const std::string& name, const Tensor<float>& train,
           const Tensor<float>& test, const Set& set) {
  const Tensor<float> joined = with_labels(train, set.images.train_labels, set.classes);
  const Index steps = steps_of_epochs(train.extent(0), kProbeEpochs);
  for (const auto& [kind, hidden, rate] :
       {std::tuple<std::string, Index, double>{"linear", 0, 1e-2}, {"network", 100, 3e-3}}) {
    Rng rng(lesson.options().seed);
    Classifier<float> reader(train.extent(1), hidden, set.classes, rng);
    train_classifier(lesson, fmt::format("probe of {}, {}", name, kind), reader, joined,
                     set.classes, steps, rate, rng);
    if (lesson.interrupted()) return;
    lesson.report(fmt::format("probe_{}_{}", name, kind),
                  100 * recognised(reader, test, set.images.test_labels), "%");
  }
}

void probe_codes(kit::Lesson& lesson, const OfVae& vae, const OfCvae& cvae, const Set& set) {
  Rng rng(kSeedOfSamples);
  const auto compare = [&](const std::string& name, const auto& encode) {
    probe(lesson, name, codes_of(set.joined, set.classes, encode),
          codes_of(set.tests, set.classes, encode), set);
  };
  compare("cvae_draws", [&](const Labelled<float>& examples) {
    return cvae.net.encode(examples.x, examples.y).sample(rng).value();
  });
  compare("cvae_means", [&](const Labelled<float>& examples) {
    return cvae.net.encode(examples.x, examples.y).mean.value();
  });
  compare("vae_draws", [&](const Labelled<float>& examples) {
    return vae.net.sample_posterior(examples.x, rng);
  });
}

// ---- ln p(x|y) itself --------------------------------------------------------------------------

// How far a sum over cells is off: against cells of twice the width for all classes, against cells
// of half the width for the class where that makes most difference, and against a larger plane.
void check_grid(kit::Lesson& lesson, const Cvae<float>& cvae, const Tensor<float>& x,
                const std::vector<Index>& labels, const Tensor<double>& fine, Index side) {
  const Tensor<double> coarse = evidence_by_class(cvae, x, side / 2, kPlaneEnd);
  const Tensor<double> difference = max(abs(coarse - fine), {0});  // (C)
  const Index worst = argmax(difference, 0)[0];
  const Tensor<double> finer = log_evidence(cvae, x, worst, 2 * side, kPlaneEnd);
  const Tensor<double> of_worst = slice(fine, 1, worst, worst + 1).reshape({-1});
  lesson.report("coarse_grid_largest_error", max(difference).item(), kNats);
  lesson.report("grid_largest_error", max(abs(of_worst - finer)).item(), kNats);
  // What lies beyond the end: the wide cells again, and more of them.
  const Tensor<double> wider = evidence_by_class(cvae, x, side / 2 * 7 / 5, kPlaneEnd * 7 / 5);
  const Gap beyond = gap(wider, coarse, labels);
  lesson.report("grid_end_largest_error", max(abs(wider - coarse)).item(), kNats);
  lesson.report("grid_end_error_right", beyond.right, kNats);
  lesson.report("grid_end_error_wrong", beyond.wrong, kNats);
}

// With two latents: how far bounds are below it, for the right class and for wrong ones.
void compute_evidence(kit::Lesson& lesson, const Set& set) {
  OfCvae two("cvae_2_latents", lesson.options().seed, set.pixels(), kHidden, Index{2}, set.classes);
  train(lesson, two, (lesson.options().epochs + 1) / 2, set);
  if (lesson.interrupted()) return;
  const bool quick = lesson.options().quick;
  const Index n = std::min<Index>(quick ? 50 : 1000, set.images.test_images.extent(0));
  const Index side = quick ? 40 : 200;
  const Tensor<float> x = first(n, set.images.test_images);
  const std::vector<Index> labels = first_labels(set, n);
  const Rng rng(kSeedOfScores);
  const Tensor<double> exact = evidence_by_class(two.net, x, side, kPlaneEnd);
  const Tensor<double> elbo = elbo_by_class(two.net, x, Draws::kShared, rng);
  const Tensor<double> importance =
      importance_by_class(two.net, x, draws_of(lesson.options(), 50), rng);
  const Verdict by_evidence = report_verdict(lesson, "exact", exact, labels);
  lesson.report("exact_own", by_evidence.own, kNats);
  lesson.report("exact_mixture", by_evidence.mixture, kNats);
  lesson.report("exact_gain", by_evidence.gain(), kNats);
  report_verdict(lesson, "elbo_2_latents", elbo, labels);
  report_verdict(lesson, "importance_50_2_latents", importance, labels);
  const Gap of_elbo = gap(exact, elbo, labels);
  const Gap of_importance = gap(exact, importance, labels);
  lesson.report("gap_elbo_right", of_elbo.right, kNats);
  lesson.report("gap_elbo_wrong", of_elbo.wrong, kNats);
  lesson.report("gap_importance_right", of_importance.right, kNats);
  lesson.report("gap_importance_wrong", of_importance.wrong, kNats);
  const Index few = std::min<Index>(100, n);
  check_grid(lesson, two.net, first(few, x), first_labels(set, few), first_rows(exact, few), side);
}

// ---- Few labels --------------------------------------------------------------------------------

// The accuracy of one classifier, in percent, for several choices of the labelled images.
struct Accuracies {
  std::vector<double> values = {};

  double mean() const {
    double total = 0;
    for (double value : values) total += value;
    return total / static_cast<double>(values.size());
  }

  double deviation() const {
    double total = 0;
    for (double value : values) total += (value - mean()) * (value - mean());
    return std::sqrt(total / static_cast<double>(values.size()));
  }
};

using ByName = std::vector<std::pair<std::string, Accuracies>>;

// The images of which the labels are known.
struct FewImages {
  Tensor<float> joined;       // (n, D + C)
  std::vector<Index> labels;  // n

  std::string title() const { return fmt::format("training, {} labels", labels.size()); }
};

Index steps_with_few(const kit::Options& options) { return options.quick ? 50 : 480; }

double accuracy_of_network(kit::Lesson& lesson, const FewImages& few, Index hidden, const Set& set,
                           Rng& rng) {
  Classifier<float> classifier(set.pixels(), hidden, set.classes, rng);
  train_classifier(lesson, few.title(), classifier, few.joined, set.classes,
                   steps_with_few(lesson.options()), kRate, rng);
  return recognised(classifier, set.images.test_images, set.images.test_labels);
}

double accuracy_of_cvae(kit::Lesson& lesson, const FewImages& few, const Set& set, Rng& rng) {
  Cvae<float> cvae(set.pixels(), kHidden, kLatents, set.classes, rng);
  nn::Adam<float> adam(cvae.parameters(), {.learning_rate = kRate});
  kit::Steps steps(lesson, few.title() + ", CVAE", steps_with_few(lesson.options()));
  for (const Tensor<float>& batch : steps.minibatches(few.joined, kBatch, rng)) {
    Tape<float> tape;
    tape.backward(-mean(elbo_of(cvae, Labelled<float>(batch, set.classes), rng).total()));
    adam.step();
  }
  const Tensor<double> scores =
      elbo_by_class(cvae, set.images.test_images, Draws::kShared, Rng(kSeedOfScores));
  return judge(scores, set.images.test_labels).accuracy;
}

// With each its own q components, and with one covariance of q components.
std::pair<double, double> accuracies_of_gaussians(const FewImages& few, Index q, const Set& set) {
  const Tensor<float>& test = set.images.test_images;
  const GaussianClasses gaussians(few.joined, few.labels, set.classes);
  const auto within = symmetric_eigen(gaussians.within());
  const Tensor<double> nowhere({set.pixels()});
  const SharedCovariance lda(gaussians.means(), spread_of(nowhere, within.vectors, within.values),
                             q);
  return {judge(gaussians.scores(test, q, true), set.images.test_labels).accuracy,
          judge(lda.linear_scores(test), set.images.test_labels).accuracy};
}

// A Gaussian for each class of the codes of a VAE that was trained without any label.
double accuracy_of_codes(const FewImages& few, const OfVae& vae, const Set& set) {
  const auto codes = [&](const Tensor<float>& x) {
    return cast<double>(vae.net.encode(x).mean.value());
  };
  const Tensor<double> scores =
      diagonal_scores(codes(Labelled<float>(few.joined, set.classes).x), few.labels, set.classes,
                      codes(set.images.test_images));
  return judge(scores, set.images.test_labels).accuracy;
}

// Each classifier from so many images of each class, which are chosen anew for each repetition. The
// Gaussians have a fifth as many components as a class has images.
ByName learn_from_few(kit::Lesson& lesson, Index each, const OfVae& vae, const Set& set) {
  ByName rows = {{"softmax", {}}, {"mlp", {}},   {"gaussians", {}},
                 {"lda", {}},     {"codes", {}}, {"cvae", {}}};
  const int repetitions = lesson.options().quick ? 1 : 3;
  Rng rng(kSeedOfChoices);
  for (int i = 0; i < repetitions && !lesson.interrupted(); ++i) {
    const std::vector<Index> chosen = some_of_each(set.images.train_labels, set.classes, each, rng);
    const FewImages few{gather_rows(set.joined, chosen), pick(set.images.train_labels, chosen)};
    const auto [gaussians, lda] = accuracies_of_gaussians(few, each / 5, set);
    const std::vector<double> shares = {accuracy_of_network(lesson, few, 0, set, rng),
                                        accuracy_of_network(lesson, few, kHidden, set, rng),
                                        gaussians,
                                        lda,
                                        accuracy_of_codes(few, vae, set),
                                        accuracy_of_cvae(lesson, few, set, rng)};
    for (std::size_t k = 0; k < rows.size(); ++k) rows[k].second.values.push_back(100 * shares[k]);
  }
  if (lesson.interrupted()) return rows;
  for (const auto& [name, of_name] : rows) {
    lesson.report(fmt::format("few_{}_{}", each, name), of_name.mean(), "%");
    lesson.report(fmt::format("few_{}_{}_deviation", each, name), of_name.deviation(), "%");
  }
  return rows;
}

void compare_with_few_labels(kit::Lesson& lesson, const OfVae& vae, const Set& set) {
  const ByName few = learn_from_few(lesson, 10, vae, set);
  if (lesson.interrupted()) return;
  const ByName more = learn_from_few(lesson, 100, vae, set);
  if (lesson.interrupted()) return;
  const std::vector<std::string> names = {"softmax", "network", "Gaussians",
                                          "LDA",     "codes",   "CVAE"};
  std::vector<FewLabels> rows;
  for (std::size_t i = 0; i < names.size(); ++i)
    rows.push_back({names[i], few[i].second.mean(), more[i].second.mean()});
  draw_few_labels(lesson, rows);
}

void run(kit::Lesson& lesson) {
  work_out_two_kinds(lesson);
  check_identity(lesson);
  const Set set = load(lesson);
  draw_model(lesson);

  const std::uint64_t seed = lesson.options().seed;
  OfVae vae("vae", seed, set.pixels(), kHidden, kLatents);
  train(lesson, vae, lesson.options().epochs, set);
  OfCvae cvae("cvae", seed, set.pixels(), kHidden, kLatents, set.classes);
  train(lesson, cvae, lesson.options().epochs, set);
  if (lesson.interrupted()) return;
  const CvaeScores scores = weigh_the_label(lesson, vae, cvae, set);
  if (lesson.interrupted()) return;

  Rng rng(seed);
  Networks networks(set, rng);
  train_networks(lesson, networks, set, rng);
  if (lesson.interrupted()) return;
  classify(lesson, cvae, scores, networks, set);
  if (lesson.interrupted()) return;

  draw_to_order(lesson, cvae, networks.mlp, set);
  swap_labels(lesson, cvae, networks.mlp, set);
  probe_codes(lesson, vae, cvae, set);
  if (lesson.interrupted()) return;

  compute_evidence(lesson, set);
  if (lesson.interrupted()) return;
  compare_with_few_labels(lesson, vae, set);
}

}  // namespace
}  // namespace gradus::lesson18

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "18_conditional_vae",
                           .title = "The conditional VAE",
                           .epochs = gradus::lesson18::kEpochs,
                           .quick_epochs = 4},
                          argc, argv, gradus::lesson18::run);
}
