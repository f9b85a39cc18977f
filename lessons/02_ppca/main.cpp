// Lesson 02: probabilistic PCA, a density that PCA was hiding.
#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/core.h>

#include "lessons/02_ppca/examples.hpp"
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

// ---- Small enough for paper --------------------------------------------------------------------

// Likelihood: of three normal densities, which one makes five numbers likeliest?
void weigh_candidates(kit::Lesson& lesson) {
  for (const Candidate& candidate : kCandidates) {
    double total = 0;
    for (double x : kFiveNumbers) {
      const double value = normal_log_density(x, candidate.mean, candidate.variance);
      const double density =
          std::exp(-0.5 * (x - candidate.mean) * (x - candidate.mean) / candidate.variance) /
          std::sqrt(2 * M_PI * candidate.variance);
      lesson.check(fmt::format("five_{}_at_{}", candidate.name, x), value, "nats",
                   kit::Expected{std::log(density), 1e-9});
      total += value;
    }
    lesson.report(fmt::format("five_{}", candidate.name), total, "nats");
  }
  draw_likelihood(lesson);
}

// Bayes' rule for one number behind another: the evidence is the area under prior times likelihood,
// and the posterior is that product over its area.
void turn_around(kit::Lesson& lesson) {
  const Ppca<double> model = one_number_model();
  const Tensor<double> x({1, 1}, {kSeen});
  const double evidence = std::exp(model.log_likelihood(x).item());
  const double mean = model.encode(x).item();
  const double variance = model.posterior_covariance().item();
  double area = 0;      // under the product, in strips of width `step`
  double moment = 0;    // of z under it
  double moment_2 = 0;  // of z^2
  const double step = 1e-3;
  for (double z = -10; z < 10; z += step) {
    const double strip = step * std::exp(log_prior(z) + log_likelihood_of_latent(z));
    area += strip;
    moment += z * strip;
    moment_2 += z * z * strip;
  }
  lesson.check("one_number_evidence", evidence, "", kit::Expected{area, 1e-9});
  lesson.report("one_number_log_evidence", std::log(evidence), "nats");
  lesson.check("one_number_posterior_mean", mean, "", kit::Expected{moment / area, 1e-9});
  lesson.check("one_number_posterior_variance", variance, "",
               kit::Expected{moment_2 / area - mean * mean, 1e-9});
  lesson.report("one_number_prior_at_0", std::exp(log_prior(0)), "");
  lesson.report("one_number_likelihood_at_0", std::exp(log_likelihood_of_latent(0)), "");
  lesson.check("one_number_posterior_at_0", std::exp(normal_log_density(0, mean, variance)), "",
               kit::Expected{std::exp(log_prior(0) + log_likelihood_of_latent(0)) / area, 1e-9});
  draw_bayes(lesson);
}

// The four points of lesson 01, and the point (1, 3) among them.
void fit_four_points(kit::Lesson& lesson) {
  const Tensor<double> points = four_points();
  const Ppca<double> best = four_points_model();
  const Ppca<double> fitted = fit_ppca(fit_pca(points), 1);
  lesson.check("four_points_fit_off_paper",
               max(abs(fitted.covariance() - best.covariance())).item(), "",
               kit::Expected{0, 1e-12});
  const double maximum = -0.5 * (2 * kLogTwoPi + std::log(6.0) + 2);
  lesson.check("four_points_log_likelihood", mean_log_likelihood(best, points), "nats",
               kit::Expected{maximum, 1e-9});

  const Tensor<double> x = slice(points, 0, 3, 4);  // (1, 2)
  lesson.check("four_points_code", best.encode(x).item(), "", kit::Expected{-1, 1e-12});
  lesson.check("four_points_code_variance", best.posterior_covariance().item(), "",
               kit::Expected{1.0 / 6, 1e-12});
  const Tensor<double> decoded = best.decode(best.encode(x));
  lesson.check("four_points_decoded_x1", decoded(0, 0), "", kit::Expected{2, 1e-12});
  lesson.check("four_points_decoded_x2", decoded(0, 1), "", kit::Expected{2, 1e-12});
}

// On the four points, a step of EM from w = u1 and sigma^2 = 1, and a wrong step from the maximum.
void step_on_four_points(kit::Lesson& lesson) {
  const Tensor<double> points = four_points();
  const Ppca<double> best = four_points_model();
  const Ppca<double> start{best.mean, best.w / std::sqrt(5.0), 1.0};
  const Ppca<double> next = em_step(start, points);
  const Ppca<double> wrong = em_step_without_covariance(best, points);
  // With these variances of the model along u1 and u2.
  const auto log_likelihood = [](double along, double off) {
    return -0.5 * (2 * kLogTwoPi + std::log(along) + 6 / along + std::log(off) + 1 / off);
  };
  lesson.check("four_points_em_start", mean_log_likelihood(start, points), "nats",
               kit::Expected{log_likelihood(2, 1), 1e-9});
  lesson.check("four_points_em_sigma2", next.sigma2, "", kit::Expected{5.0 / 4, 1e-12});
  lesson.check("four_points_em_step", mean_log_likelihood(next, points), "nats",
               kit::Expected{log_likelihood(9.0 / 4 + 5.0 / 4, 5.0 / 4), 1e-9});
  lesson.check("four_points_wrong_step", mean_log_likelihood(wrong, points), "nats",
               kit::Expected{log_likelihood(36.0 / 5 + 0.5, 0.5), 1e-9});
}

