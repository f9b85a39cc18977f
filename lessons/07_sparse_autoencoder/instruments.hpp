#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>
#include <utility>
#include <vector>

#include "lessons/01_pca/model.hpp"
#include "lessons/07_sparse_autoencoder/model.hpp"
#include "lessons/common/in_parts.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/error.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/reduce.hpp"

// What lesson 07 measures, and what its models are held against.
//
//     N examples, D dimensions (pixels), K numbers in the code
namespace gradus::lesson07 {

using lesson01::fit_pca;
using lesson01::Pca;

// ---- On paper ----------------------------------------------------------------------------------

// The least (x - w h)^2 + price |h| over h: price x / w - price^2 / (4 w^2), where w x > price / 2;
// from there on down h is 0.
inline double least_cost(double x, double w, double price) {
  if (w * x <= price / 2) return x * x;
  return price * x / w - price * price / (4 * w * w);
}

// log2 of the number of ways to choose k of n: the bits that say which.
inline double bits_to_choose(Index k, Index n) {
  const auto log_factorial = [](Index m) { return std::lgamma(static_cast<double>(m) + 1); };
  return (log_factorial(n) - log_factorial(k) - log_factorial(n - k)) / std::numbers::ln2;
}

// The two atoms of the text, (2, 2), as columns: their product is 0.9.
inline Tensor<double> close_atoms() { return Tensor<double>({2, 2}, {1, 0.9, 0, std::sqrt(0.19)}); }

// A point, (1, 2), whose products with these are 1 and 0.95.
inline Tensor<double> between_close_atoms() {
  return Tensor<double>({1, 2}, {1, 0.05 / std::sqrt(0.19)});
}

// 64 bumps of 32 samples as unit columns, (32, 64): Gaussians of width 2 at 0, 0.5, ..., 31.5.
inline Tensor<double> bumps() {
  Tensor<double> atoms({32, 64});
  for (Index i = 0; i < 32; ++i)
    for (Index j = 0; j < 64; ++j) {
      const double distance = static_cast<double>(i) - 0.5 * static_cast<double>(j);
      atoms.set({i, j}, std::exp(-distance * distance / 8));
    }
  make_columns_unit(atoms);
  return atoms;
}

// Bump 10 and half of bump 40, (1, 32).
inline Tensor<double> two_bumps() {
  Tensor<double> h({1, 64});
  h.set({0, 10}, 1);
  h.set({0, 40}, 0.5);
  return matmul_nt(h, bumps());
}

// ---- The star ----------------------------------------------------------------------------------

// `rays` of three directions at 120 degrees, beginning at `turn` degrees from the vertical, as
// columns (2, rays).
inline Tensor<double> directions(double turn, Index rays = 3) {
  Tensor<double> result({2, rays});
  for (Index k = 0; k < rays; ++k) {
    const double angle = (90 + turn + 120 * static_cast<double>(k)) * std::numbers::pi / 180;
    result.set({0, k}, std::cos(angle));
    result.set({1, k}, std::sin(angle));
  }
  return result;
}

// 100 points along each of the three directions, at distances 0.505, 0.515, ..., 1.495 from 0:
// (300, 2).
inline Tensor<double> star() {
  Tensor<double> amplitudes({300, 3});
  for (Index ray = 0; ray < 3; ++ray)
    for (Index i = 0; i < 100; ++i)
      amplitudes.set({100 * ray + i, ray}, 0.505 + 0.01 * static_cast<double>(i));
  return matmul_nt(amplitudes, directions(0));
}

// The mean over the star of the least objective with these atoms (2, K) and codes that are not
// negative.
inline double star_objective(const Tensor<double>& atoms, double price) {
  const Tensor<double> x = star();
  const Lasso<double> lasso(x, atoms, price, true);
  return mean(lasso.objective(lasso.fista(Tensor<double>({300, atoms.extent(1)}), 2000))).item();
}

// The same on paper, for the three directions turned by 0 to 60 degrees. A point at distance a has
// the products c = a (cos turn, cos(120 - turn)) with its two nearest atoms, whose own product is
// -1/2. Either the nearer one alone has a number, or both: G h = c - price / 2, as long as no h is
// negative; the objective is then a^2 - (c - price / 2)^T h.
inline double turned_star_objective(double turn, double price) {
  const double near = std::cos(turn * std::numbers::pi / 180);
  const double far = std::cos((120 - turn) * std::numbers::pi / 180);
  double total = 0;
  for (int i = 0; i < 100; ++i) {
    const double a = 0.505 + 0.01 * i;
    const double c = a * near - price / 2;
    const double d = a * far - price / 2;
    const double h = (c + d / 2) * 4 / 3;
    const double other = (d + c / 2) * 4 / 3;
    total += a * a - (other > 0 ? c * h + d * other : c * c);
  }
  return total / 100;
}

// So many images are computed with at a time: what that needs of memory is kept for the next ones.
inline constexpr Index kAtOnce = 1024;

// ---- Codes of images ---------------------------------------------------------------------------

// All codes of images (N, D), as (N, K), computed part by part.
template <class T> Tensor<T> codes_of(const SparseAutoencoder<T>& model, const Tensor<T>& images) {
  const Index units = model.atoms().extent(1);
  Tensor<T> codes({images.extent(0), units});
  T* to = codes.mutable_data();
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Tensor<T> part = model.encode(x).value();
        to = std::copy(part.begin(), part.end(), to);
      },
      kAtOnce);
  return codes;
}

