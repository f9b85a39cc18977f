#pragma once
#include <charconv>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nn/parameters.hpp"
#include "tensor/error.hpp"
#include "tensor/io/safetensors.hpp"
#include "tensor/parallel.hpp"

namespace gradus::nn {

// An optimiser moves parameters against their gradients and then clears these. Its state goes into
// files beside the parameters, so that training resumes with the same bits.
//
// The parameters outlive their optimiser.
template <class T> class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Throws Error when no parameter has a gradient; a parameter without one stays where it is.
  void step() {
    check_gradients();
    ++steps_;
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      Parameter<T>& p = *parameters_[k];
      if (p.grad.empty()) continue;
      update(p.mutable_value(), p.grad, state_[k]);
      p.grad = Tensor<T>();
    }
  }

  // Puts the state into a set of named tensors ("adam.m.encoder.weight", ...).
  void save(io::SafeTensors<T>& file) const {
    for (std::size_t k = 0; k < parameters_.size(); ++k)
      for (std::size_t s = 0; s < state_names_.size(); ++s)
        file.tensors[name_of_state(k, s)] = state_[k][s];
    file.metadata["optimizer.steps"] = std::to_string(steps_);
  }

  // Throws Error, having changed nothing, when something is missing or a shape differs.
  void load(const io::SafeTensors<T>& file) {
    std::vector<State> state = state_;
    for (std::size_t k = 0; k < parameters_.size(); ++k)
      for (std::size_t s = 0; s < state_names_.size(); ++s) {
        const std::string name = name_of_state(k, s);
        state[k][s] = file.at(name);
        if (state[k][s].shape() != parameters_[k]->shape())
          fail("load: '{}' has shape {}, but the parameter's is {}", name, state[k][s].shape(),
               parameters_[k]->shape());
      }
    steps_ = steps_in(file);
    state_ = std::move(state);
  }

 protected:
  using State = std::vector<Tensor<T>>;  // of one parameter: a tensor of its shape for each name

  // The state of each parameter begins as zeros, under these names. Throws Error when two
  // parameters have the same name, or one is given twice.
  Optimizer(Parameters<T> parameters, std::vector<std::string> state_names)
      : parameters_(std::move(parameters)), state_names_(std::move(state_names)) {
    std::set<std::string> names;
    for (const Parameter<T>* p : parameters_) {
      const bool is_new = names.insert(p->name()).second;
      if (!is_new) fail("optimizer: two parameters are named '{}'", p->name());
    }
    for (const Parameter<T>* p : parameters_)
      state_.emplace_back(state_names_.size(), Tensor<T>(p->shape()));
  }

  // Moves the numbers x by their gradients g.
  virtual void update(Tensor<T>& x, const Tensor<T>& g, State& state) = 0;

  // The number of steps so far, the one that is being made included.
  Index steps() const { return steps_; }

  static constexpr Index kPiece = 1 << 12;  // numbers that one thread takes at a time

 private:
  void check_gradients() const {
    bool any = false;
    for (const Parameter<T>* p : parameters_) {
      if (p->grad.empty()) continue;
      any = true;
      if (p->grad.shape() != p->shape())
        fail("step: {} {} has a gradient of shape {}", p->name(), p->shape(), p->grad.shape());
    }
    if (!any) fail("step: no parameter has a gradient; call Tape::backward first");
  }

  std::string name_of_state(std::size_t parameter, std::size_t state) const {
    return state_names_[state] + "." + parameters_[parameter]->name();
  }

  static Index steps_in(const io::SafeTensors<T>& file) {
    const auto found = file.metadata.find("optimizer.steps");
    const std::string text = found == file.metadata.end() ? "" : found->second;
    const char* const end = text.data() + text.size();
    Index steps = -1;
    const char* const stop = std::from_chars(text.data(), end, steps).ptr;
    if (steps < 0 || stop != end)
      fail("load: 'optimizer.steps' is '{}', not a number of steps", text);
    return steps;
  }

  Parameters<T> parameters_;
  std::vector<std::string> state_names_;
  std::vector<State> state_;  // by parameter
  Index steps_ = 0;
};

struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
};

// u <- momentum u + g,  x <- x - learning_rate u
template <class T> class Sgd final : public Optimizer<T> {
 public:
  explicit Sgd(Parameters<T> parameters, SgdOptions options = {})
      : Optimizer<T>(std::move(parameters), {"sgd.velocity"}), options(options) {}

  SgdOptions options;  // may change from step to step

 private:
  using State = typename Optimizer<T>::State;

  void update(Tensor<T>& values, const Tensor<T>& gradient, State& state) override {
    T* x = values.mutable_data();
    T* u = state[0].mutable_data();
    const T* g = gradient.data();
    const T rate = static_cast<T>(options.learning_rate);
    const T momentum = static_cast<T>(options.momentum);
    parallel_for(values.size(), this->kPiece, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        u[i] = momentum * u[i] + g[i];
        x[i] -= rate * u[i];
      }
    });
  }
};

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
};

// m <- beta1 m + (1 - beta1) g      m' = m / (1 - beta1^t)
// v <- beta2 v + (1 - beta2) g^2    v' = v / (1 - beta2^t)
// x <- x - learning_rate m' / (sqrt(v') + epsilon)              (Kingma and Ba 2015, algorithm 1)
template <class T> class Adam final : public Optimizer<T> {
 public:
  explicit Adam(Parameters<T> parameters, AdamOptions options = {})
      : Optimizer<T>(std::move(parameters), {"adam.m", "adam.v"}), options(options) {}

  AdamOptions options;  // may change from step to step

 private:
  using State = typename Optimizer<T>::State;

  void update(Tensor<T>& values, const Tensor<T>& gradient, State& state) override {
    T* x = values.mutable_data();
    T* __restrict m = state[0].mutable_data();
    T* __restrict v = state[1].mutable_data();
    const T* g = gradient.data();

    const auto [learning_rate, beta1, beta2, epsilon] = options;
    const double t = static_cast<double>(this->steps());
    const T step = static_cast<T>(learning_rate / (1 - std::pow(beta1, t)));
    const T unbias = static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, t)));
    const T e = static_cast<T>(epsilon);
    // 1 - beta in double first: 1 - 0.999f is off by 1e-5 of itself.
    const T b1 = static_cast<T>(beta1);
    const T c1 = static_cast<T>(1 - beta1);
    const T b2 = static_cast<T>(beta2);
    const T c2 = static_cast<T>(1 - beta2);
    // Averages of gradients that have become 0 would shrink to subnormal numbers, which are slow:
    // they are 0 before anything that is computed from them could round to a subnormal one.
    constexpr T kTiny = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();

    parallel_for(values.size(), this->kPiece, [=](Index begin, Index end) {
      for (Index i = begin; i < end; ++i) {
        const T average = b1 * m[i] + c1 * g[i];
        m[i] = std::fabs(average) < kTiny ? T(0) : average;
        v[i] = b2 * v[i] + c2 * g[i] * g[i];
        x[i] -= step * m[i] / (std::sqrt(v[i]) * unbias + e);
      }
    });
  }
};

}  // namespace gradus::nn
