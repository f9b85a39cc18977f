#pragma once
#include <filesystem>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lessons/kit/lesson.hpp"
#include "lessons/kit/progress.hpp"
#include "nn/minibatches.hpp"
#include "nn/optimizers.hpp"
#include "tensor/random.hpp"

namespace gradus::kit {

// How long a model is trained, and on how many examples at a time.
struct Plan {
  int epochs;
  Index batch;
  bool scheduled = false;  // steps depend on `epochs`, so that --resume refuses another number
};

// What a model is worth after an epoch: one of several numbers with names.
struct Score {
  std::string name;
  double value;
};

// The scores by name: before training, after epoch 1, after epoch 2, ...
using History = std::map<std::string, std::vector<double>>;

// The training of one model in minibatches, epoch by epoch. The loop stays in the lesson:
//
//     kit::Training training(lesson, "vae", {.epochs = 10, .batch = 128}, vae.parameters(), adam,
//                            rng);
//     training.record(measure);  // before training
//     while (!training.done()) {
//       for (const Tensor<float>& x : training.minibatches(images)) {
//         Tape<float> tape;
//         tape.backward(-mean(vae.elbo(x, rng).total()));
//         adam.step();
//       }
//       training.record(measure);
//     }
//
// With each record, all that training needs to go on with the same bits is written to
// checkpoint_NAME.safetensors: the parameters, the optimiser's state, the state of the random
// numbers, and the scores so far. --resume goes on from there.
//
// The lesson, the parameters, the optimiser and the random numbers must outlive this object.
class Training {
 public:
  class Epoch;

  // With --resume, takes everything from the checkpoint, if there is one. Throws Error when it is
  // damaged, and when it is not of this run: of another lesson or model, seed or data set, with
  // --quick or without, of other batches, or with more epochs done than are asked for; where
  // training is scheduled, also of another number of epochs.
  Training(Lesson& lesson, const std::string& name, const Plan& plan,
           nn::Parameters<float> parameters, nn::Optimizer<float>& optimizer, Rng& rng);
  Training(const Training&) = delete;
  Training& operator=(const Training&) = delete;

  // Whether all epochs are done, or Ctrl-C was pressed.
  bool done() const;

  // One epoch: all examples (N, ...) once, in random order, `batch` at a time. Shows how far
  // training is, and ends early at Ctrl-C. Throws Error when there are no examples, and when
  // nothing was recorded before training.
  Epoch minibatches(const Tensor<float>& examples);

  // Measures the model where it now stands, prints the scores and writes the checkpoint: once
  // before training, and once after each epoch. Does nothing where that is done already, before a
  // resumed run, and after an epoch that Ctrl-C cut short. Throws Error when the names of the
  // scores are not those of the last time, and when the checkpoint cannot be written.
  void record(const std::function<std::vector<Score>()>& measure);

  // Epochs that are done: 0 before training.
  int epoch() const;

  // For learning rates that change from step to step: the steps done, in all epochs, and those of
  // the whole training. Both throw Error before the first call of minibatches, which counts them.
  Index step() const;
  Index steps() const;

  // Has epoch() + 1 numbers for each score.
  const History& history() const { return history_; }

 private:
  void require_steps_known() const;
  void require_same_names(const std::vector<Score>& scores) const;
  std::map<std::string, std::string> identity() const;
  void require_same_run(const std::map<std::string, std::string>& metadata) const;
  History history_from(const std::map<std::string, std::string>& metadata) const;
  void save() const;
  void load();
  void print(const std::vector<Score>& scores);

  Lesson& lesson_;
  std::string name_;
  Plan plan_;
  nn::Parameters<float> parameters_;
  nn::Optimizer<float>& optimizer_;
  Rng& rng_;
  std::filesystem::path checkpoint_;
  History history_;
  std::optional<Progress> progress_;  // while there are epochs to do
  Index step_ = 0, steps_an_epoch_ = 0;
};

// The minibatches of one epoch, for a range-based for. Counts a step each time that one is done.
class Training::Epoch {
 public:
  struct Iterator {
    Training* training;
    nn::Minibatches<float>::Iterator batch;

    Tensor<float> operator*() const { return *batch; }

    void operator++() {
      ++batch;
      ++training->step_;
      training->progress_->step();
    }

    bool operator!=(const Iterator& end) const {
      return batch != end.batch && !training->lesson_.interrupted();
    }
  };

  Iterator begin() { return {training_, batches_.begin()}; }

  Iterator end() { return {training_, batches_.end()}; }

 private:
  friend class Training;

  Epoch(Training* training, nn::Minibatches<float> batches)
      : training_(training), batches_(std::move(batches)) {}

  Training* training_;
  nn::Minibatches<float> batches_;
};

// Minibatches for a number of steps, however many epochs these are, for what is trained beside a
// lesson's main model: without scores and checkpoints.
//
//     kit::Steps steps(lesson, "training, circle", 6000);
//     for (const Tensor<float>& x : steps.minibatches(points, 128, rng)) ...
//
// Shows how far it is, and ends early at Ctrl-C. The lesson and the random numbers must outlive
// this object.
class Steps {
 public:
  class Batches;

  Steps(Lesson& lesson, const std::string& label, Index steps);
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;

  // All examples (N, ...) once, in random order, `size` at a time; then all again in another order,
  // and so on. Throws Error when there are no examples, or none in a batch.
  Batches minibatches(const Tensor<float>& examples, Index size, Rng& rng);

  // Steps that are done.
  Index done() const { return done_; }

 private:
  Lesson& lesson_;
  Index steps_, done_ = 0;
  Progress progress_;
};

class Steps::Batches {
 public:
  struct Iterator {
    Batches* batches;

    Tensor<float> operator*() const { return *batches->next_; }

    void operator++() { batches->advance(); }

    bool operator==(std::default_sentinel_t) const { return batches->at_end(); }
  };

  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;

  Iterator begin() { return {this}; }

  std::default_sentinel_t end() const { return {}; }

 private:
  friend class Steps;

  Batches(Steps& steps, const Tensor<float>& examples, Index size, Rng& rng);
  void begin_epoch();
  void advance();
  bool at_end() const;

  Steps& steps_;
  Tensor<float> examples_;  // (N, ...)
  Index size_;
  Rng& rng_;
  std::optional<nn::Minibatches<float>> epoch_;
  nn::Minibatches<float>::Iterator next_ = {};
};

}  // namespace gradus::kit
