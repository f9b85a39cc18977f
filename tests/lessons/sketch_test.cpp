#include "lessons/kit/sketch.hpp"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lessons/kit/diagram.hpp"
#include "tensor/io/file.hpp"
#include "tests/lessons/support.hpp"
#include "tests/tensor/support.hpp"

namespace gradus::kit {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

bool is_installed(const char* program) {
  return std::system((std::string(program) + " >/dev/null 2>&1").c_str()) == 0;
}

class KitSketch : public Kit {
 protected:
  // Draws a sketch in a lesson and returns the script.
  std::string script_of(const Sketch& sketch) {
    const Outcome outcome = run({}, [&](Lesson& lesson) { sketch.draw(lesson, "sketch"); });
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    said = outcome.out;
    return io::read_file(made("sketch.gp"));
  }

  std::string said;
};

TEST_F(KitSketch, HoldsWhatWasDrawn) {
  Sketch sketch({.title = "A title", .note = "a note"});
  sketch.line({{0, 0}, {1.25, 2}}, {.hue = 1, .dashed = true});
  sketch.arrow({0, 0}, {1, 0.5});
  sketch.dots({{0.75, 0.5}});
  sketch.area({{0, 0}, {1, 0}, {1, 1}}, {.hue = 2});
  sketch.text({0.5, 0.5}, "words", {}, Align::kRight);
  const std::string script = script_of(sketch);
  EXPECT_THAT(script, AllOf(HasSubstr("'A title'"), HasSubstr("'a note'"), HasSubstr("'words'"),
                            HasSubstr("1.25 2"), HasSubstr("0 0 1 0.5"), HasSubstr("0.75 0.5")));
  EXPECT_THAT(script, AllOf(HasSubstr("dashtype 2"), HasSubstr("with vectors"),
                            HasSubstr("filledcurves closed"), HasSubstr("#0072b2")));
  EXPECT_LT(script.find("filledcurves"), script.find("with lines")) << "areas lie below";
  if (is_installed("gnuplot --version")) {
    EXPECT_THAT(io::read_file(made("sketch.png")), StartsWith("\x89PNG"));
  }
}

TEST_F(KitSketch, TakesTextsAsTheyAre) {
  const std::string words = R"(50 % of 'x' \n {/Bold it} "y" `date`)";
  Sketch sketch({.title = words});
  sketch.dots({{0, 0}, {1, 1}});
  sketch.text({0, 0}, words);
  EXPECT_THAT(script_of(sketch), HasSubstr(R"('50 % of ''x'' \n {/Bold it} "y" `date`')"));
  if (is_installed("gnuplot --version")) {
    EXPECT_THAT(said, Not(HasSubstr("Not drawn")));
  }
}

TEST_F(KitSketch, LeavesOutWhatIsNotFinite) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Sketch sketch({.title = "Not all is finite", .axes = true});
  sketch.line({{0, 0}, {1, kNan}, {2, 1}});
  sketch.arrow({0, 0}, {kInfinity, 0});
  sketch.dots({{kNan, 0}, {3, 3}});
  sketch.area({{0, 0}, {1, -kInfinity}});
  sketch.text({kNan, kNan}, "nowhere");
  const std::string script = script_of(sketch);
  EXPECT_THAT(script, AllOf(Not(HasSubstr("inf")), Not(HasSubstr("nowhere")),
                            Not(HasSubstr("vectors")), Not(HasSubstr("filledcurves"))));
  if (is_installed("gnuplot --version")) {
    EXPECT_THAT(said, Not(HasSubstr("Not drawn")));
  }
}

// 1 of x is as long as 1 of y: the range of each, over its pixels, is the same.
TEST_F(KitSketch, HasOneScaleForBothAxes) {
  for (const double height : {0.1, 1.0, 20.0}) {
    Sketch sketch({.title = "Scale"});
    sketch.line({{0, 0}, {4, height}});
    const std::string script = script_of(sketch);
    auto number = [&](const std::string& before) {
      const std::size_t place = script.find(before);
      EXPECT_NE(place, std::string::npos) << before;
      return std::strtod(script.c_str() + place + before.size(), nullptr);
    };
    auto second = [&](const std::string& before) {
      const std::size_t place = script.find(':', script.find(before));
      return std::strtod(script.c_str() + place + 1, nullptr);
    };
    const double width_px = number("size ");
    const std::size_t comma = script.find(',', script.find("size "));
    const double height_px = std::strtod(script.c_str() + comma + 1, nullptr);
    const double across = (number("rmargin at screen ") - number("lmargin at screen ")) * width_px;
    const double up = (number("tmargin at screen ") - number("bmargin at screen ")) * height_px;
    const double x = second("xrange [") - number("xrange [");
    const double y = second("yrange [") - number("yrange [");
    EXPECT_NEAR(x / across, y / up, 2e-3 * x / across) << height;
  }
}

