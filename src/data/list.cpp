#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "data/formats.hpp"
#include "data/gzip.hpp"
#include "data/image_walker.hpp"
#include "data/images.hpp"
#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

std::string place(const fs::path& path, std::int64_t line) { return fmt::format("'{}' line {}", path.string(), line); }

/// Returns whether the text of the path has a `..` component.
bool climbs(std::string_view name) {
  const std::vector<std::string> parts = split(name, '/');
  return std::ranges::find(parts, "..") != parts.end();
}

/// Absolute on Unix or Windows.
bool is_absolute(std::string_view name) {
  return name.starts_with('/') || (name.size() > 2 && name[1] == ':' && (name[2] == '\\' || name[2] == '/'));
}

bool is_white(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

bool is_separator(char c) { return is_white(c) || c == ',' || c == ';'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_white(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_white(text.back())) text.remove_suffix(1);
  return text;
}

bool is_image(std::string_view text) { return has_image_ending(fs::path(std::string(text))); }

/// A parsed line: two fields in most lists.
struct Fields {
  std::vector<std::string> texts;
  bool quoted = false;
};

/// Splits at `separator` outside quotes; white space of any length is one separator.
Fields split_fields(std::string_view line, char separator) {
  Fields fields;
  const auto ends_field = [&](char c) { return separator == ' ' ? is_white(c) : c == separator; };
  for (line = trim(line); !line.empty(); line = trim(line)) {
    std::string text;
    if (line.front() == '"') {
      const std::size_t end = line.find('"', 1);
      if (end == std::string_view::npos) {
        fields.texts.emplace_back(line);
        break;
      }
      text = line.substr(1, end - 1);
      line.remove_prefix(end + 1);
      line = separator == ' ' ? line : trim(line);
      fields.quoted = true;
    } else {
      const auto end = static_cast<std::size_t>(std::ranges::find_if(line, ends_field) - line.begin());
      text = trim(line.substr(0, end));
      line.remove_prefix(end);
    }
    fields.texts.push_back(std::move(text));
    if (!line.empty() && ends_field(line.front())) line.remove_prefix(1);
  }
  return fields;
}

/// Splits after the last image extension that a separator follows. Without any, splits off the last field.
Fields path_first(std::string_view line) {
  const auto fields = [&](std::size_t end) {
    std::size_t begin = end;
    while (begin < line.size() && is_separator(line[begin])) ++begin;
    const std::string_view between = line.substr(end, begin - end);
    const auto mark = between.find_first_of(",;\t");
    Fields rest = split_fields(line.substr(begin), mark == std::string_view::npos ? ' ' : between[mark]);
    rest.texts.insert(rest.texts.begin(), std::string(trim(line.substr(0, end))));
    return rest;
  };
  for (std::size_t end = line.size(); end-- > 1;)
    if (is_separator(line[end]) && !is_separator(line[end - 1])) {
      const std::size_t dot = line.substr(0, end).rfind('.');
      constexpr std::size_t k_longest_extension = 5;
      if (dot != std::string_view::npos && end - dot <= k_longest_extension + 1 && is_image(line.substr(0, end)))
        return fields(end);
    }
  std::size_t end = line.size();
  if (const std::size_t tab = line.find('\t'); tab != std::string_view::npos) return split_fields(line, '\t');
  while (end > 0 && !is_separator(line[end - 1])) --end;
  while (end > 0 && is_separator(line[end - 1])) --end;
  return end == 0 ? Fields{{std::string(line)}} : fields(end);
}

Fields fields_of(std::string_view line) {
  if (line.front() == '"')
    return split_fields(line, line.find_first_of(",;", line.find('"', 1)) == std::string_view::npos
                                  ? ' '
                                  : line[line.find_first_of(",;", line.find('"', 1))]);
  return path_first(line);
}

/// The separator of the fields of a table line; white space if there is no other.
char separator_of(std::string_view line) {
  const std::size_t mark = line.find_first_of(",;\t");
  return mark == std::string_view::npos ? ' ' : line[mark];
}

/// Header lines of lists, as programs write them.
bool is_header(std::span<const std::string> fields) {
  static const std::vector<std::string> k_titles{
      "path",      "paths",      "file",      "files",      "filename", "file_name",  "filepath",   "file_path",
      "image",     "images",     "img",       "image_path", "img_path", "image_name", "image_file", "imagefile",
      "imagepath", "imagename",  "image_id",  "impath",     "fname",    "name",       "id",         "index",
      "idx",       "uri",        "url",       "label",      "labels",   "class",      "classes",    "class_id",
      "class_idx", "class_name", "classname", "classid",    "target",   "targets",    "category",   "category_id",
      "y",         "species",    "label_id",  "label_idx"};
  return fields.size() >= 2 && std::ranges::all_of(fields, [](const std::string& field) {
           return std::ranges::find(k_titles, lookalike_key(class_name(field))) != k_titles.end();
         });
}

struct ListPart {
  ImageFiles files;  ///< without labels yet
  LabelTexts labels;
  std::vector<std::int64_t> lines;
  std::vector<std::uintmax_t> bytes;  ///< size of every file
};

/// Sizes of all files; also verifies that they exist.
std::vector<std::uintmax_t> file_sizes(const ImageFiles& files, std::span<const std::int64_t> lines,
                                       const fs::path& list) {
  std::vector<std::uintmax_t> sizes(files.size());
  std::size_t missing = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    std::error_code code;
    sizes[i] = fs::file_size(files.path(i), code);  // also fails if it is not a file
    if (code && missing++ == 0) first = i;
  }
  if (missing == 0) return sizes;
  const std::string rest = missing == 1 ? "" : fmt::format(", the first of {} such files in the list", missing);
  if (missing == 1 && first == 0 && files.size() > 1 && !is_image(files.names[0]))
    throw Error(ErrorKind::data,
                fmt::format("{}: '{}' is missing or no file, all others are there; if the line is a header, remove it",
                            place(list, lines[first]), files.path(first).string()));
  throw Error(ErrorKind::data, fmt::format("{}: '{}' is missing or no file{}; put it there, or name the folder that "
                                           "the paths start from with ?root=DIR",
                                           place(list, lines[first]), files.path(first).string(), rest));
}

