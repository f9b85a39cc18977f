#include "tensor/io/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tensor/shape.hpp"

namespace gradus::io {
namespace {
using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "the numbers are written as they are");

constexpr std::size_t kLargestHeader = 100'000'000;  // the reference implementation's limit
constexpr int kMaxDepth = 3;                         // of the header: an entry, its list, a number
constexpr std::size_t kAlignment = 8;                // of the numbers in a file
constexpr const char* kMetadata = "__metadata__";

// What the header says of one tensor.
struct Entry {
  std::string name;
  Shape shape;
  bool is_double;
  std::size_t begin;  // of its numbers, in bytes from the header's end
  std::size_t end;
};

// The format's names of numbers, of which two are read here.
constexpr std::array<std::string_view, 20> kDtypes = {"BOOL",    "F4",  "F6_E2M3", "F6_E3M2",
                                                      "U8",      "I8",  "F8_E5M2", "F8_E4M3",
                                                      "F8_E8M0", "I16", "U16",     "F16",
                                                      "BF16",    "I32", "U32",     "F32",
                                                      "C64",     "F64", "I64",     "U64"};

// Thrown for a valid file with something that Gradus does not read, so that the file is not called
// invalid. What it says goes on after the tensor's name: "'w'" + " is of dtype BF16, ...".
class Unsupported : public Error {
 public:
  using Error::Error;
};

// The two parts of a file after the header's size.
struct Parts {
  std::string_view header;
  std::string_view data;
};

Parts split(std::string_view bytes) {
  std::uint64_t header_size = 0;
  if (bytes.size() < sizeof header_size)
    fail("truncated: it has {} bytes, but the header's size alone takes {}", bytes.size(),
         sizeof header_size);
  std::memcpy(&header_size, bytes.data(), sizeof header_size);
  if (header_size > kLargestHeader) fail("a header of {} bytes is too large", header_size);
  if (bytes.size() < 8 + header_size)
    fail("truncated: it has {} bytes, but 8 and a header of {} are promised", bytes.size(),
         header_size);
  return {bytes.substr(8, header_size), bytes.substr(8 + header_size)};
}

// Refuses a key that is twice in one object, of which the JSON library would keep the last. Refuses
// also what is nested deeper than our headers are: a message that quotes it is written recursively,
// and might overflow the stack.
class KeyCheck {
 public:
  bool operator()(int depth, json::parse_event_t event, json& value) {
    if (depth > kMaxDepth) fail("the header is nested too deeply");
    if (event == json::parse_event_t::object_start) keys_[depth + 1].clear();
    if (event == json::parse_event_t::key) add(depth, value.get<std::string>());
    return true;  // keep it: with false the library would leave it out
  }

 private:
  // A key of the header itself, at depth 1, is the name of what follows it.
  void add(int depth, const std::string& key) {
    const bool is_new = keys_[depth].insert(key).second;
    if (depth == 1) {
      if (!is_new) fail("there are two tensors '{}'", key);
      name_ = key;
    } else if (!is_new) {
      fail("'{}' has two keys '{}'", name_, key);
    }
  }

  std::map<int, std::set<std::string>> keys_;  // of the objects around the present one, by depth
  std::string name_;
};

json parse_json(std::string_view text) {
  if (!text.starts_with('{')) fail("its header does not begin with {{");
  // The JSON library would take a byte 0 for the end of the text.
  if (text.find('\0') != text.npos) fail("its header has a byte that is 0");
  KeyCheck check;
  return json::parse(text.begin(), text.end(), std::ref(check));
}

std::size_t size_from(const json& value) {
  if (!value.is_number_unsigned()) fail("{} is not a size", value.dump());
  return value.get<std::size_t>();
}

Shape shape_from(const json& value) {
  if (!value.is_array()) fail("{} is not a shape", value.dump());
  if (value.size() > Shape::kMaxRank)
    throw Unsupported(
        fmt::format("has {} axes, and only up to {} are read: write it in another shape",
                    value.size(), Shape::kMaxRank));
  std::vector<Index> extents;
  for (const json& extent : value) extents.push_back(static_cast<Index>(size_from(extent)));
  return Shape(extents);
}

// Whether numbers are doubles; the others are floats.
bool is_double_from(const std::string& dtype) {
  if (std::ranges::find(kDtypes, dtype) == kDtypes.end()) fail("there is no dtype '{}'", dtype);
  if (dtype != "F32" && dtype != "F64")
    throw Unsupported(
        fmt::format("is of dtype {}, and only F32 and F64 are read: write it as one of these",
                    dtype));
  return dtype == "F64";
}

Entry parse_entry(const std::string& name, const json& value) {
  const bool is_double = is_double_from(value.at("dtype").get<std::string>());
  const Shape shape = shape_from(value.at("shape"));
  const json& offsets = value.at("data_offsets");
  const Entry entry{.name = name,
                    .shape = shape,
                    .is_double = is_double,
                    .begin = size_from(offsets.at(0)),
                    .end = size_from(offsets.at(1))};

  const std::size_t bytes = entry.shape.size() * (entry.is_double ? 8 : 4);
  if (offsets.size() != 2 || entry.begin > entry.end || entry.end - entry.begin != bytes)
    fail("data_offsets {} do not fit the {} bytes of shape {}", offsets.dump(), bytes, entry.shape);
  return entry;
}

// Throws Error unless the entries, in the order of their data, fill these without overlap or gap.
void check_layout(const std::vector<Entry>& entries, std::size_t data_size) {
  std::size_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end)
      fail("tensor '{}': its data begin at {}, {} the {} where the one before ends", entry.name,
           entry.begin, entry.begin < end ? "overlapping" : "leaving a gap after", end);
    if (entry.end > data_size)
      fail("tensor '{}': its data end at {}, but the file holds {} bytes of data", entry.name,
           entry.end, data_size);
    end = entry.end;
  }
  if (end != data_size) fail("there are {} bytes after the last tensor", data_size - end);
}

