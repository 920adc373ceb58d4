#include "data/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "ulmus/base/error.hpp"
#include "ulmus/base/names.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/base/text_file.hpp"

namespace ulmus::detail {
namespace {

[[noreturn]] void throw_data_error(const std::string& message) { throw Error(ErrorKind::data, message); }

bool contains(std::span<const std::string> names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

std::string column_text(const LabelRules& rules) {
  return rules.column.empty() ? "" : fmt::format(" (column '{}')", printable(rules.column));
}

/// `accepted` are names that are classes even if they look like a missing mark.
void reject_missing(const LabelTexts& texts, const LabelRules& rules, std::span<const std::string> accepted) {
  std::vector<bool> missing;
  for (const std::string& text : texts.distinct)
    missing.push_back(is_missing_mark(text) && !contains(rules.literal, text) && !contains(accepted, text));
  const auto is_missing = [&](std::int64_t text) { return missing[static_cast<std::size_t>(text)]; };
  const auto count = std::ranges::count_if(texts.inverse, is_missing);
  if (count == 0) return;
  const auto first = std::ranges::find_if(texts.inverse, is_missing);
  const std::string& text = texts.distinct[static_cast<std::size_t>(*first)];
  const std::string others = count == 1 ? "" : fmt::format(", the first of {} such labels", count);
  const std::string place = rules.place(static_cast<std::size_t>(first - texts.inverse.begin()));
  if (text.empty())
    throw_data_error(fmt::format("{} has no label{}{}; label the row or remove it", place, column_text(rules), others));
  throw_data_error(
      fmt::format("{} has the label '{}'{}, a mark of a missing value{}; label the row or remove it, or add the key "
                  "literal={} to the address if a class is really called so",
                  place, printable(text), column_text(rules), others, printable(text)));
}

/// Throws for different classes whose names look alike; single letters may differ by case.
void reject_twins(const LabelTexts& texts, const LabelRules& rules) {
  const auto is_letter = [](const std::string& name) {
    return !name.empty() && valid_utf8(std::string_view(name).substr(0, 4)) == name.size() &&
           std::ranges::count_if(name, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }) == 1;
  };
  std::unordered_map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < texts.distinct.size(); ++i) {
    const std::string& name = texts.distinct[i];
    const auto number = number_name(name);
    if ((!number && is_letter(name)) || (rules.twins_are_literal && contains(rules.literal, name))) continue;
    const auto [twin, is_new] = seen.emplace(number ? *number : lookalike_key(name), i);
    if (is_new) continue;
    const std::string literal =
        !rules.twins_are_literal
            ? ""
            : fmt::format(", or add the key literal={} to the address if these are two classes", printable(name));
    throw_data_error(
        fmt::format("{} has the label '{}'{}, {} has '{}': they look alike but are not the same; spell them the "
                    "same way{}",
                    rules.place(texts.first(i)), printable(name), column_text(rules),
                    rules.place(texts.first(twin->second)), printable(texts.distinct[twin->second]), literal));
  }
}

/// Throws for fractional numbers that rarely repeat, or values that differ in most samples.
void reject_quantity(const std::vector<std::string>& names, std::int64_t samples, const LabelRules& rules) {
  constexpr std::int64_t k_few_samples = 20;
  constexpr std::int64_t k_few_classes = 10;  // e.g. ratings with halves
  if (samples < k_few_samples) return;
  const bool numbers = common_spelling(names) == &number_name;
  const bool fractions = numbers && std::ranges::any_of(names, [](const std::string& name) {
                           return number_name(name)->find('.') != std::string::npos;
                         });
  if (!fractions && !rules.may_be_quantity) return;
  const std::int64_t classes = std::ssize(names);
  if (classes <= (fractions ? std::max(k_few_classes, samples / 4) : samples / 2)) return;
  const std::string what = rules.column.empty() ? fmt::format("'{}' has", rules.file.string())
                                                : fmt::format("'{}' has in its label column '{}'", rules.file.string(),
                                                              printable(rules.column));
  throw_data_error(fmt::format(
      "{} {} different {} in {} samples ('{}', '{}' ...), which {}; {}", what, classes, numbers ? "numbers" : "texts",
      samples, printable(names[0]), printable(names[1]),
      numbers ? "are a quantity or number the samples rather than classes" : "name the samples rather than classes",
      rules.column.empty() ? "cut a quantity into ranges before"
                           : "name the column of the classes with label=, or cut a quantity into ranges before"));
}

/// -1 marks a sample without a label in many sets; with only 1 as the other label, it is one of two classes.
void reject_negative(const LabelTexts& texts, const LabelRules& rules) {
  std::vector<std::string> numbers;
  for (const std::string& text : texts.distinct) numbers.push_back(*number_name(text));
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  if (numbers == std::vector<std::string>{"-1", "1"}) return;
  for (std::size_t i = 0; i < texts.distinct.size(); ++i)
    if (number_name(texts.distinct[i])->starts_with('-') && !contains(rules.literal, texts.distinct[i]))
      throw_data_error(
          fmt::format("{} has the label {}, expected 0 or more (or -1 and 1 alone); remove the sample, or add the key "
                      "literal={} to the address if this is a class",
                      rules.place(texts.first(i)), texts.distinct[i], texts.distinct[i]));
}

/// Returns whether a line is a header such as "id,name".
bool is_title(std::string_view line) {
  static constexpr std::array<std::string_view, 9> k_titles{"id",       "index",     "idx",      "class", "label",
                                                            "class_id", "class_idx", "label_id", "target"};
  const std::size_t end = line.find_first_of(" \t,;");
  return end != std::string_view::npos &&
         std::ranges::find(k_titles, lookalike_key(line.substr(0, end))) != k_titles.end();
}

bool starts_with_number(std::string_view line) {
  const std::size_t end = line.find_first_of(" \t,;");
  return end != std::string_view::npos && number_name(line.substr(0, end)).has_value();
}

Classes among(const LabelTexts& texts, std::vector<std::string> names, const LabelRules& rules,
              std::string_view lacking) {
  Classes classes{.labels = labels_among(texts, names, rules, lacking)};
  classes.names = std::move(names);
  return classes;
}

}  // namespace

