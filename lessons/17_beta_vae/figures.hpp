#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "lessons/13_vae/model.hpp"
#include "lessons/17_beta_vae/instruments.hpp"
#include "lessons/17_beta_vae/on_paper.hpp"
#include "lessons/17_beta_vae/sprites.hpp"
#include "lessons/common/mutual_information.hpp"
#include "lessons/common/rate_distortion.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"

// The figures of lesson 17.
namespace gradus::lesson17 {

// ---- Rate and distortion -----------------------------------------------------------------------

// A piece of the line of slope -beta through a point, which reaches at most so far to each side.
inline std::vector<kit::Point> tangent(const RateDistortion& at, double beta, double across,
                                       double down) {
  const double half = std::min(across, down / beta);
  return {{at.rate - half, at.distortion + beta * half},
          {at.rate + half, at.distortion - beta * half}};
}

inline void draw_one_pixel(kit::Lesson& lesson) {
  constexpr double kVariance = 4;
  kit::Sketch sketch({.title = "The price of a nat picks the point of the curve",
                      .note = "one pixel of variance 4, noise 1; orange: a line of slope -β, "
                              "which just touches the curve",
                      .x_label = "rate R, nats",
                      .y_label = "distortion D, nats",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{-0.08, 0}, {1.6, 2.3}}});
  sketch.line(kit::curve(0, 1.6, [](double r) { return least_distortion(r, kVariance, 1); }),
              {.hue = 1});
  for (double beta : {1.0, 2.0, 4.0}) {
    const RateDistortion best = linear_optimum({kVariance}, 1, 1, beta);
    sketch.line(tangent(best, beta, 0.18, 0.28), {.hue = 2, .width = 1.5});
    sketch.dots({{best.rate, best.distortion}}, {.hue = 2, .width = 1.6});
    sketch.text({best.rate + 0.08, best.distortion + 0.12},
                fmt::format("β = {}: R = {:.3f}, D = {:.1f}", beta, best.rate, best.distortion),
                {.hue = 2}, kit::Align::kLeft);
  }
  sketch.text({1.15, 0.34}, "the best that can be", {.hue = 1}, kit::Align::kLeft);
  sketch.draw(lesson, "one_pixel");
}

// A model of the figures: its price, and where it is.
struct Priced {
  double beta;
  RateDistortion nats;
};

// Trained models, of several starts, between the walls of the images.
inline void draw_curve(kit::Lesson& lesson, const std::vector<std::vector<Priced>>& starts,
                       double floor, double dead) {
  constexpr double kEnd = 7.2;
  kit::Sketch sketch({.title = "Where a nat is dearer, fewer are bought, and each saves more",
                      .note = "wide set, short training; dark: a line of slope -β",
                      .x_label = "rate R, nats per image",
                      .y_label = "distortion D, nats per image",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{-0.2, 22}, {kEnd, 75}}});
  sketch.line({{-0.2, floor}, {kEnd, floor}}, {.dashed = true});
  sketch.line({{-0.2, dead}, {kEnd, dead}}, {.dashed = true});
  sketch.text({0.1, floor - 2.2}, "entropy of the pixels: no D is below", {}, kit::Align::kLeft);
  sketch.text({kEnd - 0.1, dead + 2}, "all latents dead", {}, kit::Align::kRight);
  const std::vector<std::string> names = {"start a", "start b"};
  for (std::size_t start = 0; start < starts.size(); ++start) {
    const int hue = static_cast<int>(start) + 1;
    const kit::Point legend{5.5, 60 - 4 * static_cast<double>(start)};
    sketch.text({legend.x + 0.15, legend.y}, names[start], {.hue = hue}, kit::Align::kLeft);
    std::vector<kit::Point> dots;
    for (const auto& [beta, nats] : starts[start]) {
      dots.push_back({nats.rate, nats.distortion});
      if (start > 0) continue;
      sketch.line(tangent(nats, beta, 0.4, 4));
      sketch.text({nats.rate + 0.25, nats.distortion + 2.4}, fmt::format("β = {}", beta), {},
                  kit::Align::kLeft);
    }
    dots.push_back(legend);
    sketch.dots(dots, {.hue = hue, .width = 1.2});
  }
  sketch.draw(lesson, "curve");
}

// ---- The discs ---------------------------------------------------------------------------------

// Rows in which one factor runs, while the others stay in the middle.
inline void draw_sprites(kit::Lesson& lesson, const Sprites& sprites) {
  constexpr Index kShown = 8;
  std::vector<Index> shown;
  for (Index f = 0; f < kFactors; ++f)
    for (Index i = 0; i < kShown; ++i) {
      std::vector<Index> at;
      for (const Span& span : sprites.spans) at.push_back(span.values / 2);
      at[f] = i * (sprites.spans[f].values - 1) / (kShown - 1);
      shown.push_back(sprites.at(at[0], at[1], at[2]));
    }
  kit::images(lesson, "sprites",
              {.title = "A disc has a place across, a place down and a radius",
               .note = "in each row one of the three runs",
               .columns = kShown,
               .row_captions = kFactorNames},
              gather_rows(sprites.images, shown).reshape({-1, kSide, kSide}));
}

