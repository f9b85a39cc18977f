#include "autograd/tape.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <exception>
#include <iterator>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "autograd/elementwise.hpp"
#include "autograd/record.hpp"
#include "autograd/scope_exit.hpp"
#include "tensor/storage.hpp"

namespace gradus {
namespace {

template <class T> bool has_nan(const Tensor<T>& x) {
  return std::any_of(x.begin(), x.end(), [](T v) { return std::isnan(v); });
}

std::uint64_t new_tape_id() {
  static std::atomic<std::uint64_t> tapes_made{0};
  return ++tapes_made;
}

// A name inside of double quotes, as DOT wants it.
std::string escaped(const char* name) {
  std::string text;
  for (const char* c = name; *c; ++c) {
    if (*c == '"' || *c == '\\') text += '\\';
    text += *c;
  }
  return text;
}

// A line of a node's label in DOT; nothing where x is empty or has more than 4 elements.
template <class T> std::string label_line(const char* what, const Tensor<T>& x) {
  if (x.empty() || x.size() > 4) return "";
  std::string text = fmt::format("\\n{} =", what);
  for (T v : x) text += fmt::format(" {:.4g}", v);
  return text;
}

// Mutable, but behind a function, so that it is there whatever is initialised first.
std::set<std::string>& mutable_operation_names() {
  static std::set<std::string> names;
  return names;
}

}  // namespace

// ---- The names of operations -------------------------------------------------------------------

const std::set<std::string>& operation_names() { return mutable_operation_names(); }

const char* detail::enter_operation(const char* name) {
  mutable_operation_names().insert(name);
  return name;
}

// ---- Var and Parameter -------------------------------------------------------------------------

template <class T> void Var<T>::fail_for_tape() const {
  fail("a value of shape {} was recorded on a tape that is {}; use .value() for its numbers",
       shape(), Tape<T>::current_ ? "not the current one" : "gone, or of another thread");
}

template <class T> void Var<T>::fail_for_assignment() const {
  fail("parameter {}: it is not assigned to; use set_value", parameter_->name());
}

template <class T> Index Var<T>::node() const {
  check_tape();
  const Tape<T>* const tape = Tape<T>::current_;
  return tape ? tape->node_of(*this) : -1;
}

template <class T> void Var<T>::become_leaf_of(Parameter<T>& parameter) {
  Tape<T>* const tape = Tape<T>::current_;
  if (!tape || !tape->recording_) return;
  node_ = tape->find_or_add_leaf(parameter);
  tape_ = tape->id_;
}

template <class T>
Parameter<T>::Parameter(std::string name, Tensor<T> value)
    : Var<T>(std::move(value)), name_(std::move(name)) {
  this->parameter_ = this;
}

template <class T> void Parameter<T>::set_value(Tensor<T> value) {
  if (value.shape() != this->shape())
    fail("parameter {}: a value of shape {} does not fit its shape {}", name_, value.shape(),
         this->shape());
  this->value_ = std::move(value);
}

template <class T> void Parameter<T>::add_gradient(const Tensor<T>& gradient) {
  if (gradient.shape() != this->shape())
    fail("parameter {}: a gradient of shape {} does not fit its shape {}", name_, gradient.shape(),
         this->shape());
  if (grad.empty())
    grad = gradient;
  else
    grad += gradient;
}

// ---- Recording ---------------------------------------------------------------------------------

template <class T>
Tape<T>::Tape(TapeOptions options)
    : outer_(current_),
      id_(new_tape_id()),
      options_(options),
      nodes_(&recycled_memory),
      rule_memory_(&recycled_memory),
      edges_(&recycled_memory) {
  current_ = this;
}

template <class T> Tape<T>::~Tape() {
  if (current_ != this) {
    fmt::print(stderr,
               "Tape: it dies before one that was made later, or in another thread than the one "
               "that made it; tapes nest, so make each a local variable\n");
    std::terminate();
  }
  current_ = outer_;
}

template <class T> Var<T> Tape<T>::push(const char* name, Tensor<T>&& value, Inputs inputs) {
  if (options_.find_nan && has_nan(value))
    fail("{}: its result of shape {} (node {}) is the first to hold a NaN", name, value.shape(),
         nodes_.size());
  if (options_.keep_values) kept_.push_back({value, {}});
  Node& node = nodes_.emplace_back();
  node.name = name;
  node.shape = value.shape();
  node.edges = std::ssize(edges_);
  node.inputs = inputs;
  Var<T> z(std::move(value));
  z.tape_ = id_;
  z.node_ = size() - 1;
  return z;
}

template <class T> Index Tape<T>::find_leaf(Parameter<T>& parameter) const {
  const auto leaf = leaves_.find(&parameter);
  return leaf == leaves_.end() ? -1 : leaf->second;
}

template <class T> Index Tape<T>::find_or_add_leaf(Parameter<T>& parameter) {
  Index node = find_leaf(parameter);
  if (node < 0) {
    node = leaf(parameter.value_, parameter.name().c_str()).node_;
    leaves_.emplace(&parameter, node);
  }
  return node;
}

// Where the edges of a node end in edges_.
template <class T> Index Tape<T>::edges_end(Index node) const {
  return node + 1 < size() ? nodes_[node + 1].edges : std::ssize(edges_);
}

template <class T> std::span<const typename Tape<T>::Edge> Tape<T>::edges_of(Index node) const {
  const Index begin = nodes_[node].edges;
  return std::span(edges_).subspan(begin, edges_end(node) - begin);
}

// ---- Sweeping ----------------------------------------------------------------------------------

// Where the sweep begins: the node of y. Throws Error when there is no way to sweep from there.
template <class T> Index Tape<T>::node_to_sweep_from(const char* operation, const Var<T>& y) const {
  if (spent_)
    fail("{}: this tape's backward has been run; make a new Tape for each step", operation);
  if (y.value_.size() != 1)
    fail("{}: {} is no scalar, which alone has a gradient; take the sum or mean", operation,
         y.shape());
  if (current_ != this)
    fail("{}: another tape is the current one; tapes nest, and the innermost is used first",
         operation);
  const Index node = y.node();
  if (node < 0)
    fail("{}: the result is a constant: nothing that this tape recorded led to it", operation);
  return node;
}

// The gradient of y with respect to every node up to y's; of kBackward only those of leaves are
// left at the end.
template <class T>
typename Tape<T>::Gradients Tape<T>::sweep(const char* operation, const Var<T>& y, Sweep kind) {
  const Index last = node_to_sweep_from(operation, y);
  // The rules record only where the gradients are to be differentiated again. Afterwards the tape
  // records as before, unless this sweep has spent it.
  const bool recorded_before = recording_;
  const ScopeExit restore([this, recorded_before] { recording_ = recorded_before && !spent_; });
  recording_ = kind == Sweep::kCreateGraph;
  spent_ = kind == Sweep::kBackward;  // it was not before: node_to_sweep_from has seen to that

  Gradients gradients(last + 1, &recycled_memory);
  gradients[last] = full<T>(y.shape(), 1);
  for (Index node = last; node >= 0; --node) {
    if (gradients[node].value_.empty()) continue;
    if (options_.keep_values) kept_[node].gradient = gradients[node].value_;
    if (nodes_[node].inputs.count == 0) continue;  // a leaf keeps its gradient
    check_rules(operation, node);
    const Var<T> dz = spent_ ? std::move(gradients[node]) : gradients[node];
    pass_on(operation, node, dz, gradients);
  }
  return gradients;
}

// Throws Error when an input of a node needs a gradient and has no rule: it would silently be zero.
template <class T> void Tape<T>::check_rules(const char* operation, Index node) const {
  const Index rules = edges_end(node) - nodes_[node].edges;
  const int due = nodes_[node].inputs.need_gradient;
  if (rules != due)
    fail("{}: '{}' has {} rules for the {} inputs that need a gradient; is an add_rule missing?",
         operation, nodes_[node].name, rules, due);
}

// Sends dz, the gradient with respect to a node, on to the node's inputs, and lets go what a rule
// captured when this was its last use. The rules may record, so nothing that points into the tape's
// lists is held across them.
template <class T>
void Tape<T>::pass_on(const char* operation, Index node, const Var<T>& dz, Gradients& gradients) {
  const Index end = edges_end(node);
  for (Index e = nodes_[node].edges; e < end; ++e) {
    Var<T> dx = (*edges_[e].rule)(dz);
    const Index input = edges_[e].input;
    if (dx.shape() != nodes_[input].shape) fail_for_shape(operation, node, input, dx);
    if (options_.find_nan) check_nan(operation, node, input, dx);
    accumulate(gradients[input], std::move(dx));
    if (options_.find_nan) check_nan(operation, node, input, gradients[input]);
    if (spent_) edges_[e].rule = nullptr;
  }
}

template <class T>
void Tape<T>::fail_for_shape(const char* operation, Index node, Index input,
                             const Var<T>& dx) const {
  fail("{}: the rule of '{}' gave {} for its input '{}' {}; is a sum_to missing?", operation,
       nodes_[node].name, dx.shape(), nodes_[input].name, nodes_[input].shape);
}

template <class T>
void Tape<T>::check_nan(const char* operation, Index node, Index input, const Var<T>& dx) const {
  if (has_nan(dx.value_))
    fail("{}: the first NaN is from the rule of '{}' (node {}, {}) for its input '{}' (node {})",
         operation, nodes_[node].name, node, nodes_[node].shape, nodes_[input].name, input);
}

// sum + dx, recorded when the sweep is, and otherwise in place.
template <class T> void Tape<T>::accumulate(Var<T>& sum, Var<T>&& dx) const {
  if (sum.value_.empty())
    sum = std::move(dx);
  else if (recording_)
    sum = sum + dx;
  else
    sum.value_ += dx.value_;
}

template <class T> void Tape<T>::backward(const Var<T>& loss) {
  const Gradients gradients = sweep("backward", loss, Sweep::kBackward);
  for (Edge& edge : edges_) edge.rule = nullptr;  // also where the loss does not depend on it
  for (const auto& [parameter, node] : leaves_) {
    const bool before_the_loss = node < std::ssize(gradients);
    if (before_the_loss && !gradients[node].value_.empty())
      parameter->add_gradient(gradients[node].value_);
  }
}

template <class T>
std::vector<Var<T>> gradient(const Var<T>& y, const std::vector<Var<T>>& xs,
                             GradientOptions options) {
  Tape<T>* const tape = Tape<T>::current_;
  if (!tape) fail("gradient: no tape is alive; make one before computing what to derive");
  using Sweep = typename Tape<T>::Sweep;
  const auto gradients =
      tape->sweep("gradient", y, options.create_graph ? Sweep::kCreateGraph : Sweep::kKeepGraph);

  std::vector<Var<T>> result;
  for (const Var<T>& x : xs) {
    const Index node = x.node();
    if (node < 0) fail("gradient: an input of shape {} is a constant to this tape", x.shape());
    const bool found = node < std::ssize(gradients) && !gradients[node].value().empty();
    result.push_back(found ? gradients[node] : Var<T>(Tensor<T>(x.shape())));
  }
  return result;
}

// ---- Showing what was recorded -----------------------------------------------------------------

template <class T> std::string Tape<T>::table() const {
  std::string text = fmt::format("{:>5}  {:<24} {:<16} inputs\n", "node", "operation", "shape");
  for (Index i = 0; i < size(); ++i) {
    text += fmt::format("{:>5}  {:<24} {:<16}", i, nodes_[i].name, nodes_[i].shape.str());
    std::vector<std::string> inputs;
    for (const Edge& edge : edges_of(i)) inputs.push_back(std::to_string(edge.input));
    inputs.resize(nodes_[i].inputs.count, "constant");
    if (!inputs.empty()) text += fmt::format(" {}", fmt::join(inputs, ", "));
    text += '\n';
  }
  return text;
}

template <class T> std::string Tape<T>::to_dot() const {
  const char* const leaf_style = ", style=filled, fillcolor=\"#dbe9f6\"";
  std::string text =
      "digraph tape {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (Index i = 0; i < size(); ++i) {
    const Kept kept = options_.keep_values ? kept_[i] : Kept();
    text +=
        fmt::format("  n{} [label=\"{} {}{}{}\"{}];\n", i, escaped(nodes_[i].name), nodes_[i].shape,
                    label_line("value", kept.value), label_line("gradient", kept.gradient),
                    edges_of(i).empty() ? leaf_style : "");
    for (const Edge& edge : edges_of(i)) text += fmt::format("  n{} -> n{};\n", edge.input, i);
  }
  return text + "}\n";
}

#define GRADUS_INSTANTIATE(T)  \
  template class Var<T>;       \
  template class Parameter<T>; \
  template class Tape<T>;      \
  template std::vector<Var<T>> gradient(const Var<T>&, const std::vector<Var<T>>&, GradientOptions);
GRADUS_INSTANTIATE(float)
GRADUS_INSTANTIATE(double)

}  // namespace gradus
