#pragma once
#include <map>
#include <memory>

#include "autograd/var.hpp"

namespace gradus {
struct TapeOptions {
  bool keep_values = false;  // of every node, and its gradient, for table() and to_dot()
  bool find_nan = false;     // fail where a NaN first arises, forward or backward
};

struct GradientOptions {
  bool create_graph = false;  // record the gradients too, so that they can be differentiated again
};

// How the gradient with respect to an output, dz, becomes the one with respect to an input.
template <class T> struct Rule {
  virtual ~Rule() = default;
  virtual Var<T> operator()(const Var<T>& dz) = 0;

  static void operator delete(void*) {}  // what it captured is let go, but its memory is the tape's
};

// An input of a recorded operation: its node, and the rule that serves it.
template <class T> struct Edge {
  Index input;
  std::unique_ptr<Rule<T>> rule;
};

// A Wengert list: while a tape is alive, every operation on a parameter, a leaf, or what was
// computed from them is written down, in the order in which it happens. That order is topological
// (an operation's inputs exist before it), so the reverse sweep is a plain loop from the last node
// to the first, which adds up each node's gradient before it passes it on.
// Tapes nest: the innermost one of this thread records. A tape is used by the thread that made it.
template <class T> class Tape {
 public:
  explicit Tape(TapeOptions options = {});

  ~Tape() { current_ = outer_; }

  Tape(const Tape&) = delete;

  // A recorded value that is no parameter, for gradient().
  Var<T> leaf(Tensor<T> value, const char* name = "leaf") { return push(name, std::move(value)); }

  // Adds d loss / d parameter to the grad of every parameter that the loss depends on, and frees
  // what was recorded. Throws Error when the loss is not a scalar, when it depends on nothing that
  // was recorded here, and when it is called a second time.
  void backward(const Var<T>& loss);
  std::string table() const;   // node, operation, shape and inputs, a line each
  std::string to_dot() const;  // for Graphviz; with values and gradients if the tape keeps them

  Index size() const { return std::ssize(nodes_); }

  // The innermost tape of this thread; nullptr when there is none.
  static Tape* current() { return current_; }

  // For operations: records a value as the result of one, and then the rules for its inputs, which
  // are the nodes of these numbers.
  Var<T> push(const char* name, Tensor<T> value);
  template <class MakeRule> void add_edge(Index input, const Var<T>& z, MakeRule& make_rule);

 private:
  friend class Var<T>;
  template <class U>
  friend std::vector<Var<U>> gradient(const Var<U>&, const std::vector<Var<U>>&, GradientOptions);

  struct Node {
    const char* name;
    Shape shape;
    Index edges;  // where they begin in edges_; they end where the next node's begin
  };

  std::span<const Edge<T>> edges_of(Index node) const {
    const Index end = node + 1 < size() ? nodes_[node + 1].edges : std::ssize(edges_);
    return std::span(edges_).subspan(nodes_[node].edges, end - nodes_[node].edges);
  }
  enum class Sweep { kBackward, kKeepGraph, kCreateGraph };
  std::pmr::vector<Var<T>> sweep(const char* operation, const Var<T>& y, Sweep kind);
  static constinit thread_local Tape* current_;
  Tape* const outer_;
  const std::uint64_t id_;
  const TapeOptions options_;
  bool recording_ = true;  // off during a plain sweep, and after backward
  bool spent_ = false;
  std::pmr::vector<Node> nodes_{&recycled_memory};
  std::pmr::monotonic_buffer_resource memory_{&recycled_memory};  // of the rules
  std::pmr::vector<Edge<T>> edges_{&recycled_memory};
  using Kept = std::pair<Tensor<T>, Tensor<T>>;  // a node's value and gradient
  std::vector<Kept> kept_;                       // if the tape keeps values
  std::map<Parameter<T>*, Index> leaves_;        // the nodes of the parameters met so far
};

template <class T>
template <class MakeRule>
void Tape<T>::add_edge(Index input, const Var<T>& z, MakeRule& make_rule) {
  struct Closure final : Rule<T> {
    Closure(const Var<T>& z, MakeRule& make_rule) : rule(make_rule(z)) {}

    Var<T> operator()(const Var<T>& dz) override { return rule(dz); }

    decltype(make_rule(z)) rule;
  };

  if (input < 0) return;
  void* const room = memory_.allocate(sizeof(Closure), alignof(Closure));
  edges_.push_back({input, std::unique_ptr<Rule<T>>(new (room) Closure(z, make_rule))});
}

// An input of an operation, and what makes its gradient rule from the operation's result z. Nothing
// is made for a constant.
template <class T, class MakeRule> struct Wrt {
  Wrt(const Var<T>& x, MakeRule make_rule) : input(x.node()), make_rule(std::move(make_rule)) {}

  Index input;  // -1: a constant
  MakeRule make_rule;
};

// The same from the rule itself, which takes (dz) or (dz, z).
template <class T, class F> auto wrt(const Var<T>& x, F rule) {
  return Wrt(x, [rule = std::move(rule)](const Var<T>& z) mutable {
    if constexpr (std::is_invocable_v<F, const Var<T>&, const Var<T>&>)
      return [rule = std::move(rule), z](const Var<T>& dz) { return rule(dz, z); };
    else
      return std::move(rule);
  });
}

// The value of an operation, recorded when one of its inputs needs a gradient.
template <class T, class... MakeRule>
Var<T> record(const char* name, Tensor<T> value, Wrt<T, MakeRule>... inputs) {
  if (((inputs.input < 0) && ...)) return value;
  Tape<T>& tape = *Tape<T>::current();
  const Var<T> z = tape.push(name, std::move(value));
  (tape.add_edge(inputs.input, z, inputs.make_rule), ...);
  return z;
}

// d y / d x for each x, for a scalar y on the current tape, which stays usable; zeros where y does
// not depend on x. Throws Error when there is no tape, or it does not know y or an x.
template <class T>
std::vector<Var<T>> gradient(const Var<T>& y, const std::vector<Var<T>>& xs,
                             GradientOptions options = {});
}  // namespace gradus
