#include "nn/minibatches.hpp"

#include <numeric>

#include "tests/tensor/support.hpp"

namespace gradus::nn {
namespace {

using test::error_of;
using ::testing::HasSubstr;

// Examples whose numbers tell which they are: example i is (2 i, 2 i + 1).
Tensor<double> examples(Index n) { return arange<double>(2 * n).reshape({n, 2}); }

struct Epoch {
  std::vector<Index> sizes;
  std::vector<Index> order;
};

Epoch epoch(const Minibatches<double>& batches) {
  Epoch result;
  for (const Tensor<double>& x : batches) {
    result.sizes.push_back(x.extent(0));
    for (Index i = 0; i < x.extent(0); ++i) {
      EXPECT_EQ(x(i, 1), x(i, 0) + 1) << "rows stay whole";
      result.order.push_back(static_cast<Index>(x(i, 0)) / 2);
    }
  }
  return result;
}

TEST(Minibatches, HaveEveryExampleExactlyOnce) {
  Rng rng(1);
  for (Index n : {1, 7, 12, 13})
    for (Index size : {1, 4, 12, 100}) {
      const Minibatches<double> batches = minibatches(examples(n), size, rng);
      Epoch e = epoch(batches);
      const Index count = (n + size - 1) / size;
      EXPECT_EQ(std::ssize(e.sizes), count);
      for (std::size_t i = 0; i + 1 < e.sizes.size(); ++i) EXPECT_EQ(e.sizes[i], size);
      EXPECT_EQ(e.sizes.back(), n - (count - 1) * size);
      std::sort(e.order.begin(), e.order.end());
      std::vector<Index> all(n);
      std::iota(all.begin(), all.end(), 0);
      EXPECT_EQ(e.order, all);
    }
}

TEST(Minibatches, ComeInAnotherOrderEachEpochOfOneSeed) {
  Rng rng(1), same(1);
  const auto first = epoch(minibatches(examples(50), 8, rng)).order;
  const auto second = epoch(minibatches(examples(50), 8, rng)).order;
  EXPECT_NE(first, second);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.end()));
  EXPECT_EQ(epoch(minibatches(examples(50), 8, same)).order, first);
}

TEST(Minibatches, KeepTheShapeOfAnExample) {
  Rng rng(1);
  for (const Tensor<double>& x : minibatches(Tensor<double>({5, 3, 2}), 2, rng)) {
    EXPECT_EQ(x.rank(), 3);
    EXPECT_EQ(x.extent(1), 3);
    EXPECT_EQ(x.extent(2), 2);
  }
}

TEST(Minibatches, RefuseWhatHasNoBatches) {
  Rng rng(1);
  const std::string before = rng.state();
  EXPECT_THAT(error_of([&] { minibatches(examples(5), 0, rng); }), HasSubstr("a batch size of 0"));
  EXPECT_THAT(error_of([&] { minibatches(examples(5), -1, rng); }),
              HasSubstr("a batch size of -1"));
  EXPECT_THAT(error_of([&] {
                minibatches(Tensor<double>({0, 2}), 4, rng);
              }),
              HasSubstr("no examples"));
  EXPECT_THAT(error_of([&] { minibatches(Tensor<double>(3.0), 4, rng); }), HasSubstr("()"))
      << "a scalar has no axis of examples";
  EXPECT_EQ(rng.state(), before);
}

}  // namespace
}  // namespace gradus::nn
