#pragma once
#include <filesystem>

#include <fmt/core.h>

#include "lessons/kit/lesson.hpp"
#include "nn/optimizers.hpp"
#include "nn/serialization.hpp"
#include "tensor/random.hpp"

// All that a training run needs to go on with the same bits: parameters, the optimiser's state, the
// state of the random numbers, and the scores so far.
namespace gradus::kit {

// Whether to go on from a checkpoint: asked for by --resume, and there. Says what it does.
inline bool resumes(const Lesson& lesson, const std::filesystem::path& checkpoint) {
  if (!lesson.options().resume) return false;
  const bool there = std::filesystem::exists(checkpoint);
  fmt::print("{} {}\n", there ? "Going on from" : "Beginning anew, for there is no",
             checkpoint.string());
  return there;
}

// `history` is (epochs + 1, scores): what was measured before training and after each epoch.
template <class T>
void save_checkpoint(const std::filesystem::path& path, const nn::Parameters<T>& parameters,
                     const nn::Optimizer<T>& optimizer, const Rng& rng, const Tensor<T>& history) {
  io::SafeTensors<T> file;
  nn::save(parameters, file);
  optimizer.save(file);
  file.tensors["history"] = history;
  file.metadata["rng"] = rng.state();
  io::write_safetensors(path, file.tensors, file.metadata);
}

// Returns the history. Throws Error when the file is not one of this model.
template <class T>
Tensor<T> load_checkpoint(const std::filesystem::path& path, const nn::Parameters<T>& parameters,
                          nn::Optimizer<T>& optimizer, Rng& rng) {
  const auto file = io::read_safetensors<T>(path);
  nn::load(parameters, file);
  optimizer.load(file);
  const auto state = file.metadata.find("rng");
  rng.restore(state == file.metadata.end() ? "" : state->second);
  return file.at("history");
}

}  // namespace gradus::kit
