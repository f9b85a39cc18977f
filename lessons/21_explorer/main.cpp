// Lesson 21: a page in which one walks in the latent space of lesson 13's VAE, and trains another.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include "autograd/tape.hpp"
#include "lessons/13_vae/model.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/21_explorer/model.hpp"
#include "lessons/21_explorer/packing.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/examples.hpp"
#include "lessons/kit/data.hpp"
#include "lessons/kit/lesson.hpp"
#include "lessons/kit/training.hpp"
#include "nn/distributions.hpp"
#include "nn/optimizers.hpp"
#include "nn/serialization.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/io/file.hpp"
#include "tensor/layout.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

namespace gradus::lesson21 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr Index kHidden = 400;  // as in lesson 13
constexpr Index kTrainImages = 4000, kTestImages = 500;
constexpr int kBriefEpochs = 6;
constexpr double kLargestPage = 4.5e6;  // bytes
constexpr int kDraws = 200, kSeedOfDraws = 1;
constexpr double kStep = 0.14;      // of the grid for ln p(x)
constexpr int kTrainingSteps = 64;  // that the page repeats
const std::string kNats = "nats/image";

// A model of lesson 13, in the numbers that the page holds.
struct PageModel {
  std::string name;
  Vae<float> vae;
  std::string source;  // where its weights come from, for the page to say
  std::vector<std::int16_t> whole = {};
  std::vector<double> scales = {};

  PageModel(const std::string& name, Index pixels, Index latents, Rng& rng)
      : name(name), vae(pixels, kHidden, latents, rng) {}
};

// ---- Weights -----------------------------------------------------------------------------------

// A few epochs, where lesson 13 has not been run.
void train_briefly(kit::Lesson& lesson, PageModel& model, const Tensor<float>& images, Rng& rng) {
  nn::Adam<float> adam(model.vae.parameters(), {.learning_rate = kRate});
  const int epochs = lesson.options().quick ? kBriefEpochs / 3 : kBriefEpochs;
  const Index an_epoch = (images.extent(0) + kBatch - 1) / kBatch;
  kit::Steps steps(lesson, "training, " + model.name, epochs * an_epoch);
  for (const Tensor<float>& x : steps.minibatches(images, kBatch, rng)) {
    Tape<float> tape;
    tape.backward(-mean(model.vae.elbo(x, rng).total()));
    adam.step();
  }
  model.source = fmt::format("trained for {} epochs on {} images", epochs, images.extent(0));
}

// Lesson 13's weights where they lie beside this lesson's results, otherwise some that are trained
// now.
void find_weights(kit::Lesson& lesson, PageModel& model, const std::string& file,
                  const Tensor<float>& images, Rng& rng) {
  const fs::path path = lesson.directory().parent_path() / "13_vae" / file;
  if (!fs::exists(path)) {
    fmt::print("{} is not there: run lesson 13 for a better model. Training briefly.\n",
               path.string());
    return train_briefly(lesson, model, images, rng);
  }
  try {
    nn::load_file(model.vae.parameters(), path);
    model.source = "lesson 13's " + file;
  } catch (const Error& error) {
    fmt::print("{}\nThese weights are of no use here: training briefly.\n", error.what());
    train_briefly(lesson, model, images, rng);
  }
}

// The grid for ln p(x): a square with the codes of all images, and what is around them.
Grid grid_around(const Vae<float>& vae, const Tensor<float>& x) {
  double end = 4.5;
  const Tensor<float> means = vae.encode(x).mean.value();
  for (float m : means) end = std::max(end, std::abs(m) + 1.5);
  return {end, static_cast<Index>(std::ceil(2 * end / kStep))};
}

// ---- What the page is checked against ----------------------------------------------------------

Json numbers(const auto& values) {
  Json list = Json::array();
  for (double x : values) list.push_back(x);
  return list;
}

Json numbers(const Parts& parts) { return {parts.reconstruction, parts.kl}; }