// Of codes (N, K) that are 0 or above.
struct Counts {
  double nonzero;  // numbers of a code that are not exactly 0, on average
  Index dead;      // units that are 0 in every code
  double sum;      // of the numbers of a code, on average
};

template <class T> Counts counts_of(const Tensor<T>& codes) {
  Counts counts{0, 0, 0};
  const Index n = codes.extent(0);
  std::vector<bool> alive(codes.extent(1));
  Index nonzero = 0;
  const T* h = codes.data();
  for (Index i = 0; i < n; ++i)
    for (std::size_t k = 0; k < alive.size(); ++k, ++h) {
      if (*h == 0) continue;
      ++nonzero;
      counts.sum += *h;
      alive[k] = true;
    }
  counts.nonzero = static_cast<double>(nonzero) / static_cast<double>(n);
  counts.sum /= static_cast<double>(n);
  counts.dead = std::count(alive.begin(), alive.end(), false);
  return counts;
}

// The mean squared error of a pixel of images (N, D) from their codes (N, K).
template <class T>
double error_from_codes(const SparseAutoencoder<T>& model, const Tensor<T>& codes,
                        const Tensor<T>& images) {
  double total = 0;
  Index begin = 0;
  in_parts(
      images,
      [&](const Tensor<T>& x) {
        const Tensor<T> h = slice(codes, 0, begin, begin + x.extent(0));
        total += sum(square(model.decode(h).value() - x)).item();
        begin += x.extent(0);
      },
      kAtOnce);
  return total / static_cast<double>(images.size());
}

// For images x (N, D) less the decoder's bias, the numbers that make their error least, if each
// keeps the units that its code (N, K) has and the atoms (D, K) stay: by least squares.  (N, K)
inline Tensor<double> refit(const Tensor<double>& x, const Tensor<double>& codes,
                            const Tensor<double>& atoms) {
  const Tensor<double> rows = transpose(atoms);  // (K, D)
  Tensor<double> result(codes.shape());
  for (Index n = 0; n < x.extent(0); ++n) {
    std::vector<Index> units;
    for (Index k = 0; k < codes.extent(1); ++k)
      if (codes(n, k) != 0) units.push_back(k);
    if (units.empty()) continue;
    const Index count = std::ssize(units);
    const Tensor<double> own = gather_rows(rows, units);  // (count, D)
    // A hair of a ridge, for atoms that depend on each other.
    const Tensor<double> gram = matmul_nt(own, own) + 1e-9 * identity<double>(count);
    const Tensor<double> along = matmul_nt(own, slice(x, 0, n, n + 1)).reshape({count});
    const Tensor<double> h = solve_spd(gram, along);
    for (Index i = 0; i < count; ++i) result.set({n, units[i]}, h(i));
  }
  return result;
}

// A unit, and the examples at which it is largest.
struct Unit {
  Index index;
  std::vector<Index> strongest;  // the largest first
  double purity;                 // the share of these that are of their commonest class
};

