#include "tests/autograd/registry.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace gradus::test {
namespace {

// The inputs of the whole function from those that are left.
template <class Inputs>
Inputs with_inserted(Inputs inputs, std::size_t k, const typename Inputs::value_type& constant) {
  inputs.insert(inputs.begin() + static_cast<std::ptrdiff_t>(k), constant);
  return inputs;
}

struct WithConstant {
  Function f;
  std::size_t k;
  Tensor<double> constant;

  Var<double> operator()(const Vars& x) const {
    return f.of_vars(with_inserted(x, k, Var<double>(constant)));
  }

  Tensor<double> operator()(const Tensors& x) const {
    return f.of_tensors(with_inserted(x, k, constant));
  }

  Var<float> operator()(const FloatVars& x) const {
    return f.of_floats(with_inserted(x, k, Var<float>(cast<float>(constant))));
  }
};

}  // namespace

Case with_constant(const Case& c, std::size_t k, const std::string& name, bool linear) {
  Case result = c;
  result.name = name;
  result.f = WithConstant{c.f, k, c.inputs[k]};
  result.inputs.erase(result.inputs.begin() + static_cast<std::ptrdiff_t>(k));
  result.linear = linear;
  result.broadcasts = false;
  return result;
}

Tensor<double> apart(const Shape& shape, unsigned seed, int offset) {
  std::vector<double> values(shape.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = 0.5 * (static_cast<double>(i) - std::floor(values.size() / 2.0)) + 0.125 * offset;
  std::shuffle(values.begin(), values.end(), std::mt19937(seed));
  return Tensor<double>(shape, values);
}

const std::vector<Case>& registry() {
  static const std::vector<Case> all = [] {
    std::vector<Case> cases;
    for (const auto& topic : {elementwise_cases, reduce_cases, layout_cases, matmul_cases,
                              convolution_cases, linalg_cases}) {
      const std::vector<Case> own = topic();
      cases.insert(cases.end(), own.begin(), own.end());
    }
    return cases;
  }();
  return all;
}

}  // namespace gradus::test
