#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "lessons/13_vae/model.hpp"
#include "lessons/14_posterior_collapse/model.hpp"
#include "lessons/17_beta_vae/model.hpp"
#include "lessons/17_beta_vae/on_paper.hpp"
#include "lessons/17_beta_vae/sprites.hpp"
#include "lessons/common/mutual_information.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 17 measures of its models.
//
//     N images, K latents, F factors
namespace gradus::lesson17 {

// What a latent is told to be alive by: its KL, in nats.
constexpr double kAlive = 0.05;

// The latents of a model, averaged over a set of images, and what each tells of each factor.
struct Latents {
  Tensor<double> kl;           // (K)
  Tensor<double> information;  // (K, F)
  std::vector<Gap> gaps;       // F

  Index alive() const {
    return std::count_if(kl.begin(), kl.end(), [](double nats) { return nats > kAlive; });
  }

  // The latents from the largest KL to the least.
  std::vector<Index> by_kl() const {
    std::vector<Index> order(kl.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](Index a, Index b) { return kl(a) > kl(b); });
    return order;
  }

  // The latents from the one that tells most of a factor to the one that tells least.
  std::vector<Index> tellers(Index factor) const {
    std::vector<Index> order(kl.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](Index a, Index b) { return information(a, factor) > information(b, factor); });
    return order;
  }

  // What the best latent of each factor tells of it, added up over the factors, in nats.
  double told_by_the_first() const {
    double total = 0;
    for (Index f = 0; f < information.extent(1); ++f) total += information(tellers(f).front(), f);
    return total;
  }

  // The largest I(z_k; v) - KL_k of any latent and factor, which is never above 0.
  double largest_excess() const {
    double largest = information(0, 0) - kl(0);
    for (Index k = 0; k < information.extent(0); ++k)
      for (Index f = 0; f < information.extent(1); ++f)
        largest = std::max(largest, information(k, f) - kl(k));
    return largest;
  }
};

inline Latents latents_of(const lesson13::Vae<float>& vae, const Sprites& sprites,
                          Index bins = 64) {
  const nn::Normal<float> q = vae.encode(sprites.images);
  const Tensor<double> kl = cast<double>(mean(lesson14::kl_per_latent(q), {0}).value());
  const Tensor<double> information = information_table(q, sprites.factors, bins);
  return {kl, information, gaps(information, sprites.factors)};
}

// The share of the variance of each of F numbers (N, F) that the best linear function of the codes
// (N, K) explains: R^2. A ridge of 1e-9 of the codes' mean variance keeps dead latents harmless.
// (F)
inline Tensor<double> explained_share(const Tensor<double>& codes, const Tensor<double>& targets) {
  const Index k = codes.extent(1);
  const Tensor<double> z = codes - mean(codes, {0});
  const Tensor<double> y = targets - mean(targets, {0});
  const Tensor<double> squares = matmul_tn(z, z);  // (K, K)
  const double ridge = 1e-9 * sum(square(z)).item() / static_cast<double>(k);
  const Tensor<double> w = solve_spd(squares + ridge * identity<double>(k), matmul_tn(z, y));
  return 1.0 - sum(square(y - matmul(z, w)), {0}) / sum(square(y), {0});
}

// The factors as numbers, (N, F).
inline Tensor<double> numbers_of(const std::vector<Factor>& factors) {
  const Index n = std::ssize(factors.front().value);
  Tensor<double> numbers({n, std::ssize(factors)});
  for (Index f = 0; f < std::ssize(factors); ++f)
    for (Index i = 0; i < n; ++i) numbers.set({i, f}, static_cast<double>(factors[f].value[i]));
  return numbers;
}

// What a small code saves for each nat, where all latents are dead: the largest eigenvalue of the
// covariance of the pixels, each divided by the standard deviation sqrt(p (1 - p)) of its coin
// (lesson 14: near the mean image Bernoulli pixels are normal ones). Pixels that never vary are
// left out.
inline double saved_per_nat_at_rate_0(const Tensor<float>& images) {
  const Tensor<double> x = cast<double>(images);
  const Tensor<double> p = mean(x, {0});
  Tensor<double> scale(p.shape());
  for (Index d = 0; d < p.size(); ++d) {
    const double variance = p(d) * (1 - p(d));
    scale.set({d}, variance > 0 ? 1 / std::sqrt(variance) : 0);
  }
  const Tensor<double> y = (x - p) * scale;
  const double n = static_cast<double>(x.extent(0));
  return symmetric_eigen(matmul_tn(y, y) / n).values(0);
}

// ---- The turned model --------------------------------------------------------------------------

// ln p(x|z) + ln p(z) for each row of z. (N)
template <class T, class Net>
Tensor<double> log_joint(const Net& net, const Tensor<T>& x, const Tensor<T>& z) {
  const auto prior = nn::Normal<T>{Tensor<T>(z.shape()), Tensor<T>(z.shape())};
  return cast<double>((net.decode(z).log_prob(x) + prior.log_prob(z)).value());
}

// The largest relative difference between ln p(x, z) of a model and ln p(x, y) of the turned one
// at y = U z, for one draw of z from q(z|x) for each image.
template <class T> double largest_change(const TurnedVae<T>& turned, const Tensor<T>& x, Rng rng) {
  const Tensor<T> z = turned.straight.sample_posterior(x, rng);
  const Tensor<double> before = log_joint(turned.straight, x, z);
  const Tensor<double> after = log_joint(turned, x, turned.turn(z));
  return max(abs((after - before) / before)).item();
}

// The mean over images of what a diagonal q would lose in the plane of latents a and b after a turn
// by 45 degrees.
inline double mean_price_of_45_degrees(const nn::Normal<float>& q, Index a, Index b) {
  const Tensor<double> variance = cast<double>(exp(q.log_var.value()));
  double total = 0;
  for (Index n = 0; n < variance.extent(0); ++n)
    total += price_of_45_degrees(variance(n, a), variance(n, b));
  return total / static_cast<double>(variance.extent(0));
}

// ---- Traversals --------------------------------------------------------------------------------

// What is decoded when one latent goes from -end to end in n steps, while the others stay at the
// code of one image (1, D).  (n, D)
inline Tensor<float> traversal(const lesson13::Vae<float>& vae, const Tensor<float>& image,
                               Index latent, Index n, double end) {
  const Tensor<float> code = vae.encode(image).mean.value();  // (1, K)
  std::vector<Tensor<float>> codes(n, code);
  for (Index i = 0; i < n; ++i) {
    const double at = end * (2.0 * static_cast<double>(i) / static_cast<double>(n - 1) - 1);
    codes[i].set({0, latent}, static_cast<float>(at));
  }
  return vae.decoded(concatenate(codes));
}

}  // namespace gradus::lesson17