// Of a traversal: how many images, and how far the latent goes to both sides.
constexpr Index kStops = 9;
constexpr double kReach = 2;

inline void draw_traversals(kit::Lesson& lesson,
                            const std::vector<std::pair<std::string, Tensor<float>>>& rows) {
  std::vector<Tensor<float>> all;
  std::vector<std::string> captions;
  for (const auto& [caption, images] : rows) {
    captions.push_back(caption);
    all.push_back(images);
  }
  std::vector<std::string> above;
  for (Index i = 0; i < kStops; ++i)
    above.push_back(fmt::format("{:.1f}", -kReach +
                                              2 * kReach * static_cast<double>(i) /
                                                  static_cast<double>(kStops - 1) +
                                              0.0));
  kit::images(lesson, "traversals",
              {.title = "What one latent does while the others stay",
               .note = "long training, start a; the latents that live; above: the latent's value",
               .columns = kStops,
               .row_captions = captions,
               .column_captions = above},
              concatenate(all).reshape({-1, kSide, kSide}));
}

// ---- Who tells what ----------------------------------------------------------------------------

struct Panel {
  std::string title;
  Latents latents;
};

// The share I(z_k; v) / H(v) of each factor that each latent tells, as the area of a square.
inline void draw_information(kit::Lesson& lesson, const std::vector<Panel>& panels,
                             const std::vector<Factor>& factors) {
  constexpr double kPanel = 6.2;
  kit::Sketch sketch({.title = "β = 1: two latents share a factor; β = 4: none do",
                      .note = "long training, start a; area, number: I(z; v) / H(v); rows: the "
                              "latents with the largest KL"});
  Index rows = 1;
  for (const Panel& panel : panels) rows = std::max(rows, panel.latents.alive());
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const double left = kPanel * static_cast<double>(p);
    const int hue = static_cast<int>(p) + 1;
    const Latents& latents = panels[p].latents;
    sketch.text({left + 1.2, 1.3}, panels[p].title, {.hue = hue});
    for (Index f = 0; f < kFactors; ++f)
      sketch.text({left + 1.2 * static_cast<double>(f), 0.75}, kFactorNames[f]);
    const std::vector<Index> order = latents.by_kl();
    for (Index row = 0; row < rows; ++row) {
      const Index k = order[row];
      const double y = -1.05 * static_cast<double>(row);
      sketch.text({left - 0.75, y}, fmt::format("KL {:.2f}", latents.kl(k)), {},
                  kit::Align::kRight);
      for (Index f = 0; f < kFactors; ++f) {
        const double x = left + 1.2 * static_cast<double>(f);
        const double share = latents.information(k, f) / factors[f].entropy();
        const double half = 0.5 * std::sqrt(share);
        const bool tells = share >= 0.05;
        sketch.text({x, y}, fmt::format("{:.2f}", share), {.hue = tells ? 0 : -1});
        if (!tells) continue;  // a square that its number would hide
        sketch.area({{x - half, y - half},
                     {x + half, y - half},
                     {x + half, y + half},
                     {x - half, y + half}},
                    {.hue = hue});
      }
    }
  }
  sketch.draw(lesson, "information");
}

// The codes of all places at one radius, as a net of lines of discs equally far across and of discs
// equally far down, in the plane of two latents: as it is, and turned by 45 degrees.
inline void draw_turned(kit::Lesson& lesson, const Sprites& sprites, const Tensor<float>& straight,
                        const Tensor<float>& turned, Index a, Index b) {
  constexpr double kRight = 5.2;
  kit::Sketch sketch({.title = "The same model twice: turned, each latent tells both",
                      .note = "β = 4, long training; means of q(z|x), middle radius; blue: equally "
                              "far across, orange: down"});
  const Index middle = sprites.spans[2].values / 2;
  const std::vector<std::pair<const Tensor<float>*, double>> nets = {{&straight, 0.0},
                                                                     {&turned, kRight}};
  for (const auto& [codes, left] : nets) {
    const Tensor<float>& z = *codes;
    const double shift = left;
    const auto at = [&](Index i, Index j) {
      const Index n = sprites.at(i, j, middle);
      return kit::Point{shift + z(n, a), static_cast<double>(z(n, b))};
    };
    sketch.arrow({shift - 2.3, 0}, {shift + 2.4, 0}, {.hue = -1});
    sketch.arrow({shift, -2.3}, {shift, 2.4}, {.hue = -1});
    for (Index i = 0; i < sprites.spans[0].values; i += 3) {
      std::vector<kit::Point> line;
      for (Index j = 0; j < sprites.spans[1].values; ++j) line.push_back(at(i, j));
      sketch.line(line, {.hue = 1, .width = 0.8});
    }
    for (Index j = 0; j < sprites.spans[1].values; ++j) {
      std::vector<kit::Point> line;
      for (Index i = 0; i < sprites.spans[0].values; ++i) line.push_back(at(i, j));
      sketch.line(line, {.hue = 2, .width = 0.8});
    }
  }
  sketch.text({2.45, -0.3}, "z1", {}, kit::Align::kCentre);
  sketch.text({0.3, 2.4}, "z2", {}, kit::Align::kCentre);
  sketch.text({kRight + 2.5, -0.3}, "turned 1", {}, kit::Align::kCentre);
  sketch.text({kRight + 0.75, 2.4}, "turned 2", {}, kit::Align::kCentre);
  sketch.draw(lesson, "turned");
}

