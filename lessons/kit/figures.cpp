#include "lessons/kit/figures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <iomanip>
#include <ios>
#include <limits>
#include <locale>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gnuplot-iostream.h>

#include "lessons/kit/drawing.hpp"
#include "tensor/error.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;

// The one style of all figures. Sizes are pixels of a PNG that is looked at at half of its size.
namespace style {
constexpr const char* kFont = "DejaVu Sans";
constexpr int kTitle = 42, kText = 34, kSmall = 30;
constexpr const char *kInk = "#222222", *kPale = "#666666", *kGrid = "#e4e4e4";
constexpr int kWidth = 1600, kHeight = 1000;
constexpr int kMargin = 40;
constexpr double kLetter = 0.58;  // mean width of a letter, in units of the font's size
constexpr double kLeading = 1.3;  // from line to line, in units of the font's size

// Okabe and Ito's colours (https://jfly.uni-koeln.de/color), told apart with every kind of colour
// vision, without their yellow, which white swallows, and with four darker ones after them.
constexpr std::array kColours = {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00,
                                 0x56B4E9, 0x882255, 0x999933, 0x332288, 0x777777};
constexpr const char* kDiverging =
    "0 '#08519c', 1 '#6baed6', 2 '#ffffff', 3 '#fd8d3c', 4 '#a63603'";
}  // namespace style

int colour(std::size_t i) { return style::kColours[i % style::kColours.size()]; }

int darker(int rgb) {
  int result = 0;
  for (int shift : {16, 8, 0}) result |= ((rgb >> shift & 255) * 7 / 10) << shift;
  return result;
}

// A font of a size in pixels; gnuplot counts in points, of which 72 are 96 pixels.
std::string font(int size, const char* weight = "") {
  return fmt::format("'{}{},{:g}'", style::kFont, weight, size * 0.75);
}

// Text in single quotes, in which gnuplot expands nothing.
std::string quote(const std::string& text) {
  std::string result = "'";
  for (char c : text) {
    if (c == '\'')
      result += "''";
    else
      result += c == '\n' ? ' ' : c;
  }
  return result + "'";
}

double text_width(const std::string& text, int size) {
  const auto letters =
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  return style::kLetter * size * static_cast<double>(letters);
}

double widest(const std::vector<std::string>& texts, int size) {
  double result = 0;
  for (const std::string& text : texts) result = std::max(result, text_width(text, size));
  return result;
}

// Places intervals of equal length `gap` on a line, each as near to where it wants its centre as
// the others let it, within [low, high].
std::vector<double> spread(const std::vector<double>& wanted, double gap, double low, double high) {
  std::vector<std::size_t> order(wanted.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return wanted[a] < wanted[b]; });

  struct Cluster {
    double sum;  // of the wanted centres
    std::size_t count;
    double half, centre;
  };

  const auto place = [&](Cluster c) {
    c.half = gap * static_cast<double>(c.count) / 2;
    c.centre =
        std::min(std::max(c.sum / static_cast<double>(c.count), low + c.half), high - c.half);
    return c;
  };
  std::vector<Cluster> clusters;
  for (std::size_t i : order) {
    clusters.push_back(place({wanted[i], 1, 0, 0}));
    while (clusters.size() > 1) {
      const Cluster b = clusters.back(), a = clusters[clusters.size() - 2];
      if (a.centre + a.half <= b.centre - b.half) break;
      clusters.pop_back();
      clusters.back() = place({a.sum + b.sum, a.count + b.count, 0, 0});
    }
  }
  std::vector<double> placed(wanted.size());
  auto next = order.begin();
  for (const Cluster& c : clusters)
    for (std::size_t i = 0; i < c.count; ++i)
      placed[*next++] = c.centre - c.half + gap * (static_cast<double>(i) + 0.5);
  return placed;
}

