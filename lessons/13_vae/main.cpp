// Lesson 13: the variational autoencoder, trained on images of clothes.
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
#include "lessons/13_vae/figures.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/13_vae/on_paper.hpp"
#include "lessons/common/estimates.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/fashion_mnist.hpp"
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
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson13 {
namespace {

constexpr Index kHidden = 400, kLatents = 20, kBatch = 128;
constexpr Index kManyPixels = 100;  // beside which an untrained encoder costs next to nothing
constexpr int kEpochs = 10;
constexpr double kRate = 1e-3;
const std::string kPerPixel = "per pixel", kNats = "nats/image";

// Measurements draw random numbers of their own, the same in every run: --seed changes the models,
// and not the yardstick. Two models are measured by the same draws.
constexpr std::uint64_t kSeedOfScores = 1, kSeedOfSamples = 2, kSeedOfClaims = 3;

// One of the networks of this lesson and its training. What it is trained by is all that makes it a
// VAE or an autoencoder.
template <class Net> struct Experiment {
  Experiment(const std::string& name, Objective objective, Index latents,
             const kit::ImageData& data, std::uint64_t seed)
      : name(name),
        objective(objective),
        rng(seed),
        net(data.height * data.width, kHidden, latents, rng) {}

  std::string name;
  Objective objective;
  Rng rng;
  Net net;
  kit::History history;  // in nats
};

using OfBernoulli = Experiment<Vae<float>>;
using OfGaussian = Experiment<GaussianVae<float>>;

template <class Net>
std::vector<kit::Score> elbo_scores(const Net& net, const kit::ImageData& data) {
  const ElboMeans test = evaluate(net, data.test_images, Rng(kSeedOfScores));
  const Tensor<float> seen = first(data.test_images.extent(0), data.train_images);
  const ElboMeans training = evaluate(net, seen, Rng(kSeedOfScores));
  return {{kNegativeElbo, test.negative_elbo()},
          {kNegativeReconstruction, -test.reconstruction},
          {kKl, test.kl},
          {kTrainingNegativeElbo, training.negative_elbo()}};
}

std::vector<kit::Score> scores(const OfBernoulli& experiment, const kit::ImageData& data) {
  if (experiment.objective == Objective::kReconstruction)
    return {{kNegativeLogProbAtMean, -mean_log_prob_at_mean(experiment.net, data.test_images)}};
  return elbo_scores(experiment.net, data);
}

std::vector<kit::Score> scores(const OfGaussian& experiment, const kit::ImageData& data) {
  return elbo_scores(experiment.net, data);
}

// How long the models beside the VAE and the autoencoder are trained: as long as these, but for
// half as long with --quick, which is for a look.
int epochs_beside(const kit::Options& options) {
  return options.quick ? (options.epochs + 1) / 2 : options.epochs;
}

template <class Net>
void train(kit::Lesson& lesson, Experiment<Net>& experiment, int epochs,
           const kit::ImageData& data) {
  Net& net = experiment.net;
  Rng& rng = experiment.rng;
  nn::Adam<float> adam(net.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, experiment.name, {.epochs = epochs, .batch = kBatch},
                         net.parameters(), adam, rng);
  const auto measure = [&] { return scores(experiment, data); };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(data.train_images)) {
      Tape<float> tape;
      const Var<float> gain = net.per_image_objective(experiment.objective, x, rng);  // (N)
      tape.backward(-mean(gain));
      adam.step();
    }
    training.record(measure);
  }
  experiment.history = training.history();
}

// Whether a number that is known for the default training on all of Fashion-MNIST applies.
bool is_as_known(const kit::ImageData& data, const kit::History& history) {
  return data.is_full_fashion_mnist() && std::ssize(history.begin()->second) == kEpochs + 1;
}

// ---- On paper ----------------------------------------------------------------------------------

