// Lesson 90, an appendix: one matrix product, from the definition to nearly all that the processor
// can do.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "lessons/90_matrix_product/figures.hpp"
#include "lessons/90_matrix_product/instruments.hpp"
#include "lessons/90_matrix_product/model.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/map.hpp"
#include "tensor/matmul.hpp"
#include "tensor/parallel.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson90 {
namespace {

// ---- What the processor can do -----------------------------------------------------------------

struct Processor {
  int threads;
  double addition_ns;         // how long one addition takes until its result can be used
  std::vector<double> sums;   // GFLOP/s of 1, 2, 3, ... independent sums, on one thread
  double rows;                // GFLOP/s of adding one row to another, both in the nearest cache
  double peak, peak_threads;  // GFLOP/s that no product exceeds, on one thread and on all
};

template <int... Sums> std::vector<double> speeds_of_sums(std::integer_sequence<int, Sums...>) {
  return {speed_of_sums<Sums + 1>()...};
}

Processor measure_processor(kit::Lesson& lesson, Index n) {
  const Processor processor{.threads = num_threads(),
                            .addition_ns = addition_ns(),
                            .sums = speeds_of_sums(std::make_integer_sequence<int, kSums>()),
                            .rows = speed_of_rows(n),
                            .peak = peak_gflops(1),
                            .peak_threads = peak_gflops(num_threads())};
  fmt::print("\n{} numbers in a vector register, {} threads\n", kLanes, processor.threads);
  fmt::print("an addition takes {} ns\n", two_digits(processor.addition_ns));
  fmt::print("independent sums of vectors:\n");
  for (int sums : {1, 2, 3, 4, 6, 8, 12})
    fmt::print("  {:<3}{:>6.3g} GFLOP/s\n", sums, processor.sums[sums - 1]);
  lesson.report("addition", processor.addition_ns, "ns");
  lesson.report("multiply_add", 2 * kLanes / processor.sums[0], "ns");
  for (int sums : {1, 2, 3, 4, 8, 12})
    lesson.report(fmt::format("speed_of_{}_sums", sums), processor.sums[sums - 1], "GFLOP/s");
  lesson.report("speed_of_rows", processor.rows, "GFLOP/s");
  lesson.report("peak", processor.peak, "GFLOP/s");
  lesson.report("peak_threads", processor.peak_threads, "GFLOP/s");
  draw_sums(lesson, processor.sums, processor.peak);
  return processor;
}

// ---- The ways to multiply ----------------------------------------------------------------------

// Two (n, n) matrices of whole numbers, whose sums are exact: every way has to give the same bits.
struct Factors {
  Tensor<float> a, b, b_transposed;

  Factors(Index n, Rng& rng)
      : a(whole_numbers(n, rng)), b(whole_numbers(n, rng)), b_transposed(transpose(b)) {}

