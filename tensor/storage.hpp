#pragma once
#include <atomic>
#include <cstddef>
#include <memory_resource>
#include <utility>

namespace gradus {
// A counted reference to 64-byte aligned memory. The last reference to a block puts it into its
// thread's list of free blocks of that size, from which the next request takes it: after a first
// training step the system is asked for no more memory.
// Thread safety: as std::shared_ptr. Different references to one block may be copied and dropped
// from different threads; one reference may not be changed by two at a time.
class Storage {
 public:
  Storage() = default;
  explicit Storage(std::size_t bytes);  // uninitialised; throws Error when memory is out

  Storage(const Storage& other) : header_(other.header_) {
    if (header_) header_->references.fetch_add(1, std::memory_order_relaxed);
  }

  Storage(Storage&& other) noexcept : header_(std::exchange(other.header_, nullptr)) {}

  Storage& operator=(Storage other) noexcept {
    std::swap(header_, other.header_);
    return *this;
  }

  ~Storage() {  // the only reference needs no atomic subtraction, which is slow
    if (header_ && (!shared() || header_->references.fetch_sub(1, std::memory_order_acq_rel) == 1))
      release();
  }

  void* data() const { return header_ ? header_ + 1 : nullptr; }

  bool shared() const { return header_ && header_->references.load(std::memory_order_acquire) > 1; }

 private:
  friend struct RecycledMemory;

  struct alignas(64) Header {
    std::atomic<int> references;
    int size_class;
    Header* next_free;
  };
  struct FreeLists;
  void release();
  Header* header_ = nullptr;
};

// The same memory for the standard containers: std::pmr::vector<int> v(&recycled_memory).
struct RecycledMemory final : std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t) override {
    Storage block(bytes);
    return std::exchange(block.header_, nullptr) + 1;
  }

  void do_deallocate(void* memory, std::size_t, std::size_t) override {
    Storage block;
    block.header_ = static_cast<Storage::Header*>(memory) - 1;
  }

  bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

inline RecycledMemory recycled_memory;
}  // namespace gradus
