#include "train/training_stage.hpp"

#include <algorithm>
#include <vector>

#include "train/derived_options.hpp"
#include "train/head_fit.hpp"

namespace ulmus::detail {
namespace {

/// Of the second stage over the first.
constexpr double k_rate_after = 0.1;

/// The rate of a head on features in a run without a rate: that of fit_head.
double head_rate(Head head, const TrainingStage& stage, const std::vector<std::int64_t>& indices) {
  const auto classes = stage.train.classes();
  if (head == Head::cosine) return default_head_rate(head, 1, classes);  // whatever the lengths of the features
  return default_head_rate(
      head, mean_square({.data = stage.train, .indices = indices, .normalisation = stage.normalisation}), classes);
}

}  // namespace

TrainingStage first_stage(const Plan& plan, const Trial& trial, const FrozenData* frozen) {
  TrainingStage stage{.train = frozen ? frozen->train : plan.data.train,
                      .test = frozen ? frozen->test : plan.data.test,
                      .views = frozen ? frozen->views : std::vector<Dataset>(),
                      .on_features = frozen != nullptr,
                      .head_alone = trains_head_alone(plan.options),
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
  stage.head.restart_epoch = trial.loss.last_change(plan.epochs());
  if (const std::vector<std::int64_t> choices = choice_epochs(plan, trial.loss); !choices.empty())
    stage.head.restart_epoch = std::max(stage.head.restart_epoch, choices.back());
  if (stage.head.base == 0) stage.head.base = head_rate(trial.head, stage, plan.split.train);
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
