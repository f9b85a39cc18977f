#include "autograd/tape.hpp"

#include "autograd/operations.hpp"

namespace gradus {
namespace {
template <class T> bool has_nan(const Tensor<T>& x) {
  return std::any_of(x.begin(), x.end(), [](T v) { return std::isnan(v); });
}

std::atomic<std::uint64_t> tapes_made{0};
}  // namespace

template <class T> Index Var<T>::find_node() const {
  Tape<T>* const tape = Tape<T>::current_;
  if (parameter_) {
    if (!tape || !tape->recording_) return -1;
    auto leaf = tape->leaves_.find(parameter_);
    if (leaf == tape->leaves_.end()) {
      const Var node = tape->push(parameter_->name_.c_str(), value_);
      leaf = tape->leaves_.emplace(parameter_, node.node_).first;
    }
    return leaf->second;
  }
  if (!tape || tape->id_ != tape_)
    fail("a value of shape {} was recorded on a tape that is {}; use .value() for its numbers",
         shape(), tape ? "not the current one" : "gone");
  return tape->recording_ ? node_ : -1;
}

template <class T> void Var<T>::become_leaf_of(const Parameter<T>& parameter) {
  node_ = parameter.node();
  if (node_ >= 0) tape_ = Tape<T>::current_->id_;
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
template <class T> constinit thread_local Tape<T>* Tape<T>::current_ = nullptr;

template <class T>
Tape<T>::Tape(TapeOptions options) : outer_(current_), id_(++tapes_made), options_(options) {
  current_ = this;
}

template <class T> Var<T> Tape<T>::push(const char* name, Tensor<T> value) {
  if (options_.find_nan && has_nan(value))
    fail("{}: its result of shape {} (node {}) is the first to hold a NaN", name, value.shape(),
         nodes_.size());
  if (options_.keep_values) kept_.push_back({value, {}});
  Var<T> z(std::move(value));
  z.tape_ = id_;
  z.node_ = size();
  Node& node = nodes_.emplace_back();
  node.name = name, node.shape = z.shape(), node.edges = std::ssize(edges_);
  return z;
}

// The gradient of y with respect to every node up to y's; an empty one where there is none.
template <class T>
std::pmr::vector<Var<T>> Tape<T>::sweep(const char* operation, const Var<T>& y, Sweep kind) {
  if (spent_)
    fail("{}: this tape's backward has been run; make a new Tape for each step", operation);
  if (y.value_.size() != 1)
    fail("{}: {} is no scalar, which alone has a gradient; take the sum or mean", operation,
         y.shape());
  const Index last = y.node();
  if (last < 0)
    fail("{}: the result is a constant: nothing that this tape recorded led to it", operation);
  const bool free_behind = kind == Sweep::kBackward;
  const auto resume = [this](void*) { recording_ = !spent_; };
  const std::unique_ptr<void, decltype(resume)> guard(this, resume);
  recording_ = kind == Sweep::kCreateGraph;
  spent_ = free_behind;
  std::pmr::vector<Var<T>> gradients(last + 1, &recycled_memory);
  gradients[last] = full<T>(y.shape(), 1);
  for (Index i = last; i >= 0; --i) {
    if (gradients[i].value_.empty()) continue;
    if (options_.keep_values) kept_[i].second = gradients[i].value_;
    const Index first = nodes_[i].edges, end = first + std::ssize(edges_of(i));
    if (first == end) continue;
    const Var<T> dz = free_behind ? std::move(gradients[i]) : gradients[i];
    for (Index e = first; e < end; ++e) {
      Var<T> dx = (*edges_[e].rule)(dz);
      Edge<T>& edge = edges_[e];  // found only now, because the rule may have recorded
      const Node &node = nodes_[i], &input = nodes_[edge.input];
      if (dx.shape() != input.shape)
        fail("{}: the rule of '{}' gave {} for its input '{}' {}; is a sum_to missing?", operation,
             node.name, dx.shape(), input.name, input.shape);
      if (options_.find_nan && has_nan(dx.value_))
        fail(
            "{}: the first NaN is from the rule of '{}' (node {}, {}) for its input '{}' (node {})",
            operation, node.name, i, node.shape, input.name, edge.input);
      Var<T>& sum = gradients[edge.input];
      if (sum.value_.empty())
        sum = std::move(dx);
      else if (recording_)
        sum = sum + dx;
      else
        sum.value_ += dx.value_;
      if (free_behind) edge.rule = nullptr;
    }
  }
  return gradients;
}

template <class T> void Tape<T>::backward(const Var<T>& loss) {
  const std::pmr::vector<Var<T>> gradients = sweep("backward", loss, Sweep::kBackward);
  for (Edge<T>& edge : edges_) edge.rule = nullptr;  // also where the loss does not depend on it
  for (const auto& [p, node] : leaves_) {
    const Tensor<T> g = node < std::ssize(gradients) ? gradients[node].value_ : Tensor<T>();
    if (!g.empty()) p->grad.empty() ? p->grad = g : p->grad += g;
  }
}

template <class T>
std::vector<Var<T>> gradient(const Var<T>& y, const std::vector<Var<T>>& xs,
                             GradientOptions options) {
  if (!Tape<T>::current_)
    fail("gradient: no tape is alive; make one before computing what to derive");
  const auto kind =
      options.create_graph ? Tape<T>::Sweep::kCreateGraph : Tape<T>::Sweep::kKeepGraph;
  const std::pmr::vector<Var<T>> gradients = Tape<T>::current_->sweep("gradient", y, kind);
  std::vector<Var<T>> result;
  for (const Var<T>& x : xs) {
    const Index node = x.node();
    if (node < 0) fail("gradient: an input of shape {} is a constant to this tape", x.shape());
    const bool found = node < std::ssize(gradients) && !gradients[node].value().empty();
    result.push_back(found ? gradients[node] : Var<T>(Tensor<T>(x.shape())));
  }
  return result;
}

template <class T> std::string Tape<T>::table() const {
  std::string text = fmt::format("{:>5}  {:<24} {:<16} inputs\n", "node", "operation", "shape");
  for (Index i = 0; i < size(); ++i) {
    const Node& node = nodes_[i];
    text += fmt::format("{:>5}  {:<24} {:<16}", i, node.name, node.shape.str());
    const char* before = " ";
    for (const Edge<T>& edge : edges_of(i))
      text += std::exchange(before, ", ") + std::to_string(edge.input);
    text += '\n';
  }
  return text;
}

template <class T> std::string Tape<T>::to_dot() const {
  auto numbers = [&](const char* name, Index i, auto member) {  // of at most 4 elements
    std::string text;
    const Tensor<T> x = options_.keep_values ? kept_[i].*member : Tensor<T>();
    if (x.empty() || x.size() > 4) return text;
    text = fmt::format("\\n{} =", name);
    for (T v : x) text += fmt::format(" {:.4g}", v);
    return text;
  };
  std::string text =
      "digraph tape {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (Index i = 0; i < size(); ++i) {
    const Node& node = nodes_[i];
    std::string name;
    for (const char* c = node.name; *c; ++c) name.append(*c == '"' || *c == '\\' ? "\\" : "") += *c;
    text += fmt::format("  n{} [label=\"{} {}{}{}\"{}];\n", i, name, node.shape,
                        numbers("value", i, &Kept::first), numbers("gradient", i, &Kept::second),
                        edges_of(i).empty() ? ", style=filled, fillcolor=\"#dbe9f6\"" : "");
    for (const Edge<T>& edge : edges_of(i)) text += fmt::format("  n{} -> n{};\n", edge.input, i);
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
