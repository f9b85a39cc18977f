#pragma once
#include <string>
#include <vector>

#include "lessons/kit/lesson.hpp"

namespace gradus::kit {

// Things and arrows between them, placed by Graphviz: a graphical model, a network, a computation.
//
//     kit::Diagram diagram({.title = "The generative model"});
//     diagram.node("z", "z", kit::Diagram::kLatent);
//     diagram.node("x", "x", kit::Diagram::kObserved);
//     diagram.edge("z", "x", "p(x|z)");
//     diagram.plate("N images", {"z", "x"});
//     diagram.draw(lesson, "model");
class Diagram {
 public:
  enum Kind {
    kLatent,    // a circle: a random variable
    kObserved,  // a grey circle: one that is known
    kFixed,     // a small dot with its name: a parameter or a number, nothing random
    kStep,      // a box: a layer, an operation
    kNothing,   // the name only
  };

  struct Text {
    std::string title = {};
    std::string note = {};   // one more line, smaller; may be empty
    bool downwards = false;  // arrows go down, in place of to the right
  };

  struct Look {
    bool dashed = false;  // of an edge
    int hue = 0;          // 1, 2, ...: the colours of series in the figures; 0: dark; -1: pale
  };

  explicit Diagram(Text text) : text_(std::move(text)) {}

  // `id` names the node for edges and plates; `label` is plain UTF-8 text, with \n between lines.
  // A second node of one name is an Error.
  void node(const std::string& id, const std::string& label, Kind kind, Look look);
  void node(const std::string& id, const std::string& label, Kind kind);
  // An arrow. Throws Error when there is no such node.
  void edge(const std::string& from, const std::string& to, const std::string& label, Look look);
  void edge(const std::string& from, const std::string& to, const std::string& label = {});
  // A frame around nodes that are there many times, with a label in its corner. A node is in
  // one plate at most. Throws Error when there is no such node.
  void plate(const std::string& label, const std::vector<std::string>& ids);

  // Puts nodes at one place along the arrows' direction: beside each other, as z and x of one time.
  // Throws Error when there is no such node.
  void level(const std::vector<std::string>& ids);

  // Writes NAME.dot and has Graphviz draw NAME.png, as kit::graph does.
  void draw(Lesson& lesson, const std::string& name) const;

 private:
  struct Node {
    std::string id, label;
    Kind kind;
    Look look;
  };

  struct Edge {
    std::string from, to, label;
    Look look;
  };

  struct Plate {
    std::string label;
    std::vector<std::string> ids;
  };

  bool has(const std::string& id) const;
  void require_node(const std::string& id, const std::string& what) const;
  std::string dot() const;

  Text text_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<Plate> plates_;
  std::vector<std::vector<std::string>> levels_;
};

}  // namespace gradus::kit
