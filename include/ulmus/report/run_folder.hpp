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

/// A line of `metrics.jsonl`: one epoch of one trial of the run.
struct EpochRecord {
  std::string loss;  ///< canonical text
  std::int64_t seed = 0;
  std::int64_t epoch = 0;  ///< from 0
  std::int64_t epochs = 0;
  double learning_rate = 0;
  bool reweighted = false;           ///< class weights are active in this epoch
  std::optional<double> train_loss;  ///< absent if it was not finite
  double train_top1 = 0;
  std::optional<EpochScore> test, validation;
  double seconds = 0;
};

/// The choice for a model on the validation part.
struct Selection {
  std::string chosen;  ///< "lambda=0.25", "head crt"
  std::int64_t candidates = 0;
};

/// The importance of the columns of a table for trees.
struct ColumnImportance {
  std::vector<std::string> columns;  ///< [D]
  std::vector<double> gain;          ///< [D], share of the gain of all splits
};

/// A file of `results/`: one finished model, a loss trained with one seed.
struct TrialResult {
  std::int64_t order = 0;  ///< position of the loss in the run
  std::string loss;        ///< canonical text, as short as possible
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
  std::optional<Selection> selection;          ///< absent if nothing was chosen
  std::optional<ColumnImportance> importance;  ///< of trees
};

/// A column of the training table (ColumnSummary of the data module).
struct RunColumn {
  std::string name, kind, values, treatment;
  double missing = 0;  ///< share of the rows
};

/// Images of the run, from `gallery.json`.
struct Gallery {
  struct Image {
    std::int64_t true_class = 0;
    std::string jpeg;  ///< a JPEG file as Base64
  };
  /// A test image and what a model takes it for.
  struct Mistake {
    std::size_t image = 0;  ///< in `images`
    std::int64_t predicted = 0;
    double confidence = 0;  ///< probability of the predicted class
  };
  struct ClassSamples {
    std::int64_t of_class = 0;
    std::vector<std::size_t> images;
  };
  struct Pair {
    std::int64_t true_class = 0, predicted = 0;
    std::int64_t count = 0;  ///< test images of the class that are taken for the other
    std::vector<Mistake> images;
  };
  struct LossImages {
    std::string loss;               ///< canonical text
    std::vector<Mistake> mistakes;  ///< the most confident ones on rare classes
    std::vector<Mistake> rescued;   ///< right by this loss; `predicted` and `confidence` are the baseline's
    std::vector<Pair> pairs;        ///< the most frequent confusions
  };
  std::string baseline;               ///< the loss that `rescued` compares with
  std::vector<ClassSamples> classes;  ///< training images, rarest class first
  std::vector<LossImages> losses;
  std::vector<Image> images;
};

/// The content of a run folder.
struct RunFolder {
  std::filesystem::path path;
  std::string command;  ///< that created the run; empty if config.toml does not state it
  std::string data;     ///< address of the data set
  std::string data_sha256;
  std::string split_sha256;
  std::string imbalance;                   ///< profile as text
  std::int64_t validation_per_class = 0;   ///< images of each class held out for validation
  std::vector<std::string> class_names;    ///< [C]
  std::vector<std::int64_t> train_counts;  ///< [C]
  std::vector<RunColumn> columns;          ///< columns of a table; empty for other data
  std::vector<std::string> notes;          ///< what was ignored or changed in the data (OpenedData), one line each
  std::vector<EpochRecord> epochs;         ///< by loss in order of appearance, then seed, then epoch; no epoch twice
  std::vector<TrialResult> results;        ///< by order, then seed; at least one
  std::optional<Gallery> gallery;          ///< absent for data that are no images, and where images are not shown
};

/// Reads a run folder: `split.json`, `results/*.json`, and, if they exist, `config.toml`, `columns.json`, `notes.json`,
/// `gallery.json` and `metrics.jsonl`.
///
/// Tolerates the traces of a crash in `metrics.jsonl`: a truncated line is skipped, even if a resumed run appended its
/// first line to it, and of duplicate epochs the last one counts.
///
/// Throws Error{data} if the folder is missing or has no result yet, and, naming the file, if a file is damaged, has an
/// unknown schema version or does not match the split.
RunFolder read_run(const std::filesystem::path& folder);

}  // namespace ulmus
