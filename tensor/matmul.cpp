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
#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRows = 12;
constexpr int kRowStep = 4;
#elif defined(__AVX__)
constexpr int kVectorBytes = 32;
constexpr int kRows = 6;
constexpr int kRowStep = 2;
#elif defined(__aarch64__)
constexpr int kVectorBytes = 16;
constexpr int kRows = 8;
constexpr int kRowStep = 4;
#else
constexpr int kVectorBytes = 16;
constexpr int kRows = 4;
constexpr int kRowStep = 2;
#endif
constexpr int kVectors = 2;  // side by side in a tile: kRows * kVectors running sums

// At an edge of c a tile has fewer rows, by steps of kRowStep, or only one vector side by side.
template <class T> struct Tile {
  typedef T Vector __attribute__((vector_size(kVectorBytes)));
  static constexpr Index kLanes = kVectorBytes / sizeof(T);
  static constexpr Index kColumns = kVectors * kLanes;
};

constexpr Index kDepth = 512;     // of k at a time, at most
constexpr Index kBlockRows = 96;  // of a: its panels stay in the second cache, b's go past them
constexpr Index kFewRows = 256;   // of a: all threads read them, in either order of its numbers
constexpr Index kPieceWork = 1 << 17;  // multiplications and additions that are worth a thread

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

// Transposes as many vectors as a vector has lanes. A round takes the first and the second half of
// the vectors and shuffles them, lane by lane, like two halves of a pack of cards: it rotates the
// binary digits of (vector, lane) by one, and after as many rounds as a lane's number has digits,
// vector and lane have changed places.
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

