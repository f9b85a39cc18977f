// Lesson 06: a network that is shown spoiled images and must give back the clean ones.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/06_denoising_autoencoder/figures.hpp"
#include "lessons/06_denoising_autoencoder/filters.hpp"
#include "lessons/06_denoising_autoencoder/instruments.hpp"
#include "lessons/06_denoising_autoencoder/model.hpp"
#include "lessons/06_denoising_autoencoder/truths.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/in_parts.hpp"
#include "lessons/common/linear_probe.hpp"
#include "lessons/common/noise.hpp"
#include "lessons/common/toy.hpp"
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

namespace gradus::lesson06 {
namespace {

using kit::Expected;

constexpr Index kHidden = 512, kCode = 128, kBatch = 128;
constexpr int kEpochs = 8;
constexpr double kRate = 2e-3;  // the first; it falls from there
constexpr double kNoise = 0.5;  // standard deviation of the Gaussian noise

// What cannot be trained or measured is said before the work begins.
void require_use(const kit::ImageData& data) {
  const Index n = data.train_images.extent(0);
  if (n < kBatch)
    fail("lesson 06 trains on batches of {} images: {} has {} to train on", kBatch, data.name, n);
  const Tensor<float> x = first(4096, data.train_images);
  if (sum(not_equal(x, slice(x, 0, 0, 1))).item() == 0)
    fail("lesson 06 needs images that differ: the first {} of {} are all the same", x.extent(0),
         data.name);
}

// All noise that is used to test: the same for each model.
Rng noise_of_tests(const kit::Lesson& lesson) { return Rng(lesson.options().seed + 1000); }

// ---- On paper ----------------------------------------------------------------------------------

// Normal data: shrink each direction.
void shrink_directions(kit::Lesson& lesson) {
  lesson.check("shrink_4", shrink(4, 1), "", Expected{0.8, 1e-12});
  lesson.check("shrink_1", shrink(1, 1), "", Expected{0.5, 1e-12});
  lesson.check("wiener_4_1", wiener_error({4, 1}, 1), "", Expected{1.3, 1e-12});
  lesson.check("truncation_4_1", truncation_error({4, 1}, 1), "", Expected{2, 1e-12});
  lesson.check("toy_wiener_1", wiener_error(kToyVariances, 1), "", Expected{2.5, 1e-12});
  lesson.check("toy_wiener_half", wiener_error(kToyVariances, 0.5), "",
               Expected{1.5944444444, 1e-10});
  lesson.check("toy_truncation_1", truncation_error(kToyVariances, 1), "", Expected{3.75, 1e-12});
  lesson.check("toy_truncation_half", truncation_error(kToyVariances, 0.5), "",
               Expected{2.25, 1e-12});
}

// Two points, for noise of several strengths, and where iterating the answer leads.
void answer_two_points(kit::Lesson& lesson) {
  const auto check = [&](const std::string& name, double value, double expected) {
    lesson.check(name, value, "", Expected{expected, 1e-9});
  };
  check("two_points_probability", 1 / (1 + std::exp(-2 * 0.5 / 0.5)), 0.8807970780);
  check("two_points_odds", std::exp(2 * 0.5 / 0.5), 7.3890560989);
  check("two_points_other_probability", 1 / (1 + std::exp(2 * 0.5 / 0.5)), 0.1192029220);
  check("two_points_answer", two_points_answer(0.5, 0.5), 0.7615941560);
  check("two_points_error_0.1", two_points_error(0.1), 0.0024113147);
  check("two_points_error_0.25", two_points_error(0.25), 0.0685974088);
  check("two_points_error_0.5", two_points_error(0.5), 0.2310182219);
  check("two_points_error_1", two_points_error(1), 0.4495995092);
  check("two_points_error_2", two_points_error(2), 0.6498865953);
  check("best_line_error_0.5", wiener_error({1}, 0.5), 1.0 / 3);
  const double answer = two_points_answer(0.5, 0.5);
  check("two_points_slope", (1 - answer * answer) / 0.5, 0.8399486832);
  check("two_points_iterated_1", iterate_two_points(0.1, 0.5, 1), 0.1973753202);
  check("two_points_iterated_2", iterate_two_points(0.1, 0.5, 2), 0.3754484718);
  check("two_points_iterated_3", iterate_two_points(0.1, 0.5, 3), 0.6356837514);
  check("two_points_iterated_5", iterate_two_points(0.1, 0.5, 5), 0.9364430304);
  check("two_points_iterated_10", iterate_two_points(0.1, 0.5, 10), 0.9575012048);
  check("two_points_fixed", iterate_two_points(0.1, 0.5, 1000), 0.9575040241);
  lesson.check("two_points_area", two_points_area(), "", Expected{2 * std::log(2), 1e-9});
}

// Tweedie's formula, for a circle and for a mixture of two normal distributions.
void answer_circle_and_mixture(kit::Lesson& lesson) {
  const auto check = [&](const std::string& name, double value, double expected) {
    lesson.check(name, value, "", Expected{expected, 1e-9});
  };
  check("circle_answer_0.5", circle_answer(0.5, 0.1), 0.8933831370);
  check("circle_answer_1", circle_answer(1, 0.1), 0.9485998260);
  check("circle_answer_1.5", circle_answer(1.5, 0.1), 0.9660695640);
  check("circle_error_0.1", circle_error(0.1), 0.1069884074);
  check("circle_best_line", wiener_error({0.5, 0.5}, 0.1), 0.1666666667);
  check("circle_error_0.25", circle_error(0.25), 0.2746895434);
  check("circle_fixed_radius", circle_fixed_radius(0.1), 0.9455421864);
  const std::vector<std::pair<double, double>> answers = {{-1, -0.8980692443},
                                                          {0, 0.1280491408},
                                                          {0.5, 0.7689785154},
                                                          {2, 1.7475708893}};
  for (const auto& [seen, expected] : answers) {
    check(fmt::format("mixture_answer_{}", seen), mixture_answer(seen, 0.5), expected);
    check(fmt::format("mixture_by_score_{}", seen), seen + 0.5 * mixture_score(seen, 0.5),
          expected);
  }
}

// ---- Toys --------------------------------------------------------------------------------------

// Trains a model on these few examples with Gaussian noise that is new in each step.
void train_toy(kit::Lesson& lesson, const std::string& label, TwoLayers<float>& model,
               const Tensor<float>& examples, double s2, Index count, Rng& rng) {
  nn::Adam<float> adam(model.parameters());
  kit::Steps steps(lesson, label, count);
  for (const Tensor<float>& x : steps.minibatches(examples, examples.extent(0), rng)) {
    adam.options.learning_rate = cosine_schedule(1e-2, steps.done(), count);
    const Tensor<float> spoiled = add_gaussian_noise(x, std::sqrt(s2), rng);
    Tape<float> tape;
    tape.backward(mean(denoising_loss(model, spoiled, x)));
    adam.step();
  }
}

void learn_two_points(kit::Lesson& lesson) {
  constexpr double kVariance = 0.5;
  const Tensor<float> points =
      concatenate(std::vector{full<float>({128, 1}, -1), full<float>({128, 1}, 1)});
  Rng rng(lesson.options().seed + 1);
  TwoLayers<float> model(1, 64, rng);
  train_toy(lesson, "training, two points", model, points, kVariance, 2000, rng);
  const Tensor<float> x = (arange<float>(201) * 0.025f - 2.5f).reshape({-1, 1});
  draw_two_points(lesson, x, model(x).value(), kVariance);
  lesson.check("two_points_excess", two_points_excess(model, kVariance), "", kit::between(0, 3e-4));
}

void learn_circle(kit::Lesson& lesson) {
  constexpr double kVariance = 0.1;
  Rng rng(lesson.options().seed + 1);
  TwoLayers<float> model(2, 128, rng);
  train_toy(lesson, "training, circle", model, ring(1, 256), kVariance, 3000, rng);
  const Tensor<float> seen = concatenate(std::vector{ring(0.2, 8), ring(0.7, 16), ring(1.5, 24)});
  draw_field(lesson, seen, model(seen).value(), kVariance);
  const Tensor<float> from_inside = model(ring(0.2, 90)).value();
  const Tensor<float> radii = sqrt(sum(square(from_inside), {1}));
  lesson.report("circle_network_from_0.2", mean(radii).item(), "");
  lesson.check("circle_answer_from_0.2", circle_answer(0.2, kVariance), "",
               Expected{0.6977746580, 1e-9});
  lesson.check("circle_excess", circle_excess(model, kVariance), "", kit::between(0, 6e-4));
}

// ---- Training ----------------------------------------------------------------------------------

// Trains the main model, with a checkpoint after each epoch.
kit::History train(kit::Lesson& lesson, DenoisingAutoencoder<float>& model, const Noise& noise,
                   Rng& rng, const kit::ImageData& data) {
  nn::Adam<float> adam(model.parameters());
  kit::Training training(lesson, "denoiser",
                         {.epochs = lesson.options().epochs, .batch = kBatch, .scheduled = true},
                         model.parameters(), adam, rng);
  const auto measure = [&] {
    const double error = error_of(model, noise, data.test_images, noise_of_tests(lesson));
    return std::vector<kit::Score>{{"test error", error}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(data.train_images)) {
      adam.options.learning_rate = cosine_schedule(kRate, training.step(), training.steps());
      const Tensor<float> spoiled = noise.spoil(x, rng);
      Tape<float> tape;
      tape.backward(mean(denoising_loss(model, spoiled, x)));
      adam.step();
    }
    training.record(measure);
  }
  return training.history();
}

// What the answers of a model are compared with: the image itself, or another spoiled copy of it.
enum class Targets { kClean, kNoisy };

// A model that is trained beside the main one, for half as many steps, from the same start.
class SideModel {
 public:
  SideModel(kit::Lesson& lesson, const std::string& label, const Noise& noise,
            const kit::ImageData& data, Index steps, Targets targets = Targets::kClean)
      : noise_(noise),
        rng_(lesson.options().seed + 2),
        model_(data.train_images.extent(1), kHidden, kCode, rng_) {
    nn::Adam<float> adam(model_.parameters());
    kit::Steps progress(lesson, "training, " + label, steps);
    for (const Tensor<float>& x : progress.minibatches(data.train_images, kBatch, rng_)) {
      adam.options.learning_rate = cosine_schedule(kRate, progress.done(), steps);
      const Tensor<float> spoiled = noise.spoil(x, rng_);
      const Tensor<float> target = targets == Targets::kNoisy ? noise.spoil(x, rng_) : x;
      Tape<float> tape;
      tape.backward(mean(denoising_loss(model_, spoiled, target)));
      adam.step();
    }
  }

