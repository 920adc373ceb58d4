#pragma once

#include <concepts>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "ulmus/base/json_fwd.hpp"

namespace ulmus {

/// Converts between Json and C++ values as nlohmann::json does, except for integers (see below).
template <class T, class>
struct ExactSerializer : nlohmann::adl_serializer<T> {};

/// nlohmann::json casts any number: 1.5 becomes 1, 300 in 8 bits becomes 44, and 1e64 is undefined. Here an integer is
/// read only from an integer that fits into T; anything else throws nlohmann::json::type_error (302) or out_of_range
/// (406), which are both nlohmann::json::exception.
template <std::integral T>
requires(!std::same_as<T, bool>) struct ExactSerializer<T, void> : nlohmann::adl_serializer<T> {
  static void from_json(const Json& json, T& value) {
    if (!json.is_number_integer())
      throw nlohmann::json::type_error::create(302, "a whole number is expected, here is " + json.dump(), &json);
    const auto assign = [&](auto number) {
      if (!std::in_range<T>(number))
        throw nlohmann::json::out_of_range::create(406, "out of range: " + json.dump(), &json);
      value = static_cast<T>(number);
    };
    if (json.is_number_unsigned())
      assign(json.template get_ref<const std::uint64_t&>());
    else
      assign(json.template get_ref<const std::int64_t&>());
  }
};

/// Maximum length of a JSON text in bytes; a split of fifty million samples is shorter.
inline constexpr std::size_t k_longest_json = std::size_t{1} << 30;

/// Parses JSON from an untrusted source. Throws nlohmann::json::exception if the text is not JSON, is longer than
/// `longest` bytes, is nested deeper than 64 levels, or repeats a name within an object.
Json parse_json(std::string_view text, std::size_t longest = k_longest_json);

}  // namespace ulmus
