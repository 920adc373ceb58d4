#include "data/address.hpp"

#include "fuzz.hpp"
#include "ulmus/data/dataset.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  const std::string_view text = fuzz::text_of(data, size);
  const auto kept = detail::parse_address("csv:x?label=_" + escape_address(text)).find("label");
  fuzz::require(kept && kept->substr(1) == text, "a text that was escaped is read back");
  try {
    const detail::Address address = detail::parse_address(text);
    for (const auto& [key, value] : address.keys) fuzz::require(address.find(key).has_value(), "keys are found");
    fuzz::require(!address.files().empty(), "there is a rest, perhaps an empty one");
  } catch (const Error&) {  // the message quotes the text as typed, including line breaks
  }
  return 0;
}
