// config.toml goes round: whatever text and number an option holds is what is read back.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "ulmus/base/text.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus {
namespace {

/// The same cases every time, unless RC_PARAMS asks for others.
const int k_fixed_cases = setenv("RC_PARAMS", "seed=20261126 max_success=1000", 0);

/// Texts of what breaks formats: quotes, backslashes, comments, line breaks, control characters, any code point.
std::string any_text() {
  static const std::vector<std::string> k_pieces{"\"",   "\\",      "#",      "'",      "\n",         "\r\n",     "\t",
                                                 "\x01", "\x7f",    "\"\"\"", "'''",    "= ",         "[a]",      "\\u",
                                                 "ü",    "e\u0301", "\u2028", "\ufeff", "\U0001f333", "a b/c.csv"};
  const auto chosen = *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(k_pieces));
  return join(chosen, "");
}

TEST(Settings, GoRound) {
  EXPECT_TRUE(rc::check("options that are written are read back", [] {
    RunOptions options;
    visit_options(options, [](const char*, auto& value, const char*) {
      using Value = std::decay_t<decltype(value)>;
      if constexpr (std::is_same_v<Value, std::string>)
        value = any_text();
      else if constexpr (std::is_same_v<Value, double>)
        value = static_cast<double>(*rc::gen::arbitrary<float>());
      else if constexpr (std::is_same_v<Value, bool>)
        value = *rc::gen::arbitrary<bool>();
      else
        value = static_cast<Value>(*rc::gen::inRange<std::int32_t>(0, 1'000'000));
    });
    const RunOptions back = options_from_toml("# a comment\n" + to_toml(options), "config.toml");
    RC_ASSERT(to_toml(back) == to_toml(options));
    RC_ASSERT(back.data == options.data);
    RC_ASSERT(back.losses == options.losses);
    RC_ASSERT(back.lr == options.lr);
  }));
}

}  // namespace
}  // namespace ulmus
