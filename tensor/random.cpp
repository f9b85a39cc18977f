// Compiled without fused multiply-add (see CMakeLists.txt), so that every platform rounds alike.
#include "tensor/random.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <limits>
#include <locale>
#include <numeric>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tensor/error.hpp"

namespace gradus {
namespace {
// ln x for 0 < x <= 1: x = m 2^e, ln m = 2 artanh((m - 1) / (m + 1)) by its series.
// The C library's log differs between platforms in the last bit.
double portable_log(double x) {
  int e = 0;
  double m = std::frexp(x, &e);
  if (m < 0.70710678118654752) {  // sqrt(1/2)
    m *= 2;
    --e;
  }

  const double s = (m - 1) / (m + 1);  // |s| < 0.172
  const double s2 = s * s;
  double series = 0;
  for (int k = 23; k >= 1; k -= 2) series = series * s2 + 1.0 / k;
  return e * 0.69314718055994531 + 2 * s * series;
}

// c[0] + c[1] x + ... + c[7] x^7, by Horner's rule.
double polynomial(const double (&c)[8], double x) {
  double y = 0;
  for (int k = 7; k >= 0; --k) y = y * x + c[k];
  return y;
}

// The numerators and denominators of AS 241's three rational approximations.
// clang-format off
constexpr double kA[8] = {3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
    1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4,
    3.3430575583588128105e4, 2.5090809287301226727e3};
constexpr double kB[8] = {1.0, 4.2313330701600911252e1, 6.8718700749205790830e2,
    5.3941960214247511077e3, 2.1213794301586595867e4, 3.9307895800092710610e4,
    2.8729085735721942674e4, 5.2264952788528545610e3};
constexpr double kC[8] = {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
    3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1,
    2.27238449892691845833e-2, 7.74545014278341407640e-4};
constexpr double kD[8] = {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0,
    6.89767334985100004550e-1, 1.48103976427480074590e-1, 1.51986665636164571966e-2,
    5.47593808499534494600e-4, 1.05075007164441684324e-9};
constexpr double kE[8] = {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0,
    2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3,
    2.71155556874348757815e-5, 2.01033439929228813265e-7};
constexpr double kF[8] = {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1,
    1.48753612908506148525e-2, 7.86869131145613259100e-4, 1.84631831751005468180e-5,
    1.42151175831644588870e-7, 2.04426310338993978564e-15};

// clang-format on

// Uniform where low + (high - low) u does not do: the sum was rounded up to high, or the difference
// overflows, or low == high. Throws Error when there is no interval of finite numbers.
double careful_uniform(double low, double high, double u) {
  if (!(low <= high && std::isfinite(low) && std::isfinite(high)))
    fail("Rng::uniform: [{}, {}) is not an interval of finite numbers", low, high);

  return std::clamp(low * (1 - u) + high * u, low, std::nextafter(high, low));
}

// Room for `count` of them. The standard library has two words for that there is not so much.
std::vector<Index> indices(const char* operation, Index count) {
  try {
    return std::vector<Index>(count);
  } catch (const std::exception&) {
    fail("{}: out of memory: {} indices of {} bytes were asked for", operation, count,
         sizeof(Index));
  }
}
}  // namespace

double normal_quantile(double p) {
  if (!(p >= 0 && p <= 1)) fail("normal_quantile: {} is not a probability", p);

  const double q = p - 0.5;
  if (std::fabs(q) <= 0.425) {
    const double r = 0.180625 - q * q;
    return q * polynomial(kA, r) / polynomial(kB, r);
  }

  const double tail = q < 0 ? p : 1 - p;
  if (tail == 0) return q < 0 ? -HUGE_VAL : HUGE_VAL;
  const double r = std::sqrt(-portable_log(tail));
  const double x = r <= 5 ? polynomial(kC, r - 1.6) / polynomial(kD, r - 1.6)
                          : polynomial(kE, r - 5) / polynomial(kF, r - 5);
  return q < 0 ? -x : x;
}

double Rng::uniform(double low, double high) {
  const double u = static_cast<double>(engine_() >> 11) * 0x1p-53;
  const double x = low + (high - low) * u;
  // An end that is NaN or infinite makes one of these comparisons false.
  return low <= high && x < high ? x : careful_uniform(low, high, u);
}

// Inverse transform sampling: the quantile function of a uniform number. That is halfway between
// two steps of 2^-52, so that neither 0 nor 1 occurs.
double Rng::normal() {
  return normal_quantile((static_cast<double>(engine_() >> 12) + 0.5) * 0x1p-52);
}

// By rejection: the 2^64 numbers that the engine gives are cut into runs of n. A number from the
// last, incomplete run, which would favour small results, is drawn again.
Index Rng::integer(Index n) {
  if (n <= 0) fail("Rng::integer: n = {}; it must be positive", n);

  const std::uint64_t range = static_cast<std::uint64_t>(n);
  const std::uint64_t excess = -range % range;  // 2^64 modulo n
  std::uint64_t x = engine_();
  while (x > std::numeric_limits<std::uint64_t>::max() - excess) x = engine_();
  return static_cast<Index>(x % range);
}

template <class T> Tensor<T> Rng::uniform(const Shape& shape, double low, double high) {
  // Rounding to T may give `high` itself: then the largest T below it is taken.
  const T largest = std::nextafter(T(high), T(low));
  Tensor<T> x(shape);
  T* z = x.mutable_data();
  for (Index i = 0; i < x.size(); ++i) z[i] = std::min(static_cast<T>(uniform(low, high)), largest);
  return x;
}

template <class T> Tensor<T> Rng::normal(const Shape& shape) {
  Tensor<T> x(shape);
  T* z = x.mutable_data();
  for (Index i = 0; i < x.size(); ++i) z[i] = static_cast<T>(normal());
  return x;
}

std::vector<Index> Rng::integers(Index count, Index n) {
  if (count < 0) fail("Rng::integers: count = {} is negative", count);
  std::vector<Index> result = indices("Rng::integers", count);
  for (Index& i : result) i = integer(n);
  return result;
}

// Shuffles as Fisher and Yates do: each place, from the last, gets one of those that are left.
std::vector<Index> Rng::permutation(Index n) {
  if (n < 0) fail("Rng::permutation: n = {} is negative", n);
  std::vector<Index> result = indices("Rng::permutation", n);
  std::iota(result.begin(), result.end(), Index{0});
  for (Index i = n - 1; i > 0; --i) std::swap(result[i], result[integer(i + 1)]);
  return result;
}

std::string Rng::state() const {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << engine_;
  return out.str();
}

void Rng::restore(const std::string& state) {
  std::istringstream in(state);
  in.imbue(std::locale::classic());
  std::mt19937_64 engine;
  in >> engine;
  const bool has_state = !in.fail();
  in >> std::ws;
  if (!has_state || !in.eof()) fail("Rng::restore: the text is not a state that Rng::state gave");
  engine_ = engine;
}

#define GRADUS_INSTANTIATE(T)                                       \
  template Tensor<T> Rng::uniform<T>(const Shape&, double, double); \
  template Tensor<T> Rng::normal<T>(const Shape&);

GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)
}  // namespace gradus
