// Lesson 01: principal component analysis.
#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>
#include <vector>

#include <fmt/core.h>

#include "lessons/01_pca/figures.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/common/fashion_mnist.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/io/safetensors.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/map.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson01 {
namespace {

// ---- Four points in a plane, worked on paper ----------------------------------------------------

// A line through a point, in the direction (x, y), as a PCA of one component.
Pca<double> line_through(const Tensor<double>& point, double x, double y) {
  const double length = std::hypot(x, y);
  return {point, Tensor<double>({1, 2}, {x / length, y / length}), {}};
}

// Along any direction: what is kept, by the formula with the eigenvalues 6, along (2, 1), and 1,
// along (-1, 2); what is lost, by the points themselves.
void turn_the_line(kit::Lesson& lesson, const Tensor<double>& mean, const Tensor<double>& x) {
  std::vector<Direction> directions;
  double largest_gap = 0;
  for (int degrees = -90; degrees <= 90; degrees += 2) {
    const double angle = degrees * std::numbers::pi / 180;
    const double c = std::cos(angle);
    const double s = std::sin(angle);
    const double along_1 = (2 * c + s) / std::sqrt(5);
    const double along_2 = (2 * s - c) / std::sqrt(5);
    const double kept = 6 * along_1 * along_1 + along_2 * along_2;
    const double lost = line_through(mean, c, s).residual(x, 1);
    directions.push_back({static_cast<double>(degrees), kept, lost});
    largest_gap = std::max(largest_gap, std::abs(kept + lost - 7));
  }
  lesson.check("paper_kept_and_lost_less_7", largest_gap, "", kit::Expected{0, 1e-12});
  draw_directions(lesson, directions);
}

// The best line through the origin belongs to E[x x^T] = S + mean mean^T = [21 14; 14 11], whose
// smaller eigenvalue is 16 - sqrt(221). The line of least squares in the second coordinate has the
// slope 2 / 5; it keeps v^T S v = 173 / 29 of 7.
void try_other_lines(kit::Lesson& lesson, const Tensor<double>& mean, const Tensor<double>& x) {
  const Tensor<double> origin({2});
  const auto [values, vectors] = symmetric_eigen(matmul_tn(x, x) / 4.0);
  const Pca<double> through_origin = line_through(origin, vectors(0, 0), vectors(0, 1));
  const Pca<double> regression = line_through(mean, 5, 2);
  lesson.check("paper_error_through_origin", through_origin.residual(x, 1), "",
               kit::Expected{16 - std::sqrt(221), 1e-12});
  lesson.check("paper_error_of_regression", regression.residual(x, 1), "",
               kit::Expected{30.0 / 29, 1e-12});
}

// The mean of the points is (4, 3), and their covariance S = [5 2; 2 2].
void work_on_paper(kit::Lesson& lesson) {
  const Tensor<double> x({4, 2}, {7, 5, 5, 3, 3, 1, 1, 3});  // (N, D)
  const Pca<double> pca = fit_pca(x);
  lesson.check("paper_variance_1", pca.variances(0), "", kit::Expected{6, 1e-12});
  lesson.check("paper_variance_2", pca.variances(1), "", kit::Expected{1, 1e-12});
  lesson.check("paper_error_k1", pca.residual(x, 1), "", kit::Expected{1, 1e-12});
  draw_four_points(lesson, pca, x);
  turn_the_line(lesson, pca.mean, x);
  try_other_lines(lesson, pca.mean, x);
}

// ---- Five dimensions, where every number is known on paper -------------------------------------

void lose_what_paper_says(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);  // (500, 5)
  const Pca<double> pca = fit_pca(x);
  lesson.check("toy_error_k1", pca.residual(x, 1), "", kit::Expected{toy_variance_beyond(1), 1e-9});
  lesson.check("toy_error_k2", pca.residual(x, 2), "", kit::Expected{toy_variance_beyond(2), 1e-9});

