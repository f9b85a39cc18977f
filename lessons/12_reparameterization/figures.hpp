#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/tensor.hpp"

// The figures of lesson 12.
namespace gradus::lesson12 {

// The variance of an estimator by the standard deviation of its noise, on paper.
struct VarianceCurve {
  std::string label;
  double (*variance)(double s);
};

// Variances as they were measured, of all estimators.
struct MeasuredVariances {
  std::vector<double> deviations;
  std::vector<double> variances;
};

// The curves from `low` to `high` as lines, and what was measured as dots.
inline std::vector<kit::Series> lines_and_dots(const std::vector<VarianceCurve>& curves,
                                               const MeasuredVariances& measured, double low,
                                               double high) {
  std::vector<kit::Series> series;
  for (const VarianceCurve& curve : curves) {
    kit::Series line{.label = curve.label};
    for (int i = 0; i <= 100; ++i) {
      const double s = low * std::pow(high / low, i / 100.0);
      line.x.push_back(s);
      line.y.push_back(curve.variance(s));
    }
    series.push_back(line);
  }
  series.push_back({.label = "dots: measured",
                    .x = measured.deviations,
                    .y = measured.variances,
                    .mark = kit::Series::kDots});
  return series;
}

inline void draw_variances(kit::Lesson& lesson, const std::vector<VarianceCurve>& curves,
                           const MeasuredVariances& measured) {
  kit::plot(lesson, "variances",
            {.title = "The score estimator is worst where the noise is small",
             .note = "variance of one sample's estimate of d/dμ E[z²], z ~ N(1, σ²)",
             .x_label = "σ",
             .y_label = "variance",
             .log_x = true,
             .log_y = true},
            lines_and_dots(curves, measured, 0.03, 11));
}

inline void draw_sticking(kit::Lesson& lesson, const std::vector<VarianceCurve>& curves,
                          const MeasuredVariances& measured) {
  kit::plot(lesson, "sticking",
            {.title = "At the true posterior the path derivative has no noise",
             .note = "variance of one sample's gradient of the ELBO, by the width of q",
             .x_label = "standard deviation of q (the posterior has √0.5)",
             .y_label = "variance"},
            lines_and_dots(curves, measured, 0.35, 1.07));
}

// What one estimator gave, sample by sample.
struct SampleGradients {
  std::string label;
  Tensor<double> values;  // (S)
};

// The outline of a histogram from `low` to `high`: the share of the values for each unit of their
// axis.
inline kit::Series histogram(const SampleGradients& gradients, double low, double high) {
  constexpr int kBins = 60;
  constexpr int kLeast = 20;  // fewer in a bin are not drawn
  const double width = (high - low) / kBins;
  std::vector<int> counts(kBins);
  for (double v : gradients.values)
    if (v >= low && v < high) ++counts[static_cast<int>((v - low) / width)];

  const double total = static_cast<double>(gradients.values.size());
  kit::Series outline{.label = gradients.label};
  for (int bin = 0; bin < kBins; ++bin) {
    const double share = counts[bin] < kLeast ? NAN : counts[bin] / (width * total);
    for (int edge : {bin, bin + 1}) {
      outline.x.push_back(low + width * edge);
      outline.y.push_back(share);
    }
  }
  return outline;
}

inline void draw_histograms(kit::Lesson& lesson, const std::vector<SampleGradients>& all) {
  std::vector<kit::Series> outlines;
  for (const SampleGradients& gradients : all) outlines.push_back(histogram(gradients, -8, 16));
  kit::plot(lesson, "histograms",
            {.title = "All three are right on average; one has no tails",
             .note = "histograms of one sample's estimate of d/dμ E[z²] = 2, z ~ N(1, 1)",
             .x_label = "estimate",
             .y_label = "share of the samples per unit",
             .log_y = true},
            outlines);
}

// How gradient steps brought q to the posterior.
struct Descent {
  std::string label;
  std::vector<double> gaps;  // KL(q || posterior) before each step and at the end, in nats
  double mean;               // of q at the end
  double log_var;
};

// Every fifth gap, down to rounding.
inline void draw_descent(kit::Lesson& lesson, const std::vector<Descent>& descents) {
  std::vector<kit::Series> lines;
  for (const Descent& descent : descents) {
    kit::Series line{.label = descent.label};
    for (Index i = 0; i < std::ssize(descent.gaps); i += 5) {
      if (descent.gaps[i] <= 1e-15) break;
      line.x.push_back(static_cast<double>(i));
      line.y.push_back(descent.gaps[i]);
    }
    lines.push_back(line);
  }
  kit::plot(lesson, "descent",
            {.title = "The path derivative falls silent where it arrives",
             .note = "q fitted to the posterior of lesson 11 by the same steps, 4 samples each",
             .x_label = "steps",
             .y_label = "KL(q ‖ posterior), nats",
             .log_y = true},
            lines);
}

}  // namespace gradus::lesson12
