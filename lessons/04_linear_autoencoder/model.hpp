#pragma once
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "autograd/tape.hpp"
#include "lessons/01_pca/model.hpp"
#include "nn/layers.hpp"

// An autoencoder without a bend in it: two affine maps, through a narrow place.
//
//     N examples, D dimensions, k numbers in a code
namespace gradus::lesson04 {

using lesson01::fit_pca;
using lesson01::Pca;

template <class T> struct LinearAutoencoder {
  nn::Linear<T> encoder;  // weight (k, D), bias (k)
  nn::Linear<T> decoder;  // weight (D, k), bias (D)

  // Glorot's start makes both weights equally large; gradient descent would keep any imbalance.
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
    const Tensor<T> code = matmul_nt(mean.reshape({1, -1}), encoder.weight.value());  // (1, k)
    encoder.bias.set_value(encoder.bias.value() - code.reshape({-1}));
    decoder.bias.set_value(decoder.bias.value() + mean);
  }
};

// The loss over any number of examples.
template <class T> double mean_loss(const LinearAutoencoder<T>& model, const Tensor<T>& x) {
  double total = 0;
  in_parts(x, [&](const Tensor<T>& part) {
    total += static_cast<double>(model.loss(part).item()) * static_cast<double>(part.extent(0));
  });
  return total / static_cast<double>(x.extent(0));
}

// The orthogonal projection on the span of the columns of w:  w (w^T w)^-1 w^T.  (D, k) -> (D, D)
template <class T> Tensor<T> projector(const Tensor<T>& w) {
  return matmul(w, solve_spd(matmul_tn(w, w), transpose(w)));
}

// The largest angle between two subspaces of equal dimension, in degrees. The eigenvalues of the
// difference of two such projectors are plus and minus the sines of the principal angles.
template <class T> T largest_angle(const Tensor<T>& p, const Tensor<T>& q) {
  const T sine = symmetric_eigen(p - q).values(0);
  return std::asin(std::clamp(sine, T(0), T(1))) * 180 / std::numbers::pi_v<T>;
}

// How far the columns of w (D, k) are from being components of PCA: of their angles to the nearest
// component the largest, in degrees.
template <class T> T angle_to_nearest_axis(const Pca<T>& pca, const Tensor<T>& w) {
  const Tensor<T> cosines = abs(matmul(pca.components, w)) / sqrt(sum(square(w), {0}));  // (D, k)
  T worst = 1;
  for (T cosine : max(cosines, {0})) worst = std::min(worst, cosine);
  return std::acos(worst) * 180 / std::numbers::pi_v<T>;
}

// The numbers 0, ..., k - 1.
inline std::vector<Index> first(Index k) {
  std::vector<Index> which(k);
  std::iota(which.begin(), which.end(), 0);
  return which;
}

// The components of PCA with these numbers, as columns.  (D, k)
template <class T> Tensor<T> axes(const Pca<T>& pca, const std::vector<Index>& which) {
  return transpose(gather_rows(pca.components, which));
}

// The loss where the decoder spans those components (Baldi and Hornik 1989): the other variances.
template <class T> T critical_level(const Pca<T>& pca, const std::vector<Index>& which) {
  return sum(pca.variances).item() - sum(gather_rows(pca.variances, which)).item();
}

// The lowest eigenvalue of the Hessian there, when encoder and decoder are U^T and U.
//
// Mixing a_j u_j into the encoder's row i and b_j u_j into the decoder's column i, for a dropped j,
// changes the loss by l_j a^2 - 2 l_j a b + l_i b^2 to second order, and different pairs do not
// meet: the eigenvalues are l_i + l_j +- sqrt((l_j - l_i)^2 + 4 l_j^2). The lower is negative
// exactly when l_j > l_i. Turning the code among its own k numbers leaves the loss as it is:
// eigenvalue 0.
inline double lowest_curvature(const std::vector<double>& l, const std::vector<Index>& which) {
  double lowest = 0;
  for (Index i : which)
    for (Index j = 0; j < std::ssize(l); ++j)
      if (std::find(which.begin(), which.end(), j) == which.end())
        lowest = std::min(lowest, l[i] + l[j] - std::hypot(l[j] - l[i], 2 * l[j]));
  return lowest;
}

// The gradient of a loss at the parameters, and all its second derivatives, both in the order of
// the parameters' elements: a gradient is recorded like anything else, so it has a gradient.
template <class T> struct Curvature {
  Tensor<T> gradient;  // (n)
  Tensor<T> hessian;   // (n, n)
};

template <class T>
Curvature<T> curvature(const std::function<Var<T>()>& loss, const nn::Parameters<T>& parameters) {
  Tape<T> tape;
  std::vector<Var<T>> leaves;
  for (const Parameter<T>* p : parameters) leaves.push_back(*p);
  std::vector<Var<T>> flat;
  for (const Var<T>& g : gradient(loss(), leaves, {.create_graph = true}))
    flat.push_back(reshape(g, {g.value().size()}));
  const Var<T> g = concatenate(flat);  // (n)
  std::vector<Tensor<T>> second;
  for (Index i = 0; i < g.value().size(); ++i)
    for (const Var<T>& row : gradient(sum(slice(g, 0, i, i + 1)), leaves))
      second.push_back(row.value().reshape({-1}));
  return {g.value(), concatenate(second).reshape({g.value().size(), -1})};
}

}  // namespace gradus::lesson04
