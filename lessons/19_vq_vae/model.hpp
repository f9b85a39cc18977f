#pragma once
#include <cmath>
#include <utility>
#include <vector>

#include "autograd/operations.hpp"
#include "nn/codebook.hpp"
#include "nn/convolution.hpp"
#include "nn/distributions.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

// The VQ-VAE (van den Oord, Vinyals and Kavukcuoglu 2017), and a prior over its codes.
//
//     N images in a batch, D pixels, M places in the code of an image, V words in the dictionary, K
//     numbers in a word
//
// Templates on T: the program trains in float, the test checks the gradients of this very code in
// double.
namespace gradus::lesson19 {

// ---- Networks ----------------------------------------------------------------------------------

// Of images of side x side pixels, with so many channels after the first and the second halving.
struct Sizes {
  Index side;
  Index first = 16, second = 32;
};

// Lesson 08's windows: 28 -> 14 -> 7 and back, with K numbers at each of the 7 x 7 places between.
template <class T> class Windows {
 public:
  using Scalar = T;

  Windows(const Sizes& sizes, Index dimension, Rng& rng)
      : side_(sizes.side),
        half_(kHalving.places(side_)),
        map_(kHalving.places(half_)),
        dimension_(dimension),
        conv1_("conv1", 1, sizes.first, kHalving, rng),
        conv2_("conv2", sizes.first, sizes.second, kHalving, rng),
        to_code_("to_code", sizes.second, dimension, Window{.size = 1}, rng),
        from_code_("from_code", dimension, sizes.second, Window{.size = 3, .padding = 1}, rng),
        transposed1_("transposed1", sizes.second, sizes.first, kHalving, rng),
        transposed2_("transposed2", sizes.first, 1, kHalving, rng) {}

  // (N, D) -> (N M, K): the places of the first image row by row, then those of the second, ...
  Var<T> encode(const Var<T>& x) const {
    const Index n = x.shape()[0];
    const Var<T> first = relu(conv1_(reshape(x, {n, side_, side_, 1})));
    return reshape(to_code_(relu(conv2_(first))), {n * places(), dimension_});
  }

  // (N M, K) -> the logits of the pixels, (N, D)
  Var<T> decode(const Var<T>& code) const {
    const Index n = code.shape()[0] / places();
    const Var<T> maps = relu(from_code_(reshape(code, {n, map_, map_, dimension_})));
    const Var<T> larger = relu(transposed1_(maps, half_, half_));
    return reshape(transposed2_(larger, side_, side_), {n, side_ * side_});
  }

  Index places() const { return map_ * map_; }  // M

  nn::Parameters<T> parameters() {
    return nn::parameters<T>(conv1_, conv2_, to_code_, from_code_, transposed1_, transposed2_);
  }

 private:
  static constexpr Window kHalving = {.size = 4, .stride = 2, .padding = 1};

  Index side_, half_, map_;  // pixels, or places, along a side
  Index dimension_;          // K
  nn::Conv2d<T> conv1_, conv2_, to_code_, from_code_;
  nn::ConvTranspose2d<T> transposed1_, transposed2_;
};

// Lesson 13's layers, with M K numbers between, which are M rows of the dictionary's size.
template <class T> class Layers {
 public:
  using Scalar = T;

  Layers(Index pixels, Index hidden, Index places, Index dimension, Rng& rng)
      : places_(places),
        dimension_(dimension),
        encoder_("encoder", pixels, hidden, rng),
        to_code_("to_code", hidden, places * dimension, rng),
        decoder_("decoder", places * dimension, hidden, rng),
        to_logits_("to_logits", hidden, pixels, rng) {}

  // (N, D) -> (N M, K)
  Var<T> encode(const Var<T>& x) const {
    return reshape(to_code_(relu(encoder_(x))), {x.shape()[0] * places_, dimension_});
  }

  // (N M, K) -> (N, D)
  Var<T> decode(const Var<T>& code) const {
    const Index n = code.shape()[0] / places_;
    return to_logits_(relu(decoder_(reshape(code, {n, places_ * dimension_}))));
  }

  Index places() const { return places_; }

  nn::Parameters<T> parameters() {
    return nn::parameters<T>(encoder_, to_code_, decoder_, to_logits_);
  }

 private:
  Index places_, dimension_;
  nn::Linear<T> encoder_, to_code_, decoder_, to_logits_;
};

// ---- The VQ-VAE --------------------------------------------------------------------------------

template <class Net> class VqVae {
 public:
  using T = typename Net::Scalar;

  // V words of K numbers, and what the network is made of, but for K.
  template <class... Arguments>
  VqVae(Index words, Index dimension, Rng& rng, Arguments... arguments)
      : net(arguments..., dimension, rng), codebook("codebook", words, dimension, rng) {}

  // What becomes of images on their way through.
  struct Pass {
    Var<T> z;                  // (N M, K): the encoder's answers
    std::vector<Index> words;  // N M: the nearest word of each
    Var<T> log_prob;           // (N): ln p(x|e), where e are these words
  };

  // (N, D). The decoder sees words, and its gradient goes to z as if it had seen z.
  Pass pass(const Tensor<T>& x) const {
    const Var<T> z = net.encode(x);
    std::vector<Index> words = codebook.nearest(z.value());
    const Var<T> e = straight_through(z, codebook(words).value());
    return {z, std::move(words), decode(e).log_prob(x)};
  }

  // The sum over an image's places of |sg z - e|^2, by which words move; and of |z - sg e|^2, by
  // which the encoder stays near its words.  (N)
  Var<T> codebook_loss(const Pass& seen) const {
    return per_image(codebook.codebook_loss(seen.z.value(), seen.words));
  }

  Var<T> commitment_loss(const Pass& seen) const {
    return per_image(codebook.commitment_loss(seen.z, seen.words));
  }

  // The words of images: (N, D) -> N M numbers.
  std::vector<Index> words_of(const Tensor<T>& x) const {
    return codebook.nearest(net.encode(x).value());
  }

  // p(x|e): (N M, K) -> Bernoulli over (N, D).
  nn::Bernoulli<T> decode(const Var<T>& code) const { return {net.decode(code)}; }

  // The mean of p(x|e), as images: N M words -> (N, D).
  Tensor<T> decoded(const std::vector<Index>& words) const {
    return decode(codebook(words)).mean().value();
  }

  Index places() const { return net.places(); }

  // The dictionary among them, with all that a checkpoint needs.
  nn::Parameters<T> parameters() { return nn::parameters<T>(net, codebook); }

  Net net;
  nn::Codebook<T> codebook;

 private:
  Var<T> per_image(const Var<T>& rows) const {
    return sum(reshape(rows, {rows.shape()[0] / places(), places()}), {1});
  }
};

// ---- The prior over codes ----------------------------------------------------------------------

// P(words of an image) = product over its places of P(word | the words before it, row by row),
// where of the words before it a network sees the twelve in a window: two rows of five above, and
// two on the left. Outside of the map stands one more word, V.
template <class T> class WindowPrior {
 public:
  // Maps of side x side places.
  WindowPrior(Index words, Index side, Index hidden, Rng& rng)
      : words_(words),
        side_(side),
        embedding_("embedding", rng.normal<T>({words + 1, kEmbedded})),
        place_("place", Tensor<T>({side * side, hidden})),
        hidden_("hidden", kSeen * kEmbedded, hidden, rng),
        to_logits_("to_logits", hidden, words, rng) {}

  // Of N maps, N M words, P(word | those before it) for each: (N M, V).
  nn::Categorical<T> conditional(const std::vector<Index>& maps) const {
    const Index rows = std::ssize(maps);
    const Index n = rows / places();
    const Var<T> seen = gather_rows<T>(embedding_, windows(maps));  // (N M 12, E)
    const Var<T> h = hidden_(reshape(seen, {rows, kSeen * kEmbedded}));
    const Var<T> at_place = reshape(h, {n, places(), h.shape()[1]}) + place_;
    return {to_logits_(reshape(relu(at_place), h.shape()))};
  }

  // ln P(words) of each map, in nats.  N M words -> (N)
  Var<T> log_prob(const std::vector<Index>& maps) const {
    const Var<T> rows = conditional(maps).log_prob(maps);
    return sum(reshape(rows, {rows.shape()[0] / places(), places()}), {1});
  }

  // n maps, word by word.
  std::vector<Index> sample(Index n, Rng& rng) const {
    std::vector<Index> maps(n * places(), words_);
    for (Index m = 0; m < places(); ++m) {
      const std::vector<Index> drawn = conditional(maps).sample(rng);
      for (Index i = m; i < std::ssize(maps); i += places()) maps[i] = drawn[i];
    }
    return maps;
  }

  Index places() const { return side_ * side_; }

  nn::Parameters<T> parameters() {
    nn::Parameters<T> all = {&embedding_, &place_};
    for (Parameter<T>* p : nn::parameters<T>(hidden_, to_logits_)) all.push_back(p);
    return all;
  }

 private:
  static constexpr Index kEmbedded = 16;     // E: numbers that stand for a word
  static constexpr Index kReach = 2;         // rows above, and columns to either side
  static constexpr Index kSeen = 2 * 5 + 2;  // words in a window

  // Of each place the words in its window, in one order: 12 N M numbers.
  std::vector<Index> windows(const std::vector<Index>& maps) const {
    std::vector<Index> all;
    all.reserve(maps.size() * kSeen);
    for (Index first = 0; first < std::ssize(maps); first += places())
      for (Index row = 0; row < side_; ++row)
        for (Index column = 0; column < side_; ++column)
          for (Index r = row - kReach; r <= row; ++r)
            for (Index c = column - kReach; c <= column + kReach; ++c) {
              if (r == row && c >= column) break;  // not yet written
              const bool inside = r >= 0 && c >= 0 && c < side_;
              all.push_back(inside ? maps[first + r * side_ + c] : words_);
            }
    return all;
  }

  Index words_, side_;
  Parameter<T> embedding_;  // (V + 1, E), "embedding"
  Parameter<T> place_;      // (M, H), "place"
  nn::Linear<T> hidden_, to_logits_;
};

}  // namespace gradus::lesson19
