#pragma once
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/16_likelihoods/instruments.hpp"
#include "lessons/common/rows.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"

// The figures of lesson 16.
namespace gradus::lesson16 {

inline void draw_means_and_draws(kit::Lesson& lesson, const std::vector<Row>& rows,
                                 const kit::ImageData& data) {
  draw_rows(lesson, "means_and_draws", "Means are smooth, draws are rough",
            "test images, and what models make of a z drawn from q(z|x); draws cut off at 0 and 1",
            rows, data);
}

inline void draw_priors(kit::Lesson& lesson, const std::vector<Row>& rows,
                        const kit::ImageData& data) {
  draw_rows(lesson, "priors", "With little noise the prior no longer decodes to clothes",
            "means that six draws from the prior decode to, and the KL on test images", rows, data);
}

inline void draw_memorised(kit::Lesson& lesson, const std::vector<Row>& rows,
                           const kit::ImageData& data) {
  draw_rows(lesson, "memorised", "The same objective with 500 images: sharp means",
            "training images, and their means by a model of 60,000 and by one of 500", rows, data);
}

// The density of a pixel under three normal models, and the two images.
inline void draw_two_images(kit::Lesson& lesson) {
  const auto curve = [](double m, double s, const std::string& label) {
    kit::Series series{.label = label};
    for (int i = -60; i <= 60; ++i) {
      const double x = i / 20.0;
      const double z = (x - m) / s;
      series.x.push_back(x);
      series.y.push_back(std::exp(-0.5 * z * z) / (s * std::sqrt(2 * std::numbers::pi)));
    }
    return series;
  };
  const kit::Series images{.x = {-1, 1}, .y = {0, 0}, .mark = kit::Series::kDots};
  kit::plot(lesson, "two_images",
            {.title = "Two images with one code: the best mean is neither",
             .note =
                 "one pixel; dots: the two images. The product of the densities there is largest "
                 "for m = 0, σ² = 1",
             .x_label = "pixel x",
             .y_label = "density p(x|z)"},
            {curve(0, 1, "m = 0, σ² = 1"), curve(0, 0.5, "m = 0, σ² = 1/4"),
             curve(1, 1, "m = 1, σ² = 1"), images});
}

// Densities e^(l x) / C(l) on [0, 1].
inline void draw_continuous_bernoulli(kit::Lesson& lesson) {
  std::vector<kit::Series> series;
  for (const double l : {-8.0, -3.0, 0.0, 3.0}) {
    const nn::ContinuousBernoulli<double> p{Tensor<double>({1}, {l})};
    kit::Series density{.label = fmt::format("l = {}", l)};
    for (int i = 0; i <= 50; ++i) {
      density.x.push_back(i / 50.0);
      density.y.push_back(std::exp(p.log_prob(Tensor<double>({1}, {i / 50.0})).item()));
    }
    series.push_back(density);
  }
  kit::plot(lesson, "continuous_bernoulli",
            {.title = "Continuous Bernoulli: exponentials on grey levels",
             .note = "the density e^(l x) / C(l); each has the area 1",
             .x_label = "pixel x",
             .y_label = "density"},
            series);
}

// What a normal model with some variance makes.
struct Point {
  double variance;
  double means, draws, prior;
};

inline void draw_sharpness(kit::Lesson& lesson, const std::vector<Point>& models,
                           double of_images) {
  kit::Series means{.label = "means", .mark = kit::Series::kLineAndDots, .hue = 1};
  kit::Series draws{.label = "draws", .mark = kit::Series::kDots, .hue = 2};
  kit::Series predicted{.hue = 2};
  kit::Series prior{.label = "means of the prior", .mark = kit::Series::kLineAndDots, .hue = 3};
  for (const Point& model : models) {
    for (kit::Series* s : {&means, &draws, &prior}) s->x.push_back(model.variance);
    means.y.push_back(model.means);
    draws.y.push_back(model.draws);
    prior.y.push_back(model.prior);
  }
  // Between the models, the sharpness of means is taken from the straight line of the figure.
  for (std::size_t i = 0; i + 1 < models.size(); ++i)
    for (int k = 0; k <= 20; ++k) {
      const double t = k / 20.0;
      const auto between = [t](double a, double b) { return std::pow(a, 1 - t) * std::pow(b, t); };
      const double variance = between(models[i].variance, models[i + 1].variance);
      predicted.x.push_back(variance);
      predicted.y.push_back(between(models[i].means, models[i + 1].means) + 2 * variance);
    }
  kit::plot(lesson, "sharpness",
            {.title = "Less noise sharpens means, up to a limit",
             .note = "normal pixels, test images; orange line: means + 2σ²",
             .x_label = "σ²",
             .y_label = "squared step between neighbours",
             .log_x = true,
             .log_y = true,
             .levels = {{"images", of_images}}},
            {means, predicted, draws, prior});
}

inline void draw_scores(kit::Lesson& lesson, const Scores& scores) {
  const kit::Series measured{.label = "measured", .x = scores.at, .y = scores.density};
  kit::Series normal{.label = "normal"};
  for (double z = -5; z <= 5.0001; z += 0.1) {
    normal.x.push_back(z);
    normal.y.push_back(std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi));
  }
  normal.label_inside = true;
  kit::plot(lesson, "scores",
            {.title = "The errors have the width that was learned, and another shape",
             .note = "learned σ²; z = (pixel − mean) / σ, all pixels of the test images",
             .x_label = "z",
             .y_label = "density",
             .log_y = true},
            {measured, normal});
}

inline void draw_reliability(kit::Lesson& lesson, const std::vector<Bin>& grey,
                             const std::vector<Bin>& binarised) {
  const auto dots_of = [](const std::vector<Bin>& bins, const std::string& label, int hue) {
    kit::Series dots{.label = label, .mark = kit::Series::kLineAndDots, .hue = hue};
    for (const Bin& bin : bins) {
      dots.x.push_back(bin.p);
      dots.y.push_back(bin.error);
    }
    return dots;
  };
  kit::Series coin{.label = "p(1 − p)", .hue = 3};
  for (int i = 0; i <= 100; ++i) {
    const double p = i / 100.0;
    coin.x.push_back(p);
    coin.y.push_back(p * (1 - p));
  }
  kit::plot(lesson, "reliability",
            {.title = "A coin's variance fits black and white pixels, and not grey ones",
             .note = "Bernoulli pixels; test images, in bins of 0.1 by the predicted probability",
             .x_label = "predicted probability p of white",
             .y_label = "squared error of a pixel"},
            {dots_of(binarised, "binarised", 1), dots_of(grey, "grey", 2), coin});
}

}  // namespace gradus::lesson16
