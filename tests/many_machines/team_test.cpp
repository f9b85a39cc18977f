// Run by mpirun with 1, 2, 3 and 4 processes: what a team computes is what one process computes.
#include "lessons/22_many_machines/team.hpp"

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/22_many_machines/model.hpp"
#include "nn/optimizers.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson22 {
namespace {

using lesson13::Vae;

const Team* team = nullptr;  // of this run

constexpr Index kPixels = 12, kHidden = 9, kLatents = 3,
                kBatch = 11;  // 2, 3 and 4 do not divide 11
constexpr int kSteps = 30;

template <class T> Tensor<T> flat(const nn::Parameters<T>& parameters) {
  std::vector<Tensor<T>> parts;
  for (const Parameter<T>* p : parameters) parts.push_back(p->value().reshape({-1}));
  return concatenate(parts);
}

// Trains as `members` do; each step's parameters are compared over the team.
template <class T> Tensor<T> train(const Team& members, Index batch, int steps) {
  Rng rng(5);
  Vae<T> vae(kPixels, kHidden, kLatents, rng);
  nn::Adam<T> adam(vae.parameters(), {.learning_rate = 1e-2});
  MeanGradient<T> gradient(vae.parameters());
  for (int step = 1; step <= steps; ++step) {
    const Tensor<T> x = rng.uniform<T>({batch, kPixels});
    const Tensor<T> noise = rng.normal<T>({batch, kLatents});
    const Share mine = share_of(batch, members.rank(), members.size());
    if (mine.count > 0) {
      Tape<T> tape;
      tape.backward(-mean(vae.elbo(rows(mine, x), rows(mine, noise)).total()));
    }
    gradient.average(members, mine.count, batch);
    adam.step();
    require_same_parameters(members, vae.parameters(), step);
  }
  return flat(vae.parameters());
}

template <class T> double largest_difference(const Tensor<T>& a, const Tensor<T>& b) {
  return static_cast<double>(max(abs(a - b)).item());
}

TEST(Team, TakesTheStepsOfOneProcess) {
  const Team alone;
  EXPECT_LT(largest_difference(train<double>(*team, kBatch, kSteps),
                               train<double>(alone, kBatch, kSteps)),
            1e-10);
}

TEST(Team, TakesThemInFloatToRounding) {
  const Team alone;
  EXPECT_LT(largest_difference(train<float>(*team, kBatch, 3), train<float>(alone, kBatch, 3)),
            1e-4);
}

TEST(Team, MayHaveMembersWithoutAShare) {
  const Team alone;
  EXPECT_LT(largest_difference(train<double>(*team, 2, kSteps), train<double>(alone, 2, kSteps)),
            1e-10);
}

TEST(Team, ThatPartsNamesTheStepAndTheRank) {
  if (team->size() == 1) GTEST_SKIP() << "one process cannot part from itself";
  Parameter<float> weight("weight", Tensor<float>({3}));
  nn::Parameters<float> parameters = {&weight};
  require_same_parameters(*team, parameters, 6);
  if (team->rank() == 1) {
    Tensor<float> other({3});
    other.mutable_data()[2] = -0.0f;  // one bit
    weight.set_value(other);
  }
  try {
    require_same_parameters(*team, parameters, 7);
    FAIL() << "no error";
  } catch (const SharedError& error) {
    EXPECT_THAT(error.what(), ::testing::StartsWith("step 7: rank 1 has other parameters"));
  }
}

TEST(Team, RefusesSharesThatAreNotTheBatch) {
  Parameter<float> weight("weight", Tensor<float>({3}));
  MeanGradient<float> gradient({&weight});
  EXPECT_THROW(gradient.average(*team, 2, 2 * team->size() + 1), SharedError);
}

TEST(Team, StopsTogether) {
  Parameter<float> weight("weight", Tensor<float>({3}));
  MeanGradient<float> gradient({&weight});
  const Index batch = team->size();
  EXPECT_FALSE(gradient.average(*team, 1, batch, false));
  EXPECT_TRUE(gradient.average(*team, 1, batch, team->rank() == team->size() - 1));
  EXPECT_FALSE(gradient.average(*team, 1, batch, false));
}

TEST(Team, TellsWhatRankSays) {
  const std::string said = "rank " + std::to_string(team->rank());
  EXPECT_EQ(team->broadcast(said), "rank 0");
  const int last = team->size() - 1;
  EXPECT_EQ(team->broadcast(said, last), "rank " + std::to_string(last));
  std::vector<std::uint64_t> ranks;
  for (int rank = 0; rank < team->size(); ++rank) ranks.push_back(std::uint64_t(rank));
  EXPECT_EQ(team->gather(std::uint64_t(team->rank())), ranks);
}

TEST(Team, HasSmallerTeamsInIt) {
  for (int n = 1; n <= team->size(); ++n) {
    const Team part = team->first(n);
    const bool inside = team->rank() < n;
    EXPECT_EQ(part.size(), inside ? n : 1);
    double count = 1;
    part.sum(std::span(&count, 1));
    EXPECT_EQ(count, inside ? n : 1);
  }
}

TEST(Team, IsAsLargeAsAsked) {
  const char* asked = std::getenv("GRADUS_TEST_PROCESSES");
  ASSERT_TRUE(asked);
  EXPECT_EQ(team->size(), std::atoi(asked));
}

}  // namespace
}  // namespace gradus::lesson22

int main(int argc, char** argv) {
  setenv("GRADUS_NUM_THREADS", "1", 0);
  ::testing::InitGoogleTest(&argc, argv);
  const gradus::lesson22::Team team = gradus::lesson22::Team::started_together();
  gradus::lesson22::team = &team;
  return RUN_ALL_TESTS();
}
