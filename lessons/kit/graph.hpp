#pragma once
#include <string>

#include "lessons/kit/lesson.hpp"

namespace gradus::kit {

// Draws what Tape::to_dot says: writes NAME.dot, with letters and colours of the other figures,
// into the lesson's directory and has Graphviz draw NAME.png from it. Where Graphviz is missing or
// fails, the text stays and the lesson says so at its end. `title` is plain UTF-8 text.
void graph(Lesson& lesson, const std::string& name, const std::string& title,
           const std::string& dot);

// Text as Graphviz takes it between < and >: nothing in it is expanded, and lines stay lines.
std::string html(const std::string& text);

// The same for other text in the language dot, which begins with "digraph {" and a line's end.
// `note` is one more line under the title, smaller; it may be empty.
void draw_dot(Lesson& lesson, const std::string& name, const std::string& title,
              const std::string& note, const std::string& dot);

}  // namespace gradus::kit