void on_paper(kit::Lesson& lesson) {
  weigh_candidates(lesson);
  turn_around(lesson);
  fit_four_points(lesson);
  step_on_four_points(lesson);
  draw_plane(lesson);
  draw_shrunken(lesson);
}

// ---- Five dimensions, where every number is known ----------------------------------------------

// The toy, and what PCA says of it.
struct Toy {
  Tensor<double> x;  // (500, 5)
  Pca<double> pca;
};

// sigma^2 of the fit with two latents: the mean of the three dropped variances.
const double kNoise = toy_variance_beyond(2) / 3;

void reach_the_maximum(kit::Lesson& lesson, const Toy& toy, Rng& rng) {
  for (Index k = 0; k <= 4; ++k)
    lesson.check(fmt::format("toy_log_likelihood_k{}", k),
                 mean_log_likelihood(fit_ppca(toy.pca, k), toy.x), "nats",
                 kit::Expected{toy_log_likelihood(k), 1e-9});
  const Tensor<double> y = toy.x - toy.pca.mean;
  const Tensor<double> covariance = matmul_tn(y, y) / static_cast<double>(y.extent(0));
  lesson.check("toy_full_gaussian", mean(gaussian_log_likelihood(y, covariance)).item(), "nats",
               kit::Expected{toy_log_likelihood(4), 1e-9});

  const Ppca<double> best = fit_ppca(toy.pca, 2);
  for (Index k = 0; k <= 2; ++k)
    lesson.check(fmt::format("toy_sigma2_k{}", k), fit_ppca(toy.pca, k).sigma2, "",
                 kit::Expected{toy_variance_beyond(k) / static_cast<double>(5 - k), 1e-9});
  const Ppca<double> turned{best.mean, matmul(best.w, random_basis(2, rng)), best.sigma2};
  lesson.check("toy_turned_log_likelihood", mean_log_likelihood(turned, toy.x), "nats",
               kit::Expected{toy_log_likelihood(2), 1e-9});
}

// The models along so many steps of EM from random weights: `steps` + 1 of them.
std::vector<Ppca<double>> run_em(const Tensor<double>& x, Index k, int steps, Rng& rng) {
  std::vector<Ppca<double>> path = {{mean(x, {0}), rng.normal<double>({x.extent(1), k}), 1.0}};
  for (int step = 0; step < steps; ++step) path.push_back(em_step(path.back(), x));
  return path;
}

// The model's variance along component i.
double variance_along(const Ppca<double>& model, const Pca<double>& pca, Index i) {
  const Tensor<double> u = slice(pca.components, 0, i, i + 1);  // (1, D)
  return matmul(matmul(u, model.covariance()), transpose(u)).item();
}

void climb_by_em(kit::Lesson& lesson, const Toy& toy, Rng& rng) {
  const double maximum = toy_log_likelihood(2);
  std::vector<std::vector<double>> starts;  // log-likelihoods along each path
  for (int start = 0; start < 3; ++start) {
    const std::vector<Ppca<double>> path = run_em(toy.x, 2, 150, rng);
    std::vector<double> heights;
    for (const Ppca<double>& model : path) heights.push_back(mean_log_likelihood(model, toy.x));
    starts.push_back(heights);
    if (start > 0) continue;
    // With seed 0 the first start rests here.
    lesson.report("toy_em_step_4", heights[4], "nats");
    lesson.report("toy_em_step_4_variance_1", variance_along(path[4], toy.pca, 0), "");
    lesson.report("toy_em_step_4_variance_2", variance_along(path[4], toy.pca, 1), "");
    lesson.report("toy_em_step_4_sigma2", path[4].sigma2, "");
  }

  double steps_down = 0;
  double furthest = 0;
  for (const std::vector<double>& path : starts) {
    for (std::size_t i = 1; i < path.size(); ++i)
      if (path[i] < path[i - 1] - 1e-13) ++steps_down;
    furthest = std::max(furthest, std::abs(path.back() - maximum));
  }
  lesson.check("toy_em_log_likelihood", starts[0].back(), "nats", kit::Expected{maximum, 1e-9});
  lesson.check("toy_em_furthest_start", furthest, "nats", kit::Expected{0, 1e-9});
  lesson.check("toy_em_steps_down", steps_down, "", kit::Expected{0, 0});
  draw_em(lesson, starts);
}

