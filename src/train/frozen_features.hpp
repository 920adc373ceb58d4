#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "train/feature_file.hpp"
#include "train/forward.hpp"
#include "train/placement.hpp"
#include "ulmus/data/loader.hpp"
#include "ulmus/nn/model.hpp"
#include "ulmus/train/run.hpp"

/// The features of a frozen backbone: each image is processed once, for any number of trainings. They are stored in the
/// folder `features` of a run, in files of up to a few thousand samples that are written atomically, so that an
/// interrupted computation can continue. Files are read in pieces, so memory does not grow with the number of samples.
namespace ulmus::detail {

/// How features are computed, and callbacks.
struct FeatureOptions {
  std::filesystem::path folder;  ///< folder of the files
  /// Folders of other runs whose features of the same origin are reused.
  std::vector<std::filesystem::path> others = {};
  Normalisation normalisation{};
  ImageView view{};
  bool half = false;  ///< stored as float16
  int loader_threads = 1;
  Placement placement{};
  std::function<void(const FeatureProgress&)> progress = {};
  std::function<bool()> stop = {};
};

/// The folders `features` of the runs next to this one.
std::vector<std::filesystem::path> feature_folders_beside(const std::filesystem::path& run);

/// SHA-256 of everything that determines the features of a data set: the tensors of the backbone, the data and their
/// shape, the normalisation, the view and the precision.
std::string features_origin(const Classifier& model, const Dataset& data, const FeatureOptions& options);

/// The data set with the features of `model` as samples: computes those of `indices` (in any order) that no file has,
/// and writes them. Labels, names and hash are those of `data`; a sample that is not among the indices cannot be read.
///
/// Throws Error{numerical} naming the first sample whose features are not finite, Error{data} for an image that cannot
/// be decoded and for a damaged file of features, Error{environment} for a full disk (what was written stays, and is
/// reused the next time), and Error{interrupted}.
Dataset with_features(Classifier& model, const Dataset& data, std::span<const std::int64_t> indices,
                      const FeatureOptions& options);

}  // namespace ulmus::detail
