#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// A file format that its first bytes identify and that is not plain text.
struct FileKind {
  std::string_view name;    ///< "an Excel workbook (.xlsx)"
  std::string_view advice;  ///< how to convert it to text: "save the sheet as CSV UTF-8"
  bool image = false;
};

/// Detects workbooks, archives, databases, pages, images and serialised objects; returns nothing for what may be text.
std::optional<FileKind> kind_of_file(std::string_view bytes);

/// Appends a code point. One beyond Unicode becomes a byte that is invalid in UTF-8, so that later validation fails.
void append_utf8(std::string& text, std::uint32_t point);

/// Decodes a text file: UTF-8 without its byte order mark; UTF-16 with a mark is converted. Throws Error{data} naming
/// the kind of a file that is not text, or the line of bytes that are not UTF-8.
std::string utf8_text(std::string_view bytes, const std::filesystem::path& file);

/// Splits a text into lines without their terminators (LF, CRLF, CR or CRCRLF). The results are views of `text`.
std::vector<std::string_view> text_lines(std::string_view text);

}  // namespace ulmus
