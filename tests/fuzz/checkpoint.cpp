#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "autograd/operations.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/linear.hpp"
#include "nn/optimizers.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tensor/random.hpp"
#include "tests/fuzz/harness.hpp"

// Training goes on from what is read, to its end.
namespace gradus::fuzz {
namespace {

const kit::About kAbout = {.name = "00_fuzz", .title = "A lesson that trains", .epochs = 2};
constexpr const char* kCheckpoint = "00_fuzz/checkpoint_model.safetensors";

// A lesson on four examples: whether it trained, or was refused its checkpoint.
bool trains(const std::filesystem::path& out, int epochs) {
  std::vector<std::string> words =
      {"lesson", "--out", out.string(), "--epochs", std::to_string(epochs), "--resume"};
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());

  bool trained = false;
  const int status =
      kit::run(kAbout, static_cast<int>(arguments.size()), arguments.data(),
               [&](kit::Lesson& lesson) {
                 Rng rng(1);
                 nn::Linear<float> model("layer", 2, 1, rng);
                 nn::Adam<float> adam(model.parameters());
                 const auto examples = rng.normal<float>({4, 2});
                 const auto measure = [] { return std::vector<kit::Score>{{"loss", 0.5}}; };
                 try {
                   kit::Training training(lesson, "model", {.epochs = epochs, .batch = 2},
                                          model.parameters(), adam, rng);
                   training.record(measure);
                   while (!training.done()) {
                     for (const Tensor<float>& x : training.minibatches(examples)) {
                       Tape<float> tape;
                       tape.backward(mean(square(model(x))));
                       adam.step();
                     }
                     training.record(measure);
                   }
                   trained = true;
                 } catch (const Error&) {
                   // Refused, in words.
                 }
               });
  require(status == 0, "the lesson ends without another exception");
  return trained;
}

// The file with another name for what it calls `key`.
std::string renamed(std::string bytes, const std::string& key) {
  const std::size_t place = bytes.find('"' + key + '"');
  require(place != bytes.npos, "a checkpoint has its " + key);
  bytes[place + 1] = '?';
  return bytes;
}

}  // namespace

std::vector<Seed> seeds() {
  const TemporaryDirectory directory;
  std::vector<Seed> seeds;
  for (int epochs = 0; epochs <= 2; ++epochs) {
    trains(directory / "", epochs);
    seeds.push_back(
        {"epoch_" + std::to_string(epochs), io::read_file(directory / kCheckpoint), true});
  }
  const std::string whole = seeds.back().bytes;
  seeds.push_back({"cut_off", whole.substr(0, 1000), false});
  for (const char* key : {"rng", "history.loss", "run.seed", "layer.bias", "adam.v.layer.bias"})
    seeds.push_back({std::string("without_") + key, renamed(whole, key), false});
  return seeds;
}

bool accepts(std::string_view bytes) {
  static const TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "00_fuzz");
  write_bytes(directory / kCheckpoint, bytes);
  return trains(directory / "", 2);
}

}  // namespace gradus::fuzz
