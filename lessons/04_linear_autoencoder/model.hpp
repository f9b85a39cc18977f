#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/01_pca/model.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// An autoencoder without a bend in it: two affine maps, through a narrow place.
//
//     N examples, D dimensions, K numbers in a code
namespace gradus::lesson04 {

using lesson01::fit_pca;
using lesson01::Pca;

template <class T> struct LinearAutoencoder {
  nn::Linear<T> encoder;  // weight (K, D), bias (K)
  nn::Linear<T> decoder;  // weight (D, K), bias (D)

  // Glorot's start draws the weights of both with the same variance, 2 / (D + K).
  LinearAutoencoder(Index inputs, Index codes, Rng& rng)
      : encoder("encoder", inputs, codes, rng, nn::Init::kGlorot),
        decoder("decoder", codes, inputs, rng, nn::Init::kGlorot) {}

  // Decode what was encoded.  (N, D) -> (N, D)
  Var<T> operator()(const Var<T>& x) const { return decoder(encoder(x)); }

  // The squared distance of an example to what comes back, on average over the examples.
  Var<T> loss(const Var<T>& x) const { return mean(sum(square(x - (*this)(x)), {1})); }

  nn::Parameters<T> parameters() { return nn::parameters<T>(encoder, decoder); }

  // Puts the weights somewhere, with biases of zero.
  void place(const Tensor<T>& encoder_weight, const Tensor<T>& decoder_weight) {
    encoder.weight.set_value(encoder_weight);
    decoder.weight.set_value(decoder_weight);
    encoder.bias.set_value(Tensor<T>(encoder.bias.shape()));
    decoder.bias.set_value(Tensor<T>(decoder.bias.shape()));
  }

  // Makes of a model for centred examples one for examples with that mean (D): the encoder's bias
  // takes it off, the decoder's puts it back.
  void absorb_mean(const Tensor<T>& mean) {
    const Tensor<T> code = matmul_nt(mean.reshape({1, -1}), encoder.weight.value());  // (1, K)
    encoder.bias.set_value(encoder.bias.value() - code.reshape({-1}));
    decoder.bias.set_value(decoder.bias.value() + mean);
  }
};

// The numbers 0, ..., k - 1.
inline std::vector<Index> numbers_below(Index k) {
  std::vector<Index> which(k);
  std::iota(which.begin(), which.end(), 0);
  return which;
}

// The components of PCA with these numbers, as columns.  (D, K)
template <class T> Tensor<T> axes(const Pca<T>& pca, const std::vector<Index>& which) {
  return transpose(gather_rows(pca.components, which));
}

// The loss where the decoder spans those components (Baldi and Hornik 1989): the other variances.
template <class T> T critical_level(const Pca<T>& pca, const std::vector<Index>& which) {
  return sum(pca.variances).item() - sum(gather_rows(pca.variances, which)).item();
}

// Mixing alpha u_j into the encoder's row i and beta u_j into the decoder's column i, for a dropped
// j, changes the loss by l_j alpha^2 - 2 l_j alpha beta + l_i beta^2 to second order. The second
// derivatives have the eigenvalues l_i + l_j +- sqrt((l_j - l_i)^2 + 4 l_j^2), of which this is the
// lower, for kept = l_i and dropped = l_j. It is negative exactly when l_j > l_i.
inline double lower_eigenvalue(double kept, double dropped) {
  return kept + dropped - std::hypot(dropped - kept, 2 * dropped);
}

// The lowest eigenvalue of the Hessian at such a point, when encoder and decoder are U^T and U, for
// variances l. Different pairs i, j as above do not meet; and turning the code among its own K
// numbers leaves the loss as it is, with eigenvalue 0.
inline double lowest_curvature(const std::vector<double>& l, const std::vector<Index>& which) {
  const auto is_kept = [&which](Index j) {
    return std::find(which.begin(), which.end(), j) != which.end();
  };
  double lowest = 0;
  for (Index i : which)
    for (Index j = 0; j < std::ssize(l); ++j) {
      if (is_kept(j)) continue;
      lowest = std::min(lowest, lower_eigenvalue(l[i], l[j]));
    }
  return lowest;
}

}  // namespace gradus::lesson04
