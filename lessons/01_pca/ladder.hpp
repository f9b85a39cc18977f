#pragma once
#include <algorithm>
#include <chrono>
#include <vector>

#include "tensor/error.hpp"
#include "tensor/parallel.hpp"
#include "tensor/shape.hpp"

// One matrix product, c = a b for row-major (n, n), written four times. All do the same 2 n^3
// operations, in the same order for each number of c, and differ in what they ask of the memory.
// The library's matmul is the fifth.
namespace gradus::lesson01::ladder {

// By the definition. The innermost loop walks down a column of b, n numbers from step to step.
template <class T> void naive(const T* a, const T* b, T* c, Index n) {
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      T sum = 0;
      for (Index k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
}

// Two loops swapped: the innermost one walks along rows, of b and of c.
template <class T> void reordered(const T* a, const T* b, T* c, Index n) {
  std::fill_n(c, n * n, T(0));
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < n; ++k)
      for (Index j = 0; j < n; ++j) c[i * n + j] += a[i * n + k] * b[k * n + j];
}

// The size of a tile of c.
constexpr Index kRows = 4;
constexpr Index kColumns = 16;

// Throws Error unless tiles cover all of c.
inline void require_whole_tiles(Index n) {
  if (n % kRows != 0 || n % kColumns != 0)
    fail("ladder: tiles of {} x {} do not cover a matrix of {} x {}", kRows, kColumns, n, n);
}

// Tile by tile of c. A tile's sums stay in registers while k runs, and each number that is loaded
// is used for a whole row or column of it.
template <class T> void blocked(const T* a, const T* b, T* c, Index n) {
  require_whole_tiles(n);
  for (Index i0 = 0; i0 < n; i0 += kRows)
    for (Index j0 = 0; j0 < n; j0 += kColumns) {
      T sums[kRows][kColumns] = {};
      for (Index k = 0; k < n; ++k)
        for (Index j = 0; j < kColumns; ++j)
          for (Index i = 0; i < kRows; ++i) sums[i][j] += a[(i0 + i) * n + k] * b[k * n + j0 + j];
      for (Index i = 0; i < kRows; ++i) std::copy_n(sums[i], kColumns, c + (i0 + i) * n + j0);
    }
}

// Tile by tile, from copies of a and b in which the numbers lie in the order in which tiles read
// them.
template <class T> void packed(const T* a, const T* b, T* c, Index n) {
  require_whole_tiles(n);
  std::vector<T> a_panels(n * n);
  std::vector<T> b_panel(n * kColumns);
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < n; ++k) {
      T* panel = &a_panels[i / kRows * (kRows * n)];  // kRows rows of a, column by column
      T* column = panel + k * kRows;
      column[i % kRows] = a[i * n + k];
    }

  for (Index j0 = 0; j0 < n; j0 += kColumns) {
    for (Index k = 0; k < n; ++k) std::copy_n(b + k * n + j0, kColumns, &b_panel[k * kColumns]);
    for (Index i0 = 0; i0 < n; i0 += kRows) {
      T sums[kRows][kColumns] = {};
      for (Index k = 0; k < n; ++k) {
        const T* p = &a_panels[i0 * n + k * kRows];
        const T* q = &b_panel[k * kColumns];
        for (Index j = 0; j < kColumns; ++j)
          for (Index i = 0; i < kRows; ++i) sums[i][j] += p[i] * q[j];
      }
      for (Index i = 0; i < kRows; ++i) std::copy_n(sums[i], kColumns, c + (i0 + i) * n + j0);
    }
  }
}

// Calls f such that all that it computes is computed by one thread: a piece of a parallel loop does
// not divide the loops inside it again, so f runs as the first of two pieces, the other idle.
template <class F> void on_one_thread(F f) {
  parallel_for(2, 1, [&](Index piece, Index) {
    if (piece == 0) f();
  });
}

// The speed of f, which does that many operations, in GFLOP/s: the best of the runs that begin
// within a fraction of a second.
template <class F> double gflops(double operations, F f) {
  using Seconds = std::chrono::duration<double>;
  double best = 0;
  Seconds total{};
  while (total.count() < 0.15) {
    const auto start = std::chrono::steady_clock::now();
    f();
    const Seconds run = std::chrono::steady_clock::now() - start;
    best = std::max(best, 1e-9 * operations / run.count());
    total += run;
  }
  return best;
}

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
#else
constexpr int kVectorBytes = 16;
#endif

constexpr int kSums = 12;

// Multiply-adds of whole vector registers that wait neither for memory nor for each other: 2 kSums
// operations a step for each number in a register. They begin with different numbers, and with a
// factor and a term of which the compiler knows nothing, or it would see that fewer are enough.
inline float multiply_adds(Index steps, const volatile float& opaque) {
  const float factor = opaque;
  const float term = opaque;
  typedef float Vector __attribute__((vector_size(kVectorBytes)));
  Vector sums[kSums];
  for (int i = 0; i < kSums; ++i) sums[i] = Vector{} + static_cast<float>(i);

  for (Index step = 0; step < steps; ++step)
    for (Vector& sum : sums) sum = sum * factor + term;

  Vector total = {};
  for (const Vector& sum : sums) total += sum;
  return total[0];
}

// What no product can exceed, in GFLOP/s, on so many threads.
inline double peak_gflops(int threads) {
  constexpr Index kSteps = 200'000;
  constexpr double kOperations = 2.0 * kSums * kVectorBytes / sizeof(float) * kSteps;
  const Index pieces = threads == 1 ? 1 : 8 * threads;
  return gflops(kOperations * static_cast<double>(pieces), [=] {
    parallel_for(pieces, 1, [](Index, Index) {
      volatile float one = 1;
      one = multiply_adds(kSteps, one);
    });
  });
}

}  // namespace gradus::lesson01::ladder
