#include "tensor/parallel.hpp"

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
// Whether this thread is inside a piece: loops that it starts there run on it alone.
thread_local bool inside_a_piece = false;

// The workers and the one loop that they work on. Each thread has its share of the pieces, the same
// in each loop over as many, so that its caches hold what it wrote there; then it helps the others.
// The caller is thread 0. Invariant: the loop's fields are written only while the gate is closed
// and nobody is inside; a worker reads them only after it has entered.
class Pool {
 public:
  explicit Pool(int threads) : shares_(threads) {
    for (int i = 1; i < threads; ++i) threads_.emplace_back([this, i] { work(i); });
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
    const Index pieces = (n + grain - 1) / grain, threads = std::ssize(shares_);
    for (Index i = 0; i < threads; ++i) {
      shares_[i].next.store(pieces * i / threads, std::memory_order_relaxed);
      shares_[i].end = pieces * (i + 1) / threads;
    }
    gate_.fetch_and(~kClosed, std::memory_order_release);
    announce();
    take_pieces(0);
    gate_.fetch_or(kClosed, std::memory_order_acq_rel);
    while (gate_.load(std::memory_order_acquire) != kClosed) std::this_thread::yield();
    if (failure_) std::rethrow_exception(failure_);
    return true;
  }

 private:
  void announce() {
    loop_.fetch_add(1, std::memory_order_release);
    loop_.notify_all();
  }

  void take_pieces(Index thread) {
    inside_a_piece = true;
    for (Index i = 0; i < std::ssize(shares_); ++i) {
      Share& share = shares_[(thread + i) % std::ssize(shares_)];
      for (Index p; (p = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) {
        try {
          function_(body_, p * grain_, std::min((p + 1) * grain_, n_));
        } catch (...) {
          std::lock_guard lock(failure_mutex_);
          failure_ = std::current_exception();
        }
      }
    }
    inside_a_piece = false;
  }

  void work(Index thread) {
    for (unsigned seen = 0; !stopping_; seen = loop_.load(std::memory_order_acquire)) {
      if (enter()) {
        take_pieces(thread);
        gate_.fetch_sub(1, std::memory_order_release);
      }
      // While a model trains the next loop comes soon, and waking up takes longer than that.
      for (int spins = 0; spins < kSpins && loop_.load(std::memory_order_acquire) == seen; ++spins)
        std::this_thread::yield();
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
  static constexpr int kSpins = 500;             // about 100 microseconds

  struct alignas(64) Share {
    std::atomic<Index> next{0};
    Index end = 0;
  };

  std::mutex owner_, failure_mutex_;
  std::atomic<unsigned> gate_{kClosed}, loop_{0};
  std::atomic<bool> stopping_{false};
  Index n_ = 0, grain_ = 1;
  detail::PieceFunction function_ = nullptr;
  const void* body_ = nullptr;
  std::exception_ptr failure_;
  std::vector<Share> shares_;
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
    static Pool pool(num_threads());
    if (pool.run(n, grain, function, body)) return;
  }
  for (Index begin = 0; begin < n; begin += grain)
    function(body, begin, std::min(begin + grain, n));
}
}  // namespace gradus
