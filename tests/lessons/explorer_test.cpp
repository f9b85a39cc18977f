#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "lessons/15_evidence/model.hpp"
#include "lessons/21_explorer/model.hpp"
#include "lessons/21_explorer/packing.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tests/lessons/support.hpp"

namespace gradus::lesson21 {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

// ---- Packing -----------------------------------------------------------------------------------

// RFC 4648, section 10.
TEST(Explorer, Base64IsThatOfTheStandard) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("\xff\xfe\xfd"), "//79");
}

TEST(Explorer, ZlibUnpacksWhatIsGzipped) {
  std::string bytes;
  for (int i = 0; i < 10000; ++i) bytes.push_back(static_cast<char>(i * i));
  std::string packed = gzip(bytes);
  z_stream stream = {};
  ASSERT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);  // of gzip
  std::string unpacked(bytes.size() + 1, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(unpacked.data());
  stream.avail_out = static_cast<uInt>(unpacked.size());
  EXPECT_EQ(inflate(&stream, Z_FINISH), Z_STREAM_END);
  inflateEnd(&stream);
  unpacked.resize(stream.total_out);
  EXPECT_EQ(unpacked, bytes);
}

TEST(Explorer, WholeNumbersArePackedLowerBytesFirst) {
  EXPECT_EQ(pack_whole({0x0102, -1}), std::string("\x02\xff\x01\xff"));
}

// Levels 0, 15, 5 (5/15) and 1 (0.05 * 15 = 0.75), two in a byte: in an image of one row as they
// are. In one of two columns the second row is less the first: 5 - 0 and 1 - 15 = -14 = 2 - 16.
TEST(Explorer, PixelsArePackedLessThoseAbove) {
  const Tensor<float> x({1, 4}, {0, 1, 1.0f / 3, 0.05f});
  EXPECT_EQ(pack_pixels(x, 4), "\xf0\x15");
  EXPECT_EQ(pack_pixels(x, 2), "\xf0\x25");
  EXPECT_NEAR(round_pixels(x)(0, 3), 1.0 / 15, 1e-7);
}

// The first row of an image is not less the last one of the image before.
TEST(Explorer, PixelsOfTwoImagesArePackedApart) {
  const Tensor<float> x({2, 2}, {1, 1, 1, 1});
  EXPECT_EQ(pack_pixels(x, 2), "\xff\xff");
  EXPECT_EQ(pack_pixels(x, 1), std::string("\x0f\x0f"));
}

// The check value of CRC-32 (RFC 1952's polynomial).
TEST(Explorer, TheChecksumIsThatOfGzip) { EXPECT_EQ(crc32_of("123456789"), 0xcbf43926u); }

TEST(Explorer, AWeightMovesByHalfAStepAtMost) {
  Parameter<double> p("p", Tensor<double>({4}, {0.5, -0.3, 1e-6, 0.1234}));
  Parameter<double> zero("zero", Tensor<double>({2}));
  const Tensor<double> before = p.value();
  std::vector<std::int16_t> whole;
  const std::vector<double> scales = round_weights<double>({&p, &zero}, whole);
  ASSERT_EQ(whole.size(), 6u);
  EXPECT_EQ(whole[0], 8191);
  EXPECT_EQ(whole[5], 0);
  EXPECT_DOUBLE_EQ(scales[0], 0.5 / 8191);
  for (Index i = 0; i < 4; ++i) {
    EXPECT_LE(std::abs(p.value()(i) - before(i)), scales[0] / 2 * (1 + 1e-9));
    EXPECT_DOUBLE_EQ(p.value()(i), scales[0] * whole[i]);
  }
}

TEST(Explorer, AMarkMustStandInThePageOnce) {
  std::string page = "a @X@ b";
  fill_in(page, "@X@", "y");
  EXPECT_EQ(page, "a y b");
  EXPECT_THAT([&] { fill_in(page, "@X@", "y"); },
              ThrowsMessage<Error>(HasSubstr("'@X@' must stand there once")));
  page = "@X@ @X@";
  EXPECT_THROW(fill_in(page, "@X@", "y"), Error);
}

// ---- Weights from files ------------------------------------------------------------------------

class ExplorerWeights : public kit::Kit {
 protected:
  // Writes a model's weights and returns the file.
  fs::path write(Index pixels, Index latents, float first = 0.5f) {
    Rng rng(1);
    Vae<float> vae(pixels, 4, latents, rng);
    Tensor<float> weight = vae.parameters().front()->value();
    *weight.mutable_data() = first;
    vae.parameters().front()->set_value(weight);
    const fs::path path = directory_ / "vae.safetensors";
    nn::save_file(vae.parameters(), path);
    return path;
  }

