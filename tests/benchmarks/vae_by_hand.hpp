#pragma once
#include <vector>

#include "nn/parameters.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// A step of the reference VAE without a tape: the values and the gradients that a person would
// write down for this one model, in the functions of tensor/.
//
//     N images in a batch, D pixels, H hidden units, K latent dimensions
namespace gradus::benchmarks {
constexpr Index kPixels = 784, kHidden = 400, kLatents = 20, kBatch = 128;

enum class Form { kPlain, kTransposeA, kTransposeB };  // a b, a^T b, a b^T

inline const char* name(Form form) {
  return form == Form::kPlain ? "matmul" : form == Form::kTransposeA ? "matmul_tn" : "matmul_nt";
}

inline Tensor<float> multiply(Form form, const Tensor<float>& a, const Tensor<float>& b) {
  return form == Form::kPlain        ? matmul(a, b)
         : form == Form::kTransposeA ? matmul_tn(a, b)
                                     : matmul_nt(a, b);
}

// One matrix product of a step, to be done again or to be looked up.
struct Product {
  Form form;
  Tensor<float> a, b, value;

  double flop() const {
    const Index inner = a.extent(form == Form::kTransposeA ? 0 : 1);
    return 2.0 * static_cast<double>(value.size() * inner);
  }
};

// The loss, -ELBO in nats per image, of images x (N, D) with noise e (N, K), and its gradients,
// which go into the parameters' grad. `parameters` are those of lesson 13's Vae, in its order.
// Every matrix product is left to product(form, a, b).
template <class F>
float step_by_hand(const nn::Parameters<float>& parameters, const Tensor<float>& x,
                   const Tensor<float>& e, const F& product) {
  auto value = [&](int k) -> const Tensor<float>& { return parameters[k]->value(); };
  auto linear = [&](const Tensor<float>& input, int k) {
    return product(Form::kTransposeB, input, value(k)) + value(k + 1);
  };

  enum { kEncoder = 0, kMean = 2, kLogVar = 4, kDecoder = 6, kLogits = 8 };

  const Tensor<float> h = relu(linear(x, kEncoder));                       // (N, H)
  const Tensor<float> m = linear(h, kMean), log_var = linear(h, kLogVar);  // (N, K)
  const Tensor<float> s = exp(log_var * 0.5f);                             // (N, K)
  const Tensor<float> z = m + s * e;                                       // (N, K)
  const Tensor<float> g = relu(linear(z, kDecoder));                       // (N, H)
  const Tensor<float> logits = linear(g, kLogits);                         // (N, D)
  const Tensor<float> r = expm1(log_var);                                  // (N, K): s^2 - 1
  const Tensor<float> log_p = sum(x * logits - softplus(logits), {1});     // (N): ln p(x|z)
  const Tensor<float> kl = sum(r - log_var + square(m), {1}) * 0.5f;       // (N)
  const float loss = -mean(log_p - kl).item();

  // d is the gradient with respect to the output of the layer whose weight is parameter k.
  auto weight_and_bias = [&](const Tensor<float>& d, const Tensor<float>& input, int k) {
    parameters[k]->grad = product(Form::kTransposeA, d, input);
    parameters[k + 1]->grad = sum(d, {0});
  };
  auto input = [&](const Tensor<float>& d, int k) { return product(Form::kPlain, d, value(k)); };
  const float share = 1 / static_cast<float>(x.extent(0));  // of an image in the mean
  const Tensor<float> d_logits = (sigmoid(logits) - x) * share;
  weight_and_bias(d_logits, g, kLogits);
  const Tensor<float> d_g = input(d_logits, kLogits) * greater(g, 0);
  weight_and_bias(d_g, z, kDecoder);
  const Tensor<float> d_z = input(d_g, kDecoder);
  const Tensor<float> d_m = d_z + m * share;
  const Tensor<float> d_log_var = (d_z * e * s + r * share) * 0.5f;
  weight_and_bias(d_m, h, kMean);
  weight_and_bias(d_log_var, h, kLogVar);
  const Tensor<float> d_h = (input(d_m, kMean) + input(d_log_var, kLogVar)) * greater(h, 0);
  weight_and_bias(d_h, x, kEncoder);
  return loss;
}

inline float step_by_hand(const nn::Parameters<float>& parameters, const Tensor<float>& x,
                          const Tensor<float>& e) {
  return step_by_hand(parameters, x, e, multiply);
}

// The matrix products of such a step, in their order, with operands and results.
inline std::vector<Product> products_of_step(const nn::Parameters<float>& parameters,
                                             const Tensor<float>& x, const Tensor<float>& e) {
  std::vector<Product> products;
  step_by_hand(parameters, x, e, [&](Form form, const Tensor<float>& a, const Tensor<float>& b) {
    products.push_back({form, a, b, multiply(form, a, b)});
    return products.back().value;
  });
  return products;
}
}  // namespace gradus::benchmarks
