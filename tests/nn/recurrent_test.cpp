#include "nn/recurrent.hpp"

#include <cmath>

#include "autograd/reduce.hpp"
#include "tensor/matmul.hpp"
#include "tests/autograd/support.hpp"
#include "tests/nn/support.hpp"

//     I numbers in an input, H in a state, T steps
namespace gradus::nn {
namespace {

using test::distance;
using test::error_of;
using test::expect_uniform;
using test::gaussian_numbers;
using test::Vars;
using ::testing::HasSubstr;

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

// ---- Recurrences that can be solved by hand
// ------------------------------------------------------

// h' = w h: h_T = w^T h_0, dh_T/dw = T w^(T-1) h_0. With an input of 1 a step and h_0 = 0,
// h_T = (1 - w^T) / (1 - w), whose slope is (1 - w^T - T w^(T-1) (1 - w)) / (1 - w)^2.
TEST(Recurrence, OfOneLinearNumberIsAPower) {
  constexpr double kW = 0.9;
  constexpr int kSteps = 12;
  const double power = std::pow(kW, kSteps);
  const double slope = kSteps * std::pow(kW, kSteps - 1);
  EXPECT_NEAR(power, 0.2824295365, 1e-10);
  EXPECT_NEAR(slope, 3.7657271531, 1e-10);

  Tape<double> tape;
  const Var<double> w = tape.leaf(kW);
  Var<double> alone = 1;
  Var<double> fed = 0;
  for (int t = 0; t < kSteps; ++t) {
    alone = w * alone;
    fed = w * fed + 1;
  }
  EXPECT_NEAR(alone.item(), power, 1e-14);
  EXPECT_NEAR(gradient(alone, {w})[0].item(), slope, 1e-13);
  EXPECT_NEAR(fed.item(), 7.1757046352, 1e-10);
  EXPECT_NEAR(gradient(fed, {w})[0].item(), 34.0997748211, 1e-10);
  EXPECT_NEAR(fed.item(), (1 - power) / (1 - kW), 1e-13);
  EXPECT_NEAR(gradient(fed, {w})[0].item(), (1 - power - slope * (1 - kW)) / ((1 - kW) * (1 - kW)),
              1e-12);
}

// ---- The step ----------------------------------------------------------------------------------

Tensor<double> column(const std::vector<double>& numbers) {
  return Tensor<double>({std::ssize(numbers), 1}, numbers);
}

// One unit with weights of 1, c_n = 1 and no other bias, x = 1 and h = 1/2: r = z = sigmoid(3/2).
// The two other variants in the literature give other numbers.
TEST(Gru, OfOneUnitIsPyTorchsVariant) {
  const GruCell<double> cell("gru", column({1, 1, 1}), column({1, 1, 1}), Tensor<double>({3}),
                             Tensor<double>({3}, {0, 0, 1}));
  const double got = cell(cell.input_sums(column({1})), column({0.5})).item();

  const double r = sigmoid_of(1.5);
  const double z = r;
  const double n = std::tanh(1 + r * (0.5 + 1));
  const double reset_first = std::tanh(1 + (r * 0.5 + 1));
  EXPECT_NEAR(got, (1 - z) * n + z * 0.5, 1e-15);
  EXPECT_NEAR(got, 0.5870123346, 1e-10);
  EXPECT_NEAR(z * n + (1 - z) * 0.5, 0.8899622291, 1e-10) << "z says how much is replaced";
  EXPECT_NEAR((1 - z) * reset_first + z * 0.5, 0.5882861048, 1e-10) << "r before the product";
}

// The formulas, unit by unit, with the weights at their places in the stacked matrices.
Tensor<double> step_by_formula(const Gru<double>& gru, const Tensor<double>& x,
                               const Tensor<double>& h) {
  const Index hidden = h.extent(1);
  Tensor<double> next(h.shape());
  for (Index n = 0; n < h.extent(0); ++n)
    for (Index k = 0; k < hidden; ++k) {
      auto input = [&](Index gate) {
        double sum = gru.bias_ih.value()(gate * hidden + k);
        for (Index i = 0; i < x.extent(1); ++i)
          sum += gru.weight_ih.value()(gate * hidden + k, i) * x(n, i);
        return sum;
      };
      auto state = [&](Index gate) {
        double sum = gru.bias_hh.value()(gate * hidden + k);
        for (Index l = 0; l < hidden; ++l)
          sum += gru.weight_hh.value()(gate * hidden + k, l) * h(n, l);
        return sum;
      };
      const double r = sigmoid_of(input(0) + state(0));
      const double z = sigmoid_of(input(1) + state(1));
      const double candidate = std::tanh(input(2) + r * state(2));
      next.set({n, k}, (1 - z) * candidate + z * h(n, k));
    }
  return next;
}

TEST(Gru, IsTheFormulaUnitByUnit) {
  Rng rng(1);
  const Gru<double> gru("gru", 3, 4, rng);
  const Tensor<double> x = gaussian_numbers<double>({5, 3}, 1);
  const Tensor<double> h = gaussian_numbers<double>({5, 4}, 2);
  const GruCell<double> cell = gru.cell();
  EXPECT_LE(distance(cell(cell.input_sums(x), h).value(), step_by_formula(gru, x, h)), 1e-15 * 4);
}

TEST(Gru, StepIsFourteenNodesOnTheTape) {
  Rng rng(1);
  const Gru<double> gru("gru", 3, 4, rng);
  Tape<double> tape;
  const GruCell<double> cell = gru.cell();
  const PerGate<double> x = cell.input_sums(Tensor<double>({5, 3}));
  Var<double> h = cell(x, Tensor<double>({5, 4}));
  for (int step = 0; step < 3; ++step) {
    const Index before = tape.size();
    h = cell(x, h);
    EXPECT_EQ(tape.size() - before, 14);
  }
}

// W [a b] = W_a a + W_b b, with the biases once.
TEST(Gru, GatesOfTheWholeAreTheSumOfThoseOfItsParts) {
  Rng rng(1);
  const GruCell<double> cell = Gru<double>("gru", 5, 4, rng).cell();
  const Tensor<double> x = gaussian_numbers<double>({3, 5}, 1);
  const PerGate<double> whole = cell.input_sums(x);
  const PerGate<double> parts = cell.input_sums_of_part(slice(x, 1, 0, 2), 0) +
                                cell.input_sums_of_part(slice(x, 1, 2, 4), 2) +
                                cell.input_sums_of_part(slice(x, 1, 4, 5), 4);
  EXPECT_LE(distance(parts.r.value(), whole.r.value()), 1e-15 * 4);
  EXPECT_LE(distance(parts.z.value(), whole.z.value()), 1e-15 * 4);
  EXPECT_LE(distance(parts.n.value(), whole.n.value()), 1e-15 * 4);
}

// gather_rows is all that an embedding needs: of a table's sums as of the table itself.
TEST(Gru, GatesOfSymbolsAreRowsOfThoseOfTheTable) {
  Rng rng(1);
  const GruCell<double> cell = Gru<double>("gru", 5, 4, rng).cell();
  const Tensor<double> table = gaussian_numbers<double>({7, 5}, 1);
  const std::vector<Index> symbols = {3, 0, 3, 6};
  const PerGate<double> rows = gather_rows(cell.input_sums(table), symbols);
  const PerGate<double> direct = cell.input_sums(gather_rows(table, symbols));
  EXPECT_LE(distance(rows.r.value(), direct.r.value()), 1e-15 * 4);
  EXPECT_LE(distance(rows.z.value(), direct.z.value()), 1e-15 * 4);
  EXPECT_LE(distance(rows.n.value(), direct.n.value()), 1e-15 * 4);
}

// ---- Over many steps ---------------------------------------------------------------------------

// With weights of 0, n = tanh(b_n + r c_n) = 0 and h' = z h with z = sigmoid(b_z + c_z).
TEST(Gru, WithoutWeightsForgetsByItsUpdateGate) {
  struct Bias {
    double b, c, expected;  // sigmoid(b + c)^12
  };

  for (const Bias& bias :
       {Bias{0, 0, std::ldexp(1, -12)}, Bias{1, 0, 0.0233037672}, Bias{0.25, 0.75, 0.0233037672}}) {
    Tape<double> tape;
    const GruCell<double> cell("gru", Tensor<double>({3, 1}), Tensor<double>({3, 1}),
                               Tensor<double>({3}, {0, bias.b, 0}),
                               Tensor<double>({3}, {0, bias.c, 0}));
    const PerGate<double> x = cell.input_sums(column({1}));
    const Var<double> start = tape.leaf(column({0.5}));
    Var<double> h = start;
    for (int t = 0; t < 12; ++t) h = cell(x, h);
    const double slope = gradient(sum(h), {start})[0].item();
    EXPECT_NEAR(slope, std::pow(sigmoid_of(bias.b + bias.c), 12), 1e-15);
    EXPECT_NEAR(slope, bias.expected, 1e-10);
  }
}

// Which b_z keeps half over 28 steps: ln(q / (1 - q)) with q = 2^(-1/28).
TEST(Gru, KeepsHalfOverTwentyEightStepsWithTheBiasThatTheFormulaGives) {
  const double q = std::exp2(-1.0 / 28);
  EXPECT_NEAR(std::log(q / (1 - q)), 3.686, 5e-4);
  EXPECT_NEAR(std::pow(sigmoid_of(std::log(q / (1 - q))), 28), 0.5, 1e-14);
}

TEST(Gru, HasTheGradientsThatDifferencesShowThroughSixSteps) {
  for (Init init : {Init::kPyTorch, Init::kGlorot}) {
    Rng rng(1);
    Gru<double> gru("gru", 2, 3, rng, init);
    Parameter<double> start("start", gaussian_numbers<double>({2, 3}, 1));
    std::vector<Tensor<double>> inputs;
    for (unsigned t = 0; t < 6; ++t) inputs.push_back(gaussian_numbers<double>({2, 2}, 10 + t));
    auto last_state = [&] {
      const GruCell<double> cell = gru.cell();
      Var<double> h = start;
      for (const Tensor<double>& x : inputs) h = cell(cell.input_sums(x), h);
      return h;
    };
    Parameters<double> all = gru.parameters();
    all.push_back(&start);
    const GradcheckReport report = gradcheck(last_state, all, {.second_order = true});
    EXPECT_TRUE(report) << report;
  }
}

// The same through the parts of an input and the rows of a table.
TEST(Gru, HasTheGradientsOfWhatItsInputsAreMadeOf) {
  Rng rng(1);
  Gru<double> gru("gru", 5, 3, rng);
  Parameter<double> table("table", gaussian_numbers<double>({4, 3}, 1));
  Parameter<double> code("code", gaussian_numbers<double>({2, 2}, 2));
  const std::vector<std::vector<Index>> symbols = {{0, 3}, {1, 1}, {3, 2}};
  auto last_state = [&] {
    const GruCell<double> cell = gru.cell();
    const PerGate<double> of_table = cell.input_sums_of_part(table, 0);
    const PerGate<double> of_code = cell.input_sums_of_part(code, 3);
    Var<double> h = Tensor<double>({2, 3});
    for (const std::vector<Index>& step : symbols)
      h = cell(gather_rows(of_table, step) + of_code, h);
    return h;
  };
  Parameters<double> all = gru.parameters();
  all.push_back(&table);
  all.push_back(&code);
  const GradcheckReport report = gradcheck(last_state, all, {.second_order = true});
  EXPECT_TRUE(report) << report;
}

// ---- Parameters --------------------------------------------------------------------------------

TEST(Gru, NamesItsParametersAsPyTorchDoes) {
  Rng rng(1);
  Gru<float> gru("encoder", 5, 4, rng);
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  for (const Parameter<float>* p : gru.parameters()) {
    names.push_back(p->name());
    shapes.push_back(p->shape());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.weight_ih_l0", "encoder.weight_hh_l0",
                                             "encoder.bias_ih_l0", "encoder.bias_hh_l0"}));
  EXPECT_EQ(shapes, (std::vector<Shape>{{12, 5}, {12, 4}, {12}, {12}}));
}

