#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// What the shape of the project promises: that its rooms depend on each other one way, and that it
// can be built anywhere.
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = GRADUS_SOURCE_DIR;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The files of a folder of the project and of those in it, with one of these endings.
std::vector<fs::path> files_in(const std::string& folder, const std::set<std::string>& endings) {
  std::vector<fs::path> result;
  if (!fs::exists(kRoot / folder)) return result;
  for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder))
    if (entry.is_regular_file() && endings.contains(entry.path().extension().string()))
      result.push_back(entry.path());
  std::sort(result.begin(), result.end());
  return result;
}

std::string shown(const fs::path& path) { return fs::relative(path, kRoot).string(); }

// The first folder of every file that this text includes with quotes.
std::set<std::string> rooms_included_by(const std::string& text) {
  static const std::regex include(R"re((^|\n)\s*#\s*include\s*["<]((?:\.\./)*)(\w+)/)re");
  std::set<std::string> rooms;
  for (std::sregex_iterator m(text.begin(), text.end(), include), end; m != end; ++m)
    rooms.insert((*m)[3]);
  return rooms;
}

TEST(Architecture, EveryRoomIncludesOnlyTheRoomsBelowIt) {
  const std::map<std::string, std::set<std::string>> above =
      {{"tensor", {"autograd", "nn", "lessons", "tests"}},
       {"autograd", {"nn", "lessons", "tests"}},
       {"nn", {"lessons", "tests"}},
       {"lessons", {"tests"}}};
  for (const auto& [room, forbidden] : above)
    for (const fs::path& file : files_in(room, {".hpp", ".cpp"}))
      for (const std::string& included : rooms_included_by(text_of(file)))
        EXPECT_FALSE(forbidden.contains(included))
            << shown(file) << " includes " << included << "/";
}

TEST(Architecture, AnIncludeIsSeenHoweverItIsWritten) {
  EXPECT_EQ(rooms_included_by(
                "#pragma once\n#include \"nn/layers.hpp\"\n  # include <tensor/io/x>\n"
                "#include \"../autograd/tape.hpp\"\n#include <vector>\n// nn/none\n"),
            (std::set<std::string>{"nn", "tensor", "autograd"}));
}

TEST(Architecture, NoFileNamesADirectoryOfOneMachine) {
  static const std::regex absolute(R"((^|[\s"'=(:])/(home|root|work|Users|tmp|mnt)/\w)");
  EXPECT_TRUE(std::regex_search("DIR = /home/somebody", absolute));
  EXPECT_FALSE(std::regex_search("see tests/home/x and http://a.org/home/x", absolute));
  std::vector<fs::path> files = {kRoot / "CMakeLists.txt", kRoot / "CMakePresets.json"};
  for (const char* folder : {"tensor", "autograd", "nn", "lessons", "tests"})
    for (const fs::path& file :
         files_in(folder, {".hpp", ".cpp", ".txt", ".cmake", ".md", ".json", ".gp", ".py", ".sh"}))
      files.push_back(file);
  for (const fs::path& file : files) {
    if (file.filename() == "architecture_test.cpp") continue;
    const std::string text = text_of(file);
    std::smatch found;
    EXPECT_FALSE(std::regex_search(text, found, absolute))
        << shown(file) << " has" << found.str() << "...";
    EXPECT_EQ(shown(file).find(' '), std::string::npos) << shown(file);
  }
}

}  // namespace
