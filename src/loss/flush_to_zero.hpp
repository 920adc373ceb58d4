#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace ulmus::detail {

/// While an object lives, results of this thread below the smallest normal number are flushed to 0. The gradient of an
/// incorrect class is often that small if logits are far apart, and x86 handles each such number slowly: the whole call
/// took three times as long.
class FlushToZero {
#if defined(__SSE2__)
 public:
  FlushToZero() { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON); }
  ~FlushToZero() { _mm_setcsr(before_); }
  FlushToZero(const FlushToZero&) = delete;
  FlushToZero& operator=(const FlushToZero&) = delete;

 private:
  const unsigned before_ = _mm_getcsr();
#endif
};

}  // namespace ulmus::detail