TEST(Gru, BeginsAsItsInitialisationStates) {
  constexpr Index kIn = 20;
  constexpr Index kHidden = 50;
  Rng rng(7);
  const Gru<double> pytorch("gru", kIn, kHidden, rng);
  for (const Parameter<double>* p :
       {&pytorch.weight_ih, &pytorch.weight_hh, &pytorch.bias_ih, &pytorch.bias_hh})
    expect_uniform(p->value(), 1 / std::sqrt(50.0));

  const Gru<double> glorot("gru", kIn, kHidden, rng, Init::kGlorot);
  expect_uniform(glorot.weight_ih.value(), std::sqrt(6.0 / (kIn + kHidden)));
  EXPECT_EQ(max(abs(glorot.bias_ih.value())).item(), 0);
  EXPECT_EQ(max(abs(glorot.bias_hh.value())).item(), 0);
  std::vector<Tensor<double>> gates;
  for (Index gate = 0; gate < 3; ++gate) {
    gates.push_back(slice(glorot.weight_hh.value(), 0, gate * kHidden, (gate + 1) * kHidden));
    EXPECT_LE(distance(matmul_nt(gates[gate], gates[gate]), identity<double>(kHidden)), 1e-14);
  }
  EXPECT_GT(distance(gates[0], gates[1]), 0.1);
  EXPECT_GT(distance(gates[1], gates[2]), 0.1);

  EXPECT_EQ(error_of([&] { Gru<double>("gru", 2, 3, rng, Init::kHe); }),
            "Gru: there is no relu in it; take kPyTorch or kGlorot, not kHe");
}

