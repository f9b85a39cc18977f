#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "lessons/13_vae/instruments.hpp"
#include "lessons/16_likelihoods/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 16 measures of its models, and of images.
//
//     N images, D pixels, K latent dimensions
namespace gradus::lesson16 {

// ---- Images of another kind --------------------------------------------------------------------

// What a model sees of images whose pixels are levels k / 255.
enum class Pixels { kLevels, kDequantised, kBinarised };

// From levels k / 255 to (k + u) / 256 with u uniform in [0, 1): a density that is the same over
// each level's cell of 1/256 then is the level's probability times 256.
template <class T> Tensor<T> dequantise(const Tensor<T>& x, Rng& rng) {
  return (x * T(255) + rng.uniform<T>(x.shape())) / T(256);
}

// Black below level 128, and white from there on.
template <class T> Tensor<T> binarise(const Tensor<T>& x) {
  return less(Tensor<T>(T(127.5 / 255)), x);
}

template <class T> Tensor<T> seen_as(Pixels pixels, const Tensor<T>& x, Rng& rng) {
  switch (pixels) {
    case Pixels::kDequantised:
      return dequantise(x, rng);
    case Pixels::kBinarised:
      return binarise(x);
    default:
      return x;
  }
}

// ---- Steps between neighbours ------------------------------------------------------------------

// Differences of neighbours in a row, x_(d+1) - x_d: (N, D) -> (N * D / width, width - 1). The mean
// of their squares is lesson 13's sharpness.
template <class T> Tensor<T> steps_of(const Tensor<T>& x, Index width) {
  const Tensor<T> rows = x.reshape({-1, width});
  return slice(rows, 1, 1, width) - slice(rows, 1, 0, width - 1);
}

// x_d x_(d+1) of neighbours in a row, in the same shape.
template <class T> Tensor<T> products_of_neighbours(const Tensor<T>& x, Index width) {
  const Tensor<T> rows = x.reshape({-1, width});
  return slice(rows, 1, 1, width) * slice(rows, 1, 0, width - 1);
}

// ---- A model on a set of images ----------------------------------------------------------------

// With a z drawn from q(z|x) for each image, m = E[x|z] and r = x - m. Steps between neighbours
// have dx = dm + dr, and so E dx^2 = E dm^2 + E dr^2 + 2 E dm dr.
struct Measured {
  double reconstruction = 0, kl = 0;  // nats per image
  double error = 0;                   // E r^2
  double predicted_variance = 0;      // what p(x|z) says E r^2 is
  double sharp_images = 0, sharp_means = 0, sharp_draws = 0, sharp_residuals = 0;
  double sharp_cut_draws = 0;      // of draws that are cut off at 0 and 1, as figures show them
  double sharp_cross = 0;          // 2 E dm dr
  double residual_covariance = 0;  // E r_d r_(d+1)
  double bits = 0;                 // per pixel, of the levels

  double negative_elbo() const { return kl - reconstruction; }

