#include "tensor/matmul.hpp"

// c = a b, with m x k times k x n.
// The naive loops read every number of b from memory once for every row of a. Here the work is cut
// into tiles of c, kRows x kColumns numbers that stay in vector registers while k runs: each number
// loaded is then used kRows or kColumns times. What a tile reads is kRows rows of a and kColumns
// columns of b, a panel of each. A panel that is read often is first copied ("packed") in exactly
// the order in which the tile reads it,
//     panel of a: kRows numbers for k = 0, kRows for k = 1, ...        (zeros beyond the edge)
//     panel of b: kColumns numbers for k = 0, kColumns for k = 1, ...
// A panel that lies in memory well enough, or is read too seldom to repay a copy, stays where it
// is. All are read through two strides, which is why the transposed products cost the same.
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

constexpr Index kDepth = 512;     // of k at a time, at most
constexpr Index kBlockRows = 96;  // of a: its panels stay in the second cache, b's go past them
constexpr Index kFewRows = 256;   // of a: too few to repay a copy of b
constexpr Index kPieceWork = 1 << 17;  // multiplications and additions that are worth a thread

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
    for (Index k = 0; k < depth; ++k) {
      const T* from = x.data + k * x.column;
      T* to = panel + k * Width;
      if (width == Width)
        std::memcpy(to, from, Width * sizeof(T));
      else
        std::fill_n(std::copy_n(from, width, to), Width - width, T(0));
    }
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

Index panels(Index extent, Index width) { return (extent + width - 1) / width; }

// The size, a multiple of `unit`, of equal parts of which none is larger than `most`.
Index part(Index extent, Index most, Index unit) {
  return panels(panels(extent, panels(extent, most)), unit) * unit;
}

// An operand as panels of Width rows and `depth` columns; b is seen through its transpose. Whole
// panels stay where they are, if they may; the others are packed.
template <Index Width, class T> struct Panels {
  Panels(View<T> x, Index rows, Index depth, bool may_stay)
      : x(x),
        rows(rows),
        depth(depth),
        in_place(may_stay ? rows / Width : 0),
        packed(Tensor<T>::uninitialized({(count() - in_place) * Width * depth})) {
    T* const first = packed.mutable_data();
    parallel_for(count() - in_place, panels(1 << 13, Width * depth), [&](Index begin, Index end) {
      for (Index p = begin; p < end; ++p)
        pack<Width>(x.at((in_place + p) * Width, 0), height(in_place + p), depth,
                    first + p * Width * depth);
    });
  }
  Index count() const { return panels(rows, Width); }
  Index height(Index p) const { return std::min(Width, rows - p * Width); }
  View<T> operator[](Index p) const {
    if (p < in_place) return x.at(p * Width, 0);
    return {packed.data() + (p - in_place) * Width * depth, 1, Width};
  }
  View<T> x;
  Index rows, depth, in_place;
  Tensor<T> packed;
};

// A tile of c, with rows `stride` apart, becomes the product of two panels, or has it added.
template <class T>
void multiply_tile(View<T> a, View<T> b, Index depth, bool add, T* c, Index stride) {
  using Vector = typename Tile<T>::Vector;
  constexpr Index kLanes = Tile<T>::kLanes;
  Vector sums[kRows][kVectors] = {};
  for (int i = 0; i < kRows; ++i)  // so that c is there when it is written
    for (int v = 0; v < kVectors; ++v) __builtin_prefetch(c + i * stride + v * kLanes, 1);
  for (Index k = 0; k < depth; ++k, a.data += a.column, b.data += b.column) {
    Vector bk[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      std::memcpy(&bk[v], b.data + v * kLanes, sizeof(Vector));
      __builtin_prefetch(b.data + v * kLanes + 8 * b.column);
    }
    for (int i = 0; i < kRows; ++i)
      for (int v = 0; v < kVectors; ++v) sums[i][v] += a.data[i * a.row] * bk[v];
  }
  for (int i = 0; i < kRows; ++i)
    for (int v = 0; v < kVectors; ++v) {
      T* to = c + i * stride + v * kLanes;
      Vector old = {};
      if (add) std::memcpy(&old, to, sizeof(Vector));
      old += sums[i][v];
      std::memcpy(to, &old, sizeof(Vector));
    }
}

// c, with rows `stride` apart, becomes the product of all panels, or has it added. Of many rows
// each thread takes some; of few, each takes some columns.
template <class T>
void multiply_panels(const Panels<kRows, T>& a, const Panels<Tile<T>::kColumns, T>& b, bool add,
                     T* c, Index stride) {
  constexpr Index kColumns = Tile<T>::kColumns;
  const Index block_rows = part(a.rows, kBlockRows, kRows), blocks = panels(a.rows, block_rows);
  const Index tasks = blocks * b.count();
  const Index grain = panels(kPieceWork * tasks, a.rows * b.rows * a.depth);
  parallel_for(tasks, grain, [&](Index begin, Index end) {
    for (Index task = begin; task < end; ++task) {
      const Index block = a.rows > kFewRows ? task / b.count() : task % blocks;
      const Index q = a.rows > kFewRows ? task % b.count() : task / blocks;
      const Index last = std::min((block + 1) * block_rows / kRows, a.count());
      for (Index p = block * block_rows / kRows; p < last; ++p) {
        T* const to = c + p * kRows * stride + q * kColumns;
        const Index rows = a.height(p), columns = b.height(q);
        if (rows == kRows && columns == kColumns) {
          multiply_tile(a[p], b[q], a.depth, add, to, stride);
          continue;
        }
        T tile[kRows * kColumns];
        multiply_tile(a[p], b[q], a.depth, false, tile, kColumns);
        for (Index i = 0; i < rows; ++i)
          for (Index j = 0; j < columns; ++j)
            to[i * stride + j] = tile[i * kColumns + j] + (add ? to[i * stride + j] : T(0));
      }
    }
  });
}

template <class T> void multiply(View<T> a, View<T> b, T* c, Index m, Index n, Index k) {
  constexpr Index kColumns = Tile<T>::kColumns;
  const Index most_depth = part(k, kDepth, 1);
  for (Index k0 = 0; k0 < k; k0 += most_depth) {
    const Index depth = std::min(most_depth, k - k0);
    const Panels<kRows, T> as(a.at(0, k0), m, depth, a.column == 1);
    const Panels<kColumns, T> bs(b.at(k0, 0).transposed(), n, depth,
                                 b.column == 1 && m <= kFewRows);
    multiply_panels(as, bs, k0 > 0, c, n);
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
  if (m * n * k == 0) return Tensor<T>({m, n});
  View<T> a{x.data(), x.shape()[1], 1}, b{y.data(), y.shape()[1], 1};
  if (transpose_x) a = a.transposed();
  if (transpose_y) b = b.transposed();
  auto result = Tensor<T>::uninitialized({m, n});
  multiply(a, b, result.mutable_data(), m, n, k);
  return result;
}

template Tensor<float> detail::product(const char*, const Tensor<float>&, bool,
                                       const Tensor<float>&, bool);
template Tensor<double> detail::product(const char*, const Tensor<double>&, bool,
                                        const Tensor<double>&, bool);
}  // namespace gradus