// One image of two pixels, with the noise 1, and -1 for an exercise. The expected values are the
// formulas of the text, written out.
void work_out_one_image(kit::Lesson& lesson) {
  const auto sigmoid = [](double u) { return 1 / (1 + std::exp(-u)); };
  const double kl = 0.5 * (0.25 + 1 - 1 - std::log(0.25));
  const std::vector<std::pair<std::string, double>> cases = {{"one_image", 1},
                                                             {"one_image_eps_minus_1", -1}};
  for (const auto& [name, eps] : cases) {
    const double z = 1 + 0.5 * eps;
    const double white_1 = sigmoid(2 * z);
    const double white_2 = sigmoid(-z);
    const double reconstruction =
        std::log(white_1) + 0.5 * std::log(white_2) + 0.5 * std::log(1 - white_2);
    const double slope_z = 2 * (1 - white_1) - (0.5 - white_2);
    const OneImage image = one_image(eps);
    const std::string prefix = name + "_";
    const auto check = [&](const std::string& what, double value, double expected,
                           const std::string& unit) {
      lesson.check(prefix + what, value, unit, kit::Expected{expected, 1e-12});
    };
    check("white_1", image.white_1, white_1, "");
    check("white_2", image.white_2, white_2, "");
    check("reconstruction", image.reconstruction, reconstruction, "nats");
    check("kl", image.kl, kl, "nats");
    check("elbo", image.elbo(), reconstruction - kl, "nats");
    check("slope_m", image.slope_m, slope_z - 1, "");
    check("slope_s", image.slope_s, slope_z * eps - (0.5 - 1 / 0.5), "");
    lesson.report(fmt::format("{}_slope_z", name), slope_z, "");
  }
  // The average of both draws.
  const OneImage plus = one_image(1);
  const OneImage minus = one_image(-1);
  lesson.report("exercise_5_elbo", 0.5 * (plus.elbo() + minus.elbo()), "nats");
  lesson.report("exercise_5_slope_m", 0.5 * (plus.slope_m + minus.slope_m), "");
  lesson.report("exercise_5_slope_s", 0.5 * (plus.slope_s + minus.slope_s), "");
}

// Two images of four pixels, whose clouds are moved apart; and of one pixel, where it never pays.
void move_two_clouds(kit::Lesson& lesson) {
  const TwoImages four{.pixels = 4};
  const double best = four.best(0.5, 6);
  const double s = TwoImages::deviation(best);
  lesson.report("two_images_best_r", best, "");
  lesson.report("two_images_best_m", best * s, "");
  lesson.report("two_images_best_s", s, "");
  lesson.check("two_images_mean_square_of_z", s * s * (1 + best * best), "",
               kit::Expected{1, 1e-12});
  const std::vector<std::pair<std::string, double>> distances = {{"close", 0.5},
                                                                 {"best", best},
                                                                 {"far", 6}};
  for (const auto& [name, r] : distances) {
    lesson.report(fmt::format("two_images_{}_reconstruction", name), four.reconstruction(r),
                  "nats");
    lesson.report(fmt::format("two_images_{}_kl", name), TwoImages::kl(r), "nats");
    lesson.report(fmt::format("two_images_{}_elbo", name), four.elbo(r), "nats");
  }
  // All four pixels are fair coins.
  lesson.check("two_images_dead", four.elbo(0), "nats", kit::Expected{-4 * std::log(2.0), 1e-12});
  lesson.report("ln_2", std::log(2.0), "nats");
  const TwoImages one{.pixels = 1};
  double gain = one.elbo(0.5) - one.elbo(0);
  for (double r = 1; r <= 6; r += 0.5) gain = std::max(gain, one.elbo(r) - one.elbo(0));
  lesson.check("one_pixel_gain_of_any_r", gain, "nats", kit::between(-1, 0));
  lesson.report("one_pixel_elbo_at_1", one.elbo(1), "nats");
  draw_two_clouds(lesson, four, best);
  draw_two_images(lesson, four);
}

