#include "tensor/convolution.hpp"

#include <string>

#include <fmt/format.h>

#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tests/benchmarks/rate.hpp"

using namespace gradus;
using namespace gradus::benchmarks;

namespace {
constexpr Index kBatch = 128;
const Window kWindow = {.size = 4, .stride = 2, .padding = 1};

// What a step of training computes with a layer from (N, extent, extent, in) to half the extent and
// `out` channels: the value, and the gradients of images and kernel. The decoder's layers, whose
// value is what is the images' gradient here, compute the same.
struct Layer {
  Index extent, in, out;
};

// The whole, then the product in it and the copying, each alone.
void measure_layer(const Layer& layer) {
  Rng rng(0);
  const Shape images = {kBatch, layer.extent, layer.extent, layer.in};
  const auto x = rng.uniform<float>(images, -1, 1);
  const auto w = rng.uniform<float>({layer.out, layer.in, kWindow.size, kWindow.size}, -1, 1);
  const auto z = conv2d(x, w, kWindow);
  const auto rows = unfold(x, kWindow);
  const auto dz = z.reshape({-1, layer.out});
  const auto kernel = kernel_rows(w);
  const double gflop = 2e-9 * static_cast<double>(rows.size() * layer.out);

  fmt::print("\n{} -> {}, kernel {}: {:.4f} GFLOP each\n", x.shape(), z.shape(), w.shape(), gflop);
  print("z  = conv2d(x, w)", measure(gflop, [&] { conv2d(x, w, kWindow); }));
  print("     unfold", measure(gflop, [&] { unfold(x, kWindow); }));
  print(fmt::format("     matmul_nt {} x {}", rows.shape(), kernel.shape()),
        measure(gflop, [&] { matmul_nt(rows, kernel); }));
  print("dx = conv2d_transpose(dz, w)",
        measure(gflop, [&] { conv2d_transpose(z, w, kWindow, layer.extent, layer.extent); }));
  print(fmt::format("     matmul {} x {}", dz.shape(), kernel.shape()),
        measure(gflop, [&] { matmul(dz, kernel); }));
  print("     fold", measure(gflop, [&] { fold(rows, kWindow, images); }));
  print(fmt::format("dw = matmul_tn {} x {}", dz.shape(), rows.shape()),
        measure(gflop, [&] { matmul_tn(dz, rows); }));
}
}  // namespace

int main() try {
  fmt::print("threads: {} (GRADUS_NUM_THREADS); best of {} times {} s, in turn with the peak\n",
             num_threads(), kRounds, kSeconds);
  fmt::print(
      "The convolutions of lesson 08: window of {}, {} images. Of unfold and fold, which do\n"
      "not multiply, the rate is the one that they alone would allow.\n",
      kWindow, kBatch);
  measure_layer({.extent = 28, .in = 1, .out = 16});
  measure_layer({.extent = 14, .in = 16, .out = 32});

} catch (const Error& error) {
  fmt::print(stderr, "convolution: {}\n", error.what());
  return 2;
}
