#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "lessons/07_sparse_autoencoder/instruments.hpp"
#include "lessons/07_sparse_autoencoder/model.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "lessons/kit/training.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/reduce.hpp"

// The figures of lesson 07.
namespace gradus::lesson07 {

// The cost of a code h for x = 1.3 and for x = 0.2 at the price 0.5, with the lowest points.
inline void draw_threshold(kit::Lesson& lesson) {
  kit::Sketch sketch({.title = "A price moves the best code towards 0, and small ones onto it",
                      .note = "(x - h)² + 0.5 |h| for two x; dashed: without the price",
                      .x_label = "h",
                      .y_label = "cost",
                      .axes = true,
                      .equal_scale = false,
                      .shown = {{-0.8, -0.25}, {2.4, 2}}});
  int hue = 1;
  for (double x : {1.3, 0.2}) {
    const double low = x - 1.4;
    const double high = x == 0.2 ? 0.75 : 2.4;
    const auto cost = [x](double h) { return (x - h) * (x - h) + 0.5 * std::abs(h); };
    const double best = std::max(x - 0.25, 0.0);
    sketch.line(kit::curve(low, high, [x](double h) { return (x - h) * (x - h); }),
                {.hue = hue, .dashed = true});
    sketch.line(kit::curve(low, high, cost, 501), {.hue = hue, .width = 1.5});
    sketch.dots({{best, cost(best)}}, {.hue = hue, .width = 2});
    ++hue;
  }
  sketch.text({1.35, 0.42}, "x = 1.3: best at 1.05", {.hue = 1});
  sketch.text({0, -0.14}, "x = 0.2: best at 0", {.hue = 2});
  sketch.draw(lesson, "threshold");
}

// The gaps to the least cost after each step.
inline void draw_descent(kit::Lesson& lesson, const std::vector<double>& ista,
                         const std::vector<double>& fista) {
  const auto series = [](const std::string& label, const std::vector<double>& gaps) {
    kit::Series result{.label = label};
    const auto add = [&](std::size_t i) {
      result.x.push_back(static_cast<double>(i + 1));
      result.y.push_back(gaps[i]);
    };
    const auto end = std::find_if(gaps.begin(), gaps.end(), [](double gap) { return gap < 1e-9; });
    const std::size_t n = end - gaps.begin();
    for (std::size_t i = 0; i < n; i += 1 + i / 50) add(i);
    if (n > 0) add(n - 1);
    return result;
  };
  kit::plot(lesson, "descent",
            {.title = "Steps from beyond the last point arrive sooner",
             .note = "the code of two among 64 bumps that overlap",
             .x_label = "step",
             .y_label = "cost above the least",
             .log_x = true,
             .log_y = true,
             .levels = {{"2e-6", 2e-6}}},
            {series("ISTA", ista), series("FISTA", fista)});
}

// The star's points (300, 2), and atoms (2, K) that were learned for it and are in use, from b (2)
// on.
inline void draw_star(kit::Lesson& lesson, const Tensor<double>& x, const Tensor<double>& bias,
                      const Tensor<double>& atoms) {
  kit::Sketch sketch({.title = "PCA sees a circle; a price finds three directions",
                      .note = "dots: the points; dashed: what their covariance says; arrows: the "
                              "atoms that were learned, from b on",
                      .shown = {{-1.7, -0.95}, {1.7, 1.6}}});
  std::vector<kit::Point> points;
  for (Index i = 0; i < x.extent(0); i += 3) points.push_back({x(i, 0), x(i, 1)});
  const double deviation = std::sqrt(mean(square(x)).item());
  sketch.line(kit::ellipse({0, 0}, {deviation, 0}, {0, deviation}), {.dashed = true});
  sketch.dots(points, {.hue = -1});
  for (Index k = 0; k < atoms.extent(1); ++k)
    sketch.arrow({bias(0), bias(1)}, {bias(0) + atoms(0, k), bias(1) + atoms(1, k)},
                 {.hue = 1, .width = 1.5});
  sketch.draw(lesson, "star");
}

// The least cost of x = 1.3 by the length of its atom, and what training makes of the star when
// atoms may grow, above the floor that holds for atoms of length 1.
inline void draw_cheat(kit::Lesson& lesson) {
  kit::Series cost{.label = ""};
  for (double w = 1; w <= 100; w *= 1.05) {
    cost.x.push_back(w);
    cost.y.push_back(least_cost(1.3, w, 0.5));
  }
  kit::plot(lesson, "cheat",
            {.title = "A longer atom makes the price go away",
             .note = "the least (x - w h)² + 0.5 |h| over h, for x = 1.3",
             .x_label = "length w of the atom",
             .y_label = "least cost",
             .log_x = true,
             .log_y = true},
            {cost});
}

// The scores of the main model by epoch, from before training on.
inline void draw_training(kit::Lesson& lesson, const kit::History& history, double of_pca) {
  const std::vector<double>& objective = history.at("objective");
  kit::Series series{.label = "on test images", .y = objective, .mark = kit::Series::kLineAndDots};
  for (std::size_t i = 0; i < objective.size(); ++i) series.x.push_back(static_cast<double>(i));
  kit::plot(lesson, "training",
            {.title = "The objective falls below what PCA's axes have",
             .note = "squared error and 0.3 times the sum of the code, per image",
             .x_label = "epoch",
             .y_label = "objective",
             .log_y = true,
             .levels = {{"PCA's axes", of_pca}}},
            {series});
}

// The shares of a code's numbers by their size, (each model a list of shares of the bins 0, up to
// 0.1, ...), zeros apart.
struct Histogram {
  std::string label;
  std::vector<double> shares;  // %; the first is that of exact zeros
};

inline constexpr double kBinWidth = 0.1;
inline constexpr int kBins = 9;  // the last one holds all that is above

inline std::vector<double> histogram_of(const Tensor<float>& codes) {
  std::vector<double> shares(kBins + 1);
  for (float h : codes) {
    const int bin = h == 0 ? 0 : 1 + std::min(static_cast<int>(h / kBinWidth), kBins - 1);
    shares[bin] += 100.0 / static_cast<double>(codes.size());
  }
  return shares;
}

inline void draw_histogram(kit::Lesson& lesson, const std::vector<Histogram>& histograms) {
  std::vector<kit::Series> series;
  for (const Histogram& h : histograms) series.push_back({.label = h.label, .y = h.shares});
  std::vector<std::string> names = {"0"};
  for (int i = 1; i < kBins; ++i) names.push_back(fmt::format("{:.1f}", kBinWidth * i));
  names.push_back("more");
  kit::bars(lesson, "histogram",
            {.title = "With a price, most numbers of a code are exactly 0",
             .note = "codes of test images; each bar but the first: up to this number",
             .x_label = "number in a code",
             .y_label = "% of all numbers"},
            series, names);
}

// A model's place: its error, by how many numbers of a code are not 0.
struct Place {
  std::string label;
  double nonzero, error;
};

inline void draw_errors(kit::Lesson& lesson, const std::vector<Place>& by_price,
                        const std::vector<Place>& by_number, const PcaErrors& of_pca) {
  const auto through = [](const std::string& label, std::vector<Place> places, int hue) {
    std::sort(places.begin(), places.end(),
              [](const Place& a, const Place& b) { return a.nonzero < b.nonzero; });
    kit::Series series{.label = label, .mark = kit::Series::kLineAndDots, .hue = hue};
    for (const Place& p : places) {
      series.x.push_back(p.nonzero);
      series.y.push_back(p.error);
    }
    return series;
  };
  const auto curve = [](const std::string& label, const std::vector<double>& errors, int hue) {
    kit::Series series{.label = label, .hue = hue};
    for (std::size_t k = 10; k < errors.size() && k <= 400; ++k) {
      series.x.push_back(static_cast<double>(k));
      series.y.push_back(errors[k]);
    }
    return series;
  };
  kit::plot(lesson, "errors",
            {.title = "Few numbers of many against the first few",
             .note = "test images; from the left, prices 1, 0.3 and 0.1, and the 16 and 32 largest",
             .x_label = "numbers in a code that are not 0",
             .y_label = "mean squared error of a pixel",
             .log_x = true,
             .log_y = true},
            {through("a price", by_price, 1), through("the largest", by_number, 2),
             curve("PCA, first k", of_pca.first, 3), curve("PCA, largest k", of_pca.largest, 4)});
}

// Columns of atoms (D, K), by index, as images (n, D).
inline Tensor<float> images_of_atoms(const Tensor<float>& atoms,
                                     const std::vector<Index>& columns) {
  return gather_rows(transpose(atoms), columns);
}

inline constexpr Index kAtomsInARow = 12;

// Atoms of several models, some whole rows of each.
inline void draw_atoms(kit::Lesson& lesson, const std::vector<Tensor<float>>& atoms,
                       const std::vector<std::string>& labels, const kit::ImageData& data) {
  std::vector<std::string> captions;
  for (std::size_t i = 0; i < atoms.size(); ++i)
    for (Index row = 0; row < atoms[i].extent(0) / kAtomsInARow; ++row)
      captions.push_back(row == 0 ? labels[i] : "");
  kit::images(lesson, "atoms",
              {.title = "Atoms: what one number of a code adds to an image",
               .note = "orange: brighter, blue: darker; each atom has the length 1",
               .columns = kAtomsInARow,
               .signed_values = true,
               .row_captions = captions},
              data.as_images<float>(atoms));
}

// The images (n, D) at which some units are largest, a row for each.
struct StrongestRow {
  std::string label;
  Tensor<float> images;
};

inline void draw_strongest(kit::Lesson& lesson, const std::vector<StrongestRow>& rows,
                           const kit::ImageData& data) {
  std::vector<Tensor<float>> all;
  std::vector<std::string> captions;
  for (const StrongestRow& row : rows) {
    all.push_back(row.images);
    captions.push_back(row.label);
  }
  kit::images(lesson, "strongest",
              {.title = "The 20 test images at which a unit is largest, for six units",
               .note = "at the left: the share of their commonest class",
               .columns = rows.front().images.extent(0),
               .row_captions = captions},
              data.as_images<float>(all));
}

// An image, and the sum of its largest 1, 2, 4, ... code numbers times their atoms: a row for each
// of several images, (n, D).
inline void draw_sums(kit::Lesson& lesson, const std::vector<Tensor<float>>& rows,
                      const std::vector<std::string>& captions, const kit::ImageData& data) {
  kit::images(lesson, "sums",
              {.title = "An image as a sum of few atoms",
               .note = "b, and then the largest 1, 2, 4, ... of 32 code numbers",
               .columns = rows.front().extent(0),
               .column_captions = captions},
              data.as_images<float>(rows));
}

// How well classes are read from codes, and the units that mean one, in %.
struct Reading {
  std::string label;
  double all, few, pure;
};

inline void draw_probes(kit::Lesson& lesson, const std::vector<Reading>& readings) {
  kit::Series all{.label = "read, all labels"}, few{.label = "read, 1,000 labels"};
  kit::Series pure{.label = "units of one class"};
  std::vector<std::string> names;
  for (const Reading& r : readings) {
    all.y.push_back(r.all);
    few.y.push_back(r.few);
    pure.y.push_back(r.pure);
    names.push_back(r.label);
  }
  kit::bars(lesson, "probes",
            {.title = "Classes that a linear map reads, and units that mean one",
             .note = "test images right; units whose 20 strongest images are of one class, or 19",
             .y_label = "%"},
            {all, few, pure}, names);
}

}  // namespace gradus::lesson07
