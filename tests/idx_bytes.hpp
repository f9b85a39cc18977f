#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <zlib.h>

#include "tests/files.hpp"

// IDX files for the tests of their reader, of tests/tensor/ and of tests/fuzz/.
namespace gradus::test {

// The bytes of a file, put together from the format's description.
inline std::string idx(const std::vector<std::uint32_t>& extents, const std::string& numbers) {
  std::string bytes = {0, 0, 8, static_cast<char>(extents.size())};
  for (std::uint32_t extent : extents)
    for (int shift : {24, 16, 8, 0}) bytes += static_cast<char>(extent >> shift & 255);
  return bytes + numbers;
}

inline std::string gzipped(const std::string& bytes) {
  const TemporaryDirectory directory;
  const gzFile file = gzopen((directory / "file").c_str(), "wb9");
  if (!bytes.empty()) gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  return read_bytes(directory / "file");
}

}  // namespace gradus::test
