#include "fuzz.hpp"
#include "ulmus/loss/spec.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  const std::string_view text = fuzz::text_of(data, size);
  try {
    const LossSpec spec = LossSpec::parse(text);
    fuzz::require(LossSpec::parse(spec.text()) == spec, "the canonical text is the same loss");
    fuzz::require(LossSpec::parse(spec.full_text()) == spec, "the full text is the same loss");
  } catch (const Error&) {  // quotes the text as it was typed, line breaks included
  }
  try {
    fuzz::require(!parse_losses(text).empty(), "a list has a loss");
  } catch (const Error&) {
  }
  return 0;
}
