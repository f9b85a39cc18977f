#include "tensor/tensor.hpp"

namespace gradus {
template <class T> Tensor<T> Tensor<T>::uninitialized(const Shape& shape) {
  Tensor x;
  x.shape_ = shape;
  if (shape.size() > 0) x.storage_ = Storage(shape.size() * sizeof(T));
  return x;
}

template <class T> Tensor<T>::Tensor(const Shape& shape) : Tensor(uninitialized(shape)) {
  std::fill_n(mutable_data(), size(), T(0));
}

template <class T>
Tensor<T>::Tensor(const Shape& shape, const std::vector<T>& values) : Tensor(uninitialized(shape)) {
  if (static_cast<Index>(values.size()) != size())
    fail("tensor: shape {} holds {} numbers, but {} were given", shape, size(), values.size());
  std::copy(values.begin(), values.end(), mutable_data());
}

template <class T> T* Tensor<T>::mutable_data() {
  if (storage_.shared()) {
    Storage own(size() * sizeof(T));
    std::memcpy(own.data(), storage_.data(), size() * sizeof(T));
    storage_ = std::move(own);
  }
  return static_cast<T*>(storage_.data());
}

template <class T> T Tensor<T>::item() const {
  if (size() != 1) fail("item: {} has {} elements, not one; index it as x(i, ...)", shape_, size());
  return *data();
}

template <class T> Tensor<T> Tensor<T>::reshape(const Shape& shape) const {
  if (shape.size() != size())
    fail("reshape: {} has {} elements, but {} has {}", shape_, size(), shape, shape.size());
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
    if (rest == 0 || size() % rest != 0)
      fail("reshape: {} has {} elements, which {} cannot hold with any extent for -1", shape_,
           size(), to_string(extents));
    *unknown = size() / rest;
  }
  return reshape(Shape(known));
}

template <class T> Tensor<T>& Tensor<T>::operator+=(const Tensor& other) {
  if (shape_ != other.shape_) fail("+=: shapes {} and {} differ", shape_, other.shape_);
  T* x = mutable_data();
  const T* y = other.data();
  parallel_for(size(), 1 << 13, [=](Index begin, Index end) {
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

template class Tensor<float>;
template class Tensor<double>;
}  // namespace gradus
