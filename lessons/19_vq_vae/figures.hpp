#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/19_vq_vae/instruments.hpp"
#include "lessons/19_vq_vae/model.hpp"
#include "lessons/19_vq_vae/on_paper.hpp"
#include "lessons/common/rows.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/diagram.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "tensor/layout.hpp"

// The figures of lesson 19.
namespace gradus::lesson19 {

// Four words for a normal number, and the pieces of the line that take them.
inline void draw_four_words(kit::Lesson& lesson, const Dictionary& best) {
  kit::Sketch sketch(
      {.title = "Four words for a normal number",
       .note =
           "dots: words, each the mean of its piece; borders are half-way; %: share of all numbers",
       .x_label = "x",
       .y_label = "density",
       .axes = true,
       .equal_scale = false,
       .shown = {{-3.2, 0}, {3.2, 0.42}}});
  const auto zero = [](double) { return 0.0; };
  for (std::size_t v = 0; v < best.words.size(); ++v) {
    const double low = std::max(-3.2, best.border(v));
    const double high = std::min(3.2, best.border(v + 1));
    const int hue = static_cast<int>(v) + 1;
    sketch.area(kit::between(kit::curve(low, high, zero), kit::curve(low, high, density)),
                {.hue = hue});
    sketch.line(kit::curve(low, high, density), {.hue = hue});
    const double e = best.words[v];
    sketch.dots({{e, 0}}, {.hue = hue, .width = 1.5});
    const std::string sign = e < 0 ? "−" : "";
    sketch.text({e, 0.058}, fmt::format("{}{:.3f}", sign, std::abs(e)), {.hue = hue});
    sketch.text({e, 0.028}, fmt::format("{:.0f} %", 100 * best.shares[v]), {.hue = hue});
  }
  sketch.draw(lesson, "four_words");
}

// What is computed, and where the gradient goes.
inline void draw_straight_through(kit::Lesson& lesson) {
  kit::Diagram diagram({.title = "The gradient goes past the dictionary",
                        .note = "dark: what is computed; colour, dashed: the gradient's way back"});
  diagram.node("x", "x", kit::Diagram::kObserved);
  diagram.node("z", "z", kit::Diagram::kStep);
  diagram.node("e", "e", kit::Diagram::kStep);
  diagram.node("l", "−ln p(x|e)", kit::Diagram::kStep);
  diagram.edge("x", "z", "encoder");
  diagram.edge("z", "e", "nearest word");
  diagram.edge("e", "l", "decoder");
  const kit::Diagram::Look back{.dashed = true, .hue = 2};
  diagram.edge("l", "e", "decoder", back);
  diagram.edge("e", "z", "as it is", back);
  diagram.edge("z", "x", "encoder", back);
  diagram.draw(lesson, "straight_through");
}

// The numbers of the words from the one that is used most.
inline std::vector<Index> by_usage(const Usage& usage) {
  std::vector<Index> order(usage.shares.size());
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return usage.shares[a] > usage.shares[b]; });
  return order;
}

// The mean of the 12 x 12 pixels around the places that chose a word, of which it decides the
// middle mostly; black where none did. Outside of an image all is black.  (V, 12, 12)
template <class Net>
Tensor<float> word_images(const VqVae<Net>& model, const Tensor<float>& images, Index side) {
  constexpr Index kShown = 12;
  const Index n = images.extent(0);
  const Index map = side / 4;
  const std::vector<Index> words = model.words_of(images);
  const Tensor<float> rows = pad(images.reshape({n, side, side}), 1, 4, 4);
  const Tensor<float> padded = pad(rows, 2, 4, 4);  // (N, side + 8, side + 8)
  Tensor<float> total({model.codebook.size(), kShown * kShown});
  std::vector<double> counts(model.codebook.size());
  for (Index r = 0; r < map; ++r)
    for (Index c = 0; c < map; ++c) {
      const Tensor<float> around =
          slice(slice(padded, 1, 4 * r, 4 * r + kShown), 2, 4 * c, 4 * c + kShown);
      std::vector<Index> at_place;
      for (Index i = 0; i < n; ++i) at_place.push_back(words[(i * map + r) * map + c]);
      for (Index v : at_place) ++counts[v];
      total +=
          scatter_add_rows(around.reshape({n, kShown * kShown}), at_place, model.codebook.size());
    }
  for (Index v = 0; v < model.codebook.size(); ++v)
    for (Index d = 0; d < kShown * kShown && counts[v] > 0; ++d)
      total.set({v, d}, static_cast<float>(total(v, d) / counts[v]));
  return total.reshape({-1, kShown, kShown});
}

template <class Net>
void draw_dictionary(kit::Lesson& lesson, const VqVae<Net>& model, const Usage& usage,
                     const Tensor<float>& images, Index side) {
  kit::images(lesson, "dictionary",
              {.title = "The words: brightness, edges, corners, stripes",
               .note = "mean of what lies around the places that chose a word; the word used most "
                       "first",
               .columns = 16},
              gather_rows(word_images(model, images, side), by_usage(usage)));
}

