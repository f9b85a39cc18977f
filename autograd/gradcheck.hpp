#pragma once
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "autograd/tape.hpp"

// Compares the tape's gradients with finite differences, in double.
namespace gradus {

struct GradcheckOptions {
  bool second_order = false;    // check the gradient's gradient as well
  double tolerance = 1e-6;      // of an element, relative
  std::vector<double> kinks{};  // x is not checked where it is within 2e-4 max(1, |x|) of one
  Index max_elements = 4096;    // of an input: larger ones are checked along 64 random directions
  std::uint64_t seed = 0;       // of all random numbers
};

struct GradcheckReport {
  bool ok = false;
  std::string text;        // what was checked, or what is wrong, where, and what usually causes it
  double worst_error = 0;  // relative to the element, and to what rounding allows
  Index checked = 0;       // elements, or random directions
  Index skipped = 0;       // elements, for a kink

  explicit operator bool() const { return ok; }
};

std::ostream& operator<<(std::ostream& out, const GradcheckReport& report);

using GradcheckFunction = std::function<Var<double>(const std::vector<Var<double>>&)>;

// Checks every element of the gradient of f with respect to every input, or, of inputs of more than
// max_elements, its slope along random directions:
//
//     EXPECT_TRUE(gradcheck([](auto& x) { return softmax(x[0] * x[1]); }, {a, b}));
//
// f's output, of any shape, is contracted with random numbers first (the gradient of a mere sum can
// be zero where a rule is wrong: softmax). The difference is the central one for two steps, h and
// h/2, extrapolated: (4 D(h/2) - D(h)) / 3, whose error is O(h^4). The check fails when the
// gradient with respect to an input is zero everywhere, and when there are no inputs, because then
// it has shown nothing. Throws Error when f does not depend on an input's leaf at all, when a rule
// gives a wrong shape, and when kinks are declared for an input of more than max_elements.
GradcheckReport gradcheck(const GradcheckFunction& f, const std::vector<Tensor<double>>& inputs,
                          const GradcheckOptions& options = {});

// The same for a model: f computes from the parameters, which are left as they were.
GradcheckReport gradcheck(const std::function<Var<double>()>& f,
                          const std::vector<Parameter<double>*>& parameters,
                          const GradcheckOptions& options = {});

}  // namespace gradus
