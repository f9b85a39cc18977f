#include "tensor/matmul.hpp"
#include <algorithm>
#include <memory>

// c = a b, with m x k times k x n.
// The naive loops read every number of b from memory once for every row of a. Here the work is cut
// into tiles of c, kRows x kColumns numbers that stay in vector registers while k runs: each number
// loaded is then used kRows or kColumns times. The tile's operands are first copied ("packed") into
// panels in exactly the order in which the tile reads them,
//     panel of a: kRows numbers for k = 0, kRows for k = 1, ...        (zeros beyond the edge)
//     panel of b: kColumns numbers for k = 0, kColumns for k = 1, ...
// kDepth steps of k at a time, so that a panel of b stays in the first cache, and all panels in the
// second. Packing reads a and b through two strides, which is why the transposed products are free.
namespace gradus {
namespace {
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRows = 8;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kRows = 6;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kRows = 8;
#else
constexpr int kVectorBytes = 16, kRows = 4;
#endif
constexpr int kVectors = 2;  // side by side in a tile: kRows * kVectors running sums

template <class T> struct Tile {
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  static constexpr Index kLanes = kVectorBytes / sizeof(T), kColumns = kVectors * kLanes;
};

constexpr Index kDepth = 256;      // of k at a time
constexpr Index kMostRows = 1024;  // of a at a time
constexpr Index kMostColumns = 2048;
constexpr Index kTilesAPiece = 8;

// A matrix seen through strides: element (i, j) stands at data[i * row + j * column].
template <class T> struct View {
  const T* data;
  Index row, column;
  View at(Index i, Index j) const { return {data + i * row + j * column, row, column}; }
  View transposed() const { return {data, column, row}; }
};

// Copies `width` of the view's rows, for `depth` of its columns, into a panel of `Width` rows.
template <Index Width, class T>
void pack(View<T> x, Index width, Index depth, T* __restrict panel) {
  if (width < Width) std::fill_n(panel, Width * depth, T(0));
  if (x.row == 1) {
    for (Index k = 0; k < depth; ++k) std::copy_n(x.data + k * x.column, width, panel + k * Width);
  } else {
    for (Index i = 0; i < width; ++i)
      for (Index k = 0; k < depth; ++k) panel[k * Width + i] = x.data[i * x.row + k * x.column];
  }
}

// c (+)= the product of two panels, for the rows and columns of the tile that c has.
template <class T>
void multiply_panels(const T* __restrict a, const T* __restrict b, Index depth, bool add,
                     T* __restrict c, Index stride, Index rows, Index columns) {
  using Vector = typename Tile<T>::Vector;
  constexpr Index kLanes = Tile<T>::kLanes, kColumns = Tile<T>::kColumns;
  Vector sums[kRows][kVectors] = {};
  for (Index k = 0; k < depth; ++k, a += kRows, b += kColumns) {
    Vector bk[kVectors];
    for (int v = 0; v < kVectors; ++v) std::memcpy(&bk[v], b + v * kLanes, sizeof(Vector));
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[i][v] += a[i] * bk[v];
  }
  if (rows == kRows && columns == kColumns) {
    for (int i = 0; i < kRows; ++i)
      for (int v = 0; v < kVectors; ++v) {
        T* to = c + i * stride + v * kLanes;
        Vector old = {};
        if (add) std::memcpy(&old, to, sizeof(Vector));
        old += sums[i][v];
        std::memcpy(to, &old, sizeof(Vector));
      }
  } else {
    T tile[kRows * kColumns];
    std::memcpy(tile, sums, sizeof(tile));
    for (Index i = 0; i < rows; ++i)
      for (Index j = 0; j < columns; ++j)
        c[i * stride + j] = tile[i * kColumns + j] + (add ? c[i * stride + j] : T(0));
  }
}

Index panels(Index extent, Index width) { return (extent + width - 1) / width; }

template <class T> void multiply(View<T> a, View<T> b, T* c, Index m, Index n, Index k) {
  constexpr Index kColumns = Tile<T>::kColumns;
  const Index most_depth = std::min(k, kDepth);
  const Index a_room = panels(std::min(m, kMostRows), kRows) * kRows * most_depth;
  const Index b_room = panels(std::min(n, kMostColumns), kColumns) * kColumns * most_depth;
  auto packed = Tensor<T>::uninitialized({(a_room + 15) / 16 * 16 + b_room});
  T* const a_packed = packed.mutable_data();
  T* const b_packed = a_packed + (a_room + 15) / 16 * 16;
  for (Index j0 = 0; j0 < n; j0 += kMostColumns)
    for (Index k0 = 0; k0 < k; k0 += kDepth)
      for (Index i0 = 0; i0 < m; i0 += kMostRows) {
        const Index rows = std::min(kMostRows, m - i0), columns = std::min(kMostColumns, n - j0);
        const Index depth = std::min(kDepth, k - k0);
        const Index a_panels = panels(rows, kRows), b_panels = panels(columns, kColumns);
        auto pack_piece = [&](Index begin, Index end) {
          for (Index p = begin; p < end; ++p)
            if (p < a_panels) {
              const Index i = p * kRows;
              pack<kRows>(a.at(i0 + i, k0), std::min<Index>(kRows, rows - i), depth,
                          a_packed + i * depth);
            } else {
              const Index j = (p - a_panels) * kColumns;
              pack<kColumns>(b.at(k0, j0 + j).transposed(), std::min(kColumns, columns - j), depth,
                             b_packed + j * depth);
            }
        };
        // The panels of b serve all blocks of rows.
        parallel_for(a_panels + (i0 == 0 ? b_panels : 0), 8, pack_piece);
        parallel_for(a_panels * b_panels, kTilesAPiece, [&](Index begin, Index end) {
          for (Index t = begin; t < end; ++t) {
            const Index i = t % a_panels * kRows, j = t / a_panels * kColumns;
            multiply_panels(a_packed + i * depth, b_packed + j * depth, depth, k0 > 0,
                            c + (i0 + i) * n + j0 + j, n, std::min<Index>(kRows, rows - i),
                            std::min(kColumns, columns - j));
          }
        });
      }
}

// c = a b where packing would cost more than it saves.
template <class T> void multiply_small(View<T> a, View<T> b, T* c, Index m, Index n, Index k) {
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j) {
      T sum = 0;
      for (Index l = 0; l < k; ++l) sum += *a.at(i, l).data * *b.at(l, j).data;
      c[i * n + j] = sum;
    }
}
}  // namespace

