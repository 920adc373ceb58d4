#pragma once

#include <concepts>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "ulmus/base/json_fwd.hpp"

namespace ulmus {

/// How Json and C++ values become each other: as nlohmann::json does it, but for the whole numbers below.
template <class T, class>
struct ExactSerializer : nlohmann::adl_serializer<T> {};

/// nlohmann::json casts whatever number came: 1.5 becomes 1, 300 in 8 bits becomes 44, and 1e64 is undefined. Here a
/// whole number comes from a whole number that T holds; anything else throws nlohmann::json::type_error (302) or
/// out_of_range (406), which are both nlohmann::json::exception.
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

/// What one JSON text may have; a split of fifty million samples has less.
inline constexpr std::size_t k_longest_json = std::size_t{1} << 30;

/// Parses JSON that others may have written. Throws nlohmann::json::exception with the reason for what is no JSON, has
/// more than `longest` bytes, is nested deeper than 64 levels or has a name twice in one object.
Json parse_json(std::string_view text, std::size_t longest = k_longest_json);

}  // namespace ulmus
