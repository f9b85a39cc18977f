// Lesson 04: gradient descent on a linear autoencoder finds the plane of PCA, by way of saddles.
#include <fmt/core.h>

#include "lessons/04_linear_autoencoder/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/checkpoint.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/progress.hpp"
#include "nn/minibatches.hpp"
#include "nn/serialization.hpp"

namespace gradus::lesson04 {
namespace {

constexpr Index kCodes = 20, kBatch = 128;

// ---- Five dimensions, all examples at every step -----------------------------------------------

struct Path {
  kit::Series loss, angle;  // at each step; the angle to PCA's plane in degrees
};

// Descends from where the model stands.
Path descend(LinearAutoencoder<double>& model, const Tensor<double>& x, const Tensor<double>& plane,
             int steps, const std::string& label) {
  Path path{{.label = label}, {.label = label}};
  nn::Sgd<double> sgd(model.parameters(), {.learning_rate = 0.05});
  for (int step = 1; step <= steps; ++step) {
    Tape<double> tape;
    const Var<double> loss = model.loss(x);
    path.loss.y.push_back(loss.item());
    path.angle.y.push_back(largest_angle(projector(model.decoder.weight.value()), plane));
    tape.backward(loss);
    sgd.step();
  }
  return path;
}

void find_plane(kit::Lesson& lesson, const Tensor<double>& x, const Pca<double>& pca, Rng& rng) {
  const Tensor<double> plane = projector(axes(pca, {0, 1}));
  std::vector<kit::Series> losses, angles;
  double distance = 0, off_axes = 0;
  for (int start = 1; start <= 3; ++start) {
    LinearAutoencoder<double> model(5, 2, rng);
    const Path path = descend(model, x, plane, 2000, fmt::format("start {}", start));
    losses.push_back(path.loss);
    losses.back().y.resize(100);
    angles.push_back(path.angle);
    angles.back().y.resize(600);
    const Tensor<double>& w = model.decoder.weight.value();
    distance = std::max(distance, std::sqrt(sum(square(projector(w) - plane)).item()));
    off_axes = std::max(off_axes, angle_to_nearest_axis(pca, w));
    if (start == 1) lesson.check("toy_loss", path.loss.y.back(), "", kit::Expected{1.75, 1e-6});
  }
  lesson.check("toy_projector_distance", distance, "", kit::Expected{0, 1e-3});
  lesson.check("toy_columns_off_axes", off_axes, "degrees", kit::between(1, 90));
  kit::plot(lesson, "loss",
            {.title = "From three random starts the loss falls to one floor",
             .note = "toy of five dimensions, codes of two numbers",
             .x_label = "step of gradient descent",
             .y_label = "squared error per example",
             .log_y = true,
             .levels = {{"dropped variances", 1.75}}},
            losses);
  kit::plot(lesson, "angle",
            {.title = "The decoder's plane turns into the plane of PCA",
             .x_label = "step of gradient descent",
             .y_label = "angle between the planes, degrees",
             .log_y = true},
            angles);
}

// The ten critical points of Baldi and Hornik: level, gradient and lowest curvature at each.
void visit_saddles(kit::Lesson& lesson, const Tensor<double>& x, const Pca<double>& pca, Rng& rng) {
  LinearAutoencoder<double> model(5, 2, rng);
  const std::pair<std::vector<Index>, double> points[] = {{{0, 1}, 1.75}, {{0, 2}, 2.75},
                                                          {{0, 3}, 3.25}, {{0, 4}, 3.5},
                                                          {{1, 2}, 4.75}, {{1, 3}, 5.25},
                                                          {{1, 4}, 5.5},  {{2, 3}, 6.25},
                                                          {{2, 4}, 6.5},  {{3, 4}, 7.0}};
  kit::Series lowest{.label = "toy"};
  std::vector<std::string> names;
  double gradient = 0;
  for (const auto& [which, level] : points) {
    const Tensor<double> u = axes(pca, which);  // (5, 2)
    model.place(transpose(u), u);
    const auto c = curvature<double>([&] { return model.loss(x); }, model.parameters());
    gradient = std::max(gradient, max(abs(c.gradient)).item());
    lowest.y.push_back(symmetric_eigen(c.hessian).values(c.gradient.size() - 1));
    names.push_back(fmt::format("{}, {}", which[0] + 1, which[1] + 1));
    const std::string pair = fmt::format("{}_{}", which[0] + 1, which[1] + 1);
    lesson.check("toy_level_" + pair, model.loss(x).item(), "", kit::Expected{level, 1e-9});
    lesson.check("toy_curvature_" + pair, lowest.y.back(), "",
                 kit::Expected{lowest_curvature(kToyVariances, which), 1e-9});
  }
  lesson.check("toy_largest_gradient", gradient, "", kit::Expected{0, 1e-9});
  kit::bars(lesson, "curvature",
            {.title = "Only the best pair of components is a place to rest",
             .note = "lowest curvature of the loss where the decoder spans two components of five",
             .x_label = "the two components, from the lowest loss to the highest",
             .y_label = "lowest eigenvalue of the Hessian"},
            {lowest}, names);

  // Next to the saddle of components 3 and 4.
  const Tensor<double> u = axes(pca, {2, 3});
  model.place(transpose(u) + 1e-6 * rng.normal<double>({2, 5}),
              u + 1e-6 * rng.normal<double>({5, 2}));
  Path path = descend(model, x, projector(axes(pca, {0, 1})), 700, "gradient descent");
  lesson.check("toy_loss_from_saddle", path.loss.y.back(), "", kit::Expected{1.75, 1e-4});
  path.loss.y.resize(400);
  kit::plot(lesson, "saddle",
            {.title = "A descent that rests at two saddles on its way",
             .note = "from a millionth beside the point where the decoder spans components 3 and 4",
             .x_label = "step of gradient descent",
             .y_label = "squared error per example",
             .levels = {{"components 3, 4", 6.25},
                        {"components 1, 3", 2.75},
                        {"components 1, 2", 1.75}}},
            {path.loss});
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

// Trains until `epochs` are done, some of which a checkpoint may have; returns how many are.
int descend(kit::Lesson& lesson, LinearAutoencoder<float>& model, const Tensor<float>& train,
            double widest, const std::function<std::string(int)>& measure) {
  const auto checkpoint = lesson.directory() / "checkpoint.safetensors";
  const int epochs = lesson.options().epochs;
  int epoch = 0;
  if (kit::resumes(lesson, checkpoint)) {
    const auto file = io::read_safetensors<float>(checkpoint);
    nn::load(model.parameters(), file);
    epoch = static_cast<int>(file.at("epoch").item());
  }
  kit::Progress progress("training", std::max(0, epochs - epoch));
  progress.print(measure(epoch));
  while (epoch < epochs) {
    // The widest direction bounds the step. Smaller steps at the end calm the minibatches' noise.
    const double rate = (3 * epoch < 2 * epochs ? 0.06 : 0.006) / widest;
    nn::Sgd<float> sgd(model.parameters(), {.learning_rate = rate, .momentum = 0.9});
    Rng rng(lesson.options().seed + static_cast<std::uint64_t>(epoch) + 1);
    for (const Tensor<float>& x : nn::minibatches(train, kBatch, rng)) {
      Tape<float> tape;
      tape.backward(model.loss(x));
      sgd.step();
      if (lesson.interrupted()) return epoch;
    }
    progress.step();
    progress.print(measure(++epoch));
    io::SafeTensors<float> file{{{"epoch", Tensor<float>(static_cast<float>(epoch))}}, {}};
    nn::save(model.parameters(), file);
    io::write_safetensors(lesson.file("checkpoint.safetensors"), file.tensors);
  }
  return epoch;
}

void images(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Index pixels = data.height * data.width;
  const Pca<double> pca = fit_pca(cast<double>(data.train_images));
  const double floor = pixels > kCodes ? critical_level(pca, first(kCodes)) : 0;
  const double test_floor = pca.residual(cast<double>(data.test_images), std::min(kCodes, pixels));
  if (std::min(floor, test_floor) < 1e-6)
    fail("images must vary in more than {} directions: these {} + {} of {} x {} pixels do not",
         kCodes, data.train_images.extent(0), data.test_images.extent(0), data.height, data.width);
  const Tensor<float> mean = cast<float>(pca.mean);
  const Tensor<float> train = data.train_images - mean, test = data.test_images - mean;
  Rng rng(lesson.options().seed);
  LinearAutoencoder<float> model(pixels, kCodes, rng);
  kit::Series on_train{.label = "training", .mark = kit::Series::kLineAndDots}, on_test = on_train;
  on_test.label = "test";
  const int epochs = descend(lesson, model, train, pca.variances(0), [&](int epoch) {
    on_train.x.push_back(epoch);
    on_train.y.push_back(100 * (mean_loss(model, train) / floor - 1));
    on_test.x.push_back(epoch);
    on_test.y.push_back(100 * (mean_loss(model, test) / test_floor - 1));
    return fmt::format("epoch {:2}: {:7.3f} % above PCA in training, {:7.3f} % in the test", epoch,
                       on_train.y.back(), on_test.y.back());
  });
  kit::plot(lesson, "excess",
            {.title =
                 fmt::format("With {} numbers a code, training comes down to PCA's error", kCodes),
             .x_label = "epoch",
             .y_label = "% above the error of PCA",
             .log_y = true},
            {on_train, on_test});
  const Tensor<double> w = cast<double>(model.decoder.weight.value());
  const Tensor<double> columns = transpose(w / sqrt(sum(square(w), {0})));  // (k, D), of length 1
  kit::images(lesson, "axes",
              {.title = "PCA's axes, and those that gradient descent found",
               .signed_values = true,
               .row_captions = {"PCA's first ten", "ten of the decoder's"}},
              concatenate(std::vector{slice(pca.components, 0, 0, 10), slice(columns, 0, 0, 10)})
                  .reshape({20, data.height, data.width}));
  model.absorb_mean(mean);
  nn::save_file(model.parameters(), lesson.file("linear_autoencoder.safetensors"));

  // The floor is what lesson 01 measured as the error of PCA; nothing linear gets below it.
  const bool full = data.name == "fashion-mnist" && train.extent(0) == 60000;
  const bool trained = full && epochs >= 12;
  auto claim = [](bool known, kit::Expected e) { return known ? std::optional(e) : std::nullopt; };
  lesson.report("pca_train_error", floor, "per image");
  lesson.report("train_error", mean_loss(model, data.train_images), "per image");
  lesson.check("train_excess", on_train.y.back(), "%", claim(trained, kit::between(0, 0.5)));
  lesson.check("test_excess", on_test.y.back(), "%", claim(trained, kit::between(-0.5, 0.5)));
  lesson.check("pca_test_error", test_floor / static_cast<double>(pixels), "per pixel",
               claim(full, {0.018705, 5e-7}));
  lesson.check("test_error", mean_loss(model, data.test_images) / static_cast<double>(pixels),
               "per pixel", claim(trained, {0.018705, 1e-4}));
  const Tensor<double> span = projector(w), plane = projector(axes(pca, first(kCodes)));
  lesson.report("largest_angle", largest_angle(span, plane), "degrees");
  for (Index i : {1, 10, 20})
    lesson.report(fmt::format("component_{}_in_span", i),
                  sum(square(matmul(slice(pca.components, 0, i - 1, i), span))).item(), "");
  lesson.report("variance_20", pca.variances(19), "");
  lesson.report("variance_21", pca.variances(20), "");
}

void run(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  const Pca<double> pca = fit_pca(x);
  find_plane(lesson, x, pca, rng);
  visit_saddles(lesson, x, pca, rng);
  copy(lesson, x, rng);
  images(lesson);
}

}  // namespace
}  // namespace gradus::lesson04

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "04_linear_autoencoder",
                           .title = "A linear autoencoder",
                           .epochs = 12,
                           .quick_epochs = 60},
                          argc, argv, gradus::lesson04::run);
}
