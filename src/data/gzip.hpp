#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace ulmus::detail {

/// Largest text that is made of a compressed file, in bytes: 2 GiB, or the number in $ULMUS_TEXT_LIMIT. Throws
/// Error{usage} when that is no number above 0.
std::int64_t text_limit();

/// The content of gzip (RFC 1952, members one after the other); other bytes as they are. Throws Error{data} for damaged
/// gzip, and for content beyond `limit`, after no more memory than that.
std::string decompressed(std::string bytes, const std::filesystem::path& file, std::int64_t limit);

/// The bytes of a file of text, decompressed where it is gzip, up to text_limit(). Throws as read_file, too.
std::string read_text_file(const std::filesystem::path& file);

}  // namespace ulmus::detail
