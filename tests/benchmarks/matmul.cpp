#include "tensor/matmul.hpp"

#include <string>

#include <fmt/format.h>

#include "tensor/parallel.hpp"
#include "tensor/random.hpp"
#include "tests/benchmarks/rate.hpp"
#include "tests/benchmarks/vae_by_hand.hpp"

using namespace gradus;
using namespace gradus::benchmarks;

namespace {
// (m, k) x (k, n), with a or b given transposed as the form wants it.
struct Case {
  Form form;
  Index m, k, n;
  int count = 1;  // how often a step of the VAE does it

  double gflop() const { return 2e-9 * static_cast<double>(m * k * n); }
};

Rate measure_case(const std::string& layer, const Case& c) {
  Rng rng(0);
  const Shape a_shape = c.form == Form::kTransposeA ? Shape{c.k, c.m} : Shape{c.m, c.k};
  const Shape b_shape = c.form == Form::kTransposeB ? Shape{c.n, c.k} : Shape{c.k, c.n};
  const auto a = rng.uniform<float>(a_shape, -1, 1), b = rng.uniform<float>(b_shape, -1, 1);
  const Rate rate = measure(c.gflop(), [&] { multiply(c.form, a, b); });
  print(fmt::format("{:<10} {:<9} {} x {}", layer, name(c.form), a_shape, b_shape), rate);
  return rate;
}

void measure_squares() {
  for (Index n : {512, 1024, 2048}) {
    for (Form form : {Form::kPlain, Form::kTransposeA, Form::kTransposeB})
      measure_case(fmt::format("{}^3", n), {form, n, n, n});
    if (n == 512) {
      Rng rng(0);
      const auto a = rng.uniform<float>({n, n}, -1, 1), b = rng.uniform<float>({n, n}, -1, 1);
      print(fmt::format("{}^3      matmul_naive (1 thread)", n),
            measure(2e-9 * static_cast<double>(n * n * n), [&] { matmul_naive(a, b); }));
    }
  }
}

void measure_vae() {
  struct Layer {
    const char* name;
    Index in, out;
    int count;
    bool first;  // its input is the data, which needs no gradient
  };

  double gflop = 0, seconds = 0, best_seconds = 0, weighted = 0;
  for (const Layer& layer : {Layer{"encoder", kPixels, kHidden, 1, true},
                             {"to_mean, 2", kHidden, kLatents, 2, false},
                             {"decoder", kLatents, kHidden, 1, false},
                             {"to_logits", kHidden, kPixels, 1, false}}) {
    std::vector<Case> cases = {{Form::kTransposeB, kBatch, layer.in, layer.out},     // z = x W^T
                               {Form::kTransposeA, layer.out, kBatch, layer.in}};    // dW = dz^T x
    if (!layer.first) cases.push_back({Form::kPlain, kBatch, layer.out, layer.in});  // dx = dz W
    for (const Case& c : cases) {
      const Rate rate = measure_case(layer.name, c);
      const double own = layer.count * c.gflop();
      gflop += own;
      seconds += own / rate.gflops;
      best_seconds += own / rate.peak;
      weighted += own * rate.share();
    }
  }
  fmt::print("\nall of a step: {:.4f} GFLOP in {:.3f} ms: {:.1f} GFLOP/s\n", gflop, 1e3 * seconds,
             gflop / seconds);
  fmt::print("share of peak, in time:        {:.1f} %\n", 100 * best_seconds / seconds);
  fmt::print("share of peak, flop-weighted:  {:.1f} %\n", 100 * weighted / gflop);
}
}  // namespace

int main() try {
  fmt::print("threads: {} (GRADUS_NUM_THREADS); best of {} times {} s, in turn with the peak\n\n",
             num_threads(), kRounds, kSeconds);
  measure_squares();
  fmt::print("\nThe products of a step of the reference VAE, {}-{}-{}, {} images\n", kPixels,
             kHidden, kLatents, kBatch);
  measure_vae();

} catch (const Error& error) {
  fmt::print(stderr, "matmul: {}\n", error.what());
  return 2;
}
