#include "tensor/storage.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include "tensor/elementwise.hpp"
#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

TEST(Storage, IsAlignedTo64BytesWhateverItsSize) {
  for (std::size_t bytes = 1; bytes < 10000; bytes += 7)
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(Storage(bytes).data()) % 64, 0u) << bytes;
}

// Under address sanitizer a block that is too small is found by the writing alone; without it, by
// the neighbour's numbers.
TEST(Storage, HasRoomForTheBytesThatWereAskedFor) {
  std::vector<std::size_t> sizes;
  for (std::size_t bytes = 1; bytes <= 600; ++bytes) sizes.push_back(bytes);
  for (std::size_t power = 1024; power <= (1u << 20); power *= 2)
    for (std::size_t quarter = power / 4; quarter <= power; quarter += power / 4)
      for (int step = -1; step <= 1; ++step) sizes.push_back(power + quarter + step);
  std::vector<Storage> blocks;
  for (std::size_t bytes : sizes) {
    blocks.emplace_back(bytes);
    std::memset(blocks.back().data(), static_cast<int>(blocks.size() % 251), bytes);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const auto* data = static_cast<const unsigned char*>(blocks[i].data());
    ASSERT_EQ(data[0], (i + 1) % 251) << sizes[i];
    ASSERT_EQ(data[sizes[i] - 1], (i + 1) % 251) << sizes[i];
  }
}

TEST(Storage, IsSharedWhileThereAreTwoReferences) {
  Storage a(100);
  EXPECT_FALSE(a.shared());
  {
    Storage b = a;
    EXPECT_TRUE(a.shared());
    EXPECT_TRUE(b.shared());
    EXPECT_EQ(a.data(), b.data());
  }
  EXPECT_FALSE(a.shared());
}

TEST(Storage, MovesWithoutAnotherReference) {
  Storage a(100);
  void* const data = a.data();
  Storage b = std::move(a);
  EXPECT_EQ(b.data(), data);
  EXPECT_FALSE(b.shared());
  Storage c;
  c = std::move(b);
  EXPECT_EQ(c.data(), data);
  EXPECT_FALSE(c.shared());
}

TEST(Storage, AssignedToItselfStays) {
  Storage a(100);
  void* const data = a.data();
  const Storage& same = a;
  a = same;
  EXPECT_EQ(a.data(), data);
  EXPECT_FALSE(a.shared());
}

TEST(Storage, OfNothingHasNoData) {
  const Storage nothing;
  EXPECT_EQ(nothing.data(), nullptr);
  EXPECT_FALSE(nothing.shared());
  const Storage copy = nothing;
  EXPECT_FALSE(copy.shared());
}

TEST(Storage, IsTakenAgainBySameSizedRequests) {
  for (std::size_t bytes : {1u, 64u, 65u, 1000u, 123456u, 9999999u}) {
    void* first = Storage(bytes).data();
    for (int i = 0; i < 5; ++i) EXPECT_EQ(Storage(bytes).data(), first) << bytes;
  }
}

TEST(Storage, IsNotTakenAgainWhileItIsReferredTo) {
  std::vector<Storage> live;
  std::set<void*> addresses;
  for (int i = 0; i < 50; ++i) {
    live.emplace_back(4096);
    EXPECT_TRUE(addresses.insert(live.back().data()).second);
  }
}

TEST(Storage, AllocatesFromTheSameBlocks) {
  void* const first = Storage(5000).data();
  void* const memory = Storage::allocate(5000);
  EXPECT_EQ(memory, first);
  EXPECT_NE(Storage(5000).data(), memory);
  Storage::deallocate(memory);
  EXPECT_EQ(Storage(5000).data(), memory);
}

TEST(RecycledMemory, IsThatOfBlocksAndOfTheNextContainer) {
  const int* first = nullptr;
  for (int i = 0; i < 5; ++i) {
    std::pmr::vector<int> numbers(1000, i, &recycled_memory);
    if (!first) first = numbers.data();
    EXPECT_EQ(numbers.data(), first);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(numbers.data()) % 64, 0u);
  }
  EXPECT_EQ(Storage(4000).data(), first);
}

// A step like a training step's: its blocks come from the same few addresses at every turn.
TEST(Storage, SteadyStepsUseTheMemoryOfTheFirst) {
  auto step = [](std::set<const void*>& addresses) {
    const Tensor<float> x({50, 40});
    const Tensor<float> bias({40});
    const Tensor<float> y = x + bias;
    const Tensor<float> z = y * y - x;
    for (const Tensor<float>* t : {&x, &bias, &y, &z}) addresses.insert(t->data());
  };
  std::set<const void*> addresses;
  for (int i = 0; i < 100; ++i) step(addresses);
  EXPECT_LE(addresses.size(), 5u);  // the four, and the product in between
}

TEST(Storage, CopiedAndDroppedByManyThreadsIsFreedOnce) {
  Storage block(256);
  std::memset(block.data(), 42, 256);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([copy = block] {
      for (int i = 0; i < 2000; ++i) {
        const Storage again = copy;
        ASSERT_EQ(static_cast<const char*>(again.data())[i % 256], 42);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(block.shared());
  EXPECT_EQ(static_cast<const char*>(block.data())[255], 42);
}

// Every thread writes to its own copy of one tensor: all but the last to look must copy the block.
TEST(Storage, WrittenByManyThreadsThroughCopiesKeepsThemApart) {
  for (int round = 0; round < 50; ++round) {
    std::vector<Tensor<double>> copies(4, Tensor<double>({64}));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&x = copies[t], t] {
        for (Index i = 0; i < 64; ++i) x.set({i}, x(i) + t);
      });
    for (std::thread& thread : threads) thread.join();
    for (int t = 0; t < 4; ++t)
      ASSERT_THAT(copies[t].to_vector(), ::testing::Each(static_cast<double>(t)));
  }
}

TEST(Storage, MadeInOneThreadIsFreedInAnother) {
  for (int i = 0; i < 20; ++i) {
    Storage block(1000 + 100 * i);
    std::memset(block.data(), 1, 1000);
    std::thread([moved = std::move(block)] {
      EXPECT_EQ(static_cast<const char*>(moved.data())[999], 1);
    }).join();
  }
}

// What the process holds of the machine's memory, in bytes.
std::size_t resident_memory() {
  std::size_t pages_of_program = 0;
  std::size_t pages_in_memory = 0;
  std::ifstream("/proc/self/statm") >> pages_of_program >> pages_in_memory;
  return pages_in_memory * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// A thread that only drops has no use for the blocks. The bound leaves room for the address
// sanitizer, which keeps the last 256 MiB of freed memory.
TEST(Storage, MadeInOneThreadAndDroppedInAnotherIsNotKeptThere) {
  constexpr std::size_t kBytes = 4'000'000;
  const std::size_t before = resident_memory();
  std::thread([&] {
    for (int i = 0; i < 400; ++i) {
      Storage block;
      std::thread([&] {
        block = Storage(kBytes);
        std::memset(block.data(), 1, kBytes);
      }).join();
    }
    EXPECT_LT(resident_memory(), before + 600'000'000);
  }).join();
}

// The allocator of a sanitizer ends the program instead of saying that there is no memory.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(Storage, ThatCannotBeHadIsAnErrorWithItsSize) {
  EXPECT_EQ(test::error_of([] { Tensor<double>(Shape{Index{1} << 57}); }),
            "out of memory: a tensor of 1152921504606846976 bytes was asked for");
}
#endif

}  // namespace
}  // namespace gradus
