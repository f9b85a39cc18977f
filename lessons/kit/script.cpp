#include "lessons/kit/script.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <filesystem>
#include <iomanip>
#include <ios>
#include <locale>

#include <fmt/ranges.h>

namespace gradus::kit {
namespace {

// Okabe and Ito's colours (https://jfly.uni-koeln.de/color), told apart with every kind of colour
// vision, without their yellow, which white swallows, and with four darker ones after them.
constexpr std::array kColours = {0x0072B2, 0xD55E00, 0x009E73, 0xCC79A7, 0xE69F00,
                                 0x56B4E9, 0x882255, 0x999933, 0x332288, 0x777777};

}  // namespace

int colour(std::size_t i) { return kColours[i % kColours.size()]; }

int darker(int rgb) {
  int result = 0;
  for (int shift : {16, 8, 0}) result |= ((rgb >> shift & 255) * 7 / 10) << shift;
  return result;
}

std::string hex(int rgb) { return fmt::format("#{:06x}", rgb); }

// Gnuplot counts in points, of which 72 are 96 pixels.
std::string font(int size, const char* weight) {
  return fmt::format("'{}{},{:g}'", style::kFont, weight, size * 0.75);
}

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

Script::Script(Lesson& lesson, const std::string& name, double width, double height)
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

// Without a file, for whatever reason, the lines go nowhere, and finish says so.
void Script::open() {
  try {
    gp_.emplace(">" + drawing_.part(file()).string());
  } catch (const std::ios_base::failure&) {
    return;
  }
  gp_->imbue(std::locale::classic());
  *gp_ << std::defaultfloat << std::setprecision(6);
}

void Script::text(double x, double y, const std::string& text, int size, const std::string& rgb,
                  const char* where, const char* weight) {
  if (text.empty()) return;
  line("set label {} at screen {:.5f},{:.5f} {} front font {} textcolor rgb '{}'", quote(text),
       x / width_, 1 - y / height_, where, font(size, weight), rgb);
}

void Script::frame(const Box& box, const std::string& title, const std::string& note) {
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

void Script::plot(const std::vector<std::string>& parts) {
  line("plot {}", parts.empty() ? "NaN" : fmt::format("{}", fmt::join(parts, ", \\\n  ")));
}

void Script::finish() {
  if (gp_) gp_->flush();
  const bool written = gp_ && gp_->good();
  gp_.reset();
  if (!written || !drawing_.put_in_place(file())) {
    drawing_.give_up(fmt::format("cannot write its script {}", file()));
    return;
  }
  drawing_.paint(
      {.command = {"gnuplot", "-d", std::filesystem::absolute(lesson_.directory() / file())},
       .package = "gnuplot-nox",
       .by_hand = "gnuplot *.gp"});
}

double header(const std::string& note) {
  return style::kMargin + style::kTitle * style::kLeading +
         (note.empty() ? 0 : style::kSmall * style::kLeading) + 24;
}

}  // namespace gradus::kit
