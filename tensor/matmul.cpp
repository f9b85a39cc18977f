#include "tensor/matmul.hpp"
#include <algorithm>

// c = a b, with m x k times k x n.
// The naive loops read every number of b from memory once for every row of a. Here the work is cut
// into tiles of c, kRows x kColumns numbers that stay in vector registers while k runs: each number
// loaded is then used kRows or kColumns times. The tile's operands are first copied ("packed") into
// panels in exactly the order in which the tile reads them,
//     panel of a: kRows numbers for k = 0, kRows for k = 1, ...        (zeros beyond the edge)
//     panel of b: kColumns numbers for k = 0, kColumns for k = 1, ...
// so that the innermost loop reads memory in order. The panels of a, kMostA numbers at a time, stay
// in the second cache while those of b go past. Packing reads a and b through two strides, which is
// why the transposed products cost the same.
namespace gradus {
namespace {
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRows = 12;
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

constexpr Index kDepth = 512;      // of k at a time, at most
constexpr Index kMostA = 1 << 18;  // numbers of a at a time

// A matrix seen through strides: element (i, j) stands at data[i * row + j * column].
template <class T> struct View {
  const T* data;
  Index row, column;
  View at(Index i, Index j) const { return {data + i * row + j * column, row, column}; }
  View transposed() const { return {data, column, row}; }
};

// Transposes as many vectors as a vector has lanes. A round takes the first and the second half of
// the vectors and shuffles them, lane by lane, like two halves of a pack of cards: it rotates the
// binary digits of (vector, lane) by one, and after as many rounds as a lane's number has digits,
// vector and lane have changed places.
template <class V, std::size_t... I> void transpose_tile(V* x, std::index_sequence<I...>) {
  constexpr int n = sizeof...(I);
  V y[n];
  for (int round = 1; round < n; round *= 2, std::copy_n(y, n, x))
    for (int i = 0; i < n / 2; ++i) {
      y[2 * i] = __builtin_shufflevector(x[i], x[i + n / 2], (I / 2 + I % 2 * n)...);
      y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + n / 2], (I / 2 + I % 2 * n + n / 2)...);
    }
}

// Copies `width` of the view's rows, for `depth` of its columns, into a panel of `Width` rows.
template <Index Width, class T>
void pack(View<T> x, Index width, Index depth, T* __restrict panel) {
  constexpr Index kLanes = Tile<T>::kLanes;
  if (x.row == 1) {
    if (width < Width) std::fill_n(panel, Width * depth, T(0));
    for (Index k = 0; k < depth; ++k)  // a constant width is copied without a loop
      std::copy_n(x.data + k * x.column, width == Width ? Width : width, panel + k * Width);
  } else {
    for (Index k = 0; k < depth; k += kLanes)
      for (Index i = 0; i < Width; i += kLanes) {
        typename Tile<T>::Vector tile[kLanes] = {};
        const Index run = std::min(kLanes, depth - k);
        for (Index row = 0; row < std::min(kLanes, width - i); ++row)
          if (run == kLanes)
            std::memcpy(&tile[row], x.data + (i + row) * x.row + k, sizeof(tile[0]));
          else
            std::memcpy(&tile[row], x.data + (i + row) * x.row + k, run * sizeof(T));
        transpose_tile(tile, std::make_index_sequence<kLanes>());
        for (Index c = 0; c < run; ++c)
          std::memcpy(panel + (k + c) * Width + i, &tile[c],
                      std::min(kLanes, Width - i) * sizeof(T));
      }
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
#pragma GCC unroll 12
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

// The size, a multiple of `unit`, of equal parts of which none is larger than `most`.
Index part(Index extent, Index most, Index unit) {
  return panels(panels(extent, panels(extent, most)), unit) * unit;
}

template <class T> void multiply(View<T> a, View<T> b, T* c, Index m, Index n, Index k) {
  constexpr Index kColumns = Tile<T>::kColumns;
  const Index most_depth = part(k, kDepth, 1);
  const Index most_rows = part(m, std::max<Index>(kRows, kMostA / most_depth), kRows);
  auto packed = Tensor<T>::uninitialized({most_rows * most_depth});
  T* const a_packed = packed.mutable_data();
  for (Index k0 = 0; k0 < k; k0 += most_depth)
    for (Index i0 = 0; i0 < m; i0 += most_rows) {
      const Index rows = std::min(most_rows, m - i0), depth = std::min(most_depth, k - k0);
      const Index a_panels = panels(rows, kRows), b_panels = panels(n, kColumns);
      parallel_for(a_panels, 4, [&](Index begin, Index end) {
        for (Index i = begin * kRows; i < std::min(end * kRows, rows); i += kRows)
          pack<kRows>(a.at(i0 + i, k0), std::min<Index>(kRows, rows - i), depth,
                      a_packed + i * depth);
      });
      const Index grain = std::max<Index>(1, (1 << 19) / (rows * depth * kColumns));  // of panels
      // Packs the panels [first, last) of b, and multiplies each by all panels of a, in `parts`.
      auto sweep = [&](Index first, Index last, Index parts) {
        parallel_for((last - first) * parts, grain, [&](Index begin, Index end) {
          auto packed = Tensor<T>::uninitialized({kColumns * depth});
          T* const b_packed = packed.mutable_data();
          for (Index piece = begin; piece < end; ++piece) {
            const Index j = (first + piece / parts) * kColumns, columns = std::min(kColumns, n - j);
            pack<kColumns>(b.at(k0, j).transposed(), columns, depth, b_packed);
            const Index p0 = piece % parts * a_panels / parts;
            const Index p1 = (piece % parts + 1) * a_panels / parts;
            for (Index i = p0 * kRows; i < std::min(p1 * kRows, rows); i += kRows)
              multiply_panels(a_packed + i * depth, b_packed, depth, k0 > 0, c + (i0 + i) * n + j,
                              n, std::min<Index>(kRows, rows - i), columns);
          }
        });
      };
      // As many panels as all threads can share, then each of the others by all threads.
      const Index threads = b_panels > grain ? num_threads() : 1;
      const Index whole = b_panels / threads * threads;
      sweep(0, whole, 1);
      sweep(whole, b_panels, threads);
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
  (m * n * k < 512 ? multiply_small<T> : multiply<T>)(a, b, result.mutable_data(), m, n, k);
  return result;
}

template Tensor<float> detail::product(const char*, const Tensor<float>&, bool,
                                       const Tensor<float>&, bool);
template Tensor<double> detail::product(const char*, const Tensor<double>&, bool,
                                        const Tensor<double>&, bool);
}  // namespace gradus
