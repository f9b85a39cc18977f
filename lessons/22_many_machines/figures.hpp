#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "lessons/22_many_machines/scaling.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"

// The figures of lesson 22.
namespace gradus::lesson22 {

// How far a model that was trained in shares is from one that was trained in whole minibatches.
struct Distances {
  std::string label;
  std::vector<double> distance;  // after steps 1, 2, 3, ...
};

inline void draw_rounding(kit::Lesson& lesson, const std::vector<Distances>& all) {
  std::vector<kit::Series> series;
  for (const Distances& one : all) series.push_back({.label = one.label, .y = one.distance});
  kit::plot(lesson, "rounding",
            {.title = "Rounding parts the copies, and Adam can make it grow",
             .note =
                 "the same minibatches of 128, whole and in P shares; Adam's ε is 1e-8 unless said",
             .x_label = "step",
             .y_label = "distance / length of parameters",
             .log_x = true,
             .log_y = true},
            series);
}

// Of one size of minibatch: the -ELBO at the end by the learning rate.
struct Curve {
  double batch;
  std::vector<double> rate, negative_elbo;
};

inline void draw_batches(kit::Lesson& lesson, const std::vector<Curve>& curves, int epochs) {
  std::vector<kit::Series> series;
  for (const Curve& curve : curves)
    series.push_back({.label = fmt::format("{:.0f} images", curve.batch),
                      .x = curve.rate,
                      .y = curve.negative_elbo,
                      .mark = kit::Series::kLineAndDots});
  kit::plot(lesson, "batches",
            {.title = "Larger minibatches gain more by a larger rate, yet fall behind",
             .note = fmt::format("test images after {} epochs, by the size of a minibatch", epochs),
             .x_label = "learning rate",
             .y_label = "-ELBO, nats per image",
             .log_x = true,
             .log_y = true},
            series);
}

// Epochs by one process, by two, ..., and what the model says of them.
struct Points {
  std::vector<double> machines, seconds, predicted;
};

struct Scaling {
  Machine machine;
  std::vector<Network> networks;
  double bytes, examples, batch;
};

// An epoch by the number of machines. `grows`: the minibatch grows with them.
inline void draw_scaling(kit::Lesson& lesson, const std::string& name, const std::string& title,
                         const Scaling& scaling, bool grows, const Points& measured) {
  std::vector<kit::Series> series;
  const double most = grows ? 1000 : scaling.batch;
  std::vector<Network> networks = scaling.networks;
  networks.push_back({"no network"});
  for (const Network& network : networks) {
    kit::Series line{.label = network.name};
    for (int i = 0; i <= 200; ++i) {
      const double machines = std::pow(most, i / 200.0);
      const double batch = grows ? scaling.batch * machines : scaling.batch;
      line.x.push_back(machines);
      line.y.push_back(epoch_seconds(scaling.machine, network, scaling.bytes, scaling.examples,
                                     batch, machines));
    }
    series.push_back(line);
  }
  if (!measured.machines.empty()) {
    const int hue = static_cast<int>(series.size()) + 1;
    series.push_back({.x = measured.machines, .y = measured.predicted, .hue = hue});
    series.push_back(
        {.x = measured.machines, .y = measured.seconds, .mark = kit::Series::kDots, .hue = hue});
  }
  kit::plot(lesson, name,
            {.title = title,
             .note =
                 fmt::format("{}{}",
                             grows ? "128 images for each machine in a minibatch"
                                   : "a minibatch of 128 images, shared by the machines",
                             measured.machines.empty() ? ""
                                                       : "; dots: measured, their line: predicted"),
             .x_label = "machines",
             .y_label = "an epoch, seconds",
             .log_x = true,
             .log_y = true},
            series);
}

inline void draw_all_reduce(kit::Lesson& lesson, const std::vector<double>& bytes,
                            const std::vector<double>& seconds, const Line& line, int processes) {
  kit::Series fitted{.label = "fitted line", .hue = 1};
  for (double n = bytes.front(); n <= bytes.back(); n *= 1.2) {
    fitted.x.push_back(n);
    fitted.y.push_back(1e6 * (line.at_zero + line.slope * n));
  }
  kit::Series dots{.label = "measured", .x = bytes, .mark = kit::Series::kDots, .hue = 2};
  for (const double s : seconds) dots.y.push_back(1e6 * s);
  kit::plot(lesson, "all_reduce",
            {.title = "An all-reduce costs a latency, and a time for each byte",
             .note = fmt::format("{} processes on one computer, medians", processes),
             .x_label = "bytes",
             .y_label = "microseconds",
             .log_x = true,
             .log_y = true},
            {fitted, dots});
}

}  // namespace gradus::lesson22
