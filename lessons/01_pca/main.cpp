// Lesson 01: principal component analysis, and the matrix product under it.
#include <fmt/core.h>

#include "lessons/01_pca/ladder.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/io/safetensors.hpp"

namespace gradus::lesson01 {
namespace {

// ---- How fast two matrices can be multiplied ---------------------------------------------------

// To two digits, as text: more would not be the same tomorrow.
std::string two_digits(double value) {
  const double unit = std::pow(10.0, std::floor(std::log10(value)) - 1);
  return fmt::format("{:.6g}", std::round(value / unit) * unit);
}

void climb_the_ladder(kit::Lesson& lesson) {
  constexpr Index n = 768;
  constexpr double kOperations = 2.0 * n * n * n;
  Rng rng(lesson.options().seed);
  // Whole numbers, whose sums are exact: every rung has to give the same bits.
  auto whole_numbers = [&] {
    return map(rng.normal<float>({n, n}), [](float v) { return std::round(3 * v); });
  };
  const Tensor<float> a = whole_numbers(), b = whole_numbers(), product = matmul(a, b);

  std::vector<std::pair<std::string, double>> rungs;  // GFLOP/s
  Tensor<float> c({n, n});
  double difference = 0;
  using Multiply = void (*)(const float*, const float*, float*, Index);
  for (const auto& [name, multiply] : {std::pair<const char*, Multiply>{"naive", ladder::naive},
                                       {"reordered", ladder::reordered},
                                       {"blocked", ladder::blocked},
                                       {"packed", ladder::packed}}) {
    rungs.emplace_back(name, ladder::gflops(kOperations, [&, multiply = multiply] {
                         multiply(a.data(), b.data(), c.mutable_data(), n);
                       }));
    difference = std::max<double>(difference, max(abs(c - product)).item());
  }
  // A loop inside of a piece of a loop runs on one thread.
  parallel_for(2, 1, [&](Index piece, Index) {
    if (piece == 0)
      rungs.emplace_back("library", ladder::gflops(kOperations, [&] { matmul(a, b); }));
  });
  rungs.emplace_back("threaded", ladder::gflops(kOperations, [&] { matmul(a, b); }));
  const double peak = ladder::peak_gflops(1), all = ladder::peak_gflops(num_threads());

  fmt::print("\nGFLOP/s of a product of two {0} x {0} matrices:\n", n);
  kit::Series bars;
  std::vector<std::string> names;
  for (const auto& [name, speed] : rungs) {
    fmt::print("  {:<10}{:>6}\n", name, two_digits(speed));
    lesson.report("speed_" + name, speed, "GFLOP/s");
    bars.y.push_back(speed);
    names.push_back(fmt::format("{} {}", name, two_digits(speed)));
  }
  fmt::print("  {:<10}{:>6} on one thread, {} on {}\n\n", "peak", two_digits(peak), two_digits(all),
             num_threads());
  lesson.report("speed_peak", peak, "GFLOP/s");
  lesson.report("speed_peak_threaded", all, "GFLOP/s");
  lesson.check("ladder_largest_difference", difference, "", kit::Expected{0, 0});
  kit::bars(lesson, "ladder",
            {.title = "One matrix product, from naive to fast",
             .note = "dashed: all that the units for multiplying can do, of one core and of all",
             .y_label = "GFLOP/s",
             .levels = {{"one", peak}, {"all", all}}},
            {bars}, names);
}

// ---- Five dimensions, where every number is known on paper -------------------------------------

void toy(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);  // (500, 5)
  const Pca<double> pca = fit_pca(x);
  lesson.check("toy_error_k1", pca.residual(x, 1), "", kit::Expected{3.75, 1e-9});
  lesson.check("toy_error_k2", pca.residual(x, 2), "", kit::Expected{1.75, 1e-9});

  // A plane keeps 6 at the most, the two largest variances, and 0.75 at least, the two smallest.
  Pca<double> other = pca;
  double least = 7.75;
  for (int trial = 0; trial < 1000; ++trial) {
    other.components = random_basis(5, rng);
    least = std::min(least, other.residual(x, 2));
  }
  lesson.check("toy_best_of_1000_planes", least, "", kit::between(1.75, 7));

