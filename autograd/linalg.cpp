#include "autograd/linalg.hpp"

#include "autograd/elementwise.hpp"
#include "autograd/layout.hpp"
#include "autograd/matmul.hpp"
#include "autograd/record.hpp"

namespace gradus {
namespace {

// A vector as a matrix of one column; a matrix as it is.
template <class T> Var<T> as_column(const Var<T>& x) {
  return x.shape().rank() == 1 ? reshape(x, {x.shape()[0], 1}) : x;
}

}  // namespace

// z = the lower triangle of x   dx = that of dz
template <class T> Var<T> tril(const Var<T>& x) {
  Var<T> z = record<"tril">(tril(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [](const Var<T>& dz) { return tril(dz); });
  return z;
}

// L L^T = (A + A^T) / 2   dA = (S + S^T) / 2 with S = L^-T Phi(L^T dL) L^-1, where Phi takes the
// lower triangle and half of the diagonal.  (I. Murray, arXiv:1602.07527, eq. 10)
template <class T> Var<T> cholesky(const Var<T>& a) {
  Var<T> l = record<"cholesky">(cholesky(a.value()), a);
  if (a.needs_gradient())
    add_rule(l, a, [l](const Var<T>& dl) {
      const Tensor<T> eye = identity<T>(l.shape()[0]);
      const Var<T> phi = tril(matmul_tn(l, dl)) * (T(1) - eye * T(0.5));
      const Var<T> left = solve_lower_transposed(l, phi);
      const Var<T> s = transpose(solve_lower_transposed(l, transpose(left)));
      return (s + transpose(s)) * T(0.5);
    });
  return l;
}

// z = ln det A   dA = dz A^-1
template <class T> Var<T> log_determinant(const Var<T>& a) {
  Var<T> z = record<"log_determinant">(log_determinant(a.value()), a);
  if (a.needs_gradient())
    add_rule(z, a, [a](const Var<T>& dz) { return dz * solve_spd(a, identity<T>(a.shape()[0])); });
  return z;
}

// z = L^-1 y   dy = L^-T dz   dL = -(the lower triangle of dy z^T)
template <class T> Var<T> solve_lower(const Var<T>& l, const Var<T>& y) {
  Var<T> z = record<"solve_lower">(solve_lower(l.value(), y.value()), l, y);
  if (l.needs_gradient())
    add_rule(z, l, [l, z](const Var<T>& dz) {
      const Var<T> dy = solve_lower_transposed(l, dz);
      return -tril(matmul_nt(as_column(dy), as_column(z)));
    });
  if (y.needs_gradient())
    add_rule(z, y, [l](const Var<T>& dz) { return solve_lower_transposed(l, dz); });
  return z;
}

// z = L^-T y   dy = L^-1 dz   dL = -(the lower triangle of z dy^T)
template <class T> Var<T> solve_lower_transposed(const Var<T>& l, const Var<T>& y) {
  Var<T> z = record<"solve_lower_transposed">(solve_lower_transposed(l.value(), y.value()), l, y);
  if (l.needs_gradient())
    add_rule(z, l, [l, z](const Var<T>& dz) {
      const Var<T> dy = solve_lower(l, dz);
      return -tril(matmul_nt(as_column(z), as_column(dy)));
    });
  if (y.needs_gradient()) add_rule(z, y, [l](const Var<T>& dz) { return solve_lower(l, dz); });
  return z;
}

// A^-1 y = L^-T L^-1 y
template <class T> Var<T> solve_spd(const Var<T>& a, const Var<T>& y) {
  const Var<T> l = cholesky(a);
  return solve_lower_transposed(l, solve_lower(l, y));
}

#define GRADUS_INSTANTIATE(T)                                           \
  template Var<T> tril(const Var<T>&);                                  \
  template Var<T> cholesky(const Var<T>&);                              \
  template Var<T> log_determinant(const Var<T>&);                       \
  template Var<T> solve_lower(const Var<T>&, const Var<T>&);            \
  template Var<T> solve_lower_transposed(const Var<T>&, const Var<T>&); \
  template Var<T> solve_spd(const Var<T>&, const Var<T>&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
