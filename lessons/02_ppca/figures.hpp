#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/02_ppca/instruments.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"

// The figures of lesson 02.
namespace gradus::lesson02 {

// Random starts climb to one level; the distance to it falls by a constant factor a step. For each
// start, its log-likelihood before the first step, after it, after the second, ...
inline void draw_em(kit::Lesson& lesson, const std::vector<std::vector<double>>& starts,
                    double maximum) {
  std::vector<kit::Series> climb;
  std::vector<kit::Series> gap;
  for (const std::vector<double>& log_likelihoods : starts) {
    kit::Series height{.label = fmt::format("start {}", climb.size() + 1)};
    kit::Series below = height;
    for (std::size_t step = 0; step < log_likelihoods.size(); ++step) {
      const double value = log_likelihoods[step];
      if (step < 30) {
        height.x.push_back(static_cast<double>(step));
        height.y.push_back(value);
      }
      if (maximum - value > 1e-13) {
        below.x.push_back(static_cast<double>(step));
        below.y.push_back(maximum - value);
      }
    }
    climb.push_back(height);
    gap.push_back(below);
  }
  kit::plot(lesson, "em",
            {.title = "EM climbs to the closed form from three random starts",
             .note = "toy of five dimensions, two latents",
             .x_label = "EM step",
             .y_label = "log-likelihood, nats per example",
             .levels = {{"closed form", maximum}}},
            climb);
  kit::plot(lesson, "em_gap",
            {.title = "What EM still lacks shrinks by the same factor each step",
             .note = "toy of five dimensions, two latents",
             .x_label = "EM step",
             .y_label = "closed form − EM, nats per example",
             .log_y = true},
            gap);
}

// How the two kept directions of the toy's points x are shrunk, by the variance of the noise.
inline void draw_limit(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& x) {
  std::vector<kit::Series> series;
  for (Index i = 0; i < 2; ++i) {
    kit::Series line{.label = fmt::format("variance {:g}", kToyVariances[i]),
                     .mark = kit::Series::kLineAndDots};
    for (double sigma2 = 1; sigma2 > 0.9e-4; sigma2 *= std::sqrt(std::sqrt(0.1))) {
      line.x.push_back(sigma2);
      line.y.push_back(shrinkage(ppca_with_noise(pca, 2, sigma2), pca, x, i));
    }
    series.push_back(line);
  }
  kit::plot(lesson, "sigma_to_0",
            {.title = "Without noise pPCA no longer shrinks: it is PCA",
             .note = "code, decode, compare: the factor along each of the two kept directions",
             .x_label = "variance of the noise",
             .y_label = "decoded / original",
             .log_x = true,
             .levels = {{"PCA", 1.0}}},
            series);
}

// The log-likelihoods, in nats per image, of models with `latents` latents.
inline void draw_log_likelihood(kit::Lesson& lesson, const std::vector<double>& latents,
                                const std::vector<double>& train, const std::vector<double>& test) {
  kit::plot(lesson, "log_likelihood",
            {.title = "How likely images are, by the number of latents",
             .note = "every step to the right is likelier, up to the full covariance at 783",
             .x_label = "number of latents q",
             .y_label = "log-likelihood, nats per image"},
            {{.label = "training", .x = latents, .y = train, .mark = kit::Series::kLineAndDots},
             {.label = "test", .x = latents, .y = test, .mark = kit::Series::kLineAndDots}});
}

// Test images (M, D), and images drawn from pPCA and from the Gaussian with the full covariance.
inline void draw_samples(kit::Lesson& lesson, const Pca<double>& pca, const Ppca<double>& model,
                         const Tensor<double>& test, const kit::ImageData& data) {
  Rng rng(lesson.options().seed + 1);
  Rng same_latents = rng;
  const Index n = std::min<Index>(10, test.extent(0));
  const Tensor<double> noisy = sample(model, n, rng);
  const Tensor<double> noiseless = sample(model, n, same_latents, /*noise=*/false);
  const Tensor<double> full = sample(pca, n, rng);
  kit::images(lesson, "samples",
              {.title = "Real images, and images drawn from two Gaussians",
               .columns = n,
               .row_captions = {"test images", fmt::format("pPCA, {} latents", model.latents()),
                                "the same, noise left out", "full covariance"}},
              data.as_images<double>({slice(test, 0, 0, n), noisy, noiseless, full}));
}

}  // namespace gradus::lesson02
