#include "tensor/random.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;

TEST(NormalQuantile, InvertsTheDistributionFunction) {
  // With Phi(x) = erfc(-x / sqrt 2) / 2: the error of x is (Phi(x) - p) / phi(x).
  auto relative_error = [](double p) {
    const long double x = normal_quantile(p);
    const long double root = std::sqrt(2.0L);
    const long double pi = std::acos(-1.0L);
    const long double excess =
        p < 0.25 || p > 0.75
            ? (p < 0.5 ? std::erfc(-x / root) / 2 - p
                       : (1 - static_cast<long double>(p)) - std::erfc(x / root) / 2)
            : std::erf(x / root) / 2 - (p - 0.5L);
    return std::fabs(excess / (std::exp(-x * x / 2) / std::sqrt(2 * pi)) / x);
  };
  auto check = [&](double p) { ASSERT_LE(relative_error(p), 1.5e-15) << p; };
  for (int exponent = -1; exponent >= -300; --exponent)
    for (double m : {1.0, 2.7, 5.1, 9.9}) check(m * std::pow(10.0, exponent));
  for (int i = 1; i < 5000; ++i)
    if (i != 2500) check(i / 5000.0);
  for (int e = 2; e <= 52; ++e) {
    check(1 - std::ldexp(1.0, -e));
    check(0.5 + std::ldexp(1.0, -e));
  }
}

TEST(NormalQuantile, KnowsPublishedValues) {  // e.g. Abramowitz and Stegun, table 26.5
  EXPECT_EQ(normal_quantile(0.5), 0);
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 4e-15);
  EXPECT_NEAR(normal_quantile(0.95), 1.6448536269514722, 4e-15);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306167813, 6e-15);
  EXPECT_EQ(normal_quantile(0), -INFINITY);
  EXPECT_EQ(normal_quantile(1), INFINITY);
  EXPECT_TRUE(std::isfinite(normal_quantile(std::numeric_limits<double>::denorm_min())));
  EXPECT_TRUE(std::isfinite(normal_quantile(1 - 0x1p-53)));
}

TEST(NormalQuantile, IsOddAboutOneHalf) {
  for (int k = 1; k < 1000; ++k) {
    const double p = k / 2048.0;  // of which 1 - p is exact
    EXPECT_EQ(normal_quantile(1 - p), -normal_quantile(p));
  }
}

TEST(NormalQuantile, NeverDecreasesAcrossItsThreeFormulas) {
  // They meet at |p - 1/2| = 0.425 and at p = exp(-25).
  for (double p : {0.075, 0.925, std::exp(-25.0)}) {
    double at = p * (1 - 1e-12);
    double before = normal_quantile(at);
    while (at < p * (1 + 1e-12)) {
      at += p * 1e-14;
      const double after = normal_quantile(at);
      EXPECT_GE(after, before - 2e-15 * std::fabs(before)) << at;
      before = after;
    }
  }
}

TEST(NormalQuantile, RefusesWhatIsNoProbability) {
  EXPECT_EQ(error_of([] { normal_quantile(1.5); }), "normal_quantile: 1.5 is not a probability");
  EXPECT_THROW(normal_quantile(-1e-300), Error);
  EXPECT_THROW(normal_quantile(NAN), Error);
}

TEST(Rng, IsTheEngineThatTheStandardFixes) {
  // [rand.predef]: the 10000th number of mt19937_64 from the default seed, 5489.
  Rng rng(5489);
  double last = 0;
  for (int i = 0; i < 10000; ++i) last = rng.uniform();
  EXPECT_EQ(last, static_cast<double>(9981545732273789042u >> 11) * 0x1p-53);
}

TEST(Rng, SameSeedSameNumbersAndOthersOtherwise) {
  Rng a(7);
  Rng b(7);
  Rng c(8);
  const auto x = a.normal<double>({100});
  EXPECT_EQ(x.to_vector(), b.normal<double>({100}).to_vector());
  EXPECT_NE(x.to_vector(), c.normal<double>({100}).to_vector());
}

TEST(Rng, NormalIsTheQuantileOfTheEnginesNumbers) {
  Rng rng(11);
  std::mt19937_64 engine(11);
  for (int i = 0; i < 1000; ++i) {
    const double x = rng.normal();
    const double p = std::ldexp(static_cast<double>(engine() >> 12) + 0.5, -52);
    EXPECT_NEAR(std::erfc(-x / std::sqrt(2.0)) / 2, p, 1e-15);
  }
}

