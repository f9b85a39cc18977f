#include "tests/autograd/registry.hpp"

namespace gradus::test {
namespace {

// A Tensor's reshape is a member.
template <class T> Var<T> reshaped(const Var<T>& x, const Shape& shape) {
  return reshape(x, shape);
}

Tensor<double> reshaped(const Tensor<double>& x, const Shape& shape) { return x.reshape(shape); }

}  // namespace

std::vector<Case> layout_cases() {
  const Tensor<double> x23 = gaussian_numbers<double>({2, 3}, 1);
  const Tensor<double> y23 = gaussian_numbers<double>({2, 3}, 3);
  const Tensor<double> x6 = x23.reshape({6});
  const Tensor<double> x232 = gaussian_numbers<double>({2, 3, 2}, 2);
  const std::vector<Index> repeated = {1, 0, 1, 1};
  const std::vector<Index> apart = {3, 0};

  const Case all_of_three = {.name = "concatenate_first_axis",
                             .f = [](const auto& x) { return concatenate(x, 0); },
                             .inputs = {x23, gaussian_numbers<double>({1, 3}, 4), y23},
                             .linear = true};
  const Case first_constant = with_constant(all_of_three, 0, "concatenate_after_constant", true);
  return {
      {.name = "reshape",
       .f =
           [](const auto& x) {
             return reshaped(x[0], {3, 2});
           },
       .inputs = {x23},
       .linear = true},
      {.name = "reshape_to_vector",
       .f = [](const auto& x) { return reshaped(x[0], {12}); },
       .inputs = {x232},
       .linear = true},
      {.name = "reshape_to_same",
       .f =
           [](const auto& x) {
             return reshaped(x[0], {2, 3});
           },
       .inputs = {x23},
       .linear = true},
      {.name = "reshape_scalar",
       .f =
           [](const auto& x) {
             return reshaped(x[0], {1, 1});
           },
       .inputs = {Tensor<double>(1.5)},
       .linear = true},
      {.name = "transpose",
       .f = [](const auto& x) { return transpose(x[0]); },
       .inputs = {x23},
       .linear = true},
      {.name = "transpose_square",
       .f = [](const auto& x) { return transpose(x[0]); },
       .inputs = {gaussian_numbers<double>({3, 3}, 1)},
       .linear = true},
      {.name = "transpose_row",
       .f = [](const auto& x) { return transpose(x[0]); },
       .inputs = {gaussian_numbers<double>({1, 3}, 1)},
       .linear = true},
      {.name = "permute",
       .f =
           [](const auto& x) {
             return permute(x[0], {1, 2, 0});
           },
       .inputs = {x232},
       .linear = true},
      // Where all extents are the same, only the numbers show a wrong order.
      {.name = "permute_cube",
       .f =
           [](const auto& x) {
             return permute(x[0], {2, 0, 1});
           },
       .inputs = {gaussian_numbers<double>({3, 3, 3}, 6)},
       .linear = true},
      {.name = "permute_from_the_end",
       .f =
           [](const auto& x) {
             return permute(x[0], {0, -2, -1, 1});
           },
       .inputs = {gaussian_numbers<double>({2, 3, 2, 1}, 7)},
       .linear = true},
      {.name = "permute_scalar",
       .f = [](const auto& x) { return permute(x[0], {}); },
       .inputs = {Tensor<double>(1.5)},
       .linear = true},
      {.name = "gather_rows_repeated",
       .f = [=](const auto& x) { return gather_rows(x[0], repeated); },
       .inputs = {x23},
       .linear = true},
      {.name = "gather_rows_of_vector",
       .f = [=](const auto& x) { return gather_rows(x[0], repeated); },
       .inputs = {x6},
       .linear = true},
      {.name = "gather_rows_of_cube",
       .f = [=](const auto& x) { return gather_rows(x[0], repeated); },
       .inputs = {x232},
       .linear = true},
      {.name = "scatter_add_rows_repeated",
       .f = [=](const auto& x) { return scatter_add_rows(x[0], repeated, 3); },
       .inputs = {gaussian_numbers<double>({4, 2}, 5)},
       .linear = true},
      {.name = "scatter_add_rows_apart",
       .f = [=](const auto& x) { return scatter_add_rows(x[0], apart, 5); },
       .inputs = {x232},
       .linear = true},
      {.name = "slice_first_axis",
       .f = [](const auto& x) { return slice(x[0], 0, 1, 2); },
       .inputs = {x23},
       .linear = true},
      {.name = "slice_last_axis",
       .f = [](const auto& x) { return slice(x[0], -1, 1, 3); },
       .inputs = {x23},
       .linear = true},
      {.name = "slice_middle_axis",
       .f = [](const auto& x) { return slice(x[0], 1, 0, 2); },
       .inputs = {x232},
       .linear = true},
      {.name = "slice_all",
       .f = [](const auto& x) { return slice(x[0], 0, 0, 6); },
       .inputs = {x6},
       .linear = true},
      {.name = "pad_first_axis",
       .f = [](const auto& x) { return pad(x[0], 0, 1, 2); },
       .inputs = {x23},
       .linear = true},
      {.name = "pad_last_axis",
       .f = [](const auto& x) { return pad(x[0], -1, 2, 0); },
       .inputs = {x23},
       .linear = true},
      {.name = "pad_middle_axis",
       .f = [](const auto& x) { return pad(x[0], 1, 0, 1); },
       .inputs = {x232},
       .linear = true},
      all_of_three,
      first_constant,
      with_constant(first_constant, 1, "concatenate_between_constants", true),
      {.name = "concatenate_last_axis",
       .f = [](const auto& x) { return concatenate(x, -1); },
       .inputs = {x23, gaussian_numbers<double>({2, 1}, 4)},
       .linear = true},
      {.name = "concatenate_middle_axis",
       .f = [](const auto& x) { return concatenate(x, 1); },
       .inputs = {x232, gaussian_numbers<double>({2, 1, 2}, 4)},
       .linear = true},
      {.name = "concatenate_one",
       .f = [](const auto& x) { return concatenate(x); },
       .inputs = {x23},
       .linear = true},
      {.name = "concatenate_with_itself",
       .f =
           [](const auto& x) {
             return concatenate(std::vector{x[0], x[0] + x[0]}, 1);
           },
       .inputs = {x23},
       .linear = true},
  };
}

}  // namespace gradus::test
