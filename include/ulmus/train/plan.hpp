#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/data/dataset.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/data/split.hpp"
#include "ulmus/data/table.hpp"
#include "ulmus/loss/loss.hpp"
#include "ulmus/train/options.hpp"
#include "ulmus/train/schedule.hpp"

namespace ulmus {

namespace detail {
class PretrainedWeights;
}

/// One training of a run: a loss with a seed.
struct Trial {
  LossSpec loss;
  std::int64_t order;  ///< position of the loss in the list
  Head head;
  Sampler sampler;
  std::uint64_t seed;
  std::int64_t parameters;  ///< of the model; 0 for trees, which are not grown yet
};

/// A run that was completely validated before anything is trained or written: data opened, split made, every loss
/// matched with a head and a model.
struct Plan {
  RunOptions options;  ///< with all defaults filled in, except `head`
  OpenedData data;
  Split split;
  ClassCounts counts;  ///< counts of the training part
  Normalisation normalisation;
  Augmentation augmentation;
  BlockShuffle shuffle;
  std::optional<std::string> encoding;  ///< encoding of a table, as JSON
  std::vector<ColumnSummary> columns;   ///< columns of a table
  LearningRateSchedule schedule;        ///< `base` is 0 if each head uses a rate that depends on its features
  std::vector<Trial> trials;            ///< ordered by seed, then by the order of losses in the list
  std::shared_ptr<const detail::PretrainedWeights>
      weights;  ///< of options.weights, if any; every model begins with them

  /// Of the first stage, by which the losses and the schedule go; the only one without `unfreeze`.
  std::int64_t epochs() const { return options.epochs.value(); }
  /// Of both stages.
  std::int64_t all_epochs() const { return epochs() + options.unfreeze.value_or(0); }
  std::int64_t jobs() const { return options.jobs.value(); }
  std::int64_t threads() const { return options.threads.value(); }
};

/// Returns whether the run trains heads on features that a frozen backbone computes once: `freeze` is `backbone`, and
/// images are not augmented at random, or as `views` that are made once, or only in the second stage (`unfreeze`). The
/// features are stored in the run's folder `features`; those of neighbouring runs are reused.
bool trains_on_features(const Plan& plan);

/// The 0-based epochs before which a run chooses the value of the `auto` key of a loss, ascending; none without such a
/// key. A head alone is trained with every candidate before the first epoch; for a network see LossSpec::choice_epochs.
std::vector<std::int64_t> choice_epochs(const Plan& plan, const LossSpec& loss);

/// `classes` are those of a resumed run, in its order. Throws Error{usage} or Error{data} for all faults that can be
/// detected before the first step.
Plan plan_run(const RunOptions& options, const std::vector<std::string>& classes = {});

}  // namespace ulmus
