#pragma once
#include "tensor/shape.hpp"

namespace gradus {
// The number of threads that parallel_for uses: GRADUS_NUM_THREADS where that is set (throws Error
// when it is no number from 1 to 256), otherwise the number of hardware threads, at most 256. Where
// the system lets fewer be started, parallel_for says so once, on standard error, and uses those.
int num_threads();

namespace detail {
// The number of elements that make a piece, where little is computed with each.
constexpr Index kPiece = 1 << 13;

using PieceFunction = void (*)(const void* body, Index begin, Index end);

void run_pieces(Index n, Index grain, PieceFunction function, const void* body);
}  // namespace detail

// Calls body(begin, end) for pieces of [0, n) of `grain` elements each (the last may be shorter),
// on several threads. The pieces depend on n and grain only, never on the number of threads, so a
// result that is computed piece by piece has the same bits on one thread and on many.
//
// The calling thread works too, and waits only for pieces that another thread has begun: a worker
// that the system has not scheduled holds up nobody. A loop runs on the calling thread alone when
// it is started inside a piece of a loop that several threads share, or while another thread's loop
// has the workers. A piece's exception is rethrown here.
//
// REQUIRES: grain > 0, and body may be called by several threads at a time.
template <class Body> void parallel_for(Index n, Index grain, const Body& body) {
  if (n <= grain) {
    if (n > 0) body(Index{0}, n);
    return;
  }

  auto piece = [](const void* b, Index begin, Index end) {
    (*static_cast<const Body*>(b))(begin, end);
  };
  detail::run_pieces(n, grain, piece, &body);
}
}  // namespace gradus
