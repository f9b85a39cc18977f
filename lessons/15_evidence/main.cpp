// Lesson 15: the evidence. How far the bound is from the truth, where the truth can be computed.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>

#include "autograd/tape.hpp"
#include "lessons/13_vae/instruments.hpp"
#include "lessons/15_evidence/figures.hpp"
#include "lessons/15_evidence/instruments.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/15_evidence/on_paper.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/optimizers.hpp"
#include "nn/parameters.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson15 {
namespace {

constexpr Index kHidden = 400, kLatents = 2, kBatch = 128;
constexpr int kEpochs = 10;
constexpr double kRate = 1e-3;
constexpr Index kTrainingDraws = 5;  // of the model that is trained by L_5
const std::string kNats = "nats/image";

// Measurements draw the same random numbers in every run: --seed changes the models only.
constexpr std::uint64_t kSeedOfScores = 1, kSeedOfBounds = 2, kSeedOfFits = 3, kSeedOfDraws = 4;

// How many of the first images get a ladder and their evidence on the grid, and how many their best
// normal q.
struct Sizes {
  Index evidence, fits, most_draws;
  int steps_of_fits;
  Grid grid, larger, coarser, finer;
};

Sizes sizes(const kit::Options& options) {
  // After a short training codes lie farther out.
  if (options.quick) return {50, 10, 50, 60, {8, 120}, {9, 160}, {8, 80}, {8, 160}};
  return {1000, 250, 500, 200, {6, 400}, {8, 800}, {6, 200}, {6, 600}};
}

// ---- On paper ----------------------------------------------------------------------------------

// All four black and white images of two pixels.
void work_out_two_pixels(kit::Lesson& lesson) {
  const std::vector<std::pair<std::string, double>> expected = {{"11", -1.2710781516},
                                                                {"10", -1.5165352004},
                                                                {"01", -2.6346433074},
                                                                {"00", -0.8480354287}};
  const std::vector<double> gaps = {0.0115085, 0.0027741, 0.0031627, 0.0150480};
  double total = 0;
  for (std::size_t i = 0; i < kAllImages.size(); ++i) {
    const TwoPixels& image = kAllImages[i];
    const auto& [name, log_evidence] = expected[i];
    const double evidence = image.log_evidence();
    const Bell best = image.best_bell();
    lesson.check("two_pixels_" + name, evidence, "nats", kit::Expected{log_evidence, 1e-9});
    lesson.check("two_pixels_gap_" + name, evidence - image.elbo(best), "nats",
                 kit::Expected{gaps[i], 1e-6});
    lesson.report("two_pixels_p_" + name, std::exp(evidence), "");
    total += std::exp(evidence);
  }
  lesson.check("two_pixels_sum", total, "", kit::Expected{1, 1e-12});

  // Image 11 by a sum that can be done on paper, and its q's.
  const TwoPixels white = kAllImages[0];
  for (int z = -1; z <= 3; ++z) {
    const std::string at = fmt::format("_at_{}", z < 0 ? "minus_1" : std::to_string(z));
    lesson.report("on_paper_prior" + at, std::exp(Bell{0, 1}.log_density(z)), "");
    for (int pixel : {0, 1}) {
      const double white_here = 1 / (1 + std::exp(-TwoPixels::logits(z)[pixel]));
      lesson.report(fmt::format("on_paper_white_{}{}", pixel + 1, at), white_here, "");
    }
    lesson.report("on_paper_joint" + at, std::exp(white.log_joint(z)), "");
  }
  lesson.report("on_paper_sum", std::exp(white.log_evidence(6, 1)), "");
  lesson.report("on_paper_log", white.log_evidence(6, 1), "nats");
  const Bell best = white.best_bell();
  lesson.report("two_pixels_best_mean", best.mean, "");
  lesson.report("two_pixels_best_deviation", best.deviation, "");
  lesson.report("two_pixels_elbo_of_best", white.elbo(best), "nats");
  lesson.report("two_pixels_elbo_of_prior", white.elbo({0, 1}), "nats");
  draw_two_pixels(lesson, white, best);
}

// The ladder where it is known: by an integral, and by three weights.
void work_out_bounds(kit::Lesson& lesson) {
  const std::vector<int> ks = {1, 2, 5, 50};
  const std::vector<double> expected = {-1.9189385332, -1.65347379, -1.55741058, -1.51919852};
  const std::vector<double> bounds = PriorAsQ::bounds(ks);
  for (std::size_t i = 0; i < ks.size(); ++i)
    lesson.check(fmt::format("normal_l_{}", ks[i]), bounds[i], "nats",
                 kit::Expected{expected[i], 1e-7});
  lesson.check("normal_log_p", PriorAsQ::log_evidence(), "nats",
               kit::Expected{-1.5155121235, 1e-9});
  const double variance = PriorAsQ::variance_of_ratio();
  lesson.report("normal_variance_of_ratio", variance, "");
  lesson.report("normal_gap_predicted_50", variance / 100, "nats");
  lesson.report("normal_gap_50", PriorAsQ::log_evidence() - bounds[3], "nats");

  const Tensor<double> log_w({3}, {-1, -2, -4});
  lesson.check("three_weights_bound", log_mean_exp<double>(log_w).item(), "nats",
               kit::Expected{-1.7496000719, 1e-9});
  lesson.report("three_weights_mean", mean(log_w).item(), "nats");
  lesson.report("exercise_6", log_mean_exp<double>(Tensor<double>({2}, {0, -1})).item(), "nats");
  const Tensor<double> share = softmax(log_w);
  const double shares[] = {0.70538451, 0.25949646, 0.03511903};
  for (Index i = 0; i < 3; ++i)
    lesson.check(fmt::format("three_weights_share_{}", i + 1), share(i), "",
                 kit::Expected{shares[i], 1e-8});
}

// Grey images have no likelihood.
void weigh_grey_images(kit::Lesson& lesson) {
  lesson.check("mass_of_grey_images", mass_of_grey_images(), "", kit::Expected{0.15118, 1e-5});
  const TwoPixels grey{0.8, 0.3};
  const double of_grey = grey.log_evidence();
  const double of_draws = mean_log_evidence(grey);
  lesson.check("two_pixels_grey_log_p", of_grey, "nats", kit::Expected{-1.8165352004, 1e-9});
  lesson.check("two_pixels_grey_mean_log_p_of_draws", of_draws, "nats", kit::Expected{-1.4311220271, 1e-9});
  lesson.check("two_pixels_grey_difference", of_draws - of_grey, "nats",
               kit::Expected{mean_kl_between_posteriors(grey), 1e-9});
}

// ---- Training ----------------------------------------------------------------------------------

enum class Objective { kElbo, kImportanceWeighted };

enum class Pixels { kGrey, kBlackAndWhite };

// Images as a model sees them.
Tensor<float> seen_as(Pixels pixels, const Tensor<float>& x) {
  return pixels == Pixels::kGrey ? x : binarise(x);
}

struct Experiment {
  Experiment(const std::string& name, Objective objective, Pixels pixels,
             const kit::ImageData& data, std::uint64_t seed)
      : name(name),
        objective(objective),
        pixels(pixels),
        rng(seed),
        vae(data.height * data.width, kHidden, kLatents, rng) {}

