#pragma once
#include <cmath>
#include <utility>
#include <vector>

#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "lessons/common/constants.hpp"
#include "nn/parameters.hpp"
#include "tensor/random.hpp"

namespace gradus::lesson03 {

// A tape from nothing, for single numbers: everything that is needed, and nothing else.
namespace tiny {

// From a number to one that it was computed from.
struct Edge {
  Index input;   // the place of that one on the tape
  double slope;  // d number / d input
};

// The edges of every number, in the order in which the numbers were computed.
struct Tape {
  std::vector<std::vector<Edge>> nodes;

  // d z / d node, for every node up to z.
  std::vector<double> backward(Index z) const {
    std::vector<double> gradient(z + 1, 0.0);
    gradient[z] = 1;
    for (Index node = z; node >= 0; --node)
      for (const Edge& edge : nodes[node]) gradient[edge.input] += gradient[node] * edge.slope;
    return gradient;
  }
};

// A number that knows its place on a tape.
struct Number {
  double value;
  Index node;
  Tape* tape;
};

// Writes a number down. One without edges is an input.
inline Number record(Tape& tape, double value, std::vector<Edge> edges = {}) {
  tape.nodes.push_back(std::move(edges));
  return {value, std::ssize(tape.nodes) - 1, &tape};
}

// z = x + y   dz/dx = 1   dz/dy = 1
inline Number operator+(const Number& x, const Number& y) {
  return record(*x.tape, x.value + y.value, {{x.node, 1}, {y.node, 1}});
}

// z = x y   dz/dx = y   dz/dy = x
inline Number operator*(const Number& x, const Number& y) {
  return record(*x.tape, x.value * y.value, {{x.node, y.value}, {y.node, x.value}});
}

// z = e^x   dz/dx = z
inline Number exp(const Number& x) {
  const double z = std::exp(x.value);
  return record(*x.tape, z, {{x.node, z}});
}

}  // namespace tiny

// z_i = e^(x_i) / sum_j e^(x_j)   dx = z (dz - sum_j dz_j z_j)
template <class T> Var<T> softmax_of_vector(const Var<T>& x) {
  Var<T> z = record<"softmax_of_vector">(exp(x.value() - logsumexp(x.value())), x);
  if (x.needs_gradient()) add_rule(z, x, [z](const Var<T>& dz) { return z * (dz - sum(dz * z)); });
  return z;
}

// The same value with a rule that is wrong: it takes the plain mean of dz. Where dz is 1
// everywhere, as under a sum, both rules give 0.
template <class T> Var<T> wrong_softmax(const Var<T>& x) {
  Var<T> z = record<"wrong_softmax">(exp(x.value() - logsumexp(x.value())), x);
  if (x.needs_gradient()) add_rule(z, x, [z](const Var<T>& dz) { return z * (dz - mean(dz)); });
  return z;
}

// The Gaussian of lesson 02 in D dimensions, x ~ N(0, C) with C = W W^T + s^2 I, made of parameters
// that a gradient can move. Its K directions are the columns of W.
template <class T> struct PpcaModel {
  Parameter<T> weights;  // W: (D, K)
  Parameter<T> log_var;  // ln s^2: ()

  // W begins near 0, where there is no direction yet, and s^2 at 1.
  PpcaModel(Index d, Index k, Rng& rng)
      : weights("weights", rng.normal<T>({d, k}) * T(0.001)),
        log_var("log_var", Tensor<T>(Shape{})) {}

  // -1/N sum_n ln p(x_n) = 1/2 (D ln 2 pi + ln |C| + tr(C^-1 S)) for centred points whose
  // covariance is S = 1/N sum_n x_n x_n^T, (D, D).
  Var<T> negative_log_likelihood(const Tensor<T>& s) const {
    const Index d = s.extent(0);
    const Tensor<T> eye = identity<T>(d);
    const Var<T> c = matmul_nt(weights, weights) + exp(log_var) * eye;
    const Var<T> trace = sum(solve_spd(c, s) * eye);
    return 0.5 * (static_cast<T>(d) * kLogTwoPi + log_determinant(c) + trace);
  }

  nn::Parameters<T> parameters() { return {&weights, &log_var}; }
};

}  // namespace gradus::lesson03
