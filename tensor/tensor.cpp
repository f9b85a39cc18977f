#include "tensor/tensor.hpp"
#include <algorithm>

namespace gradus {
template <class T> Tensor<T> Tensor<T>::uninitialized(const Shape& shape) {
  Tensor x;
  x.shape_ = shape;
  x.size_ = shape.size();
  if (x.size_ > 0) x.block_ = Block(x.size_ * sizeof(T));
  return x;
}

template <class T> Tensor<T>::Tensor(const Shape& shape) : Tensor(uninitialized(shape)) {
  std::fill_n(mutable_data(), size_, T(0));
}

template <class T>
Tensor<T>::Tensor(const Shape& shape, const std::vector<T>& values) : Tensor(uninitialized(shape)) {
  if (static_cast<Index>(values.size()) != size_)
    fail("tensor: shape {} holds {} numbers, but {} were given", shape, size_, values.size());
  std::copy(values.begin(), values.end(), mutable_data());
}

template <class T> T* Tensor<T>::mutable_data() {
  if (block_.shared()) {
    Block own(size_ * sizeof(T));
    std::memcpy(own.data(), block_.data(), size_ * sizeof(T));
    block_ = std::move(own);
  }
  return static_cast<T*>(block_.data());
}

template <class T> T Tensor<T>::item() const {
  if (size_ != 1)
    fail("item: a tensor of shape {} has {} elements, not one; index it as x(i, ...)", shape_,
         size_);
  return *data();
}

template <class T> Tensor<T> Tensor<T>::reshape(const Shape& shape) const {
  if (shape.size() != size_)
    fail("reshape: {} has {} elements, but {} has {}", shape_, size_, shape, shape.size());
  Tensor x = *this;
  x.shape_ = shape;
  return x;
}

template <class T> Tensor<T> Tensor<T>::reshape(std::initializer_list<Index> extents) const {
  std::vector<Index> known(extents);
  const auto unknown = std::find(known.begin(), known.end(), -1);
  if (unknown != known.end()) {
    *unknown = 1;
    const Index rest = Shape(known).size();
    if (rest == 0 || size_ % rest != 0)
      fail("reshape: {} has {} elements, which {} cannot hold with any extent for -1", shape_,
           size_, list(extents));
    *unknown = size_ / rest;
  }
  return reshape(Shape(known));
}

template <class T> Tensor<T>& Tensor<T>::operator+=(const Tensor& other) {
  if (shape_ != other.shape_) fail("+=: shapes {} and {} differ", shape_, other.shape_);
  T* x = mutable_data();
  const T* y = other.data();
  parallel_for(size_, 1 << 15, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) x[i] += y[i];
  });
  return *this;
}

template <class T> Index Tensor<T>::offset(std::initializer_list<Index> indices) const {
  if (static_cast<int>(indices.size()) != rank())
    fail("index: {} indices were given, but {} has {} axes", indices.size(), shape_, rank());
  Index offset = 0;
  int axis = 0;
  for (Index i : indices) {
    if (i < 0 || i >= shape_[axis])
      fail("index: {} is out of range on axis {} of {}", i, axis, shape_);
    offset = offset * shape_[axis++] + i;
  }
  return offset;
}

template <class T> Tensor<T> full(const Shape& shape, std::type_identity_t<T> value) {
  auto x = Tensor<T>::uninitialized(shape);
  std::fill_n(x.mutable_data(), x.size(), value);
  return x;
}

template <class T> Tensor<T> arange(Index n) {
  auto x = Tensor<T>::uninitialized({n});
  for (Index i = 0; i < n; ++i) x.mutable_data()[i] = static_cast<T>(i);
  return x;
}

template <class T>
Tensor<T> linspace(std::type_identity_t<T> first, std::type_identity_t<T> last, Index n) {
  auto x = Tensor<T>::uninitialized({n});
  for (Index i = 0; i < n; ++i)
    x.mutable_data()[i] = i == n - 1 && n > 1 ? last : first + (last - first) * T(i) / T(n - 1);
  if (n == 1) x.mutable_data()[0] = first;
  return x;
}

template <class T> Tensor<T> identity(Index n) {
  Tensor<T> x({n, n});
  for (Index i = 0; i < n; ++i) x.mutable_data()[i * n + i] = 1;
  return x;
}

template <class To, class From> Tensor<To> cast(const Tensor<From>& x) {
  auto y = Tensor<To>::uninitialized(x.shape());
  std::transform(x.begin(), x.end(), y.mutable_data(), [](From v) { return static_cast<To>(v); });
  return y;
}

#define GRADUS_INSTANTIATE(T)                    \
  template class Tensor<T>;                      \
  template Tensor<T> full<T>(const Shape&, T);   \
  template Tensor<T> arange<T>(Index);           \
  template Tensor<T> linspace<T>(T, T, Index);   \
  template Tensor<T> identity<T>(Index);         \
  template Tensor<T> cast(const Tensor<float>&); \
  template Tensor<T> cast(const Tensor<double>&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
