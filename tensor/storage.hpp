#pragma once
#include <atomic>
#include <cstddef>
#include <memory_resource>
#include <utility>

namespace gradus {
// A counted reference to a block of 64-byte aligned memory, or to nothing.
//
// Blocks of up to 64 MiB are recycled: the last reference to one puts it into its thread's list of
// free blocks of that size, from which the next request takes it. After a first training step the
// system is asked for no more memory, except for larger blocks. A thread has no more blocks of a
// size, free or not, than it had in use at one time.
//
// Invariant: the count of a block that a Storage object has made is the number of Storage objects
// that refer to it; who finds that there is one only, its own, may write. (The blocks of allocate()
// have one owner, and their count means nothing.)
//
// Thread safety: as std::shared_ptr. Different references to one block may be copied and dropped
// from different threads; one reference may not be changed by two at a time. A block whose last
// reference is dropped by another thread than the one that made it goes back to the system.
class Storage {
 public:
  // A reference to nothing.
  Storage() = default;

  // A reference to a new block, uninitialised. Throws Error when memory is out.
  explicit Storage(std::size_t bytes) : header_(take(bytes)) {}

  Storage(const Storage& other) : header_(other.header_) {
    if (header_) header_->references.fetch_add(1, std::memory_order_relaxed);
  }

  Storage(Storage&& other) noexcept : header_(std::exchange(other.header_, nullptr)) {}

  Storage& operator=(Storage other) noexcept {
    std::swap(header_, other.header_);
    return *this;
  }

  ~Storage() {
    if (header_ && drop_reference()) give_back(header_);
  }

  // The first byte, or nullptr of nothing.
  void* data() const { return header_ ? header_ + 1 : nullptr; }

  // Whether there are other references to the block.
  bool shared() const { return header_ && header_->references.load(std::memory_order_acquire) > 1; }

  // A recycled block without a count, for an owner of another kind. Throws Error when memory is
  // out.
  static void* allocate(std::size_t bytes) { return take(bytes) + 1; }

  // REQUIRES: `memory` comes from allocate, and has not been deallocated since.
  static void deallocate(void* memory) { give_back(static_cast<Header*>(memory) - 1); }

 private:
  struct FreeLists;

  // Stands before the block's first byte, and is as long as its alignment.
  struct alignas(64) Header {
    std::atomic<int> references;
    int size_class;     // k, of a block of 2^k bytes; above k = 26, of as many as were asked for
    FreeLists* maker;   // the lists of the thread that made it; only compared, for that may be over
    Header* next_free;  // in the list of free blocks
  };

  static Header* take(std::size_t bytes);
  static void give_back(Header* header);

  // Whether it was the last. The only reference needs no atomic subtraction, which is slow.
  bool drop_reference() {
    return !shared() || header_->references.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  Header* header_ = nullptr;
};

// The same memory for the standard containers: std::pmr::vector<int> v(&recycled_memory).
//
// REQUIRES: no alignment of more than 64 bytes is asked for.
//
// Thread safety: has no state of its own, so any thread may use it at any time.
class RecycledMemory final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t) override { return Storage::allocate(bytes); }

  void do_deallocate(void* memory, std::size_t, std::size_t) override {
    Storage::deallocate(memory);
  }

  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

inline RecycledMemory recycled_memory;
}  // namespace gradus
