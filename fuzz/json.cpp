#include "ulmus/base/json.hpp"

#include "fuzz.hpp"

using namespace ulmus;

ULMUS_FUZZER(data, size) {
  const std::string_view text = fuzz::text_of(data, size);
  try {
    const Json json = parse_json(text);
    fuzz::require(parse_json(json.dump()) == json, "what was read is read back the same");
    fuzz::require(Json::accept(text), "what was read is JSON");
  } catch (const Json::exception& error) {
    fuzz::require(std::string_view(error.what()).find('\n') == std::string_view::npos, "the reason is one line");
  }
  return 0;
}
