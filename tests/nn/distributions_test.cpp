#include "nn/distributions.hpp"

#include "tests/autograd/support.hpp"

namespace gradus::nn {
namespace {

using test::error_of;
using test::gaussian_numbers;
using test::Vars;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr long double kTwoPi = 6.283185307179586476925286766559005768L;
constexpr double kRelative = 1e-12;

Tensor<double> numbers(const std::vector<double>& values) {
  return Tensor<double>({std::ssize(values)}, values);
}

// |got - exact| is small beside the terms from which the exact value is added up.
void expect_close(double got, long double exact, long double terms) {
  EXPECT_LE(fabsl(got - exact), kRelative * terms) << "got " << got << " for " << double(exact);
}

const std::vector<double> kMeans = {-3, 0, 0.1, 1e3},
                          kLogVars = {-30, -1.386294361119891, 0, 2, 30},
                          kLogits = {-100, -30, -1, 0, 1e-3, 2, 30, 100};

Normal<double> normal(double mean, double log_var) { return {numbers({mean}), numbers({log_var})}; }

Bernoulli<double> bernoulli(double logit) { return {numbers({logit})}; }

TEST(Normal, LogProbIsTheDensityOfTheTextbook) {
  for (double mean : kMeans)
    for (double log_var : kLogVars)
      for (double x : {-2.0, 0.0, 0.5, 7.0}) {
        const long double s = expl(log_var / 2.0L), z = (x - static_cast<long double>(mean)) / s;
        const long double constant = logl(s * sqrtl(kTwoPi));
        expect_close(normal(mean, log_var).log_prob(numbers({x})).item(), -constant - z * z / 2,
                     fabsl(constant) + z * z / 2);
      }
}

TEST(Normal, EntropyIsThatOfTheTextbook) {
  for (double log_var : kLogVars) {
    const long double exact = 0.5L * (logl(kTwoPi) + 1 + log_var);
    expect_close(normal(5, log_var).entropy().item(), exact, fabsl(exact));
  }
}

TEST(Normal, KlIsThatOfTheTextbook) {
  for (double m : kMeans)
    for (double lv : kLogVars)
      for (double mq : kMeans)
        for (double lvq : kLogVars) {
          const long double ratio = expl(lv - static_cast<long double>(lvq)), log_ratio = lv - lvq;
          const long double shift = (m - mq) * (m - static_cast<long double>(mq)) * expl(-lvq);
          const long double exact = 0.5L * (ratio - 1 - log_ratio + shift);
          expect_close(kl(normal(m, lv), normal(mq, lvq)).item(), exact, exact);
        }
}

// Log-variances as far out as T has the standard deviation e^(v/2) and its inverse.
template <class T> void expect_normal_far_out(const std::vector<T>& log_vars) {
  const Tensor<T> m({1}, {3});
  for (T v : log_vars) {
    SCOPED_TRACE(v);
    Tape<T> tape;
    const Var<T> mean = tape.leaf(m);
    const Var<T> log_var = tape.leaf(Tensor<T>({1}, {v}));
    const Normal<T> p{mean, log_var};
    const Var<T> log_p = p.log_prob(m);
    const T exact = static_cast<T>(-0.5L * (logl(kTwoPi) + v));
    EXPECT_LE(std::fabs(log_p.item() / exact - 1), 4 * std::numeric_limits<T>::epsilon());
    const std::vector<Var<T>> slopes = gradient(sum(log_p), {mean, log_var});
    EXPECT_EQ(slopes[0].item(), 0);
    EXPECT_EQ(slopes[1].item(), T(-0.5));

    EXPECT_EQ(kl(p, p).item(), 0);
    EXPECT_EQ(kl(p, Normal<T>{m, Tensor<T>({1}, {v})}).item(), 0);
    for (const Var<T>& slope : gradient(sum(kl(p, Normal<T>{m, v})), {mean, log_var}))
      EXPECT_EQ(slope.item(), 0);

    // Two standard deviations off: z^2/2 = 2.
    const T s = std::exp(v / 2);
    const Normal<T> centred{Tensor<T>({1}), v};
    const Normal<T> shifted{Tensor<T>({1}, {2 * s}), v};
    const T tolerance = 4 * std::numeric_limits<T>::epsilon() * (1 + std::fabs(v));
    EXPECT_NEAR(centred.log_prob(Tensor<T>({1}, {2 * s})).item() - exact, -2, tolerance);
    EXPECT_NEAR(kl(shifted, centred).item(), 2, tolerance);
  }
}

TEST(Normal, LogProbAndKlAreRightAtExtremeVariances) {
  expect_normal_far_out<float>({-170, -100, -90, 88.5, 100, 170});
  expect_normal_far_out<double>({-1400, -750, -720, 709, 750, 1400});
  EXPECT_NEAR((Normal<float>{Tensor<float>({1}), -100}.log_prob(Tensor<float>({1})).item()),
              49.081061, 1e-5);
}

// (e^d - 1 - d) / 2 for a small difference d of the logarithms of the variances: what is lost is a
// rounding of d, and not one of 1.
TEST(Normal, KlKeepsItsDigitsBetweenNearlyEqualVariances) {
  for (double d : {1e-2, -1e-3, 1e-5, -1e-7}) {
    const double exact = static_cast<double>((expm1l(d) - d) / 2);
    const Normal<double> p{Tensor<double>({1}), d};
    EXPECT_NEAR(kl(p, Normal<double>::standard()).item(), exact, 1.2e-16 * std::fabs(d)) << d;

    const float d_as_float = static_cast<float>(d);
    const double exact_of_float = static_cast<double>((expm1l(d_as_float) - d_as_float) / 2);
    const Normal<float> q{Tensor<float>({1}), d_as_float};
    EXPECT_NEAR(kl(q, Normal<float>::standard()).item(), exact_of_float, 1.8e-7 * std::fabs(d))
        << d;
  }
}

// A variance of 1/4: (1/4 - 1 + ln 4 + 1) / 2 and (4 - 1 - ln 4 + 4) / 2. Taken for a standard
// deviation, it would give 1.9175 and 10.6137.
TEST(Normal, KlTakesAVarianceForAVariance) {
  const Normal<double> p = normal(1, std::log(0.25)), q = normal(0, 0);
  EXPECT_NEAR(kl(p, q).item(), 0.8181471806, 5e-11);
  EXPECT_NEAR(kl(q, p).item(), 2.8068528194, 5e-11);
  EXPECT_NEAR(kl(p, Normal<double>::standard()).item(), 0.8181471806, 5e-11);
}

// The trapezoidal rule over 12 standard deviations on each side, whose error is below rounding.
TEST(Normal, DensityIntegratesToOneAndItsLogarithmToTheEntropy) {
  for (double log_var : {-2.0, 0.0, 3.0}) {
    const double s = std::exp(log_var / 2), step = s / 16;
    long double total = 0, entropy = 0, variance = 0;
    for (int i = -192; i <= 192; ++i) {
      const double log_p = normal(1.5, log_var).log_prob(numbers({1.5 + i * step})).item();
      total += expl(log_p) * step;
      entropy -= log_p * expl(log_p) * step;
      variance += i * step * i * step * expl(log_p) * step;
    }
    EXPECT_NEAR(static_cast<double>(total), 1, 1e-12);
    EXPECT_NEAR(static_cast<double>(entropy), normal(1.5, log_var).entropy().item(), 1e-12);
    EXPECT_NEAR(static_cast<double>(variance / expl(log_var)), 1, 1e-12);
  }
}

// x in {0, 1} or between: x ln sigmoid(l) + (1 - x) ln sigmoid(-l).
TEST(Bernoulli, LogProbIsTheCrossEntropyOfTheTextbook) {
  for (double logit : kLogits)
    for (double x : {0.0, 0.3, 1.0}) {
      const long double one = -log1pl(expl(-logit)), zero = -log1pl(expl(logit));
      expect_close(bernoulli(logit).log_prob(numbers({x})).item(), x * one + (1 - x) * zero,
                   1 + fabsl(logit));
    }
}

TEST(Bernoulli, ProbabilitiesAddUpToOne) {
  for (double logit : kLogits) {
    const double one = bernoulli(logit).log_prob(numbers({1})).item();
    const double zero = bernoulli(logit).log_prob(numbers({0})).item();
    EXPECT_NEAR(std::exp(one) + std::exp(zero), 1, 1e-14);
    EXPECT_NEAR(bernoulli(logit).mean().item(), std::exp(one), 1e-14);
  }
}

TEST(Bernoulli, EntropyAndKlAreThoseOfTheTextbook) {
  auto p = [](long double l) { return 1 / (1 + expl(-l)); };
  auto log_p = [](long double l) { return -log1pl(expl(-l)); };
  for (double a : kLogits) {
    const long double entropy = -p(a) * log_p(a) - p(-a) * log_p(-a);
    expect_close(bernoulli(a).entropy().item(), entropy, entropy);
    for (double b : kLogits) {
      const long double one = p(a) * (log_p(a) - log_p(b)), zero = p(-a) * (log_p(-a) - log_p(-b));
      expect_close(kl(bernoulli(a), bernoulli(b)).item(), one + zero, fabsl(one) + fabsl(zero));
    }
  }
}

// ln sigmoid(l), where the other term is 0. For l = 20 that is -2.06e-9.
template <class T> void expect_no_cancelling_of_saturated_logits() {
  for (T l : {T(5), T(20), T(30), T(80)}) {
    const Tensor<T> logits({2}, {l, -l});
    const Tensor<T> seen({2}, {1, 0});
    const Tensor<T> log_p = Bernoulli<T>{logits}.log_prob(seen).value();
    const long double exact = -log1pl(expl(-static_cast<long double>(l)));
    for (Index i = 0; i < 2; ++i) EXPECT_LE(test::ulps(log_p(i), exact), 4) << l;
  }
}

TEST(Bernoulli, LogProbDoesNotCancelAtSaturatedLogits) {
  expect_no_cancelling_of_saturated_logits<float>();
  expect_no_cancelling_of_saturated_logits<double>();
  EXPECT_NEAR(Bernoulli<float>{Tensor<float>({1}, {20})}.log_prob(Tensor<float>({1}, {1})).item(),
              -2.0611536e-9f, 1e-15f);
}

// A coin that always falls on one side, l = infinity, and one that always falls on the other.
TEST(Bernoulli, KnowsInfiniteLogits) {
  constexpr double kInf = INFINITY;
  const Bernoulli<double> always = bernoulli(kInf);
  const Bernoulli<double> never = bernoulli(-kInf);
  auto log_prob = [](const Bernoulli<double>& p, double x) {
    return p.log_prob(numbers({x})).item();
  };
  EXPECT_EQ(log_prob(always, 1), 0);
  EXPECT_EQ(log_prob(always, 0), -kInf);
  EXPECT_EQ(log_prob(always, 0.5), -kInf);
  EXPECT_EQ(log_prob(never, 0), 0);
  EXPECT_EQ(log_prob(never, 1), -kInf);
  EXPECT_EQ(log_prob(never, 0.5), -kInf);
  EXPECT_TRUE(std::isnan(log_prob(bernoulli(NAN), 0)));

  for (const Bernoulli<double>& p : {always, never}) {
    EXPECT_EQ(p.entropy().item(), 0);
    EXPECT_EQ(kl(p, p).item(), 0);
    EXPECT_EQ(kl(bernoulli(0.5), p).item(), kInf);
  }
  EXPECT_EQ(kl(always, never).item(), kInf);
  EXPECT_EQ(kl(never, always).item(), kInf);
  EXPECT_DOUBLE_EQ(kl(always, bernoulli(0.5)).item(), std::log1p(std::exp(-0.5)));
  EXPECT_DOUBLE_EQ(kl(never, bernoulli(0.5)).item(), std::log1p(std::exp(0.5)));

  Tape<double> tape;
  const Var<double> l = tape.leaf(numbers({kInf, -kInf}));
  const Bernoulli<double> p{l};
  for (const Var<double>& y :
       {p.log_prob(numbers({1, 0})), p.entropy(), kl(p, Bernoulli<double>{numbers({0.5, 0.5})})})
    EXPECT_EQ(gradient(sum(y), {l})[0].value().to_vector(), (std::vector<double>{0, 0}));
}

const std::vector<std::vector<double>> kRows = {{0, 0, 0},     {1, 2, 3},         {-100, 100, 0},
                                                {100, 99, 98}, {1000, 999, 1001}, {-1e-3, 0, 1e-3}};

std::vector<long double> log_probabilities(const std::vector<double>& row) {
  const long double top = *std::max_element(row.begin(), row.end());
  long double total = 0;
  for (double l : row) total += expl(l - top);
  std::vector<long double> result;
  for (double l : row) result.push_back(l - top - logl(total));
  return result;
}

Categorical<double> categorical(const std::vector<double>& row) {
  return {Tensor<double>({1, std::ssize(row)}, row)};
}

TEST(Categorical, LogProbEntropyAndKlAreThoseOfTheTextbook) {
  for (const auto& row : kRows) {
    const auto exact = log_probabilities(row);
    const double size = 1 + std::fabs(*std::max_element(row.begin(), row.end()));
    long double entropy = 0;
    double total = 0;
    for (Index k = 0; k < 3; ++k) {
      const double got = categorical(row).log_prob({k}).item();
      expect_close(got, exact[k], size);
      total += std::exp(got);
      entropy -= expl(exact[k]) * exact[k];
    }
    EXPECT_NEAR(total, 1, 1e-12);
    expect_close(categorical(row).entropy().item(), entropy, size);
    for (const auto& other : kRows) {
      const auto q = log_probabilities(other);
      long double divergence = 0;
      for (Index k = 0; k < 3; ++k) divergence += expl(exact[k]) * (exact[k] - q[k]);
      expect_close(kl(categorical(row), categorical(other)).item(), divergence,
                   size + std::fabs(other[0]));
    }
  }
}

constexpr double kRuledOut = -INFINITY;

// A sequence calls it at every step: nothing may be computed in vain.
TEST(Categorical, LogProbNormalisesItsLogitsOnce) {
  Tape<double> tape;
  const Categorical<double> p{tape.leaf(gaussian_numbers<double>({2, 3}, 1))};
  p.log_prob({2, 0});
  EXPECT_EQ(test::operations_on(tape),
            (std::vector<std::string>{"leaf", "log_softmax", "reshape", "gather_rows"}));
}

TEST(Categorical, KnowsClassesThatAreRuledOut) {
  const double ln2 = std::log(2.0);
  const Categorical<double> p = categorical({0, 0, kRuledOut});
  EXPECT_DOUBLE_EQ(p.log_prob({0}).item(), -ln2);
  EXPECT_DOUBLE_EQ(p.log_prob({1}).item(), -ln2);
  EXPECT_EQ(p.log_prob({2}).item(), kRuledOut);
  EXPECT_DOUBLE_EQ(p.entropy().item(), ln2);

  const Categorical<double> certain = categorical({kRuledOut, 5, kRuledOut});
  EXPECT_EQ(certain.log_prob({1}).item(), 0);
  EXPECT_EQ(certain.entropy().item(), 0);

  EXPECT_EQ(kl(p, p).item(), 0);
  EXPECT_DOUBLE_EQ(kl(p, categorical({0, 0, 0})).item(), std::log(1.5));
  EXPECT_DOUBLE_EQ(kl(certain, p).item(), ln2);
  EXPECT_EQ(kl(categorical({0, 0, 0}), p).item(), INFINITY);
  EXPECT_EQ(kl(p, certain).item(), INFINITY);
  EXPECT_EQ(kl(certain, categorical({0, kRuledOut, 0})).item(), INFINITY);
}

// A logit of -1000 has the probability 0 as rounded, and all that is computed is the same.
TEST(Categorical, HasTheGradientsOfAClassThatIsAllButRuledOut) {
  auto gradients = [](double out) {
    Tape<double> tape;
    const Var<double> l = tape.leaf(Tensor<double>({1, 3}, {0.5, -0.5, out}));
    const Categorical<double> p{l};
    std::vector<double> all;
    for (const Var<double>& y : {p.log_prob({1}), p.entropy(), kl(p, categorical({0, 1, 2})),
                                 kl(categorical({0, 1, kRuledOut}), p)}) {
      const Tensor<double> slopes = gradient(sum(y), {l})[0].value();
      all.insert(all.end(), slopes.begin(), slopes.end());
    }
    return all;
  };
  EXPECT_EQ(gradients(kRuledOut), gradients(-1000));
}

// Not one draw in a million, though in float the probabilities, 1/3 each, add up to less than 1.
TEST(Categorical, NeverDrawsAClassOfProbabilityZero) {
  Rng rng(1);
  for (float zero : {0.0f, -INFINITY}) {
    const Tensor<float> row({1, 5}, {zero, 1000, 1000, 1000, zero});
    const Categorical<float> p{broadcast_to(row, {1'000'000, 5})};
    std::vector<int> counts(5);
    for (Index label : p.sample(rng)) ++counts[label];
    EXPECT_EQ(counts[0], 0);
    EXPECT_EQ(counts[4], 0);
    for (int k : {1, 2, 3}) EXPECT_NEAR(counts[k], 1e6 / 3, 5 * std::sqrt(1e6 * 2 / 9));
  }
}

TEST(Categorical, RefusesToDrawWhereThereIsNoProbability) {
  Rng rng(1);
  for (double l : {kRuledOut, static_cast<double>(NAN)}) {
    const Categorical<double> p{Tensor<double>({2, 2}, {0, 1, l, l})};
    EXPECT_EQ(error_of([&] { p.sample(rng); }),
              "Categorical: no class of example 1 has a probability above 0");
  }
}

TEST(Categorical, OfTwoClassesIsABernoulli) {
  for (double logit : kLogits) {
    const Categorical<double> p = categorical({0, logit}), q = categorical({0, 0.5});
    EXPECT_NEAR(p.entropy().item(), bernoulli(logit).entropy().item(), 1e-13);
    EXPECT_NEAR(p.log_prob({1}).item(), bernoulli(logit).log_prob(numbers({1})).item(), 1e-12);
    EXPECT_NEAR(kl(p, q).item(), kl(bernoulli(logit), bernoulli(0.5)).item(), 1e-12);
  }
}

TEST(Categorical, RefusesLabelsAndLogitsThatDoNotFit) {
  const Categorical<double> p{Tensor<double>({2, 3})};
  EXPECT_THAT(error_of([&] { p.log_prob({0}); }),
              AllOf(HasSubstr("1 labels"), HasSubstr("(2, 3)")));
  EXPECT_EQ(error_of([&] { p.log_prob({0, 3}); }), "Categorical: label 3 is not in 0, ..., 2");
  EXPECT_EQ(error_of([&] { p.log_prob({0, -1}); }), "Categorical: label -1 is not in 0, ..., 2");
  for (const Shape& shape : {Shape{3}, Shape{2, 3, 4}}) {
    const Categorical<double> odd{Tensor<double>(shape)};
    Rng rng(1);
    EXPECT_THAT(error_of([&] { odd.log_prob({0, 0}); }), HasSubstr("(N, K)"));
    EXPECT_THAT(error_of([&] { odd.entropy(); }), HasSubstr(shape.str()));
    EXPECT_THAT(error_of([&] { odd.sample(rng); }), HasSubstr("(N, K)"));
  }
}

TEST(OneHot, HasItsOnesWhereTheLabelsSay) {
  EXPECT_EQ(one_hot<double>({2, 0}, 3).to_vector(), (std::vector<double>{0, 0, 1, 1, 0, 0}));
  EXPECT_EQ(one_hot<double>({2, 0}, 3).shape(), (Shape{2, 3}));
  EXPECT_EQ(error_of([] { one_hot<double>({3}, 3); }), "one_hot: label 3 is not in 0, ..., 2");
  EXPECT_EQ(error_of([] { one_hot<double>({-1}, 3); }), "one_hot: label -1 is not in 0, ..., 2");
}

// An identity matrix of a million rows would need 4 TB.
TEST(OneHot, TakesRoomForItsLabelsOnly) {
  const Index classes = 1 << 20;
  const Tensor<float> x = one_hot<float>({3, classes - 1}, classes);
  EXPECT_EQ(x.shape(), (Shape{2, classes}));
  EXPECT_EQ(x(0, 3), 1);
  EXPECT_EQ(x(1, classes - 1), 1);
  EXPECT_EQ(sum(x).item(), 2);

  const Categorical<float> p{Tensor<float>({2, classes})};
  EXPECT_NEAR(p.log_prob({3, classes - 1}).value()(1), -20 * std::log(2.0), 1e-5);
}

TEST(Distributions, AddUpEachExampleOverItsOtherAxes) {
  const Tensor<double> x = gaussian_numbers<double>({2, 3, 2}, 1), mean = x * 0.5,
                       log_var = x + 0.1;
  const Tensor<double> p = sigmoid(x);
  const Normal<double> n{mean, log_var};
  const Bernoulli<double> b{mean};
  auto total = [&](auto of_one, Index example) {
    double sum = 0;
    for (Index i = 0; i < 6; ++i) sum += of_one(6 * example + i);
    return sum;
  };
  auto at = [](const Tensor<double>& t, Index i) { return t.data()[i]; };
  for (Index i = 0; i < 2; ++i) {
    auto one = [&](Index k) { return normal(at(mean, k), at(log_var, k)); };
    auto coin = [&](Index k) { return bernoulli(at(mean, k)); };
    const auto std_normal = Normal<double>::standard();
    EXPECT_NEAR(n.log_prob(x).value()(i),
                total([&](Index k) { return one(k).log_prob(numbers({at(x, k)})).item(); }, i),
                1e-12);
    EXPECT_NEAR(n.entropy().value()(i), total([&](Index k) { return one(k).entropy().item(); }, i),
                1e-12);
    EXPECT_NEAR(kl(n, std_normal).value()(i),
                total([&](Index k) { return kl(one(k), std_normal).item(); }, i), 1e-12);
    EXPECT_NEAR(b.log_prob(p).value()(i),
                total([&](Index k) { return coin(k).log_prob(numbers({at(p, k)})).item(); }, i),
                1e-12);
    EXPECT_NEAR(b.entropy().value()(i), total([&](Index k) { return coin(k).entropy().item(); }, i),
                1e-12);
  }
  for (const Var<double>& v : {n.log_prob(x), n.entropy(), kl(n, n), b.log_prob(p), b.entropy()})
    EXPECT_EQ(v.shape(), (Shape{2}));
}

// One variance for all, or one mean for each dimension, counts once for each number all the same.
TEST(Normal, ParametersThatBroadcastCountForEveryNumber) {
  const Tensor<double> x = gaussian_numbers<double>({4, 3}, 1),
                       mean = gaussian_numbers<double>({3}, 2);
  const Tensor<double> log_var(0.7), zeros({4, 3});
  const Normal<double> small{mean, log_var}, large{mean + zeros, log_var + zeros};
  EXPECT_LE(test::distance(small.log_prob(x).value(), large.log_prob(x).value()), 1e-13);
  const Normal<double> half{mean + zeros, log_var};
  EXPECT_LE(test::distance(half.entropy().value(), large.entropy().value()), 1e-13);
  EXPECT_LE(test::distance(kl(half, Normal<double>::standard()).value(),
                           kl(large, Normal<double>::standard()).value()),
            1e-13);
  const Normal<double> other{log_var, mean + zeros}, wide{log_var + zeros, mean + zeros};
  EXPECT_LE(test::distance(kl(other, small).value(), kl(wide, large).value()), 1e-13);
}

// ---- The continuous Bernoulli ------------------------------------------------------------------

ContinuousBernoulli<double> continuous(double logit) { return {numbers({logit})}; }

// From logits on both sides of the place where the series takes over, and far out.
const std::vector<double> kContinuousLogits = {-1e4, -30,  -2,   -0.51, -0.49, -1e-3, -1e-9, 0,
                                               1e-9, 1e-3, 0.49, 0.51,  2,     30,    1e4};

// With the integral of e^(l (x - [l > 0])) over [0, 1], C(l) is e^max(l, 0) times it.
long double scaled_constant(long double l) { return l == 0 ? 1 : -expm1l(-fabsl(l)) / fabsl(l); }

TEST(ContinuousBernoulli, LogProbIsThatOfTheTextbook) {
  for (double l : kContinuousLogits)
    for (double x : {0.0, 0.3, 1.0}) {
      const long double exact =
          l * (x - (l > 0 ? 1.0L : 0.0L)) - logl(scaled_constant(static_cast<long double>(l)));
      expect_close(continuous(l).log_prob(numbers({x})).item(), exact, 1 + fabsl(exact));
    }
}

// Loaiza-Ganem and Cunningham's C(lambda) = 2 artanh(1 - 2 lambda) / (1 - 2 lambda) multiplies
// lambda^x (1 - lambda)^(1 - x); at x = 0 the density is C(lambda) (1 - lambda).
TEST(ContinuousBernoulli, HasTheConstantOfTheLiterature) {
  const std::vector<std::pair<double, double>> constants = {{0.2, 2.3104906019},
                                                            {0.9, 2.7465307217},
                                                            {0.5, 2}};
  for (const auto& [lambda, constant] : constants) {
    const double l = std::log(lambda / (1 - lambda));
    const double at_black = std::exp(continuous(l).log_prob(numbers({0})).item());
    EXPECT_NEAR(at_black / (1 - lambda), constant, 5e-11);
  }
  EXPECT_NEAR(continuous(std::log(0.25)).mean().item(), 0.3880141871, 5e-11);
  EXPECT_NEAR(continuous(std::log(0.25)).variance().item(), 0.0758978, 5e-8);
}

TEST(ContinuousBernoulli, IsUniformAtZero) {
  for (double l : {0.0, -0.0}) {
    EXPECT_EQ(continuous(l).log_prob(numbers({0.7})).item(), 0);
    EXPECT_EQ(continuous(l).mean().item(), 0.5);
    EXPECT_EQ(continuous(l).variance().item(), 1.0 / 12);
  }
}

// The moments as series of their own, Taylor's of e^(l x) about x = 0, term by term:
// the integral of x^n e^(l x) over [0, 1] is sum_j l^j / (j! (j + n + 1)).
long double moment(int n, long double l) {
  long double term = 1, total = 0;
  for (int j = 0; j < 60; ++j) {
    total += term / (j + n + 1);
    term *= l / (j + 1);
  }
  return total;
}

TEST(ContinuousBernoulli, MomentsAreTheIntegrals) {
  for (double l : {-3.0, -0.6, -0.5, -0.4, -0.01, -1e-3, 0.0, 1e-3, 0.01, 0.4, 0.5, 0.6, 3.0}) {
    const long double mean = moment(1, l) / moment(0, l);
    const long double variance = moment(2, l) / moment(0, l) - mean * mean;
    EXPECT_NEAR(continuous(l).mean().item(), static_cast<double>(mean), 1e-13) << l;
    EXPECT_NEAR(continuous(l).variance().item(), static_cast<double>(variance), 1e-13) << l;
    EXPECT_NEAR(continuous(l).log_prob(numbers({1})).item(),
                static_cast<double>(l - logl(moment(0, l))), 1e-13)
        << l;
  }
}

// In float a rounding of 1 is 6e-8.
TEST(ContinuousBernoulli, MomentsInFloatAreThoseInDouble) {
  for (float l : {-1e4f, -30.0f, -2.0f, -0.51f, -0.49f, -1e-3f, 0.0f, 1e-3f, 0.49f, 0.51f, 30.0f}) {
    const ContinuousBernoulli<float> p{Tensor<float>({1}, {l})};
    EXPECT_NEAR(p.mean().item(), continuous(l).mean().item(), 3e-7) << l;
    EXPECT_NEAR(p.variance().item(), continuous(l).variance().item(), 1e-6) << l;
    const double exact = continuous(l).log_prob(numbers({0.25})).item();
    EXPECT_NEAR(p.log_prob(Tensor<float>({1}, {0.25f})).item(), exact,
                1e-6 * (1 + std::fabs(exact)))
        << l;
  }
}

// At the two ends of the series the closed forms take over: a step of one unit in the last place.
TEST(ContinuousBernoulli, IsContinuousWhereTheSeriesEnds) {
  for (double end : {-0.5, 0.5}) {
    const ContinuousBernoulli<double> inside = continuous(std::nextafter(end, 0));
    const ContinuousBernoulli<double> outside = continuous(end);
    EXPECT_NEAR(inside.mean().item(), outside.mean().item(), 1e-12);
    EXPECT_NEAR(inside.variance().item(), outside.variance().item(), 1e-12);
    for (double x : {0.0, 0.3, 1.0})
      EXPECT_NEAR(inside.log_prob(numbers({x})).item(), outside.log_prob(numbers({x})).item(),
                  1e-12);

    auto slope = [](double l) {
      Tape<double> tape;
      const Var<double> logit = tape.leaf(numbers({l}));
      return gradient(sum(ContinuousBernoulli<double>{logit}.variance()), {logit})[0].item();
    };
    EXPECT_NEAR(slope(std::nextafter(end, 0)), slope(end), 1e-12);
  }
}

// The mean of the grey levels is near 1 / |l| from the edge, and their deviation 1 / |l|.
TEST(ContinuousBernoulli, IsExponentialFarOut) {
  for (double l : {1e4, 1e8}) {
    EXPECT_DOUBLE_EQ(continuous(-l).mean().item(), 1 / l);
    EXPECT_DOUBLE_EQ(continuous(l).mean().item(), 1 - 1 / l);
    EXPECT_DOUBLE_EQ(continuous(l).variance().item(), 1 / (l * l));
    EXPECT_DOUBLE_EQ(continuous(-l).log_prob(numbers({0})).item(), std::log(l));
    EXPECT_DOUBLE_EQ(continuous(l).log_prob(numbers({1})).item(), std::log(l));
  }
}

TEST(ContinuousBernoulli, HasTheGradientsThatDifferencesShow) {
  const Tensor<double> x({1, 7}, {0, 0.2, 0.4, 0.5, 0.6, 0.8, 1});
  const Tensor<double> l({1, 7}, {-30, -2, -1e-3, 0, 1e-3, 0.4, 30});
  auto check = [](const char* name, auto f, const std::vector<Tensor<double>>& inputs) {
    const GradcheckReport report = gradcheck([&](const Vars& v) { return f(v) + square(f(v)); },
                                             inputs, {.second_order = true});
    EXPECT_TRUE(report) << name << "\n" << report;
  };
  check("log_prob", [](const Vars& v) { return ContinuousBernoulli<double>{v[0]}.log_prob(v[1]); },
        {l, x});
  check("log_prob with one logit for all",
        [](const Vars& v) { return ContinuousBernoulli<double>{v[0]}.log_prob(v[1]); },
        {slice(l, 1, 5, 6), x});
  check("mean", [](const Vars& v) { return ContinuousBernoulli<double>{v[0]}.mean(); }, {l});
  check("variance", [](const Vars& v) { return ContinuousBernoulli<double>{v[0]}.variance(); },
        {l});
}

// Where a step of a difference is no small one: the slope x - A'(l) of ln p, and 0 < A''.
TEST(ContinuousBernoulli, HasItsSlopesFarOut) {
  for (double l : {-1e4, 1e4}) {
    Tape<double> tape;
    const Var<double> logit = tape.leaf(numbers({l}));
    const Var<double> log_p = ContinuousBernoulli<double>{logit}.log_prob(numbers({0.3}));
    const Var<double> slope = gradient(sum(log_p), {logit}, {.create_graph = true})[0];
    EXPECT_NEAR(slope.item(), 0.3 - (l > 0 ? 1 - 1e-4 : 1e-4), 1e-15);
    EXPECT_NEAR(gradient(sum(slope), {logit})[0].item(), -1e-8, 1e-20);
  }
}

TEST(Variance, OfNormalAndBernoulliIsThatOfTheTextbook) {
  EXPECT_DOUBLE_EQ(normal(3, std::log(0.25)).variance().item(), 0.25);
  for (double l : {-100.0, -1.0, 0.0, 2.0, 100.0}) {
    const long double e = expl(-fabsl(static_cast<long double>(l)));
    expect_close(bernoulli(l).variance().item(), e / ((1 + e) * (1 + e)), e);
  }
}

// Parameters of two distributions, and what is seen.
struct Batch {
  Tensor<double> p, q;  // (N, 4)
  Tensor<double> x;     // (N, 4), in (0, 1)
  std::vector<Index> labels;
};

Batch twice(const Batch& batch) {
  const auto doubled = [](const Tensor<double>& t) { return concatenate(std::vector{t, t}); };
  std::vector<Index> labels = batch.labels;
  labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  return {doubled(batch.p), doubled(batch.q), doubled(batch.x), labels};
}

TEST(Distributions, DuplicatingTheBatchChangesNoLoss) {
  using Loss = std::function<Var<double>(const Batch&)>;
  const std::vector<Loss> losses = {
      [](const Batch& b) {
        return mean(Normal<double>{b.p, b.q}.log_prob(b.x));
      },
      [](const Batch& b) {
        return mean(kl(Normal<double>{b.p, b.q}, Normal<double>{b.q, b.p}));
      },
      [](const Batch& b) { return mean(Bernoulli<double>{b.p}.log_prob(b.x)); },
      [](const Batch& b) { return mean(kl(Bernoulli<double>{b.p}, Bernoulli<double>{b.q})); },
      [](const Batch& b) { return mean(Categorical<double>{b.p}.log_prob(b.labels)); },
      [](const Batch& b) { return mean(kl(Categorical<double>{b.p}, Categorical<double>{b.q})); },
  };
  const Batch batch = {.p = gaussian_numbers<double>({3, 4}, 1),
                       .q = gaussian_numbers<double>({3, 4}, 2),
                       .x = sigmoid(gaussian_numbers<double>({3, 4}, 3)),
                       .labels = {1, 3, 0}};
  for (const Loss& loss : losses) {
    const double once = loss(batch).item();
    EXPECT_NEAR(loss(twice(batch)).item(), once, 1e-14 * std::fabs(once));
    EXPECT_NE(once, 0);
  }
}

TEST(Distributions, HaveTheGradientsThatDifferencesShow) {
  const Tensor<double> a = gaussian_numbers<double>({2, 3}, 1),
                       b = gaussian_numbers<double>({2, 3}, 2);
  const Tensor<double> c = gaussian_numbers<double>({2, 3}, 3),
                       d = gaussian_numbers<double>({2, 3}, 4);
  const std::vector<Index> labels = {2, 0};
  auto check = [](const char* name, auto f, const std::vector<Tensor<double>>& inputs) {
    const GradcheckReport report = gradcheck([&](const Vars& x) { return f(x) + square(f(x)); },
                                             inputs, {.second_order = true});
    EXPECT_TRUE(report) << name << "\n" << report;
  };
  check("Normal::log_prob",
        [](const Vars& x) {
          return Normal<double>{x[0], x[1]}.log_prob(x[2]);
        },
        {a, b, c});
  check("Normal::entropy", [&](const Vars& x) { return Normal<double>{a, x[0]}.entropy(); }, {b});
  check("Normal::sample",
        [&](const Vars& x) {
          return Normal<double>{x[0], x[1]}.sample(c);
        },
        {a, b});
  check("kl of Normal",
        [](const Vars& x) {
          return kl(Normal<double>{x[0], x[1]}, Normal<double>{x[2], x[3]});
        },
        {a, b, c, d});
  check("kl to the standard",
        [](const Vars& x) {
          return kl(Normal<double>{x[0], x[1]}, Normal<double>::standard());
        },
        {a, b});
  check("Bernoulli::log_prob",
        [](const Vars& x) { return Bernoulli<double>{x[0]}.log_prob(sigmoid(x[1])); }, {a, b});
  check("Bernoulli::log_prob with logits for all",
        [](const Vars& x) { return Bernoulli<double>{x[0]}.log_prob(sigmoid(x[1])); },
        {slice(a, 0, 0, 1), b});
  check("Bernoulli::log_prob of one picture",
        [](const Vars& x) { return Bernoulli<double>{x[0]}.log_prob(sigmoid(x[1])); },
        {a, slice(b, 0, 0, 1)});
  check("Bernoulli::entropy", [](const Vars& x) { return Bernoulli<double>{x[0]}.entropy(); }, {a});
  check("Bernoulli::mean", [](const Vars& x) { return Bernoulli<double>{x[0]}.mean(); }, {a});
  check("kl of Bernoulli",
        [](const Vars& x) { return kl(Bernoulli<double>{x[0]}, Bernoulli<double>{x[1]}); }, {a, b});
  check("Categorical::log_prob",
        [&](const Vars& x) { return Categorical<double>{x[0]}.log_prob(labels); }, {a});
  check("Categorical::entropy", [](const Vars& x) { return Categorical<double>{x[0]}.entropy(); },
        {a});
  check("kl of Categorical",
        [](const Vars& x) { return kl(Categorical<double>{x[0]}, Categorical<double>{x[1]}); },
        {a, b});
}

TEST(Kl, OfADistributionToItselfIsZeroAndToOthersPositive) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const Tensor<double> a = gaussian_numbers<double>({1, 3}, 4 * seed) * 3;
    const Tensor<double> b = gaussian_numbers<double>({1, 3}, 4 * seed + 1) * 3;
    const Normal<double> n{a, b}, m{b, a};
    const Bernoulli<double> e{a}, f{b};
    const Categorical<double> c{a}, d{b};
    EXPECT_EQ(kl(n, n).item(), 0);
    EXPECT_EQ(kl(e, e).item(), 0);
    EXPECT_EQ(kl(c, c).item(), 0);
    EXPECT_GT(kl(n, m).item(), 0);
    EXPECT_GT(kl(e, f).item(), 0);
    EXPECT_GT(kl(c, d).item(), 0);
  }
}

