#include <filesystem>

#include <fmt/format.h>

#include "tensor/io/file.hpp"
#include "tests/fuzz/harness.hpp"

// Tries a harness without libFuzzer, in any build:
//
//     replay_idx DIRECTORY           the seeds, and the files of a directory if it is there
//     replay_idx --write DIRECTORY   makes the seeds a part of a directory

namespace fs = std::filesystem;
using gradus::fuzz::Seed;

namespace {

int replay(const fs::path& directory) {
  int failures = 0;
  int files = 0;
  for (const Seed& seed : gradus::fuzz::seeds()) {
    const bool accepted = gradus::fuzz::accepts(seed.bytes);
    if (accepted != seed.accepted) {
      fmt::print(stderr, "seed {} was {}\n", seed.name, accepted ? "accepted" : "refused");
      ++failures;
    }
    ++files;
  }
  if (fs::exists(directory)) {
    for (const auto& entry : fs::directory_iterator(directory)) {
      gradus::fuzz::accepts(gradus::io::read_file(entry.path()));
      ++files;
    }
  }
  fmt::print(stderr, "{} files, {} not as expected\n", files, failures);
  return failures == 0 ? 0 : 1;
}

int write(const fs::path& directory) {
  fs::create_directories(directory);
  for (const Seed& seed : gradus::fuzz::seeds())
    gradus::io::write_file(directory / seed.name, seed.bytes);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  if (argc == 3 && first == "--write") return write(argv[2]);
  if (argc == 2) return replay(first);
  fmt::print(stderr, "usage: {} [--write] DIRECTORY\n", argv[0]);
  return 2;
}
