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
constexpr int kAutoencoderSteps = 5;
constexpr Index kDense = 90;          // points on a side of a density on the page's map
constexpr Index kEveryDensity = 373;  // of which the page is checked against each so-manieth
constexpr int kDrawsOfElbo = 10;      // for the ELBO of each held-out image
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

// Weights from the directory of --weights, or an Error. Without that option lesson 13's where they
// lie beside this lesson's results, otherwise some that are trained now.
void find_weights(kit::Lesson& lesson, PageModel& model, const std::string& file,
                  const Tensor<float>& images, Rng& rng) {
  const fs::path asked = lesson.options().weights;
  if (!asked.empty()) {
    load_weights(model.vae.parameters(), asked / file);
    model.source = file + " of --weights";
    return;
  }
  const fs::path path = lesson.directory().parent_path() / "13_vae" / file;
  try {
    load_weights(model.vae.parameters(), path);
    model.source = "lesson 13's " + file;
  } catch (const Error& error) {
    fmt::print("{}\nTraining briefly: for a better model run lesson 13 first.\n", error.what());
    train_briefly(lesson, model, images, rng);
  }
}

// The grid for ln p(x): a square with the codes of all images, and what is around them.
Grid grid_around(const Vae<float>& vae, const Tensor<float>& x) {
  double end = 4.5;
  const Tensor<float> means = vae.encode(x).mean.value();
  for (float m : means) end = std::max(end, std::abs(m) + 1.5);
  return {end, 2 * static_cast<Index>(std::ceil(end / kStep))};
}

// ---- What the page is checked against ----------------------------------------------------------

// With as many digits as the page's checks, to 1e-5, can use.
Json numbers(const auto& values) {
  Json list = Json::array();
  for (double x : values) list.push_back(std::round(x * 1e8) / 1e8);
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

// The page's map reaches as far as 99.5 of 100 numbers of the codes do, rounded up, and covers the
// circles.
double end_of_map(const Tensor<float>& means) {
  std::vector<double> reach;
  for (float m : means) reach.push_back(std::abs(m));
  std::sort(reach.begin(), reach.end());
  return std::max(3.2, std::ceil(reach[std::ssize(reach) * 995 / 1000]));
}

// What the map shows of the aggregate posterior: its density at some points, and the holes.
Json reference_of_map(const PageModel& map, const Tensor<float>& test) {
  const nn::Normal<float> q = map.vae.encode(test);
  const Grid plane{end_of_map(q.mean.value()), kDense};
  const std::vector<double> density = aggregate_density(q.mean.value(), q.log_var.value(), plane);
  Json some = Json::array();
  for (Index p = 0; p < plane.size(); p += kEveryDensity) some.push_back(density[p]);
  return {{"end", plane.end},
          {"side", plane.side},
          {"every", kEveryDensity},
          {"aggregate", some},
          {"in_holes", prior_in_holes(density, plane)}};
}

// How a training goes that the page repeats: the loss of its first step, and the mean over its last
// half; and the first steps of an autoencoder.
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
  Trainer autoencoder(images, kHidden, 2, lesson.options().seed);
  Json reconstructions = Json::array();
  for (int step = 0; step < kAutoencoderSteps; ++step)
    reconstructions.push_back(autoencoder.step_autoencoder().reconstruction);
  lesson.report("training_first_loss", first_loss, kNats);
  lesson.check("training_late_loss", late_loss, kNats, kit::between(0, first_loss));
  return {{"seed", lesson.options().seed},
          {"steps", kTrainingSteps},
          {"first_loss", first_loss},
          {"late_loss", late_loss},
          {"autoencoder", reconstructions}};
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
  constexpr Grid kPlane{4, kDense};
  const nn::Normal<float> q = map.vae.encode(test);
  const std::vector<double> density = aggregate_density(q.mean.value(), q.log_var.value(), kPlane);
  lesson.report("prior_in_holes", 100 * prior_in_holes(density, kPlane), "%");
  lesson.check("prior_within_1", 100 * (1 - std::exp(-0.5)), "%", kit::Expected{39.3469340, 1e-6});
}

// Each latent's KL, by which the page orders its sliders, and how many it calls dead.
Json report_latents(kit::Lesson& lesson, const PageModel& twenty, const Tensor<float>& test) {
  const Tensor<float> kl = kl_of_latents(twenty.vae, test);
  const auto dead = std::count_if(kl.begin(), kl.end(), [](float of) { return of < kDead; });
  lesson.report("dead_latents", static_cast<double>(dead), "");
  lesson.report("largest_kl_of_a_latent", max(kl).item(), kNats);
  return {{"kl", numbers(kl)}, {"dead", dead}};
}

