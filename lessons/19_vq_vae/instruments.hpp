#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lessons/13_vae/instruments.hpp"
#include "lessons/19_vq_vae/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/codebook.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 19 measures: how words are used, what codes cost and what they leave.
//
//     N images, D pixels, M places, V words
namespace gradus::lesson19 {

// ---- How words are used ------------------------------------------------------------------------

struct Usage {
  std::vector<double> shares;  // of each word, among all places of all images

  // H = -sum_v p_v ln p_v, in nats.
  double entropy() const {
    double total = 0;
    for (double p : shares) total -= lesson13::xlogy(p, p);
    return total;
  }

  // e^H: as many words, used equally often, have this entropy.
  double perplexity() const { return std::exp(entropy()); }

  Index used() const {
    return std::count_if(shares.begin(), shares.end(), [](double p) { return p > 0; });
  }
};

inline Usage usage_of(const std::vector<Index>& words, Index size) {
  Usage usage{std::vector<double>(size)};
  const double share = 1 / static_cast<double>(words.size());
  for (Index v : words) usage.shares[v] += share;
  return usage;
}

// ---- The scores of a model ---------------------------------------------------------------------

struct Scores {
  double distortion = 0;     // -ln p(x|e), in nats per image
  double error = 0;          // squared, per pixel, of the mean of p(x|e)
  double sharpness = 0;      // of that mean
  std::vector<Index> words;  // of all images
  Usage usage;
  double distance = 0;  // |z - e|^2 of a place
};

template <class Net, class T>
Scores evaluate(const VqVae<Net>& model, const Tensor<T>& images, Index width) {
  Scores scores;
  const double n = static_cast<double>(images.extent(0));
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const auto pass = model.pass(x);
        const Tensor<T> means = model.decoded(pass.words);
        const double share = static_cast<double>(x.extent(0)) / n;
        scores.distortion -= sum(pass.log_prob).item() / n;
        scores.error += share * mean(square(means - x)).item();
        scores.sharpness += share * lesson13::sharpness(means, width);
        scores.distance += share * mean(model.codebook.commitment_loss(pass.z, pass.words)).item();
        scores.words.insert(scores.words.end(), pass.words.begin(), pass.words.end());
      },
      250);
  scores.usage = usage_of(scores.words, model.codebook.size());
  return scores;
}

// N M words as maps, a row of M for each image, whose numbers minibatches can carry.  (N, M)
inline Tensor<float> maps_from(const std::vector<Index>& words, Index places) {
  Tensor<float> maps({std::ssize(words) / places, places});
  std::copy(words.begin(), words.end(), maps.mutable_data());
  return maps;
}

// The maps of images, (N, D) -> (N, M).
template <class Net> Tensor<float> maps_of(const VqVae<Net>& model, const Tensor<float>& images) {
  std::vector<Index> words;
  in_parts(
      images,
      [&](const Tensor<float>& x) {
        for (Index v : model.words_of(x)) words.push_back(v);
      },
      250);
  return maps_from(words, model.places());
}

// (N, M) -> N M numbers.
template <class T> std::vector<Index> words_in(const Tensor<T>& maps) {
  std::vector<Index> words;
  words.reserve(maps.size());
  for (T v : maps) words.push_back(static_cast<Index>(v));
  return words;
}

// The mean of -ln P(words) over maps, in nats per image.
template <class T> double cost_of(const WindowPrior<T>& prior, const Tensor<T>& maps) {
  double total = 0;
  in_parts(
      maps, [&](const Tensor<T>& part) { total -= sum(prior.log_prob(words_in(part))).item(); },
      250);
  return total / static_cast<double>(maps.extent(0));
}

// ---- Priors that count -------------------------------------------------------------------------

// P(word | context) = (count + trust P_before(word)) / (total + trust): how often the word was seen
// in this context, mixed with what was believed before, which counts like `trust` more sightings.
class Table {
 public:
  Table(Index contexts, Index words, double trust)
      : words_(words), trust_(trust), counts_(contexts * words), totals_(contexts) {}

  void add(Index context, Index word) {
    ++counts_[context * words_ + word];
    ++totals_[context];
  }

  double probability(Index context, Index word, double before) const {
    const double count = counts_[context * words_ + word];
    return (count + trust_ * before) / (totals_[context] + trust_);
  }

 private:
  Index words_;
  double trust_;
  std::vector<std::uint32_t> counts_;  // contexts x words
  std::vector<std::uint32_t> totals_;
};

// Four priors over maps of height x width places, from the simplest: one histogram for all places;
// one for each place; the word on the left, at this place; and the words on the left and above, at
// this place. Each is what the next one believed before it counted. (The last one's belief is that
// of the word above alone, which is counted as well, and believes the word on the left before.)
class CountingPriors {
 public:
  CountingPriors(Index words, Index height, Index width)
      : words_(words),
        height_(height),
        width_(width),
        histogram_(1, words, static_cast<double>(words)),
        place_(height * width, words, 0.5 * static_cast<double>(words)),
        left_(height * width * (words + 1), words, 20),
        above_(height * width * (words + 1), words, 20),
        both_(height * width * (words + 1) * (words + 1), words, 10) {}

