// Lesson 16: what a loss says of a pixel, and whether that is why means are smooth.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/16_likelihoods/figures.hpp"
#include "lessons/16_likelihoods/instruments.hpp"
#include "lessons/16_likelihoods/model.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/fashion_mnist.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/serialization.hpp"
#include "tensor/error.hpp"

namespace gradus::lesson16 {
namespace {

constexpr Index kHidden = 400, kLatents = 20, kBatch = 128;
constexpr int kEpochs = 5;
constexpr double kRate = 1e-3;
constexpr Index kScored = 2000;  // test images for the scores that are printed after each epoch
constexpr Index kMemorised = 500, kMemorisedBatch = 100;
constexpr Index kMemorisingSteps = 4000, kQuickMemorisingSteps = 200;
// Where a learned variance begins: at the error of 20 principal components.
constexpr double kStart = fashion_mnist::kPcaTestError20;
constexpr Index kShown = 6;  // images in a figure
constexpr Index kPriorDraws = 2000;
const std::string kPerPixel = "per pixel", kNats = "nats/image", kBits = "bits/pixel";

// Measurements draw random numbers of their own, the same for every model and in every run.
constexpr std::uint64_t kSeedOfScores = 1, kSeedOfPictures = 2, kSeedOfTestNoise = 3;

// ---- On paper ----------------------------------------------------------------------------------

void check_exactly(kit::Lesson& lesson, const std::string& name, double value, double expected,
                   double tolerance) {
  lesson.check(name, value, "", kit::Expected{expected, tolerance});
}

void work_out_normal(kit::Lesson& lesson) {
  constexpr double kPixels = 784;
  check_exactly(lesson, "nll_of_error_0_01", best_normal_nll(0.01, kPixels), -692.778903, 1e-6);
  check_exactly(lesson, "nll_of_error_0_005", best_normal_nll(0.005, kPixels), -964.492598, 1e-6);
  const double unit = -nn::Normal<double>{full<double>({1, 784}, 0.1), Tensor<double>(0.0)}
                           .log_prob(Tensor<double>({1, 784}))
                           .item();
  check_exactly(lesson, "nll_of_error_0_01_unit_variance", unit, 724.367810, 1e-6);
  lesson.report("nats_of_half_the_error", kPixels / 2 * std::log(2.0), "nats");
  lesson.report("nats_of_half_the_error_unit_variance", kPixels / 2 * 0.005, "nats");

  // Two images, +1 and -1, with one code: mean 0 and variance 1, and two others.
  const auto two_images = [](double m, double variance) {
    const nn::Normal<double> p{m, std::log(variance)};
    return -(p.log_prob(Tensor<double>({1}, {1})) + p.log_prob(Tensor<double>({1}, {-1}))).item() /
           2;
  };
  check_exactly(lesson, "nll_of_two_images", two_images(0, 1), 1.4189385332, 1e-10);
  lesson.report("nll_of_two_images_mean_1", two_images(1, 1), "nats");
  lesson.report("nll_of_two_images_variance_quarter", two_images(0, 0.25), "nats");
  draw_two_images(lesson);
}

void work_out_converter(kit::Lesson& lesson) {
  constexpr double kPixels = 784;
  check_exactly(lesson, "converter_mean_error", variance_of_mean_squared_error(1, kPixels), 392, 0);
  check_exactly(lesson, "converter_mean_error_and_mean_kl",
                variance_of_mean_squared_error(1, kPixels) / kLatents, 19.6, 1e-12);
  check_exactly(lesson, "converter_mean_cross_entropy", beta_of_mean_cross_entropy(1, kPixels), 784,
                0);
  check_exactly(lesson, "converter_weight_0_00025", variance_of_mean_squared_error(0.00025, 12288),
                1.536, 1e-12);
  check_exactly(lesson, "converter_weight_500", beta_of_mean_cross_entropy(500, 32 * 32), 2.048,
                1e-12);
}

void work_out_continuous_bernoulli(kit::Lesson& lesson) {
  const auto of_lambda = [](double lambda) {
    return nn::ContinuousBernoulli<double>{Tensor<double>({1}, {std::log(lambda / (1 - lambda))})};
  };
  const auto constant = [&](double lambda) {
    const double at_black = of_lambda(lambda).log_prob(Tensor<double>({1})).item();
    return std::exp(at_black) / (1 - lambda);
  };
  check_exactly(lesson, "constant_of_lambda_0_2", constant(0.2), 2.3104906019, 1e-10);
  check_exactly(lesson, "constant_of_lambda_0_5", constant(0.5), 2, 1e-12);
  check_exactly(lesson, "constant_of_lambda_0_9", constant(0.9), 2.7465307217, 1e-10);
  check_exactly(lesson, "mean_of_lambda_0_2", of_lambda(0.2).mean().item(), 0.3880141871, 1e-10);
  check_exactly(lesson, "variance_of_lambda_0_2", of_lambda(0.2).variance().item(), 0.0758978,
                5e-8);
  lesson.report("logit_of_lambda_0_2", of_lambda(0.2).logits.value().item(), "");
  for (const double l : {-100.0, -10'000.0}) {
    const nn::ContinuousBernoulli<double> p{Tensor<double>({1}, {l})};
    check_exactly(lesson, fmt::format("log_density_of_black_at_{:.0f}", -l),
                  p.log_prob(Tensor<double>({1})).item(), std::log(-l), 1e-12);
  }
  draw_continuous_bernoulli(lesson);
}

// A black pixel, and one of level 128, in bits.
void work_out_levels(kit::Lesson& lesson) {
  const auto report = [&](const std::string& name, double log_p) {
    lesson.report(name, -log_p / std::log(2.0), "bits");
  };
  report("bits_of_level_128_normal", log_prob_of_level_normal(128, 0.5, 0.1));
  report("bits_of_black_normal", log_prob_of_level_normal(0, 0, 0.1));
  report("bits_of_black_exponential_10", log_prob_of_level_exponential(0, -10.0 / 255));
  report("bits_of_black_exponential_100", log_prob_of_level_exponential(0, -100.0 / 255));
  const nn::Bernoulli<double> sure{Tensor<double>({1}, {-10})};
  lesson.report("nats_of_black_bernoulli_10", -sure.log_prob(Tensor<double>({1})).item(), "nats");
  lesson.report("density_at_mean_sigma_0_1",
                std::exp(nn::Normal<double>{0.5, std::log(0.01)}.log_prob(0.5).item()), "");
}

void work_out_on_paper(kit::Lesson& lesson) {
  work_out_normal(lesson);
  work_out_converter(lesson);
  work_out_continuous_bernoulli(lesson);
  work_out_levels(lesson);
}

// ---- Trained models ----------------------------------------------------------------------------

// What PyTorch 1.13 gets after as many steps, by tests/references/likelihoods.py --train NAME.
const std::map<std::string, double> kPyTorch = {
    {"negative_elbo_normal_1", 736.543},
    {"negative_elbo_normal_0_1", -96.592},
    {"negative_elbo_normal_learned", -543.797},
    {"negative_elbo_normal_0_01", -528.007},
    {"negative_elbo_normal_0_001", 3054.081},
    {"negative_elbo_normal_per_pixel", -629.929},
    {"negative_elbo_bernoulli", 246.812},
    {"negative_elbo_binarised", 134.474},
    {"negative_elbo_continuous", -1859.016},
    {"bits_normal_1", 5.15187},
    {"bits_normal_0_1", 4.47040},
    {"bits_normal_learned", 4.39792},
    {"bits_normal_0_01", 4.52554},
    {"bits_normal_0_001", 11.81200},
    {"bits_normal_per_pixel", 4.41313},
    {"bits_bernoulli", 6.38051},
    {"bits_continuous", 4.52434},
    {"mean_square_of_z", 0.96992},
    {"mean_fourth_power_of_z", 8.39496},
    {"z_beyond_3", 2.19459},
    {"kl_memorised", 83.589},
};

// Reports a number, or checks it against PyTorch's, whose random numbers are others.
void compare(kit::Lesson& lesson, bool known, const std::string& name, double value,
             const std::string& unit) {
  const auto found = kPyTorch.find(name);
  if (known && found != kPyTorch.end()) {
    lesson.check(name, value, unit, kit::relative(found->second, 0.02));
  } else {
    lesson.report(name, value, unit);
  }
}

struct Case {
  std::string name;
  std::string caption;  // beside images
  Noise noise;
  double variance = 1;
  Pixels pixels = Pixels::kLevels;
};

// A model and its random numbers. Parameters stay where they are, so that it is not copied.
struct Trained {
  Trained(const Case& c, Index pixels, std::uint64_t seed)
      : is(c), rng(seed), net(c.noise, c.variance, pixels, kHidden, kLatents, rng) {}

  Case is;
  Rng rng;
  NoisyVae<float> net;
  Measured measured = {};
  PriorSharpness prior = {};
};

void step(NoisyVae<float>& net, const Tensor<float>& x, nn::Adam<float>& adam, Rng& rng) {
  Tape<float> tape;
  tape.backward(-mean(net.elbo(x, rng).total()));
  adam.step();
}

void measure(kit::Lesson& lesson, Trained& trained, const Tensor<float>& images, Index width,
             bool known) {
  const std::string& name = trained.is.name;
  trained.measured = measure_all(trained.net, images, width, Rng(kSeedOfScores));
  trained.prior = sharpness_of_prior(trained.net, kPriorDraws, width, Rng(kSeedOfScores));
  const Measured& m = trained.measured;
  const double n = static_cast<double>(images.extent(0));
  compare(lesson, known, "negative_elbo_" + name, m.negative_elbo(), kNats);
  compare(lesson, known, "kl_" + name, m.kl, kNats);
  lesson.report("aggregate_kl_at_least_" + name, m.kl - std::log(n), kNats);
  lesson.report("error_" + name, m.error, kPerPixel);
  lesson.report("variance_predicted_" + name, m.predicted_variance, kPerPixel);
  lesson.report("sharpness_of_means_" + name, m.sharp_means, kPerPixel);
  lesson.report("sharpness_of_draws_" + name, m.sharp_draws, kPerPixel);
  lesson.report("sharpness_of_cut_draws_" + name, m.sharp_cut_draws, kPerPixel);
  lesson.report("sharpness_of_prior_means_" + name, trained.prior.means, kPerPixel);
  lesson.report("sharpness_of_prior_draws_" + name, trained.prior.draws, kPerPixel);
  if (trained.is.pixels != Pixels::kBinarised)
    compare(lesson, known, "bits_" + name, m.bits, kBits);
}

// Trains a model and measures it, and returns null where Ctrl-C came.
std::unique_ptr<Trained> train(kit::Lesson& lesson, const Case& c, const kit::ImageData& data,
                               bool known) {
  auto trained = std::make_unique<Trained>(c, data.train_images.extent(1), lesson.options().seed);
  NoisyVae<float>& net = trained->net;
  Rng& rng = trained->rng;
  Rng test_noise(kSeedOfTestNoise);
  const Tensor<float> test = seen_as(c.pixels, data.test_images, test_noise);
  nn::Adam<float> adam(net.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, c.name, {.epochs = lesson.options().epochs, .batch = kBatch},
                         net.parameters(), adam, rng);
  const auto scores = [&]() -> std::vector<kit::Score> {
    const auto means = lesson13::evaluate(net, first(kScored, test), Rng(kSeedOfScores));
    return {{"-ELBO", means.negative_elbo()}, {"KL", means.kl}};
  };
  training.record(scores);
  while (!training.done()) {
    for (const Tensor<float>& batch : training.minibatches(data.train_images))
      step(net, seen_as(c.pixels, batch, rng), adam, rng);
    training.record(scores);
  }
  if (lesson.interrupted()) return nullptr;
  measure(lesson, *trained, test, data.width, known);
  return trained;
}

// All of the lesson's models but the one that memorises. Empty where Ctrl-C came.
std::vector<std::unique_ptr<Trained>> train_all(kit::Lesson& lesson, const kit::ImageData& data,
                                                bool known) {
  const std::vector<Case> cases = {
      {"normal_1", "normal, σ² = 1", Noise::kFixedNormal, 1},
      {"normal_0_1", "normal, σ² = 0.1", Noise::kFixedNormal, 0.1},
      {"normal_learned", "normal, σ² learned", Noise::kLearnedNormal, kStart},
      {"normal_0_01", "normal, σ² = 0.01", Noise::kFixedNormal, 0.01},
      {"normal_0_001", "normal, σ² = 0.001", Noise::kFixedNormal, 0.001},
      {"normal_per_pixel", "normal, σ² per pixel", Noise::kNormalPerPixel, kStart},
      {"bernoulli", "Bernoulli", Noise::kBernoulli},
      {"binarised", "Bernoulli, binarised", Noise::kBernoulli, 1, Pixels::kBinarised},
      {"continuous", "continuous Bernoulli", Noise::kContinuousBernoulli, 1, Pixels::kDequantised},
  };
  std::vector<std::unique_ptr<Trained>> all;
  for (const Case& c : cases) {
    auto trained = train(lesson, c, data, known);
    if (!trained) return {};
    all.push_back(std::move(trained));
  }
  return all;
}

Trained& named(const std::vector<std::unique_ptr<Trained>>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& t) { return t->is.name == name; });
  if (found == all.end()) fail("lesson 16 has no model {}", name);
  return **found;
}

// ---- Sharpness ---------------------------------------------------------------------------------

void split_sharpness(kit::Lesson& lesson, const Trained& learned, bool known) {
  const Measured& m = learned.measured;
  const double variance = learned.net.variances().item();
  lesson.report("images_sharpness", m.sharp_images, kPerPixel);
  lesson.report("residual_sharpness", m.sharp_residuals, kPerPixel);
  lesson.report("cross_sharpness", m.sharp_cross, kPerPixel);
  lesson.report("residual_correlation", m.residual_correlation(), "");
  lesson.report("ln_10000", std::log(10'000.0), "nats");
  lesson.report("twice_the_variance", 2 * variance, kPerPixel);
  // An algebraic identity, whatever the means are.
  lesson.check("sharpness_identity", m.sharp_means + m.sharp_residuals + m.sharp_cross, kPerPixel,
               kit::Expected{m.sharp_images, 1e-6});
  lesson.check("sharpness_of_draws_predicted", m.sharp_means + 2 * variance, kPerPixel,
               kit::when(known, {m.sharp_draws, 2e-4}));
  lesson.check("draws_rougher_than_images", m.sharp_draws - m.sharp_images, kPerPixel,
               kit::when(known, kit::between(0.004, 0.012)));
}

void compare_sharpness(kit::Lesson& lesson, const std::vector<std::unique_ptr<Trained>>& all) {
  lesson.report("sharpness_of_prior_means_learned_by_pytorch", 0.0520, kPerPixel);
  std::vector<Point> points;
  for (const auto& t : all) {
    const bool normal = t->is.noise == Noise::kFixedNormal || t->is.noise == Noise::kLearnedNormal;
    const Measured& m = t->measured;
    if (normal)
      points.push_back({m.predicted_variance, m.sharp_means, m.sharp_draws, t->prior.means});
  }
  std::sort(points.begin(), points.end(),
            [](const Point& a, const Point& b) { return a.variance < b.variance; });
  draw_sharpness(lesson, points, all.front()->measured.sharp_images);
}

// ---- Calibration -------------------------------------------------------------------------------

void report_scores(kit::Lesson& lesson, const Trained& learned, const kit::ImageData& data,
                   bool known) {
  const Scores scores = z_scores(learned.net, data.test_images, Rng(kSeedOfScores));
  lesson.report("learned_variance", learned.net.variances().item(), "");
  const Scores trained =
      z_scores(learned.net, first(10'000, data.train_images), Rng(kSeedOfScores));
  lesson.report("mean_square_of_z_training_images", trained.square, "");
  compare(lesson, known, "mean_square_of_z", scores.square, "");
  compare(lesson, known, "mean_fourth_power_of_z", scores.fourth, "");
  compare(lesson, known, "z_beyond_3", 100 * scores.beyond_3, "%");
  lesson.report("z_beyond_3_normal", 100 * std::erfc(3 / std::sqrt(2.0)), "%");
  lesson.report("z_within_half", 100 * scores.within_half, "%");
  lesson.report("z_within_half_normal", 100 * std::erf(0.5 / std::sqrt(2.0)), "%");
  draw_scores(lesson, scores);
}

// The variances of single pixels, of the model where each has its own.
void report_variances(kit::Lesson& lesson, const Trained& per_pixel, const Trained& learned) {
  const Tensor<float> variances = per_pixel.net.variances();
  const auto [least, largest] = std::minmax_element(variances.begin(), variances.end());
  lesson.report("per_pixel_gain",
                learned.measured.negative_elbo() - per_pixel.measured.negative_elbo(), kNats);
  lesson.report("per_pixel_least_variance", *least, "");
  lesson.report("per_pixel_largest_variance", *largest, "");
}

std::vector<Bin> report_reliability(kit::Lesson& lesson, const Trained& trained,
                                    const Tensor<float>& images,
                                    const std::optional<kit::Expected>& expected) {
  const Measured& m = trained.measured;
  lesson.check("variance_too_large_" + trained.is.name, m.predicted_variance / m.error, "times",
               expected);
  const std::vector<Bin> bins = reliability(trained.net, images, Rng(kSeedOfScores));
  double most = 0;
  for (const Bin& bin : bins) most = std::max(most, std::abs(bin.x - bin.p));
  lesson.report("mean_off_by_" + trained.is.name, most, "");
  return bins;
}

void calibrate(kit::Lesson& lesson, const std::vector<std::unique_ptr<Trained>>& all,
               const kit::ImageData& data, bool known) {
  report_scores(lesson, named(all, "normal_learned"), data, known);
  report_variances(lesson, named(all, "normal_per_pixel"), named(all, "normal_learned"));
  const std::vector<Bin> grey =
      report_reliability(lesson, named(all, "bernoulli"), data.test_images,
                         kit::when(known, kit::between(5, 7)));
  const std::vector<Bin> binarised =
      report_reliability(lesson, named(all, "binarised"), binarise(data.test_images),
                         kit::when(known, kit::between(0.95, 1.05)));
  lesson.report("variance_too_large_binarised_by_pytorch", 0.043298 / 0.041541, "times");
  draw_reliability(lesson, grey, binarised);
}

// ---- Bits --------------------------------------------------------------------------------------

// What the binarised and the dequantised images cost by their own -ELBO: an image of D bits, and a
// density of levels that are 1/256 apart, ln p = ln P + D ln 256.
void report_bits(kit::Lesson& lesson, const std::vector<std::unique_ptr<Trained>>& all,
                 const kit::ImageData& data) {
  const double bits_an_image = static_cast<double>(data.height * data.width) * std::log(2.0);
  const Measured& binarised = named(all, "binarised").measured;
  lesson.report("sharpness_of_binarised_images", binarised.sharp_images, kPerPixel);
  lesson.report("bits_of_binarised", binarised.negative_elbo() / bits_an_image, kBits);
  lesson.report("bits_of_dequantised",
                8 + named(all, "continuous").measured.negative_elbo() / bits_an_image, kBits);
}

// ---- Pictures ----------------------------------------------------------------------------------

void show_images(kit::Lesson& lesson, const std::vector<std::unique_ptr<Trained>>& all,
                 const kit::ImageData& data) {
  const Tensor<float> shown = first(kShown, data.test_images);
  std::vector<Row> rows = {{"images", shown}};
  for (const char* name : {"bernoulli", "normal_1", "normal_learned", "continuous"}) {
    const Trained& t = named(all, name);
    const Pictures pictures = pictures_through(t.net, shown, Rng(kSeedOfPictures));
    rows.push_back({t.is.caption + ": means", pictures.means});
    rows.push_back({"draws", pictures.draws});
  }
  draw_means_and_draws(lesson, rows, data);

  std::vector<Row> priors;
  for (const char* name : {"normal_1", "bernoulli", "normal_learned", "normal_0_001"}) {
    const Trained& t = named(all, name);
    priors.push_back({fmt::format("{} (KL {:.0f})", t.is.caption, t.measured.kl),
                      means_of_prior(t.net, kShown, Rng(kSeedOfPictures))});
  }
  draw_priors(lesson, priors, data);
}

// ---- Memorising --------------------------------------------------------------------------------

// 500 images again and again.
void memorise(kit::Lesson& lesson, const Trained& learned, const kit::ImageData& data, bool known) {
  const Tensor<float> few = first(kMemorised, data.train_images);
  const Case c{"memorised", "500", Noise::kLearnedNormal, kStart};
  Trained trained(c, few.extent(1), lesson.options().seed);
  nn::Adam<float> adam(trained.net.parameters(), {.learning_rate = kRate});
  fmt::print("Training {}\n", c.name);
  kit::Steps steps(lesson, "training " + c.name,
                   lesson.options().quick ? kQuickMemorisingSteps : kMemorisingSteps);
  for (const Tensor<float>& x : steps.minibatches(few, kMemorisedBatch, trained.rng))
    step(trained.net, x, adam, trained.rng);
  if (lesson.interrupted()) return;

  measure(lesson, trained, few, data.width, known);
  const Measured& m = trained.measured;
  lesson.report("sharpness_of_memorised_images", m.sharp_images, kPerPixel);
  lesson.check("share_of_sharpness_memorised", m.sharp_means / m.sharp_images, "",
               kit::when(known, kit::between(0.85, 1)));
  lesson.report("percent_of_sharpness_memorised", 100 * m.sharp_means / m.sharp_images, "%");
  const double ln_500 = std::log(500.0);
  lesson.report("ln_500", ln_500, "nats");
  check_exactly(lesson, "exercise_kl_84_6", 84.6 - ln_500, 78.385, 5e-4);
  lesson.report("exercise_kl", 84.6, "nats");

  const Tensor<float> shown = first(kShown, few);
  const auto means_by = [&](const Trained& t) {
    return pictures_through(t.net, shown, Rng(kSeedOfPictures)).means;
  };
  draw_memorised(lesson,
                 {{"training images", shown},
                  {"means, trained on 60,000", means_by(learned)},
                  {"means, trained on 500", means_by(trained)}},
                 data);
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  if (data.width < 2)
    fail("lesson 16 compares pixels side by side: the images of {} are one pixel wide", data.name);
  const bool known = data.is_full_fashion_mnist() && lesson.options().epochs == kEpochs;
  work_out_on_paper(lesson);
  lesson.check("bits_histograms", bits_of_histograms(data.train_images, data.test_images), kBits,
               kit::when(known, {4.587871892, 1e-6}));
  const Tensor<float>& pixels = data.train_images;
  const auto black = static_cast<double>(std::count(pixels.begin(), pixels.end(), 0.0f));
  lesson.check("black_pixels", 100 * black / static_cast<double>(pixels.size()), "%",
               kit::when(known, {50.20514031, 1e-3}));

  const auto all = train_all(lesson, data, known);
  if (all.empty()) return;
  Trained& learned = named(all, "normal_learned");
  nn::save_file(learned.net.parameters(), lesson.file("normal_learned.safetensors"));
  split_sharpness(lesson, learned, known);
  compare_sharpness(lesson, all);
  calibrate(lesson, all, data, known);
  report_bits(lesson, all, data);
  show_images(lesson, all, data);
  memorise(lesson, learned, data, known);
}

}  // namespace
}  // namespace gradus::lesson16

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "16_likelihoods",
                           .title = "Likelihoods: the loss is a noise model",
                           .epochs = gradus::lesson16::kEpochs,
                           .quick_epochs = 2},
                          argc, argv, gradus::lesson16::run);
}
