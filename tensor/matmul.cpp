#include "tensor/matmul.hpp"

// c = a b, with m x k times k x n.
// The naive loops read every number of b from memory once for every row of a. Here the work is cut
// into tiles of c, kRows x kColumns numbers that stay in vector registers while k runs: each number
// loaded is then used kRows or kColumns times. What a tile reads is kRows rows of a and kColumns
// columns of b, a panel of each, through two strides, which is why the transposed products cost the
// same. A panel that lies badly in memory is copied ("packed") in the order in which tiles read it,
//     panel of a: kRows numbers for k = 0, kRows for k = 1, ...        (zeros beyond the edge)
//     panel of b: kColumns numbers for k = 0, kColumns for k = 1, ...
// by the thread that reads it, just before, or by all threads at first if all of them read it.
namespace gradus {
namespace {
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64, kRows = 12, kRowStep = 4;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32, kRows = 6, kRowStep = 2;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16, kRows = 8, kRowStep = 4;
#else
constexpr int kVectorBytes = 16, kRows = 4, kRowStep = 2;
#endif
constexpr int kVectors = 2;  // side by side in a tile: kRows * kVectors running sums

// At an edge of c a tile has fewer rows, by steps of kRowStep, or only one vector side by side.
template <class T> struct Tile {
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  static constexpr Index kLanes = kVectorBytes / sizeof(T), kColumns = kVectors * kLanes;
};

constexpr Index kDepth = 512;     // of k at a time, at most
constexpr Index kBlockRows = 96;  // of a: its panels stay in the second cache, b's go past them
constexpr Index kFewRows = 256;   // of a: all threads read them, in either order of its numbers
constexpr Index kPieceWork = 1 << 17;  // multiplications and additions that are worth a thread

constexpr Index panels(Index extent, Index width) { return (extent + width - 1) / width; }

// A matrix seen through strides: element (i, j) stands at data[i * row + j * column].
template <class T> struct View {
  const T* data;
  Index row, column;

  View at(Index i, Index j) const { return {data + i * row + j * column, row, column}; }

  View transposed() const { return {data, column, row}; }

  // Rows that are a multiple of 2 KiB apart share few places in the caches: each drives others out.
  bool lies_well() const { return std::max(row, column) * sizeof(T) % 2048 != 0; }
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
  for (Index k = 0; x.row == 1 && k < depth; ++k)  // where columns are contiguous
    if (width == Width)
      std::memcpy(panel + k * Width, x.at(0, k).data, Width * sizeof(T));
    else
      std::fill_n(std::copy_n(x.at(0, k).data, width, panel + k * Width), Width - width, T(0));
  for (Index k = 0; x.row != 1 && k < depth; k += kLanes)  // where rows are: in transposed tiles
    for (Index i = 0; i < Width; i += kLanes) {
      const Index run = std::min(kLanes, depth - k), rows = std::min(kLanes, Width - i);
      typename Tile<T>::Vector tile[kLanes];
      if (run == kLanes && rows <= width - i) {
        for (Index row = 0; row < kLanes; ++row)  // those beyond `rows` are not copied out
          std::memcpy(&tile[row], x.at(i + std::min(row, rows - 1), k).data, sizeof(tile[0]));
      } else {
        std::memset(tile, 0, sizeof(tile));
        for (Index row = 0; row < std::min(rows, width - i); ++row)
          std::memcpy(&tile[row], x.at(i + row, k).data, run * sizeof(T));
      }
      transpose_tile(tile, std::make_index_sequence<kLanes>());
      for (Index c = 0; c < run; ++c)
        std::memcpy(panel + (k + c) * Width + i, &tile[c], rows * sizeof(T));
    }
}

// An operand as panels of Width rows and `depth` columns; b is seen through its transpose. A panel
// that may stay is read where it lies, if its rows are a multiple of Step, which tiles fit.
template <Index Width, Index Step, class T> struct Panels {
  View<T> x;
  Index rows, depth;
  bool may_stay;
  Tensor<T> packed{};  // all panels, or none

  Index count() const { return panels(rows, Width); }

  Index height(Index p) const { return std::min(Width, rows - p * Width); }

  Index size() const { return Width * depth; }  // of a packed panel

  // Packs panels that every thread is going to read.
  void share() {
    if (may_stay) return;
    packed = Tensor<T>::uninitialized({count() * size()});
    T* const first = packed.mutable_data();
    parallel_for(count(), panels(1 << 13, size()), [&](Index begin, Index end) {
      for (Index p = begin; p < end; ++p)
        pack<Width>(x.at(p * Width, 0), height(p), depth, first + p * size());
    });
  }

  // Panel p: where it lies, or shared, or packed into `room`.
  View<T> panel(Index p, T* room) const {
    if (!packed.empty()) return {packed.data() + p * size(), 1, Width};
    if (may_stay && height(p) % Step == 0) return x.at(p * Width, 0);
    pack<Width>(x.at(p * Width, 0), height(p), depth, room);
    return {room, 1, Width};
  }
};

// A tile of c, with rows `stride` apart, becomes the product of two panels, or has it added.
template <int Rows, int Vectors, class T>
[[gnu::always_inline]] inline void multiply_tile(View<T> a, View<T> b, Index depth, bool add, T* c,
                                                 Index stride) {
  using Vector = typename Tile<T>::Vector;
  constexpr Index kLanes = Tile<T>::kLanes;
  Vector sums[Rows][Vectors] = {};
  for (int i = 0; i < Rows; ++i)  // so that c is there when it is written
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + i * stride + v * kLanes, 1);
  for (Index k = 0; k < depth; ++k, a.data += a.column, b.data += b.column) {
    Vector bk[Vectors];
    for (int v = 0; v < Vectors; ++v) {
      std::memcpy(&bk[v], b.data + v * kLanes, sizeof(Vector));
      __builtin_prefetch(b.data + v * kLanes + 8 * b.column);
    }
    for (int i = 0; i < Rows; ++i)
      for (int v = 0; v < Vectors; ++v) sums[i][v] += a.data[i * a.row] * bk[v];
  }
  for (int i = 0; i < Rows; ++i)
    for (int v = 0; v < Vectors; ++v) {
      T* to = c + i * stride + v * kLanes;
      Vector old = {};
      if (add) std::memcpy(&old, to, sizeof(Vector));
      old += sums[i][v];
      std::memcpy(to, &old, sizeof(Vector));
    }
}

// The same for the first `rows` x `columns` of a tile, by the smallest tile that covers them.
template <int Rows = kRows, class T>
void multiply_panels(View<T> a, View<T> b, Index rows, Index columns, Index depth, bool add, T* c,
                     Index stride) {
  constexpr Index kLanes = Tile<T>::kLanes, kColumns = Tile<T>::kColumns;
  if (rows == Rows && columns == kColumns)  // nearly always, so that this one is inlined
    return multiply_tile<Rows, kVectors>(a, b, depth, add, c, stride);
  if constexpr (Rows > kRowStep)
    if (rows <= Rows - kRowStep)
      return multiply_panels<Rows - kRowStep>(a, b, rows, columns, depth, add, c, stride);
  const auto f = columns <= kLanes ? multiply_tile<Rows, 1, T> : multiply_tile<Rows, kVectors, T>;
  if (rows == Rows && columns % kLanes == 0) return f(a, b, depth, add, c, stride);
  T tile[Rows * kColumns];
  f(a, b, depth, false, tile, kColumns);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j)
      c[i * stride + j] = tile[i * kColumns + j] + (add ? c[i * stride + j] : T(0));
}

