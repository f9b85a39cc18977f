#pragma once

// All layers. Each has parameters() and is a function of its input; what has no parameters (relu,
// softmax, ...) is an operation, in autograd/.
#include "autograd/operations.hpp"
#include "nn/convolution.hpp"
#include "nn/linear.hpp"
#include "nn/recurrent.hpp"
