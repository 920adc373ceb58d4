#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "ulmus/eval/tuning.hpp"
#include "ulmus/train/options.hpp"

namespace ulmus {

/// Which member of a run gets a new head, and which heads are tried.
struct TuneOptions {
  std::string loss;        ///< of the member; empty: the run has only one
  std::int64_t seed = -1;  ///< of the member; -1: there is only one
  /// Losses as for `compare`, and the second stages `crt`, `tau-norm` and `lws`. Empty: elm+drw, elm, la, crt, and on a
  /// linear head tau-norm and lws. A lone `tau-norm` has tau=0.5.
  std::string losses;
  /// "lambda=0:1:0.1,max_margin=0.3,0.5": values, or FIRST:LAST:STEP, of keys; each applies to every loss of the list
  /// that has the key, all combinations. Empty: lambda=0:1:0.1 of elm, tau=0.5:2:0.25 of la and tau=0:1:0.1 of
  /// tau-norm, where the list gives no value.
  std::string grid;
  std::int64_t jobs = 0;  ///< heads fitted at the same time; 0: as many as there are cores. Changes no result
  bool apply = false;     ///< keep the chosen head as a member of the run
};

/// Fits heads anew on the features of a trained member's frozen backbone and chooses on the run's validation part; the
/// test part is not looked at.
///
/// The features of training and validation part are taken once, without augmentation, and kept in
/// `features/<member>.safetensors` of the run with the hash of the checkpoint. Each head starts from new weights and is
/// trained 10 epochs by SGD with momentum 0.9, weight decay 2e-4, the run's batch size, and a learning rate that falls
/// to 0 along a half cosine from 0.1 on a cosine head, from 2 over the mean squared length of the features on a linear
/// one; what begins late in its loss is in force from the start. `crt`: cross entropy with balanced sampling.
/// `lws`: the trained head, each class's logit times a factor that is learnt with balanced sampling. `tau-norm`: the
/// trained weights over the tau-th power of their length, without bias; nothing is trained (Kang et al., ICLR 2020).
///
/// With `apply`, the chosen head and the backbone become the checkpoint and the result of a member of its own, named
/// "<loss>/<head>", which is judged on the test part; not when the head as trained is the best.
///
/// Deterministic, whatever `jobs`. `stop` is asked before each head. Throws Error{usage} without a validation part, for
/// a member that is not there, is not finished or is not the only one, a key of the grid that no loss has, a second
/// stage that the head rules out; Error{data} when the data have changed; Error{numerical}; Error{interrupted}.
Tuning tune(const std::filesystem::path& folder, const RunOptions& run_options, const TuneOptions& options,
            const std::function<bool()>& stop = {});

}  // namespace ulmus
