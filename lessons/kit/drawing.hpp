#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "lessons/kit/lesson.hpp"

namespace gradus::kit {

// A program that draws a figure from what is written into a file.
struct Painter {
  std::vector<std::string> command;  // makes NAME.png in the directory in which it is run
  std::string package;               // that has it in Debian
  std::string by_hand;               // what to type later, in the lesson's directory
};

// The making of one figure. It happens in a directory of its own, NAME.drawing, so that whatever
// stands in the lesson's directory is whole. A figure is the least part of a lesson: what goes
// wrong here is noted for the end, and the lesson goes on.
class Drawing {
 public:
  // Removes the picture of an earlier run.
  Drawing(Lesson& lesson, std::string name);
  ~Drawing();
  Drawing(const Drawing&) = delete;
  Drawing& operator=(const Drawing&) = delete;

  // Where a file may be written before it is put in place.
  std::filesystem::path part(const std::string& file) const { return workshop_ / file; }

  // Moves such a file into the lesson's directory. False when that cannot be done.
  bool put_in_place(const std::string& file);

  // Has NAME.png drawn and puts it in place, if it comes out whole. A program that does not finish
  // within `limit` is not run again in this lesson.
  void paint(const Painter& painter, std::chrono::milliseconds limit = std::chrono::minutes(1));

  // Notes that there is no picture, and why.
  void give_up(const std::string& problem);

 private:
  std::string by_hand(const Painter& painter) const;

  Lesson& lesson_;
  std::string name_;
  std::filesystem::path workshop_;
};

}  // namespace gradus::kit
