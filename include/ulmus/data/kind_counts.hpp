#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace ulmus {

/// Counts of files by kind.
class KindCounts {
 public:
  void add(const std::string& kind, std::int64_t count = 1) { counts_[kind] += count; }
  void add(const KindCounts& others) {
    for (const auto& [kind, count] : others.counts_) add(kind, count);
  }
  bool empty() const { return counts_.empty(); }
  std::int64_t total() const;
  std::string text() const;  ///< "damaged 3, not an image 1", by kind; names are printable
  const std::map<std::string, std::int64_t>& counts() const { return counts_; }

 private:
  std::map<std::string, std::int64_t> counts_;
};

}  // namespace ulmus
