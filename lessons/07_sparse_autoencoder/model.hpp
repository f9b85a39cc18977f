#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

#include "autograd/operations.hpp"
#include "nn/parameters.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// Codes of which few numbers are not 0. All objectives here are
//
//     |x - D h|^2 + price (|h_1| + ... + |h_K|)
//
// without a half before the square; with one, price / 2 takes the place of the price.
//
//     N examples, D dimensions (pixels), K numbers in the code; K may be larger than D
namespace gradus::lesson07 {

// sign(x) max(|x| - t, 0), element by element: the h that makes (x - h)^2 + 2 t |h| least. Numbers
// up to t become exactly 0.
template <class T> Tensor<T> soft_threshold(const Tensor<T>& x, T t) {
  return sign(x) * relu(abs(x) - t);
}

// Divides each column of w (D, K) by its length. A column of zeros stays one.
template <class T> void make_columns_unit(Tensor<T>& w) {
  const Index rows = w.extent(0);
  const Index columns = w.extent(1);
  T* const numbers = w.mutable_data();
  std::vector<T> scale(columns);
  for (Index i = 0; i < rows; ++i) {
    const T* const row = numbers + i * columns;
    for (Index k = 0; k < columns; ++k) scale[k] += row[k] * row[k];
  }
  for (T& s : scale) s = s > 0 ? 1 / std::sqrt(s) : T(0);
  for (Index i = 0; i < rows; ++i) {
    T* const row = numbers + i * columns;
    for (Index k = 0; k < columns; ++k) row[k] *= scale[k];
  }
}

// 1 for each of the k largest numbers of a row of x (N, K) and 0 for the others; of equal ones,
// the first count as larger.
template <class T> Tensor<T> largest(const Tensor<T>& x, Index k) {
  const Index columns = x.extent(1);
  if (k < 0 || k > columns) fail("largest: {} of the {} numbers in a row", k, columns);
  Tensor<T> mask(x.shape());
  if (k == 0) return mask;
  T* const marks = mask.mutable_data();
  std::vector<T> row(columns);
  for (Index n = 0; n < x.extent(0); ++n) {
    const T* const numbers = x.data() + n * columns;
    std::copy(numbers, numbers + columns, row.begin());
    std::nth_element(row.begin(), row.begin() + (k - 1), row.end(), std::greater<T>());
    const T least = row[k - 1];
    Index equals = k - std::count_if(numbers, numbers + columns, [=](T h) { return h > least; });
    for (Index j = 0; j < columns; ++j) {
      const bool is_equal = numbers[j] == least && equals > 0;
      if (is_equal) --equals;
      marks[n * columns + j] = numbers[j] > least || is_equal ? T(1) : T(0);
    }
  }
  return mask;
}

// How a code is kept sparse: by what each unit of it costs, by how many numbers may be other than
// 0, or not at all.
struct Constraint {
  double price = 0;        // lambda
  Index keep = 0;          // numbers of a code that are kept, the largest; 0: all
  bool unit_atoms = true;  // whether the atoms' lengths are held at 1
};

// An autoencoder with a code that may be wider than its input:
//
//     h = relu(W (x - b) + c),    x^ = D h + b
//
// The columns of D are called atoms. Training calls hold_atoms() after each step.
template <class T> class SparseAutoencoder {
 public:
  // Begins with random atoms of length 1, W = D^T, c = 0, and b = `mean` (D).
  SparseAutoencoder(const Tensor<T>& mean, Index units, const Constraint& constraint, Rng& rng)
      : constraint_(constraint),
        to_code_("encoder.weight", Tensor<T>({units, mean.size()})),
        code_bias_("encoder.bias", Tensor<T>({units})),
        atoms_("decoder.weight", rng.normal<T>({mean.size(), units})),
        image_bias_("decoder.bias", mean) {
    make_columns_unit(atoms_.mutable_value());
    to_code_.set_value(transpose(atoms_.value()));
  }

  // (N, D) -> (N, K). W (x - b) is W x less a constant, so that no gradient for x is computed.
  Var<T> encode(const Var<T>& x) const {
    const Index pixels = image_bias_.shape()[0];
    const Var<T> at_mean = matmul_nt(reshape(image_bias_, {1, pixels}), to_code_);  // (1, K)
    const Var<T> h = relu(matmul_nt(x, to_code_) + (code_bias_ - at_mean));
    if (constraint_.keep == 0) return h;
    return h * largest(h.value(), constraint_.keep);
  }

  // (N, K) -> (N, D)
  Var<T> decode(const Var<T>& h) const { return matmul_nt(h, atoms_) + image_bias_; }

  // |x - x^|^2 + price sum_k h_k; no h_k is negative.  (N, D) -> (N)
  Var<T> loss(const Var<T>& x) const {
    const Var<T> h = encode(x);
    const Var<T> error = sum(square(decode(h) - x), {1});
    if (constraint_.price == 0) return error;
    return error + constraint_.price * sum(h, {1});
  }

  // Gives each atom the length 1 again.
  void hold_atoms() {
    if (constraint_.unit_atoms) make_columns_unit(atoms_.mutable_value());
  }

  const Constraint& constraint() const { return constraint_; }

  const Tensor<T>& atoms() const { return atoms_.value(); }  // (D, K)

  const Tensor<T>& image_bias() const { return image_bias_.value(); }  // (D)

  nn::Parameters<T> parameters() { return {&to_code_, &code_bias_, &atoms_, &image_bias_}; }

 private:
  Constraint constraint_;
  Parameter<T> to_code_;     // (K, D)
  Parameter<T> code_bias_;   // (K)
  Parameter<T> atoms_;       // (D, K)
  Parameter<T> image_bias_;  // (D)
};

// The best codes for atoms that are given: the h that make |x - D h|^2 + price |h|_1 least, which
// is called the lasso (Tibshirani 1996), found by descent.
template <class T> class Lasso {
 public:
  // For examples x (N, D) and atoms (D, K). Where codes are `positive`, no h_k may be below 0.
  Lasso(const Tensor<T>& x, const Tensor<T>& atoms, T price, bool positive = false)
      : x_(x), atoms_(atoms), price_(price), positive_(positive) {
    const bool tall = atoms.extent(0) > atoms.extent(1);
    gram_ = matmul_tn(atoms, atoms);
    along_ = matmul(x, atoms);
    // D^T D and D D^T have the same largest eigenvalue.
    curvature_ = symmetric_eigen(tall ? gram_ : matmul_nt(atoms, atoms)).values(0);
  }

  // Of each example, for its code: (N, K) -> (N).
  Tensor<T> objective(const Tensor<T>& h) const {
    return sum(square(x_ - matmul_nt(h, atoms_)), {1}) + price_ * sum(abs(h), {1});
  }

  // D^T (x - D h): by how much each atom's number would have to grow for the residual to be
  // orthogonal to it.  (N, K) -> (N, K)
  Tensor<T> correlations(const Tensor<T>& h) const { return along_ - matmul(h, gram_); }

  // One proximal step from h, by ISTA: down the gradient of the square, -2 D^T (x - D h), by 1 / (2
  // L), then the soft threshold at price / (2 L). L is the largest eigenvalue of D^T D.
  Tensor<T> step(const Tensor<T>& h) const {
    const Tensor<T> moved = h + correlations(h) / curvature_;
    const T threshold = price_ / (2 * curvature_);
    return positive_ ? relu(moved - threshold) : soft_threshold(moved, threshold);
  }

  // Is told the number of steps that are done, and where they led.
  using Watch = std::function<void(Index, const Tensor<T>&)>;

  // Steps from h, each from where the last one came to.
  Tensor<T> ista(Tensor<T> h, Index steps, const Watch& watch = {}) const {
    for (Index i = 1; i <= steps; ++i) {
      h = step(h);
      if (watch) watch(i, h);
    }
    return h;
  }

  // Steps from h, each from a point beyond the last: FISTA (Beck and Teboulle 2009, section 4).
  Tensor<T> fista(Tensor<T> h, Index steps, const Watch& watch = {}) const {
    Tensor<T> from = h;
    double t = 1;
    for (Index i = 1; i <= steps; ++i) {
      const Tensor<T> next = step(from);
      const double after = (1 + std::sqrt(1 + 4 * t * t)) / 2;
      from = next + static_cast<T>((t - 1) / after) * (next - h);
      h = next;
      t = after;
      if (watch) watch(i, h);
    }
    return h;
  }

  const Tensor<T>& gram() const { return gram_; }  // (K, K)

  T curvature() const { return curvature_; }

 private:
  Tensor<T> x_;      // (N, D)
  Tensor<T> atoms_;  // (D, K)
  T price_;
  bool positive_;
  Tensor<T> gram_;   // D^T D, (K, K)
  Tensor<T> along_;  // x^T D, (N, K)
  T curvature_;      // L
};

}  // namespace gradus::lesson07
