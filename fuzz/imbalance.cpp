#include "ulmus/data/imbalance.hpp"

#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  static constexpr std::int64_t k_available[] = {5000, 4000, 300, 2, 1};
  try {
    const auto counts = imbalance_counts(ImbalanceProfile::parse(fuzz::text_of(data, size)), k_available);
    for (std::size_t c = 0; c < counts.size(); ++c)
      fuzz::require(counts[c] >= 0 && counts[c] <= k_available[c], "no class keeps more than it has");
  } catch (const Error&) {  // the message quotes the text as typed, including line breaks
  }
  static const fuzz::MemoryFile file;
  file.write(fuzz::text_of(data, size));
  fuzz::allow_errors([&] {
    const auto counts = imbalance_counts(ImbalanceProfile::parse("counts:" + file.path()), k_available);
    for (std::size_t c = 0; c < counts.size(); ++c)
      fuzz::require(counts[c] >= 1 && counts[c] <= k_available[c], "a count that was read is there");
  });
  return 0;
}
