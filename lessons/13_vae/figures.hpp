#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/13_vae/on_paper.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/diagram.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"
#include "lessons/kit/training.hpp"

// The figures of lesson 13.
namespace gradus::lesson13 {

// The names of the scores of the models, in nats per image: of a VAE on test images and, the last,
// on as many training images; and of an autoencoder on test images.
inline const std::string kNegativeElbo = "-ELBO";
inline const std::string kNegativeReconstruction = "-reconstruction";
inline const std::string kKl = "KL";
inline const std::string kTrainingNegativeElbo = "training -ELBO";
inline const std::string kNegativeLogProbAtMean = "-ln p(x|m)";

// ---- Sketches ----------------------------------------------------------------------------------

// How the model makes an image, and how its cause is guessed.
inline void draw_model(kit::Lesson& lesson) {
  using enum kit::Diagram::Kind;
  kit::Diagram diagram({.title = "The model makes x from z; the encoder guesses z from x",
                        .note = "Solid, blue: generative. Dashed, orange: inference. Grey: seen."});
  diagram.node("prior", "N(0, I)", kNothing);
  diagram.node("theta", "θ", kFixed);
  diagram.node("z", "z", kLatent);
  diagram.node("x", "x", kObserved);
  diagram.node("phi", "φ", kFixed);
  diagram.edge("prior", "z", "p(z)", {.hue = 1});
  diagram.edge("theta", "x", "", {.hue = 1});
  diagram.edge("z", "x", "p(x|z)", {.hue = 1});
  diagram.edge("x", "z", "q(z|x)", {.dashed = true, .hue = 2});
  diagram.edge("phi", "z", "", {.dashed = true, .hue = 2});
  diagram.plate("N images", {"z", "x"});
  diagram.draw(lesson, "model");
}

// The layers, and where the noise comes in.
inline void draw_architecture(kit::Lesson& lesson, Index pixels, Index hidden, Index latents) {
  using enum kit::Diagram::Kind;
  kit::Diagram diagram(
      {.title = "Two networks, and a draw between them",
       .note = "The encoder's parameters are φ, the decoder's θ. Orange: random."});
  diagram.node("x", fmt::format("x\n{}", pixels), kObserved);
  diagram.node("h", fmt::format("relu\n{}", hidden), kStep, {.hue = 1});
  diagram.node("m", fmt::format("m\n{}", latents), kStep, {.hue = 1});
  diagram.node("s", fmt::format("ln s²\n{}", latents), kStep, {.hue = 1});
  diagram.node("eps", fmt::format("ε\n{}", latents), kLatent, {.hue = 2});
  diagram.node("z", fmt::format("z = m + s ε\n{}", latents), kStep);
  diagram.node("g", fmt::format("relu\n{}", hidden), kStep, {.hue = 3});
  diagram.node("u", fmt::format("logits u\n{}", pixels), kStep, {.hue = 3});
  diagram.node("y", fmt::format("x̂\n{}", pixels), kNothing);
  diagram.edge("x", "h");
  diagram.edge("h", "m");
  diagram.edge("h", "s");
  diagram.edge("m", "z");
  diagram.edge("s", "z");
  diagram.edge("eps", "z");
  diagram.edge("z", "g");
  diagram.edge("g", "u");
  diagram.edge("u", "y");
  diagram.plate("encoder q(z|x)", {"h", "m", "s"});
  diagram.plate("decoder p(x|z)", {"g", "u"});
  diagram.draw(lesson, "architecture");
}

// ---- Two images, on paper ----------------------------------------------------------------------

// The clouds of two images over z for three distances, each row with the density of the prior.
inline void draw_two_clouds(kit::Lesson& lesson, const TwoImages& images, double best) {
  struct Row {
    double r, base;
    std::string words;
  };

  constexpr double kEnd = 3.2;
  const std::vector<Row> rows = {{6, 1.25, "far apart"},
                                 {best, 0.6, "the best"},
                                 {0.5, 0, "too close"}};
  kit::Sketch sketch({.title = "Two clouds, as far apart as it pays",
                      .note =
                          "blue: the white image, orange: the black one, each at half its height; "
                          "dashed: the prior",
                      .x_label = "z",
                      .equal_scale = false,
                      .shown = {{-kEnd, 0}, {2 * kEnd, 2.6}}});
  const auto normal = [](double z, double mean, double s) {
    return std::exp(-0.5 * std::pow((z - mean) / s, 2)) / (s * std::sqrt(2 * M_PI));
  };
  for (const Row& row : rows) {
    const double s = TwoImages::deviation(row.r);
    const double base = row.base;
    const auto zero = kit::curve(-kEnd, kEnd, [&](double) { return base; });
    for (int hue : {1, 2}) {
      const double mean = hue == 1 ? row.r * s : -row.r * s;
      const auto cloud = kit::curve(
          -kEnd, kEnd, [&](double z) { return base + 0.5 * normal(z, mean, s); }, 600);
      sketch.area(kit::between(zero, cloud), {.hue = hue});
      sketch.line(cloud, {.hue = hue});
    }
    sketch.line(zero, {.hue = -1});
    sketch.line(kit::curve(-kEnd, kEnd, [&](double z) { return base + normal(z, 0, 1); }),
                {.dashed = true});
    sketch.text({kEnd + 0.1, base + 0.43}, fmt::format("{}: r = {:.2f}", row.words, row.r), {},
                kit::Align::kLeft);
    sketch.text({kEnd + 0.1, base + 0.29}, fmt::format("m = {:.2f}, s = {:.2f}", row.r * s, s), {},
                kit::Align::kLeft);
    sketch.text({kEnd + 0.1, base + 0.15},
                fmt::format("-reconstruction {:.3f}", -images.reconstruction(row.r)), {},
                kit::Align::kLeft);
    sketch.text({kEnd + 0.1, base + 0.01},
                fmt::format("+ KL {:.3f} = -ELBO {:.3f}", TwoImages::kl(row.r),
                            -images.elbo(row.r)),
                {}, kit::Align::kLeft);
  }
  sketch.draw(lesson, "two_clouds");
}

// The ELBO's parts by the distance of the two clouds.
inline void draw_two_images(kit::Lesson& lesson, const TwoImages& images) {
  kit::Series minus_reconstruction{.label = "-reconstruction"};
  kit::Series kl{.label = "KL"};
  kit::Series minus_elbo{.label = "-ELBO"};
  for (int i = 0; i <= 120; ++i) {
    const double r = 0.05 * i;
    for (kit::Series* series : {&minus_reconstruction, &kl, &minus_elbo}) series->x.push_back(r);
    minus_reconstruction.y.push_back(-images.reconstruction(r));
    kl.y.push_back(TwoImages::kl(r));
    minus_elbo.y.push_back(-images.elbo(r));
  }
  kit::plot(lesson, "two_images",
            {.title = "Farther apart: less is mixed up, and the code tells more",
             .note = "two images of four pixels, white and black; s at its best for each r",
             .x_label = "r = m / s",
             .y_label = "nats per image",
             .levels = {{"-ln p(x) at best: ln 2", std::log(2.0)}}},
            {minus_elbo, minus_reconstruction, kl});
}

// ---- Training ----------------------------------------------------------------------------------

// A score after each epoch.
inline kit::Series by_epoch(const kit::History& history, const std::string& label,
                            const std::string& score) {
  const std::vector<double>& scores = history.at(score);
  return {.label = label,
          .y = {scores.begin() + 1, scores.end()},
          .mark = kit::Series::kLineAndDots};
}

// The -ELBO by epoch; and its parts between the two walls that it cannot pass. There is nothing to
// draw before the first epoch.
inline void draw_history(kit::Lesson& lesson, const kit::History& history, double entropy,
                         double dead) {
  if (history.at(kNegativeElbo).size() < 2) return;
  kit::plot(lesson, "elbo",
            {.title = "The -ELBO still falls after ten epochs",
             .note = "10,000 images of each kind; the axis does not begin at 0",
             .x_label = "epoch",
             .y_label = "-ELBO, nats per image"},
            {by_epoch(history, "test images", kNegativeElbo),
             by_epoch(history, "training images", kTrainingNegativeElbo)});
  kit::plot(lesson, "parts",
            {.title = "The -ELBO and its two parts, between two walls",
             .note = "test images",
             .x_label = "epoch",
             .y_label = "nats per image",
             .levels = {{"all latents dead", dead}, {"entropy of the pixels", entropy}}},
            {by_epoch(history, "-ELBO", kNegativeElbo),
             by_epoch(history, "-reconstruction", kNegativeReconstruction),
             by_epoch(history, "KL", kKl)});
}

// ---- Images ------------------------------------------------------------------------------------

// Means that images' codes decode to, and what is drawn from them.
struct Decoded {
  Tensor<float> means, drawn;  // (n, D)
};

inline void draw_reconstructions(kit::Lesson& lesson, const Tensor<float>& images,
                                 const Decoded& bernoulli, const Decoded& gaussian,
                                 const kit::ImageData& data) {
  kit::images(lesson, "reconstructions",
              {.title = "Means are smooth; draws are rough, each in its own way",
               .note = "ten test images through the 20 latents of two VAEs, by kind of decoder",
               .columns = images.extent(0),
               .row_captions = {"image", "Bernoulli, mean", "Bernoulli, drawn", "Gaussian, mean",
                                "Gaussian, drawn"}},
              data.as_images<float>(
                  {images, bernoulli.means, bernoulli.drawn, gaussian.means, gaussian.drawn}));
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

// From one image to another by both models, for several pairs.
struct Path {
  Tensor<float> ends;                    // (2, D)
  Tensor<float> of_vae, of_autoencoder;  // (n, D)
};

inline void draw_interpolations(kit::Lesson& lesson, const std::vector<Path>& paths,
                                const kit::ImageData& data) {
  std::vector<Tensor<float>> rows;
  std::vector<std::string> captions;
  for (const Path& path : paths)
    for (const auto& [name, images] :
         {std::pair{"VAE", path.of_vae}, {"autoencoder", path.of_autoencoder}}) {
      rows.insert(rows.end(), {slice(path.ends, 0, 0, 1), images, slice(path.ends, 0, 1, 2)});
      captions.push_back(name);
    }
  const Index columns = paths.front().of_vae.extent(0) + 2;
  std::vector<std::string> above(columns);
  above.front() = "image";
  above.back() = "image";
  kit::images(lesson, "interpolations",
              {.title = "From one test image to another",
               .note = "decoded along the straight line between their codes",
               .columns = columns,
               .row_captions = captions,
               .column_captions = above},
              data.as_images<float>(rows));
}

// ---- Two latents -------------------------------------------------------------------------------

constexpr double kPlaneEnd = 3.5;  // of what is shown of the plane: about as far as the map reaches

// What a model with two latents decodes all over the plane.
inline void draw_manifold(kit::Lesson& lesson, const Vae<float>& vae, const kit::ImageData& data) {
  constexpr Index kSide = 11;
  std::vector<std::string> z1, z2;
  for (Index k = 0; k < kSide; ++k) {
    const double value = kPlaneEnd * (2.0 * static_cast<double>(k) / (kSide - 1) - 1);
    z1.push_back(fmt::format("{:.1f}", value + 0.0));
  }
  z2.assign(z1.rbegin(), z1.rend());
  kit::images(lesson, "manifold",
              {.title = "What two numbers can say",
               .note = "decoded; z1 above each column, z2 beside each row",
               .columns = kSide,
               .row_captions = z2,
               .column_captions = z1},
              data.as_images<float>({vae.decoded(grid<float>(kSide, kPlaneEnd))}));
}

// Where a model with two latents puts the test images.
inline void draw_map(kit::Lesson& lesson, const std::string& name, const kit::PlotText& text,
                     const Vae<float>& vae, const kit::ImageData& data) {
  const Tensor<float> z = vae.encode(first(5000, data.test_images)).mean.value();  // (N, 2)
  kit::scatter(lesson, name, text, z, data.first_test_labels(z.extent(0)), data.class_names);
}

// The ellipses of q(z|x) of some test images of each class, over draws z (N, 2) from the aggregate
// posterior, and the prior's circles.
inline void draw_clouds(kit::Lesson& lesson, const Vae<float>& vae, const Tensor<float>& z,
                        const kit::ImageData& data) {
  constexpr int kOfEachClass = 3;
  constexpr double kEnd = 4.1;
  constexpr double kRadius = 2;  // of the ellipses, in standard deviations
  kit::Sketch sketch(
      {.title = "Clouds of images, and what the prior asks for",
       .note = "ellipses: q(z|x) of 3 images a class, to 2 s; dots: draws; dashed: shares of "
               "N(0, I)",
       .x_label = "z1",
       .y_label = "z2",
       .axes = true,
       .shown = {{-kEnd, -kEnd}, {kEnd, kEnd}}});
  const auto is_shown = [](kit::Point p) {
    return std::max(std::abs(p.x), std::abs(p.y)) < kEnd - 0.1;
  };
  std::vector<kit::Point> dots;
  for (Index i = 0; i < std::min<Index>(1000, z.extent(0)); ++i) {
    const kit::Point point{z(i, 0), z(i, 1)};
    if (is_shown(point)) dots.push_back(point);
  }
  sketch.dots(dots, {.hue = -1, .width = 0.15});
  for (double radius : {1.0, 2.0, 3.0}) {
    sketch.line(kit::ellipse({0, 0}, {radius, 0}, {0, radius}), {.dashed = true});
    const double corner = radius * std::sqrt(0.5) + 0.08;
    sketch.text({corner, -corner},
                fmt::format("{:.0f} %", 100 * (1 - std::exp(-0.5 * radius * radius))), {},
                kit::Align::kLeft);
  }
  const nn::Normal<float> q = vae.encode(first(1000, data.test_images));
  const Tensor<float> means = q.mean.value();
  const Tensor<float> deviations = exp(q.log_var.value() * 0.5f);
  std::vector<int> drawn(data.class_names.size());
  for (Index i = 0; i < means.extent(0); ++i) {
    const Index label = data.test_labels[i];
    if (drawn[label]++ >= kOfEachClass) continue;
    const kit::Point centre{means(i, 0), means(i, 1)};
    const kit::Pen pen{.hue = static_cast<int>(label) + 1, .width = 1.5};
    sketch.line(kit::ellipse(centre, {kRadius * deviations(i, 0), 0},
                             {0, kRadius * deviations(i, 1)}),
                pen);
    const kit::Point above{centre.x, centre.y + kRadius * deviations(i, 1) + 0.13};
    if (drawn[label] == 1 && is_shown(above)) sketch.text(above, data.class_names[label], pen);
  }
  sketch.draw(lesson, "clouds");
}

}  // namespace gradus::lesson13
