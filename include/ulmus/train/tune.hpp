#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <vector>

#include "ulmus/eval/tuning.hpp"
#include "ulmus/train/model_selection.hpp"
#include "ulmus/train/options.hpp"
#include "ulmus/train/tune_grid.hpp"

namespace ulmus {

/// Which model of a run gets a new head, and which heads are tried.
struct TuneOptions {
  ModelSelection model;  ///< must match exactly one model
  /// Unset: elm+drw, elm, la, crt, and for a linear head tau-norm and lws. `tau-norm` has tau=0.5 if neither the list
  /// nor the grid sets it.
  std::optional<std::vector<TuneEntry>> losses;
  /// Each key applies to every loss of the list that has it, in all combinations. Unset: lambda=0:1:0.1 of elm,
  /// tau=0.5:2:0.25 of la and tau=0:1:0.1 of tau-norm, unless the list sets a value.
  std::optional<std::vector<GridKey>> grid;
  std::optional<std::int64_t> jobs;  ///< heads fitted concurrently; unset: one per core. Does not affect results
  bool apply = false;                ///< store the chosen head as a model of the run
};

/// Fits new heads on the features of a trained model's frozen backbone and chooses the best on the run's validation
/// part. The test part is not used for the choice.
///
/// The features of the training and validation parts are computed once, without augmentation, and stored in
/// `features/<model>.safetensors` of the run with a hash of the model. Each head starts from new weights and is trained
/// for 10 epochs by SGD with momentum 0.9, weight decay 2e-4, the run's batch size, and a learning rate that decreases
/// to 0 along a half cosine, from 0.1 for a cosine head, or from 2 divided by the mean squared length of the features
/// for a linear one; deferred parts of a loss are active from the start. `crt`: cross entropy with balanced sampling.
/// `lws`: the trained head with each class's logit multiplied by a factor that is learnt with balanced sampling.
/// `tau-norm`: the trained weights divided by the tau-th power of their length, without bias; nothing is trained (Kang
/// et al., ICLR 2020).
///
/// With `apply`, the chosen head and the backbone become the checkpoint and result of a new model, named
/// "<loss>/<head>", which is evaluated on the test part, unless the trained head is the best.
///
/// Deterministic for any `jobs`. `stop` is called before each head. Throws Error{usage} without a validation part, for
/// a model that does not exist, is not finished or is not the only one, a key of the grid that no loss has, or a second
/// stage that does not support the head; Error{data} if the data have changed; Error{numerical}; Error{interrupted}.
Tuning tune(const std::filesystem::path& folder, const RunOptions& run_options, const TuneOptions& options,
            const std::function<bool()>& stop = {});

}  // namespace ulmus
