// Lesson 13: the variational autoencoder, trained on images of clothes.
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/figures.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"

namespace gradus::lesson13 {
namespace {

constexpr Index kHidden = 400, kLatents = 20, kBatch = 128;
const std::string kPerPixel = "per pixel", kNats = "nats/image";

// One of the four models of this lesson. What it is trained by is all that makes it a VAE or an
// autoencoder.
struct Model {
  Model(const std::string& name, Objective objective, Index latents, const kit::ImageData& data,
        std::uint64_t seed)
      : name(name),
        objective(objective),
        rng(seed),
        vae(data.height * data.width, kHidden, latents, rng) {}

  std::string name;
  Objective objective;
  Rng rng;
  Vae<float> vae;
  kit::History history;  // on test images, in nats
};

std::vector<kit::Score> scores(const Model& model, const Tensor<float>& test) {
  const Score score = evaluate(model.vae, model.objective, test, Rng(1));
  if (model.objective == Objective::kReconstruction)
    return {{"reconstruction", -score.reconstruction}};
  return {{"-ELBO", score.negative_elbo()},
          {"reconstruction", -score.reconstruction},
          {"KL", score.kl}};
}

void train(kit::Lesson& lesson, Model& model, int epochs, const kit::ImageData& data) {
  auto& [name, objective, rng, vae, history] = model;
  nn::Adam<float> adam(vae.parameters(), {.learning_rate = 1e-3});
  kit::Training training(lesson, name, {.epochs = epochs, .batch = kBatch}, vae.parameters(), adam,
                         rng);
  const auto measure = [&] { return scores(model, data.test_images); };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& x : training.minibatches(data.train_images)) {
      Tape<float> tape;
      tape.backward(-mean(vae.objective(objective, x, rng).total()));
      adam.step();
    }
    training.record(measure);
  }
  history = training.history();
}

// Test images, the means that their codes decode to, and images drawn from these; and new ones.
void draw_images(kit::Lesson& lesson, const Vae<float>& vae, const kit::ImageData& data) {
  Rng rng(lesson.options().seed);
  const Tensor<float> images = first(10, data.test_images);
  const nn::Bernoulli<float> p = vae.decode(vae.sample_posterior(images, rng));
  const Tensor<float> means = p.mean().value();
  const Tensor<float> drawn = p.sample(rng);
  draw_reconstructions(lesson, images, means, drawn, data);
  draw_samples(lesson, vae.decoded(vae.sample_prior(60, rng)), data);

  lesson.report("sharpness_of_images", sharpness(images, data.width), kPerPixel);
  lesson.report("sharpness_of_means", sharpness(means, data.width), kPerPixel);
  lesson.report("sharpness_of_drawn", sharpness(drawn, data.width), kPerPixel);
}

// The -ELBO that another framework reached on all of Fashion-MNIST with the same layers and
// training; its seeds differ by 0.1. tests/benchmarks/vae_pytorch.py EPOCHS SEED LATENTS trains
// such a model.
std::optional<kit::Expected> reference(std::size_t epochs, Index latents) {
  if (epochs == 10 && latents == 20) return kit::Expected{244.1, 1};
  if (epochs == 20 && latents == 20) return kit::Expected{242.3, 1};
  if (epochs == 10 && latents == 2) return kit::Expected{264.5, 3};
  return std::nullopt;
}

void check_reference(kit::Lesson& lesson, const std::string& name, const Model& model,
                     const kit::ImageData& data) {
  const std::vector<double>& losses = model.history.at("-ELBO");
  const auto expected = reference(losses.size() - 1, model.vae.latents());
  lesson.check(name, losses.back(), kNats, data.is_full_fashion_mnist() ? expected : std::nullopt);
}