// A Bernoulli's "density" of grey levels.
void weigh_grey_levels(kit::Lesson& lesson) {
  lesson.check("mass_of_grey_levels_at_half", mass_of_grey_levels(0), "", kit::Expected{0.5, 0});
  // (2 p - 1) / ln(p / (1 - p)) at p = 0.9
  lesson.check("mass_of_grey_levels_at_0_9", mass_of_grey_levels(std::log(9.0)), "",
               kit::Expected{0.8 / std::log(9.0), 1e-12});
}

// ---- The VAE -----------------------------------------------------------------------------------

// What no -ELBO of the test images is below, and what it is where all latents are dead.
struct Walls {
  double entropy, dead;
};

// How sharp test images are, the means that draws from their clouds decode to, and what is drawn
// from these.
template <class Net>
Sharpness report_sharpness(kit::Lesson& lesson, const std::string& suffix, const Net& net,
                           const kit::ImageData& data) {
  const Sharpness s = sharpness_through(net, data.test_images, data.width, Rng(kSeedOfSamples));
  if (suffix.empty()) lesson.report("sharpness_of_images", s.images, kPerPixel);
  lesson.report("sharpness_of_means" + suffix, s.means, kPerPixel);
  lesson.report("sharpness_of_drawn" + suffix, s.drawn, kPerPixel);
  lesson.report("squared_error_of_means" + suffix, s.error, kPerPixel);
  return s;
}

// New images. Returns what ten test images become.
Decoded draw_images(kit::Lesson& lesson, const Vae<float>& vae, const kit::ImageData& data) {
  Rng rng(lesson.options().seed);
  const Tensor<float> images = first(10, data.test_images);
  const nn::Bernoulli<float> p = vae.decode(vae.sample_posterior(images, rng));
  const Decoded decoded{p.mean().value(), p.sample(rng)};
  draw_samples(lesson, vae.decoded(vae.sample_prior(60, rng)), data);
  report_sharpness(lesson, "", vae, data);
  return decoded;
}

// The walls of Fashion-MNIST follow from its files alone, and are known.
void check_walls(kit::Lesson& lesson, const Walls& walls, const kit::ImageData& data) {
  const bool full = data.is_full_fashion_mnist();
  lesson.check("pixel_entropy", walls.entropy, kNats,
               kit::when(full, {fashion_mnist::kPixelEntropy, 1e-4}));
  if (std::isfinite(walls.dead))
    lesson.check("dead_latents", walls.dead, kNats,
                 kit::when(full, {fashion_mnist::kCostOfMeanImage, 1e-4}));
  else
    fmt::print(
        "Some pixel is the same, black or white, in all training images and not in all test "
        "images:\n"
        "their mean would cost infinitely much, so that there is no upper wall.\n");
}

// The -ELBO that tests/benchmarks/vae_pytorch.py EPOCHS SEED LATENTS reaches with PyTorch 1.13 on
// all of Fashion-MNIST, by the same layers and training. Its seeds differ by 0.1.
std::optional<kit::Expected> reference(std::size_t epochs, Index latents) {
  if (epochs == 10 && latents == 20) return kit::Expected{244.1, 1};
  if (epochs == 20 && latents == 20) return kit::Expected{242.3, 1};
  if (epochs == 10 && latents == 2) return kit::Expected{264.5, 3};
  return std::nullopt;
}

void check_reference(kit::Lesson& lesson, const std::string& name, const OfBernoulli& experiment,
                     const kit::ImageData& data) {
  const std::vector<double>& losses = experiment.history.at(kNegativeElbo);
  const auto expected = reference(losses.size() - 1, experiment.net.latents());
  lesson.check(name, losses.back(), kNats, data.is_full_fashion_mnist() ? expected : std::nullopt);
}

// The (D + 1) H + 2 (H + 1) K + (K + 1) H + (H + 1) D weights and biases of five layers.
Index parameters_on_paper(Index pixels) {
  const Index encoder = (pixels + 1) * kHidden + 2 * (kHidden + 1) * kLatents;
  const Index decoder = (kLatents + 1) * kHidden + (kHidden + 1) * pixels;
  return encoder + decoder;
}

