#include "lessons/kit/diagram.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "lessons/kit/graph.hpp"
#include "lessons/kit/script.hpp"
#include "tensor/error.hpp"

namespace gradus::kit {
namespace {

// A name for Graphviz, in which nothing is expanded.
std::string quoted(const std::string& id) {
  std::string escaped;
  for (char c : id) {
    if (c == '"' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return fmt::format("\"{}\"", escaped);
}

std::string rgb(const Diagram::Look& look) {
  if (look.hue < 0) return "#999999";
  return look.hue == 0 ? "#444444" : hex(colour(static_cast<std::size_t>(look.hue - 1)));
}

const char* attributes(Diagram::Kind kind) {
  switch (kind) {
    case Diagram::kLatent:
      return "shape=circle, style=filled, fillcolor=white, margin=0.03, width=0.62";
    case Diagram::kObserved:
      return "shape=circle, style=filled, fillcolor=\"#d9d9d9\", margin=0.03, width=0.62";
    case Diagram::kStep:
      return "shape=box, style=\"rounded,filled\", fillcolor=white";
    case Diagram::kFixed:
    case Diagram::kNothing:
      return "shape=plain, style=\"\"";
  }
  return "";
}

}  // namespace

void Diagram::node(const std::string& id, const std::string& label, Kind kind, Look look) {
  if (has(id)) fail("diagram: there are two nodes '{}'", id);
  nodes_.push_back({id, label, kind, look});
}

void Diagram::node(const std::string& id, const std::string& label, Kind kind) {
  node(id, label, kind, {});
}

bool Diagram::has(const std::string& id) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&id](const Node& n) { return n.id == id; });
}

void Diagram::require_node(const std::string& id, const std::string& what) const {
  if (!has(id)) fail("diagram: {} has no node '{}' to go to: add the nodes first", what, id);
}

void Diagram::edge(const std::string& from, const std::string& to, const std::string& label,
                   Look look) {
  for (const std::string& id : {from, to}) require_node(id, "an edge");
  edges_.push_back({from, to, label, look});
}

void Diagram::edge(const std::string& from, const std::string& to, const std::string& label) {
  edge(from, to, label, {});
}

void Diagram::plate(const std::string& label, const std::vector<std::string>& ids) {
  for (const std::string& id : ids) require_node(id, "a plate");
  plates_.push_back({label, ids});
}

void Diagram::level(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) require_node(id, "a level");
  levels_.push_back(ids);
}

std::string Diagram::dot() const {
  std::string text = "digraph {\n";
  if (text_.downwards) text += "  rankdir=TB;\n";
  for (std::size_t i = 0; i < plates_.size(); ++i) {
    text += fmt::format(
        "  subgraph cluster_{} {{\n    label=<{}>; labelloc=b; labeljust=r; fontsize=13; "
        "color=\"#888888\"; penwidth=1.4; style=rounded; margin=16;\n",
        i, html(plates_[i].label));
    for (const std::string& id : plates_[i].ids) text += fmt::format("    {};\n", quoted(id));
    text += "  }\n";
  }
  for (const Node& n : nodes_) {
    const std::string words = n.kind == kFixed ? fmt::format("• {}", n.label) : n.label;
    text +=
        fmt::format("  {} [{}, label=<{}>, color=\"{}\"{}];\n", quoted(n.id), attributes(n.kind),
                    html(words), rgb(n.look), n.look.hue > 0 ? ", penwidth=2.4" : "");
  }
  for (const Edge& e : edges_) {
    const std::string colour = rgb(e.look);
    text += fmt::format("  {} -> {} [style={}, color=\"{}\", fontcolor=\"{}\"", quoted(e.from),
                        quoted(e.to), e.look.dashed ? "dashed" : "solid", colour, colour);
    if (!e.label.empty()) text += fmt::format(", label=< {} >", html(e.label));
    text += "];\n";
  }
  for (const std::vector<std::string>& ids : levels_) {
    text += "  { rank=same;";
    for (const std::string& id : ids) text += fmt::format(" {};", quoted(id));
    text += " }\n";
  }
  return text + "}\n";
}

void Diagram::draw(Lesson& lesson, const std::string& name) const {
  draw_dot(lesson, name, text_.title, text_.note, dot());
}

}  // namespace gradus::kit