// And this way where its rows are: square tiles of as many rows as a vector has lanes are loaded
// row by row, transposed in registers, and stored column by column.
template <Index Width, class T>
void pack_rows(View<T> x, Index width, Index depth, T* __restrict panel) {
  constexpr Index kLanes = Tile<T>::kLanes;
  for (Index k = 0; k < depth; k += kLanes) {
    for (Index i = 0; i < Width; i += kLanes) {
      const Index run = std::min(kLanes, depth - k);   // the columns that there are
      const Index rows = std::min(kLanes, Width - i);  // the rows that the panel has

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

      for (Index column = 0; column < run; ++column)
        std::memcpy(panel + (k + column) * Width + i, &tile[column], rows * sizeof(T));
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

// An operand as panels of Width rows and `depth` columns; b is seen through its transpose. A panel
// that may stay is read where it lies, if its rows are a multiple of Step, which tiles fit.
template <Index Width, Index Step, class T> struct Panels {
  View<T> x;
  Index rows;
  Index depth;
  bool may_stay;
  Tensor<T> packed{};  // all panels, or none

  Index count() const { return divide_up(rows, Width); }

  // The rows of panel p: Width but for the last.
  Index height(Index p) const { return std::min(Width, rows - p * Width); }

  // The numbers in a packed panel.
  Index size() const { return Width * depth; }

  // Packs the panels that may not stay, for every thread to read.
  void pack_all() {
    if (may_stay) return;

    packed = Tensor<T>::uninitialized({count() * size()});
    T* const first = packed.mutable_data();
    parallel_for(count(), divide_up(1 << 13, size()), [&](Index begin, Index end) {
      for (Index p = begin; p < end; ++p)
        pack<Width>(x.at(p * Width, 0), height(p), depth, first + p * size());
    });
  }

  // Panel p: packed already, or where it lies, or now packed into `room`.
  View<T> panel(Index p, T* room) const {
    if (!packed.empty()) return {packed.data() + p * size(), 1, Width};

    if (may_stay && height(p) % Step == 0) return x.at(p * Width, 0);

    pack<Width>(x.at(p * Width, 0), height(p), depth, room);
    return {room, 1, Width};
  }
};

template <class T> using PanelsOfA = Panels<kRows, kRowStep, T>;

template <class T> using PanelsOfB = Panels<Tile<T>::kColumns, Tile<T>::kLanes, T>;

// A tile of c, with rows `stride` apart, becomes the product of two panels, or has it added.
template <int Rows, int Vectors, class T>
[[gnu::always_inline]] inline void multiply_tile(View<T> a, View<T> b, Index depth, bool add, T* c,
                                                 Index stride) {
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
      if (add) std::memcpy(&old, to, sizeof(Vector));
      old += sums[i][v];
      std::memcpy(to, &old, sizeof(Vector));
    }
  }
}

// The same for the first `rows` x `columns` of a tile, by the smallest tile that covers them.
template <int Rows = kRows, class T>
void multiply_panels(View<T> a, View<T> b, Index rows, Index columns, Index depth, bool add, T* c,
                     Index stride) {
  constexpr Index kLanes = Tile<T>::kLanes;
  constexpr Index kColumns = Tile<T>::kColumns;

  if (rows == Rows && columns == kColumns) {  // nearly always, so that this one is inlined
    multiply_tile<Rows, kVectors>(a, b, depth, add, c, stride);
    return;
  }

  if constexpr (Rows > kRowStep) {
    if (rows <= Rows - kRowStep) {
      multiply_panels<Rows - kRowStep>(a, b, rows, columns, depth, add, c, stride);
      return;
    }
  }

  constexpr auto narrow = multiply_tile<Rows, 1, T>;
  constexpr auto wide = multiply_tile<Rows, kVectors, T>;
  const auto multiply_covering = columns <= kLanes ? narrow : wide;
  if (rows == Rows && columns % kLanes == 0) {
    multiply_covering(a, b, depth, add, c, stride);
    return;
  }

  // The tile is larger than what there is of c: into a place of its own, and over from there.
  T tile[Rows * kColumns];
  multiply_covering(a, b, depth, false, tile, kColumns);
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j)
      c[i * stride + j] = tile[i * kColumns + j] + (add ? c[i * stride + j] : T(0));
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

// One product: c, of a.rows x b.rows, becomes a b, or has it added. The innermost loop of a tile
// needs every register; `add` and `c` leave them to it as members, where as arguments they took 6 %
// longer.
template <class T> struct Product {
  PanelsOfA<T> a;
  PanelsOfB<T> b;
  bool add;
  T* c;
  Schedule schedule{};

  void run() {
    if (a.rows <= kFewRows) {
      a.pack_all();
      schedule = schedule_few_rows(a.count(), b.count());
    } else {
      b.pack_all();
      schedule = schedule_many_rows(a.rows);
    }

    const Index work = a.rows * b.rows * a.depth;
    const Index grain = divide_up(kPieceWork * schedule.tasks(), work);  // tasks worth a thread
    parallel_for(schedule.tasks(), grain,
                 [this](Index begin, Index end) { run_tasks(begin, end); });
  }

  // Does the tasks begin, ..., end - 1, with panels packed into this thread's own room.
  void run_tasks(Index begin, Index end) const {
    const Index blocks = schedule.blocks;
    const Index groups = schedule.groups;
    auto room = Tensor<T>::uninitialized({b.size() + divide_up(a.count(), blocks) * a.size()});
    T* const room_of_b = room.mutable_data();
    T* const room_of_a = room_of_b + b.size();
    std::array<View<T>, divide_up(kFewRows, kRows)> block_of_a;

    for (Index task = begin; task < end; ++task) {
      const Index block = task / groups;
      const Index group = task % groups;
      const Index first = block * a.count() / blocks;
      const Index last = (block + 1) * a.count() / blocks;

      if (task == begin || group == 0) {  // the first task in this block
        for (Index p = first; p < last; ++p)
          block_of_a[p - first] = a.panel(p, room_of_a + (p - first) * a.size());
      }

      for (Index q = group; q < b.count(); q += groups) {
        const View<T> panel_of_b = b.panel(q, room_of_b);
        for (Index p = first; p < last; ++p)
          multiply_panels(block_of_a[p - first], panel_of_b, a.height(p), b.height(q), a.depth, add,
                          c + p * kRows * b.rows + q * Tile<T>::kColumns, b.rows);
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
  const bool a_may_stay = a.cache_friendly() && (a.column == 1 || m <= kFewRows);
  const bool b_may_stay = b.cache_friendly() && b.column == 1;

  // In equal parts of k, none deeper than kDepth. The first makes c, the others are added to it.
  auto result = Tensor<T>::uninitialized({m, n});
  const Index parts = divide_up(k, kDepth);
  const Index max_depth = divide_up(k, parts);
  for (Index k0 = 0; k0 < k; k0 += max_depth) {
    const Index depth = std::min(max_depth, k - k0);
    Product<T> part{.a = {a.at(0, k0), m, depth, a_may_stay},
                    .b = {b.at(k0, 0).transposed(), n, depth, b_may_stay},
                    .add = k0 > 0,
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
  for (Index i = 0; i < m; ++i)
    for (Index j = 0; j < n; ++j)
      for (Index l = 0; l < k; ++l) c[i * n + j] += a.data()[i * k + l] * b.data()[l * n + j];
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
