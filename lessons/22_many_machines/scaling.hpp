#pragma once
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

// What time a step takes on P machines: a model with four numbers.
//
//     B examples in a minibatch, N in an epoch, n bytes in an all-reduce, P machines
namespace gradus::lesson22 {

// A message of n bytes takes latency + n * per_byte seconds.
struct Network {
  std::string name = {};
  double latency = 0;   // seconds
  double per_byte = 0;  // seconds
};

// An all-reduce of n bytes in a ring of P machines: 2 (P - 1) messages one after another, each of
// n / P bytes (Patarasuk and Yuan 2009).
inline double ring_seconds(const Network& network, double bytes, double machines) {
  const double messages = 2 * (machines - 1);
  return messages * (network.latency + bytes / machines * network.per_byte);
}

// A step on one machine takes `fixed` seconds, whatever its share, and `per_example` for each
// example of it.
struct Machine {
  double fixed, per_example;  // seconds
};

// One step of P machines on a minibatch of B examples.
inline double step_seconds(const Machine& machine, const Network& network, double bytes,
                           double batch, double machines) {
  return machine.fixed + machine.per_example * batch / machines +
         ring_seconds(network, bytes, machines);
}

// An epoch of N examples; the last step counts by its part.
inline double epoch_seconds(const Machine& machine, const Network& network, double bytes,
                            double examples, double batch, double machines) {
  return examples / batch * step_seconds(machine, network, bytes, batch, machines);
}

// The number of machines (not a whole one) by which a step on B examples is fastest:
//     d/dP (c B / P + 2 (P - 1) latency + 2 (1 - 1/P) n per_byte)
//         = -(c B - 2 n per_byte) / P^2 + 2 latency = 0
// and 1 where the network takes longer than what the machines save.
inline double best_machines(const Machine& machine, const Network& network, double bytes,
                            double batch) {
  const double saved = machine.per_example * batch - 2 * bytes * network.per_byte;
  return saved <= 2 * network.latency ? 1 : std::sqrt(saved / (2 * network.latency));
}

// y = a + b x
struct Line {
  double at_zero, slope;
};

// The line for which the squares of (a + b x_i - y_i) / y_i have the least sum: errors count as
// parts of what was measured, so that short times count as much as long ones.
inline Line fit_line(const std::vector<double>& x, const std::vector<double>& y) {
  double w = 0;
  double wx = 0;
  double wy = 0;
  double wxx = 0;
  double wxy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double weight = 1 / (y[i] * y[i]);
    w += weight;
    wx += weight * x[i];
    wy += weight * y[i];
    wxx += weight * x[i] * x[i];
    wxy += weight * x[i] * y[i];
  }
  const double slope = (w * wxy - wx * wy) / (w * wxx - wx * wx);
  return {(wy - slope * wx) / w, slope};
}

// The network by which rings of P machines take a + b n seconds for n bytes.
inline Network network_of(const std::string& name, const Line& line, double machines) {
  const double messages = 2 * (machines - 1);
  return {name, line.at_zero / messages, line.slope * machines / messages};
}

}  // namespace gradus::lesson22