// The units that are not 0 at `count` examples or more, with their `count` strongest ones, for
// codes (N, K) of examples with these labels.
template <class T>
std::vector<Unit> units_of(const Tensor<T>& codes, const std::vector<Index>& labels,
                           Index count = 20) {
  const Index n = codes.extent(0);
  std::vector<Unit> units;
  std::vector<T> h(n);  // of one unit
  std::vector<Index> order(n);
  for (Index k = 0; k < codes.extent(1); ++k) {
    for (Index i = 0; i < n; ++i) h[i] = codes.data()[i * codes.extent(1) + k];
    if (std::count_if(h.begin(), h.end(), [](T v) { return v != 0; }) < count) continue;
    std::iota(order.begin(), order.end(), Index{0});
    std::partial_sort(order.begin(), order.begin() + count, order.end(),
                      [&h](Index a, Index b) { return h[a] != h[b] ? h[a] > h[b] : a < b; });
    Unit unit{k, {order.begin(), order.begin() + count}, 0};
    Index commonest = 0;
    for (Index i : unit.strongest) {
      const auto same = [&](Index j) { return labels[j] == labels[i]; };
      const Index own = std::count_if(unit.strongest.begin(), unit.strongest.end(), same);
      commonest = std::max(commonest, own);
    }
    unit.purity = static_cast<double>(commonest) / static_cast<double>(count);
    units.push_back(std::move(unit));
  }
  return units;
}

// The share of units at least 95 % of whose strongest examples are of one class.
inline double share_of_pure(const std::vector<Unit>& units) {
  const auto pure = [](const Unit& unit) { return unit.purity >= 0.95; };
  return static_cast<double>(std::count_if(units.begin(), units.end(), pure)) /
         static_cast<double>(std::max<std::size_t>(units.size(), 1));
}

// ---- PCA ---------------------------------------------------------------------------------------

// PCA in double, of images (N, D) in float: part by part, as a copy of all in double takes twice
// their memory.
inline Pca<double> fit_pca_in_parts(const Tensor<float>& images) {
  const Index pixels = images.extent(1);
  const double n = static_cast<double>(images.extent(0));
  Tensor<double> mean({pixels});
  Tensor<double> covariance({pixels, pixels});
  const auto add = [&](const Tensor<float>& x) { mean += sum(cast<double>(x), {0}) / n; };
  in_parts(images, add, kAtOnce);
  in_parts(
      images,
      [&](const Tensor<float>& x) {
        const Tensor<double> centred = cast<double>(x) - mean;
        covariance += matmul_tn(centred, centred) / n;
      },
      kAtOnce);
  const auto [values, vectors] = symmetric_eigen(covariance);
  return {mean, vectors, values};
}

// The mean squared errors of a pixel when k = 0, 1, ..., D of PCA's coordinates are kept: the same
// first k for all images, and, for each image, its k largest.
struct PcaErrors {
  std::vector<double> first, largest;
};

template <class T> PcaErrors pca_errors(const Pca<double>& pca, const Tensor<T>& images) {
  const Index pixels = images.extent(1);
  PcaErrors errors{std::vector<double>(pixels + 1), std::vector<double>(pixels + 1)};
  std::vector<double> row(pixels);
  // What is left without the numbers before k, added to errors[k].
  const auto add = [&](std::vector<double>& sums) {
    double left = 0;
    for (Index k = pixels - 1; k >= 0; --k) {
      left += row[k];
      sums[k] += left;
    }
  };
  in_parts(
      images,
      [&](const Tensor<T>& part) {
        const Tensor<double> squares = square(pca.encode(cast<double>(part), pixels));
        for (Index n = 0; n < part.extent(0); ++n) {
          std::copy_n(squares.data() + n * pixels, pixels, row.begin());
          add(errors.first);
          std::sort(row.begin(), row.end(), std::greater<double>());
          add(errors.largest);
        }
      },
      kAtOnce);
  for (auto* sums : {&errors.first, &errors.largest})
    for (double& e : *sums) e /= static_cast<double>(images.size());
  return errors;
}

// The error with k of them, or with all where there are fewer.
inline double error_with(Index k, const std::vector<double>& errors) {
  return errors[std::min(k, std::ssize(errors) - 1)];
}

// The first k whose error is at most this.
inline Index components_needed(const std::vector<double>& errors, double error) {
  const auto found =
      std::find_if(errors.begin(), errors.end(), [error](double e) { return e <= error; });
  return found - errors.begin();
}

// The mean over images (N, D) of |x - D h|^2 + price |h|_1 for PCA's D axes as atoms, with the best
// h: as the axes are orthonormal, each coordinate is thresholded by itself.
template <class T>
double pca_objective(const Pca<double>& pca, const Tensor<T>& images, double price) {
  double total = 0;
  in_parts(
      images,
      [&](const Tensor<T>& part) {
        const Tensor<double> along = pca.encode(cast<double>(part), part.extent(1));
        const Tensor<double> h = soft_threshold(along, price / 2);
        total += sum(square(along - h) + price * abs(h)).item();
      },
      kAtOnce);
  return total / static_cast<double>(images.extent(0));
}

}  // namespace gradus::lesson07