  std::string name;
  Objective objective;
  Pixels pixels;
  Rng rng;
  Vae<float> vae;
};

// What training maximises the mean of.  (N)
Var<float> per_image_objective(Experiment& experiment, const Tensor<float>& x) {
  const Vae<float>& vae = experiment.vae;
  if (experiment.objective == Objective::kElbo) return vae.elbo(x, experiment.rng).total();
  const Tensor<float> noise = experiment.rng.normal<float>({kTrainingDraws, x.extent(0), kLatents});
  return importance_weighted_bound(vae, x, noise);
}

void train(kit::Lesson& lesson, Experiment& experiment, const kit::ImageData& data) {
  nn::Adam<float> adam(experiment.vae.parameters(), {.learning_rate = kRate});
  kit::Training training(lesson, experiment.name,
                         {.epochs = lesson.options().epochs, .batch = kBatch},
                         experiment.vae.parameters(), adam, experiment.rng);
  const Tensor<float> test = seen_as(experiment.pixels, data.test_images);
  const auto measure = [&]() -> std::vector<kit::Score> {
    const lesson13::ElboMeans means = lesson13::evaluate(experiment.vae, test, Rng(kSeedOfScores));
    return {{"-ELBO", means.negative_elbo()}, {"KL", means.kl}};
  };
  training.record(measure);
  while (!training.done()) {
    for (const Tensor<float>& batch : training.minibatches(data.train_images)) {
      const Tensor<float> x = seen_as(experiment.pixels, batch);
      Tape<float> tape;
      tape.backward(-mean(per_image_objective(experiment, x)));
      adam.step();
    }
    training.record(measure);
  }
  nn::save_file(experiment.vae.parameters(), lesson.file(experiment.name + ".safetensors"));
}

// ---- The ladder --------------------------------------------------------------------------------

// The bounds of some images and their exact evidence, each (N).
struct Rungs {
  std::vector<Index> draws;
  std::vector<Tensor<double>> bounds;
  Tensor<double> log_evidence;