constexpr Index kDraws = 1'000'000;
constexpr double kMaxSigmas = 5;  // a right sampler fails once in two million checks

struct Sample {
  double mean, variance;

  // How many standard deviations the sample's mean and variance are from those claimed, of a
  // normal.
  double mean_score(double claimed, double claimed_variance) const {
    return (mean - claimed) / std::sqrt(claimed_variance / kDraws);
  }

  double variance_score(double claimed) const {
    return (variance - claimed) / (claimed * std::sqrt(2.0 / kDraws));
  }
};

Sample sample_of(const Tensor<double>& x) {
  long double total = 0, squares = 0;
  for (double v : x) total += v;
  const long double mean = total / x.size();
  for (double v : x) squares += (v - mean) * (v - mean);
  return {static_cast<double>(mean), static_cast<double>(squares / x.size())};
}

TEST(Normal, SamplesHaveTheMeanAndTheVarianceThatItClaims) {
  Rng rng(11);
  const Tensor<double> mean = full<double>({kDraws}, 1.5),
                       log_var = full<double>({kDraws}, std::log(0.25));
  const Sample s = sample_of(Normal<double>{mean, log_var}.sample(rng).value());
  EXPECT_LT(std::fabs(s.mean_score(1.5, 0.25)), kMaxSigmas);
  EXPECT_LT(std::fabs(s.variance_score(0.25)), kMaxSigmas);
  // The check sees a variance that is taken for a standard deviation, and the reverse.
  for (double wrong_log_var : {2 * std::log(0.25), std::log(0.5)}) {
    const Tensor<double> wrong = full<double>({kDraws}, wrong_log_var);
    const Sample w = sample_of(Normal<double>{mean, wrong}.sample(rng).value());
    EXPECT_GT(std::fabs(w.variance_score(0.25)), 20 * kMaxSigmas);
  }
}

