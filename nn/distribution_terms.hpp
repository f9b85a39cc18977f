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

}  // namespace gradus::nn