/// Lists from Windows have paths with backslashes: they are separators only if that gives the path of an existing first
/// file.
void turn_backslashes(ImageFiles& files) {
  const auto first =
      std::ranges::find_if(files.names, [](const std::string& name) { return name.find('\\') != name.npos; });
  if (first == files.names.end()) return;
  std::string turned = *first;
  std::ranges::replace(turned, '\\', '/');
  std::error_code ignored;
  if (climbs(turned) || fs::exists(files.root / *first, ignored) || !fs::exists(files.root / turned, ignored)) return;
  for (std::string& name : files.names) {
    std::ranges::replace(name, '\\', '/');
    if (climbs(name))
      throw Error(ErrorKind::data, fmt::format("'{}' leaves the root; write paths without '..'", printable(name)));
  }
}

/// Throws for a file with two labels.
void reject_two_labels(const ImageFiles& files, const LabelTexts& labels, std::span<const std::int64_t> lines,
                       const fs::path& list) {
  std::unordered_map<std::string_view, std::size_t> seen;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const auto [first, is_new] = seen.emplace(files.names[i], i);
    if (is_new || labels.inverse[first->second] == labels.inverse[i]) continue;
    const auto label = [&](std::size_t k) {
      return printable(labels.distinct[static_cast<std::size_t>(labels.inverse[k])]);
    };
    throw Error(ErrorKind::data,
                fmt::format("{} gives '{}' the label '{}', line {} gives it '{}'; keep one of them, an image has one "
                            "class",
                            place(list, lines[i]), printable(files.names[i]), label(i), lines[first->second],
                            label(first->second)));
  }
}

ListPart open_part(const fs::path& list, const std::optional<std::string>& root) {
  ListPart part;
  part.files.root = root ? fs::path(*root) : list.parent_path();
  std::error_code ignored;
  const fs::path base = part.files.root.empty() ? fs::path(".") : part.files.root;
  ListLines read = read_list(read_text_file(list), list, fs::absolute(base, ignored).lexically_normal());
  part.files.names = std::move(read.names);
  part.labels = std::move(read.labels);
  part.lines = std::move(read.lines);
  turn_backslashes(part.files);
  reject_two_labels(part.files, part.labels, part.lines, list);
  return part;
}

LabelRules label_rules(const fs::path& list, const ListPart& part, const Address& address, const OpenOptions& options) {
  return {
      .literal = literal_names(address), .known = options.classes, .file = list, .place = [&part, list](std::size_t i) {
        return place(list, part.lines[i]);
      }};
}

}  // namespace

