#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gnuplot-iostream.h>

#include "lessons/kit/drawing.hpp"
#include "lessons/kit/lesson.hpp"

// What all figures that gnuplot draws are made of: one style, and a script while it is written.
namespace gradus::kit {

// The one style of all figures. Sizes are pixels of a PNG that is looked at at half of its size.
namespace style {
inline constexpr const char* kFont = "DejaVu Sans";
inline constexpr int kTitle = 42, kText = 34, kSmall = 30;
inline constexpr const char *kInk = "#222222", *kPale = "#666666", *kGrid = "#e4e4e4";
inline constexpr int kWidth = 1600, kHeight = 1000;
inline constexpr int kMargin = 40;
inline constexpr double kLetter = 0.58;  // mean width of a letter, in units of the font's size
inline constexpr double kLeading = 1.3;  // from line to line, in units of the font's size

inline constexpr const char* kDiverging =
    "0 '#08519c', 1 '#6baed6', 2 '#ffffff', 3 '#fd8d3c', 4 '#a63603'";
}  // namespace style

// The colour of the i-th thing that a figure shows, and one to write in.
int colour(std::size_t i);
int darker(int rgb);
std::string hex(int rgb);

// A font of a size in pixels, in gnuplot's words.
std::string font(int size, const char* weight = "");

// Text in single quotes, in which gnuplot expands nothing.
std::string quote(const std::string& text);

// About as wide as text of that size will be, in pixels; and the widest of several.
double text_width(const std::string& text, int size);
double widest(const std::vector<std::string>& texts, int size);

// Places intervals of equal length `gap` on a line, each as near to where it wants its centre as
// the others let it, within [low, high].
std::vector<double> spread(const std::vector<double>& wanted, double gap, double low, double high);

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

struct Box {
  double left, right, top, bottom;  // pixels, from the top left corner of the picture
};

// A gnuplot script while it is written.
class Script {
 public:
  // Of NAME.gp, for a picture of that size in pixels.
  Script(Lesson& lesson, const std::string& name, double width, double height);

  template <class... Args> void line(fmt::format_string<Args...> format, Args&&... args) {
    if (gp_) *gp_ << fmt::format(format, std::forward<Args>(args)...) << '\n';
  }

  // A named block of numbers, one row a line.
  template <class Rows> void data(const std::string& name, const Rows& rows) {
    line("${} << e", name);  // send1d ends its data with a line "e"
    if (gp_) gp_->send1d(rows);
  }

  // Text at a place in pixels, from the top left corner. `where` says how it lies there, in
  // gnuplot's words.
  void text(double x, double y, const std::string& text, int size, const std::string& rgb,
            const char* where = "left", const char* weight = "");

  // Places the plotting area, with title and note above it.
  void frame(const Box& box, const std::string& title, const std::string& note);

  // Draws, one part above the other, what each says in gnuplot's words. Without any, an empty plot.
  void plot(const std::vector<std::string>& parts);

  double height() const { return height_; }

  // Puts the script in place and has it drawn. Where either fails, the lesson says so at its end.
  void finish();

 private:
  std::string file() const { return name_ + ".gp"; }

  void open();

  Lesson& lesson_;
  std::string name_;
  double width_, height_;
  Drawing drawing_;
  std::optional<Gnuplot> gp_;
};

// The room that a title, and a note under it, take above a figure.
double header(const std::string& note);

}  // namespace gradus::kit
