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
#include "lessons/04_linear_autoencoder/two_weights.hpp"
#include "lessons/common/fashion_mnist.hpp"
#include "lessons/common/gradients.hpp"
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

constexpr double kToyRate = 0.05;
constexpr Index kCodes = 20, kBatch = 128;
constexpr int kEpochs = 12;
constexpr double kMomentum = 0.9;

// ---- Two weights, one number -------------------------------------------------------------------

// An example of the text: from (0.001, 0.001) each step multiplies both weights by 1.2, until they
// are no longer small.
void leave_the_origin(kit::Lesson& lesson) {
  const double variance = 1;
  const double rate = 0.1;
  const TwoWeights near = {0.1, 0.1};
  const double slope = near.gradient(variance).first;
  lesson.check("two_weights_slope", slope, "", kit::Expected{-0.198, 1e-12});
  lesson.report("two_weights_move", -rate * slope, "");
  lesson.check("two_weights_step", near.after_step(variance, rate).a, "",
               kit::Expected{0.1198, 1e-12});

  const std::vector<TwoWeights> path = path_from({0.001, 0.001}, variance, rate, 100);
  Index steps = 0;
  while (path[steps].a < 0.1) ++steps;
  const double predicted = std::log(0.1 / 0.001) / std::log(1 + rate * 2 * variance);
  lesson.report("two_weights_steps_predicted", predicted, "steps");
  lesson.check("two_weights_steps", static_cast<double>(steps), "steps",
               kit::between(predicted, predicted + 1));
  lesson.check("two_weights_loss", path.back().loss(variance), "", kit::Expected{0, 1e-6});
}

// Two descents that begin on either side of the way up to the saddle.
void look_at_two_weights(kit::Lesson& lesson) {
  leave_the_origin(lesson);
  const double rate = 0.04;
  const std::vector<TwoWeights> left = path_from({-1.21, 1.2}, 1, rate, 200);
  const std::vector<TwoWeights> right = path_from({-1.2, 1.21}, 1, rate, 200);
  // Small steps leave a^2 - b^2 as it is.
  const auto imbalance = [](const TwoWeights& w) { return w.a * w.a - w.b * w.b; };
  lesson.report("two_weights_imbalance_at_first", imbalance(right.front()), "");
  lesson.check("two_weights_imbalance_at_last", imbalance(right.back()), "",
               kit::Expected{imbalance(right.front()), 0.01});
  draw_landscape(lesson, left, right);
}

// ---- Five dimensions, all examples at every step -----------------------------------------------

// What the toy loses when its components i and j are kept: the other variances.
double variances_without(Index i, Index j) {
  double total = 0;
  for (double variance : kToyVariances) total += variance;
  return total - kToyVariances[i] - kToyVariances[j];
}

// The length of all gradients together.
double length_of_gradient(const nn::Parameters<double>& parameters) {
  double squares = 0;
  for (const Parameter<double>* p : parameters) squares += sum(square(p->grad)).item();
  return std::sqrt(squares);
}

// Descends from where the model stands.
Path descend(LinearAutoencoder<double>& model, const Tensor<double>& x, const Tensor<double>& plane,
             int steps, const std::string& label, double rate = kToyRate) {
  Path path{.label = label};
  nn::Sgd<double> sgd(model.parameters(), {.learning_rate = rate});
  for (int step = 1; step <= steps; ++step) {
    Tape<double> tape;
    const Var<double> loss = model.loss(x);
    path.loss.push_back(loss.item());
    path.angle.push_back(largest_angle(projector(model.decoder.weight.value()), plane));
    tape.backward(loss);
    path.slope.push_back(length_of_gradient(model.parameters()));
    sgd.step();
  }
  return path;
}

// The lowest eigenvalue of a Hessian that is not 0 but for rounding.
double lowest_positive(const Tensor<double>& eigenvalues) {
  double lowest = eigenvalues(0);
  for (double value : eigenvalues)
    if (value > 1e-6) lowest = std::min(lowest, value);
  return lowest;
}

