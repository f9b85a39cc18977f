#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/22_many_machines/model.hpp"
#include "lessons/22_many_machines/scaling.hpp"
#include "lessons/22_many_machines/team.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What of lesson 22 one process can test; tests/many_machines has the rest.
namespace gradus::lesson22 {
namespace {

TEST(ManyMachines, SharesCoverABatchOnceAndDifferByOneAtMost) {
  for (Index n : {0, 1, 7, 96, 128})
    for (int size : {1, 2, 3, 5, 128, 200}) {
      Index next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Share share = share_of(n, rank, size);
        EXPECT_EQ(share.first, next) << n << " rows, rank " << rank << " of " << size;
        EXPECT_GE(share.count, n / size);
        EXPECT_LE(share.count, (n + size - 1) / size);
        next += share.count;
      }
      EXPECT_EQ(next, n);
    }
}

// A batch's gradient, from the whole, and from shares that are computed one after another.
TEST(ManyMachines, TheWeightedMeanOfSharesIsTheGradientOfTheBatch) {
  Rng rng(3);
  lesson13::Vae<double> vae(10, 7, 2, rng);
  const nn::Parameters<double> parameters = vae.parameters();
  const Index batch = 11;
  const Tensor<double> x = rng.uniform<double>({batch, 10});
  const Tensor<double> noise = rng.normal<double>({batch, 2});
  const auto backward = [&](const Share& share) {
    Tape<double> tape;
    tape.backward(-mean(vae.elbo(rows(share, x), rows(share, noise)).total()));
  };
  backward({0, batch});
  std::vector<Tensor<double>> whole;
  for (Parameter<double>* p : parameters) {
    whole.push_back(p->grad);
    p->grad = Tensor<double>();
  }
  for (int size : {1, 2, 3, 4, 11, 13}) {
    MeanGradient<double> gradient(parameters);
    for (int rank = 0; rank < size; ++rank) {
      const Share share = share_of(batch, rank, size);
      if (share.count > 0) backward(share);
      gradient.add(share.count, batch);
    }
    gradient.finish(Team(), batch);
    for (std::size_t k = 0; k < parameters.size(); ++k) {
      const double difference = max(abs(parameters[k]->grad - whole[k])).item();
      EXPECT_LT(difference, 1e-12 * max(abs(whole[k])).item())
          << parameters[k]->name() << " of " << size;
      parameters[k]->grad = Tensor<double>();
    }
  }
}

TEST(ManyMachines, AFingerprintSeesEachBit) {
  Rng rng(1);
  Parameter<float> a("a", rng.normal<float>({5, 30}));
  Parameter<float> b("b", rng.normal<float>({7}));
  const nn::Parameters<float> parameters = {&a, &b};
  const std::uint64_t before = fingerprint(parameters);
  for (Parameter<float>* p : parameters)
    for (Index i : {Index{0}, p->value().size() / 2, p->value().size() - 1})
      for (int bit = 0; bit < 32; ++bit) {
        const Tensor<float> old = p->value();
        Tensor<float> changed = old;
        std::uint32_t word = 0;
        float* const number = changed.mutable_data() + i;
        std::memcpy(&word, number, sizeof word);
        word ^= std::uint32_t{1} << bit;
        std::memcpy(number, &word, sizeof word);
        p->set_value(changed);
        EXPECT_NE(fingerprint(parameters), before) << p->name() << " " << i << ", bit " << bit;
        p->set_value(old);
      }
  EXPECT_EQ(fingerprint(parameters), before);
}

// The sign is a word's highest bit, which a product only ever hands on to itself. Places that
// differ by 64 share a lane.
TEST(ManyMachines, AFingerprintSeesTwoSignsThatFlip) {
  Rng rng(1);
  Parameter<float> weight("weight", rng.normal<float>({300}));
  const nn::Parameters<float> parameters = {&weight};
  const std::uint64_t before = fingerprint(parameters);
  const Tensor<float> old = weight.value();
  for (Index first : {0, 7, 63})
    for (Index apart : {1, 63, 64, 128, 192}) {
      Tensor<float> changed = old;
      float* const numbers = changed.mutable_data();
      numbers[first] = -numbers[first];
      numbers[first + apart] = -numbers[first + apart];
      weight.set_value(changed);
      EXPECT_NE(fingerprint(parameters), before) << first << " and " << first + apart;
    }
}

// Four machines with a block of four pieces each: three rounds in which a piece goes on to the
// neighbour and is added there, and three in which a sum goes on and is kept.
TEST(ManyMachines, ARingSendsEachPieceSixTimes) {
  const Network network{"", 1e-3, 1e-6};
  EXPECT_NEAR(ring_seconds(network, 4000, 4), 6 * (1e-3 + 1000 * 1e-6), 1e-15);
  EXPECT_EQ(ring_seconds(network, 4000, 1), 0);
}

TEST(ManyMachines, ALineIsFoundAgain) {
  const Network network{"", 2e-6, 3e-10};
  std::vector<double> bytes;
  std::vector<double> seconds;
  for (double n = 1024; n < 2e7; n *= 4) {
    bytes.push_back(n);
    seconds.push_back(ring_seconds(network, n, 5));
  }
  const Network found = network_of("", fit_line(bytes, seconds), 5);
  EXPECT_NEAR(found.latency, network.latency, 1e-9 * network.latency);
  EXPECT_NEAR(found.per_byte, network.per_byte, 1e-9 * network.per_byte);
}

// Two sizes measured twice, 10 % above and below: the line passes so that both errors weigh alike.
TEST(ManyMachines, ErrorsCountByWhatWasMeasured) {
  const Line line = fit_line({1, 1, 3, 3}, {0.9, 1.1, 90, 110});
  // The least sum of ((y - y_i) / y_i)^2 at one x is at y = sum(1 / y_i) / sum(1 / y_i^2).
  const double at_1 = (1 / 0.9 + 1 / 1.1) / (1 / 0.81 + 1 / 1.21);
  EXPECT_NEAR(line.at_zero + line.slope, at_1, 1e-12);
  EXPECT_NEAR(line.at_zero + 3 * line.slope, 100 * at_1, 1e-10);
}

TEST(ManyMachines, TheBestNumberOfMachinesIsFasterThanItsNeighbours) {
  const Machine machine{5e-4, 4e-5};
  const Network network{"", 2e-6, 1e-10};
  const double bytes = 2.6e6;
  const double best = best_machines(machine, network, bytes, 128);
  EXPECT_GT(best, 1);
  const double at_best = step_seconds(machine, network, bytes, 128, best);
  for (double factor : {0.9, 1.1})
    EXPECT_LT(at_best, step_seconds(machine, network, bytes, 128, factor * best));
  const Network slow{"", 2e-6, 1e-8};
  EXPECT_EQ(best_machines(machine, slow, bytes, 128), 1);
}

}  // namespace
}  // namespace gradus::lesson22