// What native code computes with a model, from the rounded weights and images.
Json reference_of(const PageModel& model, const Tensor<float>& test, const Grid& grid) {
  const Index latents = model.vae.latents();
  const Tensor<float> x = first(3, test);
  const nn::Normal<float> q = model.vae.encode(x);
  const Tensor<float> z = Rng(kSeedOfDraws).normal<float>({3, latents});
  Json reference = {{"means", numbers(q.mean.value())},
                    {"log_vars", numbers(q.log_var.value())},
                    {"z", numbers(z)},
                    {"images", numbers(model.vae.decoded(z))},
                    {"draws", kDraws},
                    {"seed", kSeedOfDraws},
                    {"parts",
                     numbers(mean_parts(model.vae, first(1, x), kDraws, Rng(kSeedOfDraws)))}};
  if (latents == 2) {
    for (Index i = 0; i < x.extent(0); ++i) {
      const Tensor<float> image = slice(x, 0, i, i + 1);
      const Parts parts = exact_parts(model.vae, image);
      reference["elbo"].push_back(parts.reconstruction - parts.kl);
      reference["log_evidence"].push_back(evidence_of(model.vae, image, grid).log_evidence);
    }
  }
  return reference;
}

// How a training goes that the page repeats: the loss of its first step, and the mean over its last
// half.
Json reference_of_training(kit::Lesson& lesson, const Tensor<float>& images) {
  Trainer trainer(images, kHidden, 2, lesson.options().seed);
  double first_loss = 0;
  double late_loss = 0;
  for (int step = 0; step < kTrainingSteps; ++step) {
    const Parts parts = trainer.step_vae(1);
    const double loss = parts.kl - parts.reconstruction;
    if (step == 0) first_loss = loss;
    if (step >= kTrainingSteps / 2) late_loss += loss / (kTrainingSteps / 2);
  }
  lesson.report("training_first_loss", first_loss, kNats);
  lesson.check("training_late_loss", late_loss, kNats, kit::between(0, first_loss));
  return {{"seed", lesson.options().seed},
          {"steps", kTrainingSteps},
          {"first_loss", first_loss},
          {"late_loss", late_loss}};
}

// ---- Numbers that the text tells ---------------------------------------------------------------

double mean_elbo(const Vae<float>& vae, const Tensor<float>& x) {
  Rng rng(kSeedOfDraws);
  return mean(vae.elbo(x, rng).total().value()).item();
}

void report_rounding(kit::Lesson& lesson, PageModel& model, const Tensor<float>& test) {
  const double before = mean_elbo(model.vae, test);
  model.scales = round_weights(model.vae.parameters(), model.whole);
  const double after = mean_elbo(model.vae, test);
  lesson.report("negative_elbo_" + model.name, -after, kNats);
  // An error is at most 1/16382 of the parameter's largest weight.
  lesson.check("elbo_changed_by_rounding_" + model.name, after - before, kNats,
               kit::Expected{0, 0.05});
}

// Some test images as the page shows them: ln p(x) - ELBO is a KL, and not negative.
void report_gaps(kit::Lesson& lesson, const PageModel& map, const Tensor<float>& test,
                 const Grid& grid) {
  const Index n = std::min<Index>(lesson.options().quick ? 10 : 100, test.extent(0));
  double widest = 0;
  double narrowest = std::numeric_limits<double>::infinity();
  double total = 0;
  Index widest_image = 0;
  for (Index i = 0; i < n; ++i) {
    const Tensor<float> x = slice(test, 0, i, i + 1);
    const Parts parts = exact_parts(map.vae, x);
    const double evidence = evidence_of(map.vae, x, grid).log_evidence;
    const double elbo = parts.reconstruction - parts.kl;
    const double gap = evidence - elbo;
    if (i == 0) {
      lesson.report("first_image_negative_reconstruction", -parts.reconstruction, kNats);
      lesson.report("first_image_kl", parts.kl, kNats);
      lesson.report("first_image_negative_elbo", -elbo, kNats);
      lesson.report("first_image_negative_evidence", -evidence, kNats);
      lesson.report("first_image_gap", gap, kNats);
    }
    if (gap > widest) widest_image = i;
    widest = std::max(widest, gap);
    narrowest = std::min(narrowest, gap);
    total += gap / static_cast<double>(n);
  }
  lesson.report("mean_gap", total, kNats);
  lesson.check("narrowest_gap", narrowest, kNats, kit::between(0, 1000));
  lesson.report("widest_gap", widest, kNats);
  lesson.report("widest_gap_image", static_cast<double>(widest_image), "");
}

