#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ulmus {

/// A fact about this machine or this build, and what to do if it costs speed or a feature.
struct Finding {
  std::string topic;  ///< "LibTorch"
  std::string value;  ///< "1.13.1, 2 threads"
  std::optional<std::string> advice;
};

/// Examines processor, memory, LibTorch with its BLAS, GPUs, stored weights and named data sets.
std::vector<Finding> examine_machine();

}  // namespace ulmus
