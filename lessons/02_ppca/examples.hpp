#pragma once
#include <cmath>
#include <vector>

#include "lessons/02_ppca/model.hpp"
#include "tensor/tensor.hpp"

// Examples that are small enough to be worked on paper.
namespace gradus::lesson02 {

// Five numbers, and three normal densities that might have made them.
inline const std::vector<double> kFiveNumbers = {0, 2, 3, 4, 6};

struct Candidate {
  const char* name;
  double mean;
  double variance;
};

inline const std::vector<Candidate> kCandidates = {{"best", 3, 4},
                                                   {"narrow", 3, 1},
                                                   {"aside", 6, 4}};

// One number behind one number: z ~ N(0, 1), x = 2 z + noise of variance 1. This x was seen:
inline constexpr double kSeen = 1.5;

inline double log_prior(double z) { return normal_log_density(z, 0, 1); }

// ln p(x | z) of what was seen, as a function of z.
inline double log_likelihood_of_latent(double z) { return normal_log_density(kSeen, 2 * z, 1); }

// The same as pPCA with D = K = 1.
inline Ppca<double> one_number_model() {
  return {Tensor<double>({1}), Tensor<double>({1, 1}, {2}), 1.0};
}

// The four points of lesson 01. Their mean is (4, 3), and their covariance (5, 2; 2, 2) has the
// eigenvectors u1 = (2, 1) / sqrt(5) and u2 = (-1, 2) / sqrt(5), with the eigenvalues 6 and 1.
inline Tensor<double> four_points() { return Tensor<double>({4, 2}, {7, 5, 5, 3, 3, 1, 1, 3}); }

// Under which they are likeliest, with one latent: sigma^2 = 1 and w = sqrt(6 - 1) u1.
inline Ppca<double> four_points_model() {
  return {Tensor<double>({2}, {4, 3}), Tensor<double>({2, 1}, {2, 1}), 1.0};
}

}  // namespace gradus::lesson02
