#pragma once

#include <filesystem>

namespace ulmus::cli_test {

/// A TorchScript backbone for images of 28x28. Running it creates `target`, to show what such a file is able to do.
void write_script(const std::filesystem::path& path, const std::filesystem::path& target);

}  // namespace ulmus::cli_test
