#include "tensor/io/idx.hpp"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "tensor/error.hpp"
#include "tests/fuzz/harness.hpp"
#include "tests/idx_bytes.hpp"

// What is read survives being written and read again.
namespace gradus::fuzz {
namespace {

using test::gzipped;
using test::idx;

void read_images(const std::filesystem::path& path, const std::filesystem::path& copy) {
  const Tensor<float> images = io::read_idx_images<float>(path);
  io::write_idx_images(copy, images);
  const Tensor<float> again = io::read_idx_images<float>(copy);
  require(again.shape() == images.shape(), "the shape survives");
  require(std::equal(images.data(), images.data() + images.size(), again.data()),
          "the pixels survive");
}

void read_labels(const std::filesystem::path& path, const std::filesystem::path& copy) {
  const std::vector<Index> labels = io::read_idx_labels(path);
  io::write_idx_labels(copy, labels);
  require(io::read_idx_labels(copy) == labels, "the labels survive");
}

}  // namespace

std::vector<Seed> seeds() {
  const std::string images =
      idx({2, 2, 3}, std::string("\0\1\2\x7f\x80\x81\xfd\xfe\xff\3\4\5", 12));
  const std::string labels = idx({4}, std::string("\7\0\xff\1", 4));
  return {{"images", images, true},
          {"labels", labels, true},
          {"images.gz", gzipped(images), true},
          {"labels.gz", gzipped(labels), true},
          {"two_streams.gz", gzipped(images.substr(0, 9)) + gzipped(images.substr(9)), true},
          {"none", idx({0, 28, 28}, ""), true},
          {"six_axes", idx({1, 1, 2, 1, 1, 1}, "ab"), true},
          {"bytes_after", images + "x", false},
          {"bytes_after.gz", gzipped(images) + "x", false},
          {"too_few", images.substr(0, 20), false},
          {"gigabytes", idx({0xffffffff, 28, 28}, "few"), false}};
}

bool accepts(std::string_view bytes) {
  static const TemporaryDirectory directory;
  const std::filesystem::path path = directory / "file";
  write_bytes(path, bytes);
  bool accepted = false;
  for (const auto& read : {read_images, read_labels}) {
    try {
      read(path, directory / "copy");
      accepted = true;
    } catch (const Error&) {
      // Refused, in words.
    }
  }
  return accepted;
}

}  // namespace gradus::fuzz
