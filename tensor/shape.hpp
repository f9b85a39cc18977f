#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace gradus {
using Index = std::int64_t;

// Extents or indices for a message: "(2, 3)", "(3)", "()".
std::string to_string(std::span<const Index> numbers);

// Axes of a reduction: {0}, {1, 2}, {-1} (the last). Negative axes count from the end.
using Axes = std::vector<int>;

// The extents of a tensor, outermost axis first: () is a scalar, (3) a vector, (2, 3) a matrix of
// 2 rows and 3 columns.
//
// Invariant: rank() <= kMaxRank, every extent >= 0, and size() numbers of 16 bytes could be counted
// in bytes by an Index.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  // (0): no elements.
  static const Shape kEmpty;

  // (): a scalar.
  Shape() = default;

  // Throws Error when there are too many axes, an extent is negative or the size overflows.
  explicit Shape(std::span<const Index> extents);

  Shape(std::initializer_list<Index> extents) : Shape(std::span(extents.begin(), extents.size())) {}

  // The number of axes.
  int rank() const { return rank_; }

  // The number of elements: the product of the extents, 1 for a scalar.
  Index size() const { return size_; }

  // REQUIRES: 0 <= axis < rank()
  Index operator[](int axis) const { return extents_[axis]; }

  const Index* begin() const { return extents_.data(); }

  const Index* end() const { return extents_.data() + rank_; }

  // This shape with the extent of one axis replaced. Throws Error as the constructor does.
  // REQUIRES: 0 <= axis < rank()
  Shape with(int axis, Index extent) const;

  friend bool operator==(const Shape& a, const Shape& b) {
    return a.rank_ == b.rank_ && std::equal(a.begin(), a.end(), b.begin());
  }

  // "(2, 3)"
  std::string str() const { return to_string(std::span(begin(), end())); }

 private:
  constexpr Shape(int rank, Index size) : rank_(rank), size_(size) {}

  std::array<Index, kMaxRank> extents_{};
  int rank_ = 0;
  Index size_ = 1;
};

inline constexpr Shape Shape::kEmpty(1, 0);

// The axis counted from the front. Throws Error, naming `operation`, when it is out of range.
int normalize_axis(const char* operation, int axis, const Shape& shape);

// The shape in which two tensors meet elementwise. NumPy's rule: align the shapes at their last
// axes; extents must be equal, or one of them 1 or absent. Throws Error that names the axis.
Shape broadcast_shapes(const char* operation, const Shape& a, const Shape& b);

// The shape that is left of `shape` when `axes` are reduced (all of them when `axes` is empty):
// without them or, with `keepdims`, with an extent of 1 for each. Throws Error, naming `operation`,
// when an axis is out of range or named twice.
Shape reduced_shape(const char* operation, const Shape& shape, const Axes& axes, bool keepdims);
}  // namespace gradus

template <> struct fmt::formatter<gradus::Shape> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }

  auto format(const gradus::Shape& shape, format_context& context) const {
    return fmt::format_to(context.out(), "{}", shape.str());
  }
};