  const Noise& noise() const { return noise_; }

  const DenoisingAutoencoder<float>& model() const { return model_; }

  double error(const kit::Lesson& lesson, const kit::ImageData& data) const {
    return error_of(model_, noise_, data.test_images, noise_of_tests(lesson));
  }

 private:
  Noise noise_;
  Rng rng_;
  DenoisingAutoencoder<float> model_;
};

// ---- Gaussian noise on images ------------------------------------------------------------------

// What does not need a network: the noise itself, the best affine map, and PCA.
struct Baselines {
  Moments of;
  Pca<double> pca;
  Tensor<double> along;  // the mean square of the test images' coordinate along each component

  explicit Baselines(const kit::ImageData& data)
      : of(moments(data.train_images)),
        pca(pca_of(of)),
        along(mean_squares_along(pca, data.test_images)) {}

  // The components that vary by more than the noise.
  Index components_above(double s2) const {
    return static_cast<Index>(sum(greater(pca.variances, s2)).item());
  }

  // The Wiener filter's error on test images with noise, per pixel: it loses (1 - a)^2 of what is
  // along each component, and lets in a^2 of the noise.
  double wiener_error(double s2) const {
    double total = 0;
    for (Index i = 0; i < along.size(); ++i) {
      const double a = shrink(pca.variances(i), s2);
      total += (1 - a) * (1 - a) * along(i) + a * a * s2;
    }
    return total / static_cast<double>(along.size());
  }

