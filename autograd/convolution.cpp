// A convolution is made of operations that have their rules: unfold and fold below, and the matrix
// product. So are its gradients, which can be differentiated again.
#include "autograd/convolution.hpp"

#include "autograd/layout.hpp"
#include "autograd/matmul.hpp"
#include "autograd/record.hpp"
#include "tensor/error.hpp"

namespace gradus {

// z = the windows of x as rows   dx = each number of dz, added to the pixel that it came from
template <class T> Var<T> unfold(const Var<T>& x, const Window& window) {
  Var<T> z = record<"unfold">(unfold(x.value(), window), x);
  if (x.needs_gradient())
    add_rule(z, x,
             [window, images = x.shape()](const Var<T>& dz) { return fold(dz, window, images); });
  return z;
}

// z = the rows of x, added to the pixels of images   dx = the windows of dz as rows
template <class T> Var<T> fold(const Var<T>& x, const Window& window, const Shape& images) {
  Var<T> z = record<"fold">(fold(x.value(), window, images), x);
  if (x.needs_gradient()) add_rule(z, x, [window](const Var<T>& dz) { return unfold(dz, window); });
  return z;
}

template <class T> Var<T> kernel_rows(const Var<T>& kernel) {
  const Shape& shape = kernel.shape();
  if (shape.rank() != 4) fail("kernel_rows: kernel {}: it must be (O, C, K, K)", shape);
  return reshape(permute(kernel, {0, 2, 3, 1}), {shape[0], shape[2] * shape[3] * shape[1]});
}

template <class T> Var<T> conv2d(const Var<T>& images, const Var<T>& kernel, const Window& window) {
  const Shape shape = conv2d_shape(images.shape(), kernel.shape(), window);
  return reshape(matmul_nt(unfold(images, window), kernel_rows(kernel)), shape);
}

template <class T>
Var<T> conv2d_transpose(const Var<T>& maps, const Var<T>& kernel, const Window& window,
                        Index height, Index width) {
  const Shape shape = conv2d_transpose_shape(maps.shape(), kernel.shape(), window, height, width);
  const Index places = shape[0] * maps.shape()[1] * maps.shape()[2];
  const Var<T> pixels = reshape(maps, {places, kernel.shape()[0]});
  return fold(matmul(pixels, kernel_rows(kernel)), window, shape);
}

#define GRADUS_INSTANTIATE(T)                                          \
  template Var<T> unfold(const Var<T>&, const Window&);                \
  template Var<T> fold(const Var<T>&, const Window&, const Shape&);    \
  template Var<T> kernel_rows(const Var<T>&);                          \
  template Var<T> conv2d(const Var<T>&, const Var<T>&, const Window&); \
  template Var<T> conv2d_transpose(const Var<T>&, const Var<T>&, const Window&, Index, Index);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
