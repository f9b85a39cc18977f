#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lessons/kit/directory_lock.hpp"
#include "tensor/shape.hpp"

// What every lesson's program does besides its lesson: options, results, errors, interrupts.
//
//     int main(int argc, char** argv) {
//       return kit::run({.name = "13_vae", .title = "...", .epochs = 10, .quick_epochs = 3}, argc,
//                       argv, [](kit::Lesson& lesson) { ... });
//     }
namespace gradus::kit {

// What the user asked for.
struct Options {
  bool quick = false;                  // less data, fewer epochs: done in seconds
  int epochs = 0;                      // how often to go through the training data; may be 0
  std::uint64_t seed = 0;              // of all random numbers
  std::filesystem::path data = {};     // directory of an IDX set; empty: Fashion-MNIST
  std::filesystem::path out = {};      // directory of all lessons' results; by default Gradus' out/
  bool show = false;                   // open the figures at the end
  bool resume = false;                 // go on from the last checkpoint
  std::filesystem::path weights = {};  // directory of saved weights; empty: the lesson's own choice
};

// What a lesson says of itself.
struct About {
  std::string name;  // of its directory: "13_vae"
  std::string title = {};
  int epochs = 0;            // by default; 0 where nothing is trained in epochs
  int quick_epochs = 0;      // with --quick
  std::string weights = {};  // what --weights DIR is for; empty where there is no such option
};

// What a number should be: within `tolerance` of `value`.
struct Expected {
  double value;
  double tolerance;
  bool range = false;  // shown as its two ends

  bool admits(double x) const;  // false for NaN
};

// Within a fraction of |value|: relative(68.2, 1e-8).
Expected relative(double value, double fraction);
// Anywhere from low to high.
Expected between(double low, double high);
// What is expected where a condition holds, and nothing otherwise: a number that is known for one
// data set only, say.
std::optional<Expected> when(bool condition, const Expected& expected);

// One run of a lesson's program.
class Lesson {
 public:
  const Options& options() const { return options_; }

  // What decides this run's numbers, by name: its lesson, seed, data set with its checksum, and
  // whether it is quick.
  std::map<std::string, std::string> identity() const;

  // Where this lesson writes, out/13_vae: it exists, no other run is at work in it, and it is free
  // of what a run that was killed left half done.
  const std::filesystem::path& directory() const { return directory_; }

  // The path of a file in that directory that the lesson is about to write; listed at the end.
  std::filesystem::path file(const std::string& name);

  // Reports a key number, in the table at the end and in results.json. `name` is in snake_case;
  // `unit` is "" for a pure number. A NaN or an infinity is never as expected.
  void report(const std::string& name, double value, const std::string& unit);

  // Reports a key number and checks it against what it should be. The lesson ends with exit status
  // 1 unless all numbers are as expected. std::nullopt, where nothing is known of a number on these
  // data, only reports.
  void check(const std::string& name, double value, const std::string& unit,
             const std::optional<Expected>& expected);

  // Records which data set the numbers were measured on. `checksum` tells it from another one of
  // the same name and sizes.
  void data(const std::string& name, Index train, Index test, std::uint32_t checksum);

  // Records a figure, NAME.png, and, when it could not be drawn, why.
  void figure(const std::string& name, const std::string& problem = "");

  // Whether Ctrl-C was pressed (or SIGTERM came): a training loop then stops, and the lesson draws
  // and reports what there is. A lesson without epochs is left at its next number, figure or file,
  // and reports what there is. A second Ctrl-C ends the program at once.
  bool interrupted() const;

  // Programs that draw figures and were too slow in this run.
  bool is_too_slow(const std::string& program) const { return too_slow_.contains(program); }

  void found_too_slow(const std::string& program) { too_slow_.insert(program); }

 private:
  struct Result {
    std::string name;
    double value;
    std::string unit;
    std::optional<Expected> expected;
    bool ok;
  };

  struct Data {
    std::string name;
    Index train, test;
    std::uint32_t checksum;
  };

  struct Figure {
    std::string name, problem;
  };

  friend int run(const About&, int, char**, const std::function<void(Lesson&)>&);

  Lesson(const About& about, Options options, std::string command);
  void leave_if_interrupted() const;
  int finish();
  void print_table() const;
  void print_files() const;
  void write_results() const;
  void show() const;

  About about_;
  Options options_;
  std::string command_;  // that runs this lesson again with the same options
  std::filesystem::path directory_;
  std::optional<DirectoryLock> lock_;
  std::chrono::steady_clock::time_point start_;
  std::vector<Result> results_;
  std::optional<Data> data_;
  std::vector<Figure> figures_;
  std::vector<std::string> files_;
  std::set<std::string> too_slow_;
};

// Runs a lesson: reads the options, prints the title, makes the output directory, runs `body`,
// prints the table of results and writes results.json. Returns the exit status: 0 when all numbers
// are as expected, 1 when some are not, 2 after an error, whose message it prints (a standard
// output that cannot be written is one), 130 after an interrupt.
int run(const About& about, int argc, char** argv, const std::function<void(Lesson&)>& body);

}  // namespace gradus::kit
