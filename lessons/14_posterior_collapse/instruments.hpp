#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/14_posterior_collapse/model.hpp"
#include "lessons/14_posterior_collapse/on_paper.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/optimizers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// How lesson 14 trains its linear models, and what it measures of all.
namespace gradus::lesson14 {

// ---- Ascent on a formula -----------------------------------------------------------------------

struct Climb {
  int steps;
  double rate;         // of Adam, falling to 0 along half a cosine
  double beta = 1;     // at the end
  double warm_up = 0;  // the share of the steps during which beta grows from 0 in a straight line
};

// beta at some step, when it grows during `rising` steps.
inline double beta_at(double step, double rising, double beta = 1) {
  return rising > 0 ? beta * std::min(1.0, step / rising) : beta;
}

// Maximises objective(beta), calling before(step, beta) before each step, until that says stop.
template <class T>
void climb(const nn::Parameters<T>& parameters, const Climb& plan,
           const std::function<Var<T>(T)>& objective,
           const std::function<bool(int, double)>& before) {
  nn::Adam<T> adam(parameters, {.learning_rate = plan.rate});
  for (int step = 0; step < plan.steps; ++step) {
    const double done = static_cast<double>(step) / plan.steps;
    const double beta = beta_at(step, plan.warm_up * plan.steps, plan.beta);
    if (!before(step, beta)) return;
    adam.options.learning_rate = 0.5 * plan.rate * (1 + std::cos(std::numbers::pi * done));
    Tape<T> tape;
    tape.backward(-objective(static_cast<T>(beta)));
    adam.step();
  }
}

// ---- Which latents live ------------------------------------------------------------------------

// From the largest to the least.
template <class T> std::vector<double> sorted(const Tensor<T>& kl) {
  std::vector<double> nats(kl.begin(), kl.end());
  std::sort(nats.begin(), nats.end(), std::greater<>());
  return nats;
}

inline Index count_above(const std::vector<double>& nats, double threshold) {
  return std::count_if(nats.begin(), nats.end(), [&](double kl) { return kl > threshold; });
}

// From which KL on a latent of a linear VAE is counted as alive: half of the least that is
// predicted, or 0.01 nats where none is.
inline double threshold(const Prediction& prediction) {
  return prediction.kl.empty() ? 0.01 : 0.5 * prediction.kl.back();
}

// ---- Axes --------------------------------------------------------------------------------------

// The angle between each column of w (D, K) and the nearest of the directions (D, D), which are
// rows, in degrees.
inline std::vector<double> angles_to_axes(const Tensor<double>& w,
                                          const Tensor<double>& directions) {
  const Tensor<double> along = matmul(directions, w);  // (D, K)
  std::vector<double> angles;
  for (Index k = 0; k < w.extent(1); ++k) {
    const Tensor<double> column = slice(along, 1, k, k + 1);
    const double length2 = sum(square(column)).item();
    const double most2 = max(square(column)).item();
    // tan, and not cos, which rounds near 1
    const double rest2 = std::max(0.0, length2 - most2);
    angles.push_back(std::atan2(std::sqrt(rest2), std::sqrt(most2)) * 180 / std::numbers::pi);
  }
  return angles;
}

// Puts a model where its latents keep these directions, in the coordinates of the eigenvectors, and
// the rest are spare: w_i = sqrt(l_i - sigma^2), v_i = w_i / l_i, s_i^2 = sigma^2 / l_i.
inline void place(LinearVae<double>& model, const std::vector<double>& l,
                  const std::vector<Index>& kept, double sigma2) {
  Tensor<double> w(model.w.shape());
  Tensor<double> v(model.v.shape());
  Tensor<double> log_var(model.log_var.shape());
  for (Index k = 0; k < std::ssize(kept); ++k) {
    const Index i = kept[k];
    const double weight = std::sqrt(l[i] - sigma2);
    w.set({i, k}, weight);
    v.set({k, i}, weight / l[i]);
    log_var.set({k}, std::log(sigma2 / l[i]));
  }
  model.w.set_value(w);
  model.v.set_value(v);
  model.log_var.set_value(log_var);
  model.log_sigma2.set_value(Tensor<double>(std::log(sigma2)));
}

// Turns the latents 1 and 2 of a model with two, which keeps the directions 1 and 2: the posterior
// turns with them, and q takes the best variances on the new axes, which are one over the diagonal
// of the precision R^T diag(l / sigma^2) R.
inline void turn(LinearVae<double>& model, const std::vector<double>& l, double sigma2,
                 double angle) {
  const double c = std::cos(angle);
  const double s = std::sin(angle);
  const Tensor<double> r({2, 2}, {c, -s, s, c});
  model.w.set_value(matmul(model.w.value(), r));
  model.v.set_value(matmul_tn(r, model.v.value()));
  const double first = (l[0] * c * c + l[1] * s * s) / sigma2;
  const double second = (l[0] * s * s + l[1] * c * c) / sigma2;
  model.log_var.set_value(Tensor<double>({2}, {-std::log(first), -std::log(second)}));
}

// ---- Networks ----------------------------------------------------------------------------------

// The ELBO of a set of images by one draw each, in nats per image.
struct BentScores {
  double negative_elbo = 0;
  std::vector<double> kl;  // of each latent, the largest first

  double total_kl() const {
    double total = 0;
    for (double nats : kl) total += nats;
    return total;
  }
};

template <class T> BentScores evaluate(const BentVae<T>& vae, const Tensor<T>& images, Rng rng) {
  double reconstruction = 0;
  Tensor<double> kl({vae.latents()});
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const auto [log_prob, nats] = vae.elbo(x, rng.normal<T>({x.extent(0), vae.latents()}));
        reconstruction += sum(log_prob).item();
        kl += cast<double>(sum(nats, {0}).value());
      },
      1000);
  const double n = static_cast<double>(images.extent(0));
  BentScores scores{.kl = sorted(kl / n)};
  scores.negative_elbo = scores.total_kl() - reconstruction / n;
  return scores;
}

// How many latents a Bernoulli decoder would keep if only the noise about the mean image counted,
// as it does near collapse: the eigenvalues above 1 of D^-1/2 S D^-1/2, where S (D, D) is the
// covariance of the pixels and D their variances p (1 - p) as coins. Pixels that never vary are
// left out.
inline Index linearised_count(const Tensor<double>& s, const Tensor<double>& p) {
  Tensor<double> scale(p.shape());
  for (Index d = 0; d < p.size(); ++d) {
    const double variance = p(d) * (1 - p(d));
    scale.set({d}, variance > 0 ? 1 / std::sqrt(variance) : 0);
  }
  const Tensor<double> values = symmetric_eigen(s * scale * scale.reshape({-1, 1})).values;
  return std::count_if(values.begin(), values.end(), [](double value) { return value > 1; });
}

}  // namespace gradus::lesson14
