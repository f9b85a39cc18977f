#include <string>

#include <fmt/format.h>

#include "lessons/13_vae/model.hpp"
#include "lessons/15_evidence/model.hpp"
#include "tensor/parallel.hpp"
#include "tensor/random.hpp"
#include "tests/benchmarks/rate.hpp"

using namespace gradus;
using namespace gradus::benchmarks;

namespace {
constexpr Index kPixels = 784;
constexpr Index kHidden = 400;

// A point is decoded, 2 H (2 + D) operations, and multiplied with every image, 2 D each. Whatever
// else is done counts as time, and not as work.
double gflop(Index points, Index images) {
  const Index of_a_point = 2 * kHidden * (2 + kPixels) + 2 * kPixels * images;
  return 1e-9 * static_cast<double>(points * of_a_point);
}
}  // namespace

int main() {
  fmt::print("threads: {} (GRADUS_NUM_THREADS); best of {}, in turn with the peak\n\n",
             num_threads(), kRounds);
  Rng rng(0);
  const lesson13::Vae<float> vae(kPixels, kHidden, 2, rng);
  const lesson15::Grid grid{6, 400};
  for (Index n : {250, 1000}) {
    const Tensor<float> x = lesson15::binarise(rng.uniform<float>({n, kPixels}));
    const Rate rate =
        measure(gflop(grid.size(), n), [&] { lesson15::log_evidence(vae, x, grid); });
    print(fmt::format("ln p of {} images on {} x {} points", n, grid.side, grid.side), rate);
  }
}
