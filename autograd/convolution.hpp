#pragma once
#include "autograd/var.hpp"
#include "tensor/convolution.hpp"

// The convolutions of tensor/convolution.hpp, for values that remember where they came from. Shapes
// and errors are as there.
namespace gradus {

// Windows as rows, and adding rows back: each is the other's adjoint, and so its gradient rule.
template <class T> Var<T> unfold(const Var<T>& images, const Window& window);
template <class T> Var<T> fold(const Var<T>& rows, const Window& window, const Shape& images);

// (O, C, K, K) -> (O, K K C)
template <class T> Var<T> kernel_rows(const Var<T>& kernel);

// (N, H, W, C) with (O, C, K, K) -> (N, H', W', O)
template <class T> Var<T> conv2d(const Var<T>& images, const Var<T>& kernel, const Window& window);

// (N, H', W', O) with (O, C, K, K) -> (N, H, W, C)
template <class T>
Var<T> conv2d_transpose(const Var<T>& maps, const Var<T>& kernel, const Window& window,
                        Index height, Index width);

// ---- With a tensor on one side, which is then a constant ---------------------------------------

template <class T, ConstantOf<T> Y>
Var<T> conv2d(const Var<T>& images, const Y& kernel, const Window& window) {
  return conv2d(images, Var<T>(kernel), window);
}

template <class T, ConstantOf<T> X>
Var<T> conv2d(const X& images, const Var<T>& kernel, const Window& window) {
  return conv2d(Var<T>(images), kernel, window);
}

template <class T, ConstantOf<T> Y>
Var<T> conv2d_transpose(const Var<T>& maps, const Y& kernel, const Window& window, Index height,
                        Index width) {
  return conv2d_transpose(maps, Var<T>(kernel), window, height, width);
}

template <class T, ConstantOf<T> X>
Var<T> conv2d_transpose(const X& maps, const Var<T>& kernel, const Window& window, Index height,
                        Index width) {
  return conv2d_transpose(Var<T>(maps), kernel, window, height, width);
}

}  // namespace gradus
