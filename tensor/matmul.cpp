#include "tensor/matmul.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "tensor/error.hpp"
#include "tensor/parallel.hpp"
#include "tensor/shape.hpp"

// c = a b, with m x k times k x n.
//
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
// A tile's running sums take kRows * kVectors vector registers, a row of b another kVectors, and an
// element of a, repeated, one more: with AVX-512 12 * 2 + 2 + 1 = 27 of 32.
constexpr int kVectors = 2;  // side by side in a tile
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRows = 12;
constexpr int kRowStep = 4;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
constexpr int kRows = 6;  // 15 of 16 registers
constexpr int kRowStep = 2;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16;
constexpr int kRows = 8;  // 19 of 32
constexpr int kRowStep = 4;
#else
constexpr int kVectorBytes = 16;
constexpr int kRows = 4;  // 11 of 16, where there are so many
constexpr int kRowStep = 2;
#endif

// At an edge of c a tile has fewer rows, by steps of kRowStep, or only one vector side by side.
template <class T> struct Tile {
  // A vector with elementwise arithmetic, by an extension of GCC and Clang.
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  static constexpr Index kLanes = kVectorBytes / sizeof(T);
  static constexpr Index kColumns = kVectors * kLanes;
};

// At most so much of k at a time.
constexpr Index kDepth = 512;

// So many rows of a make a block, whose panels stay in the second-level cache while all of b's go
// past: 96 x 512 floats are 192 KiB.
constexpr Index kBlockRows = 96;

// If a has no more rows than this, c is shared out among threads by its columns, and all of them
// read all of a. Otherwise it is shared out by its rows, and all of them read all of b.
constexpr Index kFewRows = 256;

// So many multiplications are worth waking a thread for.
constexpr Index kPieceWork = 1 << 17;

// x / y, rounded up.
constexpr Index divide_up(Index x, Index y) { return (x + y - 1) / y; }

// A matrix seen through strides: element (i, j) stands at data[i * row + j * column].
template <class T> struct View {
  const T* data;
  Index row;
  Index column;

  View at(Index i, Index j) const { return {data + i * row + j * column, row, column}; }

  View transposed() const { return {data, column, row}; }

  // Rows that are a multiple of 2 KiB apart share few places in the caches: each drives others out.
  bool cache_friendly() const { return std::max(row, column) * sizeof(T) % 2048 != 0; }
};

// Transposes a square tile of as many vectors as a vector has lanes, in rounds. A round shuffles
// the first half of the vectors with the second as one shuffles the halves of a pack of cards: lane
// by lane in turn. For vectors of 4 lanes:
//
//     a b c d      a i b j      a e i m
//     e f g h  ->  c k d l  ->  b f j n
//     i j k l      e m f n      c g k o
//     m n o p      g o h p      d h l p
//
// Why this transposes: write the place of an element in binary, first its vector's digits, then its
// lane's. A round rotates these digits by one. After as many rounds as a lane has digits, the two
// have changed places.
template <class V, std::size_t... I> void transpose_tile(V* x, std::index_sequence<I...>) {
  constexpr int n = sizeof...(I);
  V y[n];
  for (int round = 1; round < n; round *= 2) {
    for (int i = 0; i < n / 2; ++i) {
      y[2 * i] = __builtin_shufflevector(x[i], x[i + n / 2], (I / 2 + I % 2 * n)...);
      y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + n / 2], (I / 2 + I % 2 * n + n / 2)...);
    }
    std::copy_n(y, n, x);
  }
}

// Packing copies `width` of a view's rows, for `depth` of its columns, into a panel of `Width`
// rows, of which those beyond `width` are zeros. This way where the view's columns are contiguous:
template <Index Width, class T>
void pack_columns(View<T> x, Index width, Index depth, T* __restrict panel) {
  for (Index k = 0; k < depth; ++k) {
    const T* const from = x.at(0, k).data;
    T* const to = panel + k * Width;
    if (width == Width) {
      std::memcpy(to, from, Width * sizeof(T));
    } else {
      std::copy_n(from, width, to);
      std::fill_n(to + width, Width - width, T(0));
    }
  }
}

// Loads the first kLanes numbers of the rows i, i + 1, ... from column k on. There are `rows` of
// them; the last is repeated, so that the tile is full.
template <class T>
void load_whole_tile(View<T> x, Index i, Index k, Index rows, typename Tile<T>::Vector* tile) {
  for (Index row = 0; row < Tile<T>::kLanes; ++row)
    std::memcpy(&tile[row], x.at(i + std::min(row, rows - 1), k).data, sizeof(tile[row]));
}

