#pragma once
#include "autograd/operations.hpp"
#include "tensor/io/safetensors.hpp"

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

// Puts the parameters into a set of named tensors, for io::write_safetensors. Throws Error when two
// have the same name.
template <class T> void save(const Parameters<T>& parameters, io::SafeTensors<T>& file) {
  for (const Parameter<T>* p : parameters)
    if (!file.tensors.emplace(p->name(), p->value()).second)
      fail("save: two tensors are named '{}'", p->name());
}

// Takes the parameters from such a set. Throws Error, having changed nothing, when a name is
// missing or a shape differs.
template <class T> void load(const Parameters<T>& parameters, const io::SafeTensors<T>& file) {
  for (const Parameter<T>* p : parameters)
    if (const Shape& shape = file.at(p->name()).shape(); shape != p->shape())
      fail("load: '{}' has shape {}, but the model's has {}", p->name(), shape, p->shape());
  for (Parameter<T>* p : parameters) p->set_value(file.at(p->name()));
}

// The same from and to a file that holds nothing else. load_file throws Error for other names too.
template <class T>
void save_file(const Parameters<T>& parameters, const std::filesystem::path& path) {
  io::SafeTensors<T> file;
  save(parameters, file);
  io::write_safetensors(path, file.tensors);
}

template <class T>
void load_file(const Parameters<T>& parameters, const std::filesystem::path& path) {
  const io::SafeTensors<T> file = io::read_safetensors<T>(path);
  io::SafeTensors<T> own;
  save(parameters, own);
  for (const auto& entry : file.tensors) own.at(entry.first);
  load(parameters, file);
}
}  // namespace gradus::nn
