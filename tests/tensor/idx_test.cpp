#include "tensor/io/idx.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <sys/resource.h>

#include "tests/idx_bytes.hpp"
#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using test::gzipped;
using test::idx;
using test::outcome_in_child_process;
using test::TemporaryDirectory;
using test::write_bytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Idx : ::testing::Test {
  std::string images_error(const std::string& bytes) {
    write_bytes(path, bytes);
    return error_of([&] { io::read_idx_images<float>(path); });
  }

  std::string labels_error(const std::string& bytes) {
    write_bytes(path, bytes);
    return error_of([&] { io::read_idx_labels(path); });
  }

  TemporaryDirectory directory;
  const std::string path = directory / "file";
  const std::string small = idx({2, 1, 3}, std::string("\0\1\2\xfd\xfe\xff", 6));
};

TEST_F(Idx, ReadsImagesAsPixelsFromZeroToOne) {
  for (const std::string& bytes : {small, gzipped(small)}) {
    write_bytes(path, bytes);
    const auto x = io::read_idx_images<double>(path);
    EXPECT_EQ(x.shape(), (Shape{2, 1, 3}));
    EXPECT_THAT(x.to_vector(), ElementsAre(0, 1 / 255.0, 2 / 255.0, 253 / 255.0, 254 / 255.0, 1));
    EXPECT_EQ(io::read_idx_images<float>(path)(0, 0, 1), 1 / 255.0f);
  }
}

TEST_F(Idx, ReadsLabels) {
  const std::string bytes = idx({4}, std::string("\7\0\xff\1", 4));
  for (const std::string& form : {bytes, gzipped(bytes)}) {
    write_bytes(path, form);
    EXPECT_THAT(io::read_idx_labels(path), ElementsAre(7, 0, 255, 1));
  }
}

TEST_F(Idx, ReadsExtentsMostSignificantByteFirst) {
  write_bytes(path, idx({258, 1}, std::string(258, 'x')));
  EXPECT_EQ(io::read_idx_images<float>(path).shape(), (Shape{258, 1}));
}

TEST_F(Idx, ReadsMoreThanOneBufferOfGzippedNumbers) {
  std::mt19937 engine(1);
  std::string numbers(3'000'001, '\0');
  for (char& c : numbers) c = static_cast<char>(engine() % 7);
  write_bytes(path, gzipped(idx({3'000'001}, numbers)));
  const auto labels = io::read_idx_labels(path);
  EXPECT_TRUE(std::equal(labels.begin(), labels.end(), numbers.begin(), numbers.end()));
}

TEST_F(Idx, WritesTheBytesOfTheFormat) {
  io::write_idx_images(path, Tensor<float>({2, 1, 3},
                                           {0, 1 / 255.f, 2 / 255.f, 253 / 255.f, 254 / 255.f, 1}));
  EXPECT_EQ(test::read_bytes(path), small);
  io::write_idx_labels(path, {7, 0, 255, 1});
  EXPECT_EQ(test::read_bytes(path), idx({4}, std::string("\7\0\xff\1", 4)));
  EXPECT_THAT(directory.names(), ElementsAre("file"));
}

TEST_F(Idx, EveryByteSurvivesTheRoundTrip) {
  std::string numbers;
  for (int i = 0; i < 256; ++i) numbers += static_cast<char>(i);
  const std::string bytes = idx({16, 4, 4}, numbers);
  write_bytes(path, bytes);
  io::write_idx_images(directory / "float", io::read_idx_images<float>(path));
  io::write_idx_images(directory / "double", io::read_idx_images<double>(path));
  EXPECT_EQ(test::read_bytes(directory / "float"), bytes);
  EXPECT_EQ(test::read_bytes(directory / "double"), bytes);
}

TEST_F(Idx, PixelsAreRoundedToTheNearestByte) {
  io::write_idx_images(path, Tensor<double>({4}, {0.0019, 0.0020, 0.5, 0.999}));  // 1/510 = 0.00196
  EXPECT_THAT(io::read_idx_labels(path), ElementsAre(0, 1, 128, 255));
}

