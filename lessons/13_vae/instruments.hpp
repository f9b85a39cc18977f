#pragma once
#include <cmath>
#include <limits>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/common/gradients.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 13 measures of its models, and of the images that they make.
//
//     N images, D pixels, K latent dimensions
namespace gradus::lesson13 {

// ---- The scores of a model ---------------------------------------------------------------------

// The ELBO's parts, averaged over a set of images, in nats per image.
struct ElboMeans {
  double reconstruction = 0;  // ln p(x|z)
  double kl = 0;

  double negative_elbo() const { return kl - reconstruction; }
};

// How many images are evaluated at a time. No tape is alive then: this only computes.
inline constexpr Index kEvaluatedAtOnce = 1000;

// The ELBO of a model, by one z for each image.
template <class Net, class T> ElboMeans evaluate(const Net& net, const Tensor<T>& images, Rng rng) {
  ElboMeans total;
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Elbo<T> part = net.elbo(x, rng);
        total.reconstruction += sum(part.reconstruction).item();
        total.kl += sum(part.kl).item();
      },
      kEvaluatedAtOnce);
  const double n = static_cast<double>(images.extent(0));
  return {total.reconstruction / n, total.kl / n};
}

// The mean over images of ln p(x|z) at z = m(x), in nats: what an autoencoder is worth.
template <class T> double mean_log_prob_at_mean(const Vae<T>& vae, const Tensor<T>& images) {
  double total = 0;
  in_parts(
      images, [&](const Tensor<T>& x) { total += sum(vae.log_prob_at_mean(x)).item(); },
      kEvaluatedAtOnce);
  return total / static_cast<double>(images.extent(0));
}

// ---- Codes -------------------------------------------------------------------------------------

// n images on the straight line from the code of the first of two images (2, D) to that of the
// other.
template <class T> Tensor<T> interpolate(const Vae<T>& vae, const Tensor<T>& ends, Index n) {
  const Tensor<T> codes = vae.encode(ends).mean.value();  // (2, K)
  return vae.decoded(points_between(codes, n));
}

// What the midpoint of two codes decodes to, against the average of what the two decode to: the
// mean squared difference per pixel, over the images 1 and 2, 3 and 4, ... of x (N, D), N > 1.
template <class T> double departure_of_midpoints(const Vae<T>& vae, const Tensor<T>& x) {
  const Index pairs = x.extent(0) / 2;
  std::vector<Index> firsts;
  std::vector<Index> seconds;
  for (Index i = 0; i < pairs; ++i) {
    firsts.push_back(2 * i);
    seconds.push_back(2 * i + 1);
  }
  const Tensor<T> a = vae.encode(gather_rows(x, firsts)).mean.value();   // (pairs, K)
  const Tensor<T> b = vae.encode(gather_rows(x, seconds)).mean.value();  // (pairs, K)
  const Tensor<T> average = (vae.decoded(a) + vae.decoded(b)) * T(0.5);
  return mean(square(vae.decoded((a + b) * T(0.5)) - average)).item();
}

// E[z_k^2] of each latent, over images and over q(z|x): the mean of m^2 + s^2.  (K)
//
// Write latent k on another scale: a m and a s, and the decoder's weights for it divided by a. What
// is decoded stays as it is, and the KL becomes the mean of 1/2 (a^2 (m^2 + s^2) - 1 - ln(a^2
// s^2)), whose slope at a = 1 is E[z_k^2] - 1. So wherever training comes to rest, E[z_k^2] = 1.
template <class T> Tensor<T> second_moments(const Vae<T>& vae, const Tensor<T>& x) {
  const nn::Normal<T> q = vae.encode(x);
  return mean(square(q.mean.value()) + exp(q.log_var.value()), {0});
}

// By how much the best such rescaling of every latent lowers the KL, in nats: it is at a^2 = 1 / M
// with M = E[z_k^2], and saves 1/2 (M - 1 - ln M).
template <class T> double gain_by_rescaling(const Tensor<T>& moments) {
  double gain = 0;
  for (double m : moments) gain += 0.5 * (m - 1 - std::log(m));
  return gain;
}

// The share of points z (N, 2) within a distance from 0. Of N(0, I) it is 1 - exp(-distance^2 / 2).
template <class T> double share_within(const Tensor<T>& z, double distance) {
  const auto limit = static_cast<T>(distance * distance);
  return mean(less_equal(sum(square(z), {1}), limit)).item();
}

// ---- Amortised inference -----------------------------------------------------------------------

