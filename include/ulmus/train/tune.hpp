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
  ModelSelection model;  ///< must leave one model
  /// Unset: elm+drw, elm, la, crt, and on a linear head tau-norm and lws. A lone `tau-norm` has tau=0.5.
  std::optional<std::vector<TuneEntry>> losses;
  /// Each key applies to every loss of the list that has it, in all combinations. Unset: lambda=0:1:0.1 of elm,
  /// tau=0.5:2:0.25 of la and tau=0:1:0.1 of tau-norm, where the list gives no value.
  std::optional<std::vector<GridKey>> grid;
  std::optional<std::int64_t> jobs;  ///< heads fitted at the same time; unset: one a core. Changes no result
  bool apply = false;                ///< keep the chosen head as a model of the run
};

/// Fits new heads on the features of a trained model's frozen backbone and chooses the best on the run's validation
/// part. The test part is not used for the choice.
///
/// The features of training and validation part are computed once, without augmentation, and stored in
/// `features/<model>.safetensors` of the run with a hash of the model. Each head starts from new weights and is
/// trained 10 epochs by SGD with momentum 0.9, weight decay 2e-4, the run's batch size, and a learning rate that falls
/// to 0 along a half cosine from 0.1 on a cosine head, from 2 over the mean squared length of the features on a linear
/// one; parts of a loss that begin late are in force from the start. `crt`: cross entropy with balanced sampling.
/// `lws`: the trained head, each class's logit times a factor that is learnt with balanced sampling. `tau-norm`: the
/// trained weights over the tau-th power of their length, without bias; nothing is trained (Kang et al., ICLR 2020).
///
/// With `apply`, the chosen head and the backbone become the checkpoint and the result of a model of its own, named
/// "<loss>/<head>", which is evaluated on the test part; not when the trained head is the best.
///
/// Deterministic, whatever `jobs`. `stop` is asked before each head. Throws Error{usage} without a validation part, for
/// a model that is not there, is not finished or is not the only one, a key of the grid that no loss has, a second
/// stage that the head rules out; Error{data} when the data have changed; Error{numerical}; Error{interrupted}.
Tuning tune(const std::filesystem::path& folder, const RunOptions& run_options, const TuneOptions& options,
            const std::function<bool()>& stop = {});

}  // namespace ulmus
