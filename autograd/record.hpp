#pragma once
#include <algorithm>
#include <concepts>
#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "autograd/tape.hpp"

// How an operation comes onto the tape: its value is recorded, then a gradient rule is added for
// each input. In a file of your own this looks as it does in autograd/:
//
//     // z = ln cosh x   dx = dz tanh x
//     template <class T> Var<T> log_cosh(const Var<T>& x) {
//       Var<T> z = record<"log_cosh">(log_cosh(x.value()), x);
//       if (x.needs_gradient())
//         add_rule(z, x, [x](const Var<T>& dz) { return dz * tanh(x); });
//       return z;
//     }
//
// The brackets of a rule say what is kept until the sweep has passed. A rule is made of operations
// on Vars, so that it can be differentiated itself.
namespace gradus {

// The name of an operation. As a template argument of record it enters operation_names() when the
// program starts, whether the operation is ever called or not.
template <std::size_t size> struct OperationName {
  consteval OperationName(const char (&name)[size]) { std::copy_n(name, size, text); }

  char text[size];
};

// The names of all operations that this program contains, of your own ones too. The tests of
// autograd/ demand a gradient check of every rule of each that is defined there.
const std::set<std::string>& operation_names();

namespace detail {
// Adds a name to operation_names(), and returns it.
const char* enter_operation(const char* name);

template <OperationName name> inline const char* const operation_name = enter_operation(name.text);
}  // namespace detail

// The value of an operation, recorded under its name when one of the inputs needs a gradient, and
// otherwise a constant. Every input that needs a gradient gets a rule. Parameters that the tape has
// not met yet become leaves, in the order of the inputs. Throws Error when an input was recorded on
// another tape.
template <OperationName name, class T, std::derived_from<Var<T>>... Inputs>
Var<T> record(Tensor<T> value, const Inputs&... inputs) {
  const int need_gradient = (int{inputs.needs_gradient()} + ...);
  if (need_gradient == 0) return value;

  Tape<T>& tape = *Tape<T>::current();
  (tape.add_leaf_if_new(inputs), ...);
  return tape.push(detail::operation_name<name>, std::move(value),
                   {sizeof...(inputs), need_gradient});
}

// The same for an operation of any number of inputs.
template <OperationName name, class T>
Var<T> record(Tensor<T> value, const std::vector<Var<T>>& inputs) {
  int need_gradient = 0;
  for (const Var<T>& x : inputs) need_gradient += int{x.needs_gradient()};
  if (need_gradient == 0) return value;

  Tape<T>& tape = *Tape<T>::current();
  for (const Var<T>& x : inputs) tape.add_leaf_if_new(x);
  return tape.push(detail::operation_name<name>, std::move(value),
                   {static_cast<int>(inputs.size()), need_gradient});
}

// Says how the gradient with respect to the input x of an operation, dx, follows from the one with
// respect to its result z: dx = rule(dz), in the shape of x. Does nothing when x needs no gradient,
// but what the rule captured was then captured in vain: ask x.needs_gradient() first. Throws Error
// when z is not what was recorded last.
template <class T, std::invocable<const Var<T>&> F>
void add_rule(const Var<T>& z, const Var<T>& x, F&& rule) {
  if (x.needs_gradient()) Tape<T>::current()->add_rule(z, x, std::forward<F>(rule));
}

}  // namespace gradus
