// Lesson 05: autoencoders, whose codes are bent where PCA's are flat.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/05_autoencoder/figures.hpp"
#include "lessons/05_autoencoder/hinges.hpp"
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

// ---- On paper ----------------------------------------------------------------------------------

// Three hinges that add up to t^2 at 0, 1, 2 and 3, and six that do so at each half.
void add_hinges(kit::Lesson& lesson) {
  const std::vector<Hinge> three = hinges_of_square(3, 1);
  const std::vector<Hinge> six = hinges_of_square(6, 0.5);
  const auto error = [](const std::vector<Hinge>& hinges) {
    double worst = 0;
    for (int i = 0; i <= 300; ++i) {
      const double t = 0.01 * i;
      worst = std::max(worst, std::abs(sum_of(hinges, t) - t * t));
    }
    return worst;
  };
  lesson.check("hinges_at_3", sum_of(three, 3), "", kit::Expected{9, 1e-12});
  lesson.check("three_hinges_error", error(three), "", kit::Expected{0.25, 1e-12});
  lesson.check("six_hinges_error", error(six), "", kit::Expected{0.0625, 1e-12});
  draw_hinges(lesson, three);
}

// The size of a signal after ten layers of 1,024 units, for weights of variance 2 / n and 1 / n.
void pass_through_layers(kit::Lesson& lesson) {
  const auto gain = [&](double v) {
    Rng rng(lesson.options().seed);
    const Tensor<double> x = rng.normal<double>({16, 1024});
    return gain_of_layers(x, 10, v, rng);
  };
  lesson.check("gain_of_10_layers_he", gain(2), "", kit::between(0.5, 2));
  lesson.check("gain_of_10_layers_half", gain(1) / gain(2), "",
               kit::Expected{std::pow(0.5, 10), 1e-12});
}

// Three steps of Adam on one weight, of learning rate 1, with the gradients 2, -1 and -1: m, v,
// both without their bias, and the step.
void step_by_adam(kit::Lesson& lesson) {
  Parameter<double> weight("weight", Tensor<double>({1}));
  nn::Adam<double> adam({&weight}, {.learning_rate = 1});
  const nn::AdamOptions& given = adam.options;
  lesson.report("adam_beta2", given.beta2, "");
  double m = 0;
  double v = 0;
  int t = 0;
  for (double gradient : {2.0, -1.0, -1.0}) {
    ++t;
    m = given.beta1 * m + (1 - given.beta1) * gradient;
    v = given.beta2 * v + (1 - given.beta2) * gradient * gradient;
    const double m_bias = 1 - std::pow(given.beta1, t);
    const double v_bias = 1 - std::pow(given.beta2, t);
    const double before = weight.value().item();
    weight.grad = Tensor<double>({1}, {gradient});
    adam.step();

    const auto report = [&](const std::string& name, double value) {
      lesson.report(fmt::format("adam_{}_{}", name, t), value, "");
    };
    report("m", m);
    report("v", v);
    report("m_bias", m_bias);
    report("v_bias", v_bias);
    report("m_unbiased", m / m_bias);
    report("v_unbiased", v / v_bias);
    lesson.check(fmt::format("adam_step_{}", t), before - weight.value().item(), "",
                 kit::Expected{m / m_bias / std::sqrt(v / v_bias), 1e-6});
  }
}

// ---- Training ----------------------------------------------------------------------------------

