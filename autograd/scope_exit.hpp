#pragma once
#include <utility>

namespace gradus {

// Calls a function at the end of its scope, however that is left.
template <class F> class ScopeExit {
 public:
  explicit ScopeExit(F function) : function_(std::move(function)) {}

  ~ScopeExit() { function_(); }

  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;

 private:
  F function_;
};

}  // namespace gradus
