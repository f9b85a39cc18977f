#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "lessons/08_convolutional_autoencoder/model.hpp"
#include "lessons/09_sequence_autoencoder/model.hpp"
#include "lessons/09_sequence_autoencoder/words.hpp"
#include "lessons/kit/data.hpp"
#include "nn/minibatches.hpp"
#include "nn/optimizers.hpp"
#include "tensor/parallel.hpp"
#include "tensor/reduce.hpp"
#include "tests/benchmarks/arguments.hpp"
#include "tests/benchmarks/timing.hpp"

// Trains the model of lesson 08 or 09 as the lesson does, and says how long an epoch takes. The
// peers are convolutional_autoencoder.py and sequence_autoencoder.py in tests/references.
using namespace gradus;
using namespace gradus::benchmarks;

namespace {
constexpr const char* kUsage = "lesson_epoch 08|09 [EPOCHS] [SEED]";
constexpr Index kBatch = 128;

// Calls step(minibatch, number of the step, all steps), and says how long each epoch of them took.
template <class Step>
void time_epochs(Index epochs, const Tensor<float>& examples, Rng& rng, const Step& step) {
  const Index an_epoch = (examples.extent(0) + kBatch - 1) / kBatch;
  Index number = 0;
  for (Index epoch = 1; epoch <= epochs; ++epoch) {
    double loss = 0;
    const Stopwatch watch;
    for (const Tensor<float>& x : nn::minibatches(examples, kBatch, rng))
      loss += step(x, number++, epochs * an_epoch);
    fmt::print("epoch {}: {:.3f} s, training loss {:.4f}\n", epoch, watch.seconds(),
               loss / static_cast<double>(an_epoch));
    std::fflush(stdout);
  }
}

void train_images(Index epochs, Rng& rng) {
  const kit::ImageData data = kit::load_images(kit::Options{});
  lesson08::ConvolutionalAutoencoder<float> model({.side = data.height}, rng,
                                                  mean(data.train_images).item());
  nn::Adam<float> adam(model.parameters());
  fmt::print("Convolutional autoencoder, {} images in batches of {}, {} threads\n",
             data.train_images.extent(0), kBatch, num_threads());
  time_epochs(epochs, data.train_images, rng, [&](const Tensor<float>& x, Index step, Index steps) {
    adam.options.learning_rate = lesson05::cosine_schedule(2e-3, step, steps);
    Tape<float> tape;
    const Var<float> loss = mean(model.loss(x));
    tape.backward(loss);
    adam.step();
    return loss.item();
  });
}

void train_words(Index epochs, Rng& rng) {
  const lesson09::WordList list = lesson09::read_words(kit::data_file("words.txt"));
  const Tensor<float> words = lesson09::symbols_of<float>(list.train);
  lesson09::SequenceAutoencoder<float> model({}, lesson09::Reading::kBackwards, rng);
  nn::Adam<float> adam(model.parameters());
  fmt::print("Sequence autoencoder, {} words in batches of {}, {} threads\n", words.extent(0),
             kBatch, num_threads());
  time_epochs(epochs, words, rng, [&](const Tensor<float>& x, Index step, Index steps) {
    adam.options.learning_rate = lesson09::warm_cosine_schedule(5e-3, step, steps);
    Tape<float> tape;
    const Var<float> loss = model.loss(x);
    tape.backward(loss);
    lesson09::clip_gradients(model.parameters(), 1);
    adam.step();
    return loss.item();
  });
}
}  // namespace

int main(int argc, char** argv) try {
  const std::string lesson = argc > 1 ? argv[1] : "";
  if (argc > 4 || (lesson != "08" && lesson != "09"))
    fail("it needs a lesson, and at most 2 more arguments.\nusage: {}", kUsage);
  const Index epochs = argument(argc, argv, 2, "EPOCHS", 1, 1, kUsage);
  Rng rng(static_cast<std::uint64_t>(argument(argc, argv, 3, "SEED", 0, 0, kUsage)));
  if (lesson == "08")
    train_images(epochs, rng);
  else
    train_words(epochs, rng);

} catch (const Error& error) {
  fmt::print(stderr, "lesson_epoch: {}\n", error.what());
  return 2;
}
