#include "tensor/io/file.hpp"

#include <csignal>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;
using test::outcome_in_child_process;
using test::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(File, WrittenBytesAreReadBack) {
  const TemporaryDirectory directory;
  std::string all;
  for (int i = 0; i < 300000; ++i) all += static_cast<char>(i * 7 + i / 256);
  for (const std::string& bytes :
       {std::string(), std::string(1, '\0'), std::string("a\r\n\x1a z"), all}) {
    io::write_file(directory / "file", bytes);
    EXPECT_EQ(io::read_file(directory / "file"), bytes);
    EXPECT_EQ(test::read_bytes(directory / "file"), bytes);
    EXPECT_THAT(directory.names(), ElementsAre("file"));
  }
}

TEST(File, ThatCannotBeReadIsAnErrorWithItsReason) {
  const TemporaryDirectory directory;
  const std::string none = directory / "none";
  EXPECT_EQ(error_of([&] { io::read_file(none); }),
            "cannot read " + none + ": No such file or directory");
  EXPECT_EQ(error_of([&] { io::read_file(directory.path()); }),
            "cannot read " + directory.path().string() + ": Is a directory");
  EXPECT_THROW(io::read_file(""), Error);
  test::write_bytes(directory / "file", "x");
  EXPECT_EQ(error_of([&] { io::read_file(directory / "file/inside"); }),
            "cannot read " + (directory / "file/inside").string() + ": Not a directory");
}

// A child process without the rights that the superuser has everywhere.
TEST(File, WithoutPermissionIsAnError) {
  const TemporaryDirectory directory;
  const std::string secret = directory / "secret";
  const std::string fresh = directory / "new";
  test::write_bytes(secret, "x");
  chmod(secret.c_str(), 0);
  chmod(directory.path().c_str(), 0555);
  auto as_nobody = [](const std::function<void()>& f) {
    return outcome_in_child_process([&] {
      if (geteuid() == 0 && setuid(65534) != 0) fail("cannot become nobody");
      f();
    });
  };
  EXPECT_EQ(as_nobody([&] { io::read_file(secret); }),
            "Error: cannot read " + secret + ": Permission denied");
  EXPECT_EQ(as_nobody([&] { io::write_file(fresh, "x"); }),
            "Error: cannot write " + fresh + ": Permission denied");
  chmod(directory.path().c_str(), 0755);
  EXPECT_THAT(directory.names(), ElementsAre("secret"));
}

TEST(File, IntoADirectoryThatIsNotThereIsAnError) {
  const TemporaryDirectory directory;
  const std::string path = directory / "none/file";
  EXPECT_EQ(error_of([&] { io::write_file(path, "x"); }),
            "cannot write " + path + ": No such file or directory");
  EXPECT_THAT(directory.names(), IsEmpty());
}

TEST(File, OverADirectoryIsAnErrorThatLeavesNothingBehind) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "taken");
  EXPECT_EQ(error_of([&] { io::write_file(directory / "taken", "x"); }),
            "cannot write " + (directory / "taken").string() + ": Is a directory");
  EXPECT_THAT(directory.names(), ElementsAre("taken"));
}

// A limit on the size of files stands for the full disk: what is beyond it cannot be written.
TEST(File, OnAFullDiskLeavesTheOldOneAndNothingElse) {
  const TemporaryDirectory directory;
  const std::string path = directory / "file";
  io::write_file(path, "old");
  for (std::size_t size : {1001u, 5000u, 200000u}) {  // noticed when closing, and when writing
    EXPECT_EQ(outcome_in_child_process([&] {
                std::signal(SIGXFSZ, SIG_IGN);
                const rlimit limit{1000, 1000};
                setrlimit(RLIMIT_FSIZE, &limit);
                io::write_file(path, std::string(size, 'x'));
              }),
              "Error: cannot write " + path + ": File too large");
    EXPECT_THAT(directory.names(), ElementsAre("file"));
    EXPECT_EQ(test::read_bytes(path), "old");
  }
}

}  // namespace
}  // namespace gradus
