// Lesson 05: autoencoders, whose codes are bent where PCA's are flat.
#include <set>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/kit/checkpoint.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/progress.hpp"
#include "nn/minibatches.hpp"
#include "nn/serialization.hpp"

namespace gradus::lesson05 {
namespace {

constexpr Index kHidden = 256, kCode = 32, kBatch = 128;
constexpr double kRate = 1e-3;

// The mean squared error of a pixel. No tape is alive, so this only computes.
double error_per_pixel(const Autoencoder<float>& model, const Tensor<float>& images) {
  double total = 0;
  in_parts(images, [&](const Tensor<float>& x) { total += sum(model.loss(x)).item(); });
  return total / static_cast<double>(images.size());
}

// A model, and how it is trained: on minibatches, with a learning rate that falls to 0.
struct Training {
  Training(std::uint64_t seed, Index pixels, Index hidden, Index code)
      : rng(seed), model(pixels, hidden, code, rng), adam(model.parameters()) {}

  // Goes on to step `last` of `steps`, or until Ctrl-C.
  void run(kit::Lesson& lesson, kit::Progress& progress, const Tensor<float>& images, double rate,
           Index last, Index steps) {
    while (step < last)
      for (const Tensor<float>& x : nn::minibatches(images, kBatch, rng)) {
        if (lesson.interrupted()) return;
        adam.options.learning_rate = cosine_schedule(rate, step, steps);
        Tape<float> tape;
        tape.backward(mean(model.loss(x)));
        adam.step();
        progress.step();
        if (++step == last) break;
      }
  }

  void run(kit::Lesson& lesson, const std::string& label, const Tensor<float>& images, double rate,
           Index steps) {
    kit::Progress progress(label, steps);
    run(lesson, progress, images, rate, steps, steps);
  }

