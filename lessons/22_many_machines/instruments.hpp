#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/22_many_machines/model.hpp"
#include "lessons/22_many_machines/scaling.hpp"
#include "lessons/22_many_machines/team.hpp"
#include "nn/optimizers.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 22 measures with: how good a model is, how far two copies are apart, how long a step
// takes.
//
//     N images, B of them in a minibatch, D pixels
namespace gradus::lesson22 {

using lesson13::Vae;

constexpr Index kEvaluatedAtOnce = 1000;

// The mean -ELBO of images (N, D), by one z each, in nats: a part of the images by each member. The
// noise is that of lesson 13, whatever the size of the team.
inline double negative_elbo(const Team& team, const Vae<float>& vae, const Tensor<float>& images,
                            Rng rng) {
  const Index n = images.extent(0);
  double sums[2] = {0, 0};
  int part = 0;
  for (Index begin = 0; begin < n; begin += kEvaluatedAtOnce, ++part) {
    const Tensor<float> x = slice(images, 0, begin, std::min(begin + kEvaluatedAtOnce, n));
    const Tensor<float> noise = rng.normal<float>({x.extent(0), vae.latents()});
    if (part % team.size() != team.rank()) continue;
    const lesson13::Elbo<float> elbo = vae.elbo(x, noise);
    sums[0] += sum(elbo.reconstruction).item();
    sums[1] += sum(elbo.kl).item();
  }
  team.sum(std::span<double>(sums));
  return (sums[1] - sums[0]) / static_cast<double>(n);
}

// |a - b| / |a| of two lists of tensors, each as one long vector.
inline double relative_distance(const std::vector<Tensor<float>>& a,
                                const std::vector<Tensor<float>>& b) {
  double difference = 0;
  double size = 0;
  for (std::size_t k = 0; k < a.size(); ++k)
    for (Index i = 0; i < a[k].size(); ++i) {
      const double x = a[k].data()[i];
      const double d = x - b[k].data()[i];
      difference += d * d;
      size += x * x;
    }
  return std::sqrt(difference / size);
}

inline std::vector<Tensor<float>> values_of(const nn::Parameters<float>& parameters) {
  std::vector<Tensor<float>> values;
  for (const Parameter<float>* p : parameters) values.push_back(p->value());
  return values;
}

inline std::vector<Tensor<float>> gradients_of(const nn::Parameters<float>& parameters) {
  std::vector<Tensor<float>> gradients;
  for (const Parameter<float>* p : parameters) gradients.push_back(p->grad);
  return gradients;
}

// The place where two lists of tensors are farthest apart.
struct Farthest {
  std::size_t tensor = 0;
  Index place = 0;
  double distance = 0;
};

inline Farthest farthest(const std::vector<Tensor<float>>& a, const std::vector<Tensor<float>>& b) {
  Farthest result;
  for (std::size_t k = 0; k < a.size(); ++k)
    for (Index i = 0; i < a[k].size(); ++i) {
      const double distance = std::abs(static_cast<double>(a[k].data()[i]) - b[k].data()[i]);
      if (distance > result.distance) result = {k, i, distance};
    }
  return result;
}

// ---- Time --------------------------------------------------------------------------------------

inline double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Rounds before those that count, in which memory comes into the caches, and processes to their
// cores.
inline int rounds_to_warm_up(int rounds) { return 2 + rounds / 10; }

// The median time of an all-reduce of n bytes.
inline double all_reduce_seconds(const Team& team, Index bytes, int rounds) {
  std::vector<float> numbers(static_cast<std::size_t>(bytes) / sizeof(float), 0.0f);
  std::vector<double> seconds;
  for (int i = -rounds_to_warm_up(rounds); i < rounds; ++i) {
    team.wait();
    const double start = now();
    team.sum(std::span<float>(numbers));
    const double end = now();
    if (i >= 0) seconds.push_back(end - start);
  }
  return median(seconds);
}

struct StepTime {
  double whole, averaging;  // seconds, medians
};

// The time of a step as training makes it, on a minibatch (B, D), and of the all-reduce in it,
// which contains the wait for the slowest.
inline StepTime measured_step(const Team& team, const Tensor<float>& x, Index hidden, Index latents,
                              int rounds) {
  Rng rng(1);
  Vae<float> vae(x.extent(1), hidden, latents, rng);
  nn::Adam<float> adam(vae.parameters());
  MeanGradient<float> gradient(vae.parameters());
  const Index batch = x.extent(0);
  const Share mine = share_of(batch, team.rank(), team.size());
  std::vector<double> whole;
  std::vector<double> averaging;
  for (int i = -rounds_to_warm_up(rounds); i < rounds; ++i) {
    const double start = now();
    const Tensor<float> noise = rng.normal<float>({batch, latents});
    if (mine.count > 0) {
      Tape<float> tape;
      tape.backward(-mean(vae.elbo(rows(mine, x), rows(mine, noise)).total()));
    }
    const double before = now();
    gradient.average(team, mine.count, batch);
    const double after = now();
    adam.step();
    require_same_parameters(team, vae.parameters(), i);
    const double end = now();
    if (i < 0) continue;
    whole.push_back(end - start);
    averaging.push_back(after - before);
  }
  return {median(whole), median(averaging)};
}

}  // namespace gradus::lesson22
