#include "lessons/kit/sketch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <fmt/format.h>

#include "lessons/kit/axes.hpp"
#include "lessons/kit/script.hpp"

namespace gradus::kit {
namespace {

using Row = std::pair<double, double>;

bool is_finite(Point p) { return std::isfinite(p.x) && std::isfinite(p.y); }

std::vector<Point> finite(std::vector<Point> points) {
  std::erase_if(points, [](Point p) { return !is_finite(p); });
  return points;
}

int rgb(Pen pen) {
  constexpr int kDark = 0x222222, kPale = 0x888888;
  if (pen.hue < 0) return kPale;
  return pen.hue == 0 ? kDark : colour(static_cast<std::size_t>(pen.hue - 1));
}

// One part of the colour and five of white.
int tint(int rgb) {
  int result = 0;
  for (int shift : {16, 8, 0}) {  // red, green, blue
    const int part = (rgb >> shift) & 255;
    const int pale = 255 - (255 - part) / 6;
    result |= pale << shift;
  }
  return result;
}

std::string line_style(Pen pen) {
  return fmt::format("linewidth {:g} dashtype {} linecolor rgb '{}'", 2 * pen.width,
                     pen.dashed ? 2 : 1, hex(rgb(pen)));
}

// Rows for gnuplot: one of NaNs breaks a line.
std::vector<Row> rows_of(const std::vector<Point>& points) {
  constexpr double kBreak = std::numeric_limits<double>::quiet_NaN();
  std::vector<Row> rows;
  for (Point p : points) rows.push_back(is_finite(p) ? Row{p.x, p.y} : Row{kBreak, kBreak});
  return rows;
}

// Where a text lies at its place, in gnuplot's words.
const char* where(Align align) {
  switch (align) {
    case Align::kLeft:
      return "left";
    case Align::kRight:
      return "right";
    case Align::kCentre:
      return "center";
  }
  return "";
}

// How far a text reaches to the left and to the right of its place, in pixels.
std::pair<double, double> reach(const std::string& words, Align align) {
  const double width = text_width(words, style::kSmall);
  switch (align) {
    case Align::kLeft:
      return {0, width};
    case Align::kRight:
      return {width, 0};
    case Align::kCentre:
      return {width / 2, width / 2};
  }
  return {};
}

}  // namespace

// The axes, in a picture of the usual width.
struct Sketch::Layout {
  Axes2D axes;
  double height;  // of the picture
};

void Sketch::line(std::vector<Point> points, Pen pen) {
  strokes_.push_back({Stroke::kLine, std::move(points), pen});
}

void Sketch::arrow(Point from, Point to, Pen pen) {
  strokes_.push_back({Stroke::kArrow, {from, to}, pen});
}

void Sketch::dots(std::vector<Point> points, Pen pen) {
  strokes_.push_back({Stroke::kDots, finite(std::move(points)), pen});
}

void Sketch::area(std::vector<Point> outline, Pen pen) {
  areas_.push_back({finite(std::move(outline)), pen});
}

void Sketch::text(Point at, std::string words, Pen pen, Align align) {
  labels_.push_back({at, std::move(words), pen, align});
}

void Sketch::draw(Lesson& lesson, const std::string& name) const {
  const Layout layout = this->layout();
  Script script(lesson, name, style::kWidth, layout.height);
  draw_frame(script, layout.axes);
  std::vector<std::string> parts;
  add_areas(script, parts);
  add_strokes(script, parts);
  draw_labels(script, layout.axes);
  script.plot(parts);
  script.finish();
}

// What is shown: `shown`, or all that is drawn with a little room around it.
Sketch::Layout Sketch::layout() const {
  Range x, y;
  const auto include = [&](Point p) {
    if (!is_finite(p)) return;
    x.include(p.x);
    y.include(p.y);
  };
  if (!text_.shown.empty()) {
    std::for_each(text_.shown.begin(), text_.shown.end(), include);
    x.widen(0);
    y.widen(0);
    return layout_of(x, y);
  }
  for (const Area& area : areas_) std::for_each(area.outline.begin(), area.outline.end(), include);
  for (const Stroke& s : strokes_) std::for_each(s.points.begin(), s.points.end(), include);
  for (const Label& label : labels_) include(label.at);
  x.widen(0.04);
  y.widen(0.06);
  return with_room_for_labels(x, y);
}

// Widens the range of x until the labels' texts lie inside the picture too. Their lengths are
// pixels, and in a wider range a pixel is longer: so this takes some rounds.
Sketch::Layout Sketch::with_room_for_labels(Range x, Range y) const {
  constexpr int kRounds = 30;
  constexpr double kOverhang = style::kMargin / 2.0;  // beyond the plot, but inside the picture
  Layout layout = layout_of(x, y);
  for (int round = 0; round < kRounds; ++round) {
    const Axes2D& axes = layout.axes;
    const double pixel = (axes.x.high - axes.x.low) / (axes.box.right - axes.box.left);
    bool fits = true;
    for (const Label& label : labels_) {
      const auto [left, right] = reach(label.words, label.align);
      const double low = label.at.x - std::max(left - kOverhang, 0.0) * pixel;
      const double high = label.at.x + std::max(right - kOverhang, 0.0) * pixel;
      if (!is_finite(label.at) || (low >= axes.x.low && high <= axes.x.high)) continue;
      x.include(low);
      x.include(high);
      fits = false;
    }
    if (fits) break;
    layout = layout_of(x, y);
  }
  return layout;
}

// Where a unit of x is as long as a unit of y, the picture is as high as that needs, within limits.
Sketch::Layout Sketch::layout_of(Range x, Range y) const {
  const double top = header(text_.note);
  const double below =
      text_.axes ? style::kHeight - bottom_of_plot(style::kHeight) : style::kMargin;
  Layout result{};
  result.axes.y_tics = tics(y, 7);  // a first guess, of which only the width matters
  // Twice: the numbers on the axis decide how wide the plot is, and this how far the axis reaches.
  for (int round = 0; round < 2; ++round) {
    Axes2D axes{};
    axes.x = x;
    axes.y = y;
    const double left = text_.axes ? left_of_axis(result.axes.y_tics) : style::kMargin;
    const double right = style::kWidth - style::kMargin;
    double height = style::kHeight - top - below;
    if (text_.equal_scale) {
      constexpr double kLowest = 360, kHighest = 1100;
      const double wanted = (right - left) * (y.high - y.low) / (x.high - x.low);
      height = std::clamp(wanted, kLowest, kHighest);
    }
    axes.box = {left, right, top, top + height};
    if (text_.equal_scale) give_one_scale(axes);
    axes.x_tics = tics(axes.x, 10);
    axes.y_tics = tics(axes.y, 7);
    result = {axes, top + height + below};
  }
  return result;
}

void Sketch::draw_frame(Script& script, const Axes2D& axes) const {
  script.line("set clip two");  // a line is drawn where it is in sight, wherever its ends are
  if (text_.axes) {
    draw_axes(script,
              {.title = text_.title,
               .note = text_.note,
               .x_label = text_.x_label,
               .y_label = text_.y_label},
              axes);
    script.line("unset grid");
    return;
  }
  script.frame(axes.box, text_.title, text_.note);
  script.line("unset border");
  script.line("unset tics");
  script.line("set xrange [{:.8g}:{:.8g}]", axes.x.low, axes.x.high);
  script.line("set yrange [{:.8g}:{:.8g}]", axes.y.low, axes.y.high);
}

void Sketch::add_areas(Script& script, std::vector<std::string>& parts) const {
  for (std::size_t i = 0; i < areas_.size(); ++i) {
    if (areas_[i].outline.size() < 3) continue;
    const std::string name = fmt::format("area{}", i);
    script.data(name, rows_of(areas_[i].outline));
    parts.push_back(
        fmt::format("${} using 1:2 with filledcurves closed fillstyle solid noborder "
                    "fillcolor rgb '{}'",
                    name, hex(tint(rgb(areas_[i].pen)))));
  }
}

void Sketch::add_strokes(Script& script, std::vector<std::string>& parts) const {
  for (std::size_t i = 0; i < strokes_.size(); ++i) {
    const Stroke& s = strokes_[i];
    if (s.points.empty()) continue;
    const std::string name = fmt::format("stroke{}", i);
    switch (s.kind) {
      case Stroke::kArrow: {
        const Point from = s.points[0];
        const Point to = s.points[1];
        if (!is_finite(from) || !is_finite(to)) continue;
        const std::pair<Row, Row> ends = {{from.x, from.y}, {to.x, to.y}};
        script.data(name, std::vector{ends});
        parts.push_back(
            fmt::format("${} using 1:2:($3-$1):($4-$2) with vectors filled head "
                        "size screen 0.014,20 {}",
                        name, line_style(s.pen)));
        break;
      }
      case Stroke::kDots:
        script.data(name, rows_of(s.points));
        parts.push_back(
            fmt::format("${} using 1:2 with points pointtype 7 pointsize {:g} "
                        "linecolor rgb '{}'",
                        name, 2.6 * s.pen.width, hex(rgb(s.pen))));
        break;
      case Stroke::kLine:
        script.data(name, rows_of(s.points));
        parts.push_back(fmt::format("${} using 1:2 with lines {}", name, line_style(s.pen)));
        break;
    }
  }
}

void Sketch::draw_labels(Script& script, const Axes2D& axes) const {
  for (const Label& label : labels_) {
    if (!is_finite(label.at)) continue;
    const int ink = label.pen.hue > 0 ? darker(rgb(label.pen)) : rgb(label.pen);
    script.text(axes.across(label.at.x), axes.down(label.at.y), label.words, style::kSmall,
                hex(ink), where(label.align));
  }
}

std::vector<Point> ellipse(Point centre, Point a, Point b) {
  constexpr int kPoints = 121;
  std::vector<Point> points;
  for (int i = 0; i < kPoints; ++i) {
    const double t = 2 * std::numbers::pi * i / (kPoints - 1);
    points.push_back({centre.x + a.x * std::cos(t) + b.x * std::sin(t),
                      centre.y + a.y * std::cos(t) + b.y * std::sin(t)});
  }
  return points;
}

std::vector<Point> between(const std::vector<Point>& lower, std::vector<Point> upper) {
  std::reverse(upper.begin(), upper.end());
  upper.insert(upper.begin(), lower.begin(), lower.end());
  return upper;
}

}  // namespace gradus::kit
