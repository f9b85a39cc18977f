#include "tensor/elementwise.hpp"

#include <cmath>
#include <type_traits>

#include "tensor/map.hpp"
#include "tensor/math.hpp"

// For each function of two operands: of two tensors, then of a tensor and a number, which becomes a
// scalar tensor.
namespace gradus {
template <class T> Tensor<T> operator-(const Tensor<T>& x) {
  return map(x, [](T v) { return -v; });
}

template <class T> Tensor<T> abs(const Tensor<T>& x) {
  return map(x, [](T v) { return std::fabs(v); });
}

template <class T> Tensor<T> square(const Tensor<T>& x) {
  return map(x, [](T v) { return v * v; });
}

// What is neither positive nor negative, a zero or NaN, stays.
template <class T> Tensor<T> sign(const Tensor<T>& x) {
  return map(x, [](T v) { return v > T(0) ? T(1) : v < T(0) ? T(-1) : v; });
}

template <class T> Tensor<T> sqrt(const Tensor<T>& x) {
  return map(x, [](T v) { return std::sqrt(v); });
}

template <class T> Tensor<T> exp(const Tensor<T>& x) {
  return map(x, [](T v) { return math::exp(v); });
}

template <class T> Tensor<T> expm1(const Tensor<T>& x) {
  return map(x, [](T v) { return math::expm1(v); });
}

template <class T> Tensor<T> log(const Tensor<T>& x) {
  return map(x, [](T v) { return math::log(v); });
}

template <class T> Tensor<T> log1p(const Tensor<T>& x) {
  return map(x, [](T v) { return math::log1p(v); });
}

template <class T> Tensor<T> tanh(const Tensor<T>& x) {
  return map(x, [](T v) { return math::tanh(v); });
}

// NaN is not less than 0, and so it stays.
template <class T> Tensor<T> relu(const Tensor<T>& x) {
  return map(x, [](T v) { return v < T(0) ? T(0) : v; });
}

template <class T> Tensor<T> sigmoid(const Tensor<T>& x) {
  return map(x, [](T v) { return math::sigmoid(v); });
}

template <class T> Tensor<T> softplus(const Tensor<T>& x) {
  return map(x, [](T v) { return math::softplus(v); });
}

template <class T> Tensor<T> operator+(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("+", x, y, [](T a, T b) { return a + b; });
}

template <class T> Tensor<T> operator+(const Tensor<T>& x, std::type_identity_t<T> y) {
  return x + Tensor<T>(y);
}

template <class T> Tensor<T> operator+(std::type_identity_t<T> x, const Tensor<T>& y) {
  return Tensor<T>(x) + y;
}

template <class T> Tensor<T> operator-(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("-", x, y, [](T a, T b) { return a - b; });
}

template <class T> Tensor<T> operator-(const Tensor<T>& x, std::type_identity_t<T> y) {
  return x - Tensor<T>(y);
}

template <class T> Tensor<T> operator-(std::type_identity_t<T> x, const Tensor<T>& y) {
  return Tensor<T>(x) - y;
}

template <class T> Tensor<T> operator*(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("*", x, y, [](T a, T b) { return a * b; });
}

template <class T> Tensor<T> operator*(const Tensor<T>& x, std::type_identity_t<T> y) {
  return x * Tensor<T>(y);
}

template <class T> Tensor<T> operator*(std::type_identity_t<T> x, const Tensor<T>& y) {
  return Tensor<T>(x) * y;
}

template <class T> Tensor<T> operator/(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("/", x, y, [](T a, T b) { return a / b; });
}

template <class T> Tensor<T> operator/(const Tensor<T>& x, std::type_identity_t<T> y) {
  return x / Tensor<T>(y);
}

template <class T> Tensor<T> operator/(std::type_identity_t<T> x, const Tensor<T>& y) {
  return Tensor<T>(x) / y;
}

template <class T> Tensor<T> pow(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("pow", x, y, [](T a, T b) { return std::pow(a, b); });
}

template <class T> Tensor<T> pow(const Tensor<T>& x, std::type_identity_t<T> y) {
  return pow(x, Tensor<T>(y));
}

template <class T> Tensor<T> pow(std::type_identity_t<T> x, const Tensor<T>& y) {
  return pow(Tensor<T>(x), y);
}

// Only NaN differs from itself. A comparison with NaN is false, so a NaN in b is taken, and one in
// a needs a condition of its own.
template <class T> Tensor<T> maximum(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("maximum", x, y, [](T a, T b) { return a > b || a != a ? a : b; });
}

template <class T> Tensor<T> maximum(const Tensor<T>& x, std::type_identity_t<T> y) {
  return maximum(x, Tensor<T>(y));
}

template <class T> Tensor<T> maximum(std::type_identity_t<T> x, const Tensor<T>& y) {
  return maximum(Tensor<T>(x), y);
}

// NaN as in maximum.
template <class T> Tensor<T> minimum(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("minimum", x, y, [](T a, T b) { return a < b || a != a ? a : b; });
}

template <class T> Tensor<T> minimum(const Tensor<T>& x, std::type_identity_t<T> y) {
  return minimum(x, Tensor<T>(y));
}

template <class T> Tensor<T> minimum(std::type_identity_t<T> x, const Tensor<T>& y) {
  return minimum(Tensor<T>(x), y);
}

template <class T> Tensor<T> less(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("less", x, y, [](T a, T b) { return a < b ? T(1) : T(0); });
}

template <class T> Tensor<T> less(const Tensor<T>& x, std::type_identity_t<T> y) {
  return less(x, Tensor<T>(y));
}

template <class T> Tensor<T> less(std::type_identity_t<T> x, const Tensor<T>& y) {
  return less(Tensor<T>(x), y);
}

template <class T> Tensor<T> less_equal(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("less_equal", x, y, [](T a, T b) { return a <= b ? T(1) : T(0); });
}

template <class T> Tensor<T> less_equal(const Tensor<T>& x, std::type_identity_t<T> y) {
  return less_equal(x, Tensor<T>(y));
}

template <class T> Tensor<T> less_equal(std::type_identity_t<T> x, const Tensor<T>& y) {
  return less_equal(Tensor<T>(x), y);
}

template <class T> Tensor<T> greater(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("greater", x, y, [](T a, T b) { return a > b ? T(1) : T(0); });
}

template <class T> Tensor<T> greater(const Tensor<T>& x, std::type_identity_t<T> y) {
  return greater(x, Tensor<T>(y));
}

template <class T> Tensor<T> greater(std::type_identity_t<T> x, const Tensor<T>& y) {
  return greater(Tensor<T>(x), y);
}

template <class T> Tensor<T> greater_equal(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("greater_equal", x, y, [](T a, T b) { return a >= b ? T(1) : T(0); });
}

template <class T> Tensor<T> greater_equal(const Tensor<T>& x, std::type_identity_t<T> y) {
  return greater_equal(x, Tensor<T>(y));
}

template <class T> Tensor<T> greater_equal(std::type_identity_t<T> x, const Tensor<T>& y) {
  return greater_equal(Tensor<T>(x), y);
}

template <class T> Tensor<T> equal(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("equal", x, y, [](T a, T b) { return a == b ? T(1) : T(0); });
}

template <class T> Tensor<T> equal(const Tensor<T>& x, std::type_identity_t<T> y) {
  return equal(x, Tensor<T>(y));
}

template <class T> Tensor<T> equal(std::type_identity_t<T> x, const Tensor<T>& y) {
  return equal(Tensor<T>(x), y);
}

template <class T> Tensor<T> not_equal(const Tensor<T>& x, const Tensor<T>& y) {
  return zip("not_equal", x, y, [](T a, T b) { return a != b ? T(1) : T(0); });
}

template <class T> Tensor<T> not_equal(const Tensor<T>& x, std::type_identity_t<T> y) {
  return not_equal(x, Tensor<T>(y));
}

template <class T> Tensor<T> not_equal(std::type_identity_t<T> x, const Tensor<T>& y) {
  return not_equal(Tensor<T>(x), y);
}

#define GRADUS_INSTANTIATE(T)                                           \
  template Tensor<T> operator-(const Tensor<T>&);                       \
  template Tensor<T> abs(const Tensor<T>&);                             \
  template Tensor<T> square(const Tensor<T>&);                          \
  template Tensor<T> sign(const Tensor<T>&);                            \
  template Tensor<T> sqrt(const Tensor<T>&);                            \
  template Tensor<T> exp(const Tensor<T>&);                             \
  template Tensor<T> expm1(const Tensor<T>&);                           \
  template Tensor<T> log(const Tensor<T>&);                             \
  template Tensor<T> log1p(const Tensor<T>&);                           \
  template Tensor<T> tanh(const Tensor<T>&);                            \
  template Tensor<T> relu(const Tensor<T>&);                            \
  template Tensor<T> sigmoid(const Tensor<T>&);                         \
  template Tensor<T> softplus(const Tensor<T>&);                        \
  template Tensor<T> operator+(const Tensor<T>&, const Tensor<T>&);     \
  template Tensor<T> operator+(const Tensor<T>&, T);                    \
  template Tensor<T> operator+(T, const Tensor<T>&);                    \
  template Tensor<T> operator-(const Tensor<T>&, const Tensor<T>&);     \
  template Tensor<T> operator-(const Tensor<T>&, T);                    \
  template Tensor<T> operator-(T, const Tensor<T>&);                    \
  template Tensor<T> operator*(const Tensor<T>&, const Tensor<T>&);     \
  template Tensor<T> operator*(const Tensor<T>&, T);                    \
  template Tensor<T> operator*(T, const Tensor<T>&);                    \
  template Tensor<T> operator/(const Tensor<T>&, const Tensor<T>&);     \
  template Tensor<T> operator/(const Tensor<T>&, T);                    \
  template Tensor<T> operator/(T, const Tensor<T>&);                    \
  template Tensor<T> pow(const Tensor<T>&, const Tensor<T>&);           \
  template Tensor<T> pow(const Tensor<T>&, T);                          \
  template Tensor<T> pow(T, const Tensor<T>&);                          \
  template Tensor<T> maximum(const Tensor<T>&, const Tensor<T>&);       \
  template Tensor<T> maximum(const Tensor<T>&, T);                      \
  template Tensor<T> maximum(T, const Tensor<T>&);                      \
  template Tensor<T> minimum(const Tensor<T>&, const Tensor<T>&);       \
  template Tensor<T> minimum(const Tensor<T>&, T);                      \
  template Tensor<T> minimum(T, const Tensor<T>&);                      \
  template Tensor<T> less(const Tensor<T>&, const Tensor<T>&);          \
  template Tensor<T> less(const Tensor<T>&, T);                         \
  template Tensor<T> less(T, const Tensor<T>&);                         \
  template Tensor<T> less_equal(const Tensor<T>&, const Tensor<T>&);    \
  template Tensor<T> less_equal(const Tensor<T>&, T);                   \
  template Tensor<T> less_equal(T, const Tensor<T>&);                   \
  template Tensor<T> greater(const Tensor<T>&, const Tensor<T>&);       \
  template Tensor<T> greater(const Tensor<T>&, T);                      \
  template Tensor<T> greater(T, const Tensor<T>&);                      \
  template Tensor<T> greater_equal(const Tensor<T>&, const Tensor<T>&); \
  template Tensor<T> greater_equal(const Tensor<T>&, T);                \
  template Tensor<T> greater_equal(T, const Tensor<T>&);                \
  template Tensor<T> equal(const Tensor<T>&, const Tensor<T>&);         \
  template Tensor<T> equal(const Tensor<T>&, T);                        \
  template Tensor<T> equal(T, const Tensor<T>&);                        \
  template Tensor<T> not_equal(const Tensor<T>&, const Tensor<T>&);     \
  template Tensor<T> not_equal(const Tensor<T>&, T);                    \
  template Tensor<T> not_equal(T, const Tensor<T>&);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