  const Tensor<double>& elbo() const { return bounds.front(); }
};

Rungs climb_ladder(const Vae<float>& vae, const Tensor<float>& x, Index most_draws,
                   const Grid& grid) {
  Rng rng(kSeedOfBounds);
  const Tensor<double> log_w = draw_log_weights(vae, x, vae.encode(x), most_draws, rng);
  Rungs rungs;
  for (Index k : {1, 2, 5, 10, 20, 50, 100, 200, 500}) {
    if (k > most_draws) break;
    rungs.draws.push_back(k);
    rungs.bounds.push_back(bounds_by_groups(log_w, k));
  }
  rungs.log_evidence = log_evidence(vae, x, grid);
  return rungs;
}

// The means over the images, and that they are in order. Returns them to be drawn.
Ladder report_ladder(kit::Lesson& lesson, const std::string& name, const std::string& label,
                     const Rungs& rungs) {
  Ladder ladder{.label = label, .draws = {}, .bound = {}, .log_evidence = 0};
  double least_step = 1;
  for (std::size_t i = 0; i < rungs.draws.size(); ++i) {
    const double bound = mean(rungs.bounds[i]).item();
    if (i > 0) least_step = std::min(least_step, bound - ladder.bound.back());
    ladder.draws.push_back(static_cast<double>(rungs.draws[i]));
    ladder.bound.push_back(bound);
    // By V / (2 k), with V as it is at 200 draws.
    if (rungs.draws[i] == 200) {
      const double missing = mean(rungs.log_evidence).item() - bound;
      lesson.report(name + "_short_at_200", missing, kNats);
      lesson.report(name + "_short_at_500_by_the_rule", missing * 200 / 500, kNats);
    }
    lesson.report(i == 0 ? name + "_elbo" : fmt::format("{}_l_{}", name, rungs.draws[i]), bound,
                  kNats);
  }
  const MeanAndError evidence = mean_and_error(rungs.log_evidence);
  const MeanAndError gap = mean_and_error(rungs.log_evidence - rungs.elbo());
  ladder.log_evidence = evidence.mean;
  lesson.report(name + "_log_p", evidence.mean, kNats);
  lesson.report(name + "_gap", gap.mean, kNats);
  lesson.report(name + "_gap_error", gap.error, kNats);
  // For means over enough images of a model that has learnt something.
  const bool applies = lesson.options().data.empty() && lesson.options().epochs > 0;
  lesson.check(name + "_least_step_up", least_step, kNats,
               kit::when(applies, kit::between(0, 100)));
  lesson.check(name + "_last_step_up", evidence.mean - ladder.bound.back(), kNats,
               kit::when(applies, kit::between(0, 100)));
  return ladder;
}

// How much the sum misses on coarser and smaller grids, beside one that is finer and larger.
void compare_grids(kit::Lesson& lesson, const Vae<float>& vae, const Tensor<float>& x) {
  const Sizes size = sizes(lesson.options());
  std::vector<Grid> grids = {size.grid, size.coarser};
  if (!lesson.options().quick) grids.insert(grids.end(), {{6, 100}, {4, 400}, {3, 400}});
  const Tensor<double> exact = log_evidence(vae, x, size.larger);
  for (const Grid& grid : grids) {
    const Tensor<double> error = log_evidence(vae, x, grid) - exact;
    const std::string name = fmt::format("grid_{:.0f}_{}", grid.end, grid.side);
    lesson.report(name + "_mean_error", mean(error).item(), kNats);
    lesson.report(name + "_worst_error", max(abs(error)).item(), "nats");
  }
  const nn::Normal<float> q = vae.encode(x);
  lesson.report("farthest_code", max(abs(q.mean.value())).item(), "");
  lesson.report("narrowest_deviation", std::exp(0.5 * -max(-q.log_var.value()).item()), "");
}

// ---- Where the gap is --------------------------------------------------------------------------

// Of some images: the exact evidence, and the ELBO with the encoder's q and with the best normal q.
struct Gaps {
  Tensor<double> log_evidence, of_encoder, of_best;  // (N)
  nn::Normal<float> best;                            // (N, 2)
};

// Normal densities over N images, from their shapes.
nn::Normal<float> main_hills(const std::vector<PosteriorShape>& shapes, const Grid& grid) {
  const Index n = std::ssize(shapes);
  Tensor<float> mean({n, kLatents});
  Tensor<float> log_var({n, kLatents});
  // A hill between two points of the grid is not seen to be narrow.
  const double least = grid.step() * grid.step() / 4;
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < kLatents; ++k) {
      mean.set({i, k}, static_cast<float>(shapes[i].hill_mean[k]));
      log_var.set({i, k},
                  static_cast<float>(std::log(std::max(shapes[i].hill_variance[k], least))));
    }
  return {mean, log_var};
}