TEST_F(Idx, NoImagesAreAFileToo) {
  io::write_idx_images(path, Tensor<float>(Shape{0, 28, 28}));
  EXPECT_EQ(io::read_idx_images<float>(path).shape(), (Shape{0, 28, 28}));
  io::write_idx_labels(path, {});
  EXPECT_TRUE(io::read_idx_labels(path).empty());
}

TEST_F(Idx, RefusesToWriteWhatDoesNotFit) {
  auto written = [&](float pixel) {
    return error_of([&] { io::write_idx_images(path, Tensor<float>({2}, {0, pixel})); });
  };
  EXPECT_EQ(written(1.5f), "cannot write " + path + ": pixel 1 is 1.5, outside [0, 1]");
  EXPECT_THAT(written(-1e-9f), HasSubstr("outside [0, 1]"));
  EXPECT_THAT(written(NAN), HasSubstr("outside [0, 1]"));
  EXPECT_EQ(error_of([&] { io::write_idx_images(path, Tensor<float>(0.5f)); }),
            "cannot write " + path + ": a scalar is no image");
  EXPECT_EQ(error_of([&] {
              io::write_idx_labels(path, {1, 256});
            }),
            "cannot write " + path + ": label 256 does not fit into a byte");
  EXPECT_THROW(io::write_idx_labels(path, {-1}), Error);
  EXPECT_THROW(io::write_idx_labels(directory / "none/file", {1}), Error);
  EXPECT_TRUE(directory.names().empty());
}

TEST_F(Idx, ThatIsNotThereOrADirectoryIsRefused) {
  EXPECT_EQ(error_of([&] { io::read_idx_labels(path); }),
            "cannot read " + path + ": No such file or directory");
  EXPECT_EQ(error_of([&] { io::read_idx_labels(directory.path()); }),
            "cannot read " + directory.path().string() + ": Is a directory");
}

TEST_F(Idx, CutOffAnywhereIsRefused) {
  for (std::size_t size = 0; size < small.size(); ++size)
    EXPECT_THAT(images_error(small.substr(0, size)), HasSubstr("truncated")) << size;
  EXPECT_EQ(images_error(""), path + ": truncated: it has 0 bytes");
  EXPECT_EQ(images_error(small.substr(0, 9)), path + ": truncated inside its header");
  EXPECT_EQ(images_error(small.substr(0, 17)),
            path + ": truncated: its header promises 6 bytes of numbers, but there are 1");
}

TEST_F(Idx, GzippedAndCutOffAnywhereIsRefused) {
  const std::string bytes = gzipped(small);
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THAT(images_error(bytes.substr(0, size)), StartsWith(path + ": ")) << size;
}

TEST_F(Idx, WithAWrongMagicNumberIsRefused) {
  for (std::size_t i : {0u, 1u, 2u})
    for (int value = 0; value < 256; ++value) {
      std::string bytes = small;
      if (bytes[i] == static_cast<char>(value)) continue;
      bytes[i] = static_cast<char>(value);
      EXPECT_THAT(images_error(bytes), HasSubstr("wrong magic number"));
    }
  EXPECT_EQ(images_error(std::string("\x89PNG\r\n\x1a\n", 8)),
            path +
                ": wrong magic number 89504e47: an IDX file of bytes begins with "
                "000008");
  for (int rank : {0, 7, 128, 255}) {
    std::string bytes = small + std::string(2000, '\0');
    bytes[3] = static_cast<char>(rank);
    EXPECT_THAT(images_error(bytes), HasSubstr("wrong magic number")) << rank;
  }
}

TEST_F(Idx, WithTooManyAxesOrNoneSaysHowManyAreRead) {
  EXPECT_EQ(images_error(idx({1, 1, 1, 1, 1, 1, 1}, "x")),
            path + ": wrong magic number 00000807: it says 7 axes, and files of 1 to 6 are read");
  EXPECT_EQ(images_error(idx({}, "x")),
            path + ": wrong magic number 00000800: it says 0 axes, and files of 1 to 6 are read");
}

