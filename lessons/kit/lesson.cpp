#include "lessons/kit/lesson.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "lessons/kit/process.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;

enum ExitStatus { kAsExpected = 0, kNumbersOff = 1, kError = 2, kInterrupted = 130 };

volatile std::sig_atomic_t interrupts = 0;

extern "C" void interrupt(int) {
  interrupts = 1;
  std::signal(SIGINT, SIG_DFL);  // the second one ends the program
  std::signal(SIGTERM, SIG_DFL);
  constexpr char kMessage[] =
      "\nStopping here and reporting what there is; Ctrl-C again ends now.\n";
  [[maybe_unused]] const auto written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
}

void catch_interrupts() {
  struct sigaction action {};

  action.sa_handler = interrupt;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

// A check for CLI11: text that is a whole number from 0 to `most`.
template <class Integer> CLI::Validator whole_number(Integer most) {
  return CLI::Validator(
      [most](const std::string& text) {
        Integer value{};
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error == std::errc() && end == text.data() + text.size() && value >= 0 && value <= most)
          return std::string();
        return fmt::format("takes a whole number from 0 to {}, not \"{}\"", most, text);
      },
      "", "");
}

// "./learn 13" for 13_vae.
std::string command_of(const About& about) {
  return "./learn " + about.name.substr(0, about.name.find('_'));
}

std::string shell_word(const std::string& word) {
  const auto plain = [](unsigned char c) {
    return std::isalnum(c) || std::strchr("-_./=+,:@%", c);
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), plain)) return word;
  std::string quoted = "'";
  for (char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

struct Arguments {
  Options options;
  std::string command;  // that gives these options again
};

bool trains(const About& about) { return about.epochs > 0; }

// Tells the parser of all options, and where their values go.
void add_options(CLI::App& app, const About& about, Options& options) {
  std::string quick = "Less data: done in seconds";
  std::string epochs = "Nothing is trained in epochs here: has no effect";
  std::string resume = epochs;
  if (trains(about)) {
    quick = fmt::format("Less data, fewer epochs ({}): done in seconds", about.quick_epochs);
    epochs = fmt::format("How often to go through the training data ({}); 0 only\nevaluates",
                         about.epochs);
    resume = "Go on from the last checkpoint";
  }
  app.add_flag("--quick", options.quick, quick);
  app.add_option("--epochs", options.epochs, epochs)
      ->type_name("N")
      ->check(whole_number(1'000'000));
  app.add_flag("--resume", options.resume, resume);
  app.add_option("--seed", options.seed, "Seed of all random numbers (0)")
      ->type_name("N")
      ->check(whole_number(std::numeric_limits<std::uint64_t>::max()));
  app.add_option("--data", options.data, "Directory of another IDX image set (MNIST, KMNIST, ...)")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory.description(""));
  app.add_option("--out", options.out,
                 fmt::format("Directory for what is made: it goes to DIR/{} (out)", about.name))
      ->type_name("DIR");
  app.add_flag("--show", options.show, "Open the figures at the end");
}

// What CLI11 found wrong, in one line.
std::string message_of(const CLI::ParseError& error) {
  const std::string message = error.what();
  if (error.get_name() != "ArgumentMismatch") return message;
  return message.substr(0, message.find(':')) + ": takes one value, once";
}

// The command with the options that were given, but for --resume.
std::string command_again(const CLI::App& app, const std::string& command) {
  std::string result = command;
  for (const CLI::Option* option : app.parse_order()) {
    const std::string name = option->get_name();
    if (name == "--resume") continue;
    result += " " + name;
    if (option->get_items_expected() > 0) result += " " + shell_word(option->results().back());
  }
  return result;
}

// Reads the command line. Returns an exit status instead when there is nothing to run.
std::optional<int> parse(const About& about, int argc, char** argv, Arguments& arguments) {
  Options& options = arguments.options;
  const std::string command = command_of(about);
  CLI::App app(about.title, command);
  app.set_help_flag("-h,--help", "Print this page");
  app.get_formatter()->column_width(24);
  app.footer(
      "Exit status: 0 when the numbers are as expected, 1 when some are not, 2 after an\n"
      "error, 130 after Ctrl-C.");
  add_options(app, about, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return kAsExpected;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "error: {}\nFor the options: {} --help\n", message_of(error), command);
    return kError;
  }

  arguments.command = command_again(app, command);
  if (!trains(about)) {
    options.epochs = 0;
    options.resume = false;
  } else if (!app.count("--epochs")) {
    options.epochs = options.quick ? about.quick_epochs : about.epochs;
  }
  return std::nullopt;
}

