#include "lessons/kit/process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/error.hpp"
#include "tensor/io/file.hpp"

namespace gradus::kit {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr const char* kMessages = "messages";

// The first lines of what a program wrote, as one.
std::string messages_in(const std::filesystem::path& directory) {
  std::string text;
  try {
    text = io::read_file(directory / kMessages).substr(0, 1000);
  } catch (const Error&) {
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  text.erase(text.find_last_not_of(" .") + 1);
  return text;
}

// The environment of other programs.
std::vector<char*> environment() {
  std::vector<char*> result;
  for (char** variable = environ; *variable; ++variable)
    if (!std::string_view(*variable).starts_with("GNU")) result.push_back(*variable);
  result.push_back(nullptr);
  return result;
}

struct Started {
  pid_t process;
  int failure;  // 0, or the system's number for why there is no process
};

// Starts a program in a process group of its own, with nothing to read.
Started start(const std::vector<std::string>& command, const std::filesystem::path& directory,
              const char* messages) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> variables = environment();

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, messages, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // Ctrl-C goes to our group only

  Started result{};
  result.failure = posix_spawnp(&result.process, arguments[0], &actions, &attributes,
                                arguments.data(), variables.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return result;
}

// Waits for a process until `end`. Its status, or -1 when it had to be killed.
int wait_until(Clock::time_point end, pid_t process) {
  int status = 0;
  while (waitpid(process, &status, WNOHANG) == 0) {
    if (Clock::now() >= end) {
      kill(-process, SIGKILL);  // the whole group
      waitpid(process, &status, 0);
      return -1;
    }
    std::this_thread::sleep_for(5ms);
  }
  return status;
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& command,
                          const std::filesystem::path& directory, std::chrono::milliseconds limit) {
  const auto [process, failure] = start(command, directory, kMessages);
  if (failure == ENOENT || failure == EACCES) return {ProgramResult::kNotFound, "is not installed"};
  if (failure)
    return {ProgramResult::kFailed, fmt::format("cannot be started: {}", std::strerror(failure))};

  const int status = wait_until(Clock::now() + limit, process);
  if (status == 0) return {ProgramResult::kSucceeded};
  if (status < 0) return {ProgramResult::kTooSlow};
  const std::string messages = messages_in(directory);
  if (!messages.empty()) return {ProgramResult::kFailed, "failed: " + messages};
  if (WIFSIGNALED(status))
    return {ProgramResult::kFailed, fmt::format("was ended by signal {}", WTERMSIG(status))};
  return {ProgramResult::kFailed, fmt::format("failed with status {}", WEXITSTATUS(status))};
}

bool start_program(const std::vector<std::string>& command) {
  return start(command, ".", "/dev/null").failure == 0;
}

std::string shell_word(const std::string& word) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./=+,:@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace gradus::kit