// Loads `rows` rows of `columns` numbers each; the rest of the tile is zeros.
template <class T>
void load_part_of_tile(View<T> x, Index i, Index k, Index rows, Index columns,
                       typename Tile<T>::Vector* tile) {
  std::memset(tile, 0, Tile<T>::kLanes * sizeof(tile[0]));
  for (Index row = 0; row < rows; ++row)
    std::memcpy(&tile[row], x.at(i + row, k).data, columns * sizeof(T));
}

// Stores the first `rows` numbers of each of the first `columns` vectors, `stride` apart.
template <class T>
void store_columns(const typename Tile<T>::Vector* tile, Index rows, Index columns, T* to,
                   Index stride) {
  for (Index column = 0; column < columns; ++column)
    std::memcpy(to + column * stride, &tile[column], rows * sizeof(T));
}

// And this way where its rows are: square tiles of as many rows as a vector has lanes are loaded
// row by row, transposed in registers, and stored column by column.
template <Index Width, class T>
void pack_rows(View<T> x, Index width, Index depth, T* __restrict panel) {
  constexpr Index kLanes = Tile<T>::kLanes;
  for (Index k = 0; k < depth; k += kLanes) {
    for (Index i = 0; i < Width; i += kLanes) {
      const Index columns = std::min(kLanes, depth - k);
      const Index rows = std::min(kLanes, Width - i);              // that the panel has
      const Index filled = std::clamp(width - i, Index{0}, rows);  // that x has

      typename Tile<T>::Vector tile[kLanes];
      if (columns == kLanes && filled == rows)
        load_whole_tile(x, i, k, rows, tile);
      else
        load_part_of_tile(x, i, k, filled, columns, tile);

      transpose_tile(tile, std::make_index_sequence<kLanes>());
      store_columns(tile, rows, columns, panel + k * Width + i, Width);
    }
  }
}

template <Index Width, class T>
void pack(View<T> x, Index width, Index depth, T* __restrict panel) {
  if (x.row == 1)
    pack_columns<Width>(x, width, depth, panel);
  else
    pack_rows<Width>(x, width, depth, panel);
}

// An operand as panels of Width rows and `depth` columns; b is seen through its transpose. An
// operand that lies well in memory is read in place, except for a last panel whose rows are no
// multiple of Step: a tile would read beyond them.
template <Index Width, Index Step, class T> struct Panels {
  View<T> x;
  Index extent;  // rows of a, or columns of b
  Index depth;
  bool read_in_place;
  Tensor<T> packed{};  // all panels, or none

  Index count() const { return divide_up(extent, Width); }

  // The rows of panel p: Width but for the last.
  Index height(Index p) const { return std::min(Width, extent - p * Width); }

  // The numbers in a packed panel.
  Index size() const { return Width * depth; }

  // Packs all panels, for every thread to read, unless they are read in place.
  void pack_all() {
    if (read_in_place) return;

    packed = Tensor<T>::uninitialized({count() * size()});
    T* const first = packed.mutable_data();
    parallel_for(count(), divide_up(detail::kPiece, size()), [this, first](Index begin, Index end) {
      for (Index p = begin; p < end; ++p)
        pack<Width>(x.at(p * Width, 0), height(p), depth, first + p * size());
    });
  }

  // Panel p: packed already, or where it lies, or now packed into `buffer`.
  View<T> panel(Index p, T* buffer) const {
    if (!packed.empty()) return {packed.data() + p * size(), 1, Width};

    if (read_in_place && height(p) % Step == 0) return x.at(p * Width, 0);

    pack<Width>(x.at(p * Width, 0), height(p), depth, buffer);
    return {buffer, 1, Width};
  }
};

template <class T> using PanelsOfA = Panels<kRows, kRowStep, T>;

template <class T> using PanelsOfB = Panels<Tile<T>::kColumns, Tile<T>::kLanes, T>;

// A tile of c, with rows `stride` apart, becomes the product of two panels, or has it added if
// `accumulate`.
template <int Rows, int Vectors, class T>
[[gnu::always_inline]] inline void multiply_tile(View<T> a, View<T> b, Index depth, bool accumulate,
                                                 T* c, Index stride) {
  using Vector = typename Tile<T>::Vector;
  constexpr Index kLanes = Tile<T>::kLanes;

  Vector sums[Rows][Vectors] = {};

  for (int i = 0; i < Rows; ++i)  // so that c is there when it is written
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + i * stride + v * kLanes, 1);

  for (Index k = 0; k < depth; ++k) {
    Vector bk[Vectors];
    for (int v = 0; v < Vectors; ++v) {
      std::memcpy(&bk[v], b.data + v * kLanes, sizeof(Vector));
      __builtin_prefetch(b.data + v * kLanes + 8 * b.column);
    }
    for (int i = 0; i < Rows; ++i)
      for (int v = 0; v < Vectors; ++v) sums[i][v] += a.data[i * a.row] * bk[v];
    a.data += a.column;
    b.data += b.column;
  }

  for (int i = 0; i < Rows; ++i) {
    for (int v = 0; v < Vectors; ++v) {
      T* to = c + i * stride + v * kLanes;
      Vector old = {};
      if (accumulate) std::memcpy(&old, to, sizeof(Vector));
      old += sums[i][v];
      std::memcpy(to, &old, sizeof(Vector));
    }
  }
}