// The clouds q(z|x) of the images with each place across and the middle place down and radius, in
// the plane of the two latents that tell most of the place across.
struct Path {
  std::string label;
  std::vector<kit::Point> means, deviations;
};

inline Path path_across(const lesson13::Vae<float>& vae, const Sprites& sprites, Index a, Index b,
                        const std::string& label) {
  Path path{label, {}, {}};
  const nn::Normal<float> q = vae.encode(sprites.images);
  const Tensor<float> s = exp(0.5F * q.log_var.value());
  for (Index i = 0; i < sprites.spans[0].values; ++i) {
    const Index n = sprites.at(i, sprites.spans[1].values / 2, sprites.spans[2].values / 2);
    path.means.push_back({q.mean.value()(n, a), q.mean.value()(n, b)});
    path.deviations.push_back({s(n, a), s(n, b)});
  }
  return path;
}

inline void draw_paths(kit::Lesson& lesson, const std::vector<Path>& paths) {
  constexpr double kRight = 6;
  kit::Sketch sketch({.title = "Across the image: β = 1 uses two latents, β = 4 one",
                      .note = "long training, start a; q(z|x) of a disc at 16 places across; axes: "
                              "the latents that tell most of it"});
  for (std::size_t p = 0; p < paths.size(); ++p) {
    const double shift = kRight * static_cast<double>(p);
    const int hue = static_cast<int>(p) + 1;
    const Path& path = paths[p];
    sketch.arrow({shift - 2.4, 0}, {shift + 2.5, 0}, {.hue = -1});
    sketch.arrow({shift, -2.2}, {shift, 2.3}, {.hue = -1});
    std::vector<kit::Point> line;
    for (std::size_t i = 0; i < path.means.size(); ++i) {
      const kit::Point mean{shift + path.means[i].x, path.means[i].y};
      line.push_back(mean);
      sketch.area(kit::ellipse(mean, {path.deviations[i].x, 0}, {0, path.deviations[i].y}),
                  {.hue = hue});
    }
    sketch.line(line, {.hue = hue});
    sketch.dots(line, {.hue = hue});
    sketch.text({shift, 2.6}, path.label, {.hue = hue});
    sketch.text({shift + 2.6, 0.28}, "1st");
    sketch.text({shift + 0.4, 2.1}, "2nd");
  }
  sketch.draw(lesson, "paths");
}

// ---- Scores ------------------------------------------------------------------------------------

// MIG and purity of models by their price: a dot for each start.
struct Graded {
  double beta;
  Gap gap;
};

inline void draw_grades(kit::Lesson& lesson, const std::vector<Graded>& models) {
  kit::Sketch sketch({.title = "MIG falls where nats are dear, purity need not",
                      .note = "wide set, short training, one dot a start; means over the factors",
                      .equal_scale = false,
                      .shown = {{-0.7, -0.16}, {4.8, 1.05}}});
  for (double grade : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    sketch.line({{-0.3, grade}, {4.2, grade}}, {.hue = -1, .width = grade == 0 ? 1 : 0.15});
    sketch.text({-0.35, grade}, fmt::format("{:.2f}", grade), {}, kit::Align::kRight);
  }
  std::vector<kit::Point> mig, purity;
  for (const auto& [beta, gap] : models) {
    const double x = std::log2(beta);
    if (mig.empty() || mig.back().x != x) sketch.text({x, -0.08}, fmt::format("β = {}", beta));
    mig.push_back({x, gap.mig});
    purity.push_back({x, gap.purity});
  }
  sketch.dots(mig, {.hue = 1});
  sketch.dots(purity, {.hue = 2});
  sketch.text({4.25, mig.back().y}, "MIG", {.hue = 1}, kit::Align::kLeft);
  sketch.text({4.25, purity.back().y}, "purity", {.hue = 2}, kit::Align::kLeft);
  sketch.draw(lesson, "grades");
}

// A grade by step, for several models.
struct Course {
  std::string label;
  int hue;
  std::vector<double> grades;  // before training, after one epoch, ...
};

inline void draw_courses(kit::Lesson& lesson, const std::vector<Course>& courses, double steps) {
  std::vector<kit::Series> series;
  for (const Course& course : courses) {
    kit::Series line{.label = course.label, .hue = course.hue};
    for (std::size_t i = 1; i < course.grades.size(); ++i) {
      line.x.push_back(steps * static_cast<double>(i));
      line.y.push_back(course.grades[i]);
    }
    series.push_back(line);
  }
  kit::plot(lesson, "courses",
            {.title = "With β = 4 both starts end pure, with β = 1 neither does",
             .note = "wide set: purity, the mean over the factors, two starts each",
             .x_label = "step",
             .y_label = "purity"},
            series);
}

}  // namespace gradus::lesson17
