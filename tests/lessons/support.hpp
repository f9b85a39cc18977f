#pragma once
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>

#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tensor/io/idx.hpp"
#include "tensor/tensor.hpp"

// What the tests of lessons/kit share.
namespace gradus::kit {

// Sets an environment variable while it is alive.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    if (const char* old = std::getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }

  ~Environment() {
    if (old_)
      setenv(name_, old_->c_str(), 1);
    else
      unsetenv(name_);
  }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

struct Outcome {
  int status;
  std::string out, err;
};

class Kit : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "gradus_kit_XXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::filesystem::current_path(directory_);
  }

  void TearDown() override {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(directory_);
  }

  // Runs a lesson 13_test of 10 epochs (3 with --quick) that writes below directory_.
  Outcome run(
      std::vector<std::string> options, const std::function<void(Lesson&)>& body = [](Lesson&) {}) {
    return run({"13_test", "A test", 10, 3}, std::move(options), body);
  }

  Outcome run(const About& about, std::vector<std::string> options,
              const std::function<void(Lesson&)>& body) {
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    const int status = run_aloud(about, std::move(options), body);
    return {status, ::testing::internal::GetCapturedStdout(),
            ::testing::internal::GetCapturedStderr()};
  }

  int run_aloud(const About& about, std::vector<std::string> options,
                const std::function<void(Lesson&)>& body) {
    options.insert(options.begin(), about.name);
    if (std::find(options.begin(), options.end(), "--out") == options.end())
      options.insert(options.end(), {"--out", directory_.string()});
    std::vector<char*> argv;
    for (std::string& option : options) argv.push_back(option.data());
    return kit::run(about, static_cast<int>(argv.size()), argv.data(), body);
  }

  nlohmann::ordered_json results() const {
    return nlohmann::ordered_json::parse(io::read_file(made("results.json")));
  }

  std::filesystem::path made(const std::string& name) const {
    return directory_ / "13_test" / name;
  }

  // Writes an IDX set of n + m images of height x width; image i is grey i / 255 with label i % 3.
  std::filesystem::path write_set(const std::string& name, Index n, Index m, Index height = 2,
                                  Index width = 3) {
    const std::filesystem::path set = directory_ / name;
    std::filesystem::create_directories(set);
    for (const auto& [part, count] : {std::pair{"train", n}, std::pair{"t10k", m}}) {
      Tensor<float> images({count, height, width});
      std::vector<Index> labels;
      for (Index i = 0; i < count; ++i) {
        for (Index p = 0; p < height * width; ++p)
          images.mutable_data()[i * height * width + p] = float(i % 256) / 255;
        labels.push_back(i % 3);
      }
      io::write_idx_images(set / fmt::format("{}-images-idx3-ubyte", part), images);
      io::write_idx_labels(set / fmt::format("{}-labels-idx1-ubyte", part), labels);
    }
    return set;
  }

  static std::string load_error(const std::filesystem::path& set) {
    try {
      load_images(Options{.data = set});
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }

  const std::filesystem::path before_ = std::filesystem::current_path();
  std::filesystem::path directory_;  // in which the test runs
};

}  // namespace gradus::kit
