#include "tensor/parallel.hpp"
#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include "tensor/error.hpp"

namespace gradus {
namespace {
void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Whether this thread is inside a piece: loops that it starts there run on it alone.
thread_local bool inside_a_piece = false;
// The workers and the one loop that they work on. Invariant: the loop's fields are written only
// while the gate is closed and nobody is inside; a worker reads them only after it has entered.
class Pool {
 public:
  explicit Pool(int workers) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Pool() {
    stopping_ = true;
    announce();
    for (std::thread& thread : threads_) thread.join();
  }
  // Returns false, having done nothing, when another thread's loop is using the workers.
  bool run(Index n, Index grain, detail::PieceFunction function, const void* body) {
    std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner) return false;
    n_ = n, grain_ = grain, function_ = function, body_ = body;
    failure_ = nullptr;
    next_.store(0, std::memory_order_relaxed);
    gate_.fetch_and(~kClosed, std::memory_order_release);
    announce();
    take_pieces();
    gate_.fetch_or(kClosed, std::memory_order_acq_rel);
    for (int spins = 0; gate_.load(std::memory_order_acquire) != kClosed; ++spins)
      spins < kSpins ? pause() : std::this_thread::yield();
    if (failure_) std::rethrow_exception(failure_);
    return true;
  }

 private:
  void announce() {
    loop_.fetch_add(1, std::memory_order_release);
    loop_.notify_all();
  }
  void take_pieces() {
    inside_a_piece = true;
    for (Index begin; (begin = next_.fetch_add(grain_, std::memory_order_relaxed)) < n_;) {
      try {
        function_(body_, begin, std::min(begin + grain_, n_));
      } catch (...) {
        std::lock_guard lock(failure_mutex_);
        failure_ = std::current_exception();
      }
    }
    inside_a_piece = false;
  }
  void work() {
    for (unsigned seen = 0; !stopping_; seen = loop_.load(std::memory_order_acquire)) {
      if (enter()) {
        take_pieces();
        gate_.fetch_sub(1, std::memory_order_release);
      }
      // While a model trains the next loop comes within microseconds: look before going to sleep.
      for (int spins = 0; spins < kSpins && loop_.load(std::memory_order_acquire) == seen; ++spins)
        pause();
      loop_.wait(seen, std::memory_order_acquire);
    }
  }
  bool enter() {
    unsigned gate = gate_.load(std::memory_order_relaxed);
    while (!(gate & kClosed))
      if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
    return false;
  }
  static constexpr unsigned kClosed = 1u << 31;  // the other bits of the gate count who is inside
  static constexpr int kSpins = 500;             // about 10 microseconds
  std::mutex owner_, failure_mutex_;
  std::atomic<unsigned> gate_{kClosed}, loop_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<Index> next_{0};
  Index n_ = 0, grain_ = 1;
  detail::PieceFunction function_ = nullptr;
  const void* body_ = nullptr;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

int threads_asked_for() {
  const char* text = std::getenv("GRADUS_NUM_THREADS");
  if (!text) return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, 256);
  int n = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, n);
  if (error != std::errc() || stop != end || n < 1 || n > 256)
    fail("GRADUS_NUM_THREADS is '{}': give a number of threads from 1 to 256, or unset it", text);
  return n;
}
}  // namespace

int num_threads() {
  static const int n = threads_asked_for();
  return n;
}

void detail::run_pieces(Index n, Index grain, PieceFunction function, const void* body) {
  if (!inside_a_piece && num_threads() > 1) {
    static Pool pool(num_threads() - 1);
    if (pool.run(n, grain, function, body)) return;
  }
  for (Index begin = 0; begin < n; begin += grain)
    function(body, begin, std::min(begin + grain, n));
}
}  // namespace gradus
