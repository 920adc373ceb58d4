#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/class_counts.hpp"

/// The family: every loss of this library is the same computation with other numbers in it. For one sample with logits
/// z[0..C) and label y:
///
///     adjusted      v[j] = slope[j] * z[j] + offset[j]              BS: z[j] + log n[j]
///     rival         m = argmax over j != y of v[j]                  lowest index on a tie; constant for the gradient
///     true logit    t = v[y] - margin(y, m)                         LDAM: D[y]     ELM: D[y] - lambda * D[m]
///     distance      d = logsumexp over j != y of scale * v[j]  -  scale * t
///     sample loss   w[y] * shape(softplus(d))                       weights w: a rule behind '+' (cb, inverse, drw)
///
/// softplus(d) is the cross entropy: the loss asks the true logit to exceed the soft maximum of the wrong ones by the
/// margin. A member is an entry of the table in family.cpp: its names and words, and a function that fills in its
/// RowTerms.
namespace ulmus {

/// The last layer a loss works with.
enum class Head {
  linear,  ///< W h + b
  cosine,  ///< cosine of h and each class's weight vector, in [-1, 1]; the loss multiplies by its scale
};

std::string_view name_of(Head head);

/// The numbers with which a member fills the kernel's slots.
struct RowTerms {
  double scale = 1;                  ///< multiplies every adjusted logit, > 0
  std::vector<double> slope;         ///< [C], of the adjusted logits; empty: ones
  std::vector<double> offset;        ///< [C], of the adjusted logits, finite; empty: zeros
  std::vector<double> true_margin;   ///< [C], subtracted from the true logit: D[y]; empty: none
  std::vector<double> rival_margin;  ///< [C], added to the margin for the rival m: -lambda * D[m]; empty: none
  double focal_gamma = 0;            ///< shape (1 - p)^gamma of the cross entropy, p = exp(-softplus(d)); 0: none
};

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

/// One parameter of a member or a rule; the parser, the program's help, the documentation and the bindings are made
/// from it.
struct Key {
  std::string_view name;
  double default_value;
  Range range;
  std::string_view meaning;
  std::string_view source;  ///< where the default comes from
};

/// The values of a member's or a rule's keys, in the table's order.
class KeyValues {
 public:
  explicit KeyValues(std::span<const Key> keys);

  double operator[](std::string_view name) const { return values_[index(name)]; }
  void set(std::string_view name, double value) { values_[index(name)] = value; }

  /// "lambda=0.5,scale=10": the keys that differ from their default, or all of them.
  std::string text(bool all) const;

  friend bool operator==(const KeyValues& a, const KeyValues& b) { return a.values_ == b.values_; }

 private:
  std::size_t index(std::string_view name) const;
  std::span<const Key> keys_;
  std::vector<double> values_;
};

/// A loss of the family.
struct Member {
  std::string_view name;      ///< in a spec: "elm"
  std::string_view title;     ///< in words: "Enlarged Large Margin loss"
  std::string_view equation;  ///< of one sample, as plain text
  std::string_view paper;
  std::string_view advice;    ///< when to use it
  std::string_view pitfalls;  ///< what goes wrong, and where our definition differs from released code
  Head head;                  ///< the head it is made for
  std::vector<Key> keys;
  RowTerms (*fill)(const KeyValues& keys, const ClassCounts& counts);
};

/// How class weights are applied, the part of a spec behind '+'.
struct WeightRule {
  std::string_view name;
  std::string_view title;
  std::string_view equation;
  std::string_view paper;
  std::vector<Key> keys;
  std::vector<double> (*weights)(const KeyValues& keys, const ClassCounts& counts);  ///< [C]
};

/// All members, in the order in which they are listed.
std::span<const Member> family();

/// All weight rules.
std::span<const WeightRule> weight_rules();

}  // namespace ulmus
