#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "lessons/11_elbo/model.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"

// Other ways to what the tape finds in a hidden Markov model, and the two older ways to a posterior
// that is out of reach: many mean fields at once, and Gibbs sampling.
//
//     T steps, K states, V symbols, S starts
namespace gradus::lesson11 {

// ---- Forward and backward, written out ---------------------------------------------------------

// The forward and backward probabilities, each step divided by its sum: (1, K) for each t.
template <class T> struct Messages { std::vector<Tensor<T>> forward, backward; };

template <class T> Tensor<T> normalized(const Tensor<T>& x) { return x / sum(x); }

template <class T> Messages<T> messages(const Hmm<T>& hmm, const Tensor<T>& scores) {
  const Index n = scores.extent(0);
  const Tensor<T> transition = exp(hmm.log_transition.value());
  const Tensor<T> emission = exp(scores);
  auto row = [&](Index t) { return slice(emission, 0, t, t + 1); };

  Messages<T> m{std::vector<Tensor<T>>(n), std::vector<Tensor<T>>(n)};
  m.forward[0] = normalized(exp(hmm.log_start.value()) * row(0));
  for (Index t = 1; t < n; ++t)
    m.forward[t] = normalized(matmul(m.forward[t - 1], transition) * row(t));
  m.backward[n - 1] = full<T>(row(0).shape(), 1);
  for (Index t = n - 2; t >= 0; --t)
    m.backward[t] = normalized(matmul_nt(m.backward[t + 1] * row(t + 1), transition));
  return m;
}

// P(z_t = k | x) by the forward-backward algorithm (Rabiner 1989, equations 19 to 27).   (T, K)
template <class T> Tensor<T> forward_backward(const Hmm<T>& hmm, const Tensor<T>& scores) {
  const Messages<T> m = messages(hmm, scores);
  std::vector<Tensor<T>> posterior;
  for (std::size_t t = 0; t < m.forward.size(); ++t)
    posterior.push_back(normalized(m.forward[t] * m.backward[t]));
  return concatenate(posterior);
}

// One step of Baum and Welch by their re-estimation formulas (Rabiner 1989, equations 37 to 40):
//     gamma_t(i) = P(z_t = i | x),  xi_t(i, j) = P(z_t = i, z_t+1 = j | x),
//     start = gamma_1,  a_ij = sum_t xi_t(i, j) / sum_t gamma_t(i)  over t = 1, ..., T - 1,
//     b_i(v) = sum of gamma_t(i) over the t with x_t = v, over the sum of all.
template <class T> Hmm<T> baum_welch(const Hmm<T>& hmm, const std::vector<Index>& seen) {
  const Tensor<T> scores = hmm.scores(seen).value();
  const Messages<T> m = messages(hmm, scores);
  const Tensor<T> gamma = forward_backward(hmm, scores);  // (T, K)
  const Tensor<T> transition = exp(hmm.log_transition.value());
  const Index n = scores.extent(0);
  const Index k = scores.extent(1);
  Tensor<T> pairs({k, k});
  for (Index t = 0; t + 1 < n; ++t) {
    const Tensor<T> after = exp(slice(scores, 0, t + 1, t + 2)) * m.backward[t + 1];  // (1, K)
    pairs += normalized(transpose(m.forward[t]) * transition * after);
  }
  const Tensor<T> leaving = sum(slice(gamma, 0, 0, n - 1), {0}).reshape({k, 1});
  const Tensor<T> shown =
      scatter_add_rows(gamma, std::span<const Index>(seen), hmm.log_emission.shape()[0]);  // (V, K)
  return {log(slice(gamma, 0, 0, 1).reshape({k})), log(pairs / leaving),
          log(shown / sum(gamma, {0}))};
}

// ---- By brute force, over all paths ------------------------------------------------------------

// P(z_t = k | x) from ln p(x, z) of all K^T paths: the probabilities of those that are in k at t,
// added up.   (T, K)
template <class T>
Tensor<T> marginals_of_paths(const Tensor<T>& log_joint, Index steps, Index states) {
  const Tensor<T> path = exp(log_joint - logsumexp(log_joint));
  std::vector<Tensor<T>> rows;
  Index before = 1;  // the number of ways to the state at t
  for (Index t = 0; t < steps; ++t) {
    rows.push_back(sum(path.reshape({before, states, -1}), {0, 2}).reshape({1, states}));
    before *= states;
  }
  return concatenate(rows);
}

// ln q(z) of each of the K^T paths for a q of independent steps.   (T, K) -> (K^T)
template <class T> Tensor<T> log_paths_of(const Tensor<T>& q) {
  Tensor<T> table = Tensor<T>({1});
  for (Index t = 0; t < q.extent(0); ++t)
    table = (table.reshape({-1, 1}) + log(slice(q, 0, t, t + 1))).reshape({-1});
  return table;
}

// ---- Factoring: mean fields from many starts ---------------------------------------------------

// A resting place of coordinate ascent, and how many of the starts came to it.
template <class T> struct Maximum {
  Tensor<T> q;  // (T, K)
  T elbo;       // nats
  Index starts;
};

// All starts at once, by the equations that `Hmm::improve` solves one at a time:
//     q_t = softmax(scores_t + q_t-1 ln A + q_t+1 (ln A)^T), with ln start in place of q_0 ln A.
// `q` holds each step's S rows; it is swept until nothing moves.   T > 1 times (S, K)
template <class T>
void settle(const Hmm<T>& hmm, const Tensor<T>& scores, std::vector<Tensor<T>>& q) {
  const Tensor<T> stay = hmm.log_transition.value();
  const Index n = std::ssize(q);
  T moved = 1;
  for (int sweep = 0; sweep < 5000 && moved > 1e-13; ++sweep) {
    moved = 0;
    for (Index t = 0; t < n; ++t) {
      Tensor<T> g = slice(scores, 0, t, t + 1) +
                    (t > 0 ? matmul(q[t - 1], stay) : hmm.log_start.value().reshape({1, -1}));
      if (t + 1 < n) g = g + matmul_nt(q[t + 1], stay);
      const Tensor<T> best = softmax(Var<T>(g)).value();
      moved = std::max(moved, max(abs(best - q[t])).item());
      q[t] = best;
    }
  }
}

// The different resting places of mean fields from `starts` random beginnings, the best first. Two
// are one when no probability differs by 1e-4.
template <class T>
std::vector<Maximum<T>> mean_field_maxima(const Hmm<T>& hmm, const Tensor<T>& scores, Index starts,
                                          Rng& rng) {
  const Index n = scores.extent(0);
  const Index k = scores.extent(1);
  std::vector<Tensor<T>> q;
  for (Index t = 0; t < n; ++t)
    q.push_back(softmax(Var<T>(T(2) * rng.normal<T>({starts, k}))).value());
  settle(hmm, scores, q);

  std::vector<Maximum<T>> maxima;
  for (Index s = 0; s < starts; ++s) {
    std::vector<Tensor<T>> rows;
    for (const Tensor<T>& all : q) rows.push_back(slice(all, 0, s, s + 1));
    const Tensor<T> rest = concatenate(rows);  // (T, K)
    auto is_rest = [&](const Maximum<T>& m) { return max(abs(m.q - rest)).item() < 1e-4; };
    const auto known = std::find_if(maxima.begin(), maxima.end(), is_rest);
    if (known != maxima.end())
      ++known->starts;
    else
      maxima.push_back({rest, hmm.mean_field_elbo(rest, scores).item(), 1});
  }
  std::sort(maxima.begin(), maxima.end(),
            [](const Maximum<T>& a, const Maximum<T>& b) { return a.elbo > b.elbo; });
  return maxima;
}

// ---- Sampling: Gibbs ---------------------------------------------------------------------------

// One of K states, drawn with the weights w(0), ..., w(K - 1).
template <class F> Index draw(Index states, F weight, Rng& rng) {
  double total = 0;
  for (Index k = 0; k < states; ++k) total += weight(k);
  double left = rng.uniform() * total;
  Index k = 0;
  while (k < states - 1) {
    left -= weight(k);
    if (left < 0) break;
    ++k;
  }
  return k;
}

// A hidden path and what it shows, of T steps.
struct Story {
  std::vector<Index> hidden, seen;
};

template <class T> Story tell(const Hmm<T>& hmm, Index steps, Rng& rng) {
  const Tensor<T> start = exp(hmm.log_start.value());
  const Tensor<T> transition = exp(hmm.log_transition.value());
  const Tensor<T> emission = exp(hmm.log_emission.value());
  Story story;
  for (Index t = 0; t < steps; ++t) {
    const Index before = t > 0 ? story.hidden.back() : 0;
    auto next = [&](Index k) { return t > 0 ? transition(before, k) : start(k); };
    const Index state = draw(start.size(), next, rng);
    auto shown = [&](Index v) { return emission(v, state); };
    story.hidden.push_back(state);
    story.seen.push_back(draw(emission.extent(0), shown, rng));
  }
  return story;
}

// Gibbs sampling (Geman and Geman 1984): each state in turn is drawn anew from its probabilities
// given its neighbours and what was seen. In the long run the paths come as from the posterior.
class Gibbs {
 public:
  Gibbs(const Hmm<double>& hmm, const Tensor<double>& scores)
      : start_(exp(hmm.log_start.value())),
        transition_(exp(hmm.log_transition.value())),
        emission_(exp(scores)) {}

