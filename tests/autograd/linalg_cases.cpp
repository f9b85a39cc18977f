#include "tests/autograd/registry.hpp"

namespace gradus::test {
namespace {

// A symmetric positive definite matrix: R R^T + n/2.
Tensor<double> positive_definite(Index n, unsigned seed) {
  const Tensor<double> r = gaussian_numbers<double>({n, n}, seed);
  return matmul_nt(r, r) + identity<double>(n) * (0.5 * static_cast<double>(n));
}

// A lower triangle with a diagonal away from zero, and numbers above it that must not be read.
Tensor<double> triangle(Index n, unsigned seed) {
  return gaussian_numbers<double>({n, n}, seed) * 0.5 + identity<double>(n) * 2.5;
}

const Function kTril = [](const auto& x) { return tril(x[0]); };
const Function kCholesky = [](const auto& x) { return cholesky(x[0]); };
const Function kLogDeterminant = [](const auto& x) { return log_determinant(x[0]); };
const Function kSolveLower = [](const auto& x) { return solve_lower(x[0], x[1]); };
const Function kSolveLowerTransposed = [](const auto& x) {
  return solve_lower_transposed(x[0], x[1]);
};
const Function kSolveSpd = [](const auto& x) { return solve_spd(x[0], x[1]); };

// A system with a matrix and a right side: both recorded, and each of them a constant.
void add(const std::string& name, const Function& f, const Tensor<double>& matrix,
         const Tensor<double>& right, std::vector<Case>& cases) {
  const Case both = {.name = name, .f = f, .inputs = {matrix, right}};
  cases.push_back(both);
  cases.push_back(with_constant(both, 1, name + "_constant_b", /*linear=*/false));
  cases.push_back(with_constant(both, 0, name + "_constant_matrix", /*linear=*/true));
}

}  // namespace

std::vector<Case> linalg_cases() {
  std::vector<Case> cases = {
      {.name = "solve_lower_with_its_product",
       .f = [](const auto& x) { return solve_lower(x[0], matmul_nt(x[0], x[0])); },
       .inputs = {triangle(3, 5)}},
  };
  for (Index n : {1, 2, 4}) {
    const std::string end = fmt::format("_{}", n);
    const Tensor<double> l = triangle(n, 2);
    const Tensor<double> a = positive_definite(n, 1);
    const Tensor<double> asymmetric = a + tril(full<double>({n, n}, 0.3));
    cases.push_back({.name = "tril" + end, .f = kTril, .inputs = {l}, .linear = true});
    cases.push_back({.name = "cholesky" + end, .f = kCholesky, .inputs = {a}});
    cases.push_back(
        {.name = "cholesky_of_asymmetric" + end, .f = kCholesky, .inputs = {asymmetric}});
    cases.push_back({.name = "log_determinant" + end, .f = kLogDeterminant, .inputs = {a}});
    cases.push_back({.name = "log_determinant_of_asymmetric" + end,
                     .f = kLogDeterminant,
                     .inputs = {asymmetric}});
    for (const Shape& shape : {Shape{n, 3}, Shape{n, 1}, Shape{n}}) {
      const Tensor<double> b = gaussian_numbers<double>(shape, 3);
      const std::string right = shape.rank() == 1 ? "_vector" : fmt::format("_matrix_{}", shape[1]);
      add("solve_lower" + end + right, kSolveLower, l, b, cases);
      add("solve_lower_transposed" + end + right, kSolveLowerTransposed, l, b, cases);
      add("solve_spd" + end + right, kSolveSpd, a, b, cases);
    }
  }
  return cases;
}

}  // namespace gradus::test
