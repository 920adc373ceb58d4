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

/// Converts labels read as text into classes, in the same way for every source.
namespace ulmus::detail {

/// Labels as text; each distinct one, compared by class_name, is stored once.
class LabelTexts {
 public:
  void add(std::string_view text);

  std::vector<std::string> distinct;  ///< in order of first occurrence
  std::vector<std::int64_t> inverse;  ///< [N], the index in `distinct` of each sample's text

  std::int64_t size() const { return static_cast<std::int64_t>(inverse.size()); }
  /// The first sample with text i.
  std::size_t first(std::size_t i) const;

 private:
  std::unordered_map<std::string, std::int64_t> places_;  ///< indices of the original texts
  std::unordered_map<std::string, std::int64_t> names_;   ///< indices of their class_name
};

struct LabelRules {
  /// Names that are classes although they look like a missing mark or like another name.
  std::vector<std::string> literal{};
  /// Classes of a trained run: labels must be among them; some may have no samples.
  std::vector<std::string> known{};
  bool twins_are_literal = true;                    ///< `literal` also permits names that look alike
  std::filesystem::path file{};                     ///< for messages
  std::function<std::string(std::size_t)> place{};  ///< position of a sample, for messages: "'f' line 3"
  std::string column{};                             ///< column of a table, for messages
  /// If true, throws for labels that differ in most samples, which suggests a wrong column. Fractional numbers that
  /// rarely repeat always throw.
  bool may_be_quantity = false;
};

struct Classes {
  std::vector<std::string> names;    ///< [C], in order
  std::vector<std::int64_t> labels;  ///< [N], each in [0, C)
};

/// Finds the classes of a training part.
///
/// White space at the ends of a label is ignored, and so are differences of Unicode composition. If all labels are
/// decimal numbers, equal numbers are one class (`1`, `01`, `1.0`); if all are booleans, their case is ignored. A class
/// keeps its spelling if every class has only one spelling and none is an integer with a point (`1.0`). Classes are in
/// numerical order if all are numbers, otherwise in byte order. With `rules.known` these are the classes, in their
/// order.
///
/// Throws Error{data} for marks of missing values, with the first position and their number; names that look alike and
/// are different classes (`Yes`, `yes`), unless both are a single letter; a quantity; fewer than two classes.
Classes classes_of(const LabelTexts& texts, const LabelRules& rules);

/// Maps the labels of a test part to the classes of the training part. Throws Error{data} for marks of missing values
/// that are not a class, and for the first unknown label; `lacking` names what lacks it ("the training part").
std::vector<std::int64_t> labels_among(const LabelTexts& texts, std::span<const std::string> names,
                                       const LabelRules& rules, std::string_view lacking);

/// A file of class names: one per line in label order, or lines `number name` with the label before the name.
struct ClassFile {
  std::filesystem::path path;
  std::vector<std::string> names;      ///< in label order
  std::vector<std::string> numbers{};  ///< [C], the labels; empty: 0 to C - 1
};
ClassFile parse_class_file(std::string_view bytes, const std::filesystem::path& path);

/// Replaces labels that are numbers in the file by names; names in the file stay. Throws Error{data} for other labels.
LabelTexts named_by(const ClassFile& file, const LabelTexts& texts, const LabelRules& rules);

/// As classes_of; if the address has a class file, the classes are its names in its order, each of which needs a
/// sample.
Classes classes_of(LabelTexts texts, const LabelRules& rules, const std::optional<ClassFile>& class_file);

}  // namespace ulmus::detail
