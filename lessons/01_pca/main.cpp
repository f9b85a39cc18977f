// Lesson 01: principal component analysis of 60,000 images of clothes.
#include <fmt/core.h>

#include "lessons/01_pca/model.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/io/safetensors.hpp"

using namespace gradus;

namespace {

// A byte b is the pixel b / 255, which float rounds. In double, sums come out to ten digits.
Tensor<double> exact_pixels(const Tensor<float>& images) {
  return map(cast<double>(images), [](double pixel) { return std::round(pixel * 255) / 255; });
}

void draw_scree(kit::Lesson& lesson, const Pca<double>& pca) {
  const double total = sum(pca.variances).item();
  kit::Series kept{.label = "kept"};
  double sum_so_far = 0;
  for (double variance : pca.variances) kept.y.push_back(100 * (sum_so_far += variance) / total);
  kit::plot(lesson, "scree",
            {.title = "How much of the images' variance the first components keep",
             .x_label = "number of components",
             .y_label = "% of the variance",
             .log_x = true},
            {kept});
}

void draw_components(kit::Lesson& lesson, const Pca<double>& pca, const kit::ImageData& data) {
  constexpr Index kShown = 20;
  std::vector<std::string> captions;
  for (Index i = 0; i < kShown; ++i)
    captions.push_back(fmt::format("{:.1f} %", 100 * pca.variances(i) / sum(pca.variances).item()));
  kit::images(lesson, "eigen_images",
              {.title = "The first 20 components, and their shares of the variance",
               .columns = 10,
               .signed_values = true,
               .captions = captions},
              slice(pca.components, 0, 0, kShown).reshape({kShown, data.height, data.width}));
}

// The first four test images, from more and more components.
void draw_reconstructions(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& test,
                          const kit::ImageData& data) {
  const std::vector<Index> counts = {1, 2, 5, 10, 50, 200};
  std::vector<Tensor<double>> grid;
  std::vector<std::string> columns;
  for (Index k : counts) columns.push_back(fmt::format("{}", k));
  columns.push_back("image");
  for (Index i = 0; i < std::min<Index>(4, test.extent(0)); ++i) {
    const Tensor<double> x = slice(test, 0, i, i + 1);
    for (Index k : counts) grid.push_back(pca.decode(pca.encode(x, std::min(k, x.extent(1)))));
    grid.push_back(x);
  }
  const Tensor<double> pixels = concatenate(grid);
  kit::images(lesson, "reconstructions",
              {.title = "Test images from their first k components",
               .columns = std::ssize(columns),
               .column_captions = columns},
              pixels.reshape({pixels.extent(0), data.height, data.width}));
}

void draw_map(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& test,
              const kit::ImageData& data) {
  const Index n = std::min<Index>(5000, test.extent(0));
  kit::scatter(lesson, "map",
               {.title = "Test images by their first two components",
                .x_label = "component 1",
                .y_label = "component 2"},
               pca.encode(slice(test, 0, 0, n), 2),
               {data.test_labels.begin(), data.test_labels.begin() + n}, data.class_names);
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Tensor<double> train = exact_pixels(data.train_images);
  const Tensor<double> test = exact_pixels(data.test_images);
  const double pixels = static_cast<double>(train.extent(1));

  const Pca<double> pca = fit_pca(train);
  fmt::print("the first 5 of {} variances: {}\n", pca.variances.size(),
             slice(pca.variances, 0, 0, 5));
  constexpr Index kSaved = 200;
  const Index saved = std::min(kSaved, train.extent(1));
  io::write_safetensors<double>(lesson.file("pca.safetensors"),
                                {{"mean", pca.mean},
                                 {"components", slice(pca.components, 0, 0, saved)},
                                 {"variances", slice(pca.variances, 0, 0, saved)}});
  draw_scree(lesson, pca);
  draw_components(lesson, pca, data);
  draw_reconstructions(lesson, pca, test, data);
  draw_map(lesson, pca, test, data);

  // What must come out: the numbers of the full training set were computed elsewhere, and what PCA
  // loses is exactly the variance along the axes that it drops.
  auto on_full = [&](double value, double tolerance) -> std::optional<kit::Expected> {
    if (data.name != "fashion-mnist" || train.extent(0) != 60000) return {};
    return kit::Expected{value, tolerance};
  };
  const double total = sum(pca.variances).item();
  const double dropped = sum(slice(pca.variances, 0, 50, pca.variances.size())).item();
  lesson.result("mean_pixel", mean(pca.mean).item(), "", on_full(0.28604060, 5e-9));
  lesson.result("total_variance", pca.residual(train, 0), "", on_full(68.21626099, 68.2 * 1e-8));
  lesson.result("sum_of_eigenvalues", total, "", kit::relative(pca.residual(train, 0), 1e-8));
  lesson.result("constant_image_error", total / pixels, "per pixel", on_full(0.08701054, 5e-9));
  lesson.result("residual_k50", pca.residual(train, 50), "", kit::relative(dropped, 1e-8));
  lesson.result("dropped_eigenvalues_k50", dropped, "");
  for (const auto& [k, expected] :
       {std::pair<Index, double>{2, 0.046096}, {20, 0.018705}, {32, 0.015142}, {50, 0.011985}})
    lesson.result(fmt::format("test_error_k{}", k), pca.residual(test, k) / pixels, "per pixel",
                  on_full(expected, 5e-7));
}

}  // namespace

int main(int argc, char** argv) {
  return kit::run({.name = "01_pca", .title = "Principal component analysis"}, argc, argv, run);
}
