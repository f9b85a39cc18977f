#pragma once
#include <filesystem>
#include <set>
#include <string>

#include "nn/parameters.hpp"
#include "tensor/error.hpp"
#include "tensor/io/safetensors.hpp"

// Parameters in files, under their dotted names, as PyTorch's state_dict has them.
namespace gradus::nn {

// Puts the parameters into a set of named tensors, for io::write_safetensors. Throws Error when two
// have the same name.
template <class T> void save(const Parameters<T>& parameters, io::SafeTensors<T>& file) {
  for (const Parameter<T>* p : parameters) {
    const bool is_new = file.tensors.emplace(p->name(), p->value()).second;
    if (!is_new) fail("save: two tensors are named '{}'", p->name());
  }
}

// Takes the parameters from such a set. Throws Error, having changed nothing, when a name is
// missing or a shape differs.
template <class T> void load(const Parameters<T>& parameters, const io::SafeTensors<T>& file) {
  for (const Parameter<T>* p : parameters) {
    const Shape& shape = file.at(p->name()).shape();
    if (shape != p->shape())
      fail("load: '{}' has shape {}, but the model's has {}", p->name(), shape, p->shape());
  }
  for (Parameter<T>* p : parameters) p->set_value(file.at(p->name()));
}

// Writes a file that holds the parameters and nothing else.
template <class T>
void save_file(const Parameters<T>& parameters, const std::filesystem::path& path) {
  io::SafeTensors<T> file;
  save(parameters, file);
  io::write_safetensors(path, file.tensors);
}

// Reads such a file. Throws Error, having changed nothing, as load does, and when there are other
// tensors in it.
template <class T>
void load_file(const Parameters<T>& parameters, const std::filesystem::path& path) {
  const io::SafeTensors<T> file = io::read_safetensors<T>(path);
  std::set<std::string> names;
  for (const Parameter<T>* p : parameters) names.insert(p->name());
  for (const auto& [name, tensor] : file.tensors)
    if (!names.contains(name))
      fail("load: {} has a tensor '{}', but the model has none", path.string(), name);
  load(parameters, file);
}

}  // namespace gradus::nn
