#pragma once
#include <string>
#include <utility>
#include <vector>

#include "lessons/kit/lesson.hpp"

namespace gradus::kit {

class Script;
struct Axes2D;
struct Range;

struct Point {
  double x, y;
};

// How something of a sketch is drawn.
struct Pen {
  int hue = 0;  // 1, 2, ...: the colours of series in the other figures; 0: dark; -1: pale
  bool dashed = false;
  double width = 1;  // of a line or of dots, in units of the usual one
};

enum class Align { kLeft, kCentre, kRight };

// A drawing in a plane, for what a text describes and data do not show: points and where they are
// projected to, a curve with what lies under it, the ellipse of a Gaussian.
//
//     kit::Sketch sketch({.title = "A point, a line, and the nearest point of the line"});
//     sketch.line({{-2, -1}, {2, 1}}, {.hue = 1});
//     sketch.dots({{1, 2}});
//     sketch.line({{1, 2}, {1.6, 0.8}}, {.dashed = true});
//     sketch.text({1.1, 2}, "x", {}, kit::Align::kLeft);
//     sketch.draw(lesson, "projection");
//
// What is drawn later lies above, but areas lie below everything and texts above. Points that are
// not finite break a line, and are left out elsewhere.
class Sketch {
 public:
  struct Text {
    std::string title = {};
    std::string note = {};                   // one more line, smaller; may be empty
    std::string x_label = {}, y_label = {};  // with units, where there are axes
    bool axes = false;                       // drawn, with numbers on them
    bool equal_scale = true;                 // a unit of x is as long as a unit of y
    std::vector<Point> shown = {};  // two corners of what is shown; empty: all, texts included
  };

  explicit Sketch(Text text) : text_(std::move(text)) {}

  // Lines from point to point. A closed one ends where it begins.
  void line(std::vector<Point> points, Pen pen = {});
  // A line with a head at its end.
  void arrow(Point from, Point to, Pen pen = {});
  void dots(std::vector<Point> points, Pen pen = {});
  // Fills what an outline encloses, in a pale shade of the pen's colour.
  void area(std::vector<Point> outline, Pen pen = {});
  // Plain UTF-8 text at a point, in a darker shade of the pen's colour.
  void text(Point at, std::string words, Pen pen = {}, Align align = Align::kCentre);

  // Writes NAME.gp and has gnuplot draw NAME.png, as the other figures do.
  void draw(Lesson& lesson, const std::string& name) const;

 private:
  struct Stroke {
    enum Kind { kLine, kArrow, kDots };

    Kind kind;
    std::vector<Point> points;
    Pen pen;
  };

  struct Area {
    std::vector<Point> outline;
    Pen pen;
  };

  struct Label {
    Point at;
    std::string words;
    Pen pen;
    Align align;
  };

  struct Layout;

  Layout layout() const;
  Layout with_room_for_labels(Range x, Range y) const;
  Layout layout_of(Range x, Range y) const;
  void draw_frame(Script& script, const Axes2D& axes) const;
  void add_areas(Script& script, std::vector<std::string>& parts) const;
  void add_strokes(Script& script, std::vector<std::string>& parts) const;
  void draw_labels(Script& script, const Axes2D& axes) const;

  Text text_;
  std::vector<Area> areas_;
  std::vector<Stroke> strokes_;
  std::vector<Label> labels_;
};

// Points of an ellipse, centre + a cos t + b sin t for t from 0 to 2 pi: closed.
std::vector<Point> ellipse(Point centre, Point a, Point b);

// Points (x, f(x)) at `n` places from `low` to `high`.
//
// REQUIRES: n >= 2.
template <class F> std::vector<Point> curve(double low, double high, F f, int n = 200) {
  std::vector<Point> points;
  for (int i = 0; i < n; ++i) {
    const double x = low + (high - low) * i / (n - 1);
    points.push_back({x, f(x)});
  }
  return points;
}

// The outline of what lies between two curves of the same places: for Sketch::area.
std::vector<Point> between(const std::vector<Point>& lower, std::vector<Point> upper);

}  // namespace gradus::kit
