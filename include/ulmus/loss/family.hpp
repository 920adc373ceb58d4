#pragma once

#include <functional>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/hooks.hpp"

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
/// KernelParams. Those that only fill the kernel's slots are in kernel_members.cpp; the few that compute something else
/// beside it (hooks.hpp) have a small file each in src/loss/members/.
namespace ulmus {

/// The last layer a loss works with.
enum class Head {
  linear,  ///< W h + b
  cosine,  ///< cosine of h and each class's weight vector, in [-1, 1]; the loss multiplies by its scale
};

std::string_view name_of(Head head);

/// How the losses l[i] of the N samples, with weights w[i] = sample weight * class weight of y[i], become one number.
enum class Reduction {
  mean,           ///< sum of w[i] * l[i], over the number of samples (those of the ignored label do not count)
  weighted_mean,  ///< sum of w[i] * l[i], over sum of w[i]: torch's cross entropy with `weight`, the reference protocol
  none,           ///< sum of w[i] * l[i]: the gradient of each row is that of its own loss
};

std::string_view name_of(Reduction reduction);

/// "mean", "weighted-mean" or "none"; throws Error{usage} with the nearest name.
Reduction parse_reduction(std::string_view name);

/// What a sample's cross entropy c = softplus(d) becomes.
enum class Shape {
  plain,  ///< c
  focal,  ///< (1 - p)^shape_parameter c,  p = exp(-c)
  poly,   ///< c + shape_parameter (1 - p), the second term without class weights
};

/// The numbers with which a member fills the kernel's slots, and the parts it has beside them.
struct KernelParams {
  double scale = 1;                  ///< multiplies every adjusted logit, > 0
  std::vector<double> slope;         ///< [C], of the adjusted logits; empty: ones
  std::vector<double> offset;        ///< [C], of the adjusted logits, finite; empty: zeros
  std::vector<double> true_margin;   ///< [C], subtracted from the true logit: D[y]; empty: none
  std::vector<double> rival_margin;  ///< [C], added to the margin for the rival m: -lambda * D[m]; empty: none
  TrueLogitRule true_logit;          ///< in place of the margins: any function of z[y] and the largest wrong logit
  Shape shape = Shape::plain;
  double shape_parameter = 0;
  std::vector<double> class_weight;                ///< [C], where the weights belong to the definition; empty: ones
  Reduction reduction = Reduction::weighted_mean;  ///< that of the definition
  LossHooks hooks;
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

/// The value of a key that is written as the word `auto`: the trainer chooses it on the validation part.
inline constexpr double k_auto = std::numeric_limits<double>::infinity();

/// One parameter of a member or a rule; the parser, the program's help, the documentation and the bindings are made
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

/// The values of a member's or a rule's keys, in the table's order.
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

/// What a member needs of a batch beside logits and labels.
struct Needs {
  bool features = false;  ///< what goes into the head
  bool head = false;      ///< the weights and biases of a linear head
};

/// A loss of the family.
struct LossDefinition {
  std::string_view name;      ///< in a spec: "elm"
  std::string_view title;     ///< in words: "Enlarged Large Margin loss"
  std::string_view equation;  ///< of one sample, as plain text
  std::string_view paper;
  std::string_view advice;    ///< when to use it
  std::string_view pitfalls;  ///< what goes wrong, and where our definition differs from released code
  Head head;                  ///< the head it is made for
  std::vector<Key> keys;
  KernelParams (*make_params)(const KeyValues& keys, const ClassCounts& counts);
  Needs needs = {};
  std::string_view where = {};  ///< the file of what it computes beside the kernel; empty: nothing
};

/// How rare classes are favoured beside the loss, the part of a spec behind '+'.
struct Rule {
  /// What the rule changes.
  enum class Acts { weights, sampling };

  std::string_view name;
  std::string_view title;
  std::string_view equation;
  std::string_view paper;
  std::vector<Key> keys;
  Acts acts = Acts::weights;
  bool deferred = false;    ///< begins at the fraction `from` of the epochs
  bool takes_file = false;  ///< written +name=FILE
  /// Class weights, or the sampling weight of each image of a class, [C]; null for a rule that takes a file.
  std::vector<double> (*weights)(const KeyValues& keys, const ClassCounts& counts) = nullptr;
};

/// All members, in the order in which they are listed.
std::span<const LossDefinition> family();

/// All rules.
std::span<const Rule> rules();

}  // namespace ulmus
