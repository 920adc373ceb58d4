#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ulmus/train/options.hpp"
#include "ulmus/train/run.hpp"

namespace ulmus {

struct FeatureFileOptions {
  std::filesystem::path out;  ///< of the training features; ends in .npy
  bool half = false;          ///< float16 instead of float32
  std::function<void(const FeatureProgress&)> progress = {};
  std::function<bool()> stop = {};
};

/// What write_features() wrote.
struct FeatureFiles {
  std::string address;                         ///< `npy:...`, to open them with
  std::string model;                           ///< the backbone
  std::int64_t width = 0;                      ///< features per image
  std::int64_t train = 0, test = 0;            ///< images
  std::vector<std::filesystem::path> written;  ///< every file
};

/// Writes the features that a pretrained backbone computes for every image of a data set, for other programs and for
/// `npy:` addresses: for x.npy the features [N, D] in x.npy, the labels in x-labels.npy (int64), the class names in
/// x-classes.txt, and the same of a test part in x-test.npy and x-test-labels.npy. Images are not augmented and keep
/// the order of the data set.
///
/// Of the options, those of the data, of the model with its weights, and of the device apply. The features that are
/// done are kept in the folder x.npy.part until the files are complete, so an interrupted call can be repeated.
///
/// Throws Error{usage} if the data are no images or no weights are named or stored, Error{data} as open_data() does
/// and for weights that do not fit, Error{environment} for a full disk, Error{interrupted}.
FeatureFiles write_features(const RunOptions& options, const FeatureFileOptions& files);

}  // namespace ulmus
