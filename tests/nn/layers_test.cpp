#include "nn/layers.hpp"

#include "tests/autograd/support.hpp"

namespace gradus::nn {
namespace {

using test::error_of;
using test::gaussian_numbers;
using ::testing::HasSubstr;

TEST(Linear, IsTheLoopOverExamplesInputsAndOutputs) {
  Rng rng(1);
  const Linear<double> layer("l", 3, 2, rng);
  const Tensor<double> x = gaussian_numbers<double>({4, 3}, 1), y = layer(x).value();
  ASSERT_EQ(y.shape(), (Shape{4, 2}));
  for (Index n = 0; n < 4; ++n)
    for (Index o = 0; o < 2; ++o) {
      long double expected = layer.bias.value()(o);
      for (Index i = 0; i < 3; ++i) expected += layer.weight.value()(o, i) * 1.0L * x(n, i);
      EXPECT_NEAR(y(n, o), static_cast<double>(expected), 1e-14);
    }
}

TEST(Linear, NamesItsParametersAsPyTorchDoes) {
  Rng rng(1);
  Linear<float> encoder("encoder", 3, 2, rng), decoder("decoder", 2, 3, rng);
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  for (const Parameter<float>* p : parameters<float>(encoder, decoder)) {
    names.push_back(p->name());
    shapes.push_back(p->shape());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.weight", "encoder.bias", "decoder.weight",
                                             "decoder.bias"}));
  EXPECT_EQ(shapes, (std::vector<Shape>{{2, 3}, {2}, {3, 2}, {3}}));
  EXPECT_EQ(count(parameters<float>(encoder, decoder)), 6 + 2 + 6 + 3);
}

TEST(Linear, SaysWhichLayerWasGivenWhatDoesNotFit) {
  Rng rng(1);
  const Linear<double> layer("encoder.hidden", 3, 2, rng);
  for (const Shape& shape : {Shape{4, 2}, Shape{3}, Shape{2, 4, 3}, Shape{}})
    EXPECT_THAT(error_of([&] { return layer(Tensor<double>(shape)); }),
                ::testing::AllOf(HasSubstr("encoder.hidden"), HasSubstr("(N, 3)"),
                                 HasSubstr(shape.str())));
  EXPECT_THAT(error_of([&] { Linear<double>("none", 0, 2, rng); }), HasSubstr("no elements"));
  EXPECT_THAT(error_of([&] { Linear<double>("none", 2, -1, rng); }), HasSubstr("elements"));
}

TEST(Linear, HasTheGradientsThatDifferencesShow) {
  Rng rng(1);
  for (Init init : {Init::kPyTorch, Init::kHe, Init::kGlorot}) {
    Linear<double> layer("l", 3, 2, rng, init);
    const Tensor<double> x = gaussian_numbers<double>({4, 3}, 1);
    const GradcheckReport report =
        gradcheck([&] { return tanh(layer(x)); }, layer.parameters(), {.second_order = true});
    EXPECT_TRUE(report) << report;
  }
}

struct Moments {
  double mean, variance, smallest, largest;
};

Moments moments(const Tensor<double>& x) {
  long double sum = 0, squares = 0;
  for (double v : x) {
    sum += v;
    squares += static_cast<long double>(v) * v;
  }
  const long double n = x.size(), mean = sum / n;
  return {static_cast<double>(mean), static_cast<double>(squares / n - mean * mean),
          *std::min_element(x.begin(), x.end()), *std::max_element(x.begin(), x.end())};
}

// A uniform number within +-b has variance b^2 / 3, and its square has variance 4 b^4 / 45.
void expect_uniform(const Tensor<double>& x, double bound) {
  const Moments m = moments(x);
  const double n = static_cast<double>(x.size()), variance = bound * bound / 3;
  EXPECT_LT(std::fabs(m.mean), 5 * std::sqrt(variance / n));
  EXPECT_LT(std::fabs(m.variance - variance), 5 * std::sqrt(4.0 / 45 / n) * bound * bound);
  EXPECT_GE(m.smallest, -bound);
  EXPECT_LE(m.largest, bound);
  // Of n draws, the largest is within 20/n of the bound but for one time in e^10.
  EXPECT_GT(m.largest, bound * (1 - 20 / n));
  EXPECT_LT(m.smallest, -bound * (1 - 20 / n));
}

// Within 5 standard deviations of what is claimed, for shapes in which (out, in) cannot be swapped.
TEST(InitialWeight, HasTheVarianceThatItsNameClaims) {
  constexpr Index kOut = 500, kIn = 40;
  Rng rng(7);
  expect_uniform(initial_weight<double>(kOut, kIn, Init::kPyTorch, rng), 1 / std::sqrt(40.0));
  expect_uniform(initial_weight<double>(kOut, kIn, Init::kGlorot, rng), std::sqrt(6.0 / 540));
  const Tensor<double> he = initial_weight<double>(kOut, kIn, Init::kHe, rng);
  const Moments m = moments(he);
  const double n = kOut * kIn, variance = 2.0 / kIn;
  EXPECT_EQ(he.shape(), (Shape{kOut, kIn}));
  EXPECT_LT(std::fabs(m.mean), 5 * std::sqrt(variance / n));
  // The variance of a normal square is 2 sigma^4.
  EXPECT_LT(std::fabs(m.variance - variance), 5 * std::sqrt(2 / n) * variance);
  EXPECT_GT(m.largest, 3 * std::sqrt(variance)) << "a uniform one would end at 1.73 sigma";
}

TEST(Linear, BeginsWithTheBiasThatItsInitialisationStates) {
  Rng rng(7);
  EXPECT_EQ(max(abs(Linear<double>("l", 40, 500, rng, Init::kHe).bias.value())).item(), 0);
  EXPECT_EQ(max(abs(Linear<double>("l", 40, 500, rng, Init::kGlorot).bias.value())).item(), 0);
  const Linear<double> layer("l", 40, 500, rng);
  EXPECT_EQ(layer.bias.shape(), (Shape{500}));
  expect_uniform(layer.bias.value(), 1 / std::sqrt(40.0));
}

// He's variance keeps the mean square through relu: E[relu(z)^2] = Var(z) / 2.
TEST(InitialWeight, OfHeKeepsTheScaleThroughManyLayersOfRelu) {
  Rng rng(3);
  Tensor<double> x = rng.normal<double>({64, 256});
  const double before = mean(square(x)).item();
  for (int layer = 0; layer < 10; ++layer)
    x = relu(matmul_nt(x, initial_weight<double>(256, 256, Init::kHe, rng)));
  const double after = mean(square(x)).item();
  EXPECT_GT(after, before / 3);
  EXPECT_LT(after, before * 3);
}

}  // namespace
}  // namespace gradus::nn
