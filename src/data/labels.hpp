#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

/// Turns labels that were read as text into classes, in the same way for every source.
namespace ulmus::detail {

/// Labels as text; each distinct one, by its class_name, is stored once.
class LabelTexts {
 public:
  void add(std::string_view text);

  std::vector<std::string> distinct;  ///< in the order of their first samples
  std::vector<std::int64_t> inverse;  ///< [N], the place in `distinct` of each sample's text

  std::int64_t size() const { return static_cast<std::int64_t>(inverse.size()); }
  /// The first sample that has text i.
  std::size_t first(std::size_t i) const;

 private:
  std::unordered_map<std::string, std::int64_t> places_;  ///< of the texts as they came
  std::unordered_map<std::string, std::int64_t> names_;   ///< of their class_name
};

struct LabelRules {
  /// Names that are classes though they read like a missing mark, or look like another one.
  std::vector<std::string> literal{};
  /// Classes of a trained run: labels are found among them, some may have no sample.
  std::vector<std::string> known{};
  bool twins_are_literal = true;                    ///< `literal` allows for names that look alike, too
  std::filesystem::path file{};                     ///< for messages
  std::function<std::string(std::size_t)> place{};  ///< of a sample, for messages: "'f' line 3"
  std::string column{};                             ///< of a table, for messages
  /// Refuses labels that are different in most samples, as those of a wrong column are. Numbers with fractions that
  /// hardly repeat are refused in any case.
  bool may_be_quantity = false;
};

struct Classes {
  std::vector<std::string> names;    ///< [C], in order
  std::vector<std::int64_t> labels;  ///< [N], each in [0, C)
};

/// The classes of a training part.
///
/// White space at the ends of a label does not count, nor how Unicode composes its letters. Where all labels are
/// decimal numbers, equal numbers are one class (`1`, `01`, `1.0`), where all are booleans, their case does not count;
/// a class keeps its spelling when every class has one and none is a whole number with a point (`1.0`). Classes are in
/// numerical order when all are numbers, otherwise in that of their bytes. With `rules.known` these are the classes, in
/// their order.
///
/// Throws Error{data} for marks of missing values, with the first place and how many; names that look alike and are not
/// one class (`Yes`, `yes`), unless both are a single letter; a quantity; fewer than two classes.
Classes classes_of(const LabelTexts& texts, const LabelRules& rules);

/// Labels of a test part, among the classes of the training part. Throws Error{data} for marks of missing
/// values that are no class, and for the first label that is none; `lacking` says who lacks it ("the training part").
std::vector<std::int64_t> labels_among(const LabelTexts& texts, std::span<const std::string> names,
                                       const LabelRules& rules, std::string_view lacking);

/// Reads a file of class names, a line each in label order, or lines `number name` with the label before the name.
struct ClassFile {
  std::filesystem::path path;
  std::vector<std::string> names;      ///< in label order
  std::vector<std::string> numbers{};  ///< [C], the labels; empty: 0 to C - 1
};
ClassFile parse_class_file(std::string_view bytes, const std::filesystem::path& path);

/// The same samples by name: labels are numbers of the file, or already names in it. Throws Error{data} for others.
LabelTexts named_by(const ClassFile& file, const LabelTexts& texts, const LabelRules& rules);

/// classes_of and, where the address has a class file, its names in its order, each of which needs a sample.
Classes classes_of(LabelTexts texts, const LabelRules& rules, const std::optional<ClassFile>& class_file);

}  // namespace ulmus::detail
