#pragma once
#include <functional>
#include <span>
#include <string>
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
  Index node() const;

 private:
  friend class Tape<T>;
  friend class Parameter<T>;
  void become_leaf_of(Parameter<T>& parameter);
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

// How the gradient with respect to an output, dz, becomes the one with respect to an input.
template <class T> using Rule = std::function<Var<T>(const Var<T>& dz, const Var<T>& z)>;
// An input of a recorded operation: its node, and the rule that serves it.
template <class T> struct Edge {
  Index input = -1;  // -1: a constant, which needs no rule
  Rule<T> rule;
  bool uses_output = false;
};

// Pairs an input with its gradient rule, which takes (dz) or (dz, z), where z is the operation's
// own result. The rule is dropped at once when x needs no gradient.
template <class T, class F> Edge<T> wrt(const Var<T>& x, F rule) {
  const Index input = x.node();
  if (input < 0) return {};
  if constexpr (std::is_invocable_v<F, const Var<T>&, const Var<T>&>)
    return {input, std::move(rule), true};
  else
    return {input, [rule = std::move(rule)](const Var<T>& dz, const Var<T>&) { return rule(dz); }};
}

namespace detail {
template <class T> Var<T> record(const char* name, Tensor<T> value, std::span<Edge<T>> edges);
}

// The value of an operation, recorded when one of its inputs needs a gradient.
template <class T, class... Edges>
Var<T> record(const char* name, Tensor<T> value, Edges... edges) {
  Edge<T> all[] = {std::move(edges)...};
  return detail::record<T>(name, std::move(value), all);
}
}  // namespace gradus
