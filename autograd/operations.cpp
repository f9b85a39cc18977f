// Every operation is one function: its value first, then one gradient rule for each input. dz is
// the gradient of the loss with respect to the result z, dx the one with respect to the input x.
// The rules are made of these same operations, which is why gradients have gradients.
#include "autograd/operations.hpp"

#include "autograd/tape.hpp"

namespace gradus {
// Below, a line is an operation: its function in tensor/, the name that a tape shows, and its
// rules. A rule is made only if its input needs a gradient, and holds z only if it uses it.

// Of x: dx.
#define GRADUS_UNARY(f, name, dx)                                                    \
  template <class T> Var<T> f(const Var<T>& x) {                                     \
    return record(name, f(x.value()), Wrt(x, [&]([[maybe_unused]] const Var<T>& z) { \
                    return [=](const Var<T>& dz) -> Var<T> { return dx; };           \
                  }));                                                               \
  }                                                                                  \
  template Var<float> f(const Var<float>&);                                          \
  template Var<double> f(const Var<double>&);

// Of x and y: dx and dy, which are then summed over the axes along which x or y was broadcast.
#define GRADUS_BINARY(f, name, dx, dy)                                                         \
  template <class T> Var<T> f(const Var<T>& x, const Var<T>& y) {                              \
    return record(name, f(x.value(), y.value()),                                               \
                  Wrt(x,                                                                       \
                      [&]([[maybe_unused]] const Var<T>& z) {                                  \
                        return [=, s = x.shape()](const Var<T>& dz) { return sum_to(dx, s); }; \
                      }),                                                                      \
                  Wrt(y, [&]([[maybe_unused]] const Var<T>& z) {                               \
                    return [=, s = y.shape()](const Var<T>& dz) { return sum_to(dy, s); };     \
                  }));                                                                         \
  }                                                                                            \
  template Var<float> f(const Var<float>&, const Var<float>&);                                 \
  template Var<double> f(const Var<double>&, const Var<double>&);

namespace {
// 1 where a > b, 0 where a < b, and half where they are equal.
template <class T> Tensor<T> share(const Var<T>& a, const Var<T>& b) {
  return (greater(a.value(), b.value()) + greater_equal(a.value(), b.value())) * T(0.5);
}

// 0 where x = y = 0, else 1: there y x^(y-1) is 0, and not 0 times infinity.
template <class T> Tensor<T> not_0_to_0(const Var<T>& x, const Var<T>& y) {
  return T(1) - equal(x.value(), 0) * equal(y.value(), 0);
}

// A vector as a matrix of one column; a matrix as it is.
template <class T> Var<T> columns(const Var<T>& x) {
  return x.shape().rank() == 1 ? reshape(x, {x.shape()[0], 1}) : x;
}

// A reduction's result with its reduced axes put back, so that it broadcasts against x.
template <class T> Var<T> unreduced(const Var<T>& z, const Shape& x, const Axes& axes) {
  return reshape(z, reduced_shape("sum", x, axes, /*keepdims=*/true));
}
}  // namespace

// clang-format off
GRADUS_UNARY(operator-, "neg",      -dz)
GRADUS_UNARY(exp,       "exp",      dz * z)
GRADUS_UNARY(expm1,     "expm1",    dz * (z + 1))
GRADUS_UNARY(log,       "log",      dz / x)
GRADUS_UNARY(log1p,     "log1p",    dz / (1 + x))
GRADUS_UNARY(sqrt,      "sqrt",     dz / (2 * z))
GRADUS_UNARY(square,    "square",   2 * dz * x)
GRADUS_UNARY(abs,       "abs",      dz * sign(x.value()))
GRADUS_UNARY(tanh,      "tanh",     dz * (1 - square(z)))
GRADUS_UNARY(sigmoid,   "sigmoid",  dz * (z * (1 - z)))
GRADUS_UNARY(softplus,  "softplus", dz * sigmoid(x))
GRADUS_UNARY(relu,      "relu",     dz * greater(x.value(), 0))

GRADUS_BINARY(operator+, "add",     dz,                      dz)
GRADUS_BINARY(operator-, "sub",     dz,                      -dz)
GRADUS_BINARY(operator*, "mul",     dz * y,                  dz * x)
GRADUS_BINARY(operator/, "div",     dz / y,                  -dz * z / y)
GRADUS_BINARY(pow,       "pow",     dz * y * pow(x, y - not_0_to_0(x, y)), dz * z * log(x))
GRADUS_BINARY(maximum,   "maximum", dz * share(x, y),        dz * share(y, x))
GRADUS_BINARY(minimum,   "minimum", dz * share(y, x),        dz * share(x, y))

GRADUS_BINARY(matmul,    "matmul",    matmul_nt(dz, y),  matmul_tn(x, dz))  // z = x y
GRADUS_BINARY(matmul_tn, "matmul_tn", matmul_nt(y, dz),  matmul(x, dz))     // z = x^T y
GRADUS_BINARY(matmul_nt, "matmul_nt", matmul(dz, y),     matmul_tn(dz, x))  // z = x y^T

GRADUS_UNARY(transpose,       "transpose",       transpose(dz))
GRADUS_UNARY(tril,  "tril",  tril(dz))
GRADUS_UNARY(log_determinant, "log_determinant", dz * solve_spd(x, identity<T>(x.shape()[0])))
// z = L^-1 y and z = L^-T y, with L in the place of x: dL is minus the lower triangle of dy z^T, or
// of z dy^T.
GRADUS_BINARY(solve_lower, "solve_lower",
              -tril(matmul_nt(columns(solve_lower_transposed(x, dz)), columns(z))),
              solve_lower_transposed(x, dz))
GRADUS_BINARY(solve_lower_transposed, "solve_lower_transposed",
              -tril(matmul_nt(columns(z), columns(solve_lower(x, dz)))),
              solve_lower(x, dz))

// clang-format on

// z = sum_i x_i   dx_i = dz
template <class T> Var<T> sum(const Var<T>& x, const Axes& axes, bool keepdims) {
  return record("sum", sum(x.value(), axes, keepdims), wrt(x, [=, s = x.shape()](const Var<T>& dz) {
                  return broadcast_to(unreduced(dz, s, axes), s);
                }));
}

// z = (1/n) sum_i x_i
template <class T> Var<T> mean(const Var<T>& x, const Axes& axes, bool keepdims) {
  if (x.value().empty()) fail("mean: {} has no elements", x.shape());
  const Var<T> total = sum(x, axes, keepdims);
  return total / static_cast<T>(x.value().size() / total.value().size());
}

// z = max_i x_i   dx_i = dz where x_i = z, shared where several are
template <class T> Var<T> max(const Var<T>& x, const Axes& axes, bool keepdims) {
  return record("max", max(x.value(), axes, keepdims),
                wrt(x, [=](const Var<T>& dz, const Var<T>& z) {
                  const Tensor<T> hit = equal(x.value(), unreduced(z, x.shape(), axes).value());
                  return unreduced(dz, x.shape(), axes) * (hit / sum(hit, axes, true));
                }));
}

// z = ln sum_i e^(x_i)   dx_i = dz e^(x_i - z)
template <class T> Var<T> logsumexp(const Var<T>& x, const Axes& axes, bool keepdims) {
  return record("logsumexp", logsumexp(x.value(), axes, keepdims),
                wrt(x, [=](const Var<T>& dz, const Var<T>& z) {
                  return unreduced(dz, x.shape(), axes) * exp(x - unreduced(z, x.shape(), axes));
                }));
}

// Adding up and repeating are each other's adjoint.
template <class T> Var<T> sum_to(Var<T> x, const Shape& shape) {
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

// Picking rows and adding into rows are each other's adjoint, and so are cutting and padding.
template <class T> Var<T> gather_rows(const Var<T>& x, std::vector<Index> indices) {
  return record("gather_rows", gather_rows(x.value(), indices), wrt(x, [=](const Var<T>& dz) {
                  return scatter_add_rows(dz, indices, x.shape()[0]);
                }));
}

template <class T> Var<T> scatter_add_rows(const Var<T>& x, std::vector<Index> indices, Index n) {
  return record("scatter_add_rows", scatter_add_rows(x.value(), indices, n),
                wrt(x, [=](const Var<T>& dz) { return gather_rows(dz, indices); }));
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
  std::vector<Index> nodes;
  for (const Var<T>& x : xs) values.push_back(x.value()), nodes.push_back(x.node());
  Tensor<T> value = concatenate(values, axis);
  if (std::ranges::max(nodes) < 0) return value;
  const Var<T> z = Tape<T>::current()->push("concatenate", std::move(value));
  Index begin = 0, end = 0;
  auto make_rule = [&](const Var<T>&) {
    return [=](const Var<T>& dz) { return slice(dz, axis, begin, end); };
  };
  for (std::size_t k = 0; k < xs.size(); ++k, begin = end) {
    end = begin + xs[k].value().extent(axis);
    Tape<T>::current()->add_edge(nodes[k], z, make_rule);
  }
  return z;
}

// z = L with L L^T = (A + A^T) / 2   dA = (S + S^T) / 2 with S = L^-T Phi(L^T dL) L^-1, where Phi
// takes the lower triangle and half of the diagonal.  (I. Murray, arXiv:1602.07527, eq. 10)
template <class T> Var<T> cholesky(const Var<T>& a) {
  return record("cholesky", cholesky(a.value()), wrt(a, [](const Var<T>& dz, const Var<T>& l) {
                  const Tensor<T> eye = identity<T>(l.shape()[0]);
                  const Var<T> phi = tril(matmul_tn(l, dz)) * (T(1) - eye * T(0.5));
                  const Var<T> left = solve_lower_transposed(l, phi);
                  const Var<T> s = transpose(solve_lower_transposed(l, transpose(left)));
                  return (s + transpose(s)) * T(0.5);
                }));
}

// A^-1 b = L^-T L^-1 b
template <class T> Var<T> solve_spd(const Var<T>& a, const Var<T>& b) {
  const Var<T> l = cholesky(a);
  return solve_lower_transposed(l, solve_lower(l, b));
}

// clang-format off
#define GRADUS_INSTANTIATE(T)                                                                     \
  template Var<T> scatter_add_rows(const Var<T>&, std::vector<Index>, Index);                         \
  template Var<T> solve_spd(const Var<T>&, const Var<T>&);                                   \
  template Var<T> concatenate(const std::vector<Var<T>>&, int);                                   \
  template Var<T> logsumexp(const Var<T>&, const Axes&, bool);                                    \
  template Var<T> broadcast_to(const Var<T>&, const Shape&);                                      \
  template Var<T> gather_rows(const Var<T>&, std::vector<Index>);                                        \
  template Var<T> slice(const Var<T>&, int, Index, Index);                                        \
  template Var<T> mean(const Var<T>&, const Axes&, bool);                                         \
  template Var<T> sum(const Var<T>&, const Axes&, bool); template Var<T> cholesky(const Var<T>&); \
  template Var<T> max(const Var<T>&, const Axes&, bool);                                          \
  template Var<T> pad(const Var<T>&, int, Index, Index);                                          \
  template Var<T> reshape(const Var<T>&, const Shape&);                                           \
  template Var<T> sum_to(Var<T>, const Shape&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
