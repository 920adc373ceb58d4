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
  std::string imbalance = "none";  ///< ImbalanceProfile as text
  bool quick = false;              ///< do not read samples: no search for duplicates
  int threads = 0;                 ///< for the search; 0: all cores
};

/// Samples that are identical to another sample in every pixel or feature.
struct Duplicates {
  std::int64_t copies = 0;         ///< samples that are identical to an earlier one, or to one in the other part
  std::int64_t contradicting = 0;  ///< copies with a label other than that of the first such sample
  std::vector<std::string> pair;   ///< names of the first copy and of its original; empty if there are no copies
};

/// Facts about a data set to check before training.
struct Inspection {
  std::string data;                                      ///< address
  std::string sha256;                                    ///< hash of the training part
  std::string samples;                                   ///< description: "images of 3x32x32"
  std::optional<ImageShape> shape;                       ///< none for a table
  bool of_features = false;                              ///< rows rather than images
  std::vector<std::string> class_names;                  ///< [C]
  std::vector<std::int64_t> train_counts;                ///< [C]
  std::optional<std::vector<std::int64_t>> test_counts;  ///< [C]; without a test part only with an imbalance
  std::vector<std::int64_t> run_counts;                  ///< [C], training samples of a run with this imbalance
  bool held_out = false;                                 ///< the test part was split from the training part
  double imbalance_ratio = 1;                            ///< over the classes with samples
  /// Gini coefficient of the counts: 0 if they are equal, towards 1 if one class has nearly all samples. With the
  /// counts in ascending order, n[1] <= ... <= n[C]:  sum_i (2 i - C - 1) n[i] / (C sum_i n[i])
  double gini = 0;
  std::int64_t many_shot = 0;  ///< numbers of classes
  std::int64_t medium_shot = 0;
  std::int64_t few_shot = 0;
  std::vector<std::int64_t> empty;            ///< classes without a training sample
  std::vector<std::int64_t> single;           ///< classes with one training sample
  std::vector<std::int64_t> missing_in_test;  ///< classes without a test sample
  KindCounts skipped;                         ///< undecodable images, by reason; not part of any count
  std::vector<std::string> skipped_files;     ///< the first skipped files
  std::vector<ColumnSummary> columns;         ///< columns of a table
  std::vector<std::string> notes;             ///< all_notes of the data
  std::optional<Duplicates> in_train;         ///< in the whole training part; with `quick` all three are empty
  std::optional<Duplicates> in_test;
  std::optional<Duplicates> leak;  ///< test samples that are also in the training part
};

/// Inspects opened data. With an imbalance the counts are those that `make_split` gives, so for data without a test
/// part the held-out samples are already subtracted; the search for duplicates covers all data. Samples are compared by
/// the SHA-256 of their content: pixels, features, or the cells of a table row.
///
/// Throws Error{usage} for an unknown imbalance, and Error{data} for an image that can no longer be decoded.
Inspection inspect(const OpenedData& data, const InspectionOptions& options);

/// Opens and inspects data, skipping undecodable images. Throws as open_data and `inspect` do.
Inspection inspect(std::string_view address, OpenOptions open, const InspectionOptions& options);

/// Text for a terminal. For more than 20 classes it shows the ten largest and the ten smallest, unless `all` is set.
std::string to_text(const Inspection& inspection, bool all = false);

/// As JSON with `schema_version` 1.
std::string to_json(const Inspection& inspection);

}  // namespace ulmus
