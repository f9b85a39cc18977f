#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "lessons/15_evidence/instruments.hpp"
#include "lessons/15_evidence/model.hpp"
#include "lessons/18_conditional_vae/model.hpp"
#include "lessons/common/constants.hpp"
#include "lessons/common/in_parts.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// What lesson 18 measures: scores L(x, y), one for each image and class, that stand for ln p(x|y),
// and what Bayes' rule makes of them.
//
//     N images, D pixels, K latent dimensions, C classes, q components
namespace gradus::lesson18 {

// How many images are scored at a time.
inline constexpr Index kScoredTogether = 1000;

// ---- Images with their labels ------------------------------------------------------------------

// Each image with its label beside it, as minibatches take them: (N, D) -> (N, D + C). Throws Error
// when there is not one label for each image, or one is not from 0 to C - 1.
template <class T>
Tensor<T> with_labels(const Tensor<T>& x, const std::vector<Index>& labels, Index classes) {
  if (std::ssize(labels) != x.extent(0))
    fail("with_labels: {} images and {} labels: it needs one label for each", x.extent(0),
         labels.size());
  return concatenate(std::vector{x, nn::one_hot<T>(labels, classes)}, 1);
}

// The two parts again.
template <class T> struct Labelled {
  Tensor<T> x;  // (N, D)
  Tensor<T> y;  // (N, C)

  Labelled(const Tensor<T>& joined, Index classes)
      : x(slice(joined, 1, 0, joined.extent(1) - classes)),
        y(slice(joined, 1, joined.extent(1) - classes, joined.extent(1))) {}
};

// The numbers of the examples of each class: C lists.
inline std::vector<std::vector<Index>> by_class(const std::vector<Index>& labels, Index classes) {
  nn::check_labels("by_class", labels, classes);
  std::vector<std::vector<Index>> lists(classes);
  for (Index i = 0; i < std::ssize(labels); ++i) lists[labels[i]].push_back(i);
  return lists;
}

// ---- What scores say ---------------------------------------------------------------------------

// The confidence that was claimed, the largest P(y|x), and the share that was right, of those
// images whose confidence lies between two tenths.
struct Bin {
  double confidence = 0, accuracy = 0;
  Index images = 0;
};

// What scores (N, C) are worth where the labels are known and all classes equally likely, by
//     P(y|x) = e^L(x, y) / sum_k e^L(x, k)   and   ln p(x) = ln sum_k e^L(x, k) - ln C
struct Verdict {
  double accuracy;       // the share of images whose label has the largest score
  double top_2;          // ... or the second largest
  double cross_entropy;  // the mean of -ln P(label|x): what the label still costs
  double own;            // the mean of L(x, label)
  double mixture;        // the mean of ln p(x)
  std::array<Bin, 10> bins;

  // What the label saves.
  double gain() const { return own - mixture; }