// |z| < 4.5 for each of the moments: a right generator fails with a probability of 7e-6 each.
TEST(Rng, NormalNumbersHaveTheMomentsOfANormal) {
  const int n = 400000;
  Rng rng(1);
  double m[5] = {};
  for (int i = 0; i < n; ++i) {
    const double x = rng.normal();
    for (int k = 1; k <= 4; ++k) m[k] += std::pow(x, k) / n;
  }
  EXPECT_LT(std::fabs(m[1]) * std::sqrt(n / 1.0), 4.5);       // E x = 0, var x = 1
  EXPECT_LT(std::fabs(m[2] - 1) * std::sqrt(n / 2.0), 4.5);   // var x^2 = 3 - 1
  EXPECT_LT(std::fabs(m[3]) * std::sqrt(n / 15.0), 4.5);      // var x^3 = 15
  EXPECT_LT(std::fabs(m[4] - 3) * std::sqrt(n / 96.0), 4.5);  // var x^4 = 105 - 9
}

TEST(Rng, UniformNumbersHaveTheMomentsOfAUniform) {
  const int n = 400000;
  Rng rng(2);
  double m1 = 0;
  double m2 = 0;
  double product = 0;
  double previous = 0.5;
  for (int i = 0; i < n; ++i) {
    const double x = rng.uniform();
    ASSERT_TRUE(x >= 0 && x < 1);
    m1 += x / n;
    m2 += x * x / n;
    product += (x - 0.5) * (previous - 0.5) / n;
    previous = x;
  }
  EXPECT_LT(std::fabs(m1 - 1 / 2.0) * std::sqrt(n * 12.0), 4.5);
  EXPECT_LT(std::fabs(m2 - 1 / 3.0) * std::sqrt(n * 45.0 / 4), 4.5);  // var x^2 = 1/5 - 1/9
  EXPECT_LT(std::fabs(product) * std::sqrt(n) * 12, 4.5);             // neighbours: var 1/144
}

// Kolmogorov's D sqrt(n) exceeds 2.2 with a probability of 1.3e-4.
TEST(Rng, NormalNumbersFollowTheDistributionFunction) {
  const int n = 100000;
  Rng rng(3);
  std::vector<double> x(n);
  for (double& v : x) v = rng.normal();
  std::sort(x.begin(), x.end());
  double d = 0;
  for (int i = 0; i < n; ++i) {
    const double p = std::erfc(-x[i] / std::sqrt(2.0)) / 2;
    d = std::max({d, std::fabs(p - double(i) / n), std::fabs(p - (i + 1.0) / n)});
  }
  EXPECT_LT(d * std::sqrt(n), 2.2);
}

// (chi^2 - f) / sqrt(2 f), which is about standard normal.
double chi_square_z(const std::vector<int>& counts) {
  const double expected =
      std::accumulate(counts.begin(), counts.end(), 0.0) / static_cast<double>(counts.size());
  double chi_square = 0;
  for (int count : counts) chi_square += (count - expected) * (count - expected) / expected;
  const double freedom = static_cast<double>(counts.size()) - 1;
  return (chi_square - freedom) / std::sqrt(2 * freedom);
}

TEST(Rng, IntegersAreUniform) {
  Rng rng(4);
  for (Index n : {2, 3, 10, 1000}) {
    std::vector<int> counts(n);
    for (Index i : rng.integers(100 * n + 10000, n)) ++counts.at(i);
    EXPECT_LT(std::fabs(chi_square_z(counts)), 4.5) << n;
  }
}

// 2^64 is 8/3 of this n: taken modulo n, the lower two thirds would be half as likely again.
TEST(Rng, IntegersOfAHugeRangeAreNotBiasedTowardsSmallOnes) {
  Rng rng(5);
  const Index third = Index{1} << 61;
  std::vector<int> counts(3);
  for (int i = 0; i < 30000; ++i) ++counts.at(rng.integer(3 * third) / third);
  EXPECT_LT(std::fabs(chi_square_z(counts)), 4.5);
}

TEST(Rng, IntegersOfOneAreZero) {
  Rng rng(6);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rng.integer(1), 0);
  EXPECT_TRUE(rng.integers(0, 5).empty());
}

TEST(Rng, PermutationsAreEachEquallyLikely) {
  Rng rng(7);
  std::map<std::vector<Index>, int> counts;
  for (int i = 0; i < 24000; ++i) ++counts[rng.permutation(4)];
  ASSERT_EQ(counts.size(), 24u);
  std::vector<int> values;
  for (const auto& entry : counts) values.push_back(entry.second);
  EXPECT_LT(std::fabs(chi_square_z(values)), 4.5);
}

TEST(Rng, PermutationsHoldEveryIndexOnce) {
  Rng rng(8);
  for (Index n : {0, 1, 2, 1000}) {
    auto p = rng.permutation(n);
    const bool moved = !std::is_sorted(p.begin(), p.end());
    std::sort(p.begin(), p.end());
    std::vector<Index> all(n);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(p, all);
    EXPECT_TRUE(moved || n < 1000);
  }
}

// Where high is the next number after low, only low is in [low, high): without care, every second
// number is rounded to high.
TEST(Rng, UniformNumbersNeverReachTheUpperEnd) {
  Rng rng(17);
  for (double low : {1.0, -2.0, 0.0, 1e300}) {
    const double high = std::nextafter(low, INFINITY);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(rng.uniform(low, high), low);
  }
  EXPECT_EQ(rng.uniform(3, 3), 3);
}

