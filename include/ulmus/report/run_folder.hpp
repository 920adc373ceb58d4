#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "ulmus/eval/evaluation.hpp"

namespace ulmus {

/// Accuracies of one epoch on one set, fractions in [0, 1].
struct EpochScore {
  double balanced_accuracy = 0;
  double top1 = 0;
};

/// A line of `metrics.jsonl`: one epoch of one member of the run.
struct EpochRecord {
  std::string loss;  ///< canonical text
  std::int64_t seed = 0;
  std::int64_t epoch = 0;  ///< from 0
  std::int64_t epochs = 0;
  double learning_rate = 0;
  bool reweighted = false;           ///< class weights are applied in this epoch
  std::optional<double> train_loss;  ///< absent when it was not finite
  double train_top1 = 0;
  std::optional<EpochScore> test, validation;
  double seconds = 0;
};

/// What was chosen for a member on the validation part.
struct Selection {
  std::string chosen;  ///< "lambda=0.25", "head crt"
  std::int64_t candidates = 0;
};

/// How much the columns of a table matter to trees.
struct ColumnImportance {
  std::vector<std::string> columns;  ///< [D]
  std::vector<double> gain;          ///< [D], share of the gain of all splits
};

/// A file of `results/`: one finished member, a loss trained with one seed.
struct MemberResult {
  std::int64_t order = 0;  ///< of the loss in the run
  std::string loss;        ///< canonical text, as short as it can be
  std::string loss_full;   ///< with every parameter
  std::int64_t seed = 0;
  std::int64_t epochs = 0;
  std::string model;
  std::string head;  ///< "cosine" or "linear"
  double scale = 1;
  std::int64_t parameters = 0;
  double seconds = 0;
  Evaluation train, test;
  std::optional<Evaluation> validation;
  std::optional<Selection> selection;          ///< absent where nothing was chosen
  std::optional<ColumnImportance> importance;  ///< of trees
};

/// A column of the table that was trained on (ColumnSummary of the data room).
struct RunColumn {
  std::string name, kind, values, treatment;
  double missing = 0;  ///< share of the rows
};

/// What a run left on disk.
struct RunFolder {
  std::filesystem::path path;
  std::string command;  ///< that made the run; empty when config.toml does not tell
  std::string data;     ///< address of the data set
  std::string data_sha256;
  std::string split_sha256;
  std::string imbalance;                   ///< profile in text
  std::int64_t validation_per_class = 0;   ///< images of each class held out for validation
  std::vector<std::string> class_names;    ///< [C]
  std::vector<std::int64_t> train_counts;  ///< [C]
  std::vector<RunColumn> columns;          ///< of a table; empty for other data
  std::vector<std::string> notes;          ///< what of the data was not used or changed (OpenedData), a line each
  std::vector<EpochRecord> epochs;         ///< by loss as they first appear, then seed, then epoch; no epoch twice
  std::vector<MemberResult> results;       ///< by order, then seed; at least one
};

/// Reads a run folder: `split.json`, `results/*.json`, and `config.toml`, `columns.json`, `notes.json` and
/// `metrics.jsonl` where they exist.
///
/// What a crash leaves in `metrics.jsonl` is tolerated: a line cut short is passed over, also when a resumed run wrote
/// its first line behind it, and of an epoch that appears twice the last one counts.
///
/// Throws Error{data} when the folder is missing or has no result yet, and naming the file when it is damaged, has an
/// unknown schema version or does not fit the split.
RunFolder read_run(const std::filesystem::path& folder);

}  // namespace ulmus
