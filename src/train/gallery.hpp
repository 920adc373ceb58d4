#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "train/trial_paths.hpp"
#include "ulmus/train/plan.hpp"

namespace ulmus::detail {

/// What a model predicts for the test images, in the order of the test part; a result stores it.
struct Predictions {
  std::vector<std::int64_t> classes;
  std::vector<double> confidence;  ///< probability of that class, to three digits

  /// Appends the predictions of a batch, from the head's output [n, C] and the scale of the loss.
  void add(const torch::Tensor& logits, double scale);
};

/// Whether a run on images shows some of them in its report.
bool has_gallery(const Plan& plan);

/// Writes `gallery.json`, the images that the report shows, as thumbnails, from the results of the first seed:
///
/// - three training images of each class; of many classes, of the rarest and the most frequent;
/// - for each loss the most confident mistakes on the rarest third of the classes;
/// - for each loss but the baseline (`ce` if it took part, otherwise the first loss) test images that the baseline gets
///   wrong and the loss right, the rarest classes first;
/// - for each loss the most frequent confusions of two classes, with two images each.
void write_gallery(const Plan& plan, const std::filesystem::path& folder, const std::vector<TrialPaths>& paths);

}  // namespace ulmus::detail