// By how much ln p(x) on the page's grid is off: against lesson 15's sum over a much finer one.
void check_grid(kit::Lesson& lesson, const PageModel& map, const Tensor<float>& test,
                const Grid& grid) {
  const Index n = lesson.options().quick ? 3 : 100;
  const Grid fine{grid.end, 7 * grid.side};
  const Tensor<float> x = first(n, test);
  const Tensor<double> expected = lesson15::log_evidence(map.vae, x, fine);
  double most = 0;
  for (Index i = 0; i < x.extent(0); ++i) {
    const Evidence here = evidence_of(map.vae, slice(x, 0, i, i + 1), grid);
    most = std::max(most, std::abs(here.log_evidence - expected(i)));
  }
  lesson.check("evidence_off_by_the_grid", most, kNats, kit::Expected{0, 0.01});
}

// The share of the prior in holes, where the aggregate posterior's density is below a tenth of it.
void report_holes(kit::Lesson& lesson, const PageModel& map, const Tensor<float>& test) {
  constexpr Grid kPlane{4, 90};
  const nn::Normal<float> q = map.vae.encode(test);
  const std::vector<double> density = aggregate_density(q.mean.value(), q.log_var.value(), kPlane);
  double in_holes = 0;
  for (Index p = 0; p < kPlane.size(); ++p) {
    const double z1 = kPlane.at(p / kPlane.side);
    const double z2 = kPlane.at(p % kPlane.side);
    const double prior = std::exp(-0.5 * (z1 * z1 + z2 * z2) - kLogTwoPi);
    if (density[p] < 0.1 * prior) in_holes += prior * kPlane.step() * kPlane.step();
  }
  lesson.report("prior_in_holes", 100 * in_holes, "%");
  lesson.check("prior_within_1", 100 * (1 - std::exp(-0.5)), "%", kit::Expected{39.3469340, 1e-6});
}

// Latents that the page calls dead: their KL, the mean over images, is below 0.05 nats.
void report_dead(kit::Lesson& lesson, const PageModel& twenty, const Tensor<float>& test) {
  const nn::Normal<float> q = twenty.vae.encode(test);
  const Tensor<float> m = q.mean.value();
  const Tensor<float> log_var = q.log_var.value();
  const Tensor<float> of_latents =
      mean(0.5f * (square(m) + exp(log_var) - 1.0f - log_var), {0});  // (K)
  const auto dead = std::count_if(of_latents.begin(), of_latents.end(),
                                  [](float kl_of_one) { return kl_of_one < 0.05f; });
  lesson.report("dead_latents", static_cast<double>(dead), "");
  lesson.report("largest_kl_of_a_latent", max(of_latents).item(), kNats);
}

// By how much held-out images differ from the nearest training image, and what 99 of 100 stay
// below: an image beyond that is far from all data.
double report_distances(kit::Lesson& lesson, const Tensor<float>& train,
                        const Tensor<float>& test) {
  std::vector<double> distances;
  for (Index i = 0; i < test.extent(0); ++i)
    distances.push_back(distance_to_nearest(slice(test, 0, i, i + 1), train));
  std::sort(distances.begin(), distances.end());
  const double far = distances[std::ssize(distances) * 99 / 100];
  lesson.report("nearest_median", distances[std::ssize(distances) / 2], "per pixel");
  lesson.report("nearest_of_99_percent", far, "per pixel");
  return far;
}

