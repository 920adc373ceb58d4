#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "data/formats.hpp"
#include "data/images.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view k_white = " \t\r\v\f";

std::string place(const fs::path& path, std::int64_t line) { return fmt::format("'{}' line {}", path.string(), line); }

/// Whether the path has an absolute or `..` component, by its text alone.
bool leaves_root(std::string_view name) {
  if (name.starts_with('/')) return true;
  const std::vector<std::string> parts = split(name, '/');
  return std::ranges::find(parts, "..") != parts.end();
}

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(k_white);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(k_white) - begin + 1);
}

struct ListPart {
  ImageFiles files;
  std::vector<std::int64_t> lines;
  std::vector<std::uintmax_t> bytes;  ///< of every file
};

/// Sizes of all files, which shows at the same time that they are there.
std::vector<std::uintmax_t> file_sizes(const ImageFiles& files, std::span<const std::int64_t> lines,
                                       const fs::path& list) {
  std::vector<std::uintmax_t> sizes(files.size());
  std::size_t missing = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::error_code code;
    sizes[i] = fs::file_size(files.path(i), code);  // fails for what is no file, too
    if (code && missing++ == 0) first = i;
  }
  if (missing == 0) return sizes;
  const std::string rest = missing == 1 ? "" : fmt::format(", the first of {} such files in the list", missing);
  throw Error(ErrorKind::data, fmt::format("{}: '{}' is missing or no file{}; put it there, or name the folder that "
                                           "the paths start from with ?root=DIR",
                                           place(list, lines[first]), files.path(first).string(), rest));
}

ListPart open_part(const fs::path& list, const std::optional<std::string>& root) {
  ListLines read = read_list(read_file(list), list);
  ListPart part;
  part.files.root = root ? fs::path(*root) : list.parent_path();
  part.files.names = std::move(read.names);
  part.files.labels = std::move(read.labels);
  part.lines = std::move(read.lines);
  return part;
}

}  // namespace

ListLines read_list(std::string_view text, const fs::path& path) {
  ListLines list;
  for (std::int64_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;

    const auto fail = [&](const std::string& what) {
      throw Error(ErrorKind::data, fmt::format("{} {}", place(path, number), what));
    };
    const std::size_t gap = line.find_last_of(k_white);
    const std::string_view name = trim(line.substr(0, gap == std::string_view::npos ? 0 : gap));
    const std::string_view last = line.substr(gap == std::string_view::npos ? 0 : gap + 1);
    std::int64_t label = 0;
    const auto [stopped, status] = std::from_chars(last.data(), last.data() + last.size(), label);
    if (name.empty() || status != std::errc{} || stopped != last.data() + last.size())
      fail(fmt::format("is '{}', expected the path of an image, a space and its label, a whole number",
                       printable(line)));
    if (label < 0) fail(fmt::format("has the label {}, expected 0 or more", label));
    if (valid_utf8(name) != name.size() || name.find('\0') != std::string_view::npos)
      fail("has a path that is not UTF-8; rename the file");
    if (leaves_root(name))
      fail(
          fmt::format("has the path '{}', which leaves the root; write it relative to the folder named by root=DIR, "
                      "without '..'",
                      printable(name)));
    list.names.emplace_back(name);
    list.labels.push_back(label);
    list.lines.push_back(number);
  }
  if (list.names.empty())
    throw Error(ErrorKind::data,
                fmt::format("'{}' has no line; write the path of an image and its label on each", path.string()));
  return list;
}

OpenedData open_list(const Address& address, const OpenOptions& options) {
  const fs::path file = address.file();
  const std::optional<std::string> root = address.find("root");
  if (std::error_code ignored; root && !fs::is_directory(*root, ignored))
    throw Error(ErrorKind::data, fmt::format("root '{}' of '{}' is not a folder", *root, address.text));

  ListPart train = open_part(file, root);
  train.bytes = file_sizes(train.files, train.lines, file);
  train.files.class_names = classes_of_labels(train.files.labels, file, address.find("classes"));
  ListPart test;
  if (const auto test_file = address.find("test")) {
    test = open_part(*test_file, root);
    test.files.class_names = train.files.class_names;
    check_test_labels(test.files.labels, std::ssize(train.files.class_names),
                      [&](std::size_t i) { return place(*test_file, test.lines[i]); });
    test.bytes = file_sizes(test.files, test.lines, *test_file);
  }

  // Which files cannot be decoded, or whether all have one size, is known only after all have been decoded.
  // So are the bits in use where samples have more than 8, which the first image tells.
  if (options.skip_bad || !options.image_size ||
      (options.image_bits == 0 && has_deep_samples(train.files.path(0), options)))
    return open_images(train.files, test.files, options);
  const auto images = static_cast<std::int64_t>(train.files.size() + test.files.size());
  const bool keep = images <= options.memory_limit / (3 * *options.image_size * *options.image_size);
  OpenedData data;
  data.image_bits = options.image_bits > 0 ? options.image_bits : 8;
  data.train = images_on_demand(std::move(train.files), train.bytes, options, keep);
  if (test.files.size() > 0) data.test = images_on_demand(std::move(test.files), test.bytes, options, keep);
  return data;
}

}  // namespace ulmus::detail
