#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ulmus/data/dataset.hpp"
#include "ulmus/data/table.hpp"

namespace ulmus {

struct InspectionOptions {
  std::string imbalance = "none";  ///< ImbalanceProfile in text
  bool quick = false;              ///< look at no sample: no search for duplicates
  int threads = 0;                 ///< for the search; 0: all cores
};

/// Samples that are the same as another one in every pixel or feature.
struct Duplicates {
  std::int64_t copies = 0;         ///< samples of which there is an earlier one, or one in the other part
  std::int64_t contradicting = 0;  ///< copies whose label is not that of the first such sample
  std::vector<std::string> pair;   ///< names of the first copy and of what it is a copy of; empty without copies
};

/// Facts about a data set to check before training.
struct Inspection {
  std::string data;                                      ///< address
  std::string sha256;                                    ///< of the training part
  std::string samples;                                   ///< what they are: "images of 3x32x32"
  std::optional<ImageShape> shape;                       ///< none for a table
  bool of_features = false;                              ///< rows, not images
  std::vector<std::string> class_names;                  ///< [C]
  std::vector<std::int64_t> train_counts;                ///< [C]
  std::optional<std::vector<std::int64_t>> test_counts;  ///< [C]; without a test part only with an imbalance
  std::vector<std::int64_t> run_counts;                  ///< [C], that a run with this imbalance has for training
  bool held_out = false;                                 ///< the test part was taken out of the training part
  double imbalance_ratio = 1;                            ///< over the classes that have samples
  /// Of the counts: 0 when they are equal, towards 1 when one class has nearly all samples. With the counts in
  /// ascending order, n[1] <= ... <= n[C]:  sum_i (2 i - C - 1) n[i] / (C sum_i n[i])
  double gini = 0;
  std::int64_t many_shot = 0;  ///< classes
  std::int64_t medium_shot = 0;
  std::int64_t few_shot = 0;
  std::vector<std::int64_t> empty;            ///< classes without a training sample
  std::vector<std::int64_t> single;           ///< classes with one
  std::vector<std::int64_t> missing_in_test;  ///< classes without a test sample
  KindCounts skipped;                         ///< images that cannot be decoded, by the reason; in no count
  std::vector<std::string> skipped_files;     ///< the first of them
  std::vector<ColumnSummary> columns;         ///< of a table
  std::vector<std::string> notes;             ///< all_notes of the data
  std::optional<Duplicates> in_train;         ///< of the whole training part; none of the three with `quick`
  std::optional<Duplicates> in_test;
  std::optional<Duplicates> leak;  ///< test samples that are also in the training part
};

/// Inspects opened data. With an imbalance the counts are those that `make_split` makes with it, so data without a test
/// part have given up theirs; duplicates are searched for in all of the data. Samples are compared by the SHA-256 of
/// what they hold: pixels, features, or the cells of a table's row.
///
/// Throws Error{usage} for an unknown imbalance, Error{data} for an image that cannot be decoded any more.
Inspection inspect(const OpenedData& data, const InspectionOptions& options);

/// Opens and inspects data, skipping images that cannot be decoded. Throws as open_data and `inspect`.
Inspection inspect(std::string_view address, OpenOptions open, const InspectionOptions& options);

/// Text for a terminal. Of more than 20 classes it shows the ten largest and the ten smallest, unless `all`.
std::string to_text(const Inspection& inspection, bool all = false);

/// As JSON with `schema_version` 1.
std::string to_json(const Inspection& inspection);

}  // namespace ulmus