// The (D + 1) H + 2 (H + 1) K + (K + 1) H + (H + 1) D weights and biases of five layers.
Index parameters_on_paper(Index pixels) {
  const Index encoder = (pixels + 1) * kHidden + 2 * (kHidden + 1) * kLatents;
  const Index decoder = (kLatents + 1) * kHidden + (kHidden + 1) * pixels;
  return encoder + decoder;
}

// The trained model, between two walls, and against all that is known of it.
void check_scores(kit::Lesson& lesson, Model& model, double entropy, double dead,
                  const kit::ImageData& data) {
  const bool full = data.is_full_fashion_mnist();
  const Index pixels = data.height * data.width;
  const std::vector<double>& losses = model.history.at("-ELBO");
  const std::size_t epochs = losses.size() - 1;

  // The walls of Fashion-MNIST follow from its files alone, and were computed elsewhere.
  lesson.check("pixel_entropy", entropy, kNats, kit::when(full, {189.858328, 1e-4}));
  if (std::isfinite(dead))
    lesson.check("dead_latents", dead, kNats, kit::when(full, {385.017604, 1e-4}));
  else
    fmt::print(
        "Some test image is lit where no training image is: the mean of these would cost\n"
        "infinitely much, so that there is no upper wall.\n");
  lesson.check("parameters", static_cast<double>(nn::count(model.vae.parameters())), "",
               kit::Expected{static_cast<double>(parameters_on_paper(pixels)), 0});
  // Every pixel is a fair coin.
  lesson.check("untrained_negative_elbo", losses.front(), kNats,
               kit::relative(static_cast<double>(pixels) * std::log(2.0), 0.02));
  check_reference(lesson, "test_negative_elbo", model, data);
  lesson.report("test_reconstruction", model.history.at("reconstruction").back(), kNats);
  lesson.report("test_kl", model.history.at("KL").back(), kNats);
  if (epochs > 0 && std::isfinite(dead))
    lesson.check("bracket", losses.back(), kNats, kit::between(entropy, dead));

  const Tensor<float> moments = second_moments(model.vae, data.test_images);  // (K)
  lesson.check("mean_square_of_z", mean(moments).item(), "",
               kit::when(full && epochs == 10, {1, 0.05}));
  lesson.report("mean_square_of_z_least", -max(-moments).item(), "");
  lesson.report("mean_square_of_z_most", max(moments).item(), "");
}

// What is often said, and what is so.
void check_claims(kit::Lesson& lesson, Model& model, const Tensor<float>& test) {
  Vae<float>& vae = model.vae;
  const Tensor<float> x = first(kBatch, test);
  const Tensor<float> noise = Rng(3).normal<float>({x.extent(0), vae.latents()});

  // "The reconstruction is theta's affair": it has a gradient with respect to phi.
  const auto reconstruction = [&] { return mean(vae.elbo(x, noise).reconstruction); };
  lesson.report("reconstruction_gradient_phi", gradient_length<float>(vae.phi(), reconstruction),
                "");

  // "Decode the mean, it is the same": it is no ELBO, neither in lesson 11's model, where a^2 v / 2
  // is left out, nor here.
  constexpr double kSlope = 2, kVariance = 0.25;
  lesson.check("decoding_the_mean_lesson_11", decoding_bias_of_lesson_11(), "nats",
               kit::Expected{kSlope * kSlope * kVariance / 2, 1e-12});
  const Score at_mean = evaluate(vae, Objective::kReconstruction, test, Rng(1));
  lesson.report("decoding_the_mean",
                at_mean.reconstruction + model.history.at("reconstruction").back(), kNats);

  // Two copies of a batch have its loss.
  const auto elbo = [&](const Tensor<float>& images, const Tensor<float>& e) {
    return mean(vae.elbo(images, e).total()).item();
  };
  const auto twice = [](const Tensor<float>& part) { return concatenate(std::vector{part, part}); };
  lesson.check("duplicated_batch", elbo(twice(x), twice(noise)) / elbo(x, noise) - 1, "",
               kit::Expected{0, 1e-5});
}

