#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/gradcheck.hpp"
#include "autograd/operations.hpp"
#include "lessons/07_sparse_autoencoder/instruments.hpp"
#include "lessons/07_sparse_autoencoder/model.hpp"
#include "lessons/common/toy.hpp"

namespace gradus::lesson07 {
namespace {

// ---- The soft threshold ------------------------------------------------------------------------

// The h at which f is least, among the multiples of 1e-4 from -2 to 2.
template <class F> double least_on_grid(F f) {
  double best = 0;
  for (int i = -20000; i <= 20000; ++i)
    if (f(1e-4 * i) < f(best)) best = 1e-4 * i;
  return best;
}

TEST(SoftThreshold, IsTheBestCodeOfANumber) {
  for (double x : {1.3, 0.4, -0.9, 0.2, 0.0}) {
    const auto cost = [x](double h) { return (x - h) * (x - h) + 0.5 * std::abs(h); };
    const auto with_half = [x](double h) { return 0.5 * (x - h) * (x - h) + 0.5 * std::abs(h); };
    const Tensor<double> number({1}, {x});
    EXPECT_NEAR(soft_threshold(number, 0.25).item(), least_on_grid(cost), 1e-9) << x;
    EXPECT_NEAR(soft_threshold(number, 0.5).item(), least_on_grid(with_half), 1e-9) << x;
  }
}

TEST(SoftThreshold, HasTheValuesOnPaper) {
  const Tensor<double> x({3}, {1.3, 0.4, -0.9});
  const Tensor<double> without = soft_threshold(x, 0.25), with = soft_threshold(x, 0.5);
  for (Index i = 0; i < 3; ++i) {
    EXPECT_NEAR(without(i), (std::vector{1.05, 0.15, -0.65})[i], 1e-15);
    EXPECT_NEAR(with(i), (std::vector{0.8, 0.0, -0.4})[i], 1e-15);
  }
}

TEST(SoftThreshold, MakesExactZeros) {
  const Tensor<float> x({4}, {0.25f, -0.25f, 0.1f, 0.26f});
  EXPECT_EQ(sum(equal(soft_threshold(x, 0.25f), 0.0f)).item(), 3);
}

// ---- The scale of atoms ------------------------------------------------------------------------

TEST(LeastCost, IsTheLeast) {
  for (double w : {0.1, 0.5, 1.0, 2.0, 10.0}) {
    const auto cost = [w](double h) { return (1.3 - w * h) * (1.3 - w * h) + 0.5 * std::abs(h); };
    EXPECT_NEAR(least_cost(1.3, w, 0.5), cost(least_on_grid(cost)), 1e-6) << w;
  }
}

// With a half before the square: half of the cost at twice the price, lambda x / w - lambda^2 / (2
// w^2).
TEST(LeastCost, HasTheValuesOnPaper) {
  const std::vector<double> with_half = {0.525, 0.29375, 0.06375, 0.0064875};
  const std::vector<double> without = {0.5875, 0.309375, 0.064375, 0.00649375};
  std::size_t i = 0;
  for (double w : {1, 2, 10, 100}) {
    EXPECT_NEAR(0.5 * least_cost(1.3, w, 1.0), with_half[i], 1e-15);
    EXPECT_NEAR(least_cost(1.3, w, 0.5), without[i], 1e-15);
    ++i;
  }
}

TEST(Columns, BecomeUnitUnlessTheyAreZero) {
  Rng rng(1);
  Tensor<float> w = rng.normal<float>({20, 3}) * 5.0f;
  for (Index i = 0; i < 20; ++i) w.set({i, 1}, 0);
  const Tensor<float> before = w;
  make_columns_unit(w);
  const Tensor<float> lengths = sqrt(sum(square(w), {0}));
  EXPECT_NEAR(lengths(0), 1, 1e-5);
  EXPECT_EQ(lengths(1), 0);
  EXPECT_NEAR(lengths(2), 1, 1e-5);
  EXPECT_NEAR(w(3, 0) / w(7, 0), before(3, 0) / before(7, 0), 1e-5);
}

// ---- The largest numbers -----------------------------------------------------------------------

TEST(Largest, MarksTheLargestAndOfEqualsTheFirst) {
  const Tensor<double> x({2, 5}, {3, -1, 3, 2, 3, 0, 0, 0, 0, -1});
  EXPECT_EQ(largest(x, 2).to_vector(), (std::vector<double>{1, 0, 1, 0, 0, 1, 1, 0, 0, 0}));
  EXPECT_EQ(largest(x, 4).to_vector(), (std::vector<double>{1, 0, 1, 1, 1, 1, 1, 1, 1, 0}));
  EXPECT_EQ(sum(largest(x, 0)).item(), 0);
  EXPECT_EQ(sum(largest(x, 5)).item(), 10);
  EXPECT_THROW(largest(x, 6), Error);
}

// ---- The model ---------------------------------------------------------------------------------

struct SmallSparseAutoencoder : ::testing::Test {
  Rng rng{7};
  Tensor<double> mean = rng.uniform<double>({5});
  Tensor<double> x = rng.uniform<double>({6, 5});

