#pragma once
#include <cmath>

#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

// Ways to spoil examples, each number by itself, and the scale on which the damage is told.
namespace gradus {

// x + s e with standard normal e, in the shape of x. Throws Error unless s >= 0.
template <class T> Tensor<T> add_gaussian_noise(const Tensor<T>& x, double s, Rng& rng) {
  if (!(s >= 0)) fail("Gaussian noise: a standard deviation of {}; it must not be negative", s);
  return x + static_cast<T>(s) * rng.normal<T>(x.shape());
}

// Each number is 0 with probability p, and stays otherwise. Throws Error when p is no probability.
template <class T> Tensor<T> mask(const Tensor<T>& x, double p, Rng& rng) {
  if (!(p >= 0 && p <= 1)) fail("mask: {} is not a probability", p);
  Tensor<T> spoiled = x;
  T* numbers = spoiled.mutable_data();
  for (Index i = 0; i < x.size(); ++i)
    if (rng.uniform() < p) numbers[i] = 0;
  return spoiled;
}

// Each number is 0 with probability p / 2 ("pepper"), 1 with as much ("salt"), and stays otherwise.
// Throws Error when p is no probability.
template <class T> Tensor<T> salt_and_pepper(const Tensor<T>& x, double p, Rng& rng) {
  if (!(p >= 0 && p <= 1)) fail("salt and pepper: {} is not a probability", p);
  Tensor<T> spoiled = x;
  T* numbers = spoiled.mutable_data();
  for (Index i = 0; i < x.size(); ++i) {
    const double u = rng.uniform();
    if (u < p) numbers[i] = u < p / 2 ? T(0) : T(1);
  }
  return spoiled;
}

// The peak signal-to-noise ratio 10 log10(1 / MSE), in decibels, of what has this mean squared
// error in numbers from 0 to 1: 10 dB more are a tenth of the error.
inline double psnr(double mean_squared_error) { return -10 * std::log10(mean_squared_error); }

}  // namespace gradus