// The better of two climbs: from the encoder's q, and from the heaviest hill of the posterior.
Gaps split_gaps(const Vae<float>& vae, const Tensor<float>& x,
                const std::vector<PosteriorShape>& shapes, const Sizes& size) {
  const Climb climb{.steps = size.steps_of_fits, .rate = 0.03, .draws = 4};
  constexpr Index kDraws = 200;
  const Index n = x.extent(0);
  Rng rng(kSeedOfFits);
  const nn::Normal<float> encoder = vae.encode(x);
  const nn::Normal<float> near = fit_from(encoder, vae, x, climb, rng);
  const nn::Normal<float> far = fit_from(main_hills(shapes, size.grid), vae, x, climb, rng);
  const auto elbo_of = [&](const nn::Normal<float>& q) {
    return mean(draw_log_weights(vae, x, q, kDraws, rng), {0});
  };
  const Tensor<double> of_near = elbo_of(near);
  const Tensor<double> of_far = elbo_of(far);
  const Tensor<float> far_is_better =
      cast<float>(greater(of_far, of_near)).reshape({n, 1});  // (N, 1)
  const auto choose = [&](const Var<float>& a, const Var<float>& b) {
    return a.value() + far_is_better * (b.value() - a.value());
  };
  Tensor<double> log_evidence({n});
  for (Index i = 0; i < n; ++i) log_evidence.set({i}, shapes[i].log_evidence);
  // Chosen by some draws and scored by others: the larger of two noisy numbers is too large.
  const nn::Normal<float> best = {choose(near.mean, far.mean), choose(near.log_var, far.log_var)};
  return {.log_evidence = log_evidence,
          .of_encoder = elbo_of(encoder),
          .of_best = elbo_of(best),
          .best = best};
}

