#include "lessons/kit/lesson.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <new>
#include <system_error>
#include <utility>

#include <CLI/CLI.hpp>
#include <fcntl.h>
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
  if (interrupts) _exit(kInterrupted);  // the second one ends the program
  interrupts = 1;
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

// Thrown to leave a lesson that has no epochs to stop after.
struct Interruption {};

// "13" for 13_vae.
std::string number_of(const About& about) { return about.name.substr(0, about.name.find('_')); }

// How the user calls learn from where they stand.
std::string learn_from_here() {
  std::error_code ignored;
  if (fs::equivalent(".", GRADUS_ROOT, ignored)) return "./learn";
  return shell_word(GRADUS_ROOT "/learn");
}

struct Arguments {
  Options options;
  std::string command;  // that gives these options again
};

bool trains(const About& about) { return about.epochs > 0; }

// An option whose value is a whole number from 0 to `most`. It is read here, because CLI11 would
// take 010 for 8.
template <class Integer>
void add_number(CLI::App& app, const std::string& name, Integer& value, Integer most,
                const std::string& description) {
  const auto read = [&value, name, most](const std::string& text) {
    Integer number{};
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc() || stop != end || number < 0 || number > most)
      throw CLI::ValidationError(name, fmt::format("takes a whole number from 0 to {}, not \"{}\"",
                                                   most, text));
    value = number;
  };
  app.add_option_function<std::string>(name, read, description)->type_name("N");
}

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
  add_number(app, "--epochs", options.epochs, 1'000'000, epochs);
  app.add_flag("--resume", options.resume, resume);
  add_number(app, "--seed", options.seed, std::numeric_limits<std::uint64_t>::max(),
             "Seed of all random numbers (0)");
  app.add_option("--data", options.data, "Directory of another IDX image set (MNIST, KMNIST, ...)")
      ->type_name("DIR")
      ->check(CLI::ExistingDirectory.description(""));
  app.add_option("--out", options.out,
                 fmt::format("Directory for what is made: it goes to DIR/{}\n(out/ beside learn)",
                             about.name))
      ->type_name("DIR")
      ->check([](const std::string& text) { return text.empty() ? "must not be empty" : ""; });
  app.add_flag("--show", options.show, "Open the figures at the end");
  if (!about.weights.empty())
    app.add_option("--weights", options.weights, about.weights)
        ->type_name("DIR")
        ->check(CLI::ExistingDirectory.description(""));
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
  const std::string command = "./learn " + number_of(about);
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

  arguments.command = command_again(app, learn_from_here() + " " + number_of(about));
  if (!app.count("--out")) options.out = GRADUS_ROOT "/out";
  if (!trains(about)) {
    options.epochs = 0;
    options.resume = false;
  } else if (!app.count("--epochs")) {
    options.epochs = options.quick ? about.quick_epochs : about.epochs;
  }
  return std::nullopt;
}

std::string join_lines(std::string text) {
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

// Throws Error when something that was printed did not get to where standard output goes.
void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) fail("cannot write to standard output");
}

// Says what was wrong. When that is the writing of standard output, anything may have noticed it.
int failed(std::string message) {
  std::fflush(stdout);
  if (std::ferror(stdout)) message = "cannot write to standard output";
  std::fputs(fmt::format("error: {}\n", message).c_str(), stderr);  // fmt::print would throw
  return kError;
}

// A program that is started with a standard stream closed would get its number for a file of its
// own. What is read is then empty, and what is written fails.
void open_standard_streams() {
  for (int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(stream, F_GETFD) < 0)
      open(stream == STDIN_FILENO ? "/dev/null" : "/dev/full", O_RDWR);
}

// Removes what a run that was killed left in the middle of a file or a figure.
void sweep(const fs::path& directory) {
  constexpr std::array kParts = {".gp.part",   ".dot.part",         ".png.part",
                                 ".json.part", ".safetensors.part", "probe.part"};
  std::error_code ignored;
  std::vector<fs::path> left_over = {directory / "probe"};
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    const bool is_part = std::any_of(kParts.begin(), kParts.end(),
                                     [&](const char* part) { return name.ends_with(part); });
    if (entry.is_directory(ignored) ? name.ends_with(".drawing") : is_part)
      left_over.push_back(entry.path());
  }
  for (const fs::path& path : left_over) fs::remove_all(path, ignored);
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
  lock_.emplace(directory_);
  sweep(directory_);
  const fs::path probe = directory_ / "probe";
  try {
    io::write_file(probe, "");
  } catch (const Error& problem) {
    fail("{}; choose another directory with --out", problem.what());
  }
  fs::remove(probe, error);
}

void Lesson::leave_if_interrupted() const {
  if (interrupted() && !trains(about_)) throw Interruption();
}

std::map<std::string, std::string> Lesson::identity() const {
  std::map<std::string, std::string> result = {{"lesson", about_.name},
                                               {"seed", std::to_string(options_.seed)},
                                               {"data", "none"},
                                               {"quick", options_.quick ? "yes" : "no"}};
  if (data_) {
    result["data"] = fmt::format("{} ({} + {})", data_->name, data_->train, data_->test);
    result["checksum of the data"] = fmt::format("{:08x}", data_->checksum);
  }
  return result;
}

fs::path Lesson::file(const std::string& name) {
  leave_if_interrupted();
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
  leave_if_interrupted();
}

void Lesson::data(const std::string& name, Index train, Index test, std::uint32_t checksum) {
  data_ = {name, train, test, checksum};
  leave_if_interrupted();
}

void Lesson::figure(const std::string& name, const std::string& problem) {
  figures_.push_back({name, join_lines(problem)});
  leave_if_interrupted();
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
    fmt::print("Interrupted: this is what an unfinished run has. {}:\n  {}{}\n",
               trains(about_) ? "To go on" : "To begin again", command_,
               trains(about_) ? " --resume" : "");
    return kInterrupted;
  }
  if (!off.empty()) fmt::print("Not as expected: {}\n", fmt::join(off, ", "));
  return off.empty() ? kAsExpected : kNumbersOff;
}

int run(const About& about, int argc, char** argv, const std::function<void(Lesson&)>& body) {
  Arguments arguments;
  interrupts = 0;
  open_standard_streams();
  catch_interrupts();
  try {
    const auto done = parse(about, argc, argv, arguments);
    if (!done) fmt::print("Lesson {}: {}\n", number_of(about), about.title);
    flush_output();
    if (done) return *done;

    Lesson lesson(about, arguments.options, arguments.command);
    try {
      body(lesson);
    } catch (const Interruption&) {
    }
    const int status = lesson.finish();
    flush_output();
    return status;
  } catch (const std::bad_alloc&) {
    return failed("there is not enough memory for this");
  } catch (const std::exception& error) {
    return failed(error.what());
  }
}

}  // namespace gradus::kit
