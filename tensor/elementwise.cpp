#include "tensor/elementwise.hpp"

#include "tensor/math.hpp"

namespace gradus {
#define GRADUS_UNARY(name, formula)                       \
  template <class T> Tensor<T> name(const Tensor<T>& x) { \
    return map(x, [](T v) -> T { return formula; });      \
  }                                                       \
  template Tensor<float> name(const Tensor<float>&);      \
  template Tensor<double> name(const Tensor<double>&);

#define GRADUS_BINARY(name, shown, formula)                                   \
  template <class T> Tensor<T> name(const Tensor<T>& x, const Tensor<T>& y) { \
    return zip(shown, x, y, [](T a, T b) -> T { return formula; });           \
  }                                                                           \
  template Tensor<float> name(const Tensor<float>&, const Tensor<float>&);    \
  template Tensor<double> name(const Tensor<double>&, const Tensor<double>&);

GRADUS_UNARY(operator-, -v)
GRADUS_UNARY(exp, math::exp(v))
GRADUS_UNARY(expm1, math::expm1(v))
GRADUS_UNARY(log, math::log(v))
GRADUS_UNARY(log1p, math::log1p(v))
GRADUS_UNARY(sqrt, std::sqrt(v))
GRADUS_UNARY(square, v* v)
GRADUS_UNARY(abs, std::fabs(v))
GRADUS_UNARY(sign, v > T(0) ? T(1) : v < T(0) ? T(-1) : v)
GRADUS_UNARY(tanh, math::tanh(v))
GRADUS_UNARY(sigmoid, math::sigmoid(v))
GRADUS_UNARY(softplus, math::softplus(v))
GRADUS_UNARY(relu, v < T(0) ? T(0) : v)

GRADUS_BINARY(operator+, "+", a + b)
GRADUS_BINARY(operator-, "-", a - b)
GRADUS_BINARY(operator*, "*", a* b)
GRADUS_BINARY(operator/, "/", a / b)
GRADUS_BINARY(pow, "pow", std::pow(a, b))
GRADUS_BINARY(maximum, "maximum", a > b || a != a ? a : b)  // a NaN wins, as in NumPy
GRADUS_BINARY(minimum, "minimum", a < b || a != a ? a : b)
GRADUS_BINARY(less, "less", a < b ? T(1) : T(0))
GRADUS_BINARY(less_equal, "less_equal", a <= b ? T(1) : T(0))
GRADUS_BINARY(greater, "greater", a > b ? T(1) : T(0))
GRADUS_BINARY(greater_equal, "greater_equal", a >= b ? T(1) : T(0))
GRADUS_BINARY(equal, "equal", a == b ? T(1) : T(0))
GRADUS_BINARY(not_equal, "not_equal", a != b ? T(1) : T(0))
}  // namespace gradus
