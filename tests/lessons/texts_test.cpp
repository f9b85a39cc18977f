#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

// Each lesson's text, held to what its program says and does:
//
//   - a block of C++ stands under the name of the file that it is quoted from,
//         <!-- lessons/01_pca/model.hpp -->
//     and is found there, line by line, but for its indentation;
//   - a decimal number of three digits or more, anywhere else in the text, is a rounding of one in
//     the results.json beside it, which a default run has written, or in an earlier lesson's;
//   - that results.json agrees with the last default run of the program here;
//   - what Markdown would make of a formula does not tear it apart.
namespace gradus {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path kRoot = GRADUS_SOURCE_DIR;

std::string contents(const fs::path& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<fs::path> lessons() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(kRoot / "lessons"))
    if (fs::exists(entry.path() / "main.cpp")) all.push_back(entry.path());
  std::sort(all.begin(), all.end());
  return all;
}

// A text without its blocks of C++, and those blocks with the file that each names.
struct Text {
  struct Quote {
    std::string file, code;
  };

  std::string prose;
  std::vector<Quote> quotes;

  explicit Text(const fs::path& readme) {
    std::string file;
    bool inside = false;
    for (const std::string& line : lines_of(contents(readme))) {
      std::smatch name;
      if (inside && line == "```") {
        inside = false;
      } else if (inside) {
        quotes.back().code += line + "\n";
      } else if (line == "```cpp") {
        inside = true;
        quotes.push_back({std::exchange(file, ""), ""});
      } else if (std::regex_match(line, name, std::regex("<!-- (\\S+) -->"))) {
        file = name[1];
      } else {
        prose += line + "\n";
        if (!line.empty()) file.clear();
      }
    }
    EXPECT_FALSE(inside) << readme << " ends inside a block of code";
  }
};

// Without what all of its lines have in front.
std::string unindented(const std::string& code) {
  std::size_t least = std::string::npos;
  for (const std::string& line : lines_of(code))
    least = std::min(least, line.find_first_not_of(' '));
  std::string result;
  for (const std::string& line : lines_of(code))
    result += (line.empty() ? "" : line.substr(least)) + "\n";
  return result;
}

// Whether `quote` is a run of lines of `source`, when both are shifted to the left.
bool occurs(const std::string& quote, const std::string& source) {
  const auto wanted = lines_of(unindented(quote)), lines = lines_of(source);
  for (std::size_t i = 0; i + wanted.size() <= lines.size(); ++i) {
    std::string part;
    for (std::size_t j = 0; j < wanted.size(); ++j) part += lines[i + j] + "\n";
    if (unindented(part) == unindented(quote)) return true;
  }
  return false;
}

// The numbers of lesson `readme` and of those before it.
std::vector<double> known_numbers(const fs::path& lesson) {
  std::vector<double> numbers;
  for (const fs::path& other : lessons()) {
    if (other.filename() > lesson.filename() || !fs::exists(other / "results.json")) continue;
    const Json json = Json::parse(contents(other / "results.json"));
    for (const Json& result : json["results"])
      for (const char* key : {"value", "expected"})
        if (result.contains(key) && result[key].is_number())
          numbers.push_back(std::abs(result[key].get<double>()));
  }
  return numbers;
}

// The decimal numbers of a text that have at least three digits, not counting zeros in front. The
// version of a program, as in "PyTorch 1.13", is no number.
std::vector<std::string> numbers_in(const std::string& text) {
  const std::regex version("(PyTorch|NumPy)\\s[0-9.]*[0-9]");
  const std::string prose = std::regex_replace(text, version, "$1");
  std::vector<std::string> numbers;
  const std::regex pattern("[0-9]+\\.[0-9]+(e[-+]?[0-9]+)?");
  for (std::sregex_iterator it(prose.begin(), prose.end(), pattern), end; it != end; ++it) {
    const std::string mantissa = it->str().substr(0, it->str().find('e'));
    const std::size_t first = mantissa.find_first_not_of("0.");
    if (first == std::string::npos) continue;
    const std::string rest = mantissa.substr(first);
    if (std::count_if(rest.begin(), rest.end(), ::isdigit) >= 3) numbers.push_back(it->str());
  }
  return numbers;
}