  // What a model of 3 pixels and 2 latents says of a file; empty where it takes it.
  std::string problem_of(const fs::path& path) {
    Rng rng(2);
    Vae<float> vae(3, 4, 2, rng);
    const Tensor<float> before = vae.parameters().front()->value();
    try {
      load_weights(vae.parameters(), path);
    } catch (const Error& error) {
      EXPECT_EQ(vae.parameters().front()->value()(0, 0), before(0, 0));
      return error.what();
    }
    EXPECT_EQ(vae.parameters().front()->value()(0, 0), 0.5f);
    return "";
  }
};

TEST_F(ExplorerWeights, OfThisModelAreTaken) { EXPECT_EQ(problem_of(write(3, 2)), ""); }

TEST_F(ExplorerWeights, OfOtherShapesAreNamedWithBoth) {
  EXPECT_THAT(problem_of(write(5, 2)),
              AllOf(HasSubstr("vae.safetensors"), HasSubstr("'encoder.weight'"),
                    HasSubstr("(4, 5)"), HasSubstr("(4, 3)")));
  EXPECT_THAT(problem_of(write(3, 20)),
              AllOf(HasSubstr("vae.safetensors"), HasSubstr("'to_mean.weight'"),
                    HasSubstr("(20, 4)"), HasSubstr("(2, 4)")));
}

TEST_F(ExplorerWeights, ThatAreDamagedAreNamed) {
  const fs::path path = write(3, 2);
  const auto size = fs::file_size(path);
  fs::resize_file(path, size - 4);
  EXPECT_THAT(problem_of(path), AllOf(HasSubstr("vae.safetensors"), HasSubstr("bytes")));
  fs::resize_file(path, 0);
  EXPECT_THAT(problem_of(path), AllOf(HasSubstr("vae.safetensors"), HasSubstr("truncated")));
  fs::remove(path);
  EXPECT_THAT(problem_of(path), HasSubstr("vae.safetensors is not there"));
}

