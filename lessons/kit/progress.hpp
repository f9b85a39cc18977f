#pragma once
#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/shape.hpp"

namespace gradus::kit {

// A line at the bottom of the terminal that says how far a piece of work has come:
//
//     training [=========>            ]  42 %  0:12 left  -ELBO 251.3
//
// It appears on standard error once the work has taken a second, and goes away with the object.
// Where standard error is no terminal it never appears.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  // The work begins `now`.
  Progress(std::string label, Index steps, Clock::time_point now = Clock::now());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // Counts one step, done `now`.
  void step(Clock::time_point now = Clock::now());

  // What stands at the end of the line from now on.
  void note(std::string text) { note_ = std::move(text); }

  // Prints a line to standard output, above the bar.
  void print(std::string_view line);

 private:
  void draw(Clock::time_point now);
  void clear();

  std::string label_, note_;
  Index steps_, done_ = 0;
  bool terminal_, visible_ = false;
  Clock::time_point start_, next_;  // next_: no redrawing before
};

}  // namespace gradus::kit
