#include "train/training_stage.hpp"

#include <algorithm>
#include <vector>

#include "train/head_fit.hpp"

namespace ulmus::detail {
namespace {

/// Of the second stage over the first.
constexpr double k_rate_after = 0.1;

/// The 0-based epoch where the loss changes last: a deferred rule, a key `from`, or the choice of a key `auto`.
std::int64_t last_change(const LossSpec& loss, std::int64_t epochs) {
  std::int64_t last = std::max(loss.rule_epoch(epochs), loss.start_epoch(epochs));
  if (loss.automatic()) last = std::max<std::int64_t>(last, loss.choice_epochs(epochs).back());
  return last;
}

/// The rate of a head on features in a run without a rate: that of fit_head.
double head_rate(Head head, const Dataset& features, const std::vector<std::int64_t>& indices) {
  if (head == Head::cosine) return default_head_rate(head, 1);  // whatever the lengths of the features
  double squares = 0;
  std::vector<float> values(static_cast<std::size_t>(features.shape().channels));
  for (const std::int64_t index : indices) {
    features.read_features(index, values);
    for (const float value : values) squares += static_cast<double>(value) * value;
  }
  return default_head_rate(head, squares / static_cast<double>(indices.size()));
}

}  // namespace

TrainingStage first_stage(const Plan& plan, const Trial& trial, const FrozenData* frozen) {
  TrainingStage stage{.train = frozen ? frozen->train : plan.data.train,
                      .test = frozen ? frozen->test : plan.data.test,
                      .on_features = frozen != nullptr,
                      .frozen = plan.options.freeze == "backbone",
                      .moves_statistics = plan.options.freeze != "backbone",
                      .shuffle = plan.shuffle,
                      .sampler = trial.sampler,
                      .head = plan.schedule,
                      .epochs = plan.epochs()};
  if (!frozen) {  // features are of images as they are
    stage.normalisation = plan.normalisation;
    stage.augmentation = plan.augmentation;
  }
  stage.head.restart_epoch = last_change(trial.loss, plan.epochs());
  if (stage.head.base == 0) stage.head.base = head_rate(trial.head, stage.train, plan.split.train);
  stage.backbone = stage.head;
  if (plan.options.lr_backbone) stage.backbone.base = *plan.options.lr_backbone;
  return stage;
}

TrainingStage second_stage(const Plan& plan, const Trial& trial, const TrainingStage& first) {
  TrainingStage stage{.train = plan.data.train,
                      .test = plan.data.test,
                      .moves_statistics = false,
                      .normalisation = plan.normalisation,
                      .augmentation = plan.augmentation,
                      .sampler = trial.sampler,
                      .head = first.head,
                      .first_epoch = first.epochs,
                      .epochs = plan.all_epochs() - first.epochs};
  if (plan.data.train.is_features()) stage.shuffle = plan.shuffle;
  if (stage.sampler.kind == Sampler::Kind::deferred) stage.sampler.from = 0;
  if (stage.sampler.kind == Sampler::Kind::progressive) stage.sampler.kind = Sampler::Kind::balanced;
  stage.head.base = k_rate_after * first.head.base;
  stage.head.restart_epoch = 0;
  stage.backbone = stage.head;
  stage.backbone.base = plan.options.lr_backbone.value();
  return stage;
}

}  // namespace ulmus::detail
