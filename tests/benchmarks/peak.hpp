#pragma once
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <numeric>
#include <thread>
#include <vector>

#include "lessons/90_matrix_product/instruments.hpp"
#include "tests/benchmarks/timing.hpp"

// The most that this processor's arithmetic can do in float: multiplications and additions, fused
// where it fuses them, on its widest vectors, with all operands in registers.
namespace gradus::benchmarks {
using lesson90::kVectorBytes;
constexpr int kChains = lesson90::kSums;
constexpr int kLanes = kVectorBytes / sizeof(float);
typedef float Vector __attribute__((vector_size(kVectorBytes)));

// Does x <- x * one + one `count` times, on kChains independent vectors: enough of them to fill the
// 4 or 5 cycles that an operation takes on the two or more units that do them, few enough for the
// registers. Chain c begins at c and so ends at c + count, exactly. A compiler that left anything
// out, or an operation that did not happen, would show: then the program ends.
inline void count_up(int count) {
  static volatile float opaque_one = 1;  // of which the compiler knows nothing
  const float one = opaque_one;
  Vector x[kChains];
  for (int c = 0; c < kChains; ++c) x[c] = Vector{} + static_cast<float>(c) * one;
  for (int i = 0; i < count; ++i)
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) x[c] = x[c] * one + one;
  for (int c = 0; c < kChains; ++c)
    for (int lane = 0; lane < kLanes; ++lane)
      if (x[c][lane] != static_cast<float>(c + count)) {
        std::fprintf(stderr, "peak: the arithmetic was not done as written\n");
        std::abort();
      }
}

// GFLOP/s of all threads together, of which each computes for at least so many seconds, beginning
// at the same time. An operation x * y + z counts as two.
inline double peak_gflops(int threads, double seconds) {
  constexpr int kCount = 1 << 18;  // some milliseconds
  std::latch start(threads);
  std::vector<double> rates(threads);
  auto work = [&](int t) {
    start.arrive_and_wait();
    rates[t] =
        2e-9 * kCount * kChains * kLanes / seconds_per_call(seconds, [=] { count_up(kCount); });
  };
  std::vector<std::jthread> others;
  for (int t = 1; t < threads; ++t) others.emplace_back(work, t);
  work(0);
  others.clear();  // waits for them
  return std::accumulate(rates.begin(), rates.end(), 0.0);
}
}  // namespace gradus::benchmarks
