#include "ulmus/loss/keys.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "ulmus/base/text.hpp"

namespace ulmus {

bool Range::contains(double value) const {
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::text() const {
  if (low == -std::numeric_limits<double>::infinity() && high == std::numeric_limits<double>::infinity())
    return "any number";
  if (high == std::numeric_limits<double>::infinity())
    return fmt::format("{} {}", low_open ? "above" : "at least", format_number(low));
  return fmt::format("in {}{}, {}{}", low_open ? '(' : '[', format_number(low), format_number(high),
                     high_open ? ')' : ']');
}

std::string KeyValue::text() const {
  if (is_automatic()) return "auto";
  return is_word() ? std::string(word()) : format_number(number());
}

std::string Key::range_text() const {
  if (choices.empty()) return range.text() + (automatic.empty() ? "" : " or auto");
  return join(std::vector<std::string>(choices.begin(), choices.end()), " or ");
}

KeyValues::KeyValues(std::span<const Key> keys) : keys_(keys) {
  for (const Key& key : keys) values_.push_back(key.default_value);
}

bool KeyValues::has(std::string_view name) const {
  return std::any_of(keys_.begin(), keys_.end(), [name](const Key& key) { return key.name == name; });
}

std::size_t KeyValues::index(std::string_view name) const {
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i].name == name) return i;
  throw std::logic_error(fmt::format("the family table has no key '{}' here", name));
}

KeyValues KeyValues::with_candidates() const {
  KeyValues result = *this;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (values_[i].is_automatic()) result.values_[i] = keys_[i].automatic[0];
  return result;
}

bool KeyValues::applies(const Key& key) const {
  const std::size_t equals = key.only_with.find('=');
  return key.only_with.empty() || word(key.only_with.substr(0, equals)) == key.only_with.substr(equals + 1);
}

std::string KeyValues::text(bool all) const {
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (applies(keys_[i]) && (all || values_[i] != keys_[i].default_value))
      pieces.push_back(fmt::format("{}={}", keys_[i].name, values_[i].text()));
  return join(pieces, ",");
}

}  // namespace ulmus