  // The expected calibration error: how far confidence and accuracy differ, on average.
  double calibration_error() const {
    double error = 0;
    double images = 0;
    for (const Bin& bin : bins) {
      const auto count = static_cast<double>(bin.images);
      error += count * std::abs(bin.confidence - bin.accuracy);
      images += count;
    }
    return error / images;
  }
};

// Throws Error when there is not one label for each row of scores, or one is no class.
inline Verdict judge(const Tensor<double>& scores, const std::vector<Index>& labels) {
  const Index n = scores.extent(0);
  const Index classes = scores.extent(1);
  if (std::ssize(labels) != n || n == 0)
    fail("judge: scores of shape {} and {} labels: it needs one for each row, and at least one",
         scores.shape(), labels.size());
  nn::check_labels("judge", labels, classes);
  const Tensor<double> log_p = log_softmax(scores, {1});
  const double log_classes = std::log(static_cast<double>(classes));
  Verdict verdict{};
  verdict.mixture = mean(logsumexp(scores, {1})).item() - log_classes;
  const std::vector<Index> guesses = argmax(scores);
  const double one = 1 / static_cast<double>(n);
  for (Index i = 0; i < n; ++i) {
    const Index label = labels[i];
    verdict.own += one * scores(i, label);
    verdict.cross_entropy -= one * log_p(i, label);
    Index better = 0;
    for (Index c = 0; c < classes; ++c)
      if (scores(i, c) > scores(i, label)) ++better;
    const bool right = guesses[i] == label;
    if (right) verdict.accuracy += one;
    if (better < 2) verdict.top_2 += one;
    const double confidence = std::exp(log_p(i, guesses[i]));
    const auto place = std::clamp<Index>(static_cast<Index>(std::ceil(10 * confidence)) - 1, 0, 9);
    Bin& bin = verdict.bins[place];
    ++bin.images;
    bin.confidence += confidence;
    if (right) bin.accuracy += 1;
  }
  for (Bin& bin : verdict.bins) {
    if (bin.images == 0) continue;
    bin.confidence /= static_cast<double>(bin.images);
    bin.accuracy /= static_cast<double>(bin.images);
  }
  return verdict;
}

// How many images of each class, a row, get which name, a column: (C, C) counts.
inline Tensor<double> confusion(const Tensor<double>& scores, const std::vector<Index>& labels) {
  const Index classes = scores.extent(1);
  const std::vector<Index> guesses = argmax(scores);
  Tensor<double> counts({classes, classes});
  for (Index i = 0; i < std::ssize(labels); ++i)
    counts.set({labels[i], guesses[i]}, counts(labels[i], guesses[i]) + 1);
  return counts;
}

// The first n rows of scores, and of labels.
inline Tensor<double> first_rows(const Tensor<double>& scores, Index n) {
  return slice(scores, 0, 0, std::min(n, scores.extent(0)));
}

// ---- Scores by a CVAE --------------------------------------------------------------------------

// Scores of all images, a part of them at a time, class by class: score(x, label) is (n), for
// images x (n, D) that are all said to be of one class.  (N, D) -> (N, C)
template <class T, class Begin, class Score>
Tensor<double> scores_by_class(const Tensor<T>& images, Index classes, Begin begin, Score score,
                               Index together = kScoredTogether) {
  std::vector<Tensor<double>> parts;
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Index n = x.extent(0);
        begin(n);
        std::vector<Tensor<double>> columns;
        for (Index c = 0; c < classes; ++c) {
          columns.push_back(cast<double>(score(x, c)).reshape({n, 1}));
        }
        parts.push_back(concatenate(columns, 1));
      },
      together);
  return concatenate(parts);
}

// Whether all classes of an image are scored with the same noise, or each with its own.
enum class Draws { kShared, kSeparate };

// The ELBO with one draw of z for each image and class.  (N, D) -> (N, C)
template <class T>
Tensor<double> elbo_by_class(const Cvae<T>& cvae, const Tensor<T>& images, Draws draws, Rng rng) {
  Tensor<T> noise;  // (n, K)
  const auto draw = [&](Index n) { noise = rng.normal<T>({n, cvae.latents()}); };
  return scores_by_class(images, cvae.classes(), draw, [&](const Tensor<T>& x, Index label) {
    if (draws == Draws::kSeparate) draw(x.extent(0));
    const Tensor<T> y = same_label<T>(x.extent(0), label, cvae.classes());
    return cvae.elbo(x, y, noise).total().value();
  });
}

// A CVAE that takes all images for one class: lesson 15's bounds read it as a VAE.
template <class T> struct OfClass {
  const Cvae<T>& cvae;
  Index label;

  nn::Normal<T> encode(const Tensor<T>& x) const {
    return cvae.encode(x, same_label<T>(x.extent(0), label, cvae.classes()));
  }

  nn::Bernoulli<T> decode(const Var<T>& z) const {
    return cvae.decode(z, same_label<T>(z.shape()[0], label, cvae.classes()));
  }

  Index latents() const { return cvae.latents(); }
};

// How many images are scored at a time by several draws each.
inline constexpr Index kDrawnTogether = 500;

// The importance-weighted bound of each image (lesson 15) with k draws of z.  (N)
template <class T, class Model>
Tensor<double> importance_bound(const Model& model, const Tensor<T>& x, Index k, Rng& rng) {
  const Tensor<double> log_w =
      lesson15::draw_log_weights(model, x, model.encode(x), k, rng);  // (k, N)
  return lesson15::log_mean_exp<double>(log_w).value();
}

