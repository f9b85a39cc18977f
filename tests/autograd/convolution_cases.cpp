#include "tests/autograd/registry.hpp"

namespace gradus::test {
namespace {

// A window and images (N, H, W, C) that it goes over.
struct Problem {
  Window window;
  Shape images;
};

std::string name_of(const std::string& operation, const Problem& problem) {
  const auto [size, stride, padding] = problem.window;
  return fmt::format("{}_k{}_s{}_p{}_{}", operation, size, stride, padding,
                     fmt::join(problem.images, "_"));
}

// Every window of 1 to 5 pixels, steps of 1 to 3 and padding of 0 to 2, on images that take turns:
// one or two of them, with one or two channels, and extents that leave a rest.
std::vector<Problem> small_problems() {
  const std::vector<Shape> images = {{1, 5, 6, 1}, {2, 6, 5, 1}, {1, 7, 5, 2}};
  std::vector<Problem> problems;
  for (Index size = 1; size <= 5; ++size)
    for (Index stride = 1; stride <= 3; ++stride)
      for (Index padding = 0; padding <= 2; ++padding)
        problems.push_back({{size, stride, padding}, images[problems.size() % images.size()]});
  return problems;
}

// Those on which the whole convolutions are checked: halvings by 4 and by 3 pixels, of which 7 x 6
// with 3 leaves a rest, and steps that are wider than the window.
const std::vector<Problem> kProblems = {{{4, 2, 1}, {2, 6, 4, 2}}, {{3, 2, 1}, {2, 7, 6, 1}},
                                        {{3, 2, 0}, {1, 6, 7, 2}}, {{3, 1, 1}, {1, 4, 3, 2}},
                                        {{1, 1, 0}, {2, 2, 3, 3}}, {{2, 3, 0}, {1, 6, 5, 1}},
                                        {{5, 2, 2}, {1, 5, 6, 1}}, {{5, 3, 1}, {1, 4, 7, 1}}};

constexpr Index kMaps = 3;  // O

// Both operands recorded, and each of them a constant.
void add(const Case& both, std::vector<Case>& cases) {
  cases.push_back(both);
  cases.push_back(with_constant(both, 1, both.name + "_constant_kernel", /*linear=*/true));
  cases.push_back(with_constant(both, 0, both.name + "_constant_input", /*linear=*/true));
}

}  // namespace

std::vector<Case> convolution_cases() {
  std::vector<Case> cases;
  for (const Problem& problem : small_problems()) {
    const Window window = problem.window;
    const Shape images = problem.images;
    const Tensor<double> x = gaussian_numbers<double>(images, 1);
    const Tensor<double> rows = gaussian_numbers<double>(unfold(x, window).shape(), 2);
    cases.push_back({.name = name_of("unfold", problem),
                     .f = [window](const auto& v) { return unfold(v[0], window); },
                     .inputs = {x},
                     .linear = true});
    cases.push_back({.name = name_of("fold", problem),
                     .f = [window, images](const auto& v) { return fold(v[0], window, images); },
                     .inputs = {rows},
                     .linear = true});
  }

  for (const Problem& problem : kProblems) {
    const Window window = problem.window;
    const Tensor<double> x = gaussian_numbers<double>(problem.images, 3);
    const Tensor<double> w =
        gaussian_numbers<double>({kMaps, x.extent(3), window.size, window.size}, 4);
    const Tensor<double> y = gaussian_numbers<double>(conv2d(x, w, window).shape(), 5);
    add({.name = name_of("conv2d", problem),
         .f = [window](const auto& v) { return conv2d(v[0], v[1], window); },
         .inputs = {x, w}},
        cases);
    add({.name = name_of("conv2d_transpose", problem),
         .f = [window, height = x.extent(1), width = x.extent(2)](
                  const auto& v) { return conv2d_transpose(v[0], v[1], window, height, width); },
         .inputs = {y, w}},
        cases);
  }
  return cases;
}

}  // namespace gradus::test