  // E r_d r_(d+1) by the mean square of the same r: E dr^2 is twice that mean square less twice the
  // covariance.
  double residual_correlation() const {
    return residual_covariance / (sharp_residuals / 2 + residual_covariance);
  }
};

// -ln of the probability of the images' levels, added up over images and pixels. x: (k + u) / 256
// for a continuous Bernoulli, or k / 255.
template <class T>
double nats_of_levels(const NoisyVae<T>& net, const Tensor<T>& a, const Tensor<T>& x) {
  const Index pixels = x.extent(1);
  const Tensor<T> s = broadcast_to(sqrt(net.variances()), {pixels});
  const T* activations = a.data();
  const T* values = x.data();
  double total = 0;
  for (Index i = 0; i < x.size(); ++i) {
    const double at = activations[i];
    const double value = values[i];
    switch (net.noise()) {
      case Noise::kContinuousBernoulli: {
        const int k = std::min(kLevels - 1, static_cast<int>(value * 256));
        total -= log_prob_of_level_exponential(k, at / 256);
        break;
      }
      case Noise::kBernoulli:
        total -=
            log_prob_of_level_exponential(static_cast<int>(std::lround(value * 255)), at / 255);
        break;
      default:
        total -=
            log_prob_of_level_normal(static_cast<int>(std::lround(value * 255)), at, s(i % pixels));
    }
  }
  return total;
}

// The mean of what p(x|z) says the variance of a pixel is.
template <class T> double predicted_variance(const NoisyVae<T>& net, const Tensor<T>& a) {
  switch (net.noise()) {
    case Noise::kBernoulli:
      return mean(nn::Bernoulli<T>{a}.variance().value()).item();
    case Noise::kContinuousBernoulli:
      return mean(nn::ContinuousBernoulli<T>{a}.variance().value()).item();
    default:
      return mean(net.variances()).item();
  }
}

template <class T>
Measured measure_all(const NoisyVae<T>& net, const Tensor<T>& images, Index width, Rng rng) {
  Measured total;
  const double n = static_cast<double>(images.extent(0));
  const double pixels = static_cast<double>(images.extent(1));
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const double share = static_cast<double>(x.extent(0)) / n;
        const nn::Normal<T> q = net.encode(x);
        const Tensor<T> z = q.sample(rng).value();
        const Tensor<T> a = net.activations(z).value();
        const Tensor<T> m = net.mean(a);
        const Tensor<T> r = x - m;
        const Tensor<T> dm = steps_of(m, width);
        const Tensor<T> dr = steps_of(r, width);
        const double kl_here = mean(kl(q, nn::Normal<T>::standard()).value()).item();
        total.reconstruction += share * mean(net.log_prob(a, x).value()).item();
        total.kl += share * kl_here;
        total.error += share * mean(square(r)).item();
        total.predicted_variance += share * predicted_variance(net, a);
        total.sharp_images += share * mean(square(steps_of(x, width))).item();
        total.sharp_means += share * mean(square(dm)).item();
        total.sharp_residuals += share * mean(square(dr)).item();
        total.sharp_cross += share * 2 * mean(dm * dr).item();
        total.residual_covariance += share * mean(products_of_neighbours(r, width)).item();
        const Tensor<T> draws = net.draw(a, rng);
        const Tensor<T> cut = minimum(maximum(draws, T(0)), T(1));
        total.sharp_draws += share * mean(square(steps_of(draws, width))).item();
        total.sharp_cut_draws += share * mean(square(steps_of(cut, width))).item();
        const double nats = nats_of_levels(net, a, x) / static_cast<double>(x.extent(0)) + kl_here;
        total.bits += share * nats / (pixels * std::log(2.0));
      },
      lesson13::kEvaluatedAtOnce);
  return total;
}

// ---- Without an image --------------------------------------------------------------------------

// The sharpness of what n draws z of the prior decode to: of means, and of draws from p(x|z).
struct PriorSharpness {
  double means = 0, draws = 0;
};

template <class T>
PriorSharpness sharpness_of_prior(const NoisyVae<T>& net, Index n, Index width, Rng rng) {
  const Tensor<T> a = net.activations(rng.normal<T>({n, net.latents()})).value();
  return {mean(square(steps_of(net.mean(a), width))).item(),
          mean(square(steps_of(net.draw(a, rng), width))).item()};
}

// ---- Calibration -------------------------------------------------------------------------------

// z-scores, (x_d - m_d) / sigma, of a model with one sigma: what would be standard normal if the
// model were right.
struct Scores {
  std::vector<double> at, density;       // of a histogram, the middles of its bins
  double square = 0, fourth = 0;         // E z^2 and E z^4; 1 and 3 of a normal one
  double within_half = 0, beyond_3 = 0;  // shares with |z| < 1/2 and |z| > 3
};

