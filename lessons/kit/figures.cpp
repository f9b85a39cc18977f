#include "lessons/kit/figures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "lessons/kit/axes.hpp"
#include "lessons/kit/script.hpp"
#include "tensor/error.hpp"

namespace gradus::kit {
namespace {

using Points = std::vector<std::pair<double, double>>;

Points points_of(const std::string& figure, const Series& s) {
  if (!s.x.empty() && s.x.size() != s.y.size())
    fail("figure {}: \"{}\" has {} values of x but {} of y", figure, s.label, s.x.size(),
         s.y.size());
  Points points;
  for (std::size_t i = 0; i < s.y.size(); ++i) {
    const double x = s.x.empty() ? static_cast<double>(i + 1) : s.x[i];
    if (std::isfinite(x) && std::isfinite(s.y[i])) points.push_back({x, s.y[i]});
  }
  return points;
}

int colour_of(const std::vector<Series>& series, std::size_t i) {
  return colour(series[i].hue > 0 ? static_cast<std::size_t>(series[i].hue - 1) : i);
}

}  // namespace

// ---- Lines and dots ----------------------------------------------------------------------------

namespace {

// How far the axes of lines reach, and where they lie.
Axes2D axes_of_lines(const PlotText& text, const std::vector<Series>& series,
                     const std::vector<Points>& lines, const std::vector<Level>& levels) {
  Range x{.log = text.log_x}, y{.log = text.log_y};
  bool whole = true;
  for (const Points& line : lines)
    for (const auto& [a, b] : line) {
      x.include(a);
      y.include(b);
      whole = whole && a == std::round(a);
    }
  for (const Level& level : levels) y.include(level.y);
  const bool dots = std::any_of(series.begin(), series.end(),
                                [](const Series& s) { return s.mark != Series::kLine; });
  const bool from_zero = !y.log && y.low >= 0 && y.low < 0.3 * y.high;
  if (from_zero) y.low = 0;
  x.widen(dots ? 0.02 : 0);
  y.widen(0.05);
  if (from_zero) y.low = 0;

  std::vector<std::string> labels;
  for (const Series& s : series) labels.push_back(s.label_inside ? "" : s.label);
  for (const Level& level : levels) labels.push_back(level.label);
  const auto layout = [&] {
    Axes2D axes{x, y, tics(x, 10, whole), tics(y, 7), {}};
    axes.box = {left_of_axis(axes.y_tics),
                style::kWidth - style::kMargin - kLabelGap - widest(labels, style::kSmall),
                header(text.note), bottom_of_plot(style::kHeight)};
    return axes;
  };
  const Axes2D axes = layout();
  if (!text.equal_scale) return axes;

  // The axis with room to spare reaches further.
  const double across = (axes.x.high - axes.x.low) / (axes.box.right - axes.box.left);
  const double up = (axes.y.high - axes.y.low) / (axes.box.bottom - axes.box.top);
  const double missing = (std::max(across, up) / std::min(across, up) - 1) / 2;
  if (across < up)
    x.widen(missing);
  else
    y.widen(missing);
  return layout();
}

}  // namespace

void plot(Lesson& lesson, const std::string& name, const PlotText& text,
          const std::vector<Series>& series) {
  const std::vector<Level> levels = shown_levels(text);
  std::vector<Points> lines;
  for (const Series& s : series) lines.push_back(points_of(name, s));
  const Axes2D axes = axes_of_lines(text, series, lines, levels);
  Script script(lesson, name, style::kWidth, style::kHeight);
  draw_axes(script, text, axes);

  std::vector<EndLabel> labels;
  std::vector<std::string> parts;
  add_levels(levels, parts);
  for (const Level& level : levels)
    labels.push_back({level.label, style::kPale, axes.down(level.y)});
  const std::string dots_style = "pointtype 7 pointsize 2", line_style = "linewidth 2";
  const std::array with = {"lines " + line_style, "points " + dots_style,
                           "linespoints " + line_style + " " + dots_style};
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    const int rgb = colour_of(series, i);
    const auto& [x_end, y_end] = lines[i].back();
    if (series[i].label_inside)
      script.text(axes.across(x_end) + kLabelGap, axes.down(y_end), series[i].label, style::kSmall,
                  hex(darker(rgb)));
    else
      labels.push_back({series[i].label, hex(darker(rgb)), axes.down(y_end)});
    script.data(fmt::format("line{}", i), lines[i]);
    parts.push_back(fmt::format("$line{} using 1:2 with {} linecolor rgb '{}'", i,
                                with[series[i].mark], hex(rgb)));
  }
  draw_end_labels(script, axes.box, labels);
  script.plot(parts);
  script.finish();
}

// ---- Bars --------------------------------------------------------------------------------------

