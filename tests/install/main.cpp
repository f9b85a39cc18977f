// A project of somebody else's: fits y = 2 x - 1 by gradient descent, and saves the line.
#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "nn/layers.hpp"
#include "nn/optimizers.hpp"
#include "nn/serialization.hpp"

int main() {
  using namespace gradus;
  Rng rng(0);
  nn::Linear<float> line("line", 1, 1, rng);
  nn::Sgd<float> sgd(line.parameters(), {.learning_rate = 0.1});
  const Tensor<float> x = arange<float>(21).reshape({21, 1}) / 10 - 1;
  for (int step = 0; step < 500; ++step) {
    Tape<float> tape;
    tape.backward(mean(square(line(x) - (x * 2 - 1))));
    sgd.step();
  }
  nn::save_file(line.parameters(), "line.safetensors");
  fmt::print("y = {:.4f} x + {:.4f}\n", line.weight.item(), line.bias.item());
  return std::abs(line.weight.item() - 2) + std::abs(line.bias.item() + 1) < 1e-4 ? 0 : 1;
}
