#pragma once
#include <vector>

#include "autograd/tape.hpp"
#include "nn/parameters.hpp"

// Gradients with respect to all parameters of a model.
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

}  // namespace gradus
