#pragma once

#include <cstdint>
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

/// One training of a run: a loss with a seed.
struct Trial {
  LossSpec loss;
  std::int64_t order;  ///< position of the loss in the list
  Head head;
  Sampler sampler;
  std::uint64_t seed;
  std::int64_t parameters;  ///< of the model; 0 for trees, which are not grown yet
};

/// A run, checked whole before anything is trained or written: data opened, split made, every loss matched with a head
/// and a model.
struct Plan {
  RunOptions options;  ///< with every default set, except `head`
  OpenedData data;
  Split split;
  ClassCounts counts;  ///< of the training part
  Normalisation normalisation;
  Augmentation augmentation;
  std::optional<std::string> encoding;  ///< of a table, as JSON
  std::vector<ColumnSummary> columns;   ///< of a table
  LearningRateSchedule schedule;        ///< `base` is 0 where each head takes the rate that suits its features
  std::vector<Trial> trials;            ///< seed by seed, each with every loss in the order of the list

  std::int64_t epochs() const { return options.epochs.value(); }
  std::int64_t jobs() const { return options.jobs.value(); }
  std::int64_t threads() const { return options.threads.value(); }
};

/// Whether the run trains heads on features that a frozen backbone computes once: `freeze` is `backbone`, and images
/// are not augmented at random. The features lie in the run's folder `features`; those of runs beside it are taken
/// over.
bool trains_on_features(const Plan& plan);

/// `classes` are those of a run that is resumed, in its order. Throws Error{usage} or Error{data} for everything that
/// can be known before the first step.
Plan plan_run(const RunOptions& options, const std::vector<std::string>& classes = {});

}  // namespace ulmus