// That of ln p(x|y), the same noise for all classes.  (N, D) -> (N, C)
template <class T>
Tensor<double> importance_by_class(const Cvae<T>& cvae, const Tensor<T>& images, Index k, Rng rng) {
  Rng of_part = rng;
  return scores_by_class(
      images, cvae.classes(), [&](Index) { of_part = rng; },
      [&](const Tensor<T>& x, Index label) {
        rng = of_part;
        return importance_bound(OfClass<T>{cvae, label}, x, k, rng);
      },
      kDrawnTogether);
}

// That of ln p(x) by a VAE: its mean over images.
template <class T>
double mean_importance_bound(const Vae<T>& vae, const Tensor<T>& images, Index k, Rng rng) {
  double total = 0;
  in_parts(
      images, [&](const Tensor<T>& x) { total += sum(importance_bound(vae, x, k, rng)).item(); },
      kDrawnTogether);
  return total / static_cast<double>(images.extent(0));
}

// ---- ln p(x|y) itself, with two latents --------------------------------------------------------

// side x side points of the plane from -end to end, the middles of as many cells.
//
//     (side * side, 2)
template <class T> Tensor<T> cell_middles(Index side, double end) {
  const double width = 2 * end / static_cast<double>(side);
  Tensor<T> z({side * side, 2});
  T* numbers = z.mutable_data();
  for (Index i = 0; i < side; ++i)
    for (Index j = 0; j < side; ++j) {
      numbers[2 * (i * side + j)] = static_cast<T>(-end + (static_cast<double>(i) + 0.5) * width);
      numbers[2 * (i * side + j) + 1] =
          static_cast<T>(-end + (static_cast<double>(j) + 0.5) * width);
    }
  return z;
}

// ln p(x|y) of one class as a sum over cells of the plane of z, (N):
//     p(x|y) = integral of p(x|z, y) p(z)  ~  sum over cells of p(x|z, y) N(z; 0, I) area
// With logits a, ln p(x|z, y) = x . a - sum_d ln(1 + e^a_d), so that all images together are one
// matrix product.
template <class T>
Tensor<double> log_evidence(const Cvae<T>& cvae, const Tensor<T>& x, Index label, Index side,
                            double end) {
  constexpr Index kCellsTogether = 2000;
  const double width = 2 * end / static_cast<double>(side);
  const T log_area = static_cast<T>(2 * std::log(width) - kLogTwoPi);
  std::vector<Tensor<double>> columns;
  in_parts(
      cell_middles<T>(side, end),
      [&](const Tensor<T>& z) {
        const Tensor<T> y = same_label<T>(z.extent(0), label, cvae.classes());
        const Tensor<T> logits = cvae.decode(z, y).logits.value();  // (cells, D)
        const Tensor<T> of_cell =
            log_area - T(0.5) * sum(square(z), {1}) - sum(softplus(logits), {1});  // (cells)
        const Tensor<T> of_all = matmul_nt(x, logits) + of_cell;                   // (N, cells)
        columns.push_back(cast<double>(logsumexp(of_all, {1}, true)));             // (N, 1)
      },
      kCellsTogether);
  return logsumexp(concatenate(columns, 1), {1});
}

// For all classes.  (N, D) -> (N, C)
template <class T>
Tensor<double> evidence_by_class(const Cvae<T>& cvae, const Tensor<T>& x, Index side, double end) {
  std::vector<Tensor<double>> columns;
  for (Index c = 0; c < cvae.classes(); ++c)
    columns.push_back(log_evidence(cvae, x, c, side, end).reshape({x.extent(0), 1}));
  return concatenate(columns, 1);
}

// The mean of a - b over each image's own class, and over the other classes.
struct Gap {
  double right, wrong;
};

inline Gap gap(const Tensor<double>& a, const Tensor<double>& b, const std::vector<Index>& labels) {
  Gap result{0, 0};
  const Index n = a.extent(0);
  const Index classes = a.extent(1);
  for (Index i = 0; i < n; ++i)
    for (Index c = 0; c < classes; ++c) {
      const double difference = (a(i, c) - b(i, c)) / static_cast<double>(n);
      if (c == labels[i])
        result.right += difference;
      else
        result.wrong += difference / static_cast<double>(classes - 1);
    }
  return result;
}