TEST(Normal, SampleIsTheMeanPlusNoiseTimesTheDeviation) {
  const Normal<double> p{numbers({1, 2}), numbers({0, std::log(9)})};
  const Tensor<double> z = p.sample(numbers({2, -1})).value();
  EXPECT_DOUBLE_EQ(z(0), 3);
  EXPECT_DOUBLE_EQ(z(1), -1);
}

TEST(Bernoulli, SamplesAreZerosAndOnesInTheirProportions) {
  Rng rng(12);
  for (double logit : {-2.0, 0.0, 1.0}) {
    const double p = 1 / (1 + std::exp(-logit));
    const Tensor<double> x = Bernoulli<double>{full<double>({kDraws}, logit)}.sample(rng);
    double ones = 0;
    for (double v : x) {
      ASSERT_TRUE(v == 0 || v == 1);
      ones += v;
    }
    EXPECT_LT(std::fabs(ones - kDraws * p), kMaxSigmas * std::sqrt(kDraws * p * (1 - p)));
  }
  EXPECT_EQ(sum(Bernoulli<double>{full<double>({1000}, 100)}.sample(rng)).item(), 1000);
  EXPECT_EQ(sum(Bernoulli<double>{full<double>({1000}, -100)}.sample(rng)).item(), 0);
}

