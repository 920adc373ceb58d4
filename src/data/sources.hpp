#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "ulmus/data/dataset.hpp"

namespace ulmus::detail {

/// Largest height and width, in pixels, that is read from an IDX file or resized to.
constexpr std::int64_t k_max_image_side = 16384;

/// `fashion-mnist` or `mnist`: four IDX files, plain or gzip, with a training and a test part.
OpenedData open_idx(std::string_view name, const OpenOptions& options);

/// A folder of images per class below `folder`, or below its `train` and `test`.
OpenedData open_folder(const std::filesystem::path& folder, const OpenOptions& options);

}  // namespace ulmus::detail
