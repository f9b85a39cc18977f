#include "tensor/io/file.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "tensor/error.hpp"

namespace gradus::io {
std::string read_file(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  if (file && file.peek() != std::ifstream::traits_type::eof()) bytes << file.rdbuf();
  if (!file.is_open() || file.bad() || !bytes)
    fail("cannot read {}: {}", path.string(), std::strerror(errno ? errno : EIO));
  return std::move(bytes).str();
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".part";
  errno = 0;
  std::ofstream file(temporary, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();  // a full disk may show only here
  if (file && std::rename(temporary.c_str(), path.c_str()) == 0) return;
  const int error = errno ? errno : EIO;
  std::error_code code;
  std::filesystem::remove(temporary, code);
  fail("cannot write {}: {}", path.string(), std::strerror(error));
}
}  // namespace gradus::io