// An interval of an axis, and where a value lies in it.
struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  bool log = false;

  void include(double v) {
    if (!std::isfinite(v) || (log && v <= 0)) return;
    low = std::min(low, v);
    high = std::max(high, v);
  }

  // Adds a fraction of the length at each end; makes an empty or single-valued range a proper one.
  void widen(double fraction) {
    if (low > high) low = high = 1;
    double a = log ? std::log(low) : low, b = log ? std::log(high) : high;
    double pad = fraction * (b - a);
    const double size = std::max(std::abs(a), std::abs(b));
    if (b - a <= 1e-9 * size) pad = std::max(0.5, 1e-3 * size);
    a -= pad;
    b += pad;
    low = log ? std::max(std::exp(a), std::numeric_limits<double>::min()) : a;
    high = log ? std::exp(b) : b;
  }

  double position(double v) const {  // 0 at low, 1 at high
    if (!log) return (v - low) / (high - low);
    return v > 0 ? std::log(v / low) / std::log(high / low) : 0;
  }
};

constexpr double kLabelGap = 16;  // between a plot and the labels at its right

struct Box {
  double left, right, top, bottom;  // pixels, from the top left corner of the picture
};

// A gnuplot script while it is written.
class Script {
 public:
  Script(Lesson& lesson, const std::string& name, double width, double height)
      : lesson_(lesson),
        name_(name),
        width_(std::round(width)),
        height_(std::round(height)),
        drawing_(lesson, name) {
    open();
    line("# gnuplot {0}.gp draws {0}.png", name);
    line("set terminal pngcairo size {},{} noenhanced font {} linewidth 2", width_, height_,
         font(style::kText));
    line("set output '{}.png'", name);
    line("set encoding utf8");
    line("unset key");
  }

  template <class... Args> void line(fmt::format_string<Args...> format, Args&&... args) {
    if (gp_) *gp_ << fmt::format(format, std::forward<Args>(args)...) << '\n';
  }

  // A named block of numbers, one row a line.
  template <class Rows> void data(const std::string& name, const Rows& rows) {
    line("${} << e", name);  // send1d ends its data with a line "e"
    if (gp_) gp_->send1d(rows);
  }

  void text(double x, double y, const std::string& text, int size, const std::string& rgb,
            const char* where = "left", const char* weight = "") {
    if (text.empty()) return;
    line("set label {} at screen {:.5f},{:.5f} {} front font {} textcolor rgb '{}'", quote(text),
         x / width_, 1 - y / height_, where, font(size, weight), rgb);
  }

  // Places the plotting area, with title and note above it.
  void frame(const Box& box, const std::string& title, const std::string& note) {
    line("set lmargin at screen {:.6f}", box.left / width_);
    line("set rmargin at screen {:.6f}", box.right / width_);
    line("set tmargin at screen {:.6f}", 1 - box.top / height_);
    line("set bmargin at screen {:.6f}", 1 - box.bottom / height_);
    const double under = style::kMargin + style::kTitle * style::kLeading;
    text(style::kMargin, (style::kMargin + under) / 2, title, style::kTitle, style::kInk, "left",
         " Bold");
    text(style::kMargin, under + style::kSmall * style::kLeading / 2, note, style::kSmall,
         style::kPale);
  }

  void plot(const std::vector<std::string>& parts) {
    line("plot {}", parts.empty() ? "NaN" : fmt::format("{}", fmt::join(parts, ", \\\n  ")));
  }

  double height() const { return height_; }

  // Puts the script in place and has it drawn.
  void finish() {
    if (gp_) gp_->flush();
    const bool written = gp_ && gp_->good();
    gp_.reset();
    if (written && drawing_.put_in_place(file()))
      drawing_.paint({.command = {"gnuplot", "-d", fs::absolute(lesson_.directory() / file())},
                      .package = "gnuplot-nox",
                      .by_hand = "gnuplot *.gp"});
    else
      drawing_.give_up(fmt::format("cannot write its script {}", file()));
  }

 private:
  std::string file() const { return name_ + ".gp"; }

  // Without a file, for whatever reason, the lines go nowhere, and finish says so.
  void open() {
    try {
      gp_.emplace(">" + drawing_.part(file()).string());
    } catch (const std::ios_base::failure&) {
      return;
    }
    gp_->imbue(std::locale::classic());
    *gp_ << std::defaultfloat << std::setprecision(6);
  }

  Lesson& lesson_;
  std::string name_;
  double width_, height_;
  Drawing drawing_;
  std::optional<Gnuplot> gp_;
};

