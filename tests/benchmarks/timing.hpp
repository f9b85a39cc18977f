#pragma once
#include <algorithm>
#include <chrono>
#include <vector>

// What the benchmarks measure time with.
namespace gradus::benchmarks {
// Seconds since it was made, or since the last lap.
class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

  double lap() {
    const double result = seconds();
    start_ = Clock::now();
    return result;
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// Seconds that one call of f takes: the mean over as many calls as fill `least` seconds.
template <class F> double seconds_per_call(double least, const F& f) {
  const Stopwatch watch;
  int calls = 0;
  do {
    f();
    ++calls;
  } while (watch.seconds() < least);
  return watch.seconds() / calls;
}

// Several measurements of one thing. What disturbs a measurement makes it slower, and now and then
// by much: the median is its value, the range says how far to trust that.
struct Spread {
  explicit Spread(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    const std::size_t n = values.size();
    median = (values[(n - 1) / 2] + values[n / 2]) / 2;
    least = values.front();
    most = values.back();
  }

  double median, least, most;
};
}  // namespace gradus::benchmarks