// From step 500 to step 600: by which factor the angle shrinks in a step, and by which it should,
// from the curvature of the valley there.
void check_slope(kit::Lesson& lesson, int start, const Path& path,
                 const Curvature<double>& at_the_end) {
  const double measured = std::pow(path.angle[600] / path.angle[500], 0.01);
  const double lowest = lowest_positive(symmetric_eigen(at_the_end.hessian).values);
  const std::string name = fmt::format("toy_start_{}", start);
  lesson.report(name + "_lowest_curvature", lowest, "");
  lesson.check(name + "_shrinks_by", measured, "a step",
               kit::Expected{1 - kToyRate * lowest, 1e-3});

  Index near = 0;
  while (path.loss[near] > 1.01 * variances_without(0, 1)) ++near;
  lesson.report(name + "_steps_to_1_percent", static_cast<double>(near), "steps");
  lesson.report(name + "_angle_then", path.angle[near], "degrees");
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
    check_slope(lesson, start, paths.back(),
                curvature<double>([&] { return model.loss(x); }, model.parameters()));
  }
  const double floor = variances_without(0, 1);
  lesson.check("toy_loss", paths.front().loss.back(), "", kit::Expected{floor, 1e-6});
  lesson.check("toy_projector_distance", distance, "", kit::Expected{0, 1e-3});
  lesson.check("toy_columns_off_axes", off_axes, "degrees", kit::between(1, 90));
  draw_excesses(lesson, paths, floor);
  draw_angles(lesson, paths);
}

// The ten critical points of Baldi and Hornik: level, gradient and lowest curvature at each.
void visit_critical_points(kit::Lesson& lesson, LinearAutoencoder<double>& model,
                           const Tensor<double>& x, const Pca<double>& pca) {
  std::vector<CriticalPoint> points;
  double gradient = 0;
  for (Index i = 0; i < 5; ++i)
    for (Index j = i + 1; j < 5; ++j) {
      const Tensor<double> u = axes(pca, {i, j});  // (5, 2)
      model.place(transpose(u), u);
      const auto c = curvature<double>([&] { return model.loss(x); }, model.parameters());
      gradient = std::max(gradient, max(abs(c.gradient)).item());
      const Tensor<double> eigenvalues = symmetric_eigen(c.hessian).values;
      points.push_back({fmt::format("{}, {}", i + 1, j + 1), model.loss(x).item(),
                        eigenvalues(eigenvalues.size() - 1)});

      const std::string name = fmt::format("{}_{}", i + 1, j + 1);
      lesson.check("toy_level_" + name, points.back().level, "",
                   kit::Expected{variances_without(i, j), 1e-9});
      lesson.check("toy_curvature_" + name, points.back().curvature, "",
                   kit::Expected{lowest_curvature(kToyVariances, {i, j}), 1e-9});
    }
  lesson.check("toy_largest_gradient", gradient, "", kit::Expected{0, 1e-9});
  draw_curvatures(lesson, points);
}

// The first step at which a loss is at most so much.
Index first_at_most(double level, const std::vector<double>& loss) {
  const auto found = std::find_if(loss.begin(), loss.end(), [&](double l) { return l <= level; });
  return found - loss.begin();
}

// How far below a saddle's level a descent counts as having left.
constexpr double kDepth = 0.1;

// Compares when a descent leaves a saddle with what slope and Hessian said at step `from` of it.
void check_wait(kit::Lesson& lesson, const std::string& name, const std::vector<WayDown>& ways,
                const Path& path, Index from, double level, double tolerance) {
  const WayDown& steepest = ways.front();
  lesson.report(name + "_distance", steepest.distance, "");
  lesson.report(name + "_factor", steepest.factor(kToyRate), "a step");
  lesson.report(name + "_predicted", steepest.steps(kToyRate, kDepth), "steps");
  const auto predicted = static_cast<double>(steps_until(ways, kToyRate, kDepth));
  lesson.report(name + "_predicted_from_all", predicted, "steps");
  const Index left = first_at_most(level - kDepth, path.loss) - from;
  lesson.check(name + "_measured", static_cast<double>(left), "steps",
               kit::Expected{predicted, tolerance});
}

// Gradient descent from beside the saddle of components 3 and 4, and the waits that the Hessian
// predicts for this saddle and for the next, which is that of 1 and 3.
class FromSaddle {
 public:
  FromSaddle(const Tensor<double>& x, const Pca<double>& pca, Rng& rng)
      : x_(x),
        u_(axes(pca, {2, 3})),
        plane_(projector(axes(pca, {0, 1}))),
        decoder_(rng.normal<double>({5, 2})),
        encoder_(rng.normal<double>({2, 5})),
        model_(5, 2, rng) {}

