#include "lessons/kit/training.hpp"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/tape.hpp"
#include "lessons/kit/lesson.hpp"
#include "nn/layers.hpp"
#include "nn/optimizers.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tensor/io/safetensors.hpp"
#include "tensor/reduce.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr Index kExamples = 10, kBatch = 4;  // three steps an epoch

// What a run of the lesson below left behind.
struct Outcome {
  int status = 0;
  std::string out, err;
  std::vector<float> weights;
  History history;
  std::vector<std::vector<float>> epochs;  // the examples that each epoch dealt out
  int epochs_done = 0;
};

class KitTraining : public ::testing::Test {
 protected:
  using Hook = std::function<void(Index)>;

  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "gradus_training_XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }

  void TearDown() override { fs::remove_all(directory_); }

  // A lesson that learns y = 2 x from ten examples, and calls `at` before step 0, 1, 2, ... of what
  // it does, and with -1 before training.
  Outcome run(
      std::vector<std::string> options, const Hook& at = [](Index) {}) {
    return run_lesson(std::move(options), [&](Lesson& lesson, Outcome& outcome) {
      Rng rng(lesson.options().seed);
      nn::Linear<float> layer("layer", 1, 1, rng);
      nn::Adam<float> adam(layer.parameters(), {.learning_rate = 0.1});
      const Tensor<float> x = arange<float>(kExamples).reshape({kExamples, 1});
      const auto loss = [&](const Tensor<float>& part) {
        return mean(square(layer(part) - 2 * part));
      };
      const auto measure = [&] {
        return std::vector<Score>{{"loss", loss(x).item() / 3.0}, {"weight", 0.1}};
      };
      at(-1);
      Training training(lesson, "line", {.epochs = lesson.options().epochs, .batch = kBatch},
                        layer.parameters(), adam, rng);
      training.record(measure);
      Index step = 0;
      while (!training.done()) {
        std::vector<float> dealt;
        for (const Tensor<float>& part : training.minibatches(x)) {
          at(step);
          EXPECT_EQ(training.steps(), lesson.options().epochs * 3);
          EXPECT_EQ(training.step() % 3, std::ssize(dealt) / kBatch);
          dealt.insert(dealt.end(), part.begin(), part.end());
          Tape<float> tape;
          tape.backward(loss(part) * (1 + rng.uniform()));
          adam.step();
          ++step;
        }
        outcome.epochs.push_back(dealt);
        training.record(measure);
      }
      outcome.weights = {layer.weight.value().item(), layer.bias.value().item()};
      outcome.history = training.history();
      outcome.epochs_done = training.epoch();
    });
  }

  // What a lesson of one model says when it resumes what the first one did.
  std::string error_of_resuming(const Plan& first, const Plan& then,
                                const std::vector<std::string>& options = {},
                                const std::string& data = "clothes", Index images = 8,
                                std::uint32_t checksum = 0x12ab) {
    const auto lesson_on = [&](const Plan& plan, const std::string& name, Index n,
                               std::uint32_t sum) {
      return [&plan, name, n, sum](Lesson& lesson, Outcome&) {
        lesson.data(name, n, 4, sum);
        Rng rng(lesson.options().seed);
        nn::Linear<float> layer("layer", 1, 1, rng);
        nn::Sgd<float> sgd(layer.parameters());
        Training training(lesson, "line", plan, layer.parameters(), sgd, rng);
        const auto measure = [] { return std::vector<Score>{{"loss", 1}}; };
        training.record(measure);
        while (!training.done()) {
          for ([[maybe_unused]] const Tensor<float>& x :
               training.minibatches(Tensor<float>({n, 1})))
            continue;
          training.record(measure);
        }
      };
    };
    run_lesson({}, lesson_on(first, "clothes", 8, 0x12ab));
    std::vector<std::string> all = options;
    all.push_back("--resume");
    return run_lesson(all, lesson_on(then, data, images, checksum)).err;
  }

  Outcome run_lesson(std::vector<std::string> options,
                     const std::function<void(Lesson&, Outcome&)>& body) {
    Outcome outcome;
    options.insert(options.begin(), "13_test");
    options.insert(options.end(), {"--out", directory_.string()});
    std::vector<char*> argv;
    for (std::string& option : options) argv.push_back(option.data());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    outcome.status = kit::run({"13_test", "A test", 10, 3}, static_cast<int>(argv.size()),
                              argv.data(), [&](Lesson& lesson) { body(lesson, outcome); });
    outcome.out = ::testing::internal::GetCapturedStdout();
    outcome.err = ::testing::internal::GetCapturedStderr();
    return outcome;
  }