  // PCA's: what it drops, and the noise in what it keeps.
  double truncation_error(double s2) const {
    const Index k = components_above(s2);
    const double dropped = sum(slice(along, 0, k, along.size())).item();
    return (dropped + s2 * static_cast<double>(k)) / static_cast<double>(along.size());
  }
};

// What filters leave of Gaussian noise of three strengths.
void filter_images(kit::Lesson& lesson, const Baselines& baselines, const kit::ImageData& data) {
  const bool full = data.is_full_fashion_mnist();

  struct Known {
    double s, wiener, truncation, components;
  };

  // By NumPy 1.24.2 in double precision (tests/references/denoising.py).
  for (const Known& known :
       {Known{0.25, 0.0112471, 0.0153348, 77}, Known{0.5, 0.0192124, 0.0249706, 24},
        Known{1, 0.0299763, 0.0368110, 8}}) {
    const double s2 = known.s * known.s;
    const double wiener = baselines.wiener_error(s2);
    const double truncation = baselines.truncation_error(s2);
    const auto name = [&](const std::string& what) { return fmt::format("{}_{}", what, known.s); };
    lesson.report(name("noisy_db"), psnr(s2), "dB");
    lesson.check(name("wiener"), wiener, "per pixel", kit::when(full, {known.wiener, 5e-7}));
    lesson.report(name("wiener_db"), psnr(wiener), "dB");
    lesson.check(name("components"), double(baselines.components_above(s2)), "",
                 kit::when(full, {known.components, 0}));
    lesson.check(name("pca"), truncation, "per pixel", kit::when(full, {known.truncation, 5e-7}));
    lesson.report(name("pca_db"), psnr(truncation), "dB");
  }
}

// Ten test images with noise, and what three denoisers make of them.
void draw_denoised(kit::Lesson& lesson, const DenoisingAutoencoder<float>& model,
                   const Noise& noise, double error, const Baselines& baselines,
                   const kit::ImageData& data) {
  const Tensor<float> x = first(10, data.test_images);
  Rng rng = noise_of_tests(lesson);
  const Tensor<float> seen = noise.spoil(x, rng);
  const Tensor<double> exactly = cast<double>(seen);
  const AffineFilter wiener = best_affine(noise, baselines.of);
  const double s2 = kNoise * kNoise;
  const Tensor<double> code = baselines.pca.encode(exactly, baselines.components_above(s2));
  const auto caption = [](const std::string& name, double e) {
    return fmt::format("{}: {:.1f} dB", name, psnr(e));
  };
  const double of_wiener = baselines.wiener_error(s2);
  draw_rows(lesson, "denoised", "The network beats the best linear filter by a decibel",
            "Gaussian noise of standard deviation 1/2 on pixels between 0 and 1",
            {{"test image", x},
             {caption("with noise", s2), seen},
             {caption("PCA", baselines.truncation_error(s2)),
              cast<float>(baselines.pca.decode(code))},
             {caption("linear", of_wiener), cast<float>(wiener(exactly))},
             {caption("network", error), model(seen).value()}},
            data);
}

// The error of the main model, beside that of the best affine map; and of other noise than it knew.
void compare_with_filter(kit::Lesson& lesson, const DenoisingAutoencoder<float>& model,
                         double error, const Baselines& baselines, const kit::ImageData& data) {
  const bool trained = data.is_full_fashion_mnist() && lesson.options().epochs >= kEpochs;
  const double wiener = baselines.wiener_error(kNoise * kNoise);
  lesson.check("test_error", error, "per pixel", kit::when(trained, kit::between(0, 0.016)));
  lesson.report("test_db", psnr(error), "dB");
  lesson.check("gain_over_wiener", psnr(error) - psnr(wiener), "dB",
               kit::when(trained, kit::between(0.8, 1.3)));
  for (double s : {0.25, 1.0}) {
    const double other = error_of(model, gaussian(s), data.test_images, noise_of_tests(lesson));
    lesson.report(fmt::format("trained_at_0.5_tested_at_{}", s), other, "per pixel");
    lesson.report(fmt::format("trained_at_0.5_tested_at_{}_db", s), psnr(other), "dB");
  }
}

// ---- Without clean images ----------------------------------------------------------------------

// Stein's estimate of the error, from spoiled images alone.
void estimate_error(kit::Lesson& lesson, const DenoisingAutoencoder<float>& model,
                    const Noise& noise, double error, const kit::ImageData& data) {
  Rng rng = noise_of_tests(lesson);
  const Tensor<float> spoiled = spoil_in_parts(noise, data.test_images, rng);
  const double s2 = kNoise * kNoise;
  const double estimate = stein_estimate(model, spoiled, s2, rng);
  // The two differ by chance: over 7.84 million pixels by about 0.0001.
  lesson.check("stein_estimate", estimate, "per pixel",
               kit::when(data.is_full_fashion_mnist(), {error, 5e-4}));
  lesson.report("stein_estimate_off", 100 * std::abs(estimate / error - 1), "%");
}

// Trained to turn one noisy image into another one of the same clean image.
void see_no_clean_image(kit::Lesson& lesson, const kit::ImageData& data, Index steps) {
  const SideModel model(lesson, "noisy targets", gaussian(kNoise), data, steps, Targets::kNoisy);
  if (lesson.interrupted()) return;
  const double error = model.error(lesson, data);
  lesson.report("noisy_targets", error, "per pixel");
  lesson.report("noisy_targets_db", psnr(error), "dB");
}

// ---- The training images as a denoiser ---------------------------------------------------------

// The best denoiser of the training images, on these and on new ones, beside the best affine map
// and the network on the same new ones.
void recall_images(kit::Lesson& lesson, const DenoisingAutoencoder<float>& model,
                   const Baselines& baselines, const kit::ImageData& data) {
  const auto report = [&](const std::string& name, const Tensor<float>& answers,
                          const Tensor<float>& x) {
    const double error = mean(square(answers - x)).item();
    lesson.report(name, error, "per pixel");
    lesson.report(name + "_db", psnr(error), "dB");
  };
  const Tensor<float> old = first(500, data.train_images);
  Rng rng = noise_of_tests(lesson);
  report("recall_train",
         recall(data.train_images, add_gaussian_noise(old, kNoise, rng), kNoise * kNoise), old);

  const Tensor<float> fresh = first(500, data.test_images);
  for (double s : {kNoise, 0.25}) {
    Rng same = noise_of_tests(lesson);
    const Tensor<float> seen = add_gaussian_noise(fresh, s, same);
    const AffineFilter filter = best_affine(gaussian(s), baselines.of);
    report(fmt::format("recall_test_{}", s), recall(data.train_images, seen, s * s), fresh);
    report(fmt::format("wiener_same_500_{}", s), cast<float>(filter(cast<double>(seen))), fresh);
    report(fmt::format("network_same_500_{}", s), model(seen).value(), fresh);
  }
}

// ---- Iterating ---------------------------------------------------------------------------------

// After how many applications the images are measured, and whether they are shown, too.
struct Stop {
  int step;
  bool shown;
};

constexpr Stop kStops[] = {{0, true},  {1, true},   {2, true}, {5, false},
                           {10, true}, {20, false}, {50, true}};

Tensor<float> applied(const DenoisingAutoencoder<float>& model, Tensor<float> x, int times) {
  for (int i = 0; i < times; ++i) x = model(x).value();
  return x;
}

// Applies the model again and again, to test images with noise and to nothing but noise.
void iterate(kit::Lesson& lesson, const DenoisingAutoencoder<float>& model, const Noise& noise,
             const kit::ImageData& data, Rng& rng) {
  const Tensor<float> x = first(200, data.test_images);
  Tensor<float> image = noise.spoil(x, rng);
  const Index shown = std::min<Index>(5, x.extent(0));
  Tensor<float> dream = 0.5f + 0.5f * rng.normal<float>({shown, x.extent(1)});
  Walk walk{.steps = {},
            .to_clean = {},
            .to_nearest = {},
            .from_clean_to_nearest = distance_to_nearest(data.train_images, x)};
  lesson.report("walk_from_clean_to_nearest", walk.from_clean_to_nearest, "per pixel");

  std::vector<Row> rows;
  int done = 0;
  for (const Stop& stop : kStops) {
    image = applied(model, image, stop.step - done);
    dream = applied(model, dream, stop.step - done);
    done = stop.step;

    const double to_clean = mean(square(image - x)).item();
    const double to_nearest = distance_to_nearest(data.train_images, image);
    lesson.report(fmt::format("walk_{}_to_clean", done), to_clean, "per pixel");
    lesson.report(fmt::format("walk_{}_to_nearest", done), to_nearest, "per pixel");
    if (done > 0) {  // the figure's axis is logarithmic
      walk.steps.push_back(done);
      walk.to_clean.push_back(to_clean);
      walk.to_nearest.push_back(to_nearest);
    }
    if (!stop.shown) continue;
    const std::string caption = done == 0 ? "seen" : fmt::format("after {}", done);
    rows.push_back({caption, concatenate(std::vector{first(shown, image), dream})});
  }
  draw_walk(lesson, walk);
  draw_rows(lesson, "iterated", "Applied again and again, it loses the details",
            "left: test images with noise; right: nothing but noise", rows, data);
}

// How far the model's Jacobian at noisy test images is from symmetric.
void measure_asymmetry(kit::Lesson& lesson, const DenoisingAutoencoder<float>& model,
                       const Noise& noise, const kit::ImageData& data, Rng& rng) {
  const Tensor<float> seen = noise.spoil(first(10, data.test_images), rng);
  double total = 0;
  for (Index i = 0; i < seen.extent(0); ++i)
    total += asymmetry(jacobian(model, slice(seen, 0, i, i + 1)));
  lesson.report("jacobian_asymmetry", total / static_cast<double>(seen.extent(0)), "");
}

// ---- Other kinds of noise ----------------------------------------------------------------------

// What the model for masked images makes of images that are whole.
void show_whole_images(kit::Lesson& lesson, const SideModel& masked, const kit::ImageData& data) {
  for (const double brightness : {1.0, 0.5}) {
    double total = 0;
    in_parts(
        data.test_images,
        [&](const Tensor<float>& x) {
          total += sum(denoising_loss(masked.model(), float(brightness) * x, x)).item();
        },
        kTogether);
    lesson.report(fmt::format("masking_net_on_whole_at_{}", brightness),
                  total / static_cast<double>(data.test_images.size()), "per pixel");
  }
}

// A model that knows a kind of noise, against the best affine map for that noise.
struct Contest {
  std::string name;     // in results.json
  std::string caption;  // in the figure
  const SideModel& model;
  double affine;        // the map's error per pixel,
  double known_affine;  // and what it is for all of Fashion-MNIST
  double least_gain;    // by how many decibels the model is better, at least
};

// The errors of both, and of what is seen.
Gain compare(kit::Lesson& lesson, const Contest& contest, const kit::ImageData& data) {
  const auto& [name, caption, model, affine, known_affine, least_gain] = contest;
  const bool full = data.is_full_fashion_mnist();
  const bool trained = full && lesson.options().epochs >= kEpochs;
  const double seen = error_of_noise(model.noise(), data.test_images);
  const double net = model.error(lesson, data);
  lesson.report(name + "_seen", seen, "per pixel");
  lesson.report(name + "_seen_db", psnr(seen), "dB");
  lesson.check(name + "_affine", affine, "per pixel", kit::when(full, {known_affine, 5e-7}));
  lesson.report(name + "_affine_db", psnr(affine), "dB");
  lesson.report(name + "_net", net, "per pixel");
  lesson.report(name + "_net_db", psnr(net), "dB");
  lesson.check(name + "_gain", psnr(net) - psnr(affine), "dB",
               kit::when(trained, kit::between(least_gain, 3)));
  return {caption, psnr(seen), psnr(affine), psnr(net)};
}

// Test images, spoiled in a way, and what the best affine map and a model make of them.
void add_rows(const kit::Lesson& lesson, std::vector<Row>& rows, const SideModel& beside,
              const AffineFilter& affine) {
  Rng rng = noise_of_tests(lesson);
  const Tensor<float> seen = beside.noise().spoil(rows.front().images, rng);
  rows.push_back({beside.noise().name, seen});
  rows.push_back({"best affine map", cast<float>(affine(cast<double>(seen)))});
  rows.push_back({"network", beside.model()(seen).value()});
}

// All four kinds of noise.
void compare_noise(kit::Lesson& lesson, const SideModel& strong, const Baselines& baselines,
                   const kit::ImageData& data, Index steps) {
  const SideModel weak(lesson, "weak noise", gaussian(0.25), data, steps);
  const SideModel masked(lesson, "masking", masking(0.5), data, steps);
  const SideModel salted(lesson, "salt and pepper", salt_pepper(0.25), data, steps);
  if (lesson.interrupted()) return;
  const AffineFilter of_masked = best_affine(masked.noise(), baselines.of);
  const AffineFilter of_salted = best_affine(salted.noise(), baselines.of);
  const double masked_error = error_of(of_masked, masked.noise(), data.test_images);
  const double salted_error = error_of(of_salted, salted.noise(), data.test_images);
  // Known by NumPy 1.24.2 in double precision (tests/references/denoising.py).
  const std::vector<Contest> contests = {{.name = "gaussian_0.25",
                                          .caption = "Gaussian 1/4",
                                          .model = weak,
                                          .affine = baselines.wiener_error(0.0625),
                                          .known_affine = 0.0112471,
                                          .least_gain = -1},
                                         {.name = "gaussian_0.5",
                                          .caption = "Gaussian 1/2",
                                          .model = strong,
                                          .affine = baselines.wiener_error(0.25),
                                          .known_affine = 0.0192124,
                                          .least_gain = 0.5},
                                         {.name = "masking_0.5",
                                          .caption = "masking 1/2",
                                          .model = masked,
                                          .affine = masked_error,
                                          .known_affine = 0.0178055,
                                          .least_gain = 0.3},
                                         {.name = "salt_pepper_0.25",
                                          .caption = "salt and pepper 1/4",
                                          .model = salted,
                                          .affine = salted_error,
                                          .known_affine = 0.0164391,
                                          .least_gain = 0.05}};
  std::vector<Gain> gains;
  for (const Contest& contest : contests) gains.push_back(compare(lesson, contest, data));
  draw_gains(lesson, gains, steps);
  std::vector<Row> rows = {{"test image", first(10, data.test_images)}};
  add_rows(lesson, rows, masked, of_masked);
  add_rows(lesson, rows, salted, of_salted);
  draw_rows(lesson, "other_noise", "Half of the pixels lost, and a quarter of them replaced",
            "masking with probability 1/2; salt and pepper with probability 1/4", rows, data);
  show_whole_images(lesson, masked, data);
}

// ---- Codes -------------------------------------------------------------------------------------

// The codes of training images, of test images, and of test images with noise.
struct Codes {
  Tensor<float> train, test, noisy;
};

Codes codes_of(const kit::Lesson& lesson, const kit::ImageData& data,
               const std::function<Tensor<float>(const Tensor<float>&)>& encode) {
  const auto all = [&](const Tensor<float>& images) {
    std::vector<Tensor<float>> parts;
    in_parts(
        images, [&](const Tensor<float>& x) { parts.push_back(encode(x)); }, kTogether);
    return concatenate(parts);
  };
  Rng rng = noise_of_tests(lesson);
  return {all(data.train_images), all(data.test_images),
          all(spoil_in_parts(gaussian(kNoise), data.test_images, rng))};
}

// What a linear map reads of the classes from codes: with all labels, with 1,000, and from images
// with noise.
void probe(kit::Lesson& lesson, const std::string& name, const Codes& codes,
           const kit::ImageData& data) {
  const Index classes = std::ssize(data.class_names);
  const LinearProbe all = fit_linear_probe(codes.train, data.train_labels, classes, 1e-3);
  const Tensor<float> few_codes = first(1000, codes.train);
  const std::vector<Index> few_labels(data.train_labels.begin(),
                                      data.train_labels.begin() + few_codes.extent(0));
  const LinearProbe few = fit_linear_probe(few_codes, few_labels, classes, 1e-2);
  const auto report = [&](const std::string& what, const LinearProbe& by, const Tensor<float>& of) {
    lesson.report("probe_" + name + what, 100 * accuracy(by, of, data.test_labels), "%");
  };
  report("", all, codes.test);
  report("_1000_labels", few, codes.test);
  report("_noisy", all, codes.noisy);
}

// The model for Gaussian noise beside one that saw none, and what needs no training.
void compare_codes(kit::Lesson& lesson, const SideModel& denoising, const Baselines& baselines,
                   const kit::ImageData& data, Index steps) {
  const SideModel plain(lesson, "no noise", no_noise(), data, steps);
  if (lesson.interrupted()) return;
  lesson.report("plain_on_clean", plain.error(lesson, data), "per pixel");
  const double on_noisy =
      error_of(plain.model(), denoising.noise(), data.test_images, noise_of_tests(lesson));
  lesson.report("plain_on_noisy", on_noisy, "per pixel");
  const auto codes_by = [&](const SideModel& beside) {
    return codes_of(lesson, data,
                    [&](const Tensor<float>& x) { return beside.model().encode(x).value(); });
  };
  const Index k = std::min(kCode, data.train_images.extent(1));
  const Codes by_pca = codes_of(lesson, data, [&](const Tensor<float>& x) {
    return cast<float>(baselines.pca.encode(cast<double>(x), k));
  });
  Rng rng = noise_of_tests(lesson);
  const Tensor<float> noisy = spoil_in_parts(denoising.noise(), data.test_images, rng);
  probe(lesson, "denoising", codes_by(denoising), data);
  probe(lesson, "plain", codes_by(plain), data);
  probe(lesson, "pca", by_pca, data);
  probe(lesson, "pixels", {data.train_images, data.test_images, noisy}, data);
}

// ---- The lesson --------------------------------------------------------------------------------

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  shrink_directions(lesson);
  answer_two_points(lesson);
  answer_circle_and_mixture(lesson);
  learn_two_points(lesson);
  learn_circle(lesson);