void LabelTexts::add(std::string_view text) {
  const auto [place, is_new] = places_.try_emplace(std::string(text));
  if (is_new) {
    std::string name = class_name(text);
    const auto [of_name, is_new_name] = names_.try_emplace(name, std::ssize(distinct));
    if (is_new_name) distinct.push_back(std::move(name));
    place->second = of_name->second;
  }
  inverse.push_back(place->second);
}

std::size_t LabelTexts::first(std::size_t i) const {
  return static_cast<std::size_t>(std::ranges::find(inverse, static_cast<std::int64_t>(i)) - inverse.begin());
}

Classes classes_of(const LabelTexts& texts, const LabelRules& rules) {
  if (!rules.known.empty()) return among(texts, rules.known, rules, "the run");
  reject_missing(texts, rules, {});
  const Spelling spelling = common_spelling(texts.distinct);
  if (spelling == nullptr) reject_twins(texts, rules);
  if (spelling == &number_name && rules.column.empty()) reject_negative(texts, rules);

  std::map<std::string, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < texts.distinct.size(); ++i)
    groups[spelling == nullptr ? texts.distinct[i] : *spelling(texts.distinct[i])].push_back(i);
  // `1.0` is a 1 that passed through a program which stores columns with missing values as floats.
  const bool has_points =
      spelling == &number_name && std::ranges::any_of(texts.distinct, [](const std::string& text) {
        return text.find('.') != std::string::npos && number_name(text)->find('.') == std::string::npos;
      });
  const bool keeps_spelling = groups.size() == texts.distinct.size() && !has_points;
  Classes classes;
  for (const auto& [value, spellings] : groups)
    classes.names.push_back(keeps_spelling ? texts.distinct[spellings[0]] : value);
  sort_classes(classes.names);
  if (classes.names.size() < 2)
    throw_data_error(
        fmt::format("'{}' has one class, '{}'{}, expected at least two; add samples of another{}", rules.file.string(),
                    printable(classes.names[0]),
                    rules.column.empty() ? "" : fmt::format(", in its column '{}'", printable(rules.column)),
                    rules.column.empty() ? "" : ", or name the right column with ?label="));
  reject_quantity(classes.names, texts.size(), rules);
  return among(texts, std::move(classes.names), rules, "");
}

std::vector<std::int64_t> labels_among(const LabelTexts& texts, std::span<const std::string> names,
                                       const LabelRules& rules, std::string_view lacking) {
  reject_missing(texts, rules, names);
  const NameIndex index(names);
  std::vector<std::int64_t> places;
  for (std::size_t i = 0; i < texts.distinct.size(); ++i) {
    const auto place = index.find(texts.distinct[i]);
    if (!place)
      throw_data_error(fmt::format("{} has the label '{}'{}, which {} lacks{}", rules.place(texts.first(i)),
                                   printable(texts.distinct[i]), column_text(rules), lacking,
                                   index.advice(texts.distinct[i])));
    places.push_back(*place);
  }
  std::vector<std::int64_t> labels;
  labels.reserve(texts.inverse.size());
  for (const std::int64_t text : texts.inverse) labels.push_back(places[static_cast<std::size_t>(text)]);
  return labels;
}

