#include "lessons/kit/graph.hpp"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "tensor/io/file.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Graph : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "gradus_graph_XXXXXX";
    directory_ = mkdtemp(pattern.data());
  }

  void TearDown() override { fs::remove_all(directory_); }

  // Draws x * "<y>" in a lesson and returns what the lesson printed.
  std::string draw() {
    std::vector<std::string> options = {"03_test", "--out", directory_.string()};
    std::vector<char*> argv;
    for (std::string& option : options) argv.push_back(option.data());
    ::testing::internal::CaptureStdout();
    const int status = run({"03_test", "A test"}, 3, argv.data(), [](Lesson& lesson) {
      Tape<double> tape({.keep_values = true});
      const Var<double> x = tape.leaf(1.5, "x"), y = tape.leaf(Tensor<double>({2}, {3, 4}), "<y>");
      gradient(sum(x * y), {x, y});
      graph(lesson, "product", "x & y", tape.to_dot());
    });
    EXPECT_EQ(status, 0);
    return ::testing::internal::GetCapturedStdout();
  }

  fs::path made(const std::string& name) const { return directory_ / "03_test" / name; }

  fs::path directory_;
};

TEST_F(Graph, ShowsEachNodeWithItsValueAndGradient) {
  draw();
  const std::string dot = io::read_file(made("product.dot"));
  EXPECT_THAT(dot, HasSubstr("<b>x</b><br/>value = 1.5<br/><font color=\"#a84300\">gradient = 7<"));
  EXPECT_THAT(dot, HasSubstr("<b>&lt;y&gt; (2)</b><br/>value = 3 4<br/>"));
  EXPECT_THAT(dot, AllOf(HasSubstr("x &amp; y"), HasSubstr("DejaVu Sans"), HasSubstr("n0 -> n2;"),
                         Not(HasSubstr("label=\"")), Not(HasSubstr("sans-serif"))));
}

TEST_F(Graph, IsDrawnWhereGraphvizIs) {
  if (std::system("dot -V >/dev/null 2>&1") != 0) GTEST_SKIP() << "Graphviz is not installed";
  EXPECT_THAT(draw(), AllOf(HasSubstr("product.png"), Not(HasSubstr("Not drawn"))));
  EXPECT_THAT(io::read_file(made("product.png")), StartsWith("\x89PNG"));
  EXPECT_FALSE(fs::exists(made("product.drawing")));
}

TEST_F(Graph, SaysHowToDrawWhereGraphvizIsNot) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", directory_.c_str(), 1);
  const std::string said = draw();
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(said, AllOf(HasSubstr("Not drawn: product.png"),
                          HasSubstr("dot -Tpng -o product.png product.dot")));
  EXPECT_TRUE(fs::exists(made("product.dot")));
  EXPECT_FALSE(fs::exists(made("product.png")));
}

}  // namespace
}  // namespace gradus::kit
