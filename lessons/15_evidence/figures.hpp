#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/15_evidence/instruments.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/15_evidence/on_paper.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"

// The figures of lesson 15.
namespace gradus::lesson15 {

// Prior, posterior and best normal of an image of two pixels.
inline void draw_two_pixels(kit::Lesson& lesson, const TwoPixels& image, const Bell& best) {
  constexpr double kEnd = 4;
  const double evidence = image.log_evidence();
  const auto joint =
      kit::curve(-kEnd, kEnd, [&](double z) { return std::exp(image.log_joint(z)); });
  const auto zero = kit::curve(-kEnd, kEnd, [](double) { return 0.0; });
  const auto density_of = [&](const Bell& bell) {
    return kit::curve(-kEnd, kEnd, [&](double z) { return std::exp(bell.log_density(z)); });
  };
  kit::Sketch sketch({.title = "One latent: the evidence is an area, and can be added up",
                      .note = "two white pixels with the logits 3 z and 2 z - 1",
                      .x_label = "z",
                      .y_label = "density",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{-kEnd, 0}, {kEnd, 0.7}}});
  sketch.area(kit::between(zero, joint), {.hue = 2});
  sketch.line(joint, {.hue = 2});
  sketch.line(density_of({0, 1}), {.hue = 3});
  sketch.line(kit::curve(-kEnd, kEnd,
                         [&](double z) { return std::exp(image.log_joint(z) - evidence); }),
              {.hue = 1});
  sketch.line(density_of(best), {.hue = 4, .dashed = true});
  sketch.text({-1.05, 0.31}, "prior p(z)", {.hue = 3}, kit::Align::kRight);
  sketch.text({0.45, 0.61}, "posterior p(z|x)", {.hue = 1}, kit::Align::kRight);
  sketch.text({1.4, 0.61}, "best normal q", {.hue = 4}, kit::Align::kLeft);
  sketch.text({0.95, 0.06}, "area p(x)", {.hue = 2});
  sketch.text({-0.25, 0.1}, "p(x, z)", {.hue = 2}, kit::Align::kRight);
  sketch.draw(lesson, "two_pixels");
}

// A model's bounds by the number of draws.
struct Ladder {
  std::string label;
  std::vector<double> draws, bound;  // nats per image
  double log_evidence;
};

inline void draw_ladder(kit::Lesson& lesson, const std::vector<Ladder>& ladders) {
  std::vector<kit::Series> series;
  int hue = 0;
  for (const Ladder& ladder : ladders) {
    ++hue;
    series.push_back({.label = ladder.label,
                      .x = ladder.draws,
                      .y = ladder.bound,
                      .mark = kit::Series::kLineAndDots,
                      .hue = hue});
    series.push_back({.label = "its ln p(x)",
                      .x = {ladder.draws.front(), ladder.draws.back()},
                      .y = {ladder.log_evidence, ladder.log_evidence},
                      .hue = hue});
  }
  kit::plot(lesson, "ladder",
            {.title = "Draws climb towards ln p(x), and do not arrive",
             .note = "means over black and white test images; one draw is the ELBO",
             .x_label = "draws k for each image",
             .y_label = "bound, nats per image",
             .log_x = true},
            series);
}

// How far ln p(x) is above the ELBO: of the encoder's q, and of the best normal q.
inline void draw_gaps(kit::Lesson& lesson, std::vector<double> of_encoder,
                      std::vector<double> of_best) {
  constexpr double kLeast = 1e-3;  // below which a gap is not told from 0
  const auto sorted = [](std::vector<double> gaps, const std::string& label) {
    std::sort(gaps.begin(), gaps.end());
    kit::Series series{.label = label};
    for (std::size_t i = 0; i < gaps.size(); ++i) {
      if (gaps[i] < kLeast) continue;
      series.x.push_back(100 * (static_cast<double>(i) + 0.5) / static_cast<double>(gaps.size()));
      series.y.push_back(gaps[i]);
    }
    return series;
  };
  kit::plot(lesson, "gaps",
            {.title = "The gap is the encoder's, and not the normal shape's",
             .note = "test images, each curve sorted by its gap; gaps below 0.001 are not drawn",
             .x_label = "share of the images, %",
             .y_label = "ln p(x) - ELBO, nats",
             .log_y = true},
            {sorted(std::move(of_encoder), "encoder's q"),
             sorted(std::move(of_best), "best normal q")});
}

// One image's posterior beside two normal densities.
struct Panel {
  std::string name, numbers;     // above it
  std::vector<kit::Point> body;  // points of the grid that hold 95 % of the posterior
  std::array<double, 2> encoder_mean, encoder_deviation, best_mean, best_deviation;
};