std::string join_lines(std::string text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// Prints words with commas between them in lines of at most 80 columns.
void print_wrapped(const std::string& start, const std::vector<std::string>& words) {
  std::string line = start + words.front();
  for (std::size_t i = 1; i < words.size(); ++i) {
    line += ",";
    if (line.size() + words[i].size() + 2 > 80) {
      fmt::print("{}\n ", line);
      line.clear();
    }
    line += " " + words[i];
  }
  fmt::print("{}\n", line);
}

// A number with the digits that its tolerance makes worth reading, otherwise with seven.
std::string number(double value, double tolerance) {
  if (tolerance > 0 && tolerance < 1e6 && std::abs(value) < 1e9) {
    const int decimals = static_cast<int>(std::ceil(1 - std::log10(tolerance)));
    return fmt::format("{:.{}f}", value, std::clamp(decimals, 0, 12));
  }
  return fmt::format("{:.7g}", value);
}

}  // namespace

bool Expected::admits(double x) const { return std::abs(x - value) <= tolerance; }

Expected relative(double value, double fraction) { return {value, fraction * std::abs(value)}; }

Expected between(double low, double high) {
  return {low + (high - low) / 2, (high - low) / 2, true};
}

std::optional<Expected> when(bool condition, const Expected& expected) {
  if (!condition) return std::nullopt;
  return expected;
}

Lesson::Lesson(const About& about, Options options, std::string command)
    : about_(about),
      options_(std::move(options)),
      command_(std::move(command)),
      directory_(options_.out / about.name),
      start_(std::chrono::steady_clock::now()) {
  std::error_code error;
  fs::create_directories(directory_, error);
  if (error)
    fail("cannot make the directory {}: {}; choose another with --out", directory_.string(),
         error.message());
  const fs::path probe = directory_ / "probe";
  try {
    io::write_file(probe, "");
  } catch (const Error& problem) {
    fail("{}; choose another directory with --out", problem.what());
  }
  fs::remove(probe, error);
}

std::map<std::string, std::string> Lesson::identity() const {
  std::string data = "none";
  if (data_) data = fmt::format("{} ({} + {})", data_->name, data_->train, data_->test);
  return {{"lesson", about_.name},
          {"seed", std::to_string(options_.seed)},
          {"data", data},
          {"quick", options_.quick ? "yes" : "no"}};
}

fs::path Lesson::file(const std::string& name) {
  if (std::find(files_.begin(), files_.end(), name) == files_.end()) files_.push_back(name);
  return directory_ / name;
}

void Lesson::report(const std::string& name, double value, const std::string& unit) {
  check(name, value, unit, std::nullopt);
}

void Lesson::check(const std::string& name, double value, const std::string& unit,
                   const std::optional<Expected>& expected) {
  const bool ok = std::isfinite(value) && (!expected || expected->admits(value));
  results_.push_back({name, value, unit, expected, ok});
}

void Lesson::data(const std::string& name, Index train, Index test) { data_ = {name, train, test}; }

void Lesson::figure(const std::string& name, const std::string& problem) {
  figures_.push_back({name, join_lines(problem)});
}

bool Lesson::interrupted() const { return interrupts != 0; }

