#pragma once
#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// The two parts of the -ELBO under the names that they have in coding (Alemi, Poole, Fischer,
// Dillon, Saurous and Murphy 2018).
namespace gradus {

// Averaged over a set of images, in nats per image.
struct RateDistortion {
  double rate = 0;        // R: the KL from q(z|x) to the prior
  double distortion = 0;  // D: -E[ln p(x|z)] over z ~ q(z|x)

  double negative_elbo() const { return distortion + rate; }
};

// Of a model with encode(x) and decode(z): R by its formula, D by some draws of z for each image.
template <class Net, class T>
RateDistortion rate_and_distortion(const Net& net, const Tensor<T>& images, int draws, Rng rng) {
  RateDistortion total;
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const nn::Normal<T> q = net.encode(x);
        total.rate += sum(kl(q, nn::Normal<T>::standard())).item();
        for (int i = 0; i < draws; ++i)
          total.distortion -= sum(net.decode(q.sample(rng)).log_prob(x)).item() / draws;
      },
      1000);
  const double n = static_cast<double>(images.extent(0));
  return {total.rate / n, total.distortion / n};
}

// How many nats of distortion each nat of rate saves between two models, the first of which has the
// higher rate.
inline double nats_saved_per_nat(const RateDistortion& more, const RateDistortion& less) {
  return (less.distortion - more.distortion) / (more.rate - less.rate);
}

}  // namespace gradus