// ---- The page ----------------------------------------------------------------------------------

fs::path source(const std::string& name) {
  return kit::data_file("README.md").parent_path().parent_path() / "21_explorer" / name;
}

Json facts_of(PageModel& model) {
  Json facts = {{"hidden", kHidden},
                {"latents", model.vae.latents()},
                {"source", model.source},
                {"scales", model.scales}};
  for (const Parameter<float>* p : model.vae.parameters())
    facts["sizes"].push_back(p->value().size());
  return facts;
}

void write_page(kit::Lesson& lesson, const std::vector<PageModel*>& models, const Json& facts,
                const Tensor<float>& images) {
  std::string page = io::read_file(source("page.html"));
  for (const std::string name : {"engine.js", "drawing.js", "checks.js", "page.js"})
    fill_in(page, fmt::format("<script src=\"web/{}\"></script>", name),
            fmt::format("<script>\n{}</script>", io::read_file(source("web/" + name))));
  const std::string wasm = io::read_file(source("gradus.wasm"));
  const std::string packed = gzip(wasm);
  lesson.report("wasm_size", static_cast<double>(wasm.size()) / 1000, "kB");
  lesson.report("wasm_gzipped", static_cast<double>(packed.size()) / 1000, "kB");
  fill_in(page, "@WASM@", base64(packed));
  fill_in(page, "@IMAGES@", base64(gzip(pack_pixels(images))));
  for (const PageModel* model : models)
    fill_in(page, fmt::format("@WEIGHTS {}@", model->name), base64(gzip(pack_whole(model->whole))));
  fill_in(page, "@FACTS@", facts.dump());
  lesson.check("page_size", static_cast<double>(page.size()) / 1e6, "MB",
               kit::between(0, kLargestPage / 1e6));
  io::write_file(lesson.file("explorer.html"), page);
}

void run(kit::Lesson& lesson) {
  const kit::ImageData data = kit::load_images(lesson);
  const Index pixels = data.height * data.width;
  const Tensor<float> train = round_pixels(first(kTrainImages, data.train_images));
  const Tensor<float> test = round_pixels(first(kTestImages, data.test_images));

  Rng rng(lesson.options().seed);
  PageModel map("map", pixels, 2, rng);
  PageModel twenty("twenty", pixels, 20, rng);
  find_weights(lesson, map, "vae_2_latents.safetensors", train, rng);
  find_weights(lesson, twenty, "vae.safetensors", train, rng);
  if (lesson.interrupted()) return;

  Json facts = {{"data", data.name},           {"width", data.width},
                {"height", data.height},       {"levels", kLevels},
                {"classes", data.class_names}, {"train", train.extent(0)},
                {"test", test.extent(0)},      {"batch", kBatch}};
  for (Index label : data.first_test_labels(test.extent(0))) facts["test_labels"].push_back(label);
  for (PageModel* model : {&map, &twenty}) report_rounding(lesson, *model, test);
  const Grid grid = grid_around(map.vae, test);
  facts["grid"] = {{"end", grid.end}, {"side", grid.side}};
  for (PageModel* model : {&map, &twenty}) {
    facts["models"][model->name] = facts_of(*model);
    facts["reference"][model->name] = reference_of(*model, test, grid);
  }
  report_gaps(lesson, map, test, grid);
  check_grid(lesson, map, test, grid);
  report_holes(lesson, map, test);
  report_dead(lesson, twenty, test);
  facts["far"] = report_distances(lesson, train, test);
  facts["reference"]["training"] = reference_of_training(lesson, train);
  write_page(lesson, {&map, &twenty}, facts, concatenate(std::vector{train, test}));
}

}  // namespace
}  // namespace gradus::lesson21

int main(int argc, char** argv) {
  return gradus::kit::run({.name = "21_explorer", .title = "A page to walk in"}, argc, argv,
                          gradus::lesson21::run);
}
