#include "lessons/kit/figures.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "lessons/kit/drawing.hpp"
#include "lessons/kit/graph.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/io/file.hpp"
#include "tensor/tensor.hpp"
#include "tests/lessons/support.hpp"
#include "tests/tensor/support.hpp"

namespace gradus::kit {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

class KitFigures : public Kit {};

bool gnuplot_is_installed() { return std::system("gnuplot --version >/dev/null 2>&1") == 0; }

void draw_all(Lesson& lesson) {
  const double nan = std::nan("");
  plot(lesson, "lines",
       {.title = "It's `date` and \"quotes\"\nover two lines",
        .note = "a note",
        .x_label = "step",
        .y_label = "loss (nats)",
        .log_x = true,
        .log_y = true,
        .levels = {{"floor", 0.5}}},
       {{"measured", {}, {8, 4, nan, 2, 0}}, {"expected", {1, 2, 4}, {8, 4, 2}, Series::kDots}});
  plot(lesson, "nothing", {.title = "All is NaN"}, {{"gone", {}, {nan, nan}}});
  bars(lesson, "bars", {.title = "Bars", .levels = {{"mean", 0.3}}},
       {{"P", {}, {0.36, 0.48, -0.16}}, {"Q", {}, {0.3, 0.3, 0.3}}}, {"zero", "one", "two"});
  scatter(lesson, "points", {.title = "Points"},
          Tensor<double>({4, 2}, {0, 0, 1, 1, nan, 3, 2, 0.5}), {0, 1, 1, 2}, {"a", "b", "c"});
  Tensor<float> pictures({3, 2, 3});
  pictures.set({0, 0, 0}, 2.0f);
  pictures.set({1, 0, 0}, std::nanf(""));
  images(lesson, "grey", {.title = "Images", .columns = 2, .captions = {"a", "b", "c"}}, pictures);
  images(lesson, "signed",
         {.title = "Images",
          .columns = 3,
          .signed_values = true,
          .row_captions = {"row"},
          .column_captions = {"a", "b", "c"}},
         cast<double>(pictures));
}

TEST_F(KitFigures, AreDrawnByTheirScripts) {
  if (!gnuplot_is_installed()) GTEST_SKIP() << "gnuplot is not installed";
  const auto outcome = run({}, draw_all);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, Not(HasSubstr("Not drawn")));
  for (const char* name : {"lines", "nothing", "bars", "points", "grey", "signed"}) {
    const std::string png = io::read_file(made(name + std::string(".png")));
    EXPECT_THAT(png, StartsWith("\x89PNG\r\n\x1a\n")) << name;
    EXPECT_GT(png.size(), 1000u) << name;
    fs::remove(made(name + std::string(".png")));
    const std::string again = fmt::format("cd '{}' && gnuplot {}.gp", made("").string(), name);
    EXPECT_EQ(std::system(again.c_str()), 0);
    EXPECT_EQ(io::read_file(made(name + std::string(".png"))), png) << "the script draws another";
  }
}

// One figure of each kind, in which every text is the same.
void draw_with_text(Lesson& lesson, const std::string& text) {
  const PlotText around = {.title = text,
                           .note = text,
                           .x_label = text,
                           .y_label = text,
                           .levels = {{text, 0.5}}};
  plot(lesson, "lines", around, {{text, {}, {1, 2}}});
  bars(lesson, "bars", around, {{text, {}, {0.4, 0.6}}}, {text, text});
  scatter(lesson, "points", around, Tensor<double>({2, 2}, {0, 0, 1, 1}), {0, 1}, {text, text});
  images(lesson, "images",
         {.title = text,
          .note = text,
          .columns = 1,
          .captions = {text},
          .row_captions = {text},
          .column_captions = {text}},
         Tensor<float>({1, 2, 2}, {0, 1, 0, 1}));
}

// What gnuplot would take for a format, markup or an escape. Where it did, the brackets in the
// second text, and the backslash in the last, would not be seen.
TEST_F(KitFigures, ShowTextsAsTheyAre) {
  if (!gnuplot_is_installed()) GTEST_SKIP() << "gnuplot is not installed";
  std::set<std::string> pictures;
  for (const char* text : {"5% of x_1 %d %g %%", "5% of x_{1} %d %g %%", "5% of x_1 %d %g %",
                           "tab\\t @a &b ~c $1", "tab\t @a &b ~c $1"}) {
    const auto outcome = run({}, [text](Lesson& lesson) { draw_with_text(lesson, text); });
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, Not(HasSubstr("Not drawn"))) << text;
    for (const char* name : {"lines.png", "bars.png", "points.png", "images.png"})
      EXPECT_TRUE(pictures.insert(io::read_file(made(name))).second) << text << " in " << name;
  }
}

