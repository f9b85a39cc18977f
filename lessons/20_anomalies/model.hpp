#pragma once
#include <cmath>
#include <utility>
#include <vector>

#include <zlib.h>

#include "lessons/02_ppca/model.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/15_evidence/instruments.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// Scores of how strange an image is, from models of the density of images that are not.
//
//     N images, D pixels, K latents, S scores of an image
namespace gradus::lesson20 {

using lesson02::Ppca;
using lesson13::Vae;

// ---- What a VAE says ---------------------------------------------------------------------------

// The bound of each image's surprise, and the KL in it: (N), in nats.
struct Bound {
  Tensor<double> negative_elbo, kl;

  Tensor<double> negative_reconstruction() const { return negative_elbo - kl; }
};

// By one z for each image of x (N, D).
template <class T> Bound bound(const Vae<T>& vae, const Tensor<T>& x, Rng rng) {
  std::vector<Tensor<double>> negative_elbo;
  std::vector<Tensor<double>> kl;
  in_parts(
      x,
      [&](const Tensor<T>& part) {
        const lesson13::Elbo<T> elbo = vae.elbo(part, rng);
        negative_elbo.push_back(cast<double>(-elbo.total().value()));
        kl.push_back(cast<double>(elbo.kl.value()));
      },
      lesson13::kEvaluatedAtOnce);
  return {concatenate(negative_elbo), concatenate(kl)};
}

// sum_d H(x_d) of each image of x (N, D), with the entropy H of a coin in nats: below this floor no
// -ELBO of the image can be.   (N)
template <class T> Tensor<double> floors(const Tensor<T>& x) {
  const Index pixels = x.extent(1);
  Tensor<double> result({x.extent(0)});
  double* floor = result.mutable_data();
  const T* pixel = x.data();
  for (Index n = 0; n < x.extent(0); ++n)
    for (Index d = 0; d < pixels; ++d) {
      const auto p = static_cast<double>(*pixel++);
      floor[n] -= lesson13::xlogy(p, p) + lesson13::xlogy(1 - p, 1 - p);
    }
  return result;
}

// -ln (1/k sum_i w_i), with w = p(x|z) p(z) / q(z|x), for k draws of z from q(z|x) for each image:
// a bound of the surprise that is nearer to it, on average, than the -ELBO, which is k = 1 (Burda,
// Grosse and Salakhutdinov 2016, equation 8; lesson 15).   (N)
template <class T>
Tensor<double> tighter_bound(const Vae<T>& vae, const Tensor<T>& x, Index k, Rng rng) {
  std::vector<Tensor<double>> result;
  in_parts(
      x,
      [&](const Tensor<T>& part) {
        const Tensor<double> log_w =
            lesson15::draw_log_weights(vae, part, vae.encode(part), k, rng);  // (k, part)
        result.push_back(-lesson15::log_mean_exp<double>(log_w).value());
      },
      lesson13::kEvaluatedAtOnce);
  return concatenate(result);
}

// ---- Other scores ------------------------------------------------------------------------------

// -ln p(x) of each image of x (N, D) under pPCA, in nats.   (N)
template <class T> Tensor<double> surprise(const Ppca<double>& ppca, const Tensor<T>& x) {
  std::vector<Tensor<double>> result;
  in_parts(x, [&](const Tensor<T>& part) {
    result.push_back(-ppca.log_likelihood(cast<double>(part)));
  });
  return concatenate(result);
}

// The length of each image of x (N, D), with 256 grey levels, when zlib has packed it, in nats. (N)
template <class T> Tensor<double> packed_lengths(const Tensor<T>& x) {
  constexpr int kBest = 9;
  const Index n = x.extent(0);
  const auto pixels = static_cast<std::size_t>(x.extent(1));
  std::vector<Bytef> image(pixels);
  std::vector<Bytef> packed(compressBound(pixels));
  Tensor<double> result({n});
  double* nats = result.mutable_data();
  const T* pixel = x.data();
  for (Index i = 0; i < n; ++i) {
    for (Bytef& byte : image) byte = static_cast<Bytef>(std::lround(255 * *pixel++));
    uLongf length = packed.size();
    if (compress2(packed.data(), &length, image.data(), image.size(), kBest) != Z_OK)
      fail("packed_lengths: zlib could not pack an image of {} pixels", pixels);
    nats[i] = 8 * std::log(2.0) * static_cast<double>(length);
  }
  return result;
}

// x (N, D) where each pixel is, with probability `share`, another one: uniform on [0, 1).
template <class T> Tensor<T> replace_pixels(const Tensor<T>& x, double share, Rng& rng) {
  const Tensor<T> other = rng.uniform<T>(x.shape());
  const Tensor<T> replaced = less(rng.uniform<T>(x.shape()), static_cast<T>(share));
  return x + replaced * (other - x);
}

// A normal density of several scores of an image, fitted to images that are not strange: what is
// unusual among the scores is strange, whether it is high or low (Morningstar and others 2021, with
// a normal density in place of theirs).
struct ScoreDensity {
  Tensor<double> mean;        // (S)
  Tensor<double> covariance;  // (S, S)