// By what the gap to the maximum is multiplied at each of ten steps of EM that lead it to 1e-11.
void measure_speed(kit::Lesson& lesson, const Toy& toy) {
  const double maximum = toy_log_likelihood(2);
  Ppca<double> model = fit_ppca(toy.pca, 2);
  model.w = 1.1 * model.w;
  std::vector<double> gaps = {maximum - mean_log_likelihood(model, toy.x)};
  while (gaps.back() > 1e-11) {
    model = em_step(model, toy.x);
    gaps.push_back(maximum - mean_log_likelihood(model, toy.x));
  }
  const double ten_steps = gaps.back() / gaps[gaps.size() - 11];
  lesson.check("toy_em_factor", std::pow(ten_steps, 0.1), "a step", kit::Expected{kEmFactor, 5e-4});
}

// A column of the best W that is too long by a small share of its length: a step leaves
// 1 - 2 r + 2 r^2 of that, with r = sigma^2 / l_i. For the widest column that is most.
void lengthen_a_column(kit::Lesson& lesson, const Toy& toy) {
  const Ppca<double> best = fit_ppca(toy.pca, 2);
  const double excess = 1e-5;
  const Tensor<double> longer({2}, {1 + excess, 1});
  const Ppca<double> next = em_step({best.mean, best.w * longer, best.sigma2}, toy.x);
  const double length =
      sum(slice(next.w * best.w, 1, 0, 1)).item() / sum(slice(square(best.w), 1, 0, 1)).item();
  const double r = kNoise / kToyVariances[0];
  const double factor = 1 - 2 * r + 2 * r * r;
  lesson.check("toy_em_length_factor", (length - 1) / excess, "a step",
               kit::Expected{factor, 1e-4});
  lesson.report("toy_em_length_factor_squared", factor * factor, "a step");
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
  measure_speed(lesson, toy);
  lengthen_a_column(lesson, toy);
  shrink(lesson, toy);
  fill_the_prior(lesson, toy);
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
  fmt::print("\n  K  sigma^2  log-likelihood, nats per image: training, test\n");
  for (Index k : {0, 5, 10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 783}) {
    if (k >= rank) break;
    const Ppca<double> model = fit_ppca(pca, k);
    latents.push_back(static_cast<double>(k));
    on_train.push_back(maximum_log_likelihood(pca, k));
    on_test.push_back(mean_log_likelihood(model, test));
    fmt::print("{:3}  {:7.2g}  {:9.3f} {:9.3f}\n", k, model.sigma2, on_train.back(),
               on_test.back());
    lesson.check(fmt::format("test_log_likelihood_k{}", k), on_test.back(), "nats/image",
                 kit::relative(log_likelihood_of_squares(pca, k, squares), 1e-6));
  }
  draw_log_likelihood(lesson, latents, on_train, on_test);
}

// Fits the model that is saved, and whose samples are shown.
Ppca<double> fit_images(kit::Lesson& lesson, const Pca<double>& pca) {
  const Ppca<double> model = fit_ppca(pca, std::min(kSaved, rank_of(pca) - 1));
  io::write_safetensors<double>(lesson.file("ppca.safetensors"),
                                {{"mean", model.mean},
                                 {"W", model.w},
                                 {"sigma2", Tensor<double>({1}, {model.sigma2})}});
  lesson.report("noise_deviation", std::sqrt(model.sigma2), "");
  return model;
}

// Where the nats come from. A direction in which data and model have the same standard deviation s
// adds -1/2 (ln 2 pi s^2 + 1), which is above 0 when s is below 1 / sqrt(2 pi e).
void weigh_directions(kit::Lesson& lesson, const Pca<double>& pca, const Ppca<double>& model,
                      const Tensor<double>& test) {
  const Parts parts = parts_of_log_likelihood(pca, model);
  lesson.report("kept_log_likelihood", parts.kept, "nats/image");
  lesson.report("dropped_log_likelihood", parts.dropped, "nats/image");
  lesson.check("sum_of_both", parts.kept + parts.dropped, "nats/image",
               kit::relative(maximum_log_likelihood(pca, model.latents()), 1e-8));
  lesson.report("deviation_worth_0_nats", std::exp(-0.5 * (kLogTwoPi + 1)), "");

  const Index last = rank_of(pca) - 1;
  const Index before = last - std::min<Index>(83, last);
  const double gain = mean_log_likelihood(fit_ppca(pca, last), test) -
                      mean_log_likelihood(fit_ppca(pca, before), test);
  const double beyond = sum(slice(pca.variances, 0, before, pca.variances.size())).item();
  lesson.report("gain_of_last_83", gain, "nats/image");
  lesson.report("variance_of_last_84", 100 * beyond / sum(pca.variances).item(), "% of all");
}

// The K x K way is the D x D way.
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
  on_paper(lesson);
  on_the_toy(lesson);

  const kit::ImageData data = kit::load_images(lesson);
  const Tensor<double> train = cast<double>(data.train_images);  // (N, D)
  const Tensor<double> test = cast<double>(data.test_images);    // (M, D)
  const Pca<double> pca = fit_pca(train);
  require_use(pca, data);
  add_latents(lesson, pca, test);
  const Ppca<double> model = fit_images(lesson, pca);
  weigh_directions(lesson, pca, model, test);
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
