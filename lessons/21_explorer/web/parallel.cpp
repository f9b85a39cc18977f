// The stand-in for tensor/parallel.cpp where there is one thread: a page's WebAssembly.
#include "tensor/parallel.hpp"

#include <algorithm>

namespace gradus {

int num_threads() { return 1; }

void detail::run_pieces(Index n, Index grain, PieceFunction function, const void* body) {
  for (Index begin = 0; begin < n; begin += grain)
    function(body, begin, std::min(begin + grain, n));
}

}  // namespace gradus
