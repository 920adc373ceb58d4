#pragma once

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

namespace ulmus::detail {

/// While it lives, results of this thread below the smallest normal number are 0. The gradient of a wrong class is
/// often that small where logits lie far apart, and x86 stops for each: the whole call took three times as long.
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
