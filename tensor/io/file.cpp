#include "tensor/io/file.hpp"
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include "tensor/error.hpp"

namespace gradus::io {
namespace {
struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;
}  // namespace

std::string read_file(const std::filesystem::path& path) {
  std::error_code code;
  if (std::filesystem::is_directory(path, code))
    fail("cannot read {}: it is a directory", path.string());
  File file(std::fopen(path.c_str(), "rb"));
  if (!file) fail("cannot read {}: {}", path.string(), std::strerror(errno));
  std::string bytes;
  char buffer[1 << 16];
  while (const std::size_t n = std::fread(buffer, 1, sizeof(buffer), file.get()))
    bytes.append(buffer, n);
  if (std::ferror(file.get())) fail("cannot read {}: {}", path.string(), std::strerror(errno));
  return bytes;
}

void write_file(const std::filesystem::path& path, std::string_view bytes) {
  const std::filesystem::path temporary = path.string() + ".part";
  File file(std::fopen(temporary.c_str(), "wb"));
  if (!file) fail("cannot write {}: {}", path.string(), std::strerror(errno));
  int error = 0;
  if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size()) error = errno;
  if (std::fclose(file.release()) != 0 && !error) error = errno;  // a full disk may show only here
  if (!error && std::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error) {
    std::remove(temporary.c_str());
    fail("cannot write {}: {}", path.string(), std::strerror(error));
  }
}
}  // namespace gradus::io
