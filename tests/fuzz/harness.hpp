#pragma once
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/files.hpp"

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

using test::TemporaryDirectory;
using test::write_bytes;

// For what has to hold of a file that was accepted. The exception is caught nowhere.
inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::logic_error("does not hold: " + what);
}

}  // namespace gradus::fuzz