  // Counts the words of N maps.
  void add(const std::vector<Index>& maps) {
    for_each_place(maps, [&](const Context& at, Index word) {
      histogram_.add(0, word);
      place_.add(at.place, word);
      left_.add(at.left, word);
      above_.add(at.above, word);
      both_.add(at.both, word);
    });
  }

  // In nats per map.
  struct Costs {
    double histogram = 0, place = 0, left = 0, both = 0;
  };

  Costs cost_of(const std::vector<Index>& maps) const {
    Costs costs;
    const double share = static_cast<double>(height_ * width_) / static_cast<double>(maps.size());
    for_each_place(maps, [&](const Context& at, Index word) {
      const double uniform = 1 / static_cast<double>(words_);
      const double of_place = place_.probability(at.place, word, uniform);
      const double of_left = left_.probability(at.left, word, of_place);
      const double of_above = above_.probability(at.above, word, of_left);
      costs.histogram -= share * std::log(histogram_.probability(0, word, uniform));
      costs.place -= share * std::log(of_place);
      costs.left -= share * std::log(of_left);
      costs.both -= share * std::log(both_.probability(at.both, word, of_above));
    });
    return costs;
  }

  // The histogram of each place, (M, V).
  Tensor<double> of_places() const {
    Tensor<double> p({height_ * width_, words_});
    for (Index m = 0; m < height_ * width_; ++m)
      for (Index v = 0; v < words_; ++v)
        p.set({m, v}, place_.probability(m, v, 1 / static_cast<double>(words_)));
    return p;
  }

 private:
  struct Context {
    Index place, left, above, both;
  };

  // Calls f with each place's context and word. Outside of a map stands the word V.
  template <class F> void for_each_place(const std::vector<Index>& maps, F f) const {
    const Index places = height_ * width_;
    const Index kinds = words_ + 1;
    for (Index i = 0; i < std::ssize(maps); ++i) {
      const Index place = i % places;
      const Index left = place % width_ > 0 ? maps[i - 1] : words_;
      const Index above = place >= width_ ? maps[i - width_] : words_;
      f(Context{place, place * kinds + left, place * kinds + above,
                (place * kinds + left) * kinds + above},
        maps[i]);
    }
  }

  Index words_, height_, width_;
  Table histogram_, place_, left_, above_, both_;
};

// n maps whose words are drawn one by one, each place by its own histogram (M, V).
inline std::vector<Index> sample_places(const Tensor<double>& p, Index n, Rng& rng) {
  std::vector<Index> maps;
  for (Index i = 0; i < n; ++i)
    for (Index v : nn::Categorical<double>{log(p)}.sample(rng)) maps.push_back(v);
  return maps;
}

// The same maps seen in a mirror: each row of `width` words from right to left.
inline std::vector<Index> mirrored(std::vector<Index> maps, Index width) {
  for (auto row = maps.begin(); row != maps.end(); row += width) std::reverse(row, row + width);
  return maps;
}

// ---- k-means of pieces of images ---------------------------------------------------------------

// Images of side x side pixels, cut into pieces of 4 x 4, row by row.  (N, D) -> (N M, 16)
template <class T> Tensor<T> pieces_of(const Tensor<T>& images, Index side) {
  const Index n = images.extent(0);
  const Index map = side / 4;
  const Tensor<T> cut = permute(images.reshape({n, map, 4, map, 4}), {0, 1, 3, 2, 4});
  return cut.reshape({n * map * map, 16});
}

// As Codebook::nearest, for many rows.
template <class T>
std::vector<Index> nearest_in_parts(const nn::Codebook<T>& codebook, const Tensor<T>& rows) {
  std::vector<Index> nearest;
  in_parts(rows, [&](const Tensor<T>& part) {
    for (Index v : codebook.nearest(part)) nearest.push_back(v);
  });
  return nearest;
}

// Lloyd's algorithm (k-means), in so many steps from where the dictionary stands; a word that no
// row chooses is moved to one.
template <class T>
void k_means(nn::Codebook<T>& codebook, const Tensor<T>& rows, int steps, Rng& rng) {
  for (int step = 0; step < steps; ++step) {
    codebook.average(rows, nearest_in_parts(codebook, rows), 0);
    codebook.revive(rows, 1e-9, rng);
  }
}

// What a dictionary of pieces leaves of images: the mean squared error of a pixel, and in nats per
// image what a Bernoulli pixel costs whose probability is the piece's, from 0.001 to 0.999.
struct PieceScores {
  double error = 0;
  double distortion = 0;
  Usage usage;
};

template <class T>
PieceScores score_pieces(const nn::Codebook<T>& codebook, const Tensor<T>& images, Index side) {
  PieceScores scores;
  std::vector<Index> words;
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Tensor<T> pieces = pieces_of(x, side);
        const std::vector<Index> nearest = nearest_in_parts(codebook, pieces);
        const Tensor<T> e = codebook(nearest).value();
        const Tensor<T> p = minimum(maximum(e, T(0.001)), T(0.999));
        scores.error += sum(square(pieces - e)).item();
        scores.distortion -= sum(pieces * log(p) + (T(1) - pieces) * log(T(1) - p)).item();
        words.insert(words.end(), nearest.begin(), nearest.end());
      },
      250);
  scores.error /= static_cast<double>(images.size());
  scores.distortion /= static_cast<double>(images.extent(0));
  scores.usage = usage_of(words, codebook.size());
  return scores;
}

}  // namespace gradus::lesson19
