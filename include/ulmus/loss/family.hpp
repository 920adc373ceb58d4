#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "ulmus/loss/class_counts.hpp"
#include "ulmus/loss/hooks.hpp"
#include "ulmus/loss/kernel_params.hpp"
#include "ulmus/loss/keys.hpp"

/// The family: every loss of this library is the same computation with different parameters. For one sample with logits
/// z[0..C) and label y:
///
///     adjusted      v[j] = slope[j] * z[j] + offset[j]              BS: z[j] + log n[j]
///     rival         m = argmax over j != y of v[j]                  lowest index on a tie; constant for the gradient
///     true logit    t = v[y] - margin(y, m)                         LDAM: D[y]     ELM: D[y] - lambda * D[m]
///     distance      d = logsumexp over j != y of scale * v[j]  -  scale * t
///     sample loss   w[y] * shape(softplus(d))                       weights w: a rule after '+' (cb, inverse, drw)
///
/// softplus(d) is the cross entropy: the loss requires the true logit to exceed the soft maximum of the incorrect
/// logits by the margin. Each loss is a LossDefinition in its own file, src/loss/losses/NAME.cpp: its names and
/// descriptions, the function that makes its KernelParams, and LossHooks for the few losses that compute something else
/// in addition.
namespace ulmus {

/// The type of the last layer.
enum class Head {
  linear,  ///< W h + b
  cosine,  ///< cosine of h and each class's weight vector, in [-1, 1]; the loss multiplies it by its scale
};

std::string_view name_of(Head head);

/// The inputs that a loss needs in addition to logits and labels.
struct Needs {
  bool features = false;  ///< the input of the head
  bool head = false;      ///< weights and biases of a linear head
};

/// A loss of the family.
struct LossDefinition {
  std::string_view name;        ///< name in a spec: "elm"
  std::string_view class_name;  ///< name in Python: "ELM"
  std::string_view title;       ///< full name: "Enlarged Large Margin loss"
  std::string_view equation;    ///< loss of one sample, as plain text
  std::string_view paper = {};
  std::string_view advice;    ///< when to use it
  std::string_view pitfalls;  ///< known problems, and differences from released code
  Head head;                  ///< the head for which the loss is designed
  std::span<const Key> keys;
  KernelParams (*make_params)(const KeyValues& keys, const ClassCounts& counts);
  LossHooks (*make_hooks)(const KeyValues& keys, const ClassCounts& counts) = nullptr;
  Needs needs = {};

  // Properties that callers and tests rely on. With some keys a loss may be simpler than they state.
  bool is_sum = true;               ///< the mean is a sum of weighted losses divided by one divisor
  bool has_constant_part = false;   ///< not only the rival and hooks' offsets are constant for the gradient
  bool ignores_offset = true;       ///< adding a constant to all logits of a row does not change the loss
  bool takes_masks = true;          ///< a logit of -infinity excludes an incorrect class; if false, or with smoothed
                                    ///< labels, the loss is then not finite
  bool chunkable = true;            ///< rows may be split into several calls: no term or offset of the whole batch
  bool shardable = true;            ///< row statistics of shards of the classes suffice: nothing else (except label
                                    ///< smoothing) reads a whole row
  bool takes_soft_targets = false;  ///< defined for soft targets: the loss of each label depends only on the logits

  /// Computations beyond the kernel; none for most losses.
  LossHooks hooks(const KeyValues& values, const ClassCounts& counts) const {
    return make_hooks == nullptr ? LossHooks() : make_hooks(values, counts);
  }
};

/// A method that favours rare classes in addition to the loss; the part of a spec after '+'.
struct Rule {
  /// What the rule changes.
  enum class Acts { weights, sampling };

  std::string_view name;
  std::string_view title;
  std::string_view equation;
  std::string_view paper;
  std::span<const Key> keys;
  Acts acts = Acts::weights;
  bool deferred = false;    ///< takes effect after the fraction `from` of the epochs
  bool takes_file = false;  ///< written as +name=FILE
  /// Returns class weights, or the sampling weight of each image of a class, [C]; null for a rule that takes a file.
  std::vector<double> (*weights)(const KeyValues& keys, const ClassCounts& counts) = nullptr;
};

/// All losses, in listing order.
std::span<const LossDefinition> family();

/// All rules.
std::span<const Rule> rules();

}  // namespace ulmus
