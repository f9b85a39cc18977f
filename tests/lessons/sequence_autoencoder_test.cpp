#include <cmath>
#include <cstdint>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/09_sequence_autoencoder/instruments.hpp"
#include "lessons/09_sequence_autoencoder/model.hpp"
#include "lessons/09_sequence_autoencoder/words.hpp"
#include "lessons/kit/data.hpp"
#include "nn/serialization.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tests/tensor/support.hpp"

namespace gradus::lesson09 {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using test::error_of;

// A small model in which no parameter is 0.
template <class T> class Small {
 public:
  explicit Small(Reading reading, double scale = 0.5)
      : rng(1), model({.symbols = 5, .embedding = 3, .hidden = 4, .code = 2}, reading, rng) {
    for (Parameter<T>* p : model.parameters())
      p->set_value(rng.normal<T>(p->shape()) * static_cast<T>(scale));
  }

  Rng rng;
  SequenceAutoencoder<T> model;
};

template <class T> Tensor<T> random_sequences(Index n, Index steps, Index symbols, Rng& rng) {
  Tensor<T> x({n, steps});
  for (Index i = 0; i < x.size(); ++i) x.mutable_data()[i] = static_cast<T>(rng.integer(symbols));
  return x;
}

// ---- Words -------------------------------------------------------------------------------------

TEST(Words, BecomeSymbolsAndWordsAgain) {
  const std::vector<std::string> words = {"abc", "zebra", "typewriter"};
  const Tensor<float> x = symbols_of<float>(words);
  EXPECT_EQ(x.shape(), Shape({3, 11}));
  EXPECT_EQ(x(0, 0), 0);
  EXPECT_EQ(x(0, 2), 2);
  EXPECT_EQ(x(0, 3), kEnd);
  EXPECT_EQ(x(1, 0), 25);
  EXPECT_EQ(x(2, 10), kEnd);
  EXPECT_EQ(words_of(x), words);
}

TEST(Words, OfOtherLettersOrLengthsAreRefused) {
  EXPECT_THAT(error_of([] { symbols_of<float>({"word", ""}); }), HasSubstr("0 letters"));
  EXPECT_THAT(error_of([] { symbols_of<float>({"typewriters"}); }), HasSubstr("11 letters"));
  EXPECT_THAT(error_of([] { symbols_of<float>({"Word"}); }), HasSubstr("'Word' has a letter"));
  EXPECT_THAT(error_of([] { symbols_of<float>({"don't"}); }), HasSubstr("one of a to z"));
}

TEST(Words, AreAsTheDataSay) {
  const WordList list = read_words(kit::data_file("words.txt"));
  EXPECT_EQ(list.all.size(), 51606u);
  EXPECT_EQ(list.held_out.size(), 2064u);
  EXPECT_EQ(list.train.size(), 49542u);
  EXPECT_EQ(std::set(list.all.begin(), list.all.end()).size(), 51606u);
  const std::set<std::string> train(list.train.begin(), list.train.end());
  for (const std::string& word : list.held_out) EXPECT_FALSE(train.contains(word));
  for (const std::string& word : list.all) {
    EXPECT_TRUE(word.size() >= 4 && word.size() <= 10) << word;
  }
  EXPECT_NO_THROW(symbols_of<float>(list.all));
}

TEST(Words, AreThoseOfThePackage) {
  const std::filesystem::path package = "/usr/share/dict/american-english";
  if (!std::filesystem::exists(package)) GTEST_SKIP() << "wamerican is not installed";
  std::istringstream lines(io::read_file(package));
  std::set<std::string> words;
  for (std::string word; std::getline(lines, word);) {
    const bool letters = word.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
    if (letters && word.size() >= 4 && word.size() <= 10) words.insert(word);
  }
  const std::vector<std::string> ours = read_words(kit::data_file("words.txt")).all;
  if (words.size() != ours.size()) GTEST_SKIP() << "another version of wamerican";
  EXPECT_EQ(std::vector(words.begin(), words.end()), ours);
}

// ---- On paper ----------------------------------------------------------------------------------

TEST(Recurrence, OfANumberHasThePowersOnPaper) {
  EXPECT_NEAR(linear_recurrence(0.9, 0, 1, 12).value, 0.2824295365, 5e-11);
  EXPECT_NEAR(linear_recurrence(0.9, 0, 1, 12).slope, 3.7657271531, 5e-11);
  EXPECT_NEAR(linear_recurrence(0.9, 1, 0, 12).value, 7.1757046352, 5e-11);
  EXPECT_NEAR(linear_recurrence(0.9, 1, 0, 12).slope, 34.0997748211, 5e-11);
}

TEST(GruOfOnes, TakesTheStepOnPaper) {
  Rng rng(0);
  nn::Gru<double> gru("gru", 1, 1, rng);
  make_ones(gru, 1);
  const nn::GruCell<double> cell = gru.cell();
  const Var<double> h = cell(cell.input_sums(full<double>({1, 1}, 1)), full<double>({1, 1}, 0.5));
  EXPECT_NEAR(h.item(), 0.5870123346, 5e-11);
}

// With b_z = 0 each step keeps half of the gradient; with any other, sigmoid(b_z).
TEST(GruOfGatesOnly, KeepsThePowerOfItsGate) {
  for (double bias : {0.0, 1.0, 3.686}) {
    Rng rng(0);
    nn::Gru<double> gru("gru", 1, 2, rng);
    make_gate_only(gru, bias);
    Tape<double> tape;
    const nn::GruCell<double> cell = gru.cell();
    const Var<double> first = tape.leaf(Tensor<double>({1, 2}, {0.5, -1}));
    Var<double> h = first;
    for (int t = 0; t < 12; ++t) h = cell(cell.input_sums(full<double>({1, 1}, 7)), h);
    const double kept = std::pow(1 / (1 + std::exp(-bias)), 12);
    EXPECT_NEAR(h.value()(0, 1), -kept, 1e-14);
    EXPECT_NEAR(gradient(sum(h), {first})[0].value()(0, 0), kept, 1e-14);
  }
}

// ---- The model ---------------------------------------------------------------------------------

TEST(SequenceAutoencoder, IsAsUnsureAsADieBeforeTraining) {
  for (Index symbols : {10, 27}) {
    Rng rng(3);
    const SequenceAutoencoder<double> model({.symbols = symbols}, Reading::kBackwards, rng);
    const Tensor<double> x = random_sequences<double>(4, 6, symbols, rng);
    EXPECT_NEAR(model.loss(x).item(), std::log(static_cast<double>(symbols)), 1e-12);
  }
}

TEST(SequenceAutoencoder, HasTheGradientsOfDifferences) {
  for (Reading reading : {Reading::kForwards, Reading::kBackwards}) {
    Small<double> small(reading);
    const Tensor<double> x = random_sequences<double>(3, 6, 5, small.rng);
    EXPECT_TRUE(gradcheck([&] { return small.model.loss(x); }, small.model.parameters()));
  }
}

// The loss as it is defined, symbol by symbol and gate by gate, from the numbers in the file.
TEST(SequenceAutoencoder, HasTheLossOfALoopByHand) {
  Small<double> small(Reading::kBackwards);
  io::SafeTensors<double> file;
  nn::save(small.model.parameters(), file);
  const auto at = [&file](const std::string& name, Index i, Index j = -1) {
    const Tensor<double>& w = file.at(name);
    return j < 0 ? w(i) : w(i, j);
  };
  using Vector = std::vector<double>;
  const auto affine = [&](const std::string& weight, const std::string& bias, const Vector& x,
                          Index row) {
    double total = at(bias, row);
    for (std::size_t j = 0; j < x.size(); ++j)
      total += at(weight, row, static_cast<Index>(j)) * x[j];
    return total;
  };
  const auto logistic = [](double a) { return 1 / (1 + std::exp(-a)); };
  const auto step = [&](const std::string& gru, const Vector& x, const Vector& h) {
    Vector next;
    for (Index i = 0; i < 4; ++i) {
      const auto in = [&](Index gate) {
        return affine(gru + ".weight_ih_l0", gru + ".bias_ih_l0", x, 4 * gate + i);
      };
      const auto state = [&](Index gate) {
        return affine(gru + ".weight_hh_l0", gru + ".bias_hh_l0", h, 4 * gate + i);
      };
      const double r = logistic(in(0) + state(0)), z = logistic(in(1) + state(1));
      const double n = std::tanh(in(2) + r * state(2));
      next.push_back((1 - z) * n + z * h[i]);
    }
    return next;
  };
  const auto embedded = [&](Index symbol) {
    Vector e;
    for (Index j = 0; j < 3; ++j) e.push_back(at("embedding.weight", symbol, j));
    return e;
  };

  const std::vector<Index> word = {2, 0, 3, 4};
  Vector h(4, 0.0);
  for (auto symbol = word.rbegin(); symbol != word.rend(); ++symbol)
    h = step("encoder", embedded(*symbol), h);
  Vector code;
  for (Index k = 0; k < 2; ++k) code.push_back(affine("to_code.weight", "to_code.bias", h, k));
  Vector g;
  for (Index i = 0; i < 4; ++i)
    g.push_back(std::tanh(affine("from_code.weight", "from_code.bias", code, i)));
  double loss = 0;
  Index before = 5;
  for (Index symbol : word) {
    Vector input = embedded(before);
    input.insert(input.end(), code.begin(), code.end());
    g = step("decoder", input, g);
    double total = 0;
    for (Index v = 0; v < 5; ++v) total += std::exp(affine("out.weight", "out.bias", g, v));
    loss -= (affine("out.weight", "out.bias", g, symbol) - std::log(total)) / 4;
    before = symbol;
  }
  const Tensor<double> x({1, 4}, {2, 0, 3, 4});
  EXPECT_NEAR(small.model.loss(x).item(), loss, 1e-12);
}

// Read forwards, a sequence has the code that its mirror image has when read backwards.
TEST(SequenceAutoencoder, ReadsInTheDirectionItIsTold) {
  Small<double> forwards(Reading::kForwards), backwards(Reading::kBackwards);
  const Tensor<double> x({1, 4}, {0, 1, 2, 3}), mirrored({1, 4}, {3, 2, 1, 0});
  const auto a = forwards.model.encode(x).value(), b = backwards.model.encode(mirrored).value();
  const auto c = backwards.model.encode(x).value();
  for (Index k = 0; k < 2; ++k) {
    EXPECT_NEAR(a(0, k), b(0, k), 1e-14);
    EXPECT_GT(std::abs(a(0, k) - c(0, k)), 1e-3);
  }
}

// Up to its first mistake a decoder has seen the same symbols in both ways.
TEST(SequenceAutoencoder, ErrsFirstWhereItErrsWithATeacher) {
  Small<float> small(Reading::kBackwards, 2);
  const Tensor<float> x = random_sequences<float>(400, 5, 5, small.rng);
  const Tensor<float> code = small.model.encode(x).value();
  const Tensor<float> alone = small.model.decode(code, 5);
  const Tensor<float> taught = small.model.decode_with_teacher(code, x);
  const auto first_error = [&x](const Tensor<float>& y, Index i) {
    Index t = 0;
    while (t < 5 && y(i, t) == x(i, t)) ++t;
    return t;
  };
  Index later = 0, differ = 0;
  for (Index i = 0; i < 400; ++i) {
    EXPECT_EQ(first_error(alone, i), first_error(taught, i));
    if (first_error(alone, i) > 0) ++later;
    for (Index t = 0; t < 5; ++t)
      if (alone(i, t) != taught(i, t)) ++differ;
  }
  EXPECT_GT(later, 20);   // or nothing was shown
  EXPECT_GT(differ, 20);  // they are two ways
}

TEST(SequenceAutoencoder, RefusesWhatIsNoSequence) {
  const Small<float> small(Reading::kBackwards);
  const auto loss_of = [&small](const Tensor<float>& x) {
    return error_of([&] { small.model.loss(x); });
  };
  EXPECT_THAT(loss_of(Tensor<float>({3, 0})), HasSubstr("T of 1 or more"));
  EXPECT_THAT(loss_of(Tensor<float>({3})), HasSubstr("(N, T)"));
  EXPECT_THAT(loss_of(Tensor<float>({2, 2}, {0, 1, 5, 1})),
              HasSubstr("symbol 0 of sequence 1 is 5, which is not in 0, ..., 4"));
  EXPECT_THAT(loss_of(Tensor<float>({1, 2}, {0, -1})), HasSubstr("is -1"));
  EXPECT_THAT(loss_of(Tensor<float>({1, 2}, {0, 1.5})), HasSubstr("is 1.5"));
  EXPECT_THAT(loss_of(Tensor<float>({1, 2}, {0, NAN})), HasSubstr("nan"));
}

TEST(SequenceAutoencoder, HasTheNamesOfPyTorch) {
  Rng rng(0);
  SequenceAutoencoder<float> model({}, Reading::kBackwards, rng);
  std::vector<std::string> names;
  for (const Parameter<float>* p : model.parameters()) names.push_back(p->name());
  EXPECT_THAT(names,
              ElementsAre("embedding.weight", "encoder.weight_ih_l0", "encoder.weight_hh_l0",
                          "encoder.bias_ih_l0", "encoder.bias_hh_l0", "to_code.weight",
                          "to_code.bias", "from_code.weight", "from_code.bias",
                          "decoder.weight_ih_l0", "decoder.weight_hh_l0", "decoder.bias_ih_l0",
                          "decoder.bias_hh_l0", "out.weight", "out.bias"));
  EXPECT_EQ(nn::count(model.parameters()), 149435);
}

// ---- Training ----------------------------------------------------------------------------------

TEST(ClipGradients, ShortensWhatIsTooLongAndNothingElse) {
  Parameter<double> a("a", Tensor<double>({2})), b("b", Tensor<double>({1}));
  a.grad = Tensor<double>({2}, {3, 0});
  b.grad = Tensor<double>({1}, {-4});
  EXPECT_EQ(clip_gradients<double>({&a, &b}, 10), 5);
  EXPECT_EQ(b.grad(0), -4);
  EXPECT_EQ(clip_gradients<double>({&a, &b}, 1), 5);
  EXPECT_NEAR(a.grad(0), 0.6, 1e-15);
  EXPECT_NEAR(b.grad(0), -0.8, 1e-15);
}

TEST(WarmSchedule, RisesAndFalls) {
  EXPECT_NEAR(warm_cosine_schedule(1, 0, 1000), 0.01, 1e-15);
  EXPECT_NEAR(warm_cosine_schedule(1, 500, 1000), 0.5, 1e-15);
  EXPECT_NEAR(warm_cosine_schedule(1, 1000, 1000), 0, 1e-15);
}

// ---- Instruments -------------------------------------------------------------------------------

// h' = w h: from the last state back, the gradient is 1, w, w^2, ...
TEST(GradientLengths, AreThePowersOfALinearChain) {
  Rng rng(5);
  Tape<double> tape;
  std::vector<Var<double>> h = {tape.leaf(rng.normal<double>({7, 3}))};
  for (int t = 0; t < 4; ++t) h.push_back(0.8 * h.back());
  const std::vector<double> lengths = gradient_lengths(h, rng);
  ASSERT_EQ(lengths.size(), 5u);
  for (int k = 0; k < 5; ++k) EXPECT_NEAR(lengths[k], std::pow(0.8, k), 1e-12);
}

TEST(EditDistance, HasTheKnownValues) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("word", "word"), 0);
  EXPECT_EQ(edit_distance("abc", "xabc"), 1);
}

