#pragma once

#include <string>

namespace ulmus {

/// Logs a warning to standard error, once per process and `topic`: for example that a slower path is used or an option
/// has no effect.
void warn_once(const std::string& topic, const std::string& message);

}  // namespace ulmus
