#include "nn/codebook.hpp"

#include <cmath>
#include <limits>
#include <set>

#include "nn/optimizers.hpp"
#include "nn/serialization.hpp"
#include "tests/autograd/support.hpp"
#include "tests/nn/support.hpp"

namespace gradus::nn {
namespace {

using test::distance;
using test::error_of;
using test::expect_uniform;
using test::gaussian_numbers;
using ::testing::HasSubstr;

// Words in a plane.
Codebook<double> three_words() {
  Rng rng(1);
  return {"book", 3, 2, rng};
}

void set_words(Codebook<double>& codebook, std::vector<double> numbers) {
  codebook.words.set_value(Tensor<double>(codebook.words.shape(), std::move(numbers)));
}

double squared_distance(const Tensor<double>& z, Index row, const Tensor<double>& e, Index word) {
  double total = 0;
  for (Index k = 0; k < z.extent(1); ++k) total += std::pow(z(row, k) - e(word, k), 2);
  return total;
}

TEST(Codebook, FindsTheNearestWord) {
  Rng rng(1);
  Codebook<double> codebook("book", 7, 3, rng);
  codebook.words.set_value(gaussian_numbers<double>({7, 3}, 2));
  const Tensor<double> z = gaussian_numbers<double>({50, 3}, 3);
  const std::vector<Index> nearest = codebook.nearest(z);
  ASSERT_EQ(nearest.size(), 50u);
  std::set<Index> used;
  for (Index row = 0; row < 50; ++row) {
    Index best = 0;
    for (Index v = 1; v < 7; ++v)
      if (squared_distance(z, row, codebook.words.value(), v) <
          squared_distance(z, row, codebook.words.value(), best))
        best = v;
    EXPECT_EQ(nearest[row], best);
    used.insert(best);
  }
  EXPECT_GT(used.size(), 4u);
}

TEST(Codebook, TakesTheFirstOfWordsThatAreEquallyNear) {
  Codebook<double> codebook = three_words();
  set_words(codebook, {1, 0, -1, 0, 1, 0});
  const Tensor<double> z({2, 2}, {0, 5, 1, 0});
  EXPECT_EQ(codebook.nearest(z), (std::vector<Index>{0, 0}));
}

TEST(Codebook, LossesAreTheSquaredDistancesOfRowsToTheirWords) {
  Codebook<double> codebook = three_words();
  set_words(codebook, {0, 0, 3, 4, 1, 1});
  const Tensor<double> z({3, 2}, {1, 0, 0, 0, 2, 4});
  const std::vector<Index> words = {0, 1, 2};  // of the caller's choice
  const std::vector<double> expected = {1, 25, 10};
  EXPECT_EQ(codebook.codebook_loss(z, words).value().to_vector(), expected);
  EXPECT_EQ(codebook.commitment_loss(z, words).value().to_vector(), expected);
  EXPECT_EQ(codebook({2, 0}).value().to_vector(), (std::vector<double>{1, 1, 0, 0}));
}

// Each loss has the gradient that differences show, with respect to what it is for; the other one
// of z and the words has none.
TEST(Codebook, EachLossMovesWhatItIsFor) {
  Codebook<double> codebook = three_words();
  codebook.words.set_value(gaussian_numbers<double>({3, 2}, 2));
  Parameter<double> z("z", gaussian_numbers<double>({5, 2}, 3));
  const std::vector<Index> words = {2, 0, 2, 1, 2};
  const GradcheckReport of_words =
      gradcheck([&] { return codebook.codebook_loss(z.value(), words); }, {&codebook.words});
  EXPECT_TRUE(of_words) << of_words;
  const GradcheckReport of_rows =
      gradcheck([&] { return codebook.commitment_loss(z, words); }, {&z});
  EXPECT_TRUE(of_rows) << of_rows;
  const GradcheckReport of_lookup = gradcheck([&] { return codebook(words); }, {&codebook.words});
  EXPECT_TRUE(of_lookup) << of_lookup;

  Tape<double> tape;
  tape.backward(sum(codebook.commitment_loss(z, words)));
  EXPECT_FALSE(z.grad.empty());
  EXPECT_TRUE(codebook.words.grad.empty());
}

TEST(Codebook, DuplicatingTheBatchChangesNoLossAndNoWord) {
  const Tensor<double> z = gaussian_numbers<double>({20, 2}, 3);
  const Tensor<double> twice = concatenate(std::vector{z, z});
  const auto after = [&](const Tensor<double>& rows) {
    Codebook<double> codebook = three_words();
    for (int step = 0; step < 3; ++step) codebook.average(rows, codebook.nearest(rows), 0.7);
    return concatenate(std::vector{codebook.words.value().reshape({6}), codebook.shares.value(),
                                   codebook.sums.value().reshape({6})});
  };
  EXPECT_LE(distance(after(z), after(twice)), 1e-15);

  Codebook<double> codebook = three_words();
  const auto loss = [&](const Tensor<double>& rows) {
    const std::vector<Index> words = codebook.nearest(rows);
    return mean(codebook.codebook_loss(rows, words) + codebook.commitment_loss(rows, words)).item();
  };
  EXPECT_NEAR(loss(z), loss(twice), 1e-15);
}

// (1, 0), (2, 2) and (3, 4) have the mean (2, 2); (9, 9) stands alone; nothing chooses word 1.
TEST(Codebook, WithoutDecayAWordBecomesTheMeanOfItsRows) {
  Codebook<double> codebook = three_words();
  set_words(codebook, {0, 0, -50, -50, 8, 8});
  const Tensor<double> z({4, 2}, {1, 0, 2, 2, 9, 9, 3, 4});
  const std::vector<Index> words = codebook.nearest(z);
  EXPECT_EQ(words, (std::vector<Index>{0, 0, 2, 0}));
  codebook.average(z, words, 0);
  EXPECT_LE(distance(codebook.words.value(), Tensor<double>({3, 2}, {2, 2, -50, -50, 9, 9})),
            1e-14);
  EXPECT_LE(distance(codebook.shares.value(), Tensor<double>({3}, {0.75, 0, 0.25})), 1e-15);
}

// One number a row and two words at 0 and 10, which begin with the share 0.01 / 2. Rows 1, 3 and
// 11 with a decay of 0.9:
//     share_0 = 0.9 0.005 + 0.1 2/3    sum_0 = 0 + 0.1 (1 + 3)/3
//     share_1 = 0.9 0.005 + 0.1 1/3    sum_1 = 0.9 0.05 + 0.1 11/3
TEST(Codebook, RunningAveragesFollowTheirFormula) {
  Rng rng(1);
  Codebook<double> codebook("book", 2, 1, rng);
  codebook.start_at(Tensor<double>({2, 1}, {0, 10}), rng);
  if (codebook.words.value()(0, 0) == 10) {
    rng = Rng(2);
    codebook.start_at(Tensor<double>({2, 1}, {0, 10}), rng);
  }
  const Index low = codebook.words.value()(0, 0) == 0 ? 0 : 1;
  const Tensor<double> z({3, 1}, {1, 3, 11});
  codebook.average(z, codebook.nearest(z), 0.9);
  const double share_low = 0.9 * 0.005 + 0.1 * 2 / 3;
  const double share_high = 0.9 * 0.005 + 0.1 / 3;
  const double sum_high = 0.9 * 0.05 + 0.1 * 11 / 3;
  EXPECT_NEAR(codebook.shares.value()(low), share_low, 1e-15);
  EXPECT_NEAR(codebook.shares.value()(1 - low), share_high, 1e-15);
  EXPECT_NEAR(codebook.words.value()(low, 0), 0.1 * 4 / 3 / share_low, 1e-13);
  EXPECT_NEAR(codebook.words.value()(1 - low, 0), sum_high / share_high, 1e-13);
}

// In float, where a ratio of two averages that both shrink would move it.
TEST(Codebook, AWordThatNothingChoosesStaysToTheBit) {
  Rng rng(1);
  Codebook<float> codebook("book", 2, 1, rng);
  codebook.words.set_value(Tensor<float>({2, 1}, {0.3f, 1000.1f}));
  const Tensor<float> z({2, 1}, {0.1f, 0.7f});
  const float share = codebook.shares.value()(1);
  for (int step = 0; step < 200; ++step) codebook.average(z, codebook.nearest(z), 0.99);
  EXPECT_EQ(codebook.words.value()(1, 0), 1000.1f);
  EXPECT_NEAR(codebook.shares.value()(1), share * std::pow(0.99, 200), 1e-6 * share);
  EXPECT_NEAR(codebook.shares.value()(0), 1, 0.15);
}

TEST(Codebook, StartsAtDifferentRowsOfABatch) {
  Rng rng(1);
  Codebook<double> codebook("book", 5, 2, rng);
  const Tensor<double> z = gaussian_numbers<double>({6, 2}, 3);
  codebook.start_at(z, rng);
  std::set<Index> rows;
  for (Index v = 0; v < 5; ++v)
    for (Index row = 0; row < 6; ++row)
      if (squared_distance(z, row, codebook.words.value(), v) == 0) rows.insert(row);
  EXPECT_EQ(rows.size(), 5u);
  // A word that has just begun follows the first rows that choose it: 0.01 / 5 against 0.01 / 5.
  const std::vector<Index> all(6, 0);
  const Tensor<double> first = codebook.words.value();
  codebook.average(z, all, 0.99);
  const double old = 0.99 * 0.01 / 5;
  for (Index k = 0; k < 2; ++k) {
    const double mean_of_rows = gradus::mean(z, {0})(k);
    EXPECT_NEAR(codebook.words.value()(0, k),
                (old * first(0, k) + 0.01 * mean_of_rows) / (old + 0.01), 1e-14);
  }
}

TEST(Codebook, RevivesWhatIsRarelyChosen) {
  Rng rng(1);
  Codebook<double> codebook("book", 4, 1, rng);
  codebook.words.set_value(Tensor<double>({4, 1}, {0, 10, 20, 30}));
  codebook.shares.set_value(Tensor<double>({4}, {0.6, 0.0074, 0.0076, 0}));  // 0.03 / 4 = 0.0075
  const Tensor<double> z({3, 1}, {100, 200, 300});
  EXPECT_EQ(codebook.revive(z, 0.03, rng), 2);
  const Tensor<double>& words = codebook.words.value();
  EXPECT_EQ(words(0, 0), 0);
  EXPECT_EQ(words(2, 0), 20);
  EXPECT_GE(words(1, 0), 100);
  EXPECT_GE(words(3, 0), 100);
  EXPECT_NE(words(1, 0), words(3, 0));
  EXPECT_EQ(codebook.shares.value()(1), 0.01 / 4);
  EXPECT_EQ(codebook.sums.value()(1, 0), 0.01 / 4 * words(1, 0));
  // More than the rows of a batch can take: one row, one word.
  codebook.shares.set_value(Tensor<double>({4}));
  EXPECT_EQ(codebook.revive(Tensor<double>({1, 1}, {7}), 0.03, rng), 1);
  EXPECT_EQ(codebook.words.value()(0, 0), 7);
  EXPECT_EQ(codebook.words.value()(2, 0), 20);
  EXPECT_EQ(codebook.revive(Tensor<double>({0, 1}), 0.03, rng), 0);
}

TEST(Codebook, BeginsUniformAndRarelyChosen) {
  Rng rng(7);
  const Codebook<double> codebook("book", 50, 40, rng);
  expect_uniform(codebook.words.value(), 1.0 / 50);
  EXPECT_EQ(codebook.shares.value()(49), 0.01 / 50);
  EXPECT_LE(distance(codebook.sums.value(), codebook.words.value() * (0.01 / 50)), 1e-18);
}

TEST(Codebook, NamesAllThatACheckpointNeeds) {
  Rng rng(1);
  Codebook<double> one("vq.book", 3, 2, rng);
  Codebook<double> other("vq.book", 3, 2, rng);
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  for (const Parameter<double>* p : one.parameters()) {
    names.push_back(p->name());
    shapes.push_back(p->shape());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"vq.book.words", "vq.book.shares", "vq.book.sums"}));
  EXPECT_EQ(shapes, (std::vector<Shape>{{3, 2}, {3}, {3, 2}}));

