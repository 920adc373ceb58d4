#pragma once

#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ulmus {

/// The values a key may have.
struct Range {
  double low;
  double high;
  bool low_open = false;
  bool high_open = false;

  bool contains(double value) const;
  /// "in [0, 1)", "above 0", "any number".
  std::string text() const;
};

/// The value of a key that is written as the word `auto`: the trainer chooses it on the validation part.
inline constexpr double k_auto = std::numeric_limits<double>::infinity();

/// One parameter of a loss or a rule; the parser, the program's help, the documentation and the bindings are made
/// from it.
struct Key {
  std::string_view name;
  double default_value;
  Range range;
  std::string_view meaning;
  std::string_view source;                         ///< where the default comes from
  std::span<const std::string_view> choices = {};  ///< of a key of words: its value is a position in this list
  std::string_view only_with = {};                 ///< "kind=focal": has a meaning only beside this
  std::span<const double> automatic = {};          ///< what is tried where the value is k_auto; empty: it cannot be

  /// A value as it is written in a spec: "0.5", "rival", "auto".
  std::string text(double value) const;
  /// "at least 0", "true or rival", "any number or auto".
  std::string range_text() const;
};

/// The values of a loss's or a rule's keys, in the table's order.
class KeyValues {
 public:
  explicit KeyValues(std::span<const Key> keys);

  double operator[](std::string_view name) const { return values_[index(name)]; }
  bool has(std::string_view name) const;
  /// The word that a key of words has as its value.
  std::string_view word(std::string_view name) const;
  void set(std::string_view name, double value) { values_[index(name)] = value; }

  /// False for a key that has a meaning only beside another one's word.
  bool applies(const Key& key) const;

  /// "lambda=0.5,scale=10": the keys that differ from their default, or all that apply.
  std::string text(bool all) const;

  friend bool operator==(const KeyValues& a, const KeyValues& b) { return a.values_ == b.values_; }

 private:
  std::size_t index(std::string_view name) const;
  std::span<const Key> keys_;
  std::vector<double> values_;
};

}  // namespace ulmus
