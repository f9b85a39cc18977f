#pragma once
#include <optional>
#include <vector>

#include "autograd/operations.hpp"
#include "lessons/13_vae/model.hpp"
#include "nn/distributions.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

// Lesson 13's VAE when it is told what an image shows (Sohn, Lee and Yan 2015), and networks that
// say what an image shows.
//
//     N images in a batch, D pixels, H hidden units, K latent dimensions, C classes
namespace gradus::lesson18 {

using lesson13::Elbo;
using lesson13::Vae;

// n times the same label, as the networks read labels.  (n, C)
template <class T> Tensor<T> same_label(Index n, Index label, Index classes) {
  return nn::one_hot<T>(std::vector<Index>(n, label), classes);
}

// p(x|y) = E_p(z)[p(x|z, y)], with an encoder q(z|x, y). A label y is a row of C numbers, 1 where
// it says and 0 elsewhere, that stands beside the image and beside the code.
template <class T> class Cvae {
 public:
  Cvae(Index pixels, Index hidden, Index latents, Index classes, Rng& rng)
      : latents_(latents),
        classes_(classes),
        encoder_("encoder", pixels + classes, hidden, rng),
        to_mean_("to_mean", hidden, latents, rng),
        to_log_var_("to_log_var", hidden, latents, rng),
        decoder_("decoder", latents + classes, hidden, rng),
        to_logits_("to_logits", hidden, pixels, rng) {}

  // q(z|x, y): (N, D), (N, C) -> normal over (N, K).
  nn::Normal<T> encode(const Var<T>& x, const Tensor<T>& y) const {
    const Var<T> h = relu(encoder_(beside(x, y)));  // (N, H)
    return {to_mean_(h), to_log_var_(h)};
  }

  // p(x|z, y): (N, K), (N, C) -> Bernoulli over (N, D).
  nn::Bernoulli<T> decode(const Var<T>& z, const Tensor<T>& y) const {
    return {to_logits_(relu(decoder_(beside(z, y))))};
  }

  // The ELBO of each image, a bound of ln p(x|y), with the noise that draws z; noise is (N, K).
  Elbo<T> elbo(const Tensor<T>& x, const Tensor<T>& y, const Tensor<T>& noise) const {
    const nn::Normal<T> q = encode(x, y);
    const Var<T> z = q.sample(noise);
    return {decode(z, y).log_prob(x), kl(q, nn::Normal<T>::standard())};
  }

  Elbo<T> elbo(const Tensor<T>& x, const Tensor<T>& y, Rng& rng) const {
    return elbo(x, y, rng.normal<T>({x.extent(0), latents_}));
  }

  // The mean of p(x|z, y), as images: (N, K), (N, C) -> (N, D).
  Tensor<T> decoded(const Tensor<T>& z, const Tensor<T>& y) const {
    return decode(z, y).mean().value();
  }

  Index latents() const { return latents_; }

  Index classes() const { return classes_; }

  nn::Parameters<T> parameters() {
    return nn::parameters<T>(encoder_, to_mean_, to_log_var_, decoder_, to_logits_);
  }

 private:
  // (N, n), (N, C) -> (N, n + C)
  Var<T> beside(const Var<T>& x, const Tensor<T>& y) const {
    if (y.rank() != 2 || y.extent(1) != classes_ || y.extent(0) != x.shape()[0])
      fail(
          "Cvae: labels of shape {} for {} rows: it needs one row of {} numbers, a 1 among zeros, "
          "for each (nn::one_hot makes them)",
          y.shape(), x.shape()[0], classes_);
    return concatenate(std::vector<Var<T>>{x, y}, 1);
  }

  Index latents_;
  Index classes_;
  nn::Linear<T> encoder_;     // D + C -> H
  nn::Linear<T> to_mean_;     // H -> K
  nn::Linear<T> to_log_var_;  // H -> K
  nn::Linear<T> decoder_;     // K + C -> H
  nn::Linear<T> to_logits_;   // H -> D
};

// P(y|x) = softmax of C logits: linear in x (softmax regression) where there are no hidden units,
// a network of two layers where there are.
template <class T> class Classifier {
 public:
  Classifier(Index inputs, Index hidden, Index classes, Rng& rng)
      : to_logits_("to_logits", hidden > 0 ? hidden : inputs, classes, rng) {
    if (hidden > 0) hidden_.emplace("hidden", inputs, hidden, rng);
  }

  nn::Categorical<T> operator()(const Var<T>& x) const {
    return {to_logits_(hidden_ ? relu((*hidden_)(x)) : x)};
  }

  // ln P(y|x) of each example, for rows y (N, C) of a 1 among zeros.  (N)
  Var<T> log_prob(const Tensor<T>& x, const Tensor<T>& y) const {
    return sum((*this)(x).log_probs() * y, {1});
  }

  nn::Parameters<T> parameters() {
    nn::Parameters<T> all = to_logits_.parameters();
    if (hidden_)
      for (Parameter<T>* p : hidden_->parameters()) all.push_back(p);
    return all;
  }

 private:
  std::optional<nn::Linear<T>> hidden_;
  nn::Linear<T> to_logits_;
};

}  // namespace gradus::lesson18