  // Draws each state of the path once.
  void sweep(std::vector<Index>& path, Rng& rng) const {
    const Index n = std::ssize(path);
    for (Index t = 0; t < n; ++t) {
      auto weight = [&](Index k) {
        const double from = t > 0 ? transition_(path[t - 1], k) : start_(k);
        const double to = t + 1 < n ? transition_(k, path[t + 1]) : 1.0;
        return from * emission_(t, k) * to;
      };
      path[t] = draw(start_.size(), weight, rng);
    }
  }

 private:
  Tensor<double> start_, transition_, emission_;
};

// The probabilities with which one such sweep leads from path to path, from ln p(x, z) of all K^T
// paths: drawing z_t keeps to the paths that agree elsewhere.   (K^T, K^T)
inline Tensor<double> sweep_matrix(const Tensor<double>& log_joint, Index steps, Index states) {
  const Index n = log_joint.size();
  const Tensor<double> joint = exp(log_joint);
  Tensor<double> sweep = identity<double>(n);
  Index stride = n / states;  // between paths that differ by one state at t
  for (Index t = 0; t < steps; ++t) {
    Tensor<double> site({n, n});
    for (Index i = 0; i < n; ++i) {
      const Index first = i - i / stride % states * stride;
      double total = 0;
      for (Index k = 0; k < states; ++k) total += joint(first + k * stride);
      for (Index k = 0; k < states; ++k) {
        const Index j = first + k * stride;
        site.set({i, j}, joint(j) / total);
      }
    }
    sweep = matmul(sweep, site);
    stride /= states;
  }
  return sweep;
}

// The variance of the mean of f over n sweeps of a chain that starts in its stationary distribution
// p:  1/n (c_0 + 2 sum_k (1 - k / n) c_k),  with c_k = the covariance of f, k sweeps apart.
// p, f: (n paths), sweep: (n paths, n paths)
inline double variance_of_mean(const Tensor<double>& p, const Tensor<double>& f,
                               const Tensor<double>& sweep, Index n) {
  const Tensor<double> centred = (f - sum(p * f)).reshape({-1, 1});
  const Tensor<double> weighted = p.reshape({-1, 1}) * centred;
  Tensor<double> later = centred;
  double variance = sum(weighted * later).item();
  const double least = 1e-12 * variance;
  for (Index k = 1; k < n; ++k) {
    later = matmul(sweep, later);
    const double covariance = sum(weighted * later).item();
    if (std::abs(covariance) < least) break;
    const double share = 1 - static_cast<double>(k) / static_cast<double>(n);
    variance += 2 * share * covariance;
  }
  return variance / static_cast<double>(n);
}

}  // namespace gradus::lesson11
