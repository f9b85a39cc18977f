#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"

// The figures of lesson 90.
namespace gradus::lesson90 {

// A way to multiply two matrices, how fast it was, and what no such way should exceed, in GFLOP/s.
struct Rung {
  std::string name;
  double speed;
  double predicted;
};

// The speed of a way to multiply (n, n) matrices, by n.
struct Curve {
  std::string name;
  std::vector<Index> n;
  std::vector<double> speed;

  void add(Index size, double gflops) {
    n.push_back(size);
    speed.push_back(gflops);
  }
};

// To two digits, as text: more would not be the same tomorrow.
inline std::string two_digits(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
  return fmt::format("{:.6g}", std::round(value / unit) * unit);
}

inline std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

// The speed of 1, 2, 3, ... independent sums: as many times that of one, until nothing is idle.
inline void draw_sums(kit::Lesson& lesson, const std::vector<double>& speeds, double peak) {
  kit::Series predicted{.label = "predicted"};
  kit::Series measured{.label = "measured", .mark = kit::Series::kDots};
  int enough = 0;
  for (int sums = 1; sums <= std::ssize(speeds); ++sums) {
    const double speed = speeds[sums - 1];
    predicted.x.push_back(sums);
    predicted.y.push_back(std::min(sums * speeds[0], peak));
    measured.x.push_back(sums);
    measured.y.push_back(speed);
    if (enough == 0 && speed > 0.95 * peak) enough = sums;
  }
  kit::plot(lesson, "sums",
            {.title =
                 fmt::format("{} sums that do not wait for each other keep a core busy", enough),
             .note = "predicted: so many times the speed of one sum, up to the peak",
             .x_label = "independent sums, each of a whole vector register",
             .y_label = "GFLOP/s"},
            {predicted, measured});
}

// A bar for each rung on a logarithmic scale, with what was predicted.
inline void draw_ladder(kit::Lesson& lesson, const std::vector<Rung>& rungs, double peak,
                        double peak_threads, int threads, Index n) {
  kit::Sketch sketch({.title = fmt::format("One product of two {0} x {0} matrices, in GFLOP/s", n),
                      .note = "logarithmic scale; dashed: what was predicted, at the most",
                      .equal_scale = false});
  const double right = static_cast<double>(rungs.size()) + 0.5;
  const double bottom = std::log10(0.5);
  for (double tick : {1, 10, 100}) {
    const double y = std::log10(tick);
    sketch.line({{0.5, y}, {right, y}}, {.hue = -1, .width = 0.2});
    sketch.text({0.45, y}, fmt::format("{}", tick), {}, kit::Align::kRight);
  }
  for (std::size_t i = 0; i < rungs.size(); ++i) {
    const double x = static_cast<double>(i + 1);
    const double y = std::log10(rungs[i].speed);
    sketch.area({{x - 0.4, bottom}, {x - 0.4, y}, {x + 0.4, y}, {x + 0.4, bottom}}, {.hue = 1});
    sketch.line({{x - 0.4, y}, {x + 0.4, y}}, {.hue = 1, .width = 1.5});
    sketch.text({x, bottom + 0.13}, two_digits(rungs[i].speed), {.hue = 1});
    sketch.text({x, bottom - 0.12}, spaced(rungs[i].name));
    if (rungs[i].predicted == peak || rungs[i].predicted == peak_threads) continue;
    const double predicted = std::log10(rungs[i].predicted);
    sketch.line({{x - 0.45, predicted}, {x + 0.45, predicted}}, {.hue = 2, .dashed = true});
    sketch.text({x, predicted + 0.13}, two_digits(rungs[i].predicted), {.hue = 2});
  }
  const auto draw_peak = [&](double speed, const std::string& of) {
    const double y = std::log10(speed);
    sketch.line({{0.5, y}, {right, y}}, {.hue = 2, .dashed = true});
    sketch.text({0.6, y + 0.13}, fmt::format("peak of {}: {:.0f}", of, speed), {.hue = 2},
                kit::Align::kLeft);
  };
  draw_peak(peak, "one thread");
  if (threads > 1) draw_peak(peak_threads, fmt::format("{} threads", threads));
  sketch.draw(lesson, "ladder");
}

// The speed of each way by the size of the matrices, on one thread.
inline void draw_sizes(kit::Lesson& lesson, const std::vector<Curve>& curves, double peak) {
  std::vector<kit::Series> series;
  for (const Curve& curve : curves) {
    kit::Series line{.label = spaced(curve.name), .mark = kit::Series::kLineAndDots};
    line.x.assign(curve.n.begin(), curve.n.end());
    line.y = curve.speed;
    series.push_back(line);
  }
  kit::plot(lesson, "sizes",
            {.title = "By size, on one thread: some ways dip at powers of two",
             .x_label = "rows and columns of each matrix",
             .y_label = "GFLOP/s",
             .log_x = true,
             .log_y = true,
             .levels = {{"peak", peak}}},
            series);
}

}  // namespace gradus::lesson90
