#include <cstddef>
#include <cstdint>

#include "tests/fuzz/harness.hpp"

// The function that libFuzzer calls with each input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gradus::fuzz::accepts({reinterpret_cast<const char*>(data), size});
  return 0;
}
