#pragma once
#include "nn/parameters.hpp"

namespace gradus::nn {

// An optimiser moves parameters against their gradients and then clears these. Its state goes into
// files beside the parameters, so that training resumes with the same bits.
template <class T> class Optimizer {
 public:
  virtual ~Optimizer() = default;

  // Throws Error when no parameter has a gradient; a parameter without one stays where it is.
  void step();

  // Tensors named "adam.m.encoder.weight", ... and the number of steps. load throws Error, having
  // changed nothing, when one is missing or its shape differs.
  void save(io::SafeTensors<T>& file) const;
  void load(const io::SafeTensors<T>& file);

 protected:
  // `state_names` names the tensors that go with each parameter; they begin at zero.
  Optimizer(Parameters<T> parameters, std::vector<std::string> state_names);
  // Moves the numbers x[begin..end) of parameter k by their gradients g.
  virtual void update(std::size_t k, T* x, const T* g, Index begin, Index end) = 0;

  std::vector<std::vector<T*>> state_;  // of name s and parameter k, while step() runs
  Index steps_ = 0;

 private:
  Parameters<T> parameters_;
  std::vector<std::string> state_names_;
  std::vector<std::vector<Tensor<T>>> tensors_;
};

struct SgdOptions {
  double learning_rate = 1e-2;
  double momentum = 0;
};
// u <- momentum u + g,  x <- x - learning_rate u
template <class T> class Sgd final : public Optimizer<T> {
 public:
  explicit Sgd(Parameters<T> parameters, SgdOptions options = {})
      : Optimizer<T>(std::move(parameters), {"sgd.velocity"}), options_(options) {}

 private:
  void update(std::size_t k, T* x, const T* g, Index begin, Index end) override;
  SgdOptions options_;
};

struct AdamOptions {
  double learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
};
// m <- beta1 m + (1 - beta1) g      m' = m / (1 - beta1^t)
// v <- beta2 v + (1 - beta2) g^2    v' = v / (1 - beta2^t)
// x <- x - learning_rate m' / (sqrt(v') + epsilon)              (Kingma and Ba 2015, algorithm 1)
template <class T> class Adam final : public Optimizer<T> {
 public:
  explicit Adam(Parameters<T> parameters, AdamOptions options = {})
      : Optimizer<T>(std::move(parameters), {"adam.m", "adam.v"}), options_(options) {}

 private:
  void update(std::size_t k, T* x, const T* g, Index begin, Index end) override;
  AdamOptions options_;
};

}  // namespace gradus::nn
