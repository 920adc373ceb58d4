#include "fuzz.hpp"
#include "ulmus/train/options.hpp"

using namespace ulmus;

/// config.toml, or the file of --config.
ULMUS_FUZZER(data, size) {
  fuzz::allow_errors([&] {
    const RunOptions options = options_from_toml(fuzz::text_of(data, size), "config.toml");
    const std::string text = to_toml(options);
    fuzz::require(to_toml(options_from_toml(text, "config.toml")) == text, "options that are written are read back");
  });
  return 0;
}
