#pragma once
#include "tensor/tensor.hpp"

namespace gradus {
template <class T> class Parameter;
template <class T> class Tape;

// A tensor that remembers where it came from: a value and, when a tape recorded it, its place
// there. Tensors and numbers convert to constants. T is float or double.
template <class T> class Var {
 public:
  Var() = default;

  Var(Tensor<T> value) : value_(std::move(value)) {}
  template <class U>

  requires std::is_arithmetic_v<U> Var(U number) : value_(static_cast<T>(number)) {}

  Var(const Var& other) : value_(other.value_), tape_(other.tape_), node_(other.node_) {
    if (other.parameter_) become_leaf_of(*other.parameter_);
  }

  Var(Var&& other) noexcept = default;

  Var& operator=(const Var& other) { return *this = Var(other); }

  Var& operator=(Var&& other) noexcept = default;

  const Tensor<T>& value() const { return value_; }

  const Shape& shape() const { return value_.shape(); }

  T item() const { return value_.item(); }

  // The node that a tape that is now recording has, or gives, to this value; -1 for a constant, or
  // when nobody records. Throws Error when the value belongs to another tape than the current one.
  Index node() const { return tape_ == 0 && !parameter_ ? -1 : find_node(); }

 private:
  friend class Tape<T>;
  friend class Parameter<T>;
  Index find_node() const;
  void become_leaf_of(const Parameter<T>& parameter);
  Tensor<T> value_;
  std::uint64_t tape_ = 0;  // the number of the tape that recorded this, 0 for a constant
  Index node_ = -1;
  Parameter<T>* parameter_ = nullptr;  // this very object, when it is one
};

// What is trained: a named tensor that is a leaf of every tape that is alive when it is used.
// Tapes, optimisers and models point to it, so it stays where it was made.
template <class T> class Parameter : public Var<T> {
 public:
  Parameter(std::string name, Tensor<T> value);
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;

  const std::string& name() const { return name_; }

  // Throws Error when the shape changes.
  void set_value(Tensor<T> value);

  // For optimisers, which change the numbers in place.
  Tensor<T>& mutable_value() { return this->value_; }

  // d loss / d value, added up by Tape::backward; empty when there is none yet.
  Tensor<T> grad;

 private:
  friend class Var<T>;
  std::string name_;
};
}  // namespace gradus