bool is_rounding_of(const std::string& number, double value) {
  const std::string mantissa = number.substr(0, number.find('e'));
  const auto exponent =
      number.find('e') == std::string::npos ? 0 : std::stoi(number.substr(number.find('e') + 1));
  const auto decimals = static_cast<double>(mantissa.size() - mantissa.find('.') - 1);
  const double half = 0.5 * std::pow(10.0, exponent - decimals);
  return std::abs(std::stod(number) - value) <= half * (1 + 1e-6) + 1e-15;
}

TEST(Texts, QuoteTheSourceAsItIs) {
  std::vector<fs::path> texts = {kRoot / "README.md"};
  for (const fs::path& lesson : lessons()) texts.push_back(lesson / "README.md");
  for (const fs::path& readme : texts)
    for (const auto& [file, code] : Text(readme).quotes) {
      ASSERT_FALSE(file.empty()) << readme << ": no file is named above\n" << code;
      EXPECT_TRUE(occurs(code, contents(kRoot / file)))
          << readme << " quotes what is not in " << file << ":\n"
          << code;
    }
}

TEST(Texts, SayOnlyNumbersThatADefaultRunGave) {
  for (const fs::path& lesson : lessons()) {
    ASSERT_TRUE(fs::exists(lesson / "results.json"))
        << lesson << ": run it with its default options and copy results.json from out/";
    const std::vector<double> known = known_numbers(lesson);
    for (const std::string& number : numbers_in(Text(lesson / "README.md").prose))
      EXPECT_TRUE(std::any_of(known.begin(), known.end(),
                              [&](double value) { return is_rounding_of(number, value); }))
          << lesson.filename() << ": no result is " << number;
  }
}

TEST(Texts, NameEachResultOnce) {
  for (const fs::path& lesson : lessons()) {
    const Json told = Json::parse(contents(lesson / "results.json"));
    std::map<std::string, int> times;
    for (const Json& result : told["results"]) ++times[result["name"]];
    for (const auto& [name, count] : times)
      EXPECT_EQ(count, 1) << lesson.filename() << ": " << name;
  }
}

// What the committed results and those of the last default run here have in common must agree, but
// for times and what training in float, which differs between processors, may move.
TEST(Texts, AgreeWithTheLastDefaultRunHere) {
  const char* other = std::getenv("GRADUS_TEST_OUT");
  for (const fs::path& out : {kRoot / "out", fs::path(other ? other : "")})
    for (const fs::path& lesson : lessons()) {
      const fs::path path = out / lesson.filename() / "results.json";
      if (out.empty() || !fs::exists(path)) continue;
      const Json run = Json::parse(contents(path));
      const Json told = Json::parse(contents(lesson / "results.json"));
      bool same = !run.contains("interrupted");
      for (const char* key : {"seed", "data", "quick", "epochs"})
        same &= run.value(key, Json()) == told.value(key, Json());
      if (!same) continue;
      for (const Json& quoted : told["results"]) {
        const std::string name = quoted["name"], unit = quoted["unit"];
        if (unit.find("GFLOP/s") != std::string::npos || unit == "s" || unit == "ns") continue;
        const Json* measured = nullptr;
        for (const Json& result : run["results"])
          if (result["name"] == name) measured = &result;
        ASSERT_TRUE(measured) << path << " has no " << name;
        const double value = quoted["value"],
                     allowed = std::max(0.02 * std::abs(value), 2 * quoted.value("tolerance", 0.0));
        EXPECT_NEAR((*measured)["value"].get<double>(), value, allowed + 1e-9)
            << lesson.filename() << ": " << name;
      }
    }
}

