#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <iterator>
#include <limits>
#include <optional>
#include <regex>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <pty.h>
#include <unistd.h>

#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/progress.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tensor/io/idx.hpp"
#include "tensor/layout.hpp"
#include "tests/lessons/support.hpp"
#include "tests/tensor/support.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kPackage = "/usr/share/datasets/fashion-mnist";

class KitOptions : public Kit {};

TEST_F(KitOptions, AreTheLessonsDefaultsWhenNoneAreGiven) {
  const auto outcome = run({}, [&](Lesson& lesson) {
    EXPECT_EQ(lesson.options().epochs, 10);
    EXPECT_EQ(lesson.options().seed, 0u);
    EXPECT_FALSE(lesson.options().quick);
    EXPECT_FALSE(lesson.options().resume);
    EXPECT_FALSE(lesson.options().show);
    EXPECT_TRUE(lesson.options().data.empty());
    EXPECT_EQ(lesson.directory(), directory_ / "13_test");
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, StartsWith("Lesson 13: A test\n"));
}

TEST_F(KitOptions, ReachTheLesson) {
  const auto outcome = run({"--seed=18446744073709551615", "--data", directory_.string(), "--show",
                            "--resume", "--epochs", "0"},
                           [&](Lesson& lesson) {
                             EXPECT_EQ(lesson.options().epochs, 0);
                             EXPECT_EQ(lesson.options().seed, 18446744073709551615u);
                             EXPECT_EQ(lesson.options().data, directory_);
                             EXPECT_TRUE(lesson.options().show);
                             EXPECT_TRUE(lesson.options().resume);
                           });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
}

TEST_F(KitOptions, QuickMeansFewerEpochsUnlessTheirNumberIsGiven) {
  run({"--quick"}, [](Lesson& lesson) { EXPECT_EQ(lesson.options().epochs, 3); });
  run({"--quick", "--epochs", "7"}, [](Lesson& lesson) { EXPECT_EQ(lesson.options().epochs, 7); });
}

TEST_F(KitOptions, AreDecimalNumbers) {
  const std::vector<std::pair<const char*, int>> cases = {{"010", 10},
                                                          {"08", 8},
                                                          {"0", 0},
                                                          {"00", 0},
                                                          {"0001000000", 1000000}};
  for (const auto& [text, expected] : cases) {
    const int number = expected;  // Clang 14 captures no structured bindings
    const auto outcome = run({"--seed", text, "--epochs", text}, [&](Lesson& lesson) {
      EXPECT_EQ(lesson.options().seed, number);
      EXPECT_EQ(lesson.options().epochs, number);
    });
    EXPECT_EQ(outcome.status, 0) << text << outcome.err;
  }
}

TEST_F(KitOptions, ThatAreWrongAreNamedAndNothingRuns) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases =
      {{{"--epochs", "-1"}, "--epochs: takes a whole number from 0 to 1000000, not \"-1\""},
       {{"--epochs", "x"}, "not \"x\""},
       {{"--epochs", "1.5"}, "not \"1.5\""},
       {{"--epochs", "99999999999"}, "not \"99999999999\""},
       {{"--epochs", "--quick"}, "not \"--quick\""},
       {{"--seed", "-3"}, "--seed: takes a whole number from 0 to 18446744073709551615"},
       {{"--seed", "18446744073709551616"}, "not \"18446744073709551616\""},
       {{"--seed", "1", "--seed", "2"}, "--seed: takes one value, once"},
       {{"--out"}, "--out: takes one value, once"},
       {{"--out", "a", "--out", "b"}, "--out: takes one value, once"},
       {{"--out", ""}, "--out: must not be empty"},
       {{"--seed", "0x10"}, "not \"0x10\""},
       {{"--seed", "0b1"}, "not \"0b1\""},
       {{"--seed", "+1"}, "not \"+1\""},
       {{"--seed", ""}, "not \"\""},
       {{"--data", "/no/such/directory"}, "/no/such/directory"},
       {{"--fast"}, "--fast"},
       {{"extra"}, "extra"}};
  for (const auto& [options, message] : cases) {
    const auto outcome = run(options, [](Lesson&) { ADD_FAILURE() << "the lesson ran"; });
    EXPECT_EQ(outcome.status, 2) << message;
    EXPECT_THAT(outcome.err, AllOf(StartsWith("error: "), HasSubstr(message),
                                   EndsWith("For the options: ./learn 13 --help\n")));
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << outcome.err;
  }
}

