#pragma once
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <stdlib.h>
#include <unistd.h>

#include "lessons/22_many_machines/team.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/io/file.hpp"

// A lesson's program as several processes: which of them prints and writes, when they stop, what
// happens when one fails, and that they are of one run.
namespace gradus::lesson22 {

// ---- Silence ------------------------------------------------------------------------------------

// Sends a stream of this process elsewhere while it is alive; without a path it does nothing.
class Redirection {
 public:
  Redirection(std::FILE* stream, const char* path) : stream_(stream) {
    if (!path) return;
    std::fflush(stream);
    saved_ = dup(fileno(stream));
    const int target = open(path, O_WRONLY);
    if (target < 0) return;
    dup2(target, fileno(stream));
    close(target);
  }

  ~Redirection() { undo(); }

  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;

  void undo() {
    if (saved_ < 0) return;
    std::fflush(stream_);
    dup2(saved_, fileno(stream_));
    close(saved_);
    saved_ = -1;
  }

 private:
  std::FILE* stream_;
  int saved_ = -1;
};

// ---- Stopping together -------------------------------------------------------------------------

namespace detail {
inline volatile std::sig_atomic_t stop_was_asked = 0;

extern "C" inline void ask_to_stop(int) { stop_was_asked = 1; }
}  // namespace detail

// While it is alive, Ctrl-C and SIGTERM ask a member of a team to stop: it tells the others with
// the next step, and all stop after that one. If each stopped when its own signal comes, the others
// would wait for it in the next all-reduce for ever.
class Interrupts {
 public:
  explicit Interrupts(const Team& team) : shared_(team.size() > 1), rank_(team.rank()) {
    if (!shared_) return;

    struct sigaction action {};

    action.sa_handler = detail::ask_to_stop;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &of_kit_);
    sigaction(SIGTERM, &action, nullptr);
  }

  ~Interrupts() {
    if (!shared_) return;
    give_back();
    if (asked()) std::raise(SIGINT);
  }

  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // A team of one is stopped by the kit.
  bool asked() const { return shared_ && detail::stop_was_asked != 0; }

  // All members call this after the same step: from here on the lesson is interrupted.
  void stop() {
    detail::stop_was_asked = 0;
    give_back();
    shared_ = false;
    Redirection silence(stderr, rank_ == 0 ? nullptr : "/dev/null");  // rank 0 says it for all
    std::raise(SIGINT);
  }

 private:
  void give_back() const {
    sigaction(SIGINT, &of_kit_, nullptr);
    sigaction(SIGTERM, &of_kit_, nullptr);
  }

  bool shared_;
  int rank_;

  struct sigaction of_kit_ {};
};

// ---- One run -----------------------------------------------------------------------------------

// A hash of this program's file (FNV-1a): two builds have two.
inline std::string build_of_this_program() {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : io::read_file("/proc/self/exe"))
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", hash);
}

// What has to be the same in all processes of a run, by name.
inline std::map<std::string, std::string> identity_of(const kit::Lesson& lesson) {
  std::map<std::string, std::string> identity = lesson.identity();
  identity["number of epochs"] = std::to_string(lesson.options().epochs);
  identity["--resume"] = lesson.options().resume ? "given" : "not given";
  identity["build"] = build_of_this_program();
  return identity;
}

// Throws SharedError, which names ranks and differences, when a member is of another run than rank
// 0. Values have no line breaks.
inline void require_same_run(const Team& team, const std::map<std::string, std::string>& mine) {
  const auto text_of = [](const std::map<std::string, std::string>& identity) {
    std::string text;
    for (const auto& [name, value] : identity) text += fmt::format("{}\t{}\n", name, value);
    return text;
  };
  const auto parsed = [](std::string_view text) {
    std::map<std::string, std::string> identity;
    while (!text.empty()) {
      const std::string_view line = text.substr(0, text.find('\n'));
      const std::size_t tab = line.find('\t');
      identity[std::string(line.substr(0, tab))] = line.substr(tab + 1);
      text.remove_prefix(line.size() + 1);
    }
    return identity;
  };
  std::vector<std::string> differences;
  const auto first = parsed(team.broadcast(text_of(mine), 0));
  for (int rank = 1; rank < team.size(); ++rank) {
    const auto other = parsed(team.broadcast(text_of(mine), rank));
    for (const auto& [name, value] : first) {
      const auto found = other.find(name);
      const std::string there = found == other.end() ? "not said" : found->second;
      if (there != value)
        differences.push_back(
            fmt::format("rank {}: {} is {}, but {} on rank 0", rank, name, there, value));
    }
  }
  if (!differences.empty())
    throw SharedError(
        fmt::format("these processes cannot train one model together: {}. Start all with the same "
                    "options, of the same program, on the same data.",
                    fmt::join(differences, "; ")));
}

// ---- The other processes -----------------------------------------------------------------------

// A directory that goes away with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "gradus-22-XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      fail("cannot make a directory in {}", std::filesystem::temp_directory_path().string());
    path_ = pattern;
  }

  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The same arguments, but with another directory for what is made.
inline std::vector<std::string> with_out(int argc, char** argv, const std::string& directory) {
  std::vector<std::string> arguments = {argv[0]};
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--out")
      ++i;  // and its value
    else if (!argument.starts_with("--out="))
      arguments.push_back(argument);
  }
  arguments.insert(arguments.end(), {"--out", directory});
  return arguments;
}

using Body = std::function<void(kit::Lesson&, const Team&)>;

// What every process does inside of its lesson. An error of one ends all: the others would wait for
// it. A shared error is said by rank 0 alone.
inline void run_body(kit::Lesson& lesson, const Team& team, const Body& body) {
  try {
    if (!team.all(true)) throw SharedError("another process could not begin: it says why");
    body(lesson, team);
  } catch (const SharedError&) {
    if (team.rank() == 0) throw;
  } catch (const std::exception& error) {
    if (team.size() == 1) throw;
    std::fflush(stdout);
    std::fputs(fmt::format("error on rank {}: {}\n", team.rank(), error.what()).c_str(), stderr);
    team.abort(2);
  }
}

// Runs a lesson on all processes that were started together. Rank 0 prints, draws and writes to the
// lesson's directory; the others are silent, but for their errors, and write to a directory of
// their own that goes away.
inline int run_together(const kit::About& about, int argc, char** argv, const Body& body) {
  try {
    const Team team = Team::started_together();
    if (team.size() > 1) setenv("GRADUS_NUM_THREADS", "1", 0);  // unless the user says otherwise
    bool begun = false;
    int status = 0;
    if (team.rank() == 0) {
      status = kit::run(about, argc, argv, [&](kit::Lesson& lesson) {
        begun = true;
        run_body(lesson, team, body);
      });
    } else {
      const TemporaryDirectory directory;
      std::vector<std::string> arguments = with_out(argc, argv, directory.path());
      std::vector<char*> pointers;
      for (std::string& argument : arguments) pointers.push_back(argument.data());
      const Redirection silence(stdout, "/dev/null");
      // What is wrong with the options of all, rank 0 says.
      Redirection silence_of_errors(stderr, "/dev/null");
      status = kit::run(about, static_cast<int>(pointers.size()), pointers.data(),
                        [&](kit::Lesson& lesson) {
                          begun = true;
                          silence_of_errors.undo();
                          run_body(lesson, team, body);
                        });
    }
    if (!begun) team.all(false);
    return status;
  } catch (const std::exception& error) {
    std::fputs(fmt::format("error: {}\n", error.what()).c_str(), stderr);
    return 2;
  }
}

}  // namespace gradus::lesson22