// For each image a q(z|x) of its own, normal with a diagonal covariance, found by climbing the ELBO
// from the encoder's answer with the decoder as it is: Adam with a rate that falls in a straight
// line, one draw of z for each image and step. This is lesson 11's inference, once per image.
template <class T>
nn::Normal<T> fit_each(const Vae<T>& vae, const Tensor<T>& x, int steps, double rate, Rng& rng) {
  const nn::Normal<T> start = vae.encode(x);
  Parameter<T> mean("mean", start.mean.value());           // (N, K)
  Parameter<T> log_var("log_var", start.log_var.value());  // (N, K)
  nn::Adam<T> adam({&mean, &log_var}, {.learning_rate = rate});
  for (int step = 0; step < steps; ++step) {
    adam.options.learning_rate = rate * (1 - static_cast<double>(step) / steps);
    Tape<T> tape;
    const nn::Normal<T> q{mean, log_var};
    const Var<T> z = q.sample(rng);
    const Var<T> elbo = sum(vae.decode(z).log_prob(x) - kl(q, nn::Normal<T>::standard()));
    const auto slopes = gradient(elbo, {q.mean, q.log_var});
    mean.grad = -slopes[0].value();
    log_var.grad = -slopes[1].value();
    adam.step();
  }
  return {mean.value(), log_var.value()};
}

// The ELBO of each image, (N), under some q(z|x), as the average of several draws.
template <class T>
Tensor<T> elbo_of(const Vae<T>& vae, const Tensor<T>& x, const nn::Normal<T>& q, int draws,
                  Rng& rng) {
  Tensor<T> total({x.extent(0)});
  for (int i = 0; i < draws; ++i) total += vae.decode(q.sample(rng)).log_prob(x).value();
  return total / static_cast<T>(draws) - kl(q, nn::Normal<T>::standard()).value();
}

// ---- Gradients ---------------------------------------------------------------------------------

// The variance of a minibatch's gradient, added up over all parameters, and the part of it that the
// draws of z cause, not the choice of the images.
struct GradientNoise {
  double all, of_draws;
};

// From pairs of gradients of the mean ELBO of `batch` images: half the squared distance of two of
// the same images, with other draws, is V_noise / batch on average, and of other images, too, it is
// (V_data + V_noise) / batch.
template <class T>
GradientNoise gradient_noise(Vae<T>& vae, const Tensor<T>& images, Index batch, int pairs,
                             Rng& rng) {
  const auto draw_images = [&] {
    return gather_rows(images, rng.integers(batch, images.extent(0)));
  };
  const auto draw_gradient = [&](const Tensor<T>& x) {
    Tape<T> tape;
    const std::vector<Var<T>> inputs = leaves(vae.parameters());
    return flat(gradient(mean(vae.elbo(x, rng).total()), inputs)).value();
  };
  GradientNoise noise{0, 0};
  for (int i = 0; i < pairs; ++i) {
    const Tensor<T> x = draw_images();
    const Tensor<T> one = draw_gradient(x);
    const Tensor<T> same = draw_gradient(x);
    const Tensor<T> other = draw_gradient(draw_images());
    noise.of_draws += 0.5 * sum(square(one - same)).item() / pairs;
    noise.all += 0.5 * sum(square(one - other)).item() / pairs;
  }
  return noise;
}

// ---- Claims ------------------------------------------------------------------------------------

// How far the decoded mean of an image moves, per pixel and squared, when noise of standard
// deviation `sigma` is added to the image.
template <class T>
double moved_by_noise(const Vae<T>& vae, const Tensor<T>& x, double sigma, Rng& rng) {
  auto decoded = [&](const Tensor<T>& images) {
    return vae.decoded(vae.encode(images).mean.value());
  };
  double total = 0;
  in_parts(
      x,
      [&](const Tensor<T>& part) {
        const Tensor<T> noisy = part + rng.normal<T>(part.shape()) * static_cast<T>(sigma);
        total += sum(square(decoded(noisy) - decoded(part))).item();
      },
      kEvaluatedAtOnce);
  return total / static_cast<double>(x.size());
}

// Lesson 11's model, z ~ q = N(m, s^2) = N(0.5, 0.25) and x = 1.5 ~ N(2z, 1): by how much ln p(x|m)
// is above E_q[ln p(x|z)]. A quadratic function of z has the mean of its values at m +- s.
inline double decoding_bias_of_lesson_11() {
  auto log_p = [](double z) { return nn::Normal<double>{2 * z, 0}.log_prob(1.5).item(); };
  return log_p(0.5) - (log_p(0.5 + 0.5) + log_p(0.5 - 0.5)) / 2;
}

// The length of the gradient of some loss with respect to some parameters.
template <class T> double gradient_length(const nn::Parameters<T>& parameters, const auto& loss) {
  Tape<T> tape;
  const std::vector<Var<T>> inputs = leaves(parameters);
  double total = 0;
  for (const Var<T>& g : gradient(loss(), inputs)) total += sum(square(g.value())).item();
  return std::sqrt(total);
}

