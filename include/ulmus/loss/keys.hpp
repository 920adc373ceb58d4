#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ulmus {

/// The valid range of a key.
struct Range {
  double low;
  double high;
  bool low_open = false;
  bool high_open = false;

  bool contains(double value) const;
  /// "in [0, 1)", "above 0", "any number".
  std::string text() const;
};

/// The value `auto`: the trainer chooses the value on the validation part.
struct Automatic {
  friend bool operator==(Automatic, Automatic) = default;
};

/// The value of a key: a number, one of the key's words, or `auto`.
class KeyValue {
 public:
  constexpr KeyValue(double number) : value_(number) {}           // NOLINT(google-explicit-constructor)
  constexpr KeyValue(std::string_view word) : value_(word) {}     // NOLINT(google-explicit-constructor)
  constexpr KeyValue(Automatic automatic) : value_(automatic) {}  // NOLINT(google-explicit-constructor)
  template <std::size_t N>
  constexpr KeyValue(const char (&word)[N])
      : KeyValue(std::string_view(word)) {}  // NOLINT(google-explicit-constructor)

  bool is_automatic() const { return std::holds_alternative<Automatic>(value_); }
  bool is_word() const { return std::holds_alternative<std::string_view>(value_); }
  /// Throws std::bad_variant_access for a word or `auto`.
  double number() const { return std::get<double>(value_); }
  /// A word from the key's definition, so the view stays valid. Throws std::bad_variant_access for a number or `auto`.
  std::string_view word() const { return std::get<std::string_view>(value_); }

  /// As written in a spec: "0.5", "rival", "auto".
  std::string text() const;

  friend bool operator==(const KeyValue&, const KeyValue&) = default;

 private:
  std::variant<double, std::string_view, Automatic> value_;
};

/// One parameter of a loss or rule. The parser, the program's help, the documentation and the bindings are generated
/// from it.
struct Key {
  std::string_view name;
  KeyValue default_value;
  Range range;
  std::string_view meaning;
  std::string_view source;                         ///< source of the default
  std::span<const std::string_view> choices = {};  ///< the permitted words; empty: the value is a number
  std::string_view only_with = {};                 ///< "kind=focal": the key applies only with this setting
  std::span<const double> automatic = {};          ///< candidate values for `auto`; empty: `auto` is not allowed

  /// "at least 0", "true or rival", "any number or auto".
  std::string range_text() const;
};

/// The values of the keys of a loss or rule, in the order of their definition.
class KeyValues {
 public:
  explicit KeyValues(std::span<const Key> keys);

  bool has(std::string_view name) const;
  const KeyValue& value(std::string_view name) const { return values_[index(name)]; }
  /// The value of a numeric key; use word() for a key of words.
  double operator[](std::string_view name) const { return value(name).number(); }
  std::string_view word(std::string_view name) const { return value(name).word(); }
  void set(std::string_view name, KeyValue value) { values_[index(name)] = value; }

  /// Replaces each `auto` with its first candidate, for results that do not depend on the choice.
  KeyValues with_candidates() const;

  /// False for a key that applies only with a word of another key that is not set.
  bool applies(const Key& key) const;

  /// "lambda=0.5,scale=10": the keys that differ from their default, or all that apply.
  std::string text(bool all) const;

  friend bool operator==(const KeyValues& a, const KeyValues& b) { return a.values_ == b.values_; }

 private:
  std::size_t index(std::string_view name) const;
  std::span<const Key> keys_;
  std::vector<KeyValue> values_;
};

}  // namespace ulmus
