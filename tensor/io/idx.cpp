#include "tensor/io/idx.hpp"

#include <cerrno>
#include <cmath>
#include <limits>
#include <memory>

#include <zlib.h>

#include "tensor/io/file.hpp"

namespace gradus::io {
namespace {
constexpr unsigned char kUnsignedByte = 8;

struct Bytes {
  Shape shape;
  std::vector<unsigned char> numbers;
};

// Reads at most `size` bytes through zlib, which passes files that are not gzipped through as they
// are. The sizes that a header claims cost memory only as far as there are bytes.
std::vector<unsigned char> read_most(gzFile_s* file, const std::string& name, std::uint64_t size) {
  std::vector<unsigned char> bytes;
  while (bytes.size() < size) {
    const auto begin = bytes.size();
    bytes.resize(begin + std::min<std::uint64_t>(size - begin, 1 << 20));
    const int n = gzread(file, bytes.data() + begin, static_cast<unsigned>(bytes.size() - begin));
    int error = Z_OK;
    const char* reason = gzerror(file, &error);
    if (n < 0 || error == Z_BUF_ERROR)  // the latter: the gzip data end too soon
      fail("{}: damaged: {}; fetch it again", name, n < 0 ? reason : "the gzip data are truncated");
    bytes.resize(begin + n);
    if (n == 0) break;
  }
  return bytes;
}

Bytes read_bytes(const std::filesystem::path& path) {
  const std::string name = path.string();
  std::error_code code;
  if (std::filesystem::is_directory(path, code)) fail("cannot read {}: it is a directory", name);
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile_s*)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) fail("cannot read {}: {}", name, std::strerror(errno ? errno : ENOMEM));
  const auto magic = read_most(file.get(), name, 4);
  if (magic.size() < 4) fail("{}: truncated: it has {} bytes", name, magic.size());
  const int rank = magic[3];
  if (magic[0] || magic[1] || magic[2] != kUnsignedByte || rank < 1 || rank > Shape::kMaxRank)
    fail("{}: wrong magic number {:02x}{:02x}{:02x}{:02x}: an IDX file of bytes begins with 000008",
         name, magic[0], magic[1], magic[2], rank);
  const auto header = read_most(file.get(), name, 4 * rank);
  if (header.size() < 4u * rank) fail("{}: truncated inside its header", name);
  std::vector<Index> extents;
  for (std::size_t i = 0; i < header.size(); i += 4)
    extents.push_back(Index{header[i]} << 24 | header[i + 1] << 16 | header[i + 2] << 8 |
                      header[i + 3]);
  Bytes result;
  try {
    result.shape = Shape(extents);
  } catch (const Error& error) {
    fail("{}: impossible size: {}", name, error.what());
  }
  result.numbers = read_most(file.get(), name, result.shape.size());
  if (std::ssize(result.numbers) < result.shape.size())
    fail("{}: truncated: its header promises {} bytes of numbers, but there are {}", name,
         result.shape.size(), result.numbers.size());
  if (!read_most(file.get(), name, 1).empty())
    fail("{}: there are bytes after the {} that its header promises", name, result.shape.size());
  return result;
}

void write(const std::filesystem::path& path, const Shape& shape, const std::string& numbers) {
  std::string bytes = {0, 0, kUnsignedByte, static_cast<char>(shape.rank())};
  for (Index extent : shape) {
    if (extent > std::numeric_limits<std::uint32_t>::max())
      fail("cannot write {}: extent {} does not fit the format", path.string(), extent);
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift);
  }
  write_file(path, bytes + numbers);
}
}  // namespace

template <class T> Tensor<T> read_idx_images(const std::filesystem::path& path) {
  const Bytes file = read_bytes(path);
  auto images = Tensor<T>::uninitialized(file.shape);
  std::transform(file.numbers.begin(), file.numbers.end(), images.mutable_data(),
                 [](unsigned char byte) { return T(byte) / T(255); });
  return images;
}

std::vector<Index> read_idx_labels(const std::filesystem::path& path) {
  const Bytes file = read_bytes(path);
  if (file.shape.rank() != 1)
    fail("{}: labels have one axis, but this file has shape {}; is it an image file?",
         path.string(), file.shape);
  return std::vector<Index>(file.numbers.begin(), file.numbers.end());
}

template <class T>
void write_idx_images(const std::filesystem::path& path, const Tensor<T>& images) {
  if (images.rank() == 0) fail("cannot write {}: a scalar is no image", path.string());
  std::string bytes(images.size(), '\0');
  for (Index i = 0; i < images.size(); ++i) {
    const T pixel = images.data()[i];
    if (!(pixel >= 0 && pixel <= 1))
      fail("cannot write {}: pixel {} is {}, outside [0, 1]", path.string(), i, pixel);
    bytes[i] = static_cast<char>(static_cast<unsigned char>(std::lround(pixel * 255)));
  }
  write(path, images.shape(), bytes);
}

void write_idx_labels(const std::filesystem::path& path, const std::vector<Index>& labels) {
  std::string bytes;
  for (Index label : labels) {
    if (label < 0 || label > 255)
      fail("cannot write {}: label {} does not fit into a byte", path.string(), label);
    bytes += static_cast<char>(label);
  }
  write(path, {std::ssize(labels)}, bytes);
}

template Tensor<float> read_idx_images(const std::filesystem::path&);
template Tensor<double> read_idx_images(const std::filesystem::path&);
template void write_idx_images(const std::filesystem::path&, const Tensor<float>&);
template void write_idx_images(const std::filesystem::path&, const Tensor<double>&);
}  // namespace gradus::io
