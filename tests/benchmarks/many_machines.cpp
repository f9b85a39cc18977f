#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/22_many_machines/model.hpp"
#include "lessons/22_many_machines/team.hpp"
#include "lessons/kit/data.hpp"
#include "nn/minibatches.hpp"
#include "nn/optimizers.hpp"
#include "tensor/parallel.hpp"
#include "tests/benchmarks/arguments.hpp"
#include "tests/benchmarks/timing.hpp"

// Trains lesson 13's VAE as lesson 22 does, by one process or under mpirun, and says how long an
// epoch takes and where it goes. many_machines.sh compares.
using namespace gradus;
using namespace gradus::benchmarks;
using namespace gradus::lesson22;

namespace {
constexpr const char* kUsage = "many_machines [EPOCHS]";

void run(const Team& team, Index epochs) {
  const kit::ImageData data = kit::load_images(kit::Options{});
  constexpr Index kBatch = 128;
  constexpr Index kLatents = 20;
  Rng rng(0);
  lesson13::Vae<float> vae(784, 400, kLatents, rng);
  nn::Adam<float> adam(vae.parameters(), {.learning_rate = 1e-3});
  MeanGradient<float> gradient(vae.parameters());
  if (team.rank() == 0) fmt::print("processes: {}, threads each: {}\n", team.size(), num_threads());
  for (Index epoch = 1; epoch <= epochs; ++epoch) {
    double draw = 0;
    double backward = 0;
    double average = 0;
    double step = 0;
    double check = 0;
    Index steps = 0;
    team.wait();
    const Stopwatch whole;
    Stopwatch watch;
    for (const Tensor<float>& x : nn::minibatches(data.train_images, kBatch, rng)) {
      const Index batch = x.extent(0);
      const Tensor<float> noise = rng.normal<float>({batch, kLatents});
      draw += watch.lap();
      const Share mine = share_of(batch, team.rank(), team.size());
      {
        Tape<float> tape;
        tape.backward(-mean(vae.elbo(rows(mine, x), rows(mine, noise)).total()));
      }
      backward += watch.lap();
      gradient.average(team, mine.count, batch);
      average += watch.lap();
      adam.step();
      step += watch.lap();
      require_same_parameters(team, vae.parameters(), ++steps);
      check += watch.lap();
    }
    if (team.rank() == 0)
      fmt::print(
          "epoch {}: {:.3f} s (images and noise {:.3f}, gradients {:.3f}, averaging {:.3f}, Adam "
          "{:.3f}, comparing {:.3f})\n",
          epoch, whole.seconds(), draw, backward, average, step, check);
    std::fflush(stdout);
  }
}
}  // namespace

int main(int argc, char** argv) try {
  const Team team = Team::started_together();
  if (team.size() > 1) setenv("GRADUS_NUM_THREADS", "1", 0);
  if (argc > 2) fail("at most 1 argument.\nusage: {}", kUsage);
  run(team, argument(argc, argv, 1, "EPOCHS", 3, 1, kUsage));

} catch (const Error& error) {
  fmt::print(stderr, "many_machines: {}\n", error.what());
  return 2;
}
