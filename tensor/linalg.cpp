#include "tensor/linalg.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <numeric>
#include <vector>

#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/map.hpp"
#include "tensor/parallel.hpp"

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

// Throws Error unless l x = b has one solution.
template <class T>
void check_triangular_system(const char* operation, const Tensor<T>& l, const Tensor<T>& b) {
  const Index n = square_extent(operation, l);
  if (b.rank() < 1 || b.rank() > 2 || b.shape()[0] != n)
    fail("{}: the right side {} does not have the {} rows of {}", operation, b.shape(), n,
         l.shape());
  for (Index i = 0; i < n; ++i) {
    if (l.data()[i * n + i] == 0)
      fail("{}: the matrix is singular: element {} of its diagonal is 0", operation, i);
  }
}

// A symmetric matrix as Z^T T Z, with T tridiagonal and Z orthogonal.
struct Tridiagonal {
  std::vector<double> d;  // (n), the diagonal of T
  std::vector<double> e;  // (n), what is below it; the last is 0
  Tensor<double> z;       // (n, n)
};

// A <- H A H for the reflection H = I - tau v v^T and a symmetric matrix of `size` rows, which are
// `stride` apart: with p = tau A v and w = p - (tau/2)(p^T v) v this is A - v w^T - w v^T. What is
// computed is w, in the place of p.
void reflect_symmetric(double* a, Index size, Index stride, double tau,
                       const std::vector<double>& v, std::vector<double>& p) {
  std::fill(p.begin(), p.end(), 0);
  for (Index i = 0; i < size; ++i) add_scaled(size, tau * v[i], a + i * stride, p.data());
  add_scaled(size, -tau / 2 * dot(size, p, v), v.data(), p.data());

  const Index grain = std::max<Index>(1, 65536 / size);
  parallel_for(size, grain, [a, size, stride, &v, &p](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      for (Index j = 0; j < size; ++j) a[i * stride + j] -= v[i] * p[j] + p[i] * v[j];
    }
  });
}

// Z <- H Z for the same H, and Z of `size` rows of n numbers: p = tau Z^T v, and Z - v p^T.
void reflect_rows(double* z, Index size, Index n, double tau, const std::vector<double>& v,
                  std::vector<double>& p) {
  std::fill(p.begin(), p.end(), 0);
  for (Index i = 0; i < size; ++i) add_scaled(n, tau * v[i], z + i * n, p.data());
  for (Index i = 0; i < size; ++i) add_scaled(n, -v[i], p.data(), z + i * n);
}

// Householder's way: the reflection H = I - tau v v^T of the coordinates after k, with tau = 2 /
// v^T v and v = x -+ |x| e_1, takes the column x below a_kk to (+-|x|, 0, ..., 0). A column that is
// negligible counts as 0: beside an element in [1, 2) it changes no digit, and tau would overflow.
// REQUIRES: no element of the matrix has a magnitude of 2 or more.
Tridiagonal tridiagonalize(Tensor<double> matrix) {
  constexpr double kNegligible = 0x1p-500;
  const Index n = matrix.shape()[0];
  Tridiagonal t{std::vector<double>(n), std::vector<double>(n), identity<double>(n)};
  double* a = matrix.mutable_data();
  double* z = t.z.mutable_data();
  std::vector<double> v(n);
  std::vector<double> p(n);  // room for the reflections

  for (Index k = 0; k < n; ++k) {
    t.d[k] = a[k * n + k];
    const Index size = n - k - 1;  // the coordinates after k
    if (size == 0) break;

    const double* x = a + k * n + k + 1;  // the row beside a_kk, which is the column below it
    std::copy_n(x, size, v.begin());
    const double norm = std::sqrt(dot(size, v, v));
    if (norm < kNegligible) continue;  // t.e[k] is 0

    t.e[k] = v[0] > 0 ? -norm : norm;  // the sign with which v[0] does not cancel
    v[0] -= t.e[k];
    const double tau = 2 / dot(size, v, v);
    reflect_symmetric(a + (k + 1) * n + k + 1, size, n, tau, v, p);
    reflect_rows(z + (k + 1) * n, size, n, tau, v, p);
  }
  return t;
}

// How large T is: rounding disturbs all of its elements by about 2^-53 of this.
double magnitude(const Tridiagonal& t) {
  double largest = 0;
  for (std::size_t i = 0; i < t.d.size(); ++i)
    largest = std::max(largest, std::fabs(t.d[i]) + std::fabs(t.e[i]));
  return largest;
}

// (x, y) <- (c x - s y, s x + c y)
void rotate(Index n, double c, double s, double* __restrict x, double* __restrict y) {
  for (Index k = 0; k < n; ++k) {
    const double xk = x[k];
    const double yk = y[k];
    x[k] = c * xk - s * yk;
    y[k] = s * xk + c * yk;
  }
}

