#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace ulmus {

/// Selects models of a run by their loss and seed; an unset field selects all.
struct ModelSelection {
  std::optional<std::string> loss;  ///< the text of a loss, or the name of a model that `tune` made, "ce/crt"
  std::optional<std::uint64_t> seed;
};

}  // namespace ulmus
