#pragma once
#include <algorithm>
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "tensor/parallel.hpp"
#include "tests/benchmarks/peak.hpp"
#include "tests/benchmarks/timing.hpp"

// How fast a function computes, as a share of what the processor can do at that time.
namespace gradus::benchmarks {
constexpr int kRounds = 5;
constexpr double kSeconds = 0.1;  // of each measurement, at least

// What was measured of one function: its best, and the best of the peaks beside it.
struct Rate {
  double gflops = 0, peak = 0;

  double share() const { return gflops / peak; }
};

template <class F> Rate measure(double gflop, const F& f) {
  Rate rate;
  auto measure_peak = [&] {
    rate.peak = std::max(rate.peak, peak_gflops(num_threads(), kSeconds / 2));
  };
  f();  // brings memory and code into the caches
  for (int round = 0; round < kRounds; ++round) {
    measure_peak();
    rate.gflops = std::max(rate.gflops, gflop / seconds_per_call(kSeconds, f));
  }
  measure_peak();
  return rate;
}

inline void print(const std::string& what, const Rate& rate) {
  fmt::print("{:<50} {:7.1f} GFLOP/s  {:5.1f} % of {:.1f}\n", what, rate.gflops, 100 * rate.share(),
             rate.peak);
  std::fflush(stdout);
}
}  // namespace gradus::benchmarks