std::vector<double> as_vector(const Tensor<double>& x) { return {x.begin(), x.end()}; }

void report_gaps(kit::Lesson& lesson, const std::string& name, const Gaps& gaps) {
  const std::vector<std::pair<std::string, Tensor<double>>> parts =
      {{"total", gaps.log_evidence - gaps.of_encoder},
       {"approximation", gaps.log_evidence - gaps.of_best},
       {"amortisation", gaps.of_best - gaps.of_encoder}};
  for (const auto& [what, part] : parts) {
    const MeanAndError of_part = mean_and_error(part);
    const std::string prefix = fmt::format("{}_{}", name, what);
    lesson.report(prefix + "_gap", of_part.mean, kNats);
    lesson.report(prefix + "_gap_error", of_part.error, kNats);
    lesson.report(prefix + "_gap_median", median(as_vector(part)), "nats");
    lesson.report(prefix + "_gap_worst", max(part).item(), "nats");
  }
}

// How many posteriors are not like a normal density.
void report_shapes(kit::Lesson& lesson, const std::string& name,
                   const std::vector<PosteriorShape>& shapes) {
  std::vector<double> negentropy;
  int with_far_hill = 0;
  for (const PosteriorShape& shape : shapes) {
    negentropy.push_back(shape.negentropy());
    if (shape.far_mass > 0.1) ++with_far_hill;
  }
  lesson.report(name + "_negentropy_median", median(negentropy), "nats");
  lesson.report(name + "_negentropy_most", *std::max_element(negentropy.begin(), negentropy.end()),
                "nats");
  lesson.report(name + "_with_a_far_hill", with_far_hill, "");
}

// Of each image the grid's points that hold 95 % of its posterior.
std::vector<std::vector<kit::Point>> bodies_of(const Vae<float>& vae, const Tensor<float>& images,
                                               const Grid& grid) {
  const Tensor<double> joint = cast<double>(log_joint_on(vae, images, grid));
  std::vector<std::vector<kit::Point>> bodies;
  for (Index i = 0; i < images.extent(0); ++i) {
    const double* of_image = joint.data() + i * grid.size();
    const std::vector<Index> order = find_hills(of_image, grid, 12).points;
    const auto weight = [&](Index p) { return std::exp(of_image[p] - of_image[order[0]]); };
    double total = 0;
    for (Index p : order) total += weight(p);
    std::vector<kit::Point> body;
    double held = 0;
    for (Index p : order) {
      if (held > 0.95 * total) break;
      held += weight(p);
      body.push_back({grid.at(p / grid.side), grid.at(p % grid.side)});
    }
    bodies.push_back(body);
  }
  return bodies;
}

std::array<double, 2> row_of(const Tensor<float>& x, Index i) { return {x(i, 0), x(i, 1)}; }

// The images by their gap, the smallest first.
std::vector<Index> by_gap(const Tensor<double>& gap) {
  std::vector<Index> order(gap.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](Index a, Index b) { return gap(a) < gap(b); });
  return order;
}

