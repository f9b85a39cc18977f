#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "lessons/01_pca/model.hpp"
#include "lessons/02_ppca/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "lessons/common/roc.hpp"
#include "lessons/kit/data.hpp"
#include "nn/distributions.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// How lesson 20 holds out a class, and what it measures.
//
//     N images, D pixels
namespace gradus::lesson20 {

using lesson02::Ppca;

// ---- Holding out a class -----------------------------------------------------------------------

// Which images are of a class, and which are not.
struct Split {
  std::vector<Index> kept, held_out;
};

// Throws Error when there is not one label for each of N images, when a label is not in 0, ...,
// classes - 1, and when no image is of the class, or all are.
inline Split hold_out(Index n, const std::vector<Index>& labels, Index classes, Index held_out) {
  if (std::ssize(labels) != n)
    fail("hold_out: {} images and {} labels; each image needs one", n, labels.size());
  nn::check_labels("hold_out", labels, classes);
  Split split;
  for (Index i = 0; i < n; ++i) (labels[i] == held_out ? split.held_out : split.kept).push_back(i);
  if (split.held_out.empty())
    fail("hold_out: none of the {} images is of class {}: hold out one that the data have", n,
         held_out);
  if (split.kept.empty())
    fail("hold_out: all {} images are of class {}: nothing is left to learn from", n, held_out);
  return split;
}

// The classes, by number, that some images of both parts are of.
inline std::vector<Index> classes_of_both(const kit::ImageData& data) {
  const auto has = [](const std::vector<Index>& labels, Index label) {
    return std::find(labels.begin(), labels.end(), label) != labels.end();
  };
  std::vector<Index> classes;
  for (Index label = 0; label < std::ssize(data.class_names); ++label)
    if (has(data.train_labels, label) && has(data.test_labels, label)) classes.push_back(label);
  return classes;
}

constexpr Index kComponents = 20;  // of pPCA
constexpr Index kLeastTraining = 128, kLeastTest = 10, kLeastSide = 8;

// What cannot be measured is said before the work begins.
inline void require_use(const kit::ImageData& data) {
  const auto at_least = [&](const char* what, Index n, Index least) {
    if (n < least) fail("lesson 20 needs at least {} {}: {} has {}", least, what, data.name, n);
  };
  at_least("training images", data.train_images.extent(0), kLeastTraining);
  at_least("test images", data.test_images.extent(0), kLeastTest);
  at_least("rows of pixels", data.height, kLeastSide);
  at_least("columns of pixels", data.width, kLeastSide);
  at_least("classes that are among both its training and its test images, to hold out one of them",
           std::ssize(classes_of_both(data)), 2);
}

// ---- The covariance without a class ------------------------------------------------------------

// Sums over the images of each class, from which the covariance without one of them costs a
// subtraction. Images are taken relative to the mean of all, for the sake of digits.
class ClassMoments {
 public:
  ClassMoments(const Tensor<float>& x, const std::vector<Index>& labels, Index classes)
      : centre_(cast<double>(mean(x, {0}))) {
    const Index d = x.extent(1);
    const Index n = x.extent(0);
    all_ = {0, Tensor<double>({d}), Tensor<double>({d, d})};
    for (Index label = 0; label < classes; ++label) {
      Moments moments{0, Tensor<double>({d}), Tensor<double>({d, d})};
      std::vector<Index> members;
      for (Index i = 0; i < n; ++i)
        if (labels[i] == label) members.push_back(i);
      if (!members.empty())
        in_parts(gather_rows(x, members),
                 [&](const Tensor<float>& part) { moments.add(part, centre_); });
      all_ = all_.plus(moments, 1);
      of_class_.push_back(std::move(moments));
    }
  }

  lesson01::Pca<double> pca() const { return pca_of(all_); }

  // Of all images but those of one class.
  lesson01::Pca<double> pca_without(Index label) const {
    return pca_of(all_.plus(of_class_[label], -1));
  }

