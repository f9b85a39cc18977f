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
// The system's reason for a failure, in words. A stream need not set errno; 0 then stands for an
// error of input or output.
std::string reason(int error) { return std::strerror(error != 0 ? error : EIO); }
}  // namespace

std::string read_file(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;

  // Copying no bytes would count as a failure of `bytes`, so an empty file is not copied.
  const bool has_bytes = file && file.peek() != std::ifstream::traits_type::eof();
  if (has_bytes) bytes << file.rdbuf();
  if (!file.is_open() || file.bad() || !bytes)
    fail("cannot read {}: {}", path.string(), reason(errno));
  std::string result = std::move(bytes).str();
  result.shrink_to_fit();  // the stream has room for up to twice as many
  return result;
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".part";
  errno = 0;
  std::ofstream file(temporary, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();  // writes what is still in the stream's buffer: a full disk may show only here
  if (file && std::rename(temporary.c_str(), path.c_str()) == 0) return;

  const int error = errno;  // kept, because the removal may change errno
  std::error_code ignored;
  std::filesystem::remove(temporary, ignored);
  fail("cannot write {}: {}", path.string(), reason(error));
}
}  // namespace gradus::io