  explicit ScoreDensity(const Tensor<double>& scores)  // (N, S)
      : mean(gradus::mean(scores, {0})),
        covariance(matmul_tn(scores - mean, scores - mean) /
                   static_cast<double>(scores.extent(0))) {}

  // -ln p(scores).  (N, S) -> (N)
  Tensor<double> surprise(const Tensor<double>& scores) const {
    return -lesson02::gaussian_log_likelihood(scores - mean, covariance);
  }
};

// ---- All of them -------------------------------------------------------------------------------

// The scores of N images, (N) each. The higher a score, the stranger is the image.
struct Scores {
  Tensor<double> negative_elbo, negative_reconstruction, kl;
  Tensor<double> floor;       // of the image itself: no model says it
  Tensor<double> excess;      // -ELBO less that
  Tensor<double> ppca;        // -ln p(x) of pPCA
  Tensor<double> typicality;  // the distance of -ELBO from what it is on average in training
  Tensor<double> density;     // -ln p of four of the above
};

// What makes scores of images, fitted to images that are not strange. The models must outlive it.
class Detector {
 public:
  // Of x (N, D), which the models were fitted to, to learn what scores are usual.
  Detector(const Vae<float>& vae, const Ppca<double>& ppca, const Tensor<float>& x, Rng rng)
      : Detector(vae, ppca, rng, raw_scores(vae, ppca, x, floors(x), rng)) {}

  // For x (N, D) with floors(x).
  Scores scores(const Tensor<float>& x, const Tensor<double>& floor) const {
    Scores s = raw_scores(vae_, ppca_, x, floor, rng_);
    s.typicality = abs(s.negative_elbo - usual_);
    s.density = density_.surprise(columns(s));
    return s;
  }

 private:
  Detector(const Vae<float>& vae, const Ppca<double>& ppca, Rng rng, const Scores& usual)
      : vae_(vae),
        ppca_(ppca),
        rng_(rng),
        usual_(mean(usual.negative_elbo).item()),
        density_(columns(usual)) {}

  static Scores raw_scores(const Vae<float>& vae, const Ppca<double>& ppca, const Tensor<float>& x,
                           const Tensor<double>& floor, Rng rng) {
    const Bound b = bound(vae, x, rng);
    return {.negative_elbo = b.negative_elbo,
            .negative_reconstruction = b.negative_reconstruction(),
            .kl = b.kl,
            .floor = floor,
            .excess = b.negative_elbo - floor,
            .ppca = surprise(ppca, x),
            .typicality = {},
            .density = {}};
  }

  // (N, 4): what ScoreDensity looks at. Three are positive, and vary by factors.
  static Tensor<double> columns(const Scores& s) {
    constexpr double kLeast = 1e-6;  // a KL of 0 may be rounded to less
    const auto log_of = [](const Tensor<double>& nats) { return log(maximum(nats, kLeast)); };
    std::vector<Tensor<double>> result;
    for (const Tensor<double>& score :
         {log_of(s.negative_elbo), log_of(s.excess), s.ppca, log_of(s.kl)})
      result.push_back(score.reshape({-1, 1}));
    return concatenate(result, 1);
  }

  const Vae<float>& vae_;
  const Ppca<double>& ppca_;
  Rng rng_;
  double usual_;
  ScoreDensity density_;
};

}  // namespace gradus::lesson20
