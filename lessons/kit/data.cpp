#include "lessons/kit/data.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

#include "tensor/error.hpp"
#include "tensor/io/idx.hpp"
#include "tensor/layout.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;

constexpr Index kQuickTrain = 4000, kQuickTest = 1000;
constexpr const char* kFashion = "fashion-mnist";
constexpr std::array kFashionClasses = {"T-shirt/top", "trouser",   "pullover", "dress",
                                        "coat",        "sandal",    "shirt",    "sneaker",
                                        "bag",         "ankle boot"};

// The file of an IDX set under one of the names that are in use. `part` is "train" or "t10k",
// `kind` is "images" or "labels".
fs::path find(const fs::path& directory, const std::string& part, const std::string& kind) {
  const std::string rank = kind == "images" ? "idx3" : "idx1";
  std::vector<std::string> names;
  for (const char* dot : {"-", "."})
    for (const char* ending : {"", ".gz"})
      names.push_back(fmt::format("{}-{}{}{}-ubyte{}", part, kind, dot, rank, ending));
  for (const std::string& name : names) {
    std::error_code ignored;
    if (fs::is_regular_file(directory / name, ignored)) return directory / name;
  }
  fail("{}: no {} {}: looked for {}", directory.string(), part == "train" ? "training" : "test",
       kind, fmt::join(names, ", "));
}

bool has_images(const fs::path& directory) {
  std::error_code ignored;
  return fs::exists(directory / "train-images-idx3-ubyte.gz", ignored);
}

struct Part {
  Tensor<float> images;  // (N, height, width)
  std::vector<Index> labels;
};

// Reads the images and labels of one part, at most `most` of them.
Part read(const fs::path& directory, const std::string& part, Index most) {
  const fs::path image_file = find(directory, part, "images");
  const fs::path label_file = find(directory, part, "labels");
  Part result{io::read_idx_images<float>(image_file), io::read_idx_labels(label_file)};
  const Shape shape = result.images.shape();
  if (shape.rank() != 3)
    fail("{}: images have 3 axes (number, height, width), but this file has shape {}",
         image_file.string(), shape);
  if (shape.size() == 0)
    fail("{}: there are no images: its shape is {}", image_file.string(), shape);
  if (shape[0] != std::ssize(result.labels))
    fail("{} holds {} images but {} holds {} labels: they are not of one set", image_file.string(),
         shape[0], label_file.string(), result.labels.size());
  if (shape[0] > most) {
    result.images = slice(result.images, 0, 0, most);
    result.labels.resize(most);
  }
  return result;
}

// The bytes of a path may be of any encoding, but JSON is UTF-8: � stands for what is not.
std::string as_utf8(const std::string& bytes) {
  using Json = nlohmann::json;
  return Json::parse(Json(bytes).dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string directory_name(const fs::path& directory) {
  const fs::path normal = fs::absolute(directory).lexically_normal();
  return as_utf8((normal.has_filename() ? normal : normal.parent_path()).filename().string());
}

std::string thousands(Index n) {
  std::string digits = std::to_string(n);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(i, 1, ',');
  return digits;
}

// Goes on with the checksum of what comes before: of all bytes of some numbers.
template <class Numbers>
std::uint32_t checksum_after(std::uint32_t before, const Numbers& numbers) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(numbers.data());
  return static_cast<std::uint32_t>(
      crc32_z(before, bytes, numbers.size() * sizeof(*numbers.data())));
}

std::uint32_t checksum_of(const ImageData& data) {
  std::uint32_t checksum = checksum_after(0, data.train_images);
  checksum = checksum_after(checksum, data.train_labels);
  checksum = checksum_after(checksum, data.test_images);
  return checksum_after(checksum, data.test_labels);
}

ImageData read_set(const fs::path& directory, std::string name, bool quick) {
  constexpr Index kAll = std::numeric_limits<Index>::max();
  Part train = read(directory, "train", quick ? kQuickTrain : kAll);
  Part test = read(directory, "t10k", quick ? kQuickTest : kAll);
  const Index height = train.images.extent(1), width = train.images.extent(2);
  if (test.images.extent(1) != height || test.images.extent(2) != width)
    fail("{}: training images are {} x {} pixels, but test images {} x {}", directory.string(),
         height, width, test.images.extent(1), test.images.extent(2));

  const Index classes = 1 + std::max(*std::max_element(train.labels.begin(), train.labels.end()),
                                     *std::max_element(test.labels.begin(), test.labels.end()));
  ImageData data;
  if (name == kFashion && classes == std::ssize(kFashionClasses))
    data.class_names.assign(kFashionClasses.begin(), kFashionClasses.end());
  else
    for (Index k = 0; k < classes; ++k) data.class_names.push_back(std::to_string(k));
  if (quick) name += fmt::format("-{}", train.labels.size());
  data.provenance = fmt::format("{}, {} training and {} test images of {} x {} pixels", name,
                                thousands(std::ssize(train.labels)),
                                thousands(std::ssize(test.labels)), height, width);
  data.name = std::move(name);
  data.height = height;
  data.width = width;
  data.train_images = train.images.reshape({-1, height * width});
  data.train_labels = std::move(train.labels);
  data.test_images = test.images.reshape({-1, height * width});
  data.test_labels = std::move(test.labels);
  data.checksum = checksum_of(data);
  return data;
}

}  // namespace

ImageData load_images(const Options& options, const fs::path& package) {
  if (!options.data.empty()) {
    ImageData data = read_set(options.data, directory_name(options.data), options.quick);
    data.provenance += fmt::format(" (from {})", options.data.string());
    return data;
  }
  if (!options.quick && has_images(package)) return read_set(package, kFashion, false);
  ImageData data = read_set(GRADUS_LESSONS_DATA, kFashion, true);
  data.provenance +=
      options.quick
          ? " (--quick)"
          : " (the package dataset-fashion-mnist, which has all 70,000, is not installed)";
  return data;
}

bool ImageData::is_full_fashion_mnist() const {
  return name == kFashion && train_images.extent(0) == 60000 && test_images.extent(0) == 10000;
}

ImageData load_images(Lesson& lesson) {
  ImageData data = load_images(lesson.options());
  fmt::print("Data: {}.\n", data.provenance);
  std::fflush(stdout);
  lesson.data(data.name, data.train_images.extent(0), data.test_images.extent(0), data.checksum);
  return data;
}

fs::path data_file(const std::string& name) { return fs::path(GRADUS_LESSONS_DATA) / name; }

}  // namespace gradus::kit