// Four images: of the median gap, of the least normal posterior, with the heaviest second hill, and
// with the largest gap.
void look_at_posteriors(kit::Lesson& lesson, const Vae<float>& vae, const Tensor<float>& x,
                        const Gaps& gaps, const std::vector<PosteriorShape>& shapes,
                        const kit::ImageData& data) {
  const Tensor<double> of_encoder = gaps.log_evidence - gaps.of_encoder;
  const Tensor<double> of_best = gaps.log_evidence - gaps.of_best;
  const std::vector<Index> order = by_gap(of_encoder);
  const auto most = [&](auto value) {
    return *std::max_element(order.begin(), order.end(),
                             [&](Index a, Index b) { return value(a) < value(b); });
  };
  const Index least_normal = most([&](Index i) { return shapes[i].negentropy(); });
  const Index two_hills = most([&](Index i) { return shapes[i].far_mass; });
  const std::vector<std::string> names = {"the median gap", "the least normal",
                                          shapes[two_hills].far_mass > 0.1 ? "two hills"
                                                                           : "the smallest gap",
                                          "the largest gap"};
  const std::vector<Index> chosen = {order[order.size() / 2], least_normal, two_hills,
                                     order.back()};
  lesson.report("least_normal_gap_of_best", of_best(least_normal), "nats");
  lesson.report("two_hills_gap_of_best", of_best(two_hills), "nats");

  const auto bodies = bodies_of(vae, gather_rows(x, chosen), sizes(lesson.options()).finer);
  const nn::Normal<float> encoder = vae.encode(x);
  const Tensor<float> encoder_deviation = exp(0.5f * encoder.log_var.value());
  const Tensor<float> best_deviation = exp(0.5f * gaps.best.log_var.value());
  std::vector<Panel> panels;
  for (std::size_t k = 0; k < chosen.size(); ++k) {
    const Index i = chosen[k];
    const std::string& of_class = data.class_names[data.test_labels[i]];
    panels.push_back(
        {.name = fmt::format("{}: {}", names[k], of_class),
         .numbers = fmt::format("gap {:.2f}, best q {:.2f}", of_encoder(i), of_best(i)),
         .body = bodies[k],
         .encoder_mean = row_of(encoder.mean.value(), i),
         .encoder_deviation = row_of(encoder_deviation, i),
         .best_mean = row_of(gaps.best.mean.value(), i),
         .best_deviation = row_of(best_deviation, i)});
  }
  draw_posteriors(lesson, panels);
}

// The ten images with the largest gaps.
void look_at_wrong_places(kit::Lesson& lesson, const Vae<float>& vae, const Tensor<float>& x,
                          const Gaps& gaps, const std::vector<PosteriorShape>& shapes,
                          const kit::ImageData& data) {
  const Tensor<double> gap = gaps.log_evidence - gaps.of_encoder;
  const std::vector<Index> order = by_gap(gap);
  const Index shown = std::min<Index>(10, std::ssize(order));
  const std::vector<Index> worst(order.rbegin(), order.rbegin() + shown);
  Tensor<float> tops({shown, kLatents});
  std::vector<double> of_worst;  // gaps
  for (Index i = 0; i < shown; ++i) {
    of_worst.push_back(gap(worst[i]));
    for (Index k = 0; k < kLatents; ++k)
      tops.set({i, k}, static_cast<float>(shapes[worst[i]].top[k]));
  }
  const double total = sum(gap).item();
  lesson.report("vae_share_of_gap_in_figure",
                100 * std::accumulate(of_worst.begin(), of_worst.end(), 0.0) / total, "%");
  const Tensor<float> images = gather_rows(x, worst);
  draw_wrong_places(lesson, images, vae.decoded(vae.encode(images).mean.value()), vae.decoded(tops),
                    of_worst, data);
}

// How wide the encoder's q is, as a multiple of the posterior, and how far off, as a multiple of
// the posterior's standard deviation: the medians over images and latents.
void report_width(kit::Lesson& lesson, const std::string& name, const nn::Normal<float>& encoder,
                  const std::vector<PosteriorShape>& shapes) {
  std::vector<double> widths;
  std::vector<double> offsets;
  for (Index i = 0; i < std::ssize(shapes); ++i)
    for (Index k = 0; k < kLatents; ++k) {
      const double deviation = std::sqrt(shapes[i].variance[k]);
      widths.push_back(std::exp(0.5 * encoder.log_var.value()(i, k)) / deviation);
      offsets.push_back(std::abs(encoder.mean.value()(i, k) - shapes[i].mean[k]) / deviation);
    }
  const double width = median(widths);
  const double offset = median(offsets);
  lesson.report(name + "_width_of_q", width, "");
  lesson.report(name + "_offset_of_q", offset, "");
  // KL of normal densities with these: 1/2 (r^2 - 1 - ln r^2 + o^2) for each latent.
  lesson.report(name + "_cost_of_width", width * width - 1 - std::log(width * width), "nats");
  lesson.report(name + "_cost_of_offset", offset * offset, "nats");
}

