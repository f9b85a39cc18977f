#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/19_vq_vae/instruments.hpp"
#include "lessons/19_vq_vae/model.hpp"
#include "lessons/19_vq_vae/on_paper.hpp"

namespace gradus::lesson19 {
namespace {

double largest(const Tensor<double>& x) { return max(abs(x)).item(); }

// A small model of each kind, whose words are the encoder's answers to other images: a map of 2 x 2
// places and five words, or three places and four words.
struct Somewhere {
  Rng rng{4};  // of which no relu is near its kink
  VqVae<Windows<double>> windows{5, 3, rng, Sizes{.side = 8, .first = 2, .second = 3}};
  VqVae<Layers<double>> layers{4, 2, rng, Index{6}, Index{7}, Index{3}};
  Tensor<double> x = rng.uniform<double>({4, 64});
  Tensor<double> y = rng.uniform<double>({4, 6});

  Somewhere() {
    windows.codebook.start_at(windows.net.encode(rng.uniform<double>({3, 64})).value(), rng);
    layers.codebook.start_at(layers.net.encode(rng.uniform<double>({3, 6})).value(), rng);
  }
};

template <class Net> void expect_gradients(VqVae<Net>& model, const Tensor<double>& x) {
  // The networks, without words between them.
  const GradcheckReport through =
      gradcheck([&] { return model.net.decode(model.net.encode(x)); }, model.net.parameters());
  EXPECT_TRUE(through) << through;

  // What moves the words, and what holds the encoder to them.
  const GradcheckReport words =
      gradcheck([&] { return model.codebook_loss(model.pass(x)); }, {&model.codebook.words});
  EXPECT_TRUE(words) << words;
}

TEST(VqVae, GradientsAreThoseOfDifferences) {
  Somewhere at;
  expect_gradients(at.windows, at.x);
  expect_gradients(at.layers, at.y);
}

// The gradient of ln p(x|e) with respect to the encoder is that of the sum of g z, where g is the
// gradient with respect to the words that the decoder saw, and held constant.
TEST(VqVae, TheEncoderIsGivenTheGradientOfTheWords) {
  Somewhere at;
  const auto& model = at.windows;
  Tensor<double> g;
  {
    Tape<double> tape;
    const Var<double> e = tape.leaf(model.codebook(model.words_of(at.x)).value());
    g = gradient(sum(model.decode(e).log_prob(at.x)), {e})[0].value();
  }
  nn::Parameters<double> all = at.windows.net.parameters();
  const nn::Parameters<double> encoder(all.begin(), all.begin() + 6);
  ASSERT_EQ(encoder.back()->name(), "to_code.bias");
  {
    Tape<double> tape;
    tape.backward(sum(model.net.encode(at.x) * g));
  }
  std::vector<Tensor<double>> expected;
  for (Parameter<double>* p : encoder) {
    expected.push_back(p->grad);
    p->grad = Tensor<double>();
  }
  Tape<double> tape;
  tape.backward(sum(model.pass(at.x).log_prob));
  for (std::size_t k = 0; k < encoder.size(); ++k) {
    EXPECT_GT(largest(expected[k]), 1e-6);
    EXPECT_LE(largest(encoder[k]->grad - expected[k]), 1e-12) << encoder[k]->name();
  }
  // And the words are given nothing by it.
  EXPECT_TRUE(at.windows.codebook.words.grad.empty());
}

// gradcheck sees the loss as it is: flat in the encoder, but for the two squared distances.
TEST(VqVae, GradcheckSeesThatTheEncodersGradientIsNone) {
  Somewhere at;
  nn::Parameters<double> all = at.windows.net.parameters();
  const GradcheckReport report =
      gradcheck([&] { return at.windows.pass(at.x).log_prob; }, {all[4]});
  EXPECT_FALSE(report);
}

TEST(VqVae, TheDecoderSeesWordsAndNothingElse) {
  Somewhere at;
  const auto pass = at.windows.pass(at.x);
  const Tensor<double> means = at.windows.decoded(pass.words);
  for (Index n = 0; n < 4; ++n) {
    double expected = 0;
    for (Index d = 0; d < 64; ++d)
      expected += at.x(n, d) * std::log(means(n, d)) + (1 - at.x(n, d)) * std::log(1 - means(n, d));
    EXPECT_NEAR(pass.log_prob.value()(n), expected, 1e-12);
  }
  // The losses are sums over an image's places.
  const Tensor<double> rows = at.windows.codebook.commitment_loss(pass.z, pass.words).value();
  for (Index n = 0; n < 4; ++n)
    EXPECT_NEAR(at.windows.commitment_loss(pass).value()(n),
                rows(4 * n) + rows(4 * n + 1) + rows(4 * n + 2) + rows(4 * n + 3), 1e-14);
}

TEST(VqVae, DuplicatingTheBatchChangesNoLoss) {
  Somewhere at;
  const auto loss = [&](const Tensor<double>& x) {
    const auto pass = at.windows.pass(x);
    const auto& model = at.windows;
    return mean(model.codebook_loss(pass) + model.commitment_loss(pass) - pass.log_prob).item();
  };
  EXPECT_NEAR(loss(concatenate(std::vector{at.x, at.x})), loss(at.x), 1e-13);
}

// Of the spec's network at 28 x 28 pixels and words of 16 numbers.
TEST(VqVae, HasAsManyNumbersAsOnPaper) {
  Rng rng(1);
  VqVae<Windows<float>> model(64, 16, rng, Sizes{.side = 28});
  EXPECT_EQ(model.places(), 49);
  EXPECT_EQ(nn::count(model.net.parameters()) + model.codebook.words.value().size(), 23153);
}

// ---- The prior ---------------------------------------------------------------------------------

TEST(WindowPrior, GradientsAreThoseOfDifferences) {
  Rng rng(1);
  WindowPrior<double> prior(4, 3, 5, rng);
  const std::vector<Index> maps = rng.integers(2 * 9, 4);
  const GradcheckReport report =
      gradcheck([&] { return prior.log_prob(maps); }, prior.parameters());
  EXPECT_TRUE(report) << report;
}

TEST(WindowPrior, AllMapsTogetherHaveTheProbabilityOne) {
  Rng rng(1);
  EXPECT_NEAR(mass_of_all_maps(rng), 1, 1e-13);
}

// Which words a place's probabilities depend on, in a map of 5 x 5: the twelve of the window.
TEST(WindowPrior, SeesTwoRowsAboveAndTwoWordsOnTheLeft) {
  Rng rng(1);
  const WindowPrior<double> prior(3, 5, 6, rng);
  const Index place = 12;  // row 2, column 2
  const std::vector<Index> map = rng.integers(25, 3);
  const Tensor<double> p = slice(prior.conditional(map).logits.value(), 0, place, place + 1);
  for (Index other = 0; other < 25; ++other) {
    std::vector<Index> changed = map;
    changed[other] = (map[other] + 1) % 3;
    const Tensor<double> q = slice(prior.conditional(changed).logits.value(), 0, place, place + 1);
    EXPECT_EQ(largest(p - q) > 0, other < place) << other;
  }
  // From the corner of row 4 it sees columns 0 to 2 of rows 2 and 3, and no words beyond.
  const Tensor<double> corner = slice(prior.conditional(map).logits.value(), 0, 20, 21);
  for (Index other = 0; other < 25; ++other) {
    std::vector<Index> changed = map;
    changed[other] = (map[other] + 1) % 3;
    const Tensor<double> q = slice(prior.conditional(changed).logits.value(), 0, 20, 21);
    const bool seen = (other / 5 == 2 || other / 5 == 3) && other % 5 <= 2;
    EXPECT_EQ(largest(corner - q) > 0, seen) << other;
  }
}

// 20,000 draws of a map of 2 x 2 places and two words, against the 16 probabilities. The largest of
// 16 z-scores is below 4.5 but for one time in 10,000.
TEST(WindowPrior, DrawsMapsAsOftenAsItSays) {
  Rng rng(1);
  const WindowPrior<double> prior(2, 2, 5, rng);
  constexpr Index kDraws = 20000;
  std::vector<Index> all;
  for (Index number = 0; number < 16; ++number)
    for (Index digit = 0; digit < 4; ++digit) all.push_back(number >> digit & 1);
  const Tensor<double> p = exp(prior.log_prob(all).value());
  std::vector<double> counts(16);
  const std::vector<Index> drawn = prior.sample(kDraws, rng);
  for (Index i = 0; i < kDraws; ++i)
    ++counts[drawn[4 * i] + 2 * drawn[4 * i + 1] + 4 * drawn[4 * i + 2] + 8 * drawn[4 * i + 3]];
  for (Index number = 0; number < 16; ++number) {
    const double expected = kDraws * p(number);
    EXPECT_LT(std::abs(counts[number] - expected) / std::sqrt(expected * (1 - p(number))), 4.5);
  }
}

// ---- Counting ----------------------------------------------------------------------------------

// All 81 maps of 2 x 2 places and three words, one by one.
TEST(CountingPriors, EachIsADistribution) {
  Rng rng(1);
  CountingPriors priors(3, 2, 2);
  priors.add(rng.integers(4 * 50, 3));
  CountingPriors::Costs mass;
  for (Index number = 0; number < 81; ++number) {
    std::vector<Index> map;
    for (Index digit = 0, rest = number; digit < 4; ++digit, rest /= 3) map.push_back(rest % 3);
    const CountingPriors::Costs costs = priors.cost_of(map);
    mass.histogram += std::exp(-costs.histogram);
    mass.place += std::exp(-costs.place);
    mass.left += std::exp(-costs.left);
    mass.both += std::exp(-costs.both);
  }
  EXPECT_NEAR(mass.histogram, 1, 1e-13);
  EXPECT_NEAR(mass.place, 1, 1e-13);
  EXPECT_NEAR(mass.left, 1, 1e-13);
  EXPECT_NEAR(mass.both, 1, 1e-13);
}

// Two words, one row of two places, the maps 01, 01 and 00 seen. By hand:
//     histogram: 4 zeros and 2 ones, each word once more: 5/8 and 3/8
//     places: (3 + 1/2) / 4 for a zero at the first, (2 + 1/2) / 4 for a one at the second
//     left: at the first place nothing is on the left, three times: (3 + 20 7/8) / 23; at the
//           second, left of it a 0 three times: (2 + 20 5/8) / 23
TEST(CountingPriors, CountAsOnPaper) {
  CountingPriors priors(2, 1, 2);
  priors.add({0, 1, 0, 1, 0, 0});
  const CountingPriors::Costs costs = priors.cost_of({0, 1});
  EXPECT_NEAR(costs.histogram, -std::log(5.0 / 8 * 3 / 8), 1e-14);
  EXPECT_NEAR(costs.place, -std::log(7.0 / 8 * 5 / 8), 1e-14);
  EXPECT_NEAR(costs.left, -std::log((3 + 20 * 7.0 / 8) / 23 * (2 + 20 * 5.0 / 8) / 23), 1e-14);
  EXPECT_NEAR(priors.of_places()(1, 1), 5.0 / 8, 1e-15);
  // Two maps cost on average what one does.
  EXPECT_NEAR(priors.cost_of({0, 1, 0, 1}).both, costs.both, 1e-14);
}

TEST(VqVaeInstruments, PerplexityCountsWords) {
  EXPECT_NEAR(usage_of({0, 1, 2, 3, 3, 2, 1, 0}, 7).perplexity(), 4, 1e-13);
  EXPECT_EQ(usage_of({0, 1, 2, 3, 3, 2, 1, 0}, 7).used(), 4);
  EXPECT_NEAR(usage_of({5}, 7).perplexity(), 1, 1e-15);
}

TEST(VqVaeInstruments, AMirrorTurnsRows) {
  EXPECT_EQ(mirrored({1, 2, 3, 4, 5, 6}, 3), (std::vector<Index>{3, 2, 1, 6, 5, 4}));
  EXPECT_EQ(words_in(maps_from({1, 2, 3, 4, 5, 6}, 3)), (std::vector<Index>{1, 2, 3, 4, 5, 6}));
}

TEST(VqVaeInstruments, PiecesAreFourByFour) {
  const Tensor<double> image = arange<double>(2 * 64).reshape({2, 64});
  const Tensor<double> pieces = pieces_of(image, 8);
  ASSERT_EQ(pieces.shape(), (Shape{8, 16}));
  EXPECT_EQ(pieces(0, 5), 9);   // row 1, column 1
  EXPECT_EQ(pieces(1, 0), 4);   // the piece on its right
  EXPECT_EQ(pieces(2, 0), 32);  // the piece below
  EXPECT_EQ(pieces(7, 15), 64 + 63);
}

// Lloyd's algorithm never makes the error larger.
TEST(VqVaeInstruments, KMeansOnlyDescends) {
  Rng rng(1);
  const Tensor<double> rows = rng.uniform<double>({500, 2});
  nn::Codebook<double> codebook("c", 6, 2, rng);
  codebook.start_at(rows, rng);
  const auto error = [&] {
    return mean(codebook.codebook_loss(rows, codebook.nearest(rows))).item();
  };
  double last = error();
  const double first = last;
  for (int step = 0; step < 20; ++step) {
    k_means(codebook, rows, 1, rng);
    EXPECT_LE(error(), last + 1e-15);
    last = error();
  }
  EXPECT_LT(last, 0.9 * first);
}

// ---- On paper ----------------------------------------------------------------------------------

// E[(x - nearest word)^2] of a standard normal x, by Simpson's rule on 40,000 steps.
double error_by_simpson(const std::vector<double>& words) {
  constexpr int kSteps = 40000;
  constexpr double kEnd = 12;
  double total = 0;
  for (int i = 0; i <= kSteps; ++i) {
    const double x = kEnd * (2.0 * i / kSteps - 1);
    double nearest = 1e9;
    for (double e : words) nearest = std::min(nearest, (x - e) * (x - e));
    const double weight = i == 0 || i == kSteps ? 1 : i % 2 == 1 ? 4 : 2;
    total += weight * nearest * std::exp(-0.5 * x * x);
  }
  return total * (2 * kEnd / kSteps / 3) / std::sqrt(2 * std::numbers::pi);
}

TEST(NormalDictionary, ErrorsAreIntegrals) {
  for (const std::vector<double>& words :
       {std::vector<double>{-1, 0.3, 2}, {0.7}, {-2.5, -2, 0, 0.1, 3}})
    EXPECT_NEAR(Dictionary(words).error, error_by_simpson(words), 1e-7);
}

// Max (1960), table I, has 1.224, 0.1902; 0.4528, 1.510, 0.1175; 0.03454 for 3, 4 and 8 words. Two
// words are the means of the two halves, sqrt(2 / pi), and leave 1 - 2 / pi.
TEST(NormalDictionary, LloydFindsTheBestWords) {
  const Dictionary two = lloyd(spread_words(2));
  EXPECT_NEAR(two.words[1], std::sqrt(2 / std::numbers::pi), 1e-12);
  EXPECT_NEAR(two.error, 1 - 2 / std::numbers::pi, 1e-12);
  EXPECT_NEAR(lloyd(spread_words(3)).words[2], 1.22400636, 1e-8);
  EXPECT_NEAR(lloyd(spread_words(3)).error, 0.1901740392, 1e-10);
  const Dictionary four = lloyd(spread_words(4));
  EXPECT_NEAR(four.words[2], 0.45278003, 1e-8);
  EXPECT_NEAR(four.words[3], 1.51041761, 1e-8);
  EXPECT_NEAR(four.error, 0.1174818478, 1e-10);
  EXPECT_NEAR(four.entropy(), 1.32467272, 1e-8);
  EXPECT_NEAR(lloyd(spread_words(8)).error, 0.0345477608, 1e-10);
  // A move of any word makes it worse.
  for (std::size_t v = 0; v < 4; ++v)
    for (double move : {-0.01, 0.01}) {
      std::vector<double> moved = four.words;
      moved[v] += move;
      EXPECT_GT(Dictionary(moved).error, four.error);
    }
}

// No code of entropy H leaves less than e^-2H of a standard normal number (Shannon 1959).
TEST(NormalDictionary, StaysAboveShannonsBound) {
  for (int size : {2, 3, 4, 8, 16}) {
    const Dictionary best = lloyd(spread_words(size));
    EXPECT_GT(best.error, std::exp(-2 * best.entropy()));
  }
}

// Above 25.25 lies a share of 5.6628e-141 (mpmath, 400 digits), with the mean 25.289.
TEST(NormalDictionary, AWordThatNoDrawTakesStays) {
  EXPECT_NEAR(integral(-25.25), 5.6628e-141, 1e-145);
  const Dictionary dead = lloyd({-0.5, 0, 0.5, 50});
  EXPECT_EQ(dead.words[3], 50);
  EXPECT_NEAR(dead.error, 0.1901740392, 1e-10);
}

// Above 6.5 lies 4.0e-11, and a word there moves to the mean; above 7.5 lies 3.2e-14.
TEST(NormalDictionary, AShareBelow1e12IsNone) {
  const double mean = density(6.5) / integral(-6.5);
  EXPECT_NEAR(Dictionary({-1, 1, 12}).means[2], mean, 1e-4);
  EXPECT_EQ(Dictionary({-1, 1, 14}).means[2], 14);
}

TEST(NormalDictionary, IsLearnedFromDraws) {
  for (const bool averaged : {true, false}) {
    Rng rng(5);
    EXPECT_NEAR(Dictionary(learn_words(averaged, 2000, rng)).error, 0.1174818478, 2e-3);
  }
}

TEST(OneNumber, HasTheSlopesOfTheText) {
  const OneNumberLoss loss = one_number({});
  EXPECT_NEAR(loss.by_z, -(1 - 2 * 1) * 2 + 0.25 * 2 * (1.3 - 1), 1e-13);
  EXPECT_NEAR(loss.by_word, 2 * (1 - 1.3), 1e-13);
  EXPECT_NEAR(loss.by_v, -(1 - 2 * 1) * 1, 1e-13);
  EXPECT_NEAR(difference_by_z({}), 1.25 * 2 * (1.3 - 1), 1e-8);
}

// From 1.3 by 0.2 a step to -0.1, which is nearer to -1; there the slope is -6, and z goes to 0.5.
TEST(OneNumber, WandersToTheWorseWordAndBack) {
  EXPECT_EQ(words_on_the_way(0.1, 11), (std::vector<Index>{1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 0}));
}

}  // namespace
}  // namespace gradus::lesson19
