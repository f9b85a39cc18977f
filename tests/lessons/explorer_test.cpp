#include <cmath>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "lessons/15_evidence/model.hpp"
#include "lessons/21_explorer/model.hpp"
#include "lessons/21_explorer/packing.hpp"
#include "tensor/error.hpp"
#include "tensor/random.hpp"

namespace gradus::lesson21 {
namespace {

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

// Levels 0, 15, 5 (5/15) and 1 (0.05 * 15 = 0.75), two in a byte.
TEST(Explorer, PixelsArePackedInHalvesOfBytes) {
  const Tensor<float> x({1, 4}, {0, 1, 1.0f / 3, 0.05f});
  EXPECT_EQ(pack_pixels(x), "\xf0\x15");
  EXPECT_NEAR(round_pixels(x)(0, 3), 1.0 / 15, 1e-7);
}

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