// ---- Images ------------------------------------------------------------------------------------

// a ln b, and 0 where a = 0.
inline double xlogy(double a, double b) { return a == 0 ? 0 : a * std::log(b); }

// What no decoder of grey levels can beat: the mean over images of sum_d H(x_d), with the entropy
// H(p) = -p ln p - (1 - p) ln(1 - p). A pixel's cross-entropy is least where the model says x_d.
template <class T> double entropy_of_pixels(const Tensor<T>& x) {
  double total = 0;
  for (double p : x) total -= xlogy(p, p) + xlogy(1 - p, 1 - p);
  return total / static_cast<double>(x.extent(0));
}

// What a VAE gets when all its latents are dead: the same probabilities for every image, at best
// the mean pixels of the training set. Linear in x, so the mean test image is enough. Infinite when
// a pixel is 0 in all training images, or 1 in all of them, and something else in a test image.
template <class T>
double negative_log_likelihood_of_means(const Tensor<T>& train, const Tensor<T>& test) {
  const Tensor<T> p = mean(train, {0});
  const Tensor<T> x = mean(test, {0});
  double total = 0;
  for (Index d = 0; d < p.size(); ++d) total -= xlogy(x(d), p(d)) + xlogy(1 - x(d), 1 - p(d));
  return total;
}

// The mean over images y (M, D) of the mean squared difference, per pixel, to the nearest image of
// x (N, D):  |x - y|^2 = |x|^2 - 2 x.y + |y|^2, so that a matrix product does nearly all of it.
template <class T> double distance_to_nearest(const Tensor<T>& y, const Tensor<T>& x) {
  Tensor<T> most = full<T>({y.extent(0)}, -std::numeric_limits<T>::infinity());  // of 2 x.y - |x|^2
  in_parts(x, [&](const Tensor<T>& part) {
    most = maximum(most, max(matmul_nt(y, part) * T(2) - sum(square(part), {1}), {1}));
  });
  return mean(sum(square(y), {1}) - most).item() / static_cast<double>(x.extent(1));
}

// The mean squared difference between pixels that are neighbours in a row: small in blurred images.
template <class T> double sharpness(const Tensor<T>& x, Index width) {
  const Tensor<T> rows = x.reshape({-1, width});
  return mean(square(slice(rows, 1, 1, width) - slice(rows, 1, 0, width - 1))).item();
}

// The mean of a decoder's distribution, and a draw from it.
template <class T> Tensor<T> mean_of(const nn::Bernoulli<T>& p) { return p.mean().value(); }

template <class T> Tensor<T> mean_of(const nn::Normal<T>& p) { return p.mean.value(); }

template <class T> Tensor<T> drawn_from(const nn::Bernoulli<T>& p, Rng& rng) {
  return p.sample(rng);
}

template <class T> Tensor<T> drawn_from(const nn::Normal<T>& p, Rng& rng) {
  return p.sample(rng).value();
}

// The sharpness of images (N, D), of the means that a draw from their q(z|x) decodes to, and of
// what is drawn from p(x|z); and the mean squared error of a pixel of these means.
struct Sharpness {
  double images = 0, means = 0, drawn = 0;
  double error = 0;
};

template <class Net, class T>
Sharpness sharpness_through(const Net& net, const Tensor<T>& images, Index width, Rng rng) {
  Sharpness total;
  const double n = static_cast<double>(images.extent(0));
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const double share = static_cast<double>(x.extent(0)) / n;
        const auto p = net.decode(net.sample_posterior(x, rng));
        const Tensor<T> means = mean_of(p);
        total.images += share * sharpness(x, width);
        total.means += share * sharpness(means, width);
        total.drawn += share * sharpness(drawn_from(p, rng), width);
        total.error += share * mean(square(means - x)).item();
      },
      kEvaluatedAtOnce);
  return total;
}

// A grid of z over the plane, (side * side, 2), at equal steps from -end to end: row by row, z1
// growing to the right and z2 upwards.
//
// REQUIRES: side >= 2.
template <class T> Tensor<T> grid(Index side, double end) {
  const auto at = [side, end](Index k) {
    return static_cast<T>(end * (2.0 * static_cast<double>(k) / static_cast<double>(side - 1) - 1));
  };
  Tensor<T> z({side * side, 2});
  for (Index i = 0; i < side; ++i)
    for (Index j = 0; j < side; ++j) {
      z.set({i * side + j, 0}, at(j));
      z.set({i * side + j, 1}, at(side - 1 - i));
    }
  return z;
}

}  // namespace gradus::lesson13
