// Lesson 01: principal component analysis, and the matrix product under it.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <fmt/core.h>

#include "lessons/01_pca/figures.hpp"
#include "lessons/01_pca/ladder.hpp"
#include "lessons/01_pca/model.hpp"
#include "lessons/common/fashion_mnist.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/io/safetensors.hpp"
#include "tensor/layout.hpp"
#include "tensor/map.hpp"
#include "tensor/matmul.hpp"
#include "tensor/parallel.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson01 {
namespace {

// ---- How fast two matrices can be multiplied ---------------------------------------------------

struct Ladder {
  std::vector<Rung> rungs;    // the slowest first
  double peak;                // what no product can exceed on one thread, in GFLOP/s
  double peak_threaded;       // and on all
  double largest_difference;  // between any rung's product and the library's
};

// Multiplies two (n, n) matrices on every rung.
Ladder measure_ladder(const Tensor<float>& a, const Tensor<float>& b) {
  struct Loops {
    const char* name;
    void (*multiply)(const float*, const float*, float*, Index);
  };

  const Index n = a.extent(0);
  const double operations = 2.0 * n * n * n;
  const Tensor<float> product = matmul(a, b);
  Tensor<float> c({n, n});
  std::vector<Rung> rungs;
  double largest_difference = 0;
  for (const Loops& loops : {Loops{"naive", ladder::naive}, Loops{"reordered", ladder::reordered},
                             Loops{"blocked", ladder::blocked}, Loops{"packed", ladder::packed}}) {
    const double speed = ladder::gflops(operations, [&] {
      loops.multiply(a.data(), b.data(), c.mutable_data(), n);
    });
    rungs.push_back({loops.name, speed});
    const double difference = max(abs(c - product)).item();
    largest_difference = std::max(largest_difference, difference);
  }

  auto library = [&] { return ladder::gflops(operations, [&] { matmul(a, b); }); };
  ladder::on_one_thread([&] { rungs.push_back({"library", library()}); });
  rungs.push_back({"threaded", library()});
  const double peak = ladder::peak_gflops(1);
  const double peak_threaded = ladder::peak_gflops(num_threads());
  return {rungs, peak, peak_threaded, largest_difference};
}

void climb_the_ladder(kit::Lesson& lesson) {
  constexpr Index n = 768;
  Rng rng(lesson.options().seed);
  // Whole numbers, whose sums are exact: every rung has to give the same bits.
  auto whole_numbers = [&] {
    return map(rng.normal<float>({n, n}), [](float v) { return std::round(3 * v); });
  };
  const Tensor<float> a = whole_numbers();
  const Tensor<float> b = whole_numbers();
  const Ladder measured = measure_ladder(a, b);

  fmt::print("\nGFLOP/s of a product of two {0} x {0} matrices:\n", n);
  for (const Rung& rung : measured.rungs) {
    fmt::print("  {:<10}{:>6}\n", rung.name, two_digits(rung.speed));
    lesson.report("speed_" + rung.name, rung.speed, "GFLOP/s");
  }
  fmt::print("  {:<10}{:>6} on one thread, {} on {}\n\n", "peak", two_digits(measured.peak),
             two_digits(measured.peak_threaded), num_threads());
  lesson.report("speed_peak", measured.peak, "GFLOP/s");
  lesson.report("speed_peak_threaded", measured.peak_threaded, "GFLOP/s");
  lesson.check("ladder_largest_difference", measured.largest_difference, "", kit::Expected{0, 0});
  draw_ladder(lesson, measured.rungs, measured.peak, measured.peak_threaded);
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
  if (pixels < 50) return;
  const double dropped = sum(slice(pca.variances, 0, 50, pixels)).item();
  lesson.check("residual_k50", pca.residual(train, 50), "", kit::Expected{dropped, 1e-8 * total});
  lesson.report("training_error_k50", dropped * per_pixel, "per pixel");
}

// On images that the fit has not seen.
void measure_the_test_error(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& test,
                            bool full) {
  struct Known {
    Index k;
    double error;
  };

  const Index pixels = test.extent(1);
  const double per_pixel = 1 / static_cast<double>(pixels);
  for (const Known& known :
       {Known{2, fashion_mnist::kPcaTestError2}, Known{20, fashion_mnist::kPcaTestError20},
        Known{32, fashion_mnist::kPcaTestError32}, Known{50, fashion_mnist::kPcaTestError50}}) {
    if (known.k > pixels) continue;
    lesson.check(fmt::format("test_error_k{}", known.k), pca.residual(test, known.k) * per_pixel,
                 "per pixel", kit::when(full, {known.error, 5e-7}));
  }
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
  climb_the_ladder(lesson);
  lose_what_paper_says(lesson);

  const Tensor<double> train = exact_pixels(data.train_images);  // (N, D)
  const Tensor<double> test = exact_pixels(data.test_images);    // (M, D)
  const Pca<double> pca = fit_images(lesson, train);
  draw_scree(lesson, pca);
  draw_components(lesson, pca, data);
  draw_reconstructions(lesson, pca, test, data);
  draw_map(lesson, pca, test, data);

  const bool full = data.is_full_fashion_mnist();
  find_the_total_variance(lesson, pca, train, full);
  lose_what_was_dropped(lesson, pca, train);
  measure_the_test_error(lesson, pca, test, full);
  doubt_independence(lesson, pca, train);
}

}  // namespace
}  // namespace gradus::lesson01

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "01_pca", .title = "Principal component analysis"}, argc, argv,
                          gradus::lesson01::run);
}
