#include "nn/layers.hpp"

#include "tests/autograd/support.hpp"
#include "tests/nn/support.hpp"

namespace gradus::nn {
namespace {

using test::error_of;
using test::expect_normal;
using test::expect_uniform;
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

// Within 5 standard deviations of what is claimed, for shapes in which (out, in) cannot be swapped.
TEST(InitialWeight, HasTheVarianceThatItsNameClaims) {
  constexpr Index kOut = 500, kIn = 40;
  Rng rng(7);
  expect_uniform(initial_weight<double>(kOut, kIn, Init::kPyTorch, rng), 1 / std::sqrt(40.0));
  expect_uniform(initial_weight<double>(kOut, kIn, Init::kGlorot, rng), std::sqrt(6.0 / 540));
  const Tensor<double> he = initial_weight<double>(kOut, kIn, Init::kHe, rng);
  EXPECT_EQ(he.shape(), (Shape{kOut, kIn}));
  expect_normal(he, 2.0 / kIn);
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
