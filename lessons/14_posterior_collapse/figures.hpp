#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/14_posterior_collapse/on_paper.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"

// The figures of lesson 14.
namespace gradus::lesson14 {

// What one weight is worth, for data that vary more and less than the noise.
inline void draw_hills(kit::Lesson& lesson) {
  std::vector<kit::Series> series;
  for (double l : {4.0, 2.0, 1.0, 0.5}) {
    kit::Series curve{.label = fmt::format("λ = {}", l)};
    for (int i = -150; i <= 150; ++i) {
      const double w = i / 50.0;
      curve.x.push_back(w);
      curve.y.push_back(best_objective(w, l, 1) - best_objective(0, l, 1));
    }
    series.push_back(curve);
  }
  kit::plot(lesson, "hills",
            {.title = "Where data vary more than the noise, a weight pays",
             .note = "one pixel, one latent, noise variance 1; the best q for each w",
             .x_label = "weight w",
             .y_label = "ELBO, less that at w = 0, nats"},
            series);
}

// The number of latents that live, by the noise.
struct Counts {
  std::vector<double> sigma2, alive;
};

inline void draw_staircase(kit::Lesson& lesson, const std::vector<double>& l, Index most,
                           const Counts& linear, const Counts& bent) {
  const Index shown = std::min<Index>(most, std::ssize(l));
  kit::Series predicted{.label = "line: predicted", .hue = 1};
  for (int i = 0; i <= 400; ++i) {
    const double sigma2 = 0.25 * std::pow(120, i / 400.0);
    Index alive = 0;
    while (alive < shown && l[alive] > sigma2) ++alive;
    predicted.x.push_back(sigma2);
    predicted.y.push_back(static_cast<double>(alive));
  }
  // From the least noise on: a series' label stands beside its last point.
  const auto dots_of = [](const Counts& counts, const std::string& label, int hue) {
    return kit::Series{.label = label,
                       .x = {counts.sigma2.rbegin(), counts.sigma2.rend()},
                       .y = {counts.alive.rbegin(), counts.alive.rend()},
                       .mark = kit::Series::kDots,
                       .hue = hue};
  };
  kit::plot(lesson, "staircase",
            {.title = "Linear: as many live as eigenvalues exceed the noise",
             .note = "Fashion-MNIST, normal pixels; linear VAEs of 50 latents, networks of 20 "
                     "after 5 epochs",
             .x_label = "variance σ² of the noise of a pixel",
             .y_label = "latents alive",
             .log_x = true},
            {predicted, dots_of(linear, "dots: linear VAE", 1), dots_of(bent, "dots: network", 2)});
}

inline void draw_kl_per_latent(kit::Lesson& lesson, const std::vector<double>& predicted,
                               const std::vector<double>& measured, double sigma2) {
  constexpr std::size_t kShown = 12;
  kit::Series formula{.label = "formula"};
  kit::Series trained{.label = "trained"};
  for (std::size_t k = 0; k < std::min(kShown, measured.size()); ++k) {
    formula.y.push_back(k < predicted.size() ? predicted[k] : 0);
    trained.y.push_back(measured[k]);
  }
  kit::bars(lesson, "kl_per_latent",
            {.title = "The KL of each latent is ½ ln(λ / σ²), or nothing",
             .note = fmt::format("linear VAE of Fashion-MNIST, σ² = {}; the first {} of {} latents",
                                 sigma2, formula.y.size(), measured.size()),
             .x_label = "latent, by its KL",
             .y_label = "KL, nats per image"},
            {formula, trained});
}

// What a model was during its climb.
struct Trace {
  std::string label;
  int hue = 0;  // as of a Series
  std::vector<double> step = {}, value = {};
};

inline std::vector<kit::Series> series_of(const std::vector<Trace>& traces) {
  std::vector<kit::Series> series;
  for (const Trace& trace : traces)
    series.push_back({.label = trace.label, .x = trace.step, .y = trace.value, .hue = trace.hue});
  return series;
}

inline void draw_annealing(kit::Lesson& lesson, const std::vector<Trace>& traces,
                           double predicted) {
  kit::plot(lesson, "annealing",
            {.title = "Annealing lets all live for a while, and then they die",
             .note = "linear VAE of Fashion-MNIST, σ² = 2; β grows from 0 to 1 in the first half",
             .x_label = "step",
             .y_label = "latents alive",
             .levels = {{fmt::format("predicted: {:.0f}", predicted), predicted}}},
            series_of(traces));
}

inline void draw_axes(kit::Lesson& lesson, const std::vector<Trace>& traces) {
  kit::plot(lesson, "axes",
            {.title = "A diagonal q turns W to PCA's axes, a full q does not",
             .note = "the toy; of the two columns of W the one that is farther off",
             .x_label = "step",
             .y_label = "angle to the nearest axis, degrees"},
            series_of(traces));
}

// The KL of each latent of networks.
struct Spectrum {
  std::string label;
  std::vector<double> kl;
};

inline void draw_networks(kit::Lesson& lesson, const std::vector<Spectrum>& spectra,
                          double threshold) {
  std::vector<kit::Series> series;
  for (const Spectrum& spectrum : spectra)
    series.push_back({.label = spectrum.label,
                      .y = spectrum.kl,
                      .mark = kit::Series::kLineAndDots,
                      .label_inside = spectrum.kl.size() < 50});
  kit::plot(lesson, "networks",
            {.title = "With 50 latents about as many live as with 20",
             .note = "Bernoulli pixels, test images; latents by their KL",
             .x_label = "latent",
             .y_label = "KL, nats per image",
             .log_y = true,
             .levels = {{"alive above", threshold}}},
            series);
}

}  // namespace gradus::lesson14