// c becomes the product, or has it added. A c of few rows is shared out by columns, and all threads
// read the panels of a; one of many rows by blocks of rows, and they read those of b: same sums.
template <class T>
void multiply(Panels<kRows, kRowStep, T> a, Panels<Tile<T>::kColumns, Tile<T>::kLanes, T> b,
              bool add, T* c) {
  const Index m = a.rows, n = b.rows, depth = a.depth, threads = num_threads();
  const bool few_rows = m <= kFewRows;
  few_rows ? a.share() : b.share();
  const Index blocks = few_rows ? std::min(a.count(), panels(threads, b.count()))
                                : panels(panels(m, kBlockRows), threads) * threads;
  const Index groups = few_rows ? b.count() : 1, tasks = blocks * groups;
  parallel_for(tasks, panels(kPieceWork * tasks, m * n * depth), [&](Index begin, Index end) {
    std::array<View<T>, panels(kFewRows, kRows)> block;
    auto room = Tensor<T>::uninitialized({b.size() + panels(a.count(), blocks) * a.size()});
    T *const of_b = room.mutable_data(), *const of_a = of_b + b.size();
    for (Index task = begin; task < end; ++task) {
      const Index first = task / groups * a.count() / blocks;
      const Index last = (task / groups + 1) * a.count() / blocks;
      if (task == begin || task % groups == 0)
        for (Index p = first; p < last; ++p)
          block[p - first] = a.panel(p, of_a + (p - first) * a.size());
      for (Index q = task % groups; q < b.count(); q += groups) {  // all, or one
        const View<T> column = b.panel(q, of_b);
        for (Index p = first; p < last; ++p)
          multiply_panels(block[p - first], column, a.height(p), b.height(q), depth, add,
                          c + p * kRows * n + q * Tile<T>::kColumns, n);
      }
    }
  });
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
  const Index parts = panels(k, kDepth), most = panels(k, parts);
  for (Index k0 = 0; k0 < k; k0 += most) {
    const View<T> as = a.at(0, k0), bs = b.at(k0, 0).transposed();
    const Index depth = std::min(most, k - k0);
    multiply<T>({as, m, depth, a.lies_well() && (a.column == 1 || m <= kFewRows)},
                {bs, n, depth, b.column == 1 && b.lies_well()}, k0 > 0, result.mutable_data());
  }
  return result;
}

template Tensor<float> detail::product(const char*, const Tensor<float>&, bool,
                                       const Tensor<float>&, bool);
template Tensor<double> detail::product(const char*, const Tensor<double>&, bool,
                                        const Tensor<double>&, bool);
}  // namespace gradus
