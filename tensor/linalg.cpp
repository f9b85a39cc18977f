#include "tensor/linalg.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"

namespace gradus {
namespace {

template <class T> Index square_extent(const char* operation, const Tensor<T>& a) {
  if (a.rank() != 2 || a.shape()[0] != a.shape()[1])
    fail("{}: {} is not a square matrix", operation, a.shape());
  return a.shape()[0];
}

// y += factor x
template <class T> void add_scaled(Index n, T factor, const T* x, T* __restrict y) {
  for (Index i = 0; i < n; ++i) y[i] += factor * x[i];
}

double dot(Index n, const double* x, const double* y) {
  double lanes[8] = {};
  Index i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) lanes[k] += x[i + k] * y[i + k];
  for (int k = 0; i < n; ++i, ++k) lanes[k] += x[i] * y[i];
  return std::accumulate(lanes, lanes + 8, 0.0);
}

// The reflection I - tau v v^T that takes x to (alpha, 0, ..., 0); v replaces x. Returns alpha.
double householder(Index n, double* x, double* tau) {
  const double norm = std::sqrt(dot(n, x, x));
  *tau = 0;
  if (norm == 0) return 0;
  const double alpha = x[0] > 0 ? -norm : norm;  // the sign that does not cancel
  x[0] -= alpha;
  *tau = 2 / dot(n, x, x);
  return alpha;
}

// A symmetric matrix as Q T Q^T with T tridiagonal and Q = H_0 H_1 ... H_{n-3}, where the
// reflection H_k acts on the coordinates after k.
struct Tridiagonal {
  std::vector<double> diagonal, below;  // n; n, of which the last is 0
  std::vector<double> taus;             // n
  Tensor<double> reflections;           // (n, n): v_k is row k after column k
};

Tridiagonal tridiagonalize(Tensor<double> matrix) {
  const Index n = matrix.shape()[0];
  Tridiagonal t{std::vector<double>(n), std::vector<double>(n), std::vector<double>(n),
                Tensor<double>({n, n})};
  double* a = matrix.mutable_data();
  double* reflections = t.reflections.mutable_data();
  std::vector<double> p(n);
  for (Index k = 0; k < n; ++k) {
    t.diagonal[k] = a[k * n + k];
    if (k == n - 1) break;
    const Index size = n - k - 1;
    double* v = reflections + k * n + k + 1;
    std::copy_n(a + k * n + k + 1, size, v);
    if (size == 1) {
      t.below[k] = v[0];
      continue;
    }
    t.below[k] = householder(size, v, &t.taus[k]);
    // B <- H B H for the block B after k: with p = tau B v and w = p - (tau/2)(p^T v) v this is
    // B - v w^T - w v^T.
    double* b = a + (k + 1) * n + k + 1;
    std::fill_n(p.begin(), size, 0.0);
    for (Index i = 0; i < size; ++i) add_scaled(size, t.taus[k] * v[i], b + i * n, p.data());
    add_scaled(size, -t.taus[k] / 2 * dot(size, p.data(), v), v, p.data());
    parallel_for(size, std::max<Index>(1, 65536 / size), [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        for (Index j = 0; j < size; ++j) b[i * n + j] -= v[i] * p[j] + p[i] * v[j];
    });
  }
  return t;
}

// Turns (d, e), the diagonal and what is below it, into (eigenvalues, 0) by implicit QL steps with
// Wilkinson's shift, applying each rotation to the rows of `vectors`.
void diagonalize(std::vector<double>& d, std::vector<double>& e, Tensor<double>& vectors) {
  const Index n = std::ssize(d);
  double* rows = vectors.mutable_data();
  for (Index l = 0; l < n; ++l)
    for (int step = 0;; ++step) {
      Index m = l;  // the block l..m does not split further
      while (m < n - 1 && std::fabs(e[m]) > 0x1p-53 * (std::fabs(d[m]) + std::fabs(d[m + 1]))) ++m;
      if (m == l) break;
      if (step == 60) fail("symmetric_eigen: no convergence after 60 steps for one eigenvalue");
      const double half = (d[l + 1] - d[l]) / (2 * e[l]);
      double g = d[m] - d[l] + e[l] / (half + std::copysign(std::hypot(half, 1.0), half));
      double s = 1, c = 1, p = 0;
      Index i = m - 1;
      for (; i >= l; --i) {  // chase the bulge from m up to l
        const double f = s * e[i], b = c * e[i], r = std::hypot(f, g);
        e[i + 1] = r;
        if (r == 0) break;
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        const double q = (d[i] - g) * s + 2 * c * b;
        p = s * q;
        d[i + 1] = g + p;
        g = c * q - b;
        double* __restrict x = rows + i * n, * __restrict y = rows + (i + 1) * n;
        for (Index k = 0; k < n; ++k) {
          const double xk = x[k], yk = y[k];
          x[k] = c * xk - s * yk;
          y[k] = s * xk + c * yk;
        }
      }
      if (i >= l) {  // underflow has split the block at i + 1
        d[i + 1] -= p;
      } else {
        d[l] -= p;
        e[l] = g;
      }
      e[m] = 0;
    }
}

SymmetricEigen<double> eigen_in_double(const Tensor<double>& a) {
  const Index n = square_extent("symmetric_eigen", a);
  for (double value : a)
    if (!std::isfinite(value)) fail("symmetric_eigen: the matrix {} holds {}", a.shape(), value);
  const Tensor<double> lower = lower_triangle(a);
  Tensor<double> matrix = lower + transpose(lower);
  for (Index i = 0; i < n; ++i) matrix.mutable_data()[i * n + i] = a.data()[i * n + i];

  Tridiagonal t = tridiagonalize(std::move(matrix));
  Tensor<double> vectors = identity<double>(n);
  diagonalize(t.diagonal, t.below, vectors);

  SymmetricEigen<double> result{Tensor<double>({n}), Tensor<double>({n, n})};
  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](Index i, Index j) { return t.diagonal[i] > t.diagonal[j]; });
  double *values = result.values.mutable_data(), *out = result.vectors.mutable_data();
  const double *from = vectors.data(), *reflections = t.reflections.data();
  parallel_for(n, 8, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      values[i] = t.diagonal[order[i]];
      double* v = out + i * n;
      std::copy_n(from + order[i] * n, n, v);
      for (Index k = n - 3; k >= 0; --k) {  // v <- H_0 H_1 ... H_{n-3} v
        const double* h = reflections + k * n + k + 1;
        add_scaled(n - k - 1, -t.taus[k] * dot(n - k - 1, h, v + k + 1), h, v + k + 1);
      }
      const double* largest = std::max_element(
          v, v + n, [](double x, double y) { return std::fabs(x) < std::fabs(y); });
      if (*largest < 0)
        for (Index j = 0; j < n; ++j) v[j] = -v[j];
    }
  });
  return result;
}

