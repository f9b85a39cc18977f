// Lesson 02: probabilistic PCA, a density that PCA was hiding.
#include <fmt/core.h>

#include "lessons/02_ppca/model.hpp"
#include "lessons/common/toy.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/figures.hpp"
#include "lessons/kit/lesson.hpp"
#include "tensor/io/safetensors.hpp"

namespace gradus::lesson02 {
namespace {

constexpr Index kSaved = 50;  // latents of the model that goes into the file

// ---- Five dimensions, where every number is known on paper -------------------------------------

struct Em {
  Ppca<double> model;
  std::vector<double> log_likelihoods;  // before the first step, after it, after the second, ...
};

Em run_em(const Tensor<double>& x, Index q, int steps, Rng& rng) {
  Em em{{mean(x, {0}), rng.normal<double>({x.extent(1), q}), 1.0}, {}};
  for (int step = 0; step <= steps; ++step) {
    if (step > 0) em.model = em_step(em.model, x);
    em.log_likelihoods.push_back(mean_log_likelihood(em.model, x));
  }
  return em;
}

// Three random starts climb to one level; the distance to it falls by a constant factor a step.
void draw_em(kit::Lesson& lesson, const std::vector<Em>& runs, double maximum) {
  std::vector<kit::Series> climb, gap;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    climb.push_back({.label = fmt::format("start {}", i + 1)});
    gap.push_back(climb.back());
    for (std::size_t step = 0; step < runs[i].log_likelihoods.size(); ++step) {
      const double value = runs[i].log_likelihoods[step];
      if (step < 30) {
        climb[i].x.push_back(static_cast<double>(step));
        climb[i].y.push_back(value);
      }
      if (maximum - value > 1e-13) {
        gap[i].x.push_back(static_cast<double>(step));
        gap[i].y.push_back(maximum - value);
      }
    }
  }
  kit::plot(lesson, "em",
            {.title = "EM climbs to the closed form from three random starts",
             .note = "toy of five dimensions, two latents",
             .x_label = "EM step",
             .y_label = "log-likelihood, nats per example",
             .levels = {{"closed form", maximum}}},
            climb);
  kit::plot(lesson, "em_gap",
            {.title = "What EM still lacks shrinks by the same factor each step",
             .note = "toy of five dimensions, two latents",
             .x_label = "EM step",
             .y_label = "closed form − EM, nats per example",
             .log_y = true},
            gap);
}

// The factor by which code and decode scale x along component i: E[x_hat_i x_i] / E[x_i^2].
double shrinkage(const Ppca<double>& model, const Pca<double>& pca, const Tensor<double>& x,
                 Index i) {
  const Index k = i + 1;
  const Tensor<double> before = slice(pca.encode(x, k), 1, i, k);
  const Tensor<double> after = slice(pca.encode(model.decode(model.encode(x)), k), 1, i, k);
  return sum(before * after).item() / sum(square(before)).item();
}

void draw_limit(kit::Lesson& lesson, const Pca<double>& pca, const Tensor<double>& x) {
  std::vector<kit::Series> series;
  for (Index i = 0; i < 2; ++i) {
    series.push_back({.label = fmt::format("variance {:g}", kToyVariances[i])});
    for (double sigma2 = 1; sigma2 > 0.9e-4; sigma2 *= std::sqrt(std::sqrt(0.1))) {
      series[i].x.push_back(sigma2);
      series[i].y.push_back(shrinkage(ppca_with_noise(pca, 2, sigma2), pca, x, i));
    }
    series[i].mark = kit::Series::kLineAndDots;
  }
  kit::plot(lesson, "sigma_to_0",
            {.title = "Without noise pPCA no longer shrinks: it is PCA",
             .note = "code, decode, compare: the factor along each of the two kept directions",
             .x_label = "variance of the noise",
             .y_label = "decoded / original",
             .log_x = true,
             .levels = {{"PCA", 1.0}}},
            series);
}

void toy(kit::Lesson& lesson) {
  Rng rng(lesson.options().seed);
  const Tensor<double> x = toy_points(kToyVariances, 500, rng);
  const Pca<double> pca = fit_pca(x);
  const double known[] = {-8.1903299934, -7.6587628043, -7.3259186858, -7.1535841839,
                          -7.0946926660};
  for (Index q = 0; q <= 4; ++q)
    lesson.check(fmt::format("toy_log_likelihood_q{}", q), mean_log_likelihood(fit_ppca(pca, q), x),
                 "nats", kit::Expected{known[q], 1e-9});
  const Tensor<double> y = x - pca.mean;
  const Tensor<double> covariance = matmul_tn(y, y) / static_cast<double>(y.extent(0));
  lesson.check("toy_full_gaussian", mean(gaussian_log_likelihood(y, covariance)).item(), "nats",
               kit::Expected{known[4], 1e-9});
  const Ppca<double> best = fit_ppca(pca, 2);
  lesson.check("toy_sigma2_q2", best.sigma2, "", kit::Expected{1.75 / 3, 1e-9});

  const Ppca<double> turned{best.mean, matmul(best.w, random_basis(2, rng)), best.sigma2};
  lesson.check("toy_turned_log_likelihood", mean_log_likelihood(turned, x), "nats",
               kit::Expected{known[2], 1e-9});

  std::vector<Em> runs;
  for (int start = 0; start < 3; ++start) runs.push_back(run_em(x, 2, 150, rng));
  double steps_down = 0, furthest = 0;
  for (const Em& em : runs) {
    for (std::size_t i = 1; i < em.log_likelihoods.size(); ++i)
      steps_down += em.log_likelihoods[i] < em.log_likelihoods[i - 1] - 1e-13;
    furthest = std::max(furthest, std::abs(em.log_likelihoods.back() - known[2]));
  }
  lesson.check("toy_em_log_likelihood", runs[0].log_likelihoods.back(), "nats",
               kit::Expected{known[2], 1e-9});
  lesson.check("toy_em_furthest_start", furthest, "nats", kit::Expected{0, 1e-9});
  lesson.check("toy_em_steps_down", steps_down, "", kit::Expected{0, 0});
  draw_em(lesson, runs, mean_log_likelihood(best, x));

  lesson.check("toy_shrinkage_1", shrinkage(best, pca, x, 0), "",
               kit::Expected{1 - 1.75 / 3 / 4, 1e-9});
  lesson.check("toy_shrinkage_2", shrinkage(best, pca, x, 1), "",
               kit::Expected{1 - 1.75 / 3 / 2, 1e-9});
  lesson.check("toy_shrinkage_2_small_noise", shrinkage(ppca_with_noise(pca, 2, 1e-8), pca, x, 1),
               "", kit::Expected{1, 1e-8});
  const Tensor<double> codes = best.encode(x);
  const Tensor<double> aggregate =
      matmul_tn(codes, codes) / static_cast<double>(x.extent(0)) + best.posterior_covariance();
  lesson.check("toy_aggregate_posterior_off_prior",
               max(abs(aggregate - identity<double>(2))).item(), "", kit::Expected{0, 1e-9});
  draw_limit(lesson, pca, x);

  // Ten points, and a fit whose covariance was divided by n - 1 in place of n.
  const Tensor<double> few = toy_points(kToyVariances, 10, rng);
  const Pca<double> by_n = fit_pca(few);
  const Pca<double> by_n_1{by_n.mean, by_n.components, by_n.variances * (10.0 / 9)};
  const double score = mean_log_likelihood(fit_ppca(by_n_1, 2), few);
  lesson.check("toy_n_1_log_likelihood", score, "nats", kit::Expected{-7.3393199749, 1e-9});
  lesson.check("toy_n_1_gap", mean_log_likelihood(fit_ppca(by_n, 2), few) - score, "nats",
               kit::Expected{0.0134012891, 1e-9});
}

// ---- Images ------------------------------------------------------------------------------------

void draw_samples(kit::Lesson& lesson, const Pca<double>& pca, const Ppca<double>& model,
                  const Tensor<double>& test, const kit::ImageData& data) {
  Rng rng(lesson.options().seed + 1), same_latents = rng;
  const Index n = std::min<Index>(10, test.extent(0));
  kit::images(lesson, "samples",
              {.title = "Real images, and images drawn from two Gaussians",
               .columns = n,
               .row_captions = {"test images", fmt::format("pPCA, {} latents", model.latents()),
                                "the same, noise left out", "full covariance"}},
              concatenate(std::vector{slice(test, 0, 0, n), sample(model, n, rng),
                                      sample(model, n, same_latents, /*noise=*/false),
                                      sample(pca, n, rng)})
                  .reshape({4 * n, data.height, data.width}));
}

void images(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Tensor<double> train = cast<double>(data.train_images);
  const Tensor<double> test = cast<double>(data.test_images);
  const double pixels = static_cast<double>(train.extent(1));
  const Pca<double> pca = fit_pca(train);
  const Tensor<double> varied = greater(pca.variances, 1e-9 * pca.variances(0));
  const Index rank = static_cast<Index>(sum(varied).item());
  if (rank < 2)
    fail("pPCA needs images that vary in two directions at least: these do in {}", rank);
  auto on_full = [&](double value, double tolerance) -> std::optional<kit::Expected> {
    if (data.name != "fashion-mnist" || train.extent(0) != 60000) return {};
    return kit::Expected{value, tolerance};
  };

  const Tensor<double> squares = mean(square(pca.encode(test, pca.variances.size())), {0});

  kit::Series on_train{.label = "training"}, on_test{.label = "test"};
  fmt::print("\n  q  sigma^2  log-likelihood, nats per image: training, test\n");
  for (Index q : {0, 5, 10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 783}) {
    if (q >= rank) break;
    const Ppca<double> model = fit_ppca(pca, q);
    const double score = mean_log_likelihood(model, test);
    fmt::print("{:3}  {:7.2g}  {:9.3f} {:9.3f}\n", q, model.sigma2, maximum_log_likelihood(pca, q),
               score);
    on_train.x.push_back(static_cast<double>(q));
    on_train.y.push_back(maximum_log_likelihood(pca, q));
    on_test.x.push_back(static_cast<double>(q));
    on_test.y.push_back(score);
    lesson.check(fmt::format("test_log_likelihood_q{}", q), score, "nats/image",
                 kit::relative(log_likelihood_of_squares(pca, q, squares), 1e-6));
  }
  on_test.mark = on_train.mark = kit::Series::kLineAndDots;
  kit::plot(lesson, "log_likelihood",
            {.title = "How likely images are, by the number of latents",
             .note = "every step to the right is likelier, up to the full covariance at 783",
             .x_label = "number of latents q",
             .y_label = "log-likelihood, nats per image"},
            {on_train, on_test});

  const Index q = std::min(kSaved, rank - 1);
  const Ppca<double> model = fit_ppca(pca, q);
  io::write_safetensors<double>(lesson.file("ppca.safetensors"),
                                {{"mean", model.mean},
                                 {"W", model.w},
                                 {"sigma2", Tensor<double>({1}, {model.sigma2})}});
  draw_samples(lesson, pca, model, test, data);

  // The q x q way is the D x D way; and two numbers of lesson 01 come back: the variance of the
  // model is that of the images, and without noise it decodes images as PCA does.
  lesson.report("noise_deviation", std::sqrt(model.sigma2), "");
  lesson.check("train_log_likelihood", mean_log_likelihood(model, train), "nats/image",
               kit::relative(maximum_log_likelihood(pca, q), 1e-8));
  const Tensor<double> some = slice(test, 0, 0, std::min<Index>(1000, test.extent(0)));
  const Tensor<double> by_covariance =
      gaussian_log_likelihood(some - model.mean, model.covariance());
  lesson.check("log_likelihood_by_m", mean_log_likelihood(model, some), "nats/image",
               kit::relative(mean(by_covariance).item(), 1e-8));
  lesson.check("trace_of_model_covariance", sum(square(model.w)).item() + pixels * model.sigma2, "",
               on_full(68.21626099, 1e-5));
  const Ppca<double> noiseless = ppca_with_noise(pca, q, 1e-9);
  double error = 0;
  in_parts(test, [&](const Tensor<double>& part) {
    error += sum(square(part - noiseless.decode(noiseless.encode(part)))).item();
  });
  lesson.check("test_error_without_noise", error / static_cast<double>(test.size()), "per pixel",
               on_full(0.011985, 5e-7));
}

void run(kit::Lesson& lesson) {
  toy(lesson);
  images(lesson);
}

}  // namespace
}  // namespace gradus::lesson02

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "02_ppca", .title = "Probabilistic PCA"}, argc, argv,
                          gradus::lesson02::run);
}