inline void draw_posteriors(kit::Lesson& lesson, const std::vector<Panel>& panels) {
  constexpr double kWide = 1.5;       // of a panel, whose height is 1
  constexpr double kRadius = 2.4477;  // of the ellipse with 95 % of a normal density's mass
  kit::Sketch sketch({.title = "Where the codes of four images really are",
                      .note = "dots: 95 % of the true posterior; orange: of the encoder's q; "
                              "green: of the best normal q"});
  for (std::size_t i = 0; i < panels.size(); ++i) {
    const Panel& panel = panels[i];
    // The window that shows all of it.
    double low[2] = {1e9, 1e9};
    double high[2] = {-1e9, -1e9};
    const auto include = [&](int k, double from, double to) {
      low[k] = std::min(low[k], from);
      high[k] = std::max(high[k], to);
    };
    for (const kit::Point& p : panel.body) {
      include(0, p.x, p.x);
      include(1, p.y, p.y);
    }
    for (int k = 0; k < 2; ++k) {
      include(k, panel.encoder_mean[k] - kRadius * panel.encoder_deviation[k],
              panel.encoder_mean[k] + kRadius * panel.encoder_deviation[k]);
      include(k, panel.best_mean[k] - kRadius * panel.best_deviation[k],
              panel.best_mean[k] + kRadius * panel.best_deviation[k]);
    }
    const double size = 1.15 * std::max({(high[0] - low[0]) / kWide, high[1] - low[1], 1e-3});
    const double left = static_cast<double>(i % 2) * (kWide + 0.12);
    const double bottom = -static_cast<double>(i / 2) * 1.32;
    const auto place = [&](double z1, double z2) {
      return kit::Point{left + 0.5 * kWide + (z1 - 0.5 * (low[0] + high[0])) / size,
                        bottom + 0.5 + (z2 - 0.5 * (low[1] + high[1])) / size};
    };
    sketch.line({{left, bottom},
                 {left + kWide, bottom},
                 {left + kWide, bottom + 1},
                 {left, bottom + 1},
                 {left, bottom}},
                {.hue = -1});
    std::vector<kit::Point> dots;
    for (const kit::Point& p : panel.body) dots.push_back(place(p.x, p.y));
    sketch.dots(dots, {.hue = 1, .width = 0.35});
    const auto draw = [&](const std::array<double, 2>& mean, const std::array<double, 2>& s,
                          int hue) {
      sketch.line(kit::ellipse(place(mean[0], mean[1]), {kRadius * s[0] / size, 0},
                               {0, kRadius * s[1] / size}),
                  {.hue = hue, .width = 1.5});
    };
    draw(panel.encoder_mean, panel.encoder_deviation, 2);
    draw(panel.best_mean, panel.best_deviation, 3);
    sketch.text({left, bottom + 1.16}, panel.name, {}, kit::Align::kLeft);
    sketch.text({left, bottom + 1.06}, panel.numbers, {}, kit::Align::kLeft);
    // A ruler of a round length, about a quarter of the window.
    const double power = std::pow(10, std::floor(std::log10(size / 4)));
    const double length = size / 4 >= 5 * power   ? 5 * power
                          : size / 4 >= 2 * power ? 2 * power
                                                  : power;
    sketch.line({{left + 0.05, bottom + 0.05}, {left + 0.05 + length / size, bottom + 0.05}},
                {.width = 1.5});
    sketch.text({left + 0.05, bottom + 0.11}, fmt::format("{:.2g}", length), {}, kit::Align::kLeft);
  }
  sketch.draw(lesson, "posteriors");
}

// Images whose codes are most in the wrong place: what they are, what the encoder's code decodes
// to, and what the likeliest code decodes to.
inline void draw_wrong_places(kit::Lesson& lesson, const Tensor<float>& images,
                              const Tensor<float>& by_encoder, const Tensor<float>& by_posterior,
                              const std::vector<double>& gaps, const kit::ImageData& data) {
  std::vector<std::string> captions;
  for (double gap : gaps) captions.push_back(fmt::format("{:.0f}", gap));
  kit::images(lesson, "wrong_places",
              {.title = "The decoder could, had the encoder looked elsewhere",
               .note = "the test images with the largest gaps; above each ln p(x) - ELBO, in nats",
               .columns = images.extent(0),
               .row_captions = {"image", "at encoder's mean", "at likeliest code"},
               .column_captions = captions},
              data.as_images<float>({images, by_encoder, by_posterior}));
}

// How many of the codes lie how far from 0, beside what the prior says.
inline void draw_distances(kit::Lesson& lesson, const Tensor<double>& z) {
  constexpr double kStep = 0.1;
  constexpr int kCells = 45;
  std::vector<double> count(kCells);
  const Tensor<double> r = sqrt(sum(square(z), {1}));
  for (double distance : r) {
    const int cell = static_cast<int>(distance / kStep);
    if (cell < kCells) count[cell] += 1;
  }
  std::vector<kit::Point> found;
  kit::Point highest{0, 0};
  for (int i = 0; i < kCells; ++i) {
    found.push_back({kStep * (i + 0.5), count[i] / (kStep * static_cast<double>(z.extent(0)))});
    if (found.back().y > highest.y) highest = found.back();
  }
  kit::Sketch sketch({.title = "The codes of images are farther out than the prior says",
                      .note = "a draw of z for each test image; the prior's curve is r exp(-r²/2)",
                      .x_label = "distance r of z from 0",
                      .y_label = "share of the images per unit of r",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{0, 0}, {kStep * kCells, std::max(0.7, 1.1 * highest.y)}}});
  sketch.line(found, {.hue = 1});
  sketch.line(kit::curve(0, kStep * kCells, [](double r) { return r * std::exp(-0.5 * r * r); }),
              {.hue = 2});
  sketch.text({highest.x, highest.y + 0.03}, "q(z)", {.hue = 1});
  sketch.text({1, 0.64}, "prior", {.hue = 2});
  sketch.draw(lesson, "distances");
}

}  // namespace gradus::lesson15