// ---- Gaussians, by lesson 02's formula ---------------------------------------------------------

// A mean, and all directions in which examples vary, the widest first.
struct Spread {
  Tensor<double> mean;        // (D)
  Tensor<double> components;  // (R, D)
  Tensor<double> variances;   // (R)

  Index directions() const { return variances.size(); }

  Tensor<double> covariance() const {  // (D, D)
    return matmul_tn(components * variances.reshape({-1, 1}), components);
  }

  // Lesson 02's sigma^2 when q components are kept: the mean of the other D - q variances.
  double noise_beside(Index q) const {
    const double rest = sum(slice(variances, 0, std::min(q, directions()), directions())).item();
    return rest / static_cast<double>(mean.size() - q);
  }
};

// Those directions of a decomposition whose variance is more than rounding.
inline Spread spread_of(const Tensor<double>& mean, const Tensor<double>& directions,
                        const Tensor<double>& variances) {
  Index count = 0;
  while (count < variances.size() && variances(count) > 1e-12 * variances(0)) ++count;
  return {mean, slice(directions, 0, 0, count), slice(variances, 0, 0, count)};
}

// The sum of (x_n - centre) (x_n - centre)^T, a part of the examples at a time.  (N, D) -> (D, D)
inline Tensor<double> scatter_about(const Tensor<double>& centre, const Tensor<float>& x) {
  Tensor<double> scatter({x.extent(1), x.extent(1)});
  in_parts(
      x,
      [&](const Tensor<float>& part) {
        const Tensor<double> y = cast<double>(part) - centre;
        scatter += matmul_tn(y, y);
      },
      kScoredTogether);
  return scatter;
}

// Lesson 01's PCA. Of fewer examples than dimensions by the matrix Y Y^T / N, (N, N), which has the
// same eigenvalues: if Y Y^T u = N l u, then Y^T u / sqrt(N l) is an eigenvector of Y^T Y / N.
inline Spread fit_spread(const Tensor<float>& x) {
  const auto count = static_cast<double>(x.extent(0));
  Tensor<double> total({x.extent(1)});
  in_parts(
      x, [&](const Tensor<float>& part) { total += sum(cast<double>(part), {0}); },
      kScoredTogether);
  const Tensor<double> centre = total / count;
  if (x.extent(0) >= x.extent(1)) {
    const auto [values, vectors] = symmetric_eigen(scatter_about(centre, x) / count);
    return spread_of(centre, vectors, values);
  }
  const Tensor<double> y = cast<double>(x) - centre;
  const auto [values, vectors] = symmetric_eigen(matmul_nt(y, y) / count);
  const Spread in_examples = spread_of(centre, vectors, values);  // components: (R, N)
  const Tensor<double> lengths = sqrt(in_examples.variances * count).reshape({-1, 1});
  return {centre, matmul(in_examples.components, y) / lengths, in_examples.variances};
}

// ln N(y; 0, C), where C has these variances along the first components and sigma^2 in all other
// directions.  (N, D) -> (N)
inline Tensor<double> log_density(const Tensor<double>& y, const Tensor<double>& components,
                                  const Tensor<double>& variances, double sigma2) {
  const auto d = static_cast<double>(y.extent(1));
  const auto q = static_cast<double>(variances.size());
  double log_det = (d - q) * std::log(sigma2);
  for (double variance : variances) log_det += std::log(variance);
  Tensor<double> distance = sum(square(y), {1}) / sigma2;
  if (variances.size() > 0) {
    const Tensor<double> along = square(matmul_nt(y, components));  // (N, q)
    distance += sum(along / variances - along / sigma2, {1});
  }
  return -0.5 * (d * kLogTwoPi + log_det + distance);
}

