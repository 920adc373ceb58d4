#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace ulmus::detail {

/// Maximum size of a decompressed text in bytes: 2 GiB, or the number in $ULMUS_TEXT_LIMIT. Throws Error{usage} if that
/// is not a number above 0.
std::int64_t text_limit();

/// Decompresses gzip (RFC 1952, concatenated members); returns other bytes unchanged. Throws Error{data} for damaged
/// gzip and for content beyond `limit`; never allocates more than `limit`.
std::string decompressed(std::string bytes, const std::filesystem::path& file, std::int64_t limit);

/// Reads a text file and decompresses gzip, up to text_limit(). Also throws as read_file does.
std::string read_text_file(const std::filesystem::path& file);

}  // namespace ulmus::detail
