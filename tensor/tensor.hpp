#pragma once
#include <concepts>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tensor/error.hpp"
#include "tensor/shape.hpp"
#include "tensor/storage.hpp"

namespace gradus {
// A value: a shape and its numbers, contiguous and row-major (the last axis runs fastest), so the
// element (i, j) of a (2, 3) matrix stands at offset 3 i + j.
//
// Copying is cheap, because copies share one block of numbers, and safe, because whoever writes to
// a shared block first makes it its own: no two tensors ever change each other.
//
// T is float or double: everything that is declared here and in the other headers of tensor/ is
// instantiated for these two.
//
// Invariant: the block holds shape().size() numbers; a tensor without elements may have none.
//
// Thread safety: as the standard containers. Different tensors may be used by different threads,
// also when they share a block; one tensor may be read by several, unless one of them writes to it.
template <class T> class Tensor {
 public:
  // An empty tensor of shape (0).
  Tensor() : shape_(Shape::kEmpty) {}

  // Zeros.
  explicit Tensor(const Shape& shape);

  // The numbers in row-major order. Throws Error when their number is not shape.size().
  Tensor(const Shape& shape, const std::vector<T>& values);

  // A scalar, of shape (). A template so that Tensor({3}) means the shape.
  template <std::same_as<T> U> Tensor(U value) : Tensor(uninitialized({})) {
    *mutable_data() = value;
  }

  // A tensor whose elements are indeterminate.
  //
  // REQUIRES: each element is written before it is read.
  static Tensor uninitialized(const Shape& shape);

  Tensor(const Tensor&) = default;

  // What was moved from is empty, of shape (0).
  Tensor(Tensor&& other) noexcept
      : shape_(std::exchange(other.shape_, Shape::kEmpty)), storage_(std::move(other.storage_)) {}

  Tensor& operator=(const Tensor&) = default;

  // Exchanges the two: what was moved from then holds what this one held. (Emptying it would make a
  // scalar operation on a tape 2 % slower.)
  Tensor& operator=(Tensor&& other) noexcept {
    std::swap(shape_, other.shape_);
    std::swap(storage_, other.storage_);
    return *this;
  }

  const Shape& shape() const { return shape_; }

  // The number of axes.
  int rank() const { return shape_.rank(); }

  // The number of elements.
  Index size() const { return shape_.size(); }

  bool empty() const { return size() == 0; }

  // The extent of an axis; a negative one counts from the end. Throws Error when it is out of
  // range.
  Index extent(int axis) const { return shape_[normalize_axis("extent", axis, shape_)]; }

  // The elements in row-major order.
  const T* data() const { return static_cast<const T*>(storage_.data()); }

  const T* begin() const { return data(); }

  const T* end() const { return data() + size(); }

  std::vector<T> to_vector() const { return std::vector<T>(begin(), end()); }

  // The elements, for writing. Copies the block first when it is shared. The pointer is good until
  // this tensor is copied or assigned to.
  T* mutable_data();

  // One element, from one index an axis: x(1, 2). Throws Error when an index is out of range.
  template <std::convertible_to<Index>... I> T operator()(I... indices) const {
    return data()[offset({static_cast<Index>(indices)...})];
  }

  // Writes one element: x.set({1, 2}, 0.5). Throws Error when an index is out of range.
  void set(std::initializer_list<Index> indices, T value);

  // The number in a tensor of one element. Throws Error when there are more, or none.
  T item() const;

  // The same numbers in another shape. Costs nothing. Throws Error when the numbers of elements
  // differ.
  Tensor reshape(const Shape& shape) const;

  // The same; one extent may be -1, and is then worked out from the others. Throws Error when no
  // extent fits there.
  Tensor reshape(std::initializer_list<Index> extents) const;

  // Adds elementwise, in place. Throws Error unless the shapes are the same.
  Tensor& operator+=(const Tensor& other);

 private:
  Index offset(std::initializer_list<Index> indices) const;

  Shape shape_;
  Storage storage_;
};

// A tensor filled with one value.
template <class T> Tensor<T> full(const Shape& shape, std::type_identity_t<T> value);

// The numbers 0, 1, ..., n - 1, of shape (n).
template <class T> Tensor<T> arange(Index n);

// The n x n identity matrix.
template <class T> Tensor<T> identity(Index n);

// The same numbers in the other precision.
template <class To, class From> Tensor<To> cast(const Tensor<From>& x);

// The tensor as NumPy prints it: nested brackets, columns aligned, at most 8 digits after the
// point, and the middle left out of tensors of more than 1000 elements.
template <class T> std::string to_string(const Tensor<T>& x);
}  // namespace gradus

// fmt::print("{}\n", x)
template <class T> struct fmt::formatter<gradus::Tensor<T>> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }

  auto format(const gradus::Tensor<T>& x, format_context& context) const {
    return fmt::format_to(context.out(), "{}", gradus::to_string(x));
  }
};
