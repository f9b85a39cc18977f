#pragma once
#include <vector>

#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// How much of an example's class its code tells to a linear map: a measure of codes that were
// learned without any labels.
//
//     N examples, K numbers in a code, L classes
namespace gradus {

// How many codes are looked at together: in double precision they need memory.
inline constexpr Index kProbedTogether = 1024;

// A linear map from codes to one score for each class.
struct LinearProbe {
  Tensor<double> centre;   // (K), the mean code
  Tensor<double> weights;  // (K, L)
  Tensor<double> shares;   // (L), of the classes among the examples of the fit

  // (c - centre) W + shares.   (N, K) -> (N, L)
  template <class T> Tensor<double> scores(const Tensor<T>& codes) const {
    return matmul(cast<double>(codes) - centre, weights) + shares;
  }
};

// The same as fit_linear_probe, below, for the codes that `encode` makes of examples (N, ...): a
// part of them at a time, so that all codes need not be in memory together. Each example is encoded
// twice.
template <class T, class Encode>
LinearProbe fit_linear_probe_to(const Tensor<T>& examples, const Encode& encode,
                                const std::vector<Index>& labels, Index classes, double ridge) {
  const Index n = examples.extent(0);
  if (std::ssize(labels) != n || n == 0)
    fail("linear probe: {} codes and {} labels: it needs one label for each, and at least one", n,
         labels.size());
  const Index k = encode(slice(examples, 0, 0, 1)).extent(1);
  const double count = static_cast<double>(n);
  const Tensor<double> targets = nn::one_hot<double>(labels, classes);
  const Tensor<double> shares = mean(targets, {0});
  Tensor<double> centre({k});
  in_parts(
      examples,
      [&](const Tensor<T>& part) { centre += sum(cast<double>(encode(part)), {0}) / count; },
      kProbedTogether);

  Tensor<double> covariance({k, k});         // C
  Tensor<double> with_labels({k, classes});  // Z^T Y / N
  Index begin = 0;
  in_parts(
      examples,
      [&](const Tensor<T>& part) {
        const Tensor<double> z = cast<double>(encode(part)) - centre;
        const Tensor<double> y = slice(targets, 0, begin, begin + part.extent(0)) - shares;
        covariance += matmul_tn(z, z) / count;
        with_labels += matmul_tn(z, y) / count;
        begin += part.extent(0);
      },
      kProbedTogether);

  const double variance = sum(covariance * identity<double>(k)).item();  // tr(C)
  if (!(variance > 0)) fail("linear probe: the {} codes are all the same", n);
  const double a = ridge * variance / static_cast<double>(k);
  return {centre, solve_spd(covariance + a * identity<double>(k), with_labels), shares};
}

// Fits the probe by ridge regression on the one-hot labels Y: with centred codes and labels and
// a = ridge tr(C) / K, where C is the codes' covariance (with 1/N),
//     W = argmin  1/N |Y - Z W|^2 + a |W|^2  =  (C + a I)^-1 Z^T Y / N
// so that `ridge` means the same whatever the scale of the codes. Throws Error when there is not
// one label for each code (N, K), or one is not from 0 to classes - 1; when no code differs from
// another; and, as cholesky does, when C + a I is not positive definite.
template <class T>
LinearProbe fit_linear_probe(const Tensor<T>& codes, const std::vector<Index>& labels,
                             Index classes, double ridge) {
  const auto as_they_are = [](const Tensor<T>& part) { return part; };
  return fit_linear_probe_to(codes, as_they_are, labels, classes, ridge);
}

// The share of codes (N, K) whose largest score is that of their label. Throws Error when there is
// not one label for each code, or there are none.
template <class T>
double accuracy(const LinearProbe& probe, const Tensor<T>& codes,
                const std::vector<Index>& labels) {
  const Index n = codes.extent(0);
  if (std::ssize(labels) != n || n == 0)
    fail("accuracy: {} codes and {} labels: it needs one label for each, and at least one", n,
         labels.size());
  Index right = 0;
  Index at = 0;
  in_parts(
      codes,
      [&](const Tensor<T>& part) {
        for (Index guess : argmax(probe.scores(part))) {
          if (guess == labels[at]) ++right;
          ++at;
        }
      },
      kProbedTogether);
  return static_cast<double>(right) / static_cast<double>(n);
}

}  // namespace gradus
