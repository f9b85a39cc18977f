#pragma once
#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "autograd/operations.hpp"
#include "autograd/tape.hpp"
#include "lessons/05_autoencoder/model.hpp"
#include "nn/distributions.hpp"
#include "nn/layers.hpp"
#include "nn/parameters.hpp"
#include "nn/recurrent.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// An autoencoder of sequences of symbols: a recurrent network reads one into a code, and another
// writes it down again from there.
//
//     N sequences, T symbols in each, out of V; E numbers in a symbol's vector, H in a state, K in
//     a code
namespace gradus::lesson09 {

enum class Reading { kForwards, kBackwards };

struct Sizes {
  Index symbols = 27;    // V
  Index embedding = 32;  // E
  Index hidden = 128;    // H
  Index code = 32;       // K
};

// What stands at step t of each sequence. Throws Error unless x is (N, T) with T > 0, and all of it
// is one of 0, ..., V - 1.
template <class T> std::vector<std::vector<Index>> columns_of(const Tensor<T>& x, Index symbols) {
  if (x.rank() != 2 || x.extent(1) < 1)
    fail("sequences: expects symbols (N, T) with T of 1 or more, but was given {}", x.shape());
  const Index steps = x.extent(1);
  std::vector<std::vector<Index>> columns(steps);
  for (Index i = 0; i < x.size(); ++i) {
    const T symbol = x.data()[i];
    if (!(symbol >= 0 && symbol < static_cast<T>(symbols)) || symbol != std::floor(symbol))
      fail("sequences: symbol {} of sequence {} is {}, which is not in 0, ..., {}", i % steps,
           i / steps, symbol, symbols - 1);
    columns[i % steps].push_back(static_cast<Index>(symbol));
  }
  return columns;
}

template <class T> class SequenceAutoencoder {
 public:
  SequenceAutoencoder(const Sizes& sizes, Reading reading, Rng& rng)
      : sizes_(sizes),
        reading_(reading),
        embedding_("embedding.weight", rng.normal<T>({sizes.symbols + 1, sizes.embedding})),
        encoder_("encoder", sizes.embedding, sizes.hidden, rng, nn::Init::kGlorot),
        to_code_("to_code", sizes.hidden, sizes.code, rng),
        from_code_("from_code", sizes.code, sizes.hidden, rng),
        decoder_("decoder", sizes.embedding + sizes.code, sizes.hidden, rng, nn::Init::kGlorot),
        out_("out", sizes.hidden, sizes.symbols, rng) {
    out_.weight.set_value(Tensor<T>(out_.weight.shape()));
    out_.bias.set_value(Tensor<T>(out_.bias.shape()));
  }

  // The states of the encoder: zeros, and then one after each symbol that it has read, (N, H) each.
  // Throws Error as columns_of does.
  std::vector<Var<T>> states(const Tensor<T>& x) const {
    return states(x, Tensor<T>({x.extent(0), sizes_.hidden}));
  }

  // The same from another first state, (N, H).
  std::vector<Var<T>> states(const Tensor<T>& x, const Var<T>& first) const {
    const std::vector<std::vector<Index>> columns = columns_of(x, sizes_.symbols);
    const Index steps = std::ssize(columns);
    const nn::GruCell<T> cell = encoder_.cell();
    const nn::PerGate<T> says = cell.input_sums(embedding_);  // (V + 1, H): what each symbol says
    std::vector<Var<T>> h = {first};
    for (Index i = 0; i < steps; ++i) {
      const Index t = reading_ == Reading::kBackwards ? steps - 1 - i : i;
      h.push_back(cell(gather_rows(says, columns[t]), h.back()));
    }
    return h;
  }

  // (N, T) -> (N, K)
  Var<T> encode(const Tensor<T>& x) const { return to_code_(states(x).back()); }

  // -ln P of each symbol, given the code and the true symbols before it (teacher forcing), averaged
  // over sequences and steps. Throws Error as columns_of does.
  Var<T> loss(const Tensor<T>& x) const { return loss(encode(x), x); }

  Var<T> loss(const Var<T>& code, const Tensor<T>& x) const {
    std::vector<Index> targets;
    for (const std::vector<Index>& column : columns_of(x, sizes_.symbols))
      targets.insert(targets.end(), column.begin(), column.end());
    return -mean(nn::Categorical<T>{logits_with_teacher(code, x)}.log_prob(targets));
  }

  // The likeliest symbol at each step, when those before it are the true ones.  (N, T)
  Tensor<T> decode_with_teacher(const Tensor<T>& code, const Tensor<T>& x) const {
    const std::vector<Index> best = argmax(logits_with_teacher(code, x).value());
    const Index n = x.extent(0);
    Tensor<T> result(x.shape());
    for (Index i = 0; i < result.size(); ++i) result.set({i % n, i / n}, static_cast<T>(best[i]));
    return result;
  }

  // The likeliest symbol at each step, when those before it are the decoder's own.  (N, T)
  Tensor<T> decode(const Tensor<T>& code, Index steps) const {
    const Index n = code.extent(0);
    const nn::GruCell<T> cell = decoder_.cell();
    const nn::PerGate<T> symbol_says = cell.input_sums_of_part(embedding_, 0);
    const nn::PerGate<T> code_says = cell.input_sums_of_part(code, sizes_.embedding);
    Var<T> h = tanh(from_code_(code));
    std::vector<Index> written(n, sizes_.symbols);  // V: nothing yet
    Tensor<T> result({n, steps});
    for (Index t = 0; t < steps; ++t) {
      h = cell(gather_rows(symbol_says, written) + code_says, h);
      written = argmax(out_(h).value());
      for (Index i = 0; i < n; ++i) result.set({i, t}, static_cast<T>(written[i]));
    }
    return result;
  }

  nn::Parameters<T> parameters() {
    nn::Parameters<T> all = {&embedding_};
    for (Parameter<T>* p : nn::parameters<T>(encoder_, to_code_, from_code_, decoder_, out_))
      all.push_back(p);
    return all;
  }

  const Sizes& sizes() const { return sizes_; }

 private:
  // Those of all sequences at step 0, then those at step 1, and so on: (T N, V).
  Var<T> logits_with_teacher(const Var<T>& code, const Tensor<T>& x) const {
    const std::vector<std::vector<Index>> columns = columns_of(x, sizes_.symbols);
    const nn::GruCell<T> cell = decoder_.cell();
    const nn::PerGate<T> symbol_says = cell.input_sums_of_part(embedding_, 0);
    const nn::PerGate<T> code_says = cell.input_sums_of_part(code, sizes_.embedding);
    Var<T> h = tanh(from_code_(code));
    std::vector<Index> before(x.extent(0), sizes_.symbols);  // V: nothing yet
    std::vector<Var<T>> states;
    for (const std::vector<Index>& column : columns) {
      h = cell(gather_rows(symbol_says, before) + code_says, h);
      states.push_back(h);
      before = column;
    }
    return out_(concatenate(states));
  }

  Sizes sizes_;
  Reading reading_;
  Parameter<T> embedding_;  // (V + 1, E): a vector for each symbol, and one for "nothing yet"
  nn::Gru<T> encoder_;
  nn::Linear<T> to_code_, from_code_;
  nn::Gru<T> decoder_;
  nn::Linear<T> out_;
};

// Makes the gradients of all parameters shorter, by one factor, when they are longer than `limit`
// as one vector (Pascanu, Mikolov and Bengio 2013). Returns how long they were.
template <class T> double clip_gradients(const nn::Parameters<T>& parameters, double limit) {
  double square_length = 0;
  for (const Parameter<T>* p : parameters)
    for (T g : p->grad) square_length += static_cast<double>(g) * static_cast<double>(g);
  const double length = std::sqrt(square_length);
  if (length > limit)
    for (Parameter<T>* p : parameters) p->grad = p->grad * static_cast<T>(limit / length);
  return length;
}

// Lesson 05's schedule behind a start in which the rate rises.
inline double warm_cosine_schedule(double rate, Index step, Index steps) {
  constexpr double kWarmSteps = 100;
  return lesson05::cosine_schedule(rate, step, steps) *
         std::min(1.0, static_cast<double>(step + 1) / kWarmSteps);
}

}  // namespace gradus::lesson09
