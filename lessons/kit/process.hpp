#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

// Other programs: gnuplot, Graphviz and the picture viewer. Of the environment they get what does
// not begin with GNU: GNUTERM and its like would change what gnuplot draws.
namespace gradus::kit {

struct ProgramResult {
  enum Outcome { kSucceeded, kFailed, kNotFound, kTooSlow };

  Outcome outcome;
  std::string message = {};  // why it failed or was not found, without the program's name
};

// Runs a program found in PATH in a directory and waits for it, out of the reach of the terminal's
// Ctrl-C. It prints to nowhere; its errors go to the file `messages` in that directory. After
// `limit` it is killed, with all that it has started. Never throws: a program that cannot be
// started, for whatever reason, or whose end cannot be learnt, is one that did not succeed.
//
// REQUIRES: command is not empty.
ProgramResult run_program(const std::vector<std::string>& command,
                          const std::filesystem::path& directory, std::chrono::milliseconds limit);

// Starts a program found in PATH without waiting for it. False when it cannot be started.
//
// REQUIRES: command is not empty.
bool start_program(const std::vector<std::string>& command);

// A word as the shell reads it: in quotes where it must be.
std::string shell_word(const std::string& word);

}  // namespace gradus::kit