// A text of the script: where it stands in the picture, as a part of its width, and how.
struct Placed {
  double x;
  std::string align;
};

Placed placed(const std::string& script, const std::string& words) {
  const std::string before = "set label '" + words + "' at screen ";
  const std::size_t place = script.find(before);
  EXPECT_NE(place, std::string::npos) << words;
  const std::string rest = script.substr(place + before.size(), 40);
  const std::size_t blank = rest.find(' ');
  return {std::strtod(rest.c_str(), nullptr),
          rest.substr(blank + 1, rest.find(' ', blank + 1) - blank - 1)};
}

// A letter of DejaVu Sans is 0.6 of its size wide, in the mean over these words at 30 pixels.
TEST_F(KitSketch, ShowsTheWholeTextOfALabelAtItsEdge) {
  const std::string words = "a point with a rather long name";
  const double part = 0.6 * 30 * static_cast<double>(words.size()) / 1600;
  const double room = 1e-9;
  for (const bool equal_scale : {false, true})
    for (const bool axes : {false, true}) {
      Sketch sketch({.title = "Labels", .axes = axes, .equal_scale = equal_scale});
      sketch.dots({{0, 0}, {4, 3}});
      sketch.text({4, 3}, words + " A", {}, Align::kLeft);
      sketch.text({0, 0}, words + " B", {}, Align::kRight);
      sketch.text({4, 1}, words + " C", {}, Align::kCentre);
      const std::string script = script_of(sketch);
      const Placed a = placed(script, words + " A");
      const Placed b = placed(script, words + " B");
      const Placed c = placed(script, words + " C");
      EXPECT_EQ(a.align + b.align + c.align, "leftrightcenter");
      EXPECT_LT(a.x + part, 1 + room) << equal_scale << axes;
      EXPECT_GT(b.x - part, -room) << equal_scale << axes;
      EXPECT_LT(c.x + part / 2, 1 + room) << equal_scale << axes;
    }
}

TEST_F(KitSketch, ShowsExactlyWhatItIsToldTo) {
  Sketch sketch({.title = "Corners", .equal_scale = false, .shown = {{-1, -2}, {3, 4}}});
  sketch.dots({{100, 100}});
  sketch.text({3, 4}, "a text that is cut at the right", {}, Align::kLeft);
  EXPECT_THAT(script_of(sketch), AllOf(HasSubstr("xrange [-1:3]"), HasSubstr("yrange [-2:4]")));
}

// Gnuplot by itself leaves out a line both of whose ends are out of sight. Its terminal of letters
// draws lines with *.
TEST_F(KitSketch, DrawsALineWhoseEndsAreOutOfSight) {
  if (!is_installed("gnuplot --version")) GTEST_SKIP() << "gnuplot is not installed";
  Sketch sketch({.shown = {{-1, -1}, {1, 1}}});
  sketch.line({{-9, -9}, {9, 9}});
  script_of(sketch);
  const std::string before = "cd '" + made("").string() + "' && ";
  ASSERT_EQ(std::system((before +
                         "sed 's/^set terminal.*/set terminal dumb/; s/sketch.png/letters/'"
                         " sketch.gp | gnuplot")
                            .c_str()),
            0);
  EXPECT_THAT(io::read_file(made("letters")), HasSubstr("*"));
}

TEST(KitSketchShapes, EllipseIsClosedAndOnItsEquation) {
  const std::vector<Point> points = ellipse({1, 2}, {3, 0}, {0, 2});
  EXPECT_NEAR(points.front().x, points.back().x, 1e-12);
  EXPECT_NEAR(points.front().y, points.back().y, 1e-12);
  for (const auto& [x, y] : points)
    EXPECT_NEAR((x - 1) * (x - 1) / 9 + (y - 2) * (y - 2) / 4, 1, 1e-12);
}

TEST(KitSketchShapes, CurveHasItsEndsAndBetweenGoesThereAndBack) {
  const auto square = [](double x) { return x * x; };
  const std::vector<Point> upper = curve(-1, 3, square, 5);
  ASSERT_EQ(upper.size(), 5u);
  EXPECT_EQ(upper[0].y, 1);
  EXPECT_EQ(upper[4].x, 3);
  const std::vector<Point> outline = between({{-1, 0}, {3, 0}}, upper);
  ASSERT_EQ(outline.size(), 7u);
  EXPECT_EQ(outline[1].x, 3);
  EXPECT_EQ(outline[2].y, 9);
  EXPECT_EQ(outline[6].y, 1);
}

class KitDiagram : public Kit {
 protected:
  std::string dot_of(const Diagram& diagram) {
    const Outcome outcome = run({}, [&](Lesson& lesson) { diagram.draw(lesson, "diagram"); });
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    said = outcome.out;
    return io::read_file(made("diagram.dot"));
  }

  std::string said;
};