TEST_F(KitFigures, LeaveOutLevelsThatAreNotFinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  const PlotText text = {.title = "Levels", .levels = {{"floor", 0.5}, {"no ceiling", infinity}}};
  const auto outcome = run({}, [&](Lesson& lesson) {
    plot(lesson, "lines", text, {{"a", {}, {1, 2}}});
    bars(lesson, "bars", text, {{"a", {}, {1, 2}}});
  });
  EXPECT_THAT(outcome.out, Not(HasSubstr("Not drawn: bars.png, lines.png")));
  for (const char* name : {"lines.gp", "bars.gp"}) {
    const std::string script = io::read_file(made(name));
    EXPECT_THAT(script, HasSubstr("floor"));
    EXPECT_THAT(script, Not(HasSubstr("no ceiling")));
    EXPECT_THAT(script, Not(HasSubstr("inf ")));
  }
}

TEST_F(KitFigures, LeaveOutWhateverElseIsNotFinite) {
  const double infinity = std::numeric_limits<double>::infinity(), nan = std::nan("");
  const std::vector<double> values = {1, infinity, -infinity, nan, 2};
  const std::vector<double> places = {infinity, 2, 3, nan, 5};
  const auto outcome = run({}, [&](Lesson& lesson) {
    for (Series::Mark mark : {Series::kLine, Series::kDots, Series::kLineAndDots})
      plot(lesson, fmt::format("plot{}", int(mark)),
           {.title = "Plot", .levels = {{"a", nan}, {"b", -infinity}}},
           {{"values", {}, values, mark}, {"places", places, {1, 2, 3, 4, 5}, mark}});
    plot(lesson, "logarithmic", {.log_x = true, .log_y = true, .levels = {{"a", 0}, {"b", -1}}},
         {{"values", {0, 1, 2, -1, infinity}, {1, 0, -2, 3, 4}}});
    bars(lesson, "bars", {.title = "Bars", .levels = {{"a", infinity}}},
         {{"values", {}, values}, {"places", places, values}}, {"1", "2", "3", "4", "5"});
    scatter(lesson, "points", {}, Tensor<double>({3, 2}, {infinity, 0, 1, nan, 2, -infinity}),
            {0, 0, 0}, {"a"});
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  if (gnuplot_is_installed()) {
    EXPECT_THAT(outcome.out, Not(HasSubstr("Not drawn")));
  }
  for (const char* name : {"plot0", "plot1", "plot2", "logarithmic", "bars", "points"}) {
    const std::string script = io::read_file(made(name + std::string(".gp")));
    EXPECT_FALSE(std::regex_search(script, std::regex("\\b-?(inf|nan)\\b"))) << name << script;
  }
}

TEST_F(KitFigures, AreScriptsWithOneLineOfAdviceWithoutGnuplot) {
  const Environment path("PATH", directory_.string());
  fs::create_directories(made(""));
  io::write_file(made("lines.png"), "of an earlier run");
  const auto outcome = run({}, draw_all);
  EXPECT_EQ(outcome.status, 0);
  EXPECT_THAT(io::read_file(made("lines.gp")), StartsWith("# gnuplot lines.gp draws lines.png\n"));
  EXPECT_FALSE(fs::exists(made("lines.png")));
  EXPECT_THAT(outcome.out,
              HasSubstr(fmt::format("cd {} && gnuplot *.gp\n", (directory_ / "13_test").string())));
  const std::string advice =
      "gnuplot is not installed. Install it (Debian: gnuplot-nox), then: cd ";
  EXPECT_THAT(outcome.out, HasSubstr(advice));
  EXPECT_EQ(outcome.out.find(advice), outcome.out.rfind(advice));
}

// The name of the axis of y stands left of its longest number, also where the numbers grow longer
// because the axis has to reach further: to 1000 at least here, as that of x does.
TEST_F(KitFigures, KeepNumbersAndNamesOfAnAxisApart) {
  const auto outcome = run({}, [](Lesson& lesson) {
    scatter(lesson, "points", {.y_label = "y"}, Tensor<double>({2, 2}, {0, 0, 2000, 9}), {0, 0},
            {"a"});
  });
  ASSERT_EQ(outcome.status, 0) << outcome.err;
  const std::string script = io::read_file(made("points.gp"));
  std::smatch found;
  ASSERT_TRUE(std::regex_search(script, found, std::regex("set lmargin at screen (\\S+)")));
  const double left = 1400 * std::stod(found[1]);
  ASSERT_TRUE(std::regex_search(script, found, std::regex("set ytics \\(([^)]*)\\)")));
  const std::string numbers = found[1];
  double widest = 0;
  const std::regex number("'([^']*)'");
  for (std::sregex_iterator it(numbers.begin(), numbers.end(), number), end; it != end; ++it) {
    const std::string text = (*it)[1];
    const auto letters =
        std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
    widest = std::max(widest, 0.6 * 30 * static_cast<double>(letters));
  }
  EXPECT_GT(left - widest, 40 + 34 * 1.3) << numbers;  // a margin, and a line of text
}

// The smallest PNG that there is: one black pixel.
constexpr std::string_view kPng(
    "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x8\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9c"
    "c`\0\0\0\2\0\1H\xaf\xa4q\0\0\0\0IEND\xae\x42\x60\x82",
    67);

// With another gnuplot and dot in PATH than the system's.
class KitPainters : public Kit {
 protected:
  void SetUp() override {
    Kit::SetUp();
    io::write_file(directory_ / "png", kPng);
    path_.emplace("PATH", directory_.string());
  }

  void TearDown() override {
    path_.reset();
    Kit::TearDown();
  }

  // `lines` of the shell are what a program does.
  void write_program(const std::string& name, const std::string& lines) {
    io::write_file(directory_ / name, "#!/bin/sh\n" + lines + "\n");
    fs::permissions(directory_ / name, fs::perms::owner_all);
  }

  std::string draw_it() const {
    return fmt::format("/bin/cp {}/png lines.png", directory_.string());
  }

  static void draw(Lesson& lesson) {
    plot(lesson, "lines", {.title = "Lines"}, {{"a", {}, {1, 2}}});
  }

  // The files in the lesson's directory.
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(made("")))
      names.push_back(entry.path().filename());
    return names;
  }

  std::optional<Environment> path_;
};