// So that ./learn all --epochs 3 can pass them on to every lesson.
TEST_F(KitOptions, OfTrainingHaveNoEffectOnALessonThatDoesNotTrain) {
  for (const char* option : {"--epochs=1", "--resume"}) {
    const auto outcome = run({"01_test", "A test"}, {option}, [](Lesson& lesson) {
      EXPECT_EQ(lesson.options().epochs, 0);
      EXPECT_FALSE(lesson.options().resume);
    });
    EXPECT_EQ(outcome.status, 0) << outcome.err;
  }
  EXPECT_THAT(run({"01_test", "A test"}, {"--help"}, [](Lesson&) {}).out,
              HasSubstr("Nothing is trained in epochs here"));
}

TEST_F(KitOptions, WeightsAreForALessonThatTakesThem) {
  const About about = {.name = "13_test", .title = "A test", .weights = "Directory of a model's"};
  EXPECT_THAT(run(about, {"--help"}, [](Lesson&) {}).out,
              HasSubstr("--weights DIR         Directory of a model's"));
  const auto outcome = run(about, {"--weights", directory_.string()}, [&](Lesson& lesson) {
    EXPECT_EQ(lesson.options().weights, directory_);
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  const auto body = [](Lesson&) { ADD_FAILURE() << "the lesson ran"; };
  EXPECT_THAT(run(about, {"--weights", "/no/such"}, body).err, HasSubstr("/no/such"));
  const auto other = run({"--weights", directory_.string()}, body);
  EXPECT_EQ(other.status, 2);
  EXPECT_THAT(other.err, HasSubstr("--weights"));
}

TEST_F(KitOptions, DataForALessonWithoutImagesIsSaidToHaveNoEffect) {
  const auto outcome = run({"--data", directory_.string()}, [](Lesson&) {});
  EXPECT_THAT(outcome.out, HasSubstr("--data had no effect"));
}

TEST_F(KitOptions, HelpNamesEveryOptionInEightyColumnsAndRunsNothing) {
  const auto outcome = run({"--help"}, [](Lesson&) { ADD_FAILURE() << "the lesson ran"; });
  EXPECT_EQ(outcome.status, 0);
  for (const char* option : {"--quick", "--epochs N", "--seed N", "--data DIR", "--out DIR",
                             "--show", "--resume", "--help", "./learn 13"})
    EXPECT_THAT(outcome.out, HasSubstr(option));
  EXPECT_FALSE(std::regex_search(outcome.out, std::regex("[^\n]{81}"))) << outcome.out;
  EXPECT_FALSE(fs::exists(directory_ / "13_test"));
}

TEST_F(KitOptions, DefaultIsToWriteBesideLearnWhereverTheUserStands) {
  std::vector<char> name(std::begin("13_test"), std::end("13_test"));
  std::vector<char*> argv = {name.data()};
  const About about{"13_test", "A test", 10, 3};
  const fs::path out = fs::path(GRADUS_SOURCE_DIR) / "out";
  const bool had_out = fs::exists(out);
  ::testing::internal::CaptureStdout();
  kit::run(about, 1, argv.data(),
           [&](Lesson& lesson) { EXPECT_EQ(lesson.directory(), out / "13_test"); });
  ::testing::internal::GetCapturedStdout();
  fs::remove_all(had_out ? out / "13_test" : out);
}

class KitResults : public Kit {};

TEST_F(KitResults, DoNotDependOnTheLocale) {
  const auto body = [](Lesson& lesson) {
    lesson.data("set", 60000, 10000, 0);
    lesson.check("loss", 1234.5, "nats", Expected{1234.25, 0.5});
    lesson.check("bound", 0.25, "", between(-1.5, 1.5));
  };
  const std::regex seconds("\"seconds\": [^\n]*");
  const auto before = run({}, body);
  const std::string json = std::regex_replace(io::read_file(made("results.json")), seconds, "");
  const test::OtherLocale german;
  const auto now = run({}, body);
  EXPECT_EQ(now.out, before.out);
  EXPECT_EQ(std::regex_replace(io::read_file(made("results.json")), seconds, ""), json);
}

TEST_F(KitResults, AreWrittenInTheDocumentedForm) {
  const auto outcome = run({"--seed", "7"}, [](Lesson& lesson) {
    lesson.data("fashion-mnist", 60000, 10000, 0);
    lesson.check("test_negative_elbo", 244.5, "nats/image", Expected{244.1, 1.0});
    lesson.check("bound", 2, "nats", between(1, 5));
    lesson.report("loss", 0.25, "");
  });
  EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  auto json = results();
  EXPECT_GE(json["seconds"].get<double>(), 0);
  json["seconds"] = 14.2;
  EXPECT_EQ(
      json.dump(),
      R"({"lesson":"13_test","seed":7,)"
      R"("data":{"name":"fashion-mnist","train":60000,"test":10000},"seconds":14.2,"quick":false,)"
      R"("epochs":10,"results":[)"
      R"({"name":"test_negative_elbo","value":244.5,"unit":"nats/image","expected":244.1,)"
      R"("tolerance":1.0,"ok":true},)"
      R"({"name":"bound","value":2.0,"unit":"nats","expected":3.0,"tolerance":2.0,"ok":true},)"
      R"({"name":"loss","value":0.25,"unit":"","ok":true}]})");
}

TEST_F(KitResults, ThatAreOffAreNamedAndTheStatusIsOne) {
  const auto outcome = run({}, [](Lesson& lesson) {
    lesson.check("good", 1.0, "", Expected{1.0, 0.1});
    lesson.check("bad", 1.3, "", Expected{1.0, 0.1});
  });
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("Not as expected: bad\n"));
  EXPECT_TRUE(results()["results"][0]["ok"]);
  EXPECT_FALSE(results()["results"][1]["ok"]);
}

TEST_F(KitResults, ThatAreNotFiniteAreNeverAsExpected) {
  const auto outcome = run({}, [](Lesson& lesson) {
    lesson.check("nan", std::nan(""), "", Expected{1.0, 1e9});
    lesson.report("infinite", std::numeric_limits<double>::infinity(), "");
  });
  EXPECT_EQ(outcome.status, 1);
  EXPECT_THAT(outcome.out, HasSubstr("Not as expected: nan, infinite\n"));
  const auto json = results();
  for (const auto& r : json["results"]) {
    EXPECT_TRUE(r["value"].is_null());
    EXPECT_FALSE(r["ok"]);
  }
}

TEST_F(KitResults, StandInATableOfAtMostEightyColumns) {
  const auto outcome = run({}, [](Lesson& lesson) {
    lesson.check("test_negative_elbo", 244.4567, "nats/image", Expected{244.1, 1.0});
    lesson.check("elbo_range", 244.4567, "nats/image", between(189.858328, 385.017604));
    lesson.check("total_variance", 68.2162609912, "", relative(68.21626099, 1e-9));
    for (int i = 0; i < 12; ++i) lesson.file(fmt::format("long_name_{}.safetensors", i));
  });
  EXPECT_THAT(outcome.out, ::testing::ContainsRegex(
                               "test_negative_elbo +244\\.5 nats/image +244\\.1 ± 1 +ok\n"));
  EXPECT_THAT(outcome.out, HasSubstr("189.8583 to 385.0176"));
  EXPECT_THAT(outcome.out, HasSubstr("68.216260991"));
  EXPECT_THAT(outcome.out, HasSubstr("long_name_11.safetensors"));
  EXPECT_FALSE(std::regex_search(outcome.out, std::regex("[^\n]{82}"))) << outcome.out;
}

TEST(KitExpected, AdmitsItsEndsAndNothingBeyond) {
  EXPECT_TRUE((Expected{2, 0.5}.admits(1.5)));
  EXPECT_TRUE((Expected{2, 0.5}.admits(2.5)));
  EXPECT_FALSE((Expected{2, 0.5}.admits(2.5000001)));
  EXPECT_FALSE((Expected{2, 0.5}.admits(std::nan(""))));
  EXPECT_TRUE(relative(-100, 0.01).admits(-100.9));
  EXPECT_FALSE(relative(-100, 0.01).admits(-101.1));
  EXPECT_TRUE(between(-1, 3).admits(-1));
  EXPECT_FALSE(between(-1, 3).admits(3.001));
}

class KitFailure : public Kit {};

TEST_F(KitFailure, OfTheLessonIsOneMessageAndStatusTwo) {
  const auto outcome = run({}, [](Lesson&) { fail("matmul: shapes differ"); });
  EXPECT_EQ(outcome.status, 2);
  EXPECT_EQ(outcome.err, "error: matmul: shapes differ\n");
  EXPECT_FALSE(fs::exists(made("results.json")));
}

TEST_F(KitFailure, ToWriteIsNoticedBeforeAnyWork) {
  io::write_file(directory_ / "file", "");
  const auto outcome = run({"--out", (directory_ / "file").string()},
                           [](Lesson&) { ADD_FAILURE() << "the lesson ran"; });
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("cannot make the directory"), HasSubstr("file/13_test"),
                                 HasSubstr("--out")));
}

