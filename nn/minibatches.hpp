#pragma once
#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"

namespace gradus::nn {

// All examples once, in random order, `size` at a time (the last batch may be smaller):
//
//     for (const Tensor<float>& x : minibatches(images, 128, rng)) ...     // x: (128, ...)
template <class T> class Minibatches {
 public:
  // Throws Error when there are no examples, or none in a batch.
  Minibatches(Tensor<T> examples, Index size, Rng& rng)
      : examples_(std::move(examples)), size_(size) {
    if (size < 1) fail("minibatches: a batch size of {}; it must be at least 1", size);
    if (examples_.empty() || examples_.rank() == 0)
      fail("minibatches: {} holds no examples", examples_.shape());
    order_ = rng.permutation(examples_.shape()[0]);
  }

  struct Iterator {
    const Minibatches* batches;
    Index first;

    Tensor<T> operator*() const {
      const Index n = std::min(batches->size_, std::ssize(batches->order_) - first);
      return gather_rows(batches->examples_, std::span(batches->order_).subspan(first, n));
    }

    void operator++() { first += batches->size_; }

    // The last batch, which may be smaller, steps beyond the end.
    bool operator==(const Iterator& end) const { return first >= end.first; }
  };

  Iterator begin() const { return {this, 0}; }

  Iterator end() const { return {this, std::ssize(order_)}; }

 private:
  Tensor<T> examples_;  // (N, ...)
  Index size_;
  std::vector<Index> order_;  // a permutation of 0, ..., N - 1
};

template <class T> Minibatches<T> minibatches(Tensor<T> examples, Index size, Rng& rng) {
  return {std::move(examples), size, rng};
}

}  // namespace gradus::nn
