#pragma once
#include <cmath>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "tests/tensor/support.hpp"

namespace gradus::test {

using Vars = std::vector<Var<double>>;
using Tensors = std::vector<Tensor<double>>;

// x, with a gradient rule that has the given fault: of any f, the gradient of f(faulty(x)) is that
// of f(x) with the fault in f's rule for x.
inline Var<double> faulty(const Var<double>& x,
                          std::function<Tensor<double>(const Tensor<double>&)> fault) {
  Var<double> z = record<"test: faulty">(x.value(), x);
  add_rule(z, x, [fault](const Var<double>& dz) { return Var<double>(fault(dz.value())); });
  return z;
}

// A line of a tape's table.
struct TableRow {
  std::string operation;
  int constants = 0;  // among its inputs
};

inline std::vector<TableRow> rows_of(const Tape<double>& tape) {
  std::vector<TableRow> rows;
  std::istringstream lines(tape.table());
  std::string line;
  std::getline(lines, line);  // the heading
  while (std::getline(lines, line)) {
    TableRow row;
    std::istringstream words(line);
    std::string node;
    words >> node >> row.operation;
    std::string word;
    while (words >> word)
      if (word.starts_with("constant")) ++row.constants;
    rows.push_back(row);
  }
  return rows;
}

// The operations on a tape, in order.
inline std::vector<std::string> operations_on(const Tape<double>& tape) {
  std::vector<std::string> names;
  for (const TableRow& row : rows_of(tape)) names.push_back(row.operation);
  return names;
}

// d f / d x by central differences with step h, by a loop that shares nothing with gradcheck.
inline Tensor<double> differences(const std::function<double(const Tensor<double>&)>& f,
                                  const Tensor<double>& x, double h = 1e-5) {
  std::vector<double> result;
  for (Index i = 0; i < x.size(); ++i) {
    std::vector<double> above = x.to_vector();
    std::vector<double> below = above;
    above[i] += h;
    below[i] -= h;
    result.push_back((f(Tensor<double>(x.shape(), above)) - f(Tensor<double>(x.shape(), below))) /
                     (2 * h));
  }
  return Tensor<double>(x.shape(), result);
}

// The largest difference between the elements of two tensors of one shape.
template <class T> double distance(const Tensor<T>& x, const Tensor<T>& y) {
  EXPECT_EQ(x.shape(), y.shape());
  double largest = 0;
  for (Index i = 0; i < x.size() && i < y.size(); ++i) {
    const double d = std::fabs(double{x.data()[i]} - double{y.data()[i]});
    if (!(d <= largest)) largest = std::isnan(d) ? INFINITY : d;
  }
  return largest;
}

template <class T> bool same_bits(const Tensor<T>& x, const Tensor<T>& y) {
  return x.shape() == y.shape() && std::memcmp(x.data(), y.data(), x.size() * sizeof(T)) == 0;
}

}  // namespace gradus::test
