#include "lessons/kit/process.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/error.hpp"

namespace gradus::kit {
namespace {

// Starts the program with nothing to read and nowhere to print but `error`. 0 when there is none.
pid_t spawn(const std::vector<std::string>& command, const std::filesystem::path& directory,
            int error) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  if (error >= 0)
    posix_spawn_file_actions_adddup2(&actions, error, 2);
  else
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);  // Ctrl-C goes to our group only

  pid_t process = 0;
  const int failure =
      posix_spawnp(&process, arguments[0], &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure && failure != ENOENT && failure != EACCES)
    fail("cannot run {}: {}", command[0], std::strerror(failure));
  return failure ? 0 : process;
}

}  // namespace

std::optional<ProgramResult> run_program(const std::vector<std::string>& command,
                                         const std::filesystem::path& directory) {
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) fail("cannot run {}: {}", command[0], std::strerror(errno));
  pid_t process = 0;
  try {
    process = spawn(command, directory, pipe_ends[1]);
  } catch (...) {
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    throw;
  }
  close(pipe_ends[1]);
  ProgramResult result{false, ""};
  char buffer[4096];
  while (true) {
    const ssize_t n = read(pipe_ends[0], buffer, sizeof buffer);
    if (n > 0) result.message.append(buffer, n);
    if (n == 0 || (n < 0 && errno != EINTR)) break;
  }
  close(pipe_ends[0]);
  if (process == 0) return std::nullopt;
  int status = 0;
  while (waitpid(process, &status, 0) < 0 && errno == EINTR) continue;
  result.succeeded = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return result;
}

bool start_program(const std::vector<std::string>& command) { return spawn(command, ".", -1) != 0; }

}  // namespace gradus::kit
