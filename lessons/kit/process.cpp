#include "lessons/kit/process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
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

// The first 1,000 bytes of what a program wrote, on one line, without the full stop at its end.
std::string messages_in(const std::filesystem::path& directory) {
  std::string text;
  try {
    text = io::read_file(directory / kMessages).substr(0, 1000);
  } catch (const Error&) {
    return "";  // it wrote nothing that can be read
  }
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (text.ends_with(' ') || text.ends_with('.')) text.pop_back();
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

struct Ended {
  enum How { kByItself, kKilled, kUnknown };

  How how;
  int number = 0;  // kByItself: its status; kUnknown: the system's number for why
};

// Waits for a process until `end`, and then kills it.
Ended wait_until(Clock::time_point end, pid_t process) {
  while (true) {
    int status = 0;
    const pid_t ended = waitpid(process, &status, WNOHANG);
    if (ended == process) return {Ended::kByItself, status};
    if (ended < 0 && errno != EINTR) return {Ended::kUnknown, errno};
    if (Clock::now() >= end) {
      kill(-process, SIGKILL);  // the whole group
      waitpid(process, &status, 0);
      return {Ended::kKilled};
    }
    std::this_thread::sleep_for(5ms);
  }
}

// Whether there is a program of that name: with a slash in it a path, otherwise found in PATH.
bool is_installed(const std::string& program) {
  if (program.find('/') != std::string::npos) return access(program.c_str(), X_OK) == 0;
  const char* const path = std::getenv("PATH");
  std::istringstream directories(path ? path : "");
  for (std::string directory; std::getline(directories, directory, ':');)
    if (access((directory + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& command,
                          const std::filesystem::path& directory, std::chrono::milliseconds limit) {
  const auto [process, failure] = start(command, directory, kMessages);
  if (failure && !is_installed(command.front()))
    return {ProgramResult::kNotFound, "is not installed"};
  if (failure)
    return {ProgramResult::kFailed, fmt::format("cannot be started: {} (in {})",
                                                std::strerror(failure), directory.string())};

  const Ended ended = wait_until(Clock::now() + limit, process);
  if (ended.how == Ended::kKilled) return {ProgramResult::kTooSlow};
  if (ended.how == Ended::kUnknown)
    return {ProgramResult::kFailed, fmt::format("was started, but how it ended is unknown: {}",
                                                std::strerror(ended.number))};
  const int status = ended.number;
  if (status == 0) return {ProgramResult::kSucceeded};
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
  for (char c : word) {
    if (c == '\'')
      quoted += "'\\''";  // out of the quotes, a quote, and in again
    else
      quoted += c;
  }
  return quoted + "'";
}

}  // namespace gradus::kit
