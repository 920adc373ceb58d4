#pragma once

#include <filesystem>

namespace ulmus::cli_test {

/// A TorchScript backbone for images of 28x28. Whenever it runs it creates `target`: that is what such a file may do.
void write_script(const std::filesystem::path& path, const std::filesystem::path& target);

}  // namespace ulmus::cli_test