TEST(Texts, ShowEachFigureAndKeepItSmall) {
  for (const fs::path& lesson : lessons()) {
    const std::string text = contents(lesson / "README.md");
    std::set<std::string> shown;
    const std::regex link("!\\[([^\\]]+)\\]\\(figures/([^)]+)\\)");
    for (std::sregex_iterator it(text.begin(), text.end(), link), end; it != end; ++it) {
      shown.insert((*it)[2]);
      EXPECT_TRUE(fs::exists(lesson / "figures" / (*it)[2].str())) << lesson << (*it)[2];
    }
    for (const auto& entry : fs::directory_iterator(lesson / "figures")) {
      EXPECT_TRUE(shown.count(entry.path().filename().string())) << entry.path() << " is not shown";
      EXPECT_LT(entry.file_size(), 200'000u) << entry.path();
    }
  }
}

TEST(Texts, HaveTheirPartsInOrder) {
  const std::vector<std::string> parts = {"# ",
                                          "## The idea",
                                          "## The code",
                                          "## Run it",
                                          "## What you should see",
                                          "## Is it true?",
                                          "## What this left out",
                                          "## Where this comes from",
                                          "## Try it"};
  for (const fs::path& lesson : lessons()) {
    const std::string text = contents(lesson / "README.md");
    std::size_t position = 0;
    for (const std::string& part : parts) {
      position = text.find(part, position);
      ASSERT_NE(position, std::string::npos) << lesson << " has no '" << part << "' in its place";
    }
  }
}

// ---- Formulas, which the pages' Markdown is read before ----------------------------------------
//
// A formula between $ signs is text to Markdown first: a list item or an emphasis that begins
// inside of one tears it apart. Inside of a block ```math nothing is taken for Markdown.

// A run of lines without an empty one between them, outside of blocks of code.
struct Paragraph {
  std::size_t line;  // of the file, at which it begins
  std::vector<std::string> lines;
};

std::vector<Paragraph> paragraphs_of(const std::string& text) {
  std::vector<Paragraph> paragraphs;
  bool inside_code = false;
  bool begins = true;
  std::size_t number = 0;
  const std::regex fence_mark("^\\s*```");
  for (const std::string& line : lines_of(text)) {
    ++number;
    const bool fence = std::regex_search(line, fence_mark);
    if (fence) inside_code = !inside_code;
    if (fence || inside_code || line.find_first_not_of(' ') == std::string::npos) {
      begins = true;
      continue;
    }
    if (begins) paragraphs.push_back({number, {}});
    begins = false;
    paragraphs.back().lines.push_back(line);
  }
  return paragraphs;
}

// The same text with blanks for code between backticks.
std::string without_code(const std::string& text) {
  std::string result = text;
  bool inside = false;
  for (char& c : result) {
    const bool tick = c == '`';
    if (tick || inside) c = ' ';
    if (tick) inside = !inside;
  }
  return result;
}

// The lines, counted from 0, that Markdown takes for an item of a list, a title or a quotation
// inside of a formula.
std::vector<std::size_t> items_in_formulas(const std::vector<std::string>& lines) {
  const std::regex item("\\s*(([-+*]|[0-9]+[.)]|#{1,6})\\s.*|>.*|=+\\s*)");
  std::vector<std::size_t> found;
  bool inside = false;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (inside && std::regex_match(lines[i], item)) found.push_back(i);
    const std::string line = without_code(lines[i]);
    for (std::size_t k = 0; k < line.size(); ++k) {
      const bool escaped = k > 0 && line[k - 1] == '\\';
      if (line[k] != '$' || escaped) continue;
      inside = !inside;
      if (line.compare(k, 2, "$$") == 0) ++k;  // two of them open or close once
    }
  }
  return found;
}

// Whether Markdown makes an emphasis of what stands between two underscores. The conditions on
// their neighbours are those of CommonMark 0.30, section 6.2.
bool has_emphasis_by_underscores(const std::string& paragraph) {
  const std::string text = " " + without_code(paragraph) + " ";
  auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
  auto is_mark = [](unsigned char c) { return std::ispunct(c) != 0; };
  bool open = false;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    const char before = text[i - 1];
    const char after = text[i + 1];
    if (text[i] != '_' || before == '\\') continue;
    const bool left = !is_space(after) && (!is_mark(after) || is_space(before) || is_mark(before));
    const bool right = !is_space(before) && (!is_mark(before) || is_space(after) || is_mark(after));
    if (open && right && (!left || is_mark(after))) return true;
    open |= left && (!right || is_mark(before));
  }
  return false;
}

// Whether a star stands inside of a formula, where it may begin an emphasis.
bool has_star_in_formula(const std::string& paragraph) {
  const std::string text = without_code(paragraph);
  bool inside = false;
  for (std::size_t k = 0; k < text.size(); ++k) {
    if (inside && text[k] == '*') return true;
    const bool escaped = k > 0 && text[k - 1] == '\\';
    if (text[k] != '$' || escaped) continue;
    inside = !inside;
    if (text.compare(k, 2, "$$") == 0) ++k;
  }
  return false;
}

