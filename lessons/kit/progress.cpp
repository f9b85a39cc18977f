#include "lessons/kit/progress.hpp"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace gradus::kit {
namespace {

constexpr auto kPatience = std::chrono::seconds(1);
constexpr auto kRedraw = std::chrono::milliseconds(100);
constexpr int kBar = 30;  // characters

std::string minutes(double seconds) {
  const auto s = static_cast<long long>(seconds + 0.5);
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string label, Index steps, Clock::time_point now)
    : label_(std::move(label)),
      steps_(steps),
      terminal_(isatty(STDERR_FILENO)),
      start_(now),
      next_(start_ + kPatience) {}

Progress::~Progress() { clear(); }

void Progress::step(Clock::time_point now) {
  ++done_;
  if (terminal_ && now >= next_) draw(now);
}

void Progress::print(std::string_view line) {
  clear();
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

void Progress::draw(Clock::time_point now) {
  const double part = steps_ > 0 ? std::min(1.0, double(done_) / double(steps_)) : 1.0;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::string bar(static_cast<std::size_t>(part * kBar), '=');
  if (bar.size() < kBar) bar += '>';
  std::string line = fmt::format("{} [{:<{}}] {:3.0f} %  {} left  {}", label_, bar, kBar,
                                 100 * part, minutes(elapsed * (1 - part) / part), note_);
  line.resize(std::min(line.size(), terminal_width() - 1));  // a wrapped line could not be redrawn
  fmt::print(stderr, "\r{}\033[K", line);
  std::fflush(stderr);
  visible_ = true;
  next_ = now + kRedraw;
}

void Progress::clear() {
  if (!visible_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  visible_ = false;
}

}  // namespace gradus::kit
