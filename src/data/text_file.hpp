#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace ulmus::detail {

/// A kind of file that is no table in text, told by its first bytes.
struct FileKind {
  std::string_view name;    ///< "an Excel workbook (.xlsx)"
  std::string_view advice;  ///< "save the sheet as CSV"
};

/// Workbooks, archives, data bases, pages, images, serialised objects; nothing for what may be text.
std::optional<FileKind> kind_of_file(std::string_view bytes);

/// Largest text that is made of a compressed file, in bytes: 2 GiB, or the number in $ULMUS_TEXT_LIMIT. Throws
/// Error{usage} when that is no number above 0.
std::int64_t text_limit();

/// The content of gzip (RFC 1952, members one after the other); other bytes as they are. Throws Error{data} for damaged
/// gzip, and for content beyond `limit`, after no more memory than that.
std::string decompressed(std::string bytes, const std::filesystem::path& file, std::int64_t limit);

/// Appends a code point. One that is beyond Unicode becomes a byte that no UTF-8 has, so that the text is refused.
void append_utf8(std::string& text, std::uint32_t point);

/// Text as UTF-8 without its byte order mark; UTF-16 with a mark is converted. Throws Error{data} for a kind of file
/// that is no text, naming it, and for other bytes that are not UTF-8, with their line.
std::string utf8_text(std::string_view bytes, const std::filesystem::path& file);

}  // namespace ulmus::detail
