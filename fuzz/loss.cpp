#include "ulmus/loss/loss.hpp"

#include <cmath>

#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  const std::string_view text = fuzz::text_of(data, size);
  try {
    const LossSpec spec = LossSpec::parse(text);
    fuzz::require(LossSpec::parse(spec.text()) == spec, "the canonical text is the same loss");
    fuzz::require(LossSpec::parse(spec.full_text()) == spec, "the full text is the same loss");
  } catch (const Error&) {  // the message quotes the text as typed, including line breaks
  }
  try {
    fuzz::require(!parse_losses(text).empty(), "a list has a loss");
  } catch (const Error&) {
  }
  static const fuzz::MemoryFile file;
  file.write(text);
  fuzz::allow_errors([&] {
    const Loss loss(LossSpec::parse("ce+weights=" + file.path()), ClassCounts({5, 2}));
    fuzz::require(loss.class_weights().size() == 2, "every class has a weight");
    for (const double weight : loss.class_weights())
      fuzz::require(std::isfinite(weight) && weight >= 0, "a weight that was read is finite and not negative");
  });
  return 0;
}