// Mean, variance, and the share below a third, by the distribution function
// (e^(l/3) - 1) / (e^l - 1). A Bernoulli's mean, sigmoid(l), is far from it.
TEST(ContinuousBernoulli, SamplesHaveTheMomentsThatItClaims) {
  Rng rng(18);
  for (double l : {-30.0, -2.0, 0.0, 1e-9, 1.0, 30.0}) {
    SCOPED_TRACE(l);
    const ContinuousBernoulli<double> p{full<double>({kDraws}, l)};
    const Tensor<double> x = p.sample(rng);
    EXPECT_GE(*std::min_element(x.begin(), x.end()), 0);
    EXPECT_LE(*std::max_element(x.begin(), x.end()), 1);
    const double mean = continuous(l).mean().item();
    const double variance = continuous(l).variance().item();
    const Sample s = sample_of(x);
    EXPECT_LT(std::fabs(s.mean_score(mean, variance)), kMaxSigmas);
    const Sample of_squares = sample_of(square(x - mean));
    EXPECT_LT(std::fabs(of_squares.mean_score(variance, of_squares.variance)), kMaxSigmas);
    if (l == -2 || l == 1) {
      EXPECT_GT(std::fabs(s.mean_score(1 / (1 + std::exp(-l)), variance)), 20 * kMaxSigmas);
    }
    const double below = l == 0 ? 1.0 / 3 : std::expm1(l / 3) / std::expm1(l);
    const double count = sum(less(x, 1.0 / 3)).item();
    EXPECT_LE(std::fabs(count - kDraws * below),
              kMaxSigmas * std::sqrt(kDraws * below * (1 - below)) + 1);
  }
}