 private:
  struct Moments {
    double count;
    Tensor<double> sum;      // (D)
    Tensor<double> scatter;  // (D, D): sum of y y^T

    void add(const Tensor<float>& x, const Tensor<double>& centre) {
      const Tensor<double> y = cast<double>(x) - centre;
      count += static_cast<double>(x.extent(0));
      sum += gradus::sum(y, {0});
      scatter += matmul_tn(y, y);
    }

    Moments plus(const Moments& other, double times) const {
      return {count + times * other.count, sum + times * other.sum,
              scatter + times * other.scatter};
    }
  };

  lesson01::Pca<double> pca_of(const Moments& m) const {
    const Tensor<double> mean = m.sum / m.count;
    const Tensor<double> outer = mean.reshape({-1, 1}) * mean.reshape({1, -1});
    const auto [values, vectors] = symmetric_eigen(m.scatter / m.count - outer);
    return {centre_ + mean, vectors, values};
  }

  Tensor<double> centre_;  // (D)
  Moments all_;
  std::vector<Moments> of_class_;
};

// pPCA with kComponents latents of all training images, and of all but those of one class, for each
// that is among both parts. Throws Error when some of these images do not vary enough for it.
struct LinearModels {
  Ppca<double> of_all;
  std::map<Index, Ppca<double>> without;

  explicit LinearModels(const kit::ImageData& data)
      : LinearModels(data, ClassMoments(data.train_images, data.train_labels,
                                        std::ssize(data.class_names))) {}

 private:
  LinearModels(const kit::ImageData& data, const ClassMoments& moments)
      : of_all(fit(moments.pca(), data)) {
    for (Index label : classes_of_both(data))
      without.emplace(label, fit(moments.pca_without(label), data));
  }

  static Ppca<double> fit(const lesson01::Pca<double>& pca, const kit::ImageData& data) {
    constexpr double kRounding = 1e-12;  // of variances of pixels between 0 and 1
    if (!(pca.variances(kComponents) > kRounding))
      fail(
          "lesson 20 needs training images that differ in more than {} directions, also without "
          "one "
          "of their classes: those of {} do not",
          kComponents, data.name);
    return lesson02::fit_ppca(pca, kComponents);
  }
};

// ---- Numbers -----------------------------------------------------------------------------------

inline double standard_deviation(const Tensor<double>& x) {
  return std::sqrt(mean(square(x - mean(x))).item());
}

// The standard deviation of auroc(out, in) over sets that are drawn from these two, with
// replacement (Efron 1979): what auroc_error has a formula for.
inline double bootstrap_error(const Tensor<double>& out, const Tensor<double>& in, int repeats,
                              Rng& rng) {
  const auto draw = [&rng](const Tensor<double>& scores) {
    return gather_rows(scores, rng.integers(scores.size(), scores.size()));
  };
  std::vector<double> values;
  for (int i = 0; i < repeats; ++i) values.push_back(auroc(draw(out), draw(in)));
  return standard_deviation(Tensor<double>({repeats}, values));
}

// How far two numbers of each image go together, from -1 to 1.
inline double correlation(const Tensor<double>& a, const Tensor<double>& b) {
  const Tensor<double> x = a - mean(a);
  const Tensor<double> y = b - mean(b);
  return sum(x * y).item() / std::sqrt(sum(square(x)).item() * sum(square(y)).item());
}

// The places of the `count` least scores, the least first, or of the largest, the largest first.
inline std::vector<Index> extremes(const Tensor<double>& scores, Index count, bool largest) {
  std::vector<Index> places;
  for (Index i = 0; i < scores.size(); ++i) places.push_back(i);
  std::stable_sort(places.begin(), places.end(), [&](Index a, Index b) {
    return largest ? scores(a) > scores(b) : scores(a) < scores(b);
  });
  places.resize(std::min(count, scores.size()));
  return places;
}

}  // namespace gradus::lesson20
