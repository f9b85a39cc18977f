#pragma once
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/18_conditional_vae/instruments.hpp"
#include "lessons/18_conditional_vae/on_paper.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/diagram.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/sketch.hpp"

// The figures of lesson 18.
namespace gradus::lesson18 {

// ---- Sketches ----------------------------------------------------------------------------------

// What the label changes in lesson 13's model.
inline void draw_model(kit::Lesson& lesson) {
  using enum kit::Diagram::Kind;
  kit::Diagram diagram({.title = "The label y is given to both halves",
                        .note = "Solid, blue: how the model makes x. Dashed, orange: how z is "
                                "guessed. Grey: seen."});
  diagram.node("prior", "N(0, I)", kNothing);
  diagram.node("theta", "θ", kFixed);
  diagram.node("z", "z", kLatent);
  diagram.node("y", "y", kObserved);
  diagram.node("x", "x", kObserved);
  diagram.node("phi", "φ", kFixed);
  diagram.edge("prior", "z", "", {.hue = 1});
  diagram.edge("theta", "x", "", {.hue = 1});
  diagram.edge("z", "x", "p(x|z, y)", {.hue = 1});
  diagram.edge("y", "x", "", {.hue = 1});
  diagram.edge("x", "z", "q(z|x, y)", {.dashed = true, .hue = 2});
  diagram.edge("y", "z", "", {.dashed = true, .hue = 2});
  diagram.edge("phi", "z", "", {.dashed = true, .hue = 2});
  diagram.plate("N images", {"z", "y", "x"});
  diagram.draw(lesson, "model");
}

// What it is worth to be told "dog", by the size.
inline void draw_worth(kit::Lesson& lesson) {
  kit::Series worth{.label = "saves"};
  kit::Series cost{.label = "still costs"};
  for (int i = -75; i <= 200; ++i) {
    const double x = i / 50.0;
    worth.x.push_back(x);
    worth.y.push_back(TwoKinds::worth_of_dog(x));
    cost.x.push_back(x);
    cost.y.push_back(TwoKinds::cost_of_dog(x));
  }
  kit::plot(lesson, "worth",
            {.title = "What \"dog\" saves and what it still costs add up to ln 2",
             .note = "saves: ln p(x|dog) - ln p(x); still costs, once x is seen: -ln P(dog|x)",
             .x_label = "size x of a dog",
             .y_label = "nats",
             .levels = {{"ln 2", std::log(2.0)}}},
            {worth, cost});
}

// A class's name where there is little room: "T-shirt", "boot".
inline std::string short_name(const std::string& name) {
  const std::string first = name.substr(0, name.find('/'));
  return first.substr(first.rfind(' ') + 1);
}

// ---- Images ------------------------------------------------------------------------------------

// Each code, a column, decoded with each label, a row: images (C * n, D).
inline void draw_grid(kit::Lesson& lesson, const Tensor<float>& images, Index columns,
                      const kit::ImageData& data) {
  kit::images(lesson, "cvae_grid",
              {.title = "Ten labels, and the same ten codes for each",
               .note = "decoded by the CVAE; a column has one z, drawn from N(0, I)",
               .columns = columns,
               .row_captions = data.class_names},
              data.as_images<float>({images}));
}

// Test images, and what their codes become with each label: rows of an image and C decoded ones.
inline void draw_swapped(kit::Lesson& lesson, const std::vector<Tensor<float>>& rows,
                         const std::vector<std::string>& captions, const kit::ImageData& data) {
  constexpr std::size_t kRoom = 7;  // letters above a column
  std::vector<std::string> above = {"image"};
  for (const std::string& full : data.class_names) {
    const std::string name = short_name(full);
    above.push_back(name.size() > kRoom ? name.substr(0, 4) + "." : name);
  }
  kit::images(lesson, "swapped",
              {.title = "The code of one image, decoded with every label",
               .note = "left: test images; z is the mean of q(z|x, y) with the image's own label y",
               .columns = std::ssize(above),
               .row_captions = captions,
               .column_captions = above},
              data.as_images<float>(rows));
}

// ---- Nats --------------------------------------------------------------------------------------

struct Gain {
  double label, higher_bound;
};

// What the label is worth and what else the CVAE gains, by two bounds.
inline void draw_gain(kit::Lesson& lesson, const Gain& by_elbo, const Gain& by_importance,
                      Index classes) {
  kit::bars(lesson, "gain",
            {.title = "Half of the gain is the label, half a higher bound of ln p(x)",
             .note = "CVAE's bound of ln p(x|y) less the VAE's bound of ln p(x); test images",
             .x_label = "by which bound",
             .y_label = "nats per image",
             .levels = {{fmt::format("ln {}", classes), std::log(static_cast<double>(classes))}}},
            {{.label = "told by the label", .y = {by_elbo.label, by_importance.label}},
             {.label = "higher bound of ln p(x)",
              .y = {by_elbo.higher_bound, by_importance.higher_bound}},
             {.label = "together",
              .y = {by_elbo.label + by_elbo.higher_bound,
                    by_importance.label + by_importance.higher_bound}}},
            {"ELBO", "10 draws"});
}

// ---- Recognition -------------------------------------------------------------------------------

// Which class was taken for which, in tenths of a percent of the images of a class.
inline void draw_confusion(kit::Lesson& lesson, const Tensor<double>& counts,
                           const kit::ImageData& data) {
  const Index classes = counts.extent(0);
  const auto c = static_cast<double>(classes);
  kit::Sketch sketch({.title = "What the CVAE takes each class for",
                      .note = "of 1,000 test images of the class at the left, how many get the "
                              "name above; pale: at least 100",
                      .shown = {{-2.6, -0.2}, {c + 0.2, c + 1.3}}});
  for (Index i = 0; i < classes; ++i) {
    const double y = c - 0.5 - static_cast<double>(i);
    sketch.text({-0.2, y}, short_name(data.class_names[i]), {}, kit::Align::kRight);
    const double above = c + (i % 2 == 0 ? 0.3 : 0.8);
    sketch.text({static_cast<double>(i) + 0.5, above}, short_name(data.class_names[i]));
    const double total = sum(slice(counts, 0, i, i + 1)).item();
    for (Index k = 0; k < classes; ++k) {
      const double x = static_cast<double>(k) + 0.5;
      const double share = total > 0 ? 1000 * counts(i, k) / total : 0;
      const kit::Pen pen{.hue = i == k ? 1 : 2};
      if (share >= 100)
        sketch.area({{x - 0.48, y - 0.48},
                     {x + 0.48, y - 0.48},
                     {x + 0.48, y + 0.48},
                     {x - 0.48, y + 0.48}},
                    pen);
      if (share >= 5)
        sketch.text({x, y}, fmt::format("{:.0f}", share), share >= 100 ? pen : kit::Pen{.hue = 0});
    }
  }
  sketch.draw(lesson, "confusion");
}

struct NamedVerdict {
  std::string label;
  Verdict verdict;
};

// How often a classifier is right where it claims how much.
inline void draw_reliability(kit::Lesson& lesson, const std::vector<NamedVerdict>& verdicts) {
  std::vector<kit::Series> series = {{.label = "as claimed", .x = {0, 1}, .y = {0, 1}, .hue = 4}};
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    kit::Series line{.label = verdicts[i].label,
                     .mark = kit::Series::kLineAndDots,
                     .hue = static_cast<int>(i) + 1};
    for (const Bin& bin : verdicts[i].verdict.bins) {
      if (bin.images < 20) continue;
      line.x.push_back(bin.confidence);
      line.y.push_back(bin.accuracy);
    }
    series.push_back(line);
  }
  kit::plot(lesson, "reliability",
            {.title = "The generative classifiers claim too much",
             .note = "test images by their largest P(y|x), in tenths",
             .x_label = "mean confidence",
             .y_label = "share that is right"},
            series);
}

// Accuracies of several classifiers with few labels.
struct FewLabels {
  std::string name;
  double with_10, with_100;  // examples of each class; in percent
};

inline void draw_few_labels(kit::Lesson& lesson, const std::vector<FewLabels>& rows) {
  kit::Series few{.label = "10 of each class"};
  kit::Series more{.label = "100 of each class"};
  std::vector<std::string> names;
  for (const FewLabels& row : rows) {
    few.y.push_back(row.with_10);
    more.y.push_back(row.with_100);
    names.push_back(row.name);
  }
  kit::bars(lesson, "few_labels",
            {.title = "With few labels Gaussians keep up, and the CVAE is last",
             .note = "accuracy on test images, mean over random choices of the labelled images",
             .x_label = "classifier",
             .y_label = "percent"},
            {few, more}, names);
}

}  // namespace gradus::lesson18