  // The total variance without a mean: half of the mean squared distance between two points.
  double distances = 0;
  for (Index i = 0; i < x.extent(0); ++i)
    distances += mean(sum(square(x - slice(x, 0, i, i + 1)), {1})).item();
  lesson.check("toy_half_squared_distance", distances / 2 / static_cast<double>(x.extent(0)), "",
               kit::Expected{7.75, 1e-9});
}

// ---- Images ------------------------------------------------------------------------------------

// A byte b is the pixel b / 255, which float rounds. In double, sums come out to ten digits.
Tensor<double> exact_pixels(const Tensor<float>& images) {
  return map(cast<double>(images), [](double pixel) { return std::round(pixel * 255) / 255; });
}

// Between -1 and 1; 0 where one of the two does not vary.
double correlation(const Tensor<double>& x, const Tensor<double>& y) {
  const Tensor<double> u = x - mean(x), v = y - mean(y);
  const double norm = std::sqrt(sum(square(u)).item() * sum(square(v)).item());
  return norm > 0 ? sum(u * v).item() / norm : 0;
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
  const Index shown = std::min<Index>(20, pca.variances.size());
  std::vector<std::string> captions;
  for (Index i = 0; i < shown; ++i)
    captions.push_back(fmt::format("{:.1f} %", 100 * pca.variances(i) / sum(pca.variances).item()));
  kit::images(lesson, "eigen_images",
              {.title =
                   fmt::format("The first {} components, and their shares of the variance", shown),
               .columns = 10,
               .signed_values = true,
               .captions = captions},
              slice(pca.components, 0, 0, shown).reshape({shown, data.height, data.width}));
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

void images(kit::Lesson& lesson, const kit::ImageData& data) {
  const Tensor<double> train = exact_pixels(data.train_images);
  const Tensor<double> test = exact_pixels(data.test_images);
  const Index pixels = train.extent(1);
  if (pixels < 2) fail("PCA needs images of two pixels at least: these have {}", pixels);
  if (max(abs(train - slice(train, 0, 0, 1))).item() == 0)
    fail("PCA needs images that differ: these {} are all the same", train.extent(0));

  const Pca<double> pca = fit_pca(train);
  const double total = sum(pca.variances).item();
  fmt::print("the first {} of {} variances: {}\n", std::min<Index>(5, pixels), pixels,
             slice(pca.variances, 0, 0, std::min<Index>(5, pixels)));
  const Index saved = std::min<Index>(200, pixels);
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
  const double per_pixel = 1 / static_cast<double>(pixels), distance = pca.residual(train, 0);
  lesson.check("mean_pixel", mean(train).item(), "", on_full(0.28604060, 5e-9));
  lesson.check("total_variance", distance, "", on_full(68.21626099, 68.2 * 1e-8));
  lesson.check("sum_of_eigenvalues", total, "", kit::relative(distance, 1e-8));
  const Tensor<double> pixel_variances = mean(square(train), {0}) - square(mean(train, {0}));
  lesson.check("sum_of_pixel_variances", sum(pixel_variances).item(), "",
               kit::relative(distance, 1e-8));
  lesson.check("constant_image_error", distance * per_pixel, "per pixel",
               on_full(0.08701054, 5e-9));
  for (Index k : {2, 50})
    if (k <= pixels)
      lesson.report(fmt::format("kept_by_k{}", k),
                    100 * sum(slice(pca.variances, 0, 0, k)).item() / total, "%");
  if (pixels >= 50) {
    const double dropped = sum(slice(pca.variances, 0, 50, pixels)).item();
    lesson.check("residual_k50", pca.residual(train, 50), "", kit::Expected{dropped, 1e-8 * total});
    lesson.report("training_error_k50", dropped * per_pixel, "per pixel");
  }
  for (const auto& [k, expected] :
       {std::pair<Index, double>{2, 0.046096}, {20, 0.018705}, {32, 0.015142}, {50, 0.011985}})
    if (k <= pixels)
      lesson.check(fmt::format("test_error_k{}", k), pca.residual(test, k) * per_pixel, "per pixel",
                   on_full(expected, 5e-7));

  // Claim against measurement: "the components of PCA are independent".
  const Tensor<double> code = pca.encode(train, 2);
  const Tensor<double> first = slice(code, 1, 0, 1), second = slice(code, 1, 1, 2);
  lesson.check("correlation_of_codes", correlation(first, second), "", kit::Expected{0, 1e-9});
  lesson.report("correlation_of_squared_codes", correlation(square(first), square(second)), "");
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  climb_the_ladder(lesson);
  toy(lesson);
  images(lesson, data);
}

}  // namespace
}  // namespace gradus::lesson01

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "01_pca", .title = "Principal component analysis"}, argc, argv,
                          gradus::lesson01::run);
}
