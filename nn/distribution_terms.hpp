#pragma once
#include <cmath>

#include "autograd/operations.hpp"
#include "autograd/record.hpp"
#include "tensor/map.hpp"
#include "tensor/math.hpp"

// Operations of which distributions are made, and in which probabilities of 0 and 1 do no harm.
namespace gradus::nn {

// z = v where p > 0, and 0 where p = 0   dv = dz where p > 0
template <class T> Var<T> where_possible(const Tensor<T>& p, const Var<T>& v) {
  auto select = [](T probability, T value) { return probability == 0 ? T(0) : value; };
  Var<T> z = record<"where_possible">(zip("where_possible", p, v.value(), select), v);
  if (v.needs_gradient())
    add_rule(z, v, [possible = not_equal(p, 0)](const Var<T>& dz) { return dz * possible; });
  return z;
}

// p v, what a case of probability p and value v adds to an expectation: nothing where p = 0, also
// where v is infinite.
template <class T> Var<T> share(const Var<T>& p, const Var<T>& v) {
  return p * where_possible(p.value(), v);
}

// z = r - 1 of a ratio r, from ln r   d ln r = dz r
//
// z comes from expm1, which keeps its digits where r is near 1. For the slope, r is taken as z + 1,
// off by at most a rounding of 1. That is good enough: the slope of the KL is r - 1, which has that
// error anyway.
template <class T> Var<T> ratio_minus_1(const Var<T>& log_r) {
  Var<T> z = record<"ratio_minus_1">(gradus::expm1(log_r.value()), log_r);
  if (log_r.needs_gradient()) add_rule(z, log_r, [z](const Var<T>& dz) { return dz * (z + 1); });
  return z;
}

// z = x ln sigmoid(l) + (1 - x) ln sigmoid(-l)   dx = dz l   dl = dz (x - sigmoid(l))
//
// For x from 0 to 1. That is x l - ln(1 + e^l). Where l is large and x near 1 these are nearly
// equal, and their difference would lose its digits: what is computed is
// l (x - [l > 0]) - ln(1 + e^-|l|), of which neither term is positive. The slope x - sigmoid(l) is
// off by at most a rounding of 1.
template <class T> Var<T> bernoulli_log_prob(const Var<T>& x, const Var<T>& l) {
  // In this form the compiler makes vector code of it, ten times as fast: the product stands
  // outside of the choice, and ln(1 + e^-|l|) is not written as a softplus, which has a choice of
  // its own.
  auto log_prob = [](T seen, T logit) {
    const T off = seen - (logit > 0 ? T(1) : T(0));
    const T product = logit * off;
    const T linear = off == 0 ? T(0) : product;  // 0 also where the logit is infinite
    return linear - math::log1p(math::exp(-std::fabs(logit)));
  };
  Var<T> z = record<"bernoulli_log_prob">(zip("Bernoulli", x.value(), l.value(), log_prob), x, l);
  if (x.needs_gradient())
    add_rule(z, x, [l, shape = x.shape()](const Var<T>& dz) { return sum_to(dz * l, shape); });
  if (l.needs_gradient())
    add_rule(z, l, [x, l, shape = l.shape()](const Var<T>& dz) {
      return sum_to(dz * x - dz * sigmoid(l), shape);
    });
  return z;
}

// ---- The continuous Bernoulli ------------------------------------------------------------------

// A(l) = ln((e^l - 1) / l), and its first and second derivatives: mean and variance of the density
// e^(l x - A(l)) on [0, 1].
//
// All are made from |l|, in which nothing overflows. For |l| < 1/2, where the closed forms cancel,
// they are sums of the series of A, whose coefficients are B_2k / (2k (2k)!) with the Bernoulli
// numbers B_2k (Abramowitz and Stegun 1964, 23.1). What is left out is less than 1e-13, so that the
// two forms meet to 1e-12 in double.
namespace continuous_bernoulli {
template <class T> constexpr T kSeriesBelow = T(0.5);

template <class T> T log_partition_of_series(T l) {
  const T q = l * l;
  T sum = T(1.0 / 479001600) - T(691.0 / 15692092416000) * q;
  sum = T(-1.0 / 9676800) + q * sum;
  sum = T(1.0 / 181440) + q * sum;
  sum = T(-1.0 / 2880) + q * sum;
  sum = T(1.0 / 24) + q * sum;
  return l / 2 + q * sum;
}

// ln p(x) = x l - A(l). For large l and x near 1 the two are nearly equal; what is computed is
// l (x - [l > 0]) - ln((1 - e^-|l|) / |l|).
template <class T> T log_prob(T x, T l) {
  const T size = std::fabs(l);
  const T off = x - (l > 0 ? T(1) : T(0));
  const T closed = l * off - math::log(-math::expm1(-size) / size);
  return size < kSeriesBelow<T> ? x * l - log_partition_of_series(l) : closed;
}

// A'(l) = 1 / (1 - e^-l) - 1 / l, and A'(-l) = 1 - A'(l)
template <class T> T mean(T l) {
  const T size = std::fabs(l);
  const T q = l * l;
  T sum = T(1.0 / 47900160) - T(691.0 / 1307674368000) * q;
  sum = T(-1.0 / 1209600) + q * sum;
  sum = T(1.0 / 30240) + q * sum;
  sum = T(-1.0 / 720) + q * sum;
  sum = T(1.0 / 12) + q * sum;
  const T series = T(0.5) + l * sum;
  const T e = math::exp(-size);
  const T rest = 1 / size - e / (1 - e);  // A'(-|l|)
  const T closed = l > 0 ? 1 - rest : rest;
  return size < kSeriesBelow<T> ? series : closed;
}

// A''(l) = 1 / l^2 - e^-|l| / (1 - e^-|l|)^2
template <class T> T variance(T l) {
  const T size = std::fabs(l);
  const T q = l * l;
  T sum = T(1.0 / 5322240) - T(7601.0 / 1307674368000) * q;
  sum = T(-1.0 / 172800) + q * sum;
  sum = T(1.0 / 6048) + q * sum;
  sum = T(-1.0 / 240) + q * sum;
  const T series = T(1.0 / 12) + q * sum;
  const T e = math::exp(-size);
  const T closed = (1 / size) / size - e / ((1 - e) * (1 - e));
  return size < kSeriesBelow<T> ? series : closed;
}
}  // namespace continuous_bernoulli

// z = A''(l)   dl = dz A'''(l)
//
// A'''(l) = e^-l (1 + e^-l) / (1 - e^-l)^3 - 2 / l^3, odd in l, is made of operations, so that all
// higher derivatives follow. Each of its two forms is given the logits for which it holds, and a
// harmless number in place of the others.
template <class T> Var<T> continuous_bernoulli_variance(const Var<T>& l) {
  auto variance = [](T logit) { return continuous_bernoulli::variance(logit); };
  Var<T> z = record<"continuous_bernoulli_variance">(map(l.value(), variance), l);
  if (!l.needs_gradient()) return z;
  add_rule(z, l, [l](const Var<T>& dz) {
    const Tensor<T> near = less(gradus::abs(l.value()), continuous_bernoulli::kSeriesBelow<T>);
    const Tensor<T> far = T(1) - near;
    const Tensor<T> sign = less(Tensor<T>(T(0)), l.value()) * T(2) - T(1);

    const Var<T> small = where_possible(near, l);
    const Var<T> q = square(small);
    Var<T> sum = -76010.0 / 1307674368000 + q * (156.0 / 74724249600);
    sum = 1.0 / 665280 + q * sum;
    sum = -1.0 / 28800 + q * sum;
    sum = 1.0 / 1512 + q * sum;
    sum = -1.0 / 120 + q * sum;
    const Var<T> series = where_possible(near, small * sum);

    const Var<T> size = where_possible(far, l) * sign + near;  // |l|, or 1
    const Var<T> e = exp(-size);
    const Var<T> rest = 1 - e;
    const Var<T> closed = e * (1 + e) / (rest * square(rest)) - 2 / (size * square(size));
    return dz * (series + where_possible(far, closed) * sign);
  });
  return z;
}

// z = A'(l)   dl = dz A''(l)
template <class T> Var<T> continuous_bernoulli_mean(const Var<T>& l) {
  auto mean = [](T logit) { return continuous_bernoulli::mean(logit); };
  Var<T> z = record<"continuous_bernoulli_mean">(map(l.value(), mean), l);
  if (l.needs_gradient())
    add_rule(z, l, [l](const Var<T>& dz) { return dz * continuous_bernoulli_variance(l); });
  return z;
}

// z = x l - A(l)   dx = dz l   dl = dz (x - A'(l))
template <class T> Var<T> continuous_bernoulli_log_prob(const Var<T>& x, const Var<T>& l) {
  auto log_prob = [](T seen, T logit) { return continuous_bernoulli::log_prob(seen, logit); };
  Var<T> z = record<"continuous_bernoulli_log_prob">(zip("ContinuousBernoulli", x.value(),
                                                         l.value(), log_prob),
                                                     x, l);
  if (x.needs_gradient())
    add_rule(z, x, [l, shape = x.shape()](const Var<T>& dz) { return sum_to(dz * l, shape); });
  if (l.needs_gradient())
    add_rule(z, l, [x, l, shape = l.shape()](const Var<T>& dz) {
      return sum_to(dz * x - dz * continuous_bernoulli_mean(l), shape);
    });
  return z;
}

}  // namespace gradus::nn
