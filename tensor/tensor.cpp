#include "tensor/tensor.hpp"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>

#include "tensor/error.hpp"
#include "tensor/parallel.hpp"

namespace gradus {
template <class T> Tensor<T>::Tensor(const Shape& shape) : Tensor(uninitialized(shape)) {
  std::fill_n(mutable_data(), size(), T(0));
}

template <class T>
Tensor<T>::Tensor(const Shape& shape, const std::vector<T>& values) : Tensor(uninitialized(shape)) {
  if (static_cast<Index>(values.size()) != size())
    fail("tensor: shape {} holds {} numbers, but {} were given", shape, size(), values.size());
  std::copy(values.begin(), values.end(), mutable_data());
}

template <class T> Tensor<T> Tensor<T>::uninitialized(const Shape& shape) {
  Tensor x;
  x.shape_ = shape;
  if (shape.size() > 0) x.storage_ = Storage(shape.size() * sizeof(T));
  return x;
}

template <class T> T* Tensor<T>::mutable_data() {
  if (storage_.shared()) {
    Storage own(size() * sizeof(T));
    std::memcpy(own.data(), storage_.data(), size() * sizeof(T));
    storage_ = std::move(own);
  }
  return static_cast<T*>(storage_.data());
}

template <class T> void Tensor<T>::set(std::initializer_list<Index> indices, T value) {
  const Index i = offset(indices);
  mutable_data()[i] = value;
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
    if (std::count(known.begin(), known.end(), -1) > 1)
      fail("reshape: there is more than one -1 in {}", to_string(extents));

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
  parallel_for(size(), detail::kPiece, [x, y](Index begin, Index end) {
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
    offset = offset * shape_[axis] + i;
    ++axis;
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
  T* z = x.mutable_data();
  for (Index i = 0; i < n; ++i) z[i] = static_cast<T>(i);
  return x;
}

template <class T> Tensor<T> identity(Index n) {
  Tensor<T> x({n, n});
  T* z = x.mutable_data();
  for (Index i = 0; i < n; ++i) z[i * n + i] = 1;
  return x;
}

template <class To, class From> Tensor<To> cast(const Tensor<From>& x) {
  auto y = Tensor<To>::uninitialized(x.shape());
  std::transform(x.begin(), x.end(), y.mutable_data(), [](From v) { return static_cast<To>(v); });
  return y;
}

#define GRADUS_INSTANTIATE(T)                    \
  template class Tensor<T>;                      \
  template Tensor<T> full(const Shape&, T);      \
  template Tensor<T> arange(Index);              \
  template Tensor<T> identity(Index);            \
  template Tensor<T> cast(const Tensor<float>&); \
  template Tensor<T> cast(const Tensor<double>&);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
