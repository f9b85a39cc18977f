#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/common/constants.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What the page asks of lesson 13's VAE. The same code runs natively, where it makes the numbers
// that the page is checked against.
//
//     N images, D pixels, K latent dimensions, S draws
namespace gradus::lesson21 {

using lesson13::Vae;
using lesson15::Grid;

// How many images a step of training takes.
inline constexpr Index kBatch = 128;

inline constexpr double kRate = 1e-3;

// The parts of what a step of training maximises, in nats per image of its minibatch. For an
// autoencoder, which has no KL in its objective, `kl` is 0.
struct Parts {
  double reconstruction, kl;
};

// A VAE that is trained one minibatch at a time, so that somebody can look on.
class Trainer {
 public:
  // Images (N, D). Throws Error when there are none.
  Trainer(Tensor<float> images, Index hidden, Index latents, std::uint64_t seed)
      : images_(std::move(images)),
        rng_(seed),
        vae_(images_.extent(1), hidden, latents, rng_),
        adam_(vae_.parameters(), {.learning_rate = kRate}) {
    if (images_.extent(0) == 0) fail("training: there are no images");
  }

  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  // Up the reconstruction minus beta times the KL: by the ELBO where beta is 1.
  Parts step_vae(double beta) {
    const Tensor<float> x = next_minibatch();
    Tape<float> tape;
    const lesson13::Elbo<float> elbo = vae_.elbo(x, rng_);
    tape.backward(-mean(elbo.reconstruction - static_cast<float>(beta) * elbo.kl));
    adam_.step();
    return {mean(elbo.reconstruction.value()).item(), mean(elbo.kl.value()).item()};
  }

  // Up ln p(x|z) at the code z = m(x), without noise and without a KL: an autoencoder.
  Parts step_autoencoder() {
    const Tensor<float> x = next_minibatch();
    Tape<float> tape;
    const Var<float> log_prob = vae_.log_prob_at_mean(x);
    tape.backward(-mean(log_prob));
    adam_.step();
    return {mean(log_prob.value()).item(), 0};
  }

  Index steps_an_epoch() const { return (images_.extent(0) + kBatch - 1) / kBatch; }

  Vae<float>& vae() { return vae_; }

 private:
  // The next images of a random order, which is drawn anew for each epoch.
  Tensor<float> next_minibatch() {
    if (next_ == std::ssize(order_)) {
      order_ = rng_.permutation(images_.extent(0));
      next_ = 0;
    }
    const Index n = std::min(kBatch, std::ssize(order_) - next_);
    const auto rows = std::span(order_).subspan(next_, n);
    next_ += n;
    return gather_rows(images_, rows);
  }

  Tensor<float> images_;
  Rng rng_;
  Vae<float> vae_;
  nn::Adam<float> adam_;
  std::vector<Index> order_;
  Index next_ = 0;
};

// The ELBO's parts of one image x (1, D), each the average of S draws of z.
inline Parts mean_parts(const Vae<float>& vae, const Tensor<float>& x, Index draws, Rng rng) {
  const Tensor<float> copies = gather_rows(x, std::vector<Index>(draws, 0));  // (S, D)
  const lesson13::Elbo<float> elbo = vae.elbo(copies, rng);
  return {mean(elbo.reconstruction.value()).item(), mean(elbo.kl.value()).item()};
}

// ln p(x, z) of one image x (1, D) at points (G, 2), in double.   (G)
inline Tensor<double> log_joint_at(const Vae<float>& vae, const Tensor<float>& x,
                                   const Tensor<float>& z) {
  return cast<double>(lesson15::log_joint(vae, x, z)).reshape({-1});
}

// The ELBO's parts of one image x (1, D) for two latents, without draws: E_q[ln p(x|z)] is a sum
// over z = m + s e, with e on a grid and N(e; 0, I) as weights.
//
// Throws Error unless the model has two latents.
inline Parts exact_parts(const Vae<float>& vae, const Tensor<float>& x) {
  lesson15::require_two_latents(vae.latents());
  constexpr Grid kGrid{5, 26};  // of e
  const nn::Normal<float> q = vae.encode(x);
  const Tensor<float> e = kGrid.points<float>(0, kGrid.size());  // (G, 2)
  const Tensor<float> z = q.mean.value() + exp(0.5f * q.log_var.value()) * e;
  const Tensor<double> log_prior = -0.5 * sum(square(cast<double>(z)), {1}) - kLogTwoPi;  // (G)
  const Tensor<double> weight = exp(-0.5 * sum(square(cast<double>(e)), {1}));
  const Tensor<double> log_prob = log_joint_at(vae, x, z) - log_prior;
  const double reconstruction = sum(weight * log_prob).item() / sum(weight).item();
  return {reconstruction, sum(kl(q, nn::Normal<float>::standard()).value()).item()};
}

// ln p(x) of an image, and the mean and the standard deviation of its true posterior along both
// axes.
struct Evidence {
  double log_evidence;
  std::array<double, 2> mean, deviation;
};

// Square cells of the plane, all of one side: their middles, two numbers a cell.
struct Cells {
  std::vector<float> z;
  double side;

  Index count() const { return std::ssize(z) / 2; }