TEST_F(ExplorerWeights, ThatAreNoNumbersAreNamed) {
  const fs::path path = write(3, 2, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(problem_of(path), HasSubstr("'encoder.weight' holds nan"));
  write(3, 2, -std::numeric_limits<float>::infinity());
  EXPECT_THAT(problem_of(path), HasSubstr("holds -inf"));
}

// ---- Two latents -------------------------------------------------------------------------------

struct Somewhere {
  Rng rng{7};
  Vae<float> vae{3, 4, 2, rng};
  Tensor<float> x{{1, 3}, {1, 0, 0.4f}};
};

// Against the mean of many draws, within four standard errors.
TEST(Explorer, TheElboByAGridIsTheMeanOverDraws) {
  Somewhere at;
  const Parts exact = exact_parts(at.vae, at.x);
  const Index n = 40000;
  const Tensor<float> copies = gather_rows(at.x, std::vector<Index>(n, 0));
  const Tensor<double> drawn = cast<double>(at.vae.elbo(copies, at.rng).reconstruction.value());
  const double average = mean(drawn).item();
  const double error = std::sqrt(mean(square(drawn - average)).item() / static_cast<double>(n));
  EXPECT_GT(error, 0);
  EXPECT_NEAR(exact.reconstruction, average, 4 * error);
}

TEST(Explorer, LnPOfXIsThatOfAFineGrid) {
  Somewhere at;
  const Grid fine{8, 400};
  const double expected = lesson15::log_evidence(at.vae, at.x, fine).item();
  EXPECT_NEAR(evidence_of(at.vae, at.x, {8, 60}).log_evidence, expected, 1e-4);
}

// A decoder whose logits are a z_1 at n pixels and a z_2 at n others. For an image that is p
// everywhere, ln p(x, z) is a sum of one term for each z_k, n (p a z_k - ln(1 + e^(a z_k))) - z_k^2
// / 2, and ln p(x) one of two integrals. Its top is where sigmoid(a z_k) is p, and with n = 200 and
// a = 8 the posterior is 0.02 wide: a fifth of a cell of the grid.
struct Narrow {
  static constexpr Index kPixels = 400;
  static constexpr double kSlope = 8;

  Rng rng{1};
  Vae<float> vae{kPixels, 4, 2, rng};
  double share;
  Tensor<float> x;

  explicit Narrow(double share)
      : share(share), x(full<float>({1, kPixels}, static_cast<float>(share))) {
    const nn::Parameters<float> theta = vae.theta();
    // Hidden units max(z_1, 0), max(-z_1, 0), max(z_2, 0), max(-z_2, 0).
    theta[0]->set_value(Tensor<float>({4, 2}, {1, 0, -1, 0, 0, 1, 0, -1}));
    theta[1]->set_value(Tensor<float>({4}));
    Tensor<float> to_logits({kPixels, 4});
    for (Index d = 0; d < kPixels; ++d) {
      const Index k = d < kPixels / 2 ? 0 : 2;
      to_logits.mutable_data()[4 * d + k] = kSlope;
      to_logits.mutable_data()[4 * d + k + 1] = -kSlope;
    }
    theta[2]->set_value(to_logits);
    theta[3]->set_value(Tensor<float>({kPixels}));
  }

  double log_evidence() const {
    constexpr int kPoints = 60000;
    const double step = 6.0 / kPoints;
    double integral = 0;
    for (int i = 0; i < kPoints; ++i) {
      const double z = -3 + step * (i + 0.5);
      const double of_pixels = share * kSlope * z - std::log1p(std::exp(kSlope * z));
      integral += step * std::exp(kPixels / 2 * of_pixels - z * z / 2);
    }
    return 2 * std::log(integral / std::sqrt(2 * std::numbers::pi));
  }
};

// In the middle of a cell, on an edge and beside one.
TEST(Explorer, ANarrowPosteriorIsNotMissed) {
  for (double share : {0.7, 0.5, 0.55, 0.48}) {
    const Narrow at(share);
    for (Index side : {60, 61, 72}) {
      const Evidence evidence = evidence_of(at.vae, at.x, {3, side});
      EXPECT_NEAR(evidence.log_evidence, at.log_evidence(), 0.006) << share << ", " << side;
      const double top = std::log(share / (1 - share)) / Narrow::kSlope;
      for (int k = 0; k < 2; ++k) EXPECT_NEAR(evidence.mean[k], top, 0.002) << share;
    }
  }
}

// A decoder that looks at nothing: the posterior is the prior.
TEST(Explorer, ADeadDecodersPosteriorIsThePrior) {
  Somewhere at;
  for (Parameter<float>* p : at.vae.theta()) p->set_value(Tensor<float>(p->shape()));
  const Evidence evidence = evidence_of(at.vae, at.x, {8, 60});
  EXPECT_NEAR(evidence.log_evidence, -3 * std::numbers::ln2, 1e-5);
  for (int k = 0; k < 2; ++k) {
    EXPECT_NEAR(evidence.mean[k], 0, 1e-5);
    EXPECT_NEAR(evidence.deviation[k], 1, 1e-3);
  }
  const Parts parts = exact_parts(at.vae, at.x);
  EXPECT_NEAR(parts.reconstruction, -3 * std::numbers::ln2, 1e-5);
}

TEST(Explorer, AGridNeedsTwoLatents) {
  Rng rng(1);
  const Vae<float> vae(3, 4, 5, rng);
  const Tensor<float> x({1, 3});
  EXPECT_THAT([&] { evidence_of(vae, x, {4, 10}); }, ThrowsMessage<Error>(HasSubstr("5 latents")));
  EXPECT_THROW(exact_parts(vae, x), Error);
}

// Two normal densities, written out at one point; and a sum over the plane of 1.
TEST(Explorer, TheAggregatePosteriorIsTheMeanOfClouds) {
  const Tensor<float> means({2, 2}, {0.5f, -1, 0, 1});
  const Tensor<float> log_vars({2, 2}, {-1, 0, 0.5f, -2});
  const Grid grid{8, 160};
  const std::vector<double> density = aggregate_density(means, log_vars, grid);
  const auto normal = [](double z, double m, double log_var) {
    return std::exp(-0.5 * (z - m) * (z - m) / std::exp(log_var)) /
           std::sqrt(2 * std::numbers::pi * std::exp(log_var));
  };
  const double z1 = grid.at(90);
  const double z2 = grid.at(70);
  const double expected =
      0.5 * (normal(z1, 0.5, -1) * normal(z2, -1, 0) + normal(z1, 0, 0.5) * normal(z2, 1, -2));
  EXPECT_NEAR(density[90 * grid.side + 70], expected, 1e-12);
  double total = 0;
  for (double p : density) total += p * grid.step() * grid.step();
  EXPECT_NEAR(total, 1, 1e-6);
}

// Where a density is a twentieth of the prior's, all is a hole; where it is the prior's, nothing.
TEST(Explorer, AHoleIsWhereLittleOfThePriorIs) {
  const Grid grid{6, 120};
  const auto prior_times = [&](double factor) {
    std::vector<double> density;
    for (Index p = 0; p < grid.size(); ++p) {
      const double r2 = std::pow(grid.at(p / grid.side), 2) + std::pow(grid.at(p % grid.side), 2);
      density.push_back(factor * std::exp(-r2 / 2) / (2 * std::numbers::pi));
    }
    return density;
  };
  EXPECT_NEAR(prior_in_holes(prior_times(0.05), grid), 1, 1e-6);
  EXPECT_EQ(prior_in_holes(prior_times(0.11), grid), 0);
  std::vector<double> right = prior_times(1);
  std::fill(right.begin(), right.begin() + grid.size() / 2, 0.0);  // z_1 < 0
  EXPECT_NEAR(prior_in_holes(right, grid), 0.5, 1e-6);
}

// Without weights the code is the biases for every image: m = 0.6 and s^2 = e^-1 have the KL
// (0.36 + e^-1 - 1 + 1) / 2, m = 0 and s^2 = 1 none.
TEST(Explorer, TheKlOfALatentIsThatOfANormal) {
  Somewhere at;
  for (Parameter<float>* p : at.vae.phi()) p->set_value(Tensor<float>(p->shape()));
  const nn::Parameters<float> phi = at.vae.phi();
  phi[3]->set_value(Tensor<float>({2}, {0.6f, 0}));
  phi[5]->set_value(Tensor<float>({2}, {-1, 0}));
  const Tensor<float> kl = kl_of_latents(at.vae, concatenate(std::vector{at.x, at.x}));
  EXPECT_EQ(kl.shape(), (Shape{2}));
  EXPECT_NEAR(kl(0), 0.5 * (0.36 + std::exp(-1)), 1e-6);
  EXPECT_EQ(kl(1), 0);
}

TEST(Explorer, AQuantileHasItsShareBelow) {
  std::vector<double> numbers;
  for (int i = 0; i < 100; ++i) numbers.push_back((i * 37) % 100);  // 0 to 99, in another order
  EXPECT_EQ(quantile(numbers, 0.01), 1);
  EXPECT_EQ(quantile(numbers, 0.5), 50);
  EXPECT_EQ(quantile(numbers, 0.99), 99);
  EXPECT_EQ(quantile(numbers, 1), 99);
  EXPECT_EQ(quantile({3}, 0), 3);
  EXPECT_THROW(quantile({}, 0.5), Error);
}

TEST(Explorer, TheNearestImageIsTheNearest) {
  const Tensor<float> images({3, 2}, {0, 0, 1, 1, 0, 1});
  EXPECT_NEAR(distance_to_nearest(Tensor<float>({1, 2}, {0.75f, 1}), images), 0.03125, 1e-7);
}

// ---- Training ----------------------------------------------------------------------------------

TEST(Explorer, TrainingRepeatsWithItsSeed) {
  const Tensor<float> images = Rng(3).uniform<float>({300, 6});
  Trainer one(images, 8, 2, 5);
  Trainer other(images, 8, 2, 5);
  EXPECT_EQ(one.steps_an_epoch(), 3);
  for (int step = 0; step < 7; ++step) {
    const Parts a = one.step_vae(1);
    const Parts b = other.step_vae(1);
    EXPECT_EQ(a.reconstruction, b.reconstruction);
    EXPECT_EQ(a.kl, b.kl);
  }
}

// With beta = 0 only the reconstruction counts; with a large one the KL goes.
TEST(Explorer, BetaPressesTheKlDown) {
  const Tensor<float> images = Rng(3).uniform<float>({128, 6});
  const auto kl_after = [&](double beta) {
    Trainer trainer(images, 16, 2, 5);
    for (int step = 0; step < 400; ++step) trainer.step_vae(beta);
    return trainer.step_vae(beta).kl;
  };
  EXPECT_LT(kl_after(20), 0.02);
  EXPECT_GT(kl_after(0), 0.1);
}

TEST(Explorer, AnAutoencodersStepHasNoKl) {
  Trainer trainer(Rng(3).uniform<float>({128, 6}), 16, 2, 5);
  const Parts first = trainer.step_autoencoder();
  for (int step = 0; step < 200; ++step) trainer.step_autoencoder();
  const Parts last = trainer.step_autoencoder();
  EXPECT_EQ(last.kl, 0);
  EXPECT_GT(last.reconstruction, first.reconstruction);
}

}  // namespace
}  // namespace gradus::lesson21