// Between which numbers the ELBO of 98 of 100 held-out images lies, and the number that half of
// them are above.
Json report_elbos(kit::Lesson& lesson, const PageModel& twenty, const Tensor<float>& test) {
  Rng rng(kSeedOfDraws);
  Tensor<double> elbos({test.extent(0)});
  for (int draw = 0; draw < kDrawsOfElbo; ++draw)
    elbos = elbos + cast<double>(twenty.vae.elbo(test, rng).total().value());
  std::vector<double> all;
  for (double sum : elbos) all.push_back(sum / kDrawsOfElbo);
  const double low = quantile(all, 0.01);
  const double middle = quantile(all, 0.5);
  const double high = quantile(all, 0.99);
  lesson.report("elbo_of_1_percent", low, kNats);
  lesson.report("elbo_median", middle, kNats);
  lesson.report("elbo_of_99_percent", high, kNats);
  return {{"low", low}, {"middle", middle}, {"high", high}};
}

// By how much held-out images differ from the nearest training image, and what 99 of 100 stay
// below: an image beyond that is far from all data.
Json report_distances(kit::Lesson& lesson, const Tensor<float>& train, const Tensor<float>& test) {
  std::vector<double> distances;
  for (Index i = 0; i < test.extent(0); ++i)
    distances.push_back(distance_to_nearest(slice(test, 0, i, i + 1), train));
  const double far = quantile(distances, 0.99);
  lesson.report("nearest_median", quantile(distances, 0.5), "per pixel");
  lesson.report("nearest_of_99_percent", far, "per pixel");
  return {{"far", far}, {"of_first", distances.front()}};
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

// What the page unpacks: the id of its element in page.html, the mark in there, and the bytes.
struct PagePart {
  std::string id, mark, bytes;
};

std::vector<PagePart> parts_of_page(const std::vector<PageModel*>& models,
                                    const Tensor<float>& images, Index width) {
  std::vector<PagePart> parts = {{"wasm", "@WASM@", io::read_file(source("gradus.wasm"))},
                                 {"images", "@IMAGES@", pack_pixels(images, width)}};
  for (const PageModel* model : models)
    parts.push_back({"weights-" + model->name, fmt::format("@WEIGHTS {}@", model->name),
                     pack_whole(model->whole)});
  return parts;
}

void write_page(kit::Lesson& lesson, const std::vector<PagePart>& parts, Json facts) {
  std::string page = io::read_file(source("page.html"));
  for (const std::string name : {"engine.js", "drawing.js", "checks.js", "page.js"})
    fill_in(page, fmt::format("<script src=\"web/{}\"></script>", name),
            fmt::format("<script>\n{}</script>", io::read_file(source("web/" + name))));
  for (const PagePart& part : parts) {
    const std::string packed = gzip(part.bytes);
    facts["reference"]["crc"][part.id] = crc32_of(part.bytes);
    fill_in(page, part.mark, base64(packed));
    if (part.id != "wasm") continue;
    lesson.report("wasm_size", static_cast<double>(part.bytes.size()) / 1000, "kB");
    lesson.report("wasm_gzipped", static_cast<double>(packed.size()) / 1000, "kB");
  }
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
  facts["reference"]["holes"] = reference_of_map(map, test);
  facts["reference"]["latents"] = report_latents(lesson, twenty, test);
  facts["elbo_quantiles"] = report_elbos(lesson, twenty, test);
  facts["reference"]["nearest"] = report_distances(lesson, train, test);
  facts["far"] = facts["reference"]["nearest"]["far"];
  facts["reference"]["training"] = reference_of_training(lesson, train);
  const Tensor<float> images = concatenate(std::vector{train, test});
  write_page(lesson, parts_of_page({&map, &twenty}, images, data.width), facts);
}

}  // namespace
}  // namespace gradus::lesson21

int main(int argc, char** argv) {
  return gradus::kit::
      run({.name = "21_explorer",
           .title = "A page to walk in",
           .weights =
               "Directory of lesson 13's vae_2_latents.safetensors and\nvae.safetensors (that of "
               "its results, if it was run)"},
          argc, argv, gradus::lesson21::run);
}
