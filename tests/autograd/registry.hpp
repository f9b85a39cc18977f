#pragma once
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "autograd/operations.hpp"
#include "tests/autograd/support.hpp"

// What is checked of every operation. A new operation gets its cases in the file of its topic
// (elementwise_cases.cpp, ...); until it has one, OperationRegistry.HasEveryRuleOfEveryOperation
// fails.
namespace gradus::test {

using FloatVars = std::vector<Var<float>>;

// One function in three forms, from one generic lambda: [](const auto& x) { return x[0] + x[1]; }
struct Function {
  template <class F> Function(F f) : of_vars(f), of_tensors(f), of_floats(f) {}

  std::function<Var<double>(const Vars&)> of_vars;
  std::function<Tensor<double>(const Tensors&)> of_tensors;
  std::function<Var<float>(const FloatVars&)> of_floats;
};

// A function with inputs at which its gradient is checked.
struct Case {
  std::string name;  // of the test: letters, digits and _
  Function f;
  Tensors inputs;
  bool linear = false;             // no input has a second derivative
  std::vector<double> kinks = {};  // numbers at which it has no derivative
  bool broadcasts = false;         // its inputs against each other
};

inline void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

// All cases, topic by topic.
const std::vector<Case>& registry();

std::vector<Case> elementwise_cases();
std::vector<Case> reduce_cases();
std::vector<Case> layout_cases();
std::vector<Case> matmul_cases();
std::vector<Case> convolution_cases();
std::vector<Case> linalg_cases();

// The same case with input k held constant.
Case with_constant(const Case& c, std::size_t k, const std::string& name, bool linear);

inline Tensor<double> numbers(const std::vector<double>& values) {
  return Tensor<double>({std::ssize(values)}, values);
}

// The numbers k / 2 + offset / 8 for consecutive whole k around 0, shuffled: none is equal to, or
// closer than 1/8 to, one of another offset from 0 to 3.
Tensor<double> apart(const Shape& shape, unsigned seed, int offset);

}  // namespace gradus::test
