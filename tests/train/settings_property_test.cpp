// Round trip of config.toml: any text and number in an option is read back unchanged.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/base/text.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus {
namespace {

/// The same cases every time, unless RC_PARAMS is set.
const int k_fixed_cases = setenv("RC_PARAMS", "seed=20261126 max_success=1000", 0);

/// Texts with characters that are critical for formats: quotes, backslashes, comments, line breaks, control characters,
/// any code point.
std::string any_text() {
  static const std::vector<std::string> k_pieces{"\"",   "\\",      "#",      "'",      "\n",         "\r\n",     "\t",
                                                 "\x01", "\x7f",    "\"\"\"", "'''",    "= ",         "[a]",      "\\u",
                                                 "ü",    "e\u0301", "\u2028", "\ufeff", "\U0001f333", "a b/c.csv"};
  const auto chosen = *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(k_pieces));
  return join(chosen, "");
}

void set_any(std::string& value) { value = any_text(); }
void set_any(bool& value) { value = *rc::gen::arbitrary<bool>(); }
void set_any(double& value) { value = static_cast<double>(*rc::gen::arbitrary<float>()); }
void set_any(std::int64_t& value) { value = *rc::gen::inRange<std::int32_t>(0, 1'000'000); }
void set_any(std::uint64_t& value) {
  value = static_cast<std::uint64_t>(*rc::gen::inRange<std::int32_t>(0, 1'000'000));
}
void set_any(std::vector<LossSpec>& value) {
  static const std::vector<std::string> k_lists{"ce", "ldam+drw,ce", "elm:lambda=0.25,scale=20+drw:from=0.7", "all"};
  value = parse_losses(*rc::gen::elementOf(k_lists));
}

/// Unset in half of the cases; 0 and "" are not values of an option that may be unset.
template <class Value>
void set_any(std::optional<Value>& value) {
  value.reset();
  if (!*rc::gen::arbitrary<bool>()) return;
  set_any(value.emplace());
  if (*value == Value() || *value == Value(-1)) value.reset();
}
void set_any(std::optional<std::string>& value) {
  const std::string text = any_text();
  value = text.empty() ? std::nullopt : std::optional(text);
}

TEST(Settings, GoRound) {
  EXPECT_TRUE(rc::check("options that are written are read back", [] {
    RunOptions options;
    visit_options(options, [](const char*, auto& value, const char*) { set_any(value); });
    const RunOptions back = options_from_toml("# a comment\n" + to_toml(options), "config.toml");
    RC_ASSERT(to_toml(back) == to_toml(options));
    RC_ASSERT(back.data == options.data);
    RC_ASSERT(back.losses == options.losses);
    RC_ASSERT(back.lr == options.lr);
    RC_ASSERT(back.weights == options.weights);
  }));
}

TEST(Settings, WhatUlmus01WroteForNoValueIsUnset) {
  const RunOptions options = options_from_toml(
      "epochs = 0\nlr = 0\nweight-decay = -1\nclip = 0\nema = 0.0\njobs = 0\nimage-size = 0\ndata-root = \"\"\nweights "
      "= \"\"\n",
      "config.toml");
  EXPECT_FALSE(options.epochs || options.lr || options.weight_decay || options.clip || options.ema || options.jobs ||
               options.image_size || options.data_root || options.weights);
  EXPECT_EQ(options_from_toml("weight-decay = 0\n", "config.toml").weight_decay, 0);
  EXPECT_EQ(to_toml(options), to_toml(RunOptions()));
}

}  // namespace
}  // namespace ulmus