TEST(Rng, UniformNumbersOfTheWidestIntervalAreFinite) {
  Rng rng(18);
  double smallest = 0;
  double largest = 0;
  for (int i = 0; i < 1000; ++i) {
    const double x = rng.uniform(-1.7e308, 1.7e308);
    smallest = std::min(smallest, x);
    largest = std::max(largest, x);
  }
  EXPECT_GE(smallest, -1.7e308);
  EXPECT_LT(smallest, -1.6e308);
  EXPECT_GT(largest, 1.6e308);
  EXPECT_LT(largest, 1.7e308);
}

TEST(Rng, RefusesAnIntervalThatIsNone) {
  Rng rng(19);
  EXPECT_EQ(error_of([&] { rng.uniform(2, 1); }),
            "Rng::uniform: [2, 1) is not an interval of finite numbers");
  EXPECT_THROW(rng.uniform(0, NAN), Error);
  EXPECT_THROW(rng.uniform(-INFINITY, 0), Error);
}

TEST(Rng, RefusesImpossibleCounts) {
  Rng rng(9);
  EXPECT_EQ(error_of([&] { rng.integer(0); }), "Rng::integer: n = 0; it must be positive");
  EXPECT_THROW(rng.integer(-5), Error);
  EXPECT_EQ(error_of([&] { rng.permutation(-1); }), "Rng::permutation: n = -1 is negative");
  EXPECT_EQ(error_of([&] { rng.integers(-1, 3); }), "Rng::integers: count = -1 is negative");
}

template <class T> struct RngTensors : test::FloatAndDouble<T> {};

TYPED_TEST_SUITE(RngTensors, test::Scalars);

TYPED_TEST(RngTensors, HoldTheStreamInRowMajorOrder) {
  Rng tensors(10);
  Rng numbers(10);
  const auto normal = tensors.normal<TypeParam>({3, 4});
  EXPECT_EQ(normal.shape(), (Shape{3, 4}));
  for (TypeParam x : normal) EXPECT_EQ(x, static_cast<TypeParam>(numbers.normal()));
  const auto uniform = tensors.uniform<TypeParam>({2, 3});
  for (TypeParam x : uniform) EXPECT_EQ(x, static_cast<TypeParam>(numbers.uniform()));
}

TYPED_TEST(RngTensors, AreUniformFromLowToHigh) {
  Rng rng(12);
  const auto x = rng.uniform<TypeParam>({20000}, -3, 5);
  const auto [smallest, largest] = std::minmax_element(x.begin(), x.end());
  EXPECT_GE(*smallest, -3);
  EXPECT_LT(*largest, 5);
  EXPECT_LT(*smallest, -2.99);
  EXPECT_GT(*largest, 4.99);
}

// Number 273 of this seed is 1 - 1.2e-10, which as a float is nearest to 1. Whoever takes log(1 -
// u) must not meet it.
TYPED_TEST(RngTensors, OfUniformNumbersNeverReachTheUpperEnd) {
  for (TypeParam x : Rng(82219).uniform<TypeParam>({400})) EXPECT_LT(x, 1);
  for (TypeParam x : Rng(82219).uniform<TypeParam>({400}, -2, 3)) EXPECT_LT(x, 3);
}

TEST(RngState, ContinuesTheStreamBitForBit) {
  Rng rng(13);
  rng.normal<float>({777});
  const std::string state = rng.state();
  const auto expected = rng.normal<double>({1000}).to_vector();
  Rng other(14);
  other.restore(state);
  EXPECT_EQ(other.normal<double>({1000}).to_vector(), expected);
  rng.restore(state);
  EXPECT_EQ(rng.normal<double>({1000}).to_vector(), expected);
}

TEST(RngState, OfAnotherTextIsRefusedAndChangesNothing) {
  Rng rng(15);
  Rng same(15);
  const std::string state = rng.state();
  for (const std::string& text :
       {std::string(), std::string("5489"), std::string("once upon a time"),
        state.substr(0, state.size() / 2), state + " 1", state + "x", "x" + state}) {
    EXPECT_EQ(error_of([&] { rng.restore(text); }),
              "Rng::restore: the text is not a state that Rng::state gave");
  }
  EXPECT_EQ(rng.uniform(), same.uniform());
}

// The second is more than a vector can ever hold.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Rng, MoreIndicesThanThereIsMemoryForAreAnError) {
  Rng rng(0);
  for (const Index count : {Index{1} << 58, std::numeric_limits<Index>::max()}) {
    const std::string reason =
        fmt::format("out of memory: {} indices of 8 bytes were asked for", count);
    EXPECT_EQ(test::error_of([&] { rng.permutation(count); }), "Rng::permutation: " + reason);
    EXPECT_EQ(test::error_of([&] { rng.integers(count, 10); }), "Rng::integers: " + reason);
  }
}
#endif

}  // namespace
}  // namespace gradus
