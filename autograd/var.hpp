#pragma once
#include <concepts>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "tensor/tensor.hpp"

namespace gradus {

template <class T> class Parameter;
template <class T> class Tape;

// A number that converts to a constant.
template <class U>
concept Arithmetic = std::is_arithmetic_v<U>;

// A tensor that remembers where it came from: a value and, when a tape recorded it, its place
// there. Tensors and numbers convert to constants, which came from nowhere. T is float or double.
//
// A value that a tape recorded may be an input of operations while that tape is the current one.
// Afterwards, and beneath another tape, its numbers are still there, but an operation on it throws
// Error.
//
// A Var that is made of a parameter is that parameter's value at this moment, not a reference to
// it: make it, and whatever holds it (a distribution, say), anew beneath each tape.
template <class T> class Var {
 public:
  Var() = default;

  Var(const Tensor<T>& value) : value_(value) {}

  Var(Tensor<T>&& value) noexcept : value_(std::move(value)) {}

  template <Arithmetic U> Var(U number) : value_(static_cast<T>(number)) {}

  // The copy of a parameter is its leaf on the current tape, which is made where there is none yet;
  // without a tape it is a constant.
  Var(const Var& other) : value_(other.value_), tape_(other.tape_), node_(other.node_) {
    if (other.parameter_) become_leaf_of(*other.parameter_);
  }

  // What was moved from may only be assigned to or destroyed.
  Var(Var&& other) noexcept
      : value_(std::move(other.value_)), tape_(other.tape_), node_(other.node_) {}

  // Throws Error when this is a parameter, whose value is set by set_value.
  Var& operator=(const Var& other) { return *this = Var(other); }

  Var& operator=(Var&& other) {
    if (parameter_) fail_for_assignment();
    value_ = std::move(other.value_);
    tape_ = other.tape_;
    node_ = other.node_;
    return *this;
  }

  // A parameter is not moved from: what is trained stays where it is.
  template <std::same_as<Parameter<T>> P> Var(P&&) = delete;
  template <std::same_as<Parameter<T>> P> Var& operator=(P&&) = delete;

  const Tensor<T>& value() const { return value_; }

  const Shape& shape() const { return value_.shape(); }

  // The number in a value of one element. Throws Error when there are more, or none.
  T item() const { return value_.item(); }

  // Whether an operation on this value is recorded: it is a parameter or was recorded itself, and
  // the current tape is recording. Throws Error when it was recorded on another tape.
  bool needs_gradient() const;

  // The place of this value on the current tape; -1 where it has none: a constant, or a parameter
  // that nothing on the tape was computed from yet. Throws Error when it was recorded on another
  // tape.
  Index node() const;

 private:
  friend class Tape<T>;
  friend class Parameter<T>;
  void check_tape() const;
  [[noreturn]] void fail_for_tape() const;
  [[noreturn]] void fail_for_assignment() const;
  void become_leaf_of(Parameter<T>& parameter);

  Tensor<T> value_;
  std::uint64_t tape_ = 0;  // the id of the tape that recorded this; 0 for a constant
  Index node_ = -1;
  Parameter<T>* parameter_ = nullptr;  // this very object when it is a Parameter, and else nothing
};

// What is trained: a named tensor that is a leaf of every tape that is alive when it is used.
//
// A parameter outlives every tape that has met it, for a tape keeps its address and its name. It is
// neither copied nor moved: tapes, optimisers and models point to it.
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

  // Adds to grad. Throws Error when the shape is not the parameter's.
  void add_gradient(const Tensor<T>& gradient);

  // d loss / d value, added up by Tape::backward; empty when there is none yet.
  Tensor<T> grad;

 private:
  std::string name_;
};

// What becomes a constant beside a Var<T>: a tensor or a number.
template <class X, class T>
concept ConstantOf = std::convertible_to<X, Var<T>> && !std::derived_from<X, Var<T>>;

}  // namespace gradus
