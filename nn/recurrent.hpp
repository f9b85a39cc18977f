#pragma once
#include <string>
#include <vector>

#include "autograd/elementwise.hpp"
#include "autograd/layout.hpp"
#include "autograd/matmul.hpp"
#include "nn/init.hpp"
#include "nn/parameters.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"

// A gated recurrent unit (Cho et al. 2014): it reads a sequence, one input x a step, into a state
// h.
//
//     r = sigmoid(W_r x + b_r + U_r h + c_r)       reset gate
//     z = sigmoid(W_z x + b_z + U_z h + c_z)       update gate
//     n = tanh(W_n x + b_n + r (U_n h + c_n))      candidate
//     h' = n + z (h - n)
//
// These are PyTorch's: the reset gate acts after the product U_n h (Cho's, before: U_n (r h)), and
// z says how much of the old state is kept (Cho's text and code; in others, how much is replaced).
//
//     N sequences in a batch, I numbers in an input, H in a state
namespace gradus::nn {

// One of each of r, z and n: of an input, the sums W x + b (N, H), to which the state's are still
// to be added; of the weights, each gate's own rows. (c_n is in none of them: r multiplies it.)
template <class T> struct PerGate {
  Var<T> r;
  Var<T> z;
  Var<T> n;
};

// The sums of an input that comes in two parts.
template <class T> PerGate<T> operator+(const PerGate<T>& a, const PerGate<T>& b) {
  return {a.r + b.r, a.z + b.z, a.n + b.n};
}

// The rows with the given indices: where inputs are symbols, whose vectors stand in a table, the
// table's sums are computed once, and a step takes the rows of its symbols, without a product.
template <class T> PerGate<T> gather_rows(const PerGate<T>& x, const std::vector<Index>& indices) {
  return {gather_rows(x.r, indices), gather_rows(x.z, indices), gather_rows(x.n, indices)};
}

// The weights of a Gru, cut into those of each gate: once for all steps of a sequence. It holds
// Vars, and so is made anew beneath each tape.
template <class T> class GruCell {
 public:
  // Of (3 H, I), (3 H, H), (3 H) and (3 H): those of r, z and n, one beneath the other.
  //
  // REQUIRES: these are the shapes.
  GruCell(const std::string& name, const Var<T>& weight_ih, const Var<T>& weight_hh,
          const Var<T>& bias_ih, const Var<T>& bias_hh)
      : name_(name), weight_ih_(cut(weight_ih)), weight_hh_(cut(weight_hh)) {
    const PerGate<T> b = cut(bias_ih);
    const PerGate<T> c = cut(bias_hh);
    bias_ = {b.r + c.r, b.z + c.z, b.n};
    candidate_bias_ = c.n;
  }

  // The sums of an input: (N, I) -> (N, H) each. Throws Error when x does not fit.
  PerGate<T> input_sums(const Var<T>& x) const {
    if (x.shape().rank() != 2 || x.shape()[1] != inputs())
      fail("{}: expects inputs (N, {}), but was given {}", name_, inputs(), x.shape());
    return input_sums_of_part(x, 0);
  }

  // The sums of a part of an input, its numbers from `begin` on, (N, n): the parts' sums are to be
  // added. The biases come with the part at 0. Throws Error when x does not fit.
  PerGate<T> input_sums_of_part(const Var<T>& x, Index begin) const {
    if (x.shape().rank() != 2 || begin < 0 || x.shape()[1] > inputs() - begin)
      fail("{}: expects a part of inputs (N, {}), but was given {} from {} on", name_, inputs(),
           x.shape(), begin);

    const Index end = begin + x.shape()[1];
    const bool whole = begin == 0 && end == inputs();
    auto product = [&x, whole, begin, end](const Var<T>& weight) {
      if (whole) return matmul_nt(x, weight);
      return matmul_nt(x, slice(weight, 1, begin, end));
    };
    const PerGate<T> products = {product(weight_ih_.r), product(weight_ih_.z),
                                 product(weight_ih_.n)};
    return begin == 0 ? products + bias_ : products;
  }

  // The next state (N, H), from the sums of the input and the state h before it. Throws Error
  // unless h and each of the sums are (N, H).
  Var<T> operator()(const PerGate<T>& x, const Var<T>& h) const {
    const Index hidden = weight_hh_.r.shape()[1];
    for (const Var<T>* gate : {&x.r, &x.z, &x.n})
      if (h.shape().rank() != 2 || h.shape()[1] != hidden || gate->shape() != h.shape())
        fail("{}: expects a state (N, {}) and sums of the same shape, but was given {} and {}",
             name_, hidden, h.shape(), gate->shape());

    const Var<T> r = sigmoid(x.r + matmul_nt(h, weight_hh_.r));
    const Var<T> z = sigmoid(x.z + matmul_nt(h, weight_hh_.z));
    const Var<T> n = tanh(x.n + r * (matmul_nt(h, weight_hh_.n) + candidate_bias_));
    return n + z * (h - n);
  }

 private:
  Index inputs() const { return weight_ih_.r.shape()[1]; }  // I

  static PerGate<T> cut(const Var<T>& stacked) {
    const Index hidden = stacked.shape()[0] / 3;
    return {slice(stacked, 0, 0, hidden), slice(stacked, 0, hidden, 2 * hidden),
            slice(stacked, 0, 2 * hidden, 3 * hidden)};
  }

  std::string name_;
  PerGate<T> weight_ih_;   // W, (H, I) each
  PerGate<T> weight_hh_;   // U, (H, H) each
  PerGate<T> bias_;        // b_r + c_r, b_z + c_z and b_n, (H) each
  Var<T> candidate_bias_;  // c_n, (H)
};

// The parameters, as torch.nn.GRU of one layer has them. Over a sequence:
//
//     const GruCell<T> cell = gru.cell();
//     for (const Tensor<T>& x : inputs) h = cell(cell.input_sums(x), h);
template <class T> class Gru {
 public:
  // With kPyTorch, all numbers begin uniform within +-1 / sqrt(H). With kGlorot, the W of each gate
  // begins as Glorot's, each U as a random orthogonal matrix, which changes no length (Saxe et al.
  // 2014), and the biases at 0. Throws Error with kHe, for there is no relu, and when there are no
  // inputs or states.
  Gru(const std::string& name, Index in, Index hidden, Rng& rng, Init init = Init::kPyTorch)
      : weight_ih(name + ".weight_ih_l0", initial_weight_ih(in, hidden, init, rng)),
        weight_hh(name + ".weight_hh_l0", initial_weight_hh(hidden, init, rng)),
        bias_ih(name + ".bias_ih_l0", initial_bias<T>(3 * hidden, hidden, init, rng)),
        bias_hh(name + ".bias_hh_l0", initial_bias<T>(3 * hidden, hidden, init, rng)) {}

  GruCell<T> cell() const { return {weight_ih.name(), weight_ih, weight_hh, bias_ih, bias_hh}; }

  Parameters<T> parameters() { return {&weight_ih, &weight_hh, &bias_ih, &bias_hh}; }

  Parameter<T> weight_ih;  // W_r, W_z, W_n: (3 H, I), "name.weight_ih_l0"
  Parameter<T> weight_hh;  // U_r, U_z, U_n: (3 H, H), "name.weight_hh_l0"
  Parameter<T> bias_ih;    // b_r, b_z, b_n: (3 H), "name.bias_ih_l0"
  Parameter<T> bias_hh;    // c_r, c_z, c_n: (3 H), "name.bias_hh_l0"

 private:
  // kPyTorch's bound is 1 / sqrt(H) for W too, although each of its sums has I products.
  static Tensor<T> initial_weight_ih(Index in, Index hidden, Init init, Rng& rng) {
    if (init == Init::kHe) fail("Gru: there is no relu in it; take kPyTorch or kGlorot, not kHe");
    const Index fan_in = init == Init::kPyTorch ? hidden : in;
    const Fan fan = {.in = static_cast<double>(fan_in), .out = static_cast<double>(hidden)};
    return initial_weight<T>({3 * hidden, in}, fan, init, rng);
  }

  static Tensor<T> initial_weight_hh(Index hidden, Init init, Rng& rng) {
    if (init == Init::kPyTorch) return initial_weight<T>(3 * hidden, hidden, init, rng);
    std::vector<Tensor<T>> gates;
    for (int gate = 0; gate < 3; ++gate) gates.push_back(random_orthogonal<T>(hidden, rng));
    return concatenate(gates);
  }
};

}  // namespace gradus::nn
