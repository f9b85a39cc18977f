#pragma once
#include "lessons/05_autoencoder/model.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/random.hpp"

// The denoising autoencoder: it is shown spoiled examples and must give back the clean ones.
//
//     N examples in a batch, D dimensions (pixels), H hidden units, K numbers in the code
namespace gradus::lesson06 {

using lesson05::cosine_schedule;

// The squared distance between each clean example and what a model r makes of the spoiled one.
// (N, D), (N, D) -> (N)
template <class T, class Model>
Var<T> denoising_loss(const Model& r, const Tensor<T>& spoiled, const Tensor<T>& clean) {
  return sum(square(r(spoiled) - clean), {1});
}

// For toys: one hidden layer of as many units as one likes, and nothing narrow.
template <class T> class TwoLayers {
 public:
  TwoLayers(Index dimensions, Index hidden, Rng& rng)
      : hidden_("hidden", dimensions, hidden, rng, nn::Init::kHe),
        out_("out", hidden, dimensions, rng) {}

  // (N, D) -> (N, D)
  Var<T> operator()(const Var<T>& x) const { return out_(relu(hidden_(x))); }

  nn::Parameters<T> parameters() { return nn::parameters<T>(hidden_, out_); }

 private:
  nn::Linear<T> hidden_, out_;
};

// For images: the network of lesson 05, which has a code.
template <class T> class DenoisingAutoencoder {
 public:
  DenoisingAutoencoder(Index pixels, Index hidden, Index code, Rng& rng)
      : net_(pixels, hidden, code, rng) {}

  // (N, D) -> (N, K)
  Var<T> encode(const Var<T>& x) const { return net_.encode(x); }

  // (N, D) -> (N, D)
  Var<T> operator()(const Var<T>& x) const { return net_.decode(net_.encode(x)); }

  nn::Parameters<T> parameters() { return net_.parameters(); }

 private:
  lesson05::Autoencoder<T> net_;
};

}  // namespace gradus::lesson06