TEST_F(KitFailure, ToWriteWhereADirectoryIsIsNoticedBeforeAnyWork) {
  fs::create_directories(made("probe.part"));  // stands where the probe is written
  const auto outcome = run({}, [](Lesson&) { ADD_FAILURE() << "the lesson ran"; });
  EXPECT_EQ(outcome.status, 2);
  EXPECT_THAT(outcome.err, HasSubstr("--out"));
}

// A full device in place of standard output.
TEST_F(KitFailure, ToPrintIsNeverStatusZero) {
  const auto status_of = [&](std::vector<std::string> options, bool open) {
    std::fflush(stdout);
    const int saved = dup(STDOUT_FILENO);
    const int full = ::open("/dev/full", O_WRONLY);
    dup2(full, STDOUT_FILENO);
    close(full);
    ::testing::internal::CaptureStderr();
    if (!open) close(STDOUT_FILENO);
    const int status =
        run_aloud({"13_test", "A test"}, std::move(options), [](Lesson&) { ADD_FAILURE(); });
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "error: cannot write to standard output\n");
    std::fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    std::clearerr(stdout);
    return status;
  };
  EXPECT_EQ(status_of({}, true), 2);
  EXPECT_EQ(status_of({"--help"}, true), 2);
  EXPECT_EQ(status_of({}, false), 2);
}

