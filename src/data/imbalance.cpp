#include "ulmus/data/imbalance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <numeric>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

/// n[c] / n_max for class c of C, before truncation.
double fraction(const ImbalanceProfile& profile, std::int64_t c, std::int64_t classes) {
  switch (profile.kind) {
    case ImbalanceProfile::Kind::none:
      return 1;
    case ImbalanceProfile::Kind::exponential:
      return c == 0 ? 1 : std::pow(profile.factor, static_cast<double>(c) / static_cast<double>(classes - 1));
    case ImbalanceProfile::Kind::step:
      return c < classes / 2 || classes == 1 ? 1 : profile.factor;
  }
  return 1;
}

}  // namespace

ImbalanceProfile ImbalanceProfile::parse(std::string_view text) {
  static const std::array<std::string, 3> k_kinds{"none", "exp", "step"};
  const std::size_t colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  const bool has_ratio = colon != std::string_view::npos && colon + 1 < text.size();
  if (std::ranges::find(k_kinds, kind) == k_kinds.end())
    throw Error(ErrorKind::usage, fmt::format("unknown imbalance '{}'; {}", text, suggest(kind, k_kinds)));
  if (kind == "none") {
    if (colon != std::string_view::npos)
      throw Error(ErrorKind::usage, fmt::format("imbalance '{}' takes no ratio; write 'none'", text));
    return {};
  }
  if (!has_ratio)
    throw Error(
        ErrorKind::usage,
        fmt::format("imbalance '{}' needs the ratio of the largest class to the smallest; write '{}:100'", text, kind));
  const double ratio = parse_number(text.substr(colon + 1), fmt::format("the ratio of imbalance '{}'", text));
  if (ratio < 1)
    throw Error(ErrorKind::usage,
                fmt::format("the ratio of imbalance '{}' is below 1; it is largest class to smallest, write '{}:100'",
                            text, kind));
  return {.kind = kind == "exp" ? Kind::exponential : Kind::step, .factor = 1 / ratio};
}

std::vector<std::int64_t> imbalance_counts(const ImbalanceProfile& profile, std::span<const std::int64_t> available) {
  if (profile.kind == ImbalanceProfile::Kind::none) return {available.begin(), available.end()};

  const auto classes = static_cast<std::int64_t>(available.size());
  std::vector<double> fractions(available.size());
  for (std::int64_t c = 0; c < classes; ++c) fractions[static_cast<std::size_t>(c)] = fraction(profile, c, classes);

  const auto kept = [&](double n_max) {
    std::vector<std::int64_t> counts(available.size());
    for (std::size_t c = 0; c < counts.size(); ++c) counts[c] = static_cast<std::int64_t>(n_max * fractions[c]);
    return counts;
  };
  const auto enough = [&](std::span<const std::int64_t> counts) {
    return std::ranges::equal(counts, available, std::less_equal{});
  };

  const auto total = std::accumulate(available.begin(), available.end(), std::int64_t{0});
  std::vector<std::int64_t> counts = kept(static_cast<double>(total) / static_cast<double>(classes));
  if (enough(counts)) return counts;

  // n[c] = trunc(n_max * fraction) <= available[c] bounds n_max from above up to rounding, which the loop settles.
  double n_max = static_cast<double>(total);
  for (std::size_t c = 0; c < counts.size(); ++c)
    n_max = std::min(n_max, std::ceil(static_cast<double>(available[c] + 1) / fractions[c]));
  do {
    counts = kept(n_max);
    --n_max;
  } while (!enough(counts));
  return counts;
}

}  // namespace ulmus