// After the first epoch, and how often the -ELBO rose from one epoch to the next.
void report_course(kit::Lesson& lesson, const kit::History& history) {
  const std::vector<double>& losses = history.at(kNegativeElbo);
  if (losses.size() < 2) return;
  lesson.report("test_negative_elbo_epoch_1", losses[1], kNats);
  lesson.report("test_negative_reconstruction_epoch_1", history.at(kNegativeReconstruction)[1],
                kNats);
  lesson.report("test_kl_epoch_1", history.at(kKl)[1], kNats);
  int rises = 0;
  for (std::size_t i = 1; i < losses.size(); ++i)
    if (losses[i] > losses[i - 1]) ++rises;
  lesson.report("epochs_in_which_it_rose", rises, "");
  lesson.report("training_negative_elbo", history.at(kTrainingNegativeElbo).back(), kNats);
}

// The model before training, after it, and between the walls.
void check_training(kit::Lesson& lesson, OfBernoulli& vae, const Walls& walls,
                    const kit::ImageData& data) {
  const Index pixels = data.height * data.width;
  const std::vector<double>& losses = vae.history.at(kNegativeElbo);
  const bool trained = losses.size() > 1;
  lesson.check("parameters", static_cast<double>(nn::count(vae.net.parameters())), "",
               kit::Expected{static_cast<double>(parameters_on_paper(pixels)), 0});
  // Every pixel is a fair coin.
  const kit::Expected coins = kit::relative(static_cast<double>(pixels) * std::log(2.0), 0.02);
  lesson.check("untrained_negative_elbo", losses.front(), kNats,
               kit::when(pixels >= kManyPixels, coins));
  report_course(lesson, vae.history);
  check_reference(lesson, "test_negative_elbo", vae, data);
  lesson.report("test_negative_reconstruction", vae.history.at(kNegativeReconstruction).back(),
                kNats);
  lesson.report("test_kl", vae.history.at(kKl).back(), kNats);
  lesson.report("test_kl_in_bits", vae.history.at(kKl).back() / std::log(2.0), "bits/image");
  // From a few images, or from noise, it may not learn enough to come below the upper wall.
  const bool known_images = lesson.options().data.empty();
  if (trained && std::isfinite(walls.dead))
    lesson.check("bracket", losses.back(), kNats,
                 kit::when(known_images, kit::between(walls.entropy, walls.dead)));
}

// Where training comes to rest each is 1, and no rescaling gains anything.
void report_second_moments(kit::Lesson& lesson, const std::string& suffix,
                           const Tensor<float>& moments) {
  lesson.report("mean_square_of_z_least" + suffix, -max(-moments).item(), "");
  lesson.report("mean_square_of_z_most" + suffix, max(moments).item(), "");
  lesson.report("gain_by_rescaling" + suffix, gain_by_rescaling(moments), kNats);
}

void check_second_moments(kit::Lesson& lesson, const OfBernoulli& vae, const kit::ImageData& data) {
  const Tensor<float> moments = second_moments(vae.net, data.test_images);  // (K)
  lesson.check("mean_square_of_z", mean(moments).item(), "",
               kit::when(is_as_known(data, vae.history), {1, 0.05}));
  report_second_moments(lesson, "", moments);
}

// "Decode the mean, it is the same": it is no ELBO, neither in lesson 11's model, where a^2 v / 2
// is left out, nor here.
void decode_the_mean(kit::Lesson& lesson, const OfBernoulli& vae, const Tensor<float>& test) {
  constexpr double kSlope = 2, kVariance = 0.25;
  lesson.check("decoding_the_mean_lesson_11", decoding_bias_of_lesson_11(), "nats",
               kit::Expected{kSlope * kSlope * kVariance / 2, 1e-12});
  const double at_draw = vae.history.at(kNegativeReconstruction).back();
  const double at_mean = -mean_log_prob_at_mean(vae.net, test);
  lesson.report("decoding_the_mean", at_draw - at_mean, kNats);
  lesson.report("test_negative_log_prob_at_mean", at_mean, kNats);
}