  const Tensor<double> z = gaussian_numbers<double>({9, 2}, 3);
  one.average(z, one.nearest(z), 0.9);
  io::SafeTensors<double> file;
  save(one.parameters(), file);
  load(other.parameters(), file);
  for (Codebook<double>* codebook : {&one, &other}) codebook->average(z, codebook->nearest(z), 0.9);
  EXPECT_EQ(one.words.value().to_vector(), other.words.value().to_vector());
}

// Optimisers may be given all of them: without a gradient they stay.
TEST(Codebook, AnOptimiserMovesTheWordsOnlyByTheirLoss) {
  Codebook<double> codebook = three_words();
  Parameter<double> z("z", gaussian_numbers<double>({5, 2}, 3));
  Parameters<double> all = codebook.parameters();
  all.push_back(&z);
  Adam<double> adam(all);
  const auto step = [&](bool with_words) {
    const std::vector<Index> words = codebook.nearest(z.value());
    Tape<double> tape;
    Var<double> loss = codebook.commitment_loss(z, words);
    if (with_words) loss = loss + codebook.codebook_loss(z.value(), words);
    tape.backward(mean(loss));
    adam.step();
  };
  const std::vector<double> words = codebook.words.value().to_vector();
  const std::vector<double> shares = codebook.shares.value().to_vector();
  step(false);
  EXPECT_EQ(codebook.words.value().to_vector(), words);
  step(true);
  EXPECT_NE(codebook.words.value().to_vector(), words);
  EXPECT_EQ(codebook.shares.value().to_vector(), shares);
}

