#include "data/npy_shards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// The digits that `text` begins with, without zeros in front.
std::string_view leading_number(std::string_view text) {
  const auto end = std::ranges::find_if_not(text, is_digit);
  text = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  return text.substr(std::min(text.find_first_not_of('0'), text.size()));
}

/// What each `*` of `pattern` stands for in `name`, joined by commas; nothing when it does not match. The first of
/// several ways is that in which the first `*` is shortest.
std::optional<std::string> match(std::string_view pattern, std::string_view name) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == name ? std::optional(std::string()) : std::nullopt;
  if (!name.starts_with(pattern.substr(0, star))) return std::nullopt;
  name.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  if (pattern.find('*') == std::string_view::npos) {
    if (!name.ends_with(pattern)) return std::nullopt;
    return std::string(name.substr(0, name.size() - pattern.size()));
  }
  for (std::size_t size = 0; size <= name.size(); ++size)
    if (const auto rest = match(pattern, name.substr(size))) return fmt::format("{},{}", name.substr(0, size), *rest);
  return std::nullopt;
}

}  // namespace

bool numeric_less(std::string_view a, std::string_view b) {
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (is_digit(a[i]) && is_digit(b[j])) {
      const std::string_view x = leading_number(a.substr(i)), y = leading_number(b.substr(j));
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      while (i < a.size() && is_digit(a[i])) ++i;
      while (j < b.size() && is_digit(b[j])) ++j;
    } else {
      if (a[i] != b[j]) return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
      ++i;
      ++j;
    }
  }
  if (i < a.size() || j < b.size()) return i == a.size();
  return a < b;  // 1 and 01
}

ShardFiles shard_files(const std::string& name) {
  const fs::path path(name);
  const std::string pattern = path.filename().string();
  std::error_code code;
  if (pattern.find('*') == std::string::npos || fs::exists(path, code)) return {.files = {path}, .matched = {}};

  const fs::path folder = path.parent_path();
  std::vector<std::pair<fs::path, std::string>> found;
  code.clear();
  for (fs::directory_iterator it(folder.empty() ? fs::path(".") : folder, code), end; !code && it != end;
       it.increment(code)) {
    const std::string file = it->path().filename().string();
    if (file.starts_with('.') && !pattern.starts_with('.')) continue;
    if (auto matched = match(pattern, file)) found.emplace_back(folder / file, std::move(*matched));
  }
  if (code)
    throw Error(ErrorKind::data, fmt::format("cannot look for '{}': {}", printable(name, k_long_text), code.message()));
  if (found.empty())
    throw Error(ErrorKind::data, fmt::format("no file matches '{}'; put the files there, or correct the name (a * "
                                             "stands for any text in the last part of a path)",
                                             printable(name, k_long_text)));
  std::ranges::sort(found,
                    [](const auto& a, const auto& b) { return numeric_less(a.first.native(), b.first.native()); });
  ShardFiles shards;
  for (auto& [file, matched] : found) {
    shards.files.push_back(std::move(file));
    shards.matched.push_back(std::move(matched));
  }
  return shards;
}

}  // namespace ulmus::detail
