#pragma once
#include <string>
#include <vector>

#include "lessons/03_tape/instruments.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"

// The figures of lesson 03.
namespace gradus::lesson03 {

inline void draw_differences(kit::Lesson& lesson, const DifferenceErrors& in_float,
                             const DifferenceErrors& in_double, const DifferenceErrors& combined) {
  kit::plot(lesson, "differences",
            {.title = "Too large a step is wrong, and so is too small a one",
             .note = "error of (f(x+h) − f(x−h)) / 2h for f(x) = exp x, x from 0 to 1",
             .x_label = "step h",
             .y_label = "error of the derivative",
             .log_x = true,
             .log_y = true},
            {{.label = "float", .x = in_float.steps, .y = in_float.errors},
             {.label = "double", .x = in_double.steps, .y = in_double.errors},
             {.label = "double, h and h/2", .x = combined.steps, .y = combined.errors}});
}

// The log-likelihood before each step of gradient descent, and after the last.
struct Climb {
  std::string name;
  std::vector<double> heights;  // nats per point
};

// The first 120 steps, between the levels at which the climb rests.
inline void draw_climb(kit::Lesson& lesson, const std::vector<Climb>& climbs) {
  std::vector<kit::Series> lines;
  for (const Climb& climb : climbs) {
    kit::Series line{.label = climb.name};
    for (int i = 0; i <= 120; ++i) {
      line.x.push_back(i);
      line.y.push_back(climb.heights[i]);
    }
    lines.push_back(line);
  }
  kit::plot(lesson, "climb",
            {.title = "Gradient descent finds one direction, then the other",
             .x_label = "steps",
             .y_label = "log-likelihood, nats per point",
             .levels = {{"no direction", toy_log_likelihood(0)},
                        {"one direction", toy_log_likelihood(1)},
                        {"two: lesson 02", toy_log_likelihood(2)}}},
            lines);
}

// How far each step is below the best value, while that is more than rounding.
inline void draw_gap(kit::Lesson& lesson, const std::vector<Climb>& climbs) {
  std::vector<kit::Series> lines;
  for (const Climb& climb : climbs) {
    kit::Series line{.label = climb.name};
    for (Index i = 0; i < std::ssize(climb.heights); ++i) {
      const double gap = toy_log_likelihood(2) - climb.heights[i];
      if (gap <= 1e-12) continue;
      line.x.push_back(static_cast<double>(i));
      line.y.push_back(gap);
    }
    lines.push_back(line);
  }
  kit::plot(lesson, "gap",
            {.title = "Near the top, every step removes the same share",
             .x_label = "steps",
             .y_label = "below lesson 02's value, nats",
             .log_y = true},
            lines);
}

}  // namespace gradus::lesson03
