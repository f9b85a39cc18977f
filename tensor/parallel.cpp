#include "tensor/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "tensor/error.hpp"

namespace gradus {
namespace {
// Whether this thread is inside a piece of a shared loop: loops that it starts there run on it
// alone.
thread_local bool inside_a_piece = false;

// One call of parallel_for: pieces of `grain` elements of [0, n).
struct Loop {
  Index n = 0;
  Index grain = 1;
  detail::PieceFunction function = nullptr;
  const void* body = nullptr;

  Index pieces() const { return (n + grain - 1) / grain; }

  void run_piece(Index p) const { function(body, p * grain, std::min((p + 1) * grain, n)); }
};

// The workers and the one loop that they work on. Each thread first takes the pieces of its own
// share. In two loops of equally many pieces its share is the same, so that its caches may still
// hold what it wrote. Then it takes what is left of the other threads' shares (work stealing). The
// caller is thread 0.
//
// Invariant: a worker must enter through a gate before it reads the loop, and leaves when it is
// done. loop_ and the shares' ends are written only while the gate is closed and nobody is inside.
// The threads inside also write: a share's `next`, which is atomic, and failure_, under its mutex.
//
// Thread safety: any thread may call run.
class Pool {
 public:
  // With fewer workers, where the system gives no more, the others' shares are taken by all.
  explicit Pool(int threads) : shares_(threads) {
    workers_.reserve(threads - 1);
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (const std::system_error& error) {
      const std::string note = fmt::format(
          "Gradus: only {} of {} threads could be started ({}): slower, with the same numbers.\n",
          workers_.size() + 1, threads, error.code().message());
      std::fputs(note.c_str(), stderr);
    }
  }

  ~Pool() {
    stopping_ = true;
    announce();
    for (std::thread& worker : workers_) worker.join();
  }

  // Returns false, having done nothing, when another thread's loop is using the workers.
  bool run(const Loop& loop) {
    std::unique_lock owner(owner_, std::try_to_lock);
    if (!owner) return false;

    loop_ = loop;
    failure_ = nullptr;
    deal_out(loop.pieces());

    open_gate();
    announce();
    take_pieces(0);
    close_gate();

    if (failure_) std::rethrow_exception(failure_);
    return true;
  }

 private:
  // The pieces next, ..., end - 1 are still to be taken. Each has a cache line of its own.
  struct alignas(64) Share {
    std::atomic<Index> next{0};
    Index end = 0;
  };

  static constexpr unsigned kClosed = 1u << 31;  // the other bits of the gate count who is inside
  static constexpr int kSpins = 500;             // about 100 microseconds

  void deal_out(Index pieces) {
    const Index threads = std::ssize(shares_);
    for (Index i = 0; i < threads; ++i) {
      shares_[i].next.store(pieces * i / threads, std::memory_order_relaxed);
      shares_[i].end = pieces * (i + 1) / threads;
    }
  }

  void open_gate() { gate_.fetch_and(~kClosed, std::memory_order_release); }

  // Lets nobody in any more, and waits until those who are inside have left.
  void close_gate() {
    gate_.fetch_or(kClosed, std::memory_order_acq_rel);
    while (gate_.load(std::memory_order_acquire) != kClosed) std::this_thread::yield();
  }

  // A worker's way in; false when the gate is closed.
  bool enter() {
    unsigned gate = gate_.load(std::memory_order_relaxed);
    while (!(gate & kClosed)) {
      if (gate_.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
    }
    return false;
  }

  void leave() { gate_.fetch_sub(1, std::memory_order_release); }

  // Wakes the workers up.
  void announce() {
    announced_.fetch_add(1, std::memory_order_release);
    announced_.notify_all();
  }

  // Takes pieces until there are none: first from this thread's share, then from the others' (work
  // stealing).
  void take_pieces(Index thread) {
    const Index threads = std::ssize(shares_);
    inside_a_piece = true;
    for (Index i = 0; i < threads; ++i) take_share(shares_[(thread + i) % threads]);
    inside_a_piece = false;
  }

  void take_share(Share& share) {
    while (true) {
      const Index piece = share.next.fetch_add(1, std::memory_order_relaxed);
      if (piece >= share.end) return;
      try {
        loop_.run_piece(piece);
      } catch (...) {
        std::lock_guard lock(failure_mutex_);
        failure_ = std::current_exception();
      }
    }
  }

  // What a worker does all its life.
  void work(Index thread) {
    unsigned seen = 0;
    while (!stopping_) {
      if (enter()) {
        take_pieces(thread);
        leave();
      }
      wait_for_announcement_after(seen);
      seen = announced_.load(std::memory_order_acquire);
    }
  }

  // Waits until there has been another announcement than the first `seen`. While a model trains,
  // the next loop comes soon, and waking a sleeping thread would take longer than that. So a worker
  // first looks again and again ("spins"), and sleeps only when that was in vain.
  void wait_for_announcement_after(unsigned seen) {
    for (int spin = 0; spin < kSpins; ++spin) {
      if (announced_.load(std::memory_order_acquire) != seen) return;
      std::this_thread::yield();
    }
    announced_.wait(seen, std::memory_order_acquire);
  }

  std::mutex owner_;  // held by the thread whose loop it is
  std::atomic<unsigned> gate_{kClosed};
  std::atomic<unsigned> announced_{0};  // how many times
  std::atomic<bool> stopping_{false};
  Loop loop_;
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
  std::vector<Share> shares_;         // one a thread that was asked for
  std::vector<std::thread> workers_;  // threads 1, 2, ...
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
  const Loop loop{n, grain, function, body};
  if (!inside_a_piece && num_threads() > 1) {
    static Pool pool(num_threads());
    if (pool.run(loop)) return;
  }

  for (Index p = 0; p < loop.pieces(); ++p) loop.run_piece(p);
}
}  // namespace gradus