// Trains the main model, with a checkpoint after each epoch. Returns the errors before training and
// after each epoch, on test images and on as many training images.
kit::History train(kit::Lesson& lesson, Autoencoder<float>& model, Rng& rng,
                   const kit::ImageData& data) {
  nn::Adam<float> adam(model.parameters());
  kit::Training training(lesson, "autoencoder",
                         {.epochs = lesson.options().epochs, .batch = kBatch, .scheduled = true},
                         model.parameters(), adam, rng);
  const Tensor<float> seen = first(data.test_images.extent(0), data.train_images);
  const auto measure = [&] {
    return std::vector<kit::Score>{{"test error", error_per_pixel(model, data.test_images)},
                                   {"training error", error_per_pixel(model, seen)}};
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
  return training.history();
}

// How long a model is trained beside it, and its first learning rate.
struct SidePlan {
  Index steps;
  double rate = kRate;
  bool falling = true;                    // along half a cosine, to 0
  std::function<void(Index)> watch = {};  // is told the steps that are done, before each
};

// Trains such a model. Ends early at Ctrl-C, and keeps no checkpoint.
void train_beside(kit::Lesson& lesson, const std::string& label, Autoencoder<float>& model,
                  const Tensor<float>& examples, Rng& rng, const SidePlan& plan) {
  nn::Adam<float> adam(model.parameters());
  kit::Steps steps(lesson, label, plan.steps);
  for (const Tensor<float>& x : steps.minibatches(examples, kBatch, rng)) {
    if (plan.watch) plan.watch(steps.done());
    adam.options.learning_rate =
        plan.falling ? cosine_schedule(plan.rate, steps.done(), plan.steps) : plan.rate;
    Tape<float> tape;
    tape.backward(mean(model.loss(x)));
    adam.step();
  }
}

// ---- A circle ----------------------------------------------------------------------------------

// A circle needs one number, its angle; PCA's one number is a place on a diameter.
void learn_circle(kit::Lesson& lesson) {
  const Tensor<float> x = circle<float>(256);
  Rng rng(lesson.options().seed + 1);
  Autoencoder<float> model(2, 64, 1, rng);
  train_beside(lesson, "training, circle", model, x, rng, {.steps = 6000, .rate = 1e-2});

  const Pca<double> pca = fit_pca(cast<double>(x));
  const Tensor<float> codes = model.encode(x).value();        // (256, 1)
  const Tensor<float> losses = model.loss(x).value();         // (256)
  const Tensor<float> decoded = model.decode(codes).value();  // (256, 2)
  const double low = -max(-codes).item();
  const double high = max(codes).item();
  const Tensor<float> all_codes =
      points_between(Tensor<float>({2, 1}, {static_cast<float>(low), static_cast<float>(high)}),
                     500);
  draw_circle(lesson, codes, decoded, model.decode(all_codes).value());
  draw_circle_codes(lesson, codes, pca.encode(cast<double>(x), 1));
  // Each axis holds half of the circle's variance of 1.
  lesson.check("circle_pca", pca.residual(cast<double>(x), 1), "", kit::Expected{0.5, 1e-6});
  lesson.check("circle_autoencoder", mean(losses).item(), "", kit::between(0, 0.05));

  const WayBack back = way_back(codes, losses);
  lesson.report("circle_points_on_the_way_back", static_cast<double>(back.points), "of 256");
  lesson.report("circle_loss_on_the_way_back", 100 * back.share_of_loss, "%");
  const nn::Parameters<float> p = model.parameters();
  const Index creases = creases_between(p[4]->value(), p[5]->value(), low, high);
  lesson.report("circle_creases", static_cast<double>(creases), "of 64 units");
}

// How much less an autoencoder loses than PCA, where PCA loses anything.
void report_less_than_pca(kit::Lesson& lesson, const std::string& name, double error,
                          double of_pca) {
  if (of_pca > 0) lesson.report(name, 100 * (1 - error / of_pca), "%");
}

// ---- Codes of 32 numbers -----------------------------------------------------------------------

// What an autoencoder and PCA make of images through codes of k numbers.
Tensor<float> through(const Autoencoder<float>& model, const Tensor<float>& x) {
  return model.decode(model.encode(x)).value();
}

Tensor<float> through(const Pca<double>& pca, Index k, const Tensor<float>& x) {
  return cast<float>(pca.decode(pca.encode(cast<double>(x), k)));
}

// From one image to another along the straight line between their codes.
void interpolate(kit::Lesson& lesson, const Autoencoder<float>& model, const Pca<double>& pca,
                 const kit::ImageData& data) {
  const Tensor<float> ends = first_pair(data.test_images);
  const Tensor<double> codes = pca.encode(cast<double>(ends), kCode);
  const Tensor<double> by_pca = pca.decode(points_between(codes, 9));
  const Tensor<float> by_model =
      model.decode(points_between(model.encode(ends).value(), 9)).value();
  draw_interpolation(lesson, ends, cast<float>(by_pca), by_model, data);
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
  const double of_pca = error_of_layers(pca, kCode, data.test_images);
  lesson.check("test_error_pca_layers", of_pca, "per pixel",
               kit::when(full, {fashion_mnist::kPcaTestError32, 5e-7}));
  // PyTorch 1.13 comes to 0.0107 (tests/references/autoencoder.py).
  report_less_than_pca(lesson, "less_than_pca", errors.back(), of_pca);
  lesson.check("test_error", errors.back(), "per pixel",
               kit::when(full && trained, kit::between(0, 0.0110)));
}

// The errors of a model on the images that it was trained on, and on others, per pixel.
struct Errors {
  double train, test;
};

Errors errors_of(const Autoencoder<float>& model, const Tensor<float>& train_images,
                 const kit::ImageData& data) {
  return {error_per_pixel(model, train_images), error_per_pixel(model, data.test_images)};
}

// ---- The size of the code ----------------------------------------------------------------------

// Models that differ only in the size of their codes, each trained for the same number of steps.
class BySize {
 public:
  BySize(kit::Lesson& lesson, const kit::ImageData& data, Index steps) {
    for (Index k : {2, 4, 8, 16, 32}) {
      Rng rng(lesson.options().seed + 2);
      models_.push_back(
          std::make_unique<Autoencoder<float>>(data.train_images.extent(1), kHidden, k, rng));
      train_beside(lesson, fmt::format("training, {} numbers", k), *models_.back(),
                   data.train_images, rng, {.steps = steps});
      sizes_.push_back(k);
    }
  }

  const std::vector<Index>& sizes() const { return sizes_; }

  const Autoencoder<float>& smallest() const { return *models_.front(); }

  const Autoencoder<float>& largest() const { return *models_.back(); }

  std::vector<double> test_errors(const kit::ImageData& data) const {
    std::vector<double> errors;
    for (const auto& model : models_) errors.push_back(error_per_pixel(*model, data.test_images));
    return errors;
  }

 private:
  std::vector<Index> sizes_;
  std::vector<std::unique_ptr<Autoencoder<float>>> models_;
};

// The opening question: the error against the size of the code, for both.
void compare_codes(kit::Lesson& lesson, const BySize& models, const Pca<double>& pca,
                   const kit::ImageData& data, Index steps) {
  const std::vector<double> of_pca = errors_by_components(pca, data.test_images);
  const std::vector<double> errors = models.test_errors(data);
  for (std::size_t i = 0; i < errors.size(); ++i) {
    const Index k = models.sizes()[i];
    lesson.report(fmt::format("pca_error_{}_numbers", k), of_pca[k], "per pixel");
    lesson.check(fmt::format("test_error_{}_numbers", k), errors[i], "per pixel",
                 kit::when(data.is_full_fashion_mnist(), kit::between(0, of_pca[k])));
    report_less_than_pca(lesson, fmt::format("less_than_pca_{}_numbers", k), errors[i], of_pca[k]);
    lesson.report(fmt::format("components_for_{}_numbers", k),
                  static_cast<double>(components_needed(of_pca, errors[i])), "");
  }
  draw_errors_by_size(lesson, models.sizes(), errors, of_pca, steps);
}

// Is it worth while to let the learning rate fall? The model of 32 numbers once more, without.
void keep_rate(kit::Lesson& lesson, const kit::ImageData& data, Index steps) {
  Rng rng(lesson.options().seed + 2);
  Autoencoder<float> model(data.train_images.extent(1), kHidden, kCode, rng);
  train_beside(lesson, "training, constant rate", model, data.train_images, rng,
               {.steps = steps, .falling = false});
  lesson.report("test_error_constant_rate", error_per_pixel(model, data.test_images), "per pixel");
}

// Two numbers, to look at.
void draw_two_numbers(kit::Lesson& lesson, const BySize& models, const kit::ImageData& data) {
  draw_map(lesson, models.smallest().encode(first(5000, data.test_images)).value(), data);
}

// Ten test images, and what both make of them.
void reconstruct(kit::Lesson& lesson, const Autoencoder<float>& model, const BySize& models,
                 const Pca<double>& pca, const kit::ImageData& data) {
  const Tensor<float> x = first(10, data.test_images);
  const auto by_pca = [&](Index k) {
    return Row{fmt::format("PCA, {}", k), through(pca, k, x),
               error_of_layers(pca, k, data.test_images)};
  };
  const auto by_model = [&](Index k, const Autoencoder<float>& m) {
    return Row{fmt::format("autoencoder, {}", k), through(m, x),
               error_per_pixel(m, data.test_images)};
  };
  draw_reconstructions(lesson, x,
                       {by_pca(2), by_model(2, models.smallest()), by_pca(kCode),
                        by_model(kCode, model)},
                       data);
}

// ---- The number of training images -------------------------------------------------------------

// Of a new model, trained on the first n images; and its errors on the way, 41 times.
struct Run {
  Errors errors;
  Curve curve;
};

Run train_on(kit::Lesson& lesson, Index n, const kit::ImageData& data, Index steps) {
  const Tensor<float> images = first(n, data.train_images);
  Rng rng(lesson.options().seed + 2);
  Autoencoder<float> model(images.extent(1), kHidden, kCode, rng);
  Curve curve;
  const auto record = [&](Index done) {
    const Errors errors = errors_of(model, images, data);
    curve.steps.push_back(static_cast<double>(done));
    curve.train.push_back(errors.train);
    curve.test.push_back(errors.test);
  };
  const Index every = std::max<Index>(1, steps / 40);
  train_beside(lesson, fmt::format("training, {} images", n), model, images, rng,
               {.steps = steps, .watch = [&](Index done) {
                  if (done % every == 0 && done > 0) record(done);
                }});
  record(steps);
  return {errors_of(model, images, data), curve};
}

// Both errors for more and more training images, and the gap between them, which closes. All models
// have made the same number of steps.
void compare_numbers(kit::Lesson& lesson, const Autoencoder<float>& trained_on_all,
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
  for (Index n : {500, 4000}) {
    if (n >= all) continue;
    const Run run = train_on(lesson, n, data, steps);
    add(n, run.errors);
    if (n > 500) continue;
    const auto least = std::min_element(run.curve.test.begin(), run.curve.test.end());
    lesson.report("least_test_error_500_images", *least, "per pixel");
    lesson.report("steps_to_least_500_images", run.curve.steps[least - run.curve.test.begin()],
                  "steps");
    draw_overfitting(lesson, run.curve);
  }
  add(all, errors_of(trained_on_all, data.train_images, data));
  draw_generalisation(lesson, sizes, train_errors, test_errors);
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  add_hinges(lesson);
  pass_through_layers(lesson);
  step_by_adam(lesson);
  learn_circle(lesson);

  Rng rng(lesson.options().seed);
  Autoencoder<float> model(data.train_images.extent(1), kHidden, kCode, rng);
  draw_network(lesson, data.train_images.extent(1), kHidden, kCode);
  const kit::History errors = train(lesson, model, rng, data);
  nn::save_file(model.parameters(), lesson.file("autoencoder.safetensors"));

  const Pca<double> pca = fit_pca(cast<double>(data.train_images));
  draw_training(lesson, errors, error_of_layers(pca, kCode, data.test_images));
  interpolate(lesson, model, pca, data);
  check_errors(lesson, errors.at("test error"), pca, data);
  const Index epochs = std::ssize(errors.at("test error")) - 1;
  if (lesson.interrupted() || epochs == 0) return;

  // The models beside it get two fifths of its steps.
  const Index an_epoch = (data.train_images.extent(0) + kBatch - 1) / kBatch;
  const Index steps = epochs * an_epoch * 2 / 5;
  lesson.report("steps_of_each_model_beside", static_cast<double>(steps), "steps");
  const BySize models(lesson, data, steps);
  compare_codes(lesson, models, pca, data, steps);
  keep_rate(lesson, data, steps);
  draw_two_numbers(lesson, models, data);
  reconstruct(lesson, model, models, pca, data);
  compare_numbers(lesson, models.largest(), data, steps);
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