TEST(Codebook, SaysWhatDoesNotFit) {
  Rng rng(1);
  EXPECT_EQ(error_of([&] { Codebook<float>("book", 0, 4, rng); }),
            "book: a codebook of 0 words of 4 numbers; both must be 1 or more");
  EXPECT_EQ(error_of([&] { Codebook<float>("book", 4, -1, rng); }),
            "book: a codebook of 4 words of -1 numbers; both must be 1 or more");
  Codebook<double> codebook = three_words();
  EXPECT_EQ(error_of([&] {
              codebook.nearest(Tensor<double>({4, 3}));
            }),
            "book.words: nearest expects (R, 2), but was given (4, 3)");
  EXPECT_THAT(error_of([&] { codebook.nearest(Tensor<double>({4})); }), HasSubstr("(R, 2)"));
  EXPECT_EQ(error_of([&] {
              codebook.start_at(Tensor<double>({2, 2}), rng);
            }),
            "book.words: 3 words cannot start at the 2 rows of a batch; take a larger batch, or "
            "fewer words");
  const Tensor<double> z({2, 2});
  EXPECT_EQ(error_of([&] { codebook.codebook_loss(z, {0}); }),
            "book.words: codebook_loss was given 1 words for 2 rows");
  EXPECT_EQ(error_of([&] {
              codebook.commitment_loss(z, {0, 3});
            }),
            "book.words: commitment_loss was given word 3; there are 0, ..., 2");
  EXPECT_EQ(error_of([&] {
              codebook.average(z, {0, -1}, 0.9);
            }),
            "book.words: average was given word -1; there are 0, ..., 2");
  EXPECT_EQ(error_of([&] {
              codebook.average(Tensor<double>({0, 2}), {}, 0.9);
            }),
            "book.words: no rows to average");
  for (double decay : {-0.1, 1.0, std::numeric_limits<double>::quiet_NaN()})
    EXPECT_THAT(error_of([&] {
                  codebook.average(z, {0, 1}, decay);
                }),
                HasSubstr("it must be 0 or more, and below 1"));
}

TEST(Codebook, TakesNoRows) {
  Codebook<double> codebook = three_words();
  const Tensor<double> none({0, 2});
  EXPECT_TRUE(codebook.nearest(none).empty());
  EXPECT_EQ(codebook.codebook_loss(none, {}).shape(), (Shape{0}));
}

}  // namespace
}  // namespace gradus::nn