  fs::path checkpoint() const { return directory_ / "13_test" / "checkpoint_line.safetensors"; }

  fs::path directory_;
};

TEST_F(KitTraining, GoesThroughAllExamplesEachEpoch) {
  const Outcome outcome = run({"--epochs", "4"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  ASSERT_EQ(outcome.epochs.size(), 4u);
  EXPECT_NE(outcome.epochs[0], outcome.epochs[1]);
  for (std::vector<float> dealt : outcome.epochs) {
    std::sort(dealt.begin(), dealt.end());
    EXPECT_THAT(dealt, ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8, 9));
  }
}

TEST_F(KitTraining, RecordsEveryScoreBeforeAndAfterEachEpoch) {
  const Outcome outcome = run({"--epochs", "4"});
  EXPECT_EQ(outcome.epochs_done, 4);
  EXPECT_EQ(outcome.history.at("loss").size(), 5u);
  EXPECT_LT(outcome.history.at("loss")[4], outcome.history.at("loss")[0]);
  EXPECT_EQ(outcome.history.at("weight"), std::vector<double>(5, 0.1));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("\n  epoch  0: loss "), HasSubstr("\n  epoch  4: loss "),
                                 HasSubstr(", weight 0.100000\n")));
}

TEST_F(KitTraining, OfNoEpochsOnlyMeasures) {
  const Outcome outcome = run({"--epochs", "0"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.history.at("loss").size(), 1u);
  EXPECT_TRUE(outcome.epochs.empty());
}

TEST_F(KitTraining, ResumesWithTheSameBits) {
  const Outcome whole = run({"--epochs", "5"});
  run({"--epochs", "2"});
  const Outcome resumed = run({"--epochs", "5", "--resume"});
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(resumed.epochs.size(), 3u);
  EXPECT_EQ(resumed.weights, whole.weights);
  EXPECT_EQ(resumed.history, whole.history);  // doubles, to the last bit
  EXPECT_NE(whole.history.at("loss")[1], static_cast<float>(whole.history.at("loss")[1]));
  EXPECT_THAT(resumed.out, HasSubstr("going on from"));
}

TEST_F(KitTraining, BeginsAnewWithoutACheckpoint) {
  const Outcome outcome = run({"--epochs", "2", "--resume"});
  EXPECT_EQ(outcome.epochs_done, 2);
  EXPECT_THAT(outcome.out, HasSubstr("beginning anew, for there is no"));
  run({"--epochs", "3"});
  EXPECT_EQ(run({"--epochs", "2"}).epochs.size(), 2u);  // nor where it was not asked for
}

// Before training (-1), and before each step of three epochs of three steps.
TEST_F(KitTraining, EndsAtCtrlCAtAnyMoment) {
  const Outcome whole = run({"--epochs", "3"});
  for (Index moment = -1; moment < 9; ++moment) {
    fs::remove(checkpoint());
    const Outcome stopped = run({"--epochs", "3"}, [moment](Index step) {
      if (step == moment) std::raise(SIGINT);
    });
    EXPECT_EQ(stopped.status, 130) << moment;
    EXPECT_THAT(stopped.out, EndsWith(" --resume\n"));
    // The step at which it came is done; its epoch counts if that was the last one of it.
    EXPECT_EQ(stopped.epochs_done, (moment + 1) / 3) << moment;
    EXPECT_EQ(std::ssize(stopped.history.at("loss")), stopped.epochs_done + 1) << moment;

    const Outcome resumed = run({"--epochs", "3", "--resume"});
    EXPECT_EQ(resumed.status, 0) << resumed.err;
    EXPECT_EQ(resumed.weights, whole.weights) << moment;
  }
}

TEST_F(KitTraining, ResumesScoresThatAreNotFinite) {
  const auto lesson = [](int epochs) {
    return [epochs](Lesson& lesson, Outcome& outcome) {
      Rng rng(0);
      nn::Linear<float> layer("layer", 1, 1, rng);
      nn::Sgd<float> sgd(layer.parameters());
      Training training(lesson, "line", {.epochs = epochs, .batch = 2}, layer.parameters(), sgd,
                        rng);
      training.record([] { return std::vector<Score>{{"a score", INFINITY}, {"nan", NAN}}; });
      outcome.history = training.history();
    };
  };
  run_lesson({}, lesson(0));
  const Outcome resumed = run_lesson({"--resume"}, lesson(1));
  EXPECT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(resumed.history.at("a score"), std::vector<double>{INFINITY});
  EXPECT_TRUE(std::isnan(resumed.history.at("nan").at(0)));
}

TEST_F(KitTraining, RefusesDamagedScores) {
  run({"--epochs", "1"});
  const auto whole = io::read_safetensors<float>(checkpoint());
  for (const char* scores : {"", "1", "1 x", "1 2 3", "1 ", "1  2"}) {
    auto file = whole;
    file.metadata["history.loss"] = scores;
    io::write_safetensors(checkpoint(), file.tensors, file.metadata);
    const Outcome outcome = run({"--epochs", "2", "--resume"});
    EXPECT_EQ(outcome.status, 2) << "'" << scores << "'";
    EXPECT_THAT(outcome.err, HasSubstr("checkpoint_line.safetensors is damaged")) << scores;
  }
}

TEST_F(KitTraining, RefusesACheckpointThatIsNone) {
  run({"--epochs", "1"});
  io::write_file(checkpoint(), "no tensors");
  const Outcome outcome = run({"--epochs", "2", "--resume"});
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("checkpoint_line.safetensors"));
}

