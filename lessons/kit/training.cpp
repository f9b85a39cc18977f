#include "lessons/kit/training.hpp"

#include <charconv>
#include <cstdio>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "nn/serialization.hpp"
#include "tensor/error.hpp"
#include "tensor/io/safetensors.hpp"

namespace gradus::kit {
namespace {

// Before names in a checkpoint's metadata: "history.NAME" are the scores NAME, "run.NAME" is
// something that the run was made with.
const std::string kHistory = "history.";
const std::string kRun = "run.";

// Numbers with one space between them. Written by {} they are read again as they were, to the last
// bit. Empty when the text is not of that form.
std::optional<std::vector<double>> numbers_from(const std::string& text) {
  std::vector<double> numbers;
  const char* next = text.data();
  const char* const end = next + text.size();
  while (true) {
    double number = 0;
    const auto [stop, problem] = std::from_chars(next, end, number);
    if (problem != std::errc()) return std::nullopt;
    numbers.push_back(number);
    if (stop == end) return numbers;
    if (*stop != ' ') return std::nullopt;
    next = stop + 1;
  }
}

}  // namespace

Training::Training(Lesson& lesson, const std::string& name, const Plan& plan,
                   nn::Parameters<float> parameters, nn::Optimizer<float>& optimizer, Rng& rng)
    : lesson_(lesson),
      name_(name),
      plan_(plan),
      parameters_(std::move(parameters)),
      optimizer_(optimizer),
      rng_(rng),
      checkpoint_(lesson.file("checkpoint_" + name + ".safetensors")) {
  fmt::print("Training {}\n", name);
  if (!lesson.options().resume) return;
  if (std::filesystem::exists(checkpoint_)) {
    load();
    fmt::print("  going on from {}: epochs done: {}\n", checkpoint_.string(), epoch());
  } else {
    fmt::print("  beginning anew, for there is no {}\n", checkpoint_.string());
  }
}

bool Training::done() const { return epoch() >= plan_.epochs || lesson_.interrupted(); }

int Training::epoch() const {
  return history_.empty() ? 0 : static_cast<int>(history_.begin()->second.size()) - 1;
}

Training::Epoch Training::minibatches(const Tensor<float>& examples) {
  if (history_.empty()) fail("training {}: record the scores before training first", name_);
  nn::Minibatches<float> batches = nn::minibatches(examples, plan_.batch, rng_);
  steps_an_epoch_ = (examples.extent(0) + plan_.batch - 1) / plan_.batch;
  step_ = epoch() * steps_an_epoch_;
  if (!progress_) progress_.emplace("training " + name_, steps() - step_);
  return Epoch(this, std::move(batches));
}

Index Training::step() const {
  require_steps_known();
  return step_;
}

Index Training::steps() const {
  require_steps_known();
  return plan_.epochs * steps_an_epoch_;
}

void Training::require_steps_known() const {
  if (steps_an_epoch_ == 0)
    fail("training {}: how many steps there are is known from the first call of minibatches on",
         name_);
}

void Training::record(const std::function<std::vector<Score>()>& measure) {
  const bool begins = history_.empty();
  const bool whole = steps_an_epoch_ > 0 && step_ == (epoch() + 1) * steps_an_epoch_;
  if (begins || whole) {
    const std::vector<Score> scores = measure();
    if (!begins) require_same_names(scores);
    for (const auto& [name, value] : scores) history_[name].push_back(value);
    save();
    print(scores);
  }
  if (done()) progress_.reset();
}

void Training::require_same_names(const std::vector<Score>& scores) const {
  std::set<std::string> before;
  std::set<std::string> now;
  for (const auto& [name, values] : history_) before.insert(name);
  for (const auto& [name, value] : scores) now.insert(name);
  if (now != before)
    fail("training {}: its scores were {}, and now are {}", name_, fmt::join(before, ", "),
         fmt::join(now, ", "));
}

std::map<std::string, std::string> Training::identity() const {
  std::map<std::string, std::string> identity = lesson_.identity();
  identity["model"] = name_;
  identity["batch"] = std::to_string(plan_.batch);
  if (plan_.scheduled) identity["epochs"] = std::to_string(plan_.epochs);
  return identity;
}

void Training::require_same_run(const std::map<std::string, std::string>& metadata) const {
  std::vector<std::string> differences;
  for (const auto& [name, here] : identity()) {
    const auto found = metadata.find(kRun + name);
    const std::string there = found == metadata.end() ? "not said" : found->second;
    if (there != here)
      differences.push_back(fmt::format("{} is {} there, but {} here", name, there, here));
  }
  if (!differences.empty())
    fail(
        "{} is of another run: {}. Give the options that it was made with, or leave --resume out "
        "to begin anew.",
        checkpoint_.string(), fmt::join(differences, "; "));
}

void Training::save() const {
  io::SafeTensors<float> file;
  nn::save(parameters_, file);
  optimizer_.save(file);
  for (const auto& [name, values] : history_)
    file.metadata[kHistory + name] = fmt::format("{}", fmt::join(values, " "));
  for (const auto& [name, value] : identity()) file.metadata[kRun + name] = value;
  file.metadata["rng"] = rng_.state();
  io::write_safetensors(checkpoint_, file.tensors, file.metadata);
}

History Training::history_from(const std::map<std::string, std::string>& metadata) const {
  History history;
  for (const auto& [key, text] : metadata) {
    if (!key.starts_with(kHistory)) continue;
    const auto values = numbers_from(text);
    if (!values)
      fail("{} is damaged: its {} is '{}', not a list of numbers", checkpoint_.string(), key, text);
    history[key.substr(kHistory.size())] = *values;
  }
  if (history.empty()) fail("{} is damaged: it has no scores", checkpoint_.string());
  for (const auto& [name, values] : history)
    if (values.size() != history.begin()->second.size())
      fail("{} is damaged: its scores are of different numbers of epochs", checkpoint_.string());
  return history;
}

void Training::load() {
  const auto file = io::read_safetensors<float>(checkpoint_);
  require_same_run(file.metadata);
  History history = history_from(file.metadata);
  const int epochs_done = static_cast<int>(history.begin()->second.size()) - 1;
  if (epochs_done > plan_.epochs)
    fail(
        "{} has {} epochs done, but only {} are asked for: ask for as many with --epochs, or leave "
        "--resume out to begin anew.",
        checkpoint_.string(), epochs_done, plan_.epochs);
  const auto state = file.metadata.find("rng");
  if (state == file.metadata.end())
    fail("{} is damaged: it has no state of the random numbers", checkpoint_.string());
  nn::load(parameters_, file);
  optimizer_.load(file);
  rng_.restore(state->second);
  history_ = std::move(history);
}

void Training::print(const std::vector<Score>& scores) {
  std::string line = fmt::format("  epoch {:2}:", epoch());
  for (const auto& [name, value] : scores) {
    if (!line.ends_with(':')) line += ",";
    line += fmt::format(" {} {:#.6g}", name, value);
  }
  if (progress_) {
    progress_->print(line);
  } else {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }
}

Steps::Steps(Lesson& lesson, const std::string& label, Index steps)
    : lesson_(lesson), steps_(steps), progress_(label, steps) {}

Steps::Batches Steps::minibatches(const Tensor<float>& examples, Index size, Rng& rng) {
  return Batches(*this, examples, size, rng);
}

Steps::Batches::Batches(Steps& steps, const Tensor<float>& examples, Index size, Rng& rng)
    : steps_(steps), examples_(examples), size_(size), rng_(rng) {
  begin_epoch();
}

void Steps::Batches::begin_epoch() {
  epoch_.emplace(examples_, size_, rng_);
  next_ = epoch_->begin();
}

void Steps::Batches::advance() {
  ++next_;
  ++steps_.done_;
  steps_.progress_.step();
  const bool epoch_is_over = next_ == epoch_->end();
  if (epoch_is_over && !at_end()) begin_epoch();
}

bool Steps::Batches::at_end() const {
  return steps_.done_ >= steps_.steps_ || steps_.lesson_.interrupted();
}

}  // namespace gradus::kit