namespace {

constexpr double kLegendHeight = style::kSmall * style::kLeading;

// The axes of bars, and the distance between neighbours on the axis of x.
struct BarAxes {
  Axes2D axes;
  double step;
};

BarAxes axes_of_bars(const PlotText& text, const std::vector<Points>& groups,
                     const std::vector<Level>& levels) {
  Range x, y{.log = text.log_y};
  if (!y.log) y.include(0);
  double step = std::numeric_limits<double>::infinity();
  bool whole = true;
  for (const Points& group : groups)
    for (std::size_t i = 0; i < group.size(); ++i) {
      const auto& [a, b] = group[i];
      x.include(a);
      y.include(b);
      whole = whole && a == std::round(a);
      const double distance = i ? std::abs(a - group[i - 1].first) : 0;
      if (distance > 0) step = std::min(step, distance);
    }
  if (std::isinf(step)) step = 1;
  for (const Level& level : levels) y.include(level.y);
  if (x.low > x.high) x.include(1);
  x.low -= 0.7 * step;
  x.high += 0.7 * step;
  const bool positive = y.low == 0;
  // Bars have to begin somewhere: where there is no 0, at a power of ten.
  const double foot = std::pow(10, std::floor(std::log10(y.low / 1.5)));
  y.widen(0.05);
  if (positive) y.low = 0;
  if (y.log && std::isfinite(foot)) y.low = foot;

  std::vector<std::string> level_texts;
  for (const Level& level : levels) level_texts.push_back(level.label);
  const double legend = groups.size() > 1 ? kLegendHeight + 12 : 0;
  Axes2D axes{x, y, tics(x, 20, whole), tics(y, 7), {}};
  axes.box = {left_of_axis(axes.y_tics),
              style::kWidth - style::kMargin - kLabelGap - widest(level_texts, style::kSmall),
              header(text.note) + legend, bottom_of_plot(style::kHeight)};
  return {axes, step};
}

}  // namespace

void bars(Lesson& lesson, const std::string& name, const PlotText& text,
          const std::vector<Series>& series, const std::vector<std::string>& names) {
  const std::vector<Level> levels = shown_levels(text);
  std::vector<Points> groups;
  for (const Series& s : series) groups.push_back(points_of(name, s));
  const auto [axes, step] = axes_of_bars(text, groups, levels);
  Script script(lesson, name, style::kWidth, style::kHeight);
  draw_axes(script, text, axes, names);

  std::vector<EndLabel> labels;
  std::vector<std::string> parts;
  double legend_x = axes.box.left;
  const double count = static_cast<double>(series.size()), width = 0.8 * step / count;
  script.line("set style fill solid noborder");
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups.size() > 1) {
      const std::string entry = "■ " + series[i].label;
      script.text(legend_x, header(text.note) + kLegendHeight / 2, entry, style::kSmall,
                  hex(colour_of(series, i)));
      legend_x += text_width(entry, style::kSmall) + 40;
    }
    if (groups[i].empty()) continue;
    script.data(fmt::format("bars{}", i), groups[i]);
    parts.push_back(
        fmt::format("$bars{} using ($1+({:.6g})):2:({:.6g}) with boxes linecolor rgb '{}'", i,
                    (static_cast<double>(i) - (count - 1) / 2) * width, 0.95 * width,
                    hex(colour_of(series, i))));
  }
  add_levels(levels, parts);
  for (const Level& level : levels)
    labels.push_back({level.label, style::kPale, axes.down(level.y)});
  draw_end_labels(script, axes.box, labels);
  script.plot(parts);
  script.finish();
}

// ---- Points in classes -------------------------------------------------------------------------