  // A plane keeps the two largest variances at the most, and the two smallest at least.
  const double total = toy_variance_beyond(0);
  const double most_lost = total - toy_variance_beyond(3);
  Pca<double> other = pca;
  double least = total;
  for (int trial = 0; trial < 1000; ++trial) {
    other.components = random_basis(5, rng);
    least = std::min(least, other.residual(x, 2));
  }
  lesson.check("toy_best_of_1000_planes", least, "",
               kit::between(toy_variance_beyond(2), most_lost));

  // The total variance without a mean: half of the mean squared distance between two points.
  double distances = 0;
  for (Index i = 0; i < x.extent(0); ++i)
    distances += mean(sum(square(x - slice(x, 0, i, i + 1)), {1})).item();
  lesson.check("toy_half_squared_distance", distances / 2 / static_cast<double>(x.extent(0)), "",
               kit::Expected{total, 1e-9});
}

// ---- Images ------------------------------------------------------------------------------------

// A byte b is the pixel b / 255, which float rounds. In double, sums come out to ten digits.
Tensor<double> exact_pixels(const Tensor<float>& images) {
  return map(cast<double>(images), [](double pixel) { return std::round(pixel * 255) / 255; });
}

// What PCA cannot be fitted to is said before the work begins.
void require_use(const kit::ImageData& data) {
  const Tensor<float>& train = data.train_images;
  if (train.extent(1) < 2)
    fail("lesson 01 needs images of two pixels at least: those of {} have {}", data.name,
         train.extent(1));
  if (max(abs(train - slice(train, 0, 0, 1))).item() == 0)
    fail("lesson 01 needs images that differ: the {} of {} to train on are all the same",
         train.extent(0), data.name);
}

// Fits PCA to images (N, D), and saves the mean and up to 200 components.
Pca<double> fit_images(kit::Lesson& lesson, const Tensor<double>& train) {
  const Index pixels = train.extent(1);
  const Pca<double> pca = fit_pca(train);
  const Index printed = std::min<Index>(5, pixels);
  fmt::print("the first {} of {} variances: {}\n", printed, pixels,
             slice(pca.variances, 0, 0, printed));
  const Index saved = std::min<Index>(200, pixels);
  io::write_safetensors<double>(lesson.file("pca.safetensors"),
                                {{"mean", pca.mean},
                                 {"components", slice(pca.components, 0, 0, saved)},
                                 {"variances", slice(pca.variances, 0, 0, saved)}});
  return pca;
}

// In three ways: the mean squared distance from the mean, the sum of the eigenvalues, and the sum
// of the variances of single pixels. `full`: on all of Fashion-MNIST, of which they are known.
void find_the_total_variance(kit::Lesson& lesson, const Pca<double>& pca,
                             const Tensor<double>& train, bool full) {
  const double per_pixel = 1 / static_cast<double>(train.extent(1));
  const double distance = pca.residual(train, 0);
  const Tensor<double> pixel_variances = mean(square(train), {0}) - square(mean(train, {0}));
  lesson.check("mean_pixel", mean(train).item(), "",
               kit::when(full, {fashion_mnist::kMeanPixel, 5e-9}));
  lesson.check("total_variance", distance, "",
               kit::when(full, kit::relative(fashion_mnist::kTotalVariance, 1e-8)));
  lesson.check("sum_of_eigenvalues", sum(pca.variances).item(), "", kit::relative(distance, 1e-8));
  lesson.check("sum_of_pixel_variances", sum(pixel_variances).item(), "",
               kit::relative(distance, 1e-8));
  lesson.check("constant_image_error", distance * per_pixel, "per pixel",
               kit::when(full, {fashion_mnist::kVarianceOfAPixel, 5e-9}));
}

// How many components keep a share of the variance, at the least.
Index components_for(const Pca<double>& pca, double share) {
  const double wanted = share * sum(pca.variances).item();
  double kept = 0;
  Index k = 0;
  while (kept < wanted && k < pca.variances.size()) {
    kept += pca.variances(k);
    ++k;
  }
  return k;
}

