#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ulmus {

/// Selects models of a run by loss and seed; an unset field matches all.
struct ModelSelection {
  std::optional<std::string> loss;  ///< the text of a loss, or the name of a model made by `tune`, "ce/crt"
  std::optional<std::uint64_t> seed;
};

}  // namespace ulmus
