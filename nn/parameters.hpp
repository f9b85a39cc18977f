#pragma once
#include <vector>

#include "autograd/var.hpp"

namespace gradus::nn {

// A model's parameters, by which optimisers and files know it.
template <class T> using Parameters = std::vector<Parameter<T>*>;

// Those of several layers or models, in order: parameters<T>(encoder, decoder).
template <class T, class... Modules> Parameters<T> parameters(Modules&... modules) {
  Parameters<T> all;
  for (const Parameters<T>& own : {modules.parameters()...})
    all.insert(all.end(), own.begin(), own.end());
  return all;
}

// The number of numbers in them.
template <class T> Index count(const Parameters<T>& parameters) {
  Index n = 0;
  for (const Parameter<T>* p : parameters) n += p->value().size();
  return n;
}

}  // namespace gradus::nn