ListLines read_list(std::string_view bytes, const fs::path& path, const fs::path& root) {
  const std::string text = utf8_text(bytes, path);
  const std::string below = root.string() + (root.string().ends_with('/') ? "" : "/");
  ListLines list;
  bool may_be_header = true;
  std::int64_t number = 0;
  for (const std::string_view whole : text_lines(text)) {
    ++number;
    const std::string_view line = trim(whole);
    if (line.empty() || (line.front() == '#' && (line.size() == 1 || is_white(line[1])))) continue;

    const auto fail = [&](const std::string& what) {
      throw Error(ErrorKind::data, fmt::format("{} {}", place(path, number), what));
    };
    Fields fields = fields_of(line);
    std::vector<std::string>& parts = fields.texts;
    if (std::exchange(may_be_header, false)) {
      if (is_header(parts)) continue;
      if (const std::vector<std::string> titles = split_fields(line, separator_of(line)).texts;
          titles.size() > 2 && is_header(titles))
        fail(
            fmt::format("is a header of {} columns, expected the path of an image and its label; write a list of these "
                        "two columns alone",
                        titles.size()));
    }
    const auto is_number = [](const std::string& field) { return number_name(field).has_value(); };
    if (line.find('\t') != std::string_view::npos) {
      const std::vector<std::string> columns = split_fields(line, '\t').texts;
      if (columns.size() == 3 && is_image(columns[2]) && is_number(columns[0]) && is_number(columns[1]))
        parts = {columns[2], columns[1]};  // MXNet format
    }
    if (parts.size() > 2)
      fail(
          fmt::format("has {} fields after the path '{}', expected one, its label; remove the others, or put quotes "
                      "around a label with spaces",
                      parts.size() - 1, printable(parts[0])));
    if (parts.size() < 2 || parts[0].empty())
      fail(fmt::format("is '{}', expected the path of an image, a space and its label", printable(line)));
    std::string& name = parts[0];
    if (!is_image(name) && is_image(parts[1]) && is_number(name))
      fail(fmt::format("has the label '{}' before the path; write the path first", printable(name)));
    if (name.starts_with('/') && name.starts_with(below)) name.erase(0, below.size());
    if (is_absolute(name))
      fail(fmt::format(
          "has the absolute path '{}', which leaves the root '{}'; add the key root=/ to the address to allow "
          "absolute paths, or write it relative to the folder named by root=DIR",
          printable(name), root.string()));
    if (climbs(name))
      fail(
          fmt::format("has the path '{}', which leaves the root; write it relative to the folder named by root=DIR, "
                      "without '..'",
                      printable(name)));
    if (name.find("./") != std::string::npos || name.find("//") != std::string::npos)
      name = fs::path(name).lexically_normal().string();
    list.names.push_back(std::move(name));
    list.labels.add(parts[1]);
    list.lines.push_back(number);
  }
  if (list.names.empty())
    throw Error(ErrorKind::data,
                fmt::format("'{}' has no line; write the path of an image and its label on each", path.string()));
  return list;
}

std::vector<fs::path> first_of_list(const Address& address, std::size_t most) {
  const ListPart train = open_part(address.file(), address.find("root"));
  std::vector<fs::path> files;
  for (std::size_t i = 0; i < std::min(most, train.files.size()); ++i) files.push_back(train.files.path(i));
  return files;
}

OpenedData open_list(const Address& address, const OpenOptions& options) {
  const fs::path file = address.file();
  const std::optional<std::string> root = address.find("root");
  if (std::error_code ignored; root && !fs::is_directory(*root, ignored))
    throw Error(ErrorKind::data, fmt::format("root '{}' of '{}' is not a folder", *root, address.text));

  ListPart train = open_part(file, root);
  train.bytes = file_sizes(train.files, train.lines, file);
  const std::optional<ClassFile> names = class_file(address);
  Classes classes = classes_of(train.labels, label_rules(file, train, address, options), names);
  train.files.class_names = std::move(classes.names);
  train.files.labels = std::move(classes.labels);
  ListPart test;
  if (const auto test_file = address.find("test")) {
    test = open_part(*test_file, root);
    test.files.class_names = train.files.class_names;
    const LabelRules rules = label_rules(*test_file, test, address, options);
    test.files.labels = labels_among(names ? named_by(*names, test.labels, rules) : test.labels,
                                     train.files.class_names, rules, "the training part");
    test.bytes = file_sizes(test.files, test.lines, *test_file);
  }

  // Skipping bad files and checking for one size require decoding all files. So do the used bits if samples have more
  // than 8 bits, which is checked on the first image.
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