TEST_F(KitPainters, ThatFailLeaveTheScriptAndTheReason) {
  write_program("gnuplot", "echo half > lines.png\necho 'no such terminal' >&2\nexit 1");
  const auto outcome = run({}, draw);
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Not drawn: lines.png\n  gnuplot failed: no such terminal. To "
                                     "try again: cd " +
                                     made("").parent_path().string() + " && gnuplot *.gp\n"));
  EXPECT_THAT(files(), UnorderedElementsAre("lines.gp", "results.json"));
}

TEST_F(KitPainters, ThatMakeNothingOrHalfAPictureAreNoticed) {
  const std::string half =
      fmt::format("/bin/dd if={}/png of=lines.png bs=1 count=60", directory_.string());
  for (const std::string& lines :
       {std::string("exit 0"), half, std::string("/bin/mkdir lines.png")}) {
    write_program("gnuplot", lines);
    fs::create_directories(made(""));
    io::write_file(made("lines.png"), "of an earlier run");
    const auto outcome = run({}, draw);
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("gnuplot reported no error, but there is no whole picture"));
    EXPECT_THAT(files(), UnorderedElementsAre("lines.gp", "results.json")) << lines;
  }
}

TEST_F(KitPainters, ThatDieAreNoticed) {
  write_program("gnuplot", "kill -9 $$");
  EXPECT_THAT(run({}, draw).out, HasSubstr("gnuplot was ended by signal 9"));
  write_program("gnuplot", "exit 3");
  EXPECT_THAT(run({}, draw).out, HasSubstr("gnuplot failed with status 3"));
}

TEST_F(KitPainters, ThatDoNotFinishAreStoppedAndNotRunAgain) {
  const std::string count = (directory_ / "count").string();
  write_program("gnuplot", fmt::format("echo run >> {}\n/bin/sleep 1000", count));
  const Painter painter{{"gnuplot"}, "gnuplot-nox", "gnuplot *.gp"};
  const auto outcome = run({}, [&](Lesson& lesson) {
    Drawing(lesson, "first").paint(painter, std::chrono::milliseconds(500));
    Drawing(lesson, "second").paint(painter, std::chrono::milliseconds(500));
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Not drawn: first.png\n  gnuplot was stopped: it had not "
                                     "finished after 0.5 s. To try again: cd "));
  EXPECT_THAT(outcome.out,
              HasSubstr("Not drawn: second.png\n  gnuplot was not run: it was too slow "
                        "for an earlier figure. To try again: cd "));
  EXPECT_EQ(io::read_file(count), "run\n");
  EXPECT_THAT(files(), UnorderedElementsAre("results.json"));
}

