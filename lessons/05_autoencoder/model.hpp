#pragma once
#include <cmath>
#include <numbers>

#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/random.hpp"

// The autoencoder: a code of K numbers, found and read by networks that bend.
//
//     N examples in a batch, D dimensions (pixels), H hidden units, K numbers in the code
namespace gradus::lesson05 {

template <class T> class Autoencoder {
 public:
  Autoencoder(Index pixels, Index hidden, Index code, Rng& rng)
      : encoder_("encoder", pixels, hidden, rng, nn::Init::kHe),
        to_code_("to_code", hidden, code, rng),
        decoder_("decoder", code, hidden, rng, nn::Init::kHe),
        to_pixels_("to_pixels", hidden, pixels, rng) {}

  // (N, D) -> (N, K)
  Var<T> encode(const Var<T>& x) const { return to_code_(relu(encoder_(x))); }

  // (N, K) -> (N, D)
  Var<T> decode(const Var<T>& code) const { return to_pixels_(relu(decoder_(code))); }

  // The squared distance between each example and what its code says.  (N, D) -> (N)
  Var<T> loss(const Var<T>& x) const { return sum(square(decode(encode(x)) - x), {1}); }

  nn::Parameters<T> parameters() {
    return nn::parameters<T>(encoder_, to_code_, decoder_, to_pixels_);
  }

 private:
  nn::Linear<T> encoder_, to_code_, decoder_, to_pixels_;
};

// A learning rate that begins at `rate` and falls to 0 along half a cosine: large steps while there
// is far to go, small ones to settle (Loshchilov and Hutter 2017, eq. 5, without restarts).
inline double cosine_schedule(double rate, Index step, Index steps) {
  return rate * 0.5 *
         (1 + std::cos(std::numbers::pi * static_cast<double>(step) / static_cast<double>(steps)));
}

}  // namespace gradus::lesson05