namespace {

// Points and their classes, and the coordinates of each class's members.
struct ClassPoints {
  std::vector<std::tuple<float, float, Index>> rows;
  std::vector<std::array<std::vector<double>, 2>> members;
  Range x, y;
};

// The points that are finite.
template <class T>
ClassPoints class_points(const std::string& figure, const Tensor<T>& points,
                         const std::vector<Index>& labels, Index classes) {
  const Index n = std::ssize(labels);
  if (points.shape() != Shape{n, 2})
    fail("figure {}: points have shape {}, but with {} labels it must be {}", figure,
         points.shape(), n, Shape{n, 2});
  ClassPoints result;
  result.members.resize(classes);
  for (Index i = 0; i < n; ++i) {
    const double a = points(i, 0), b = points(i, 1);
    if (labels[i] < 0 || labels[i] >= classes)
      fail("figure {}: label {} is {}, but there are names for {} classes", figure, i, labels[i],
           classes);
    if (!std::isfinite(a) || !std::isfinite(b)) continue;
    result.x.include(a);
    result.y.include(b);
    result.rows.push_back({static_cast<float>(a), static_cast<float>(b), labels[i]});
    result.members[labels[i]][0].push_back(a);
    result.members[labels[i]][1].push_back(b);
  }
  result.x.widen(0.03);
  result.y.widen(0.03);
  return result;
}

// Axes of one scale, and what a pixel is on them.
struct ScatterAxes {
  Axes2D axes;
  double unit;
};

ScatterAxes axes_of_points(const PlotText& text, const Range& x, const Range& y, double width,
                           double height) {
  ScatterAxes result{{x, y, {}, tics(y, 10), {}}, 0};
  // Twice: the numbers on the axis decide how wide the plot is, and this how far the axis reaches.
  for (int round = 0; round < 2; ++round) {
    Axes2D axes{x, y, {}, {}, {}};
    axes.box = {left_of_axis(result.axes.y_tics), width - style::kMargin, header(text.note),
                bottom_of_plot(height)};
    result.unit = give_one_scale(axes);
    axes.x_tics = tics(axes.x, 10);
    axes.y_tics = tics(axes.y, 10);
    result.axes = axes;
  }
  return result;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// The name of class k: its centre and half of its width, in pixels.
struct ClassName {
  std::size_t k;
  double x, y, half;
};

// Moves names up and down where they would cover each other.
void move_apart(std::vector<ClassName>& names) {
  const double tall = style::kText * style::kLeading;
  for (int round = 0; round < 200; ++round)
    for (std::size_t i = 0; i < names.size(); ++i)
      for (std::size_t j = 0; j < i; ++j) {
        ClassName &a = names[j], &b = names[i];
        const double overlap = tall - std::abs(a.y - b.y);
        if (overlap <= 0 || std::abs(a.x - b.x) >= a.half + b.half) continue;
        const double push = (a.y <= b.y ? 0.5 : -0.5) * overlap;
        a.y -= push;
        b.y += push;
      }
}

// Writes each class's name at its median, with a white halo.
void draw_class_names(Script& script, const ClassPoints& points, const Axes2D& axes,
                      const std::vector<std::string>& class_names) {
  std::vector<ClassName> names;
  for (std::size_t k = 0; k < points.members.size(); ++k) {
    const auto& [xs, ys] = points.members[k];
    if (xs.empty()) continue;
    names.push_back({k, axes.across(median(xs)), axes.down(median(ys)),
                     0.52 * text_width(class_names[k], style::kText) + 6});
  }
  move_apart(names);
  for (const ClassName& name : names) {
    constexpr std::array<std::pair<int, int>, 8> kHalo = {
        {{-3, 0}, {3, 0}, {0, -3}, {0, 3}, {-2, -2}, {-2, 2}, {2, -2}, {2, 2}}};
    for (const auto& [dx, dy] : kHalo)
      script.text(name.x + dx, name.y + dy, class_names[name.k], style::kText, "#ffffff", "center",
                  " Bold");
    script.text(name.x, name.y, class_names[name.k], style::kText, hex(darker(colour(name.k))),
                "center", " Bold");
  }
}

}  // namespace

template <class T>
void scatter(Lesson& lesson, const std::string& name, const PlotText& text, const Tensor<T>& points,
             const std::vector<Index>& labels, const std::vector<std::string>& class_names) {
  const ClassPoints classes = class_points(name, points, labels, std::ssize(class_names));
  constexpr double kWidth = 1400, kHeight = 1240;
  const auto [axes, unit] = axes_of_points(text, classes.x, classes.y, kWidth, kHeight);
  Script script(lesson, name, kWidth, kHeight);
  draw_axes(script, text, axes);
  script.line("set grid xtics");
  draw_class_names(script, classes, axes, class_names);

  // Many points are opaque squares on a grid of whole pixels: translucent discs would make the PNG
  // four times as large.
  const bool many = classes.rows.size() > 2000;
  std::string colours;
  for (std::size_t k = 0; k < class_names.size(); ++k)
    colours += fmt::format("{}0x{}{:06x}", k ? ", " : "", many ? "00" : "60", colour(k));
  script.line("array colours = [{}]", colours);
  script.line("snap(v, low) = low + {:.8g} * floor((v - low) / {:.8g} + 0.5)", 2 * unit, 2 * unit);
  std::vector<std::string> parts;
  if (!classes.rows.empty()) {
    script.data("points", classes.rows);
    parts.push_back(
        fmt::format("$points using (snap($1, {:.8g})):(snap($2, {:.8g})):(colours[$3+1]) with "
                    "points pointtype "
                    "{} linecolor rgb variable",
                    axes.x.low, axes.y.low, many ? "5 pointsize 0.5" : "7 pointsize 1.1"));
  }
  script.plot(parts);
  script.finish();
}

template void scatter(Lesson&, const std::string&, const PlotText&, const Tensor<float>&,
                      const std::vector<Index>&, const std::vector<std::string>&);
template void scatter(Lesson&, const std::string&, const PlotText&, const Tensor<double>&,
                      const std::vector<Index>&, const std::vector<std::string>&);

}  // namespace gradus::kit
