#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ulmus/data/table.hpp"

namespace ulmus::detail {

/// Empty, `NA`, `NaN`, `null` in any case, or `?`.
bool is_missing(std::string_view cell);

/// The whole cell as a finite decimal number.
std::optional<double> number_in(std::string_view cell);

/// "'table.csv' line 7: column 'age' is 'old'".
std::string cell_text(const Table& table, std::int64_t row, std::size_t column);

/// A column's name as a message advises to write it in an address.
std::string advised(std::string_view name);

}  // namespace ulmus::detail
