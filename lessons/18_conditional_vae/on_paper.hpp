#pragma once
#include <cmath>

#include "lessons/common/constants.hpp"

// What lesson 18 works out on paper: two kinds of animals and their sizes, as in lesson 11.
namespace gradus::lesson18 {

// Dogs have sizes from N(1, 1) and cats from N(-1, 1), and one is as likely as the other.
struct TwoKinds {
  // ln p(x|dog), and ln p(x|cat).
  static double log_dog(double x) { return -0.5 * (kLogTwoPi + (x - 1) * (x - 1)); }

  static double log_cat(double x) { return -0.5 * (kLogTwoPi + (x + 1) * (x + 1)); }

  // ln p(x) = ln(p p(x|dog) + (1 - p) p(x|cat)), where a share p of the animals are dogs.
  static double log_evidence(double x, double p = 0.5) {
    return std::log(p * std::exp(log_dog(x)) + (1 - p) * std::exp(log_cat(x)));
  }

  // What it is worth to be told "dog": ln p(x|dog) - ln p(x).
  static double worth_of_dog(double x) { return log_dog(x) - log_evidence(x); }

  // What "dog" still costs who has seen x: -ln P(dog|x), by Bayes' rule.
  static double cost_of_dog(double x) { return -(std::log(0.5) + log_dog(x) - log_evidence(x)); }

  // What the kind saves on average over dogs and cats, where a share p are dogs: the mutual
  // information of kind and size, as a sum over a fine grid of sizes.
  static double mutual_information(double p) {
    constexpr int kCells = 20000;
    constexpr double kEnd = 10;
    double total = 0;
    for (int i = 0; i <= kCells; ++i) {
      const double x = kEnd * (2.0 * i / kCells - 1);
      const double evidence = log_evidence(x, p);
      total += p * std::exp(log_dog(x)) * (log_dog(x) - evidence);
      total += (1 - p) * std::exp(log_cat(x)) * (log_cat(x) - evidence);
    }
    return total * 2 * kEnd / kCells;
  }
};

// The share of a standard normal variable that is below x.
inline double normal_share_below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

}  // namespace gradus::lesson18
