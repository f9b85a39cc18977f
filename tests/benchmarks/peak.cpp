#include "tests/benchmarks/peak.hpp"

#include <fmt/format.h>

using namespace gradus::benchmarks;

int main() {
  constexpr int kRounds = 5;
  std::vector<double> gflops[2];
  for (int round = 0; round < kRounds; ++round)
    for (int threads : {1, 2}) gflops[threads - 1].push_back(peak_gflops(threads, 0.2));
  fmt::print("float multiply-adds on vectors of {} bytes, {} chains; best of {} (least)\n",
             kVectorBytes, kChains, kRounds);
  for (int threads : {1, 2}) {
    const Spread spread(gflops[threads - 1]);
    fmt::print("{} thread{}  {:7.1f} GFLOP/s  ({:.1f})\n", threads, threads == 1 ? " " : "s",
               spread.most, spread.least);
  }
}
