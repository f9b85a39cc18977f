#include <cstdio>

#include <fmt/format.h>
#include <sys/resource.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/kit/data.hpp"
#include "nn/minibatches.hpp"
#include "nn/optimizers.hpp"
#include "tensor/parallel.hpp"
#include "tests/benchmarks/arguments.hpp"
#include "tests/benchmarks/timing.hpp"
#include "tests/benchmarks/vae_by_hand.hpp"

// Trains the reference VAE as lesson 13 does, and says how long an epoch takes, and where it goes.
// vae_pytorch.py is its peer.
using namespace gradus;
using namespace gradus::benchmarks;
using lesson13::evaluate;
using lesson13::Vae;

namespace {
constexpr const char* kUsage = "vae_epoch [EPOCHS] [SEED] [LATENT]";

// Returns the training -ELBO: the mean over all images, each at its own batch's turn.
double train_epoch(Vae<float>& vae, nn::Adam<float>& adam, const Tensor<float>& train, Rng& rng) {
  double total = 0;
  for (const Tensor<float>& x : nn::minibatches(train, kBatch, rng)) {
    Tape<float> tape;
    const Var<float> loss = -mean(vae.elbo(x, rng).total());
    tape.backward(loss);
    adam.step();
    total += loss.item() * static_cast<double>(x.extent(0));
  }
  return total / static_cast<double>(train.extent(0));
}

// Of one epoch: seconds, but for the last.
struct Breakdown {
  double data = 0, noise = 0, gradients = 0, adam = 0;  // added up over an epoch
  double products = 0, elementwise = 0;                 // alone, as often as in an epoch
  double gflop = 0;                                     // operations of the products
};

Breakdown measure_parts(Vae<float>& vae, nn::Adam<float>& adam, const Tensor<float>& train,
                        Rng& rng) {
  Breakdown parts;
  Tensor<float> some, noise;
  Stopwatch watch;
  for (const Tensor<float>& x : nn::minibatches(train, kBatch, rng)) {
    parts.data += watch.lap();
    const Tensor<float> e = rng.normal<float>({x.extent(0), vae.latents()});
    parts.noise += watch.lap();
    {
      Tape<float> tape;
      tape.backward(-mean(vae.elbo(x, e).total()));
    }
    parts.gradients += watch.lap();
    adam.step();
    parts.adam += watch.lap();
    if (some.empty()) {
      some = x;
      noise = e;
    }
    watch.lap();  // the copy is no part of the next step's data
  }

  const nn::Parameters<float> parameters = vae.parameters();
  const std::vector<Product> products = products_of_step(parameters, some, noise);
  const double steps = static_cast<double>(train.extent(0)) / static_cast<double>(some.extent(0));
  for (const Product& p : products) parts.gflop += 1e-9 * p.flop() * steps;
  auto multiply_all = [&] {
    for (const Product& p : products) multiply(p.form, p.a, p.b);
  };
  // The step by hand. It asks for its products in the order in which they were recorded, and gets
  // these instead of computing them.
  auto do_the_rest = [&] {
    std::size_t next = 0;
    step_by_hand(parameters, some, noise, [&](Form, const Tensor<float>&, const Tensor<float>&) {
      return products[next++].value;
    });
  };
  multiply_all();  // once untimed, to warm the caches
  do_the_rest();
  parts.products = steps * seconds_per_call(0.5, multiply_all);
  parts.elementwise = steps * seconds_per_call(0.5, do_the_rest);
  return parts;
}

void print(const Breakdown& parts) {
  const double total = parts.data + parts.noise + parts.gradients + parts.adam;
  fmt::print(
      "\nWhere an epoch goes. Measured after the epochs above, in one more whose steps' parts are\n"
      "timed: {:.3f} s. Products and elementwise work are those of the step written by hand, each\n"
      "repeated alone; the tape is what is left of forward and backward.\n",
      total);
  auto line = [&](const char* part, double seconds, const std::string& note = "") {
    fmt::print("  {:<16} {:6.3f} s  {:5.1f} %{}\n", part, seconds, 100 * seconds / total, note);
  };
  line("matrix products", parts.products,
       fmt::format("  {:.1f} GFLOP, {:.1f} GFLOP/s", parts.gflop, parts.gflop / parts.products));
  line("elementwise", parts.elementwise);
  line("tape", parts.gradients - parts.products - parts.elementwise);
  line("Adam", parts.adam);
  line("data", parts.data);
  line("noise", parts.noise);
}

double peak_megabytes() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;  // Linux counts in kilobytes
}

void run(Index epochs, Index seed, Index latents) {
  const kit::ImageData data = kit::load_images(kit::Options{});
  if (data.train_images.extent(0) != 60000)
    fail("60,000 images are needed, but here is {}; install dataset-fashion-mnist",
         data.provenance);
  fmt::print("VAE {}-{}-{}, batches of {}, {} threads\n", kPixels, kHidden, latents, kBatch,
             num_threads());
  Rng rng(static_cast<std::uint64_t>(seed));
  Vae<float> vae(kPixels, kHidden, latents, rng);
  nn::Adam<float> adam(vae.parameters(), {.learning_rate = 1e-3});
  for (Index epoch = 1; epoch <= epochs; ++epoch) {
    const Stopwatch watch;
    const double negative_elbo = train_epoch(vae, adam, data.train_images, rng);
    fmt::print("epoch {}: {:.3f} s, train -ELBO {:.3f}\n", epoch, watch.seconds(), negative_elbo);
    std::fflush(stdout);
  }
  fmt::print("test -ELBO {:.3f}\n", evaluate(vae, data.test_images, Rng(1)).negative_elbo());
  const double megabytes = peak_megabytes();  // before the breakdown keeps what training frees
  print(measure_parts(vae, adam, data.train_images, rng));
  fmt::print("\npeak memory {:.0f} MB\n", megabytes);
}
}  // namespace

int main(int argc, char** argv) try {
  if (argc > 4) fail("at most 3 arguments.\nusage: {}", kUsage);
  run(argument(argc, argv, 1, "EPOCHS", 1, 1, kUsage),
      argument(argc, argv, 2, "SEED", 0, 0, kUsage),
      argument(argc, argv, 3, "LATENT", kLatents, 1, kUsage));

} catch (const Error& error) {
  fmt::print(stderr, "vae_epoch: {}\n", error.what());
  return 2;
}
