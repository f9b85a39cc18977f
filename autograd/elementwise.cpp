// Every operation is one function: its value first, then a gradient rule for each input. dz is the
// gradient of the loss with respect to the result z, dx the one with respect to the input x. The
// rules are made of these same operations, which is why gradients have gradients.
//
// An operand that was broadcast stands for all the elements that it was repeated to: sum_to adds up
// their gradients.
#include "autograd/elementwise.hpp"

#include <limits>

#include "autograd/record.hpp"
#include "autograd/reduce.hpp"

namespace gradus {
namespace {

// How much of the gradient of maximum(a, b) goes to a: 1 where a > b, 0 where a < b, and half where
// they are equal.
template <class T> Tensor<T> tie_weight(const Var<T>& a, const Var<T>& b) {
  return (greater(a.value(), b.value()) + greater_equal(a.value(), b.value())) * T(0.5);
}

// 0 where y = 0 and 1 / x is infinite, at 0 and right beside it, and 1 elsewhere. There the rule
// y x^(y-1) would be 0 times infinity, a NaN; with the exponent y in place of y - 1 it is 0 times
// x^0, which is 0 and right.
template <class T> Tensor<T> power_mask(const Var<T>& x, const Var<T>& y) {
  const Tensor<T> inverse_is_infinite =
      greater(abs(T(1) / x.value()), std::numeric_limits<T>::max());
  return T(1) - inverse_is_infinite * equal(y.value(), 0);
}

}  // namespace

// ---- Of one operand ----------------------------------------------------------------------------

// z = -x   dx = -dz
template <class T> Var<T> operator-(const Var<T>& x) {
  Var<T> z = record<"neg">(-x.value(), x);
  if (x.needs_gradient()) add_rule(z, x, [](const Var<T>& dz) { return -dz; });
  return z;
}

// z = x^2   dx = 2 dz x
template <class T> Var<T> square(const Var<T>& x) {
  Var<T> z = record<"square">(square(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [x](const Var<T>& dz) { return 2 * dz * x; });
  return z;
}

// z = sqrt(x)   dx = dz / 2z
template <class T> Var<T> sqrt(const Var<T>& x) {
  Var<T> z = record<"sqrt">(sqrt(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [z](const Var<T>& dz) { return dz / (2 * z); });
  return z;
}

// z = e^x   dx = dz z
template <class T> Var<T> exp(const Var<T>& x) {
  Var<T> z = record<"exp">(exp(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [z](const Var<T>& dz) { return dz * z; });
  return z;
}

// z = e^x - 1   dx = dz e^x, of which z + 1 would lose the digits where it is small
template <class T> Var<T> expm1(const Var<T>& x) {
  Var<T> z = record<"expm1">(expm1(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [x](const Var<T>& dz) { return dz * exp(x); });
  return z;
}

// z = ln x   dx = dz / x
template <class T> Var<T> log(const Var<T>& x) {
  Var<T> z = record<"log">(log(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [x](const Var<T>& dz) { return dz / x; });
  return z;
}

// z = ln(1 + x)   dx = dz / (1 + x)
template <class T> Var<T> log1p(const Var<T>& x) {
  Var<T> z = record<"log1p">(log1p(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [x](const Var<T>& dz) { return dz / (1 + x); });
  return z;
}

// z = tanh x   dx = dz (1 - z^2)
template <class T> Var<T> tanh(const Var<T>& x) {
  Var<T> z = record<"tanh">(tanh(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [z](const Var<T>& dz) { return dz * (1 - square(z)); });
  return z;
}

// z = 1 / (1 + e^-x)   dx = dz z (1 - z)
template <class T> Var<T> sigmoid(const Var<T>& x) {
  Var<T> z = record<"sigmoid">(sigmoid(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [z](const Var<T>& dz) { return dz * (z * (1 - z)); });
  return z;
}

// z = ln(1 + e^x)   dx = dz / (1 + e^-x)
template <class T> Var<T> softplus(const Var<T>& x) {
  Var<T> z = record<"softplus">(softplus(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [x](const Var<T>& dz) { return dz * sigmoid(x); });
  return z;
}

// z = |x|   dx = dz sign(x)
template <class T> Var<T> abs(const Var<T>& x) {
  Var<T> z = record<"abs">(abs(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [x](const Var<T>& dz) { return dz * sign(x.value()); });
  return z;
}

// z = max(x, 0)   dx = dz where x > 0
template <class T> Var<T> relu(const Var<T>& x) {
  Var<T> z = record<"relu">(relu(x.value()), x);
  if (x.needs_gradient())
    add_rule(z, x, [x](const Var<T>& dz) { return dz * greater(x.value(), 0); });
  return z;
}

// ---- Of two operands ---------------------------------------------------------------------------

// z = x + y   dx = dz   dy = dz
template <class T> Var<T> operator+(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"add">(x.value() + y.value(), x, y);
  if (x.needs_gradient())
    add_rule(z, x, [shape = x.shape()](const Var<T>& dz) { return sum_to(dz, shape); });
  if (y.needs_gradient())
    add_rule(z, y, [shape = y.shape()](const Var<T>& dz) { return sum_to(dz, shape); });
  return z;
}

// z = x - y   dx = dz   dy = -dz
template <class T> Var<T> operator-(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"sub">(x.value() - y.value(), x, y);
  if (x.needs_gradient())
    add_rule(z, x, [shape = x.shape()](const Var<T>& dz) { return sum_to(dz, shape); });
  if (y.needs_gradient())
    add_rule(z, y, [shape = y.shape()](const Var<T>& dz) { return sum_to(-dz, shape); });
  return z;
}

// z = x y   dx = dz y   dy = dz x
template <class T> Var<T> operator*(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"mul">(x.value() * y.value(), x, y);
  if (x.needs_gradient())
    add_rule(z, x, [y, shape = x.shape()](const Var<T>& dz) { return sum_to(dz * y, shape); });
  if (y.needs_gradient())
    add_rule(z, y, [x, shape = y.shape()](const Var<T>& dz) { return sum_to(dz * x, shape); });
  return z;
}

// z = x / y   dx = dz / y   dy = -dz z / y
template <class T> Var<T> operator/(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"div">(x.value() / y.value(), x, y);
  if (x.needs_gradient())
    add_rule(z, x, [y, shape = x.shape()](const Var<T>& dz) { return sum_to(dz / y, shape); });
  if (y.needs_gradient())
    add_rule(z, y,
             [y, z, shape = y.shape()](const Var<T>& dz) { return sum_to(-dz * z / y, shape); });
  return z;
}

// z = x^y   dx = dz y x^(y-1)   dy = dz z ln x
template <class T> Var<T> pow(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"pow">(pow(x.value(), y.value()), x, y);
  if (x.needs_gradient())
    add_rule(z, x, [x, y, shape = x.shape()](const Var<T>& dz) {
      return sum_to(dz * y * pow(x, y - power_mask(x, y)), shape);
    });
  if (y.needs_gradient())
    add_rule(z, y, [x, z, shape = y.shape()](const Var<T>& dz) {
      return sum_to(dz * z * log(x), shape);
    });
  return z;
}

// z = max(x, y)   dx = dz where x > y   dy = dz where y > x   half each where x = y
template <class T> Var<T> maximum(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"maximum">(maximum(x.value(), y.value()), x, y);
  if (x.needs_gradient())
    add_rule(z, x, [x, y, shape = x.shape()](const Var<T>& dz) {
      return sum_to(dz * tie_weight(x, y), shape);
    });
  if (y.needs_gradient())
    add_rule(z, y, [x, y, shape = y.shape()](const Var<T>& dz) {
      return sum_to(dz * tie_weight(y, x), shape);
    });
  return z;
}

// z = min(x, y)   dx = dz where x < y   dy = dz where y < x   half each where x = y
template <class T> Var<T> minimum(const Var<T>& x, const Var<T>& y) {
  Var<T> z = record<"minimum">(minimum(x.value(), y.value()), x, y);
  if (x.needs_gradient())
    add_rule(z, x, [x, y, shape = x.shape()](const Var<T>& dz) {
      return sum_to(dz * tie_weight(y, x), shape);
    });
  if (y.needs_gradient())
    add_rule(z, y, [x, y, shape = y.shape()](const Var<T>& dz) {
      return sum_to(dz * tie_weight(x, y), shape);
    });
  return z;
}

#define GRADUS_INSTANTIATE(T)                              \
  template Var<T> operator-(const Var<T>&);                \
  template Var<T> square(const Var<T>&);                   \
  template Var<T> sqrt(const Var<T>&);                     \
  template Var<T> exp(const Var<T>&);                      \
  template Var<T> expm1(const Var<T>&);                    \
  template Var<T> log(const Var<T>&);                      \
  template Var<T> log1p(const Var<T>&);                    \
  template Var<T> tanh(const Var<T>&);                     \
  template Var<T> sigmoid(const Var<T>&);                  \
  template Var<T> softplus(const Var<T>&);                 \
  template Var<T> abs(const Var<T>&);                      \
  template Var<T> relu(const Var<T>&);                     \
  template Var<T> operator+(const Var<T>&, const Var<T>&); \
  template Var<T> operator-(const Var<T>&, const Var<T>&); \
  template Var<T> operator*(const Var<T>&, const Var<T>&); \
  template Var<T> operator/(const Var<T>&, const Var<T>&); \
  template Var<T> pow(const Var<T>&, const Var<T>&);       \
  template Var<T> maximum(const Var<T>&, const Var<T>&);   \
  template Var<T> minimum(const Var<T>&, const Var<T>&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