ClassFile parse_class_file(std::string_view bytes, const std::filesystem::path& path) {
  const auto fail = [&](std::size_t line, const std::string& what) {
    throw_data_error(
        fmt::format("'{}' line {} {}; write one class name a line, in label order", path.string(), line, what));
  };
  ClassFile file{.path = path};
  const std::string text = utf8_text(bytes, path);
  for (const std::string_view line : text_lines(text)) file.names.push_back(class_name(line));
  while (!file.names.empty() && file.names.back().empty()) file.names.pop_back();
  for (std::size_t i = 0; i < file.names.size(); ++i)
    if (file.names[i].empty()) fail(i + 1, "is blank");

  // `0 cat`: every line has an integer before its name, possibly below a header.
  if (file.names.size() > 2 && is_title(file.names[0]) && starts_with_number(file.names[1]))
    file.names.erase(file.names.begin());
  std::map<std::string, std::string> name_of;
  std::vector<std::string> names;
  for (const std::string& line : file.names) {
    const std::size_t end = line.find_first_of(" \t,;");
    const auto number = number_name(std::string_view(line).substr(0, end));
    if (!number || end == std::string::npos || number->find('.') != std::string::npos) break;
    names.push_back(class_name(std::string_view(line).substr(end + 1)));
    if (!name_of.emplace(*number, names.back()).second) break;
    file.numbers.push_back(*number);
  }
  const bool numbered = !file.names.empty() && file.numbers.size() == file.names.size();
  if (!numbered) file.numbers.clear();
  if (numbered) file.names = std::move(names);

  std::unordered_map<std::string, std::size_t> lines;
  for (std::size_t i = 0; i < file.names.size(); ++i) {
    if (file.names[i].empty()) fail(i + 1, "has a number without a name");
    if (const auto [first, is_new] = lines.emplace(file.names[i], i); !is_new)
      fail(i + 1, fmt::format("repeats the class name '{}' of line {}", printable(file.names[i]), first->second + 1));
  }
  if (numbered) {
    sort_classes(file.numbers);
    std::ranges::transform(file.numbers, file.names.begin(),
                           [&](const std::string& number) { return name_of[number]; });
  }
  return file;
}

LabelTexts named_by(const ClassFile& file, const LabelTexts& texts, const LabelRules& rules) {
  std::unordered_map<std::string, std::size_t> of_number;
  for (std::size_t i = 0; i < file.names.size(); ++i)
    of_number.emplace(file.numbers.empty() ? fmt::format("{}", i) : file.numbers[i], i);
  const NameIndex of_name(file.names);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < texts.distinct.size(); ++i) {
    const std::string& text = texts.distinct[i];
    const auto number = number_name(text);
    if (const auto place = of_number.find(number.value_or("")); place != of_number.end())
      names.push_back(file.names[place->second]);
    else if (const auto named = of_name.find(text))
      names.push_back(file.names[static_cast<std::size_t>(*named)]);
    else if (file.numbers.empty() && number)
      throw_data_error(fmt::format(
          "'{}' has {} class names, but {} has the label {}, expected 0 to {}; name every class, the first "
          "line being label 0, or write the label before each name ('1 cat')",
          file.path.string(), file.names.size(), rules.place(texts.first(i)), text, std::ssize(file.names) - 1));
    else
      throw_data_error(fmt::format("'{}' names no class '{}', but {} has this label{}", file.path.string(),
                                   printable(text), rules.place(texts.first(i)), of_name.advice(text)));
  }
  LabelTexts named;
  for (const std::int64_t text : texts.inverse) named.add(names[static_cast<std::size_t>(text)]);
  return named;
}

Classes classes_of(LabelTexts texts, const LabelRules& rules, const std::optional<ClassFile>& class_file) {
  if (!class_file) return classes_of(texts, rules);
  texts = named_by(*class_file, texts, rules);
  if (!rules.known.empty()) return classes_of(texts, rules);
  Classes classes{.names = class_file->names};
  const NameIndex index(classes.names);
  std::vector<bool> seen(classes.names.size(), false);
  for (const std::string& text : texts.distinct) seen[static_cast<std::size_t>(*index.find(text))] = true;
  if (const auto unseen = std::ranges::find(seen, false); unseen != seen.end()) {
    const auto c = static_cast<std::size_t>(unseen - seen.begin());
    throw_data_error(fmt::format(
        "'{}' has no sample with the label {} ('{}'); add some, or remove the class from '{}' and write the "
        "label before each name ('1 cat')",
        rules.file.string(), class_file->numbers.empty() ? fmt::format("{}", c) : class_file->numbers[c],
        printable(classes.names[c]), class_file->path.string()));
  }
  if (classes.names.size() < 2)
    throw_data_error(fmt::format("'{}' has one class, '{}', expected at least two; add samples of another",
                                 rules.file.string(), printable(classes.names[0])));
  return among(texts, std::move(classes.names), rules, "");
}

}  // namespace ulmus::detail
