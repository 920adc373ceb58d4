#pragma once

#include <filesystem>
#include <vector>

#include "train/trial_paths.hpp"
#include "ulmus/train/plan.hpp"

namespace ulmus::detail {

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
