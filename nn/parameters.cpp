#include "nn/parameters.hpp"

namespace gradus::nn {

template <class T> Index count(const Parameters<T>& parameters) {
  Index n = 0;
  for (const Parameter<T>* p : parameters) n += p->value().size();
  return n;
}

template <class T> void save(const Parameters<T>& parameters, io::SafeTensors<T>& file) {
  for (const Parameter<T>* p : parameters)
    if (!file.tensors.emplace(p->name(), p->value()).second)
      fail("save: two tensors are named '{}'", p->name());
}

template <class T> void load(const Parameters<T>& parameters, const io::SafeTensors<T>& file) {
  for (const Parameter<T>* p : parameters)
    if (const Shape& shape = file.at(p->name()).shape(); shape != p->shape())
      fail("load: '{}' has shape {}, but the model's has {}", p->name(), shape, p->shape());
  for (Parameter<T>* p : parameters) p->set_value(file.at(p->name()));
}

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

#define GRADUS_INSTANTIATE(T)                                                  \
  template Index count(const Parameters<T>&);                                  \
  template void save(const Parameters<T>&, io::SafeTensors<T>&);               \
  template void load(const Parameters<T>&, const io::SafeTensors<T>&);         \
  template void save_file(const Parameters<T>&, const std::filesystem::path&); \
  template void load_file(const Parameters<T>&, const std::filesystem::path&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus::nn
