#include "lessons/kit/axes.hpp"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace gradus::kit {
namespace {

constexpr double kAxisLabel = style::kText * style::kLeading, kTicLength = 24;

std::string tic_text(double v) {
  std::string text = fmt::format("{:.6g}", v == 0 ? 0 : v);
  if (text[0] == '-') text.replace(0, 1, "−");
  return text;
}

// The text of a tic, in quotes. Gnuplot takes it for a format, in which %% stands for %.
std::string quote_tic(const std::string& text) {
  std::string format;
  for (char c : text) format += c == '%' ? "%%" : std::string(1, c);
  return quote(format);
}

}  // namespace

std::vector<double> tics(const Range& range, int most, bool whole) {
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

double left_of_axis(const std::vector<double>& y_tics) {
  double tic_width = 0;
  for (double v : y_tics) tic_width = std::max(tic_width, text_width(tic_text(v), style::kSmall));
  return style::kMargin + kAxisLabel + tic_width + 1.8 * kTicLength;
}

double bottom_of_plot(double height) {
  return height - style::kMargin - kAxisLabel - style::kSmall * style::kLeading - kTicLength;
}

double give_one_scale(Axes2D& axes) {
  const double width = axes.box.right - axes.box.left;
  const double height = axes.box.bottom - axes.box.top;
  const double pixel =
      std::max((axes.x.high - axes.x.low) / width, (axes.y.high - axes.y.low) / height);
  for (auto [range, pixels] : {std::pair{&axes.x, width}, std::pair{&axes.y, height}}) {
    const double centre = (range->low + range->high) / 2;
    range->low = centre - pixel * pixels / 2;
    range->high = centre + pixel * pixels / 2;
  }
  return pixel;
}

void draw_axes(Script& script, const PlotText& text, const Axes2D& axes,
               const std::vector<std::string>& names) {
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
      list += fmt::format("{}{} {:.8g}", list.empty() ? "" : ", ", quote_tic(tic_text(v)), v);
    script.line("set {}tics ({})", axis, list);
  }
  if (names.empty()) return;
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i)
    list += fmt::format("{}{} {}", i ? ", " : "", quote_tic(names[i]), i + 1);
  script.line("set xtics ({}) scale 0", list);
}

std::vector<Level> shown_levels(const PlotText& text) {
  std::vector<Level> levels;
  for (const Level& level : text.levels)
    if (std::isfinite(level.y) && (level.y > 0 || !text.log_y)) levels.push_back(level);
  return levels;
}

void add_levels(const std::vector<Level>& levels, std::vector<std::string>& parts) {
  for (const Level& level : levels)
    parts.push_back(fmt::format("{:.10g} with lines dashtype 2 linewidth 1 linecolor rgb '{}'",
                                level.y, style::kPale));
}

void draw_end_labels(Script& script, const Box& box, std::vector<EndLabel> labels) {
  std::erase_if(labels, [](const EndLabel& label) { return label.text.empty(); });
  std::vector<double> wanted;
  for (const EndLabel& label : labels) wanted.push_back(label.y);
  const double line = style::kSmall * style::kLeading;
  const auto placed = spread(wanted, line, box.top - line / 2, box.bottom + line / 2);
  for (std::size_t i = 0; i < labels.size(); ++i)
    script.text(box.right + kLabelGap, placed[i], labels[i].text, style::kSmall, labels[i].rgb);
}

}  // namespace gradus::kit
