#include "lessons/kit/process.hpp"

#include <chrono>
#include <csignal>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tensor/io/file.hpp"
#include "tests/lessons/support.hpp"

namespace gradus::kit {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

class KitProcess : public Kit {
 protected:
  ProgramResult run_shell(const std::string& script, std::chrono::milliseconds limit = 1min) {
    return run_program({"sh", "-c", script}, directory_, limit);
  }
};

TEST_F(KitProcess, SucceedsOrFailsAsItsStatusSays) {
  EXPECT_EQ(run_shell("exit 0").outcome, ProgramResult::kSucceeded);
  EXPECT_EQ(run_shell("exit 3").outcome, ProgramResult::kFailed);
  EXPECT_EQ(run_shell("exit 3").message, "failed with status 3");
  EXPECT_EQ(run_shell("echo one >&2; echo two >&2; exit 3").message, "failed: one two");
  EXPECT_EQ(run_shell("kill -9 $$").message, "was ended by signal 9");
  EXPECT_EQ(run_shell("sleep 60", 50ms).outcome, ProgramResult::kTooSlow);
}

TEST_F(KitProcess, ThatIsNowhereInPathIsNotFound) {
  EXPECT_EQ(run_program({"no_such_program"}, directory_, 1min).outcome, ProgramResult::kNotFound);
  io::write_file(directory_ / "text", "not a program");
  const Environment path("PATH", directory_.string());
  EXPECT_EQ(run_program({"text"}, directory_, 1min).outcome, ProgramResult::kNotFound);
}

// The system says "No such file or directory" of the directory as it does of the program.
TEST_F(KitProcess, WithoutItsDirectoryIsNotCalledMissing) {
  const std::filesystem::path nowhere = directory_ / "nowhere";
  const ProgramResult result = run_program({"sh", "-c", "exit 0"}, nowhere, 1min);
  EXPECT_EQ(result.outcome, ProgramResult::kFailed);
  EXPECT_EQ(result.message,
            "cannot be started: No such file or directory (in " + nowhere.string() + ")");
}

// Its messages have nowhere to go.
TEST_F(KitProcess, ThatCannotWriteItsMessagesIsNotCalledMissing) {
  std::filesystem::create_directory(directory_ / "messages");
  const ProgramResult result = run_shell("exit 0");
  EXPECT_EQ(result.outcome, ProgramResult::kFailed);
  EXPECT_THAT(result.message, HasSubstr("Is a directory"));
}

// Where nobody wants to know of a child's end, the system forgets it: nothing is left to wait for.
TEST_F(KitProcess, WhoseEndIsUnknownHasFailed) {
  const auto before = std::signal(SIGCHLD, SIG_IGN);
  const ProgramResult result = run_shell("exit 3");
  std::signal(SIGCHLD, before);
  EXPECT_EQ(result.outcome, ProgramResult::kFailed);
  EXPECT_THAT(result.message, HasSubstr("No child process"));
}

}  // namespace
}  // namespace gradus::kit