TEST(Categorical, SamplesItsClassesInTheirProportions) {
  Rng rng(13);
  const std::vector<double> p = {0.1, 0.5, 0.05, 0.35};
  Tensor<double> logits({kDraws, 4});
  for (Index i = 0; i < kDraws; ++i)
    for (Index k = 0; k < 4; ++k) logits.mutable_data()[4 * i + k] = std::log(p[k]) + 7;
  std::vector<double> counts(4);
  for (Index label : Categorical<double>{logits}.sample(rng)) ++counts.at(label);
  for (std::size_t k = 0; k < 4; ++k)
    EXPECT_LT(std::fabs(counts[k] - kDraws * p[k]),
              kMaxSigmas * std::sqrt(kDraws * p[k] * (1 - p[k])))
        << k;
  const Categorical<double> certain{Tensor<double>({2, 3}, {0, 0, 100, 100, 0, 0})};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(certain.sample(rng), (std::vector<Index>{2, 0}));
}

// KL(p || q) is the mean of ln p(x) - ln q(x) over draws from p.
void expect_mean(const Tensor<double>& draws, double claimed) {
  const Sample s = sample_of(draws);
  EXPECT_LT(std::fabs(s.mean_score(claimed, s.variance)), kMaxSigmas);
  EXPECT_GT(std::fabs(s.mean_score(1.02 * claimed, s.variance)), kMaxSigmas) << "too few draws";
}