// Whether GitHub would show the dollar signs of a formula as they are: where the first one has a
// character before it that is neither a blank nor an opening bracket, or the last one a letter or
// digit behind it.
bool has_unseen_formula(const std::string& paragraph) {
  const std::string text = " " + without_code(paragraph) + " ";
  bool inside = false;
  for (std::size_t k = 1; k + 1 < text.size(); ++k) {
    const bool escaped = text[k - 1] == '\\';
    if (text[k] != '$' || escaped) continue;
    const char before = text[k - 1];
    if (text[k + 1] == '$') ++k;
    const auto after = static_cast<unsigned char>(text[k + 1]);
    const bool may_open = std::isspace(static_cast<unsigned char>(before)) || before == '(' ||
                          before == '[' || before == '|' || before == '>';
    if (!inside && !may_open) return true;
    if (inside && std::isalnum(after)) return true;
    inside = !inside;
  }
  return false;
}

TEST(Texts, KeepFormulasFromMarkdown) {
  std::vector<fs::path> texts = {kRoot / "README.md", kRoot / "lessons/README.md"};
  for (const fs::path& lesson : lessons()) texts.push_back(lesson / "README.md");
  const std::regex eaten("\\\\[^A-Za-z\\s]");  // Markdown takes the backslash away
  for (const fs::path& readme : texts)
    for (const auto& [first, lines] : paragraphs_of(contents(readme))) {
      const std::string where = fmt::format("{}:{}: ", readme.string(), first);
      std::string paragraph;
      for (const std::string& line : lines) paragraph += line + "\n";
      EXPECT_TRUE(items_in_formulas(lines).empty())
          << where << "a line of a formula begins like an item of a list:\n"
          << paragraph;
      EXPECT_FALSE(has_emphasis_by_underscores(paragraph))
          << where << "two underscores make an emphasis; use a block ```math:\n"
          << paragraph;
      EXPECT_EQ(std::count(paragraph.begin(), paragraph.end(), '`') % 2, 0)
          << where << "a backtick without its partner:\n"
          << paragraph;
      EXPECT_FALSE(has_star_in_formula(paragraph))
          << where << "stars make an emphasis; write \\ast:\n"
          << paragraph;
      EXPECT_FALSE(has_unseen_formula(paragraph))
          << where << "no formula to GitHub: a blank or ( before the first $, no letter behind:\n"
          << paragraph;
      EXPECT_FALSE(std::regex_search(without_code(paragraph), eaten))
          << where << "a backslash that Markdown takes away:\n"
          << paragraph;
    }
}

// The checks above can fail.
TEST(Texts, ChecksSeeWhatIsWrong) {
  EXPECT_TRUE(occurs("  a;\n    b;\n", "x\na;\n  b;\ny\n"));
  EXPECT_FALSE(occurs("a;\nb;\n", "a;\n  b;\n"));
  EXPECT_EQ(numbers_in("68.216 and 0.5, 0.0151 or 1.0e-3, 60,000 and v1.25e3"),
            (std::vector<std::string>{"68.216", "0.0151", "1.25e3"}));
  EXPECT_TRUE(is_rounding_of("0.0151", 0.01514));
  EXPECT_FALSE(is_rounding_of("0.0152", 0.01514));
  EXPECT_TRUE(is_rounding_of("1.25e3", 1252));
  EXPECT_EQ(items_in_formulas({"the sum $a", "+ b$", "- an item"}), std::vector<std::size_t>{1});
  EXPECT_EQ(items_in_formulas({"$$a", "  - b.$$", "1. $c$"}), std::vector<std::size_t>{1});
  EXPECT_EQ(items_in_formulas({"$a", "> b$"}), std::vector<std::size_t>{1});
  EXPECT_TRUE(has_star_in_formula("$x^*y^*$"));
  EXPECT_TRUE(has_unseen_formula("the \"$x$\" of"));
  EXPECT_TRUE(has_unseen_formula("the $k$th"));
  EXPECT_FALSE(has_unseen_formula("$x$, ($y$) and $$z$$."));
  EXPECT_FALSE(has_star_in_formula("*so* $x$ *it* is"));
  EXPECT_TRUE(has_emphasis_by_underscores("\\mathbb{E}_q[x] = \\underbrace{y}_{\\text{z}}"));
  EXPECT_FALSE(
      has_emphasis_by_underscores("$\\mathbb{E}_q[x]$ and $a_i$, `x_` and `_{y`, snake_case"));
  EXPECT_EQ(paragraphs_of("a\nb\n\n```\nc\n```\nd\n").size(), 2u);
}

}  // namespace
}  // namespace gradus
