#pragma once
#include <cmath>

#include "lessons/01_pca/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/layers.hpp"

// The autoencoder: a code of K numbers, found and read by networks that bend.
//
//     N examples in a batch, D dimensions (pixels), H hidden units, K numbers in the code
namespace gradus::lesson05 {

using lesson01::fit_pca;
using lesson01::Pca;

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
         (1 + std::cos(3.14159265358979323846 * static_cast<double>(step) /
                       static_cast<double>(steps)));
}

// N points at equal steps on the unit circle, (N, 2): of two dimensions, but one number each.
template <class T> Tensor<T> circle(Index n) {
  Tensor<T> x({n, 2});
  for (Index i = 0; i < n; ++i) {
    const double angle = 2 * 3.14159265358979323846 * static_cast<double>(i) / n;
    x.set({i, 0}, static_cast<T>(std::cos(angle))), x.set({i, 1}, static_cast<T>(std::sin(angle)));
  }
  return x;
}

// PCA as an autoencoder without bends: its first k axes U, (k, D), are the weights of two layers,
//     c = U x - U m,    y = U^T c + m.
// Returns the mean squared error of a pixel.
template <class T>
double error_of_layers(const Pca<double>& pca, Index k, const Tensor<T>& images) {
  const Index pixels = images.extent(1);
  Rng rng(0);
  nn::Linear<double> encoder("encoder", pixels, k, rng), decoder("decoder", k, pixels, rng);
  const Tensor<double> axes = slice(pca.components, 0, 0, k);
  encoder.weight.set_value(axes);
  encoder.bias.set_value(-matmul_nt(pca.mean.reshape({1, pixels}), axes).reshape({k}));
  decoder.weight.set_value(transpose(axes));
  decoder.bias.set_value(pca.mean);
  double total = 0;
  in_parts(images, [&](const Tensor<T>& part) {
    const Tensor<double> x = cast<double>(part);
    total += sum(square(decoder(encoder(x)) - x)).item();
  });
  return total / static_cast<double>(images.size());
}

}  // namespace gradus::lesson05
