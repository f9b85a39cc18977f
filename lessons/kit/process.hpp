#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

// Other programs: gnuplot, Graphviz and the picture viewer.
namespace gradus::kit {

struct ProgramResult {
  bool succeeded;
  std::string message;  // what it wrote to its standard error
};

// Runs a program found in PATH in a directory and waits for it, out of the reach of the terminal's
// Ctrl-C. Empty when there is no such program.
std::optional<ProgramResult> run_program(const std::vector<std::string>& command,
                                         const std::filesystem::path& directory);

// Starts a program found in PATH without waiting for it. False when there is no such program.
bool start_program(const std::vector<std::string>& command);

}  // namespace gradus::kit
