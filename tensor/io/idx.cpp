#include "tensor/io/idx.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <zlib.h>

#include "tensor/error.hpp"
#include "tensor/io/file.hpp"

namespace gradus::io {
namespace {
constexpr unsigned char kUnsignedByte = 8;

struct Bytes {
  Shape shape;
  std::vector<unsigned char> numbers;
};

// The bytes of a file, which are unpacked on the way if they are gzipped.
class Reader {
 public:
  // Throws Error when the file cannot be read.
  explicit Reader(const std::filesystem::path& path)
      : name_(path.string()), bytes_(read_file(path)), rest_(bytes_) {
    gzipped_ = rest_.starts_with(kGzipMagic);
    if (!gzipped_) return;
    const int status = inflateInit2(&stream_, kGzipWindow);
    if (status != Z_OK) fail("cannot read {}: {}", name_, zError(status));
  }

  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  ~Reader() {
    if (gzipped_) inflateEnd(&stream_);
  }

  // The next `size` bytes, or fewer where the file ends. Reads in steps, so that a damaged header
  // that claims gigabytes costs memory only for the bytes that are there, unpacked. Throws Error
  // when the gzip data are damaged, or when something else comes after them.
  std::vector<unsigned char> read(std::uint64_t size) {
    std::vector<unsigned char> result;
    while (result.size() < size) {
      const std::size_t begin = result.size();
      result.resize(begin + std::min<std::uint64_t>(size - begin, kStep));
      const std::size_t n = read_some(result.data() + begin, result.size() - begin);
      result.resize(begin + n);
      if (n == 0) break;
    }
    return result;
  }

 private:
  static constexpr std::string_view kGzipMagic = "\x1f\x8b";
  static constexpr int kGzipWindow = 16 + MAX_WBITS;  // zlib's way to say gzip instead of zlib
  static constexpr std::size_t kStep = 1 << 20;

  // Up to `size` bytes, which is at most kStep. None only at the end.
  std::size_t read_some(unsigned char* to, std::size_t size) {
    if (gzipped_) return unpack_some(to, size);
    const std::size_t n = std::min(size, rest_.size());
    std::copy_n(rest_.begin(), n, to);
    rest_.remove_prefix(n);
    return n;
  }

  std::size_t unpack_some(unsigned char* to, std::size_t size) {
    stream_.next_out = to;
    stream_.avail_out = static_cast<unsigned>(size);
    while (stream_.avail_out > 0 && !ended_) {
      const std::size_t given = std::min(rest_.size(), kStep);
      stream_.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(rest_.data()));
      stream_.avail_in = static_cast<unsigned>(given);
      const int status = inflate(&stream_, Z_NO_FLUSH);
      rest_.remove_prefix(given - stream_.avail_in);

      if (status == Z_STREAM_END)
        end_stream();
      else if (status == Z_BUF_ERROR)  // zlib's name for no bytes to go on with
        fail("{}: damaged: the gzip data are truncated; fetch it again", name_);
      else if (status != Z_OK)
        fail("{}: damaged: {}; fetch it again", name_, stream_.msg ? stream_.msg : zError(status));
    }
    return size - stream_.avail_out;
  }

  // A gzip file may consist of several streams, one after the other.
  void end_stream() {
    ended_ = rest_.empty();
    if (ended_) return;
    if (!rest_.starts_with(kGzipMagic))
      fail("{}: there are bytes after the gzip data; fetch it again", name_);
    inflateReset(&stream_);
  }

  std::string name_;
  std::string bytes_;
  std::string_view rest_;  // of the bytes: what is not read yet
  bool gzipped_ = false;
  bool ended_ = false;  // whether the last gzip stream has ended
  z_stream stream_ = {};
};

// A number of 4 bytes, the most significant first.
Index big_endian(const unsigned char* bytes) {
  Index number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8 | bytes[i];
  return number;
}

Shape read_shape(Reader& file, const std::string& name) {
  const std::vector<unsigned char> magic = file.read(4);
  if (magic.size() < 4) fail("{}: truncated: it has {} bytes", name, magic.size());
  const int rank = magic[3];
  const bool of_bytes = magic[0] == 0 && magic[1] == 0 && magic[2] == kUnsignedByte;
  if (!of_bytes)
    fail("{}: wrong magic number {:02x}{:02x}{:02x}{:02x}: an IDX file of bytes begins with 000008",
         name, magic[0], magic[1], magic[2], rank);
  if (rank < 1 || rank > Shape::kMaxRank)
    fail("{}: wrong magic number 000008{:02x}: it says {} axes, and files of 1 to {} are read",
         name, rank, rank, Shape::kMaxRank);

  const std::vector<unsigned char> header = file.read(4 * rank);
  if (header.size() < 4u * rank) fail("{}: truncated inside its header", name);
  std::vector<Index> extents;
  for (int axis = 0; axis < rank; ++axis) extents.push_back(big_endian(header.data() + 4 * axis));

  try {
    return Shape(extents);
  } catch (const Error& error) {
    fail("{}: impossible size: {}", name, error.what());
  }
}

Bytes read_bytes(const std::filesystem::path& path) {
  const std::string name = path.string();
  Reader file(path);
  const Shape shape = read_shape(file, name);

  std::vector<unsigned char> numbers = file.read(shape.size());
  if (std::ssize(numbers) < shape.size())
    fail("{}: truncated: its header promises {} bytes of numbers, but there are {}", name,
         shape.size(), numbers.size());
  if (!file.read(1).empty())
    fail("{}: there are bytes after the {} that its header promises", name, shape.size());
  return {shape, std::move(numbers)};
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

#define GRADUS_INSTANTIATE(T)                                       \
  template Tensor<T> read_idx_images(const std::filesystem::path&); \
  template void write_idx_images(const std::filesystem::path&, const Tensor<T>&);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus::io
