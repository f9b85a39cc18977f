// What the page calls: lesson 13's VAE behind functions of numbers and addresses, which is all that
// JavaScript and WebAssembly have in common. web/engine.js is the other side.
//
// An address of floats is one that `allocate` gave. N images of D pixels, K latents, all row-major.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "lessons/21_explorer/model.hpp"

using namespace gradus;  // NOLINT: this file is all there is
using lesson13::Vae;
using lesson15::Grid;
using lesson21::Parts;
using lesson21::Trainer;

#define EXPORT(name) __attribute__((export_name(#name))) name

namespace {

Tensor<float> tensor_at(const float* numbers, Index rows, Index columns) {
  auto x = Tensor<float>::uninitialized({rows, columns});
  std::copy_n(numbers, rows * columns, x.mutable_data());
  return x;
}

void put(const Tensor<float>& x, float* to) { std::copy(x.begin(), x.end(), to); }

void put(const Parts& parts, double* to) {
  to[0] = parts.reconstruction;
  to[1] = parts.kl;
}

// The first parameter is the encoder's matrix, (H, D).
Index pixels_of(Vae<float>* vae) { return vae->parameters().front()->shape()[1]; }

}  // namespace

extern "C" {

// ---- Memory ------------------------------------------------------------------------------------

void* EXPORT(allocate)(std::size_t bytes) {
  void* address = std::malloc(bytes);
  if (!address) throw std::bad_alloc();
  return address;
}

void EXPORT(release)(void* address) { std::free(address); }

// ---- A model with given weights ----------------------------------------------------------------

Vae<float>* EXPORT(vae_new)(int pixels, int hidden, int latents) {
  Rng rng(0);
  return new Vae<float>(pixels, hidden, latents, rng);
}

// The number of all weights. They stand one after another, in the order of Vae::parameters.
int EXPORT(vae_size)(Vae<float>* vae) {
  Index size = 0;
  for (const Parameter<float>* p : vae->parameters()) size += p->value().size();
  return static_cast<int>(size);
}

void EXPORT(vae_set)(Vae<float>* vae, const float* weights) {
  for (Parameter<float>* p : vae->parameters()) {
    Tensor<float> value(p->shape());
    std::copy_n(weights, value.size(), value.mutable_data());
    weights += value.size();
    p->set_value(value);
  }
}

void EXPORT(vae_get)(Vae<float>* vae, float* weights) {
  for (const Parameter<float>* p : vae->parameters())
    weights = std::copy(p->value().begin(), p->value().end(), weights);
}

// q(z|x) of n images: means and ln s^2, (n, K) each.
void EXPORT(vae_encode)(Vae<float>* vae, int n, const float* x, float* means, float* log_vars) {
  const nn::Normal<float> q = vae->encode(tensor_at(x, n, pixels_of(vae)));
  put(q.mean.value(), means);
  put(q.log_var.value(), log_vars);
}

// The mean images of p(x|z) at n points.   (n, D)
void EXPORT(vae_decode)(Vae<float>* vae, int n, const float* z, float* images) {
  put(vae->decoded(tensor_at(z, n, vae->latents())), images);
}

// The reconstruction and the KL of one image, averages of `draws`, in nats.
void EXPORT(vae_elbo)(Vae<float>* vae, const float* x, int draws, int seed, double* parts) {
  put(lesson21::mean_parts(*vae, tensor_at(x, 1, pixels_of(vae)), draws, Rng(seed)), parts);
}

// The same for two latents, summed over a grid in place of draws.
void EXPORT(vae_exact_parts)(Vae<float>* vae, const float* x, double* parts) {
  put(lesson21::exact_parts(*vae, tensor_at(x, 1, pixels_of(vae))), parts);
}

// ln p(x) of one image, for two latents, by side x side cells from -end to end; then the mean of
// its true posterior (2) and the standard deviations (2).
void EXPORT(vae_evidence)(Vae<float>* vae, const float* x, double end, int side, double* to) {
  const lesson21::Evidence evidence =
      lesson21::evidence_of(*vae, tensor_at(x, 1, pixels_of(vae)), Grid{end, side});
  *to++ = evidence.log_evidence;
  to = std::copy(evidence.mean.begin(), evidence.mean.end(), to);
  std::copy(evidence.deviation.begin(), evidence.deviation.end(), to);
}

// ln p(x, z) of one image at each of n points.   (n)
void EXPORT(vae_log_joint)(Vae<float>* vae, const float* x, int n, const float* z, float* to) {
  const Tensor<float> image = tensor_at(x, 1, pixels_of(vae));
  put(lesson15::log_joint(*vae, image, tensor_at(z, n, vae->latents())), to);
}

// ---- Many images -------------------------------------------------------------------------------

// The density of the average of n q(z|x), given by means and ln s^2, (n, 2) each, on a grid.
void EXPORT(aggregate)(int n, const float* means, const float* log_vars, double end, int side,
                       double* to) {
  const std::vector<double> density =
      lesson21::aggregate_density(tensor_at(means, n, 2), tensor_at(log_vars, n, 2),
                                  Grid{end, side});
  std::copy(density.begin(), density.end(), to);
}

// The mean squared difference of a pixel to the nearest of n images.
double EXPORT(nearest)(const float* x, int n, int pixels, const float* images) {
  return lesson21::distance_to_nearest(tensor_at(x, 1, pixels), tensor_at(images, n, pixels));
}

// ---- Training ----------------------------------------------------------------------------------

Trainer* EXPORT(trainer_new)(int n, int pixels, const float* images, int hidden, int latents,
                             int seed) {
  return new Trainer(tensor_at(images, n, pixels), hidden, latents, seed);
}

void EXPORT(trainer_delete)(Trainer* trainer) { delete trainer; }

int EXPORT(trainer_steps_an_epoch)(Trainer* trainer) {
  return static_cast<int>(trainer->steps_an_epoch());
}

// One minibatch; what its images were worth before it.
void EXPORT(trainer_step_vae)(Trainer* trainer, double beta, double* parts) {
  put(trainer->step_vae(beta), parts);
}

void EXPORT(trainer_step_autoencoder)(Trainer* trainer, double* parts) {
  put(trainer->step_autoencoder(), parts);
}

// The model as it stands; it goes with its trainer.
Vae<float>* EXPORT(trainer_vae)(Trainer* trainer) { return &trainer->vae(); }

}  // extern "C"
