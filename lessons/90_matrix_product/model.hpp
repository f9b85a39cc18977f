#pragma once
#include <algorithm>
#include <vector>

#include "tensor/error.hpp"
#include "tensor/shape.hpp"

// One matrix product, c = a b for row-major (n, n), written in several ways. All do the same 2 n^3
// operations, in the same order for each number of c, and differ in what waits for what and in what
// they ask of the memory. The library's matmul is one way more.
namespace gradus::lesson90 {

// By the definition. The innermost loop walks down a column of b, n numbers from step to step.
template <class T> void naive(const T* a, const T* b, T* c, Index n) {
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      T sum = 0;
      for (Index k = 0; k < n; ++k) sum += a[i * n + k] * b[k * n + j];
      c[i * n + j] = sum;
    }
}

// The same with the transpose of b, whose rows are the columns of b: a walk along two rows.
template <class T> void naive_along_rows(const T* a, const T* b_transposed, T* c, Index n) {
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) {
      T sum = 0;
      for (Index k = 0; k < n; ++k) sum += a[i * n + k] * b_transposed[j * n + k];
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
    fail("matrix product: tiles of {} x {} do not cover a matrix of {} x {}", kRows, kColumns, n,
         n);
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

}  // namespace gradus::lesson90