// What is often said, and what is so.
void check_claims(kit::Lesson& lesson, OfBernoulli& experiment, const Tensor<float>& test) {
  Vae<float>& vae = experiment.net;
  const Tensor<float> x = first(kBatch, test);
  const Tensor<float> noise = Rng(kSeedOfClaims).normal<float>({x.extent(0), vae.latents()});

  // "The reconstruction is theta's affair": it has a gradient with respect to phi.
  const auto reconstruction = [&] { return mean(vae.elbo(x, noise).reconstruction); };
  lesson.report("reconstruction_gradient_phi", gradient_length<float>(vae.phi(), reconstruction),
                "");

  decode_the_mean(lesson, experiment, test);

  // Two copies of a batch have its loss.
  const auto elbo = [&](const Tensor<float>& images, const Tensor<float>& e) {
    return mean(vae.elbo(images, e).total()).item();
  };
  const auto twice = [](const Tensor<float>& part) { return concatenate(std::vector{part, part}); };
  lesson.check("duplicated_batch", elbo(twice(x), twice(noise)) / elbo(x, noise) - 1, "",
               kit::Expected{0, 1e-5});
}

// How much of a minibatch's gradient is noise of the draws: what more draws could take away.
void split_the_noise(kit::Lesson& lesson, OfBernoulli& experiment, const kit::ImageData& data) {
  Rng rng(kSeedOfClaims);
  const int pairs = lesson.options().quick ? 5 : 40;
  const GradientNoise noise = gradient_noise(experiment.net, data.train_images, kBatch, pairs, rng);
  lesson.report("gradient_variance", noise.all, "");
  lesson.report("gradient_variance_from_draws", 100 * noise.of_draws / noise.all, "%");
}

// What one network for all images costs, against a q(z|x) for each that is found for it alone.
void measure_amortisation(kit::Lesson& lesson, const OfBernoulli& experiment,
                          const Tensor<float>& test) {
  if (test.extent(0) < 2) return;
  const bool quick = lesson.options().quick;
  const int steps = quick ? 50 : 400;
  const int draws = quick ? 10 : 100;
  const Vae<float>& vae = experiment.net;
  const Tensor<float> x = first(quick ? 20 : 100, test);
  Rng rng(kSeedOfClaims);
  const nn::Normal<float> own = fit_each(vae, x, steps, 0.03, rng);
  const Tensor<float> by_network = elbo_of(vae, x, vae.encode(x), draws, rng);
  const Tensor<float> by_climbing = elbo_of(vae, x, own, draws, rng);
  const Estimate gap = estimate(cast<double>(by_climbing - by_network));
  lesson.report("amortisation_gap", gap.mean, kNats);
  lesson.report("amortisation_gap_error", gap.mean_error, kNats);
}

Decoded train_the_vae(kit::Lesson& lesson, OfBernoulli& vae, const kit::ImageData& data) {
  const Walls walls{entropy_of_pixels(data.test_images),
                    negative_log_likelihood_of_means(data.train_images, data.test_images)};
  train(lesson, vae, lesson.options().epochs, data);
  nn::save_file(vae.net.parameters(), lesson.file("vae.safetensors"));
  draw_history(lesson, vae.history, walls.entropy, walls.dead);
  const Decoded decoded = draw_images(lesson, vae.net, data);
  check_walls(lesson, walls, data);
  check_training(lesson, vae, walls, data);
  check_second_moments(lesson, vae, data);
  check_claims(lesson, vae, data.test_images);
  split_the_noise(lesson, vae, data);
  measure_amortisation(lesson, vae, data.test_images);
  return decoded;
}

// ---- Either half alone -------------------------------------------------------------------------

enum class Half { kEncoder, kDecoder };