// The device is full at some time after the beginning, when a long table is written or a short one.
TEST_F(KitFailure, ToPrintTheResultsIsNeverStatusZero) {
  for (int lines : {1, 1000}) {
    int saved = -1;
    ::testing::internal::CaptureStderr();
    const int status = run_aloud({"13_test", "A test"}, {}, [&](Lesson& lesson) {
      saved = dup(STDOUT_FILENO);
      const int full = ::open("/dev/full", O_WRONLY);
      dup2(full, STDOUT_FILENO);
      close(full);
      for (int i = 0; i < lines; ++i) lesson.report("a number", i, "");
    });
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "error: cannot write to standard output\n");
    dup2(saved, STDOUT_FILENO);
    close(saved);
    std::clearerr(stdout);
    EXPECT_EQ(status, 2);
  }
}

class KitLeftOvers : public Kit {};

TEST_F(KitLeftOvers, OfARunThatWasKilledAreSweptUp) {
  fs::create_directories(made("loss.drawing"));
  fs::create_directories(made("loss.gp.drawing"));
  io::write_file(made("loss.drawing") / "loss.gp", "half");
  for (const char* name : {"loss.gp.part", "graph.dot.part", "graph.png.part", "results.json.part",
                           "checkpoint_vae.safetensors.part", "probe.part", "probe"})
    io::write_file(made(name), "half");
  for (const char* name : {"loss.gp", "checkpoint_vae.safetensors", "notes.part", "drawing"})
    io::write_file(made(name), "whole");
  run({}, [](Lesson&) {});
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(made("")))
    left.push_back(entry.path().filename());
  EXPECT_THAT(left, ::testing::UnorderedElementsAre("loss.gp", "checkpoint_vae.safetensors",
                                                    "notes.part", "drawing", "results.json"));
}

