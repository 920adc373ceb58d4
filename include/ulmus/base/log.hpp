#pragma once

#include <string>

namespace ulmus {

/// Logs a warning once per process and `topic` to standard error: a slower path is taken, an option has no effect.
void warn_once(const std::string& topic, const std::string& message);

}  // namespace ulmus