// One Gaussian for each class.
class GaussianClasses {
 public:
  // From images with their labels beside them, (N, D + C). Throws Error when a class has fewer than
  // two examples, or they do not differ.
  GaussianClasses(const Tensor<float>& joined, const std::vector<Index>& labels, Index classes)
      : within_(Tensor<double>({joined.extent(1) - classes, joined.extent(1) - classes})) {
    for (const std::vector<Index>& of_class : by_class(labels, classes)) {
      const auto number = spreads_.size();
      if (of_class.size() < 2)
        fail("GaussianClasses: class {} has {} examples; a covariance needs two at least", number,
             of_class.size());
      const Labelled<float> examples(gather_rows(joined, of_class), classes);
      spreads_.push_back(fit_spread(examples.x));
      if (spreads_.back().directions() == 0)
        fail("GaussianClasses: the {} examples of class {} are all the same", of_class.size(),
             number);
      const double share =
          static_cast<double>(of_class.size()) / static_cast<double>(labels.size());
      within_ += share * spreads_.back().covariance();
    }
  }

  Index classes() const { return std::ssize(spreads_); }

  // The most components that leave something to every class.
  Index most_components() const {
    Index most = spreads_.front().directions() - 1;
    for (const Spread& spread : spreads_) most = std::min(most, spread.directions() - 1);
    return most;
  }

  // The mean covariance of the classes, weighted by their shares.  (D, D)
  const Tensor<double>& within() const { return within_; }

  Tensor<double> means() const {  // (C, D)
    std::vector<Tensor<double>> rows;
    for (const Spread& spread : spreads_) rows.push_back(spread.mean.reshape({1, -1}));
    return concatenate(rows);
  }

  // ln p(x|y) with q components for each class (or as many as there are) and the noise that is the
  // likeliest: of each class by itself, or, with one_noise, their mean for all; components with a
  // smaller variance then have this one.  (N, D) -> (N, C)
  Tensor<double> scores(const Tensor<float>& images, Index q, bool one_noise) const {
    q = std::min(q, most_components());
    double shared = 0;
    for (const Spread& spread : spreads_)
      shared += spread.noise_beside(q) / static_cast<double>(classes());
    std::vector<Tensor<double>> parts;
    in_parts(
        images,
        [&](const Tensor<float>& part) {
          const Tensor<double> x = cast<double>(part);
          std::vector<Tensor<double>> columns;
          for (const Spread& spread : spreads_) {
            const double sigma2 = one_noise ? shared : spread.noise_beside(q);
            const Tensor<double> variances = maximum(slice(spread.variances, 0, 0, q), sigma2);
            columns.push_back(
                log_density(x - spread.mean, slice(spread.components, 0, 0, q), variances, sigma2)
                    .reshape({-1, 1}));
          }
          parts.push_back(concatenate(columns, 1));
        },
        kScoredTogether);
    return concatenate(parts);
  }

 private:
  std::vector<Spread> spreads_;  // C
  Tensor<double> within_;        // (D, D)
};

// Gaussians that share one covariance S: linear discriminant analysis (LDA).
class SharedCovariance {
 public:
  // S has the variances of `within` along its first q directions, and their mean elsewhere.
  SharedCovariance(const Tensor<double>& means, const Spread& within, Index q)
      : means_(means),
        components_(slice(within.components, 0, 0, std::min(q, within.directions() - 1))),
        variances_(slice(within.variances, 0, 0, components_.extent(0))),
        sigma2_(within.noise_beside(components_.extent(0))) {}

  // ln p(x|y), by the densities.  (N, D) -> (N, C)
  Tensor<double> scores(const Tensor<float>& images) const {
    std::vector<Tensor<double>> parts;
    in_parts(
        images,
        [&](const Tensor<float>& part) {
          const Tensor<double> x = cast<double>(part);
          std::vector<Tensor<double>> columns;
          for (Index c = 0; c < means_.extent(0); ++c)
            columns.push_back(
                log_density(x - slice(means_, 0, c, c + 1), components_, variances_, sigma2_)
                    .reshape({-1, 1}));
          parts.push_back(concatenate(columns, 1));
        },
        kScoredTogether);
    return concatenate(parts);
  }

  // W = M S^-1, whose row y is m_y^T S^-1.  (C, D)
  Tensor<double> weights() const {
    Tensor<double> result = means_ / sigma2_;
    if (variances_.size() == 0) return result;
    const Tensor<double> along = matmul_nt(means_, components_);  // (C, q)
    return result + matmul(along / variances_ - along / sigma2_, components_);
  }

