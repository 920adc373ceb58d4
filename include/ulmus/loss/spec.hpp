#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ulmus/loss/family.hpp"

namespace ulmus {

/// A loss in text, the same everywhere: `name[:key=value,...][+rule[:key=value,...]]`.
///
///     ce      ldam+drw      elm:lambda=0.5,scale=20+drw:from=0.8,beta=0.999      ce+weights=FILE
class LossSpec {
 public:
  /// Throws Error{usage} for an unknown name, rule, key or word (with the nearest valid one), a value that is not a
  /// number or out of range, a key that comes twice or cannot apply, more than one rule, or class weights beside a loss
  /// that has its own.
  static LossSpec parse(std::string_view text);

  const LossDefinition& definition() const { return *definition_; }
  const KeyValues& keys() const { return keys_; }
  /// The rule, or nullptr.
  const Rule* rule() const { return rule_; }
  const KeyValues& rule_keys() const { return rule_keys_; }
  /// The FILE of +weights=FILE.
  const std::string& rule_file() const { return rule_file_; }

  /// Canonical text: keys in the table's order, those at their default left out. Equal losses have equal text.
  std::string text() const { return compose(false); }
  /// The same with every key written out.
  std::string full_text() const { return compose(true); }

  /// The same loss with another value of a key, of the loss or else of its rule. Throws as parse().
  LossSpec with(std::string_view key, const std::string& value) const;

  /// The key whose value is the word `auto`, which a trainer must replace before there can be a Loss; or nullptr.
  const Key* automatic() const;

  /// True when the rule begins only at a later epoch (`drw`, `drs`).
  bool deferred() const;

  /// True when the rule changes how often images are drawn (`rs`, `drs`), not the class weights.
  bool resamples() const;

  /// The 0-based epoch at which the rule begins: round(from * epochs), at most the last; 0 for a rule that is not
  /// deferred. `epochs` >= 1.
  long long rule_epoch(long long epochs) const;

  /// The same for a loss that is plain at first (key `from` of `ib`, `dro-lt` ...).
  long long start_epoch(long long epochs) const;

  /// The 0-based epochs before which a key `auto` is chosen, ascending: for the training itself at 0.2 of the epochs,
  /// and again where the rule begins, without a deferred rule at 0.8. No choice comes before the first epoch has been
  /// trained, and where both fall together there is one. `epochs` >= 2.
  std::vector<long long> choice_epochs(long long epochs) const;

  /// True when class weights belong to the definition of the loss, with these keys.
  bool has_own_weights() const;

  /// What multiplies the head's output before a softmax, at training and at test time.
  double scale() const;

  /// The head to build: `requested`, or that of its definition when it is empty.
  /// Throws Error{usage} for an unknown head and for one that cannot work with this loss, with the reason.
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

/// The losses of a list as text: "elm:lambda=0.5,scale=20+drw,ce" has two. A piece `key=value` belongs to the loss
/// before it, and `all` stands for every loss as it is. Throws Error{usage} for an empty place.
std::vector<std::string> split_losses(std::string_view list);

/// The same, parsed. Throws Error{usage}, also for a loss given twice.
std::vector<LossSpec> parse_losses(std::string_view list);

}  // namespace ulmus
