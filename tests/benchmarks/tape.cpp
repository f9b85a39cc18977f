#include "autograd/tape.hpp"

#include <cmath>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "lessons/13_vae/model.hpp"
#include "lessons/kit/data.hpp"
#include "nn/minibatches.hpp"
#include "nn/optimizers.hpp"
#include "tensor/parallel.hpp"
#include "tests/benchmarks/timing.hpp"
#include "tests/benchmarks/vae_by_hand.hpp"

// What the tape costs: on scalars, where the operations themselves cost next to nothing, and in a
// step of the reference VAE, beside the same step written by hand.
using namespace gradus;
using namespace gradus::benchmarks;
using lesson13::Vae;

namespace {
// x <- x a + b, again and again: each operation has two inputs that need a gradient.
void scalar_chain(benchmark::State& state) {
  constexpr int kOperations = 10000;
  Parameter<float> x0("x", 0.5f), a("a", 0.999f), b("b", 0.001f);
  double forward = 0, sweep = 0, total = 0;
  for (auto _ : state) {
    const Stopwatch whole;
    {
      Tape<float> tape;
      Stopwatch part;
      Var<float> x = x0;
      for (int i = 0; i < kOperations / 2; ++i) x = x * a + b;
      forward += part.lap();
      tape.backward(x);
      sweep += part.lap();
    }
    const double seconds = whole.seconds();
    total += seconds;
    state.SetIterationTime(seconds);
    for (Parameter<float>* p : {&x0, &a, &b}) p->grad = Tensor<float>();
  }
  const double scale = 1e9 / kOperations / static_cast<double>(state.iterations());
  state.counters["forward_ns"] = forward * scale;
  state.counters["sweep_ns"] = sweep * scale;
  state.counters["total_ns"] = total * scale;  // with making and freeing the tape
}

BENCHMARK(scalar_chain)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Repetitions(5)
    ->ReportAggregatesOnly();

// One of the two models that are trained in turn, by the same seeds.
struct Model {
  Model() : vae(kPixels, kHidden, kLatents, rng), parameters(vae.parameters()) {}

  void clear_gradients() {
    for (Parameter<float>* p : parameters) p->grad = Tensor<float>();
  }

  Rng rng{0};
  Vae<float> vae;
  nn::Parameters<float> parameters;
  nn::Adam<float> adam{parameters};
};

float step_by_tape(const Vae<float>& vae, const Tensor<float>& x, const Tensor<float>& noise) {
  Tape<float> tape;
  const Var<float> loss = -mean(vae.elbo(x, noise).total());
  tape.backward(loss);
  return loss.item();
}

double length(const Tensor<float>& x) {
  double total = 0;
  for (double v : x) total += v * v;
  return std::sqrt(total);
}

// Throws Error unless loss and gradients of both sides agree to 1e-5 of their length.
void check(Model& tape, Model& hand, const Tensor<float>& x, const Tensor<float>& noise) {
  constexpr double kTolerance = 1e-5;
  const double a = step_by_tape(tape.vae, x, noise), b = step_by_hand(hand.parameters, x, noise);
  if (!(std::fabs(a - b) <= kTolerance * std::fabs(a)))
    fail("the loss is {} with the tape, but {} by hand", a, b);
  double worst = 0;
  for (std::size_t k = 0; k < tape.parameters.size(); ++k) {
    const Tensor<float>&g = tape.parameters[k]->grad, &by_hand = hand.parameters[k]->grad;
    const double error = length(g - by_hand) / length(g);
    if (!(error <= kTolerance))
      fail("the gradient of {} is off by {:.2g} of its length by hand", tape.parameters[k]->name(),
           error);
    worst = std::max(worst, error);
  }
  fmt::print("gradients with the tape and by hand agree to {:.1g}\n", worst);
  tape.clear_gradients();
  hand.clear_gradients();
}

void compare_steps(const std::vector<Tensor<float>>& batches, const Tensor<float>& noise,
                   bool with_adam) {
  constexpr int kRounds = 9, kPasses = 4;
  Model by_tape, by_hand;
  auto time = [&](Model& model, auto step) {
    const Stopwatch watch;
    for (int pass = 0; pass < kPasses; ++pass)
      for (const Tensor<float>& x : batches) {
        step(x);
        if (with_adam)
          model.adam.step();
        else
          model.clear_gradients();
      }
    return 1e3 * watch.seconds() / static_cast<double>(kPasses * batches.size());
  };
  std::vector<double> tape, hand, ratio;
  for (int round = -1; round < kRounds; ++round) {
    const double t = time(by_tape, [&](auto& x) { step_by_tape(by_tape.vae, x, noise); });
    const double h = time(by_hand, [&](auto& x) { step_by_hand(by_hand.parameters, x, noise); });
    if (round < 0) continue;  // the first brings memory and code into the caches
    tape.push_back(t);
    hand.push_back(h);
    ratio.push_back(t / h);
  }
  fmt::print("\n{}, {} rounds in turn: median (least to most)\n",
             with_adam ? "forward, backward and Adam" : "forward and backward", kRounds);
  for (const auto& [label, values] :
       {std::pair{"tape, ms", &tape}, {"by hand, ms", &hand}, {"tape / by hand", &ratio}}) {
    const Spread spread(*values);
    fmt::print("  {:<15} {:.3f}  ({:.3f} to {:.3f})\n", label, spread.median, spread.least,
               spread.most);
  }
}
}  // namespace

int main(int argc, char** argv) try {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  fmt::print(
      "A chain of 10,000 scalar operations; nanoseconds per operation in the last columns\n");
  std::fflush(stdout);
  benchmark::RunSpecifiedBenchmarks();

  fmt::print("\nA step of the reference VAE, {}-{}-{}, {} images, {} threads\n", kPixels, kHidden,
             kLatents, kBatch, num_threads());
  const kit::ImageData data = kit::load_images(kit::Options{.quick = true});
  Rng rng(1);
  const Tensor<float> noise = rng.normal<float>({kBatch, kLatents});
  std::vector<Tensor<float>> batches;
  for (const Tensor<float>& x : nn::minibatches(data.train_images, kBatch, rng))
    if (x.extent(0) == kBatch) batches.push_back(x);
  Model tape, hand;
  check(tape, hand, batches.front(), noise);
  compare_steps(batches, noise, false);
  compare_steps(batches, noise, true);

} catch (const Error& error) {
  fmt::print(stderr, "tape: {}\n", error.what());
  return 2;
}
