#include "ulmus/data/kind_counts.hpp"

#include <fmt/format.h>

#include <vector>

#include "ulmus/base/text.hpp"

namespace ulmus {

std::int64_t KindCounts::total() const {
  std::int64_t sum = 0;
  for (const auto& [kind, count] : counts_) sum += count;
  return sum;
}

std::string KindCounts::text() const {
  std::vector<std::string> parts;
  for (const auto& [kind, count] : counts_) parts.push_back(fmt::format("{} {}", printable(kind), count));
  return join(parts, ", ");
}

}  // namespace ulmus
