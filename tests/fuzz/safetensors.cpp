#include "tensor/io/safetensors.hpp"

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "tensor/error.hpp"
#include "tests/fuzz/harness.hpp"

// What is read survives being written and read again.
namespace gradus::fuzz {
namespace {

// The bytes of a file, put together from the format's description.
std::string file_of(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 255);
  return bytes + header + data;
}

bool same_bits(const Tensor<double>& x, const Tensor<double>& y) {
  if (x.shape() != y.shape()) return false;
  return x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(double)) == 0;
}

void read(const std::filesystem::path& path, const std::filesystem::path& copy) {
  const io::SafeTensors<double> file = io::read_safetensors<double>(path);
  io::write_safetensors(copy, file.tensors, file.metadata);
  const io::SafeTensors<double> again = io::read_safetensors<double>(copy);
  require(again.metadata == file.metadata, "the metadata survive");
  require(again.tensors.size() == file.tensors.size(), "the number of tensors survives");
  for (const auto& [name, tensor] : file.tensors)
    require(same_bits(again.at(name), tensor), "tensor " + name + " survives");
}

}  // namespace

std::vector<Seed> seeds() {
  const std::string numbers(16, '?');
  auto one = [&](const std::string& entry) { return file_of("{\"x\":{" + entry + "}}", numbers); };
  return {
      {"empty", file_of("{}", ""), true},
      {"two",
       file_of(R"({"__metadata__":{"made":"by hand"},"a":{"dtype":"F32","shape":[2,1],)"
               R"("data_offsets":[0,8]},"b":{"dtype":"F64","shape":[],"data_offsets":[8,16]}} )",
               numbers),
       true},
      {"padded", file_of("{}      ", ""), true},
      {"padded_with_nul", file_of(std::string("{}\0", 3), ""), false},
      {"key_twice", one(R"("dtype":"F64","dtype":"F32","shape":[4],"data_offsets":[0,16])"), false},
      {"dtype", one(R"("dtype":"BF16","shape":[8],"data_offsets":[0,16])"), false},
      {"axes", one(R"("dtype":"F32","shape":[1,1,1,1,1,1,4],"data_offsets":[0,16])"), false},
      {"overflow", one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16])"),
       false},
      {"escape", one(R"("dtype":"F\u0033\u0032","shape":[4],"data_offsets":[0,16])"), true}};
}

bool accepts(std::string_view bytes) {
  static const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file";
  write_bytes(path, bytes);
  try {
    read(path, directory / "copy");
  } catch (const Error&) {
    return false;
  }
  return true;
}

}  // namespace gradus::fuzz
