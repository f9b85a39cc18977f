#include "tensor/block.hpp"
#include <array>
#include <bit>
#include <new>
#include "tensor/error.hpp"

namespace gradus {
namespace {
constexpr std::align_val_t kAlignment{64};
constexpr std::size_t kLargestRecycled = std::size_t{64} << 20;

// Sizes are rounded up to four classes an octave: 64, 80, 96, 112, 128, 160, ...
int size_class(std::size_t bytes) {
  if (bytes <= 64) return 0;
  const int octave = std::bit_width(bytes - 1) - 1;
  const int quarter = static_cast<int>((bytes - 1) >> (octave - 2)) & 3;
  return (octave - 6) * 4 + quarter + 1;
}

std::size_t class_bytes(int size_class) {
  if (size_class == 0) return 64;
  const int octave = (size_class - 1) / 4 + 6, quarter = (size_class - 1) % 4;
  return (std::size_t{1} << octave) + ((quarter + 1) * (std::size_t{1} << (octave - 2)));
}

// Outlives FreeLists: a tensor with static storage may be freed after its thread's lists.
thread_local bool lists_are_gone = false;
}  // namespace

struct Block::FreeLists {
  std::array<Header*, 4 * 58> first{};

  ~FreeLists() {
    lists_are_gone = true;
    for (Header* header : first)
      while (header) ::operator delete(std::exchange(header, header->next_free), kAlignment);
  }
  static FreeLists& of_this_thread() {
    thread_local FreeLists lists;
    return lists;
  }
};

Block::Block(std::size_t bytes) {
  const int k = size_class(bytes);
  if (!lists_are_gone) {
    Header*& first = FreeLists::of_this_thread().first[k];
    if (first) {
      header_ = std::exchange(first, first->next_free);
      header_->references.store(1, std::memory_order_relaxed);
      return;
    }
  }
  void* memory = ::operator new(sizeof(Header) + class_bytes(k), kAlignment, std::nothrow);
  if (!memory) fail("out of memory: a tensor of {} bytes was asked for", bytes);
  header_ = new (memory) Header{1, k, nullptr};
}

void Block::release() {
  if (lists_are_gone || class_bytes(header_->size_class) > kLargestRecycled) {
    ::operator delete(header_, kAlignment);
  } else {
    Header*& first = FreeLists::of_this_thread().first[header_->size_class];
    header_->next_free = std::exchange(first, header_);
  }
}
}  // namespace gradus
