#include "ulmus/base/text_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ulmus/base/ascii.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus {
namespace {

using namespace std::string_view_literals;
namespace fs = std::filesystem;

[[noreturn]] void throw_data_error(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' {}", file.string(), what));
}

struct Signature {
  std::string_view bytes;
  FileKind kind;
  /// The magic bytes are letters with which a text may begin (for example a column called "ORC"), so the file must also
  /// contain bytes that no text has.
  bool of_letters = false;
};

constexpr std::string_view k_from_python = "write it as text, a table with pandas' DataFrame.to_csv(path, index=False)";
constexpr std::string_view k_export = "export it as CSV";
constexpr std::string_view k_unpack = "unpack it and name the file inside";
constexpr std::string_view k_recompress = "unpack it, or compress it with gzip";
constexpr std::string_view k_itself = "give the file of text itself";
constexpr std::string_view k_sheet = "save the sheet as CSV UTF-8";
constexpr std::string_view k_from_r = "write the table with write.csv(t, 'table.csv', row.names = FALSE)";

constexpr auto k_signatures = std::to_array<Signature>({
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {"an Excel workbook of the old kind (.xls)", k_sheet}},
    {"PAR1", {"a Parquet file", k_from_python}, true},
    {"ARROW1", {"an Arrow or Feather file", k_from_python}, true},
    {"FEA1", {"a Feather file", k_from_python}, true},
    {"ORC", {"an ORC file", k_from_python}, true},
    {"Obj\x01", {"an Avro file", k_from_python}},
    {"\x89HDF", {"an HDF5 file", k_from_python}},
    {"\x93NUMPY", {"a NumPy array", "open it as npy:FEATURES,LABELS"}},
    {"SQLite format 3\0"sv, {"an SQLite data base", k_export}},
    {"MATLAB 5.0 MAT-file", {"a MATLAB file", "write the table with writetable(T, 'table.csv')"}},
    {"RDX2\n", {"an R data file", k_from_r}, true},
    {"RDX3\n", {"an R data file", k_from_r}, true},
    {"<stata_dta>", {"a Stata file", k_export}},
    {"$FL2", {"an SPSS file", k_export}, true},
    {"HEADER RECORD*******", {"a SAS transport file", k_export}},
    {"\x1f\x8b", {"compressed with gzip", "unpack it with gunzip"}},
    {"BZh", {"compressed with bzip2", k_recompress}, true},
    {"\xfd"
     "7zXZ",
     {"compressed with xz", k_recompress}},
    {"\x28\xb5\x2f\xfd", {"compressed with Zstandard", k_recompress}},
    {"\x04\x22\x4d\x18", {"compressed with LZ4", k_recompress}},
    {"7z\xbc\xaf\x27\x1c", {"a 7z archive", k_unpack}},
    {"Rar!\x1a\x07", {"a RAR archive", k_unpack}},
    {"%PDF-", {"a PDF document", k_export}},
    {"{\\rtf", {"a document in RTF", k_export}},
    {"\x89PNG", {"a PNG image", k_itself, true}},
    {"\xff\xd8\xff", {"a JPEG image", k_itself, true}},
    {"II*\0"sv, {"a TIFF image", k_itself, true}},
    {"MM\0*"sv, {"a TIFF image", k_itself, true}},
    {"GIF87a", {"a GIF image", k_itself, true}},
    {"GIF89a", {"a GIF image", k_itself, true}},
    {"\0\0\0\x0cjP  "sv, {"a JPEG 2000 image", k_itself, true}},
    {"\xff\x4f\xff\x51", {"a JPEG 2000 image", k_itself, true}},
    {"\xff\x0a", {"a JPEG XL image", k_itself, true}},
    {"\0\0\0\x0cJXL "sv, {"a JPEG XL image", k_itself, true}},
    {"\0\0\1\0"sv, {"an icon", k_itself, true}},
    {"8BPS", {"a Photoshop image", k_itself, true}, true},
    {"version https://git-lfs.github.com/spec/",
     {"a pointer of Git LFS, not the file itself", "get the file with 'git lfs pull'"}},
});