Gaps measure_gaps(kit::Lesson& lesson, const std::string& name, const Vae<float>& vae,
                  const Tensor<float>& x, const std::vector<PosteriorShape>& shapes) {
  const Gaps gaps = split_gaps(vae, x, shapes, sizes(lesson.options()));
  report_gaps(lesson, name, gaps);
  report_shapes(lesson, name, shapes);
  report_width(lesson, name, vae.encode(x), shapes);
  return gaps;
}

// ---- The aggregate posterior -------------------------------------------------------------------

void report_aggregate(kit::Lesson& lesson, const std::string& name, const Vae<float>& vae,
                      const Tensor<float>& x) {
  constexpr Index kDraws = 2;
  Rng rng(kSeedOfDraws);
  const KlParts parts = split_kl(vae.encode(x), kDraws, rng);
  const Tensor<float> moments = lesson13::second_moments(vae, x);
  lesson.report(name + "_kl", parts.total(), kNats);
  lesson.report(name + "_information", parts.information, kNats);
  lesson.report(name + "_kl_of_aggregate", parts.of_aggregate, kNats);
  lesson.report(name + "_moment_1", moments(0), "");
  lesson.report(name + "_moment_2", moments(1), "");
  lesson.report(name + "_gain_by_rescaling", lesson13::gain_by_rescaling(moments), kNats);
}

// ---- Images ------------------------------------------------------------------------------------

// Which of two models makes all test images likelier.
void compare_evidence(kit::Lesson& lesson, const Vae<float>& vae, const Vae<float>& iwae,
                      const Tensor<float>& x, const Grid& grid) {
  const Tensor<double> of_vae = log_evidence(vae, x, grid);
  const Tensor<double> of_iwae = log_evidence(iwae, x, grid);
  const MeanAndError better = mean_and_error(of_iwae - of_vae);
  lesson.report("vae_log_p_of_all", mean(of_vae).item(), kNats);
  lesson.report("iwae_log_p_of_all", mean(of_iwae).item(), kNats);
  lesson.report("iwae_log_p_above_vae", better.mean, kNats);
  lesson.report("iwae_log_p_above_vae_error", better.error, kNats);
}

