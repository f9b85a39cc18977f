#include <gtest/gtest.h>

#include <filesystem>

#include "autograd/gradcheck.hpp"
#include "lessons/13_vae/model.hpp"
#include "tensor/io/idx.hpp"

namespace gradus {
namespace {

constexpr Index kPixels = 6, kHidden = 5, kLatents = 3, kImages = 4;

struct SmallVae : testing::Test {
  Rng rng{7};
  Vae<double> vae{kPixels, kHidden, kLatents, rng};
  Tensor<double> x = rng.uniform<double>({kImages, kPixels});
  Tensor<double> noise = rng.normal<double>({kImages, kLatents});
};

TEST_F(SmallVae, GradientOfTheElboIsRight) {
  const auto report = gradcheck([&] { return vae.elbo(x, noise).total(); }, vae.parameters());
  EXPECT_TRUE(report) << report;
  EXPECT_EQ(report.checked, nn::count(vae.parameters()));
}

// The same weights, images and noise in float and in double: rounding alone stands between them,
// of some hundred operations with unit roundoff 6e-8 each.
TEST(Vae, InFloatAgreesWithDouble) {
  constexpr double kTolerance = 2e-5;  // of the largest element
  Rng rng(8), other(8);
  Vae<float> in_float(784, 400, 20, rng);
  Vae<double> in_double(784, 400, 20, other);
  for (std::size_t k = 0; k < in_float.parameters().size(); ++k)
    in_double.parameters()[k]->set_value(cast<double>(in_float.parameters()[k]->value()));
  const Tensor<float> x = rng.uniform<float>({128, 784}), noise = rng.normal<float>({128, 20});
  auto loss_and_gradients = [&]<class T>(Vae<T>& vae) {
    Tape<T> tape;
    const Var<T> loss = -mean(vae.elbo(cast<T>(x), cast<T>(noise)).total());
    tape.backward(loss);
    return loss.item();
  };
  const double got = loss_and_gradients(in_float), exact = loss_and_gradients(in_double);
  EXPECT_NEAR(got, exact, 1e-6 * exact);
  for (std::size_t k = 0; k < in_float.parameters().size(); ++k) {
    const Tensor<double> g = in_double.parameters()[k]->grad;
    const Tensor<double> difference = cast<double>(in_float.parameters()[k]->grad) - g;
    EXPECT_LE(max(abs(difference)).item(), kTolerance * max(abs(g)).item())
        << in_float.parameters()[k]->name();
  }
}

// "The reconstruction is theta's affair": its gradient with respect to the encoder is not zero.
TEST_F(SmallVae, ReconstructionDependsOnTheEncoderToo) {
  Tape<double> tape;
  tape.backward(sum(vae.elbo(x, noise).reconstruction));
  for (const auto* p : vae.parameters())
    EXPECT_GT(sum(square(p->grad)).item(), 1e-6) << p->name();
}

// The definition, number by number, in long double:  x W^T + b, relu, z = m + s e, and
//   sum_d x_d ln p_d + (1 - x_d) ln(1 - p_d)   and   sum_k (s_k^2 + m_k^2 - 1 - ln s_k^2) / 2.
TEST_F(SmallVae, ElboIsWhatItsDefinitionSays) {
  using Vector = std::vector<long double>;
  const auto weights = vae.parameters();
  auto affine = [&](std::size_t k, const Vector& in) {
    const Tensor<double>&w = weights[2 * k]->value(), &b = weights[2 * k + 1]->value();
    Vector out;
    for (Index i = 0; i < b.size(); ++i) {
      long double sum = b(i);
      for (std::size_t j = 0; j < in.size(); ++j) sum += in[j] * w(i, j);
      out.push_back(sum);
    }
    return out;
  };
  auto rectified = [](Vector v) {
    for (long double& value : v) value = std::max(value, 0.0L);
    return v;
  };
  const Elbo<double> elbo = vae.elbo(x, noise);
  for (Index n = 0; n < kImages; ++n) {
    Vector image, z;
    for (Index d = 0; d < kPixels; ++d) image.push_back(x(n, d));
    const Vector h = rectified(affine(0, image)), mean = affine(1, h), log_var = affine(2, h);
    long double kl = 0, reconstruction = 0;
    for (Index k = 0; k < kLatents; ++k) {
      z.push_back(mean[k] + std::sqrt(std::exp(log_var[k])) * noise(n, k));
      kl += (std::exp(log_var[k]) + mean[k] * mean[k] - 1 - log_var[k]) / 2;
    }
    const Vector logits = affine(4, rectified(affine(3, z)));
    for (Index d = 0; d < kPixels; ++d) {
      const long double p = 1 / (1 + std::exp(-logits[d]));
      reconstruction += image[d] * std::log(p) + (1 - image[d]) * std::log(1 - p);
    }
    EXPECT_NEAR(elbo.reconstruction.value()(n), reconstruction, 1e-12);
    EXPECT_NEAR(elbo.kl.value()(n), kl, 1e-12);
    EXPECT_NEAR(elbo.total().value()(n), reconstruction - kl, 1e-12);
  }
}

TEST_F(SmallVae, DuplicatingTheBatchChangesNothing) {
  const auto twice = [](const Tensor<double>& t) { return concatenate(std::vector{t, t}); };
  Tensor<double> once_grad;
  double once = 0;
  for (bool doubled : {false, true}) {
    Tape<double> tape;
    const Var<double> loss = -mean(
        (doubled ? vae.elbo(twice(x), twice(noise)) : vae.elbo(x, noise)).total());
    tape.backward(loss);
    const Tensor<double> grad = vae.parameters()[0]->grad;
    for (auto* p : vae.parameters()) p->grad = Tensor<double>();
    if (doubled) {
      EXPECT_NEAR(loss.item(), once, 1e-12);
      EXPECT_LT(max(abs(grad - once_grad)).item(), 1e-14);
    }
    once = loss.item();
    once_grad = grad;
  }
}

TEST(Vae, HasTheParametersOfTheReference) {
  Rng rng(0);
  Vae<float> vae(784, 400, 20, rng);
  // 784 * 400 + 400,  2 (400 * 20 + 20),  20 * 400 + 400,  400 * 784 + 784
  EXPECT_EQ(nn::count(vae.parameters()), 314000 + 2 * 8020 + 8400 + 314384);
  EXPECT_EQ(nn::count(vae.parameters()), 652824);
  std::vector<std::string> names;
  for (const auto* p : vae.parameters()) names.push_back(p->name());
  EXPECT_EQ(names, (std::vector<std::string>{"encoder.weight", "encoder.bias", "to_mean.weight",
                                             "to_mean.bias", "to_log_var.weight",
                                             "to_log_var.bias", "decoder.weight", "decoder.bias",
                                             "to_logits.weight", "to_logits.bias"}));
  EXPECT_EQ(vae.parameters()[0]->shape(), (Shape{400, 784}));
}

// H(1/2) = ln 2, H(0) = H(1) = 0, and H(1/4) = 2 ln 2 - (3/4) ln 3.
TEST(Bounds, EntropyOfPixelsIsTheBinaryEntropy) {
  const Tensor<double> x({2, 3}, {0.5, 0, 1, 0.25, 0.5, 0.5});
  const double quarter = 2 * std::log(2.0) - 0.75 * std::log(3.0);
  EXPECT_NEAR(entropy_of_pixels(x), (3 * std::log(2.0) + quarter) / 2, 1e-14);
}

// Training means (1/2, 1/4): on the test image (1, 1/2) they cost -ln(1/2) - (ln(1/4) + ln(3/4))/2.
TEST(Bounds, MeansOfTheTrainingSetAreScoredOnTheTestSet) {
  const Tensor<double> train({2, 2}, {0, 0.5, 1, 0}), test({1, 2}, {1, 0.5});
  EXPECT_NEAR(negative_log_likelihood_of_means(train, test),
              std::log(2.0) - (std::log(0.25) + std::log(0.75)) / 2, 1e-14);
}

// A training set in which some pixel is always black gives 0 ln 0 there, and a test image in which
// it is not costs infinitely much.
TEST(Bounds, PixelsThatAreAlwaysBlackCostNothingUnlessTheyAreNot) {
  const Tensor<double> train({1, 2}, {0, 0.5});
  EXPECT_NEAR(negative_log_likelihood_of_means(train, Tensor<double>({1, 2}, {0, 0.5})),
              std::log(2.0), 1e-14);
  EXPECT_EQ(negative_log_likelihood_of_means(train, Tensor<double>({1, 2}, {0.5, 0.5})), INFINITY);
}

// The two ends of the bracket for Fashion-MNIST were computed elsewhere.
TEST(Bounds, OfFashionMnistAreTheKnownNumbers) {
  const std::filesystem::path directory = "/usr/share/datasets/fashion-mnist";
  if (!std::filesystem::exists(directory)) GTEST_SKIP() << "the data set is not installed";
  const auto train = io::read_idx_images<float>(directory / "train-images-idx3-ubyte.gz");
  const auto test = io::read_idx_images<float>(directory / "t10k-images-idx3-ubyte.gz");
  EXPECT_NEAR(entropy_of_pixels(test.reshape({10000, 784})), 189.858328, 1e-4);
  EXPECT_NEAR(
      negative_log_likelihood_of_means(train.reshape({60000, 784}), test.reshape({10000, 784})),
      385.017604, 1e-4);
}

}  // namespace
}  // namespace gradus
