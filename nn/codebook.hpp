#pragma once
#include <iterator>
#include <string>
#include <vector>

#include "autograd/operations.hpp"
#include "nn/parameters.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::nn {

// A dictionary: V words, each a vector of K numbers. A row of K numbers is written as the number,
// 0, ..., V - 1, of the word nearest to it (vector quantisation).
//
//     R rows z in a batch, of shape (R, K), and the R numbers of their words
//
// The words move in one of two ways: an optimiser follows codebook_loss, or average() takes them to
// the means of the rows that chose them; both is one too many. In either way all is an average over
// rows, so that two copies of a batch do what one does.
//
// Each word keeps a share, how often it is chosen, as a running average of average(). A word that
// no row chooses never moves again by itself; revive() brings it back.
template <class T> class Codebook {
 public:
  // Words begin uniform within +-1 / V. Throws Error when there are none, or of no numbers.
  Codebook(const std::string& name, Index size, Index dimension, Rng& rng)
      : words(name + ".words", first_words(name, size, dimension, rng)),
        shares(name + ".shares", Tensor<T>({size})),
        sums(name + ".sums", Tensor<T>({size, dimension})) {
    for (Index v = 0; v < size; ++v) place(v, words.value().data() + v * dimension);
  }

  // Of each row the nearest word, the first of those that are equally near.
  std::vector<Index> nearest(const Tensor<T>& z) const {
    require_rows("nearest", z);
    // |z - e|^2 is least where 2 z e - |e|^2 is largest.
    const Tensor<T>& e = words.value();
    return argmax(matmul_nt(z + z, e) - gradus::sum(gradus::square(e), {1}), 1);
  }

  // The words with these numbers, (R, K). Their gradient goes to the words.
  Var<T> operator()(const std::vector<Index>& numbers) const {
    return gather_rows<T>(words, numbers);
  }

  // |z - e|^2 of each row and its word, (R): once for the words, with z held constant, and once for
  // z, with the words held constant.
  Var<T> codebook_loss(const Tensor<T>& z, const std::vector<Index>& numbers) const {
    require_words("codebook_loss", z, numbers);
    return gradus::sum(gradus::square(z - (*this)(numbers)), {1});
  }

  Var<T> commitment_loss(const Var<T>& z, const std::vector<Index>& numbers) const {
    require_words("commitment_loss", z.value(), numbers);
    return gradus::sum(gradus::square(z - words_with(numbers)), {1});
  }

  // Begins at rows of z, different ones. Rows that are equal make equal words, of which the first
  // alone is ever chosen. Throws Error when there are fewer rows than words.
  void start_at(const Tensor<T>& z, Rng& rng) {
    require_rows("start_at", z);
    if (z.extent(0) < size())
      fail(
          "{}: {} words cannot start at the {} rows of a batch; take a larger batch, or fewer "
          "words",
          words.name(), size(), z.extent(0));
    const std::vector<Index> rows = rng.permutation(z.extent(0));
    for (Index v = 0; v < size(); ++v) place(v, z.data() + rows[v] * dimension());
  }

  // With n_v the share of the R rows that chose word v, and t_v the sum of these rows divided by R:
  //     share_v <- decay share_v + (1 - decay) n_v
  //     sum_v   <- decay sum_v   + (1 - decay) t_v
  //     word_v  <- sum_v / share_v                    where n_v > 0
  // With a decay of 0 a word becomes the mean of its rows: one step of Lloyd's algorithm, known as
  // k-means. Throws Error when there are no rows, or unless 0 <= decay < 1.
  void average(const Tensor<T>& z, const std::vector<Index>& numbers, double decay) {
    require_words("average", z, numbers);
    const Index rows = z.extent(0);
    if (rows == 0) fail("{}: no rows to average", words.name());
    if (!(decay >= 0 && decay < 1))
      fail("{}: a decay of {}; it must be 0 or more, and below 1", words.name(), decay);
    std::vector<double> chosen(size());
    for (Index v : numbers) ++chosen[v];
    const Tensor<T> total = scatter_add_rows(z, numbers, size());  // (V, K)

    const double gain = (1 - decay) / static_cast<double>(rows);
    T* const share = shares.mutable_value().mutable_data();
    T* const sum = sums.mutable_value().mutable_data();
    T* const word = words.mutable_value().mutable_data();
    for (Index v = 0; v < size(); ++v) {
      share[v] = static_cast<T>(decay * share[v] + gain * chosen[v]);
      for (Index k = v * dimension(); k < (v + 1) * dimension(); ++k) {
        sum[k] = static_cast<T>(decay * sum[k] + gain * total.data()[k]);
        if (chosen[v] > 0) word[k] = sum[k] / share[v];
      }
    }
  }

  // Takes each word with a share below `least` / V to a row of z, another for each; where there are
  // more such words than rows, the rest stay where they are. Returns how many were moved. A word
  // that has just been moved, or has just begun, counts like one that a hundredth of its fair share
  // 1 / V of the rows has chosen: it follows the first rows that choose it.
  Index revive(const Tensor<T>& z, double least, Rng& rng) {
    require_rows("revive", z);
    const std::vector<Index> rows = rng.permutation(z.extent(0));
    Index moved = 0;
    for (Index v = 0; v < size() && moved < z.extent(0); ++v)
      if (shares.value()(v) < least / static_cast<double>(size()))
        place(v, z.data() + rows[moved++] * dimension());
    return moved;
  }

  Index size() const { return words.shape()[0]; }  // V

  Index dimension() const { return words.shape()[1]; }  // K

  // All that a checkpoint needs. Shares and sums never have a gradient; neither have the words,
  // unless codebook_loss is part of a loss.
  Parameters<T> parameters() { return {&words, &shares, &sums}; }

  Parameter<T> words;   // (V, K), "name.words"
  Parameter<T> shares;  // (V), "name.shares"
  Parameter<T> sums;    // (V, K), "name.sums"

 private:
  static Tensor<T> first_words(const std::string& name, Index size, Index dimension, Rng& rng) {
    if (size < 1 || dimension < 1)
      fail("{}: a codebook of {} words of {} numbers; both must be 1 or more", name, size,
           dimension);
    const double bound = 1 / static_cast<double>(size);
    return rng.uniform<T>({size, dimension}, -bound, bound);
  }

  // Word v begins here.
  void place(Index v, const T* row) {
    const T share = static_cast<T>(0.01 / static_cast<double>(size()));
    shares.mutable_value().mutable_data()[v] = share;
    T* const word = words.mutable_value().mutable_data() + v * dimension();
    T* const sum = sums.mutable_value().mutable_data() + v * dimension();
    for (Index k = 0; k < dimension(); ++k) {
      sum[k] = share * row[k];
      word[k] = row[k];
    }
  }

  Tensor<T> words_with(const std::vector<Index>& numbers) const {
    return gather_rows(words.value(), numbers);
  }

  void require_rows(const char* caller, const Tensor<T>& z) const {
    if (z.rank() != 2 || z.extent(1) != dimension())
      fail("{}: {} expects (R, {}), but was given {}", words.name(), caller, dimension(),
           z.shape());
  }

  void require_words(const char* caller, const Tensor<T>& z,
                     const std::vector<Index>& numbers) const {
    require_rows(caller, z);
    if (std::ssize(numbers) != z.extent(0))
      fail("{}: {} was given {} words for {} rows", words.name(), caller, numbers.size(),
           z.extent(0));
    for (Index v : numbers)
      if (v < 0 || v >= size())
        fail("{}: {} was given word {}; there are 0, ..., {}", words.name(), caller, v, size() - 1);
  }
};

}  // namespace gradus::nn
