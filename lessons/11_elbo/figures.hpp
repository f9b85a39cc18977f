#pragma once
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/11_elbo/model.hpp"
#include "lessons/common/linear_gaussian.hpp"
#include "lessons/common/scalar_normal.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"

// The figures of lesson 11.
namespace gradus::lesson11 {

// The ELBO of q = N(mean, variance) by its mean, for four variances.  seen: (1, 1)
inline void draw_elbo(kit::Lesson& lesson, const LinearGaussian<double>& model,
                      const Tensor<double>& seen) {
  std::vector<kit::Series> lines;
  for (double variance : {0.2, 0.5, 0.03, 1.0}) {
    kit::Series line{.label = fmt::format("variance {}", variance)};
    for (int i = -20; i <= 80; ++i) {
      const double mean = i / 50.0;
      line.x.push_back(mean);
      line.y.push_back(model.elbo(seen, scalar_normal(mean, variance)).item());
    }
    lines.push_back(line);
  }
  kit::plot(lesson, "elbo",
            {.title = "The ELBO of each normal q, and the ceiling that it never passes",
             .note =
                 "it touches at the posterior, mean 0.6 and variance 0.2; the gap is the KL to it",
             .x_label = "mean of q",
             .y_label = "ELBO, nats",
             .levels = {{"ln p(x)", model.log_evidence(seen).item()}}},
            lines);
}

// The ELBO and KL(q || posterior) before each step of gradient ascent, in nats.
struct Ascent {
  std::vector<double> elbos;
  std::vector<double> gaps;
};

// Its first 20 steps.
inline void draw_climb(kit::Lesson& lesson, const Ascent& ascent) {
  kit::Series elbo{.label = "ELBO", .mark = kit::Series::kLineAndDots};
  kit::Series both{.label = "ELBO + KL"};
  for (int step = 0; step <= 20; ++step) {
    elbo.x.push_back(step);
    elbo.y.push_back(ascent.elbos[step]);
    both.x.push_back(step);
    both.y.push_back(ascent.elbos[step] + ascent.gaps[step]);
  }
  kit::plot(lesson, "climb",
            {.title = "What the ELBO gains, the gap loses",
             .note = "gradient ascent from q = the prior: the sum is ln p(x) at every step",
             .x_label = "step",
             .y_label = "nats"},
            {elbo, both});
}

// P(z_t = k | x) on three days, k = 0 for rain, exactly and by mean field.  (3, 2) each
inline void draw_weather(kit::Lesson& lesson, const Tensor<double>& exact,
                         const Tensor<double>& mean_field) {
  auto rain = [](const Tensor<double>& days) { return slice(days, 1, 0, 1).to_vector(); };
  kit::bars(lesson, "weather",
            {.title = "The probability of rain on each of three days",
             .note = "mean field takes the days to be independent, and is too sure of itself",
             .x_label = "what was seen",
             .y_label = "probability of rain"},
            {{.label = "exact", .y = rain(exact)}, {.label = "mean field", .y = rain(mean_field)}},
            {"day 1: umbrella", "day 2: umbrella", "day 3: none"});
}

// The logarithms of the probabilities of all eight paths, exactly and by mean field.  (8) each
inline void draw_paths(kit::Lesson& lesson, const Tensor<double>& exact,
                       const Tensor<double>& mean_field) {
  kit::bars(lesson, "paths",
            {.title = "The probability of each weather over the three days",
             .note = "R: rain, D: dry; independent days cannot say that weather tends to stay",
             .x_label = "weather on the three days",
             .y_label = "probability"},
            {{.label = "exact", .y = exp(exact).to_vector()},
             {.label = "mean field", .y = exp(mean_field).to_vector()}},
            {"RRR", "RRD", "RDR", "RDD", "DRR", "DRD", "DDR", "DDD"});
}

}  // namespace gradus::lesson11