// The room that a title, and a note under it, take above a figure.
double header(const std::string& note) {
  return style::kMargin + style::kTitle * style::kLeading +
         (note.empty() ? 0 : style::kSmall * style::kLeading) + 24;
}

// Round numbers inside a range, at most `most` of them where the axis is linear. `whole`: integers.
std::vector<double> tics(const Range& range, int most, bool whole = false) {
  std::vector<double> result;
  if (range.log) {
    const double decades = std::log10(range.high / range.low);
    const int stride = std::max(1, static_cast<int>(std::ceil(decades / most)));
    for (int k = static_cast<int>(std::floor(std::log10(range.low))); k <= std::log10(range.high);
         ++k)
      for (int digit : {1, 2, 5}) {
        const double v = digit * std::pow(10.0, k);
        if (v < range.low || v > range.high) continue;
        if (decades <= 3 || (digit == 1 && k % stride == 0)) result.push_back(v);
      }
    if (result.size() >= 2) return result;
    result.clear();  // a short stretch of a logarithmic axis looks linear
  }
  const double least = (range.high - range.low) / most;
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  double step = power;
  for (int digit : {2, 5, 10})
    if (step < least) step = digit * power;
  if (whole) step = std::max(1.0, step);
  for (double i = std::ceil(range.low / step); i * step <= range.high; ++i)
    result.push_back(i * step);
  return result;
}

std::string tic_text(double v) {
  std::string text = fmt::format("{:.6g}", v == 0 ? 0 : v);
  if (text[0] == '-') text.replace(0, 1, "−");
  return text;
}

// Both axes of a plot: where it lies in the picture, what is written on it, and how far it reaches.
struct Axes2D {
  Range x, y;
  std::vector<double> x_tics, y_tics;
  Box box;

  double across(double v) const { return box.left + x.position(v) * (box.right - box.left); }

  double down(double v) const { return box.bottom - y.position(v) * (box.bottom - box.top); }
};

constexpr double kAxisLabel = style::kText * style::kLeading, kTicLength = 24;

double left_of_axis(const std::vector<double>& y_tics) {
  double tic_width = 0;
  for (double v : y_tics) tic_width = std::max(tic_width, text_width(tic_text(v), style::kSmall));
  return style::kMargin + kAxisLabel + tic_width + 1.8 * kTicLength;
}

double bottom_of_plot(double height) {
  return height - style::kMargin - kAxisLabel - style::kSmall * style::kLeading - kTicLength;
}

void draw_axes(Script& script, const PlotText& text, const Axes2D& axes,
               const std::vector<std::string>& names = {}) {
  const Box& box = axes.box;
  script.frame(box, text.title, text.note);
  script.text((box.left + box.right) / 2, script.height() - style::kMargin - kAxisLabel / 2,
              text.x_label, style::kText, style::kInk, "center");
  script.text(style::kMargin + kAxisLabel / 2, (box.top + box.bottom) / 2, text.y_label,
              style::kText, style::kInk, "center rotate by 90");
  script.line("set border 3 linecolor rgb '{}'", style::kPale);
  script.line("set tics nomirror out scale 0.5 font {} textcolor rgb '{}'", font(style::kSmall),
              style::kInk);
  script.line("set xtics offset 0,{}", names.empty() ? 0.3 : 0);
  script.line("set grid ytics linetype 1 linecolor rgb '{}' linewidth 0.5", style::kGrid);
  for (const auto& [axis, range, values] :
       {std::tuple{'x', axes.x, axes.x_tics}, std::tuple{'y', axes.y, axes.y_tics}}) {
    script.line("set {}range [{:.8g}:{:.8g}]", axis, range.low, range.high);
    if (range.log) script.line("set logscale {}", axis);
    std::string list;
    for (double v : values)
      list += fmt::format("{}'{}' {:.8g}", list.empty() ? "" : ", ", tic_text(v), v);
    script.line("set {}tics ({})", axis, list);
  }
  if (names.empty()) return;
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i)
    list += fmt::format("{}{} {}", i ? ", " : "", quote(names[i]), i + 1);
  script.line("set xtics ({}) scale 0", list);
}

