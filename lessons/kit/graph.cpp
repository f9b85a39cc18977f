#include "lessons/kit/graph.hpp"

#include <algorithm>
#include <regex>

#include <fmt/format.h>

#include "lessons/kit/drawing.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"

namespace gradus::kit {

std::string html(const std::string& text) {
  std::string result;
  for (char c : text) {
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '\n')
      result += "<br/>";
    else if (c == '\\')
      result += "\\\\";  // \N would be the node's name, also between < and >
    else
      result += c;
  }
  return result.empty() ? " " : result;  // nothing at all is a syntax error
}

namespace {

namespace fs = std::filesystem;

constexpr const char* kStyle = R"(
  rankdir=LR; bgcolor=white; pad=0.25; nodesep=0.35; ranksep=0.7; dpi=160;
  labelloc=t; labeljust=l; fontname="DejaVu Sans"; fontsize=15; fontcolor="#222222";
  node [shape=box, style="rounded,filled", fillcolor=white, color="#666666", penwidth=1.4,
        margin="0.22,0.14", fontname="DejaVu Sans", fontsize=13, fontcolor="#222222"];
  edge [color="#666666", penwidth=1.4, arrowsize=0.8, fontname="DejaVu Sans", fontsize=13];
)";

// The text that stands between double quotes in DOT: \" is " and \\ is \ there.
std::string unescaped(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    result += text[i];
  }
  return result;
}

// "mul ()\nvalue = 3\ngradient = 12" as lines of their own look: the operation bold, the gradient
// in colour, and nothing for the shape of a scalar.
std::string styled(const std::string& label) {
  std::string result;
  std::size_t begin = 0;
  for (bool first = true; begin <= label.size(); first = false) {
    const std::size_t end = std::min(label.find("\\n", begin), label.size());
    std::string line = label.substr(begin, end - begin);
    begin = end + 2;
    if (first && line.ends_with(" ()")) line.resize(line.size() - 3);
    line = html(unescaped(line));
    if (first)
      result += fmt::format("<b>{}</b>", line);
    else if (line.starts_with("gradient"))
      result += fmt::format("<br/><font color=\"#a84300\">{}</font>", line);
    else
      result += "<br/>" + line;
  }
  return "label=<" + result + ">";
}

// What Tape::to_dot says, with labels in which lines have their own look.
std::string restyled(const std::string& dot) {
  static const std::regex label(R"re(label="((?:[^"\\]|\\.)*)")re");
  static const std::regex plain_node(R"re( *node \[shape=box[^\]]*\];\n)re");
  std::string text = std::regex_replace(dot, plain_node, ""), result;
  std::smatch found;
  while (std::regex_search(text, found, label)) {
    result += found.prefix().str() + styled(found[1]);
    text = found.suffix();
  }
  result += text;
  return std::regex_replace(result, std::regex("style=filled, "), "");
}

std::string head(const std::string& title, const std::string& note) {
  std::string label = fmt::format("<b>{}</b><br align=\"left\"/>", html(title));
  if (!note.empty())
    label += fmt::format("<font point-size=\"12\" color=\"#666666\">{}</font><br align=\"left\"/>",
                         html(note));
  return fmt::format("{}  label=<{}<br/>>;\n", kStyle + 1, label);
}

}  // namespace

void draw_dot(Lesson& lesson, const std::string& name, const std::string& title,
              const std::string& note, const std::string& dot) {
  std::string styled_dot = dot;
  styled_dot.insert(dot.find('\n') + 1, head(title, note));
  const fs::path text = lesson.directory() / (name + ".dot");
  Drawing drawing(lesson, name);
  try {
    io::write_file(text, styled_dot);
  } catch (const Error& error) {
    return drawing.give_up(error.what());
  }
  const std::string png = name + ".png";
  drawing.paint({.command = {"dot", "-Tpng", "-o", png, fs::absolute(text)},
                 .package = "graphviz",
                 .by_hand = fmt::format("dot -Tpng -o {} {}.dot", png, name)});
}

void graph(Lesson& lesson, const std::string& name, const std::string& title,
           const std::string& dot) {
  draw_dot(lesson, name, title, "", restyled(dot));
}

}  // namespace gradus::kit