template <class T>
Tensor<T> detail::product(const char* operation, const Tensor<T>& x, bool transpose_x,
                          const Tensor<T>& y, bool transpose_y) {
  if (x.rank() != 2 || y.rank() != 2)
    fail("{}: {} x {}: both must be matrices; reshape first", operation, x.shape(), y.shape());
  const Index m = x.shape()[transpose_x], k = x.shape()[!transpose_x];
  const Index n = y.shape()[!transpose_y], inner = y.shape()[transpose_y];
  if (k != inner) {
    const bool plain = !transpose_x && !transpose_y;
    fail("{}: {} x {}: inner dimensions {} and {} differ.{}", operation, x.shape(), y.shape(), k,
         inner,
         plain && x.shape()[0] == inner ? " For x^T y use matmul_tn."
         : plain && k == y.shape()[1]   ? " For x W^T use matmul_nt."
         : x.shape()[1] == y.shape()[0] ? " Without a transpose, use matmul."
                                        : "");
  }
  View<T> a{x.data(), x.shape()[1], 1}, b{y.data(), y.shape()[1], 1};
  if (transpose_x) a = a.transposed();
  if (transpose_y) b = b.transposed();
  auto result = Tensor<T>::uninitialized({m, n});
  (m * n * k < 4096 ? multiply_small<T> : multiply<T>)(a, b, result.mutable_data(), m, n, k);
  return result;
}

template Tensor<float> detail::product(const char*, const Tensor<float>&, bool,
                                       const Tensor<float>&, bool);
template Tensor<double> detail::product(const char*, const Tensor<double>&, bool,
                                        const Tensor<double>&, bool);
}  // namespace gradus
