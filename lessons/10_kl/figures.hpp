#pragma once
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/10_kl/model.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/distributions.hpp"

// The figures of lesson 10.
namespace gradus::lesson10 {

// Two tables of probabilities, (3) each, and the divergence of each from the other.
inline void draw_tables(kit::Lesson& lesson, const Tensor<double>& p, const Tensor<double>& q,
                        double kl_p_q, double kl_q_p) {
  kit::bars(lesson, "tables",
            {.title = "Two tables, and what it costs to mistake one for the other",
             .note =
                 fmt::format("KL(P || Q) = {:.4f} nats,  KL(Q || P) = {:.4f} nats", kl_p_q, kl_q_p),
             .x_label = "number of successes in two trials",
             .y_label = "probability"},
            {{.label = "P: binomial, each trial succeeds with probability 0.4", .y = p.to_vector()},
             {.label = "Q: uniform", .y = q.to_vector()}},
            {"0", "1", "2"});
}

// How far estimates of one divergence from random points were off.
struct SamplingErrors {
  std::string divergence;      // "KL(narrow || wide)"
  double variance;             // of ln p(x) - ln q(x) under p, on paper
  std::vector<double> points;  // n
  std::vector<double> errors;  // the root mean square over many estimates, in nats
};

inline void draw_monte_carlo(kit::Lesson& lesson, const std::vector<SamplingErrors>& all) {
  std::vector<kit::Series> series;
  for (const SamplingErrors& one : all) {
    kit::Series predicted{.label = fmt::format("σ / √n, σ² = {:.3g}", one.variance),
                          .x = one.points};
    for (double n : one.points) predicted.y.push_back(std::sqrt(one.variance / n));
    series.push_back(
        {.label = one.divergence, .x = one.points, .y = one.errors, .mark = kit::Series::kDots});
    series.push_back(predicted);
  }
  kit::plot(lesson, "monte_carlo",
            {.title = "How far a KL from n random points is off",
             .note = "dots: root mean square error of 400 runs; lines: what the formula says",
             .x_label = "number of points n",
             .y_label = "error of the estimate, nats",
             .log_x = true,
             .log_y = true},
            series);
}

// The density of `distribution` from -6 to 6 and back to `peak`, so that the line's label stands at
// the height of the peak.
template <class Distribution>
kit::Series density(const std::string& label, const Distribution& distribution, double peak) {
  kit::Series line{.label = label};
  auto add = [&](int i) {
    const double x = i / 20.0;
    line.x.push_back(x);
    line.y.push_back(std::exp(distribution.log_prob(Tensor<double>({1, 1}, {x})).item()));
  };
  for (int i = -120; i <= 120; ++i) add(i);
  for (int i = 120; i >= 20 * peak; --i) add(i);
  return line;
}

inline void draw_two_modes(kit::Lesson& lesson, const NormalMixture<double>& p,
                           const nn::Normal<double>& forward, const nn::Normal<double>& reverse) {
  kit::plot(lesson, "two_modes",
            {.title = "The same two modes, fitted with the ruler held either way",
             .note = "forward KL(p || q) covers both modes, reverse KL(q || p) sits down on one",
             .x_label = "x",
             .y_label = "density"},
            {density("p, two modes", p, 2), density("forward fit", forward, 0),
             density("reverse fit", reverse, 2)});
}

}  // namespace gradus::lesson10
