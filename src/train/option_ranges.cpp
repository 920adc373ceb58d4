#include "train/option_ranges.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "train/optimizer_spec.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {
namespace {

template <class Number>
void require(bool holds, const char* option, Number value, const char* expected) {
  if (!holds) throw_usage(fmt::format("{} is {}, expected {}", option_name(option), value, expected));
}

/// An unset option is always in range.
template <class Number, class Holds>
void require(const std::optional<Number>& value, Holds holds, const char* option, const char* expected) {
  if (value) require(holds(*value), option, *value, expected);
}

void require_word(const char* option, const std::string& word, const std::vector<std::string>& words) {
  if (std::ranges::find(words, word) == words.end())
    throw_usage(fmt::format("unknown {} '{}'; {}", option_name(option), word, suggest(word, words)));
}

}  // namespace

void check_ranges(const RunOptions& o) {
  visit_options(o, [](std::string name, const auto& value, const char*) {
    const std::string text = option_text(value);
    if (valid_utf8(text) == text.size()) return;
    std::ranges::replace(name, '-', '_');
    throw_usage(fmt::format("{} is '{}', which is not UTF-8, as config.toml has to be; rename it", option_name(name),
                            printable(text)));
  });
  const auto between = [](auto low, auto high) { return [=](auto value) { return value >= low && value <= high; }; };
  const auto positive = [](double value) { return value > 0; };
  require(o.seeds >= 1 && o.seeds <= 1000, "seeds", o.seeds, "1 to 1000");
  require(o.validation >= 0, "validation", o.validation, "at least 0");
  require(o.test_fraction > 0 && o.test_fraction < 1, "test_fraction", o.test_fraction, "above 0 and below 1");
  require(o.epochs, between(1, 1'000'000), "epochs", "1 to 1000000");
  require(o.batch_size >= 2 && o.batch_size <= 1'000'000, "batch_size", o.batch_size,
          "2 (batch norm needs two images) to 1000000");
  require(o.lr, positive, "lr", "above 0");
  require(o.momentum >= 0 && o.momentum < 1, "momentum", o.momentum, "in [0, 1)");
  require(
      o.weight_decay, [](double value) { return value >= 0; }, "weight_decay", "at least 0");
  require(o.clip, positive, "clip", "above 0");
  require(
      o.ema, [](double value) { return value > 0 && value < 1; }, "ema", "above 0 and below 1");
  require(o.lr_backbone, positive, "lr_backbone", "above 0");
  require(o.unfreeze, between(1, 1'000'000), "unfreeze", "1 to 1000000 epochs");
  require(o.views, between(1, 1000), "views", "1 to 1000");
  OptimizerSpec::parse(o.optimizer);
  require_word("feature_precision", o.feature_precision, {"f32", "f16"});
  require_word("freeze", o.freeze, {"none", "backbone", "auto"});
  require(o.warmup >= 0 && o.warmup < 1, "warmup", o.warmup, "in [0, 1)");
  require(o.jobs, between(1, 256), "jobs", "1 to 256");
  require(o.threads, between(1, 256), "threads", "1 to 256");
  require(o.loader_threads >= 0 && o.loader_threads <= 256, "loader_threads", o.loader_threads, "from 0 to 256");
  require(
      o.image_size, [](std::int64_t value) { return value >= 1; }, "image_size", "at least 1");
  require(o.image_bits, between(8, 16), "image_bits", "8 to 16");
  require(o.max_pixels >= 1 && o.max_pixels <= k_largest_max_pixels, "max_pixels", o.max_pixels, "1 to 2147483647");
}

}  // namespace ulmus::detail
