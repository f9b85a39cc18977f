#include "lessons/kit/drawing.hpp"

#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "lessons/kit/process.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;
using namespace std::string_view_literals;

// Whether a file is a PNG from its first bytes to its last, the empty chunk IEND.
bool is_whole_png(const fs::path& path) {
  try {
    const std::string bytes = io::read_file(path);
    return bytes.starts_with("\x89PNG\r\n\x1a\n"sv) &&
           bytes.ends_with("\0\0\0\0IEND\xae\x42\x60\x82"sv);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

Drawing::Drawing(Lesson& lesson, std::string name)
    : lesson_(lesson),
      name_(std::move(name)),
      workshop_(lesson.directory() / (name_ + ".drawing")) {
  std::error_code ignored;
  fs::remove(lesson_.directory() / (name_ + ".png"), ignored);
  fs::remove_all(workshop_, ignored);
  fs::create_directory(workshop_, ignored);
}

Drawing::~Drawing() {
  std::error_code ignored;
  fs::remove_all(workshop_, ignored);
}

bool Drawing::put_in_place(const std::string& file) {
  std::error_code error;
  fs::rename(part(file), lesson_.directory() / file, error);
  return !error;
}

void Drawing::paint(const Painter& painter, std::chrono::milliseconds limit) {
  const std::string& program = painter.command.front();
  if (lesson_.is_too_slow(program)) {
    give_up(fmt::format("{} was not run: it was too slow for an earlier figure. To try again: {}",
                        program, by_hand(painter)));
    return;
  }
  ProgramResult result = run_program(painter.command, workshop_, limit);

  const std::string png = name_ + ".png";
  if (result.outcome == ProgramResult::kSucceeded) {
    if (is_whole_png(part(png)) && put_in_place(png)) return lesson_.figure(name_);
    result.message = "reported no error, but there is no whole picture";
  }
  if (result.outcome == ProgramResult::kTooSlow) {
    lesson_.found_too_slow(program);
    result.message = fmt::format("was stopped: it had not finished after {:g} s",
                                 std::chrono::duration<double>(limit).count());
  }
  std::string advice = "To try again";
  if (result.outcome == ProgramResult::kNotFound)
    advice = fmt::format("Install it (Debian: {}), then", painter.package);
  give_up(fmt::format("{} {}. {}: {}", program, result.message, advice, by_hand(painter)));
}

std::string Drawing::by_hand(const Painter& painter) const {
  return fmt::format("cd {} && {}", shell_word(lesson_.directory().string()), painter.by_hand);
}

void Drawing::give_up(const std::string& problem) { lesson_.figure(name_, problem); }

}  // namespace gradus::kit
