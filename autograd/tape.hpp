#pragma once
#include <deque>
#include <map>
#include "autograd/var.hpp"

namespace gradus {
struct TapeOptions {
  bool keep_values = false;  // of every node, and its gradient, for table() and dot()
  bool find_nan = false;     // fail where a NaN first arises, forward or backward
};

struct GradientOptions {
  bool create_graph = false;  // record the gradients too, so that they can be differentiated again
};

// A Wengert list: while a tape is alive, every operation on a parameter, a leaf, or what was
// computed from them is written down, in the order in which it happens. That order is topological
// (an operation's inputs exist before it), so the reverse sweep is a plain loop from the last node
// to the first, which adds up each node's gradient before it passes it on.
// Tapes nest: the innermost one of this thread records. A tape is used by the thread that made it.
template <class T> class Tape {
 public:
  explicit Tape(TapeOptions options = {});
  ~Tape();
  Tape(const Tape&) = delete;
  // A recorded value that is no parameter, for gradient().
  Var<T> leaf(Tensor<T> value, const char* name = "leaf");
  // Adds d loss / d parameter to the grad of every parameter that the loss depends on, and frees
  // what was recorded. Throws Error when the loss is not a scalar, when it depends on nothing that
  // was recorded here, and when it is called a second time.
  void backward(const Var<T>& loss);
  std::string table() const;  // node, operation, shape and inputs, a line each
  std::string dot() const;    // for Graphviz; with values and gradients if the tape keeps them
  Index size() const { return std::ssize(nodes_); }
  // The innermost tape of this thread; nullptr when there is none.
  static Tape* current();

 private:
  friend class Var<T>;
  friend Var<T> detail::record<T>(const char*, Tensor<T>, std::span<Edge<T>>);
  template <class U>
  friend std::vector<Var<U>> gradient(const Var<U>&, const std::vector<Var<U>>&, GradientOptions);
  struct Node {
    const char* name;
    Shape shape;
    Index edges;  // where they begin in edges_; they end where the next node's begin
    Index edge_count;
    Tensor<T> value;     // only if a rule uses it, or the tape keeps values
    Tensor<T> gradient;  // only if the tape keeps values
    Parameter<T>* parameter = nullptr;
  };
  Var<T> push(const char* name, Tensor<T> value, std::span<Edge<T>> edges,
              Parameter<T>* parameter = nullptr);
  enum class Sweep { kBackward, kKeepGraph, kCreateGraph };
  std::vector<Var<T>> sweep(const char* operation, const Var<T>& y, Sweep kind);
  static constinit thread_local Tape* current_;
  Tape* const outer_;
  const std::uint64_t number_;
  const TapeOptions options_;
  bool recording_ = true;  // off during a plain sweep, and after backward
  bool spent_ = false;
  std::deque<Node> nodes_;  // deques, because a rule may record while it runs
  std::deque<Edge<T>> edges_;
  std::map<const Parameter<T>*, Index> leaves_;  // the nodes of the parameters met so far
};

// d y / d x for each x, for a scalar y on the current tape, which stays usable; zeros where y does
// not depend on x. Throws Error when there is no tape, or it does not know y or an x.
template <class T>
std::vector<Var<T>> gradient(const Var<T>& y, const std::vector<Var<T>>& xs,
                             GradientOptions options = {});
}  // namespace gradus
