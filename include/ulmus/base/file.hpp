#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace ulmus {

/// The bytes of a file; throws Error{data} naming the path when it cannot be read.
std::string read_file(const std::filesystem::path& path);

/// Writes a file whole: temporary name in the same folder, fsync, rename. Readers see the old content or the new one,
/// never a part. Throws Error{environment} naming the path and the reason (disk full, read-only, no permission).
void write_file(const std::filesystem::path& path, std::string_view content);

/// Appends one line and flushes it to the operating system. Throws Error{environment}.
void append_line(const std::filesystem::path& path, std::string_view line);

/// Creates a folder and its parents. Throws Error{environment}.
void make_folder(const std::filesystem::path& path);

/// SHA-256 of `bytes` as 64 lower-case hexadecimal digits.
std::string sha256(std::string_view bytes);

}  // namespace ulmus
