#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "lessons/90_matrix_product/instruments.hpp"
#include "lessons/90_matrix_product/model.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/map.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"

namespace gradus::lesson90 {
namespace {

// Whole numbers, whose sums are exact in any order.
TEST(MatrixProduct, EveryWayIsTheSameProduct) {
  Rng rng(7);
  constexpr Index n = 64;
  auto whole_numbers = [&] {
    return map(rng.normal<double>({n, n}), [](double v) { return std::round(3 * v); });
  };
  const Tensor<double> a = whole_numbers();
  const Tensor<double> b = whole_numbers();
  const std::vector<double> expected = matmul_naive(a, b).to_vector();
  const Tensor<double> before = full<double>({n, n}, -1e9);  // what was there must not matter
  for (auto multiply : {naive<double>, reordered<double>, blocked<double>, packed<double>}) {
    Tensor<double> c = before;
    multiply(a.data(), b.data(), c.mutable_data(), n);
    EXPECT_EQ(c.to_vector(), expected);
  }
  Tensor<double> c = before;
  naive_along_rows(a.data(), transpose(b).data(), c.mutable_data(), n);
  EXPECT_EQ(c.to_vector(), expected);
  EXPECT_EQ(matmul(a, b).to_vector(), expected);
}

TEST(MatrixProduct, TakesWholeTilesOnly) {
  const std::vector<double> a(20 * 20), b(20 * 20);
  std::vector<double> c(20 * 20);
  for (auto multiply : {blocked<double>, packed<double>}) {
    try {
      multiply(a.data(), b.data(), c.data(), 20);
      FAIL() << "no error";
    } catch (const Error& error) {
      EXPECT_STREQ(error.what(),
                   "matrix product: tiles of 4 x 16 do not cover a matrix of 20 x 20");
    }
  }
}

// S sums s_i <- a s_i + a from s_i = i: with a = 1 all of them are S (S - 1) / 2 + S m after m
// steps, with a = 1/2 they are half of S (S - 1) / 2 + S after one.
TEST(MatrixProduct, ThePeakIsOfSumsThatDiffer) {
  const volatile float one = 1;
  const volatile float half = 0.5f;
  EXPECT_EQ(multiply_adds<12>(0, one), 66);
  EXPECT_EQ(multiply_adds<12>(3, one), 102);
  EXPECT_EQ(multiply_adds<12>(1, half), 39);
  EXPECT_EQ(multiply_adds<1>(5, one), 5);
  EXPECT_EQ(multiply_adds<3>(5, one), 18);
}

TEST(MatrixProduct, AdditionsAreDoneOneByOne) {
  const volatile float half = 0.5f;
  EXPECT_EQ(additions(7, half), 3.5f);
}

TEST(MatrixProduct, AddsARow) {
  const float b[] = {1, 2, 3};
  float c[] = {10, 20, 30};
  add_row(2, b, c, 3);
  EXPECT_EQ(std::vector<float>(c, c + 3), (std::vector<float>{12, 24, 36}));
}

}  // namespace
}  // namespace gradus::lesson90
