#include "data/address.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>

#include "ulmus/base/error.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {
namespace {

struct Source {
  std::string_view name;
  std::string_view form;  ///< syntax of the address
  std::string_view rest;  ///< what follows the colon; empty: nothing
  std::vector<std::string> keys;
};

const std::array<Source, 8>& sources() {
  static const std::array<Source, 8> k_sources{{
      {"fashion-mnist", "fashion-mnist", "", {}},
      {"mnist", "mnist", "", {}},
      {"cifar10", "cifar10", "", {}},
      {"cifar100", "cifar100", "", {}},
      {"folder", "folder:DIR", "folder", {}},
      {"list", "list:FILE?root=DIR", "file", {"root", "test", "classes", "literal"}},
      {"csv",
       "csv:FILE?label=COLUMN",
       "file",
       {"label", "test", "delimiter", "drop", "categorical", "keep", "decimal", "dates", "literal"}},
      {"npy", "npy:FEATURES,LABELS", "files", {"test", "classes", "literal"}},
  }};
  return k_sources;
}

struct Sign {
  char meant;
  std::string_view written;
};
constexpr std::array<Sign, 4> k_signs{{{'&', "%26"}, {',', "%2C"}, {'?', "%3F"}, {'%', "%25"}}};

std::string unescape(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto sign = std::ranges::find(k_signs, text.substr(i, 3), &Sign::written);
    plain += sign == k_signs.end() ? text[i] : sign->meant;
    if (sign != k_signs.end()) i += 2;
  }
  return plain;
}

std::vector<std::string> pieces(std::string_view text) {
  std::vector<std::string> list = split(text, ',');
  for (std::string& piece : list) piece = unescape(piece);
  return list;
}

/// Suggests an address for text that is an existing path.
std::string address_of_path(const std::filesystem::path& path) {
  std::error_code ignored;
  if (path.empty() || !std::filesystem::exists(path, ignored)) return "";
  if (std::filesystem::is_directory(path, ignored)) return "folder:" + path.string();
  const std::string extension = path.extension().string();
  const std::string name = escape_address(path.string());
  if (extension == ".csv" || extension == ".tsv" || path.string().ends_with(".csv.gz"))
    return fmt::format("csv:{}?label=COLUMN", name);
  if (extension == ".npy") return fmt::format("npy:{},LABELS.npy", name);
  if (extension == ".txt") return fmt::format("list:{}?root=DIR", name);
  return "";
}

[[noreturn]] void unknown_source(std::string_view text) {
  if (const std::string meant = address_of_path(text); !meant.empty())
    throw Error(ErrorKind::usage, fmt::format("data address '{}' is a path; write it as '{}'", text, meant));

  std::vector<std::string> names;
  std::vector<std::string> forms;
  for (const Source& source : sources()) {
    names.emplace_back(source.name);
    forms.emplace_back(source.form);
  }
  const std::size_t colon = text.find(':');
  const std::string near = nearest_name(text.substr(0, colon), names);
  if (near.empty())
    throw Error(ErrorKind::usage, fmt::format("unknown data address '{}'; choose one of {}", text, join(forms, ", ")));
  // Includes the text after the colon, so that the suggestion can be used as it is.
  const Source& source = *std::ranges::find(sources(), near, &Source::name);
  throw Error(ErrorKind::usage, fmt::format("unknown data address '{}'; did you mean '{}'?", text,
                                            source.rest.empty() || colon == std::string_view::npos
                                                ? std::string(source.form)
                                                : fmt::format("{}:{}", source.name, text.substr(colon + 1))));
}

void read_key(const Source& source, std::string_view setting, Address& address) {
  const std::size_t equals = setting.find('=');
  const std::string key(setting.substr(0, equals));
  if (std::ranges::find(source.keys, key) == source.keys.end())
    throw Error(ErrorKind::usage,
                fmt::format("unknown key '{}' in data address '{}'; {}", key, address.text, suggest(key, source.keys)));
  if (equals == std::string_view::npos || equals + 1 == setting.size())
    throw Error(ErrorKind::usage, fmt::format("key '{}' in data address '{}' has no value; write '{}=...' or leave it "
                                              "out",
                                              key, address.text, key));
  if (std::ranges::find(address.keys, key, &std::pair<std::string, std::string>::first) != address.keys.end())
    throw Error(ErrorKind::usage,
                fmt::format("key '{}' comes twice in data address '{}'; keep one", key, address.text));
  address.keys.emplace_back(key, setting.substr(equals + 1));
}

}  // namespace

std::optional<std::string> Address::find(std::string_view key) const {
  for (const auto& [name, value] : keys)
    if (name == key) return unescape(value);
  return std::nullopt;
}

std::vector<std::string> Address::list(std::string_view key) const {
  for (const auto& [name, value] : keys)
    if (name == key) return pieces(value);
  return {};
}

std::string Address::file() const { return unescape(rest); }

std::vector<std::string> Address::files() const { return pieces(rest); }

Address parse_address(std::string_view text) {
  const std::size_t colon = text.find(':');
  Address address{.text = std::string(text), .source = std::string(text.substr(0, colon))};
  const auto source = std::ranges::find(sources(), address.source, &Source::name);
  if (source == sources().end()) unknown_source(text);

  const std::string_view rest = colon == std::string_view::npos ? "" : text.substr(colon + 1);
  if (source->rest.empty()) {
    if (colon != std::string_view::npos)
      throw Error(ErrorKind::usage,
                  fmt::format("data address '{}' has something after '{}', which stands alone; write '{}'", text,
                              source->name, source->name));
    return address;
  }
  const std::size_t mark = source->keys.empty() ? std::string_view::npos : rest.find('?');
  address.rest = rest.substr(0, mark);
  if (address.rest.empty())
    throw Error(ErrorKind::usage,
                fmt::format("data address '{}' names no {}; write '{}'", text, source->rest, source->form));
  if (mark != std::string_view::npos)
    for (const std::string& setting : split(rest.substr(mark + 1), '&')) read_key(*source, setting, address);
  return address;
}

}  // namespace ulmus::detail

std::string ulmus::escape_address(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto sign = std::ranges::find(detail::k_signs, c, &detail::Sign::meant);
    escaped += sign == detail::k_signs.end() ? std::string(1, c) : std::string(sign->written);
  }
  return escaped;
}
