#include "tensor/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tensor/convolution.hpp"
#include "tensor/elementwise.hpp"
#include "tensor/layout.hpp"
#include "tensor/linalg.hpp"
#include "tensor/matmul.hpp"
#include "tensor/random.hpp"
#include "tensor/reduce.hpp"
#include "tests/tensor/support.hpp"

namespace gradus {
namespace {

using ::testing::ContainsRegex;
using ::testing::Each;
using ::testing::HasSubstr;

TEST(ParallelFor, ReachesEveryIndexExactlyOnce) {
  for (Index n : {0, 1, 2, 7, 64, 1000, 12345})
    for (Index grain : {1, 3, 64, 5000, 20000}) {
      std::vector<std::atomic<int>> visits(n);
      parallel_for(n, grain, [&](Index begin, Index end) {
        for (Index i = begin; i < end; ++i) ++visits[i];
      });
      for (Index i = 0; i < n; ++i) ASSERT_EQ(visits[i], 1) << n << " " << grain << " " << i;
    }
}

TEST(ParallelFor, CutsPiecesThatDependOnTheGrainOnly) {
  std::vector<std::atomic<Index>> ends(100);
  parallel_for(95, 10, [&](Index begin, Index end) { ends[begin] = end; });
  for (Index begin = 0; begin < 100; ++begin)
    EXPECT_EQ(ends[begin], begin % 10 == 0 && begin < 95 ? std::min<Index>(begin + 10, 95) : 0);
}

TEST(ParallelFor, HasFinishedAllWorkWhenItReturns) {
  for (int round = 0; round < 3000; ++round) {
    std::vector<int> data(16, 0);  // not atomic: returning must make the writes visible
    parallel_for(16, 1, [&](Index begin, Index) { data[begin] = round; });
    ASSERT_THAT(data, Each(round));
  }
}

TEST(ParallelFor, RethrowsAPiecesException) {
  for (Index bad : {0, 37, 99})
    for (int round = 0; round < 20; ++round) {
      try {
        parallel_for(100, 1, [&](Index begin, Index) {
          if (begin == bad) throw std::out_of_range("piece " + std::to_string(begin));
        });
        FAIL() << "nothing was thrown";
      } catch (const std::out_of_range& error) {
        EXPECT_EQ(error.what(), "piece " + std::to_string(bad));
      }
    }
  std::atomic<int> visits = 0;  // and afterwards works as before
  parallel_for(100, 1, [&](Index, Index) { ++visits; });
  EXPECT_EQ(visits, 100);
}

TEST(ParallelFor, RethrowsOneWhenAllPiecesThrow) {
  EXPECT_THROW(parallel_for(50, 1, [](Index, Index) { fail("no"); }), Error);
  EXPECT_THROW(parallel_for(1, 50, [](Index, Index) { fail("no"); }), Error);
}

TEST(ParallelFor, NestsInsideItself) {
  std::vector<std::atomic<int>> visits(40 * 50);
  parallel_for(40, 1, [&](Index i, Index) {
    parallel_for(50, 7, [&](Index begin, Index end) {
      for (Index j = begin; j < end; ++j) ++visits[i * 50 + j];
    });
  });
  for (auto& count : visits) ASSERT_EQ(count, 1);
}

TEST(ParallelFor, RethrowsThroughTwoLoops) {
  EXPECT_THROW(parallel_for(8, 1,
                            [](Index, Index) {
                              parallel_for(8, 1, [](Index j, Index) {
                                if (j == 5) fail("inside");
                              });
                            }),
               Error);
}

TEST(ParallelFor, MayBeCalledFromSeveralThreads) {
  std::vector<std::thread> threads;
  std::atomic<Index> total = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        std::atomic<Index> sum = 0;
        parallel_for(100, 3, [&](Index begin, Index end) {
          for (Index i = begin; i < end; ++i) sum += i;
        });
        total += sum;
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(total, 4 * 200 * 4950);
}

// A digest of the bits of what every part of tensor/ that uses several threads computes.
std::string digest() {
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  auto add = [&]<class T>(const Tensor<T>& x) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(x.data());
    for (std::size_t i = 0; i < x.size() * sizeof(T); ++i)
      hash = (hash ^ bytes[i]) * 1099511628211u;
  };
  auto add_all = [&]<class T>(T) {
    Rng rng(1);
    const auto x = rng.normal<T>({300, 401});
    const auto y = rng.normal<T>({401, 203});

    add(exp(x) + x);
    add(x * rng.normal<T>({401}));

    add(sum(x));
    add(sum(x, {0}));
    add(sum(x, {1}));
    add(mean(exp(x)));
    add(logsumexp(x, {1}));
    add(sum(rng.normal<T>({200000})));
    add(sum(rng.normal<T>({5, 3000, 7}), {0, 2}));

    add(matmul(x, y));
    add(matmul_tn(x, x));
    add(matmul_nt(y, y));
    const auto tall = rng.normal<T>({1030, 261});
    add(matmul(tall, rng.normal<T>({261, 70})));

    const auto eigen = symmetric_eigen(matmul_tn(y, y));
    add(eigen.values);
    add(eigen.vectors);
    add(cholesky(matmul_tn(y, y)));

    auto z = x;
    z += x;
    add(z);
    add(gather_rows(x, rng.permutation(300)));

    const Window window = {.size = 3, .stride = 2, .padding = 1};
    const auto images = rng.normal<T>({40, 15, 14, 5});
    const auto kernel = rng.normal<T>({7, 5, 3, 3});
    add(unfold(images, window));
    add(fold(unfold(images, window), window, images.shape()));
    add(conv2d(images, kernel, window));
    add(conv2d_transpose(conv2d(images, kernel, window), kernel, window, 15, 14));
  };
  add_all(0.0f);
  add_all(0.0);
  return fmt::format("{:016x}", hash);
}

// What this program prints when it is run again with another number of threads.
std::string run_again(const std::string& threads, const std::string& test) {
  const std::string command = "GRADUS_NUM_THREADS='" + threads + "' GRADUS_TEST_CHILD=1 '" +
                              std::filesystem::read_symlink("/proc/self/exe").string() +
                              "' --gtest_filter=" + test + " 2>&1";
  std::string text;
  FILE* const pipe = popen(command.c_str(), "r");
  char buffer[4096];
  while (true) {
    const std::size_t n = std::fread(buffer, 1, sizeof(buffer), pipe);
    if (n == 0) break;
    text.append(buffer, n);
  }
  pclose(pipe);
  return text;
}

TEST(Threads, AnyNumberOfThemComputesTheSameBits) {
  const std::string bits = "digest " + digest();
  if (std::getenv("GRADUS_TEST_CHILD")) {
    fmt::print("{}\n", bits);
    return;
  }
  for (const char* threads : {"1", "2", "5"})
    EXPECT_THAT(run_again(threads, "Threads.AnyNumberOfThemComputesTheSameBits"), HasSubstr(bits))
        << threads;
}

TEST(Threads, AreAsManyAsTheEnvironmentAsksFor) {
  if (std::getenv("GRADUS_TEST_CHILD")) {
    fmt::print("threads {}.\n", test::error_of([] { fail("{}", num_threads()); }));
    return;
  }
  auto asked = [](const char* threads) {
    return run_again(threads, "Threads.AreAsManyAsTheEnvironmentAsksFor");
  };
  EXPECT_THAT(asked("1"), HasSubstr("threads 1."));
  EXPECT_THAT(asked("256"), HasSubstr("threads 256."));
  for (const char* bad : {"0", "257", "-1", "two", "", "2x", " 2", "99999999999"})
    EXPECT_THAT(asked(bad), HasSubstr(fmt::format("threads GRADUS_NUM_THREADS is '{}': give a "
                                                  "number of threads from 1 to 256, or unset it.",
                                                  bad)));
}

// From here on this process can have only so many threads. The system's limit is of all threads of
// a user, and does not bind root: root becomes a user that has no others.
void limit_threads(int most) {
  constexpr uid_t kNobodyElse = 54321;
  if (getuid() == 0) {
    ASSERT_EQ(setuid(kNobodyElse), 0);
  }
  const rlimit limit{static_cast<rlim_t>(most), static_cast<rlim_t>(most)};
  ASSERT_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
}

TEST(Threads, ThatCannotBeStartedAreDoneWithout) {
  if (std::getenv("GRADUS_TEST_CHILD")) {
    limit_threads(num_threads() / 2);
    fmt::print("digest {}\n", digest());
    std::fflush(stdout);
    _exit(0);  // the address sanitizer needs a thread for what it does at the end
  }
  const std::string bits = "digest " + digest();
  for (int threads : {2, 8}) {
    const std::string said =
        run_again(std::to_string(threads), "Threads.ThatCannotBeStartedAreDoneWithout");
    EXPECT_THAT(said, HasSubstr(bits)) << said;
    const std::string note = "threads could be started";
    const std::size_t found = said.find(note);
    ASSERT_NE(found, std::string::npos) << said;
    EXPECT_EQ(said.find(note, found + 1), std::string::npos) << "it is said twice: " << said;
    // A sanitizer's own threads count too, and those that a user other than root has elsewhere.
    EXPECT_THAT(said,
                ContainsRegex(fmt::format("only [1-{}] of {} threads", threads / 2, threads)));
  }
}

TEST(Threads, AreAtLeastOne) { EXPECT_GE(num_threads(), 1); }

}  // namespace
}  // namespace gradus