// Of every orthogonal matrix as likely as others, an element has the mean 0 and the variance 1/n.
TEST(RandomOrthogonal, HasElementsOfTheVarianceThatLengthOneGives) {
  Rng rng(3);
  constexpr Index kN = 4;
  constexpr int kDraws = 4000;
  Tensor<double> sum({kN, kN});
  Tensor<double> squares({kN, kN});
  for (int draw = 0; draw < kDraws; ++draw) {
    const Tensor<double> q = random_orthogonal<double>(kN, rng);
    sum += q;
    squares += square(q);
  }
  // Var(q) = 1/4, and Var(q^2) = 3 / (n (n + 2)) - 1 / n^2 = 1/16.
  EXPECT_LE(max(abs(sum)).item() / kDraws, 5 * std::sqrt(0.25 / kDraws));
  EXPECT_LE(distance(squares * (1.0 / kDraws), full<double>({kN, kN}, 0.25)),
            5 * std::sqrt(1.0 / 16 / kDraws));
}

TEST(Gru, SaysWhichWasGivenWhatDoesNotFit) {
  Rng rng(1);
  const GruCell<double> cell = Gru<double>("decoder", 5, 4, rng).cell();
  for (const Shape& shape : {Shape{2, 6}, Shape{2, 4}, Shape{5}, Shape{2, 1, 5}, Shape{}})
    EXPECT_EQ(error_of([&] { cell.input_sums(Tensor<double>(shape)); }),
              fmt::format("decoder.weight_ih_l0: expects inputs (N, 5), but was given {}", shape));
  for (Index begin : {Index{-1}, Index{4}, Index{6}, Index{1} << 62})
    EXPECT_EQ(error_of([&] {
                cell.input_sums_of_part(Tensor<double>({2, 2}), begin);
              }),
              fmt::
                  format("decoder.weight_ih_l0: expects a part of inputs (N, 5), but was given (2, "
                         "2) from {} on",
                         begin));

  const PerGate<double> x = cell.input_sums(Tensor<double>({2, 5}));
  for (const Shape& shape : {Shape{1, 4}, Shape{3, 4}, Shape{2, 5}, Shape{4}, Shape{}})
    EXPECT_EQ(error_of([&] { cell(x, Tensor<double>(shape)); }),
              fmt::format("decoder.weight_ih_l0: expects a state (N, 4) and sums of the same "
                          "shape, but was given {} and (2, 4)",
                          shape));
  EXPECT_EQ(cell(cell.input_sums(Tensor<double>({0, 5})), Tensor<double>({0, 4})).shape(),
            (Shape{0, 4}));
  EXPECT_THAT(error_of([&] { Gru<float>("gru", 0, 4, rng); }), HasSubstr("no elements"));
  EXPECT_THAT(error_of([&] { Gru<float>("gru", 4, 0, rng); }), HasSubstr("no elements"));
  EXPECT_THAT(error_of([&] { Gru<float>("gru", 4, -2, rng); }), HasSubstr("negative"));
}

}  // namespace
}  // namespace gradus::nn