// Maps of words as images: a word's grey is how bright it is among the words, and each place is a
// square of 4 x 4 pixels.  N M words -> (N, D)
template <class Net>
Tensor<float> shown_words(const VqVae<Net>& model, const std::vector<Index>& maps, Index side) {
  const Index size = model.codebook.size();
  const Index map = side / 4;
  std::vector<Index> all(size);
  std::iota(all.begin(), all.end(), Index{0});
  std::vector<Index> filled;
  for (Index v : all) filled.insert(filled.end(), map * map, v);
  const Tensor<float> brightness = mean(model.decoded(filled), {1});  // (V)
  std::sort(all.begin(), all.end(),
            [&](Index a, Index b) { return brightness(a) < brightness(b); });
  std::vector<float> grey(size);
  for (Index rank = 0; rank < size; ++rank)
    grey[all[rank]] = static_cast<float>(rank) / static_cast<float>(size);

  const Index n = std::ssize(maps) / (map * map);
  Tensor<float> images({n, side, side});
  for (Index i = 0; i < n; ++i)
    for (Index r = 0; r < side; ++r)
      for (Index c = 0; c < side; ++c)
        images.set({i, r, c}, grey[maps[(i * map + r / 4) * map + c / 4]]);
  return images.reshape({n, side * side});
}

template <class Net>
void draw_words_of_images(kit::Lesson& lesson, const VqVae<Net>& model, const Tensor<float>& images,
                          const kit::ImageData& data) {
  const std::vector<Index> words = model.words_of(images);
  draw_rows(lesson, "words",
            fmt::format("An image, its {} words, and what they decode to", model.places()),
            "test images; a word's grey is its rank in brightness among the words",
            {{"image", images},
             {"words", shown_words(model, words, data.height)},
             {"decoded", model.decoded(words)}},
            data);
}

// How often each word is used, from the one that is used most.
struct NamedUsage {
  std::string label;
  Usage usage;
};

inline void draw_usage(kit::Lesson& lesson, const std::vector<NamedUsage>& ways) {
  std::vector<kit::Series> series;
  for (const auto& [label, usage] : ways) {
    kit::Series line{.label = label, .mark = kit::Series::kLineAndDots};
    for (Index v : by_usage(usage))
      if (usage.shares[v] > 0) line.y.push_back(100 * usage.shares[v]);
    line.label_inside = std::ssize(line.y) < 50;
    series.push_back(line);
  }
  const double fair = 100.0 / static_cast<double>(ways.front().usage.shares.size());
  kit::
      plot(lesson, "usage",
           {.title = "Without revival most words are never used",
            .note =
                "after the same short training; the words that test images use, from the most used",
            .x_label = "word, by how often it is used",
            .y_label = "share of all places, %",
            .log_y = true,
            .levels = {{"fair share", fair}}},
           series);
}

// What a code costs and what it leaves.
struct RateRow {
  enum Side { kRight, kLeft, kAbove, kBelow };

  std::string label;
  double rate, distortion;
  int hue;
  Side side = kRight;  // where the label stands
};

inline void draw_rates(kit::Lesson& lesson, const std::vector<RateRow>& rows) {
  double low = 1e9;
  double high = 0;
  for (const RateRow& row : rows) {
    low = std::min(low, row.distortion);
    high = std::max(high, row.distortion);
  }
  low -= 5;
  high += 5;
  kit::Sketch sketch(
      {.title = "49 words leave less than a VAE, and cost far more",
       .note = "test images; green: 49 words under four priors; dashed: one sum, −ELBO",
       .x_label = "rate: what the code costs, nats",
       .y_label = "distortion: −ln p(x|e), nats",
       .axes = true,
       .equal_scale = false,
       .shown = {{0, low}, {240, high}}});
  for (double sum = 50 * std::ceil(high / 50); sum < low + 240; sum += 50) {
    const double from = std::max(0.0, sum - high);
    const double to = sum - low;
    sketch.line({{from, sum - from}, {to, sum - to}}, {.hue = -1, .dashed = true});
    sketch.text({to + 3, low + 1}, fmt::format("{:.0f}", sum), {.hue = -1}, kit::Align::kLeft);
  }
  for (const RateRow& row : rows) {
    sketch.dots({{row.rate, row.distortion}}, {.hue = row.hue, .width = 1.5});
    const double gap = row.side == RateRow::kLeft ? 8 : 5;  // beyond the line that passes there
    const double up = 0.055 * (high - low);
    const kit::Pen pen{.hue = row.hue};
    if (row.side == RateRow::kAbove)
      sketch.text({row.rate, row.distortion + up}, row.label, pen);
    else if (row.side == RateRow::kBelow)
      sketch.text({row.rate, row.distortion - up}, row.label, pen);
    else if (row.side == RateRow::kLeft)
      sketch.text({row.rate - gap, row.distortion}, row.label, pen, kit::Align::kRight);
    else
      sketch.text({row.rate + gap, row.distortion}, row.label, pen, kit::Align::kLeft);
  }
  sketch.draw(lesson, "rates");
}

}  // namespace gradus::lesson19