class KitDirectory : public Kit {};

TEST_F(KitDirectory, IsOfOneRunAtATime) {
  const auto first = run({}, [&](Lesson&) {
    io::write_file(made("loss.gp.part"), "half");
    std::vector<std::string> words = {"13_test", "--out", directory_.string()};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    bool ran = false;
    EXPECT_EQ(kit::run({"13_test", "A test"}, 3, argv.data(), [&](Lesson&) { ran = true; }), 2);
    EXPECT_FALSE(ran);
    EXPECT_TRUE(fs::exists(made("loss.gp.part"))) << "swept up while a run is at work";
  });
  EXPECT_EQ(first.status, 0);
  EXPECT_THAT(first.err, HasSubstr("another run is at work in " + made("").parent_path().string()));
  EXPECT_EQ(run({}, [](Lesson&) {}).status, 0);
}

class KitInterrupt : public Kit {};

TEST_F(KitInterrupt, LeavesTheRestOfTheLessonAndSaysHowToGoOn) {
  const fs::path data = directory_ / "my data";
  fs::create_directory(data);
  const auto outcome =
      run({"--epochs", "4", "--quick", "--data", data.string(), "--resume"}, [](Lesson& lesson) {
        EXPECT_FALSE(lesson.interrupted());
        std::raise(SIGINT);
        EXPECT_TRUE(lesson.interrupted());
        lesson.check("loss", 5, "", Expected{1, 0.1});
      });
  EXPECT_EQ(outcome.status, 130);
  EXPECT_THAT(outcome.out,
              EndsWith(fmt::format("To go on:\n  {}/learn 13 --epochs 4 --quick --data '{}' --out "
                                   "{} --resume\n",
                                   GRADUS_SOURCE_DIR, data.string(), directory_.string())));
  EXPECT_EQ(results()["results"][0]["name"], "loss");
  EXPECT_TRUE(results()["interrupted"]);
}

TEST_F(KitInterrupt, IsForgottenByTheNextRun) {
  run({}, [](Lesson&) { std::raise(SIGTERM); });
  const auto outcome = run({}, [](Lesson& lesson) { EXPECT_FALSE(lesson.interrupted()); });
  EXPECT_EQ(outcome.status, 0);
  EXPECT_FALSE(results().contains("interrupted"));
}

TEST_F(KitInterrupt, NamesLearnAsItIsCalledFromWhereTheUserStands) {
  const fs::path before = fs::current_path();
  fs::current_path(GRADUS_SOURCE_DIR);
  const auto outcome = run({}, [](Lesson&) { std::raise(SIGINT); });
  fs::current_path(before);
  EXPECT_THAT(outcome.out, EndsWith(fmt::format("To go on:\n  ./learn 13 --out {} --resume\n",
                                                directory_.string())));
}

TEST_F(KitInterrupt, EndsTheProgramTheSecondTime) {
  const auto twice = [](Lesson&) {
    std::raise(SIGINT);
    std::raise(SIGINT);
  };
  // In a program of its own: under the thread sanitizer the copy that a fork makes of this one,
  // with the threads of earlier tests, did not get the second signal.
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(run_aloud({"13_test", "A test", 10, 3}, {}, twice), ::testing::ExitedWithCode(130),
              "Ctrl-C again ends now");
}

