#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "autograd/tape.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/19_vq_vae/model.hpp"
#include "nn/codebook.hpp"
#include "nn/optimizers.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 19 works out without images: dictionaries for one number, and one gradient.
namespace gradus::lesson19 {

// ---- Dictionaries for a standard normal number -------------------------------------------------

// The standard normal density, and its integral up to x.
inline double density(double x) { return std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi); }

inline double integral(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

// Words for x ~ N(0, 1), in ascending order, of which each x takes the nearest: how often each is
// taken, and E[(x - word)^2]. A word with a share below 1e-12 counts as one that no draw ever takes
// (on paper it has a mean too).
struct Dictionary {
  std::vector<double> words;
  std::vector<double> shares = {};
  std::vector<double> means = {};  // of the x that take a word; the word itself where none does
  double error = 0;

  explicit Dictionary(std::vector<double> the_words) : words(std::move(the_words)) {
    error = 1;
    for (std::size_t v = 0; v < words.size(); ++v) {
      const double low = border(v);
      const double high = border(v + 1);
      const double share = integral(high) - integral(low);
      // The integral of x density(x) is -density(x).
      const double moment = density(low) - density(high);
      shares.push_back(share);
      means.push_back(share > 1e-12 ? moment / share : words[v]);
      error += -2 * words[v] * moment + words[v] * words[v] * share;
    }
  }

  // Between word v - 1 and word v.
  double border(std::size_t v) const {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (v == 0) return -kInfinity;
    if (v == words.size()) return kInfinity;
    return (words[v - 1] + words[v]) / 2;
  }

  // In nats.
  double entropy() const {
    double total = 0;
    for (double p : shares) total -= lesson13::xlogy(p, p);
    return total;
  }
};

// Lloyd's algorithm: each word goes to the mean of what takes it, until none moves. A word that no
// draw takes stays.
inline Dictionary lloyd(std::vector<double> start) {
  Dictionary dictionary(std::move(start));
  for (int step = 0; step < 100'000; ++step) {
    double moved = 0;
    for (std::size_t v = 0; v < dictionary.words.size(); ++v)
      moved = std::max(moved, std::abs(dictionary.means[v] - dictionary.words[v]));
    if (moved < 1e-14) break;
    dictionary = Dictionary(dictionary.means);
  }
  return dictionary;
}

// `size` words at equal steps from -1.5 to 1.5, to begin with.
inline std::vector<double> spread_words(int size) {
  std::vector<double> words;
  for (int v = 0; v < size; ++v) words.push_back(-1.5 + 3.0 * v / (size - 1));
  return words;
}

// A codebook of four words that sees normal numbers, 128 at a time: by averages, or by the gradient
// of its loss. Returns its words in ascending order.
inline std::vector<double> learn_words(bool averaged, int steps, Rng& rng) {
  nn::Codebook<double> codebook("codebook", 4, 1, rng);
  codebook.start_at(rng.normal<double>({128, 1}), rng);
  nn::Sgd<double> sgd({&codebook.words});
  for (int step = 0; step < steps; ++step) {
    const Tensor<double> z = rng.normal<double>({128, 1});
    const std::vector<Index> nearest = codebook.nearest(z);
    if (averaged) {
      codebook.average(z, nearest, 0.99);
      continue;
    }
    sgd.options.learning_rate = 0.1 / (1 + step / 1000.0);
    Tape<double> tape;
    tape.backward(mean(codebook.codebook_loss(z, nearest)));
    sgd.step();
  }
  std::vector<double> words(codebook.words.value().begin(), codebook.words.value().end());
  std::sort(words.begin(), words.end());
  return words;
}

// ---- One gradient ------------------------------------------------------------------------------

// A code z, the words -1 and 1, and a decoder that says x ~ N(v e, 1) of a word e.
struct OneNumber {
  double z = 1.3, v = 2, x = 1;
};

// The three terms of the loss, and what the tape says of their sum's slopes.
struct OneNumberLoss {
  double reconstruction, codebook, commitment;  // the last one with its weight
  double by_z, by_word, by_v;

  double total() const { return reconstruction + codebook + commitment; }
};

inline OneNumberLoss one_number(const OneNumber& at) {
  Rng rng(0);
  nn::Codebook<double> codebook("codebook", 2, 1, rng);
  codebook.words.set_value(Tensor<double>({2, 1}, {-1, 1}));
  Parameter<double> z("z", Tensor<double>({1, 1}, {at.z}));
  Parameter<double> v("v", Tensor<double>({1, 1}, {at.v}));

  Tape<double> tape;
  const std::vector<Index> word = codebook.nearest(z.value());
  const Var<double> e = straight_through<double>(z, codebook(word).value());
  const Var<double> reconstruction = -nn::Normal<double>{v * e, 0}.log_prob(at.x);
  const Var<double> codebook_loss = codebook.codebook_loss(z.value(), word);
  const Var<double> commitment = 0.25 * codebook.commitment_loss(z, word);
  tape.backward(sum(reconstruction + codebook_loss + commitment));
  return {reconstruction.item(),           codebook_loss.item(), commitment.item(), z.grad.item(),
          codebook.words.grad(word[0], 0), v.grad.item()};
}

// The central difference of the loss by z.
inline double difference_by_z(OneNumber at) {
  constexpr double kStep = 1e-4;
  OneNumber above = at;
  OneNumber below = at;
  above.z += kStep;
  below.z -= kStep;
  return (one_number(above).total() - one_number(below).total()) / (2 * kStep);
}

// z - rate dl/dz, step by step, by the slope of the reconstruction alone: which word, 0 (-1) or 1,
// is nearest before each step, and after the last one.
inline std::vector<Index> words_on_the_way(double rate, int steps) {
  OneNumber at;
  std::vector<Index> words;
  for (int step = 0; step <= steps; ++step) {
    words.push_back(at.z > 0 ? 1 : 0);
    const OneNumberLoss loss = one_number(at);
    const double e = words.back() == 1 ? 1 : -1;
    at.z -= rate * (loss.by_z - 0.5 * (at.z - e));  // without the commitment's slope
  }
  return words;
}

// ---- What must hold exactly --------------------------------------------------------------------

// The probabilities of all 3^4 maps of 2 x 2 places and three words, added up, by an untrained
// prior.
inline double mass_of_all_maps(Rng& rng) {
  const WindowPrior<double> prior(3, 2, 5, rng);
  std::vector<Index> maps;
  for (Index number = 0; number < 81; ++number)
    for (Index digit = 0, rest = number; digit < 4; ++digit, rest /= 3) maps.push_back(rest % 3);
  return sum(exp(prior.log_prob(maps).value())).item();
}

}  // namespace gradus::lesson19
