#include "tensor/storage.hpp"

#include <array>
#include <bit>
#include <new>

#include "tensor/error.hpp"

namespace gradus {
namespace {
constexpr std::align_val_t kAlignment{64};
constexpr int kMaxRecycled = 26;  // blocks of more than 2^26 bytes go back to the system

// Outlives FreeLists: a tensor with static storage may be freed after its thread's lists.
thread_local bool lists_are_gone = false;
}  // namespace

// Free blocks of 2^k bytes, linked through their headers.
struct Storage::FreeLists {
  std::array<Header*, kMaxRecycled + 1> first{};

  ~FreeLists() {
    lists_are_gone = true;
    for (Header* header : first)
      while (header) ::operator delete(std::exchange(header, header->next_free), kAlignment);
  }

  // nullptr where blocks of this size are not recycled.
  static Header** of_this_thread(int k) {
    if (lists_are_gone || k > kMaxRecycled) return nullptr;
    thread_local FreeLists lists;
    return &lists.first[k];
  }
};

Storage::Storage(std::size_t bytes) {
  const int k = std::bit_width(bytes > 64 ? bytes - 1 : 63);  // the least with bytes <= 2^k
  Header** const first = FreeLists::of_this_thread(k);
  if (first && *first) {
    header_ = std::exchange(*first, (*first)->next_free);
    header_->references.store(1, std::memory_order_relaxed);
    return;
  }
  const std::size_t room = sizeof(Header) + (k <= kMaxRecycled ? std::size_t{1} << k : bytes);
  void* memory = ::operator new(room, kAlignment, std::nothrow);
  if (!memory) fail("out of memory: a tensor of {} bytes was asked for", bytes);
  header_ = new (memory) Header{1, k, nullptr};
}

void Storage::release() {
  Header** const first = FreeLists::of_this_thread(header_->size_class);
  if (!first) return ::operator delete(header_, kAlignment);
  header_->next_free = std::exchange(*first, header_);
}
}  // namespace gradus
