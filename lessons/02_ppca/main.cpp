// Lesson 02: probabilistic PCA, a density that PCA was hiding.
#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/core.h>

#include "lessons/02_ppca/figures.hpp"
#include "lessons/02_ppca/instruments.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/common/fashion_mnist.hpp"
#include "lessons/common/in_parts.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/io/safetensors.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson02 {
namespace {

constexpr Index kSaved = 50;  // latents of the model that goes into the file

// ---- Five dimensions, where every number is known on paper -------------------------------------

// The toy, and what PCA says of it.
struct Toy {
  Tensor<double> x;  // (500, 5)
  Pca<double> pca;
};

// sigma^2 of the fit with two latents: the mean of the three dropped variances.
const double kNoise = toy_variance_beyond(2) / 3;

void reach_the_maximum(kit::Lesson& lesson, const Toy& toy, Rng& rng) {
  for (Index q = 0; q <= 4; ++q)
    lesson.check(fmt::format("toy_log_likelihood_q{}", q),
                 mean_log_likelihood(fit_ppca(toy.pca, q), toy.x), "nats",
                 kit::Expected{toy_log_likelihood(q), 1e-9});
  const Tensor<double> y = toy.x - toy.pca.mean;
  const Tensor<double> covariance = matmul_tn(y, y) / static_cast<double>(y.extent(0));
  lesson.check("toy_full_gaussian", mean(gaussian_log_likelihood(y, covariance)).item(), "nats",
               kit::Expected{toy_log_likelihood(4), 1e-9});

  const Ppca<double> best = fit_ppca(toy.pca, 2);
  lesson.check("toy_sigma2_q2", best.sigma2, "", kit::Expected{kNoise, 1e-9});
  const Ppca<double> turned{best.mean, matmul(best.w, random_basis(2, rng)), best.sigma2};
  lesson.check("toy_turned_log_likelihood", mean_log_likelihood(turned, toy.x), "nats",
               kit::Expected{toy_log_likelihood(2), 1e-9});
}

// The log-likelihoods along so many steps of EM from random weights: `steps` + 1 of them.
std::vector<double> run_em(const Tensor<double>& x, Index q, int steps, Rng& rng) {
  Ppca<double> model{mean(x, {0}), rng.normal<double>({x.extent(1), q}), 1.0};
  std::vector<double> log_likelihoods = {mean_log_likelihood(model, x)};
  for (int step = 0; step < steps; ++step) {
    model = em_step(model, x);
    log_likelihoods.push_back(mean_log_likelihood(model, x));
  }
  return log_likelihoods;
}

void climb_by_em(kit::Lesson& lesson, const Toy& toy, Rng& rng) {
  std::vector<std::vector<double>> starts;
  for (int start = 0; start < 3; ++start) starts.push_back(run_em(toy.x, 2, 150, rng));

  double steps_down = 0;
  double furthest = 0;
  for (const std::vector<double>& path : starts) {
    for (std::size_t i = 1; i < path.size(); ++i)
      if (path[i] < path[i - 1] - 1e-13) ++steps_down;
    furthest = std::max(furthest, std::abs(path.back() - toy_log_likelihood(2)));
  }
  lesson.check("toy_em_log_likelihood", starts[0].back(), "nats",
               kit::Expected{toy_log_likelihood(2), 1e-9});
  lesson.check("toy_em_furthest_start", furthest, "nats", kit::Expected{0, 1e-9});
  lesson.check("toy_em_steps_down", steps_down, "", kit::Expected{0, 0});
  draw_em(lesson, starts, mean_log_likelihood(fit_ppca(toy.pca, 2), toy.x));
}

// Along component i code and decode multiply by (l_i - sigma^2) / l_i: without noise by 1.
void shrink(kit::Lesson& lesson, const Toy& toy) {
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  const Ppca<double> noiseless = ppca_with_noise(toy.pca, 2, 1e-8);
  lesson.check("toy_shrinkage_1", shrinkage(best, toy.pca, toy.x, 0), "",
               kit::Expected{1 - kNoise / kToyVariances[0], 1e-9});
  lesson.check("toy_shrinkage_2", shrinkage(best, toy.pca, toy.x, 1), "",
               kit::Expected{1 - kNoise / kToyVariances[1], 1e-9});
  lesson.check("toy_shrinkage_2_small_noise", shrinkage(noiseless, toy.pca, toy.x, 1), "",
               kit::Expected{1, 1e-8});
}

// The posteriors of all points together have the prior's covariance, I.
void fill_the_prior(kit::Lesson& lesson, const Toy& toy) {
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  const Tensor<double> codes = best.encode(toy.x);
  const Tensor<double> aggregate =
      matmul_tn(codes, codes) / static_cast<double>(toy.x.extent(0)) + best.posterior_covariance();
  lesson.check("toy_aggregate_posterior_off_prior",
               max(abs(aggregate - identity<double>(2))).item(), "", kit::Expected{0, 1e-9});
}

// Ten points, and a fit whose covariance was divided by n - 1 in place of n. That costs
// D/2 [ln(n / (n - 1)) - 1/n] nats a point.
void divide_by_one_less(kit::Lesson& lesson, Rng& rng) {
  const Tensor<double> few = toy_points(kToyVariances, 10, rng);
  const Pca<double> by_n = fit_pca(few);
  const Pca<double> by_n_1{by_n.mean, by_n.components, by_n.variances * (10.0 / 9)};
  const double score = mean_log_likelihood(fit_ppca(by_n_1, 2), few);
  const double gap = 2.5 * (std::log(10.0 / 9) - 0.1);
  lesson.check("toy_n_1_log_likelihood", score, "nats",
               kit::Expected{toy_log_likelihood(2) - gap, 1e-9});
  lesson.check("toy_n_1_gap", mean_log_likelihood(fit_ppca(by_n, 2), few) - score, "nats",
               kit::Expected{gap, 1e-9});
}

void on_the_toy(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  const Toy toy{x, fit_pca(x)};
  reach_the_maximum(lesson, toy, rng);
  climb_by_em(lesson, toy, rng);
  shrink(lesson, toy);
  fill_the_prior(lesson, toy);
  draw_limit(lesson, toy.pca, toy.x);
  divide_by_one_less(lesson, rng);
}

// ---- Images ------------------------------------------------------------------------------------

// The number of directions in which the images vary.
Index rank_of(const Pca<double>& pca) {
  const Tensor<double> varied = greater(pca.variances, 1e-9 * pca.variances(0));
  return static_cast<Index>(sum(varied).item());
}

// What is no use for pPCA is said before anything is made of it.
void require_use(const Pca<double>& pca, const kit::ImageData& data) {
  const Index rank = rank_of(pca);
  if (rank < 2)
    fail(
        "lesson 02 needs images that vary in two directions at least: the {} of {} to train on do "
        "in {}",
        data.train_images.extent(0), data.name, rank);
}

// Models with more and more latents, on training and on test images.
void add_latents(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& test) {
  const Index rank = rank_of(pca);
  const Tensor<double> squares = mean(square(pca.encode(test, pca.variances.size())), {0});  // (D)
  std::vector<double> latents;
  std::vector<double> on_train;
  std::vector<double> on_test;
  fmt::print("\n  q  sigma^2  log-likelihood, nats per image: training, test\n");
  for (Index q : {0, 5, 10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 783}) {
    if (q >= rank) break;
    const Ppca<double> model = fit_ppca(pca, q);
    latents.push_back(static_cast<double>(q));
    on_train.push_back(maximum_log_likelihood(pca, q));
    on_test.push_back(mean_log_likelihood(model, test));
    fmt::print("{:3}  {:7.2g}  {:9.3f} {:9.3f}\n", q, model.sigma2, on_train.back(),
               on_test.back());
    lesson.check(fmt::format("test_log_likelihood_q{}", q), on_test.back(), "nats/image",
                 kit::relative(log_likelihood_of_squares(pca, q, squares), 1e-6));
  }
  draw_log_likelihood(lesson, latents, on_train, on_test);
}

// Fits the model that is saved, and whose samples are shown.
Ppca<double> fit_images(kit::Lesson& lesson, const Pca<double>& pca) {
  const Index q = std::min(kSaved, rank_of(pca) - 1);
  const Ppca<double> model = fit_ppca(pca, q);
  io::write_safetensors<double>(lesson.file("ppca.safetensors"),
                                {{"mean", model.mean},
                                 {"W", model.w},
                                 {"sigma2", Tensor<double>({1}, {model.sigma2})}});
  lesson.report("noise_deviation", std::sqrt(model.sigma2), "");
  return model;
}

// The q x q way is the D x D way.
void compare_with_the_large_matrix(kit::Lesson& lesson, const Pca<double>& pca,
                                   const Ppca<double>& model, const Tensor<double>& train,
                                   const Tensor<double>& test) {
  lesson.check("train_log_likelihood", mean_log_likelihood(model, train), "nats/image",
               kit::relative(maximum_log_likelihood(pca, model.latents()), 1e-8));
  const Tensor<double> some = slice(test, 0, 0, std::min<Index>(1000, test.extent(0)));
  const Tensor<double> by_covariance =
      gaussian_log_likelihood(some - model.mean, model.covariance());
  lesson.check("log_likelihood_by_m", mean_log_likelihood(model, some), "nats/image",
               kit::relative(mean(by_covariance).item(), 1e-8));
}

// Two numbers of lesson 01 come back, which on all of Fashion-MNIST (`full`) are known from there:
// the variance of the model is that of the images, and without noise it decodes images as PCA does.
void find_lesson_01_again(kit::Lesson& lesson, const Pca<double>& pca, const Ppca<double>& model,
                          const Tensor<double>& test, bool full) {
  const double pixels = static_cast<double>(test.extent(1));
  lesson.check("trace_of_model_covariance", sum(square(model.w)).item() + pixels * model.sigma2, "",
               kit::when(full, {fashion_mnist::kTotalVariance, 1e-5}));
  const Ppca<double> noiseless = ppca_with_noise(pca, model.latents(), 1e-9);
  double error = 0;
  in_parts(test, [&](const Tensor<double>& part) {
    error += sum(square(part - noiseless.decode(noiseless.encode(part)))).item();
  });
  lesson.check("test_error_without_noise", error / static_cast<double>(test.size()), "per pixel",
               kit::when(full, {fashion_mnist::kPcaTestError50, 5e-7}));
}

void run(kit::Lesson& lesson) {
  on_the_toy(lesson);

  const kit::ImageData data = kit::load_images(lesson);
  const Tensor<double> train = cast<double>(data.train_images);  // (N, D)
  const Tensor<double> test = cast<double>(data.test_images);    // (M, D)
  const Pca<double> pca = fit_pca(train);
  require_use(pca, data);
  add_latents(lesson, pca, test);
  const Ppca<double> model = fit_images(lesson, pca);
  draw_samples(lesson, pca, model, test, data);
  compare_with_the_large_matrix(lesson, pca, model, train, test);
  find_lesson_01_again(lesson, pca, model, test, data.is_full_fashion_mnist());
}

}  // namespace
}  // namespace gradus::lesson02

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "02_ppca", .title = "Probabilistic PCA"}, argc, argv,
                          gradus::lesson02::run);
}
