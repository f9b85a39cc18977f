#pragma once
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <stdlib.h>

// A harness gives any bytes to one of the loaders: a file is either accepted, and then what was
// read has to hold what the harness demands, or refused with an Error. Whatever else happens is a
// fault and ends the program. Each harness is linked twice, with libfuzzer.cpp into one that looks
// for such bytes, and with replay.cpp into one that tries known files.
namespace gradus::fuzz {

// A file to begin with.
struct Seed {
  std::string name;
  std::string bytes;
  bool accepted;
};

// ---- What each harness defines -----------------------------------------------------------------

std::vector<Seed> seeds();

// Whether the loader takes the bytes.
bool accepts(std::string_view bytes);

// ---- What they share ---------------------------------------------------------------------------

// A new directory that is gone with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "gradus_fuzz_XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("no temporary directory");
    path_ = name;
  }

  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Removes the old file first: some systems wait for the disk when an old file is written over.
inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::remove(path);
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

// For what has to hold of a file that was accepted. The exception is caught nowhere.
inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::logic_error("does not hold: " + what);
}

}  // namespace gradus::fuzz
