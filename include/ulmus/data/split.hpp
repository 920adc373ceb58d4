#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "ulmus/data/dataset.hpp"

namespace ulmus {

struct SplitOptions {
  std::string imbalance = "none";  ///< ImbalanceProfile as text
  std::uint64_t seed = 0;
  std::int64_t validation_per_class = 0;  ///< images of every class held out of the long-tailed training set
  /// Fraction of each class that is held out if the data have no test part: rounded to the nearest count, and at least
  /// one image if the class has two.
  double test_fraction = 0.2;
  /// Random generator that shuffles the images of a class: `ulmus` (Stream, see make_split) or `numpy`, which selects
  /// the same images as the reference code of LDAM-DRW.
  std::string rng = "ulmus";
};

/// Which images are used for training, validation and testing. A pure function of (data hash, profile, seed, options)
/// with random numbers defined here, so the same manifest means the same training set on any machine.
struct Split {
  std::string data;         ///< address
  std::string data_sha256;  ///< hash of the training part
  std::string test_sha256;  ///< hash of the data's own test part; empty if there is none
  SplitOptions options;
  std::vector<std::string> class_names;    ///< [C]
  std::vector<std::int64_t> train;         ///< indices into the training part, ascending
  std::vector<std::int64_t> validation;    ///< the same number of each class; disjoint from `train`
  std::vector<std::int64_t> test;          ///< indices into the training part; empty if the data have a test part
  std::vector<std::int64_t> train_counts;  ///< [C]
  /// Hash of the indices and everything that determines them: of the manifest's JSON without `data` (the same images
  /// may be elsewhere) and `sha256`, keys in alphabetical order, no white space, text in UTF-8. In Python:
  /// json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).
  std::string sha256;
};

/// Number of samples of each class that `make_split` takes for each part, [C].
struct SplitCounts {
  std::vector<std::int64_t> train;  ///< including validation; may be 0, for which make_split throws
  std::vector<std::int64_t> test;   ///< held out of the training part; zeros if the data have a test part
};

/// Throws as make_split does for the imbalance and the test fraction.
SplitCounts split_counts(const OpenedData& data, const SplitOptions& options);

/// Selects the samples: for each class, its indices in file order are shuffled; the first n_test are the test part (if
/// the data have none), the next n[c] (imbalance_counts of the rest) the long-tailed set, whose last
/// `validation_per_class` are held out for validation.
///
///     rng ulmus   Stream(seed, "split", class), one per class
///     rng numpy   one MT19937 from init_genrand(seed), the classes in label order: NumPy's legacy RandomState(seed)
///                 and its `shuffle`, from the last element down, each draw masked to the bits of its bound and
///                 rejected above it. imbalance_cifar.py of LDAM-DRW uses seed 0.
///
/// Throws Error{usage} if a class has no training sample left, naming the class and the largest integer ratio that
/// works, or the largest validation_per_class; for an unknown rng; and for a seed of 2^32 or more with `numpy`.
Split make_split(const OpenedData& data, const SplitOptions& options);

/// The manifest `split.json`: everything above, with `schema_version` 1. One line per key, the lists compact; the same
/// bytes for the same split. The key `rng` is omitted for `ulmus`, as in the manifests of version 0.1.
std::string to_json(const Split& split);

/// Reads a manifest and verifies its SHA-256. Throws Error{data} naming the file if it is missing, of another schema
/// version, damaged or modified.
Split read_split(const std::filesystem::path& path);

}  // namespace ulmus