  // Puts the model so far from the saddle.
  void place(double distance) {
    model_.place(transpose(u_) + distance * encoder_, u_ + distance * decoder_);
  }

  Path descend(int steps) {
    return gradus::lesson04::descend(model_, x_, plane_, steps, "gradient descent");
  }

  std::vector<WayDown> ways() {
    return ways_down(curvature<double>([&] { return model_.loss(x_); }, model_.parameters()));
  }

 private:
  const Tensor<double>& x_;
  Tensor<double> u_, plane_, decoder_, encoder_;
  LinearAutoencoder<double> model_;
};

// From four distances, each a thousandth of the one before: ln 1000 / ln factor steps more.
void wait_at_saddle(kit::Lesson& lesson, FromSaddle& descent, double level) {
  std::vector<Wait> waits;
  for (int digits : {3, 6, 9, 12}) {
    descent.place(std::pow(10, -digits));
    const std::vector<WayDown> ways = descent.ways();
    const Path path = descent.descend(250);
    check_wait(lesson, fmt::format("from_1e_{}", digits), ways, path, 0, level, 2);
    waits.push_back({fmt::format("1e-{}", digits), path.loss,
                     static_cast<double>(steps_until(ways, kToyRate, kDepth))});
  }
  draw_waits(lesson, waits, level, kDepth);
  const double factor = 1 - kToyRate * lowest_curvature(kToyVariances, {2, 3});
  lesson.report("steps_for_a_thousandth", std::log(1000) / std::log(factor), "steps");
  lesson.report("log_of_factor", std::log(factor), "");
  lesson.report("distance_at_depth",
                std::sqrt(-2 * kDepth / lowest_curvature(kToyVariances, {2, 3})), "");

  descent.place(0);
  const Path path = descent.descend(400);
  lesson.report("from_0_measured", static_cast<double>(first_at_most(level - kDepth, path.loss)),
                "steps");
}

void leave_saddle(kit::Lesson& lesson, const Tensor<double>& x, const Pca<double>& pca, Rng& rng) {
  const double floor = variances_without(0, 1);
  const double first = variances_without(2, 3);
  const double second = variances_without(0, 2);
  FromSaddle descent(x, pca, rng);
  descent.place(1e-6);
  const Path path = descent.descend(700);
  lesson.check("toy_loss_from_saddle", path.loss.back(), "", kit::Expected{floor, 1e-4});
  draw_saddles(lesson, path,
               {{"components 3, 4", first},
                {"components 1, 3", second},
                {"components 1, 2", floor}});
  wait_at_saddle(lesson, descent, first);

  // The second wait, seen from where the slope is least before the loss leaves that level.
  const auto begin = path.slope.begin();
  const auto least = std::min_element(begin + first_at_most(second + kDepth, path.loss),
                                      begin + first_at_most(second - kDepth, path.loss));
  const Index flattest = least - begin;
  descent.place(1e-6);
  descent.descend(static_cast<int>(flattest));
  const std::vector<WayDown> ways = descent.ways();
  lesson.report("second_saddle_step", static_cast<double>(flattest), "steps");
  lesson.report("second_saddle_curvature", ways.front().curvature, "");
  check_wait(lesson, "second_saddle", ways, path, flattest, second, 4);
}

// The largest curvature at the minimum, along (1 + s) u_1 in both layers: no descent with a larger
// rate than 2 over it stays there.
void visit_minimum(kit::Lesson& lesson, LinearAutoencoder<double>& model, const Tensor<double>& x,
                   const Pca<double>& pca) {
  const Tensor<double> u = axes(pca, {0, 1});
  model.place(transpose(u), u);
  const auto c = curvature<double>([&] { return model.loss(x); }, model.parameters());
  const double highest = symmetric_eigen(c.hessian).values(0);
  lesson.check("toy_highest_curvature_1_2", highest, "", kit::Expected{4 * kToyVariances[0], 1e-9});
  lesson.report("toy_largest_rate", 2 / highest, "");
}

// A saddle where the decoder is twice as large, and the encoder half as large: the steepest way
// down is 8 + 1/4 - sqrt((8 - 1/4)^2 + 16).
void visit_uneven_saddle(kit::Lesson& lesson, LinearAutoencoder<double>& model,
                         const Tensor<double>& x, const Pca<double>& pca) {
  const Tensor<double> u = axes(pca, {0, 2});
  model.place(transpose(u) / 2.0, 2.0 * u);
  const auto c = curvature<double>([&] { return model.loss(x); }, model.parameters());
  lesson.check("toy_uneven_curvature_1_3", symmetric_eigen(c.hessian).values(c.gradient.size() - 1),
               "", kit::Expected{8.25 - std::sqrt(7.75 * 7.75 + 16), 1e-9});
}