// From the weights that the VAE begins with, an epoch in which one half only is trained.
void train_half(kit::Lesson& lesson, const std::string& name, Half which,
                const kit::ImageData& data) {
  const bool encoder = which == Half::kEncoder;
  OfBernoulli half(name, Objective::kElbo, kLatents, data, lesson.options().seed);
  nn::Adam<float> adam(encoder ? half.net.phi() : half.net.theta(), {.learning_rate = kRate});
  const Index n = data.train_images.extent(0);
  kit::Steps steps(lesson, "training, " + name, (n + kBatch - 1) / kBatch);
  for (const Tensor<float>& x : steps.minibatches(data.train_images, kBatch, half.rng)) {
    Tape<float> tape;
    tape.backward(-mean(half.net.elbo(x, half.rng).total()));
    adam.step();
  }
  if (lesson.interrupted()) return;
  const ElboMeans means = evaluate(half.net, data.test_images, Rng(kSeedOfScores));
  lesson.report(name + "_negative_elbo", means.negative_elbo(), kNats);
  lesson.report(name + "_negative_reconstruction", -means.reconstruction, kNats);
  lesson.report(name + "_kl", means.kl, kNats);
}

// ---- A Gaussian decoder ------------------------------------------------------------------------

// The variance of a pixel around the mean image: a decoder's sigma^2 before it has learnt anything.
double variance_of_a_pixel(const Tensor<float>& images) {
  double total = 0;
  const Tensor<float> mean_image = mean(images, {0});
  in_parts(images, [&](const Tensor<float>& x) { total += sum(square(x - mean_image)).item(); });
  return std::max(total / static_cast<double>(images.size()), 0.01);
}

void compare_decoders(kit::Lesson& lesson, const Decoded& bernoulli, const kit::ImageData& data) {
  OfGaussian gaussian("vae_gaussian", Objective::kElbo, kLatents, data, lesson.options().seed);
  gaussian.net.set_variance(variance_of_a_pixel(data.train_images));
  train(lesson, gaussian, epochs_beside(lesson.options()), data);
  if (lesson.interrupted()) return;

  Rng rng(lesson.options().seed);
  const Tensor<float> images = first(10, data.test_images);
  const nn::Normal<float> p = gaussian.net.decode(gaussian.net.sample_posterior(images, rng));
  draw_reconstructions(lesson, images, bernoulli, {p.mean.value(), p.sample(rng).value()}, data);
  // Lesson 02's exact log-likelihood of test images by 20 components.
  constexpr double kOfPpca = 396.699;
  const double elbo = -gaussian.history.at(kNegativeElbo).back();
  lesson.check("gaussian_elbo", elbo, kNats,
               kit::when(is_as_known(data, gaussian.history), kit::between(kOfPpca, 700)));
  lesson.report("gaussian_above_ppca", elbo - kOfPpca, kNats);
  lesson.report("gaussian_reconstruction", -gaussian.history.at(kNegativeReconstruction).back(),
                kNats);
  lesson.report("gaussian_kl", gaussian.history.at(kKl).back(), kNats);
  lesson.report("gaussian_variance", gaussian.net.variance(), "");
  lesson.report("gaussian_deviation", std::sqrt(gaussian.net.variance()), "");
  const Sharpness s = report_sharpness(lesson, "_gaussian", gaussian.net, data);
  // Exercise 4: independent noise of variance s^2 on two neighbours adds 2 s^2 to the mean of their
  // squared difference.
  lesson.report("exercise_4", s.means + 2 * gaussian.net.variance(), kPerPixel);
  // Exercise 6: with the best variance, the mean squared error e, -ln p(x|z) = D/2 (1 + ln 2 pi e).
  const double pixels = static_cast<double>(data.height * data.width);
  lesson.report("exercise_6", 0.5 * pixels * (1 + std::log(2 * std::numbers::pi * s.error)), kNats);
}

// ---- The VAE and an autoencoder of the same layers ---------------------------------------------

