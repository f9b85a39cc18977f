#include "tensor/map.hpp"

#include <cstddef>
#include <optional>
#include <vector>

#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::extents_of;
using test::ravel;
using test::unravel;

// NumPy's rule, written out: nothing where the shapes do not broadcast.
std::optional<std::vector<Index>> met(std::vector<Index> a, std::vector<Index> b) {
  while (a.size() < b.size()) a.insert(a.begin(), 1);
  while (b.size() < a.size()) b.insert(b.begin(), 1);
  std::vector<Index> result;
  for (std::size_t k = 0; k < a.size(); ++k) {
    if (a[k] != b[k] && a[k] != 1 && b[k] != 1) return std::nullopt;
    result.push_back(a[k] == 1 ? b[k] : a[k]);
  }
  return result;
}

// The element of x that stands at `indices` of the broadcast result.
template <class T> T stretched(const Tensor<T>& x, const std::vector<Index>& indices) {
  std::vector<Index> own(indices.end() - x.rank(), indices.end());
  for (int k = 0; k < x.rank(); ++k)
    if (x.shape()[k] == 1) own[k] = 0;
  return x.data()[ravel(own, extents_of(x.shape()))];
}

template <class T> void expect_broadcast(const Shape& a, const Shape& b) {
  const auto x = test::whole_numbers<T>(a, 1, 99);
  const auto y = test::whole_numbers<T>(b, 2, 99);
  auto f = [](T u, T v) { return 1000 * u + v; };
  const auto extents = met(extents_of(a), extents_of(b));
  if (!extents) {
    EXPECT_THROW(zip("f", x, y, f), Error) << a.str() << " " << b.str();
    return;
  }
  const Tensor<T> z = zip("f", x, y, f);
  ASSERT_EQ(extents_of(z.shape()), *extents) << a.str() << " " << b.str();
  for (Index i = 0; i < z.size(); ++i) {
    const auto indices = unravel(i, *extents);
    ASSERT_EQ(z.data()[i], f(stretched(x, indices), stretched(y, indices)))
        << a.str() << " " << b.str() << " at " << to_string(indices);
  }
}

template <class T> struct Zip : test::FloatAndDouble<T> {};

TYPED_TEST_SUITE(Zip, test::Scalars);

TYPED_TEST(Zip, EqualsTheTriviallyRightLoopForAllPairsOfShapes) {
  const std::vector<Shape> shapes = {Shape(),
                                     {1},
                                     {3},
                                     {4},
                                     {0},
                                     {1, 1},
                                     {3, 1},
                                     {1, 4},
                                     {3, 4},
                                     {0, 4},
                                     {3, 0},
                                     {1, 0},
                                     {2, 3, 4},
                                     {2, 1, 4},
                                     {1, 3, 1},
                                     {2, 3, 1},
                                     {1, 1, 4},
                                     {2, 1, 1},
                                     {5, 2, 3, 4},
                                     {5, 1, 3, 1},
                                     {1, 2, 1, 4},
                                     {5, 2, 1, 1},
                                     {5, 1, 1, 4},
                                     {1, 1, 1, 1},
                                     {0, 2, 3, 4},
                                     {5, 0, 3, 4},
                                     {1, 1, 0, 1},
                                     {2, 5, 2, 3, 4},
                                     {2, 1, 2, 1, 4},
                                     {1, 5, 1, 3, 1},
                                     {2, 2, 5, 2, 3, 4},
                                     {2, 1, 5, 1, 3, 1},
                                     {1, 2, 1, 2, 1, 4}};
  for (const Shape& a : shapes)
    for (const Shape& b : shapes) expect_broadcast<TypeParam>(a, b);
}

// Larger than a piece of the parallel loop, in one row and in many, with the rows shorter and
// longer than a piece.
TYPED_TEST(Zip, EqualsTheTriviallyRightLoopForLargeTensors) {
  expect_broadcast<TypeParam>({70001}, {70001});
  expect_broadcast<TypeParam>({70001}, Shape());
  expect_broadcast<TypeParam>({1}, {70001});
  expect_broadcast<TypeParam>({300, 250}, {250});
  expect_broadcast<TypeParam>({300, 1}, {300, 250});
  expect_broadcast<TypeParam>({300, 1}, {250});
  expect_broadcast<TypeParam>({3, 40000}, {3, 1});
  expect_broadcast<TypeParam>({40000, 2}, {2});
  expect_broadcast<TypeParam>({30, 1, 50, 1}, {40, 1, 2});
}

TYPED_TEST(Zip, OfOneTensorWithItselfIsAllowed) {
  const auto x = test::whole_numbers<TypeParam>({7, 5}, 3);
  const auto z = zip("f", x, x, [](TypeParam a, TypeParam b) { return a - b; });
  EXPECT_THAT(z.to_vector(), ::testing::Each(0));
}

TYPED_TEST(Zip, NamesTheOperation) {
  EXPECT_EQ(test::error_of([] {
              zip("spread", Tensor<TypeParam>(Shape{2}), Tensor<TypeParam>(Shape{3}),
                  [](TypeParam a, TypeParam) { return a; });
            }),
            "spread: (2) and (3) do not broadcast: extents 2 and 3 of axis -1 differ, and neither "
            "is 1");
}

TYPED_TEST(Zip, MapAppliesAFunctionToEveryElementOnce) {
  for (Index n : {0, 1, 5, 8191, 8192, 8193, 16383, 16384, 16385, 100003}) {
    const auto x = arange<TypeParam>(n);
    const auto y = map(x, [](TypeParam v) { return 2 * v + 1; });
    ASSERT_EQ(y.shape(), x.shape());
    for (Index i = 0; i < n; ++i) ASSERT_EQ(y(i), TypeParam(2 * i + 1));
  }
  EXPECT_EQ(map(Tensor<TypeParam>(TypeParam(3)), [](TypeParam v) { return -v; }).item(), -3);
}

}  // namespace
}  // namespace gradus
