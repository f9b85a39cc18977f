#include "lessons/kit/data.hpp"

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "tensor/io/idx.hpp"
#include "tensor/random.hpp"
#include "tests/lessons/support.hpp"

// The lessons that are about images, each run as a program on images of others.
namespace gradus::kit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class LessonData : public Kit {
 protected:
  // Writes n + n images of noise.
  std::string write_noise(Index n, Index height, Index width) {
    const std::string name = fmt::format("noise_{}_{}_{}", n, height, width);
    const fs::path set = write_set(name, n, n, height, width);
    Rng rng(1);
    for (const char* part : {"train", "t10k"})
      io::write_idx_images(set / fmt::format("{}-images-idx3-ubyte", part),
                           rng.uniform<float>({n, height, width}));
    return name;
  }

  std::string write_equal(Index n) {
    const fs::path set = write_set("equal", n, n, 6, 6);
    for (const char* part : {"train", "t10k"})
      io::write_idx_images(set / fmt::format("{}-images-idx3-ubyte", part),
                           Tensor<float>({n, 6, 6}));
    return "equal";
  }

  // Images of noise without one label of 0, 1 and 2, in training images or in test images.
  std::string write_without(const std::string& part, Index missing) {
    const std::string name = fmt::format("no_{}_{}", part, missing);
    const fs::path set = write_set(name, 200, 200, 5, 5);
    Rng rng(1);
    for (const char* each : {"train", "t10k"})
      io::write_idx_images(set / fmt::format("{}-images-idx3-ubyte", each),
                           rng.uniform<float>({200, 5, 5}));
    std::vector<Index> labels;
    for (Index i = 0; i < 200; ++i) labels.push_back(i % 3 == missing ? (missing + 1) % 3 : i % 3);
    io::write_idx_labels(set / fmt::format("{}-labels-idx1-ubyte", part), labels);
    return name;
  }

  Outcome run_program(const std::string& lesson, const std::string& data) {
    const std::string command =
        fmt::format("cd {} && {}/{} --quick --epochs 1 --data {} --out out 2>&1",
                    directory_.string(), GRADUS_PROGRAMS, lesson, data);
    FILE* const pipe = popen(command.c_str(), "r");
    std::string text;
    char buffer[4096];
    while (const std::size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
    const int status = pclose(pipe);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text, ""};
  }

  void expect_refusal(const std::string& lesson, const std::string& data,
                      const std::string& reason) {
    const auto outcome = run_program(lesson, data);
    EXPECT_EQ(outcome.status, 2) << lesson << " " << outcome.out;
    EXPECT_THAT(outcome.out,
                AllOf(HasSubstr("error: lesson " + lesson.substr(0, 2)), HasSubstr(reason),
                      HasSubstr(data), Not(HasSubstr("epoch")), Not(HasSubstr("GFLOP"))));
  }
};

TEST_F(LessonData, ThatIsOfNoUseIsRefusedBeforeTheWork) {
  const std::string pixel = write_noise(200, 1, 1), narrow = write_noise(200, 5, 1),
                    few = write_noise(10, 28, 28), one = write_noise(1, 28, 28),
                    equal = write_equal(200), wide = write_noise(200, 8, 9),
                    small = write_noise(200, 3, 3);
  expect_refusal("01_pca", pixel, "two pixels");
  expect_refusal("01_pca", one, "images that differ");
  expect_refusal("01_pca", equal, "images that differ");
  expect_refusal("02_ppca", pixel, "two directions");
  expect_refusal("02_ppca", one, "two directions");
  expect_refusal("02_ppca", equal, "two directions");
  expect_refusal("04_linear_autoencoder", narrow, "more than 20 directions");
  expect_refusal("04_linear_autoencoder", few, "more than 20 directions");
  expect_refusal("04_linear_autoencoder", equal, "more than 20 directions");
  expect_refusal("05_autoencoder", few, "batches of 128");
  expect_refusal("05_autoencoder", narrow, "32 numbers");
  expect_refusal("06_denoising_autoencoder", few, "batches of 128");
  expect_refusal("06_denoising_autoencoder", equal, "images that differ");
  expect_refusal("07_sparse_autoencoder", few, "batches of 128");
  expect_refusal("07_sparse_autoencoder", equal, "images that differ");
  expect_refusal("08_convolutional_autoencoder", wide, "square images");
  expect_refusal("08_convolutional_autoencoder", small, "4 x 4 pixels or more");
  expect_refusal("08_convolutional_autoencoder", few, "batches of 128");
  expect_refusal("08_convolutional_autoencoder", equal, "images that differ");
  expect_refusal("13_vae", pixel, "one pixel wide");
  expect_refusal("13_vae", narrow, "one pixel wide");
  expect_refusal("18_conditional_vae", one, "two classes at least");
  expect_refusal("18_conditional_vae", few, "10 training images of each label");
  expect_refusal("18_conditional_vae", equal, "images that differ");
  expect_refusal("18_conditional_vae", write_without("train", 1), "0 of label 1");
  expect_refusal("18_conditional_vae", write_without("t10k", 1), "none of label 1");
  expect_refusal("19_vq_vae", wide, "square images");
  expect_refusal("19_vq_vae", small, "a multiple of 4");
  expect_refusal("19_vq_vae", few, "batches of 128");
  expect_refusal("20_anomalies", few, "128 training images");
}

TEST_F(LessonData, ThatIsSmallIsOfUse) {
  const auto expect_use = [&](const std::string& lesson, const std::string& data) {
    const auto outcome = run_program(lesson, data);
    EXPECT_EQ(outcome.status, 0) << lesson << " " << data << " " << outcome.out;
  };
  expect_use("01_pca", write_noise(2, 2, 2));
  expect_use("02_ppca", write_noise(10, 5, 1));
  expect_use("04_linear_autoencoder", write_noise(200, 5, 5));
  expect_use("05_autoencoder", write_equal(200));
  expect_use("06_denoising_autoencoder", write_noise(200, 5, 1));
  expect_use("07_sparse_autoencoder", write_noise(200, 5, 1));
  expect_use("08_convolutional_autoencoder", write_noise(200, 4, 4));
  expect_use("08_convolutional_autoencoder", write_noise(200, 7, 7));
  expect_use("13_vae", write_noise(1, 1, 5));
  expect_use("13_vae", write_noise(10, 2, 2));
  expect_use("14_posterior_collapse", write_noise(200, 5, 5));
  expect_use("15_evidence", write_noise(10, 2, 2));
  expect_use("16_likelihoods", write_noise(200, 5, 5));
  expect_use("18_conditional_vae", write_noise(60, 1, 1));
  expect_use("18_conditional_vae", write_noise(60, 3, 2));
  expect_use("19_vq_vae", write_noise(200, 4, 4));
  expect_use("19_vq_vae", write_noise(200, 8, 8));
}

}  // namespace
}  // namespace gradus::kit
