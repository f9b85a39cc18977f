#pragma once
#include <string>
#include <vector>

#include "lessons/kit/lesson.hpp"
#include "tensor/tensor.hpp"

// Figures. Each writes NAME.gp, a gnuplot script with its data inside, into the lesson's directory
// and has gnuplot draw NAME.png from it. Where gnuplot is missing or fails, the script stays and
// the lesson says so at its end. All throw Error when the sizes do not fit, and when the script
// cannot be written. Titles, labels and captions are plain UTF-8 text.
namespace gradus::kit {

// One line of a plot, or one colour of bars. Where x is empty it is 1, 2, 3, ...
// Points that are not finite are left out.
struct Series {
  enum Mark { kLine, kDots, kLineAndDots };

  std::string label = {};
  std::vector<double> x = {}, y = {};
  Mark mark = kLine;
  int hue = 0;                // 1, 2, ...: of the palette; 0: that of its place among the series
  bool label_inside = false;  // in the plot beside its own end, for one that ends early
};

// A level to compare with: a dashed line from left to right. Left out where it is not finite.
struct Level {
  std::string label;
  double y;
};

struct PlotText {
  std::string title = {};                  // in words
  std::string note = {};                   // one more line, smaller; may be empty
  std::string x_label = {}, y_label = {};  // with units
  bool log_x = false, log_y = false;
  bool equal_scale = false;  // of lines and dots: a unit of x is as long as a unit of y
  std::vector<Level> levels = {};
};

// Draws lines and dots. Each that has a label has it at its right end.
void plot(Lesson& lesson, const std::string& name, const PlotText& text,
          const std::vector<Series>& series);

// Draws bars from 0, the series side by side at each x. On a logarithmic axis of y they begin at a
// power of ten below the least, and those that are not positive are left out; the axis of x is
// linear. `names`, where given, stand under the bars at x = 1, 2, 3, ... in place of x.
void bars(Lesson& lesson, const std::string& name, const PlotText& text,
          const std::vector<Series>& series, const std::vector<std::string>& names = {});

// Draws points (N, 2) in the colours of their classes, with the class's name at its median. Both
// axes have the same linear scale; levels are not drawn. `labels` are N numbers from 0 to
// class_names.size() - 1.
template <class T>
void scatter(Lesson& lesson, const std::string& name, const PlotText& text, const Tensor<T>& points,
             const std::vector<Index>& labels, const std::vector<std::string>& class_names);

struct ImageText {
  std::string title = {};
  std::string note = {};
  Index columns = 10;
  bool signed_values = false;  // blue < 0 = white < orange, in place of 0 = black to 1 = white
  std::vector<std::string> captions = {};         // above each image
  std::vector<std::string> row_captions = {};     // left of each row
  std::vector<std::string> column_captions = {};  // above each column
};

// Draws images (n, height, width), or (n, side * side), row by row in a grid. Grey images are
// clipped to [0, 1]; signed ones share one scale, symmetric about 0.
template <class T>
void images(Lesson& lesson, const std::string& name, const ImageText& text,
            const Tensor<T>& pixels);

}  // namespace gradus::kit
