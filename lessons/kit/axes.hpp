#pragma once
#include <string>
#include <vector>

#include "lessons/kit/figures.hpp"
#include "lessons/kit/script.hpp"

// The axes of a plot, its levels, and the labels at its right.
namespace gradus::kit {

// Round numbers inside a range, at most one more than `most` of them where the axis is linear.
// `whole`: integers.
std::vector<double> tics(const Range& range, int most, bool whole = false);

// Both axes of a plot: where it lies in the picture, what is written on it, and how far it reaches.
struct Axes2D {
  Range x, y;
  std::vector<double> x_tics, y_tics;
  Box box;

  double across(double v) const { return box.left + x.position(v) * (box.right - box.left); }

  double down(double v) const { return box.bottom - y.position(v) * (box.bottom - box.top); }
};

// How far from the left a plot begins, with these numbers beside it; and how far from the top it
// ends, in a picture of that height.
double left_of_axis(const std::vector<double>& y_tics);
double bottom_of_plot(double height);

// Makes the axis with room to spare reach further, so that a unit of x is as long as a unit of y.
// Returns what a pixel is on them.
double give_one_scale(Axes2D& axes);

// Title, note, axes and the grid. `names`, where given, stand at x = 1, 2, 3, ...
void draw_axes(Script& script, const PlotText& text, const Axes2D& axes,
               const std::vector<std::string>& names = {});

// The levels that an axis can show, and their dashed lines, as parts of a plot command.
std::vector<Level> shown_levels(const PlotText& text);
void add_levels(const std::vector<Level>& levels, std::vector<std::string>& parts);

constexpr double kLabelGap = 16;  // between a plot and the labels at its right

struct EndLabel {
  std::string text;
  std::string rgb;
  double y;  // pixels
};

// Labels at the right of a plot, moved apart where they would cover each other. Empty ones take no
// room.
void draw_end_labels(Script& script, const Box& box, std::vector<EndLabel> labels);

}  // namespace gradus::kit
