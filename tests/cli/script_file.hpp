#pragma once

#include <filesystem>

namespace ulmus::cli_test {

/// A TorchScript backbone for images of 28x28. Running it creates `target`, to show what such a file is able to do.
void write_script(const std::filesystem::path& path, const std::filesystem::path& target);

/// Writes a TorchScript module that adds 1 to colour images [N, 3, H, W] and gives their means over the plane, [N, 3];
/// with `dimensions` 4 the images themselves, which are no features.
void write_colour_backbone(const std::filesystem::path& path, int dimensions);

}  // namespace ulmus::cli_test
