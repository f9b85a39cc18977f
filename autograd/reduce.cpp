#include "autograd/reduce.hpp"

#include "autograd/elementwise.hpp"
#include "autograd/layout.hpp"
#include "autograd/record.hpp"

namespace gradus {
namespace {

// The result of a reduction with the reduced axes put back, each of extent 1, so that it broadcasts
// against what was reduced.
template <class T>
Var<T> keep_reduced_axes(const Var<T>& z, const Shape& reduced_from, const Axes& axes) {
  return reshape(z, reduced_shape("reduce", reduced_from, axes, /*keepdims=*/true));
}

// z_i = e^(x_i) / sum_j e^(x_j)   dx_i = z_i (dz_i - sum_j dz_j z_j)
template <class T> Var<T> softmax_over(const Var<T>& x, const Axes& axes) {
  Var<T> z = record<"softmax">(softmax(x.value(), axes), x);
  if (x.needs_gradient())
    add_rule(z, x, [z, axes](const Var<T>& dz) {
      return z * (dz - sum(dz * z, axes, /*keepdims=*/true));
    });
  return z;
}

}  // namespace

// z = sum_i x_i   dx_i = dz
template <class T> Var<T> sum(const Var<T>& x, const Axes& axes, bool keepdims) {
  Var<T> z = record<"sum">(sum(x.value(), axes, keepdims), x);
  if (x.needs_gradient())
    add_rule(z, x, [shape = x.shape(), axes](const Var<T>& dz) {
      return broadcast_to(keep_reduced_axes(dz, shape, axes), shape);
    });
  return z;
}

// z = (1/n) sum_i x_i   dx_i = dz / n
template <class T> Var<T> mean(const Var<T>& x, const Axes& axes, bool keepdims) {
  Var<T> z = record<"mean">(mean(x.value(), axes, keepdims), x);
  const Index n = x.value().size() / z.value().size();
  if (x.needs_gradient())
    add_rule(z, x, [shape = x.shape(), axes, n](const Var<T>& dz) {
      return broadcast_to(keep_reduced_axes(dz / static_cast<T>(n), shape, axes), shape);
    });
  return z;
}

// z = max_i x_i   dx_i = dz where x_i = z, shared where several are
template <class T> Var<T> max(const Var<T>& x, const Axes& axes, bool keepdims) {
  Var<T> z = record<"max">(max(x.value(), axes, keepdims), x);
  if (x.needs_gradient())
    add_rule(z, x, [x, z, axes](const Var<T>& dz) {
      const Tensor<T> largest =
          z.value().reshape(reduced_shape("max", x.shape(), axes, /*keepdims=*/true));
      const Tensor<T> is_largest = equal(x.value(), largest);
      const Tensor<T> share = is_largest / sum(is_largest, axes, /*keepdims=*/true);
      return keep_reduced_axes(dz, x.shape(), axes) * share;
    });
  return z;
}

// z = ln sum_i e^(x_i)   dx_i = dz e^(x_i) / sum_j e^(x_j)
template <class T> Var<T> logsumexp(const Var<T>& x, const Axes& axes, bool keepdims) {
  Var<T> z = record<"logsumexp">(logsumexp(x.value(), axes, keepdims), x);
  if (x.needs_gradient())
    add_rule(z, x, [x, axes](const Var<T>& dz) {
      return keep_reduced_axes(dz, x.shape(), axes) * softmax_over(x, axes);
    });
  return z;
}

template <class T> Var<T> softmax(const Var<T>& x, int axis) { return softmax_over(x, {axis}); }

// z_i = x_i - ln sum_j e^(x_j)   dx_i = dz_i - e^(z_i) sum_j dz_j
template <class T> Var<T> log_softmax(const Var<T>& x, int axis) {
  Var<T> z = record<"log_softmax">(log_softmax(x.value(), {axis}), x);
  if (x.needs_gradient())
    add_rule(z, x, [z, axis](const Var<T>& dz) {
      return dz - exp(z) * sum(dz, {axis}, /*keepdims=*/true);
    });
  return z;
}

// z = x summed to a smaller shape   dx = dz repeated
template <class T> Var<T> sum_to(Var<T> x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Var<T> z = record<"sum_to">(sum_to(x.value(), shape), x);
  if (x.needs_gradient())
    add_rule(z, x, [large = x.shape()](const Var<T>& dz) { return broadcast_to(dz, large); });
  return z;
}

// z = x repeated to a larger shape   dx = dz summed
template <class T> Var<T> broadcast_to(const Var<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Var<T> z = record<"broadcast_to">(broadcast_to(x.value(), shape), x);
  if (x.needs_gradient())
    add_rule(z, x, [small = x.shape()](const Var<T>& dz) { return sum_to(dz, small); });
  return z;
}

#define GRADUS_INSTANTIATE(T)                                  \
  template Var<T> sum(const Var<T>&, const Axes&, bool);       \
  template Var<T> mean(const Var<T>&, const Axes&, bool);      \
  template Var<T> max(const Var<T>&, const Axes&, bool);       \
  template Var<T> logsumexp(const Var<T>&, const Axes&, bool); \
  template Var<T> softmax(const Var<T>&, int);                 \
  template Var<T> log_softmax(const Var<T>&, int);             \
  template Var<T> sum_to(Var<T>, const Shape&);                \
  template Var<T> broadcast_to(const Var<T>&, const Shape&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
