#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/02_ppca/examples.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"

// The figures of lesson 02.
namespace gradus::lesson02 {

// By this the gap to the maximum is multiplied at each step of EM on the toy with two latents, when
// it is small (tests/references/ppca.py).
inline constexpr double kEmFactor = 0.5685878;

// The density N(mean, variance) from `low` to `high`.
inline std::vector<kit::Point> bell(double low, double high, double mean, double variance) {
  return kit::curve(low, high,
                    [&](double x) { return std::exp(normal_log_density(x, mean, variance)); });
}

// Five numbers, the densities that might have made them, and the values of the best one.
inline void draw_likelihood(kit::Lesson& lesson) {
  kit::Sketch sketch(
      {.title = "Only N(3, 4) is well above 0 at all five points",
       .note = "three normal densities, and the sum of the logarithms of five heights of each",
       .x_label = "x",
       .y_label = "density",
       .axes = true,
       .equal_scale = false,
       .shown = {{-4, 0}, {13, 0.45}}});
  int hue = 0;
  for (const Candidate& candidate : kCandidates) {
    ++hue;
    const double top =
        std::exp(normal_log_density(candidate.mean, candidate.mean, candidate.variance));
    double total = 0;
    for (double x : kFiveNumbers)
      total += normal_log_density(x, candidate.mean, candidate.variance);
    sketch.line(bell(-4, 13, candidate.mean, candidate.variance), {.hue = hue, .width = 1.5});
    const std::string name =
        fmt::format("N({}, {}), sum −{:.1f}", candidate.mean, candidate.variance, -total);
    if (hue == 1) sketch.text({-3.7, 0.17}, name, {.hue = hue}, kit::Align::kLeft);
    if (hue == 2) sketch.text({4, 0.9 * top}, name, {.hue = hue}, kit::Align::kLeft);
    if (hue == 3) sketch.text({7.6, 0.9 * top}, name, {.hue = hue}, kit::Align::kLeft);
  }
  std::vector<kit::Point> feet;
  std::vector<kit::Point> heads;
  const Candidate& best = kCandidates[0];
  for (double x : kFiveNumbers) {
    const kit::Point head{x, std::exp(normal_log_density(x, best.mean, best.variance))};
    sketch.line({{x, 0}, head}, {.hue = 1, .dashed = true});
    feet.push_back({x, 0});
    heads.push_back(head);
  }
  sketch.dots(heads, {.hue = 1});
  sketch.dots(feet, {.width = 1.5});
  sketch.draw(lesson, "likelihood");
}

// Bayes' rule for one number z behind one number x that was seen.
inline void draw_bayes(kit::Lesson& lesson) {
  const double low = -2.5;
  const double high = 3;
  const auto product = kit::curve(low, high, [](double z) {
    return std::exp(log_prior(z) + log_likelihood_of_latent(z));
  });
  const Ppca<double> model = one_number_model();
  const double mean = model.encode(Tensor<double>({1, 1}, {kSeen})).item();
  kit::Sketch sketch({.title = "Prior times likelihood, divided by its area, is the posterior",
                      .note = "z ~ N(0, 1), x = 2 z + noise of variance 1, and x = 1.5 was seen",
                      .x_label = "z",
                      .y_label = "height",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{low, 0}, {high, 1}}});
  sketch.area(kit::between({{low, 0}, {high, 0}}, product), {.hue = 3});
  sketch.line(bell(low, high, 0, 1), {.hue = 1, .width = 1.5});
  sketch.line(kit::curve(low, high, [](double z) { return std::exp(log_likelihood_of_latent(z)); }),
              {.hue = 2, .width = 1.5});
  sketch.line(product, {.hue = 3, .width = 1.5});
  sketch.line(bell(low, high, mean, model.posterior_covariance().item()), {.width = 2});
  sketch.text({-1.1, 0.3}, "prior p(z)", {.hue = 1}, kit::Align::kRight);
  sketch.text({1.5, 0.3}, "likelihood p(x|z)", {.hue = 2}, kit::Align::kLeft);
  sketch.text({1.02, 0.72}, "posterior p(z|x)", {}, kit::Align::kLeft);
  sketch.text({0.6, 0.05}, "area p(x)", {.hue = 3});
  sketch.text({-0.35, 0.14}, "product", {.hue = 3}, kit::Align::kRight);
  sketch.draw(lesson, "bayes");
}

