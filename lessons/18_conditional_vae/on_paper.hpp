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

  // ln p(x) = ln(p(x|dog) / 2 + p(x|cat) / 2)
  static double log_evidence(double x) {
    return std::log(0.5 * std::exp(log_dog(x)) + 0.5 * std::exp(log_cat(x)));
  }

  // What it is worth to be told "dog": ln p(x|dog) - ln p(x).
  static double worth_of_dog(double x) { return log_dog(x) - log_evidence(x); }

  // What "dog" still costs who has seen x: -ln P(dog|x), by Bayes' rule.
  static double cost_of_dog(double x) { return -(std::log(0.5) + log_dog(x) - log_evidence(x)); }

  // The mean of worth_of_dog over dogs, which is that of worth_of_cat over cats: a sum over a fine
  // grid of sizes, to 9 standard deviations.
  static double mean_worth() {
    constexpr int kCells = 20000;
    constexpr double kEnd = 9;
    double total = 0;
    for (int i = 0; i <= kCells; ++i) {
      const double x = 1 + kEnd * (2.0 * i / kCells - 1);
      total += std::exp(log_dog(x)) * worth_of_dog(x);
    }
    return total * 2 * kEnd / kCells;
  }
};

// The share of a standard normal variable that is below x.
inline double normal_share_below(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

}  // namespace gradus::lesson18