// What a model decodes from N(0, I), and between two images.
struct Decoded {
  Tensor<float> samples;  // (20, D)
  Tensor<float> path;     // (10, D)
};

// Decodes, and reports how far the samples are from all training images, and how much input noise
// moves a reconstruction.
Decoded decode(kit::Lesson& lesson, const Vae<float>& vae, const std::string& name,
               const kit::ImageData& data) {
  Rng rng(2);
  const Tensor<float> samples = vae.decoded(vae.sample_prior(200, rng));
  lesson.report("nearest_to_samples_" + name, distance_to_nearest(samples, data.train_images),
                kPerPixel);
  lesson.report("moved_by_noise_" + name, moved_by_noise(vae, data.test_images, 0.1, rng),
                kPerPixel);
  return {first(20, samples), interpolate(vae, first_pair(data.test_images), 10)};
}

// A VAE and an autoencoder of the same layers.
void compare(kit::Lesson& lesson, const Model& variational, const Model& plain,
             const kit::ImageData& data) {
  const Tensor<float>& test = data.test_images;
  const Tensor<float>& train = data.train_images;
  const Decoded a = decode(lesson, variational.vae, "vae", data);
  const Decoded b = decode(lesson, plain.vae, "autoencoder", data);
  draw_samples_compared(lesson, a.samples, b.samples, data);
  draw_interpolations(lesson, a.path, b.path, data);

  const Tensor<float> black({1, test.extent(1)});
  lesson.report("nearest_to_test_images", distance_to_nearest(first(200, test), train), kPerPixel);
  lesson.report("nearest_to_black", distance_to_nearest(black, train), kPerPixel);
  lesson.report("test_reconstruction_autoencoder", plain.history.at("reconstruction").back(),
                kNats);
  lesson.report("mean_square_of_codes", mean(square(plain.vae.encode(test).mean)).item(), "");
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const int epochs = lesson.options().epochs;
  const std::uint64_t seed = lesson.options().seed;
  const double entropy = entropy_of_pixels(data.test_images);
  const double dead = negative_log_likelihood_of_means(data.train_images, data.test_images);

  Model vae("vae", Objective::kElbo, kLatents, data, seed);
  train(lesson, vae, epochs, data);
  nn::save_file(vae.vae.parameters(), lesson.file("vae.safetensors"));
  draw_history(lesson, vae.history, entropy, dead);
  draw_images(lesson, vae.vae, data);
  check_scores(lesson, vae, entropy, dead, data);
  check_claims(lesson, vae, data.test_images);
  if (lesson.interrupted()) return;

  Model autoencoder("autoencoder", Objective::kReconstruction, kLatents, data, seed);
  train(lesson, autoencoder, epochs, data);
  if (lesson.interrupted()) return;
  compare(lesson, vae, autoencoder, data);

  Model vae_2("vae_2_latents", Objective::kElbo, 2, data, seed);
  train(lesson, vae_2, epochs, data);
  Model autoencoder_2("autoencoder_2_latents", Objective::kReconstruction, 2, data, seed);
  train(lesson, autoencoder_2, (epochs + 1) / 2, data);
  if (lesson.interrupted()) return;
  nn::save_file(vae_2.vae.parameters(), lesson.file("vae_2_latents.safetensors"));
  draw_manifold(lesson, vae_2.vae, data);
  draw_map(lesson, "latent_map", "Means of q(z|x) of test images, by a VAE", vae_2.vae, data);
  draw_map(lesson, "code_map", "Codes of test images, by an autoencoder", autoencoder_2.vae, data);
  check_reference(lesson, "test_negative_elbo_2_latents", vae_2, data);
}

}  // namespace
}  // namespace gradus::lesson13

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "13_vae",
                           .title = "The variational autoencoder",
                           .epochs = 10,
                           .quick_epochs = 6},
                          argc, argv, gradus::lesson13::run);
}