TEST_F(KitDiagram, HoldsNodesEdgesPlatesAndLevels) {
  Diagram diagram({.title = "A model", .note = "a note"});
  diagram.node("z", "z", Diagram::kLatent);
  diagram.node("x", "x", Diagram::kObserved);
  diagram.node("phi", "φ", Diagram::kFixed);
  diagram.edge("z", "x", "p(x|z)");
  diagram.edge("phi", "z", "", {.dashed = true, .hue = 2});
  diagram.plate("N images", {"z", "x"});
  diagram.level({"z", "x"});
  const std::string dot = dot_of(diagram);
  EXPECT_THAT(dot, AllOf(HasSubstr("A model"), HasSubstr("a note"), HasSubstr("\"z\" -> \"x\""),
                         HasSubstr("p(x|z)"), HasSubstr("N images"), HasSubstr("• φ")));
  EXPECT_THAT(dot, AllOf(HasSubstr("style=dashed, color=\"#d55e00\""),
                         HasSubstr("subgraph cluster_0"), HasSubstr("rank=same; \"z\"; \"x\";")));
  if (is_installed("dot -V")) {
    EXPECT_THAT(io::read_file(made("diagram.png")), StartsWith("\x89PNG"));
  }
}

TEST_F(KitDiagram, TakesTextsAsTheyAre) {
  const std::string words = "<b> & \"x\" \\N";
  Diagram diagram({.title = words});
  diagram.node(words, words, Diagram::kStep);
  diagram.node("two", "two\nlines", Diagram::kNothing);
  diagram.edge(words, "two", words);
  EXPECT_THAT(dot_of(diagram),
              AllOf(HasSubstr("&lt;b&gt; &amp; \"x\" \\\\N"), HasSubstr("two<br/>lines")));
  if (is_installed("dot -V")) {
    EXPECT_THAT(said, Not(HasSubstr("Not drawn")));
  }
}

// What Graphviz makes of a text, not only what it is given: \N is the name of a node to it.
TEST_F(KitDiagram, ShowsBackslashesAsTheyAre) {
  if (!is_installed("dot -V")) GTEST_SKIP() << "Graphviz is not installed";
  Diagram diagram({.title = "title \\G"});
  diagram.node("first", "node \\N \\n", Diagram::kStep);
  diagram.node("second", "b", Diagram::kStep);
  diagram.edge("first", "second", "edge \\E");
  diagram.plate("plate \\G", {"second"});
  dot_of(diagram);
  const std::string dot = made("diagram.dot").string(), svg = made("diagram.svg").string();
  ASSERT_EQ(std::system(("dot -Tsvg -o '" + svg + "' '" + dot + "'").c_str()), 0);
  EXPECT_THAT(io::read_file(svg), AllOf(HasSubstr("title \\G"), HasSubstr("node \\N \\n"),
                                        HasSubstr("edge \\E"), HasSubstr("plate \\G")));
}

TEST_F(KitDiagram, IsDrawnWithoutTexts) {
  Diagram diagram({});
  diagram.node("a", "", Diagram::kNothing);
  diagram.node("b", "", Diagram::kLatent);
  diagram.edge("a", "b");
  diagram.plate("", {"b"});
  dot_of(diagram);
  if (is_installed("dot -V")) {
    EXPECT_THAT(said, Not(HasSubstr("Not drawn")));
  }
}

TEST_F(KitDiagram, AndSketchAreTextsWithAdviceWithoutTheirPrograms) {
  const Environment path("PATH", directory_.string());
  Diagram diagram({.title = "A diagram"});
  diagram.node("a", "a", Diagram::kLatent);
  EXPECT_THAT(dot_of(diagram), StartsWith("digraph {"));
  EXPECT_THAT(said, HasSubstr("dot is not installed. Install it (Debian: graphviz), then: "));

  Sketch sketch({.title = "A sketch"});
  sketch.dots({{0, 0}});
  const Outcome outcome = run({}, [&](Lesson& lesson) { sketch.draw(lesson, "sketch"); });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("gnuplot is not installed"));
  EXPECT_THAT(io::read_file(made("sketch.gp")), HasSubstr("'A sketch'"));
}

TEST_F(KitDiagram, RefusesNodesThatAreNotThereOrThereTwice) {
  Diagram diagram({});
  diagram.node("z", "z", Diagram::kLatent);
  EXPECT_EQ(test::error_of([&] { diagram.edge("z", "x"); }),
            "diagram: an edge has no node 'x' to go to: add the nodes first");
  EXPECT_EQ(test::error_of([&] { diagram.plate("N", {"y"}); }),
            "diagram: a plate has no node 'y' to go to: add the nodes first");
  EXPECT_EQ(test::error_of([&] { diagram.level({"y"}); }),
            "diagram: a level has no node 'y' to go to: add the nodes first");
  EXPECT_EQ(test::error_of([&] { diagram.node("z", "again", Diagram::kStep); }),
            "diagram: there are two nodes 'z'");
}

}  // namespace
}  // namespace gradus::kit
