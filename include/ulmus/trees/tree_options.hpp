#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ulmus {

/// How boosted trees are grown: the keys of the model `trees:rounds=300,depth=6,...`.
struct TreeOptions {
  std::int64_t rounds = 300;    ///< at most; each grows a tree for every class, or one tree for two classes
  std::int64_t depth = 6;       ///< of a tree, at most
  double eta = 0.1;             ///< step size: what every tree gives is multiplied by it
  double min_child_weight = 1;  ///< smallest sum of second derivatives in a leaf
  double subsample = 1;         ///< share of the rows that each round draws
  double colsample = 1;         ///< share of the columns that each tree draws
  double l2 = 1;                ///< added to the sum of second derivatives of a leaf
  double l1 = 0;                ///< the sum of gradients of a leaf is brought nearer to 0 by it
  double min_gain = 0;          ///< a split gains at least this
  std::int64_t bins = 256;      ///< of a numeric column, between which splits are looked for
  std::int64_t patience = 50;   ///< rounds without a better validation part before training stops; 0: never stops

  /// Reads "trees" or "trees:KEY=VALUE,...". Throws Error{usage} for another key (with the nearest one), a key that
  /// comes twice, a value that is no number or out of range.
  static TreeOptions parse(std::string_view model);

  /// "trees:depth=8": the keys that differ from their default.
  std::string text() const;

  friend bool operator==(const TreeOptions&, const TreeOptions&) = default;
};

/// Whether a model's name is `trees`, with or without keys.
bool is_tree_model(std::string_view model);

}  // namespace ulmus