TEST(Kl, IsWhatMonteCarloFinds) {
  Rng rng(14);
  const Tensor<double> zeros({kDraws, 2});
  const Tensor<double> mean({2}, {0.5, -1}), log_var({2}, {-1, 0.5});
  const Normal<double> p{mean + zeros, log_var + zeros}, q = Normal<double>::standard();
  const Var<double> x = p.sample(rng);
  expect_mean((p.log_prob(x) - q.log_prob(x)).value(), kl(p, q).value()(0));

  const Bernoulli<double> a{mean * 2 + zeros}, b{log_var + zeros};
  const Var<double> coins = a.sample(rng);
  expect_mean((a.log_prob(coins) - b.log_prob(coins)).value(), kl(a, b).value()(0));

  const Categorical<double> c{mean + zeros}, d{log_var + zeros};
  const std::vector<Index> labels = c.sample(rng);
  expect_mean((c.log_prob(labels) - d.log_prob(labels)).value(), kl(c, d).value()(0));
}

// H(p) is the mean of -ln p(x).
TEST(Entropy, IsWhatMonteCarloFinds) {
  Rng rng(15);
  const Tensor<double> zeros({kDraws, 2}), a({2}, {0.5, -1}), b({2}, {-1, 0.5});
  const Normal<double> p{a + zeros, b + zeros};
  expect_mean(-p.log_prob(p.sample(rng)).value(), p.entropy().value()(0));
  const Bernoulli<double> coins{a + zeros};
  expect_mean(-coins.log_prob(coins.sample(rng)).value(), coins.entropy().value()(0));
  const Categorical<double> classes{a + zeros};
  expect_mean(-classes.log_prob(classes.sample(rng)).value(), classes.entropy().value()(0));
}

