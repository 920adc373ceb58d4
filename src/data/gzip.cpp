#include "data/gzip.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>

#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void throw_data_error(const fs::path& file, const std::string& what) {
  throw Error(ErrorKind::data, fmt::format("'{}' {}", file.string(), what));
}

}  // namespace

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
    throw_data_error(
        file, fmt::format("is damaged gzip after {} bytes of content ({}); get the file again", content.size(), why));
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
      throw_data_error(file,
                       fmt::format("holds more than {} bytes once it is decompressed, the limit; unpack it if that is "
                                   "right, or set ULMUS_TEXT_LIMIT=BYTES in the environment",
                                   limit));
    if (code == Z_STREAM_END) {
      const std::size_t left = stream.avail_in + (bytes.size() - fed);
      if (left == 0) return content;
      // Another member may follow; zeros are block device padding.
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

std::string read_text_file(const fs::path& file) { return decompressed(read_file(file), file, text_limit()); }

}  // namespace ulmus::detail
