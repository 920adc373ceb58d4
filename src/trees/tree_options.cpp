#include "ulmus/trees/tree_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <variant>
#include <vector>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

constexpr std::string_view k_name = "trees";

struct TreeKey {
  std::string_view name;
  std::variant<std::int64_t TreeOptions::*, double TreeOptions::*> field;
  double low, high;
  bool low_open = false;

  double value(const TreeOptions& options) const {
    return std::visit([&](auto member) { return static_cast<double>(options.*member); }, field);
  }
};

constexpr std::array<TreeKey, 11> k_keys{{{"rounds", &TreeOptions::rounds, 1, 100'000},
                                          {"depth", &TreeOptions::depth, 1, 30},
                                          {"eta", &TreeOptions::eta, 0, 1, true},
                                          {"min_child_weight", &TreeOptions::min_child_weight, 0, 1e9},
                                          {"subsample", &TreeOptions::subsample, 0, 1, true},
                                          {"colsample", &TreeOptions::colsample, 0, 1, true},
                                          {"l2", &TreeOptions::l2, 0, 1e9},
                                          {"l1", &TreeOptions::l1, 0, 1e9},
                                          {"min_gain", &TreeOptions::min_gain, 0, 1e9},
                                          {"bins", &TreeOptions::bins, 2, 65'536},
                                          {"patience", &TreeOptions::patience, 0, 100'000}}};

const TreeKey& key_named(std::string_view name, std::string_view model) {
  const auto found = std::ranges::find(k_keys, name, &TreeKey::name);
  if (found != k_keys.end()) return *found;
  std::vector<std::string> names;
  for (const TreeKey& key : k_keys) names.emplace_back(key.name);
  throw_usage(
      fmt::format("unknown key '{}' in model '{}'; {}", printable(name), printable(model), suggest(name, names)));
}

}  // namespace

bool is_tree_model(std::string_view model) { return model.substr(0, model.find(':')) == k_name; }

TreeOptions TreeOptions::parse(std::string_view model) {
  if (!is_tree_model(model))
    throw_usage(fmt::format("model '{}' came, expected trees or trees:KEY=VALUE,...", printable(model)));
  TreeOptions options;
  const std::size_t colon = model.find(':');
  if (colon == std::string_view::npos) return options;
  std::set<std::string_view> seen;
  for (const std::string& setting : split(model.substr(colon + 1), ',')) {
    const std::size_t equals = setting.find('=');
    const TreeKey& key = key_named(setting.substr(0, equals), model);
    if (!seen.insert(key.name).second)
      throw_usage(fmt::format("model '{}' has {} twice; leave out one", printable(model), key.name));
    const std::string value = equals == std::string::npos ? "" : setting.substr(equals + 1);
    const std::string what = fmt::format("{}:{}", k_name, key.name);
    std::visit(
        [&]<class Number>(Number TreeOptions::*member) {
          if constexpr (std::is_same_v<Number, double>)
            options.*member = parse_number(value, what);
          else
            options.*member = parse_integer(value, what);
        },
        key.field);
    const double number = key.value(options);
    if (number < key.low || number > key.high || (key.low_open && number == key.low))
      throw_usage(fmt::format("{} is {}, expected {} {} to {}", what, value, key.low_open ? "above" : "from",
                              format_number(key.low), format_number(key.high)));
  }
  return options;
}

std::string TreeOptions::text() const {
  const TreeOptions defaults;
  std::string text(k_name);
  for (const TreeKey& key : k_keys)
    if (key.value(*this) != key.value(defaults))
      text += fmt::format("{}{}={}", text == k_name ? ":" : ",", key.name, format_number(key.value(*this)));
  return text;
}

}  // namespace ulmus
