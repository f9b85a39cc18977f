#pragma once
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tensor/tensor.hpp"

// Words as sequences of symbols: the letters a to z are 0 to 25, and 26 is the sign that a word is
// over, with which it is filled up.
//
//     N words, T symbols in each, the end signs included
namespace gradus::lesson09 {

inline constexpr Index kEnd = 26;
inline constexpr Index kSteps = 11;        // T: ten letters and an end sign
inline constexpr Index kHeldOutEach = 25;  // of so many words, the last is kept for tests

// The symbols of words, (N, T). Throws Error when a word is empty, longer than T - 1, or has
// another letter than a to z.
template <class T>
Tensor<T> symbols_of(const std::vector<std::string>& words, Index steps = kSteps) {
  const Index n = std::ssize(words);
  Tensor<T> result = full<T>({n, steps}, static_cast<T>(kEnd));
  T* row = result.mutable_data();
  for (const std::string& word : words) {
    if (word.empty() || std::ssize(word) >= steps)
      fail("symbols_of: '{}' has {} letters; there must be 1 to {}", word, word.size(), steps - 1);
    for (std::size_t t = 0; t < word.size(); ++t) {
      if (word[t] < 'a' || word[t] > 'z')
        fail("symbols_of: '{}' has a letter that is not one of a to z", word);
      row[t] = static_cast<T>(word[t] - 'a');
    }
    row += steps;
  }
  return result;
}

// The word that each row of symbols (N, T) spells, up to its first end sign.
template <class T> std::vector<std::string> words_of(const Tensor<T>& symbols) {
  const Index steps = symbols.extent(1);
  std::vector<std::string> words;
  for (const T* row = symbols.begin(); row != symbols.end(); row += steps) {
    std::string word;
    for (Index t = 0; t < steps && row[t] != static_cast<T>(kEnd); ++t)
      word += static_cast<char>('a' + static_cast<int>(row[t]));
    words.push_back(word);
  }
  return words;
}

struct WordList {
  std::vector<std::string> all;  // sorted
  std::vector<std::string> train;
  std::vector<std::string> held_out;
};

// Reads words, one a line, and keeps every 25th for tests; with `quick`, only every fourth is read.
inline WordList read_words(const std::filesystem::path& path, bool quick = false) {
  std::istringstream lines(io::read_file(path));
  WordList list;
  Index number = 0;
  for (std::string word; std::getline(lines, word); ++number)
    if (!quick || number % 4 == 0) list.all.push_back(word);
  for (std::size_t i = 0; i < list.all.size(); ++i)
    (i % kHeldOutEach == kHeldOutEach - 1 ? list.held_out : list.train).push_back(list.all[i]);
  return list;
}

}  // namespace gradus::lesson09