  Rng rng;
  Autoencoder<float> model;
  nn::Adam<float> adam;
  Index step = 0;
};

// Trains the main model, with a checkpoint after each epoch from which --resume goes on with the
// same bits. Returns the error on the test images before training and after each epoch.
std::vector<float> train_main(kit::Lesson& lesson, Training& training, const kit::ImageData& data) {
  const auto checkpoint = lesson.file("checkpoint.safetensors");
  const nn::Parameters<float> parameters = training.model.parameters();
  std::vector<float> errors;
  auto record = [&] {
    errors.push_back(static_cast<float>(error_per_pixel(training.model, data.test_images)));
    kit::save_checkpoint(checkpoint, parameters, training.adam, training.rng,
                         Tensor<float>({std::ssize(errors), 1}, errors));
  };
  if (kit::resumes(lesson, checkpoint)) {
    errors = kit::load_checkpoint(checkpoint, parameters, training.adam, training.rng).to_vector();
    fmt::print("  {} epochs were done\n", errors.size() - 1);
  } else {
    record();
  }
  const int epochs = lesson.options().epochs;
  const Index an_epoch = (data.train_images.extent(0) + kBatch - 1) / kBatch;
  training.step = (std::ssize(errors) - 1) * an_epoch;
  kit::Progress progress("training, 32 numbers", epochs * an_epoch - training.step);
  for (Index epoch = std::ssize(errors); epoch <= epochs; ++epoch) {
    training.run(lesson, progress, data.train_images, kRate, epoch * an_epoch, epochs * an_epoch);
    if (lesson.interrupted()) break;
    record();
    progress.print(fmt::format("  epoch {:2}: test error {:.6f} per pixel", epoch, errors.back()));
  }
  return errors;
}

// A circle needs one number, its angle; PCA's one number is a place on a diameter.
void learn_circle(kit::Lesson& lesson) {
  const Tensor<float> x = circle<float>(256);
  Training training(lesson.options().seed + 1, 2, 64, 1);
  training.run(lesson, "training, circle", x, 1e-2, 6000);
  const Autoencoder<float>& model = training.model;
  const Pca<double> pca = fit_pca(cast<double>(x));
  auto series = [](const std::string& label, const auto& points, kit::Series::Mark mark) {
    kit::Series s{.label = label, .mark = mark};
    for (Index i = 0; i < points.extent(0); ++i)
      s.x.push_back(points(i, 0)), s.y.push_back(points(i, 1));
    return s;
  };
  const Tensor<double> flat = pca.decode(pca.encode(cast<double>(x), 1));
  const Tensor<float> bent = model.decode(model.encode(x)).value();
  kit::plot(lesson, "circle",
            {.title = "A circle, coded by one number",
             .note = "everything that the code can say: PCA's line, and the autoencoder's bent one",
             .x_label = "x",
             .y_label = "y",
             .equal_scale = true},
            {series("circle", x, kit::Series::kLine), series("PCA", flat, kit::Series::kLine),
             series("autoencoder", bent, kit::Series::kDots)});
  // Each axis holds half of the circle's variance of 1.
  lesson.check("circle_pca", pca.residual(cast<double>(x), 1), "", kit::Expected{0.5, 1e-6});
  lesson.check("circle_autoencoder", mean(model.loss(x)).item(), "", kit::between(0, 0.05));
}

void draw_reconstructions(kit::Lesson& lesson, const Autoencoder<float>& model,
                          const Pca<double>& pca, const kit::ImageData& data) {
  const Index n = std::min<Index>(10, data.test_images.extent(0));
  const Tensor<float> x = slice(data.test_images, 0, 0, n);
  const auto flat = cast<float>(pca.decode(pca.encode(cast<double>(x), kCode)));
  kit::images(lesson, "reconstructions",
              {.title = "Test images from 32 numbers",
               .columns = n,
               .row_captions = {"image", "PCA", "autoencoder"}},
              concatenate(std::vector{x, flat, model.decode(model.encode(x)).value()})
                  .reshape({3 * n, data.height, data.width}));
}

// From one image to another along the straight line between their codes, by PCA and by the model.
// Records how far, per pixel, each midpoint is from the average of its two ends.
void draw_interpolation(kit::Lesson& lesson, const Autoencoder<float>& model,
                        const Pca<double>& pca, const kit::ImageData& data) {
  constexpr Index kSteps = 9;
  const Index last = data.test_images.extent(0) - 1;
  const Tensor<float> ends =
      gather_rows(data.test_images, std::vector<Index>{0, std::min<Index>(1, last)});
  Tensor<float> weights({kSteps, 2});
  for (Index i = 0; i < kSteps; ++i) {
    const float t = static_cast<float>(i) / (kSteps - 1);
    weights.set({i, 0}, 1 - t), weights.set({i, 1}, t);
  }
  const Tensor<double> flat =
      pca.decode(matmul(cast<double>(weights), pca.encode(cast<double>(ends), kCode)));
  const Tensor<float> bent = model.decode(matmul(weights, model.encode(ends).value())).value();
  kit::images(lesson, "interpolation",
              {.title = "From one test image to another, along the line between their codes",
               .note = "PCA's midpoint is the two images on top of each other",
               .columns = kSteps,
               .row_captions = {"PCA", "autoencoder"}},
              concatenate(std::vector{cast<float>(flat), bent})
                  .reshape({2 * kSteps, data.height, data.width}));
  auto departure = [](const auto& path) {
    auto at = [&](Index i) { return slice(path, 0, i, i + 1); };
    return static_cast<double>(
        mean(square(at(kSteps / 2) - (at(0) + at(kSteps - 1)) * 0.5)).item());
  };
  lesson.check("midpoint_of_pca", departure(flat), "per pixel", kit::Expected{0, 1e-12});
  lesson.report("midpoint_of_autoencoder", departure(bent), "per pixel");
}

// Two numbers, to look at.
void draw_map(kit::Lesson& lesson, const kit::ImageData& data, Index steps) {
  Training training(lesson.options().seed + 2, data.train_images.extent(1), kHidden, 2);
  training.run(lesson, "training, 2 numbers", data.train_images, kRate, steps);
  const Index n = std::min<Index>(5000, data.test_images.extent(0));
  kit::scatter(lesson, "code_map",
               {.title = "Test images by a code of two numbers",
                .note = "training never saw the names",
                .x_label = "code 1",
                .y_label = "code 2"},
               training.model.encode(slice(data.test_images, 0, 0, n)).value(),
               {data.test_labels.begin(), data.test_labels.begin() + n}, data.class_names);
  lesson.report("test_error_2_numbers", error_per_pixel(training.model, data.test_images),
                "per pixel");
}

// The error on the images that a model was trained on, and on others, for less and less data.
void compare_sizes(kit::Lesson& lesson, const kit::ImageData& data, const Autoencoder<float>& full,
                   Index steps) {
  kit::Series on_train{.label = "training images", .mark = kit::Series::kLineAndDots};
  kit::Series on_test{.label = "test images", .mark = kit::Series::kLineAndDots};
  std::optional<kit::Expected> falling;  // each gap is smaller than the one before
  const Index all = data.train_images.extent(0);
  for (Index n : std::set<Index>{std::min<Index>(500, all), std::min<Index>(4000, all), all}) {
    const Tensor<float> train = slice(data.train_images, 0, 0, n);
    Training part(lesson.options().seed + 3, train.extent(1), kHidden, kCode);
    if (n < all) part.run(lesson, fmt::format("training, {} images", n), train, kRate, steps);
    const Autoencoder<float>& model = n < all ? part.model : full;
    const double a = error_per_pixel(model, train), b = error_per_pixel(model, data.test_images);
    on_train.x.push_back(static_cast<double>(n)), on_train.y.push_back(a);
    on_test.x.push_back(static_cast<double>(n)), on_test.y.push_back(b);
    lesson.report(fmt::format("train_error_{}_images", n), a, "per pixel");
    lesson.report(fmt::format("test_error_{}_images", n), b, "per pixel");
    lesson.check(fmt::format("gap_{}_images", n), b - a, "per pixel", falling);
    falling = kit::between(-1e-3, b - a);
  }
  kit::plot(lesson, "generalisation",
            {.title = "What was learned, and what was learned by heart",
             .x_label = "number of training images",
             .y_label = "mean squared error of a pixel",
             .log_x = true},
            {on_train, on_test});
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Index n = data.train_images.extent(0), pixels = data.height * data.width;
  if (n < kBatch) fail("lesson 05 trains on batches of {} images; {} has {}", kBatch, data.name, n);
  if (pixels < kCode) fail("lesson 05: {} pixels need no code of {} numbers", pixels, kCode);
  learn_circle(lesson);

  Training training(lesson.options().seed, pixels, kHidden, kCode);
  const std::vector<float> errors = train_main(lesson, training, data);
  nn::save_file(training.model.parameters(), lesson.file("autoencoder.safetensors"));
  const Pca<double> pca = fit_pca(cast<double>(data.train_images));
  draw_reconstructions(lesson, training.model, pca, data);
  draw_interpolation(lesson, training.model, pca, data);

  // PCA's axes as the weights of two linear layers must give lesson 01's error. On the full data,
  // another framework reaches 0.0107 with this lesson's layers, batches and epochs.
  const bool full = data.name == "fashion-mnist" && n == 60000 && !lesson.interrupted();
  lesson.check("test_error_pca_layers", error_of_layers(pca, kCode, data.test_images), "per pixel",
               full ? std::optional(kit::Expected{0.015142, 5e-7}) : std::nullopt);
  lesson.check("test_error", errors.back(), "per pixel",
               full && lesson.options().epochs >= 15 ? std::optional(kit::between(0, 0.0110))
                                                     : std::nullopt);
  if (lesson.interrupted() || training.step == 0) return;
  draw_map(lesson, data, training.step * 2 / 5);
  compare_sizes(lesson, data, training.model, training.step * 2 / 5);
}

}  // namespace
}  // namespace gradus::lesson05

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "05_autoencoder",
                           .title = "The autoencoder",
                           .epochs = 15,
                           .quick_epochs = 10},
                          argc, argv, gradus::lesson05::run);
}
