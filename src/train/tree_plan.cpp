#include "train/tree_plan.hpp"

#include <fmt/format.h>

#include "ulmus/base/error.hpp"
#include "ulmus/base/option_name.hpp"
#include "ulmus/base/text.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/trees/booster.hpp"
#include "ulmus/trees/objective.hpp"

namespace ulmus::detail {
namespace {

void reject_if(bool given, const char* option, const char* why) {
  if (given) throw_usage(fmt::format("{} cannot apply to trees: {}; leave it out", option_name(option), why));
}

}  // namespace

void resolve_tree_options(RunOptions& o) {
  const TreeOptions trees = TreeOptions::parse(o.model);
  require_xgboost();
  const RunOptions defaults;
  if (o.epochs && *o.epochs != trees.rounds)
    throw_usage(fmt::format("{} cannot apply to trees, whose rounds are a key of the model; write {}",
                            option_name("epochs"), option_name("model", fmt::format("trees:rounds={}", *o.epochs))));
  reject_if(o.lr.has_value(), "lr", "their step size is the key eta of the model");
  reject_if(o.weight_decay.has_value(), "weight_decay", "they have the key l2 of the model");
  reject_if(o.optimizer != "auto", "optimizer", "each tree is a Newton step");
  reject_if(o.schedule != "auto" && o.schedule != "constant", "schedule", "their step size stays the same");
  reject_if(o.warmup != defaults.warmup, "warmup", "their step size stays the same");
  reject_if(o.momentum != defaults.momentum, "momentum", "each tree is a Newton step");
  reject_if(o.clip.has_value(), "clip", "each tree is a Newton step");
  reject_if(o.ema.has_value(), "ema", "they have no weights to average");
  reject_if(o.weights.has_value() && o.weights != "none", "weights", "they begin without a tree");
  reject_if(o.freeze != "auto" && o.freeze != "none", "freeze", "they have no backbone");
  reject_if(o.batch_size != defaults.batch_size, "batch_size", "a round sees all rows");
  reject_if(o.unfreeze.has_value(), "unfreeze", "they have no backbone");
  reject_if(o.lr_backbone.has_value(), "lr_backbone", "they have no backbone");
  reject_if(o.shuffle != "auto" && o.shuffle != "full", "shuffle", "a round sees all rows");
  reject_if(o.augment != "auto" && o.augment != "none", "augment", "a round sees the rows as they are");
  reject_if(o.views.has_value(), "views", "they have no backbone");
  reject_if(o.feature_precision != defaults.feature_precision, "feature_precision", "they have no backbone");
  reject_if(o.sampler != defaults.sampler, "sampler", "a round sees all rows; weigh the classes with a rule as +cb");
  reject_if(o.head != "auto" && o.head != "linear", "head", "they have no head");
  reject_if(o.device != defaults.device, "device", "they are grown on the CPU");
  reject_if(o.channels_last, "channels_last", "they have no images");
  reject_if(o.autocast != defaults.autocast, "autocast", "they are grown in float");
  o.model = trees.text();
  o.epochs = trees.rounds;
  o.schedule = "constant";
  o.augment = "none";
  o.shuffle = "full";
  o.freeze = "none";
  o.weights.reset();
}

void require_tree_run(const RunOptions& options, const Dataset& data, const ClassCounts& counts) {
  if (!data.is_features())
    throw_usage(
        fmt::format("model 'trees' takes tables and features (csv:, npy:), and '{}' holds images; take another "
                    "model, or compute features first",
                    data.name()));
  for (const LossSpec& loss : options.losses) {
    if (const Key* key = loss.automatic())
      throw_usage(
          fmt::format("loss '{}' has {}=auto, which trees do not choose while they grow; write a number, for "
                      "example {}, or compare several",
                      loss.text(), key->name, loss.with(key->name, format_number(key->automatic[1])).text()));
    require_tree_loss(Loss(loss, counts));
  }
}

}  // namespace ulmus::detail
