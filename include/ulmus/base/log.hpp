#pragma once

#include <string>

namespace ulmus {

/// Says something once per process on standard error: a slower path taken, an option without effect. `topic` identifies
/// it.
void announce_once(const std::string& topic, const std::string& message);

}  // namespace ulmus
