#pragma once
#include "autograd/operations.hpp"
#include "tensor/io/safetensors.hpp"

namespace gradus::nn {

using gradus::Parameter;

// A model's parameters, by which optimisers and files know it.
template <class T> using Parameters = std::vector<Parameter<T>*>;

// Those of several layers or models, in order: parameters<T>(encoder, decoder).
template <class T, class... Modules> Parameters<T> parameters(Modules&... modules) {
  Parameters<T> all;
  ([&](Parameters<T> own) { all.insert(all.end(), own.begin(), own.end()); }(modules.parameters()),
   ...);
  return all;
}

// The number of numbers in them.
template <class T> Index count(const Parameters<T>& parameters);

// Puts the parameters into a set of named tensors for a file, and takes them from one. load throws
// Error, having changed nothing, when a name is missing or a shape differs.
template <class T> void save(const Parameters<T>& parameters, io::SafeTensors<T>& file);
template <class T> void load(const Parameters<T>& parameters, const io::SafeTensors<T>& file);

// The same from and to a file that holds nothing else. load_file throws Error for unknown names
// too.
template <class T>
void save_file(const Parameters<T>& parameters, const std::filesystem::path& path);
template <class T>
void load_file(const Parameters<T>& parameters, const std::filesystem::path& path);

}  // namespace gradus::nn
