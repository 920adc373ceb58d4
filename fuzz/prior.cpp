#include "ulmus/eval/prior.hpp"

#include <cmath>
#include <numeric>
#include <string>

#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  static const ClassCounts counts({5, 2});
  static const fuzz::MemoryFile file;
  file.write(fuzz::text_of(data, size));
  for (const std::string& text : {file.path(), std::string(fuzz::text_of(data, size))})
    fuzz::allow_errors([&] {
      const std::vector<double> prior = parse_prior(text, counts);
      const double sum = std::accumulate(prior.begin(), prior.end(), 0.0);
      fuzz::require(prior.size() == 2 && std::abs(sum - 1) < 1e-9, "a prior that was read has the sum 1");
    });
  return 0;
}
