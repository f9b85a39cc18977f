#include "tests/autograd/registry.hpp"

namespace gradus::test {
namespace {

struct Extents {
  Index m, k, n;  // (m, k) x (k, n)
};

const std::vector<Extents> kExtents = {{2, 3, 4}, {1, 3, 1}, {3, 1, 2},
                                       {1, 1, 1}, {1, 2, 3}, {3, 2, 1}};

// Both operands recorded, and each of them a constant.
void add(const std::string& name, const Function& f, const Tensor<double>& a,
         const Tensor<double>& b, std::vector<Case>& cases) {
  const Case both = {.name = name, .f = f, .inputs = {a, b}};
  cases.push_back(both);
  cases.push_back(with_constant(both, 1, name + "_constant_b", /*linear=*/true));
  cases.push_back(with_constant(both, 0, name + "_constant_a", /*linear=*/true));
}

}  // namespace

std::vector<Case> matmul_cases() {
  const Tensor<double> square_matrix = gaussian_numbers<double>({3, 3}, 3);
  std::vector<Case> cases = {
      {.name = "matmul_with_itself",
       .f = [](const auto& x) { return matmul(x[0], x[0]); },
       .inputs = {square_matrix}},
      {.name = "matmul_tn_with_itself",
       .f = [](const auto& x) { return matmul_tn(x[0], x[0]); },
       .inputs = {square_matrix}},
      {.name = "matmul_nt_with_itself",
       .f = [](const auto& x) { return matmul_nt(x[0], x[0]); },
       .inputs = {square_matrix}},
  };
  for (const auto& [m, k, n] : kExtents) {
    const Tensor<double> a = gaussian_numbers<double>({m, k}, 1);
    const Tensor<double> b = gaussian_numbers<double>({k, n}, 2);
    const std::string end = fmt::format("_{}_{}_{}", m, k, n);
    add(
        "matmul" + end, [](const auto& v) { return matmul(v[0], v[1]); }, a, b, cases);
    add(
        "matmul_tn" + end, [](const auto& v) { return matmul_tn(v[0], v[1]); }, transpose(a), b,
        cases);
    add(
        "matmul_nt" + end, [](const auto& v) { return matmul_nt(v[0], v[1]); }, a, transpose(b),
        cases);
  }
  return cases;
}

}  // namespace gradus::test