TEST(Match, CountsWholeRowsAndSymbols) {
  const Tensor<float> x({2, 2}, {1, 2, 3, 4}), y({2, 2}, {1, 2, 3, 5});
  EXPECT_EQ(match(x, y).exact, 50);
  EXPECT_EQ(match(x, y).symbols, 75);
}

TEST(Correlation, WithTheLengthIsOneOfALine) {
  const std::vector<std::string> words = {"a", "bcd", "ef"};
  EXPECT_NEAR(correlation_with_length(Tensor<float>({3, 1}, {5, 9, 7}), words), 1, 1e-12);
  EXPECT_NEAR(correlation_with_length(Tensor<float>({3, 1}, {2, 0, 1}), words), -1, 1e-12);
  // Deviations (-1, 1, 0) of the lengths and (0, 1, -1): 1 / sqrt(2 * 2).
  EXPECT_NEAR(correlation_with_length(Tensor<float>({3, 1}, {4, 5, 3}), words), 0.5, 1e-12);
}

TEST(Pairs, AreOfTheBeginningOrTheEnding) {
  Rng rng(0);
  const std::vector<std::string> words = {"able", "unable", "tables", "table"};
  const std::vector<Pair> un = pairs_with(words, "un", "", rng),
                          s = pairs_with(words, "", "s", rng);
  ASSERT_EQ(un.size(), 1u);
  EXPECT_EQ(un[0].word, "able");
  ASSERT_EQ(s.size(), 1u);
  EXPECT_EQ(s[0].made, "tables");
}

TEST(GaussianCodes, HaveTheMeanAndTheCovariance) {
  Rng rng(2);
  const Tensor<float> mix({2, 2}, {2, 0, 1, 0.5});
  const Tensor<float> codes = matmul(rng.normal<float>({500, 2}), mix) + 3.0f;
  const Tensor<double> of = cast<double>(codes);
  const Tensor<double> drawn = cast<double>(gaussian_codes(codes, 40000, rng));
  const auto covariance = [](const Tensor<double>& x) {
    const Tensor<double> off = x - mean(x, {0});
    return matmul_tn(off, off) / static_cast<double>(x.extent(0));
  };
  // Standard errors: of a mean 0.012, of a variance 5 times 0.007. These are 4 of them.
  EXPECT_LT(max(abs(mean(drawn, {0}) - mean(of, {0}))).item(), 0.05);
  EXPECT_LT(max(abs(covariance(drawn) - covariance(of))).item(), 0.15);
}

}  // namespace
}  // namespace gradus::lesson09