TEST_F(KitPainters, GetNoVariablesThatChangeWhatTheyDraw) {
  const Environment terminal("GNUTERM", "x11");
  const Environment fonts("GNUPLOT_DEFAULT_GDFONT", "none");
  write_program("gnuplot", "[ -z \"$GNUTERM$GNUPLOT_DEFAULT_GDFONT\" ] || exit 1\n" + draw_it());
  EXPECT_THAT(run({}, draw).out, Not(HasSubstr("Not drawn")));
}

TEST_F(KitPainters, ThatCannotBeStartedAreDoneWithout) {
  write_program("gnuplot", draw_it());
  const std::string too_long(1 << 20, 'x');  // for an argument
  const auto outcome = run({}, [&](Lesson& lesson) {
    Drawing(lesson, "lines").paint({{"gnuplot", too_long}, "gnuplot-nox", "gnuplot *.gp"});
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Not drawn: lines.png\n  gnuplot cannot be started: "));
}

TEST_F(KitPainters, ForWhomThereIsNoFileHandleAreDoneWithout) {
  write_program("gnuplot", draw_it());
  const auto outcome = run({}, [&](Lesson& lesson) {
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit none{0, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    draw(lesson);
    setrlimit(RLIMIT_NOFILE, &before);
    lesson.report("loss", 1, "");
  });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("Not drawn: lines.png\n  cannot write its script lines.gp"));
  EXPECT_EQ(results()["results"][0]["name"], "loss");
}

TEST_F(KitPainters, OfGraphsAreNoDifferent) {
  write_program("dot", "exit 0");
  const auto outcome =
      run({}, [](Lesson& lesson) { graph(lesson, "lines", "A graph", "digraph {\n}\n"); });
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("dot reported no error, but there is no whole picture"));
  EXPECT_THAT(files(), UnorderedElementsAre("lines.dot", "results.json"));
}

TEST_F(KitPainters, WhosePicturesCannotBeShownSayWhereTheyAre) {
  write_program("gnuplot", draw_it());
  const Environment display("DISPLAY", ":0");
  EXPECT_THAT(run({"--show"}, draw).out, HasSubstr("xdg-open is not installed: they are in /"));
  EXPECT_THAT(run({}, draw).out, Not(HasSubstr("xdg-open")));
}

TEST_F(KitFigures, DoNotDependOnTheLocale) {
  run({}, draw_all);
  std::vector<std::string> before, now;
  const std::vector<std::string> names = {"lines", "bars", "points", "grey", "signed"};
  for (const std::string& name : names) before.push_back(io::read_file(made(name + ".gp")));
  const test::OtherLocale german;
  run({}, draw_all);
  for (const std::string& name : names) now.push_back(io::read_file(made(name + ".gp")));
  EXPECT_EQ(now, before);
}

// From a power of ten below the least; what is not positive has no place there.
TEST_F(KitFigures, OfBarsMayHaveALogarithmicAxis) {
  run({}, [](Lesson& lesson) {
    bars(lesson, "speeds", {.title = "Speeds", .log_y = true, .levels = {{"peak", 120}}},
         {{"GFLOP/s", {}, {1.7, 24, 110, 0}}});
  });
  const std::string script = io::read_file(made("speeds.gp"));
  EXPECT_THAT(script, AllOf(HasSubstr("set logscale y"), HasSubstr("set yrange [1:")));
  if (gnuplot_is_installed()) {
    EXPECT_TRUE(fs::exists(made("speeds.png")));
  }
}

TEST_F(KitFigures, OfOneCaseMayShareAHue) {
  run({}, [](Lesson& lesson) {
    plot(lesson, "hues", {.title = "Hues"},
         {{.label = "measured", .y = {1, 2}, .mark = Series::kDots, .hue = 2},
          {.label = "expected", .y = {1, 2}, .hue = 2},
          {.label = "other", .y = {2, 1}}});
  });
  const std::string script = io::read_file(made("hues.gp"));
  EXPECT_THAT(script, AllOf(HasSubstr("$line0 using 1:2 with points pointtype 7 pointsize 2 "
                                      "linecolor rgb '#d55e00'"),
                            HasSubstr("$line1 using 1:2 with lines linewidth 2 linecolor rgb "
                                      "'#d55e00'"),
                            HasSubstr("$line2 using 1:2 with lines linewidth 2 linecolor rgb "
                                      "'#009e73'")));
}

TEST_F(KitFigures, LabelLinesThatEndTogetherWithoutOverlap) {
  run({}, [](Lesson& lesson) {
    std::vector<Series> series;
    for (int i = 0; i < 8; ++i)
      series.push_back({fmt::format("line {}", i), {}, {double(i), 10 + 1e-3 * i}});
    plot(lesson, "ends", {.title = "Ends"}, series);
  });
  const std::string script = io::read_file(made("ends.gp"));
  const std::regex label("set label 'line \\d' at screen [0-9.]+,([0-9.]+)");
  std::vector<double> heights;
  for (std::sregex_iterator i(script.begin(), script.end(), label), end; i != end; ++i)
    heights.push_back(std::stod((*i)[1]));
  ASSERT_EQ(heights.size(), 8u);
  EXPECT_TRUE(std::is_sorted(heights.begin(), heights.end()));  // as the ends are
  for (std::size_t i = 0; i < heights.size(); ++i) {
    EXPECT_LT(heights[i], 1.0);
    // 30 of 1000 pixels: the size of the text
    EXPECT_GT(heights[i], i ? heights[i - 1] + 0.03 : 0.0);
  }
}

TEST_F(KitFigures, GiveNoRoomToLinesAndLevelsWithoutALabel) {
  run({}, [](Lesson& lesson) {
    plot(lesson, "one", {}, {{"line", {}, {0, 10}}});
    plot(lesson, "three", {.levels = {{"", 10}}}, {{"line", {}, {0, 10}}, {"", {}, {0, 10}}});
  });
  const auto label = [&](const std::string& figure) {
    std::smatch found;
    const std::string script = io::read_file(made(figure + ".gp"));
    const std::regex place("set label 'line' at screen [0-9.]+,[0-9.]+");
    EXPECT_TRUE(std::regex_search(script, found, place));
    EXPECT_EQ(script.find("set label ''"), std::string::npos);
    return found.str();
  };
  EXPECT_EQ(label("one"), label("three"));
}

TEST_F(KitFigures, OfSizesThatDoNotFitAreRefused) {
  const auto error = [&](const std::function<void(Lesson&)>& draw) {
    const auto outcome = run({}, draw);
    EXPECT_EQ(outcome.status, 2);
    return outcome.err;
  };
  EXPECT_THAT(error([](Lesson& lesson) {
                plot(lesson, "p", {}, {{"a", {1, 2}, {1}}});
              }),
              HasSubstr("\"a\" has 2 values of x but 1 of y"));
  EXPECT_THAT(error([](Lesson& lesson) {
                scatter(lesson, "s", {}, Tensor<float>({3, 3}), {0, 0, 0}, {"a"});
              }),
              HasSubstr("(3, 3)"));
  EXPECT_THAT(error([](Lesson& lesson) {
                scatter(lesson, "s", {}, Tensor<float>({1, 2}), {1}, {"a"});
              }),
              HasSubstr("label 0 is 1"));
  EXPECT_THAT(error([](Lesson& lesson) {
                images(lesson, "i", {}, Tensor<float>({2, 5}));
              }),
              HasSubstr("(2, 5) is no shape of images"));
  EXPECT_THAT(error([](Lesson& lesson) {
                images(lesson, "i", {.captions = {"one"}}, Tensor<float>({2, 4}));
              }),
              HasSubstr("1 captions for 2 images"));
  // Five images in two columns are three rows.
  EXPECT_THAT(
      error([](Lesson& lesson) {
        images(lesson, "i", {.columns = 2, .row_captions = {"a", "b"}}, Tensor<float>({5, 4}));
      }),
      HasSubstr("figure i: 2 captions for 3 rows"));
  EXPECT_THAT(error([](Lesson& lesson) {
                images(lesson, "i", {.columns = 2, .column_captions = {"a", "b", "c"}},
                       Tensor<float>({5, 4}));
              }),
              HasSubstr("figure i: 3 captions for 2 columns"));
}

}  // namespace
}  // namespace gradus::kit