// How far images decoded from N(0, I) are from all training images. Returns the first 20.
Tensor<float> report_samples(kit::Lesson& lesson, const OfBernoulli& experiment,
                             const kit::ImageData& data, Rng& rng) {
  const Vae<float>& net = experiment.net;
  const Tensor<float> samples = net.decoded(net.sample_prior(200, rng));
  lesson.report("nearest_to_samples_" + experiment.name,
                distance_to_nearest(samples, data.train_images), kPerPixel);
  return first(20, samples);
}

// How much noise on the input moves a reconstruction.
void report_robustness(kit::Lesson& lesson, const OfBernoulli& experiment,
                       const Tensor<float>& test, Rng& rng) {
  lesson.report("moved_by_noise_" + experiment.name, moved_by_noise(experiment.net, test, 0.1, rng),
                kPerPixel);
}

// How far half-way between two codes is from a cross-fade.
void report_midpoints(kit::Lesson& lesson, const OfBernoulli& experiment,
                      const Tensor<float>& test) {
  if (test.extent(0) < 2) return;
  lesson.report("midpoint_" + experiment.name,
                departure_of_midpoints(experiment.net, first(2000, test)), kPerPixel);
}

// How sharp images are that are decoded from the means of their clouds, or their codes.
void report_sharpness_at_mean(kit::Lesson& lesson, const OfBernoulli& experiment,
                              const kit::ImageData& data) {
  const Vae<float>& net = experiment.net;
  const Tensor<float> decoded = net.decoded(net.encode(data.test_images).mean.value());
  lesson.report("sharpness_at_mean_" + experiment.name, sharpness(decoded, data.width), kPerPixel);
}

// Three pairs of test images: a boot and a pullover, trousers and a sandal, a dress and a sneaker.
std::vector<Path> interpolations(const Vae<float>& vae, const Vae<float>& autoencoder,
                                 const Tensor<float>& test) {
  constexpr Index kPairs[][2] = {{0, 1}, {2, 8}, {13, 9}};
  const Index last = test.extent(0) - 1;
  std::vector<Path> paths;
  for (const auto& [from, to] : kPairs) {
    const Tensor<float> ends =
        gather_rows(test, std::vector<Index>{std::min(from, last), std::min(to, last)});
    paths.push_back({ends, interpolate(vae, ends, 10), interpolate(autoencoder, ends, 10)});
  }
  return paths;
}

void compare(kit::Lesson& lesson, const OfBernoulli& vae, const OfBernoulli& autoencoder,
             const kit::ImageData& data) {
  const Tensor<float>& test = data.test_images;
  const Tensor<float>& train = data.train_images;
  std::vector<Tensor<float>> samples;  // (20, D) of each
  for (const OfBernoulli* experiment : {&vae, &autoencoder}) {
    Rng rng(kSeedOfSamples);
    samples.push_back(report_samples(lesson, *experiment, data, rng));
    report_robustness(lesson, *experiment, test, rng);
    report_midpoints(lesson, *experiment, test);
    report_sharpness_at_mean(lesson, *experiment, data);
  }
  draw_samples_compared(lesson, samples[0], samples[1], data);
  draw_interpolations(lesson, interpolations(vae.net, autoencoder.net, test), data);

  const Tensor<float> black({1, test.extent(1)});
  lesson.report("nearest_to_test_images", distance_to_nearest(first(200, test), train), kPerPixel);
  lesson.report("nearest_to_black", distance_to_nearest(black, train), kPerPixel);
  const double of_autoencoder = autoencoder.history.at(kNegativeLogProbAtMean).back();
  lesson.report("test_negative_log_prob_at_mean_autoencoder", of_autoencoder, kNats);
  lesson.report("price_of_a_law", -mean_log_prob_at_mean(vae.net, test) - of_autoencoder, kNats);
  lesson.report("mean_square_of_codes", mean(square(autoencoder.net.encode(test).mean)).item(), "");
}