/// Returns whether the first bytes contain something that is invalid in UTF-8 text.
bool looks_binary(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, 4096);
  const bool controls = std::ranges::any_of(
      start, [](unsigned char c) { return c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f'; });
  return controls || valid_utf8(start) + 4 < start.size();  // the last character may be truncated
}

/// Detects the kind of a zip archive by the names of its members.
FileKind kind_of_zip(std::string_view bytes) {
  const auto has = [&](std::string_view name) { return bytes.find(name) != std::string_view::npos; };
  if (has("xl/workbook.xml") || has("xl/worksheets/")) return {"an Excel workbook (.xlsx)", k_sheet};
  if (has("xl/workbook.bin")) return {"an Excel workbook (.xlsb)", k_sheet};
  if (has("application/vnd.oasis.opendocument.spreadsheet")) return {"an OpenDocument spreadsheet (.ods)", k_sheet};
  if (has("word/document.xml")) return {"a Word document (.docx)", k_export};
  if (has("/data.pkl")) return {"a PyTorch file", k_from_python};
  if (has(".npy"))
    return {"a NumPy archive (.npz)",
            "save its arrays with np.save(path, archive[name]) and open them as "
            "npy:FEATURES,LABELS"};
  return {"a zip archive", k_unpack};
}

/// The container of AVIF, HEIC and videos.
FileKind kind_of_iso_media(std::string_view brand) {
  if (brand == "avif" || brand == "avis") return {"an AVIF image", k_itself, true};
  if (brand.starts_with("hei") || brand.starts_with("hev") || brand == "mif1") return {"a HEIC image", k_itself, true};
  return {"a video or another container", k_itself};
}

/// Detects text formats other than tables and lists: markup, ARFF, JSON.
std::optional<FileKind> kind_of_markup(std::string_view bytes) {
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  const std::string start = ascii_lower(bytes.substr(0, 64));
  const auto begins = [&](std::string_view with) { return start.starts_with(with); };
  if (begins("<!doctype html") || begins("<html") || begins("<head") || begins("<table"))
    return FileKind{"a web page (HTML)",
                    "give the file itself; a download may have saved a page of the site in its place"};
  if (begins("<svg")) return FileKind{"an SVG image", k_itself, true};
  if (begins("<?xml")) return FileKind{"an XML file", k_export};
  if (begins("@relation")) return FileKind{"an ARFF file of Weka", k_export};
  std::string compact;
  std::ranges::copy_if(start, std::back_inserter(compact), [](char c) { return " \t\r\n"sv.find(c) == "\t"sv.npos; });
  if (compact.starts_with("{\"") || compact.starts_with("[{\"") || compact.starts_with("[["))
    return FileKind{"a JSON file", k_from_python};
  return std::nullopt;
}

/// Decodes UTF-16; `bytes` start after the byte order mark.
std::string from_utf16(std::string_view bytes, bool big_endian, const fs::path& file) {
  std::string text;
  text.reserve(bytes.size());
  std::size_t at = 0;
  std::int64_t line = 1;
  const auto unit = [&] {
    const auto first = static_cast<unsigned char>(bytes[at]), second = static_cast<unsigned char>(bytes[at + 1]);
    at += 2;
    return static_cast<std::uint32_t>(big_endian ? first << 8 | second : second << 8 | first);
  };
  const auto damaged = [&] {
    throw_data_error(file, fmt::format("line {} is damaged UTF-16; save the file as UTF-8", line));
  };
  while (at + 1 < bytes.size()) {
    std::uint32_t point = unit();
    if (point >= 0xdc00 && point < 0xe000) damaged();
    if (point >= 0xd800 && point < 0xdc00) {
      if (at + 1 >= bytes.size()) damaged();
      const std::uint32_t low = unit();
      if (low < 0xdc00 || low >= 0xe000) damaged();
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    if (point == '\n') ++line;
    append_utf8(text, point);
  }
  if (at < bytes.size()) damaged();
  return text;
}

/// Returns whether most of every second byte is 0, as in Latin text in UTF-16.
bool looks_like_utf16(std::string_view bytes) {
  const std::string_view start = bytes.substr(0, 64);
  for (const std::size_t first : {std::size_t{0}, std::size_t{1}}) {
    std::size_t zeros = 0;
    for (std::size_t i = first; i < start.size(); i += 2) zeros += start[i] == '\0' ? 1 : 0;
    if (start.size() >= 4 && 4 * zeros >= 3 * (start.size() / 2)) return true;
  }
  return false;
}

}  // namespace

void append_utf8(std::string& text, std::uint32_t point) {
  const auto add = [&](std::uint32_t byte) { text += static_cast<char>(byte); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xc0 | point >> 6);
    add(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    add(0xe0 | point >> 12);
    add(0x80 | (point >> 6 & 0x3f));
    add(0x80 | (point & 0x3f));
  } else if (point < 0x110000) {
    add(0xf0 | point >> 18);
    add(0x80 | (point >> 12 & 0x3f));
    add(0x80 | (point >> 6 & 0x3f));
    add(0x80 | (point & 0x3f));
  } else {
    add(0xff);
  }
}

std::optional<FileKind> kind_of_file(std::string_view bytes) {
  const auto found = std::ranges::find_if(k_signatures, [&](const Signature& signature) {
    return bytes.starts_with(signature.bytes) && (!signature.of_letters || looks_binary(bytes));
  });
  if (found != k_signatures.end()) return found->kind;
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06")) return kind_of_zip(bytes);
  // Pickle protocols 2 to 5 begin with their number; no UTF-8 text does.
  if (bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5)
    return FileKind{"a pickle of Python objects, which is never opened, since it may run code", k_from_python};
  if (bytes.size() > 12 && bytes.substr(4, 4) == "ftyp") return kind_of_iso_media(bytes.substr(8, 4));
  if (bytes.size() > 12 && bytes.starts_with("RIFF") && bytes.substr(8, 4) == "WEBP")
    return FileKind{"a WebP image", k_itself, true};
  if (bytes.size() > 262 && bytes.substr(257, 5) == "ustar") return FileKind{"a tar archive", k_unpack};
  return kind_of_markup(bytes);
}

std::string utf8_text(std::string_view bytes, const fs::path& file) {
  if (const auto kind = kind_of_file(bytes))
    throw_data_error(file, fmt::format("is {}, expected text in UTF-8; {}", kind->name, kind->advice));
  if (bytes.starts_with("\xff\xfe\0\0"sv) || bytes.starts_with("\0\0\xfe\xff"sv))
    throw_data_error(file, "begins like UTF-32; save the file as UTF-8");
  if (bytes.starts_with("\xff\xfe")) return from_utf16(bytes.substr(2), false, file);
  if (bytes.starts_with("\xfe\xff")) return from_utf16(bytes.substr(2), true, file);
  if (looks_like_utf16(bytes))
    throw_data_error(file, "looks like UTF-16 without its byte order mark; save the file as UTF-8");
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  const auto line_of = [&](std::size_t at) {
    return 1 + std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  };
  if (const std::size_t zero = bytes.find('\0'); zero != std::string_view::npos)
    throw_data_error(file,
                     fmt::format("line {} has a byte 0, so it is no text; save it as text in UTF-8", line_of(zero)));
  if (const std::size_t sound = valid_utf8(bytes); sound < bytes.size())
    throw_data_error(file, fmt::format("line {} is not UTF-8 (byte {:02x}); save the file as UTF-8", line_of(sound),
                                       static_cast<unsigned char>(bytes[sound])));
  return std::string(bytes);
}

std::vector<std::string_view> text_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of("\r\n"), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
    for (const std::string_view ending : {"\r\r\n"sv, "\r\n"sv, "\n"sv, "\r"sv})
      if (text.starts_with(ending)) {
        text.remove_prefix(ending.size());
        break;
      }
  }
  return lines;
}

}  // namespace ulmus