// Black and white images, by the ELBO and by L_5.
void run_black_and_white(kit::Lesson& lesson, const kit::ImageData& data) {
  const Sizes size = sizes(lesson.options());
  const std::uint64_t seed = lesson.options().seed;
  const Tensor<float> test_images = binarise(data.test_images);
  const Tensor<float> x = first(size.evidence, test_images);
  const Tensor<float> few = first(size.fits, test_images);
  const bool known = data.is_full_fashion_mnist() && lesson.options().epochs == kEpochs;

  Experiment vae("vae", Objective::kElbo, Pixels::kBlackAndWhite, data, seed);
  train(lesson, vae, data);
  if (lesson.interrupted()) return;
  const Rungs of_vae = climb_ladder(vae.vae, x, size.most_draws, size.grid);
  std::vector<Ladder> ladders = {report_ladder(lesson, "vae", "VAE", of_vae)};
  lesson.check("vae_log_p_as_known", ladders.back().log_evidence, kNats,
               kit::when(known, {-176.7, 1}));
  compare_grids(lesson, vae.vae, few);
  const std::vector<PosteriorShape> shapes = shapes_of(vae.vae, few, size.grid);
  const Gaps gaps = measure_gaps(lesson, "vae", vae.vae, few, shapes);
  draw_gaps(lesson, as_vector(gaps.log_evidence - gaps.of_encoder),
            as_vector(gaps.log_evidence - gaps.of_best));
  look_at_posteriors(lesson, vae.vae, few, gaps, shapes, data);
  look_at_wrong_places(lesson, vae.vae, few, gaps, shapes, data);
  // The gap of images that the model was trained on.
  const Tensor<float> seen = binarise(first(size.evidence, data.train_images));
  const Rungs of_seen = climb_ladder(vae.vae, seen, 50, size.grid);
  const MeanAndError gap_of_seen = mean_and_error(of_seen.log_evidence - of_seen.elbo());
  lesson.report("vae_training_gap", gap_of_seen.mean, kNats);
  report_aggregate(lesson, "vae", vae.vae, test_images);
  Rng rng(kSeedOfDraws);
  draw_distances(lesson, cast<double>(vae.vae.sample_posterior(test_images, rng)));
  if (lesson.interrupted()) return;

  Experiment iwae("iwae", Objective::kImportanceWeighted, Pixels::kBlackAndWhite, data, seed);
  train(lesson, iwae, data);
  if (lesson.interrupted()) return;
  const Rungs of_iwae = climb_ladder(iwae.vae, x, size.most_draws, size.grid);
  ladders.push_back(report_ladder(lesson, "iwae", "trained by L5", of_iwae));
  draw_ladder(lesson, ladders);
  compare_evidence(lesson, vae.vae, iwae.vae, test_images, size.coarser);
  measure_gaps(lesson, "iwae", iwae.vae, few, shapes_of(iwae.vae, few, size.grid));
  report_aggregate(lesson, "iwae", iwae.vae, test_images);
}

// Grey images, as lesson 13 has them, and black and white ones that are drawn from them.
void run_grey(kit::Lesson& lesson, const kit::ImageData& data) {
  const Sizes size = sizes(lesson.options());
  constexpr Index kDrawsOfImage = 5;
  Experiment grey("vae_grey", Objective::kElbo, Pixels::kGrey, data, lesson.options().seed);
  train(lesson, grey, data);
  if (lesson.interrupted()) return;
  const Vae<float>& vae = grey.vae;
  const Rungs rungs = climb_ladder(vae, first(size.evidence, data.test_images), 50, size.grid);
  report_ladder(lesson, "grey", "grey", rungs);
  const Tensor<float> few = first(size.fits, data.test_images);
  measure_gaps(lesson, "grey", vae, few, shapes_of(vae, few, size.grid));
  report_aggregate(lesson, "grey", vae, data.test_images);

  // The grey images, and black and white ones that are drawn from them.
  Rng rng(kSeedOfDraws);
  std::vector<Tensor<float>> sets = {few};
  for (Index draw = 0; draw < kDrawsOfImage; ++draw)
    sets.push_back(less(rng.uniform<float>(few.shape()), few));
  const Tensor<double> all =
      log_evidence(vae, concatenate(sets), size.grid).reshape({kDrawsOfImage + 1, -1});
  const double of_grey = mean(slice(all, 0, 0, 1)).item();
  const double of_draws = mean(slice(all, 0, 1, kDrawsOfImage + 1)).item();
  lesson.report("grey_images_log_p", of_grey, kNats);
  lesson.report("grey_images_mean_log_p_of_draws", of_draws, kNats);
  lesson.report("grey_images_difference", of_draws - of_grey, kNats);
}

void run(kit::Lesson& lesson) {
  work_out_two_pixels(lesson);
  work_out_bounds(lesson);
  weigh_grey_images(lesson);
  const kit::ImageData data = kit::load_images(lesson);
  run_black_and_white(lesson, data);
  if (lesson.interrupted()) return;
  run_grey(lesson, data);
}

}  // namespace
}  // namespace gradus::lesson15

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "15_evidence",
                           .title = "The evidence",
                           .epochs = gradus::lesson15::kEpochs,
                           .quick_epochs = 3},
                          argc, argv, gradus::lesson15::run);
}
