#include "nn/convolution.hpp"

#include <cmath>

#include "autograd/reduce.hpp"
#include "tests/autograd/support.hpp"
#include "tests/nn/support.hpp"

namespace gradus::nn {
namespace {

using test::distance;
using test::error_of;
using test::expect_normal;
using test::expect_uniform;
using test::gaussian_numbers;
using ::testing::AllOf;
using ::testing::HasSubstr;

const Window kHalf = {.size = 4, .stride = 2, .padding = 1};
const Window kThree = {.size = 3, .stride = 2, .padding = 1};

TEST(Conv2d, IsTheConvolutionAndABiasForEachFeature) {
  Rng rng(1);
  const Conv2d<double> layer("c", 2, 3, kThree, rng);
  const Tensor<double> x = gaussian_numbers<double>({2, 7, 6, 2}, 1);
  const Tensor<double> y = layer(x).value();
  const Tensor<double> without_bias = conv2d_naive(x, layer.weight.value(), kThree);
  ASSERT_EQ(y.shape(), (Shape{2, 4, 3, 3}));
  for (Index n = 0; n < 2; ++n)
    for (Index i = 0; i < 4; ++i)
      for (Index j = 0; j < 3; ++j)
        for (Index o = 0; o < 3; ++o)
          EXPECT_NEAR(y(n, i, j, o), without_bias(n, i, j, o) + layer.bias.value()(o), 1e-14);
}

TEST(ConvTranspose2d, IsTheTransposedConvolutionAndABias) {
  Rng rng(1);
  const ConvTranspose2d<double> layer("c", 3, 2, kThree, rng);
  const Tensor<double> x = gaussian_numbers<double>({2, 4, 3, 3}, 1);
  const Tensor<double> y = layer(x, 8, 5).value();
  const Tensor<double> without_bias = conv2d_transpose_naive(x, layer.weight.value(), kThree, 8, 5);
  ASSERT_EQ(y.shape(), (Shape{2, 8, 5, 2}));
  for (Index n = 0; n < 2; ++n)
    for (Index i = 0; i < 8; ++i)
      for (Index j = 0; j < 5; ++j)
        for (Index c = 0; c < 2; ++c)
          EXPECT_NEAR(y(n, i, j, c), without_bias(n, i, j, c) + layer.bias.value()(c), 1e-14);
}

// 4 pixels need no extents to be given; of 3, the least extent is one short of 14.
TEST(ConvTranspose2d, TakesTheLeastExtentsUnlessToldOthers) {
  Rng rng(1);
  const Tensor<float> x({1, 7, 7, 3});
  EXPECT_EQ(ConvTranspose2d<float>("c", 3, 2, kHalf, rng)(x).shape(), (Shape{1, 14, 14, 2}));
  const ConvTranspose2d<float> three("c", 3, 2, kThree, rng);
  EXPECT_EQ(three(x).shape(), (Shape{1, 13, 13, 2}));
  EXPECT_EQ(three(x, 14, 13).shape(), (Shape{1, 14, 13, 2}));
  EXPECT_EQ(three(three.weight.value().reshape({1, 3, 6, 3})).shape(), (Shape{1, 5, 11, 2}));
}

TEST(ConvolutionLayers, NameTheirParametersAsPyTorchDoes) {
  Rng rng(1);
  Conv2d<float> down("encoder.0", 2, 3, kHalf, rng);
  ConvTranspose2d<float> up("decoder.0", 2, 3, kHalf, rng);
  std::vector<std::string> names;
  std::vector<Shape> shapes;
  for (const Parameter<float>* p : parameters<float>(down, up)) {
    names.push_back(p->name());
    shapes.push_back(p->shape());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.0.weight", "encoder.0.bias",
                                             "decoder.0.weight", "decoder.0.bias"}));
  EXPECT_EQ(shapes, (std::vector<Shape>{{3, 2, 4, 4}, {3}, {2, 3, 4, 4}, {3}}));
}

TEST(ConvolutionLayers, TakeNoImagesAndGiveNone) {
  Rng rng(1);
  Conv2d<double> down("c", 2, 3, kHalf, rng);
  Tape<double> tape;
  const Var<double> y = down(Tensor<double>({0, 8, 6, 2}));
  EXPECT_EQ(y.shape(), (Shape{0, 4, 3, 3}));
  tape.backward(sum(y));  // of a sum of nothing
  EXPECT_EQ(ConvTranspose2d<double>("c", 3, 2, kHalf, rng)(y.value()).shape(), (Shape{0, 8, 6, 2}));
}

TEST(ConvolutionLayers, SayWhichWasGivenWhatDoesNotFit) {
  Rng rng(1);
  const Conv2d<double> down("encoder.0", 2, 3, kHalf, rng);
  for (const Shape& shape : {Shape{4, 8, 8, 3}, Shape{4, 2, 8, 8}, Shape{4, 128}, Shape{},
                             Shape{4, 1, 8, 2}, Shape{4, 8, 1, 2}, Shape{4, 0, 8, 2}})
    EXPECT_EQ(error_of([&] { down(Tensor<double>(shape)); }),
              fmt::format("encoder.0.weight: expects (N, H, W, 2) of 2 x 2 pixels or more, but was "
                          "given {}",
                          shape));
  EXPECT_EQ(down(Tensor<double>({4, 2, 2, 2})).shape(), (Shape{4, 1, 1, 3}));

  const ConvTranspose2d<double> up("decoder.0", 2, 3, kThree, rng);
  for (const Shape& shape : {Shape{4, 8, 8, 3}, Shape{4, 2, 8, 8}, Shape{4, 128}, Shape{}}) {
    const std::string message =
        fmt::format("decoder.0.weight: expects (N, H, W, 2), but was given {}", shape);
    EXPECT_EQ(error_of([&] { up(Tensor<double>(shape)); }), message);
    EXPECT_EQ(error_of([&] { up(Tensor<double>(shape), 8, 8); }), message);
  }
  EXPECT_THAT(error_of([&] {
                up(Tensor<double>({4, 7, 7, 2}), 15, 14);
              }),
              HasSubstr("from 13 to 14"));

  const Window narrow = {.size = 1, .padding = 2};  // an output of -3 x -3 pixels
  const ConvTranspose2d<double> none("none", 2, 3, narrow, rng);
  EXPECT_THAT(error_of([&] { none(Tensor<double>({4, 1, 1, 2})); }), HasSubstr("no extent at all"));
}

