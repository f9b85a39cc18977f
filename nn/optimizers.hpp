#pragma once
#include <charconv>

#include "nn/parameters.hpp"

namespace gradus::nn {
// An optimiser moves parameters against their gradients and then clears these. Its state goes into
// files beside the parameters, so that training resumes with the same bits.
template <class T> class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Throws Error when no parameter has a gradient; a parameter without one stays where it is.
  void step() {
    bool any = false;
    for (const Parameter<T>* p : parameters_) {
      any |= !p->grad.empty();
      if (!p->grad.empty() && p->grad.shape() != p->shape())
        fail("step: {} {} has a gradient of shape {}", p->name(), p->shape(), p->grad.shape());
    }
    if (!any) fail("step: no parameter has a gradient; call Tape::backward first");
    ++steps_;
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      Parameter<T>& p = *parameters_[k];
      if (p.grad.empty()) continue;
      T* x = p.mutable_value().mutable_data();
      T* state[2] = {};
      for (std::size_t s = 0; s < state_.size(); ++s) state[s] = state_[s][k].mutable_data();
      parallel_for(p.value().size(), 1 << 12, [&, g = p.grad.data()](Index begin, Index end) {
        update(x, g, state[0], state[1], begin, end);
      });
      p.grad = Tensor<T>();
    }
  }

  // Puts the state into a set of named tensors ("adam.m.encoder.weight", ...).
  void save(io::SafeTensors<T>& file) const {
    for (std::size_t s = 0; s < state_.size(); ++s)
      for (std::size_t k = 0; k < parameters_.size(); ++k)
        file.tensors[state_names_[s] + "." + parameters_[k]->name()] = state_[s][k];
    file.metadata["optimizer.steps"] = std::to_string(steps_);
  }

  // Throws Error, having changed nothing, when something is missing or a shape differs.
  void load(const io::SafeTensors<T>& file) {
    auto state = state_;
    for (std::size_t s = 0; s < state.size(); ++s)
      for (std::size_t k = 0; k < parameters_.size(); ++k) {
        const std::string name = state_names_[s] + "." + parameters_[k]->name();
        state[s][k] = file.at(name);
        if (state[s][k].shape() != parameters_[k]->shape())
          fail("load: '{}' has shape {}, but the parameter's is {}", name, state[s][k].shape(),
               parameters_[k]->shape());
      }
    const auto found = file.metadata.find("optimizer.steps");
    const std::string text = found == file.metadata.end() ? "" : found->second;
    Index steps = -1;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), steps).ptr;
    if (steps < 0 || end != text.data() + text.size())
      fail("load: 'optimizer.steps' is '{}', not a number of steps", text);
    state_ = std::move(state);
    steps_ = steps;
  }

 protected:
  // Each parameter has a tensor of its shape, at first zeros, for each of at most two names.
  Optimizer(Parameters<T> parameters, std::vector<std::string> state_names)
      : parameters_(std::move(parameters)), state_names_(std::move(state_names)) {
    for (std::size_t s = 0; s < state_names_.size(); ++s) {
      state_.emplace_back();
      for (const Parameter<T>* p : parameters_) state_[s].emplace_back(p->shape());
    }
  }

  // Moves the numbers x[begin..end) by their gradients g, with the state a and b.
  virtual void update(T* x, const T* g, T* a, T* b, Index begin, Index end) = 0;
  Index steps_ = 0;

 private:
  Parameters<T> parameters_;
  std::vector<std::string> state_names_;
  std::vector<std::vector<Tensor<T>>> state_;
};

struct SgdOptions {
  double learning_rate = 1e-2, momentum = 0;
};

// u <- momentum u + g,  x <- x - learning_rate u
template <class T> class Sgd final : public Optimizer<T> {
 public:
  explicit Sgd(Parameters<T> parameters, SgdOptions options = {})
      : Optimizer<T>(std::move(parameters), {"sgd.velocity"}), options(options) {}

  SgdOptions options;  // may change from step to step

 private:
  void update(T* x, const T* g, T* u, T*, Index begin, Index end) override {
    const T rate = static_cast<T>(options.learning_rate), mu = static_cast<T>(options.momentum);
    for (Index i = begin; i < end; ++i) {
      u[i] = mu * u[i] + g[i];
      x[i] -= rate * u[i];
    }
  }
};

struct AdamOptions {
  double learning_rate = 1e-3, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
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
  void update(T* x, const T* g, T* __restrict m, T* __restrict v, Index begin, Index end) override {
    const auto [rate, beta1, beta2, epsilon] = options;
    const double t = static_cast<double>(this->steps_);
    // 1 - beta in double first: 1 - 0.999f is off by 1e-5 of itself.
    const T b1 = static_cast<T>(beta1), c1 = static_cast<T>(1 - beta1);
    const T b2 = static_cast<T>(beta2), c2 = static_cast<T>(1 - beta2);
    const T step = static_cast<T>(rate / (1 - std::pow(beta1, t))), e = static_cast<T>(epsilon);
    const T unbias = static_cast<T>(1 / std::sqrt(1 - std::pow(beta2, t)));
    // Averages of gradients that have become 0 would shrink to subnormal numbers, which are slow.
    constexpr T kTiny = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();
    for (Index i = begin; i < end; ++i) {
      const T average = b1 * m[i] + c1 * g[i];
      m[i] = std::fabs(average) < kTiny ? T(0) : average;
      v[i] = b2 * v[i] + c2 * g[i] * g[i];
      x[i] -= step * m[i] / (std::sqrt(v[i]) * unbias + e);
    }
  }
};
}  // namespace gradus::nn