// No weights, no code: the saddle of the two weights, in every direction.
void visit_zero(kit::Lesson& lesson, LinearAutoencoder<double>& model, const Tensor<double>& x) {
  model.place(Tensor<double>({2, 5}), Tensor<double>({5, 2}));
  const auto c = curvature<double>([&] { return model.loss(x); }, model.parameters());
  lesson.check("toy_gradient_at_zero", max(abs(c.gradient)).item(), "", kit::Expected{0, 1e-9});
  lesson.check("toy_curvature_at_zero", symmetric_eigen(c.hessian).values(c.gradient.size() - 1),
               "", kit::Expected{-2 * kToyVariances[0], 1e-9});
}

// Learning rates just below and above 2 / 16, from a millionth beside the minimum.
void try_rates(kit::Lesson& lesson, LinearAutoencoder<double>& model, const Tensor<double>& x,
               const Pca<double>& pca, Rng& rng) {
  const Tensor<double> u = axes(pca, {0, 1});
  const Tensor<double> noise = rng.normal<double>({5, 2});
  for (double rate : {0.12, 0.13}) {
    model.place(transpose(u + 1e-6 * noise), u + 1e-6 * noise);
    const Path path = descend(model, x, projector(u), 1000, "", rate);
    lesson.report(fmt::format("toy_loss_with_rate_{:.2f}", rate), path.loss.back(), "");
  }
}

// Codes as wide as the input: any invertible encoder will do, and descent finds one.
void copy(kit::Lesson& lesson, const Tensor<double>& x, Rng& rng) {
  LinearAutoencoder<double> model(5, 5, rng);
  nn::Sgd<double> sgd(model.parameters(), {.learning_rate = kToyRate});
  for (int step = 0; step < 6000; ++step) {
    Tape<double> tape;
    tape.backward(model.loss(x));
    sgd.step();
  }
  const Tensor<double>& a = model.encoder.weight.value();
  const Tensor<double> product = matmul(model.decoder.weight.value(), a);
  const auto off_identity = [](const Tensor<double>& w) {
    return max(abs(w - identity<double>(5))).item();
  };
  lesson.check("toy_wide_loss", model.loss(x).item(), "", kit::Expected{0, 1e-9});
  lesson.check("toy_wide_product_off_identity", off_identity(product), "", kit::Expected{0, 1e-4});
  lesson.check("toy_wide_encoder_off_identity", off_identity(a), "", kit::between(0.1, 10));
}

// The covariance of what comes back is that of the data, without the dropped directions.
void refit(kit::Lesson& lesson, const Tensor<double>& x, const Pca<double>& pca, Rng& rng) {
  LinearAutoencoder<double> model(5, 2, rng);
  descend(model, x, projector(axes(pca, {0, 1})), 2000, "");
  const Pca<double> again = fit_pca(model(x).value());
  const Tensor<double> columns = transpose(slice(again.components, 0, 0, 2));  // (5, 2)
  lesson.check("refit_variance_1", again.variances(0), "", kit::Expected{kToyVariances[0], 1e-6});
  lesson.check("refit_variance_2", again.variances(1), "", kit::Expected{kToyVariances[1], 1e-6});
  lesson.check("refit_off_axes", angle_to_nearest_axis(pca, columns), "degrees",
               kit::Expected{0, 0.01});
}

// ---- Images, in minibatches --------------------------------------------------------------------

// PCA's error, per image: on the training images the least that any linear autoencoder can lose.
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
  nn::Sgd<float> sgd(model.parameters(), {.momentum = kMomentum});
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

// The floor is what lesson 01 measured as the error of PCA; on the training images nothing linear
// gets below it.
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

