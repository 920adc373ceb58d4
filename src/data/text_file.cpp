#include "data/text_file.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

using namespace std::string_view_literals;
namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' {}", file.string(), what));
}

struct Signature {
  std::string_view bytes;
  FileKind kind;
};

constexpr std::string_view k_from_python = "write the table with pandas' DataFrame.to_csv(path, index=False)";
constexpr std::string_view k_export = "export the table as CSV";
constexpr std::string_view k_unpack = "unpack it and name the CSV file inside";

constexpr auto k_signatures = std::to_array<Signature>({
    {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", {"an Excel workbook of the old kind (.xls)", "save the sheet as CSV UTF-8"}},
    {"PAR1", {"a Parquet file", k_from_python}},
    {"ARROW1", {"an Arrow or Feather file", k_from_python}},
    {"FEA1", {"a Feather file", k_from_python}},
    {"ORC", {"an ORC file", k_from_python}},
    {"Obj\x01", {"an Avro file", k_from_python}},
    {"\x89HDF\r\n\x1a\n", {"an HDF5 file", k_from_python}},
    {"\x93NUMPY", {"a NumPy array", "open it as npy:FEATURES,LABELS"}},
    {"SQLite format 3\0"sv, {"an SQLite data base", k_export}},
    {"MATLAB 5.0 MAT-file", {"a MATLAB file", "write the table with writetable(T, 'table.csv')"}},
    {"RDX2\n", {"an R data file", "write the table with write.csv(t, 'table.csv', row.names = FALSE)"}},
    {"RDX3\n", {"an R data file", "write the table with write.csv(t, 'table.csv', row.names = FALSE)"}},
    {"<stata_dta>", {"a Stata file", k_export}},
    {"$FL2", {"an SPSS file", k_export}},
    {"HEADER RECORD*******", {"a SAS transport file", k_export}},
    {"BZh", {"compressed with bzip2", "unpack it with bunzip2, or compress it with gzip, which is read"}},
    {"\xfd"
     "7zXZ",
     {"compressed with xz", "unpack it with unxz, or compress it with gzip, which is read"}},
    {"\x28\xb5\x2f\xfd",
     {"compressed with Zstandard", "unpack it with unzstd, or compress it with gzip, which is read"}},
    {"\x04\x22\x4d\x18", {"compressed with LZ4", "unpack it with unlz4, or compress it with gzip, which is read"}},
    {"7z\xbc\xaf\x27\x1c", {"a 7z archive", k_unpack}},
    {"Rar!\x1a\x07", {"a RAR archive", k_unpack}},
    {"%PDF-", {"a PDF document", k_export}},
    {"{\\rtf", {"a document in RTF", k_export}},
    {"\x89PNG", {"a PNG image", "give the table itself"}},
    {"\xff\xd8\xff", {"a JPEG image", "give the table itself"}},
    {"GIF8", {"a GIF image", "give the table itself"}},
    {"version https://git-lfs.github.com/spec/",
     {"a pointer of Git LFS, not the file itself", "get the file with 'git lfs pull'"}},
});

/// A zip archive says by the names of its members what it is.
FileKind kind_of_zip(std::string_view bytes) {
  const auto has = [&](std::string_view name) { return bytes.find(name) != std::string_view::npos; };
  if (has("xl/workbook.xml") || has("xl/worksheets/"))
    return {"an Excel workbook (.xlsx)", "save the sheet as CSV UTF-8"};
  if (has("xl/workbook.bin")) return {"an Excel workbook (.xlsb)", "save the sheet as CSV UTF-8"};
  if (has("application/vnd.oasis.opendocument.spreadsheet"))
    return {"an OpenDocument spreadsheet (.ods)", "save the sheet as CSV in UTF-8"};
  if (has("word/document.xml")) return {"a Word document (.docx)", k_export};
  if (has("/data.pkl")) return {"a PyTorch file", k_from_python};
  if (has(".npy"))
    return {"a NumPy archive (.npz)", "write its arrays with np.save and open them as npy:FEATURES,LABELS"};
  return {"a zip archive", k_unpack};
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return result;
}

/// Text of another kind than a table.
std::optional<FileKind> kind_of_markup(std::string_view bytes) {
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  bytes.remove_prefix(std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()));
  const std::string start = lower(bytes.substr(0, 64));
  const auto begins = [&](std::string_view with) { return start.starts_with(with); };
  if (begins("<!doctype html") || begins("<html") || begins("<head") || begins("<table"))
    return FileKind{"a web page (HTML)",
                    "give the table itself; a download may have saved a page of the site in its place"};
  if (begins("<?xml")) return FileKind{"an XML file", k_export};
  if (begins("@relation")) return FileKind{"an ARFF file of Weka", k_export};
  std::string compact;
  std::ranges::copy_if(start, std::back_inserter(compact), [](char c) { return " \t\r\n"sv.find(c) == "\t"sv.npos; });
  if (compact.starts_with("{\"") || compact.starts_with("[{\"") || compact.starts_with("[["))
    return FileKind{"a JSON file", k_from_python};
  return std::nullopt;
}

/// `bytes` follow the byte order mark.
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
  const auto damaged = [&] { refuse(file, fmt::format("line {} is damaged UTF-16; save the file as UTF-8", line)); };
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

