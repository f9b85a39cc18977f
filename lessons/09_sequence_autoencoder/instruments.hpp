#pragma once
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "lessons/09_sequence_autoencoder/model.hpp"
#include "lessons/09_sequence_autoencoder/words.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/recurrent.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 09 measures.
//
//     N words, T symbols in each, K numbers in a code, H in a state
namespace gradus::lesson09 {

// ---- On paper ----------------------------------------------------------------------------------

// A GRU of one input and one unit in which every weight is 1 and every bias 0, but for the one
// beside the state in the candidate, c_n.
inline void make_ones(nn::Gru<double>& gru, double candidate_bias) {
  gru.weight_ih.set_value(full<double>({3, 1}, 1));
  gru.weight_hh.set_value(full<double>({3, 1}, 1));
  gru.bias_ih.set_value(Tensor<double>({3}));
  gru.bias_hh.set_value(Tensor<double>({3}, {0, 0, candidate_bias}));
}

// Every weight 0, and every bias too, but for b_z of all H units.
template <class T> void make_gate_only(nn::Gru<T>& gru, double update_bias) {
  const Index hidden = gru.weight_hh.shape()[1];
  gru.weight_ih.set_value(Tensor<T>(gru.weight_ih.shape()));
  gru.weight_hh.set_value(Tensor<T>(gru.weight_hh.shape()));
  gru.bias_hh.set_value(Tensor<T>(gru.bias_hh.shape()));
  Tensor<T> bias(gru.bias_ih.shape());
  for (Index i = hidden; i < 2 * hidden; ++i) bias.set({i}, static_cast<T>(update_bias));
  gru.bias_ih.set_value(bias);
}

// h_T of h_t = w h_(t-1) + x from h_0, and d h_T / d w.
struct Linear1D {
  double value, slope;
};

inline Linear1D linear_recurrence(double w, double x, double first, Index steps) {
  Tape<double> tape;
  const Var<double> weight = tape.leaf(w);
  Var<double> h = first;
  for (Index t = 0; t < steps; ++t) h = weight * h + x;
  return {h.item(), gradient(h, {weight})[0].item()};
}

// ---- Gradients by distance ---------------------------------------------------------------------

// How long the gradient of a random direction of the last state, itself of length 1, is at each
// state, from the last one back to the first: the geometric mean over sequences. The states, (N, H)
// each, are on the current tape.
template <class T>
std::vector<double> gradient_lengths(const std::vector<Var<T>>& states, Rng& rng) {
  Tensor<T> direction = rng.normal<T>(states.back().shape());
  direction = direction / sqrt(sum(square(direction), {1}, true));
  const std::vector<Var<T>> slopes = gradient(sum(states.back() * direction), states);
  std::vector<double> lengths;
  for (auto slope = slopes.rbegin(); slope != slopes.rend(); ++slope) {
    const Tensor<double> squares = sum(square(cast<double>(slope->value())), {1});  // (N)
    lengths.push_back(std::exp(0.5 * mean(log(squares)).item()));
  }
  return lengths;
}

// The encoder's, on given sequences.
template <class T>
std::vector<double> encoder_gradients(const SequenceAutoencoder<T>& model, const Tensor<T>& x,
                                      Rng& rng) {
  Tape<T> tape;
  const Var<T> first = tape.leaf(Tensor<T>({x.extent(0), model.sizes().hidden}));
  return gradient_lengths(model.states(x, first), rng);
}

// Of a new GRU whose update gate has the bias b_z, on `steps` random inputs.
inline std::vector<double> gru_gradients(double update_bias, Index steps, Rng& rng) {
  constexpr Index kInputs = 32, kHidden = 128, kSequences = 200;
  nn::Gru<float> gru("gru", kInputs, kHidden, rng, nn::Init::kGlorot);
  Tensor<float> bias({3 * kHidden});
  for (Index i = kHidden; i < 2 * kHidden; ++i) bias.set({i}, static_cast<float>(update_bias));
  gru.bias_ih.set_value(bias);
  Tape<float> tape;
  const nn::GruCell<float> cell = gru.cell();
  std::vector<Var<float>> h = {tape.leaf(Tensor<float>({kSequences, kHidden}))};
  for (Index t = 0; t < steps; ++t)
    h.push_back(cell(cell.input_sums(rng.normal<float>({kSequences, kInputs})), h.back()));
  return gradient_lengths(h, rng);
}

// Of a network without gates, h' = tanh(W x + U h), with the same start.
inline std::vector<double> tanh_gradients(Index steps, Rng& rng) {
  constexpr Index kInputs = 32, kHidden = 128, kSequences = 200;
  const Tensor<float> w = nn::initial_weight<float>(kHidden, kInputs, nn::Init::kGlorot, rng);
  const Tensor<float> u = nn::random_orthogonal<float>(kHidden, rng);
  Tape<float> tape;
  std::vector<Var<float>> h = {tape.leaf(Tensor<float>({kSequences, kHidden}))};
  for (Index t = 0; t < steps; ++t) {
    const Tensor<float> says = matmul_nt(rng.normal<float>({kSequences, kInputs}), w);
    h.push_back(tanh(says + matmul_nt(h.back(), u)));
  }
  return gradient_lengths(h, rng);
}

// ---- Words and their codes ---------------------------------------------------------------------

using Model = SequenceAutoencoder<float>;

// (N, T) -> (N, K), some at a time.
inline Tensor<float> codes_of(const Model& model, const Tensor<float>& x) {
  std::vector<Tensor<float>> parts;
  in_parts(
      x, [&](const Tensor<float>& part) { parts.push_back(model.encode(part).value()); }, 1024);
  return concatenate(parts);
}

// The decoder's symbols for codes (N, K), some at a time.  (N, T)
inline Tensor<float> decode(const Model& model, const Tensor<float>& codes) {
  std::vector<Tensor<float>> parts;
  in_parts(
      codes, [&](const Tensor<float>& part) { parts.push_back(model.decode(part, kSteps)); }, 1024);
  return concatenate(parts);
}

inline std::vector<std::string> spell(const Model& model, const Tensor<float>& codes) {
  return words_of(decode(model, codes));
}

// How much of sequences (N, T) comes back, in %.
struct Match {
  double exact = 0;    // whole sequences
  double symbols = 0;  // single symbols
};

inline Match match(const Tensor<float>& x, const Tensor<float>& y) {
  const Tensor<float> same = equal(x, y);      // (N, T)
  const Tensor<float> all = -max(-same, {1});  // (N): 1 where all are
  return {100 * mean(cast<double>(all)).item(), 100 * mean(cast<double>(same)).item()};
}

// By the decoder alone, and with the true symbol before each.
struct Score {
  Match alone, with_teacher;
  double loss = 0;              // nats a symbol
  Index words_that_differ = 0;  // whole in one way of decoding and not in the other
};

inline Score score(const Model& model, const Tensor<float>& x) {
  const Tensor<float> codes = codes_of(model, x);
  const Tensor<float> alone = model.decode(codes, x.extent(1));
  const Tensor<float> taught = model.decode_with_teacher(codes, x);
  const auto whole = [&x](const Tensor<float>& y) { return max(abs(x - y), {1}); };
  const Tensor<float> a = whole(alone), b = whole(taught);
  Index differ = 0;
  for (Index i = 0; i < a.size(); ++i)
    if ((a(i) == 0) != (b(i) == 0)) ++differ;
  return {match(x, alone), match(x, taught), model.loss(Var<float>(codes), x).item(), differ};
}

// The share of words that come back whole, in %.
inline double exact(const Model& model, const std::vector<std::string>& words) {
  const Tensor<float> x = symbols_of<float>(words);
  return match(x, decode(model, codes_of(model, x))).exact;
}

// ---- Strings that are not words ----------------------------------------------------------------

// As long as the given words, of letters that are all as likely.
inline std::vector<std::string> uniform_strings(std::vector<std::string> words, Rng& rng) {
  for (std::string& word : words)
    for (char& letter : word) letter = static_cast<char>('a' + rng.integer(26));
  return words;
}

// As long as the given words, of letters that are as likely as in them.
inline std::vector<std::string> frequent_strings(std::vector<std::string> words, Rng& rng) {
  std::string all;
  for (const std::string& word : words) all += word;
  for (std::string& word : words)
    for (char& letter : word) letter = all[rng.integer(std::ssize(all))];
  return words;
}

inline std::vector<std::string> reversed(std::vector<std::string> words) {
  for (std::string& word : words) std::reverse(word.begin(), word.end());
  return words;
}

// ---- Arithmetic with codes ---------------------------------------------------------------------

// A word, and one that is made of it.
struct Pair {
  std::string word, made;
};

// All words that have a partner with the ending (or with the beginning), in random order.
inline std::vector<Pair> pairs_with(const std::vector<std::string>& words,
                                    const std::string& beginning, const std::string& ending,
                                    Rng& rng) {
  const std::set<std::string> known(words.begin(), words.end());
  std::vector<Pair> pairs;
  for (const std::string& word : words) {
    const std::string made = fmt::format("{}{}{}", beginning, word, ending);
    if (known.contains(made)) pairs.push_back({word, made});
  }
  std::vector<Pair> shuffled;
  for (Index i : rng.permutation(std::ssize(pairs))) shuffled.push_back(pairs[i]);
  return shuffled;
}

// What one vector, the mean difference of the codes of half of the pairs, does to the other half.
struct Arithmetic {
  Index pairs = 0;
  double exact = 0;   // %, of the other half: the partner, letter by letter
  double common = 0;  // %, of the mean squared length of a difference: that of the mean difference
};

inline Arithmetic add_mean_difference(const Model& model, const std::vector<Pair>& pairs) {
  std::vector<std::string> words, made;
  for (const Pair& pair : pairs) {
    words.push_back(pair.word);
    made.push_back(pair.made);
  }
  const Index half = std::ssize(pairs) / 2, n = std::ssize(pairs);
  const Tensor<float> from = codes_of(model, symbols_of<float>(words));
  const Tensor<float> x = symbols_of<float>(made);
  const Tensor<float> differences = slice(codes_of(model, x) - from, 0, 0, half);
  const Tensor<float> step = mean(differences, {0});
  const double common = sum(square(step)).item() / mean(sum(square(differences), {1})).item();
  const Tensor<float> reached = decode(model, slice(from, 0, half, n) + step);
  return {n, match(slice(x, 0, half, n), reached).exact, 100 * common};
}

// ---- Near codes --------------------------------------------------------------------------------

// The least number of letters to put in, take out or replace (Levenshtein 1966).
inline Index edit_distance(const std::string& a, const std::string& b) {
  std::vector<Index> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<Index>(j);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    Index diagonal = row[0];
    row[0] = static_cast<Index>(i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const Index replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

// Squared distances of each of n points (n, K) from each of m (m, K): (n, m).
inline Tensor<float> square_distances(const Tensor<float>& a, const Tensor<float>& b) {
  const Tensor<float> of_a = sum(square(a), {1}, true);  // (n, 1)
  const Tensor<float> of_b = sum(square(b), {1}).reshape({1, b.extent(0)});
  return of_a + of_b - 2.0f * matmul_nt(a, b);
}

// For each word, the other word of the list with the nearest code.
inline std::vector<std::string> nearest(const Model& model, const std::vector<std::string>& words,
                                        const std::vector<std::string>& list,
                                        const Tensor<float>& codes_of_list) {
  std::vector<std::string> result;
  const auto find = [&](const Tensor<float>& codes) {
    const Tensor<float> distances = square_distances(codes, codes_of_list);
    for (Index i = 0; i < codes.extent(0); ++i) {
      const std::string& word = words[result.size()];
      const float* row = distances.data() + i * std::ssize(list);
      Index best = -1;
      for (Index j = 0; j < std::ssize(list); ++j)
        if (list[j] != word && (best < 0 || row[j] < row[best])) best = j;
      result.push_back(list[best]);
    }
  };
  in_parts(codes_of(model, symbols_of<float>(words)), find, 64);
  return result;
}

// Words that mean nearly the same.
inline std::vector<Pair> synonyms() {
  return {{"quick", "rapid"},      {"large", "huge"},    {"begin", "start"},
          {"smart", "clever"},     {"happy", "glad"},    {"angry", "furious"},
          {"sofa", "couch"},       {"shut", "close"},    {"rich", "wealthy"},
          {"build", "construct"},  {"rock", "stone"},    {"jump", "leap"},
          {"street", "road"},      {"silent", "quiet"},  {"error", "mistake"},
          {"doctor", "physician"}, {"afraid", "scared"}, {"gift", "present"},
          {"ship", "boat"},        {"child", "infant"},  {"forest", "woods"},
          {"answer", "reply"},     {"weird", "strange"}, {"hard", "difficult"},
          {"fall", "drop"},        {"speak", "talk"},    {"house", "home"},
          {"stop", "halt"},        {"movie", "film"},    {"woman", "lady"},
          {"calm", "peaceful"},    {"help", "assist"}};
}

// The mean distance of codes of such pairs, and of all other pairings of the first of one with the
// second of another.
struct Nearness {
  double pairs, others;
};

inline Nearness nearness(const Model& model, const std::vector<Pair>& pairs) {
  std::vector<std::string> first, second;
  for (const Pair& pair : pairs) {
    first.push_back(pair.word);
    second.push_back(pair.made);
  }
  const Tensor<float> distances =
      sqrt(square_distances(codes_of(model, symbols_of<float>(first)),
                            codes_of(model, symbols_of<float>(second))));
  const Index n = std::ssize(pairs);
  double of_pairs = 0;
  for (Index i = 0; i < n; ++i) of_pairs += distances(i, i);
  const double all = sum(cast<double>(distances)).item();
  const auto count = static_cast<double>(n);
  return {of_pairs / count, (all - of_pairs) / (count * (count - 1))};
}

// The correlation of one number for each word, (N, 1), with the word's length.
inline double correlation_with_length(const Tensor<float>& numbers,
                                      const std::vector<std::string>& words) {
  std::vector<double> lengths;
  for (const std::string& word : words) lengths.push_back(static_cast<double>(word.size()));
  const Tensor<double> x = cast<double>(numbers), y(numbers.shape(), lengths);
  const Tensor<double> a = x - mean(x), b = y - mean(y);
  return mean(a * b).item() / std::sqrt(mean(square(a)).item() * mean(square(b)).item());
}

// ---- Codes drawn at random ---------------------------------------------------------------------

// n codes from the normal distribution that has the mean and the covariance of the given ones.
inline Tensor<float> gaussian_codes(const Tensor<float>& codes, Index n, Rng& rng) {
  const Tensor<double> x = cast<double>(codes);
  const Tensor<double> centre = mean(x, {0});
  const Tensor<double> off = x - centre;
  const Tensor<double> covariance = matmul_tn(off, off) / static_cast<double>(x.extent(0));
  const Tensor<double> noise = rng.normal<double>({n, x.extent(1)});
  return cast<float>(matmul_nt(noise, cholesky(covariance)) + centre);
}

// The share of strings that are on a list, in %.
inline double share_on(const std::set<std::string>& list, const std::vector<std::string>& strings) {
  const auto on = std::count_if(strings.begin(), strings.end(),
                                [&](const std::string& s) { return list.contains(s); });
  return 100.0 * static_cast<double>(on) / static_cast<double>(strings.size());
}

}  // namespace gradus::lesson09