void Lesson::print_table() const {
  std::vector<std::array<std::string, 4>> rows = {{"", "measured", "expected", ""}};
  for (const Result& r : results_) {
    const double digits = r.expected && !r.expected->range ? r.expected->tolerance : 0;
    std::string measured = number(r.value, digits), expected;
    if (!r.unit.empty()) measured += " " + r.unit;
    if (r.expected && r.expected->range)
      expected = fmt::format("{:.7g} to {:.7g}", r.expected->value - r.expected->tolerance,
                             r.expected->value + r.expected->tolerance);
    else if (r.expected)
      expected = fmt::format("{} ± {:.2g}", number(r.expected->value, digits), digits);
    std::string verdict;
    if (!r.ok)
      verdict = "NO";
    else if (r.expected)
      verdict = "ok";
    rows.push_back({r.name, measured, expected, verdict});
  }
  fmt::print("\n");
  std::array<std::size_t, 3> widths{};
  for (const auto& row : rows)
    for (std::size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  for (const auto& row : rows) {
    std::string line = fmt::format("{:<{}}  {:<{}}  {:<{}}  {}", row[0], widths[0], row[1],
                                   widths[1], row[2], widths[2], row[3]);
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

void Lesson::print_files() const {
  std::vector<std::string> files = {"results.json"};
  files.insert(files.end(), files_.begin(), files_.end());
  fmt::print("\nIn {}:\n", directory_.string());
  print_wrapped("  ", files);
  std::map<std::string, std::vector<std::string>> figures;  // by problem
  for (const Figure& f : figures_) figures[f.problem].push_back(f.name + ".png");
  for (const auto& [problem, names] : figures) {
    print_wrapped(problem.empty() ? "  " : "Not drawn: ", names);
    if (!problem.empty()) fmt::print("  {}\n", problem);
  }
}

void Lesson::write_results() const {
  using Json = nlohmann::ordered_json;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  Json json = {{"lesson", about_.name}, {"seed", options_.seed}, {"data", nullptr}};
  if (data_) json["data"] = {{"name", data_->name}, {"train", data_->train}, {"test", data_->test}};
  json["seconds"] = std::round(elapsed.count() * 1000) / 1000;
  json["quick"] = options_.quick;
  json["epochs"] = options_.epochs;
  if (interrupted()) json["interrupted"] = true;
  json["results"] = Json::array();
  for (const Result& r : results_) {
    Json entry = {{"name", r.name}, {"value", r.value}, {"unit", r.unit}};
    if (r.expected) {
      entry["expected"] = r.expected->value;
      entry["tolerance"] = r.expected->tolerance;
    }
    entry["ok"] = r.ok;
    json["results"].push_back(entry);
  }
  io::write_file(directory_ / "results.json", json.dump(2) + "\n");
}

void Lesson::show() const {
  const bool display = std::getenv("DISPLAY") || std::getenv("WAYLAND_DISPLAY");
  for (const Figure& f : figures_)
    if (f.problem.empty() &&
        !(display && start_program({"xdg-open", (directory_ / (f.name + ".png")).string()}))) {
      fmt::print("Cannot open the figures, {}: they are in {}\n",
                 display ? "xdg-open is not installed" : "there is no display",
                 fs::absolute(directory_).lexically_normal().string());
      return;
    }
}

int Lesson::finish() {
  if (!results_.empty()) print_table();
  if (!data_ && !options_.data.empty())
    fmt::print("\nThis lesson is not about images: --data had no effect.\n");
  write_results();
  print_files();
  if (options_.show) show();
  std::vector<std::string> off;
  for (const Result& r : results_)
    if (!r.ok) off.push_back(r.name);
  if (interrupted()) {
    fmt::print("Interrupted: these numbers are of an unfinished run. To go on:\n  {} --resume\n",
               command_);
    return kInterrupted;
  }
  if (!off.empty()) fmt::print("Not as expected: {}\n", fmt::join(off, ", "));
  return off.empty() ? kAsExpected : kNumbersOff;
}

int run(const About& about, int argc, char** argv, const std::function<void(Lesson&)>& body) {
  Arguments arguments;
  int status = kError;
  interrupts = 0;
  try {
    if (const auto done = parse(about, argc, argv, arguments)) return *done;
    fmt::print("Lesson {}: {}\n", about.name.substr(0, about.name.find('_')), about.title);
    std::fflush(stdout);
    Lesson lesson(about, arguments.options, arguments.command);
    if (about.epochs > 0) catch_interrupts();
    body(lesson);
    status = lesson.finish();
  } catch (const std::exception& error) {
    std::fflush(stdout);
    fmt::print(stderr, "error: {}\n", error.what());
  }
  std::fflush(stdout);
  return status;
}

}  // namespace gradus::kit
