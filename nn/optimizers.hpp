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
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      Parameter<T>& p = *parameters_[k];
      if (p.grad.empty()) continue;
      ++state_[k].steps;
      update(p.mutable_value(), p.grad, state_[k]);
      p.grad = Tensor<T>();
    }
  }

  // Puts the state into a set of named tensors ("adam.m.encoder.weight", ...) and its metadata
  // ("adam.steps.encoder.weight", ...). Throws Error when there is a tensor of one of these names
  // already.
  void save(io::SafeTensors<T>& file) const {
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      for (std::size_t s = 0; s < state_names_.size(); ++s) {
        const std::string name = name_in_file(state_names_[s], k);
        const bool is_new = file.tensors.emplace(name, state_[k].tensors[s]).second;
        if (!is_new)
          fail("save: two tensors are named '{}'; do two optimisers hold one parameter?", name);
      }
      file.metadata[name_in_file("steps", k)] = std::to_string(state_[k].steps);
    }
  }

  // Throws Error, having changed nothing, when something is missing or a shape differs.
  void load(const io::SafeTensors<T>& file) {
    std::vector<State> state = state_;
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      for (std::size_t s = 0; s < state_names_.size(); ++s) {
        const std::string name = name_in_file(state_names_[s], k);
        const Tensor<T>& tensor = file.at(name);
        if (tensor.shape() != parameters_[k]->shape())
          fail("load: '{}' has shape {}, but the parameter's is {}", name, tensor.shape(),
               parameters_[k]->shape());
        state[k].tensors[s] = tensor;
      }
      state[k].steps = steps_in(file, name_in_file("steps", k));
    }
    state_ = std::move(state);
  }

 protected:
  // Of one parameter.
  struct State {
    std::vector<Tensor<T>> tensors;  // of the parameter's shape, one for each name
    Index steps = 0;                 // so far, the one that is being made included
  };

  // The state of each parameter begins as zeros, and goes into files under these names:
  // "NAME.STATE_NAME.PARAMETER". Throws Error when two parameters have the same name, or one is
  // given twice.
  Optimizer(Parameters<T> parameters, std::string name, std::vector<std::string> state_names)
      : parameters_(std::move(parameters)),
        name_(std::move(name)),
        state_names_(std::move(state_names)) {
    std::set<std::string> names;
    for (const Parameter<T>* p : parameters_) {
      const bool is_new = names.insert(p->name()).second;
      if (!is_new) fail("optimizer: two parameters are named '{}'", p->name());
    }
    for (const Parameter<T>* p : parameters_)
      state_.push_back({std::vector(state_names_.size(), Tensor<T>(p->shape()))});
  }

  // Moves the numbers x by their gradients g.
  virtual void update(Tensor<T>& x, const Tensor<T>& g, State& state) = 0;

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

  std::string name_in_file(const std::string& state_name, std::size_t parameter) const {
    return name_ + "." + state_name + "." + parameters_[parameter]->name();
  }

  static Index steps_in(const io::SafeTensors<T>& file, const std::string& name) {
    const auto found = file.metadata.find(name);
    const std::string text = found == file.metadata.end() ? "" : found->second;
    const char* const end = text.data() + text.size();
    Index steps = -1;
    const char* const stop = std::from_chars(text.data(), end, steps).ptr;
    if (steps < 0 || stop != end) fail("load: '{}' is '{}', not a number of steps", name, text);
    return steps;
  }

  Parameters<T> parameters_;
  std::string name_;
  std::vector<std::string> state_names_;
  std::vector<State> state_;  // by parameter
};

struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
};

// u <- momentum u + g,  x <- x - learning_rate u
template <class T> class Sgd final : public Optimizer<T> {
 public:
  explicit Sgd(Parameters<T> parameters, SgdOptions options = {})
      : Optimizer<T>(std::move(parameters), "sgd", {"velocity"}), options(options) {}

  SgdOptions options;  // may change from step to step

 private:
  using State = typename Optimizer<T>::State;

  void update(Tensor<T>& values, const Tensor<T>& gradient, State& state) override {
    T* x = values.mutable_data();
    T* u = state.tensors[0].mutable_data();
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
// where t counts the steps in which this parameter had a gradient.
template <class T> class Adam final : public Optimizer<T> {
 public:
  explicit Adam(Parameters<T> parameters, AdamOptions options = {})
      : Optimizer<T>(std::move(parameters), "adam", {"m", "v"}), options(options) {}

  AdamOptions options;  // may change from step to step

 private:
  using State = typename Optimizer<T>::State;

  void update(Tensor<T>& values, const Tensor<T>& gradient, State& state) override {
    T* x = values.mutable_data();
    T* __restrict m = state.tensors[0].mutable_data();
    T* __restrict v = state.tensors[1].mutable_data();
    const T* g = gradient.data();

    const auto [learning_rate, beta1, beta2, epsilon] = options;
    const double t = static_cast<double>(state.steps);
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
