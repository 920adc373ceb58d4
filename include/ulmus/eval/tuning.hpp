#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/eval/evaluation.hpp"
#include "ulmus/loss/family.hpp"

namespace ulmus {

/// A head on the frozen backbone and its evaluation on the validation part.
struct TuneCandidate {
  std::string name;                  ///< "elm:lambda=0.3+drw", "crt", "tau-norm:tau=0.4", "as trained"
  std::optional<std::string> entry;  ///< the entry of the list of losses; absent for the head as trained
  std::vector<std::string> values;   ///< values from the grid: "lambda=0.3"
  Head head = Head::linear;
  double scale = 1;
  Evaluation validation;
};

/// The heads tried for a model of a run, and the chosen one.
struct Tuning {
  std::string loss;  ///< loss of the model, canonical text
  std::uint64_t seed = 0;
  std::string data;                       ///< address
  std::int64_t validation_per_class = 0;  ///< images per class in the validation part
  std::vector<TuneCandidate> candidates;  ///< the head as trained first, then in the order of list and grid
  std::size_t chosen = 0;                 ///< best balanced accuracy; on a tie the smallest NLL
  std::optional<std::string> new_model;   ///< name of the new model, "ce/crt"; absent if it was not applied
};

}  // namespace ulmus
