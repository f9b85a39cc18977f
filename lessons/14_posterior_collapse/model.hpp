#pragma once
#include <cmath>
#include <optional>
#include <utility>

#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "nn/distributions.hpp"
#include "nn/parameters.hpp"
#include "tensor/linalg.hpp"
#include "tensor/random.hpp"

// A VAE without a bend in it, whose ELBO is a formula of the data's covariance alone; and lesson
// 13's layers with a noise that is given.
//
//     N examples, D dimensions, K latents
namespace gradus::lesson14 {

// The ELBO on average over all examples, for z to which every latent has its own share of the KL.
template <class T> struct LinearElbo {
  Var<T> reconstruction;  // a scalar, exact: nothing is drawn
  Var<T> kl;              // (K)

  // What is maximised; with beta = 1 it is the ELBO.
  Var<T> total(T beta = 1) const { return reconstruction - beta * sum(kl); }
};

// The sum of the diagonal of s (D, D): the variances of all dimensions added up.
template <class T> T trace(const Tensor<T>& s) {
  T total = 0;
  for (Index i = 0; i < s.extent(0); ++i) total += s(i, i);
  return total;
}

// E|x - W z|^2 = tr S - 2 tr(W V S) + tr(W^T W E[z z^T]) where x has mean 0 and covariance S, and z
// given x has mean V x. w is (D, K), vs = V S (K, D), and zz = E[z z^T] = V S V^T + C (K, K), with
// the covariance C of z given x.
template <class T>
Var<T> mean_squared_distance(const Tensor<T>& s, const Var<T>& w, const Var<T>& vs,
                             const Var<T>& zz) {
  return trace(s) - T(2) * sum(transpose(w) * vs) + sum(matmul_tn(w, w) * zz);
}

// E[ln p(x|z)] where p(x|z) = N(W z, sigma^2 I), for that mean squared distance.
template <class T>
Var<T> mean_log_prob(Index d, const Var<T>& squared_distance, const Var<T>& log_sigma2) {
  const T dimensions = static_cast<T>(d);
  const T log_two_pi = static_cast<T>(nn::Normal<T>::kLogTwoPi);
  return T(-0.5) * (dimensions * (log_two_pi + log_sigma2) + squared_distance * exp(-log_sigma2));
}

// z ~ N(0, I), x | z ~ N(W z, sigma^2 I), q(z|x) = N(V x, diag(s^2)), for examples with mean 0
// (Lucas, Tucker, Grosse and Norouzi 2019, section 3, with mu taken off the examples).
template <class T> struct LinearVae {
  Parameter<T> w;           // (D, K)
  Parameter<T> v;           // (K, D)
  Parameter<T> log_var;     // (K): ln s^2, the same for every x
  Parameter<T> log_sigma2;  // scalar
  bool learns_noise;        // whether sigma^2 is a parameter

  LinearVae(const Tensor<T>& w, const Tensor<T>& v, T sigma2, bool learns_noise = false)
      : w("w", w),
        v("v", v),
        log_var("log_var", Tensor<T>({w.extent(1)})),
        log_sigma2("log_sigma2", Tensor<T>(std::log(sigma2))),
        learns_noise(learns_noise) {}

  // The same model in another type of number.
  template <class U>
  explicit LinearVae(const LinearVae<U>& other)
      : w("w", cast<T>(other.w.value())),
        v("v", cast<T>(other.v.value())),
        log_var("log_var", cast<T>(other.log_var.value())),
        log_sigma2("log_sigma2", cast<T>(other.log_sigma2.value())),
        learns_noise(other.learns_noise) {}

  Index latents() const { return w.shape()[1]; }

  // The ELBO of examples with mean 0 and covariance s (D, D), on average over all of them.
  LinearElbo<T> elbo(const Tensor<T>& s) const {
    const Tensor<T> one = identity<T>(latents());
    const Var<T> variances = exp(log_var);                 // (K)
    const Var<T> vs = matmul(v, s);                        // (K, D)
    const Var<T> zz = matmul_nt(vs, v) + one * variances;  // (K, K)
    const Var<T> squares = sum(zz * one, {1});             // (K): E[z_k^2] = E[m_k^2] + s_k^2
    const Var<T> noise = learns_noise ? Var<T>(log_sigma2) : Var<T>(log_sigma2.value());
    return {mean_log_prob<T>(w.shape()[0], mean_squared_distance<T>(s, w, vs, zz), noise),
            T(0.5) * (squares - T(1) - log_var)};
  }

  nn::Parameters<T> parameters() {
    nn::Parameters<T> all = {&w, &v, &log_var};
    if (learns_noise) all.push_back(&log_sigma2);
    return all;
  }
};

// The same with a q(z|x) whose covariance is any C = L L^T, L a lower triangle with a positive
// diagonal.
template <class T> struct FullLinearVae {
  Parameter<T> w;             // (D, K)
  Parameter<T> v;             // (K, D)
  Parameter<T> below;         // (K, K), of which what is below the diagonal counts
  Parameter<T> log_diagonal;  // (K)
  T sigma2;

  FullLinearVae(const Tensor<T>& w, const Tensor<T>& v, T sigma2)
      : w("w", w),
        v("v", v),
        below("below", Tensor<T>({w.extent(1), w.extent(1)})),
        log_diagonal("log_diagonal", Tensor<T>({w.extent(1)})),
        sigma2(sigma2) {}

  // On average over examples with mean 0 and covariance s (D, D). By lesson 10,
  //     KL = 1/2 (tr C + E|m|^2 - K - ln det C).
  Var<T> elbo(const Tensor<T>& s) const {
    const Index k = w.shape()[1];
    const Tensor<T> one = identity<T>(k);
    const Var<T> l = tril(below * (full<T>({k, k}, T(1)) - one)) + one * exp(log_diagonal);
    const Var<T> vs = matmul(v, s);                        // (K, D)
    const Var<T> zz = matmul_nt(vs, v) + matmul_nt(l, l);  // (K, K)
    const Var<T> distance = mean_squared_distance<T>(s, w, vs, zz);
    const Var<T> kl = T(0.5) * (sum(zz * one) - static_cast<T>(k) - T(2) * sum(log_diagonal));
    return mean_log_prob<T>(w.shape()[0], distance, Var<T>(Tensor<T>(std::log(sigma2)))) - kl;
  }

  nn::Parameters<T> parameters() { return {&w, &v, &below, &log_diagonal}; }
};

// ---- The share of each latent ------------------------------------------------------------------

// KL(q_k || N(0, 1)) of each latent, not added up:  1/2 (m^2 + s^2 - 1 - ln s^2).  (N, K)
template <class T> Var<T> kl_per_latent(const nn::Normal<T>& q) {
  return T(0.5) * (square(q.mean) + expm1(q.log_var) - q.log_var);
}

// ---- Lesson 13's layers, with a noise that is given --------------------------------------------

template <class T> class BentVae {
 public:
  // With a variance, a pixel is normal around what the last layer says, and has this variance.
  // Without, it is a Bernoulli variable.
  BentVae(Index pixels, Index hidden, Index latents, std::optional<double> variance, Rng& rng)
      : layers_(pixels, hidden, latents, rng), variance_(variance) {}

  // q(z|x): (N, D) -> normal over (N, K).
  nn::Normal<T> encode(const Var<T>& x) const { return layers_.encode(x); }

  // ln p(x|z).  (N)
  Var<T> log_prob(const Tensor<T>& x, const Var<T>& z) const {
    const nn::Bernoulli<T> p = layers_.decode(z);
    if (!variance_) return p.log_prob(x);
    return nn::Normal<T>{p.logits, static_cast<T>(std::log(*variance_))}.log_prob(x);
  }

  // The ELBO's parts with one draw for each image: ln p(x|z), (N), and the KL of each latent,
  // (N, K).
  std::pair<Var<T>, Var<T>> elbo(const Tensor<T>& x, const Tensor<T>& noise) const {
    const nn::Normal<T> q = encode(x);
    return {log_prob(x, q.sample(noise)), kl_per_latent(q)};
  }

  Index latents() const { return layers_.latents(); }

  nn::Parameters<T> parameters() { return layers_.parameters(); }

 private:
  lesson13::Vae<T> layers_;
  std::optional<double> variance_;
};

}  // namespace gradus::lesson14