// The levels that an axis can show.
std::vector<Level> shown_levels(const PlotText& text) {
  std::vector<Level> levels;
  for (const Level& level : text.levels)
    if (std::isfinite(level.y) && (level.y > 0 || !text.log_y)) levels.push_back(level);
  return levels;
}

// The dashed lines of levels, as parts of a plot command.
void add_levels(const std::vector<Level>& levels, std::vector<std::string>& parts) {
  for (const Level& level : levels)
    parts.push_back(fmt::format("{:.10g} with lines dashtype 2 linewidth 1 linecolor rgb '{}'",
                                level.y, style::kPale));
}

struct EndLabel {
  std::string text;
  std::string rgb;
  double y;  // pixels
};

// Labels at the right of a plot, moved apart where they would cover each other.
void draw_end_labels(Script& script, const Box& box, const std::vector<EndLabel>& labels) {
  std::vector<double> wanted;
  for (const EndLabel& label : labels) wanted.push_back(label.y);
  const double line = style::kSmall * style::kLeading;
  const auto placed = spread(wanted, line, box.top - line / 2, box.bottom + line / 2);
  for (std::size_t i = 0; i < labels.size(); ++i)
    script.text(box.right + kLabelGap, placed[i], labels[i].text, style::kSmall, labels[i].rgb);
}

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

std::string hex(int rgb) { return fmt::format("#{:06x}", rgb); }

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
  for (const Series& s : series) labels.push_back(s.label);
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
    labels.push_back({series[i].label, hex(darker(colour(i))), axes.down(lines[i].back().second)});
    script.data(fmt::format("line{}", i), lines[i]);
    parts.push_back(fmt::format("$line{} using 1:2 with {} linecolor rgb '{}'", i,
                                with[series[i].mark], hex(colour(i))));
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
  Range x, y{.low = 0, .high = 0};
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
  y.widen(0.05);
  if (positive) y.low = 0;

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
                  hex(colour(i)));
      legend_x += text_width(entry, style::kSmall) + 40;
    }
    if (groups[i].empty()) continue;
    script.data(fmt::format("bars{}", i), groups[i]);
    parts.push_back(
        fmt::format("$bars{} using ($1+({:.6g})):2:({:.6g}) with boxes linecolor rgb '{}'", i,
                    (static_cast<double>(i) - (count - 1) / 2) * width, 0.95 * width,
                    hex(colour(i))));
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
  Axes2D axes{x, y, {}, tics(y, 8), {}};
  axes.box = {left_of_axis(axes.y_tics), width - style::kMargin, header(text.note),
              bottom_of_plot(height)};
  // The axis with room to spare reaches further.
  const double w = axes.box.right - axes.box.left, h = axes.box.bottom - axes.box.top;
  const double unit = std::max((x.high - x.low) / w, (y.high - y.low) / h);
  for (auto [range, pixels] : {std::pair{&axes.x, w}, std::pair{&axes.y, h}}) {
    const double centre = (range->low + range->high) / 2;
    range->low = centre - unit * pixels / 2;
    range->high = centre + unit * pixels / 2;
  }
  axes.x_tics = tics(axes.x, 10);
  axes.y_tics = tics(axes.y, 10);
  return {axes, unit};
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

// ---- Images ------------------------------------------------------------------------------------

namespace {

constexpr double kCaption = style::kSmall * style::kLeading;

// n images of height x width pixels in rows and columns.
struct ImageGrid {
  Index n, height, width, rows, columns;
};

// Throws Error where the pixels are no images, or the captions not as many as what they stand at.
ImageGrid image_grid(const std::string& figure, const Shape& shape, const ImageText& text) {
  Index height = 0, width = 0;
  if (shape.rank() == 3) {
    height = shape[1];
    width = shape[2];
  } else if (shape.rank() == 2) {
    height = width = std::llround(std::sqrt(static_cast<double>(shape[1])));
  }
  if (shape.size() == 0 || shape.size() != shape[0] * height * width)
    fail("figure {}: {} is no shape of images: it takes (n, height, width), or (n, side * side)",
         figure, shape);
  const Index n = shape[0], columns = std::min(text.columns, n);
  if (columns < 1) fail("figure {}: there must be at least one column", figure);
  const Index rows = (n + columns - 1) / columns;
  const auto check = [&](const std::vector<std::string>& captions, Index wanted, const char* what) {
    if (!captions.empty() && std::ssize(captions) != wanted)
      fail("figure {}: {} captions for {} {}", figure, captions.size(), wanted, what);
  };
  check(text.captions, n, "images");
  check(text.row_captions, rows, "rows");
  check(text.column_captions, columns, "columns");
  return {n, height, width, rows, columns};
}

// Where images lie in the figure, in its pixels.
struct ImageLayout {
  double left, top;              // the corner of the first image
  double scale;                  // of one pixel of an image
  double w, h;                   // of an image
  double column_step, row_step;  // from one image to the next
  double grid_width, grid_height;
  double figure_width, figure_height;
  Index columns;