// The same for the first `rows` x `columns` of a tile, by the smallest tile that covers them.
template <int Rows = kRows, class T>
void multiply_panels(View<T> a, View<T> b, Index rows, Index columns, Index depth, bool accumulate,
                     T* c, Index stride) {
  constexpr Index kLanes = Tile<T>::kLanes;
  constexpr Index kColumns = Tile<T>::kColumns;

  if (rows == Rows && columns == kColumns) {  // nearly always, so that this one is inlined
    multiply_tile<Rows, kVectors>(a, b, depth, accumulate, c, stride);
    return;
  }

  if constexpr (Rows > kRowStep) {
    if (rows <= Rows - kRowStep) {
      multiply_panels<Rows - kRowStep>(a, b, rows, columns, depth, accumulate, c, stride);
      return;
    }
  }

  constexpr auto narrow = multiply_tile<Rows, 1, T>;
  constexpr auto wide = multiply_tile<Rows, kVectors, T>;
  const auto multiply_covering = columns <= kLanes ? narrow : wide;
  if (rows == Rows && columns % kLanes == 0) {
    multiply_covering(a, b, depth, accumulate, c, stride);
    return;
  }

  // The tile is larger than what there is of c: it goes into a buffer, and from there into c.
  T tile[Rows * kColumns];
  multiply_covering(a, b, depth, false, tile, kColumns);
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) {
      const T old = accumulate ? c[i * stride + j] : T(0);
      c[i * stride + j] = tile[i * kColumns + j] + old;
    }
  }
}

// How c is shared out among threads: its rows in blocks of a's panels, its columns in groups of
// b's, of which group g has the panels g, g + groups, ... One block and one group make a task. The
// sums in c are the same, however it is shared out.
struct Schedule {
  Index blocks;
  Index groups;

  Index tasks() const { return blocks * groups; }
};

// A c of few rows is shared out by columns, one panel of b a group: all threads read a's panels.
Schedule schedule_few_rows(Index a_panels, Index b_panels) {
  return {.blocks = std::min(a_panels, divide_up(num_threads(), b_panels)), .groups = b_panels};
}

// One of many rows is shared out by blocks of rows, as many to each thread: all read those of b.
Schedule schedule_many_rows(Index m) {
  const Index threads = num_threads();
  return {.blocks = divide_up(divide_up(m, kBlockRows), threads) * threads, .groups = 1};
}

// One product: c, of a.extent x b.extent, becomes a b, or has it added. The innermost loop of a
// tile needs nearly all registers, so what it does not need should stay in memory: with
// `accumulate` and `c` as arguments of the functions, and not members, products took 6 % longer.
template <class T> struct Product {
  PanelsOfA<T> a;
  PanelsOfB<T> b;
  bool accumulate;
  T* c;
  Schedule schedule{};

  void run() {
    if (a.extent <= kFewRows) {
      a.pack_all();
      schedule = schedule_few_rows(a.count(), b.count());
    } else {
      b.pack_all();
      schedule = schedule_many_rows(a.extent);
    }

    const Index work = a.extent * b.extent * a.depth;
    const Index grain = divide_up(kPieceWork * schedule.tasks(), work);  // tasks worth a thread
    parallel_for(schedule.tasks(), grain,
                 [this](Index begin, Index end) { run_tasks(begin, end); });
  }

  // Does the tasks begin, ..., end - 1, with panels packed into this thread's own buffer.
  void run_tasks(Index begin, Index end) const {
    const Index blocks = schedule.blocks;
    const Index groups = schedule.groups;
    auto buffer = Tensor<T>::uninitialized({b.size() + divide_up(a.count(), blocks) * a.size()});
    T* const buffer_of_b = buffer.mutable_data();
    T* const buffer_of_a = buffer_of_b + b.size();
    // One block's panels of a: with few rows it may be all of them, with many those of about
    // kBlockRows rows, which are fewer.
    std::array<View<T>, divide_up(kFewRows, kRows)> block_of_a;

    for (Index task = begin; task < end; ++task) {
      const Index block = task / groups;
      const Index group = task % groups;
      const Index first = block * a.count() / blocks;
      const Index last = (block + 1) * a.count() / blocks;

      if (task == begin || group == 0) {  // the first task in this block
        for (Index p = first; p < last; ++p)
          block_of_a[p - first] = a.panel(p, buffer_of_a + (p - first) * a.size());
      }

      for (Index q = group; q < b.count(); q += groups) {
        const View<T> panel_of_b = b.panel(q, buffer_of_b);
        for (Index p = first; p < last; ++p)
          multiply_panels(block_of_a[p - first], panel_of_b, a.height(p), b.height(q), a.depth,
                          accumulate, c + p * kRows * b.extent + q * Tile<T>::kColumns, b.extent);
      }
    }
  }
};

