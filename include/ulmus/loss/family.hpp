#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/hooks.hpp"
#include "ulmus/loss/kernel_params.hpp"
#include "ulmus/loss/keys.hpp"

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
/// margin. Each loss is a LossDefinition in a file of its own, src/loss/losses/NAME.cpp: its names and words, the
/// function that makes its KernelParams, and for the few that compute something else beside them, its LossHooks.
namespace ulmus {

/// The last layer a loss works with.
enum class Head {
  linear,  ///< W h + b
  cosine,  ///< cosine of h and each class's weight vector, in [-1, 1]; the loss multiplies by its scale
};

std::string_view name_of(Head head);

/// What a loss needs of a batch beside logits and labels.
struct Needs {
  bool features = false;  ///< what goes into the head
  bool head = false;      ///< the weights and biases of a linear head
};

/// A loss of the family.
struct LossDefinition {
  std::string_view name;        ///< in a spec: "elm"
  std::string_view class_name;  ///< in Python: "ELM"
  std::string_view title;       ///< in words: "Enlarged Large Margin loss"
  std::string_view equation;    ///< of one sample, as plain text
  std::string_view paper = {};
  std::string_view advice;    ///< when to use it
  std::string_view pitfalls;  ///< what goes wrong, and where our definition differs from released code
  Head head;                  ///< the head it is made for
  std::span<const Key> keys;
  KernelParams (*make_params)(const KeyValues& keys, const ClassCounts& counts);
  LossHooks (*make_hooks)(const KeyValues& keys, const ClassCounts& counts) = nullptr;
  Needs needs = {};

  // Facts that callers and tests go by. With some keys a loss may be simpler than they say.
  bool is_sum = true;              ///< its mean is a sum of weighted losses over one divisor
  bool has_constant_part = false;  ///< something beside rival and hooks' offsets is constant for the gradient
  bool ignores_offset = true;      ///< a number added to all logits of a row changes nothing
  bool takes_masks = true;         ///< -infinity leaves out a wrong class; false, and with smoothed labels: the loss is
                                   ///< then not finite
  bool chunkable = true;           ///< rows may come in several calls: no term or offset of the whole batch
  bool shardable = true;           ///< row statistics of shards of the classes suffice: nothing else reads a whole row
                                   ///< (label smoothing does)
  bool takes_soft_targets = false;  ///< is a loss of each label from the logits alone

  /// What it does beside the kernel; none for most.
  LossHooks hooks(const KeyValues& values, const ClassCounts& counts) const {
    return make_hooks == nullptr ? LossHooks() : make_hooks(values, counts);
  }
};

/// How rare classes are favoured beside the loss, the part of a spec behind '+'.
struct Rule {
  /// What the rule changes.
  enum class Acts { weights, sampling };

  std::string_view name;
  std::string_view title;
  std::string_view equation;
  std::string_view paper;
  std::span<const Key> keys;
  Acts acts = Acts::weights;
  bool deferred = false;    ///< begins at the fraction `from` of the epochs
  bool takes_file = false;  ///< written +name=FILE
  /// Class weights, or the sampling weight of each image of a class, [C]; null for a rule that takes a file.
  std::vector<double> (*weights)(const KeyValues& keys, const ClassCounts& counts) = nullptr;
};

/// All losses, in the order in which they are listed.
std::span<const LossDefinition> family();

/// All rules.
std::span<const Rule> rules();

}  // namespace ulmus
