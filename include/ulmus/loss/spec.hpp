#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/family.hpp"

namespace ulmus {

/// A loss specification in text form, the same in every interface: `name[:key=value,...][+rule[:key=value,...]]`.
///
///     ce      ldam+drw      elm:lambda=0.5,scale=20+drw:from=0.8,beta=0.999      ce+weights=FILE
class LossSpec {
 public:
  /// Throws Error{usage} for an unknown name, rule, key or word (with the nearest valid one), a value that is not a
  /// number or out of range, a key that is duplicate or does not apply, more than one rule, or class weights combined
  /// with a loss that has its own.
  static LossSpec parse(std::string_view text);

  const LossDefinition& definition() const { return *definition_; }
  const KeyValues& keys() const { return keys_; }
  /// The rule, or nullptr.
  const Rule* rule() const { return rule_; }
  const KeyValues& rule_keys() const { return rule_keys_; }
  /// The FILE of +weights=FILE.
  const std::string& rule_file() const { return rule_file_; }

  /// Canonical text: keys in the order of their definition, without those at their default. Equal losses have equal
  /// text.
  std::string text() const { return compose(false); }
  /// The same with every key written out.
  std::string full_text() const { return compose(true); }

  /// The same loss with another value for a key of the loss or, if it has no such key, of its rule. Throws as parse().
  LossSpec with(std::string_view key, const std::string& value) const;

  /// The key whose value is `auto`, which a trainer must replace before a Loss can be made; or nullptr.
  const Key* automatic() const;

  /// True if the rule takes effect only at a later epoch (`drw`, `drs`).
  bool deferred() const;

  /// True if the rule changes how often images are drawn (`rs`, `drs`) rather than the class weights.
  bool resamples() const;

  /// The 0-based epoch at which the rule takes effect: round(from * epochs), at most the last; 0 for a rule that is not
  /// deferred. `epochs` >= 1.
  long long rule_epoch(long long epochs) const;

  /// The same for a loss that starts as plain cross entropy (key `from` of `ib`, `dro-lt` ...).
  long long start_epoch(long long epochs) const;

  /// The 0-based epoch at which the loss changes for the last time, apart from a choice: 0 for a loss that stays as it
  /// is. `epochs` >= 1.
  long long last_change(long long epochs) const { return std::max(rule_epoch(epochs), start_epoch(epochs)); }

  /// The 0-based epochs before which the value of an `auto` key is chosen in the training of a network, ascending: at
  /// 0.2 of the epochs for the main training, and again when the rule takes effect, or at 0.8 without a deferred rule.
  /// No choice happens before the first epoch has been trained; if both epochs coincide there is one choice. `epochs`
  /// >= 2.
  std::vector<long long> choice_epochs(long long epochs) const;

  /// True if, with these keys, class weights belong to the definition of the loss.
  bool has_own_weights() const;

  /// Factor of the head's output before a softmax, for training and testing.
  double scale() const;

  /// Returns the head to build: `requested`, or the definition's head if `requested` is empty. Throws Error{usage} for
  /// an unknown head and, with the reason, for one that does not work with this loss.
  Head choose_head(std::string_view requested) const;

  friend bool operator==(const LossSpec& a, const LossSpec& b) { return a.full_text() == b.full_text(); }

 private:
  LossSpec(const LossDefinition& definition, const Rule* rule);
  std::string compose(bool all) const;

  const LossDefinition* definition_;
  KeyValues keys_;
  const Rule* rule_;
  KeyValues rule_keys_;
  std::string rule_file_;
};

/// Splits a list of losses: "elm:lambda=0.5,scale=20+drw,ce" contains two. A piece `key=value` belongs to the preceding
/// loss, and `all` stands for every loss with its defaults. Throws Error{usage} for an empty item.
std::vector<std::string> split_losses(std::string_view list);

/// The same, parsed. Throws Error{usage}, also for a duplicate loss.
std::vector<LossSpec> parse_losses(std::string_view list);

}  // namespace ulmus
