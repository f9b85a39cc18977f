#include "nn/optimizers.hpp"

#include <charconv>
#include <cmath>

namespace gradus::nn {

template <class T>
Optimizer<T>::Optimizer(Parameters<T> parameters, std::vector<std::string> state_names)
    : state_(state_names.size(), std::vector<T*>(parameters.size())),
      parameters_(std::move(parameters)),
      state_names_(std::move(state_names)),
      tensors_(state_names_.size()) {
  for (std::vector<Tensor<T>>& tensors : tensors_)
    for (const Parameter<T>* p : parameters_) tensors.emplace_back(p->shape());
}

template <class T> void Optimizer<T>::step() {
  bool any = false;
  for (const Parameter<T>* p : parameters_) any |= !p->grad.empty();
  if (!any) fail("step: no parameter has a gradient; call Tape::backward first");
  ++steps_;
  for (std::size_t k = 0; k < parameters_.size(); ++k) {
    Parameter<T>& p = *parameters_[k];
    if (p.grad.empty()) continue;
    for (std::size_t s = 0; s < tensors_.size(); ++s) state_[s][k] = tensors_[s][k].mutable_data();
    T* x = p.mutable_value().mutable_data();
    const T* g = p.grad.data();
    parallel_for(p.value().size(), 1 << 14,
                 [&](Index begin, Index end) { update(k, x, g, begin, end); });
    p.grad = Tensor<T>();
  }
}

template <class T> void Optimizer<T>::save(io::SafeTensors<T>& file) const {
  for (std::size_t s = 0; s < tensors_.size(); ++s)
    for (std::size_t k = 0; k < parameters_.size(); ++k)
      file.tensors[state_names_[s] + "." + parameters_[k]->name()] = tensors_[s][k];
  file.metadata["optimizer.steps"] = std::to_string(steps_);
}

template <class T> void Optimizer<T>::load(const io::SafeTensors<T>& file) {
  auto loaded = tensors_;
  for (std::size_t s = 0; s < tensors_.size(); ++s)
    for (std::size_t k = 0; k < parameters_.size(); ++k) {
      const std::string name = state_names_[s] + "." + parameters_[k]->name();
      loaded[s][k] = file.at(name);
      if (loaded[s][k].shape() != tensors_[s][k].shape())
        fail("load: '{}' has shape {}, but the parameter's is {}", name, loaded[s][k].shape(),
             tensors_[s][k].shape());
    }
  const auto found = file.metadata.find("optimizer.steps");
  const std::string text = found == file.metadata.end() ? "" : found->second;
  Index steps = -1;
  std::from_chars(text.data(), text.data() + text.size(), steps);
  if (steps < 0) fail("load: 'optimizer.steps' is '{}', not a number of steps", text);
  tensors_ = std::move(loaded);
  steps_ = steps;
}

template <class T> void Sgd<T>::update(std::size_t k, T* x, const T* g, Index begin, Index end) {
  const T rate = static_cast<T>(options_.learning_rate),
          momentum = static_cast<T>(options_.momentum);
  T* u = this->state_[0][k];
  for (Index i = begin; i < end; ++i) {
    u[i] = momentum * u[i] + g[i];
    x[i] -= rate * u[i];
  }
}

template <class T> void Adam<T>::update(std::size_t k, T* x, const T* g, Index begin, Index end) {
  const double t = static_cast<double>(this->steps_);
  const T b1 = static_cast<T>(options_.beta1), b2 = static_cast<T>(options_.beta2);
  // 1 - beta in double first: 1 - 0.999f is off by 1e-5 of itself.
  const T c1 = static_cast<T>(1 - options_.beta1), c2 = static_cast<T>(1 - options_.beta2);
  const T rate = static_cast<T>(options_.learning_rate / (1 - std::pow(options_.beta1, t)));
  const T unbias = static_cast<T>(1 / std::sqrt(1 - std::pow(options_.beta2, t)));
  const T epsilon = static_cast<T>(options_.epsilon);
  T* __restrict m = this->state_[0][k], * __restrict v = this->state_[1][k];
  for (Index i = begin; i < end; ++i) {
    m[i] = b1 * m[i] + c1 * g[i];
    v[i] = b2 * v[i] + c2 * g[i] * g[i];
    x[i] -= rate * m[i] / (std::sqrt(v[i]) * unbias + epsilon);
  }
}

#define GRADUS_INSTANTIATE(T)  \
  template class Optimizer<T>; \
  template class Sgd<T>;       \
  template class Adam<T>;
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus::nn
