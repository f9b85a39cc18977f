#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 15 measures of its models.
//
//     N images, D pixels, K latents, k draws for each image
namespace gradus::lesson15 {

// ---- Bounds by draws ---------------------------------------------------------------------------

// ln w of k draws from a normal q, (N, K), of each image of x (N, D).   (k, N)
template <class T, class Model>
Tensor<double> draw_log_weights(const Model& vae, const Tensor<T>& x, const nn::Normal<T>& q,
                                Index draws, Rng& rng) {
  constexpr Index kRowsAtOnce = 8000;  // of decoded images
  const Index n = x.extent(0);
  const Index at_once = std::max<Index>(1, kRowsAtOnce / n);
  std::vector<Tensor<double>> parts;
  for (Index done = 0; done < draws; done += at_once) {
    const Tensor<T> noise = rng.normal<T>({std::min(at_once, draws - done), n, vae.latents()});
    parts.push_back(cast<double>(log_weights(vae, x, q, noise).value()));
  }
  return concatenate(parts);
}

// L_k of each image, averaged over the groups of k draws that ln w (draws, N) can be cut into
// without a draw in two of them.   (N)
//
// REQUIRES: 1 <= k <= draws.
inline Tensor<double> bounds_by_groups(const Tensor<double>& log_w, Index k) {
  const Index groups = log_w.extent(0) / k;
  const Index n = log_w.extent(1);
  const Tensor<double> grouped = slice(log_w, 0, 0, groups * k).reshape({groups, k, n});
  return mean(logsumexp(grouped, {1}), {0}) - std::log(static_cast<double>(k));
}

// The mean of numbers, one for each image, and its standard error.
struct MeanAndError {
  double mean, error;
};

inline MeanAndError mean_and_error(const Tensor<double>& x) {
  const double n = static_cast<double>(x.size());
  const double average = mean(x).item();
  return {average, std::sqrt(mean(square(x - average)).item() / n)};
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// ---- The best normal q of an image -------------------------------------------------------------

struct Climb {
  int steps;
  double rate;  // of Adam, falling to 0 in a straight line
  Index draws;  // for each image and step
};

// For each image a normal q of its own, (N, K), with the highest ELBO that a climb from `start`
// finds, while the decoder stays as it is.
template <class T>
nn::Normal<T> fit_from(const nn::Normal<T>& start, const Vae<T>& vae, const Tensor<T>& x,
                       const Climb& climb, Rng& rng) {
  Parameter<T> mean("mean", start.mean.value());           // (N, K)
  Parameter<T> log_var("log_var", start.log_var.value());  // (N, K)
  nn::Adam<T> adam({&mean, &log_var}, {.learning_rate = climb.rate});
  for (int step = 0; step < climb.steps; ++step) {
    adam.options.learning_rate = climb.rate * (1 - static_cast<double>(step) / climb.steps);
    const Tensor<T> noise = rng.normal<T>({climb.draws, x.extent(0), vae.latents()});
    Tape<T> tape;
    const nn::Normal<T> q{mean, log_var};
    const Var<T> elbo = sum(log_weights(vae, x, q, noise)) / static_cast<T>(climb.draws);
    const auto slopes = gradient(elbo, {q.mean, q.log_var});
    mean.grad = -slopes[0].value();
    log_var.grad = -slopes[1].value();
    adam.step();
  }
  return {mean.value(), log_var.value()};
}

// ---- The true posterior, on a grid -------------------------------------------------------------

// What one image's p(z|x) looks like.
struct PosteriorShape {
  double log_evidence;
  std::array<double, 2> top;  // its highest point
  std::array<double, 2> mean, variance;
  double covariance;
  double entropy;  // nats

  // How far its entropy is below that of the normal density with the same covariance: 0 where it is
  // normal, and more the less it is.
  double negentropy() const {
    const double det = variance[0] * variance[1] - covariance * covariance;
    return 1 + kLogTwoPi + 0.5 * std::log(det) - entropy;
  }

  double far_mass;  // of the heaviest hill whose top is farther than kFar from the heaviest one's
  std::array<double, 2> hill_mean, hill_variance;  // of the heaviest hill

  static constexpr double kFar = 0.5;
};

// The hills of a landscape over the grid: for each point within `depth` of the highest one, which
// hill it belongs to, by the way from each point to the highest of its eight neighbours.
struct Hills {
  std::vector<Index> points;  // the highest first
  std::vector<Index> hill;    // of each of them: the place in `points` of its hill's top
};

template <class T> Hills find_hills(const T* log_density, const Grid& grid, double depth) {
  const Index side = grid.side;
  Hills hills;
  const T highest = *std::max_element(log_density, log_density + grid.size());
  for (Index p = 0; p < grid.size(); ++p)
    if (log_density[p] > highest - static_cast<T>(depth)) hills.points.push_back(p);
  std::sort(hills.points.begin(), hills.points.end(), [&](Index a, Index b) {
    return log_density[a] != log_density[b] ? log_density[a] > log_density[b] : a < b;
  });
  std::vector<Index> place(grid.size(), -1);  // in `points`, of those that were visited
  for (Index i = 0; i < std::ssize(hills.points); ++i) {
    const Index row = hills.points[i] / side;
    const Index column = hills.points[i] % side;
    Index best = i;  // a top, unless a neighbour is higher
    for (Index r = std::max<Index>(0, row - 1); r <= std::min(side - 1, row + 1); ++r)
      for (Index c = std::max<Index>(0, column - 1); c <= std::min(side - 1, column + 1); ++c) {
        const Index there = place[r * side + c];
        if (there >= 0) best = std::min(best, there);
      }
    hills.hill.push_back(best == i ? i : hills.hill[best]);
    place[hills.points[i]] = i;
  }
  return hills;
}

// Mean and variance along both axes of z, with weights.
struct Moments {
  double weight = 0;
  std::array<double, 2> sum = {}, squares = {};
  double product = 0;

  void add(double w, double z1, double z2) {
    weight += w;
    sum[0] += w * z1;
    sum[1] += w * z2;
    squares[0] += w * z1 * z1;
    squares[1] += w * z2 * z2;
    product += w * z1 * z2;
  }

  double mean(int k) const { return sum[k] / weight; }

  double variance(int k) const { return squares[k] / weight - mean(k) * mean(k); }

  double covariance() const { return product / weight - mean(0) * mean(1); }
};

// From ln p(x, z) of one image all over the grid.
template <class T> PosteriorShape shape_of(const T* log_joint, const Grid& grid) {
  constexpr double kDepth = 25;  // e^-25 is 1e-11: what lies deeper weighs nothing
  const Hills hills = find_hills(log_joint, grid, kDepth);
  const double highest = log_joint[hills.points.front()];
  Moments all;
  double mean_log = 0;
  std::vector<Moments> of_hill(hills.points.size());
  for (std::size_t i = 0; i < hills.points.size(); ++i) {
    const Index p = hills.points[i];
    const double below = log_joint[p] - highest;
    const double w = std::exp(below);
    const double z1 = grid.at(p / grid.side);
    const double z2 = grid.at(p % grid.side);
    all.add(w, z1, z2);
    mean_log += w * below;
    of_hill[hills.hill[i]].add(w, z1, z2);
  }
  const auto lighter = [](const Moments& a, const Moments& b) { return a.weight < b.weight; };
  const Index heaviest =
      std::max_element(of_hill.begin(), of_hill.end(), lighter) - of_hill.begin();
  const auto at = [&](Index i) {
    const Index p = hills.points[i];
    return std::array{grid.at(p / grid.side), grid.at(p % grid.side)};
  };
  PosteriorShape shape{};
  shape.log_evidence = highest + std::log(all.weight) + 2 * std::log(grid.step());
  shape.top = at(0);
  for (int k = 0; k < 2; ++k) {
    shape.mean[k] = all.mean(k);
    shape.variance[k] = all.variance(k);
    shape.hill_mean[k] = of_hill[heaviest].mean(k);
    shape.hill_variance[k] = of_hill[heaviest].variance(k);
  }
  shape.covariance = all.covariance();
  // -sum_z p ln (p / cell), with p = w / all
  shape.entropy = std::log(all.weight) - mean_log / all.weight + 2 * std::log(grid.step());
  const std::array<double, 2> main_top = at(heaviest);
  for (Index i = 0; i < std::ssize(of_hill); ++i) {
    if (of_hill[i].weight == 0) continue;
    const auto [z1, z2] = at(i);
    if (std::hypot(z1 - main_top[0], z2 - main_top[1]) > PosteriorShape::kFar)
      shape.far_mass = std::max(shape.far_mass, of_hill[i].weight / all.weight);
  }
  return shape;
}

// The posteriors of images x (N, D), some at a time: ln p(x, z) all over a grid needs room, 0.6 MB
// for an image and 400 x 400 points in float.
template <class T>
std::vector<PosteriorShape> shapes_of(const Vae<T>& vae, const Tensor<T>& x, const Grid& grid) {
  constexpr Index kImagesAtOnce = 125;
  std::vector<PosteriorShape> shapes;
  in_parts(
      x,
      [&](const Tensor<T>& part) {
        const Tensor<T> joint = log_joint_on(vae, part, grid);
        for (Index i = 0; i < part.extent(0); ++i)
          shapes.push_back(shape_of(joint.data() + i * grid.size(), grid));
      },
      kImagesAtOnce);
  return shapes;
}

// ---- The aggregate posterior -------------------------------------------------------------------

// ln N(z; m_i, s_i^2) of points z (M, K) under each of N normal densities, (N, K).   (M, N)
//
// -1/2 sum_j ((z_j - m_j)^2 / s_j^2 + ln s_j^2 + ln 2 pi), multiplied out: two matrix products, and
// what has no z.
inline Tensor<double> log_densities(const Tensor<double>& z, const Tensor<double>& mean,
                                    const Tensor<double>& log_var) {
  const Tensor<double> precision = exp(-log_var);  // (N, K)
  const Tensor<double> without_z = sum(square(mean) * precision + log_var + kLogTwoPi, {1});  // (N)
  return -0.5 *
         (matmul_nt(square(z), precision) - 2.0 * matmul_nt(z, mean * precision) + without_z);
}

// The mean KL(q(z|x) || p(z)) over images is I + KL(q(z) || p(z)): what z tells of which image it
// is, and how far the average of all q(z|x), the aggregate posterior q(z), is from the prior.
struct KlParts {
  double information, of_aggregate;

  double total() const { return information + of_aggregate; }
};

// By `draws` of z for each image, from q (N, K) of N images.
template <class T> KlParts split_kl(const nn::Normal<T>& q, Index draws, Rng& rng) {
  const Tensor<double> mean = cast<double>(q.mean.value());
  const Tensor<double> log_var = cast<double>(q.log_var.value());
  const Index n = mean.extent(0);
  const Index latents = mean.extent(1);
  KlParts parts{0, 0};
  for (Index draw = 0; draw < draws; ++draw) {
    const Tensor<double> noise = rng.normal<double>({n, latents});
    const Tensor<double> z = mean + exp(0.5 * log_var) * noise;                         // (N, K)
    const Tensor<double> log_q = -0.5 * sum(square(noise) + log_var + kLogTwoPi, {1});  // (N)
    const Tensor<double> log_p = -0.5 * sum(square(z) + kLogTwoPi, {1});                // (N)
    std::vector<Tensor<double>> of_parts;
    in_parts(
        z,
        [&](const Tensor<double>& part) {
          of_parts.push_back(logsumexp(log_densities(part, mean, log_var), {1}));
        },
        500);
    const Tensor<double> log_average =
        concatenate(of_parts) - std::log(static_cast<double>(n));  // (N): ln q(z)
    parts.information += gradus::mean(log_q - log_average).item() / static_cast<double>(draws);
    parts.of_aggregate += gradus::mean(log_average - log_p).item() / static_cast<double>(draws);
  }
  return parts;
}

}  // namespace gradus::lesson15