TEST(ConvolutionLayers, AreRefusedWithoutChannelsOrAWindow) {
  Rng rng(1);
  EXPECT_THAT(error_of([&] { Conv2d<float>("c", 0, 2, kHalf, rng); }), HasSubstr("no elements"));
  EXPECT_THAT(error_of([&] { Conv2d<float>("c", 2, -1, kHalf, rng); }), HasSubstr("negative"));
  EXPECT_THAT(error_of([&] { ConvTranspose2d<float>("c", 2, 0, kHalf, rng); }),
              HasSubstr("no elements"));
  for (const Window& window : {Window{0}, Window{3, 0}, Window{3, 1, -1}}) {
    EXPECT_THAT(error_of([&] { Conv2d<float>("c", 1, 1, window, rng); }),
                HasSubstr("size and stride must be 1 or more"));
    EXPECT_THAT(error_of([&] { ConvTranspose2d<float>("c", 1, 1, window, rng); }),
                HasSubstr("size and stride must be 1 or more"));
  }
}

TEST(ConvolutionLayers, HaveTheGradientsThatDifferencesShow) {
  for (Init init : {Init::kPyTorch, Init::kHe, Init::kGlorot}) {
    Rng rng(1);
    Conv2d<double> down("down", 1, 2, kThree, rng, init);
    ConvTranspose2d<double> up("up", 2, 1, kHalf, rng, init);
    const Tensor<double> x = gaussian_numbers<double>({2, 5, 6, 1}, 1);
    const GradcheckReport report = gradcheck([&] { return tanh(up(tanh(down(x)))); },
                                             parameters<double>(down, up), {.second_order = true});
    EXPECT_TRUE(report) << report;
  }
}

// ---- How they begin, with numbers of channels that cannot be taken for each other
// ----------------

constexpr Index kIn = 20;
constexpr Index kOut = 30;
const Window kFive = {.size = 5, .stride = 2};

TEST(Conv2d, BeginsAsItsInitialisationStates) {
  Rng rng(7);
  const Conv2d<double> pytorch("c", kIn, kOut, kFive, rng);
  expect_uniform(pytorch.weight.value(), 1 / std::sqrt(kIn * 25.0));
  expect_uniform(Conv2d<double>("c", 1, 5000, kFive, rng).bias.value(), 1 / std::sqrt(25.0));

  const Conv2d<double> he("c", kIn, kOut, kFive, rng, Init::kHe);
  expect_normal(he.weight.value(), 2 / (kIn * 25.0));
  EXPECT_EQ(max(abs(he.bias.value())).item(), 0);

  const Conv2d<double> glorot("c", kIn, kOut, kFive, rng, Init::kGlorot);
  expect_uniform(glorot.weight.value(), std::sqrt(6 / (kIn * 25.0 + kOut * 25.0 / 4)));
}

// PyTorch's bound is that of torch.nn.init._calculate_fan_in_and_fan_out for a weight (in, out, K,
// K), which takes the second extent for the number of inputs.
TEST(ConvTranspose2d, BeginsAsItsInitialisationStates) {
  Rng rng(7);
  const ConvTranspose2d<double> pytorch("c", kIn, kOut, kFive, rng);
  expect_uniform(pytorch.weight.value(), 1 / std::sqrt(kOut * 25.0));
  expect_uniform(ConvTranspose2d<double>("c", 1, 5000, kFive, rng).bias.value(),
                 1 / std::sqrt(5000 * 25.0));

  const ConvTranspose2d<double> he("c", kIn, kOut, kFive, rng, Init::kHe);
  expect_normal(he.weight.value(), 2 / (kIn * 25.0 / 4));
  EXPECT_EQ(max(abs(he.bias.value())).item(), 0);

  const ConvTranspose2d<double> glorot("c", kIn, kOut, kFive, rng, Init::kGlorot);
  expect_uniform(glorot.weight.value(), std::sqrt(6 / (kIn * 25.0 / 4 + kOut * 25.0)));
}

// He's start keeps the mean square through relu, E[relu(z)^2] = Var(z) / 2, where no window sees
// the padding and every pixel is in as many windows: with 4 pixels, steps of 2 and 2 cut off.
TEST(ConvolutionLayers, OfHeKeepTheScaleThroughRelu) {
  Rng rng(5);
  const Tensor<double> x = relu(rng.normal<double>({64, 8, 8, 60}));
  const double before = mean(square(x)).item();
  const Conv2d<double> down("down", 60, 80, {.size = 4, .stride = 2}, rng, Init::kHe);
  const ConvTranspose2d<double> up("up", 60, 80, {.size = 4, .stride = 2, .padding = 2}, rng,
                                   Init::kHe);
  EXPECT_NEAR(mean(square(relu(down(x).value()))).item(), before, 0.1 * before);
  EXPECT_NEAR(mean(square(relu(up(x).value()))).item(), before, 0.1 * before);
}

}  // namespace
}  // namespace gradus::nn