// An implicit QL step with Wilkinson's shift on the rows and columns l, ..., m of T, which couple
// with no others. A rotation of coordinates m - 1 and m brings the shift in; it puts a number (the
// bulge) outside of the three diagonals, and further rotations of i and i + 1, for i = m - 2, ...,
// l, chase that up and out. The letters are those of EISPACK's imtql2:
//   c, s   the cosine and sine of the rotation of i and i + 1
//   f      the bulge: s e[i]
//   b      what is left beside it of e[i]: c e[i]
//   g      what the rotation turns, together with the bulge, into e[i + 1]
//   r      the length of (f, g), the new e[i + 1]
//   p      what the rotation adds to d[i + 1] and takes from d[i], so that the trace stays
//   q      p / s
void ql_step(Tridiagonal& t, Index l, Index m) {
  const Index n = std::ssize(t.d);
  std::vector<double>& d = t.d;
  std::vector<double>& e = t.e;
  double* rows = t.z.mutable_data();

  // The shift is d[l] - correction: the eigenvalue of rows and columns l and l + 1 alone that is
  // nearer to d[l].
  const double half = (d[l + 1] - d[l]) / (2 * e[l]);
  const double correction = e[l] / (half + std::copysign(std::hypot(half, 1.0), half));

  double g = d[m] - d[l] + correction;  // d[m] less the shift
  double s = 1;
  double c = 1;
  double p = 0;
  for (Index i = m - 1; i >= l; --i) {
    const double f = s * e[i];
    const double b = c * e[i];
    const double r = std::hypot(f, g);
    e[i + 1] = r;
    if (r == 0) {  // underflow has uncoupled i and i + 1
      d[i + 1] -= p;
      e[m] = 0;
      return;
    }

    s = f / r;
    c = g / r;

    const double lowered = d[i + 1] - p;
    const double q = (d[i] - lowered) * s + 2 * c * b;
    p = s * q;
    d[i + 1] = lowered + p;
    g = c * q - b;

    rotate(n, c, s, rows + i * n, rows + (i + 1) * n);
  }

  d[l] -= p;
  e[l] = g;
  e[m] = 0;
}

// The largest m such that l, ..., m are coupled: each by an e that is more than noise.
Index end_of_coupled(const Tridiagonal& t, Index l, double noise) {
  const Index last = std::ssize(t.d) - 1;
  Index m = l;
  while (m < last && std::fabs(t.e[m]) > noise) ++m;
  return m;
}

// Makes T diagonal by QL steps: d then holds the eigenvalues, and row i of z the eigenvector of
// d[i].
void diagonalize(Tridiagonal& t) {
  constexpr int kMaxSteps = 60;                 // for one eigenvalue
  const double noise = 0x1p-53 * magnitude(t);  // an e that is no larger counts as 0
  for (Index l = 0; l < std::ssize(t.d); ++l) {
    int steps = 0;
    Index m = end_of_coupled(t, l, noise);
    while (m > l) {
      if (steps == kMaxSteps)
        fail("symmetric_eigen: no convergence after {} steps for one eigenvalue", kMaxSteps);
      ql_step(t, l, m);
      ++steps;
      m = end_of_coupled(t, l, noise);
    }
  }
}

// Throws Error when there is a NaN or an infinity.
double largest_magnitude(const char* operation, const Tensor<double>& matrix) {
  double largest = 0;
  for (double x : matrix) {
    if (!std::isfinite(x)) fail("{}: the matrix {} holds {}", operation, matrix.shape(), x);
    largest = std::max(largest, std::fabs(x));
  }
  return largest;
}

// The symmetric matrix with this lower triangle.
Tensor<double> mirrored(Tensor<double> a) {
  const Index n = a.shape()[0];
  double* x = a.mutable_data();
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < i; ++j) x[j * n + i] = x[i * n + j];
  }
  return a;
}

// Turns each row round whose component of the largest magnitude is negative.
void make_largest_components_positive(Tensor<double>& rows) {
  const Index n = rows.shape()[0];
  auto smaller = [](double x, double y) { return std::fabs(x) < std::fabs(y); };
  for (Index i = 0; i < n; ++i) {
    double* v = rows.mutable_data() + i * n;
    if (*std::max_element(v, v + n, smaller) < 0) std::transform(v, v + n, v, std::negate<>());
  }
}
}  // namespace

template <class T> Tensor<T> tril(const Tensor<T>& a) {
  const Index n = square_extent("tril", a);
  Tensor<T> result = a;
  T* z = result.mutable_data();
  for (Index i = 0; i < n; ++i) std::fill(z + i * n + i + 1, z + (i + 1) * n, T(0));
  return result;
}