  const Noise noise = gaussian(kNoise);
  Rng rng(lesson.options().seed);
  DenoisingAutoencoder<float> model(data.train_images.extent(1), kHidden, kCode, rng);
  const kit::History errors = train(lesson, model, noise, rng, data);
  nn::save_file(model.parameters(), lesson.file("denoiser.safetensors"));
  if (lesson.interrupted()) return;

  const Baselines baselines(data);
  const double error = errors.at("test error").back();
  filter_images(lesson, baselines, data);
  draw_denoised(lesson, model, noise, error, baselines, data);
  compare_with_filter(lesson, model, error, baselines, data);
  estimate_error(lesson, model, noise, error, data);
  recall_images(lesson, model, baselines, data);
  Rng walk_rng = noise_of_tests(lesson);
  iterate(lesson, model, noise, data, walk_rng);
  measure_asymmetry(lesson, model, noise, data, walk_rng);

  const Index an_epoch = (data.train_images.extent(0) + kBatch - 1) / kBatch;
  const Index steps = lesson.options().epochs * an_epoch / 2;
  lesson.report("steps_of_each_model_beside", static_cast<double>(steps), "steps");
  if (steps == 0) return;
  const SideModel strong(lesson, "Gaussian noise", noise, data, steps);
  compare_noise(lesson, strong, baselines, data, steps);
  if (lesson.interrupted()) return;
  see_no_clean_image(lesson, data, steps);
  compare_codes(lesson, strong, baselines, data, steps);
}

}  // namespace
}  // namespace gradus::lesson06

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "06_denoising_autoencoder",
                           .title = "The denoising autoencoder",
                           .epochs = gradus::lesson06::kEpochs,
                           .quick_epochs = 5},
                          argc, argv, gradus::lesson06::run);
}