// What lies `along` u1 and `off` it, along u2, from the mean of four_points().
inline kit::Point in_plane(double along, double off) {
  return {4 + (2 * along - off) / std::sqrt(5.0), 3 + (along + 2 * off) / std::sqrt(5.0)};
}

// The Gaussian of four_points_model(): its line, and its ellipses at one and two standard
// deviations, which are sqrt(6) along u1 and 1 along u2.
inline void add_gaussian(kit::Sketch& sketch) {
  const double length = std::sqrt(5.0);
  for (double deviations : {1.0, 2.0}) {
    const double along = deviations * std::sqrt(6.0) / length;
    const double off = deviations / length;
    sketch.line(kit::ellipse({4, 3}, {2 * along, along}, {-off, 2 * off}), {.hue = -1});
  }
  sketch.line({in_plane(-5.2, 0), in_plane(5.2, 0)}, {.hue = 1, .width = 1.5});
}

// How pPCA makes a point: a latent, its place on the line, noise.
inline void draw_plane(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> drawn = sample(four_points_model(), 60, rng);  // (60, 2)
  std::vector<kit::Point> cloud;
  for (Index n = 0; n < drawn.extent(0); ++n) cloud.push_back({drawn(n, 0), drawn(n, 1)});
  kit::Sketch sketch({.title = "How pPCA makes a point: a place on the line, and noise",
                      .note = "ellipses: one and two standard deviations of x; circle: one of the "
                              "noise; dots: 60 draws",
                      .x_label = "x1",
                      .y_label = "x2",
                      .axes = true,
                      .shown = {{-2, -1.8}, {10, 6.4}}});
  const kit::Point mean{4, 3};
  const kit::Point place{6, 4};  // of z = 1
  const kit::Point x{5.6, 4.85};
  sketch.dots(cloud, {.hue = -1, .width = 0.6});
  add_gaussian(sketch);
  sketch.line(kit::ellipse(place, {1, 0}, {0, 1}), {.hue = 2, .dashed = true});
  sketch.arrow(mean, place, {.hue = 1, .width = 2});
  sketch.arrow(place, x, {.hue = 2, .width = 2});
  sketch.dots({mean, x}, {.width = 1.5});
  sketch.text({4.1, 2.65}, "μ");
  sketch.text({5.05, 3.1}, "W z", {.hue = 1});
  sketch.text({5.95, 4.55}, "noise", {.hue = 2}, kit::Align::kLeft);
  sketch.text({5.5, 5.15}, "x");
  sketch.draw(lesson, "plane");
}

// Where the code of the point (1, 3) decodes to.
inline void draw_shrunken(kit::Lesson& lesson) {
  const Ppca<double> model = four_points_model();
  const Tensor<double> points = four_points();
  std::vector<kit::Point> dots;
  for (Index n = 0; n < points.extent(0); ++n) dots.push_back({points(n, 0), points(n, 1)});
  const Tensor<double> code = model.encode(slice(points, 0, 3, 4));
  const double mean = std::sqrt(5.0) * code.item();  // along u1
  const double deviation = std::sqrt(5.0 * model.posterior_covariance().item());
  kit::Sketch sketch(
      {.title = "pPCA decodes to a point nearer to the mean than PCA",
       .note = "thick: one standard deviation of W z to each side of its mean, given x",
       .x_label = "x1",
       .y_label = "x2",
       .axes = true,
       .shown = {{-1.4, -0.4}, {9.4, 6.4}}});
  add_gaussian(sketch);
  sketch.line({in_plane(mean - deviation, 0), in_plane(mean + deviation, 0)},
              {.hue = 2, .width = 4});
  sketch.line({{1, 3}, {1.6, 1.8}}, {.dashed = true});
  sketch.dots(dots, {.width = 1.5});
  sketch.dots({{1.6, 1.8}}, {.hue = 1, .width = 1.8});
  sketch.dots({in_plane(mean, 0)}, {.hue = 2, .width = 1.8});
  sketch.dots({{4, 3}}, {});
  sketch.line({{1.6, 1.8}, {1.4, 0.95}}, {.hue = 1, .width = 0.5});
  sketch.line({in_plane(mean, 0), {2.6, 1.45}}, {.hue = 2, .width = 0.5});
  sketch.text({1.12, 3.12}, "x = (1, 3)", {}, kit::Align::kLeft);
  sketch.text({1.35, 0.75}, "PCA: (1.6, 1.8)", {.hue = 1});
  sketch.text({2.5, 1.3}, "pPCA, shrunk: (2, 2)", {.hue = 2}, kit::Align::kLeft);
  sketch.text({4.1, 2.7}, "mean", {}, kit::Align::kLeft);
  sketch.draw(lesson, "shrunken");
}