  // With weights that are no longer those of the start.
  void move(SparseAutoencoder<double>& model) {
    for (Parameter<double>* p : model.parameters())
      p->set_value(p->value() + 0.3 * rng.normal<double>(p->shape()));
  }
};

TEST_F(SmallSparseAutoencoder, GradientOfTheLossIsRight) {
  for (const Constraint& constraint :
       {Constraint{.price = 0.7}, Constraint{.keep = 3}, Constraint{}}) {
    SparseAutoencoder<double> model(mean, 8, constraint, rng);
    move(model);
    const auto report = gradcheck([&] { return model.loss(x); }, model.parameters());
    EXPECT_TRUE(report) << report;
    EXPECT_EQ(report.checked, nn::count(model.parameters()));
  }
}

// sum_d (x_d - (D h + b)_d)^2 + price sum_k h_k with h = relu(W (x - b) + c), in loops.
TEST_F(SmallSparseAutoencoder, LossIsTheFormula) {
  SparseAutoencoder<double> model(mean, 8, {.price = 0.7}, rng);
  move(model);
  const auto p = model.parameters();
  const auto at = [&](std::size_t k, auto... i) { return p[k]->value()(i...); };
  for (Index n = 0; n < 6; ++n) {
    long double loss = 0;
    std::vector<long double> h;
    for (Index k = 0; k < 8; ++k) {
      long double total = at(1, k);
      for (Index d = 0; d < 5; ++d) total += at(0, k, d) * (x(n, d) - at(3, d));
      h.push_back(total > 0 ? total : 0);
      loss += 0.7L * h.back();
    }
    for (Index d = 0; d < 5; ++d) {
      long double decoded = at(3, d);
      for (Index k = 0; k < 8; ++k) decoded += at(2, d, k) * h[k];
      loss += (x(n, d) - decoded) * (x(n, d) - decoded);
    }
    EXPECT_NEAR(model.loss(x).value()(n), static_cast<double>(loss), 1e-12);
  }
}

TEST_F(SmallSparseAutoencoder, KeepsSoManyNumbersAndTheLargest) {
  SparseAutoencoder<double> all(mean, 8, {}, rng);
  Rng again(3), same(3);
  SparseAutoencoder<double> model(mean, 8, {.keep = 2}, again);
  SparseAutoencoder<double> free(mean, 8, {}, same);
  const Tensor<double> h = model.encode(x).value(), of_free = free.encode(x).value();
  for (Index n = 0; n < 6; ++n) {
    double least = std::numeric_limits<double>::infinity();
    double most_dropped = 0;
    Index kept = 0, positive = 0;
    for (Index k = 0; k < 8; ++k) {
      if (of_free(n, k) > 0) ++positive;
      if (h(n, k) > 0) {
        ++kept;
        least = std::min(least, h(n, k));
        EXPECT_EQ(h(n, k), of_free(n, k));
      } else {
        most_dropped = std::max(most_dropped, of_free(n, k));
      }
    }
    EXPECT_EQ(kept, std::min<Index>(2, positive));
    EXPECT_LE(most_dropped, least);
  }
}

TEST_F(SmallSparseAutoencoder, HoldsItsAtomsUnlessTheyAreFree) {
  SparseAutoencoder<double> held(mean, 8, {.price = 1}, rng);
  SparseAutoencoder<double> free(mean, 8, {.price = 1, .unit_atoms = false}, rng);
  for (SparseAutoencoder<double>* model : {&held, &free}) {
    move(*model);
    model->hold_atoms();
  }
  const auto off = [](const SparseAutoencoder<double>& model) {
    return max(abs(sqrt(sum(square(model.atoms()), {0})) - 1.0)).item();
  };
  EXPECT_LT(off(held), 1e-12);
  EXPECT_GT(off(free), 1e-2);
}

// As torch.nn.Linear names and shapes them.
TEST_F(SmallSparseAutoencoder, NamesItsParametersAsPyTorchDoes) {
  SparseAutoencoder<double> model(mean, 8, {}, rng);
  const auto p = model.parameters();
  ASSERT_EQ(p.size(), 4u);
  const std::vector<std::string> names = {"encoder.weight", "encoder.bias", "decoder.weight",
                                          "decoder.bias"};
  const std::vector<Shape> shapes = {Shape{8, 5}, Shape{8}, Shape{5, 8}, Shape{5}};
  for (std::size_t k = 0; k < 4; ++k) {
    EXPECT_EQ(p[k]->name(), names[k]);
    EXPECT_EQ(p[k]->shape(), shapes[k]);
  }
}

// ---- The lasso ---------------------------------------------------------------------------------

// D^T (x - D h) is price / 2 times the sign of h where h is not 0, and no larger elsewhere.
TEST(Lasso, ThreePointsMeetTheConditions) {
  const Tensor<double> atoms({2, 3}, {1, 0, 0.6, 0, 1, 0.8});
  const Tensor<double> x({3, 2}, {1.2, 1.6, 1, 2, 2, 1});
  const Tensor<double> h({3, 3}, {0, 0, 1.8, 0, 5.0 / 9, 14.0 / 9, 1.125, 0, 1.125});
  const Lasso<double> lasso(x, atoms, 0.4);
  const Tensor<double> r = lasso.correlations(h);
  for (Index n = 0; n < 3; ++n)
    for (Index k = 0; k < 3; ++k) {
      if (h(n, k) > 0) {
        EXPECT_NEAR(r(n, k), 0.2, 1e-14);
      }
      EXPECT_LE(std::abs(r(n, k)), 0.2 + 1e-14);
    }
  const std::vector<double> with_half = {0.38, 4.0 / 9, 0.475};
  for (Index n = 0; n < 3; ++n) EXPECT_NEAR(0.5 * lasso.objective(h)(n), with_half[n], 1e-14);
  for (const Tensor<double>& found :
       {lasso.ista(Tensor<double>({3, 3}), 3000), lasso.fista(Tensor<double>({3, 3}), 3000)})
    EXPECT_LT(max(abs(found - h)).item(), 1e-10);
}

TEST(Lasso, OneStepIsEnoughForOrthonormalAtoms) {
  Rng rng(2);
  const Tensor<double> basis = random_basis(6, rng), x = rng.normal<double>({4, 6});
  const Lasso<double> lasso(x, basis, 0.8);
  const Tensor<double> h = lasso.ista(Tensor<double>({4, 6}), 1);
  EXPECT_LT(max(abs(h - soft_threshold(matmul(x, basis), 0.4))).item(), 1e-12);
  EXPECT_LT(max(abs(lasso.step(h) - h)).item(), 1e-12);
}

// An encoder W = D^T, c = -price / 2 is one step of ISTA from 0 with the step 1 / 2.
TEST(Lasso, FirstStepIsAnEncoder) {
  Rng rng(3);
  const Tensor<double> x = rng.normal<double>({4, 6});
  SparseAutoencoder<double> model(Tensor<double>({6}), 6, {}, rng);
  const Tensor<double> basis = random_basis(6, rng);
  model.parameters()[0]->set_value(transpose(basis));
  model.parameters()[1]->set_value(full<double>({6}, -0.4));
  const Lasso<double> lasso(x, basis, 0.8, true);
  EXPECT_LT(max(abs(model.encode(x).value() - lasso.step(Tensor<double>({4, 6})))).item(), 1e-12);
}

// G = ((1, 0.9), (0.9, 1)) has the eigenvalues 1.9 and 0.1.
TEST(Lasso, TwoCloseAtomsTakeTheStepsOnPaper) {
  const Lasso<double> lasso(between_close_atoms(), close_atoms(), 0.2);
  EXPECT_NEAR(lasso.gram()(0, 1), 0.9, 1e-15);
  EXPECT_NEAR(lasso.correlations(Tensor<double>({1, 2}))(0, 1), 0.95, 1e-15);
  EXPECT_NEAR(lasso.curvature(), 1.9, 1e-14);
  const std::vector<double> best = {0.135 / 0.19, 0.04 / 0.19};
  const double least = lasso.objective(Tensor<double>({1, 2}, best)).item();
  std::vector<double> slow, fast;
  const auto into = [&](std::vector<double>& gaps) {
    return [&lasso, &gaps, least](Index, const Tensor<double>& h) {
      gaps.push_back(lasso.objective(h).item() - least);
    };
  };
  const Tensor<double> h = lasso.ista(Tensor<double>({1, 2}), 1000, into(slow));
  lasso.fista(Tensor<double>({1, 2}), 300, into(fast));
  EXPECT_NEAR(h(0, 0), 0.7105263158, 1e-10);
  EXPECT_NEAR(h(0, 1), 0.2105263158, 1e-10);
  EXPECT_NEAR(slow[59] / slow[58], std::pow(1 - 0.1 / 1.9, 2), 1e-8);
  // Within 1e-6 with a half before the square.
  const auto first_within = [](const std::vector<double>& gaps) {
    std::size_t i = 0;
    while (gaps[i] >= 2e-6) ++i;
    return i + 1;
  };
  EXPECT_EQ(first_within(slow), 81u);
  EXPECT_EQ(first_within(fast), 28u);
  EXPECT_LT(fast[99], slow[99] / 10);
}

// ---- The star ----------------------------------------------------------------------------------

TEST(Star, LooksTheSameAlongAnyAxis) {
  const Tensor<double> x = star();
  const Tensor<double> covariance = matmul_tn(x, x) / 300.0;
  EXPECT_NEAR(covariance(0, 0), 0.5416625, 1e-12);
  EXPECT_NEAR(covariance(1, 1), 0.5416625, 1e-12);
  EXPECT_NEAR(covariance(0, 1), 0, 1e-12);
  EXPECT_LT(max(abs(mean(x, {0}))).item(), 1e-14);
}

// |x - D h|^2 + price |h|_1 >= (|x| - s)^2 + price s for the length s of D h, which is no more than
// |h|_1; at s = |x| - price / 2 that is price |x| - price^2 / 4.
TEST(Star, NoUnitAtomsGoBelowTheFloor) {
  Rng rng(4);
  EXPECT_NEAR(star_objective(directions(0), 0.2), 0.19, 1e-10);
  for (int draw = 0; draw < 5; ++draw) {
    Tensor<double> atoms = rng.normal<double>({2, 5});
    make_columns_unit(atoms);
    EXPECT_GT(star_objective(atoms, 0.2), 0.19);
  }
}

TEST(Star, TurnedAtomsCostMore) {
  EXPECT_NEAR(star_objective(directions(10), 0.2), 0.21835218, 1e-8);
  EXPECT_NEAR(turned_star_objective(10, 0.2), 0.21835218, 1e-8);
  EXPECT_NEAR(star_objective(directions(30), 0.2), turned_star_objective(30, 0.2), 1e-10);
  EXPECT_NEAR(turned_star_objective(0, 0.2), 0.19, 1e-14);
  // Half-way between two atoms both have the same number: (a - s / 2)^2 + 3/4 ... = a price 2 -
  // price^2.
  EXPECT_NEAR(star_objective(directions(60), 0.2), 0.36, 1e-10);
  EXPECT_NEAR(turned_star_objective(60, 0.2), 0.36, 1e-14);
  EXPECT_NEAR(star_objective(directions(0, 2), 0.2), (2 * 0.19 + 1.083325) / 3, 1e-10);
}

// At twice the largest distance no code is worth its price.
TEST(Star, ACodeCanBeTooDear) {
  EXPECT_NEAR(star_objective(directions(0), 2.99), 1.083325, 1e-12);
  EXPECT_LT(star_objective(directions(0), 2.9), 1.083325 - 1e-9);
}

// ---- Exercises ---------------------------------------------------------------------------------

TEST(SparseExercises, ThresholdsByHand) {
  const Tensor<double> x({3}, {0.7, -0.2, 2});
  for (Index i = 0; i < 3; ++i) {
    EXPECT_NEAR(soft_threshold(x, 0.3)(i), (std::vector{0.4, 0.0, 1.7})[i], 1e-15);
    EXPECT_NEAR(soft_threshold(x, 0.6)(i), (std::vector{0.1, 0.0, 1.4})[i], 1e-15);
  }
}

TEST(SparseExercises, ATooShortAtomIsNotUsed) {
  EXPECT_NEAR(least_cost(1.3, 0.1, 0.5), 1.69, 1e-15);
  EXPECT_NEAR(0.5 * 1.3 / 0.1 - 0.25 / (4 * 0.01), 0.25, 1e-12);
}

TEST(SparseExercises, TheSecondAtomGoesAtThePriceOne) {
  const auto code = [](double price) {
    return Lasso<double>(between_close_atoms(), close_atoms(), price)
        .fista(Tensor<double>({1, 2}), 3000);
  };
  EXPECT_GT(code(0.99)(0, 1), 1e-4);
  EXPECT_NEAR(code(1.01)(0, 1), 0, 1e-9);
  EXPECT_NEAR(code(1.01)(0, 0), 1 - 1.01 / 2, 1e-9);
}

TEST(SparseExercises, BitsOfAnOrder) {
  double bits = 0;
  for (int i = 2; i <= 32; ++i) bits += std::log2(i);
  EXPECT_NEAR(bits, 117.7, 0.05);
}

// ---- Instruments -------------------------------------------------------------------------------

// log2 of n (n - 1) ... (n - k + 1) / k!, factor by factor.
TEST(BitsToChoose, AreTheLogarithmOfTheNumberOfChoices) {
  for (Index k : {1, 16, 32, 64}) {
    long double bits = 0;
    for (Index i = 0; i < k; ++i)
      bits += std::log2(static_cast<long double>(1024 - i) / static_cast<long double>(i + 1));
    EXPECT_NEAR(bits_to_choose(k, 1024), static_cast<double>(bits), 1e-9);
  }
  EXPECT_NEAR(bits_to_choose(16, 1024), 115.58, 5e-3);
  EXPECT_NEAR(bits_to_choose(32, 1024), 201.63, 5e-3);
  EXPECT_NEAR(bits_to_choose(64, 1024), 341.10, 5e-3);
}

TEST(Counts, AreOfExactZeros) {
  const Tensor<float> codes({2, 4}, {1, 0, 1e-30f, 0, 2, 0, 0, 0});
  const Counts counts = counts_of(codes);
  EXPECT_EQ(counts.nonzero, 1.5);
  EXPECT_EQ(counts.dead, 2);
  EXPECT_NEAR(counts.sum, 1.5, 1e-12);
}

TEST_F(SmallSparseAutoencoder, ErrorFromCodesIsTheLossWithoutAPrice) {
  SparseAutoencoder<double> model(mean, 8, {}, rng);
  move(model);
  EXPECT_NEAR(error_from_codes(model, codes_of(model, x), x),
              gradus::mean(model.loss(x).value()).item() / 5, 1e-14);
}

// What is left is orthogonal to each atom in use, and no other unit gets a number.
TEST(Refit, IsLeastSquaresOnTheSameUnits) {
  Rng rng(5);
  const Tensor<double> x = rng.normal<double>({3, 6}), atoms = rng.normal<double>({6, 9});
  const Tensor<double> codes = relu(rng.normal<double>({3, 9}) - 0.5);
  const Tensor<double> h = refit(x, codes, atoms);
  const Tensor<double> along = matmul(x - matmul_nt(h, atoms), atoms);
  for (Index n = 0; n < 3; ++n)
    for (Index k = 0; k < 9; ++k) {
      if (codes(n, k) != 0) {
        EXPECT_NEAR(along(n, k), 0, 1e-7);
      } else {
        EXPECT_EQ(h(n, k), 0);
      }
    }
}

TEST(Units, AreAsPureAsTheirStrongestExamples) {
  // Unit 0 is strongest at examples 3, 2 and 1, unit 1 has only two, unit 2 is dead.
  const Tensor<float> codes({5, 3}, {0, 1, 0, 1, 0, 0, 2, 0, 0, 3, 2, 0, 0.5f, 0, 0});
  const std::vector<Unit> units = units_of(codes, {0, 1, 0, 0, 1}, 3);
  ASSERT_EQ(units.size(), 1u);
  EXPECT_EQ(units[0].index, 0);
  EXPECT_EQ(units[0].strongest, (std::vector<Index>{3, 2, 1}));
  EXPECT_NEAR(units[0].purity, 2.0 / 3, 1e-15);
  EXPECT_EQ(share_of_pure(units), 0);
  EXPECT_EQ(share_of_pure(units_of(codes, {0, 1, 1, 1, 1}, 3)), 1);
}

// Two points, whose coordinates along PCA's axes are (+-3, 0), and two with (0, +-1): the first
// axis alone leaves 1 in two of four, and the larger coordinate of each leaves nothing.
TEST(PcaErrors, AreOfTheFirstAndOfTheLargestCoordinates) {
  const Tensor<double> x({4, 2}, {3, 0, -3, 0, 0, 1, 0, -1});
  const PcaErrors errors = pca_errors(fit_pca(x), x);
  EXPECT_NEAR(errors.first[0], 20.0 / 8, 1e-14);
  EXPECT_NEAR(errors.first[1], 2.0 / 8, 1e-14);
  EXPECT_NEAR(errors.largest[1], 0, 1e-14);
  EXPECT_NEAR(errors.first[2], 0, 1e-14);
  EXPECT_EQ(components_needed(errors.first, 0.25), 1);
  EXPECT_EQ(components_needed(errors.first, 0.24), 2);
}

TEST(PcaInParts, IsPca) {
  Rng rng(6);
  const Tensor<float> x = rng.uniform<float>({200, 4});
  const Pca<double> whole = fit_pca(cast<double>(x)), in_parts = fit_pca_in_parts(x);
  EXPECT_LT(max(abs(whole.components - in_parts.components)).item(), 1e-10);
  EXPECT_LT(max(abs(whole.variances - in_parts.variances)).item(), 1e-14);
  EXPECT_LT(max(abs(whole.mean - in_parts.mean)).item(), 1e-14);
}

// The coordinates are 3 or 1, at the price 0.4: 0.2^2 + 0.4 (3 - 0.2), and 0.2^2 + 0.4 (1 - 0.2).
TEST(PcaObjective, IsTheLassoInItsBasis) {
  const Tensor<double> x({4, 2}, {3, 0, -3, 0, 0, 1, 0, -1});
  EXPECT_NEAR(pca_objective(fit_pca(x), x, 0.4), (0.04 + 1.12 + 0.04 + 0.32) / 2, 1e-14);
}

}  // namespace
}  // namespace gradus::lesson07
