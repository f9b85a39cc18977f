#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "lessons/22_many_machines/team.hpp"
#include "nn/parameters.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"

// Data-parallel training: each of P processes has a copy of the model, computes the gradient of its
// share of every minibatch, and makes the step that all make.
//
//     B examples in a minibatch, P processes, n_r examples in the share of rank r
//
//     gradient of the mean over B examples = sum over r of n_r / B times that of the mean over r's
//
// Templates on T: the program trains in float, the test compares steps in double.
namespace gradus::lesson22 {

// The rows from `first` on of a minibatch.
struct Share {
  Index first, count;
};

// What rank r of P takes of n rows: as many as each other rank, or one more.
inline Share share_of(Index n, int rank, int size) {
  const Index least = n / size;
  const Index left_over = n % size;  // one more for each of the first ranks
  return {rank * least + std::min<Index>(rank, left_over), least + (rank < left_over ? 1 : 0)};
}

// (B, ...) -> (n_r, ...)
template <class T> Tensor<T> rows(const Share& share, const Tensor<T>& x) {
  return slice(x, 0, share.first, share.first + share.count);
}

// The mean of the gradients of a team, weighted by the sizes of the shares. They are laid end to
// end in one block, so that one all-reduce a step sends them all.
template <class T> class MeanGradient {
 public:
  explicit MeanGradient(nn::Parameters<T> parameters)
      : parameters_(std::move(parameters)),
        flat_(static_cast<std::size_t>(nn::count(parameters_)) + 2) {}

  // What a process does with its one share: the parameters' gradients, those of the mean over
  // `count` of `batch` examples, become those of the mean over the batch. A share of no examples
  // brings no gradients. Returns whether a member wants to stop after this step. Throws SharedError
  // unless the shares make up the batch.
  bool average(const Team& team, Index count, Index batch, bool stop = false) {
    lay_down(count, batch);
    return finish(team, batch, stop);
  }

  // The same in two parts, for a process that computes several shares one after another: add each,
  // which clears the gradients, then finish.
  void add(Index count, Index batch) {
    lay_down(count, batch);
    for (Parameter<T>* p : parameters_) p->grad = Tensor<T>();
  }

  bool finish(const Team& team, Index batch, bool stop = false) {
    stops() = stop ? 1 : 0;
    team.sum(std::span<T>(flat_));
    is_first_ = true;
    if (examples() != static_cast<T>(batch))
      throw SharedError(fmt::format("the shares have {} examples together, but the batch has {}",
                                    examples(), batch));
    const T* mean = flat_.data();
    for (Parameter<T>* p : parameters_) {
      const Index n = p->value().size();
      if (p->grad.empty()) p->grad = Tensor<T>(p->shape());
      std::copy(mean, mean + n, p->grad.mutable_data());
      mean += n;
    }
    return stops() > 0;
  }

  // What a process brings to the all-reduce of a step.
  Index bytes() const { return std::ssize(flat_) * static_cast<Index>(sizeof(T)); }

 private:
  // Adds the gradients, by their share's weight, to what was laid down since the last finish.
  void lay_down(Index count, Index batch) {
    if (is_first_) examples() = 0;
    const T weight = static_cast<T>(count) / static_cast<T>(batch);
    T* sum = flat_.data();
    for (const Parameter<T>* p : parameters_) {
      const Index n = p->value().size();
      if (p->grad.empty()) {
        if (is_first_) std::fill(sum, sum + n, T(0));
      } else {
        const T* g = p->grad.data();
        if (is_first_) {
          for (Index i = 0; i < n; ++i) sum[i] = weight * g[i];
        } else {
          for (Index i = 0; i < n; ++i) sum[i] += weight * g[i];
        }
      }
      sum += n;
    }
    examples() += static_cast<T>(count);
    is_first_ = false;
  }

  // Two numbers travel with the gradients.
  T& examples() { return flat_[flat_.size() - 2]; }

  T& stops() { return flat_[flat_.size() - 1]; }

  nn::Parameters<T> parameters_;
  std::vector<T> flat_;   // all gradients, end to end; then the number of examples, and of stops
  bool is_first_ = true;  // nothing was laid down since the last finish
};

// A number that is another one when one of the parameters is, in any bit: each word of 32 bits goes
// through steps that can be undone, so that no change of one word is lost. A product hands bits on
// only to higher ones, and the shift brings them down again: else two flips of the highest bit, the
// sign, would undo each other. That several changes hide each other has a chance of some 2^-32.
template <class T> std::uint64_t fingerprint(const nn::Parameters<T>& parameters) {
  constexpr Index kLanes = 64;  // side by side, in vector registers
  std::uint32_t lanes[kLanes] = {};
  for (const Parameter<T>* p : parameters) {
    const Index words = p->value().size() * static_cast<Index>(sizeof(T) / sizeof(std::uint32_t));
    const char* bytes = reinterpret_cast<const char*>(p->value().data());
    for (Index begin = 0; begin < words; begin += kLanes) {
      const Index n = std::min(kLanes, words - begin);
      std::uint32_t block[kLanes] = {};
      std::memcpy(block, bytes + begin * 4, static_cast<std::size_t>(n) * 4);
      for (Index i = 0; i < kLanes; ++i) {
        const std::uint32_t mixed = (lanes[i] ^ block[i]) * 0x9e3779b1u;
        lanes[i] = mixed ^ (mixed >> 15);
      }
    }
  }
  std::uint64_t hash = 0;
  for (const std::uint32_t lane : lanes) hash = (hash ^ lane) * 0x9e3779b97f4a7c15u;
  return hash;
}

// Throws SharedError when the parameters of two members of a team are not the same, bit by bit.
template <class T>
void require_same_parameters(const Team& team, const nn::Parameters<T>& parameters, Index step) {
  if (team.size() == 1) return;
  const std::vector<std::uint64_t> hashes = team.gather(fingerprint(parameters));
  for (std::size_t rank = 1; rank < hashes.size(); ++rank)
    if (hashes[rank] != hashes[0])
      throw SharedError(fmt::format(
          "step {}: rank {} has other parameters than rank 0 (hashes {:016x} and {:016x}). Copies "
          "that part do not come together again: is every process the same build, on processors "
          "of one kind?",
          step, rank, hashes[rank], hashes[0]));
}

}  // namespace gradus::lesson22