TEST_F(KitInterrupt, LeavesALessonThatDoesNotTrainAtItsNextNumberFigureOrFile) {
  const std::vector<std::function<void(Lesson&)>> next =
      {[](Lesson& lesson) { lesson.report("second", 2, ""); },
       [](Lesson& lesson) { lesson.file("weights.safetensors"); },
       [](Lesson& lesson) { lesson.data("set", 1, 1, 0); },
       [](Lesson& lesson) { lesson.figure("loss"); }};
  for (const auto& go_on : next) {
    const auto outcome = run({"13_test", "A test"}, {"--quick", "--resume"}, [&](Lesson& lesson) {
      lesson.report("first", 1, "");
      std::raise(SIGINT);
      go_on(lesson);
      ADD_FAILURE() << "the lesson goes on";
    });
    EXPECT_EQ(outcome.status, 130);
    EXPECT_THAT(outcome.out, AllOf(HasSubstr("first"),
                                   EndsWith(fmt::format("To begin again:\n  {}/learn 13 --quick "
                                                        "--out {}\n",
                                                        GRADUS_SOURCE_DIR, directory_.string()))));
    EXPECT_EQ(results()["results"][0]["name"], "first");
    EXPECT_TRUE(results()["interrupted"]);
  }
}

class KitData : public Kit {};