// How much of PCA's plane the columns of the decoder's weight, (D, K), span.
void compare_planes(kit::Lesson& lesson, const Tensor<double>& weight, const Pca<double>& pca) {
  const Tensor<double> span = projector(weight);
  const Tensor<double> plane = projector(axes(pca, numbers_below(kCodes)));
  const Tensor<double> shares = share_in_span(pca, span);  // (D)
  lesson.report("largest_angle", largest_angle(span, plane), "degrees");
  for (Index i : {Index(1), kCodes / 2, kCodes / 2 + 1, kCodes - 2, kCodes - 1, kCodes, kCodes + 1,
                  kCodes + 2})
    if (i <= shares.size()) {
      lesson.report(fmt::format("component_{}_in_span", i), shares(i - 1), "");
      lesson.report(fmt::format("variance_{}", i), pca.variances(i - 1), "");
    }

  const WorstDirection<double> worst = worst_direction(pca, kCodes, span);
  lesson.report("worst_direction_in_span", worst.share, "");
  for (Index i : {kCodes - 1, kCodes})
    lesson.report(fmt::format("worst_direction_along_{}", i), worst.along(i - 1), "");

  // Projecting on the span loses sum_i l_i (1 - share_i): of the first K components what the span
  // lacks, less what it has of the others.
  const Tensor<double> kept = pca.variances * shares;  // (D)
  const double lost = sum(slice(pca.variances - kept, 0, 0, kCodes)).item();
  const double gained = sum(slice(kept, 0, kCodes, kept.size())).item();
  lesson.report("lost_of_plane", lost, "per image");
  lesson.report("gained_outside", gained, "per image");
  lesson.report("lost_by_span", lost - gained, "per image");
  draw_shares(lesson, shares, kCodes);
}

// Is it the noise of minibatches that keeps the loss up? From the trained model: one more epoch of
// large steps, and then steps as large, each with 60 times as many images.
void shake(kit::Lesson& lesson, const LinearAutoencoder<float>& trained, Rng& rng,
           const Tensor<float>& images, const Floor& floor, double widest) {
  LinearAutoencoder<float> model(images.extent(1), kCodes, rng);
  model.place(trained.encoder.weight.value(), trained.decoder.weight.value());
  nn::Sgd<float> sgd(model.parameters(),
                     {.learning_rate = learning_rate(0, 1, widest), .momentum = kMomentum});
  const auto steps_with = [&](Index batch, Index count) {
    kit::Steps steps(lesson, "training, large steps", count);
    for (const Tensor<float>& x : steps.minibatches(images, batch, rng)) {
      Tape<float> tape;
      tape.backward(model.loss(x));
      sgd.step();
    }
    return percent_above(floor.train, mean_loss(model, images));
  };
  lesson.report("excess_after_large_steps", steps_with(kBatch, 469), "%");
  lesson.report("excess_after_large_steps_with_60_batches", steps_with(60 * kBatch, 60), "%");
}

// Five dimensions, where every number is known on paper.
void run_toy(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  const Pca<double> pca = fit_pca(x);
  find_plane(lesson, x, pca, rng);

  LinearAutoencoder<double> model(5, 2, rng);
  visit_critical_points(lesson, model, x, pca);
  visit_minimum(lesson, model, x, pca);
  visit_uneven_saddle(lesson, model, x, pca);
  visit_zero(lesson, model, x);
  leave_saddle(lesson, x, pca, rng);
  try_rates(lesson, model, x, pca, rng);
  copy(lesson, x, rng);
  refit(lesson, x, pca, rng);
}

void run_images(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Pca<double> pca = fit_pca(cast<double>(data.train_images));
  const Floor floor = floor_of(pca, data);
  lesson.report("squared_length_of_mean", sum(square(pca.mean)).item(), "");

  const Tensor<float> mean = cast<float>(pca.mean);
  const Tensor<float> images = data.train_images - mean;
  Rng rng(lesson.options().seed);
  LinearAutoencoder<float> model(images.extent(1), kCodes, rng);
  const kit::History excess =
      train(lesson, model, rng, images, data.test_images - mean, floor, pca.variances(0));
  const Tensor<double> weight = cast<double>(model.decoder.weight.value());
  draw_excess(lesson, excess, kCodes);
  draw_axes(lesson, pca, weight, data);
  if (!lesson.interrupted()) shake(lesson, model, rng, images, floor, pca.variances(0));

  model.absorb_mean(mean);
  nn::save_file(model.parameters(), lesson.file("linear_autoencoder.safetensors"));
  check_errors(lesson, model, excess, floor, data);
  compare_planes(lesson, weight, pca);
}

void run(kit::Lesson& lesson) {
  draw_network(lesson);
  look_at_two_weights(lesson);
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
