#pragma once
#include <filesystem>
#include <map>
#include <string>

#include "tensor/tensor.hpp"

// The safetensors format (https://github.com/huggingface/safetensors): named tensors that any
// framework reads.
//     n                     8 bytes, the least significant first: the size of the header
//     header                JSON: {"name": {"dtype": "F32", "shape": [2, 3],
//                                           "data_offsets": [begin, end]}, ...,
//                                  "__metadata__": {"key": "value", ...}}
//     the numbers           row-major, little-endian, at these offsets from the header's end
namespace gradus::io {
template <class T> struct SafeTensors {
  std::map<std::string, Tensor<T>> tensors;
  std::map<std::string, std::string> metadata;

  // The tensor of that name. Throws Error, naming those that there are.
  const Tensor<T>& at(const std::string& name) const;
};

// Reads F32 and F64 tensors of up to six axes, converting them to T, and says so of a file with
// others. Throws Error when the file cannot be read, is truncated, has a header that is not such
// JSON or has a key twice in one object, a shape that overflows, offsets that overlap, leave gaps
// or do not fit the shape, or bytes after the last tensor.
template <class T> SafeTensors<T> read_safetensors(const std::filesystem::path& path);

// Writes the tensors in the precision that they have, whole or not at all. Throws Error when a
// tensor is named "__metadata__", a text is not UTF-8 or the file cannot be written.
template <class T>
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor<T>>& tensors,
                       const std::map<std::string, std::string>& metadata = {});
}  // namespace gradus::io
