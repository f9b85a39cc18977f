// Of a product z = x y, one element is z_ij = sum_k x_ik y_kj, so the loss depends on x_ik through
// all z_ij of row i: dx_ik = sum_j dz_ij y_kj, which is dx = dz y^T; and likewise dy = x^T dz. The
// other two products are the same with x or y transposed.
#include "autograd/matmul.hpp"

#include "autograd/record.hpp"

namespace gradus {

// z = x y   dx = dz y^T   dy = x^T dz
template <class T> Var<T> matmul(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"matmul">(matmul(x.value(), y.value()), x, y);
  if (x.needs_gradient()) add_rule(z, x, [y](const Var<T>& dz) { return matmul_nt(dz, y); });
  if (y.needs_gradient()) add_rule(z, y, [x](const Var<T>& dz) { return matmul_tn(x, dz); });
  return z;
}

// z = x^T y   dx = y dz^T   dy = x dz
template <class T> Var<T> matmul_tn(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"matmul_tn">(matmul_tn(x.value(), y.value()), x, y);
  if (x.needs_gradient()) add_rule(z, x, [y](const Var<T>& dz) { return matmul_nt(y, dz); });
  if (y.needs_gradient()) add_rule(z, y, [x](const Var<T>& dz) { return matmul(x, dz); });
  return z;
}

// z = x y^T   dx = dz y   dy = dz^T x
template <class T> Var<T> matmul_nt(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"matmul_nt">(matmul_nt(x.value(), y.value()), x, y);
  if (x.needs_gradient()) add_rule(z, x, [y](const Var<T>& dz) { return matmul(dz, y); });
  if (y.needs_gradient()) add_rule(z, y, [x](const Var<T>& dz) { return matmul_tn(dz, x); });
  return z;
}

#define GRADUS_INSTANTIATE(T)                              \
  template Var<T> matmul(const Var<T>&, const Var<T>&);    \
  template Var<T> matmul_tn(const Var<T>&, const Var<T>&); \
  template Var<T> matmul_nt(const Var<T>&, const Var<T>&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
