#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <zlib.h>

#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/error.hpp"
#include "tensor/io/safetensors.hpp"
#include "tensor/tensor.hpp"

// How numbers get into a page that is one file of text: rounded, packed, gzipped, in base64.
namespace gradus::lesson21 {

// ---- Reading -----------------------------------------------------------------------------------

// Takes a model's parameters from a file of lesson 13. Throws Error, having changed nothing, that
// names the file: when it is not there or damaged, when names or shapes are not the model's, and
// when a weight is no finite number.
template <class T>
void load_weights(const nn::Parameters<T>& parameters, const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) fail("{} is not there", path.string());
  const io::SafeTensors<T> file = io::read_safetensors<T>(path);
  for (const auto& [name, tensor] : file.tensors)
    for (T w : tensor)
      if (!std::isfinite(w)) fail("{}: '{}' holds {}, no weight", path.string(), name, w);
  try {
    nn::load_file(parameters, path);
  } catch (const Error& error) {
    fail("{} holds another model: {}", path.string(), error.what());
  }
}

// ---- Rounding ----------------------------------------------------------------------------------

// The page holds a parameter as whole numbers q from -8191 to 8191 and one scale: w = scale * q.
inline constexpr double kLargestWhole = 8191;

template <class T> double scale_of(const Tensor<T>& weights) {
  double largest = 0;
  for (double w : weights) largest = std::max(largest, std::abs(w));
  return largest == 0 ? 1 : largest / kLargestWhole;
}

// Rounds parameters to what the page will read, and appends their q to `whole`. Returns the scales.
template <class T>
std::vector<double> round_weights(const nn::Parameters<T>& parameters,
                                  std::vector<std::int16_t>& whole) {
  std::vector<double> scales;
  for (Parameter<T>* p : parameters) {
    const double scale = scale_of(p->value());
    Tensor<T> rounded = p->value();
    for (T* w = rounded.mutable_data(); w != rounded.end(); ++w) {
      const auto q = static_cast<std::int16_t>(std::lround(static_cast<double>(*w) / scale));
      whole.push_back(q);
      *w = static_cast<T>(scale * q);
    }
    p->set_value(rounded);
    scales.push_back(scale);
  }
  return scales;
}

// The page's images have 16 grey levels.
inline constexpr int kLevels = 16;

// Rounds pixels from 0 to 1 to the nearest of those levels.
template <class T> Tensor<T> round_pixels(const Tensor<T>& x) {
  Tensor<T> rounded = x;
  for (T* p = rounded.mutable_data(); p != rounded.end(); ++p)
    *p = static_cast<T>(std::round(*p * (kLevels - 1)) / (kLevels - 1));
  return rounded;
}

// ---- Packing -----------------------------------------------------------------------------------

// Levels of rounded images (N, D), each less that of the pixel above it, modulo 16: neighbours are
// alike, and differences of 0 pack well. Two in a byte, the first in its lower half. A pixel of the
// first row, of `width` pixels, stands as it is.
template <class T> std::string pack_pixels(const Tensor<T>& x, Index width) {
  const auto level = [&](Index i) { return std::lround(x.data()[i] * (kLevels - 1)); };
  const Index pixels = x.extent(1);
  std::string bytes((x.size() + 1) / 2, '\0');
  for (Index i = 0; i < x.size(); ++i) {
    const auto above = i % pixels < width ? 0 : level(i - width);
    const auto difference = (level(i) - above) & (kLevels - 1);
    bytes[i / 2] = static_cast<char>(bytes[i / 2] | (i % 2 == 0 ? difference : difference << 4));
  }
  return bytes;
}

// The lower bytes of all numbers, then the upper ones: these are alike, and pack well.
inline std::string pack_whole(const std::vector<std::int16_t>& whole) {
  std::string lower, upper;
  for (std::int16_t q : whole) {
    const auto bits = static_cast<std::uint16_t>(q);
    lower.push_back(static_cast<char>(bits & 0xff));
    upper.push_back(static_cast<char>(bits >> 8));
  }
  return lower + upper;
}

// The checksum that gzip has as well (RFC 1952).
inline std::uint32_t crc32_of(std::string_view bytes) {
  const auto* data = reinterpret_cast<const Bytef*>(bytes.data());
  return static_cast<std::uint32_t>(crc32(0, data, static_cast<uInt>(bytes.size())));
}

inline std::string gzip(std::string_view bytes) {
  z_stream stream = {};
  constexpr int kWindowOfGzip = 15 + 16;
  if (deflateInit2(&stream, 9, Z_DEFLATED, kWindowOfGzip, 9, Z_DEFAULT_STRATEGY) != Z_OK)
    fail("gzip: no memory");
  std::string packed(deflateBound(&stream, bytes.size()) + 32, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  const int status = deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) fail("gzip: {} bytes could not be packed", bytes.size());
  return packed;
}

// Three bytes in four letters (RFC 4648).
inline std::string base64(std::string_view bytes) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k)
      bits = bits << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0);
    for (std::size_t k = 0; k < 4; ++k)
      text.push_back(k <= count ? kLetters[bits >> (18 - 6 * k) & 63] : '=');
  }
  return text;
}

// ---- The page ----------------------------------------------------------------------------------

// Replaces the one place in `page` where `mark` stands. Throws Error when there is none, or more.
inline void fill_in(std::string& page, const std::string& mark, std::string_view text) {
  const std::size_t at = page.find(mark);
  if (at == std::string::npos || page.find(mark, at + 1) != std::string::npos)
    fail("page.html: '{}' must stand there once", mark);
  page.replace(at, mark.size(), text);
}

}  // namespace gradus::lesson21
