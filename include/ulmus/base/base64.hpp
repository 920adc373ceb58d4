#pragma once

#include <string>
#include <string_view>

namespace ulmus {

/// Bytes as Base64 (RFC 4648, with padding, without line breaks).
std::string base64(std::string_view bytes);

/// Whether this is what base64() makes of some bytes: the alphabet, padding at the end, a multiple of four long.
bool is_base64(std::string_view text);

}  // namespace ulmus
