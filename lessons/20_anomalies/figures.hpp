#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "lessons/20_anomalies/on_paper.hpp"
#include "lessons/common/roc.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "tensor/layout.hpp"

// The figures of lesson 20.
namespace gradus::lesson20 {

// ---- ROC curves --------------------------------------------------------------------------------

// At most 200 points of a curve, which are as many as can be seen.
inline std::vector<kit::Point> points_of(const std::vector<RocPoint>& curve) {
  std::vector<kit::Point> points;
  const std::size_t step = std::max<std::size_t>(1, curve.size() / 200);
  for (std::size_t i = 0; i < curve.size(); i += step)
    points.push_back({curve[i].false_alarms, curve[i].found});
  points.push_back({1, 1});
  return points;
}

inline kit::Sketch roc_sketch(const std::string& title, const std::string& note,
                              const std::string& in, const std::string& out) {
  kit::Sketch sketch({.title = title,
                      .note = note,
                      .x_label = "false alarms: share of " + in,
                      .y_label = "found: share of " + out,
                      .axes = true,
                      .shown = {{-0.02, -0.02}, {1.02, 1.05}}});
  sketch.line({{0, 0}, {1, 1}}, {.dashed = true});
  return sketch;
}

// The ROC curve of a few scores, and the area under it.
inline void draw_staircase(kit::Lesson& lesson, const std::vector<RocPoint>& curve, double area) {
  kit::Sketch sketch = roc_sketch("Seven scores, one curve, and the area under it",
                                  "in: 1, 2, 3, 5; out: 2, 4, 6; a number at each threshold",
                                  "in at the threshold or above", "out");
  const std::vector<kit::Point> line = points_of(curve);
  std::vector<kit::Point> outline = line;
  outline.push_back({1, 0});
  sketch.area(outline, {.hue = 1});
  sketch.line(line, {.hue = 1});
  sketch.dots(line, {.hue = 1});
  sketch.text({0.62, 0.3}, fmt::format("area {:.3f}", area), {.hue = 1});
  const std::vector<std::string> thresholds = {"6", "5", "4", "3", "2", "1"};
  for (std::size_t i = 0; i < thresholds.size(); ++i)
    sketch.text({line[i + 1].x - 0.03, line[i + 1].y + 0.03}, thresholds[i]);
  sketch.draw(lesson, "staircase");
}

// A score's curve, and where its name stands beside it.
struct NamedCurve {
  std::string words;
  std::vector<RocPoint> curve;
  kit::Point at;
};

inline void draw_roc(kit::Lesson& lesson, const std::string& name, kit::Sketch sketch,
                     const std::vector<NamedCurve>& curves) {
  int hue = 0;
  for (const auto& [words, curve, at] : curves) {
    const kit::Pen pen{.hue = ++hue};
    sketch.line(points_of(curve), pen);
    sketch.text(at, words, pen, kit::Align::kLeft);
  }
  sketch.draw(lesson, name);
}

// ---- On paper ----------------------------------------------------------------------------------

// AUROC of three scores where out varies v times as much as in, by the dimension.
inline void draw_paradox(kit::Lesson& lesson, double v) {
  kit::Series density{.label = "-ln p(x)"};
  kit::Series ratio{.label = "ratio of two densities"};
  kit::Series typicality{.label = "typicality"};
  for (Index d = 2; d <= 60; d += 2) {
    const auto x = static_cast<double>(d);
    for (kit::Series* series : {&density, &ratio, &typicality}) series->x.push_back(x);
    density.y.push_back(auroc_of_density(d, v));
    ratio.y.push_back(1 - auroc_of_density(d, v));
    typicality.y.push_back(auroc_of_typicality(d, v, 2000));
  }
  kit::plot(lesson, "paradox",
            {.title = "The more dimensions, the more wrong the true density is",
             .note = "in: N(0, I), out: N(0, I/2); nothing is drawn or trained",
             .x_label = "dimensions",
             .y_label = "AUROC",
             .levels = {{"a guess", 0.5}}},
            {ratio, typicality, density});
}

// ---- Out sets ----------------------------------------------------------------------------------

// One image of each set, and what a score says of the set.
struct Example {
  std::string words;
  double auroc;
  Tensor<float> image;  // (1, D)
};

inline void draw_out_sets(kit::Lesson& lesson, std::vector<Example> examples,
                          const kit::ImageData& data) {
  std::stable_sort(examples.begin(), examples.end(),
                   [](const Example& a, const Example& b) { return a.auroc < b.auroc; });
  std::vector<Tensor<float>> images;
  std::vector<std::string> captions;
  for (const Example& example : examples) {
    images.push_back(example.image);
    captions.push_back(fmt::format("{} {:.2f}", example.words, example.auroc));
  }
  kit::images(lesson, "out_sets",
              {.title = "How often a VAE finds each of these stranger than clothes",
               .note = "AUROC of -ELBO: 1 always, 0.5 as often as not, 0 never",
               .columns = 5,
               .captions = captions},
              data.as_images<float>(images));
}

// Scores of a set, for a histogram, and where its name stands.
struct Heap {
  std::string words;
  Tensor<double> scores;
  kit::Point at;
};

// The shares of scores in bins from 0 to `end`.
inline void draw_histograms(kit::Lesson& lesson, const std::string& name, kit::Sketch::Text text,
                            double end, const std::vector<Heap>& heaps) {
  constexpr int kBins = 30;
  const double width = end / kBins;
  text.axes = true;
  text.equal_scale = false;
  text.y_label = fmt::format("% of images, in bins of {:.0f} nats", width);
  kit::Sketch sketch(text);
  int hue = 0;
  for (const auto& [words, scores, at] : heaps) {
    std::vector<double> shares(kBins);
    for (double score : scores) {
      const int bin = static_cast<int>(std::floor(score / width));
      if (bin >= 0 && bin < kBins) shares[bin] += 100.0 / static_cast<double>(scores.size());
    }
    std::vector<kit::Point> line;
    for (int bin = 0; bin < kBins; ++bin) line.push_back({(bin + 0.5) * width, shares[bin]});
    const kit::Pen pen{.hue = ++hue};
    std::vector<kit::Point> ground = {{line.front().x, 0}, {line.back().x, 0}};
    sketch.area(kit::between(ground, line), pen);
    sketch.line(line, pen);
    sketch.text(at, words, pen, kit::Align::kLeft);
  }
  sketch.draw(lesson, name);
}

// Where images stand between their own floor and what the model says.
struct Cloud {
  std::string words;
  Tensor<double> floor, negative_elbo;  // (N)
};

inline void draw_floors(kit::Lesson& lesson, const std::vector<Cloud>& clouds) {
  constexpr Index kShown = 400;
  std::vector<kit::Series> series;
  double most = 0;
  for (const Cloud& cloud : clouds) {
    std::vector<kit::Point> points;
    for (Index i = 0; i < std::min(kShown, cloud.floor.size()); ++i)
      points.push_back({cloud.floor(i), cloud.negative_elbo(i)});
    // From left to right, since the label stands beside the last dot.
    std::sort(points.begin(), points.end(),
              [](const kit::Point& a, const kit::Point& b) { return a.x < b.x; });
    kit::Series dots{.label = cloud.words, .mark = kit::Series::kDots};
    for (const kit::Point& point : points) {
      dots.x.push_back(point.x);
      dots.y.push_back(point.y);
    }
    most = std::max(most, points.back().x);
    series.push_back(std::move(dots));
  }
  series.push_back({.label = "floor", .x = {0, most}, .y = {0, most}, .hue = 8});
  kit::plot(lesson, "floors",
            {.title = "Most of a test image's -ELBO is its own floor",
             .note = "a dot for each of 400 + 400 images; none can lie below the line",
             .x_label = "floor: entropy of the image's pixels, nats",
             .y_label = "-ELBO, nats"},
            series);
}

// ---- One class held out ------------------------------------------------------------------------

// AUROCs of three scores, by the class that was held out.
inline void draw_held_out(kit::Lesson& lesson, std::vector<std::string> names,
                          const std::vector<double>& elbo, const std::vector<double>& excess,
                          const std::vector<double>& ppca) {
  // One word for each class: "T-shirt/top", "ankle boot".
  for (std::string& name : names) {
    name = name.substr(0, name.find('/'));
    name = name.substr(name.rfind(' ') + 1);
  }
  kit::bars(lesson, "held_out",
            {.title = "What was never seen can be likelier than what was",
             .note = "for each class a VAE and a pPCA that were fitted to the nine others",
             .x_label = "class held out",
             .y_label = "AUROC",
             .levels = {{"a guess", 0.5}}},
            {{.label = "-ELBO", .y = elbo},
             {.label = "excess", .y = excess},
             {.label = "pPCA", .y = ppca}},
            names);
}

}  // namespace gradus::lesson20