// What a caller may have meant whose inner dimensions differ, to be put behind the message.
const char* suggestion(const Shape& x, bool transpose_x, const Shape& y, bool transpose_y) {
  const bool plain = !transpose_x && !transpose_y;
  if (plain && x[0] == y[0]) return " For x^T y use matmul_tn.";
  if (plain && x[1] == y[1]) return " For x W^T use matmul_nt.";
  if (x[1] == y[0]) return " Without a transpose, use matmul.";
  return "";
}

// x y, in which each factor may be transposed.
template <class T>
Tensor<T> product(const char* operation, const Tensor<T>& x, bool transpose_x, const Tensor<T>& y,
                  bool transpose_y) {
  if (x.rank() != 2 || y.rank() != 2)
    fail("{}: {} x {}: both must be matrices; reshape first", operation, x.shape(), y.shape());

  const Index m = transpose_x ? x.shape()[1] : x.shape()[0];
  const Index k = transpose_x ? x.shape()[0] : x.shape()[1];
  const Index inner = transpose_y ? y.shape()[1] : y.shape()[0];
  const Index n = transpose_y ? y.shape()[0] : y.shape()[1];
  if (k != inner)
    fail("{}: {} x {}: inner dimensions {} and {} differ.{}", operation, x.shape(), y.shape(), k,
         inner, suggestion(x.shape(), transpose_x, y.shape(), transpose_y));
  if (m == 0 || n == 0 || k == 0) return Tensor<T>({m, n});  // m n k may overflow

  View<T> a{x.data(), x.shape()[1], 1};
  View<T> b{y.data(), y.shape()[1], 1};
  if (transpose_x) a = a.transposed();
  if (transpose_y) b = b.transposed();
  const bool a_in_place = a.cache_friendly() && (a.column == 1 || m <= kFewRows);
  const bool b_in_place = b.cache_friendly() && b.column == 1;

  // In equal parts of k, none deeper than kDepth. The first makes c, the others are added to it.
  auto result = Tensor<T>::uninitialized({m, n});
  const Index parts = divide_up(k, kDepth);
  const Index max_depth = divide_up(k, parts);
  for (Index k0 = 0; k0 < k; k0 += max_depth) {
    const Index depth = std::min(max_depth, k - k0);
    Product<T> part{.a = {a.at(0, k0), m, depth, a_in_place},
                    .b = {b.at(k0, 0).transposed(), n, depth, b_in_place},
                    .accumulate = k0 > 0,
                    .c = result.mutable_data()};
    part.run();
  }
  return result;
}
}  // namespace

template <class T> Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b) {
  return product("matmul", a, false, b, false);
}

template <class T> Tensor<T> matmul_tn(const Tensor<T>& a, const Tensor<T>& b) {
  return product("matmul_tn", a, true, b, false);
}

template <class T> Tensor<T> matmul_nt(const Tensor<T>& a, const Tensor<T>& b) {
  return product("matmul_nt", a, false, b, true);
}

template <class T> Tensor<T> matmul_naive(const Tensor<T>& a, const Tensor<T>& b) {
  if (a.rank() != 2 || b.rank() != 2 || a.shape()[1] != b.shape()[0])
    fail("matmul_naive: {} x {}: not two matrices with equal inner dimensions", a.shape(),
         b.shape());

  const Index m = a.shape()[0];
  const Index n = b.shape()[1];
  const Index k = a.shape()[1];
  Tensor<T> result({m, n});
  T* c = result.mutable_data();
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      for (Index l = 0; l < k; ++l) c[i * n + j] += a.data()[i * k + l] * b.data()[l * n + j];
    }
  }
  return result;
}

#define GRADUS_INSTANTIATE(T)                                       \
  template Tensor<T> matmul(const Tensor<T>&, const Tensor<T>&);    \
  template Tensor<T> matmul_tn(const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> matmul_nt(const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> matmul_naive(const Tensor<T>&, const Tensor<T>&);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
