#include "tensor/io/file.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "tensor/error.hpp"

namespace gradus::io {
namespace {
// What errno says, in words: streams set it where the system does, but need not.
std::string reason(int error) { return std::strerror(error != 0 ? error : EIO); }
}  // namespace

std::string read_file(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  const bool has_bytes = file && file.peek() != std::ifstream::traits_type::eof();
  if (has_bytes) bytes << file.rdbuf();  // of no bytes it would be an error
  if (!file.is_open() || file.bad() || !bytes)
    fail("cannot read {}: {}", path.string(), reason(errno));
  return std::move(bytes).str();
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".part";
  errno = 0;
  std::ofstream file(temporary, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();  // a full disk may show only here
  if (file && std::rename(temporary.c_str(), path.c_str()) == 0) return;

  const int error = errno;  // before the removal sets it
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  fail("cannot write {}: {}", path.string(), reason(error));
}
}  // namespace gradus::io
