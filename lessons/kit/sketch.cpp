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
  for (int shift : {16, 8, 0}) result |= (255 - (255 - (rgb >> shift & 255)) / 6) << shift;
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

// The axes of a picture of the usual width. Where a unit of x is as long as a unit of y, the
// picture is as high as that needs, within limits, and then the axis with room to spare reaches
// further.
struct Layout {
  Axes2D axes;
  double height;
};

Layout layout_of(const Sketch::Text& text, Range x, Range y) {
  const double top = header(text.note);
  Axes2D axes{x, y, {}, {}, {}};
  if (text.axes) axes.y_tics = tics(y, 7);
  const double left = text.axes ? left_of_axis(axes.y_tics) : style::kMargin;
  const double below = text.axes ? style::kHeight - bottom_of_plot(style::kHeight) : style::kMargin;
  const double width = style::kWidth - style::kMargin - left;

  double height = style::kHeight - top - below;
  if (text.equal_scale) {
    constexpr double kLowest = 360, kHighest = 1100;
    height = std::clamp(width * (y.high - y.low) / (x.high - x.low), kLowest, kHighest);
    const double unit = std::max((x.high - x.low) / width, (y.high - y.low) / height);
    for (auto [range, pixels] : {std::pair{&axes.x, width}, std::pair{&axes.y, height}}) {
      const double centre = (range->low + range->high) / 2;
      range->low = centre - unit * pixels / 2;
      range->high = centre + unit * pixels / 2;
    }
  }
  if (text.axes) {
    axes.x_tics = tics(axes.x, 10);
    axes.y_tics = tics(axes.y, 7);
  }
  axes.box = {left, left + width, top, top + height};
  return {axes, top + height + below};
}

}  // namespace

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
  Range x, y;
  const auto include = [&](Point p) {
    if (!is_finite(p)) return;
    x.include(p.x);
    y.include(p.y);
  };
  if (text_.shown.empty()) {
    for (const Area& area : areas_)
      std::for_each(area.outline.begin(), area.outline.end(), include);
    for (const Stroke& s : strokes_) std::for_each(s.points.begin(), s.points.end(), include);
    for (const Label& label : labels_) include(label.at);
    x.widen(0.04);
    y.widen(0.06);
  } else {
    std::for_each(text_.shown.begin(), text_.shown.end(), include);
    x.widen(0);
    y.widen(0);
  }

  const Layout layout = layout_of(text_, x, y);
  const Axes2D& axes = layout.axes;
  Script script(lesson, name, style::kWidth, layout.height);
  if (text_.axes) {
    draw_axes(script,
              {.title = text_.title,
               .note = text_.note,
               .x_label = text_.x_label,
               .y_label = text_.y_label},
              axes);
    script.line("unset grid");
  } else {
    script.frame(axes.box, text_.title, text_.note);
    script.line("unset border");
    script.line("unset tics");
    script.line("set xrange [{:.8g}:{:.8g}]", axes.x.low, axes.x.high);
    script.line("set yrange [{:.8g}:{:.8g}]", axes.y.low, axes.y.high);
  }

  std::vector<std::string> parts;
  for (std::size_t i = 0; i < areas_.size(); ++i) {
    if (areas_[i].outline.size() < 3) continue;
    script.data(fmt::format("area{}", i), rows_of(areas_[i].outline));
    parts.push_back(
        fmt::format("$area{} using 1:2 with filledcurves closed fillstyle solid "
                    "noborder fillcolor rgb '{}'",
                    i, hex(tint(rgb(areas_[i].pen)))));
  }
  for (std::size_t i = 0; i < strokes_.size(); ++i) {
    const Stroke& s = strokes_[i];
    if (s.points.empty()) continue;
    if (s.kind == Stroke::kArrow) {
      if (!is_finite(s.points[0]) || !is_finite(s.points[1])) continue;
      script.data(fmt::format("stroke{}", i),
                  std::vector<std::pair<Row, Row>>{
                      {{s.points[0].x, s.points[0].y}, {s.points[1].x, s.points[1].y}}});
      parts.push_back(
          fmt::format("$stroke{} using 1:2:($3-$1):($4-$2) with vectors filled head "
                      "size screen 0.014,20 {}",
                      i, line_style(s.pen)));
      continue;
    }
    script.data(fmt::format("stroke{}", i), rows_of(s.points));
    if (s.kind == Stroke::kDots)
      parts.push_back(
          fmt::format("$stroke{} using 1:2 with points pointtype 7 pointsize {:g} "
                      "linecolor rgb '{}'",
                      i, 2.6 * s.pen.width, hex(rgb(s.pen))));
    else
      parts.push_back(fmt::format("$stroke{} using 1:2 with lines {}", i, line_style(s.pen)));
  }

  for (const Label& label : labels_) {
    if (!is_finite(label.at)) continue;
    const char* const where = label.align == Align::kLeft    ? "left"
                              : label.align == Align::kRight ? "right"
                                                             : "center";
    script.text(axes.across(label.at.x), axes.down(label.at.y), label.words, style::kSmall,
                hex(label.pen.hue > 0 ? darker(rgb(label.pen)) : rgb(label.pen)), where);
  }
  script.plot(parts);
  script.finish();
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