TEST_F(Idx, WithAnImpossibleSizeIsRefused) {
  for (std::size_t rank = 2; rank <= 6; ++rank)
    EXPECT_THAT(images_error(idx(std::vector<std::uint32_t>(rank, 0xffffffff), "x")),
                HasSubstr("impossible size"))
        << rank;
  EXPECT_THAT(images_error(idx({0x80000000, 0x80000000, 4}, "")), HasSubstr("impossible size"));
  EXPECT_THAT(images_error(idx({0x40000000, 0x40000000, 0x10}, "")), HasSubstr("impossible size"));
}

// In an address space in which those gigabytes could not be had. The sanitizers need more of it.
void limit_memory() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  const rlimit limit{1u << 30, 1u << 30};
  setrlimit(RLIMIT_AS, &limit);
#endif
}

TEST_F(Idx, ThatPromisesGigabytesAndHasAFewBytesCostsNoMemory) {
  for (const std::string& bytes : {idx({0xffffffff, 28, 28}, "few"), idx({0xffffffff}, "few"),
                                   gzipped(idx({0xffffffff, 0xffff}, "few"))}) {
    write_bytes(path, bytes);
    EXPECT_THAT(outcome_in_child_process([&] {
                  limit_memory();
                  io::read_idx_images<float>(path);
                }),
                HasSubstr("bytes of numbers, but there are 3"));
  }
}

TEST_F(Idx, WithBytesAfterItsEndIsRefused) {
  EXPECT_EQ(images_error(small + "x"),
            path + ": there are bytes after the 6 that its header promises");
  EXPECT_THAT(images_error(gzipped(small + "x")), HasSubstr("there are bytes after the 6"));
  EXPECT_THAT(images_error(gzipped(small) + gzipped("x")),
              HasSubstr("there are bytes after the 6"));
}

// zlib's own reader of files passes over these.
TEST_F(Idx, WithBytesAfterItsGzipDataIsRefused) {
  const std::string bytes = gzipped(small);
  const std::string reason = path + ": there are bytes after the gzip data; fetch it again";
  EXPECT_EQ(images_error(bytes + "x"), reason);
  EXPECT_EQ(images_error(bytes + std::string(1, '\0')), reason);
  EXPECT_EQ(images_error(bytes + std::string(100'000, '\0')), reason);
  EXPECT_EQ(images_error(bytes + "\x1fx"), reason);
  EXPECT_EQ(images_error(bytes + small), reason);
}

// A second header without its data.
TEST_F(Idx, WithHalfOfASecondGzipStreamIsRefused) {
  EXPECT_THAT(images_error(gzipped(small) + gzipped("").substr(0, 12)), HasSubstr("truncated"));
}

// The gzip format allows it: the numbers go on where the one before ends.
TEST_F(Idx, InSeveralGzipStreamsIsRead) {
  for (std::size_t cut = 0; cut <= small.size(); ++cut) {
    write_bytes(path, gzipped(small.substr(0, cut)) + gzipped(small.substr(cut)));
    EXPECT_EQ(io::read_idx_images<float>(path).size(), 6) << cut;
  }
}

TEST_F(Idx, WithADamagedChecksumIsRefused) {
  const std::string bytes = gzipped(small);
  for (std::size_t i = bytes.size() - 8; i < bytes.size(); ++i) {  // CRC-32, then the size
    std::string damaged = bytes;
    damaged[i] ^= 1;
    EXPECT_THAT(images_error(damaged), HasSubstr("damaged")) << i;
  }
}

TEST_F(Idx, WithAnyByteChangedIsReadOrRefused) {
  for (const std::string& bytes : {small, gzipped(small)})
    for (std::size_t i = 0; i < bytes.size(); ++i)
      for (int bit = 0; bit < 8; ++bit) {
        std::string changed = bytes;
        changed[i] ^= static_cast<char>(1 << bit);
        const std::string error = images_error(changed);
        EXPECT_TRUE(error == "nothing was thrown" || error.starts_with(path)) << error;
      }
}

TEST_F(Idx, OfImagesHasNoLabels) {
  EXPECT_EQ(labels_error(small), path +
                                     ": labels have one axis, but this file has shape (2, 1, 3); "
                                     "is it an image file?");
}

}  // namespace
}  // namespace gradus
