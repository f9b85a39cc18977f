#include "autograd/layout.hpp"

#include <utility>

#include "autograd/record.hpp"

namespace gradus {

// z = x in another shape   dx = dz in the shape of x
template <class T> Var<T> reshape(const Var<T>& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Var<T> z = record<"reshape">(x.value().reshape(shape), x);
  if (x.needs_gradient())
    add_rule(z, x, [from = x.shape()](const Var<T>& dz) { return reshape(dz, from); });
  return z;
}

// z = x^T   dx = dz^T
template <class T> Var<T> transpose(const Var<T>& x) {
  Var<T> z = record<"transpose">(transpose(x.value()), x);
  if (x.needs_gradient()) add_rule(z, x, [](const Var<T>& dz) { return transpose(dz); });
  return z;
}

// z = x with its axes in another order   dx = dz with its axes back in place
template <class T> Var<T> permute(const Var<T>& x, const Axes& axes) {
  Var<T> z = record<"permute">(permute(x.value(), axes), x);
  if (x.needs_gradient())
    add_rule(z, x, [inverse = inverse_permutation(axes)](const Var<T>& dz) {
      return permute(dz, inverse);
    });
  return z;
}

// z_i = x_indices[i]   dx_j = sum of the dz_i with indices[i] = j
template <class T> Var<T> gather_rows(const Var<T>& x, std::vector<Index> indices) {
  Var<T> z = record<"gather_rows">(gather_rows(x.value(), indices), x);
  if (x.needs_gradient())
    add_rule(z, x, [indices = std::move(indices), n = x.shape()[0]](const Var<T>& dz) {
      return scatter_add_rows(dz, indices, n);
    });
  return z;
}

// z_j = sum of the x_i with indices[i] = j   dx_i = dz_indices[i]
template <class T> Var<T> scatter_add_rows(const Var<T>& x, std::vector<Index> indices, Index n) {
  Var<T> z = record<"scatter_add_rows">(scatter_add_rows(x.value(), indices, n), x);
  if (x.needs_gradient())
    add_rule(z, x,
             [indices = std::move(indices)](const Var<T>& dz) { return gather_rows(dz, indices); });
  return z;
}

// z = x from begin to end along an axis   dx = dz, with zeros before and after
template <class T> Var<T> slice(const Var<T>& x, int axis, Index begin, Index end) {
  Var<T> z = record<"slice">(slice(x.value(), axis, begin, end), x);
  if (x.needs_gradient()) {
    const Index after = x.value().extent(axis) - end;
    add_rule(z, x, [axis, begin, after](const Var<T>& dz) { return pad(dz, axis, begin, after); });
  }
  return z;
}

// z = x with zeros before and after along an axis   dx = dz without them
template <class T> Var<T> pad(const Var<T>& x, int axis, Index before, Index after) {
  Var<T> z = record<"pad">(pad(x.value(), axis, before, after), x);
  if (x.needs_gradient()) {
    const Index end = before + x.value().extent(axis);
    add_rule(z, x, [axis, before, end](const Var<T>& dz) { return slice(dz, axis, before, end); });
  }
  return z;
}

// z = x_1, x_2, ... one after another along an axis   dx_k = its piece of dz
template <class T> Var<T> concatenate(const std::vector<Var<T>>& xs, int axis) {
  std::vector<Tensor<T>> values;
  for (const Var<T>& x : xs) values.push_back(x.value());
  Var<T> z = record<"concatenate">(concatenate(values, axis), xs);
  Index begin = 0;
  for (const Var<T>& x : xs) {
    const Index end = begin + x.value().extent(axis);
    if (x.needs_gradient())
      add_rule(z, x, [axis, begin, end](const Var<T>& dz) { return slice(dz, axis, begin, end); });
    begin = end;
  }
  return z;
}

#define GRADUS_INSTANTIATE(T)                                                 \
  template Var<T> reshape(const Var<T>&, const Shape&);                       \
  template Var<T> transpose(const Var<T>&);                                   \
  template Var<T> permute(const Var<T>&, const Axes&);                        \
  template Var<T> gather_rows(const Var<T>&, std::vector<Index>);             \
  template Var<T> scatter_add_rows(const Var<T>&, std::vector<Index>, Index); \
  template Var<T> slice(const Var<T>&, int, Index, Index);                    \
  template Var<T> pad(const Var<T>&, int, Index, Index);                      \
  template Var<T> concatenate(const std::vector<Var<T>>&, int);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
