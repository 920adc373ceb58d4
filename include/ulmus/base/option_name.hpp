#pragma once

#include <string>
#include <string_view>

namespace ulmus {

/// Returns how a message refers to an option, also in a closing hint ("enlarge them with {}"): its C++ name,
/// `image_size`, or `image_size=32` with a value. A program whose users know the option by another name calls
/// set_option_spelling() once, so that library messages never mention a command line. Thread-safe.
std::string option_name(std::string_view name, std::string_view value = {});

/// Formats the option `name` (its C++ name) as the users of a program know it; `value` may be empty.
using OptionSpelling = std::string (*)(std::string_view name, std::string_view value);

/// Sets the format that option_name() uses in this process; null restores the C++ names.
void set_option_spelling(OptionSpelling spelling) noexcept;

}  // namespace ulmus
