#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <memory_resource>
#include <new>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "autograd/var.hpp"
#include "tensor/error.hpp"

namespace gradus {

struct TapeOptions {
  bool keep_values = false;  // of every node, and its gradient, for to_dot()
  bool find_nan = false;     // fail where a NaN first arises: in a value, a rule, or their sum
};

struct GradientOptions {
  bool create_graph = false;  // record the gradients too, so that they can be differentiated again
};

// How dz, the gradient with respect to the result of an operation, becomes dx, the one with respect
// to an input.
template <class T> struct Rule {
  virtual ~Rule() = default;
  virtual Var<T> operator()(const Var<T>& dz) = 0;
};

// A Wengert list: while a tape is alive, every operation on a parameter, a leaf, or what was
// computed from them is written down, in the order in which it happens. That order is topological
// (an operation's inputs exist before it), so the reverse sweep is a plain loop from the last node
// to the first, which adds up each node's gradient before it passes it on.
//
// Invariants:
// - Every edge of a node leads to an earlier node.
// - Tapes nest: the innermost one of a thread is its current one, which records. They die in the
//   opposite order to that in which they were made, and in the thread that made them.
// - What a tape points to (parameters, the names of nodes) outlives it.
template <class T> class Tape {
 public:
  explicit Tape(TapeOptions options = {});

  // Ends the program, and says why, when this is not the current tape of this thread.
  ~Tape();

  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  // The innermost tape of this thread; nullptr when there is none.
  static Tape* current() { return current_; }

  // A recorded value that is no parameter, for gradient(). The name is not copied.
  Var<T> leaf(Tensor<T> value, const char* name = "leaf") {
    return push(name, std::move(value), {0, 0});
  }

  // Adds d loss / d parameter to the grad of every parameter that the loss depends on, and lets go
  // what the rules captured. Throws Error when this is not the current tape, when the loss is not a
  // scalar, when it depends on nothing that was recorded here, and when it is called a second time.
  void backward(const Var<T>& loss);

  // The number of nodes.
  Index size() const { return std::ssize(nodes_); }

  // A line for each node: its number, operation, shape and inputs, of which some may be constants.
  std::string table() const;

  // The graph for Graphviz; with values and gradients if the tape keeps them.
  std::string to_dot() const;

  // For record() and add_rule() of record.hpp, which see that what is pushed has a rule for each of
  // its inputs that need a gradient.
  struct Inputs {
    int count;
    int need_gradient;
  };

  Var<T> push(const char* name, Tensor<T>&& value, Inputs inputs);
  void add_leaf_if_new(const Var<T>& input);
  template <class F> void add_rule(const Var<T>& z, const Var<T>& x, F&& rule);

 private:
  friend class Var<T>;
  template <class U>
  friend std::vector<Var<U>> gradient(const Var<U>&, const std::vector<Var<U>>&, GradientOptions);

  struct Node {
    const char* name;
    Shape shape;
    Index edges;    // where they begin in edges_; they end where the next node's begin
    Inputs inputs;  // that record was given
  };

  // A rule lives in the tape's own memory, which is freed as a whole.
  struct DestroyInPlace {
    void operator()(Rule<T>* rule) const { std::destroy_at(rule); }
  };

  // From a node to an input of it, by the rule that serves this input.
  struct Edge {
    Index input;
    std::unique_ptr<Rule<T>, DestroyInPlace> rule;
  };

  struct Kept {
    Tensor<T> value, gradient;
  };

  // Vectors whose memory comes from, and goes back to, the lists that tensors use.
  template <class Element> using Vector = std::pmr::vector<Element>;
  using Gradients = Vector<Var<T>>;  // by node; empty where there is none

  enum class Sweep {
    kBackward,     // lets go each rule and each gradient behind it, but those of leaves
    kKeepGraph,    // keeps them, so that one can sweep again
    kCreateGraph,  // keeps them, and records what the rules compute
  };

  Index node_of(const Var<T>& x) const;
  Index find_leaf(Parameter<T>& parameter) const;
  Index find_or_add_leaf(Parameter<T>& parameter);
  Index edges_end(Index node) const;
  std::span<const Edge> edges_of(Index node) const;

  Gradients sweep(const char* operation, const Var<T>& y, Sweep kind);
  Index node_to_sweep_from(const char* operation, const Var<T>& y) const;
  void pass_on(const char* operation, Index node, const Var<T>& dz, Gradients& gradients);
  [[noreturn]] void fail_for_shape(const char* operation, Index node, Index input,
                                   const Var<T>& dx) const;
  void check_nan(const char* operation, Index node, Index input, const Var<T>& dx) const;
  void accumulate(Var<T>& sum, Var<T>&& dx) const;
  void check_rules(const char* operation, Index node) const;

  inline static constinit thread_local Tape* current_ = nullptr;

  Tape* const outer_;
  const std::uint64_t id_;  // no other tape of this program has it
  const TapeOptions options_;
  bool recording_ = true;  // off during a plain sweep, and after backward
  bool spent_ = false;     // by backward
  Vector<Node> nodes_;
  std::pmr::monotonic_buffer_resource rule_memory_;
  Vector<Edge> edges_;
  std::map<Parameter<T>*, Index> leaves_;  // the nodes of the parameters met so far
  std::vector<Kept> kept_;                 // by node, if the tape keeps values
};

// d y / d x for each x, for a scalar y on the current tape, which stays usable; zeros where y does
// not depend on x. Throws Error when there is no tape, or it does not know y or an x.
template <class T>
std::vector<Var<T>> gradient(const Var<T>& y, const std::vector<Var<T>>& xs,
                             GradientOptions options = {});

// ---- What every operation does, inlined into it ------------------------------------------------

// Throws Error when this was recorded on another tape than the current one.
template <class T> void Var<T>::check_tape() const {
  if (tape_ == 0) return;  // a constant or a parameter
  const Tape<T>* const tape = Tape<T>::current_;
  if (!tape || tape->id_ != tape_) fail_for_tape();
}

template <class T> bool Var<T>::needs_gradient() const {
  if (tape_ == 0 && !parameter_) return false;
  check_tape();
  const Tape<T>* const tape = Tape<T>::current_;
  return tape && tape->recording_;
}

// The place of a parameter, of what this tape recorded, or of a constant, which has none: -1.
template <class T> Index Tape<T>::node_of(const Var<T>& x) const {
  return x.parameter_ ? find_leaf(*x.parameter_) : x.node_;
}

template <class T> void Tape<T>::add_leaf_if_new(const Var<T>& input) {
  if (input.parameter_) find_or_add_leaf(*input.parameter_);
}

template <class T>
template <class F>
void Tape<T>::add_rule(const Var<T>& z, const Var<T>& x, F&& rule) {
  struct Closure final : Rule<T> {
    explicit Closure(F&& f) : f(std::forward<F>(f)) {}

    Var<T> operator()(const Var<T>& dz) override { return f(dz); }

    std::decay_t<F> f;
  };

  if (z.tape_ != id_ || z.node_ != size() - 1)
    fail(
        "add_rule: the result {} is not what was recorded last: what a rule needs is computed "
        "before record, or inside of the rule",
        z.shape());
  const Index input = node_of(x);
  if (input < 0 || input >= z.node_)
    fail("add_rule: an input of shape {} is none of those that record was given", x.shape());
  void* const room = rule_memory_.allocate(sizeof(Closure), alignof(Closure));
  Rule<T>* const made = new (room) Closure(std::forward<F>(rule));
  edges_.push_back({input, std::unique_ptr<Rule<T>, DestroyInPlace>(made)});
}

}  // namespace gradus
