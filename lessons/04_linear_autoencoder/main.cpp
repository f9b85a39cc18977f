// Lesson 04: gradient descent on a linear autoencoder finds the plane of PCA, by way of saddles.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/04_linear_autoencoder/figures.hpp"
#include "lessons/04_linear_autoencoder/instruments.hpp"
#include "lessons/04_linear_autoencoder/model.hpp"
#include "lessons/common/fashion_mnist.hpp"
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
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson04 {
namespace {

constexpr Index kCodes = 20, kBatch = 128;
constexpr int kEpochs = 12;

// ---- Five dimensions, all examples at every step -----------------------------------------------

// What the toy loses when its components i and j are kept: the other variances.
double variances_without(Index i, Index j) {
  double total = 0;
  for (double variance : kToyVariances) total += variance;
  return total - kToyVariances[i] - kToyVariances[j];
}

// Descends from where the model stands.
Path descend(LinearAutoencoder<double>& model, const Tensor<double>& x, const Tensor<double>& plane,
             int steps, const std::string& label) {
  Path path{.label = label, .loss = {}, .angle = {}};
  nn::Sgd<double> sgd(model.parameters(), {.learning_rate = 0.05});
  for (int step = 1; step <= steps; ++step) {
    Tape<double> tape;
    const Var<double> loss = model.loss(x);
    path.loss.push_back(loss.item());
    path.angle.push_back(largest_angle(projector(model.decoder.weight.value()), plane));
    tape.backward(loss);
    sgd.step();
  }
  return path;
}

void find_plane(kit::Lesson& lesson, const Tensor<double>& x, const Pca<double>& pca, Rng& rng) {
  const Tensor<double> plane = projector(axes(pca, {0, 1}));
  std::vector<Path> paths;
  double distance = 0;
  double off_axes = 0;
  for (int start = 1; start <= 3; ++start) {
    LinearAutoencoder<double> model(5, 2, rng);
    paths.push_back(descend(model, x, plane, 2000, fmt::format("start {}", start)));
    const Tensor<double>& w = model.decoder.weight.value();
    distance = std::max(distance, std::sqrt(sum(square(projector(w) - plane)).item()));
    off_axes = std::max(off_axes, angle_to_nearest_axis(pca, w));
  }
  const double floor = variances_without(0, 1);
  lesson.check("toy_loss", paths.front().loss.back(), "", kit::Expected{floor, 1e-6});
  lesson.check("toy_projector_distance", distance, "", kit::Expected{0, 1e-3});
  lesson.check("toy_columns_off_axes", off_axes, "degrees", kit::between(1, 90));
  draw_losses(lesson, paths, floor);
  draw_angles(lesson, paths);
}

// The ten critical points of Baldi and Hornik: level, gradient and lowest curvature at each.
void visit_critical_points(kit::Lesson& lesson, LinearAutoencoder<double>& model,
                           const Tensor<double>& x, const Pca<double>& pca) {
  std::vector<std::string> pairs;
  std::vector<double> lowest;
  double gradient = 0;
  for (Index i = 0; i < 5; ++i)
    for (Index j = i + 1; j < 5; ++j) {
      const Tensor<double> u = axes(pca, {i, j});  // (5, 2)
      model.place(transpose(u), u);
      const auto c = curvature<double>([&] { return model.loss(x); }, model.parameters());
      gradient = std::max(gradient, max(abs(c.gradient)).item());
      lowest.push_back(symmetric_eigen(c.hessian).values(c.gradient.size() - 1));
      pairs.push_back(fmt::format("{}, {}", i + 1, j + 1));

      const std::string name = fmt::format("{}_{}", i + 1, j + 1);
      lesson.check("toy_level_" + name, model.loss(x).item(), "",
                   kit::Expected{variances_without(i, j), 1e-9});
      lesson.check("toy_curvature_" + name, lowest.back(), "",
                   kit::Expected{lowest_curvature(kToyVariances, {i, j}), 1e-9});
    }
  lesson.check("toy_largest_gradient", gradient, "", kit::Expected{0, 1e-9});
  draw_curvatures(lesson, pairs, lowest);
}

// A descent from a millionth beside the saddle of components 3 and 4.
void leave_saddle(kit::Lesson& lesson, LinearAutoencoder<double>& model, const Tensor<double>& x,
                  const Pca<double>& pca, Rng& rng) {
  const Tensor<double> u = axes(pca, {2, 3});
  const Tensor<double> decoder = u + 1e-6 * rng.normal<double>({5, 2});
  const Tensor<double> encoder = transpose(u) + 1e-6 * rng.normal<double>({2, 5});
  model.place(encoder, decoder);
  const Path path = descend(model, x, projector(axes(pca, {0, 1})), 700, "gradient descent");
  const double floor = variances_without(0, 1);
  lesson.check("toy_loss_from_saddle", path.loss.back(), "", kit::Expected{floor, 1e-4});
  draw_saddles(lesson, path,
               {{"components 3, 4", variances_without(2, 3)},
                {"components 1, 3", variances_without(0, 2)},
                {"components 1, 2", floor}});
}

// Codes as wide as the input: any invertible encoder will do.
void copy(kit::Lesson& lesson, const Tensor<double>& x, Rng& rng) {
  LinearAutoencoder<double> model(5, 5, rng);
  const Tensor<double> w = identity<double>(5) + 0.5 * rng.normal<double>({5, 5});
  model.place(w, solve_spd(matmul_tn(w, w), transpose(w)));  // (w^T w)^-1 w^T = w^-1
  lesson.check("toy_wide_loss", model.loss(x).item(), "", kit::Expected{0, 1e-9});
  lesson.check("toy_wide_off_identity", max(abs(w - identity<double>(5))).item(), "",
               kit::between(0.1, 10));
}

// ---- Images, in minibatches --------------------------------------------------------------------

// The least that any linear autoencoder can lose: PCA's error, per image.
struct Floor {
  double train, test;
};

Floor floor_of(const Pca<double>& pca, const kit::ImageData& data) {
  const Index pixels = data.height * data.width;
  const Floor floor = {
      pixels > kCodes ? critical_level(pca, numbers_below(kCodes)) : 0,
      pca.residual(cast<double>(data.test_images), std::min(kCodes, pixels)),
  };
  if (std::min(floor.train, floor.test) < 1e-6)
    fail(
        "lesson 04 needs images that vary in more than {} directions, those to train on and those "
        "to test with: the {} + {} of {}, of {} x {} pixels, do not",
        kCodes, data.train_images.extent(0), data.test_images.extent(0), data.name, data.height,
        data.width);
  return floor;
}

double percent_above(double floor, double loss) { return 100 * (loss / floor - 1); }

// Where codes are PCA's, the loss bends most along the widest direction: (1 + a) u in the encoder
// and (1 + b) u in the decoder lose widest (1 - (1 + a)(1 + b))^2 = widest (a + b)^2 to second
// order, a curvature of 4 widest. Plain descent diverges from a rate of 2 / (4 widest) on; these
// are well below. The smaller one, at the end, calms the minibatches' noise.
double learning_rate(int epoch, int epochs, double widest) {
  const bool early = 3 * epoch < 2 * epochs;
  return (early ? 0.06 : 0.006) / widest;
}

// Trains on centred images. Returns by how many % the losses are above their floors.
kit::History train(kit::Lesson& lesson, LinearAutoencoder<float>& model, Rng& rng,
                   const Tensor<float>& images, const Tensor<float>& test_images,
                   const Floor& floor, double widest) {
  const int epochs = lesson.options().epochs;
  nn::Sgd<float> sgd(model.parameters(), {.momentum = 0.9});
  kit::Training training(lesson, "linear_autoencoder",
                         {.epochs = epochs, .batch = kBatch, .scheduled = true}, model.parameters(),
                         sgd, rng);
  const auto measure = [&] {
    return std::vector<kit::Score>{
        {"training", percent_above(floor.train, mean_loss(model, images))},
        {"test", percent_above(floor.test, mean_loss(model, test_images))},
    };
  };
  training.record(measure);
  while (!training.done()) {
    sgd.options.learning_rate = learning_rate(training.epoch(), epochs, widest);
    for (const Tensor<float>& x : training.minibatches(images)) {
      Tape<float> tape;
      tape.backward(model.loss(x));
      sgd.step();
    }
    training.record(measure);
  }
  return training.history();
}

// The floor is what lesson 01 measured as the error of PCA; nothing linear gets below it.
void check_errors(kit::Lesson& lesson, const LinearAutoencoder<float>& model,
                  const kit::History& excess, const Floor& floor, const kit::ImageData& data) {
  const std::vector<double>& on_train = excess.at("training");
  const std::vector<double>& on_test = excess.at("test");
  const double pixels = static_cast<double>(data.height * data.width);
  const bool full = data.is_full_fashion_mnist();
  const bool trained = full && std::ssize(on_train) > kEpochs;
  lesson.report("pca_train_error", floor.train, "per image");
  lesson.report("train_error", mean_loss(model, data.train_images), "per image");
  lesson.check("train_excess", on_train.back(), "%", kit::when(trained, kit::between(0, 0.5)));
  lesson.check("test_excess", on_test.back(), "%", kit::when(trained, kit::between(-0.5, 0.5)));
  lesson.check("pca_test_error", floor.test / pixels, "per pixel",
               kit::when(full, {fashion_mnist::kPcaTestError20, 5e-7}));  // as lesson 01 finds it
  lesson.check("test_error", mean_loss(model, data.test_images) / pixels, "per pixel",
               kit::when(trained, {fashion_mnist::kPcaTestError20, 1e-4}));
}

// How much of PCA's plane the columns of the decoder's weight, (D, k), span.
void compare_planes(kit::Lesson& lesson, const Tensor<double>& weight, const Pca<double>& pca) {
  const Tensor<double> span = projector(weight);
  const Tensor<double> plane = projector(axes(pca, numbers_below(kCodes)));
  lesson.report("largest_angle", largest_angle(span, plane), "degrees");
  for (Index i : {1, 10, 20})
    lesson.report(fmt::format("component_{}_in_span", i),
                  sum(square(matmul(slice(pca.components, 0, i - 1, i), span))).item(), "");
  lesson.report("variance_20", pca.variances(19), "");
  lesson.report("variance_21", pca.variances(20), "");
}

// Five dimensions, where every number is known on paper.
void run_toy(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  const Pca<double> pca = fit_pca(x);
  find_plane(lesson, x, pca, rng);

  LinearAutoencoder<double> model(5, 2, rng);
  visit_critical_points(lesson, model, x, pca);
  leave_saddle(lesson, model, x, pca, rng);
  copy(lesson, x, rng);
}

void run_images(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Pca<double> pca = fit_pca(cast<double>(data.train_images));
  const Floor floor = floor_of(pca, data);

  const Tensor<float> mean = cast<float>(pca.mean);
  Rng rng(lesson.options().seed);
  LinearAutoencoder<float> model(data.train_images.extent(1), kCodes, rng);
  const kit::History excess = train(lesson, model, rng, data.train_images - mean,
                                    data.test_images - mean, floor, pca.variances(0));
  model.absorb_mean(mean);
  nn::save_file(model.parameters(), lesson.file("linear_autoencoder.safetensors"));

  const Tensor<double> weight = cast<double>(model.decoder.weight.value());
  draw_excess(lesson, excess, kCodes);
  draw_axes(lesson, pca, weight, data);
  check_errors(lesson, model, excess, floor, data);
  compare_planes(lesson, weight, pca);
}

void run(kit::Lesson& lesson) {
  run_toy(lesson);
  run_images(lesson);
}

}  // namespace
}  // namespace gradus::lesson04

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "04_linear_autoencoder",
                           .title = "A linear autoencoder",
                           .epochs = gradus::lesson04::kEpochs,
                           .quick_epochs = 60},
                          argc, argv, gradus::lesson04::run);
}
