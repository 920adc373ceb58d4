#include <fmt/format.h>

#include <algorithm>

#include "data/sources.hpp"
#include "ulmus/base/error.hpp"
#include "ulmus/base/file.hpp"
#include "ulmus/base/text.hpp"

namespace ulmus::detail {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> read_names(const fs::path& path) {
  const std::string text = read_file(path);
  const auto fail = [&](std::size_t line, const std::string& what) {
    throw Error(ErrorKind::data,
                fmt::format("'{}' line {} {}; write one class name a line, in label order", path.string(), line, what));
  };
  std::vector<std::string> names = split(text, '\n');
  for (std::string& name : names) {
    const std::size_t end = name.find_last_not_of(" \t\r");
    name.resize(end == std::string::npos ? 0 : end + 1);
  }
  while (!names.empty() && names.back().empty()) names.pop_back();
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty()) fail(i + 1, "is blank");
    if (valid_utf8(names[i]) != names[i].size()) fail(i + 1, "is not UTF-8");
  }
  std::vector<std::string> sorted = names;
  std::ranges::sort(sorted);
  if (const auto twin = std::ranges::adjacent_find(sorted); twin != sorted.end()) {
    const auto first = std::ranges::find(names, *twin);
    const auto second = std::find(first + 1, names.end(), *twin);
    fail(static_cast<std::size_t>(second - names.begin()) + 1,
         fmt::format("repeats the class name '{}' of line {}", *twin, first - names.begin() + 1));
  }
  return names;
}

}  // namespace

std::vector<std::string> classes_of_labels(std::span<const std::int64_t> labels, const fs::path& file,
                                           const std::optional<std::string>& names) {
  // A label from the number of samples on leaves a hole below it, so this sees the first hole of any labels.
  std::vector<bool> seen(labels.size() + 1, false);
  for (const std::int64_t label : labels)
    if (label < std::ssize(labels)) seen[static_cast<std::size_t>(label)] = true;
  const std::int64_t largest = std::ranges::max(labels);
  const std::int64_t missing = std::ranges::find(seen, false) - seen.begin();

  std::vector<std::string> classes;
  if (names) {
    classes = read_names(*names);
    if (largest >= std::ssize(classes))
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has {} class names, but '{}' has the label {}, expected 0 to {}; name every class, "
                              "the first line being label 0",
                              *names, classes.size(), file.string(), largest, std::ssize(classes) - 1));
    if (missing < std::ssize(classes))
      throw Error(ErrorKind::data,
                  fmt::format("'{}' has no sample with the label {} ('{}'); add some, or remove the class and number "
                              "the others without a gap",
                              file.string(), missing, classes[static_cast<std::size_t>(missing)]));
  } else if (missing < largest) {
    throw Error(ErrorKind::data,
                fmt::format("'{}' has labels up to {} but no sample with the label {}; number the classes from 0 "
                            "without a gap, or add samples of the class",
                            file.string(), largest, missing));
  } else {
    for (std::int64_t label = 0; label <= largest; ++label) classes.push_back(fmt::format("{}", label));
  }
  if (classes.size() < 2)
    throw Error(ErrorKind::data, fmt::format("'{}' has one class, '{}', expected at least two; add samples of another",
                                             file.string(), classes[0]));
  return classes;
}

void check_test_labels(std::span<const std::int64_t> labels, std::int64_t classes,
                       const std::function<std::string(std::size_t)>& place) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= classes)
      throw Error(ErrorKind::data,
                  fmt::format("{} has the label {}, which the training part lacks (its classes are 0 to {}); remove it "
                              "or add the class to the training part",
                              place(i), labels[i], classes - 1));
}

}  // namespace ulmus::detail