// d/dm and d/dv of E[f(x)] with x ~ N(m, e^v), one estimate a draw: along the path x = m + s e, and
// by the score, f(x) d ln p(x). Each row of m and v belongs to one draw, so that one sweep gives
// them all. For f = x^3 both have the means 3 (m^2 + s^2) and 3 m s^2.
TEST(Normal, PathAndScoreGradientsAgreeInTheMean) {
  Rng rng(16);
  const double m = 0.7, log_var = -0.4, variance = std::exp(log_var);
  Tape<double> tape;
  const Var<double> means = tape.leaf(full<double>({kDraws}, m));
  const Var<double> log_vars = tape.leaf(full<double>({kDraws}, log_var));
  const Normal<double> p{means, log_vars};
  const Var<double> x = p.sample(rng);
  auto f = [](const Var<double>& v) { return v * v * v; };
  const Vars path = gradient(sum(f(x)), {means, log_vars});
  const Var<double> drawn = stop_gradient(x);
  const Vars score = gradient(sum(stop_gradient(f(drawn)) * p.log_prob(drawn)), {means, log_vars});
  const double exact[] = {3 * (m * m + variance), 3 * m * variance};
  for (std::size_t k = 0; k < 2; ++k) {
    const Sample a = sample_of(path[k].value()), b = sample_of(score[k].value());
    EXPECT_LT(std::fabs(a.mean_score(exact[k], a.variance)), kMaxSigmas) << k;
    EXPECT_LT(std::fabs(b.mean_score(exact[k], b.variance)), kMaxSigmas) << k;
    EXPECT_LT(std::fabs(b.mean_score(a.mean, a.variance + b.variance)), kMaxSigmas) << k;
    EXPECT_GT(std::fabs(b.mean_score(1.05 * exact[k], b.variance)), kMaxSigmas) << "too few draws";
    EXPECT_GT(b.variance, 2 * a.variance) << k;
  }
}

// A model that takes the variance for a standard deviation, differentiated without a fault: every
// gradient check passes, and only its samples give it away.
TEST(Normal, WrongModelFailsOnlyTheStatistics) {
  auto wrong = [](const Var<double>& mean, const Var<double>& log_var, const Tensor<double>& e) {
    return mean + exp(log_var) * e;
  };
  Rng rng(17);
  const Tensor<double> few = rng.normal<double>({4}), many = rng.normal<double>({kDraws});
  EXPECT_TRUE(gradcheck([&](const Vars& x) { return wrong(x[0], x[1], few); },
                        {numbers({1, 2, 3, 4}), numbers({-1, 0, 0.5, 1})}));
  const Sample s = sample_of(wrong(1.5, std::log(0.25), many).value());
  EXPECT_GT(std::fabs(s.variance_score(0.25)), 20 * kMaxSigmas);
}

}  // namespace
}  // namespace gradus::nn