  // The corner of image i, from that of the first.
  std::pair<double, double> at(Index i) const {
    return {static_cast<double>(i % columns) * column_step,
            static_cast<double>(i / columns) * row_step};
  }
};

// Every pixel of an image is a square of a whole number of pixels of the figure.
ImageLayout image_layout(const ImageGrid& grid, const ImageText& text) {
  constexpr double kGap = 8;
  ImageLayout layout;
  layout.columns = grid.columns;
  layout.left = style::kMargin +
                (text.row_captions.empty() ? 0 : widest(text.row_captions, style::kSmall) + 16);
  const double room =
      style::kWidth - layout.left - style::kMargin - kGap * static_cast<double>(grid.columns - 1);
  layout.scale =
      std::clamp(std::floor(room / static_cast<double>(grid.columns * grid.width)), 1.0, 8.0);
  layout.w = layout.scale * static_cast<double>(grid.width);
  layout.h = layout.scale * static_cast<double>(grid.height);
  layout.column_step = layout.w + kGap;
  layout.row_step = layout.h + kGap + (text.captions.empty() ? 0 : kCaption);
  layout.top = header(text.note) + (text.captions.empty() ? 0 : kCaption) +
               (text.column_captions.empty() ? 0 : kCaption);
  layout.grid_width = static_cast<double>(grid.columns) * layout.column_step - kGap;
  layout.grid_height =
      static_cast<double>(grid.rows) * layout.row_step - (layout.row_step - layout.h);
  const double title_width = 1.05 * text_width(text.title, style::kTitle);  // it is bold
  const double note_width = text_width(text.note, style::kSmall);
  layout.figure_width = std::max({layout.left + layout.grid_width, style::kMargin + title_width,
                                  style::kMargin + note_width}) +
                        style::kMargin;
  const double legend = text.signed_values ? 70 : 0;
  layout.figure_height = layout.top + layout.grid_height + legend + style::kMargin;
  return layout;
}

void draw_captions(Script& script, const ImageText& text, const ImageLayout& layout) {
  const double left = layout.left, top = layout.top;
  for (Index i = 0; i < std::ssize(text.captions); ++i) {
    const auto [x, y] = layout.at(i);
    script.text(left + x + layout.w / 2, top + y - kCaption / 2, text.captions[i], style::kSmall,
                style::kPale, "center");
  }
  for (Index i = 0; i < std::ssize(text.row_captions); ++i) {
    const auto [x, y] = layout.at(i * layout.columns);
    script.text(left - 16, top + y + layout.h / 2, text.row_captions[i], style::kSmall, style::kInk,
                "right");
  }
  for (Index i = 0; i < std::ssize(text.column_captions); ++i) {
    const auto [x, y] = layout.at(i);
    script.text(left + x + layout.w / 2, header(text.note) + kCaption / 2 - 4,
                text.column_captions[i], style::kSmall, style::kInk, "center");
  }
}

// The largest of the absolute values that are finite, or 1 where all are 0.
template <class T> double largest_value(const Tensor<T>& pixels) {
  double most = 0;
  for (T v : pixels)
    if (std::isfinite(v)) most = std::max(most, std::abs(static_cast<double>(v)));
  return most == 0 ? 1 : most;
}

// A pixel as a whole number, which keeps the script short: from -127 to 127 where it is signed, for
// -most to most; otherwise from 0 to 255.
double whole_pixel(double v, bool is_signed, double most) {
  if (!std::isfinite(v)) return std::numeric_limits<double>::quiet_NaN();
  if (is_signed) return std::round(127 * v / most);
  return std::round(255 * std::clamp(v, 0.0, 1.0));
}

template <class T>
void write_pixels(Script& script, const Tensor<T>& pixels, const ImageGrid& grid, bool is_signed,
                  double most) {
  std::vector<std::vector<double>> matrix(grid.height, std::vector<double>(grid.width));
  for (Index i = 0; i < grid.n; ++i) {
    for (Index r = 0; r < grid.height; ++r)
      for (Index c = 0; c < grid.width; ++c) {
        const double v = pixels.data()[(i * grid.height + r) * grid.width + c];
        matrix[r][c] = whole_pixel(v, is_signed, most);
      }
    script.data(fmt::format("image{}", i), matrix);
  }
}

void set_grey(Script& script) {
  script.line("set palette defined (0 'black', 1 'white')");
  script.line("set cbrange [0:255]");
  script.line("unset colorbox");
}

// The colours of signed values, and a bar that says what they mean.
void set_signed(Script& script, const ImageLayout& layout, double most) {
  constexpr double kBarWidth = 300, kBarHeight = 24;
  script.line("set palette defined ({})", style::kDiverging);
  script.line("set cbrange [-127:127]");
  const std::string low = fmt::format("−{:.2g}", most), high = fmt::format("{:.2g}", most);
  const double x = layout.left + text_width(low, style::kSmall) + 8;
  const double y = layout.figure_height - style::kMargin - kBarHeight / 2;
  script.line(
      "set colorbox horizontal user origin screen {:.6f},{:.6f} size screen {:.6f},{:.6f} "
      "noborder",
      x / layout.figure_width, 1 - (y + kBarHeight / 2) / layout.figure_height,
      kBarWidth / layout.figure_width, kBarHeight / layout.figure_height);
  script.line("unset cbtics");
  script.text(x - 12, y, low, style::kSmall, style::kPale, "right");
  script.text(x + kBarWidth + 12, y, high, style::kSmall, style::kPale);
}

}  // namespace