  static Tensor<float> whole_numbers(Index n, Rng& rng) {
    return map(rng.normal<float>({n, n}), [](float v) { return std::round(3 * v); });
  }
};

using Multiply = void (*)(const float*, const float*, float*, Index);

struct Way {
  const char* name;
  Multiply multiply;
  bool by_transpose;  // takes the transpose of b
};

const std::vector<Way> kWays = {{"naive", naive<float>, false},
                                {"along_rows", naive_along_rows<float>, true},
                                {"reordered", reordered<float>, false},
                                {"blocked", blocked<float>, false},
                                {"packed", packed<float>, false}};

double operations(Index n) {
  const double size = static_cast<double>(n);
  return 2 * size * size * size;
}

// The speed of a way of multiplying, whose product is left in c.
double speed_of(const Way& way, const Factors& factors, Tensor<float>& c, int runs) {
  const Index n = c.extent(0);
  const float* const a = factors.a.data();
  const float* const b = way.by_transpose ? factors.b_transposed.data() : factors.b.data();
  float* const to = c.mutable_data();
  return gflops(
      operations(n), [=] { way.multiply(a, b, to, n); }, runs);
}

double speed_of_library(const Factors& factors, int runs) {
  return gflops(
      operations(factors.a.extent(0)), [&] { matmul(factors.a, factors.b); }, runs);
}

double speed_of_library_on_one_thread(const Factors& factors, int runs) {
  double speed = 0;
  on_one_thread([&] { speed = speed_of_library(factors, runs); });
  return speed;
}

// ---- The ladder: one size, every way -----------------------------------------------------------

void climb_the_ladder(kit::Lesson& lesson, const Processor& processor, Index n) {
  const int runs = lesson.options().quick ? 1 : 5;
  Rng rng(lesson.options().seed);
  const Factors factors(n, rng);
  const Tensor<float> product = matmul(factors.a, factors.b);
  std::vector<Rung> rungs;
  double largest_difference = 0;
  Tensor<float> c({n, n});
  for (const Way& way : kWays) {
    rungs.push_back({way.name, speed_of(way, factors, c, runs), processor.peak});
    const double difference = max(abs(c - product)).item();
    largest_difference = std::max(largest_difference, difference);
  }
  rungs.push_back({"library", speed_of_library_on_one_thread(factors, runs), processor.peak});
  rungs.push_back({"threads", speed_of_library(factors, runs), processor.peak_threads});

  // One multiplication and one addition each time that a result can be used.
  const double chain = 2 / processor.addition_ns;
  rungs[0].predicted = chain;
  rungs[1].predicted = chain;
  rungs[2].predicted = processor.rows;

  fmt::print("\nGFLOP/s of a product of two {0} x {0} matrices:\n", n);
  fmt::print("{:<16}{:>10}   {}\n", "", "measured", "predicted, at the most");
  for (const Rung& rung : rungs) {
    fmt::print("  {:<14}{:>10}   {:.3g}\n", spaced(rung.name), two_digits(rung.speed),
               rung.predicted);
    lesson.report("speed_" + rung.name, rung.speed, "GFLOP/s");
  }
  fmt::print("\n");
  lesson.report("predicted_naive", chain, "GFLOP/s");
  lesson.report("predicted_reordered", processor.rows, "GFLOP/s");
  lesson.check("largest_difference", largest_difference, "", kit::Expected{0, 0});
  draw_ladder(lesson, rungs, processor.peak, processor.peak_threads, processor.threads, n);
}

// ---- The same by size --------------------------------------------------------------------------

void vary_the_size(kit::Lesson& lesson, const Processor& processor) {
  const std::vector<Index> sizes =
      lesson.options().quick
          ? std::vector<Index>{64, 128, 256}
          : std::vector<Index>{64, 96, 128, 192, 256, 384, 512, 640, 768, 896, 1024};
  const std::set<Index> reported = {64, 192, 512, 896, 1024};
  std::vector<Curve> curves;
  for (const Way& way : kWays) curves.push_back({way.name, {}, {}});
  curves.push_back({"library", {}, {}});
  Rng rng(lesson.options().seed);
  for (Index n : sizes) {
    const Factors factors(n, rng);
    Tensor<float> c({n, n});
    for (std::size_t i = 0; i < kWays.size(); ++i)
      curves[i].add(n, speed_of(kWays[i], factors, c, 1));
    curves.back().add(n, speed_of_library_on_one_thread(factors, 1));
  }
  for (const Curve& curve : curves)
    for (std::size_t i = 0; i < curve.n.size(); ++i)
      if (reported.contains(curve.n[i]))
        lesson.report(fmt::format("speed_{}_n{}", curve.name, curve.n[i]), curve.speed[i],
                      "GFLOP/s");
  draw_sizes(lesson, curves, processor.peak);
}

void run(kit::Lesson& lesson) {
  const Index n = lesson.options().quick ? 384 : 768;
  const Processor processor = measure_processor(lesson, n);
  climb_the_ladder(lesson, processor, n);
  vary_the_size(lesson, processor);
}

}  // namespace
}  // namespace gradus::lesson90

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "90_matrix_product", .title = "The matrix product"}, argc, argv,
                          gradus::lesson90::run);
}