TEST_F(KitTraining, ResumesOnlyItsOwnRun) {
  const Plan plan = {.epochs = 2, .batch = 4};
  EXPECT_EQ(error_of_resuming(plan, plan), "");
  EXPECT_EQ(error_of_resuming(plan, {.epochs = 5, .batch = 4}), "");
  EXPECT_EQ(error_of_resuming(plan, plan, {"--seed", "7"}),
            fmt::
                format("error: {} is of another run: seed is 0 there, but 7 here. Give the options "
                       "that it was made with, or leave --resume out to begin anew.\n",
                       checkpoint().string()));
  EXPECT_THAT(error_of_resuming(plan, plan, {"--quick"}), HasSubstr("quick is no there, but yes"));
  EXPECT_THAT(error_of_resuming(plan, {.epochs = 2, .batch = 3}),
              HasSubstr("batch is 4 there, but 3 here"));
  EXPECT_THAT(error_of_resuming(plan, plan, {}, "digits"),
              HasSubstr("data is clothes (8 + 4) there, but digits (8 + 4) here"));
  EXPECT_THAT(error_of_resuming(plan, {.epochs = 2, .batch = 3}, {"--seed", "1"}, "clothes", 9),
              AllOf(HasSubstr("data is clothes (8 + 4) there, but clothes (9 + 4) here"),
                    HasSubstr("seed is 0 there, but 1 here"), HasSubstr("batch is 4 there")));
  EXPECT_THAT(error_of_resuming(plan, plan, {}, "clothes", 8, 0x12ac),
              HasSubstr("checksum of the data is 000012ab there, but 000012ac here"));
}

TEST_F(KitTraining, ResumesOnlyToAsManyEpochsOrMore) {
  EXPECT_THAT(error_of_resuming({.epochs = 3, .batch = 4}, {.epochs = 2, .batch = 4}),
              HasSubstr("checkpoint_line.safetensors has 3 epochs done, but only 2 are asked for: "
                        "ask for as many with --epochs, or leave --resume out to begin anew."));
}

// Where the learning rate depends on how many there are.
TEST_F(KitTraining, ResumesAScheduleOnlyToItsEnd) {
  const Plan plan = {.epochs = 2, .batch = 4, .scheduled = true};
  EXPECT_EQ(error_of_resuming(plan, plan), "");
  EXPECT_THAT(error_of_resuming(plan, {.epochs = 4, .batch = 4, .scheduled = true}),
              HasSubstr("epochs is 2 there, but 4 here"));
}

// A checkpoint that was renamed, or that says nothing of where it is from.
TEST_F(KitTraining, RefusesTheCheckpointOfAnotherModel) {
  run({"--epochs", "1"});
  auto file = io::read_safetensors<float>(checkpoint());
  file.metadata["run.model"] = "curve";
  file.metadata.erase("run.seed");
  io::write_safetensors(checkpoint(), file.tensors, file.metadata);
  EXPECT_THAT(run({"--epochs", "2", "--resume"}).err,
              AllOf(HasSubstr("model is curve there, but line here"),
                    HasSubstr("seed is not said there, but 0 here")));
}