/// Whether most of every second of the first bytes is 0, as in Latin text of UTF-16.
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
  const auto found = std::ranges::find_if(k_signatures, [&](const auto& s) { return bytes.starts_with(s.bytes); });
  if (found != k_signatures.end()) return found->kind;
  if (bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06")) return kind_of_zip(bytes);
  // Protocols 2 to 5 begin with their number; no text in UTF-8 does.
  if (bytes.size() > 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5)
    return FileKind{"a pickle of Python objects, which is never opened, since it may run code", k_from_python};
  if (bytes.size() > 262 && bytes.substr(257, 5) == "ustar") return FileKind{"a tar archive", k_unpack};
  return kind_of_markup(bytes);
}

std::int64_t text_limit() {
  const char* given = std::getenv("ULMUS_TEXT_LIMIT");
  if (given == nullptr) return std::int64_t{1} << 31;
  const long long limit = parse_integer(given, "$ULMUS_TEXT_LIMIT");
  if (limit < 1)
    throw Error(ErrorKind::usage, fmt::format("$ULMUS_TEXT_LIMIT is {}, expected a number of bytes above 0", limit));
  return limit;
}

std::string decompressed(std::string bytes, const fs::path& file, std::int64_t limit) {
  if (!bytes.starts_with("\x1f\x8b")) return bytes;
  constexpr std::size_t k_chunk = std::size_t{1} << 20;
  z_stream stream{};
  if (::inflateInit2(&stream, 15 + 16) != Z_OK) throw Error(ErrorKind::environment, "zlib cannot begin to decompress");
  struct Ender {
    z_stream& stream;
    ~Ender() { ::inflateEnd(&stream); }
  } const ender{stream};
  std::string content;
  const auto damaged = [&](std::string_view why) {
    refuse(file,
           fmt::format("is damaged gzip after {} bytes of content ({}); get the file again", content.size(), why));
  };
  std::size_t fed = 0;
  for (;;) {
    if (stream.avail_in == 0) {  // zlib counts in 32 bits
      const std::size_t size = std::min(bytes.size() - fed, std::size_t{1} << 30);
      stream.next_in = reinterpret_cast<Bytef*>(bytes.data() + fed);
      stream.avail_in = static_cast<uInt>(size);
      fed += size;
    }
    const std::size_t size = content.size();
    content.resize(size + std::min(k_chunk, static_cast<std::size_t>(limit) + 1 - size));
    stream.next_out = reinterpret_cast<Bytef*>(content.data() + size);
    stream.avail_out = static_cast<uInt>(content.size() - size);
    const int code = ::inflate(&stream, Z_NO_FLUSH);
    content.resize(content.size() - stream.avail_out);
    if (static_cast<std::int64_t>(content.size()) > limit)
      refuse(file, fmt::format("holds more than {} bytes once it is decompressed, the limit; unpack it if that is "
                               "right, or set ULMUS_TEXT_LIMIT=BYTES in the environment",
                               limit));
    if (code == Z_STREAM_END) {
      const std::size_t left = stream.avail_in + (bytes.size() - fed);
      if (left == 0) return content;
      // Another member may follow; zeros are the padding of a block device.
      const std::string_view rest = std::string_view(bytes).substr(bytes.size() - left);
      if (rest.find_first_not_of('\0') == std::string_view::npos) return content;
      if (!rest.starts_with("\x1f\x8b")) damaged("bytes after its end");
      ::inflateReset(&stream);
    } else if (code == Z_BUF_ERROR ||
               (code == Z_OK && stream.avail_in == 0 && fed == bytes.size() && stream.avail_out > 0)) {
      damaged("it ends early");
    } else if (code != Z_OK) {
      damaged(stream.msg != nullptr ? stream.msg : "unknown fault");
    }
  }
}

std::string utf8_text(std::string_view bytes, const fs::path& file) {
  if (const auto kind = kind_of_file(bytes))
    refuse(file, fmt::format("is {}, expected a table in text; {}", kind->name, kind->advice));
  if (bytes.starts_with("\xff\xfe\0\0"sv) || bytes.starts_with("\0\0\xfe\xff"sv))
    refuse(file, "begins like UTF-32; save the file as UTF-8");
  if (bytes.starts_with("\xff\xfe")) return from_utf16(bytes.substr(2), false, file);
  if (bytes.starts_with("\xfe\xff")) return from_utf16(bytes.substr(2), true, file);
  if (looks_like_utf16(bytes)) refuse(file, "looks like UTF-16 without its byte order mark; save the file as UTF-8");
  if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
  const auto line_of = [&](std::size_t at) {
    return 1 + std::count(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(at), '\n');
  };
  if (const std::size_t zero = bytes.find('\0'); zero != std::string_view::npos)
    refuse(file, fmt::format("line {} has a byte 0, so it is no text; give the table as CSV", line_of(zero)));
  if (const std::size_t sound = valid_utf8(bytes); sound < bytes.size())
    refuse(file, fmt::format("line {} is not UTF-8 (byte {:02x}); save the file as UTF-8", line_of(sound),
                             static_cast<unsigned char>(bytes[sound])));
  return std::string(bytes);
}

}  // namespace ulmus::detail