template <class T> Scores z_scores(const NoisyVae<T>& net, const Tensor<T>& images, Rng rng) {
  constexpr double kEnd = 8;
  constexpr double kWidth = 0.25;
  constexpr Index kBins = 64;
  const double sigma = std::sqrt(static_cast<double>(net.variances().item()));
  const double n = static_cast<double>(images.size());
  Scores scores;
  scores.density.assign(kBins, 0);
  for (Index bin = 0; bin < kBins; ++bin)
    scores.at.push_back(-kEnd + kWidth * (static_cast<double>(bin) + 0.5));
  const auto count = [&](double z) {
    scores.square += z * z / n;
    scores.fourth += z * z * z * z / n;
    if (std::abs(z) < 0.5) scores.within_half += 1 / n;
    if (std::abs(z) > 3) scores.beyond_3 += 1 / n;
    const double bin = std::floor((z + kEnd) / kWidth);
    if (bin >= 0 && bin < kBins) scores.density[static_cast<std::size_t>(bin)] += 1 / (n * kWidth);
  };
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Tensor<T> a = net.activations(net.encode(x).sample(rng)).value();
        for (double r : x - net.mean(a)) count(r / sigma);
      },
      lesson13::kEvaluatedAtOnce);
  return scores;
}

// Of the pixels whose probability p of white is said to be in one tenth of [0, 1]: their share, the
// mean of p and of the pixels x, and the mean of p (1 - p) and of (x - p)^2.
struct Bin {
  double share = 0;
  double p = 0, x = 0;
  double predicted_variance = 0, error = 0;
};

template <class T>
std::vector<Bin> reliability(const NoisyVae<T>& net, const Tensor<T>& images, Rng rng) {
  constexpr int kBins = 10;
  std::vector<Bin> bins(kBins);
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Tensor<T> said = net.mean(net.activations(net.encode(x).sample(rng)).value());
        for (Index i = 0; i < x.size(); ++i) {
          const double p = said.data()[i];
          const double value = x.data()[i];
          Bin& bin = bins[std::min(kBins - 1, static_cast<int>(p * kBins))];
          bin.share += 1;
          bin.p += p;
          bin.x += value;
          bin.predicted_variance += p * (1 - p);
          bin.error += (value - p) * (value - p);
        }
      },
      lesson13::kEvaluatedAtOnce);
  std::erase_if(bins, [](const Bin& bin) { return bin.share == 0; });
  for (Bin& bin : bins) {
    for (double* sum : {&bin.p, &bin.x, &bin.predicted_variance, &bin.error}) *sum /= bin.share;
    bin.share /= static_cast<double>(images.size());
  }
  return bins;
}

// ---- Without latents ---------------------------------------------------------------------------

// Each pixel's levels as often as in the training images, with 1/256 of an image of each level
// added, so that none is impossible. In bits per pixel of the test images.
template <class T> double bits_of_histograms(const Tensor<T>& train, const Tensor<T>& test) {
  const Index pixels = train.extent(1);
  std::vector<double> counts(static_cast<std::size_t>(pixels * kLevels), 1.0 / kLevels);
  const auto place = [pixels](Index i, T pixel) {
    return static_cast<std::size_t>((i % pixels) * kLevels + std::lround(pixel * 255));
  };
  Index i = 0;
  for (T pixel : train) {
    counts[place(i, pixel)] += 1;
    ++i;
  }
  double total = 0;
  i = 0;
  for (T pixel : test) {
    total -= std::log2(counts[place(i, pixel)] / (static_cast<double>(train.extent(0)) + 1));
    ++i;
  }
  return total / static_cast<double>(test.size());
}

// ---- Pictures ----------------------------------------------------------------------------------

struct Pictures {
  Tensor<float> means, draws;  // (N, D)
};

inline Pictures pictures_through(const NoisyVae<float>& net, const Tensor<float>& x, Rng rng) {
  const Tensor<float> a = net.activations(net.encode(x).sample(rng)).value();
  return {net.mean(a), net.draw(a, rng)};
}

// Means that n draws of the prior decode to.
inline Tensor<float> means_of_prior(const NoisyVae<float>& net, Index n, Rng rng) {
  return net.mean(net.activations(rng.normal<float>({n, net.latents()})).value());
}

}  // namespace gradus::lesson16