template <class T>
void images(Lesson& lesson, const std::string& name, const ImageText& text,
            const Tensor<T>& pixels) {
  const ImageGrid grid = image_grid(name, pixels.shape(), text);
  const ImageLayout layout = image_layout(grid, text);
  Script script(lesson, name, layout.figure_width, layout.figure_height);
  script.frame({layout.left, layout.left + layout.grid_width, layout.top,
                layout.top + layout.grid_height},
               text.title, text.note);
  draw_captions(script, text, layout);
  const double most = text.signed_values ? largest_value(pixels) : 1;
  write_pixels(script, pixels, grid, text.signed_values, most);

  script.line("unset border");
  script.line("unset tics");
  script.line("set xrange [0:{}]", layout.grid_width);
  script.line("set yrange [{}:0]", layout.grid_height);
  if (text.signed_values)
    set_signed(script, layout, most);
  else
    set_grey(script);
  std::vector<std::string> parts;
  for (Index i = 0; i < grid.n; ++i) {
    const auto [x, y] = layout.at(i);
    script
        .line("set object rectangle from {},{} to {},{} front fillstyle empty border rgb '#bbbbbb'",
              x, y, x + layout.w, y + layout.h);
    parts.push_back(
        fmt::format("$image{} matrix using ({}+($1+0.5)*{}):({}+($2+0.5)*{}):3 with image", i, x,
                    layout.scale, y, layout.scale));
  }
  script.plot(parts);
  script.finish();
}

template void scatter(Lesson&, const std::string&, const PlotText&, const Tensor<float>&,
                      const std::vector<Index>&, const std::vector<std::string>&);
template void scatter(Lesson&, const std::string&, const PlotText&, const Tensor<double>&,
                      const std::vector<Index>&, const std::vector<std::string>&);
template void images(Lesson&, const std::string&, const ImageText&, const Tensor<float>&);
template void images(Lesson&, const std::string&, const ImageText&, const Tensor<double>&);

}  // namespace gradus::kit
