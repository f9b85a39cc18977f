// Lesson 05: autoencoders, whose codes are bent where PCA's are flat.
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/05_autoencoder/figures.hpp"
#include "lessons/05_autoencoder/instruments.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/fashion_mnist.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson05 {
namespace {

constexpr Index kHidden = 256, kCode = 32, kBatch = 128;
constexpr int kEpochs = 15;
constexpr double kRate = 1e-3;  // the first; it falls from there

// What cannot be trained or drawn is said before the work begins.
void require_use(const kit::ImageData& data) {
  const Index n = data.train_images.extent(0);
  const Index pixels = data.height * data.width;
  if (n < kBatch)
    fail("lesson 05 trains on batches of {} images: {} has {} to train on", kBatch, data.name, n);
  if (pixels < kCode)
    fail("lesson 05 codes images as {} numbers: those of {} have {} pixels, and need no code",
         kCode, data.name, pixels);
}

// Trains the main model, with a checkpoint after each epoch. Returns the error on the test images
// before training and after each epoch.
std::vector<double> train(kit::Lesson& lesson, Autoencoder<float>& model, Rng& rng,
                          const kit::ImageData& data) {
  nn::Adam<float> adam(model.parameters());
  kit::Training training(lesson, "autoencoder",
                         {.epochs = lesson.options().epochs, .batch = kBatch, .scheduled = true},
                         model.parameters(), adam, rng);
  const auto measure = [&] {
    return std::vector<kit::Score>{{"test error", error_per_pixel(model, data.test_images)}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(data.train_images)) {
      adam.options.learning_rate = cosine_schedule(kRate, training.step(), training.steps());
      Tape<float> tape;
      tape.backward(mean(model.loss(x)));
      adam.step();
    }
    training.record(measure);
  }
  return training.history().at("test error");
}

// How long a model is trained beside it, and its first learning rate.
struct SidePlan {
  Index steps;
  double rate = kRate;
};

// Trains such a model. Ends early at Ctrl-C, and keeps no checkpoint.
void train_beside(kit::Lesson& lesson, const std::string& label, Autoencoder<float>& model,
                  const Tensor<float>& examples, Rng& rng, const SidePlan& plan) {
  nn::Adam<float> adam(model.parameters());
  kit::Steps steps(lesson, label, plan.steps);
  for (const Tensor<float>& x : steps.minibatches(examples, kBatch, rng)) {
    adam.options.learning_rate = cosine_schedule(plan.rate, steps.done(), plan.steps);
    Tape<float> tape;
    tape.backward(mean(model.loss(x)));
    adam.step();
  }
}

// A circle needs one number, its angle; PCA's one number is a place on a diameter.
void learn_circle(kit::Lesson& lesson) {
  const Tensor<float> x = circle<float>(256);
  Rng rng(lesson.options().seed + 1);
  Autoencoder<float> model(2, 64, 1, rng);
  train_beside(lesson, "training, circle", model, x, rng, {.steps = 6000, .rate = 1e-2});

  const Pca<double> pca = fit_pca(cast<double>(x));
  const Tensor<double> by_pca = pca.decode(pca.encode(cast<double>(x), 1));
  draw_circle(lesson, x, by_pca, model.decode(model.encode(x)).value());
  // Each axis holds half of the circle's variance of 1.
  lesson.check("circle_pca", pca.residual(cast<double>(x), 1), "", kit::Expected{0.5, 1e-6});
  lesson.check("circle_autoencoder", mean(model.loss(x)).item(), "", kit::between(0, 0.05));
}

// Ten test images, and what both make of them.
void reconstruct(kit::Lesson& lesson, const Autoencoder<float>& model, const Pca<double>& pca,
                 const kit::ImageData& data) {
  const Tensor<float> x = first(10, data.test_images);
  const Tensor<double> by_pca = pca.decode(pca.encode(cast<double>(x), kCode));
  draw_reconstructions(lesson, x, cast<float>(by_pca), model.decode(model.encode(x)).value(), data);
}

// From one image to another along the straight line between their codes.
void interpolate(kit::Lesson& lesson, const Autoencoder<float>& model, const Pca<double>& pca,
                 const kit::ImageData& data) {
  const Tensor<float> ends = first_pair(data.test_images);
  const Tensor<double> codes = pca.encode(cast<double>(ends), kCode);
  const Tensor<double> by_pca = pca.decode(points_between(codes, 9));
  const Tensor<float> by_model =
      model.decode(points_between(model.encode(ends).value(), 9)).value();
  draw_interpolation(lesson, cast<float>(by_pca), by_model, data);
  lesson.check("midpoint_of_pca", departure_of_midpoint(by_pca), "per pixel",
               kit::Expected{0, 1e-12});
  lesson.report("midpoint_of_autoencoder", departure_of_midpoint(by_model), "per pixel");
}

// PCA's axes as the weights of two linear layers must give lesson 01's error; the autoencoder must
// do better.
void check_errors(kit::Lesson& lesson, const std::vector<double>& errors, const Pca<double>& pca,
                  const kit::ImageData& data) {
  const bool full = data.is_full_fashion_mnist();
  const bool trained = std::ssize(errors) > kEpochs;
  // As lesson 01 finds it.
  lesson.check("test_error_pca_layers", error_of_layers(pca, kCode, data.test_images), "per pixel",
               kit::when(full, {fashion_mnist::kPcaTestError32, 5e-7}));
  // Another framework reached 0.0107 with these layers, batches and epochs.
  lesson.check("test_error", errors.back(), "per pixel",
               kit::when(full && trained, kit::between(0, 0.0110)));
}

// Two numbers, to look at.
void learn_map(kit::Lesson& lesson, const kit::ImageData& data, Index steps) {
  Rng rng(lesson.options().seed + 2);
  Autoencoder<float> model(data.train_images.extent(1), kHidden, 2, rng);
  train_beside(lesson, "training, 2 numbers", model, data.train_images, rng, {.steps = steps});
  draw_map(lesson, model.encode(first(5000, data.test_images)).value(), data);
  lesson.report("test_error_2_numbers", error_per_pixel(model, data.test_images), "per pixel");
}

// The errors of a model on the images that it was trained on, and on others, per pixel.
struct Errors {
  double train, test;
};

Errors errors_of(const Autoencoder<float>& model, const Tensor<float>& train_images,
                 const kit::ImageData& data) {
  return {error_per_pixel(model, train_images), error_per_pixel(model, data.test_images)};
}

// Of a new model, trained on the first n images.
Errors errors_after_training_on(kit::Lesson& lesson, Index n, const kit::ImageData& data,
                                Index steps) {
  const Tensor<float> images = first(n, data.train_images);
  Rng rng(lesson.options().seed + 3);
  Autoencoder<float> model(images.extent(1), kHidden, kCode, rng);
  train_beside(lesson, fmt::format("training, {} images", n), model, images, rng, {.steps = steps});
  return errors_of(model, images, data);
}

// Both errors for more and more training images, and the gap between them, which closes.
void compare_sizes(kit::Lesson& lesson, const Autoencoder<float>& trained_on_all,
                   const kit::ImageData& data, Index steps) {
  // With many images the gap is next to nothing, and may by chance be below 0: the test images may
  // be the easier ones.
  constexpr double kByChance = 1e-3;
  const Index all = data.train_images.extent(0);
  std::vector<double> sizes, train_errors, test_errors;
  std::optional<double> last_gap;
  const auto add = [&](Index n, const Errors& errors) {
    sizes.push_back(static_cast<double>(n));
    train_errors.push_back(errors.train);
    test_errors.push_back(errors.test);
    lesson.report(fmt::format("train_error_{}_images", n), errors.train, "per pixel");
    lesson.report(fmt::format("test_error_{}_images", n), errors.test, "per pixel");
    const double gap = errors.test - errors.train;
    std::optional<kit::Expected> smaller;
    if (last_gap) smaller = kit::between(-kByChance, *last_gap);
    lesson.check(fmt::format("gap_{}_images", n), gap, "per pixel", smaller);
    last_gap = gap;
  };
  for (Index n : {500, 4000})
    if (n < all) add(n, errors_after_training_on(lesson, n, data, steps));
  add(all, errors_of(trained_on_all, data.train_images, data));
  draw_generalisation(lesson, sizes, train_errors, test_errors);
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  learn_circle(lesson);

  Rng rng(lesson.options().seed);
  Autoencoder<float> model(data.train_images.extent(1), kHidden, kCode, rng);
  const std::vector<double> errors = train(lesson, model, rng, data);
  nn::save_file(model.parameters(), lesson.file("autoencoder.safetensors"));

  const Pca<double> pca = fit_pca(cast<double>(data.train_images));
  reconstruct(lesson, model, pca, data);
  interpolate(lesson, model, pca, data);
  check_errors(lesson, errors, pca, data);
  const Index epochs = std::ssize(errors) - 1;
  if (lesson.interrupted() || epochs == 0) return;

  // The models beside it get two fifths of its steps.
  const Index an_epoch = (data.train_images.extent(0) + kBatch - 1) / kBatch;
  const Index steps = epochs * an_epoch * 2 / 5;
  learn_map(lesson, data, steps);
  compare_sizes(lesson, model, data, steps);
}

}  // namespace
}  // namespace gradus::lesson05

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "05_autoencoder",
                           .title = "The autoencoder",
                           .epochs = gradus::lesson05::kEpochs,
                           .quick_epochs = 10},
                          argc, argv, gradus::lesson05::run);
}
