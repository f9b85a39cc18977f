#pragma once
#include <cmath>

#include "nn/distributions.hpp"

namespace gradus {

// z ~ N(0, 1),  x | z ~ N(a z, s^2): one latent number behind one number that is seen, of which
// everything is known. x, z and the parameters of q are (N, 1), for N examples, or any shapes with
// one number an example that broadcast to one another.
template <class T> struct LinearGaussian {
  T slope;  // a
  T noise;  // s^2

  // ln p(x, z) = ln p(x | z) + ln p(z).   (N)
  Var<T> log_joint(const Var<T>& x, const Var<T>& z) const {
    return decode(z).log_prob(x) + nn::Normal<T>::standard().log_prob(z);
  }

  // p(x | z).
  nn::Normal<T> decode(const Var<T>& z) const { return {slope * z, std::log(noise)}; }

  // E_q[ln p(x | z)] = ln N(x; a m, s^2) - a^2 v / (2 s^2), for q = N(m, v).   (N)
  Var<T> reconstruction(const Var<T>& x, const nn::Normal<T>& q) const {
    const T precision = slope * slope / noise;
    return decode(q.mean).log_prob(x) - 0.5 * precision * nn::per_example(exp(q.log_var));
  }

  // E_q[ln p(x, z) - ln q(z)].   (N)
  Var<T> elbo(const Var<T>& x, const nn::Normal<T>& q) const {
    return reconstruction(x, q) - kl(q, nn::Normal<T>::standard());
  }

  // p(z | x) = N(a x / (a^2 + s^2), s^2 / (a^2 + s^2)).
  nn::Normal<T> posterior(const Var<T>& x) const {
    return {slope / total() * x, full<T>(x.shape(), std::log(noise / total()))};
  }

  // ln p(x), with p(x) = N(0, a^2 + s^2).   (N)
  Var<T> log_evidence(const Var<T>& x) const {
    return nn::Normal<T>{0, std::log(total())}.log_prob(x);
  }

  // The variance of x, a^2 + s^2.
  T total() const { return slope * slope + noise; }
};

}  // namespace gradus
