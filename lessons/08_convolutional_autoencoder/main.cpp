// Lesson 08: an autoencoder that knows which pixels are neighbours.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/07_sparse_autoencoder/instruments.hpp"
#include "lessons/08_convolutional_autoencoder/figures.hpp"
#include "lessons/08_convolutional_autoencoder/instruments.hpp"
#include "lessons/08_convolutional_autoencoder/model.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/fashion_mnist.hpp"
#include "lessons/common/in_parts.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/convolution.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson08 {
namespace {

using lesson01::Pca;
using lesson05::cosine_schedule;
using Mlp = lesson05::Autoencoder<float>;
using Convolutional = ConvolutionalAutoencoder<float>;

constexpr Index kCode = 32, kBatch = 128, kLeastSide = 4;
constexpr Index kHidden = 72;  // of lesson 05's autoencoder with as many parameters
constexpr Index kFewHidden = 16;
constexpr int kEpochs = 10;
constexpr double kRate = 2e-3;  // the first; it falls from there

// What cannot be trained is said before the work begins.
void require_use(const kit::ImageData& data) {
  const Tensor<float>& x = data.train_images;
  if (data.height != data.width)
    fail("lesson 08 works on square images: those of {} are {} x {} pixels", data.name, data.height,
         data.width);
  if (data.height < kLeastSide)
    fail(
        "lesson 08 halves images twice, which takes {} x {} pixels or more: those of {} are {} x "
        "{}",
        kLeastSide, kLeastSide, data.name, data.height, data.width);
  if (x.extent(0) < kBatch)
    fail("lesson 08 trains on batches of {} images: {} has {} to train on", kBatch, data.name,
         x.extent(0));
  const Tensor<float> one = first(1, x);
  bool any = false;
  in_parts(x, [&](const Tensor<float>& part) { any = any || max(abs(part - one)).item() > 0; });
  if (!any) fail("lesson 08 needs images that differ: those of {} are all the same", data.name);
}

// A number that must be an integer.
void check_count(kit::Lesson& lesson, const std::string& name, Index count, Index expected) {
  lesson.check(name, static_cast<double>(count), "",
               kit::Expected{static_cast<double>(expected), 0});
}

// ---- On paper ----------------------------------------------------------------------------------

// What Sobel's kernel makes of ramps and of a step: along x = j the change from j - 1 to j + 1 is
// 2, and the rows' weights add up to 4.
void find_edges(kit::Lesson& lesson) {
  const auto sobel_at = [](const Tensor<double>& image, Index i, Index j) {
    return conv2d(image, sobel_x(), Window{.size = 3})(0, i, j, 0);
  };
  const Tensor<double> right = image_of(6, [](Index, Index j) { return j; });
  const Tensor<double> down = image_of(6, [](Index i, Index) { return i; });
  const Tensor<double> both = image_of(6, [](Index i, Index j) { return i * j; });
  const Tensor<double> step = image_of(6, [](Index, Index j) { return j >= 3 ? 1 : 0; });
  const auto check = [&](const std::string& name, double value, double expected) {
    lesson.check(name, value, "", kit::Expected{expected, 1e-12});
  };
  check("sobel_of_ramp_to_the_right", sobel_at(right, 2, 1), 8);
  check("sobel_of_ramp_down", sobel_at(down, 2, 1), 0);
  const std::vector<double> at_step = {0, 4, 4, 0};
  for (Index k = 0; k < 4; ++k) {  // a row of the product, a column of the step
    check(fmt::format("sobel_of_product_row_{}", k + 1), sobel_at(both, k, 2),
          8 * static_cast<double>(k + 1));
    check(fmt::format("sobel_of_step_column_{}", k + 1), sobel_at(step, 1, k), at_step[k]);
  }
}

// A convolution and its adjoint, on images with one pixel of 1.
void look_at_one_pixel(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> w = rng.normal<double>({1, 1, 3, 3});
  const Tensor<double> one = image_of(5, [](Index i, Index j) { return i == 2 && j == 2; });
  const Window window{.size = 3};
  const Tensor<double> by_convolution = conv2d(one, w, window);  // (1, 3, 3, 1)
  const Tensor<double> by_transposed = conv2d_transpose(one, w, window, 7, 7);
  double turned_gap = 0, same_gap = 0;
  for (Index i = 0; i < 3; ++i)
    for (Index j = 0; j < 3; ++j) {
      turned_gap =
          std::max(turned_gap, std::abs(by_convolution(0, i, j, 0) - w(0, 0, 2 - i, 2 - j)));
      same_gap = std::max(same_gap, std::abs(by_transposed(0, 2 + i, 2 + j, 0) - w(0, 0, i, j)));
    }
  lesson.check("one_pixel_gives_kernel_turned", turned_gap, "", kit::Expected{0, 1e-12});
  lesson.check("transposed_gives_kernel", same_gap, "", kit::Expected{0, 1e-12});

  const Gaps gaps = adjoint_gaps(rng);
  check_count(lesson, "adjoint_cases", gaps.count, 144);
  lesson.check("adjoint_gap", gaps.worst, "", kit::Expected{0, 1e-12});
  lesson.check("equivariance_gap", gap_of_equivariance(rng), "", kit::Expected{0, 1e-12});
}

// From 28 pixels to 7 and back, and how often each pixel is touched on the way back.
void count_places(kit::Lesson& lesson) {
  for (Index size : {3, 4, 5}) {
    const Window window{.size = size, .stride = 2, .padding = (size - 1) / 2};
    const std::string name = fmt::format("kernel_{}", size);
    check_count(lesson, name + "_places_in_28", window.places(28), 14);
    check_count(lesson, name + "_places_in_14", window.places(14), 7);
    check_count(lesson, name + "_least_extent_of_7", window.least_extent(7), size == 4 ? 14 : 13);
    const std::map<int, int> histogram = histogram_of(touch_counts(window, 7, 14));
    for (const auto& [touched, pixels] : histogram)
      lesson.report(fmt::format("{}_touched_{}_times", name, touched), pixels, "of 196 pixels");
    Index total = 0;
    for (const auto& [touched, pixels] : histogram) total += touched * pixels;
    // Along an axis, 7 windows of k pixels, of which k - 2 hang over the borders.
    const Index along = 7 * size - (size - 2);
    check_count(lesson, name + "_touches", total, along * along);
  }
  draw_touch(lesson);
}

// What a unit sees, and what a layer without windows would need.
void count_parameters(kit::Lesson& lesson) {
  const Sizes sizes{.side = 28};
  const Sizes small_kernel{.side = 28, .kernel = 3};
  check_count(lesson, "pixels_seen_first_kernel_4", pixels_seen(sizes, 1), 4 * 4);
  check_count(lesson, "pixels_seen_second_kernel_4", pixels_seen(sizes, 2), 10 * 10);
  check_count(lesson, "pixels_seen_first_kernel_3", pixels_seen(small_kernel, 1), 3 * 3);
  check_count(lesson, "pixels_seen_second_kernel_3", pixels_seen(small_kernel, 2), 7 * 7);

  Rng rng(0);
  Convolutional convolutional(sizes, rng);
  Mlp mlp(784, kHidden, kCode, rng);
  const nn::Parameters<float> p = convolutional.parameters();
  check_count(lesson, "weights_of_second_layer", p[2]->value().size(), 32 * 16 * 4 * 4);
  const Tensor<float> image({1, 784});
  const Index first_maps = convolutional.first_maps(image).value().size();
  const Index second_maps = convolutional.second_maps(image).value().size();
  check_count(lesson, "weights_without_windows", first_maps * second_maps,
              (14 * 14 * 16) * (7 * 7 * 32));
  // Of each layer, its weights and biases.
  check_count(lesson, "parameters_convolutional", nn::count(p),
              (16 * 16 + 16) + (32 * 16 * 16 + 32) + (1568 * 32 + 32) + (32 * 1568 + 1568) +
                  (32 * 16 * 16 + 16) + (16 * 16 + 1));
  check_count(lesson, "parameters_mlp", nn::count(mlp.parameters()),
              (784 * 72 + 72) + (72 * 32 + 32) + (32 * 72 + 72) + (72 * 784 + 784));
  const Products of_windows = products_of(sizes);
  const Products of_mlp = products_of_mlp(784, kHidden, kCode);
  check_count(lesson, "products_convolutional", std::lround(of_windows.forward),
              2 * (14 * 14 * 16 * 16 + 7 * 7 * 32 * 256 + 1568 * 32));
  check_count(lesson, "products_mlp", std::lround(of_mlp.forward), 2 * (784 * 72 + 72 * 32));
  lesson.report("products_ratio_in_training", of_windows.training / of_mlp.training, "");
  draw_receptive_field(lesson);
}

// Is the transposed convolution an inverse? Where the kernels are orthonormal; not in general.
void try_to_undo(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = rng.normal<double>({1, 8, 8, 1});
  const Window of_haar{.size = 2, .stride = 2};
  const Tensor<double> back = conv2d_transpose(conv2d(x, haar(), of_haar), haar(), of_haar, 8, 8);
  lesson.check("haar_gap", max(abs(back - x)).item(), "", kit::Expected{0, 1e-12});

  const Window window{.size = 4, .stride = 2, .padding = 1};
  const Tensor<double> c = matrix_of(rng.normal<double>({1, 1, 4, 4}), window, 8);
  check_count(lesson, "matrix_rows", c.extent(0), 16);
  check_count(lesson, "matrix_columns", c.extent(1), 64);
  check_count(lesson, "rank_of_one_channel", rank_of(c), 16);
}

// ---- Training ----------------------------------------------------------------------------------

// Trains the main model, with a checkpoint after each epoch. Returns the errors before training and
// after each epoch, on test images and on as many training images.
kit::History train(kit::Lesson& lesson, Convolutional& model, Rng& rng,
                   const kit::ImageData& data) {
  nn::Adam<float> adam(model.parameters());
  kit::Training training(lesson, "convolutional_autoencoder",
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

// Trains another model for so many steps. Ends early at Ctrl-C, and keeps no checkpoint.
template <class M>
void train_beside(kit::Lesson& lesson, const std::string& label, M& model,
                  const Tensor<float>& examples, Rng& rng, Index steps) {
  nn::Adam<float> adam(model.parameters());
  kit::Steps progress(lesson, "training, " + label, steps);
  for (const Tensor<float>& x : progress.minibatches(examples, kBatch, rng)) {
    adam.options.learning_rate = cosine_schedule(kRate, progress.done(), steps);
    Tape<float> tape;
    tape.backward(mean(model.loss(x)));
    adam.step();
  }
}

// The models beside the main one: lesson 05's autoencoder with as many parameters; both kinds with
// about 27,000; and, for a fifth of the steps, windows of 3.
struct Beside {
  Beside(const kit::ImageData& data, double mean_pixel, std::uint64_t seed)
      : rng_mlp(seed),
        rng_small_mlp(seed),
        rng_small(seed),
        rng_3(seed),
        mlp(data.height * data.width, kHidden, kCode, rng_mlp),
        small_mlp(data.height * data.width, kFewHidden, kCode, rng_small_mlp),
        small({.side = data.height, .first = 4, .second = 8}, rng_small, mean_pixel),
        kernel_3({.side = data.height, .kernel = 3}, rng_3, mean_pixel) {}

  void train(kit::Lesson& lesson, const Tensor<float>& x, Index steps) {
    short_steps = std::max<Index>(1, steps / 5);
    train_beside(lesson, "linear layers", mlp, x, rng_mlp, steps);
    train_beside(lesson, "linear layers, small", small_mlp, x, rng_small_mlp, steps);
    train_beside(lesson, "windows, small", small, x, rng_small, steps);
    train_beside(lesson, "windows of 3", kernel_3, x, rng_3, short_steps);
  }

  // One for each model, all from one seed.
  Rng rng_mlp;
  Rng rng_small_mlp;
  Rng rng_small;
  Rng rng_3;

  Mlp mlp;
  Mlp small_mlp;
  Convolutional small;
  Convolutional kernel_3;
  Index short_steps = 0;
};

// The error of a model with so many parameters, reported.
template <class M>
Place place_of(kit::Lesson& lesson, const std::string& name, M& model, const kit::ImageData& data) {
  const double error = error_per_pixel(model, data.test_images);
  const double parameters = static_cast<double>(nn::count(model.parameters()));
  lesson.report("parameters_" + name, parameters, "");
  lesson.report("test_error_" + name, error, "per pixel");
  return {parameters, error};
}

// ---- What was learned --------------------------------------------------------------------------

// PCA with as many numbers as the code.
class PcaCode {
 public:
  PcaCode(const Tensor<float>& train_images, Index code)
      : pca_(lesson07::fit_pca_in_parts(train_images)),
        code_(std::min(code, train_images.extent(1))) {}

  Tensor<float> through(const Tensor<float>& x) const {
    return cast<float>(pca_.decode(pca_.encode(cast<double>(x), code_)));
  }

  double error_per_pixel(const Tensor<float>& images) const {
    double total = 0;
    in_parts(images, [&](const Tensor<float>& part) {
      const Tensor<double> x = cast<double>(part);
      total += sum(square(pca_.decode(pca_.encode(x, code_)) - x)).item();
    });
    return total / static_cast<double>(images.size());
  }

 private:
  Pca<double> pca_;
  Index code_;
};

void report_by_parity(kit::Lesson& lesson, const std::string& name, const ByParity& means) {
  const std::vector<std::string> kinds = {"even_even", "even_odd", "odd_even", "odd_odd"};
  for (std::size_t kind = 0; kind < kinds.size(); ++kind)
    lesson.report(name + "_" + kinds[kind], means[kind], "");
}

// How much larger the largest of four errors is than the least.
double spread_of(const ByParity& errors) {
  const auto [least, largest] = std::minmax_element(errors.begin(), errors.end());
  return 100 * (*largest / *least - 1);
}

// Do windows of 3 in steps of 2 make checkerboards? Before training, and after.
void look_for_checkerboards(kit::Lesson& lesson, const Convolutional& model,
                            const Convolutional& kernel_3, const Mlp& mlp,
                            const kit::ImageData& data) {
  const Index side = data.height;
  for (Index kernel : {3, 4})
    report_by_parity(lesson, fmt::format("untrained_kernel_{}", kernel),
                     untrained_by_parity({.side = side, .kernel = kernel}, lesson.options().seed));
  const ByParity of_3 = errors_by_parity(kernel_3, data.test_images, side);
  const ByParity of_4 = errors_by_parity(model, data.test_images, side);
  report_by_parity(lesson, "error_kernel_3", of_3);
  report_by_parity(lesson, "error_kernel_4", of_4);
  lesson.report("error_spread_mlp", spread_of(errors_by_parity(mlp, data.test_images, side)), "%");
  lesson.report("error_spread_kernel_3", spread_of(of_3), "%");
  lesson.report("error_spread_kernel_4", spread_of(of_4), "%");
}

// What becomes of the errors when images are moved to the right.
void move_images(kit::Lesson& lesson, const Convolutional& model, const Mlp& mlp,
                 const PcaCode& pca, const kit::ImageData& data) {
  std::vector<std::vector<double>> errors(3);
  const Index most = std::min<Index>(4, data.width);
  for (Index right = 0; right <= most; ++right) {
    const Tensor<float> images = moved(data.test_images, data.width, 0, right);
    errors[0].push_back(error_per_pixel(model, images));
    errors[1].push_back(error_per_pixel(mlp, images));
    errors[2].push_back(pca.error_per_pixel(images));
  }
  const std::vector<std::string> names = {"convolutional", "mlp", "pca"};
  for (std::size_t i = 0; i < names.size(); ++i)
    for (int right : {2, 4}) {
      const double before = errors[i][0];
      lesson.report(fmt::format("moved_by_{}_{}", right, names[i]), errors[i][right], "per pixel");
      if (before > 0)
        lesson.report(fmt::format("moved_by_{}_{}_times", right, names[i]),
                      errors[i][right] / before, "");
    }
  draw_moved(lesson, {"convolutional", "linear layers", "PCA"}, errors);
  lesson.check("second_maps_after_4_pixels",
               gap_after_4_pixels(model, first(100, data.test_images), data.width), "",
               kit::Expected{0, 1e-5});
}

// How far the transposed convolution is from undoing the first layer.
void try_to_undo_first_layer(kit::Lesson& lesson, const Convolutional& model,
                             const Convolutional& kernel_3, const kit::ImageData& data) {
  const Tensor<float> x = first(1000, data.test_images);
  lesson.report("undoing_kernel_4",
                error_of_undoing(model.first_kernel(), model.window(), x, data.width), "");
  lesson.report("undoing_kernel_3",
                error_of_undoing(kernel_3.first_kernel(), kernel_3.window(), x, data.width), "");
}

// The opening question in numbers: the errors of all, by their parameters.
void compare_errors(kit::Lesson& lesson, Convolutional& model, const kit::History& history,
                    Beside& beside, double of_pca, const kit::ImageData& data) {
  const std::vector<double>& errors = history.at("test error");
  const Index epochs = std::ssize(errors) - 1;
  const bool trained = data.is_full_fashion_mnist() && epochs >= kEpochs;
  const double error = errors.back();
  lesson.report("error_before_training", errors.front(), "per pixel");
  lesson.report("error_after_1_epoch", errors[1], "per pixel");
  lesson.report("error_after_2_epochs", errors[std::min<Index>(2, epochs)], "per pixel");
  lesson.report("training_error", history.at("training error").back(), "per pixel");
  lesson.check("test_error", error, "per pixel", kit::when(trained, kit::between(0, 0.0118)));

  const Place of_model{static_cast<double>(nn::count(model.parameters())), error};
  const Place of_mlp = place_of(lesson, "mlp_72", beside.mlp, data);
  const Place of_small_mlp = place_of(lesson, "mlp_16", beside.small_mlp, data);
  const Place of_small = place_of(lesson, "convolutional_small", beside.small, data);
  const Index pixels = data.height * data.width;
  const Place by_pca{static_cast<double>(2 * pixels * kCode + pixels + kCode), of_pca};
  lesson.report("parameters_pca", by_pca.parameters, "");
  lesson.report("test_error_kernel_3", error_per_pixel(beside.kernel_3, data.test_images),
                "per pixel");
  lesson.report("steps_kernel_3", static_cast<double>(beside.short_steps), "steps");
  lesson.check("less_than_mlp", 100 * (1 - error / of_mlp.error), "%",
               kit::when(trained, kit::between(15, 40)));
  if (of_pca > 0) lesson.report("less_than_pca", 100 * (1 - error / of_pca), "%");
  lesson.report("dead_channels", static_cast<double>(dead_channels(model, data.test_images)),
                "of 32");
  draw_errors(lesson, {of_small, of_model}, {of_small_mlp, of_mlp}, by_pca, epochs);
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  find_edges(lesson);
  look_at_one_pixel(lesson);
  count_places(lesson);
  count_parameters(lesson);
  try_to_undo(lesson);
  const Tensor<float> shown = first(10, data.test_images);
  draw_edges(lesson, shown, data);

  Rng rng(lesson.options().seed);
  const double mean_pixel = mean(data.train_images).item();
  lesson.report("mean_pixel", mean_pixel, "");
  Convolutional model({.side = data.height}, rng, mean_pixel);
  const kit::History history = train(lesson, model, rng, data);
  nn::save_file(model.parameters(), lesson.file("convolutional_autoencoder.safetensors"));
  const Index epochs = std::ssize(history.at("test error")) - 1;
  if (lesson.interrupted() || epochs == 0) return;

  const PcaCode pca(data.train_images, kCode);
  const double of_pca = pca.error_per_pixel(data.test_images);
  lesson.check("test_error_pca", of_pca, "per pixel",
               kit::when(data.is_full_fashion_mnist(), {fashion_mnist::kPcaTestError32, 5e-7}));
  draw_training(lesson, history, of_pca);
  draw_kernels(lesson, model.first_kernel());

  const Index an_epoch = (data.train_images.extent(0) + kBatch - 1) / kBatch;
  Beside beside(data, mean_pixel, lesson.options().seed + 1);
  beside.train(lesson, data.train_images, epochs * an_epoch);
  if (lesson.interrupted()) return;
  compare_errors(lesson, model, history, beside, of_pca, data);
  draw_rows(lesson, "reconstructions", "Ten test images, each from a code of 32 numbers",
            "linear layers: lesson 05's network with as many parameters",
            {{"test image", shown},
             {"PCA", pca.through(shown)},
             {"linear layers", through(beside.mlp, shown)},
             {"convolutional", through(model, shown)}},
            data);
  look_for_checkerboards(lesson, model, beside.kernel_3, beside.mlp, data);
  move_images(lesson, model, beside.mlp, pca, data);
  try_to_undo_first_layer(lesson, model, beside.kernel_3, data);
}

}  // namespace
}  // namespace gradus::lesson08

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "08_convolutional_autoencoder",
                           .title = "The convolutional autoencoder",
                           .epochs = gradus::lesson08::kEpochs,
                           .quick_epochs = 4},
                          argc, argv, gradus::lesson08::run);
}
