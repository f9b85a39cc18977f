#include "lessons/common/roc.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensor/elementwise.hpp"
#include "tensor/random.hpp"

namespace gradus {
namespace {

using ::testing::HasSubstr;

Tensor<double> scores(const std::vector<double>& x) { return {{std::ssize(x)}, x}; }

// n whole numbers below `values`, so that many are equal.
Tensor<double> whole_numbers(Index n, Index values, Rng& rng) {
  Tensor<double> result({n});
  for (Index i = 0; i < n; ++i) result.set({i}, static_cast<double>(rng.integer(values)));
  return result;
}

double by_pairs(const Tensor<double>& out, const Tensor<double>& in) {
  double total = 0;
  for (double x : out)
    for (double y : in) total += x > y ? 1 : x == y ? 0.5 : 0;
  return total / static_cast<double>(out.size() * in.size());
}

TEST(Roc, TheAreaIsTheShareOfPairsTiesHalf) {
  Rng rng(1);
  for (Index values : {1, 2, 5, 1000}) {
    const Tensor<double> out = whole_numbers(37, values, rng);
    const Tensor<double> in = whole_numbers(23, values, rng);
    EXPECT_NEAR(auroc(out, in), by_pairs(out, in), 1e-12) << values;
  }
}

// out 2: above 1, equal to 2; out 4: above three; out 6: above four: (1.5 + 3 + 4) / 12.
// Two values, P_in(1) = .3, P_out(1) = .8: .8 .7 + (.8 .3 + .2 .7) / 2 = .75.
TEST(Roc, TheAreaIsWhatItIsOnPaper) {
  EXPECT_NEAR(auroc(scores({4, 2, 6}), scores({5, 1, 3, 2})), 8.5 / 12, 1e-15);
  EXPECT_NEAR(auroc(scores({1, 1, 1, 1, 1, 1, 1, 1, 0, 0}), scores({1, 1, 1, 0, 0, 0, 0, 0, 0, 0})),
              0.75, 1e-15);
  EXPECT_EQ(auroc(scores({2}), scores({1})), 1);
  EXPECT_EQ(auroc(scores({1}), scores({1})), 0.5);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(auroc(scores({infinity}), scores({-infinity, infinity})), 0.75);
}

TEST(Roc, SwappedSetsAndMinusTheScoreGiveTheRest) {
  Rng rng(2);
  const Tensor<double> out = whole_numbers(30, 9, rng);
  const Tensor<double> in = whole_numbers(40, 7, rng);
  EXPECT_NEAR(auroc(out, in) + auroc(in, out), 1, 1e-12);
  EXPECT_NEAR(auroc(out, in) + auroc(-out, -in), 1, 1e-12);
  EXPECT_NEAR(auroc(exp(out), exp(in)), auroc(out, in), 1e-12);
}

TEST(Roc, TheCurveEnclosesTheArea) {
  Rng rng(3);
  for (Index values : {1, 4, 1000}) {
    const Tensor<double> out = whole_numbers(30, values, rng);
    const Tensor<double> in = whole_numbers(41, values, rng);
    const std::vector<RocPoint> curve = roc_curve(out, in);
    double area = 0;
    for (std::size_t i = 1; i < curve.size(); ++i)
      area += (curve[i].false_alarms - curve[i - 1].false_alarms) *
              (curve[i].found + curve[i - 1].found) / 2;
    EXPECT_NEAR(area, by_pairs(out, in), 1e-12);
    EXPECT_EQ(curve.back().false_alarms, 1);
    EXPECT_EQ(curve.back().found, 1);
  }
}

TEST(Roc, TheCurveHasAPointForEachThreshold) {
  const std::vector<RocPoint> curve = roc_curve(scores({2, 4, 6}), scores({1, 2, 3, 5}));
  const std::vector<double> false_alarms = {0, 0, 0.25, 0.25, 0.5, 0.75, 1};
  const std::vector<double> found = {0, 1 / 3., 1 / 3., 2 / 3., 2 / 3., 1, 1};
  ASSERT_EQ(curve.size(), found.size());
  for (std::size_t i = 0; i < curve.size(); ++i) {
    EXPECT_DOUBLE_EQ(curve[i].false_alarms, false_alarms[i]);
    EXPECT_DOUBLE_EQ(curve[i].found, found[i]);
  }
  EXPECT_EQ(false_alarms_at(0, curve), 0);
  EXPECT_EQ(false_alarms_at(0.3, curve), 0);
  EXPECT_EQ(false_alarms_at(0.5, curve), 0.25);
  EXPECT_EQ(false_alarms_at(0.95, curve), 0.75);
}

// Shares of in below 2, 4, 6: 1.5/4, 3/4, 1, with the variance 19/192; shares of out above 1, 2, 3,
// 5: 1, 5/6, 2/3, 1/3, with the variance 35/432.  (19/192) / 3 + (35/432) / 4
TEST(Roc, TheErrorIsWhatItIsOnPaper) {
  EXPECT_NEAR(auroc_error(scores({2, 4, 6}), scores({1, 2, 3, 5})),
              std::sqrt(19 / 576. + 35 / 1728.), 1e-14);
}

// All ten ways to call three of the ranks 1 to 5 "in".
TEST(Roc, TheErrorOfNothingIsThatOfAllOrders) {
  double total = 0;
  double squares = 0;
  for (int a = 1; a <= 5; ++a)
    for (int b = a + 1; b <= 5; ++b) {
      std::vector<double> in;
      for (int rank = 1; rank <= 5; ++rank)
        if (rank != a && rank != b) in.push_back(rank);
      const double area = auroc(scores({double(a), double(b)}), scores(in));
      total += area / 10;
      squares += area * area / 10;
    }
  EXPECT_NEAR(total, 0.5, 1e-14);
  EXPECT_NEAR(auroc_error_of_nothing(2, 3), std::sqrt(squares - total * total), 1e-14);
  EXPECT_NEAR(auroc_error_of_nothing(1000, 1000), 0.0129131716, 1e-10);
}

// The error that is estimated, against how areas of drawn sets vary: 400 of them, whose standard
// deviation is off by 1 / sqrt(800), 3.5 %, itself; within four of those.
TEST(Roc, TheErrorIsHowAreasVary) {
  Rng rng(4);
  double total = 0;
  double squares = 0;
  double estimated = 0;
  constexpr int kSets = 400;
  for (int i = 0; i < kSets; ++i) {
    const Tensor<double> in = rng.normal<double>({80});
    const Tensor<double> out = 1.0 + rng.normal<double>({50});
    const double area = auroc(out, in);
    total += area / kSets;
    squares += area * area / kSets;
    estimated += auroc_error(out, in) / kSets;
  }
  const double deviation = std::sqrt(squares - total * total);
  EXPECT_NEAR(estimated / deviation, 1, 0.14);
  EXPECT_NEAR(total, 0.7602499389, 4 * deviation / std::sqrt(kSets));  // Phi(1 / sqrt 2)
}

template <class F> std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Roc, WhatHasNoOrderIsRefused) {
  const Tensor<double> some = scores({1, 2});
  EXPECT_THAT(message_of([&] { auroc(Tensor<double>({0}), some); }),
              HasSubstr("0 scores of 'out'; each set needs at least 1"));
  EXPECT_THAT(message_of([&] { auroc(some, Tensor<double>({0})); }), HasSubstr("'in'"));
  EXPECT_THAT(message_of([&] { auroc_error(scores({1}), some); }),
              HasSubstr("1 scores of 'out'; each set needs at least 2"));
  EXPECT_THAT(message_of([&] {
                roc_curve(some, scores({1, std::nan("")}));
              }),
              HasSubstr("a score of 'in' is NaN"));
}

}  // namespace
}  // namespace gradus
