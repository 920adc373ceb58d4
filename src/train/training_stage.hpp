#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "train/trainer.hpp"
#include "ulmus/data/augment.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/data/sampler.hpp"
#include "ulmus/train/plan.hpp"
#include "ulmus/train/schedule.hpp"

namespace ulmus::detail {

/// A part of a training: what it trains on, which layers, and at which rates. A run has one, or with `unfreeze` two:
/// the head on the features of a frozen backbone, then all layers.
struct TrainingStage {
  Dataset train;
  std::optional<Dataset> test;
  std::vector<Dataset> views = {};  ///< features of augmented images, trained on in turn instead of `train`
  bool on_features = false;         ///< the data are features of the backbone
  bool head_alone = false;  ///< the model is a head, or only its head is trained, on features that do not change
  bool frozen = false;      ///< the layers below the head stay as they are
  /// The model is in training mode: batch norm takes the statistics of the batch and moves its own, dropout drops.
  bool moves_statistics = true;
  Normalisation normalisation{};
  Augmentation augmentation{};
  BlockShuffle shuffle{};
  Sampler sampler{};
  LearningRateSchedule head{}, backbone{};  ///< over the epochs of the stage
  std::int64_t first_epoch = 0, epochs = 0;

  /// What an epoch trains on; view e modulo their number in epoch e.
  const Dataset& data_of(std::int64_t epoch) const {
    return views.empty() ? train : views[static_cast<std::size_t>(epoch) % views.size()];
  }
};

/// Before `unfreeze`, and all of the training without it. With `frozen`, the head is trained on these features.
TrainingStage first_stage(const Plan& plan, const Trial& trial, const FrozenData* frozen);

/// All layers, after `first`, on the images themselves. The head has a tenth of its rate, the backbone `lr_backbone`,
/// which the plan sets; the schedule begins anew, and rules of sampling are in force. The model stays in evaluation
/// mode, as the head was trained: the statistics of small batches, or of a few steps, would spoil what it has learnt.
TrainingStage second_stage(const Plan& plan, const Trial& trial, const TrainingStage& first);

}  // namespace ulmus::detail
