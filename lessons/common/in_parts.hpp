#pragma once
#include <algorithm>

#include "tensor/layout.hpp"

namespace gradus {

// Calls f with `size` examples at a time: what is computed from them then needs little memory.
template <class T, class F> void in_parts(const Tensor<T>& x, F f, Index size = 4096) {
  const Index n = x.extent(0);
  for (Index begin = 0; begin < n; begin += size) {
    const Index end = std::min(begin + size, n);
    f(slice(x, 0, begin, end));
  }
}

}  // namespace gradus
