// Every operation is one function: its value first, then one gradient rule for each input. dz is
// the gradient of the loss with respect to the result z, dx the one with respect to the input x.
// The rules are made of these same operations, which is why gradients have gradients.
#include "autograd/operations.hpp"

namespace gradus {
namespace {
// 1 where a > b, 0 where a < b, and half where they are equal.
template <class T> Tensor<T> share(const Var<T>& a, const Var<T>& b) {
  return (greater(a.value(), b.value()) + greater_equal(a.value(), b.value())) * T(0.5);
}
}  // namespace

// An elementwise function of x: its name, and dx.
#define GRADUS_UNARY(f, dx)                                                             \
  template <class T> Var<T> f(const Var<T>& x) {                                        \
    return record(#f, f(x.value()),                                                     \
                  wrt(x,                                                                \
                      [=]([[maybe_unused]] const Var<T>& dz,                            \
                          [[maybe_unused]] const Var<T>& z) -> Var<T> { return dx; })); \
  }                                                                                     \
  template Var<float> f(const Var<float>&);                                             \
  template Var<double> f(const Var<double>&);

// clang-format off
GRADUS_UNARY(operator-, -dz)
GRADUS_UNARY(exp,       dz * z)
GRADUS_UNARY(expm1,     dz * (z + 1))
GRADUS_UNARY(log,       dz / x)
GRADUS_UNARY(log1p,     dz / (1 + x))
GRADUS_UNARY(sqrt,      dz / (2 * z))
GRADUS_UNARY(square,    2 * dz * x)
GRADUS_UNARY(abs,       dz * sign(x.value()))
GRADUS_UNARY(tanh,      dz * (1 - square(z)))
GRADUS_UNARY(sigmoid,   dz * (z * (1 - z)))
GRADUS_UNARY(softplus,  dz * sigmoid(x))
GRADUS_UNARY(relu,      dz * greater(x.value(), 0))

// An elementwise function of x and y: dx and dy, which are then summed over what was broadcast.
#define GRADUS_BINARY(f, shown, dx, dy)                                                           \
  template <class T> Var<T> f(const Var<T>& x, const Var<T>& y) {                                 \
    return record(shown, f(x.value(), y.value()),                                                 \
                  wrt(x, [=, s = x.shape()](const Var<T>& dz, [[maybe_unused]] const Var<T>& z) { \
                    return sum_to(dx, s);                                                         \
                  }),                                                                             \
                  wrt(y, [=, s = y.shape()](const Var<T>& dz, [[maybe_unused]] const Var<T>& z) { \
                    return sum_to(dy, s);                                                         \
                  }));                                                                            \
  }                                                                                               \
  template Var<float> f(const Var<float>&, const Var<float>&);                                    \
  template Var<double> f(const Var<double>&, const Var<double>&);

GRADUS_BINARY(operator+, "add", dz, dz)
GRADUS_BINARY(operator-, "sub", dz, -dz)
GRADUS_BINARY(operator*, "mul", dz * y, dz * x)
GRADUS_BINARY(operator/, "div", dz / y, -dz * z / y)
GRADUS_BINARY(pow,       "pow", dz * y * pow(x, y - 1), dz * z * log(x))
GRADUS_BINARY(maximum,   "maximum", dz * share(x, y), dz * share(y, x))
GRADUS_BINARY(minimum,   "minimum", dz * share(y, x), dz * share(x, y))
// clang-format on

namespace {
// A reduction's result with its reduced axes put back, so that it broadcasts against x.
template <class T> Var<T> unreduced(const Var<T>& z, const Shape& x, const Axes& axes) {
  return reshape(z, reduced("sum", x, axes, /*keep=*/true));
}
}  // namespace

// z = sum_i x_i   dx_i = dz
template <class T> Var<T> sum(const Var<T>& x, const Axes& axes, bool keep) {
  return record("sum", sum(x.value(), axes, keep), wrt(x, [=, s = x.shape()](const Var<T>& dz) {
                  return broadcast_to(unreduced(dz, s, axes), s);
                }));
}

// z = (1/n) sum_i x_i
template <class T> Var<T> mean(const Var<T>& x, const Axes& axes, bool keep) {
  if (x.value().empty()) fail("mean: {} has no elements", x.shape());
  const Var<T> total = sum(x, axes, keep);
  return total / static_cast<T>(x.value().size() / total.value().size());
}

// z = max_i x_i   dx_i = dz where x_i = z, shared where several are
template <class T> Var<T> max(const Var<T>& x, const Axes& axes, bool keep) {
  return record("max", max(x.value(), axes, keep), wrt(x, [=](const Var<T>& dz, const Var<T>& z) {
                  const Tensor<T> hit = equal(x.value(), unreduced(z, x.shape(), axes).value());
                  return unreduced(dz, x.shape(), axes) * (hit / sum(hit, axes, true));
                }));
}

// z = ln sum_i e^(x_i)   dx_i = dz e^(x_i - z)
template <class T> Var<T> logsumexp(const Var<T>& x, const Axes& axes, bool keep) {
  return record("logsumexp", logsumexp(x.value(), axes, keep),
                wrt(x, [=](const Var<T>& dz, const Var<T>& z) {
                  return unreduced(dz, x.shape(), axes) * exp(x - unreduced(z, x.shape(), axes));
                }));
}

// Adding up and repeating are each other's adjoint.
template <class T> Var<T> sum_to(const Var<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  return record("sum_to", sum_to(x.value(), shape),
                wrt(x, [s = x.shape()](const Var<T>& dz) { return broadcast_to(dz, s); }));
}

template <class T> Var<T> broadcast_to(const Var<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  return record("broadcast_to", broadcast_to(x.value(), shape),
                wrt(x, [s = x.shape()](const Var<T>& dz) { return sum_to(dz, s); }));
}

template <class T> Var<T> reshape(const Var<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  return record("reshape", x.value().reshape(shape),
                wrt(x, [s = x.shape()](const Var<T>& dz) { return reshape(dz, s); }));
}

template <class T> Var<T> transpose(const Var<T>& x) {
  return record("transpose", transpose(x.value()),
                wrt(x, [](const Var<T>& dz) { return transpose(dz); }));
}

// Picking rows and adding into rows are each other's adjoint, and so are cutting and padding.
template <class T> Var<T> rows(const Var<T>& x, std::vector<Index> indices) {
  return record("rows", rows(x.value(), indices),
                wrt(x, [=](const Var<T>& dz) { return scatter_rows(dz, indices, x.shape()[0]); }));
}

template <class T> Var<T> scatter_rows(const Var<T>& x, std::vector<Index> indices, Index n) {
  return record("scatter_rows", scatter_rows(x.value(), indices, n),
                wrt(x, [=](const Var<T>& dz) { return rows(dz, indices); }));
}

template <class T> Var<T> slice(const Var<T>& x, int axis, Index begin, Index end) {
  return record("slice", slice(x.value(), axis, begin, end), wrt(x, [=](const Var<T>& dz) {
                  return pad(dz, axis, begin, x.value().extent(axis) - end);
                }));
}

template <class T> Var<T> pad(const Var<T>& x, int axis, Index before, Index after) {
  return record("pad", pad(x.value(), axis, before, after), wrt(x, [=](const Var<T>& dz) {
                  return slice(dz, axis, before, before + x.value().extent(axis));
                }));
}

// z = x_1, x_2, ... one after another   dx_k = its piece of dz
template <class T> Var<T> concatenate(const std::vector<Var<T>>& xs, int axis) {
  std::vector<Tensor<T>> values;
  std::vector<Edge<T>> edges;
  for (const Var<T>& x : xs) values.push_back(x.value());
  Tensor<T> value = concatenate(values, axis);
  Index begin = 0;
  for (const Var<T>& x : xs) {
    const Index end = begin + x.value().extent(axis);
    edges.push_back(wrt(x, [=](const Var<T>& dz) { return slice(dz, axis, begin, end); }));
    begin = end;
  }
  return detail::record<T>("concatenate", std::move(value), edges);
}

// z = a b   da = dz b^T   db = a^T dz
template <class T> Var<T> matmul(const Var<T>& a, const Var<T>& b) {
  return record("matmul", matmul(a.value(), b.value()),
                wrt(a, [=](const Var<T>& dz) { return matmul_nt(dz, b); }),
                wrt(b, [=](const Var<T>& dz) { return matmul_tn(a, dz); }));
}

// z = a^T b   da = b dz^T   db = a dz
template <class T> Var<T> matmul_tn(const Var<T>& a, const Var<T>& b) {
  return record("matmul_tn", matmul_tn(a.value(), b.value()),
                wrt(a, [=](const Var<T>& dz) { return matmul_nt(b, dz); }),
                wrt(b, [=](const Var<T>& dz) { return matmul(a, dz); }));
}

// z = a b^T   da = dz b   db = dz^T a
template <class T> Var<T> matmul_nt(const Var<T>& a, const Var<T>& b) {
  return record("matmul_nt", matmul_nt(a.value(), b.value()),
                wrt(a, [=](const Var<T>& dz) { return matmul(dz, b); }),
                wrt(b, [=](const Var<T>& dz) { return matmul_tn(dz, a); }));
}

template <class T> Var<T> lower_triangle(const Var<T>& a) {
  return record("lower_triangle", lower_triangle(a.value()),
                wrt(a, [](const Var<T>& dz) { return lower_triangle(dz); }));
}

// z = L with L L^T = (A + A^T) / 2   dA = (S + S^T) / 2 with S = L^-T Phi(L^T dL) L^-1, where Phi
// takes the lower triangle and half of the diagonal.  (I. Murray, arXiv:1602.07527, eq. 10)
template <class T> Var<T> cholesky(const Var<T>& a) {
  return record("cholesky", cholesky(a.value()), wrt(a, [](const Var<T>& dz, const Var<T>& l) {
                  const Tensor<T> eye = identity<T>(l.shape()[0]);
                  const Var<T> phi = lower_triangle(matmul_tn(l, dz)) * (T(1) - eye * T(0.5));
                  const Var<T> left = solve_lower_transposed(l, phi);
                  const Var<T> s = transpose(solve_lower_transposed(l, transpose(left)));
                  return (s + transpose(s)) * T(0.5);
                }));
}

// z = L^-1 b   db = L^-T dz   dL = -lower(db z^T)
template <class T> Var<T> solve_lower(const Var<T>& l, const Var<T>& b) {
  return record("solve_lower", solve_lower(l.value(), b.value()),
                wrt(l,
                    [=](const Var<T>& dz, const Var<T>& z) {
                      const Shape column{l.shape()[0], z.value().size() / l.shape()[0]};
                      const Var<T> db = reshape(solve_lower_transposed(l, dz), column);
                      return -lower_triangle(matmul_nt(db, reshape(z, column)));
                    }),
                wrt(b, [=](const Var<T>& dz) { return solve_lower_transposed(l, dz); }));
}

// z = L^-T b   db = L^-1 dz   dL = -lower(z db^T)
template <class T> Var<T> solve_lower_transposed(const Var<T>& l, const Var<T>& b) {
  return record("solve_lower_transposed", solve_lower_transposed(l.value(), b.value()),
                wrt(l,
                    [=](const Var<T>& dz, const Var<T>& z) {
                      const Shape column{l.shape()[0], z.value().size() / l.shape()[0]};
                      const Var<T> db = reshape(solve_lower(l, dz), column);
                      return -lower_triangle(matmul_nt(reshape(z, column), db));
                    }),
                wrt(b, [=](const Var<T>& dz) { return solve_lower(l, dz); }));
}

// A^-1 b = L^-T L^-1 b
template <class T> Var<T> solve_positive(const Var<T>& a, const Var<T>& b) {
  const Var<T> l = cholesky(a);
  return solve_lower_transposed(l, solve_lower(l, b));
}

// z = ln det A   dA = dz A^-1
template <class T> Var<T> log_determinant(const Var<T>& a) {
  return record("log_determinant", log_determinant(a.value()), wrt(a, [=](const Var<T>& dz) {
                  return dz * solve_positive(a, identity<T>(a.shape()[0]));
                }));
}

// clang-format off
#define GRADUS_UNARY_OF(f, T) template Var<T> f(const Var<T>&);
#define GRADUS_BINARY_OF(f, T) template Var<T> f(const Var<T>&, const Var<T>&);
#define GRADUS_REDUCTION_OF(f, T) template Var<T> f(const Var<T>&, const Axes&, bool);
#define GRADUS_RESHAPING_OF(f, T) template Var<T> f(const Var<T>&, const Shape&);
#define GRADUS_INSTANTIATE(T)                                                                    \
  GRADUS_UNARY_OF(transpose, T) GRADUS_UNARY_OF(lower_triangle, T) GRADUS_UNARY_OF(cholesky, T)  \
  GRADUS_UNARY_OF(log_determinant, T) GRADUS_BINARY_OF(matmul, T) GRADUS_BINARY_OF(matmul_tn, T) \
  GRADUS_BINARY_OF(matmul_nt, T) GRADUS_BINARY_OF(solve_lower, T)                                \
  GRADUS_BINARY_OF(solve_lower_transposed, T) GRADUS_BINARY_OF(solve_positive, T)                \
  GRADUS_REDUCTION_OF(sum, T) GRADUS_REDUCTION_OF(mean, T) GRADUS_REDUCTION_OF(max, T)           \
  GRADUS_REDUCTION_OF(logsumexp, T) GRADUS_RESHAPING_OF(sum_to, T)                               \
  GRADUS_RESHAPING_OF(broadcast_to, T) GRADUS_RESHAPING_OF(reshape, T)                           \
  template Var<T> rows(const Var<T>&, std::vector<Index>);                                       \
  template Var<T> scatter_rows(const Var<T>&, std::vector<Index>, Index);                        \
  template Var<T> concatenate(const std::vector<Var<T>>&, int);                                  \
  template Var<T> slice(const Var<T>&, int, Index, Index);                                       \
  template Var<T> pad(const Var<T>&, int, Index, Index);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