void compare_with_an_autoencoder(kit::Lesson& lesson, const OfBernoulli& vae,
                                 const kit::ImageData& data) {
  OfBernoulli autoencoder("autoencoder", Objective::kReconstruction, kLatents, data,
                          lesson.options().seed);
  train(lesson, autoencoder, lesson.options().epochs, data);
  if (lesson.interrupted()) return;
  compare(lesson, vae, autoencoder, data);
}

// ---- Two latents, to look at -------------------------------------------------------------------

// Clouds, and where the aggregate posterior is, beside the prior.
void look_at_clouds(kit::Lesson& lesson, const Vae<float>& vae, const kit::ImageData& data) {
  Rng rng(kSeedOfSamples);
  const Tensor<float> z = vae.sample_posterior(data.test_images, rng);  // (N, 2)
  draw_clouds(lesson, vae, z, data);
  report_second_moments(lesson, "_2_latents", second_moments(vae, data.test_images));
  lesson.report("share_within_half", 100 * share_within(z, 0.5), "%");
  lesson.report("share_within_half_prior", 100 * (1 - std::exp(-0.125)), "%");
  const Tensor<float> log_var = vae.encode(data.test_images).log_var.value();
  lesson.report("mean_deviation_2_latents", mean(exp(log_var * 0.5f)).item(), "");
}

void map_two_latents(kit::Lesson& lesson, const kit::ImageData& data) {
  const std::uint64_t seed = lesson.options().seed;
  const int epochs = epochs_beside(lesson.options());
  OfBernoulli vae("vae_2_latents", Objective::kElbo, 2, data, seed);
  train(lesson, vae, epochs, data);
  if (lesson.interrupted()) return;

  OfBernoulli autoencoder("autoencoder_2_latents", Objective::kReconstruction, 2, data, seed);
  train(lesson, autoencoder, epochs, data);
  if (lesson.interrupted()) return;

  nn::save_file(vae.net.parameters(), lesson.file("vae_2_latents.safetensors"));
  look_at_clouds(lesson, vae.net, data);
  draw_manifold(lesson, vae.net, data);
  draw_map(lesson, "latent_map",
           {.title = "The VAE's map: around 0, in the prior's units",
            .note = "means of q(z|x) of 5,000 test images; training never saw the names",
            .x_label = "z1",
            .y_label = "z2"},
           vae.net, data);
  draw_map(lesson, "code_map",
           {.title = "The autoencoder's map: wherever training left it",
            .note = "codes of the same images, after as many epochs",
            .x_label = "first code",
            .y_label = "second code"},
           autoencoder.net, data);
  check_reference(lesson, "test_negative_elbo_2_latents", vae, data);
}

// What cannot be measured is said before the work begins.
void require_use(const kit::ImageData& data) {
  if (data.width < 2)
    fail(
        "lesson 13 measures how sharp images are by pixels side by side: those of {} are one pixel "
        "wide",
        data.name);
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  draw_model(lesson);
  draw_architecture(lesson, data.height * data.width, kHidden, kLatents);
  work_out_one_image(lesson);
  move_two_clouds(lesson);
  weigh_grey_levels(lesson);

  OfBernoulli vae("vae", Objective::kElbo, kLatents, data, lesson.options().seed);
  const Decoded decoded = train_the_vae(lesson, vae, data);
  if (lesson.interrupted()) return;

  train_half(lesson, "theta_alone", Half::kDecoder, data);
  train_half(lesson, "phi_alone", Half::kEncoder, data);
  if (lesson.interrupted()) return;

  compare_decoders(lesson, decoded, data);
  if (lesson.interrupted()) return;

  compare_with_an_autoencoder(lesson, vae, data);
  if (lesson.interrupted()) return;

  map_two_latents(lesson, data);
}

}  // namespace
}  // namespace gradus::lesson13

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "13_vae",
                           .title = "The variational autoencoder",
                           .epochs = gradus::lesson13::kEpochs,
                           .quick_epochs = 6},
                          argc, argv, gradus::lesson13::run);
}
