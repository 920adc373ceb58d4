#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace ulmus::bench {

/// The alternatives of a user: each call does one forward and one backward pass on the same random logits.
struct Peers {
  std::function<void()> eager_ce;
  std::function<void()> composed_elm;
};

/// Returns nothing if LibTorch was not built in.
std::optional<Peers> make_peers(std::int64_t n, std::int64_t c, std::span<const std::int64_t> labels,
                                std::span<const double> margins, int threads);

}  // namespace ulmus::bench
