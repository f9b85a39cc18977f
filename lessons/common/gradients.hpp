#pragma once
#include <functional>
#include <vector>

#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "nn/parameters.hpp"
#include "tensor/layout.hpp"

// First and second derivatives with respect to all parameters of a model.
namespace gradus {

// The parameters as the leaves of the tape that is alive, for gradient().
template <class T> std::vector<Var<T>> leaves(const nn::Parameters<T>& parameters) {
  std::vector<Var<T>> result;
  for (const Parameter<T>* p : parameters) result.push_back(*p);
  return result;
}

// All elements of several tensors in one row, (n), in their order.
template <class T> Var<T> flat(const std::vector<Var<T>>& tensors) {
  std::vector<Var<T>> rows;
  for (const Var<T>& x : tensors) rows.push_back(reshape(x, {x.value().size()}));
  return concatenate(rows);
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
  const std::vector<Var<T>> inputs = leaves(parameters);
  const Var<T> g = flat(gradient(loss(), inputs, {.create_graph = true}));  // (n)
  const Index n = g.value().size();
  std::vector<Tensor<T>> rows;
  for (Index i = 0; i < n; ++i)
    rows.push_back(flat(gradient(sum(slice(g, 0, i, i + 1)), inputs)).value());
  return {g.value(), concatenate(rows).reshape({n, n})};
}

}  // namespace gradus