// Random starts climb to one level; the distance to it falls by a constant factor a step. For each
// start, the toy's log-likelihood with two latents before the first step, after it, after the
// second, ...
inline void draw_em(kit::Lesson& lesson, const std::vector<std::vector<double>>& starts) {
  const double maximum = toy_log_likelihood(2);
  std::vector<kit::Series> climb;
  std::vector<kit::Series> gap;
  for (const std::vector<double>& log_likelihoods : starts) {
    kit::Series height{.label = fmt::format("start {}", climb.size() + 1),
                       .mark = kit::Series::kLineAndDots};
    kit::Series below{.label = height.label};
    for (std::size_t step = 0; step < log_likelihoods.size(); ++step) {
      const double value = log_likelihoods[step];
      if (1 <= step && step <= 15) {
        height.x.push_back(static_cast<double>(step));
        height.y.push_back(value);
      }
      if (maximum - value > 1e-13) {
        below.x.push_back(static_cast<double>(step));
        below.y.push_back(maximum - value);
      }
    }
    climb.push_back(height);
    gap.push_back(below);
  }
  kit::plot(lesson, "em",
            {.title = "EM climbs to the closed form; one start rests on the way",
             .note = "toy of five dimensions, two latents, steps 1 to 15 from three random starts",
             .x_label = "EM step",
             .y_label = "log-likelihood, nats per example",
             .levels = {{"maximum, K = 1", toy_log_likelihood(1)}, {"maximum, K = 2", maximum}}},
            climb);

  kit::Series predicted{.label = "predicted slope"};
  for (int step = 10; step <= 52; ++step) {
    predicted.x.push_back(step);
    predicted.y.push_back(1e-2 * std::pow(kEmFactor, step - 10));
  }
  gap.push_back(predicted);
  kit::plot(lesson, "em_gap",
            {.title = "In the end each step of EM leaves 57 % of the gap",
             .note = "toy of five dimensions, two latents, until the gap is below 1e-13",
             .x_label = "EM step",
             .y_label = "gap to the maximum, nats",
             .log_y = true},
            gap);
}

// The log-likelihoods, in nats per image, of models with `latents` latents.
inline void draw_log_likelihood(kit::Lesson& lesson, const std::vector<double>& latents,
                                const std::vector<double>& train, const std::vector<double>& test) {
  kit::plot(lesson, "log_likelihood",
            {.title = "More latents make unseen images likelier",
             .note = "the last dots are K = 783, the Gaussian with the full covariance",
             .x_label = "number of latents, K",
             .y_label = "log-likelihood, nats per image"},
            {{.label = "training", .x = latents, .y = train, .mark = kit::Series::kLineAndDots},
             {.label = "test", .x = latents, .y = test, .mark = kit::Series::kLineAndDots}});
}

// Test images (M, D), and images drawn from pPCA and from the Gaussian with the full covariance.
inline void draw_samples(kit::Lesson& lesson, const Pca<double>& pca, const Ppca<double>& model,
                         const Tensor<double>& test, const kit::ImageData& data) {
  Rng rng(lesson.options().seed + 1);
  Rng same_latents = rng;
  const Index n = std::min<Index>(8, test.extent(0));
  const Tensor<double> noisy = sample(model, n, rng);
  const Tensor<double> noiseless = sample(model, n, same_latents, /*noise=*/false);
  const Tensor<double> full = sample(pca, n, rng);
  kit::images(lesson, "samples",
              {.title = "Real images, and images drawn from two Gaussians",
               .note = fmt::format("pPCA with {} latents; values below 0 are black, above 1 white",
                                   model.latents()),
               .columns = n,
               .row_captions = {"real", "pPCA", "no noise", "full"}},
              data.as_images<double>({slice(test, 0, 0, n), noisy, noiseless, full}));
}

}  // namespace gradus::lesson02
