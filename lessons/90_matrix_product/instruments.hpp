#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>

#include "tensor/parallel.hpp"
#include "tensor/shape.hpp"
#include "tensor/tensor.hpp"

// What a processor can do, measured by loops that do one thing only. Speeds are in GFLOP/s,
// billions of multiplications and additions a second; a multiply-add counts as two.
namespace gradus::lesson90 {

// The speed of f, which does that many operations: the best of at least so many runs, which go on
// for a fraction of a second.
template <class F> double gflops(double operations, F f, int runs = 1) {
  using Seconds = std::chrono::duration<double>;
  double best = 0;
  Seconds total{};
  for (int run = 0; run < runs || total.count() < 0.15; ++run) {
    const auto start = std::chrono::steady_clock::now();
    f();
    const Seconds time = std::chrono::steady_clock::now() - start;
    best = std::max(best, 1e-9 * operations / time.count());
    total += time;
  }
  return best;
}

// Calls f such that all that it computes is computed by one thread: a piece of a parallel loop does
// not divide the loops inside it again, so f runs as the first of two pieces, the other idle.
template <class F> void on_one_thread(F f) {
  parallel_for(2, 1, [&](Index piece, Index) {
    if (piece == 0) f();
  });
}

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

// The numbers in a vector register.
constexpr int kLanes = kVectorBytes / sizeof(float);

// Adds `steps` times to one number: each addition waits for the one before. The compiler knows
// nothing of `opaque`, or it would see that one multiplication is enough.
inline float additions(Index steps, const volatile float& opaque) {
  const float term = opaque;
  float sum = 0;
  for (Index step = 0; step < steps; ++step) sum += term;
  return sum;
}

// Multiply-adds of whole vector registers, on `Sums` of them that do not wait for each other; none
// waits for memory. 2 * Sums * kLanes operations a step. They begin with different numbers, and
// with a factor and a term of which the compiler knows nothing, or it would see that fewer are
// enough.
template <int Sums> float multiply_adds(Index steps, const volatile float& opaque) {
  const float factor = opaque;
  const float term = opaque;
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  Vector sums[Sums];
  for (int i = 0; i < Sums; ++i) sums[i] = Vector{} + static_cast<float>(i);

  for (Index step = 0; step < steps; ++step)
    for (Vector& sum : sums) sum = sum * factor + term;

  Vector total = {};
  for (const Vector& sum : sums) total += sum;
  return total[0];
}

// c <- c + a b for a number a and rows b and c of n numbers: the innermost loop of `reordered`.
[[gnu::noinline]] inline void add_row(float a, const float* b, float* c, Index n) {
  for (Index j = 0; j < n; ++j) c[j] += a * b[j];
}

// How long one addition takes until its result can be used, in ns.
inline double addition_ns() {
  constexpr Index kSteps = 200'000;
  const double billions_a_second = gflops(kSteps, [] {
    volatile float one = 1;
    one = additions(kSteps, one);
  });
  return 1 / billions_a_second;
}

// The speed of so many independent sums on one thread.
template <int Sums> double speed_of_sums() {
  constexpr Index kSteps = 200'000;
  return gflops(2.0 * Sums * kLanes * kSteps, [] {
    volatile float one = 1;
    one = multiply_adds<Sums>(kSteps, one);
  });
}

// As many sums as keep any processor of today busy, and as its registers can hold.
constexpr int kSums = 12;

// What no product can exceed on so many threads.
inline double peak_gflops(int threads) {
  constexpr Index kSteps = 200'000;
  constexpr double kOperations = 2.0 * kSums * kLanes * kSteps;
  const Index pieces = threads == 1 ? 1 : 8 * threads;
  return gflops(kOperations * static_cast<double>(pieces), [=] {
    parallel_for(pieces, 1, [](Index, Index) {
      volatile float one = 1;
      one = multiply_adds<kSums>(kSteps, one);
    });
  });
}

// The speed of add_row on one row of n numbers that stays in the nearest cache.
inline double speed_of_rows(Index n) {
  constexpr int kTimes = 1000;
  // Neighbours in memory: of two rows that lie far apart, one may drive the other out of the cache.
  Tensor<float> rows({2, n});
  float* const b = rows.mutable_data();
  float* const c = b + n;
  return gflops(2.0 * kTimes * static_cast<double>(n), [=] {
    for (int i = 0; i < kTimes; ++i) add_row(0.5f, b, c, n);
  });
}

}  // namespace gradus::lesson90
