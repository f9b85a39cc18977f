#pragma once
#include <string>
#include <vector>

#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"

// The figures of lesson 13.
namespace gradus::lesson13 {

// The names of the scores of the models on test images, in nats per image. An autoencoder has only
// the second.
inline const std::string kNegativeElbo = "-ELBO";
inline const std::string kNegativeLogProb = "-ln p(x|z)";
inline const std::string kKl = "KL";

// The scores after each epoch, between the two walls that they cannot pass. There is nothing to
// draw before the first.
inline void draw_history(kit::Lesson& lesson, const kit::History& history, double entropy,
                         double dead) {
  if (history.at(kNegativeElbo).size() < 2) return;
  std::vector<kit::Series> series;
  const auto add = [&](const std::string& label, const std::string& score) {
    const std::vector<double>& scores = history.at(score);
    series.push_back({.label = label, .y = {scores.begin() + 1, scores.end()}});
  };
  add("-ELBO", kNegativeElbo);
  add("reconstruction", kNegativeLogProb);
  add("KL", kKl);
  kit::plot(lesson, "elbo",
            {.title = "The negative ELBO and its two parts on test images",
             .x_label = "epoch",
             .y_label = "nats per image",
             .levels = {{"every latent dead", dead}, {"entropy of the pixels", entropy}}},
            series);
}

inline void draw_reconstructions(kit::Lesson& lesson, const Tensor<float>& images,
                                 const Tensor<float>& means, const Tensor<float>& drawn,
                                 const kit::ImageData& data) {
  kit::images(lesson, "reconstructions",
              {.title = "Test images, and what 20 numbers keep of them",
               .note = "the mean of p(x|z) is smooth; images drawn from it are not",
               .columns = images.extent(0),
               .row_captions = {"image", "mean", "drawn"}},
              data.as_images<float>({images, means, drawn}));
}

inline void draw_samples(kit::Lesson& lesson, const Tensor<float>& samples,
                         const kit::ImageData& data) {
  kit::images(lesson, "samples",
              {.title = "Images that never were: decoded from z drawn from N(0, I)", .columns = 12},
              data.as_images<float>({samples}));
}

// Two rows of samples of each model.
inline void draw_samples_compared(kit::Lesson& lesson, const Tensor<float>& of_vae,
                                  const Tensor<float>& of_autoencoder, const kit::ImageData& data) {
  kit::images(lesson, "samples_compared",
              {.title = "Decoded from the same z, drawn from N(0, I)",
               .columns = of_vae.extent(0) / 2,
               .row_captions = {"VAE", "VAE", "autoencoder", "autoencoder"}},
              data.as_images<float>({of_vae, of_autoencoder}));
}

inline void draw_interpolations(kit::Lesson& lesson, const Tensor<float>& of_vae,
                                const Tensor<float>& of_autoencoder, const kit::ImageData& data) {
  kit::images(lesson, "interpolations",
              {.title = "From one test image to another, along the line between their codes",
               .columns = of_vae.extent(0),
               .row_captions = {"VAE", "autoencoder"}},
              data.as_images<float>({of_vae, of_autoencoder}));
}

// What a model with two latents decodes all over the plane.
inline void draw_manifold(kit::Lesson& lesson, const Vae<float>& vae, const kit::ImageData& data) {
  constexpr Index kSide = 13;
  kit::images(lesson, "manifold",
              {.title = "Every image that two numbers can say",
               .note = "decoded from a grid of quantiles of N(0, 1): z1 to the right, z2 upwards",
               .columns = kSide},
              data.as_images<float>({vae.decoded(quantile_grid<float>(kSide))}));
}

// Where a model with two latents puts the test images.
inline void draw_map(kit::Lesson& lesson, const std::string& name, const std::string& title,
                     const Vae<float>& vae, const kit::ImageData& data) {
  const Tensor<float> z = vae.encode(first(5000, data.test_images)).mean.value();  // (N, 2)
  kit::scatter(lesson, name, {.title = title, .x_label = "z1", .y_label = "z2"}, z,
               data.first_test_labels(z.extent(0)), data.class_names);
}

}  // namespace gradus::lesson13