template <class T> Tensor<T> cholesky(const Tensor<T>& a) {
  const Index n = square_extent("cholesky", a);
  // Row k of `upper` becomes row k of L^T: all inner loops run along rows.
  Tensor<T> upper = zip("cholesky", a, transpose(a), [](T x, T y) { return std::midpoint(x, y); });
  T* u = upper.mutable_data();
  for (Index k = 0; k < n; ++k) {
    T* row = u + k * n;
    if (!(row[k] > 0))
      fail("cholesky: {} is not positive definite: pivot {} is {}; add a small multiple of I?",
           a.shape(), k, row[k]);
    if (std::isinf(row[k]))
      fail("cholesky: {} is not finite: pivot {} is {}", a.shape(), k, row[k]);

    const T root = std::sqrt(row[k]);
    for (Index j = 0; j < k; ++j) row[j] = 0;
    for (Index j = k; j < n; ++j) row[j] /= root;
    for (Index i = k + 1; i < n; ++i) add_scaled(n - i, -row[i], row + i, u + i * n + i);
  }
  return transpose(upper);
}

// From the first row to the last: x_i = (b_i - sum_{j < i} l_ij x_j) / l_ii.
template <class T> Tensor<T> solve_lower(const Tensor<T>& l, const Tensor<T>& b) {
  check_triangular_system("solve_lower", l, b);
  const Index n = l.shape()[0];
  const Index m = b.rank() == 2 ? b.shape()[1] : 1;
  const T* a = l.data();
  Tensor<T> result = b;
  T* x = result.mutable_data();
  for (Index i = 0; i < n; ++i) {
    for (Index j = 0; j < i; ++j) add_scaled(m, -a[i * n + j], x + j * m, x + i * m);
    for (Index k = 0; k < m; ++k) x[i * m + k] /= a[i * n + i];
  }
  return result;
}

// From the last row to the first: x_i = (b_i - sum_{j > i} l_ji x_j) / l_ii. As soon as x_i is
// known, its terms are subtracted in the rows above, so that l is read along its rows here, too.
template <class T> Tensor<T> solve_lower_transposed(const Tensor<T>& l, const Tensor<T>& b) {
  check_triangular_system("solve_lower_transposed", l, b);
  const Index n = l.shape()[0];
  const Index m = b.rank() == 2 ? b.shape()[1] : 1;
  const T* a = l.data();
  Tensor<T> result = b;
  T* x = result.mutable_data();
  for (Index i = n - 1; i >= 0; --i) {
    for (Index k = 0; k < m; ++k) x[i * m + k] /= a[i * n + i];
    for (Index j = 0; j < i; ++j) add_scaled(m, -a[i * n + j], x + i * m, x + j * m);
  }
  return result;
}

template <class T> Tensor<T> solve_spd(const Tensor<T>& a, const Tensor<T>& b) {
  const Tensor<T> l = cholesky(a);
  return solve_lower_transposed(l, solve_lower(l, b));
}

template <class T> Tensor<T> log_determinant(const Tensor<T>& a) {
  const Tensor<T> l = cholesky(a);
  double sum = 0;
  for (Index i = 0; i < l.extent(0); ++i) sum += std::log(l(i, i));
  return static_cast<T>(2 * sum);
}

template <class T> SymmetricEigen<T> symmetric_eigen(const Tensor<T>& matrix) {
  const Index n = square_extent("symmetric_eigen", matrix);
  const Tensor<double> a = mirrored(cast<double>(matrix));
  const double largest = largest_magnitude("symmetric_eigen", a);
  // A power of 2: divided by it, the largest magnitude is in [1, 2), so that no square overflows,
  // and no digit is lost.
  const double scale = largest > 0 ? std::ldexp(1.0, std::ilogb(largest)) : 1;

  Tridiagonal t = tridiagonalize(a / scale);
  diagonalize(t);

  std::vector<Index> order(n);
  std::iota(order.begin(), order.end(), Index{0});
  std::stable_sort(order.begin(), order.end(), [&t](Index i, Index j) { return t.d[i] > t.d[j]; });
  const Tensor<double> values = gather_rows(Tensor<double>({n}, t.d) * scale, order);
  Tensor<double> vectors = gather_rows(t.z, order);
  make_largest_components_positive(vectors);
  return {cast<T>(values), cast<T>(vectors)};
}

#define GRADUS_INSTANTIATE(T)                                                    \
  template Tensor<T> tril(const Tensor<T>&);                                     \
  template Tensor<T> cholesky(const Tensor<T>&);                                 \
  template Tensor<T> solve_lower(const Tensor<T>&, const Tensor<T>&);            \
  template Tensor<T> solve_lower_transposed(const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> solve_spd(const Tensor<T>&, const Tensor<T>&);              \
  template Tensor<T> log_determinant(const Tensor<T>&);                          \
  template SymmetricEigen<T> symmetric_eigen(const Tensor<T>&);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
