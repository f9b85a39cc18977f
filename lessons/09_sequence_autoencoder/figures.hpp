#pragma once
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/09_sequence_autoencoder/instruments.hpp"
#include "lessons/kit/diagram.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/tensor.hpp"

// The figures of lesson 09.
namespace gradus::lesson09 {

// The network, unrolled for a word of three letters.
inline void draw_network(kit::Lesson& lesson) {
  kit::Diagram diagram(
      {.title = "One network reads the word from its end, another writes it",
       .note =
           "h, g: states; z: the code, which each g is also given; dashed: what was just written"});
  const std::vector<std::string> read = {"end", "t", "a", "c"};
  const std::vector<std::string> written = {"c", "a", "t", "end"};
  std::string before;
  for (std::size_t t = 0; t < read.size(); ++t) {
    const std::string symbol = fmt::format("x{}", t), state = fmt::format("h{}", t + 1);
    diagram.node(symbol, read[t], kit::Diagram::kNothing);
    diagram.node(state, fmt::format("h{}", t + 1), kit::Diagram::kStep, {.hue = 1});
    diagram.edge(symbol, state);
    diagram.level({symbol, state});
    if (!before.empty()) diagram.edge(before, state);
    before = state;
  }
  diagram.node("z", "z", kit::Diagram::kLatent);
  diagram.edge(before, "z");
  std::string last = "z";
  for (std::size_t t = 0; t < written.size(); ++t) {
    const std::string symbol = fmt::format("y{}", t), state = fmt::format("g{}", t + 1);
    diagram.node(state, fmt::format("g{}", t + 1), kit::Diagram::kStep, {.hue = 2});
    diagram.node(symbol, written[t], kit::Diagram::kNothing);
    diagram.edge(last, state);
    diagram.edge(state, symbol);
    diagram.level({state, symbol});
    if (t > 0) diagram.edge(fmt::format("y{}", t - 1), state, "", {.dashed = true});
    last = state;
  }
  diagram.draw(lesson, "network");
}

// Shares that come back by step, of runs that differ in the direction of reading.
struct Run {
  std::string label;
  std::vector<double> steps;
  std::vector<Score> scores;
};

inline void draw_rates(kit::Lesson& lesson, const std::vector<Run>& runs) {
  std::vector<kit::Series> series;
  for (const Run& run : runs) {
    kit::Series exact{.label = run.label, .x = run.steps, .mark = kit::Series::kLineAndDots};
    for (const Score& score : run.scores) exact.y.push_back(score.alone.exact);
    series.push_back(exact);
  }
  kit::plot(lesson, "rates",
            {.title = "Read from its end, a word is learned sooner",
             .note = "held-out words; the same start, and the same words in the same order",
             .x_label = "step of training",
             .y_label = "% of words that come back whole"},
            series);
}

// The length of a gradient by distance from the last state.
struct Fading {
  std::string label;
  std::vector<double> lengths;  // at distance 0, 1, ...
};

inline void draw_fading(kit::Lesson& lesson, const std::string& name, const std::string& title,
                        const std::string& note, const std::vector<Fading>& curves) {
  std::vector<kit::Series> series;
  for (const Fading& curve : curves) {
    kit::Series line{.label = curve.label, .y = curve.lengths, .mark = kit::Series::kLineAndDots};
    for (std::size_t k = 0; k < curve.lengths.size(); ++k) line.x.push_back(static_cast<double>(k));
    series.push_back(line);
  }
  kit::plot(lesson, name,
            {.title = title,
             .note = note,
             .x_label = "steps back",
             .y_label = "length of the gradient",
             .log_y = true},
            series);
}

// Codes (N, 2) along their first two principal axes, by the lengths of their words.
inline void draw_map(kit::Lesson& lesson, const Tensor<float>& places,
                     const std::vector<std::string>& words) {
  std::vector<Index> labels;
  for (const std::string& word : words) labels.push_back(std::ssize(word) - 4);
  std::vector<std::string> names;
  for (int letters = 4; letters <= 10; ++letters)
    names.push_back(fmt::format("{} letters", letters));
  kit::scatter(lesson, "map",
               {.title = "Long words on one side, short ones on the other",
                .note = "codes of held-out words along the two axes on which all codes vary most",
                .x_label = "first principal axis",
                .y_label = "second principal axis"},
               places, labels, names);
}

struct Share {
  std::string name;
  double percent;
};

inline void draw_shares(kit::Lesson& lesson, const std::string& name, const kit::PlotText& text,
                        const std::vector<Share>& shares) {
  kit::Series series;
  std::vector<std::string> names;
  for (const Share& share : shares) {
    series.y.push_back(share.percent);
    names.push_back(share.name);
  }
  kit::bars(lesson, name, text, {series}, names);
}

}  // namespace gradus::lesson09
