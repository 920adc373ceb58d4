#pragma once

#include <string>
#include <string_view>

namespace ulmus {

/// How a message names an option, for the hint at its end too ("enlarge them with {}"): by its C++ name, `image_size`,
/// or `image_size=32` with a value. A program whose users know the option by another name says so once
/// (set_option_spelling), so that no library message speaks of a command line. Thread-safe.
std::string option_name(std::string_view name, std::string_view value = {});

/// Writes the option `name` (its C++ name) as the users of a program know it; `value` may be empty.
using OptionSpelling = std::string (*)(std::string_view name, std::string_view value);

/// Sets how option_name() writes options in this process from now on; null restores the C++ names.
void set_option_spelling(OptionSpelling spelling) noexcept;

}  // namespace ulmus