template <class From, class To> Tensor<To> numbers(const char* bytes, const Shape& shape) {
  auto x = Tensor<From>::uninitialized(shape);
  if (!x.empty()) std::memcpy(x.mutable_data(), bytes, x.size() * sizeof(From));
  return cast<To>(x);
}

template <class T> SafeTensors<T> parse(const std::string& bytes) {
  const Parts parts = split(bytes);
  const json header = parse_json(parts.header);

  SafeTensors<T> result;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    try {
      if (name == kMetadata)
        result.metadata = std::map<std::string, std::string>(value);
      else
        entries.push_back(parse_entry(name, value));
    } catch (const Unsupported& problem) {
      throw Unsupported(fmt::format("'{}' {}", name, problem.what()));
    } catch (const std::exception& error) {
      fail("'{}': {}", name, error.what());
    }
  }

  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  check_layout(entries, parts.data.size());

  for (const Entry& entry : entries) {
    const char* data = parts.data.data() + entry.begin;
    result.tensors[entry.name] = entry.is_double ? numbers<double, T>(data, entry.shape)
                                                 : numbers<float, T>(data, entry.shape);
  }
  return result;
}

// The header as text, with blanks after it, so that the numbers are aligned in the file.
std::string header_text(const std::filesystem::path& path, const json& header) {
  std::string text;
  try {
    text = header.dump();
  } catch (const std::exception& error) {  // a name that is not UTF-8
    fail("cannot write {}: {}", path.string(), error.what());
  }

  const std::size_t padding = (kAlignment - text.size() % kAlignment) % kAlignment;
  return text + std::string(padding, ' ');
}
}  // namespace

template <class T> const Tensor<T>& SafeTensors<T>::at(const std::string& name) const {
  const auto found = tensors.find(name);
  if (found != tensors.end()) return found->second;

  std::string names;
  for (const auto& entry : tensors) {
    if (!names.empty()) names += ", ";
    names += entry.first;
  }
  fail("there is no tensor '{}'; there are: {}", name, names);
}

template <class T> SafeTensors<T> read_safetensors(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  try {
    return parse<T>(bytes);
  } catch (const Unsupported& problem) {
    fail("{}: {}", path.string(), problem.what());
  } catch (const std::exception& error) {  // ours, or the JSON library's
    fail("{}: not a valid safetensors file: {}", path.string(), error.what());
  }
}

template <class T>
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, Tensor<T>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header[kMetadata] = metadata;
  std::string data;
  for (const auto& [name, x] : tensors) {
    if (name == kMetadata)
      fail("cannot write {}: '{}' is no name for a tensor", path.string(), name);
    const std::size_t begin = data.size();
    if (!x.empty()) data.append(reinterpret_cast<const char*>(x.data()), x.size() * sizeof(T));
    header[name] = {{"dtype", sizeof(T) == 4 ? "F32" : "F64"},
                    {"shape", std::vector<Index>(x.shape().begin(), x.shape().end())},
                    {"data_offsets", {begin, data.size()}}};
  }

  const std::string text = header_text(path, header);
  const std::uint64_t header_size = text.size();
  std::string bytes(sizeof(header_size), '\0');
  std::memcpy(bytes.data(), &header_size, sizeof(header_size));
  write_file(path, bytes + text + data);
}

#define GRADUS_INSTANTIATE(T)                                              \
  template struct SafeTensors<T>;                                          \
  template SafeTensors<T> read_safetensors(const std::filesystem::path&);  \
  template void write_safetensors(const std::filesystem::path&,            \
                                  const std::map<std::string, Tensor<T>>&, \
                                  const std::map<std::string, std::string>&);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus::io