template <class T>
Tensor<T> solve(const char* operation, const Tensor<T>& l, const Tensor<T>& b, bool transposed) {
  const Index n = square_extent(operation, l);
  if (b.rank() < 1 || b.rank() > 2 || b.shape()[0] != n)
    fail("{}: the right side {} does not have the {} rows of {}", operation, b.shape(), n,
         l.shape());
  const Index m = b.rank() == 2 ? b.shape()[1] : 1;
  Tensor<T> result = b;
  T* x = result.mutable_data();
  const T* a = l.data();
  for (Index i = 0; i < n; ++i)
    if (a[i * n + i] == 0)
      fail("{}: the matrix is singular: element {} of its diagonal is 0", operation, i);
  if (!transposed) {
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < i; ++j) add_scaled(m, -a[i * n + j], x + j * m, x + i * m);
      for (Index k = 0; k < m; ++k) x[i * m + k] /= a[i * n + i];
    }
  } else {
    for (Index i = n - 1; i >= 0; --i) {
      for (Index k = 0; k < m; ++k) x[i * m + k] /= a[i * n + i];
      for (Index j = 0; j < i; ++j) add_scaled(m, -a[i * n + j], x + i * m, x + j * m);
    }
  }
  return result;
}

}  // namespace

template <class T> Tensor<T> cholesky(const Tensor<T>& a) {
  const Index n = square_extent("cholesky", a);
  // Row i of `u` becomes row i of L^T: all inner loops run along rows.
  Tensor<T> upper = (a + transpose(a)) * T(0.5);
  T* u = upper.mutable_data();
  for (Index k = 0; k < n; ++k) {
    T* row = u + k * n;
    if (!(row[k] > 0))
      fail(
          "cholesky: {} is not positive definite: pivot {} is {}. Is it a covariance? "
          "Adding a small multiple of the identity helps against rounding.",
          a.shape(), k, row[k]);
    const T root = std::sqrt(row[k]);
    for (Index j = 0; j < k; ++j) row[j] = 0;
    for (Index j = k; j < n; ++j) row[j] /= root;
    for (Index i = k + 1; i < n; ++i) add_scaled(n - i, -row[i], row + i, u + i * n + i);
  }
  return transpose(upper);
}

template <class T> Tensor<T> solve_lower(const Tensor<T>& l, const Tensor<T>& b) {
  return solve("solve_lower", l, b, false);
}

template <class T> Tensor<T> solve_lower_transposed(const Tensor<T>& l, const Tensor<T>& b) {
  return solve("solve_lower_transposed", l, b, true);
}

template <class T> Tensor<T> solve_positive(const Tensor<T>& a, const Tensor<T>& b) {
  const Tensor<T> l = cholesky(a);
  return solve_lower_transposed(l, solve_lower(l, b));
}

template <class T> Tensor<T> log_determinant(const Tensor<T>& a) {
  const Tensor<T> l = cholesky(a);
  double sum = 0;
  for (Index i = 0, n = l.shape()[0]; i < n; ++i) sum += std::log(l.data()[i * n + i]);
  return T(2 * sum);
}

template <class T> Tensor<T> lower_triangle(const Tensor<T>& a) {
  const Index n = square_extent("lower_triangle", a);
  Tensor<T> result = a;
  for (Index i = 0; i < n; ++i)
    std::fill(result.mutable_data() + i * n + i + 1, result.mutable_data() + (i + 1) * n, T(0));
  return result;
}

template <class T> SymmetricEigen<T> symmetric_eigen(const Tensor<T>& a) {
  const SymmetricEigen<double> result = eigen_in_double(cast<double>(a));
  return {cast<T>(result.values), cast<T>(result.vectors)};
}

#define GRADUS_INSTANTIATE(T)                                                    \
  template Tensor<T> cholesky(const Tensor<T>&);                                 \
  template Tensor<T> solve_lower(const Tensor<T>&, const Tensor<T>&);            \
  template Tensor<T> solve_lower_transposed(const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> solve_positive(const Tensor<T>&, const Tensor<T>&);         \
  template Tensor<T> log_determinant(const Tensor<T>&);                          \
  template Tensor<T> lower_triangle(const Tensor<T>&);                           \
  template SymmetricEigen<T> symmetric_eigen(const Tensor<T>&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