// What is lost on the images of the fit is the sum of the dropped eigenvalues.
void lose_what_was_dropped(kit::Lesson& lesson, const Pca<double>& pca,
                           const Tensor<double>& train) {
  const Index pixels = train.extent(1);
  const double per_pixel = 1 / static_cast<double>(pixels);
  const double total = sum(pca.variances).item();
  for (Index k : {2, 50}) {
    if (k > pixels) continue;
    const double kept = sum(slice(pca.variances, 0, 0, k)).item();
    lesson.report(fmt::format("kept_by_k{}", k), 100 * kept / total, "%");
  }
  for (int percent : {50, 90, 95, 99})
    lesson.report(fmt::format("components_for_{}_percent", percent),
                  static_cast<double>(components_for(pca, percent / 100.0)), "");
  if (pixels < 50) return;
  const double dropped = sum(slice(pca.variances, 0, 50, pixels)).item();
  lesson.check("residual_k50", pca.residual(train, 50), "", kit::Expected{dropped, 1e-8 * total});
  lesson.report("training_error_k50", dropped * per_pixel, "per pixel");
}

// On images that the fit has not seen, per pixel.
std::vector<TestError> measure_the_test_error(kit::Lesson& lesson, const Pca<double>& pca,
                                              const Tensor<double>& test, bool full) {
  const std::map<Index, double> known = {{2, fashion_mnist::kPcaTestError2},
                                         {20, fashion_mnist::kPcaTestError20},
                                         {32, fashion_mnist::kPcaTestError32},
                                         {50, fashion_mnist::kPcaTestError50}};
  const Index pixels = test.extent(1);
  std::vector<TestError> errors;
  for (Index k : {1, 2, 5, 10, 20, 32, 50, 200}) {
    if (k > pixels) continue;
    const double error = pca.residual(test, k) / static_cast<double>(pixels);
    std::optional<kit::Expected> expected;
    if (full && known.contains(k)) expected = kit::Expected{known.at(k), 5e-7};
    lesson.check(fmt::format("test_error_k{}", k), error, "per pixel", expected);
    errors.push_back({k, error});
  }
  return errors;
}

// Between -1 and 1; 0 where one of the two does not vary.
double correlation(const Tensor<double>& x, const Tensor<double>& y) {
  const Tensor<double> u = x - mean(x);
  const Tensor<double> v = y - mean(y);
  const double norm = std::sqrt(sum(square(u)).item() * sum(square(v)).item());
  return norm > 0 ? sum(u * v).item() / norm : 0;
}

// Claim against measurement: "the components of PCA are independent". Where images vary in one
// direction only, as two do, the second is made of rounding errors.
void doubt_independence(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& train) {
  if (pca.variances(1) < 1e-9 * pca.variances(0)) return;
  const Tensor<double> code = pca.encode(train, 2);
  const Tensor<double> first = slice(code, 1, 0, 1);
  const Tensor<double> second = slice(code, 1, 1, 2);
  lesson.check("correlation_of_codes", correlation(first, second), "", kit::Expected{0, 1e-9});
  lesson.report("correlation_of_squared_codes", correlation(square(first), square(second)), "");
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  require_use(data);
  work_on_paper(lesson);
  lose_what_paper_says(lesson);

  const Tensor<double> train = exact_pixels(data.train_images);  // (N, D)
  const Tensor<double> test = exact_pixels(data.test_images);    // (M, D)
  const bool full = data.is_full_fashion_mnist();
  const Pca<double> pca = fit_images(lesson, train);
  find_the_total_variance(lesson, pca, train, full);
  lose_what_was_dropped(lesson, pca, train);
  const std::vector<TestError> errors = measure_the_test_error(lesson, pca, test, full);
  doubt_independence(lesson, pca, train);

  draw_scree(lesson, pca);
  draw_components(lesson, pca, data);
  draw_walks(lesson, pca, data);
  draw_reconstructions(lesson, pca, test, data, errors);
  draw_map(lesson, pca, test, data);
}

}  // namespace
}  // namespace gradus::lesson01

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "01_pca", .title = "Principal component analysis"}, argc, argv,
                          gradus::lesson01::run);
}