TEST_F(KitData, AreReadFromADirectory) {
  const fs::path set = write_set("tiny", 5, 4);
  const ImageData data = load_images(Options{.data = set.string() + "/"});
  EXPECT_EQ(data.name, "tiny");
  EXPECT_EQ(data.train_images.shape(), (Shape{5, 6}));
  EXPECT_EQ(data.test_images.shape(), (Shape{4, 6}));
  EXPECT_EQ(data.height, 2);
  EXPECT_EQ(data.width, 3);
  EXPECT_EQ(data.train_labels, (std::vector<Index>{0, 1, 2, 0, 1}));
  EXPECT_EQ(data.test_labels, (std::vector<Index>{0, 1, 2, 0}));
  EXPECT_EQ(data.class_names, (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_FLOAT_EQ(data.train_images(4, 5), 4.0f / 255);
  EXPECT_THAT(data.provenance, AllOf(HasSubstr("5 training and 4 test images of 2 x 3 pixels"),
                                     HasSubstr(set.string())));
}

TEST_F(KitData, AreFoundUnderTheDottedNamesToo) {
  const fs::path set = write_set("dotted", 2, 1);
  fs::rename(set / "train-images-idx3-ubyte", set / "train-images.idx3-ubyte");
  fs::rename(set / "t10k-labels-idx1-ubyte", set / "t10k-labels.idx1-ubyte");
  EXPECT_EQ(load_images(Options{.data = set}).train_images.shape(), (Shape{2, 6}));
}

TEST_F(KitData, QuickTakesTheFirstFourThousandAndOneThousand) {
  const fs::path set = write_set("large", 4003, 1002, 1, 1);
  const ImageData data = load_images(Options{.quick = true, .data = set});
  EXPECT_EQ(data.name, "large-4000");
  EXPECT_EQ(data.train_images.shape(), (Shape{4000, 1}));
  EXPECT_EQ(data.test_images.shape(), (Shape{1000, 1}));
  EXPECT_EQ(std::ssize(data.train_labels), 4000);
  EXPECT_EQ(std::ssize(data.test_labels), 1000);
  EXPECT_FLOAT_EQ(data.train_images(3999, 0), (3999 % 256) / 255.0f);
  EXPECT_EQ(load_images(Options{.quick = true, .data = write_set("small", 3, 2)}).name, "small-3");
}

TEST_F(KitData, WithFilesMissingNameWhatWasLookedFor) {
  const std::vector<std::string> files = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                          "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
  for (const std::string& file : files) {
    const fs::path set = write_set("gap", 2, 2);
    fs::remove(set / file);
    EXPECT_THAT(load_error(set),
                AllOf(HasSubstr(set.string()), HasSubstr(file), HasSubstr(file + ".gz")));
  }
  EXPECT_THAT(load_error(directory_ / "nowhere"), HasSubstr("nowhere: no training images"));
}

TEST_F(KitData, ThatDoNotMatchAreRefused) {
  fs::path set = write_set("counts", 5, 2);
  io::write_idx_labels(set / "train-labels-idx1-ubyte", {0, 1, 2, 0});
  EXPECT_THAT(load_error(set), AllOf(HasSubstr("5 images"), HasSubstr("4 labels")));

  set = write_set("sizes", 2, 2);
  io::write_idx_images(set / "t10k-images-idx3-ubyte", Tensor<float>({2, 3, 2}));
  EXPECT_THAT(load_error(set), AllOf(HasSubstr("2 x 3"), HasSubstr("3 x 2")));

  set = write_set("none", 2, 2);
  io::write_idx_images(set / "train-images-idx3-ubyte", Tensor<float>({0, 2, 3}));
  io::write_idx_labels(set / "train-labels-idx1-ubyte", {});
  EXPECT_THAT(load_error(set), HasSubstr("there are no images"));

  set = write_set("flat", 2, 2);
  io::write_idx_images(set / "train-images-idx3-ubyte", Tensor<float>({2, 6}));
  EXPECT_THAT(load_error(set), HasSubstr("images have 3 axes"));

  set = write_set("damaged", 2, 2);
  io::write_file(set / "t10k-images-idx3-ubyte", "no images");
  EXPECT_THAT(load_error(set), HasSubstr("t10k-images-idx3-ubyte: wrong magic number"));
}

TEST_F(KitData, ThatComeWithGradusStandInForTheMissingPackage) {
  const ImageData data = load_images(Options{}, directory_);
  EXPECT_EQ(data.name, "fashion-mnist-4000");
  EXPECT_EQ(data.train_images.shape(), (Shape{4000, 784}));
  EXPECT_EQ(data.test_images.shape(), (Shape{1000, 784}));
  EXPECT_EQ(data.class_names[9], "ankle boot");
  EXPECT_THAT(data.provenance, HasSubstr("dataset-fashion-mnist"));
}

TEST_F(KitData, ThatComeWithGradusAreTheFirstOfThePackage) {
  if (!fs::exists(kPackage)) GTEST_SKIP() << "dataset-fashion-mnist is not installed";
  const ImageData piece = load_images(Options{.quick = true});
  const ImageData all = load_images(Options{});
  EXPECT_EQ(piece.name, "fashion-mnist-4000");
  EXPECT_EQ(all.name, "fashion-mnist");
  EXPECT_EQ(all.class_names, piece.class_names);
  ASSERT_EQ(all.train_images.shape(), (Shape{60000, 784}));
  ASSERT_EQ(all.test_images.shape(), (Shape{10000, 784}));
  EXPECT_TRUE(
      std::equal(piece.train_images.begin(), piece.train_images.end(), all.train_images.begin()));
  EXPECT_TRUE(
      std::equal(piece.test_images.begin(), piece.test_images.end(), all.test_images.begin()));
  EXPECT_TRUE(
      std::equal(piece.train_labels.begin(), piece.train_labels.end(), all.train_labels.begin()));
  EXPECT_TRUE(
      std::equal(piece.test_labels.begin(), piece.test_labels.end(), all.test_labels.begin()));
}

// The bytes of a name may be of any encoding; those of JSON may not.
TEST_F(KitData, InADirectoryWhoseNameIsNotUtf8HaveANameThatIs) {
  const fs::path set = write_set("caf\xe9", 5, 4);
  EXPECT_EQ(load_images(Options{.data = set}).name, "caf\uFFFD");
  EXPECT_EQ(load_images(Options{.data = write_set("caf\u00e9", 5, 4)}).name, "caf\u00e9");
  const auto outcome = run({"--data", set.string(), "--out", (directory_ / "\xff").string()},
                           [](Lesson& lesson) { load_images(lesson); });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_TRUE(fs::exists(directory_ / "\xff" / "13_test" / "results.json"));
}

// By their checksum a checkpoint knows them from others of the same name and sizes.
TEST_F(KitData, HaveAChecksumOfEachOfTheirNumbers) {
  const fs::path set = write_set("tiny", 5, 4);
  const std::uint32_t checksum = load_images(Options{.data = set}).checksum;
  EXPECT_EQ(load_images(Options{.data = set}).checksum, checksum);
  for (const char* name : {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                           "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    std::string bytes = io::read_file(set / name);
    bytes.back() ^= 1;
    io::write_file(set / name, bytes);
    EXPECT_NE(load_images(Options{.data = set}).checksum, checksum) << name;
    bytes.back() ^= 1;
    io::write_file(set / name, bytes);
  }
  EXPECT_EQ(load_images(Options{.data = set}).checksum, checksum);
}

TEST_F(KitData, OfALessonStandInItsResults) {
  const fs::path set = write_set("tiny", 5, 4);
  const auto outcome = run({"--data", set.string()}, [](Lesson& lesson) { load_images(lesson); });
  EXPECT_THAT(outcome.out, HasSubstr("Data: tiny, 5 training and 4 test images"));
  EXPECT_EQ(results()["data"].dump(), R"({"name":"tiny","train":5,"test":4})");
}

using namespace std::chrono_literals;

constexpr Progress::Clock::time_point kStart{};

TEST(KitProgress, SaysNothingWhereThereIsNoTerminal) {
  ::testing::internal::CaptureStderr();
  {
    Progress progress("work", 2, kStart);
    progress.step(kStart + 1h);
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

// What a terminal on standard error gets while `work` runs; nothing where there can be no terminal,
// as in a root without /dev/pts.
std::optional<std::string> on_a_terminal(const std::function<void()>& work) {
  int master = -1, slave = -1;
  winsize size{.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
  if (openpty(&master, &slave, nullptr, nullptr, &size) != 0) return {};
  const int saved = dup(STDERR_FILENO);
  dup2(slave, STDERR_FILENO);
  work();
  dup2(saved, STDERR_FILENO);
  for (int fd : {slave, saved}) close(fd);
  std::string text;
  char buffer[4096];
  // One read may give only a part: the kernel hands on what was written in its own time.
  while (true) {
    const ssize_t n = read(master, buffer, sizeof buffer);
    if (n <= 0) break;
    text.append(buffer, n);
  }
  close(master);
  return text;
}

TEST(KitProgress, AppearsAfterASecondAndIsWipedAwayByAnException) {
  const auto brief = on_a_terminal([] {
    Progress progress("work", 4, kStart);
    progress.step(kStart + 999ms);
  });
  if (!brief) GTEST_SKIP() << "there are no pseudo-terminals here";
  EXPECT_EQ(*brief, "");
  const auto text = on_a_terminal([] {
    try {
      Progress progress("work", 4, kStart);
      progress.note("loss 2.5 " + std::string(100, 'x'));
      progress.step(kStart + 1s);
      throw Error("interrupted");
    } catch (const Error&) {
    }
  });
  ASSERT_TRUE(text);
  // A quarter in one second leaves three. The line fits into the 80 columns.
  const std::string line = "work [=======>                      ]  25 %  0:03 left  loss 2.5 ";
  EXPECT_EQ(*text, "\r" + line + std::string(79 - line.size(), 'x') + "\033[K" + "\r\033[K");
}

TEST(KitProgress, IsDrawnTenTimesASecond) {
  const auto text = on_a_terminal([] {
    Progress progress("work", 400, kStart);
    for (int i = 1; i <= 200; ++i) progress.step(kStart + i * 10ms);
  });
  if (!text) GTEST_SKIP() << "there are no pseudo-terminals here";
  // After 1.0, 1.1, ... 2.0 seconds, and wiped away.
  EXPECT_EQ(std::count(text->begin(), text->end(), '\r'), 11 + 1);
}

// However slow the machine is: no clock runs backwards.
TEST(KitProgress, GoesByTheClockWhereNoTimeIsGiven) {
  const auto before = Progress::Clock::now();
  const auto early = on_a_terminal([&] { Progress("work", 4).step(before + 999ms); });
  if (!early) GTEST_SKIP() << "there are no pseudo-terminals here";
  EXPECT_EQ(*early, "");
  const auto late = on_a_terminal([&] { Progress("work", 4, before - 1s).step(); });
  ASSERT_TRUE(late);
  EXPECT_THAT(*late, StartsWith("\rwork [====="));
}

}  // namespace
}  // namespace gradus::kit
