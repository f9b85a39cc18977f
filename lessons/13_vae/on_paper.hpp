#pragma once
#include <algorithm>
#include <cmath>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"

// What lesson 13 works out on paper.
namespace gradus::lesson13 {

// ---- One image, one draw -----------------------------------------------------------------------

// An image of two pixels, x = (1, 1/2), whose encoder says N(1, 1/4) and whose decoder makes the
// logits (2 z, -z). With the noise eps: z, the parts of the ELBO, and its slopes by m and by s.
struct OneImage {
  double z, white_1, white_2;  // the decoded probabilities of white
  double reconstruction, kl;
  double slope_m, slope_s;

  double elbo() const { return reconstruction - kl; }
};

// By the distributions and the tape that train the VAE.
inline OneImage one_image(double eps) {
  constexpr double kMean = 1;
  constexpr double kDeviation = 0.5;
  Tape<double> tape;
  const Var<double> m = tape.leaf(Tensor<double>({1, 1}, {kMean}));
  const Var<double> log_var = tape.leaf(Tensor<double>({1, 1}, {2 * std::log(kDeviation)}));
  const nn::Normal<double> q{m, log_var};
  const Var<double> z = q.sample(Tensor<double>({1, 1}, {eps}));
  const nn::Bernoulli<double> p{z * Tensor<double>({1, 2}, {2, -1})};
  const Elbo<double> elbo{p.log_prob(Tensor<double>({1, 2}, {1, 0.5})),
                          kl(q, nn::Normal<double>::standard())};
  const auto slopes = gradient(sum(elbo.total()), {m, log_var});
  const Tensor<double> white = p.mean().value();
  return {.z = z.item(),
          .white_1 = white(0, 0),
          .white_2 = white(0, 1),
          .reconstruction = elbo.reconstruction.item(),
          .kl = elbo.kl.item(),
          .slope_m = slopes[0].item(),
          // ln s^2 has the slope 2 / s.
          .slope_s = slopes[1].item() * 2 / kDeviation};
}

// ---- Two images --------------------------------------------------------------------------------

// Two images of D pixels, one all white and one all black, each as likely as the other, and one
// latent number. The encoder says N(m, s^2) for the white one and N(-m, s^2) for the black one; let
// r = m / s. The best decoder says, at each z, the share of white there:
//     N(z; m, s^2) / (N(z; m, s^2) + N(z; -m, s^2)) = sigmoid(2 m z / s^2),
// and z = s (r + eps). The KL, 1/2 (s^2 (1 + r^2) - 1 - ln s^2), is least at s^2 = 1 / (1 + r^2).
struct TwoImages {
  int pixels;

  static double deviation(double r) { return 1 / std::sqrt(1 + r * r); }

  // D E[ln sigmoid(2 r (r + eps))], eps ~ N(0, 1): a sum over a fine grid of eps.
  double reconstruction(double r) const {
    constexpr int kCells = 4000;
    constexpr double kEnd = 10;
    double total = 0;
    double weights = 0;
    for (int i = 0; i <= kCells; ++i) {
      const double eps = kEnd * (2.0 * i / kCells - 1);
      const double weight = std::exp(-0.5 * eps * eps);
      const double logit = 2 * r * (r + eps);
      // ln sigmoid(l) = min(l, 0) - ln(1 + e^-|l|)
      total += weight * (std::min(logit, 0.0) - std::log1p(std::exp(-std::abs(logit))));
      weights += weight;
    }
    return pixels * total / weights;
  }

  // At the best s.
  static double kl(double r) { return 0.5 * std::log1p(r * r); }

  double elbo(double r) const { return reconstruction(r) - kl(r); }

  // The r between `low` and `high` with the highest ELBO, which rises up to it and then falls.
  double best(double low, double high) const {
    while (high - low > 1e-9) {
      const double third = (high - low) / 3;
      if (elbo(low + third) < elbo(high - third))
        low += third;
      else
        high -= third;
    }
    return 0.5 * (low + high);
  }
};

// ---- Grey levels -------------------------------------------------------------------------------

// The integral over grey levels x from 0 to 1 of p^x (1 - p)^(1 - x), for p = sigmoid(l):
//     (2 p - 1) / l,  and 1/2 at l = 0.
// A density would have 1.
inline double mass_of_grey_levels(double logit) {
  if (logit == 0) return 0.5;
  return std::tanh(0.5 * logit) / logit;  // 2 sigmoid(l) - 1 = tanh(l / 2)
}

}  // namespace gradus::lesson13
