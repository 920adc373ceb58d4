#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace ulmus {

/// A reproducible stream of random numbers, derived from a seed, a name and a step, independent of thread order.
///
/// Definition (frozen, because manifests depend on it): the state starts at `mix(seed)`; the FNV-1a hash of the name,
/// the step and the substep are each added and mixed in that order; every draw is the next output of SplitMix64
/// (Steele, Lea, Flood 2014).
class Stream {
 public:
  explicit Stream(std::uint64_t seed, std::string_view name, std::uint64_t step = 0, std::uint64_t substep = 0);

  /// 64 uniform bits.
  std::uint64_t next() noexcept;

  /// A uniform integer in [0, bound), unbiased (multiply and reject, Lemire 2019). `bound` > 0.
  std::uint64_t below(std::uint64_t bound) noexcept;

  /// A uniform number in [0, 1) with 53 random bits.
  double uniform() noexcept;

  /// A standard normal number (Box-Muller; the second number of each pair is kept for the next call).
  double normal() noexcept;

  /// Fisher-Yates shuffle, from the last element down.
  template <class T>
  void shuffle(std::span<T> values) noexcept {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::uint64_t state_;
  double spare_ = 0;
  bool has_spare_ = false;
};

}  // namespace ulmus