TEST_F(KitTraining, NeedsAScoreBeforeItBegins) {
  const Outcome outcome = run_lesson({}, [](Lesson& lesson, Outcome&) {
    Rng rng(0);
    nn::Linear<float> layer("layer", 1, 1, rng);
    nn::Sgd<float> sgd(layer.parameters());
    Training training(lesson, "line", {.epochs = 1, .batch = 2}, layer.parameters(), sgd, rng);
    training.minibatches(Tensor<float>({4, 1}));
  });
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("training line: record the scores before training first"));
}

TEST_F(KitTraining, KnowsItsStepsFromTheFirstMinibatchesOn) {
  const auto error = [&](const auto& ask) {
    const Outcome outcome = run_lesson({}, [&](Lesson& lesson, Outcome&) {
      Rng rng(0);
      nn::Linear<float> layer("layer", 1, 1, rng);
      nn::Sgd<float> sgd(layer.parameters());
      Training training(lesson, "line", {.epochs = 3, .batch = 2}, layer.parameters(), sgd, rng);
      training.record([] { return std::vector<Score>{{"loss", 1}}; });
      ask(training);
    });
    return outcome.err;
  };
  const std::string message =
      "training line: how many steps there are is known from the first call of minibatches on";
  EXPECT_THAT(error([](Training& training) { training.steps(); }), HasSubstr(message));
  EXPECT_THAT(error([](Training& training) { training.step(); }), HasSubstr(message));
  EXPECT_EQ(error([](Training& training) {
              training.minibatches(Tensor<float>({5, 1}));
              EXPECT_EQ(training.step(), 0);
              EXPECT_EQ(training.steps(), 9);
            }),
            "");
}

// Ten examples, four at a time: 4, 4 and 2 are an epoch. Nine steps are three epochs, and no
// permutation more is drawn; eight end before the last two examples.
TEST_F(KitTraining, StepsDealAllExamplesAgainAndAgain) {
  const Outcome outcome = run_lesson({}, [](Lesson& lesson, Outcome&) {
    const Tensor<float> examples = arange<float>(10).reshape({10, 1});
    for (const auto& [count, size] : {std::pair{8, 28}, std::pair{9, 30}}) {
      Rng rng(3), same(3);
      std::vector<float> dealt, expected;
      Steps steps(lesson, "training", count);
      Index done = 0;
      for (const Tensor<float>& x : steps.minibatches(examples, 4, rng)) {
        EXPECT_EQ(steps.done(), done);
        ++done;
        dealt.insert(dealt.end(), x.begin(), x.end());
      }
      EXPECT_EQ(steps.done(), count);
      for (int epoch = 0; epoch < 3; ++epoch)
        for (const Tensor<float>& x : nn::minibatches(examples, 4, same))
          expected.insert(expected.end(), x.begin(), x.end());
      expected.resize(size);
      EXPECT_EQ(dealt, expected);
      EXPECT_EQ(rng.state(), same.state());
    }
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(KitTraining, NoStepsDealNothing) {
  const Outcome outcome = run_lesson({}, [](Lesson& lesson, Outcome&) {
    Rng rng(3);
    Steps none(lesson, "training", 0);
    for ([[maybe_unused]] const Tensor<float>& x : none.minibatches(Tensor<float>({4, 1}), 2, rng))
      ADD_FAILURE();
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(KitTraining, HasTheSameScoresEachTime) {
  const Outcome outcome = run_lesson({}, [](Lesson& lesson, Outcome&) {
    Rng rng(0);
    nn::Linear<float> layer("layer", 1, 1, rng);
    nn::Sgd<float> sgd(layer.parameters());
    Training training(lesson, "line", {.epochs = 2, .batch = 2}, layer.parameters(), sgd, rng);
    const auto measure = [&](const std::string& name) {
      return [name] { return std::vector<Score>{{name, 1}}; };
    };
    training.record(measure("loss"));
    training.record(measure("ignored"));  // nothing was trained in between
    for ([[maybe_unused]] const Tensor<float>& x : training.minibatches(Tensor<float>({4, 1})))
      continue;
    training.record(measure("error"));
  });
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("training line: its scores were loss, and now are error"));
}

}  // namespace
}  // namespace gradus::kit
