#include "lessons/common/linear_probe.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using test::error_of;

// Codes 3 and 5 of classes 0 and 1: centred they are -1 and 1, C = 1, a = 1/2, and the labels
// (1/2, -1/2) and (-1/2, 1/2). So Z^T Y / N = (-1/2, 1/2), and W = (-1/2, 1/2) / (3/2).
TEST(LinearProbe, IsThatOnPaper) {
  const LinearProbe probe = fit_linear_probe(Tensor<double>({2, 1}, {3, 5}), {0, 1}, 2, 0.5);
  EXPECT_EQ(probe.centre.to_vector(), std::vector<double>({4}));
  EXPECT_NEAR(probe.weights(0, 0), -1.0 / 3, 1e-15);
  EXPECT_NEAR(probe.weights(0, 1), 1.0 / 3, 1e-15);
  const Tensor<double> scores = probe.scores(Tensor<double>({1, 1}, {4.5}));
  EXPECT_NEAR(scores(0, 0), 0.5 - 1.0 / 6, 1e-15);
  EXPECT_NEAR(scores(0, 1), 0.5 + 1.0 / 6, 1e-15);
}

// More codes than are computed with at a time, and the gradient of the objective by its definition:
// -2/N sum_n z_nk (y_nl - (Z W)_nl) + 2 a W_kl = 0.
TEST(LinearProbe, LeavesNoGradient) {
  constexpr Index n = 5000, k = 3, classes = 4;
  Rng rng(1);
  const Tensor<double> codes = rng.normal<double>({n, k}) * Tensor<double>({3}, {1, 2, 5}) + 7;
  const std::vector<Index> labels = rng.integers(n, classes);
  const LinearProbe probe = fit_linear_probe(codes, labels, classes, 0.1);
  const Tensor<double> fit = probe.scores(codes);
  double trace = 0;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < k; ++j) {
      const double z = codes(i, j) - probe.centre(j);
      trace += z * z / n;
    }
  for (Index j = 0; j < k; ++j)
    for (Index l = 0; l < classes; ++l) {
      double gradient = 2 * 0.1 * trace / k * probe.weights(j, l);
      for (Index i = 0; i < n; ++i) {
        const double z = codes(i, j) - probe.centre(j);
        const double y = labels[i] == l ? 1 : 0;
        gradient -= 2 * z * (y - fit(i, l)) / n;
      }
      EXPECT_NEAR(gradient, 0, 1e-13) << j << ", " << l;
    }
}

// The scale and the place of the codes change no score, and each example twice neither.
TEST(LinearProbe, DependsOnNoScalePlaceOrRepetition) {
  Rng rng(2);
  const Tensor<double> codes = rng.normal<double>({50, 4});
  const std::vector<Index> labels = rng.integers(50, 3);
  std::vector<Index> twice = labels;
  twice.insert(twice.end(), labels.begin(), labels.end());
  const Tensor<double> scores = fit_linear_probe(codes, labels, 3, 1e-2).scores(codes);
  const Tensor<double> other = codes * 100.0 - 3;
  const auto distance = [&](const Tensor<double>& s) { return max(abs(s - scores)).item(); };
  EXPECT_LT(distance(fit_linear_probe(other, labels, 3, 1e-2).scores(other)), 1e-12);
  const Tensor<double> both = concatenate(std::vector{codes, codes});
  EXPECT_LT(distance(fit_linear_probe(both, twice, 3, 1e-2).scores(codes)), 1e-12);
}

// In several parts: the codes of examples, encoded as they are needed, give the same probe as the
// codes themselves.
TEST(LinearProbe, IsTheSameForCodesThatAreComputedOnTheWay) {
  Rng rng(5);
  const Tensor<double> x = rng.normal<double>({2500, 3});
  const std::vector<Index> labels = rng.integers(2500, 4);
  const auto encode = [](const Tensor<double>& part) {
    return concatenate(std::vector{square(part), part * 2.0}, 1);
  };
  const LinearProbe of_codes = fit_linear_probe(encode(x), labels, 4, 0.1);
  const LinearProbe of_examples = fit_linear_probe_to(x, encode, labels, 4, 0.1);
  EXPECT_EQ(of_examples.weights.to_vector(), of_codes.weights.to_vector());
  EXPECT_EQ(of_examples.centre.to_vector(), of_codes.centre.to_vector());
}

// Three clusters in the plane, far apart, of 5,000 codes.
TEST(LinearProbe, CountsWhatItGetsRight) {
  Rng rng(3);
  std::vector<Index> labels = rng.integers(5000, 3);
  Tensor<float> codes = rng.normal<float>({5000, 2}) * 0.01f;
  for (Index i = 0; i < 5000; ++i) {
    codes.set({i, 0}, codes(i, 0) + (labels[i] == 1 ? 1.0f : 0.0f));
    codes.set({i, 1}, codes(i, 1) + (labels[i] == 2 ? 1.0f : 0.0f));
  }
  const LinearProbe probe = fit_linear_probe(codes, labels, 3, 1e-3);
  EXPECT_EQ(accuracy(probe, codes, labels), 1);
  for (Index i : {0, 4999}) labels[i] = (labels[i] + 1) % 3;
  EXPECT_NEAR(accuracy(probe, codes, labels), 0.9996, 1e-15);
}

TEST(LinearProbe, SaysWhatDoesNotFit) {
  const Tensor<float> codes({3, 2}, {0, 1, 2, 3, 4, 6});
  EXPECT_EQ(error_of([&] {
              fit_linear_probe(codes, {0, 1}, 2, 1);
            }),
            "linear probe: 3 codes and 2 labels: it needs one label for each, and at least one");
  EXPECT_EQ(error_of([&] {
              fit_linear_probe(codes, {0, 1, 2}, 2, 1);
            }),
            "one_hot: label 2 is not in 0, ..., 1");
  EXPECT_EQ(error_of([&] {
              fit_linear_probe(Tensor<float>({3, 2}), {0, 1, 1}, 2, 1);
            }),
            "linear probe: the 3 codes are all the same");
  const LinearProbe probe = fit_linear_probe(codes, {0, 1, 1}, 2, 1);
  EXPECT_EQ(error_of([&] { accuracy(probe, codes, {0}); }),
            "accuracy: 3 codes and 1 labels: it needs one label for each, and at least one");
}

}  // namespace
}  // namespace gradus