  Tensor<float> middles() const { return Tensor<float>({count(), 2}, z); }  // (G, 2)
};

// The cells that are at most `depth` nats below the highest, each cut into parts x parts.
inline Cells cut_highest(const Cells& cells, const Tensor<double>& log_joint, double depth,
                         Index parts) {
  const double lowest = max(log_joint).item() - depth;
  const Grid inner{cells.side / 2, parts};
  Cells finer{{}, inner.step()};
  for (Index p = 0; p < cells.count(); ++p) {
    if (log_joint(p) < lowest) continue;
    for (Index i = 0; i < parts; ++i)
      for (Index j = 0; j < parts; ++j) {
        finer.z.push_back(static_cast<float>(cells.z[2 * p] + inner.at(i)));
        finer.z.push_back(static_cast<float>(cells.z[2 * p + 1] + inner.at(j)));
      }
  }
  return finer;
}

// The cells that have all of ln p(x) that can be seen. Most of a plane is far from a posterior: a
// first look at cells of twice the grid's side leaves out where that is. Those that matter are cut
// finer than the grid, whose step then need not be as small as a posterior is narrow.
//
// The depths are nats below the highest cell. A narrow posterior is steep, so that the cell beside
// its own may be far below: the farther, the larger the cells.
inline Cells cells_that_matter(const Vae<float>& vae, const Tensor<float>& x, const Grid& grid) {
  constexpr double kFirstDepth = 150, kDepth = 30;
  constexpr Index kFiner = 5;
  const Grid twice{grid.end, (grid.side + 1) / 2};
  const Tensor<float> z = twice.points<float>(0, twice.size());
  const Cells first{{z.begin(), z.end()}, twice.step()};
  const Cells second = cut_highest(first, log_joint_at(vae, x, z), kFirstDepth, 2);
  return cut_highest(second, log_joint_at(vae, x, second.middles()), kDepth, kFiner);
}

// Lesson 15's sum over a grid, for one image x (1, D), with finer cells where these matter and none
// elsewhere. Throws Error unless the model has two latents.
inline Evidence evidence_of(const Vae<float>& vae, const Tensor<float>& x, const Grid& grid) {
  lesson15::require_two_latents(vae.latents());
  const Cells cells = cells_that_matter(vae, x, grid);
  const Tensor<float> z = cells.middles();
  const Tensor<double> log_mass = log_joint_at(vae, x, z) + 2 * std::log(cells.side);
  const double log_evidence = logsumexp(log_mass, {0}).item();
  const Tensor<double> weights = exp(log_mass - log_evidence).reshape({cells.count(), 1});
  const Tensor<double> places = cast<double>(z);
  const Tensor<double> mean = sum(weights * places, {0});                     // (2)
  const Tensor<double> variance = sum(weights * square(places - mean), {0});  // (2)
  return {log_evidence, {mean(0), mean(1)}, {std::sqrt(variance(0)), std::sqrt(variance(1))}};
}

// The density of the aggregate posterior, q(z) = 1/N sum_n N(z; m_n, s_n^2), at each point of a
// grid, from means and ln s^2 of N images, (N, 2).   (side * side)
inline std::vector<double> aggregate_density(const Tensor<float>& means,
                                             const Tensor<float>& log_vars, const Grid& grid) {
  lesson15::require_two_latents(means.extent(1));
  const Index n = means.extent(0);
  std::vector<double> density(grid.size(), 0.0);
  std::vector<double> across(grid.side), along(grid.side);
  // A normal density with a diagonal covariance is the product of two of one dimension each.
  const auto fill = [&](std::vector<double>& to, double m, double log_var) {
    const double scale = std::exp(-0.5 * (log_var + kLogTwoPi));
    for (Index i = 0; i < grid.side; ++i) {
      const double distance = grid.at(i) - m;
      to[i] = scale * std::exp(-0.5 * distance * distance * std::exp(-log_var));
    }
  };
  for (Index k = 0; k < n; ++k) {
    fill(across, means(k, 0), log_vars(k, 0));
    fill(along, means(k, 1), log_vars(k, 1));
    for (Index i = 0; i < grid.side; ++i)
      for (Index j = 0; j < grid.side; ++j)
        density[i * grid.side + j] += across[i] * along[j] / static_cast<double>(n);
  }
  return density;
}

// The share of the prior in holes: where a density on a grid is below a tenth of the prior's.
inline double prior_in_holes(const std::vector<double>& density, const Grid& grid) {
  double share = 0;
  for (Index p = 0; p < grid.size(); ++p) {
    const double z1 = grid.at(p / grid.side);
    const double z2 = grid.at(p % grid.side);
    const double prior = std::exp(-0.5 * (z1 * z1 + z2 * z2) - kLogTwoPi);
    if (density[p] < 0.1 * prior) share += prior * grid.step() * grid.step();
  }
  return share;
}

// KL(q(z_k|x), p(z_k)) of each latent, the mean over images (N, D).   (K)
inline Tensor<float> kl_of_latents(const Vae<float>& vae, const Tensor<float>& x) {
  const nn::Normal<float> q = vae.encode(x);
  const Tensor<float> m = q.mean.value();
  const Tensor<float> log_var = q.log_var.value();
  return mean(0.5f * (square(m) + exp(log_var) - 1.0f - log_var), {0});
}

// A latent with a smaller KL, in nats, is called dead.
inline constexpr float kDead = 0.05f;

// The mean squared difference of a pixel between x (1, D) and the nearest of N images (N, D).
inline double distance_to_nearest(const Tensor<float>& x, const Tensor<float>& images) {
  return -max(-mean(square(images - x), {1})).item();
}

// The number that a share of all numbers is below: of a hundred and 0.01 the second. Throws Error
// when there are none.
inline double quantile(std::vector<double> numbers, double share) {
  if (numbers.empty()) fail("quantile: there are no numbers");
  std::sort(numbers.begin(), numbers.end());
  const Index n = std::ssize(numbers);
  const Index below = std::lround(share * static_cast<double>(n));
  return numbers[std::min(below, n - 1)];
}

}  // namespace gradus::lesson21
