#include "tensor/storage.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <new>

#include "tensor/error.hpp"

namespace gradus {
namespace {
constexpr std::align_val_t kAlignment{64};
constexpr int kMinSizeClass = 6;       // no block is smaller than 2^6 bytes
constexpr int kMaxRecycledClass = 26;  // larger blocks go back to the system

// Outlives FreeLists: a tensor with static storage may be freed after its thread's lists.
thread_local bool lists_are_gone = false;

// The smallest k >= kMinSizeClass with bytes <= 2^k.
int size_class_of(std::size_t bytes) {
  constexpr std::size_t kSmallest = std::size_t{1} << kMinSizeClass;
  return bytes > kSmallest ? std::bit_width(bytes - 1) : kMinSizeClass;
}
}  // namespace

// One thread's free blocks of 2^k bytes for each k, linked through their headers.
struct Storage::FreeLists {
  std::array<Header*, kMaxRecycledClass + 1> first{};

  ~FreeLists() {
    lists_are_gone = true;
    for (Header* header : first) {
      while (header) {
        Header* const next = header->next_free;
        ::operator delete(header, kAlignment);
        header = next;
      }
    }
  }

  // nullptr where blocks of this size are not recycled, and when the thread's lists are gone.
  static FreeLists* of_this_thread(int size_class) {
    if (lists_are_gone || size_class > kMaxRecycledClass) return nullptr;
    thread_local FreeLists lists;
    return &lists;
  }
};

Storage::Header* Storage::take(std::size_t bytes) {
  const int size_class = size_class_of(bytes);
  FreeLists* const lists = FreeLists::of_this_thread(size_class);
  if (lists && lists->first[size_class]) {
    Header* const header = lists->first[size_class];
    lists->first[size_class] = header->next_free;
    header->references.store(1, std::memory_order_relaxed);
    return header;
  }

  const std::size_t size = size_class <= kMaxRecycledClass ? std::size_t{1} << size_class : bytes;
  void* const memory = ::operator new(sizeof(Header) + size, kAlignment, std::nothrow);
  if (!memory) fail("out of memory: a tensor of {} bytes was asked for", bytes);
  return new (memory) Header{1, size_class, lists, nullptr};
}

void Storage::give_back(Header* header) {
  FreeLists* const lists = FreeLists::of_this_thread(header->size_class);
  if (!lists || header->maker != lists) {
    ::operator delete(header, kAlignment);
    return;
  }

  header->next_free = lists->first[header->size_class];
  lists->first[header->size_class] = header;
}
}  // namespace gradus
