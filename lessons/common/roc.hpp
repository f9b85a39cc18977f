#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "tensor/error.hpp"
#include "tensor/tensor.hpp"

// How well a score tells two sets of examples apart: those in a distribution ("in"), and those out
// of it ("out"), whose scores should be higher. Scores may stand in any order.
namespace gradus {

// Sorted copies of the scores of two sets, which must have `least` scores each.
struct SortedScores {
  std::vector<double> out, in;

  SortedScores(const Tensor<double>& out, const Tensor<double>& in, Index least)
      : out(sorted("out", out, least)), in(sorted("in", in, least)) {}

 private:
  static std::vector<double> sorted(const char* what, const Tensor<double>& scores, Index least) {
    if (scores.size() < least)
      fail("ROC: {} scores of '{}'; each set needs at least {}", scores.size(), what, least);
    std::vector<double> result(scores.begin(), scores.end());
    for (double score : result)
      if (std::isnan(score))
        fail("ROC: a score of '{}' is NaN, which has no place in any order", what);
    std::sort(result.begin(), result.end());
    return result;
  }
};

// The share of sorted scores below x, those equal to x counted half.
inline double share_below(double x, const std::vector<double>& sorted) {
  const auto [first, last] = std::equal_range(sorted.begin(), sorted.end(), x);
  const auto below = static_cast<double>(first - sorted.begin());
  const auto equal = static_cast<double>(last - first);
  return (below + 0.5 * equal) / static_cast<double>(sorted.size());
}

// The area under the ROC curve,
//     P(out > in) + 1/2 P(out = in)
// over all pairs of a score of each set: 1 where all of out have higher scores, 1/2 where the
// score tells nothing. (Mann and Whitney 1947; Hanley and McNeil 1982.) Throws Error when a set has
// no scores, or one is NaN.
inline double auroc(const Tensor<double>& out, const Tensor<double>& in) {
  const SortedScores scores(out, in, 1);
  double total = 0;
  for (double x : scores.out) total += share_below(x, scores.in);
  return total / static_cast<double>(scores.out.size());
}

// The standard error of auroc(out, in) for scores that are independent draws, by the variances of
// each set's shares (DeLong, DeLong and Clarke-Pearson 1988):
//     sqrt(Var[share of in below an out] / n + Var[share of out above an in] / m)
// Throws Error when a set has less than two scores, or one is NaN.
inline double auroc_error(const Tensor<double>& out, const Tensor<double>& in) {
  const SortedScores scores(out, in, 2);
  // The variance of the mean of what share_below says of `some` among `others`.
  const auto variance = [](const std::vector<double>& some, const std::vector<double>& others) {
    const auto n = static_cast<double>(some.size());
    double mean = 0;
    for (double x : some) mean += share_below(x, others) / n;
    double squares = 0;
    for (double x : some) squares += std::pow(share_below(x, others) - mean, 2);
    return squares / (n - 1) / n;
  };
  return std::sqrt(variance(scores.out, scores.in) + variance(scores.in, scores.out));
}

// The standard deviation of the AUROC of a score that tells nothing, for n and m independent scores
// without ties: sqrt((n + m + 1) / (12 n m)) (Mann and Whitney 1947).
inline double auroc_error_of_nothing(Index n, Index m) {
  const auto a = static_cast<double>(n);
  const auto b = static_cast<double>(m);
  return std::sqrt((a + b + 1) / (12 * a * b));
}

// What a threshold does: the share of "in" that it takes for out, and of "out" that it finds.
struct RocPoint {
  double false_alarms, found;
};

// The ROC curve: from (0, 0) to (1, 1), one point for each threshold that is one of the scores,
// from the highest down, where scores at the threshold or above are called out. Where scores of
// both sets are equal it goes up and to the right at once. Throws Error as auroc does.
inline std::vector<RocPoint> roc_curve(const Tensor<double>& out, const Tensor<double>& in) {
  const SortedScores scores(out, in, 1);
  std::vector<double> thresholds = scores.out;
  thresholds.insert(thresholds.end(), scores.in.begin(), scores.in.end());
  std::sort(thresholds.begin(), thresholds.end(), std::greater<>());
  thresholds.erase(std::unique(thresholds.begin(), thresholds.end()), thresholds.end());
  const auto share_from = [](const std::vector<double>& sorted, double threshold) {
    const auto first = std::lower_bound(sorted.begin(), sorted.end(), threshold);
    return static_cast<double>(sorted.end() - first) / static_cast<double>(sorted.size());
  };
  std::vector<RocPoint> curve = {{0, 0}};
  for (double t : thresholds)
    curve.push_back({share_from(scores.in, t), share_from(scores.out, t)});
  return curve;
}

// The least share of false alarms at which a threshold finds a share of out, 0 <= found <= 1.
inline double false_alarms_at(double found, const std::vector<RocPoint>& curve) {
  for (const RocPoint& point : curve)
    if (point.found >= found) return point.false_alarms;
  return 1;
}

}  // namespace gradus
