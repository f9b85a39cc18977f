#include "tensor/linalg.hpp"

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

double dot(Index n, const std::vector<double>& x, const std::vector<double>& y) {
  return std::inner_product(x.begin(), x.begin() + n, y.begin(), 0.0);
}

// A symmetric matrix as Z^T T Z, with T tridiagonal and Z orthogonal.
struct Tridiagonal {
  std::vector<double> d, e;  // the diagonal (n), and what is below it (n, of which the last is 0)
  Tensor<double> z;          // (n, n)
};

// Householder's way: the reflection H = I - tau v v^T of the coordinates after k, with tau = 2 /
// v^T v and v = x -+ |x| e_1, takes the column x below a_kk to (+-|x|, 0, ..., 0).
Tridiagonal tridiagonalize(Tensor<double> matrix) {
  const Index n = matrix.shape()[0];
  Tridiagonal t{std::vector<double>(n), std::vector<double>(n), identity<double>(n)};
  double *a = matrix.mutable_data(), *z = t.z.mutable_data();
  std::vector<double> v(n), p(n);
  for (Index k = 0; k < n; ++k) {
    t.d[k] = a[k * n + k];
    const Index size = n - k - 1;
    if (size == 0) break;
    std::copy_n(a + k * n + k + 1, size, v.begin());
    const double norm = std::sqrt(dot(size, v, v));
    t.e[k] = v[0] > 0 ? -norm : norm;  // the sign with which v[0] does not cancel
    v[0] -= t.e[k];
    if (norm == 0) continue;
    const double tau = 2 / dot(size, v, v);
    // B <- H B H for the block B after k: with p = tau B v and w = p - (tau/2)(p^T v) v this is
    // B - v w^T - w v^T.  Z <- H Z for its rows after k.
    double *b = a + (k + 1) * n + k + 1, *rows = z + (k + 1) * n;
    std::fill(p.begin(), p.end(), 0);
    for (Index i = 0; i < size; ++i) add_scaled(size, tau * v[i], b + i * n, p.data());
    add_scaled(size, -tau / 2 * dot(size, p, v), v.data(), p.data());
    parallel_for(size, std::max<Index>(1, 65536 / size), [&](Index begin, Index end) {
      for (Index i = begin; i < end; ++i)
        for (Index j = 0; j < size; ++j) b[i * n + j] -= v[i] * p[j] + p[i] * v[j];
    });
    std::fill(p.begin(), p.end(), 0);
    for (Index i = 0; i < size; ++i) add_scaled(n, tau * v[i], rows + i * n, p.data());
    for (Index i = 0; i < size; ++i) add_scaled(n, -v[i], p.data(), rows + i * n);
  }
  return t;
}

// Makes T diagonal by implicit QL steps with Wilkinson's shift: d then holds the eigenvalues, and
// row i of z the eigenvector of d[i].
void diagonalize(Tridiagonal& t) {
  const Index n = std::ssize(t.d);
  auto &d = t.d, &e = t.e;
  double* rows = t.z.mutable_data();
  double norm = 0;  // rounding has left this much noise everywhere, also where T itself is 0
  for (Index i = 0; i < n; ++i) norm = std::max(norm, std::fabs(d[i]) + std::fabs(e[i]));
  for (Index l = 0; l < n; ++l)
    for (int step = 0;; ++step) {
      Index m = l;  // the block l..m does not split further
      while (m < n - 1 && std::fabs(e[m]) > 0x1p-53 * norm) ++m;
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
        s = f / r, c = g / r;
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
      d[i < l ? l : i + 1] -= p;  // in the second case underflow has split the block
      if (i < l) e[l] = g;
      e[m] = 0;
    }
}
}  // namespace

template <class T>
Tensor<T> detail::solve(const char* operation, const Tensor<T>& l, const Tensor<T>& b,
                        bool transposed) {
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
  for (Index step = 0; step < n; ++step) {
    const Index i = transposed ? n - 1 - step : step;
    if (!transposed)
      for (Index j = 0; j < i; ++j) add_scaled(m, -a[i * n + j], x + j * m, x + i * m);
    for (Index k = 0; k < m; ++k) x[i * m + k] /= a[i * n + i];
    if (transposed)
      for (Index j = 0; j < i; ++j) add_scaled(m, -a[i * n + j], x + i * m, x + j * m);
  }
  return result;
}

template <class T> Tensor<T> cholesky(const Tensor<T>& a) {
  const Index n = square_extent("cholesky", a);
  // Row i of `u` becomes row i of L^T: all inner loops run along rows.
  Tensor<T> upper = (a + transpose(a)) * T(0.5);
  T* u = upper.mutable_data();
  for (Index k = 0; k < n; ++k) {
    T* row = u + k * n;
    if (!(row[k] > 0))
      fail("cholesky: {} is not positive definite: pivot {} is {}; add a small multiple of I?",
           a.shape(), k, row[k]);
    const T root = std::sqrt(row[k]);
    for (Index j = 0; j < k; ++j) row[j] = 0;
    for (Index j = k; j < n; ++j) row[j] /= root;
    for (Index i = k + 1; i < n; ++i) add_scaled(n - i, -row[i], row + i, u + i * n + i);
  }
  return transpose(upper);
}

template <class T> Tensor<T> tril(const Tensor<T>& a) {
  const Index n = square_extent("tril", a);
  Tensor<T> result = a;
  for (Index i = 0; i < n; ++i)
    std::fill(result.mutable_data() + i * n + i + 1, result.mutable_data() + (i + 1) * n, T(0));
  return result;
}

template <class T> SymmetricEigen<T> symmetric_eigen(const Tensor<T>& matrix) {
  const Index n = square_extent("symmetric_eigen", matrix);
  for (T x : matrix)
    if (!std::isfinite(x)) fail("symmetric_eigen: the matrix {} holds {}", matrix.shape(), x);
  double largest = 0;
  for (T x : matrix) largest = std::max(largest, std::fabs(double{x}));
  const double scale =
      largest > 0 ? std::ldexp(1.0, std::ilogb(largest)) : 1;  // no square overflows
  Tensor<double> a = tril(cast<double>(matrix)) / scale;
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < i; ++j) a.set({j, i}, a(i, j));
  Tridiagonal t = tridiagonalize(std::move(a));
  diagonalize(t);
  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&](Index i, Index j) { return t.d[i] > t.d[j]; });
  Tensor<double> values = Tensor<double>({n}, t.d) * scale, vectors = gather_rows(t.z, order);
  for (Index i = 0; i < n; ++i) {
    double* v = vectors.mutable_data() + i * n;
    auto smaller = [](double x, double y) { return std::fabs(x) < std::fabs(y); };
    if (*std::max_element(v, v + n, smaller) < 0) std::transform(v, v + n, v, std::negate<>());
  }
  return {cast<T>(gather_rows(values, order)), cast<T>(vectors)};
}

#define GRADUS_INSTANTIATE(T)                                   \
  template Tensor<T> cholesky(const Tensor<T>&);                \
  template Tensor<T> tril(const Tensor<T>&);                    \
  template SymmetricEigen<T> symmetric_eigen(const Tensor<T>&); \
  template Tensor<T> detail::solve(const char*, const Tensor<T>&, const Tensor<T>&, bool);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