  // W x + b with b_y = -1/2 m_y^T S^-1 m_y: the scores of a softmax regression. They are ln p(x|y)
  // without what no y is in.  (N, D) -> (N, C)
  Tensor<double> linear_scores(const Tensor<float>& images) const {
    const Tensor<double> w = weights();
    const Tensor<double> b = -0.5 * sum(w * means_, {1});  // (C)
    std::vector<Tensor<double>> parts;
    in_parts(
        images, [&](const Tensor<float>& x) { parts.push_back(matmul_nt(cast<double>(x), w) + b); },
        kScoredTogether);
    return concatenate(parts);
  }

 private:
  Tensor<double> means_;       // (C, D)
  Tensor<double> components_;  // (q, D)
  Tensor<double> variances_;   // (q)
  double sigma2_;
};

// ---- Other scores ------------------------------------------------------------------------------

// ln P(y|x) by a network.  (N, D) -> (N, C)
template <class T>
Tensor<double> scores_of(const Classifier<T>& classifier, const Tensor<T>& images) {
  std::vector<Tensor<double>> parts;
  in_parts(
      images,
      [&](const Tensor<T>& x) { parts.push_back(cast<double>(classifier(x).log_probs().value())); },
      kScoredTogether);
  return concatenate(parts);
}

// The share of images that a classifier takes for what a label says.
template <class T>
double recognised(const Classifier<T>& classifier, const Tensor<T>& images,
                  const std::vector<Index>& labels) {
  return judge(scores_of(classifier, images), labels).accuracy;
}

// Gaussians with one diagonal covariance, fitted to codes z (N, K) with labels: scores of other
// codes, up to what no class is in.  (M, K) -> (M, C)
inline Tensor<double> diagonal_scores(const Tensor<double>& z, const std::vector<Index>& labels,
                                      Index classes, const Tensor<double>& others) {
  constexpr double kFloor = 0.01;  // of a variance, for few examples
  std::vector<Tensor<double>> means;
  Tensor<double> variance({z.extent(1)});
  for (const std::vector<Index>& of_class : by_class(labels, classes)) {
    if (of_class.empty()) fail("diagonal_scores: class {} has no examples", means.size());
    const Tensor<double> codes = gather_rows(z, of_class);
    means.push_back(mean(codes, {0}));
    variance += sum(square(codes - means.back()), {0}) / static_cast<double>(z.extent(0));
  }
  std::vector<Tensor<double>> columns;
  for (const Tensor<double>& m : means)
    columns.push_back((-0.5 * sum(square(others - m) / (variance + kFloor), {1})).reshape({-1, 1}));
  return concatenate(columns, 1);
}

// What f makes, row by row, of images and labels that stand side by side, a part at a time.
template <class T, class F> Tensor<T> codes_of(const Tensor<T>& joined, Index classes, F f) {
  std::vector<Tensor<T>> parts;
  in_parts(
      joined, [&](const Tensor<T>& part) { parts.push_back(f(Labelled<T>(part, classes))); },
      kScoredTogether);
  return concatenate(parts);
}

// What codes (N, K) with labels y (N, C) decode to, a part at a time.  (N, D)
template <class T>
Tensor<T> decode_all(const Cvae<T>& cvae, const Tensor<T>& z, const Tensor<T>& y) {
  return codes_of(concatenate(std::vector{z, y}, 1), cvae.classes(),
                  [&](const Labelled<T>& part) { return cvae.decoded(part.x, part.y); });
}

// `each` examples of each class, the first in some order, and their labels.
inline std::vector<Index> some_of_each(const std::vector<Index>& labels, Index classes, Index each,
                                       Rng& rng) {
  std::vector<Index> chosen;
  for (const std::vector<Index>& of_class : by_class(labels, classes)) {
    const std::vector<Index> order = rng.permutation(std::ssize(of_class));
    for (Index i = 0; i < std::min(each, std::ssize(of_class)); ++i)
      chosen.push_back(of_class[order[i]]);
  }
  return chosen;
}

inline std::vector<Index> pick(const std::vector<Index>& labels, const std::vector<Index>& chosen) {
  std::vector<Index> result;
  for (Index i : chosen) result.push_back(labels[i]);
  return result;
}

}  // namespace gradus::lesson18
